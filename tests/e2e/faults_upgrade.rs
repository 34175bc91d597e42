//! One gateway after another, or beside it (fault 55): by upgrade, by socket activation, by
//! overlap. No connection is refused and no request is cut.

use std::{
    fs,
    net::TcpListener,
    os::unix::fs::{PermissionsExt as _, symlink},
    os::unix::net::UnixDatagram,
    path::Path,
    process::Stdio,
};

use http_body_util::BodyExt as _;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use witgate_tests::{
    Http,
    client::{Client, get},
    eventually,
    gateway::{self, Gateway, Pool, Setup},
    load::Load,
    over_h1_and_h2,
    upstream::Upstream,
    wait, wasm,
};

const URL: &str = "https://shop.example/cart";

async fn setup() -> (Upstream, Setup) {
    let upstream = Upstream::pinned("web-1").await;
    let setup = Setup::new().default_pool("web", Pool::pinned(&[&upstream]));
    (upstream, setup)
}

/// Clients that connect for each request.
fn load(gateway: &Gateway) -> Load {
    let root = gateway.setup().authority().certificate();
    let address = gateway.address();
    let mut load = Load::default();
    for http in [Http::One, Http::Two, Http::One] {
        let root = root.clone();
        load.add(move || {
            let client = Client::new(address, "shop.example", root.clone(), http);
            async move { assert_eq!(client.get(URL).await.status, 200) }
        });
    }
    load
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_55_upgrades_with_other_numbers_of_workers_refuse_no_connection() {
    let (_upstream, setup) = setup().await;
    let mut gateway = setup.start().await;
    let load = load(&gateway);
    for workers in [4, 1, 2] {
        load.more(10).await;
        gateway.configure(|setup| setup.workers(workers));
        gateway.upgrade().await;
        gateway
            .logged(&["ready", &format!("workers={workers}")])
            .await;
        load.more(20).await;
    }
    load.stop().await;
    assert_eq!(gateway.exit().await.code(), Some(0));
    assert_eq!(gateway.admin("/readyz").await.0, 200);
}

over_h1_and_h2! {
    async fn fault_55_what_runs_on_the_old_process_ends_well(http) {
        let (upstream, setup) = setup().await;
        let mut gateway = setup.start().await;
        let client = gateway.client(http);
        let held = tokio::spawn(async move { client.get("https://shop.example/hold").await });
        eventually!("the request", (upstream.requests() == 1).then_some(()));
        let client = gateway.client(http);
        const LENGTH: usize = 50_000_000;
        let url = format!("https://shop.example/bytes/{LENGTH}");
        let mut download = client.send(get(&url)).await.unwrap().into_body();
        let mut read = download.frame().await.unwrap().unwrap().into_data().unwrap().len();
        let before = gateway.log().len();
        let old = gateway.process();
        gateway.signal("-USR2").await;
        gateway.taken_over(before).await;
        assert_ne!(gateway.process(), old);
        assert_eq!(gateway.client(http).get(URL).await.status, 200);
        while let Some(frame) = download.frame().await {
            read += frame.unwrap().data_ref().map_or(0, |data| data.len());
        }
        assert_eq!(read, LENGTH);
        upstream.release(1);
        assert_eq!(held.await.unwrap().status, 200);
        assert_eq!(gateway.exit().await.code(), Some(0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_55_a_new_process_that_fails_leaves_the_old_one_as_it_was() {
    let (_upstream, setup) = setup().await;
    let mut gateway = setup.start().await;
    let load = load(&gateway);
    let good = gateway.setup().text();
    let old = gateway.process();
    fs::write(gateway.setup().file(), format!("{good}colour = 1\n")).unwrap();
    gateway.signal("-USR2").await;
    gateway
        .logged(&["upgrade failed", "has ended", "exit status: 1"])
        .await;
    load.more(20).await;
    fs::write(gateway.setup().file(), good).unwrap();
    gateway.upgrade().await;
    assert_ne!(gateway.process(), old);
    load.more(20).await;
    load.stop().await;
}

/// Replaces the file that the gateway was started by with a script.
fn replace(program: &Path, script: &str) {
    let beside = program.with_extension("new");
    fs::write(&beside, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&beside, fs::Permissions::from_mode(0o755)).unwrap();
    fs::rename(&beside, program).unwrap();
}

#[tokio::test]
async fn fault_55_the_file_that_has_replaced_the_program_is_started_and_must_be_ready_in_time() {
    let (_upstream, setup) = setup().await;
    let program = setup.dir().join("witgate-link");
    symlink(gateway::binary(), &program).unwrap();
    let setup = setup.table("[timeouts]\nupgrade = \"1s\"");
    let mut gateway = setup.program(&program).start().await;
    replace(&program, "exec sleep 60");
    gateway.signal("-USR2").await;
    gateway
        .logged(&["upgrade failed", "not ready within 1s"])
        .await;
    assert_eq!(gateway.client(Http::One).get(URL).await.status, 200);
    let marker = program.with_extension("started");
    let real = gateway::binary();
    replace(
        &program,
        &format!("touch {}; exec {} \"$@\"", marker.display(), real.display()),
    );
    gateway.signal("-USR2").await;
    gateway.taken_over(0).await;
    assert!(marker.exists());
    assert_eq!(gateway.client(Http::One).get(URL).await.status, 200);
}

#[tokio::test]
async fn fault_55_listeners_come_move_and_go_with_an_upgrade() {
    let (_upstream, setup) = setup().await;
    let plain = |name: &str, address: &str| {
        format!(
            "[[listeners]]\nname = \"{name}\"\naddress = \"{address}\"\nprotocol = \"http\"\ndefault_pool = \"web\""
        )
    };
    let fixed = free();
    let first = format!(
        "{}\n{}",
        plain("goes", "127.0.0.1:0"),
        plain("moves", &fixed)
    );
    let mut gateway = setup.table(&first).start().await;
    let [public, gone] = ["public", "goes"].map(|name| gateway.address_of(name));
    let moved = free();
    let second = format!(
        "{}\n{}",
        plain("comes", "127.0.0.1:0"),
        plain("moves", &moved)
    );
    let text = gateway.setup().text().replace(&first, &second);
    // A reload would do the same; the file is replaced while the old process cannot see it.
    gateway.signal("-STOP").await;
    fs::write(gateway.setup().file(), text).unwrap();
    gateway.signal("-USR2").await;
    gateway.signal("-CONT").await;
    gateway.taken_over(0).await;
    assert_eq!(gateway.exit().await.code(), Some(0));
    let answers = async |address: &str| {
        let answer = gateway::ask_admin(address.parse().unwrap(), "/cart").await;
        answer.map(|(status, _)| status)
    };
    assert_eq!(answers(&moved).await.unwrap(), 200);
    let came = gateway.address_of("comes").to_string();
    assert_eq!(answers(&came).await.unwrap(), 200);
    assert_eq!(gateway.address_of("public"), public);
    assert_eq!(gateway.client(Http::Two).get(URL).await.status, 200);
    for closed in [gone.to_string(), fixed] {
        answers(&closed).await.unwrap_err();
    }
}

/// An address that is free now.
fn free() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

#[tokio::test]
async fn fault_55_the_new_process_serves_even_when_the_old_one_is_killed_meanwhile() {
    let (_upstream, setup) = setup().await;
    let program = setup.dir().join("witgate-link");
    symlink(gateway::binary(), &program).unwrap();
    let gateway = setup.program(&program).start().await;
    let go = program.with_extension("go");
    let waits = format!(
        "touch {started}; while ! [ -e {go} ]; do sleep 0.05; done; exec {real} \"$@\"",
        started = program.with_extension("started").display(),
        go = go.display(),
        real = gateway::binary().display()
    );
    replace(&program, &waits);
    gateway.signal("-USR2").await;
    let started = program.with_extension("started");
    eventually!("the new process", started.exists().then_some(()));
    gateway.signal("-KILL").await;
    fs::write(&go, "").unwrap();
    // Nobody accepts for a moment, and nobody is refused.
    let answer = gateway.client(Http::Two).get(URL).await;
    assert_eq!(answer.status, 200);
    gateway
        .logged(&["the process before is gone already"])
        .await;
}

#[tokio::test]
async fn the_supervisor_is_told_of_each_step() {
    let (_upstream, setup) = setup().await;
    let socket = setup.dir().join("notify");
    let supervisor = UnixDatagram::bind(&socket).unwrap();
    supervisor.set_read_timeout(Some(wait::DEADLINE)).unwrap();
    let told = || {
        let mut message = [0; 4096];
        let length = supervisor.recv(&mut message).unwrap();
        String::from_utf8(message[..length].to_vec()).unwrap()
    };
    let path = socket.to_str().unwrap();
    let mut gateway = setup.variable("NOTIFY_SOCKET", path).start().await;
    assert!(told().starts_with("READY=1\n"));
    gateway.hang_up().await;
    let reloading = told();
    assert!(
        reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="),
        "{reloading}"
    );
    assert!(told().starts_with("READY=1\n"));
    fs::write(gateway.setup().file(), "colour = 1").unwrap();
    gateway.logged(&["ERROR", "colour"]).await;
    gateway.hang_up().await;
    assert!(told().starts_with("RELOADING=1"));
    let refused = told();
    assert!(
        refused.starts_with("READY=1\n") && refused.contains("refused"),
        "{refused}"
    );
    gateway.setup().write();
    gateway.upgrade().await;
    let main = told();
    let expected = format!("MAINPID={}\nREADY=1\n", gateway.process());
    assert!(main.starts_with(&expected), "{main}");
    gateway.terminate().await;
    let stopping = told();
    assert!(stopping.starts_with("STOPPING=1\n"), "{stopping}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_passed_socket_is_shared_by_workers_and_outlives_a_killed_gateway() {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let (_upstream, setup) = setup().await;
    let first = setup.workers(3).socket("public", &socket).start().await;
    assert_eq!(first.address(), socket.local_addr().unwrap());
    let load = load(&first);
    load.more(30).await;
    load.stop().await;
    first.signal("-KILL").await;
    let client = first.client(Http::Two);
    let waits = tokio::spawn(async move { client.get(URL).await });
    // The same files again, which a kill left as they were.
    let second = first.restart().await;
    assert_eq!(waits.await.unwrap().status, 200);
    assert_eq!(second.address(), socket.local_addr().unwrap());
}

#[tokio::test]
async fn a_passed_socket_goes_through_an_upgrade() {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let (_upstream, setup) = setup().await;
    let mut gateway = setup.socket("public", &socket).start().await;
    gateway.upgrade().await;
    assert_eq!(gateway.address(), socket.local_addr().unwrap());
    assert_eq!(gateway.client(Http::One).get(URL).await.status, 200);
}

#[tokio::test]
async fn what_is_passed_and_does_not_listen_ends_the_start() {
    let (_upstream, setup) = setup().await;
    setup.write();
    let output = gateway::command(&["run", "--config"])
        .arg(setup.file())
        .env("LISTEN_FDS", "1")
        .stdin(Stdio::null())
        .output();
    let output = tokio::time::timeout(wait::DEADLINE, output)
        .await
        .unwrap()
        .unwrap();
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(
        message.contains("the sockets that were passed"),
        "{message}"
    );
}

#[tokio::test]
async fn systemd_activates_by_socket() {
    let (_upstream, setup) = setup().await;
    setup.write();
    let address = free();
    let mut activated = tokio::process::Command::new("systemd-socket-activate")
        .args(["--listen", &address, "--fdname", "public"])
        .arg(gateway::binary())
        .args(["run", "--config"])
        .arg(setup.file())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let root = setup.authority().certificate();
    let client = Client::new(address.parse().unwrap(), "shop.example", root, Http::Two);
    let answer = eventually!("an answer", client.try_get(URL).await.ok());
    assert_eq!(answer.status, 200);
    let id = activated.id().unwrap().to_string();
    let kill = std::process::Command::new("kill").arg(id).status();
    assert!(kill.unwrap().success());
    let ended = tokio::time::timeout(wait::DEADLINE, activated.wait());
    assert!(ended.await.unwrap().unwrap().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gateways_that_overlap_share_an_address_and_one_may_go() {
    let (_upstream, setup) = setup().await;
    let address = free().parse().unwrap();
    let mut first = setup.address(address).start().await;
    let mut second = gateway::command(&["run", "--overlap", "--config"])
        .arg(first.setup().file())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(second.stderr.take().unwrap()).lines();
    while !log.next_line().await.unwrap().unwrap().contains(" ready ") {}
    let drained =
        tokio::spawn(
            async move { while log.next_line().await.is_ok_and(|line| line.is_some()) {} },
        );
    let load = load(&first);
    load.more(20).await;
    first.terminate().await;
    assert_eq!(first.exit().await.code(), Some(0));
    load.more(20).await;
    load.stop().await;
    second.kill().await.unwrap();
    drained.await.unwrap();
}

#[tokio::test]
async fn a_plugin_is_in_service_from_the_first_request_after_an_upgrade() {
    let (_upstream, setup) = setup().await;
    let mut gateway = setup
        .plugin("10-answers", &wasm::answering("before"))
        .start()
        .await;
    gateway.signal("-STOP").await;
    gateway
        .setup()
        .put_plugin("10-answers", &wasm::answering("after"));
    gateway.signal("-USR2").await;
    gateway.signal("-CONT").await;
    gateway.taken_over(0).await;
    gateway.exit().await;
    let answer = gateway.client(Http::One).get(URL).await;
    assert_eq!(answer.header("x-answer"), "after");
}
