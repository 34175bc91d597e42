//! The examples work as they are written: the commands of each README print what it says, on a copy
//! of its folder and on free ports.

use std::{
    fs,
    net::TcpListener,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Child, Command},
};

use witgate_tests::{
    Http, TempDir,
    client::Client,
    eventually,
    gateway::{Pool, Setup, binary},
    readme,
    upstream::Upstream,
    wait, wasm,
};

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
const RUN_ELSEWHERE: [(&str, &str, &str); 5] = [
    (
        "azure-migration",
        include_str!("import_azure.rs"),
        "readme::run(&page, &folder",
    ),
    (
        "plugin-c",
        include_str!("other_languages.rs"),
        "commands_work(\"c\").await",
    ),
    (
        "plugin-javascript",
        include_str!("other_languages.rs"),
        "commands_work(\"javascript\").await",
    ),
    (
        "plugin-python",
        include_str!("other_languages.rs"),
        "commands_work(\"python\").await",
    ),
    (
        "quickstart",
        include_str!("../../xtask/src/demo/pages.rs"),
        "\"examples/quickstart/README.md\"",
    ),
];

/// Examples whose commands are not run as they stand, and why.
const NOT_RUN: [(&str, &str); 1] = [(
    "systemd",
    "needs root and a running systemd: `systemd_takes_the_units_as_they_are`",
)];

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

/// What runs without root and without a systemd that runs: the README's commands in a folder that
/// stands for `/`, systemd's own look at the units there, and what the service executes.
#[tokio::test]
async fn systemd_takes_the_units_as_they_are() {
    let root = TempDir::new().unwrap();
    let root = root.path().to_str().unwrap();
    let units = Path::new("/lib/systemd/system").canonicalize().unwrap();
    for folder in ["lib/systemd", "usr/local/bin", "bin", "etc/systemd/system"] {
        fs::create_dir_all(format!("{root}/{folder}")).unwrap();
    }
    symlink(units, format!("{root}/lib/systemd/system")).unwrap();
    // Only looked at there, by a systemd that follows no link out of the folder.
    for program in ["bin/kill", "usr/local/bin/witgate"] {
        fs::copy("/bin/kill", format!("{root}/{program}")).unwrap();
    }
    let upstream = Upstream::pinned("web-1").await;
    let setup = Setup::new().default_pool("web", Pool::pinned(&[&upstream]));
    setup.write();
    let folder = repository().join("examples/systemd");
    let page = fs::read_to_string(folder.join("README.md")).unwrap();
    let unit = fs::read_to_string(folder.join("witgate.service")).unwrap();

    let commands = readme::blocks(&page, "sh").remove(0);
    let (first, rest) = commands.split_once('\n').unwrap();
    let user = first.rsplit(' ').next().unwrap();
    assert!(first.starts_with("useradd --system "), "{first}");
    assert!(unit.contains(&format!("\nUser={user}\nGroup={user}\n")));
    let rest = rest
        .replace(" -g witgate ", " ")
        .replace(" witgate.toml ", &format!(" {} ", setup.file().display()))
        .replace(" /etc/", &format!(" {root}/etc/"))
        .replace("systemctl daemon-reload\n", "")
        .replace(
            "systemctl enable --now ",
            &format!("systemctl --root={root} enable "),
        );
    let verify =
        format!("systemd-analyze verify --man=no --root={root} witgate.service witgate.socket");
    // What the configuration names stands beside it.
    let beside = format!(
        "mkdir {root}/etc/witgate\ncp -R {}/. {root}/etc/witgate",
        setup.dir().display()
    );
    let script = format!("{beside}\n{rest}\n{verify}");
    let mut shell = Command::new("sh");
    let done = shell.args(["-euxc", &script]).current_dir(repository());
    let done = done.output().unwrap();
    let said = String::from_utf8(done.stderr).unwrap();
    assert!(done.status.success(), "{said}");
    // What it does not know it only mentions.
    let (_, verified) = said.rsplit_once(&format!("+ {verify}\n")).unwrap();
    assert_eq!(verified, "", "{said}");
    for wanted in [
        "multi-user.target.wants/witgate.service",
        "sockets.target.wants/witgate.socket",
    ] {
        let link = format!("{root}/etc/systemd/system/{wanted}");
        assert!(fs::symlink_metadata(link).is_ok(), "{wanted}");
    }

    let executed = |key: &str| {
        let line = unit.lines().find_map(|line| line.strip_prefix(key));
        let line = line.unwrap().replace(" /etc/", &format!(" {root}/etc/"));
        let rest = line.strip_prefix("/usr/local/bin/witgate ").unwrap();
        let program = binary().display().to_string();
        let words = [program].into_iter();
        words
            .chain(rest.split(' ').map(str::to_owned))
            .collect::<Vec<_>>()
    };
    let check = executed("ExecStartPre=");
    let done = Command::new(&check[0]).args(&check[1..]).output().unwrap();
    let said = String::from_utf8(done.stderr).unwrap();
    assert!(done.status.success(), "{said}");
    serves_when_activated(&setup, &executed("ExecStart=")).await;
}

/// Starts a command as the socket unit does, and asks it for something.
async fn serves_when_activated(setup: &Setup, command: &[String]) {
    let address = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let mut activated = tokio::process::Command::new("systemd-socket-activate")
        .args(["--listen", &address.to_string(), "--fdname", "public"])
        .args(command)
        .stdout(std::process::Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let certificate = setup.authority().certificate();
    let client = Client::new(address, "shop.example", certificate, Http::Two);
    let url = "https://shop.example/";
    let answer = eventually!("an answer", client.try_get(url).await.ok());
    assert_eq!(answer.status, 200);
    let id = activated.id().unwrap().to_string();
    assert!(Command::new("kill").arg(id).status().unwrap().success());
    let ended = tokio::time::timeout(wait::DEADLINE, activated.wait());
    assert!(ended.await.unwrap().unwrap().success());
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
