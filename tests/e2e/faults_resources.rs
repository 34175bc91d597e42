//! What the machine lacks: memory, disk and readers for logs, processor, threads, a writable
//! `/tmp`. Faults 58 to 60.

use std::{
    fs::{self, File},
    os::unix::fs::PermissionsExt as _,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use witgate_tests::{
    Http, eventually,
    gateway::{self, Gateway, Pool, Setup},
    raw_h2::{END_HEADERS, END_STREAM, RawH2, block, frame, get, kind, request},
    upstream::Upstream,
    wasm,
};

const URL: &str = "https://shop.example/cart";
const LOST: &str = "witgate_access_log_lost_lines_total";

/// All memory that the gateway may have in these tests: that of a small container.
const CONTAINER: u64 = 256 << 20;

async fn setup() -> (Upstream, Setup) {
    let upstream = Upstream::pinned("web-1").await;
    let setup = Setup::new().default_pool("web", Pool::pinned(&[&upstream]));
    (upstream, setup)
}

async fn serves(gateway: &Gateway) {
    for http in [Http::One, Http::Two] {
        assert_eq!(gateway.client(http).get(URL).await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_58_floods_at_once_stay_within_a_small_containers_memory() {
    let (_upstream, setup) = setup().await;
    let gateway = setup
        .plugin("10-memory", &wasm::guest("eats-memory"))
        .start()
        .await;
    let mut bomb = block(&request("GET", "/"));
    bomb.push(0x40);
    bomb.extend([1, b'x', 127, 0xa1, 0x1e]);
    bomb.extend([b'a'; 4000]);
    bomb.resize(bomb.len() + 12_000, 0x80 | 62);
    let (first, rest) = bomb.split_at(16_000);
    let mut held = Vec::new();
    for number in 0..40 {
        // A header bomb, a head that never ends, answers that nobody reads, calls of a plugin
        // that takes all the memory that it gets.
        let mut socket = RawH2::open(&gateway, &[(4, 0)]).await;
        match number % 4 {
            0 => {
                socket
                    .send(&frame(kind::HEADERS, END_STREAM, 1, first))
                    .await;
                socket
                    .send(&frame(kind::CONTINUATION, END_HEADERS, 1, rest))
                    .await;
            }
            1 => {
                let head = block(&request("GET", "/"));
                socket
                    .send(&frame(kind::HEADERS, END_STREAM, 1, &head))
                    .await;
                let piece = block(&[(b"x", &[b'a'; 4000])]);
                for _ in 0..14 {
                    socket.send(&frame(kind::CONTINUATION, 0, 1, &piece)).await;
                }
            }
            2 => {
                for stream in 0..50 {
                    socket.send(&get(1 + 2 * stream, "/bytes/10000000")).await;
                }
            }
            _ => {
                for stream in 0..10 {
                    socket.send(&get(1 + 2 * stream, "/")).await;
                }
            }
        }
        held.push(socket);
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(gateway.peak() < CONTAINER, "{} MiB", gateway.peak() >> 20);
    drop(held);
    assert_eq!(gateway.admin("/healthz").await.0, 200);
}

#[tokio::test]
async fn fault_59_a_full_disk_costs_counted_lines_and_no_request() {
    let (_upstream, setup) = setup().await;
    let logs = setup.dir().join("logs");
    fs::create_dir(&logs).unwrap();
    // A disk of 64 KiB, which only the gateway has.
    let gateway = setup
        .table("[access_log]\npath = \"logs/access.jsonl\"")
        .prelude(&within_mounts(&format!(
            "mount -t tmpfs -o size=64k tmpfs {}",
            logs.display()
        )))
        .start()
        .await;
    let client = gateway.client(Http::Two);
    let long = format!("https://shop.example/cart?{}", "x".repeat(4000));
    for _ in 0..40 {
        assert_eq!(client.get(&long).await.status, 200);
    }
    eventually!(
        "lost lines",
        (gateway.metric(LOST).await > 0.0).then_some(())
    );
    gateway
        .logged(&["ERROR", "access-log lines are lost"])
        .await;
    // Somebody makes room, and lines are written again, each of its own.
    let inside = format!(
        "/proc/{}/root{}/access.jsonl",
        gateway.process(),
        logs.display()
    );
    File::options()
        .write(true)
        .truncate(true)
        .open(&inside)
        .unwrap();
    client.get(URL).await;
    gateway.logged(&["the access log is written again"]).await;
    let text = fs::read_to_string(&inside).unwrap();
    let last = text.lines().last().unwrap();
    let line: serde_json::Value = serde_json::from_str(last).unwrap();
    assert_eq!(line["path"], "/cart");
}

/// A prelude that runs commands where the gateway alone sees what they mount.
fn within_mounts(commands: &str) -> String {
    format!(
        "exec unshare --user --map-root-user --mount sh -c '{commands} || exit 9; exec \"$0\" \"$@\"' \"$0\" \"$@\""
    )
}

#[tokio::test]
async fn fault_59_lines_to_a_device_without_room_are_counted() {
    let (_upstream, setup) = setup().await;
    let gateway = setup.prelude("exec >/dev/full").start().await;
    serves(&gateway).await;
    gateway.counted(LOST, 2.0).await;
    serves(&gateway).await;
    gateway.counted(LOST, 4.0).await;
    assert_eq!(gateway.stop().await.code(), Some(0));
}

#[tokio::test]
async fn fault_59_a_pipe_that_nobody_reads_costs_counted_lines_and_no_request() {
    let (_upstream, setup) = setup().await;
    let pipe = setup.dir().join("pipe");
    let opened = format!("mkfifo {pipe}; exec 1<>{pipe}", pipe = pipe.display());
    let gateway = setup.workers(1).prelude(&opened).start().await;
    let client = gateway.client(Http::Two);
    // Three lines to a buffer, of which 512 wait.
    let long = format!("https://shop.example/cart?{}", "x".repeat(15_000));
    for _ in 0..2000 {
        assert_eq!(client.get(&long).await.status, 200);
    }
    eventually!(
        "lost lines",
        (gateway.metric(LOST).await > 0.0).then_some(())
    );
    let begin = Instant::now();
    assert_eq!(gateway.stop().await.code(), Some(0));
    assert!(begin.elapsed() < Duration::from_secs(15));
}

#[tokio::test]
async fn fault_59_a_pipe_whose_reader_has_gone_costs_counted_lines_and_no_request() {
    let (_upstream, setup) = setup().await;
    let pipe = setup.dir().join("pipe");
    let closed = format!(
        "mkfifo {pipe}; cat {pipe} >/dev/null & exec >{pipe}; kill $!",
        pipe = pipe.display()
    );
    let gateway = setup.prelude(&closed).start().await;
    eventually!("lost lines", {
        serves(&gateway).await;
        (gateway.metric(LOST).await > 0.0).then_some(())
    });
    assert_eq!(gateway.stop().await.code(), Some(0));
}

#[tokio::test]
async fn fault_59_closed_outputs_are_nothing() {
    let (_upstream, setup) = setup().await;
    let gateway = setup.prelude("exec <&- >&-").start().await;
    serves(&gateway).await;
    assert_eq!(gateway.stop().await.code(), Some(0));
}

#[tokio::test]
async fn fault_59_a_log_folder_that_has_gone_is_told_and_used_when_it_is_back() {
    let (_upstream, setup) = setup().await;
    let logs = setup.dir().join("logs");
    fs::create_dir(&logs).unwrap();
    let gateway = setup
        .table("[access_log]\npath = \"logs/access.jsonl\"")
        .start()
        .await;
    serves(&gateway).await;
    fs::remove_dir_all(&logs).unwrap();
    serves(&gateway).await;
    gateway.signal("-USR1").await;
    gateway
        .logged(&["ERROR", "the access log cannot be opened again"])
        .await;
    serves(&gateway).await;
    fs::create_dir(&logs).unwrap();
    gateway.signal("-USR1").await;
    gateway.logged(&["access log opened again"]).await;
    serves(&gateway).await;
    let lines = || {
        fs::read_to_string(logs.join("access.jsonl"))
            .unwrap()
            .lines()
            .count()
    };
    eventually!("lines", (lines() >= 2).then_some(()));
}

#[tokio::test]
async fn fault_59_a_full_disk_below_the_log_is_counted_as_well() {
    let (_upstream, setup) = setup().await;
    let free = || {
        std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
    };
    let admin = free();
    let setup = setup.admin(admin);
    setup.write();
    let mut gateway = gateway::command(&["run", "--config"])
        .arg(setup.file())
        .stdout(Stdio::null())
        .stderr(File::options().write(true).open("/dev/full").unwrap())
        .spawn()
        .unwrap();
    let metrics = async || gateway::ask_admin(admin, "/metrics").await.ok();
    let lost = |page: &str| {
        let line = page
            .lines()
            .find(|line| line.starts_with("witgate_log_lost_lines_total "));
        line.is_some_and(|line| !line.ends_with(" 0"))
    };
    let counted = async || {
        metrics()
            .await
            .filter(|(status, page)| *status == 200 && lost(page))
    };
    eventually!("lost lines", counted().await);
    gateway.kill().await.unwrap();
}

/// Processes that take a processor for themselves, until dropped.
struct Busy(Vec<Child>);

impl Busy {
    fn on_processor_0(processes: usize) -> Self {
        let spawn = |_| {
            let mut busy = Command::new("taskset");
            busy.args(["-c", "0", "sh", "-c", "while :; do :; done"])
                .spawn()
                .unwrap()
        };
        Self((0..processes).map(spawn).collect())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        for process in &mut self.0 {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_60_with_a_processor_taken_answers_are_slower_and_right() {
    let (_upstream, setup) = setup().await;
    let gateway = setup
        .plugin("10-version", &wasm::guest("version-a"))
        .start()
        .await;
    let busy = Busy::on_processor_0(3);
    let clients: Vec<_> = [Http::One, Http::Two, Http::One, Http::Two]
        .map(|http| {
            let client = gateway.client(http);
            tokio::spawn(async move {
                for _ in 0..50 {
                    let answer = client.get(URL).await;
                    assert_eq!(
                        (answer.status.as_u16(), answer.header("x-version")),
                        (200, "A")
                    );
                }
            })
        })
        .into();
    for client in clients {
        client.await.unwrap();
    }
    drop(busy);
}

#[tokio::test]
async fn fault_60_a_system_that_refuses_threads_ends_neither_requests_nor_reloads() {
    let (_upstream, setup) = setup().await;
    let setup = setup.plugin("10-answers", &wasm::answering("before"));
    // The number of processes limits no superuser.
    let everybody = fs::Permissions::from_mode(0o755);
    fs::set_permissions(setup.dir(), everybody).unwrap();
    let as_nobody = |command: &str| {
        format!(
            "if [ $(id -u) = 0 ]; then \
        exec setpriv --reuid=65534 --regid=65534 --clear-groups {command}; fi"
        )
    };
    let nobody = as_nobody("\"$0\" \"$@\"");
    let gateway = setup.prelude(&nobody).start().await;
    // Only its own user may lower the limit of a process, where nothing else is privileged.
    let limit = format!("prlimit --pid {} --nproc=1:1", gateway.process());
    let limited = Command::new("sh")
        .args(["-c", &format!("{}; exec {limit}", as_nobody(&limit))])
        .status();
    assert!(limited.unwrap().success());
    gateway
        .setup()
        .put_plugin("10-answers", &wasm::answering("after"));
    let client = gateway.client(Http::Two);
    eventually!(
        "the new version",
        (client.get(URL).await.header("x-answer") == "after").then_some(())
    );
    serves(&gateway).await;
    assert_eq!(gateway.stop().await.code(), Some(0));
}

#[tokio::test]
async fn fault_60_a_read_only_tmp_is_not_needed() {
    let (_upstream, setup) = setup().await;
    let read_only = "mount --bind /tmp /tmp && mount -o remount,ro,bind /tmp";
    let gateway = setup.prelude(&within_mounts(read_only)).start().await;
    serves(&gateway).await;
    gateway
        .setup()
        .put_plugin("10-answers", &wasm::answering("new"));
    let client = gateway.client(Http::Two);
    eventually!(
        "the plugin",
        (client.get(URL).await.header("x-answer") == "new").then_some(())
    );
}
