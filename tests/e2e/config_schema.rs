//! The schema of a plugin's configuration: it comes with the file, and wrong keys of a sidecar
//! are found by it at their lines, without the plugin being run.

use std::{fs, path::Path};

use serde_json::Value;
use witgate_tests::{
    Http, TempDir, eventually,
    gateway::{Pool, Setup, output},
    upstream::Upstream,
    wasm::{self, guest},
};

/// What `witgate plugin COMMAND FILE` says, and whether it was content.
async fn plugin(command: &str, file: &Path) -> (bool, String) {
    let output = output(&["plugin", command, &file.display().to_string()]).await;
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&text).into_owned(),
    )
}

/// A plugin's file, alone in a folder, with its sidecar.
fn placed(wasm: &[u8], sidecar: &str) -> TempDir {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("20-a.wasm"), wasm).unwrap();
    fs::write(dir.path().join("20-a.toml"), sidecar).unwrap();
    dir
}

/// The component with another section: a schema that nobody derived.
fn described(wasm: &[u8], schema: &str) -> Vec<u8> {
    let name = "witgate:config-schema";
    let mut content = vec![u8::try_from(name.len()).unwrap()];
    content.extend(name.bytes());
    content.extend(schema.bytes());
    let mut section = vec![0];
    let mut left = content.len();
    loop {
        let low = u8::try_from(left & 0x7f).unwrap();
        left >>= 7;
        match left {
            0 => break section.push(low),
            _ => section.push(low | 0x80),
        }
    }
    [wasm, &section, &content].concat()
}

#[tokio::test]
async fn every_reference_plugin_has_a_schema() {
    let mut seen = 0;
    for file in fs::read_dir(wasm::references()).unwrap() {
        let file = file.unwrap().path();
        let (ok, text) = plugin("schema", &file).await;
        assert!(ok, "{}: {text}", file.display());
        let schema: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(schema["additionalProperties"], false, "{text}");
        let keys = schema["properties"].as_object().unwrap();
        for (key, of) in keys {
            assert!(
                of["description"].is_string(),
                "{}: {key} has no words",
                file.display()
            );
        }
        seen += usize::from(!keys.is_empty());
    }
    assert!(seen >= 12, "{seen}");
}

#[tokio::test]
async fn the_schemas_of_the_gateway_s_own_files_are_printed() {
    for (file, key) in [("gateway", "listeners"), ("sidecar", "deadline")] {
        let said = output(&["schema", file]).await;
        assert!(said.status.success());
        let schema: Value = serde_json::from_slice(&said.stdout).unwrap();
        assert!(schema["properties"][key].is_object(), "{file}");
        assert_eq!(schema["additionalProperties"], false);
    }
    let router = wasm::references().join("path-router.wasm");
    let router = router.display().to_string();
    let said = output(&["plugin", "schema", "--sidecar", &router]).await;
    let schema: Value = serde_json::from_slice(&said.stdout).unwrap();
    assert!(schema["properties"]["grants"].is_object());
    assert!(schema["properties"]["config"]["properties"]["rules"].is_object());
}

/// As large as its sidecar allows, which is more than the default.
#[tokio::test]
async fn the_schema_of_a_large_file_is_printed() {
    let mut wasm = b"\0asm\x0d\0\x01\0".to_vec();
    // A custom section of 66 MiB, named `x`.
    wasm.extend([0, 0x80, 0x80, 0x80, 0x21, 1, b'x']);
    wasm.resize(8 + 5 + (66 << 20), 0);
    let large = described(&wasm, r#"{"title": "large"}"#);
    for (sidecar, expected) in [
        ("file_size = \"80MiB\"\n", "\"title\": \"large\""),
        ("", "error: "),
        ("file_siz = \"80MiB\"\n", "error: "),
    ] {
        let dir = placed(&large, sidecar);
        let (ok, text) = plugin("schema", &dir.path().join("20-a.wasm")).await;
        assert_eq!(ok, expected != "error: ", "{text}");
        assert!(text.contains(expected), "{text}");
    }
    let router = wasm::reference("path-router");
    let dir = placed(&router, "deadlin = \"1s\"\n");
    let (ok, text) = plugin("schema", &dir.path().join("20-a.wasm")).await;
    assert!(ok && text.contains("\"rules\""), "{text}");
}

#[tokio::test]
async fn a_plugin_without_a_schema_is_as_before() {
    let dir = placed(&guest("answers-its-configuration"), "");
    let file = dir.path().join("20-a.wasm");
    let (ok, text) = plugin("schema", &file).await;
    assert!(
        !ok && text.contains("has no schema of its configuration"),
        "{text}"
    );
    let (ok, text) = plugin("check", &file).await;
    assert!(ok && text.contains("config   no schema"), "{text}");
}

#[tokio::test]
async fn what_is_no_plugin_is_not_said_to_lack_a_schema() {
    let guest = guest("answers-its-configuration");
    let cut = &guest[..guest.len() / 2];
    let files: [(&[u8], &str); 2] = [
        (b"# Notes", "is not WebAssembly"),
        (cut, "is not valid WebAssembly (cut short while copying?"),
    ];
    for (bytes, expected) in files {
        let dir = placed(bytes, "");
        let (ok, text) = plugin("schema", &dir.path().join("20-a.wasm")).await;
        assert!(!ok && text.contains(expected), "{expected} in {text}");
        assert!(!text.contains("has no schema"), "{text}");
    }
}

#[tokio::test]
async fn plugin_check_points_at_the_wrong_key_of_the_sidecar() {
    let sidecar = "deadline = \"5ms\"\n\n[[config.rules]]\npaths = [\"/a\"]\npol = \"web\"\n";
    let dir = placed(&wasm::reference("path-router"), sidecar);
    let file = dir.path().join("20-a.wasm");
    let (ok, text) = plugin("check", &file).await;
    assert!(!ok, "{text}");
    for part in [
        "refuses its configuration",
        "`config.rules[0].pol`: unknown key, expected `hosts`",
        "20-a.toml:5:1",
        "did you mean `pool`?",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    fs::write(
        dir.path().join("20-a.toml"),
        sidecar.replace("pol =", "pool ="),
    )
    .unwrap();
    let (ok, text) = plugin("check", &file).await;
    assert!(
        ok && text.contains("has a schema, which the sidecar fits"),
        "{text}"
    );
}

#[tokio::test]
async fn check_tells_all_that_is_wrong_at_once() {
    let pool = Pool::of("endpoints = [\"10.0.0.4:443\"]\ntrust.public = true");
    let setup = Setup::new().default_pool("web", pool);
    let setup = setup.plugin("10-limits", &wasm::reference("rate-limiter"));
    let setup = setup.sidecar(
        "10-limits",
        "grants = [\"kv\"]\n[config]\nrequests = 0\nsecond = 1\nby = { heder = \"x\" }\nwhen_full = \"Pass\"\n",
    );
    setup.write();
    let said = output(&["check", "--config", &setup.file().display().to_string()]).await;
    let text = String::from_utf8_lossy(&said.stderr);
    assert!(!said.status.success());
    for part in [
        "`config`: the key `seconds` is missing",
        "`config.requests`: found 0, expected at least 1",
        "`config.second`: unknown key, expected",
        "did you mean `seconds`?",
        "`config.by.heder`: unknown key, expected `header`",
        "did you mean `header`?",
        "`config.when_full`: found string \"Pass\", expected `pass` or `refuse`",
        "did you mean `pass`?",
        "10-limits.toml:5:",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[tokio::test]
async fn a_wrong_key_that_comes_while_it_runs_changes_nothing_but_the_log() {
    let upstream = Upstream::pinned("web").await;
    let setup = Setup::new().default_pool("web", Pool::pinned(&[&upstream]));
    let setup = setup.plugin("10-router", &wasm::reference("path-router"));
    let redirect = |to: &str| {
        format!(
            "[[config.rules]]\npaths = [\"/*\"]\nredirect = {{ status = 302, to = \"{to}\" }}\n"
        )
    };
    let setup = setup.sidecar("10-router", &redirect("/one"));
    let gateway = setup.start().await;
    let client = gateway.client(Http::One);
    let wrong = redirect("/two").replace("status", "statos");
    gateway.setup().put_sidecar("10-router", &wrong);
    gateway
        .logged(&["refuses its configuration", "10-router.toml:3"])
        .await;
    gateway.logged(&["`config.rules[0].redirect.statos`"]).await;
    gateway.logged(&["did you mean `status`?"]).await;
    let answer = client.get("https://shop.example/").await;
    assert_eq!(answer.header("location"), "/one");
    gateway
        .setup()
        .put_sidecar("10-router", &redirect("/three"));
    eventually!(
        "the sidecar that is right",
        (client.get("https://shop.example/").await.header("location") == "/three").then_some(())
    );
}

#[tokio::test]
async fn a_hostile_schema_keeps_no_gateway_from_its_work() {
    let choices = ["{\"$ref\": \"#/$defs/a\"}"; 8].join(",");
    let explosion =
        format!("{{\"$ref\": \"#/$defs/a\", \"$defs\": {{\"a\": {{\"anyOf\": [{choices}]}}}}}}");
    let upstream = Upstream::pinned("web").await;
    let hostile = [
        ("10-itself", "{\"$ref\": \"#\"}".to_owned()),
        ("11-explosion", explosion),
    ];
    let mut setup = Setup::new().default_pool("web", Pool::pinned(&[&upstream]));
    for (name, schema) in &hostile {
        setup = setup.plugin(name, &described(&wasm::answering(name), schema));
    }
    let gateway = setup.start().await;
    let answer = gateway.client(Http::One).get("https://shop.example/").await;
    assert_eq!(answer.header("x-answer"), "10-itself");
}

#[tokio::test]
async fn what_is_no_schema_is_refused_in_plain_words() {
    let deep = "[".repeat(100_000);
    let large = format!("{{\"a\": \"{}\"}}", "x".repeat(300_000));
    for (schema, expected) in [
        ("no json", "it is not JSON"),
        ("[1]", "expected a JSON object"),
        (deep.as_str(), "recursion limit exceeded"),
        (large.as_str(), "expected at most 262144"),
    ] {
        let dir = placed(&described(&wasm::answering("a"), schema), "");
        for command in ["check", "schema"] {
            let (ok, text) = plugin(command, &dir.path().join("20-a.wasm")).await;
            assert!(!ok && text.contains(expected), "{text}");
            assert!(
                text.contains("no usable schema of its configuration"),
                "{text}"
            );
        }
    }
}
