//! The examples work as they are written: the commands of each README print what it says, on a copy
//! of its folder and on free ports.

use std::{
    fs,
    net::TcpListener,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use witgate_tests::{TempDir, readme, wasm};

/// Where the examples listen, on the loopback.
const PORTS: [&str; 7] = ["8443", "8080", "9901", "9001", "9002", "9003", "9004"];

/// What the examples share.
const SHARED: [&str; 3] = ["curlrc", "start.sh", "stop.sh"];

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
