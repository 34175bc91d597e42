//! Only plugin files with a digest on the list, or a signature by a key on it, are taken into
//! service: of all others nothing is compiled, and the version before stays.

use std::{fs, sync::Arc};

use witgate_tests::{
    Http,
    certs::{hex, sha256},
    client::Client,
    eventually,
    gateway::{Gateway, Pool, Setup, output},
    signer::Signer,
    wasm::{self, answering},
};

const URL: &str = "https://shop.example/cart";
const NAME: &str = "10-answers";

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex(&sha256(bytes)))
}

/// A gateway whose plugins are trusted by these lines; its one pool is never asked.
fn setup(trust: &str) -> Setup {
    let pool = Pool::of("endpoints = [\"127.0.0.1:1\"]\nprotocol = \"http\"");
    Setup::new()
        .table("[control]\nsocket = \"control.sock\"")
        .pool("web", pool)
        .plugin_defaults(trust)
}

/// One with the plugin `first` in service, signed with a key in `signer.pub`.
async fn signed(signer: &Signer) -> Gateway {
    let setup = setup("trust.keys = [\"signer.pub\"]");
    signer.write(&setup.dir().join("signer.pub"));
    put(&setup, &answering("first"), &[signer]);
    setup.start().await
}

/// Puts a plugin into the folder, behind its signatures.
fn put(setup: &Setup, wasm: &[u8], signers: &[&Signer]) {
    for signer in signers {
        setup.put_beside(&format!("{NAME}.wasm.minisig"), &signer.sign(wasm));
    }
    setup.put_plugin(NAME, wasm);
}

async fn answers(client: &Client, version: &str) {
    eventually!(
        format!("version {version}"),
        (client.get(URL).await.header("x-answer") == version).then_some(())
    );
}

async fn refused(gateway: &Gateway, entries: usize, parts: &[&str]) {
    let all = [
        &["ERROR", "plugin refused, the version before it stays"],
        parts,
    ]
    .concat();
    gateway.logged_after(entries, &all).await;
    let client = gateway.client(Http::Two);
    assert_eq!(client.get(URL).await.header("x-answer"), "first");
}

#[tokio::test]
async fn a_plugin_is_trusted_by_its_digest() {
    let (first, second) = (answering("first"), answering("second"));
    let trust = |all: &[&[u8]]| {
        let all: Vec<_> = all
            .iter()
            .map(|wasm| format!("{:?}", digest(wasm)))
            .collect();
        format!("trust.digests = [{}]", all.join(", "))
    };
    let mut gateway = setup(&trust(&[&first])).plugin(NAME, &first).start().await;
    let entries = gateway.log().len();
    gateway.setup().put_plugin(NAME, &second);
    let expected = "expected a digest that `trust.digests` lists";
    refused(
        &gateway,
        entries,
        &[
            "10-answers.wasm: is not trusted",
            &digest(&second),
            expected,
        ],
    )
    .await;
    let (_, shown) = gateway.plugin_command(&["status"]).await;
    assert!(shown.contains(&digest(&second)), "{shown}");
    gateway.configure(|setup| setup.plugin_defaults(&trust(&[&first, &second])));
    answers(&gateway.client(Http::Two), "second").await;
}

#[tokio::test]
async fn a_plugin_is_trusted_by_its_signature_and_nothing_else_is_compiled() {
    let (signer, stranger) = (Signer::new(), Signer::new());
    let gateway = signed(&signer).await;
    let setup = gateway.setup();
    let expected = format!(
        "expected a signature by the key {} (signer.pub)",
        signer.id()
    );

    let entries = gateway.log().len();
    fs::remove_file(setup.plugins().join("10-answers.wasm.minisig")).unwrap();
    refused(
        &gateway,
        entries,
        &["has no signature 10-answers.wasm.minisig", &expected],
    )
    .await;

    let entries = gateway.log().len();
    put(setup, &answering("second"), &[&stranger]);
    let found = format!(
        "10-answers.wasm.minisig is by another key: id {}",
        stranger.id()
    );
    refused(
        &gateway,
        entries,
        &[&digest(&answering("second")), &found, &expected],
    )
    .await;

    let entries = gateway.log().len();
    setup.put_beside("10-answers.wasm.minisig", &signer.sign(b"garbage"));
    refused(
        &gateway,
        entries,
        &["does not fit it: one of the two files has changed"],
    )
    .await;

    let entries = gateway.log().len();
    setup.put_plugin(NAME, b"no WebAssembly, and not what was signed");
    refused(&gateway, entries, &["does not fit it", &expected]).await;

    let entries = gateway.log().len();
    setup.put_beside("10-answers.wasm.minisig", "what?");
    refused(
        &gateway,
        entries,
        &["10-answers.wasm.minisig is no signature of minisign"],
    )
    .await;

    put(setup, &answering("second"), &[]);
    setup.put_beside(
        "10-answers.wasm.minisig",
        &signer.sign(&answering("second")),
    );
    answers(&gateway.client(Http::Two), "second").await;
}

#[tokio::test]
async fn a_start_needs_signatures_too() {
    let setup = setup(&format!("trust.keys = [{:?}]", Signer::new().public()));
    setup.put_plugin(NAME, &answering("first"));
    setup.write();
    let file = setup.file().display().to_string();
    let output = output(&["check", "--config", &file]).await;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{text}");
    assert!(
        text.contains("has no signature 10-answers.wasm.minisig"),
        "{text}"
    );
    fs::write(setup.dir().join("signer.pub"), "not a key").unwrap();
    let setup = setup.plugin_defaults("trust.keys = [\"signer.pub\"]");
    setup.write();
    let output = witgate_tests::gateway::output(&["check", "--config", &file]).await;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    for part in [
        "plugins.trust.keys[0]",
        "witgate.toml:4",
        "is no minisign public key",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[tokio::test]
async fn keys_are_followed_and_bind_rollbacks_as_well() {
    let (signer, next) = (Signer::new(), Signer::new());
    let gateway = signed(&signer).await;
    let client = gateway.client(Http::Two);
    put(gateway.setup(), &answering("second"), &[&signer]);
    answers(&client, "second").await;

    let (ok, shown) = gateway.plugin_command(&["rollback", "answers"]).await;
    assert!(ok, "{shown}");
    answers(&client, "first").await;
    // What was rolled back has to be named.
    let second = wasm::version(&answering("second"));
    let (ok, shown) = gateway
        .plugin_command(&["rollback", "answers", "--to", &second])
        .await;
    assert!(ok, "{shown}");
    answers(&client, "second").await;

    let entries = gateway.log().len();
    next.write(&gateway.setup().dir().join("signer.pub"));
    gateway
        .logged_after(entries, &["is by another key", &signer.id(), &next.id()])
        .await;
    let version = wasm::version(&answering("first"));
    let (ok, shown) = gateway
        .plugin_command(&["rollback", "answers", "--to", &version])
        .await;
    assert!(
        !ok && shown.contains(&version) && shown.contains("is by another key"),
        "{shown}"
    );
    assert_eq!(client.get(URL).await.header("x-answer"), "second");

    put(gateway.setup(), &answering("third"), &[&next]);
    answers(&client, "third").await;
}

#[tokio::test]
async fn sidecars_are_signed_where_that_is_asked_for() {
    let signer = Signer::new();
    let trust = format!(
        "trust.keys = [{:?}]\ntrust.sidecars = true",
        signer.public()
    );
    let sidecar = "deadline = \"20ms\"";
    let setup = setup(&trust).sidecar(NAME, sidecar);
    setup.put_beside("10-answers.toml.minisig", &signer.sign(sidecar.as_bytes()));
    put(&setup, &answering("first"), &[&signer]);
    let gateway = setup.start().await;
    let entries = gateway.log().len();
    gateway.setup().put_sidecar(NAME, "deadline = \"60s\"");
    refused(
        &gateway,
        entries,
        &[
            "its sidecar is not trusted",
            "10-answers.toml.minisig",
            "does not fit",
        ],
    )
    .await;
    let entries = gateway.log().len();
    fs::remove_file(gateway.setup().plugins().join("10-answers.toml")).unwrap();
    refused(
        &gateway,
        entries,
        &["has no sidecar, but `plugins.trust.sidecars` asks for one"],
    )
    .await;
}

/// The bytes that are compiled are those that were verified, however fast files change.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_that_change_while_they_are_read_bring_nothing_unsigned_into_service() {
    let signer = Signer::new();
    let gateway = signed(&signer).await;
    let (first, evil) = (answering("first"), answering("evil"));
    let plugin = gateway.setup().plugins().join("10-answers.wasm");
    let (good_file, evil_file) = (
        gateway.setup().dir().join("good"),
        gateway.setup().dir().join("evil"),
    );
    fs::write(&good_file, &first).unwrap();
    fs::write(&evil_file, &evil).unwrap();
    let client = Arc::new(gateway.client(Http::Two));
    let changing = tokio::task::spawn_blocking({
        let dir = gateway.setup().dir().to_owned();
        move || {
            for turn in 0..6000 {
                let target = if turn % 2 == 0 {
                    &evil_file
                } else {
                    &good_file
                };
                let link = dir.join("link");
                std::os::unix::fs::symlink(target, &link).unwrap();
                fs::rename(&link, &plugin).unwrap();
                std::thread::sleep(std::time::Duration::from_micros(500));
            }
        }
    });
    while !changing.is_finished() {
        assert_eq!(client.get(URL).await.header("x-answer"), "first");
    }
    changing.await.unwrap();
    put(gateway.setup(), &answering("second"), &[&signer]);
    answers(&client, "second").await;
    assert!(
        !gateway
            .log()
            .iter()
            .any(|entry| entry.contains("plugin is live") && entry.contains(&wasm::version(&evil)))
    );
}

#[tokio::test]
async fn plugin_check_verifies_a_signature() {
    let signer = Signer::new();
    let setup = setup("");
    let key = setup.dir().join("signer.pub");
    signer.write(&key);
    let wasm = answering("first");
    put(&setup, &wasm, &[&signer]);
    let file = setup
        .plugins()
        .join("10-answers.wasm")
        .display()
        .to_string();
    let key = key.display().to_string();
    let check = async || {
        let output = output(&["plugin", "check", &file, "--key", &key]).await;
        let text = [output.stdout, output.stderr].concat();
        (
            output.status.success(),
            String::from_utf8_lossy(&text).into_owned(),
        )
    };
    let (ok, text) = check().await;
    let signed = format!(
        "signed   by the key {}: timestamp:1\tfile:test",
        signer.id()
    );
    assert!(
        ok && text.contains(&signed) && text.contains(&digest(&wasm)),
        "{text}"
    );
    Signer::new().write(&setup.dir().join("signer.pub"));
    let (ok, text) = check().await;
    assert!(!ok && text.contains("is by another key"), "{text}");
}
