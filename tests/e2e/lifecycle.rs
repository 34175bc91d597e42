//! Start, reload, end, and the admin listener.

use std::net::SocketAddr;

use witgate_tests::{
    Http, eventually,
    gateway::{self, Gateway, Pool, Setup},
    over_h1_and_h2,
    upstream::Upstream,
};

const URL: &str = "https://shop.example/cart";

async fn gateway() -> (Upstream, Gateway) {
    let upstream = Upstream::pinned("web-1").await;
    let pool = Pool::pinned(&[&upstream]);
    let gateway = Setup::new().default_pool("web", pool).start().await;
    (upstream, gateway)
}

over_h1_and_h2! {
    async fn a_request_in_flight_ends_well_after_sigterm(http) {
        let (upstream, mut gateway) = gateway().await;
        let client = gateway.client(http);
        let held = tokio::spawn(async move { client.get("https://shop.example/hold").await });
        eventually!("the request", (upstream.requests() == 1).then_some(()));
        gateway.terminate().await;
        let late = gateway.client(http);
        eventually!("no new connection", late.try_get(URL).await.err());
        upstream.release(1);
        assert_eq!(held.await.unwrap().status, 200);
        assert_eq!(gateway.exit().await.code(), Some(0));
    }
}

#[tokio::test]
async fn an_idle_gateway_ends_at_once_and_well() {
    let (_upstream, gateway) = gateway().await;
    let client = gateway.client(Http::Two);
    client.get(URL).await;
    let begin = std::time::Instant::now();
    assert_eq!(gateway.stop().await.code(), Some(0));
    assert!(begin.elapsed().as_secs() < 10, "{:?}", begin.elapsed());
}

#[tokio::test]
async fn the_grace_period_ends_what_does_not_end_by_itself() {
    let upstream = Upstream::pinned("web-1").await;
    let mut gateway = Setup::new()
        .default_pool("web", Pool::pinned(&[&upstream]))
        .table("[timeouts]\nshutdown_grace = \"500ms\"")
        .start()
        .await;
    let client = gateway.client(Http::One);
    let hung = tokio::spawn(async move { client.try_get("https://shop.example/hang").await });
    eventually!("the request", (upstream.requests() == 1).then_some(()));
    gateway.terminate().await;
    gateway.exit().await;
    hung.await.unwrap().unwrap_err();
}

#[tokio::test]
async fn health_and_readiness_are_told() {
    let (_upstream, gateway) = gateway().await;
    assert_eq!(gateway.admin("/healthz").await.0, 200);
    assert_eq!(gateway.admin("/readyz").await.0, 200);
    assert_eq!(gateway.admin("/nothing").await.0, 404);
}

#[tokio::test]
async fn metrics_count_requests() {
    let (_upstream, gateway) = gateway().await;
    let before = requests(&gateway.metrics().await);
    let client = gateway.client(Http::Two);
    for _ in 0..10 {
        client.get(URL).await;
    }
    let counted = || async { requests(&gateway.metrics().await) - before };
    eventually!("ten requests", (counted().await == 10.0).then_some(()));
}

/// The sum of all `witgate_requests_total`.
fn requests(metrics: &str) -> f64 {
    let counts = metrics
        .lines()
        .filter(|line| line.starts_with("witgate_requests_total"));
    counts
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum()
}

#[tokio::test]
async fn metrics_are_in_the_format_of_prometheus() {
    let (_upstream, gateway) = gateway().await;
    gateway.client(Http::One).get(URL).await;
    let metrics = gateway.metrics().await;
    for part in [
        "# TYPE witgate_requests counter",
        "\nwitgate_requests_total{",
        "\nwitgate_reloads_total{result=\"applied\"} ",
        "le=\"+Inf\"",
    ] {
        assert!(metrics.contains(part), "{part:?} is missing:\n{metrics}");
    }
    for line in metrics
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
    {
        let value = line.rsplit(' ').next().unwrap();
        assert!(
            line.starts_with("witgate_") && value.parse::<f64>().is_ok(),
            "{line}"
        );
    }
}

#[tokio::test]
async fn sighup_reloads_although_no_file_has_changed() {
    let (_upstream, gateway) = gateway().await;
    let applied = || gateway.metric("witgate_reloads_total{result=\"applied\"}");
    let before = applied().await;
    gateway.hang_up().await;
    eventually!("a reload", (applied().await > before).then_some(()));
    assert_eq!(gateway.client(Http::One).get(URL).await.status, 200);
}

#[tokio::test]
async fn a_wrong_configuration_ends_the_start_with_file_line_and_key() {
    let setup = Setup::new();
    setup.write();
    let text = std::fs::read_to_string(setup.file()).unwrap();
    let line = text.lines().count() + 1;
    std::fs::write(setup.file(), format!("{text}[pools.web]\nendpoint = []\n")).unwrap();
    let file = setup.file().display().to_string();
    let output = gateway::output(&["run", "--config", &file]).await;
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    let place = format!("witgate.toml:{}", line + 1);
    assert!(
        message.contains(&place) && message.contains("endpoint"),
        "{message}"
    );
}

#[tokio::test]
async fn an_address_in_use_ends_the_start_with_the_address() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    does_not_start_on(taken.local_addr().unwrap()).await;
}

#[tokio::test]
async fn the_address_of_another_gateway_ends_the_start_with_the_address() {
    let (_upstream, first) = gateway().await;
    does_not_start_on(first.address()).await;
    assert_eq!(first.client(Http::One).get(URL).await.status, 200);
}

/// Asserts that a gateway ends on this address, and says where the configuration has it.
async fn does_not_start_on(address: SocketAddr) {
    let upstream = Upstream::plain("web-1").await;
    let setup = Setup::new().pool("web", Pool::plain(&[&upstream]));
    setup.write();
    let text = std::fs::read_to_string(setup.file()).unwrap();
    let name = "name = \"public\"\naddress = ";
    let text = text.replace(
        &format!("{name}\"127.0.0.1:0\""),
        &format!("{name}\"{address}\""),
    );
    assert!(text.contains(&address.to_string()), "{text}");
    std::fs::write(setup.file(), text).unwrap();
    let file = setup.file().display().to_string();
    let output = gateway::output(&["run", "--config", &file]).await;
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{message}");
    for part in ["listeners[0].address", &address.to_string()] {
        assert!(message.contains(part), "{part:?} is missing: {message}");
    }
}

#[tokio::test]
async fn the_access_log_can_go_to_a_file() {
    let upstream = Upstream::pinned("web-1").await;
    let gateway = Setup::new()
        .default_pool("web", Pool::pinned(&[&upstream]))
        .table("[access_log]\npath = \"access.jsonl\"")
        .start()
        .await;
    gateway.client(Http::One).get(URL).await;
    let file = gateway.setup().dir().join("access.jsonl");
    let text = || {
        std::fs::read_to_string(&file)
            .ok()
            .filter(|text| text.ends_with('\n'))
    };
    let text = eventually!("a line", text());
    let line: serde_json::Value = serde_json::from_str(text.trim()).unwrap();
    assert_eq!(line["path"], "/cart");
    assert!(gateway.access_lines().is_empty());
}
