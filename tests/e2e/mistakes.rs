//! The mistakes that authors make, one by one: each is made, and the message that
//! docs/troubleshooting.md promises is found.

use std::{fs, path::Path};

use witgate_tests::{
    Http, TempDir,
    gateway::{Pool, Setup, command, output},
    upstream::Upstream,
    wasm::{self, guest},
};

const PAGE: &str = include_str!("../../docs/troubleshooting.md");

/// Mistake and message of each row of the page's first table.
fn rows() -> Vec<(String, String)> {
    let table = PAGE.split("## Mistakes with plugins").nth(1).unwrap();
    let table = table.split("\n## ").next().unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| "));
    let cells = rows.map(|line| line.split(" | ").collect::<Vec<_>>());
    cells
        .skip(2)
        .map(|cells| {
            let mistake = cells[0].trim_start_matches("| ").to_owned();
            (mistake, plain(cells[2]).to_owned())
        })
        .collect()
}

/// Code without its backticks.
fn plain(code: &str) -> &str {
    match code.strip_prefix("``") {
        Some(rest) => rest.strip_suffix("``").unwrap_or(rest).trim_end(),
        None => code.trim_matches('`'),
    }
}

/// A folder to make mistakes in.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn put(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let file = self.0.path().join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, bytes).unwrap();
    }

    /// What `witgate` says, run here.
    async fn says(&self, arguments: &[&str]) -> String {
        self.says_with(arguments, None).await
    }

    /// The same with this PATH, if one is given.
    async fn says_with(&self, arguments: &[&str], path: Option<&str>) -> String {
        let target = wasm::references().with_file_name("new-plugins");
        let mut command = command(arguments);
        command
            .current_dir(self.0.path())
            .env("CARGO_TARGET_DIR", target);
        if let Some(path) = path {
            command.env("PATH", path).env_remove("WASI_SDK_PATH");
        }
        let output = command.output().await.unwrap();
        let text = [output.stdout, output.stderr].concat();
        String::from_utf8_lossy(&text).into_owned()
    }

    /// What is said when a new project is built, in a file of which something was replaced.
    async fn edited(&self, file: &str, from: &str, to: &str) -> String {
        self.says(&["plugin", "new", "mine"]).await;
        let file = format!("mine/{file}");
        let text = fs::read_to_string(self.0.path().join(&file)).unwrap();
        assert!(text.contains(from), "{text}");
        self.put(&file, text.replace(from, to));
        self.says(&["plugin", "build", "mine", "-o", "out.wasm"])
            .await
    }

    async fn check(&self, bytes: impl AsRef<[u8]>) -> String {
        self.put("a.wasm", bytes);
        self.says(&["plugin", "check", "a.wasm"]).await
    }

    /// What a call of a plugin says about a path.
    async fn call(&self, bytes: impl AsRef<[u8]>, path: &str) -> String {
        self.put("10-a.wasm", bytes);
        let request = format!("GET https://shop.example{path}");
        self.says(&["plugin", "call", "10-a.wasm", "-r", &request])
            .await
    }

    /// What path-router says with this sidecar and these cases.
    async fn router(&self, sidecar: &str, cases: &str) -> String {
        self.put("20-r.wasm", wasm::reference("path-router"));
        self.put("20-r.toml", sidecar);
        match cases {
            "" => self.says(&["plugin", "call", "20-r.wasm"]).await,
            cases => {
                self.put("20-r.cases.toml", cases);
                self.says(&["plugin", "test", "20-r.wasm"]).await
            }
        }
    }
}

/// What the gateway's log says when requests for a bad path go through this plugin.
async fn logged(wasm: &[u8]) -> String {
    let upstream = Upstream::pinned("web").await;
    let setup = Setup::new().default_pool("web", Pool::pinned(&[&upstream]));
    let gateway = setup.plugin("10-a", wasm).start().await;
    let client = gateway.client(Http::One);
    let answer = client.get("https://shop.example/bad").await;
    assert_eq!(answer.cause(), "plugin-decision-refused");
    gateway.logged(&["plugin-decision-refused"]).await
}

/// A cargo project that makes no plugin.
const NO_CDYLIB: &str =
    "[package]\nname = \"none\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[workspace]\n";

/// Makes a mistake and returns what is said about it.
async fn made(mistake: &str) -> String {
    let place = Place::new();
    let rules = "[config]\nrules = []\n";
    match mistake {
        "built for this machine, not for Wasm" => {
            place
                .check(fs::read(std::env::current_exe().unwrap()).unwrap())
                .await
        }
        "another file under the name of a plugin" => place.check("<!doctype html>").await,
        "a file that was cut while it was copied" => {
            let whole = guest("panics");
            place.check(&whole[..whole.len() / 2]).await
        }
        "a core module without a component type" => place.check(b"\0asm\x01\0\0\0").await,
        "no `export!`" => {
            place
                .edited("src/lib.rs", "witgate_sdk::export!(Router: Routing);", "")
                .await
        }
        "a crate that is made for browsers" => place.check(wasm::for_browsers()).await,
        "an import that no gateway has" => place.check(wasm::unknown_import()).await,
        "built against an SDK of another version" => place.check(wasm::another_version()).await,
        "a component that is something else" => place.check(wasm::wrong_world()).await,
        "no `crate-type`" => {
            place.put("none/Cargo.toml", NO_CDYLIB);
            place.put("none/src/lib.rs", "");
            place
                .says(&["plugin", "build", "none", "-o", "out.wasm"])
                .await
        }
        "the wrong folder" => {
            place.put("empty/README.md", "");
            place
                .says(&["plugin", "build", "empty", "-o", "out.wasm"])
                .await
        }
        "componentize-js or -py not installed" => {
            place.says(&["plugin", "new", "mine", "--lang", "js"]).await;
            place
                .says(&["plugin", "build", "mine", "-o", "out.wasm"])
                .await
        }
        "clang not installed" => {
            place.says(&["plugin", "new", "mine", "--lang", "c"]).await;
            let build = ["plugin", "build", "mine", "-o", "out.wasm"];
            place.says_with(&build, Some("/nowhere")).await
        }
        "clang without a C library" => {
            place.says(&["plugin", "new", "mine", "--lang", "c"]).await;
            let build = ["plugin", "build", "mine", "-o", "out.wasm"];
            // Has it look for headers where its own are, and nowhere else.
            let said = place
                .says(&[&build[..], &["--", "-nostdlibinc"]].concat())
                .await;
            assert!(said.contains("file not found"), "{said}");
            said
        }
        "a grant that is missing" => place.call(guest("uses-everything"), "/").await,
        "a key of `[config]` that is misspelt" => {
            place
                .router("[config]\nrules = [{ path = \"/\" }]\n", "")
                .await
        }
        "a configuration that the plugin refuses" => {
            place.call(guest("refuses-configuration"), "/").await
        }
        "a key of the sidecar that is misspelt" => place.router("deadlin = \"1s\"\n", "").await,
        "a case that is decided otherwise" => {
            let case = "[[cases]]\nrequest = \"https://a/\"\nroute = { forward = \"web\" }\n";
            place.router(rules, case).await
        }
        "a key of a case that is misspelt" => {
            let case = "[[cases]]\nrequest = \"https://a/\"\nroutes = \"pass\"\n";
            place.router(rules, case).await
        }
        "a panic" => place.call(guest("panics"), "/bad").await,
        "a loop without end" => place.call(guest("loops-in-route"), "/bad").await,
        "recursion without end" => place.call(guest("recurses"), "/bad").await,
        "a huge allocation" => {
            place.put("10-a.toml", "deadline = \"10s\"\n");
            place.call(guest("eats-memory"), "/bad").await
        }
        "`std::time`" => {
            place
                .call(guest("uses-the-standard-library"), "/time")
                .await
        }
        "`std::fs`" => {
            place
                .call(guest("uses-the-standard-library"), "/file")
                .await
        }
        "`rand`, or another crate that needs `getrandom`" => {
            let dependencies = "[dependencies]\ngetrandom = \"0.4\"";
            place
                .edited("Cargo.toml", "[dependencies]", dependencies)
                .await
        }
        "`std::thread`" => {
            place
                .call(guest("uses-the-standard-library"), "/thread")
                .await
        }
        "`println!`" => clippy(&place).await,
        "a pool that is not declared" => logged(&guest("names-undeclared-pool")).await,
        "a field that is the gateway's own" => logged(&guest("edits-content-length")).await,
        "an affinity plugin that is not in the folder" => {
            let pool = "endpoints = [\"10.0.0.4:443\"]\ntrust.public = true\naffinity = \"sticky\"";
            let setup = Setup::new().default_pool("web", Pool::of(pool));
            setup.write();
            let said = output(&["check", "--config", &setup.file().display().to_string()]).await;
            String::from_utf8_lossy(&said.stderr).into_owned()
        }
        "two files for one plugin" => {
            let pool = Pool::of("endpoints = [\"10.0.0.4:443\"]\ntrust.public = true");
            let setup = Setup::new().default_pool("web", pool);
            let setup = setup.plugin("10-a", &wasm::answering("1"));
            let setup = setup.plugin("20-a", &wasm::answering("2"));
            setup.write();
            let said = output(&["check", "--config", &setup.file().display().to_string()]).await;
            String::from_utf8_lossy(&said.stderr).into_owned()
        }
        other => panic!("no test makes the mistake {other:?}"),
    }
}

/// What clippy says of a new project that prints.
async fn clippy(place: &Place) -> String {
    place.says(&["plugin", "new", "prints"]).await;
    let project = place.0.path().join("prints");
    let source = project.join("src/lib.rs");
    let text = fs::read_to_string(&source).unwrap();
    let printing = text.replace(
        "if request.path()",
        "println!(\"here\");\n        if request.path()",
    );
    assert_ne!(text, printing);
    fs::write(source, printing).unwrap();
    let target = wasm::references().with_file_name("new-plugins");
    let mut cargo = tokio::process::Command::new("cargo");
    for (name, _) in std::env::vars() {
        if name.starts_with("CARGO_") && name != "CARGO_HOME" {
            cargo.env_remove(name);
        }
    }
    let output = cargo
        .args(["clippy", "--quiet"])
        .current_dir(&project as &Path)
        .env("CARGO_TARGET_DIR", target)
        .output()
        .await
        .unwrap();
    assert!(!output.status.success());
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test]
async fn each_mistake_is_told_with_what_mends_it() {
    let rows = rows();
    assert!(rows.len() >= 20, "{rows:?}");
    let mut wrong = Vec::new();
    for (mistake, message) in rows {
        let said = made(&mistake).await;
        if !said.contains(&message) {
            wrong.push(format!("{mistake}\n  expected: {message}\n  said: {said}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
