//! Faults 36 to 50 of `docs/faults.md`, as far as no other file has them: what plugins return, take
//! and keep, and what lies in their folder.

use std::{fs, os::unix::fs::symlink, process::Command, time::Duration};

use witgate_tests::{
    Http, eventually,
    gateway::{Gateway, Pool, Setup},
    wasm::{self, answering, executing, guest, responding_with, routing},
};

const URL: &str = "https://shop.example/cart";
const BAD: &str = "https://shop.example/bad";
/// More than what a gateway of one worker takes for a call that is refused.
const LITTLE: u64 = 48 << 20;

/// A gateway of one worker with this plugin; what it passes on gets 404.
async fn with(plugin: &[u8], sidecar: &str) -> Gateway {
    let pool = Pool::of("endpoints = [\"127.0.0.1:1\"]\nprotocol = \"http\"");
    Setup::new()
        .workers(1)
        .table("[control]\nsocket = \"control.sock\"")
        .pool("web", pool)
        .plugin("10-faulty", plugin)
        .sidecar("10-faulty", sidecar)
        .start()
        .await
}

/// Asserts that requests fail by one of these causes, and returns how much memory they took.
async fn fail(gateway: &Gateway, causes: &[&str]) -> u64 {
    let before = gateway.resident();
    let client = gateway.client(Http::Two);
    for _ in 0..5 {
        let answer = client.get(URL).await;
        assert_eq!(answer.status, 500, "{answer:?}");
        assert!(causes.contains(&answer.cause()), "{answer:?}");
    }
    gateway.resident().saturating_sub(before)
}

#[tokio::test]
async fn fault_38_tables_and_memories_end_at_their_limits() {
    let table = routing(
        "(table $t 1 funcref)",
        "(loop $more (br_if $more (i32.ne (table.grow $t (ref.null func) (i32.const 1)) (i32.const -1))))
         (if (i32.gt_u (table.size $t) (i32.const 500)) (then unreachable))
         (i32.const 16)",
    );
    let gateway = with(&table, "table = 500").await;
    assert_eq!(gateway.client(Http::Two).get(URL).await.status, 404);

    let pages = executing("(loop $more (drop (memory.grow (i32.const 1))) (br $more))");
    let gateway = with(&pages, "memory = \"8MiB\"").await;
    let causes = ["plugin-memory", "plugin-deadline", "plugin-overtime"];
    assert!(fail(&gateway, &causes).await < LITTLE);

    let setup = gateway.setup();
    setup.put_plugin("20-huge", &wasm::with_pages(16_384));
    gateway
        .logged(&["ERROR", "20-huge.wasm", "needs more memory than its limit"])
        .await;
    setup.put_plugin("10-faulty", &answering("good"));
    let client = gateway.client(Http::Two);
    eventually!(
        "good again",
        (client.get(URL).await.header("x-answer") == "good").then_some(())
    );
}

#[tokio::test]
async fn fault_39_what_is_longer_than_memory_or_than_its_limit_takes_no_memory() {
    let respond = |fields: &str, value: &str| {
        let body = format!(
            "(drop (memory.grow (i32.const 2000)))
             (i32.store8 (i32.const 16) (i32.const 2))
             (i32.store16 (i32.const 20) (i32.const 200))
             (i32.store (i32.const 24) (i32.const 96))
             (i32.store (i32.const 28) (i32.const {fields}))
             (i32.store (i32.const 96) (i32.const 128))
             (i32.store (i32.const 100) (i32.const 1))
             (i32.store (i32.const 104) (i32.const 1024))
             (i32.store (i32.const 108) (i32.const {value}))
             (i32.const 16)"
        );
        routing("(data (i32.const 128) \"x\")", &body)
    };
    for (fields, value) in [
        ("1", "100000000"),
        ("1", "0x7fffffff"),
        ("0x7fffffff", "1"),
        ("5000000", "1"),
    ] {
        let sidecar = "memory = \"256MiB\"\ndeadline = \"2s\"";
        let gateway = with(&respond(fields, value), sidecar).await;
        let causes = ["plugin-trap", "plugin-decision-refused"];
        let grown = fail(&gateway, &causes).await;
        assert!(grown < LITTLE, "{fields} {value}: {} MiB", grown >> 20);
    }
}

#[tokio::test]
async fn fault_40_names_and_values_that_are_none_are_refused() {
    let bad: [(&[u8], &[u8]); 12] = [
        (b"", b"a"),
        (b"x y", b"a"),
        (b"x:y", b"a"),
        (b":status", b"a"),
        (b"x\r\ny", b"a"),
        (b"x\0", b"a"),
        (b"\xff\xfe", b"a"),
        (b"x", b"a\r\nx-injected: b"),
        (b"x", b"a\nb"),
        (b"x", b"a\0b"),
        (b"content-length", b"7"),
        (b"transfer-encoding", b"chunked"),
    ];
    let gateway = with(&answering("good"), "").await;
    let client = gateway.client(Http::One);
    for (name, value) in bad {
        gateway
            .setup()
            .put_plugin("10-faulty", &responding_with(name, value));
        let answer = eventually!(
            format!("{name:?}: {value:?} is refused"),
            Some(client.get(URL).await).filter(|answer| answer.status == 500)
        );
        let causes = ["plugin-decision-refused", "plugin-trap"];
        assert!(
            causes.contains(&answer.cause()),
            "{name:?}: {value:?}: {answer:?}"
        );
        assert_eq!(answer.header("x-injected"), "");
        gateway.setup().put_plugin("10-faulty", &answering("good"));
        eventually!(
            "good again",
            (client.get(URL).await.header("x-answer") == "good").then_some(())
        );
    }
}

#[tokio::test]
async fn fault_42_values_that_lie_are_traps() {
    for (instructions, result) in [
        (
            "(i32.store8 (i32.const 16) (i32.const 99))",
            "(i32.const 16)",
        ),
        ("", "(i32.const 17)"),
        ("", "(i32.const -4)"),
        ("", "(i32.const 65532)"),
    ] {
        let body = format!("{instructions} {result}");
        let gateway = with(&routing("", &body), "").await;
        fail(&gateway, &["plugin-trap"]).await;
    }
}

#[tokio::test]
async fn fault_43_with_isolation_nothing_of_a_request_is_there_at_the_next() {
    // Counts in memory that it has never written to; and answers with the count.
    let counting = wasm::counting();
    for (isolation, expected) in [("request", ["1", "1", "1"]), ("reuse", ["1", "2", "3"])] {
        let gateway = with(&counting, &format!("isolation = {isolation:?}")).await;
        let client = gateway.client(Http::Two);
        for count in expected {
            assert_eq!(
                client.get(URL).await.header("x-count"),
                count,
                "{isolation}"
            );
        }
    }
}

#[tokio::test]
async fn fault_44_what_is_no_regular_file_or_too_large_is_refused_and_waited_for_by_nobody() {
    let gateway = with(&answering("good"), "").await;
    let plugins = gateway.setup().plugins();
    let client = gateway.client(Http::Two);
    fs::create_dir(plugins.join("20-folder.wasm")).unwrap();
    gateway
        .logged(&["ERROR", "20-folder.wasm", "is not a regular file"])
        .await;
    let made = Command::new("mkfifo")
        .arg(plugins.join("21-pipe.wasm"))
        .status();
    assert!(made.unwrap().success());
    gateway
        .logged(&["ERROR", "21-pipe.wasm", "is not a regular file"])
        .await;
    symlink("22-loop.wasm", plugins.join("22-loop.wasm")).unwrap();
    gateway
        .logged(&["ERROR", "22-loop.wasm", "cannot be read"])
        .await;
    let sparse = fs::File::create(plugins.join("23-sparse.wasm")).unwrap();
    sparse.set_len(2 << 30).unwrap();
    gateway
        .logged(&["ERROR", "23-sparse.wasm", "has 2147483648 bytes"])
        .await;
    fs::write(plugins.join("24-empty.wasm"), "").unwrap();
    gateway
        .logged(&["ERROR", "24-empty.wasm", "is empty"])
        .await;
    symlink("/dev/zero", plugins.join("25-device.wasm")).unwrap();
    gateway
        .logged(&["ERROR", "25-device.wasm", "is not a regular file"])
        .await;
    assert_eq!(client.get(URL).await.header("x-answer"), "good");
    gateway
        .setup()
        .put_plugin("10-faulty", &answering("better"));
    eventually!(
        "still followed",
        (client.get(URL).await.header("x-answer") == "better").then_some(())
    );
}

#[tokio::test]
async fn fault_46_a_folder_that_goes_away_changes_nothing_until_it_is_back() {
    let gateway = with(&answering("good"), "").await;
    let client = gateway.client(Http::Two);
    let (plugins, aside) = (
        gateway.setup().plugins(),
        gateway.setup().dir().join("aside"),
    );
    fs::rename(&plugins, &aside).unwrap();
    gateway
        .logged(&["ERROR", "everything stays as it was", "plugins.dir"])
        .await;
    assert_eq!(client.get(URL).await.header("x-answer"), "good");
    fs::write(aside.join("10-faulty.wasm"), answering("back")).unwrap();
    fs::rename(&aside, &plugins).unwrap();
    eventually!(
        "it is back",
        (client.get(URL).await.header("x-answer") == "back").then_some(())
    );
}

#[tokio::test]
async fn fault_48_a_version_that_traps_on_every_call_is_seen_and_gone_back_from() {
    let gateway = with(&answering("good"), "suspend_after = 3").await;
    let client = gateway.client(Http::Two);
    gateway
        .setup()
        .put_plugin("10-faulty", &executing("unreachable"));
    eventually!(
        "it traps",
        (client.get(URL).await.cause() == "plugin-trap").then_some(())
    );
    eventually!(
        "it is suspended",
        (client.get(URL).await.cause() == "plugin-suspended").then_some(())
    );
    gateway.logged(&["WARN", "faulty", "trapped"]).await;
    let (ok, shown) = gateway.plugin_command(&["rollback", "faulty"]).await;
    assert!(ok, "{shown}");
    assert_eq!(client.get(URL).await.header("x-answer"), "good");
}

#[tokio::test]
async fn fault_50_a_call_whose_client_has_left_ends_with_its_instance() {
    let gateway = with(
        &guest("loops-in-route"),
        "deadline = \"60s\"\novertime = 100",
    )
    .await;
    let instances = r#"witgate_plugin_instances{plugin="faulty"}"#;
    let client = gateway.client(Http::Two);
    let asking = tokio::spawn(async move { client.get(BAD).await });
    gateway.counted(instances, 1.0).await;
    asking.abort();
    eventually!(
        within Duration::from_secs(10),
        "its instance is gone",
        (gateway.metric(instances).await == 0.0).then_some(())
    );
    assert_eq!(gateway.client(Http::Two).get(URL).await.status, 404);
}
