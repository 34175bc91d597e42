//! The command line: what it prints and how it ends.

use std::{fs, process::Output};

use witgate_tests::{
    gateway::{Pool, Setup, command, output},
    wasm,
};

/// A setup that has everything, its file written.
fn written(change: impl FnOnce(Setup) -> Setup) -> Setup {
    let pool = Pool::of("endpoints = [\"10.0.0.4:443\"]\ntrust.public = true");
    let setup = change(Setup::new().default_pool("web", pool));
    setup.write();
    setup
}

async fn check(setup: &Setup) -> Output {
    output(&["check", "--config", &setup.file().display().to_string()]).await
}

fn text(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    format!(
        "{}{}",
        String::from_utf8_lossy(out),
        String::from_utf8_lossy(err)
    )
}

/// Asserts that `check` refuses this and names all of these.
async fn is_refused(setup: &Setup, named: &[&str]) {
    let output = check(setup).await;
    let text = text(&output);
    assert!(!output.status.success(), "{text}");
    for name in named {
        assert!(text.contains(name), "{name} in {text}");
    }
}

#[tokio::test]
async fn check_accepts_what_run_would() {
    let setup = written(|setup| setup.plugin("10-first", &wasm::answering("first")));
    let output = check(&setup).await;
    assert!(output.status.success(), "{}", text(&output));
}

#[tokio::test]
async fn check_points_at_the_line_of_an_unknown_key() {
    let setup = written(|setup| setup.table("[limits]\nhead_size = \"1KiB\""));
    let text = fs::read_to_string(setup.file()).unwrap();
    let line = text
        .lines()
        .position(|line| line.starts_with("head_size"))
        .unwrap()
        + 1;
    let place = format!("witgate.toml:{line}");
    is_refused(&setup, &[&place, "head_size", "head_bytes"]).await;
}

#[tokio::test]
async fn check_names_a_missing_certificate() {
    let setup = written(|setup| setup.certificates(&["missing"]));
    is_refused(&setup, &["witgate.toml:", "missing.pem"]).await;
}

#[tokio::test]
async fn check_names_a_key_of_another_certificate() {
    let setup = written(|setup| setup);
    let other = setup.authority().issue(&["shop.example"]);
    fs::write(setup.dir().join("gateway.key"), other.key_pem()).unwrap();
    is_refused(&setup, &["witgate.toml:", "gateway.key"]).await;
}

#[tokio::test]
async fn check_loads_plugins_too() {
    let setup = written(|setup| setup.plugin("10-greedy", &wasm::unknown_import()));
    is_refused(&setup, &["10-greedy.wasm", "acme:bank/transfer@1.0.0"]).await;
    let setup = written(|setup| setup.plugin("10-picky", &wasm::guest("refuses-configuration")));
    is_refused(&setup, &["10-picky", "refused as asked"]).await;
}

#[tokio::test]
async fn check_names_an_affinity_plugin_that_is_not_there() {
    let setup = written(|setup| {
        let pool = "endpoints = [\"10.0.0.4:443\"]\ntrust.public = true\naffinity = \"sticky\"";
        setup.pool("web", Pool::of(pool))
    });
    is_refused(&setup, &["witgate.toml:", "affinity", "sticky"]).await;
}

#[tokio::test]
async fn check_needs_a_file_that_is_there() {
    let output = output(&["check", "--config", "/nowhere/witgate.toml"]).await;
    assert!(!output.status.success());
    assert!(
        text(&output).contains("/nowhere/witgate.toml"),
        "{}",
        text(&output)
    );
}

#[tokio::test]
async fn plugin_check_tells_roles_and_refusals() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, wasm: &[u8]| {
        let path = dir.path().join(name);
        fs::write(&path, wasm).unwrap();
        path.display().to_string()
    };
    let good = file("good.wasm", &wasm::answering("A"));
    let accepted = output(&["plugin", "check", &good]).await;
    assert!(accepted.status.success(), "{}", text(&accepted));
    assert!(text(&accepted).contains("routing"), "{}", text(&accepted));
    for (name, wasm, named) in [
        (
            "greedy.wasm",
            wasm::unknown_import(),
            "acme:bank/transfer@1.0.0",
        ),
        (
            "greeter.wasm",
            wasm::wrong_world(),
            "acme:greeter/greeting@2.0.0",
        ),
        ("garbage.wasm", b"garbage".to_vec(), "garbage.wasm"),
    ] {
        let refused = output(&["plugin", "check", &good, &file(name, &wasm)]).await;
        assert!(!refused.status.success(), "{name}");
        assert!(
            text(&refused).contains(named),
            "{named} in {}",
            text(&refused)
        );
    }
}

#[tokio::test]
async fn a_new_plugin_is_a_project_and_never_overwrites_one() {
    let dir = tempfile::tempdir().unwrap();
    let make = || async {
        let mut command = command(&["plugin", "new", "my-router"]);
        command.current_dir(dir.path()).output().await.unwrap()
    };
    let made = make().await;
    assert!(made.status.success(), "{}", text(&made));
    let project = dir.path().join("my-router");
    for file in ["Cargo.toml", "src/lib.rs"] {
        assert!(project.join(file).exists(), "{file}: {}", text(&made));
    }
    fs::write(project.join("src/lib.rs"), "mine").unwrap();
    assert!(!make().await.status.success());
    assert_eq!(
        fs::read_to_string(project.join("src/lib.rs")).unwrap(),
        "mine"
    );
}

#[tokio::test]
async fn help_names_every_command() {
    let help = output(&["--help"]).await;
    assert!(help.status.success());
    for command in ["run", "check", "plugin"] {
        assert!(text(&help).contains(command), "{}", text(&help));
    }
    let help = output(&["plugin", "--help"]).await;
    for command in ["build", "check", "new"] {
        assert!(text(&help).contains(command), "{}", text(&help));
    }
}

#[tokio::test]
async fn the_version_is_the_packages() {
    let version = output(&["--version"]).await;
    assert_eq!(
        text(&version).trim(),
        format!("witgate {}", env!("CARGO_PKG_VERSION"))
    );
}

#[tokio::test]
async fn an_unknown_argument_is_a_usage_error() {
    let output = output(&["run", "--colour"]).await;
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output).contains("--colour"), "{}", text(&output));
}
