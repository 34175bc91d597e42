//! The examples work as they are written: the commands of each README print what it says, on a copy
//! of its folder and on free ports.

use std::{
    fs,
    net::TcpListener,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Child, Command},
};

use witgate_tests::{TempDir, readme, wasm};

/// Where the examples listen, on the loopback.
const PORTS: [&str; 7] = ["8443", "8080", "9901", "9001", "9002", "9003", "9004"];

/// What the examples share.
const SHARED: [&str; 5] = ["curlrc", "is-ours.sh", "start.sh", "stop.sh", "wait.sh"];

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .canonicalize()
        .unwrap()
}

/// A folder like the repository's top, as far as an example looks: what it shares with the others,
/// itself, and what is built.
struct Example {
    name: &'static str,
    dir: TempDir,
}

impl Example {
    fn copy(name: &'static str) -> Self {
        let example = Self {
            name,
            dir: TempDir::new().unwrap(),
        };
        let examples = example.dir.path().join("examples");
        let original = repository().join("examples");
        fs::create_dir(&examples).unwrap();
        let built = wasm::references().with_file_name("");
        symlink(built, example.dir.path().join("target")).unwrap();
        let free = free_ports();
        let sdk = repository().join("plugin-sdk");
        let moved = |text: String| {
            let text = text.replace("../../../plugin-sdk", sdk.to_str().unwrap());
            free.iter().fold(text, |text, (port, free)| {
                text.replace(&format!("127.0.0.1:{port}"), &format!("127.0.0.1:{free}"))
            })
        };
        for file in SHARED.into_iter().chain([name]) {
            copy_all(&original.join(file), &examples.join(file), &moved);
        }
        example
    }

    fn folder(&self) -> PathBuf {
        self.dir.path().join("examples").join(self.name)
    }
}

/// Tells what the servers said when something went wrong.
impl Drop for Example {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        let logs = fs::read_dir(self.folder().join("run"));
        for log in logs.into_iter().flatten().flatten() {
            let text = fs::read_to_string(log.path()).unwrap_or_default();
            eprintln!("{}:\n{text}", log.path().display());
        }
    }
}

/// Copies a file or folder, texts as `moved` makes them; what the commands themselves make is left.
fn copy_all(from: &Path, to: &Path, moved: &impl Fn(String) -> String) {
    if !from.is_dir() {
        fs::copy(from, to).unwrap();
        let text = fs::read_to_string(from).unwrap();
        return fs::write(to, moved(text)).unwrap();
    }
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let is_made = ["certs", "run", "target", "__pycache__"].contains(&name.as_str());
        if !is_made && !name.ends_with(".wasm") {
            copy_all(&from.join(&name), &to.join(&name), moved);
        }
    }
}

fn free_ports() -> Vec<(&'static str, String)> {
    // All at a time, so that none is given twice.
    let sockets = PORTS.map(|port| (port, TcpListener::bind("127.0.0.1:0").unwrap()));
    let number = |socket: &TcpListener| socket.local_addr().unwrap().port().to_string();
    sockets
        .iter()
        .map(|(port, socket)| (*port, number(socket)))
        .collect()
}

/// Does what the README of an example says.
async fn works(name: &'static str) {
    let example = Example::copy(name);
    let page = fs::read_to_string(example.folder().join("README.md")).unwrap();
    // What plugins are made of is compiled once for all tests.
    let target = wasm::references().with_file_name("new-plugins");
    let variables = [("CARGO_TARGET_DIR", target.as_path())];
    readme::run_and_compare(&page, example.dir.path(), &variables).await;
}

#[tokio::test]
async fn the_commands_of_multi_site_work() {
    works("multi-site").await;
}

#[tokio::test]
async fn the_commands_of_affinity_work() {
    works("affinity").await;
}

#[tokio::test]
async fn the_commands_of_headers_and_redirects_work() {
    works("headers-and-redirects").await;
}

#[tokio::test]
async fn the_commands_of_canary_by_header_work() {
    works("canary-by-header").await;
}

#[tokio::test]
async fn the_commands_of_maintenance_page_work() {
    works("maintenance-page").await;
}

#[tokio::test]
async fn the_commands_of_grpc_work() {
    works("grpc").await;
}

#[tokio::test]
async fn the_commands_of_websocket_chat_work() {
    works("websocket-chat").await;
}

/// Examples whose commands another file's test runs, and what of it shows that.
const RUN_ELSEWHERE: [(&str, &str, &str); 2] = [
    (
        "azure-migration",
        include_str!("import_azure.rs"),
        "readme::run(&page, &folder",
    ),
    (
        "plugin-c",
        include_str!("other_languages.rs"),
        "readme::copy(\"examples/plugin-c\"",
    ),
];

/// Examples whose commands are not run as they stand, and why.
const NOT_RUN: [(&str, &str); 4] = [
    ("quickstart", "walked through by `cargo xtask demo --check`"),
    ("plugin-javascript", "built by `cargo xtask languages`"),
    ("plugin-python", "built by `cargo xtask languages`"),
    ("systemd", "needs root"),
];

#[test]
fn the_commands_of_each_example_are_run_or_there_is_a_reason() {
    let mut pages = 0;
    for entry in fs::read_dir(repository().join("examples")).unwrap() {
        let entry = entry.unwrap();
        let Ok(page) = fs::read_to_string(entry.path().join("README.md")) else {
            continue;
        };
        if readme::blocks(&page, "sh").is_empty() {
            continue;
        }
        let name = entry.file_name().into_string().unwrap();
        let is_run_here = include_str!("examples.rs").contains(&format!("works(\"{name}\").await"));
        let is_run_elsewhere = RUN_ELSEWHERE
            .iter()
            .any(|(one, tests, shown)| *one == name && tests.contains(shown));
        let has_reason = NOT_RUN.iter().any(|(one, _)| *one == name);
        let ways = [is_run_here, is_run_elsewhere, has_reason];
        let count = ways.into_iter().filter(|way| *way).count();
        assert_eq!(
            count, 1,
            "{name}: run here, run elsewhere, reason: {ways:?}"
        );
        pages += 1;
    }
    assert!(pages >= 13, "{pages}");
}

/// A folder `examples/one` with the shared scripts above it, and `run/` in it.
fn scripts() -> Example {
    let example = Example {
        name: "one",
        dir: TempDir::new().unwrap(),
    };
    fs::create_dir_all(example.folder().join("run")).unwrap();
    for file in SHARED {
        let from = repository().join("examples").join(file);
        fs::copy(from, example.folder().join("..").join(file)).unwrap();
    }
    example
}

/// Runs one of the scripts there: success and stderr.
fn script(example: &Example, arguments: &[&str]) -> (bool, String) {
    let mut shell = Command::new("sh");
    let shell = shell.args(arguments).current_dir(example.folder());
    let done = shell.env("WAIT_SECONDS", "1").output().unwrap();
    let said = String::from_utf8(done.stderr).unwrap();
    (done.status.success(), said)
}

/// A process that does nothing, in this folder.
fn sleeper(folder: &Path) -> Child {
    let mut sleep = Command::new("sleep");
    sleep.arg("60").current_dir(folder).spawn().unwrap()
}

#[test]
fn waiting_in_an_example_has_an_end() {
    let example = scripts();
    let run = example.folder().join("run");
    fs::write(run.join("server.log"), "no such certificate\n").unwrap();
    let mut server = sleeper(&example.folder());
    fs::write(run.join("server.pid"), server.id().to_string()).unwrap();
    assert!(script(&example, &["../wait.sh", "server", "true"]).0);
    // It runs, and what is awaited does not come.
    let (ok, said) = script(&example, &["../wait.sh", "server", "false"]);
    assert!(
        !ok && said.contains("not as awaited after 1 s: false"),
        "{said}"
    );
    assert!(said.contains("no such certificate"), "{said}");
    // It has ended.
    server.kill().unwrap();
    server.wait().unwrap();
    let (ok, said) = script(&example, &["../wait.sh", "server", "false"]);
    assert!(!ok && said.contains("server has ended"), "{said}");
    assert!(said.contains("no such certificate"), "{said}");
}

#[test]
fn stop_ends_what_is_of_its_folder_and_nothing_else() {
    let example = scripts();
    let run = example.folder().join("run");
    let mut ours = sleeper(&example.folder());
    let mut stranger = sleeper(example.dir.path());
    for (name, process) in [("ours", &ours), ("left-over", &stranger)] {
        fs::write(run.join(format!("{name}.pid")), process.id().to_string()).unwrap();
    }
    let (ok, said) = script(&example, &["../stop.sh"]);
    let lives = stranger.try_wait().unwrap().is_none();
    stranger.kill().unwrap();
    stranger.wait().unwrap();
    assert!(ok && lives, "{said}");
    assert!(!ours.wait().unwrap().success());
    assert_eq!(fs::read_dir(run).unwrap().count(), 0);
}

#[test]
fn each_example_is_in_the_index() {
    let folder = repository().join("examples");
    let index = fs::read_to_string(folder.join("README.md")).unwrap();
    let entries = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap());
    let mut examples = 0;
    for entry in entries.filter(|entry| entry.path().is_dir()) {
        let name = entry.file_name().into_string().unwrap();
        let row = format!("| [{name}]({name}/README.md) |");
        assert!(index.contains(&row), "{row}");
        examples += 1;
    }
    assert!(examples >= 12, "{examples}");
}
