//! The compiler works in a process of its own: what it takes too much of, or dies of, costs the
//! file that it was given and nothing else.

use std::{
    fs,
    time::{Duration, Instant},
};

use witgate_tests::{
    Http, eventually,
    gateway::{self, Gateway, Pool, Setup, command},
    upstream::Upstream,
    wasm,
};

const URL: &str = "https://shop.example/";

/// Takes the compiler many seconds, and far more memory than the least that it can be given.
fn bomb() -> Vec<u8> {
    wasm::laborious(3_000_000)
}

async fn setup() -> (Upstream, Setup) {
    let upstream = Upstream::pinned("web-1").await;
    let setup = Setup::new()
        .default_pool("web", Pool::pinned(&[&upstream]))
        .plugin("10-answers", &wasm::answering("before"));
    (upstream, setup)
}

async fn answers(gateway: &Gateway, expected: &str) {
    let answer = gateway.client(Http::Two).get(URL).await;
    assert_eq!(answer.header("x-answer"), expected, "{answer:?}");
}

/// Waits until a new version is in service: what was refused before it holds nothing up.
async fn takes(gateway: &Gateway, value: &str) {
    gateway.setup().put_sidecar("10-answers", "");
    gateway
        .setup()
        .put_plugin("10-answers", &wasm::answering(value));
    let client = gateway.client(Http::Two);
    eventually!(
        "the new version",
        (client.get(URL).await.header("x-answer") == value).then_some(())
    );
}

#[tokio::test]
async fn a_file_that_takes_the_compiler_too_long_is_refused_and_leaves_nothing_behind() {
    let (_upstream, setup) = setup().await;
    let gateway = setup.start().await;
    takes(&gateway, "first").await;
    gateway
        .setup()
        .put_sidecar("10-answers", "compile_timeout = \"1s\"");
    gateway.setup().put_plugin("10-answers", &bomb());
    eventually!("a compiler", (!gateway.children().is_empty()).then_some(()));
    gateway
        .logged(&["ERROR", "plugin refused", "was not compiled within 1s"])
        .await;
    assert!(gateway.children().is_empty(), "it is killed and reaped");
    let ticks = gateway.ticks();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let busy = gateway.ticks() - ticks;
    assert!(
        busy < 20,
        "{busy} hundredths of a second: something goes on"
    );
    answers(&gateway, "first").await;
    takes(&gateway, "second").await;
}

#[tokio::test]
async fn a_file_that_takes_the_compiler_too_much_memory_is_refused() {
    let (_upstream, setup) = setup().await;
    let least = "compile_memory = \"64MiB\"";
    let gateway = setup.sidecar("10-answers", least).start().await;
    answers(&gateway, "before").await;
    let peak = gateway.peak();
    gateway.setup().put_plugin("10-answers", &bomb());
    let reason =
        "needs more memory to be compiled than the 67108864 bytes that the compiler may have";
    gateway.logged(&["ERROR", "plugin refused", reason]).await;
    assert!(gateway.children().is_empty());
    let grown = gateway.peak() - peak;
    assert!(grown < 64 << 20, "the gateway itself grew by {grown} bytes");
    answers(&gateway, "before").await;
    takes(&gateway, "after").await;
}

#[tokio::test]
async fn a_compiler_that_dies_takes_nobody_with_it() {
    let (_upstream, setup) = setup().await;
    let gateway = setup.start().await;
    gateway.setup().put_plugin("10-answers", &bomb());
    let compiler = eventually!("a compiler", gateway.children().first().copied());
    let killed = std::process::Command::new("kill")
        .args(["-KILL", &compiler.to_string()])
        .status();
    assert!(killed.unwrap().success());
    gateway
        .logged(&[
            "ERROR",
            "plugin refused",
            "the compiler ended with signal: 9",
        ])
        .await;
    answers(&gateway, "before").await;
    takes(&gateway, "after").await;
}

#[tokio::test]
async fn the_compiler_is_of_the_version_that_runs_whatever_is_installed_by_now() {
    let (_upstream, setup) = setup().await;
    let program = setup.dir().join("witgate-copy");
    fs::copy(gateway::binary(), &program).unwrap();
    let gateway = setup.program(&program).start().await;
    let other = program.with_extension("new");
    fs::write(&other, "not this one").unwrap();
    fs::rename(&other, &program).unwrap();
    takes(&gateway, "after").await;
}

#[tokio::test]
async fn a_compiler_ends_with_the_gateway() {
    let (_upstream, setup) = setup().await;
    let mut gateway = setup.start().await;
    gateway.setup().put_plugin("10-answers", &bomb());
    let compiler = eventually!("a compiler", gateway.children().first().copied());
    let begin = Instant::now();
    gateway.terminate().await;
    assert_eq!(gateway.exit().await.code(), Some(0));
    assert!(
        begin.elapsed() < Duration::from_secs(5),
        "it is not waited for"
    );
    let is_there = || fs::exists(format!("/proc/{compiler}")).unwrap();
    eventually!("its end", (!is_there()).then_some(()));
}

#[tokio::test]
async fn the_compiler_is_the_gateways_own_and_says_so_to_others() {
    let output = command(&["compile-plugin"])
        .stdin(std::process::Stdio::null())
        .output()
        .await
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("is asked by the gateway alone"), "{said}");
    let help = gateway::output(&["--help"]).await;
    let help = String::from_utf8_lossy(&help.stdout).into_owned();
    assert!(!help.contains("compile-plugin"), "{help}");
}
