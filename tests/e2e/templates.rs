//! `witgate plugin new`: what it makes builds, decides what its cases say, and serves in a gateway,
//! in each language.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::io::{AsyncBufReadExt as _, BufReader};
use witgate_tests::{
    Http, TempDir,
    client::Client,
    eventually,
    gateway::{Gateway, Pool, Setup, command},
    upstream::Upstream,
    wasm,
};

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

/// Makes and builds a project; its tools are those that `cargo xtask setup` has installed.
async fn built(dir: &Path, template: &str, language: &str) -> PathBuf {
    let new = ["new", template, "--template", template, "--lang", language];
    let (ok, said) = plugin(dir, &new).await;
    assert!(ok, "{said}");
    let project = dir.join(template);
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
    let sidecar = project.join(format!("{template}.toml"));
    let text = fs::read_to_string(&sidecar).unwrap();
    fs::write(&sidecar, format!("{PATIENT}{text}")).unwrap();
    let wasm = project.join(format!("{template}.wasm"));
    let out = wasm.to_str().unwrap();
    let (ok, said) = plugin(dir, &["build", template, "-o", out]).await;
    assert!(ok, "{template} in {language}: {said}");
    project
}

/// Asserts that the cases of a project hold.
async fn holds(project: &Path) {
    let name = project.file_name().unwrap().to_str().unwrap();
    let (ok, said) = plugin(project, &["test", &format!("{name}.wasm")]).await;
    assert!(ok && said.contains("  ok     "), "{said}");
}

/// Puts what was built into the folder of a gateway, as the README says, and waits until it has
/// been compiled and its cases have held.
async fn goes_live(gateway: &Gateway, project: &Path, place: &str) {
    let name = project.file_name().unwrap().to_str().unwrap();
    for extension in ["toml", "cases.toml", "wasm"] {
        let bytes = fs::read(project.join(format!("{name}.{extension}"))).unwrap();
        let file = gateway.setup().plugins();
        let file = file.join(format!("{place}-{name}.{extension}"));
        let part = file.with_extension("part");
        fs::write(&part, bytes).unwrap();
        fs::rename(part, file).unwrap();
    }
    let plugin = format!("plugin={name} ");
    let is_live = |entry: &String| entry.contains("plugin is live") && entry.contains(&plugin);
    let found = || gateway.log().into_iter().find(is_live);
    eventually!(within LIMIT, format!("the {name} is live"), found());
}

/// Makes all templates of a language, and serves requests that each has its say in.
async fn work(language: &str) {
    let dir = TempDir::new().unwrap();
    let upstreams = [
        Upstream::pinned("web-1").await,
        Upstream::pinned("web-2").await,
    ];
    let pool = || Pool::pinned(&upstreams.each_ref());
    let mut gateway = Setup::new()
        .variable("RAYON_NUM_THREADS", "1")
        // The first call of an interpreter takes long while other tests run beside it.
        .plugin_defaults("deadline = \"5s\"\novertime = 100")
        .default_pool("web", pool())
        .start()
        .await;
    for (place, template) in [
        ("05", "auth"),
        ("10", "router"),
        ("50", "affinity"),
        ("60", "rewriter"),
    ] {
        let project = built(dir.path(), template, language).await;
        holds(&project).await;
        goes_live(&gateway, &project, place).await;
    }
    gateway.configure(|setup| setup.pool("web", pool().with("affinity = \"affinity\"")));
    gateway.reload().await;
    for http in [Http::One, Http::Two] {
        decide(&gateway.client(http)).await;
    }
}

/// Asserts that all four plugins decide about a client's requests.
async fn decide(client: &Client) {
    let url = |path: &str| format!("https://shop.example{path}");
    let hello = client.get(&url("/hello")).await;
    assert_eq!(hello.text(), "Hello from a plugin!\n");
    assert_eq!(hello.header("content-type"), "text/plain; charset=utf-8");
    let refused = client.get(&url("/admin/users")).await;
    assert_eq!(refused.status, 401);
    assert_eq!(refused.header("www-authenticate"), "Bearer");
    let guessed = [("authorization", "Bearer change-you")];
    let refused = client.get_with(&url("/admin/users"), &guessed).await;
    assert_eq!(refused.status, 401);
    let known = [("authorization", "Bearer change-me")];
    let admitted = client.get_with(&url("/admin/users"), &known).await;
    assert_eq!(admitted.echo().target, "/admin/users");
    let sent = [("x-internal", "1"), ("x-other", "2")];
    let answer = client.get_with(&url("/cart"), &sent).await;
    let echo = answer.echo();
    let arrived = |name: &str| echo.headers.iter().any(|(one, _)| one == name);
    assert!(!arrived("x-internal") && arrived("x-other"), "{echo:?}");
    assert_eq!(answer.header("x-served-by"), "witgate");
    let cookie = format!("node={}; Path=/; HttpOnly", echo.upstream);
    assert_eq!(answer.all("set-cookie"), [&cookie]);
    for upstream in ["web-2", "web-1", "web-1", "web-2"] {
        let cookie = format!("node={upstream}");
        let again = client.get_with(&url("/cart"), &[("cookie", &cookie)]).await;
        assert_eq!(again.echo().upstream, upstream);
        assert!(again.all("set-cookie").is_empty());
    }
}

#[tokio::test]
async fn templates_in_rust_work() {
    work("rust").await;
}

#[tokio::test]
async fn templates_in_c_work() {
    work("c").await;
}

#[tokio::test]
async fn templates_in_javascript_work() {
    work("js").await;
}

#[tokio::test]
async fn templates_in_python_work() {
    work("python").await;
}

/// All that JSON has, as the gateway writes it, is read by the one file that projects in C have for
/// it; and what is not as expected is refused.
#[tokio::test]
async fn projects_in_c_read_any_configuration() {
    let dir = TempDir::new().unwrap();
    let project = built(dir.path(), "router", "c").await;
    let cases = project.join("router.cases.toml");
    fs::remove_file(&cases).unwrap();
    let says = async |config: &str, arguments: &[&str]| {
        fs::write(project.join("router.toml"), format!("[config]\n{config}")).unwrap();
        plugin(&project, arguments).await.1
    };
    let call = ["call", "router.wasm", "-r", "GET https://shop.example/"];
    for (config, reason) in [
        ("path = 1", "path: expected a path that starts with /"),
        ("path = 'hello'", "path: expected a path that starts with /"),
        ("text = ['x']", "text: expected a text"),
        (r#"text = "a\u0000b""#, "text: expected a text"),
    ] {
        let said = says(config, &call).await;
        assert!(said.contains(reason), "{config}: {said}");
    }
    let text = r#""a\t\"b\" \\ \u0001 ü€😀""#;
    let body = format!("{}\\n\"", text.trim_end_matches('"'));
    let case = format!(
        "[[cases]]\nrequest = 'https://shop.example/here'\nroute = {{ respond = 200, body = {body} }}\n"
    );
    fs::write(cases, case).unwrap();
    let nested = r#"a = [1, -2.5e3, true, { b = "]}\"", path = "/x" }, []]"#;
    let config = format!("{nested}\nempty = {{}}\npath = '/here'\ntext = {text}\nz = 1");
    let said = says(&config, &["test", "router.wasm"]).await;
    assert!(said.contains("  ok     "), "{said}");
}

/// The compiler's own words, with a line on top that says of what.
#[tokio::test]
async fn what_clang_says_is_shown_as_it_is() {
    let dir = TempDir::new().unwrap();
    let project = built(dir.path(), "router", "c").await;
    let source = project.join("plugin.c");
    let whole = fs::read_to_string(&source).unwrap();
    let says = async |text: &str, arguments: &[&str]| {
        fs::write(&source, text).unwrap();
        let build = [&["build", "router", "-o", "out.wasm"], arguments].concat();
        plugin(dir.path(), &build).await
    };
    let (ok, said) = says(&whole.replace("return true;", "return tru;"), &[]).await;
    assert!(
        !ok && said.contains("error: use of undeclared identifier 'tru'"),
        "{said}"
    );
    let top = format!(
        "clang: compiling 3 files of {}\n",
        project.canonicalize().unwrap().display()
    );
    assert!(said.contains(&top), "{said}");
    assert!(
        said.contains("error: clang failed (exit status: 1)"),
        "{said}"
    );
    assert!(!dir.path().join("out.wasm").exists());
    let defined = whole.replace("return true;", "return DEFINED;");
    let (ok, said) = says(&defined, &["--", "-DDEFINED=true"]).await;
    assert!(ok, "{said}");
    fs::write(
        project.join("wit/world.wit"),
        "package local:plugin;\nworld other {}\n",
    )
    .unwrap();
    let (ok, said) = says(&whole, &[]).await;
    let refusal = "no bindings can be made of the world `plugin` in ";
    assert!(!ok && said.contains(refusal), "{said}");
}

/// Shown while it works, not only at its end.
#[tokio::test]
async fn what_clang_says_is_shown_when_it_says_it() {
    let dir = TempDir::new().unwrap();
    let (ok, said) = plugin(dir.path(), &["new", "c", "--lang", "c"]).await;
    assert!(ok, "{said}");
    let clang = dir.path().join("sdk/bin/clang");
    fs::create_dir_all(clang.parent().unwrap()).unwrap();
    let seen = dir.path().join("seen");
    // Ends with 3 when somebody has read its first line by then.
    let script = format!(
        "#!/bin/sh\necho 'a warning' >&2\nfor i in $(seq 200); do\n[ -e '{}' ] && exit 3\nsleep 0.1\ndone\nexit 4\n",
        seen.display()
    );
    fs::write(&clang, script).unwrap();
    fs::set_permissions(&clang, fs::Permissions::from_mode(0o755)).unwrap();
    let mut build = command(&["plugin", "build", "c", "-o", "out.wasm"])
        .current_dir(dir.path())
        .env("WASI_SDK_PATH", dir.path().join("sdk"))
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(build.stderr.take().unwrap()).lines();
    let mut said = Vec::new();
    let all = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            if line == "a warning" {
                fs::write(&seen, "").unwrap();
            }
            said.push(line);
        }
    };
    tokio::time::timeout(LIMIT, all).await.expect("it ends");
    assert!(said[0].contains("clang: compiling 3 files of "), "{said:?}");
    assert_eq!(said[1], "a warning", "{said:?}");
    assert!(
        said[2].contains("clang failed (exit status: 3)"),
        "{said:?}"
    );
}

#[tokio::test]
async fn a_tool_that_is_not_there_is_named_with_what_installs_it() {
    let dir = TempDir::new().unwrap();
    for (language, mend) in [
        ("js", "componentize-js is not in "),
        ("python", "componentize-py is not in "),
        ("c", "no clang in the PATH: apt-get install clang "),
    ] {
        let (ok, said) = plugin(dir.path(), &["new", language, "--lang", language]).await;
        assert!(ok, "{said}");
        let run = command(&["plugin", "build", language, "-o", "out.wasm"])
            .current_dir(dir.path())
            .env("PATH", "/nowhere")
            .env_remove("WASI_SDK_PATH")
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
    let sdk = dir.path().join("sdk/bin");
    fs::create_dir_all(&sdk).unwrap();
    let built = async || {
        let run = command(&["plugin", "build", "c", "-o", "out.wasm"])
            .current_dir(dir.path())
            .env("WASI_SDK_PATH", dir.path().join("sdk"))
            .output();
        String::from_utf8_lossy(&run.await.unwrap().stderr).into_owned()
    };
    let said = built().await;
    let wrong = "/sdk, which has no bin/clang: unset WASI_SDK_PATH, or name the SDK's folder (";
    assert!(said.contains(wrong), "{said}");
    let clang = sdk.join("clang");
    fs::write(&clang, "#!/bin/sh\necho 'said by the SDK' >&2; exit 3\n").unwrap();
    fs::set_permissions(&clang, fs::Permissions::from_mode(0o755)).unwrap();
    let said = built().await;
    for part in ["sdk/bin/clang: compiling 3 files of ", "said by the SDK"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    fs::create_dir(dir.path().join("empty")).unwrap();
    let (ok, said) = plugin(dir.path(), &["build", "empty", "-o", "out.wasm"]).await;
    assert!(!ok && said.contains("is not a cargo project"), "{said}");
}

#[tokio::test]
async fn options_that_no_tool_would_see_are_refused() {
    let dir = TempDir::new().unwrap();
    for (language, tool) in [("js", "componentize-js"), ("python", "componentize-py")] {
        let (ok, said) = plugin(dir.path(), &["new", language, "--lang", language]).await;
        assert!(ok, "{said}");
        let build = ["build", language, "-o", "out.wasm", "--", "-p", "x"];
        let (ok, said) = plugin(dir.path(), &build).await;
        let refusal = format!("error: {tool} is given no options, found `-p x`: those behind `--`");
        assert!(!ok && said.contains(&refusal), "{said}");
    }
}

/// A file's name is never an option of clang's.
#[tokio::test]
async fn sources_with_odd_names_are_compiled() {
    let dir = TempDir::new().unwrap();
    let project = built(dir.path(), "router", "c").await;
    let source = fs::read_to_string(project.join("plugin.c")).unwrap();
    let calls = source.replace("return true;", "return minus() && at();");
    let whole = format!("#include <stdbool.h>\nbool minus(void);\nbool at(void);\n{calls}");
    fs::write(project.join("plugin.c"), whole).unwrap();
    for (file, function) in [("-x.c", "minus"), ("@x.c", "at")] {
        let text = format!("#include <stdbool.h>\nbool {function}(void) {{ return true; }}\n");
        fs::write(project.join(file), text).unwrap();
    }
    let (ok, said) = plugin(dir.path(), &["build", "router", "-o", "out.wasm"]).await;
    assert!(
        ok && said.contains("clang: compiling 5 files of "),
        "{said}"
    );
}
