//! Commands that try a plugin without a gateway: `plugin test`, `call` and `bench`.

use std::fs;

use witgate_tests::{TempDir, gateway::output, wasm};

const SIDECAR: &str = "[config]\nrules = [{ paths = [\"/api/*\"], pool = \"api\" }]\n";
const CASES: &str = r#"
[[cases]]
name = "the API has a pool of its own"
request = "https://shop.example/api/carts"
route = { forward = "api" }

[[cases]]
request = "https://shop.example/cart"
route = "pass"
"#;

struct Files(TempDir);

impl Files {
    fn new(cases: &str) -> Self {
        let dir = TempDir::new().unwrap();
        let write = |name: &str, bytes: &[u8]| fs::write(dir.path().join(name), bytes).unwrap();
        write("10-path-router.wasm", &wasm::reference("path-router"));
        write("10-path-router.toml", SIDECAR.as_bytes());
        if !cases.is_empty() {
            write("10-path-router.cases.toml", cases.as_bytes());
        }
        Self(dir)
    }

    /// Success, stdout and stderr.
    async fn run(&self, command: &str, arguments: &[&str]) -> (bool, String, String) {
        let file = self.0.path().join("10-path-router.wasm");
        let file = file.to_str().unwrap();
        let done = output(&[&["plugin", command, file], arguments].concat()).await;
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (done.status.success(), text(done.stdout), text(done.stderr))
    }
}

#[tokio::test]
async fn cases_are_tried_one_by_one_and_a_wrong_decision_is_shown() {
    let (ok, text, errors) = Files::new(CASES).run("test", &[]).await;
    assert!(ok, "{errors}");
    assert!(text.contains("2 cases"), "{text}");
    assert!(
        text.contains("ok     the API has a pool of its own\n"),
        "{text}"
    );
    let wrong = CASES.replace("route = \"pass\"", "route = { forward = \"web\" }");
    let (ok, text, errors) = Files::new(&wrong).run("test", &[]).await;
    assert!(!ok);
    for part in [
        "WRONG  case 2: GET https://shop.example/cart",
        "expected: forward web",
        "decided:  pass",
    ] {
        assert!(text.contains(part), "{text}");
    }
    assert!(
        errors.contains("1 of 2 cases decided otherwise"),
        "{errors}"
    );
    let (ok, _, errors) = Files::new("").run("test", &[]).await;
    assert!(
        !ok && errors.contains("there are no cases; expected"),
        "{errors}"
    );
}

#[tokio::test]
async fn what_is_decided_is_blessed_and_all_else_stays() {
    let cases = "# Why there are cases.\n\n[[cases]]\nname = \"a\" # of mine\nrequest = \"https://shop.example/api/x\"\n\
                 route = \"pass\" # not yet\n\n[[cases]]\nroute = { forward = \"web\", edits = [] }\n\
                 request = \"https://shop.example/api/y\"\n\n[[cases]]\nrequest = \"https://shop.example/\"\nroute = 'pass'\n";
    let files = Files::new(cases);
    let (ok, text, errors) = files.run("test", &["--bless"]).await;
    assert!(ok, "{errors}");
    assert!(
        text.contains("BLESS  a: GET https://shop.example/api/x"),
        "{text}"
    );
    assert!(text.contains("2 of 3 cases written as decided"), "{text}");
    let file = files.0.path().join("10-path-router.cases.toml");
    let expected = cases
        .replace(
            "route = \"pass\" # not yet",
            "route = { forward = \"api\" } # not yet",
        )
        .replace(
            "{ forward = \"web\", edits = [] }",
            "{ edits = [], forward = \"api\" }",
        );
    assert_eq!(fs::read_to_string(file).unwrap(), expected);
    let (ok, _, errors) = files.run("test", &[]).await;
    assert!(ok, "{errors}");
    let own_table =
        "[[cases]]\nrequest = \"https://shop.example/api/x\"\n[cases.route]\nforward = \"web\"\n";
    let (ok, _, errors) = Files::new(own_table).run("test", &["--bless"]).await;
    assert!(
        !ok && errors.contains("`cases[0].route`: write it as a value of one line"),
        "{errors}"
    );
}

#[tokio::test]
async fn a_call_shows_the_decision_and_its_time() {
    let files = Files::new("");
    let request = [
        "--request",
        "GET https://shop.example/api/x",
        "-H",
        "x-beta: 1",
    ];
    let (ok, text, errors) = files.run("call", &request).await;
    assert!(ok, "{errors}");
    assert!(text.starts_with("route: forward api"), "{text}");
    assert!(text.trim_end().ends_with("µs)"), "{text}");
    let (ok, _, errors) = files.run("call", &["--request", "GET shop"]).await;
    assert!(!ok && errors.contains("expected such as"), "{errors}");
}

#[tokio::test]
async fn a_bench_says_what_a_decision_costs() {
    let (ok, text, errors) = Files::new("").run("bench", &[]).await;
    assert!(ok, "{errors}");
    for part in [
        "path-router: ",
        "route",
        "median",
        "calls a second",
        "memory",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}
