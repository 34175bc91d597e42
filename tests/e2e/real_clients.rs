//! Clients that people use, each with its own ideas of HTTP and TLS: curl, Python's httpx,
//! node's fetch and http2, nghttp and h2load. Certificates are verified.

use std::{fs, path::Path, process::Output, time::Duration};

use tokio::process::Command;
use witgate_tests::{
    Http,
    gateway::{Gateway, Pool, Setup},
    over_h1_and_h2,
    peers::{in_path, python, script},
    upstream::{GZIP, Upstream},
};

/// For a client to do all that it does, on a loaded machine.
const LIMIT: Duration = Duration::from_secs(120);

async fn gateway() -> (Upstream, Gateway) {
    let upstream = Upstream::pinned("web-1").await;
    let setup = Setup::new().default_pool("web", Pool::pinned(&[&upstream]));
    (upstream, setup.start().await)
}

/// Where clients find it under a name that its certificate has.
fn url(gateway: &Gateway) -> String {
    format!("https://localhost:{}", gateway.address().port())
}

async fn spawn(program: impl AsRef<Path>, arguments: &[&str], ca: Option<&Path>) -> Output {
    let program = program.as_ref();
    let mut command = Command::new(program);
    // Nothing that the machine trusts besides, or sends its requests through.
    for name in ["SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS"] {
        command.env_remove(name);
        if let Some(ca) = ca {
            command.env(name, ca);
        }
    }
    command.args(arguments).kill_on_drop(true);
    let ended = tokio::time::timeout(LIMIT, command.output()).await;
    ended
        .unwrap_or_else(|_| panic!("{} does not end", program.display()))
        .unwrap_or_else(|error| panic!("{}: {error}", program.display()))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A program of Debian's that set-up installs.
fn installed(name: &str) -> std::path::PathBuf {
    in_path(name).unwrap_or_else(|| panic!("no {name}: run `cargo xtask setup`"))
}

/// What a script printed: the names of its checks.
fn went_well(output: &Output) -> Vec<String> {
    let [printed, errors] = [&output.stdout, &output.stderr].map(|bytes| text(bytes));
    assert!(output.status.success(), "{printed}{errors}");
    printed.lines().map(str::to_owned).collect()
}

/// Connections that clients have opened so far.
async fn connections(gateway: &Gateway) -> f64 {
    gateway
        .metric("witgate_connections_total{listener=\"public\"}")
        .await
}

over_h1_and_h2! {
    async fn httpx_is_served(http) {
        let (_upstream, gateway) = gateway().await;
        let version = if http == Http::One { "h1" } else { "h2" };
        let (script, ca) = (script("httpx_client.py"), gateway.setup().root_file());
        let arguments = [script.to_str().unwrap(), &url(&gateway), ca.to_str().unwrap(), version];
        let output = spawn(python(), &arguments, None).await;
        assert_eq!(
            went_well(&output),
            [
                "get", "post_of_1_mib", "streamed_upload", "streamed_download", "hundred_requests",
                "redirect", "gzip", "trailers", "verification",
            ]
        );
        // One for all requests, and one that did not trust it.
        assert_eq!(connections(&gateway).await, 2.0);
    }

    async fn curl_does_all_that_it_can(http) {
        let (_upstream, gateway) = gateway().await;
        let file = gateway.setup().dir().join("body");
        let body: Vec<u8> = (0..1_u32 << 20).flat_map(|n| n.to_le_bytes()).take(1 << 20).collect();
        fs::write(&file, &body).unwrap();
        let data = format!("@{}", file.display());
        let url = |path: &str| url(&gateway) + path;
        let ca = gateway.setup().root_file();
        let version = if http == Http::One { "--http1.1" } else { "--http2" };
        let curl = async |arguments: &[&str]| {
            let common = ["-sS", "--noproxy", "*", "--cacert", ca.to_str().unwrap(), version];
            let output = spawn("curl", &[&common, arguments].concat(), None).await;
            assert!(output.status.success(), "{}", text(&output.stderr));
            output.stdout
        };
        assert_eq!(curl(&["--data-binary", &data, &url("/mirror")]).await, body);
        assert_eq!(curl(&[&url("/gzip")]).await, GZIP);
        let moved = text(&curl(&["-i", &url("/redirect/302")]).await);
        assert!(moved.contains(" 302") && moved.contains("location: /elsewhere\r\n"), "{moved}");
        let told = curl(&["-o", "/dev/null", "-w", "%{size_download}", &url("/bytes/20000000")]).await;
        assert_eq!(text(&told), "20000000");
        let trailers = text(&curl(&["-D", "-", "-H", "te: trailers", &url("/trailers")]).await);
        assert!(trailers.contains("x-checksum: abc\r\n"), "{trailers}");
        let before = connections(&gateway).await;
        let many = curl(&["-w", "%{http_code}\n", "-o", "/dev/null", &url("/[1-100]")]).await;
        assert_eq!(text(&many), "200\n".repeat(100));
        assert_eq!(connections(&gateway).await, before + 1.0);
    }
}

#[tokio::test]
async fn curl_does_not_trust_an_unknown_issuer() {
    let (upstream, gateway) = gateway().await;
    let output = spawn("curl", &["-sS", "--noproxy", "*", &url(&gateway)], None).await;
    assert_eq!(output.status.code(), Some(60), "{}", text(&output.stderr));
    assert_eq!(upstream.requests(), 0);
}

#[tokio::test]
async fn fetch_of_node_is_served() {
    let (_upstream, gateway) = gateway().await;
    let script = script("../node/fetch.mjs");
    let arguments = [script.to_str().unwrap(), &url(&gateway)];
    let ca = gateway.setup().root_file();
    let output = spawn(installed("node"), &arguments, Some(&ca)).await;
    assert_eq!(
        went_well(&output),
        [
            "get",
            "post_of_1_mib",
            "streamed_upload",
            "streamed_download",
            "hundred_requests",
            "redirect",
            "gzip",
            "trailers"
        ]
    );
    // It opens another one while the first still ends the streamed upload.
    let opened = connections(&gateway).await;
    assert!(opened <= 3.0, "{opened} connections");
    let stranger = spawn(installed("node"), &arguments, None).await;
    assert!(!stranger.status.success());
    let errors = text(&stranger.stderr);
    assert!(errors.contains("UNABLE_TO_VERIFY"), "{errors}");
}

#[tokio::test]
async fn http2_of_node_is_served() {
    let (_upstream, gateway) = gateway().await;
    let script = script("../node/http2.mjs");
    let ca = gateway.setup().root_file();
    let arguments = [
        script.to_str().unwrap(),
        &url(&gateway),
        ca.to_str().unwrap(),
    ];
    let output = spawn(installed("node"), &arguments, None).await;
    assert_eq!(
        went_well(&output),
        [
            "get",
            "post_of_1_mib",
            "streamed_download",
            "hundred_requests_at_once",
            "redirect",
            "gzip",
            "trailers"
        ]
    );
    assert_eq!(connections(&gateway).await, 1.0);
}

#[tokio::test]
async fn nghttp_is_served_and_shows_the_trailers() {
    let (_upstream, gateway) = gateway().await;
    let ca = gateway.setup().root_file();
    let url = url(&gateway) + "/trailers";
    let arguments = ["-v", "--no-dep", "-H", "te: trailers", &url];
    let output = spawn(installed("nghttp"), &arguments, Some(&ca)).await;
    let printed = text(&output.stdout) + &text(&output.stderr);
    assert!(output.status.success(), "{printed}");
    for part in [":status: 200", "with trailers", "x-checksum: abc"] {
        assert!(printed.contains(part), "{part}: {printed}");
    }
    assert!(!printed.contains("[WARNING]"), "{printed}");
    let stranger = spawn(installed("nghttp"), &arguments, None).await;
    let printed = text(&stranger.stdout) + &text(&stranger.stderr);
    assert!(printed.contains("verification failed"), "{printed}");
}

over_h1_and_h2! {
    async fn h2load_loses_no_request(http) {
        let (upstream, gateway) = gateway().await;
        let mut arguments = vec!["-n", "2000", "-c", "4", "-m", "10"];
        if http == Http::One {
            arguments.push("--h1");
        }
        let url = url(&gateway) + "/bytes/1000";
        arguments.push(&url);
        let output = spawn(installed("h2load"), &arguments, None).await;
        let printed = text(&output.stdout);
        assert!(printed.contains("2000 succeeded, 0 failed, 0 errored, 0 timeout"), "{printed}");
        assert!(printed.contains("status codes: 2000 2xx"), "{printed}");
        assert_eq!(upstream.requests(), 2000);
        assert_eq!(connections(&gateway).await, 4.0);
    }
}
