//! `witgate plugin new`: what it makes builds, and decides what its cases say, in each language.

use std::{fs, os::unix::fs::symlink, path::Path, time::Duration};

use witgate_tests::{TempDir, gateway::command, wasm};

/// A build with an interpreter in it, on a loaded machine; for its compilation alone as well.
const LIMIT: Duration = Duration::from_secs(600);
const PATIENT: &str = "compile_timeout = \"10m\"\n";

/// Runs `witgate plugin` in a folder.
async fn plugin(dir: &Path, arguments: &[&str]) -> (bool, String) {
    let target = wasm::references().with_file_name("new-plugins");
    let run = command(&[&["plugin"], arguments].concat())
        .current_dir(dir)
        .env("CARGO_TARGET_DIR", target)
        .output();
    let output = tokio::time::timeout(LIMIT, run).await.expect("it ends");
    let output = output.unwrap();
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    (output.status.success(), text)
}

/// Makes, builds and tries a project; its tools are those that `cargo xtask setup` has installed.
async fn works(template: &str, language: &str) {
    let dir = TempDir::new().unwrap();
    let new = ["new", "mine", "--template", template, "--lang", language];
    let (ok, said) = plugin(dir.path(), &new).await;
    assert!(ok, "{said}");
    let project = dir.path().join("mine");
    let target = wasm::references();
    let target = target.parent().unwrap();
    match language {
        "js" => symlink(
            target.join("componentize-js/node_modules"),
            project.join("node_modules"),
        ),
        "python" => symlink(target.join("componentize-py"), project.join("venv")),
        _ => Ok(()),
    }
    .unwrap();
    let sidecar = project.join("mine.toml");
    let text = fs::read_to_string(&sidecar).unwrap();
    fs::write(&sidecar, format!("{PATIENT}{text}")).unwrap();
    let (ok, said) = plugin(dir.path(), &["build", "mine", "-o", "mine/mine.wasm"]).await;
    assert!(ok, "{said}");
    let (ok, said) = plugin(dir.path(), &["test", "mine/mine.wasm"]).await;
    assert!(
        ok && said.contains(" case"),
        "{template} in {language}: {said}"
    );
}

#[tokio::test]
async fn templates_in_rust_work() {
    for template in ["router", "affinity", "rewriter", "auth"] {
        works(template, "rust").await;
    }
}

/// Those that are least like the example; each takes half a minute.
#[tokio::test]
async fn templates_in_javascript_work() {
    for template in ["affinity", "auth"] {
        works(template, "js").await;
    }
}

#[tokio::test]
async fn templates_in_python_work() {
    for template in ["affinity", "rewriter"] {
        works(template, "python").await;
    }
}

#[tokio::test]
async fn a_tool_that_is_not_there_is_named_with_what_installs_it() {
    let dir = TempDir::new().unwrap();
    for (language, mend) in [
        ("js", "componentize-js is not in "),
        ("python", "componentize-py is not in "),
    ] {
        let (ok, said) = plugin(dir.path(), &["new", language, "--lang", language]).await;
        assert!(ok, "{said}");
        let run = command(&["plugin", "build", language, "-o", "out.wasm"])
            .current_dir(dir.path())
            .env("PATH", "/nowhere")
            .output()
            .await
            .unwrap();
        let said = String::from_utf8_lossy(&run.stderr).into_owned();
        assert!(!run.status.success());
        assert!(said.contains(mend) && said.contains("install"), "{said}");
        assert!(
            said.contains(&format!("witgate doctor --lang {language}")),
            "{said}"
        );
        assert!(!dir.path().join("out.wasm").exists());
    }
    fs::create_dir(dir.path().join("empty")).unwrap();
    let (ok, said) = plugin(dir.path(), &["build", "empty", "-o", "out.wasm"]).await;
    assert!(!ok && said.contains("is not a cargo project"), "{said}");
}
