//! Commands that try a plugin without a gateway: `plugin test`, `call` and `bench`.

use std::fs;

use witgate_tests::{
    Http, TempDir,
    gateway::{Gateway, Pool, Setup, output},
    upstream::Upstream,
    wasm,
};

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
async fn a_call_shows_the_decision_and_its_times() {
    let files = Files::new("");
    let request = [
        "--request",
        "GET https://shop.example/api/x",
        "-H",
        "x-beta: 1",
    ];
    let (ok, text, errors) = files.run("call", &request).await;
    assert!(ok, "{errors}");
    assert!(
        text.starts_with("route: forward api  (the first "),
        "{text}"
    );
    assert!(text.trim_end().ends_with("µs)"), "{text}");
    let (ok, _, errors) = files.run("call", &["--request", "GET shop"]).await;
    assert!(!ok && errors.contains("expected such as"), "{errors}");
}

#[tokio::test]
async fn a_call_that_is_decided_otherwise_the_next_time_says_so() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("10-counting.wasm");
    fs::write(&file, wasm::counting()).unwrap();
    let done = output(&["plugin", "call", file.to_str().unwrap()]).await;
    let text = String::from_utf8(done.stdout).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert!(lines[0].starts_with("route: respond 200"), "{text}");
    assert!(lines[0].contains("x-count: 1"), "{text}");
    assert!(lines[1].contains("x-count: 2"), "{text}");
    assert!(lines[1].ends_with("(asked again)"), "{text}");
}

#[tokio::test]
async fn a_bench_says_what_a_decision_costs() {
    let (ok, text, errors) = Files::new("").run("bench", &[]).await;
    assert!(ok, "{errors}");
    for part in [
        "path-router: ",
        "on a warm instance",
        "median",
        "mean",
        "99 %",
        "cold",
        "calls a second",
        "above an empty plugin's",
        "memory of an instance: ",
        " KiB, of the empty plugin's 64 KiB",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[tokio::test]
async fn a_bench_is_of_the_calls_that_the_gateway_makes() {
    let dir = TempDir::new().unwrap();
    let bench = async |name: &str, wasm: &[u8], sidecar: &str| {
        let file = dir.path().join(name);
        fs::write(&file, wasm).unwrap();
        fs::write(file.with_extension("toml"), sidecar).unwrap();
        let done = output(&["plugin", "bench", file.to_str().unwrap()]).await;
        assert!(done.status.success(), "{done:?}");
        String::from_utf8(done.stdout).unwrap()
    };
    // One that waits, beside an empty one that could.
    let sidecar = "grants = [\"callout\"]\ncallout.pools = [\"auth\"]\n\
                   [config]\npool = \"auth\"\npath = \"/check\"\n";
    let text = bench(
        "external-auth.wasm",
        &wasm::reference("external-auth"),
        sidecar,
    )
    .await;
    assert!(text.contains("  route "), "{text}");
    let text = bench("quiet.wasm", &wasm::guest("does-without"), "").await;
    assert!(text.contains("left out: "), "{text}");
    let text = bench(
        "counting.wasm",
        &wasm::counting(),
        "isolation = \"request\"\n",
    )
    .await;
    assert!(text.contains("each on a new instance"), "{text}");
}

/// How far apart two medians of the same calls may be, of some thousand and of some hundred on a machine
/// with other work.
const ALIKE: f64 = 3.0;

/// Where the median of a gateway is between a bench's with warm and with cold caches depends on what else
/// it does; a bucket of the histogram ends at twice of where it begins, which is allowed for as well.
#[tokio::test]
async fn call_and_bench_agree_with_the_metrics_of_a_gateway() {
    let request = "https://shop.example/api/carts/17?full=1";
    let upstream = Upstream::pinned("api-1").await;
    let gateway = Setup::new()
        .workers(1)
        .pool("api", Pool::pinned(&[&upstream]))
        .plugin("10-path-router", &wasm::reference("path-router"))
        .sidecar("10-path-router", SIDECAR)
        .start()
        .await;
    let client = gateway.client(Http::One);
    for _ in 0..REQUESTS {
        assert_eq!(client.get(request).await.status, 200);
    }
    let (from, to) = median(&gateway).await;
    let files = Files::new("");
    let (ok, bench, errors) = files.run("bench", &["--request", request]).await;
    assert!(ok, "{errors}");
    let (ok, call, errors) = files.run("call", &["--request", request]).await;
    assert!(ok, "{errors}");
    let line = bench.lines().find_map(|line| line.strip_prefix("  route "));
    let times: Vec<_> = line.unwrap().split(" µs").map(number).collect();
    let (warm, mean, slow, cold) = (times[0], times[1], times[2], times[3]);
    let of_call = number(call.split_once("a warm one ").unwrap().1);
    let shown = format!("{from} to {to} µs in the metrics;\n{bench}\n{call}");
    assert!(warm <= slow && mean > 0.0 && warm <= cold, "{shown}");
    assert!(warm / ALIKE <= to && from <= cold * ALIKE, "{shown}");
    assert!(
        warm / ALIKE <= of_call && of_call <= warm * ALIKE,
        "{shown}"
    );
}

const REQUESTS: u32 = 3000;

/// Between which times the median of the plugin's calls is, microseconds.
async fn median(gateway: &Gateway) -> (f64, f64) {
    let page = gateway.metrics().await;
    let bucket = "witgate_plugin_call_duration_seconds_bucket{";
    let lines = page.lines().filter(|line| line.starts_with(bucket));
    let buckets: Vec<(f64, f64)> = lines
        .map(|line| {
            let (series, count) = line.rsplit_once(' ').unwrap();
            let (_, bound) = series.split_once("le=\"").unwrap();
            let bound = bound.split('"').next().unwrap().replace("+Inf", "inf");
            (bound.parse::<f64>().unwrap() * 1e6, count.parse().unwrap())
        })
        .collect();
    let calls = buckets.last().unwrap().1;
    assert_eq!(calls, f64::from(REQUESTS), "{page}");
    let at = buckets.iter().position(|(_, count)| *count >= calls / 2.0);
    let at = at.unwrap();
    let from = at.checked_sub(1).map_or(0.0, |before| buckets[before].0);
    (from, buckets[at].0)
}

/// The first word of a text.
fn number(text: &str) -> f64 {
    let word = text.split_whitespace().next();
    word.and_then(|word| word.parse().ok()).unwrap_or(f64::NAN)
}
