//! `witgate plugin dev`: what is saved is live when its cases hold, and nothing changes when not.

use std::{fs, path::PathBuf, process::Stdio, time::Duration};

use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, ChildStdout, Command},
};
use witgate_tests::{
    Http, TempDir, eventually,
    gateway::{Gateway, Pool, Setup, command, output},
    upstream::Upstream,
    wasm,
};

/// A cold build of a plugin on a loaded machine.
const BUILT: Duration = Duration::from_secs(240);
const CASES: &str = r#"
[[cases]]
request = "https://shop.example/hello"
route = { respond = 200 }
"#;

struct Development {
    dir: TempDir,
    process: Child,
    lines: tokio::io::Lines<BufReader<ChildStdout>>,
}

impl Development {
    /// A new project, with cases, that is watched.
    async fn start(gateway: &Gateway) -> Self {
        let dir = TempDir::new().unwrap();
        let made = command(&["plugin", "new", "watched"])
            .current_dir(dir.path())
            .output()
            .await
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        fs::write(dir.path().join("watched/watched.cases.toml"), CASES).unwrap();
        let into = gateway.setup().plugins();
        let target = wasm::references().with_file_name("new-plugins");
        let mut process = command(&["plugin", "dev", "watched", "--into", into.to_str().unwrap()])
            .current_dir(dir.path())
            .env("CARGO_TARGET_DIR", target)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        Self {
            dir,
            process,
            lines,
        }
    }

    fn source(&self) -> PathBuf {
        self.dir.path().join("watched/src/lib.rs")
    }

    fn edit(&self, old: &str, new: &str) {
        let text = fs::read_to_string(self.source()).unwrap();
        assert!(text.contains(old), "{text}");
        fs::write(self.source(), text.replace(old, new)).unwrap();
    }

    /// Waits until it has printed this.
    async fn says(&mut self, part: &str) {
        let found = async {
            while let Some(line) = self.lines.next_line().await.unwrap() {
                println!("{line}");
                if line.contains(part) {
                    return;
                }
            }
            panic!("it has ended without {part:?}");
        };
        let in_time = tokio::time::timeout(BUILT, found).await;
        in_time.unwrap_or_else(|_| panic!("it does not say {part:?}"));
    }
}

async fn hello(gateway: &Gateway) -> String {
    let client = gateway.client(Http::Two);
    let answer = client.get("https://shop.example/hello").await;
    answer.text().to_owned()
}

#[tokio::test]
async fn what_is_saved_is_live_when_its_cases_hold() {
    let upstream = Upstream::pinned("web").await;
    let gateway = Setup::new()
        .default_pool("web", Pool::pinned(&[&upstream]))
        .start()
        .await;
    let mut dev = Development::start(&gateway).await;
    dev.says("copied to").await;
    eventually!(
        "the plugin",
        (hello(&gateway).await == "Hello from a plugin!\n").then_some(())
    );

    // A decision that the cases do not expect, and then what does not compile.
    dev.edit("Route::respond(200)\n", "Route::respond(201)\n");
    dev.says("decided:  respond 201").await;
    dev.says("not copied").await;
    dev.edit("Route::respond(201)\n", "Route::respond(200\n");
    dev.says("not copied").await;
    assert_eq!(hello(&gateway).await, "Hello from a plugin!\n");

    dev.edit("Route::respond(200\n", "Route::respond(200)\n");
    dev.says("copied to").await;
    let sidecar = dev.dir.path().join("watched/watched.toml");
    let text = fs::read_to_string(&sidecar).unwrap();
    fs::write(&sidecar, text.replace("Hello from", "Saved by")).unwrap();
    dev.says("copied to").await;
    eventually!(
        "the sidecar",
        (hello(&gateway).await == "Saved by a plugin!\n").then_some(())
    );

    let id = dev.process.id().unwrap().to_string();
    let sent = Command::new("kill").args(["-INT", &id]).status().await;
    assert!(sent.unwrap().success());
    dev.says("ended").await;
    let ended = tokio::time::timeout(Duration::from_secs(10), dev.process.wait()).await;
    assert!(ended.expect("it ends").unwrap().success());
    assert_eq!(hello(&gateway).await, "Saved by a plugin!\n");
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_refused() {
    let dir = TempDir::new().unwrap();
    let missing = dir.path().join("plugins");
    let arguments = ["plugin", "dev", ".", "--into", missing.to_str().unwrap()];
    let refused = output(&arguments).await;
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success());
    assert!(
        said.contains("expected the plugin folder of a gateway"),
        "{said}"
    );
}
