//! Upgrades and tunnels over HTTP/1.1, as bytes on raw sockets, and real WebSockets. Numbers are
//! those of the table of faults.

use std::{fs, process::Stdio, time::Duration};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    process::Command,
};
use witgate_tests::{
    Http,
    certs::Identity,
    eventually,
    gateway::{Gateway, Pool, Setup},
    peers,
    raw::TlsClient,
    tunnel::{Endpoint, ends, field, gets, gets_nothing, head, switch},
    upstream::{Manner, Upstream},
    wait,
};

const UPGRADE: &str = "GET /chat?a=b HTTP/1.1\r\nhost: shop.example\r\nconnection: Upgrade\r\n\
    upgrade: websocket\r\nsec-websocket-version: 13\r\n\
    sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const OPEN: &str = "witgate_tunnels_open{listener=\"public\"}";

async fn gateway(change: impl FnOnce(Setup) -> Setup) -> (Endpoint, Gateway) {
    let endpoint = Endpoint::start().await;
    let setup = Setup::new().default_pool("web", endpoint.pool());
    let gateway = change(setup).start().await;
    (endpoint, gateway)
}

/// A client's connection that has sent these bytes.
async fn sent(gateway: &Gateway, bytes: &str) -> TlsClient {
    let mut client = gateway.raw().await.into_inner();
    client.write_all(bytes.as_bytes()).await.unwrap();
    client.flush().await.unwrap();
    client
}

/// Both ends of an open tunnel.
async fn tunnel(gateway: &Gateway, endpoint: &Endpoint) -> (TlsClient, tokio::net::TcpStream) {
    let mut client = sent(gateway, UPGRADE).await;
    let server = endpoint.switched().await;
    let answer = head(&mut client).await;
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    (client, server)
}

/// How many descriptors this process may have.
fn descriptors() -> usize {
    let limits = fs::read_to_string("/proc/self/limits").unwrap();
    let files = limits.split("Max open files").nth(1).unwrap();
    let soft = files.split_whitespace().next().unwrap();
    soft.parse().unwrap_or(usize::MAX)
}

async fn line(gateway: &Gateway) -> serde_json::Value {
    gateway
        .access_line_where(|line| line["tunnel"].is_object())
        .await
}

async fn works(client: &mut TlsClient, server: &mut tokio::net::TcpStream) {
    client.write_all(b"up").await.unwrap();
    gets(server, b"up").await;
    server.write_all(b"down").await.unwrap();
    gets(client, b"down").await;
}

#[tokio::test]
async fn an_upgrade_is_routed_asked_for_anew_and_logged_at_its_end() {
    let (endpoint, gateway) = gateway(|setup| setup).await;
    let request = UPGRADE.replace(
        "connection: Upgrade\r\n",
        "connection: x-secret, upgrade, keep-alive\r\nx-secret: 1\r\nkeep-alive: 5\r\n",
    );
    let mut client = sent(&gateway, &request).await;
    let (mut server, asked) = endpoint.request().await;
    assert!(asked.starts_with("GET /chat?a=b HTTP/1.1\r\n"), "{asked}");
    for (name, value) in [
        ("connection", Some("upgrade")),
        ("upgrade", Some("websocket")),
        ("sec-websocket-key", Some("dGhlIHNhbXBsZSBub25jZQ==")),
        ("x-secret", None),
        ("keep-alive", None),
    ] {
        assert_eq!(field(&asked, name), value, "{name} in {asked}");
    }
    // Bytes right behind the 101 are the tunnel's first.
    let answer = switch(&asked) + "hello";
    server.write_all(answer.as_bytes()).await.unwrap();
    let told = head(&mut client).await;
    assert!(told.starts_with("HTTP/1.1 101 "), "{told}");
    assert_eq!(field(&told, "upgrade"), Some("websocket"));
    assert_eq!(field(&told, "connection"), Some("upgrade"));
    assert_eq!(
        field(&told, "sec-websocket-accept"),
        Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    );
    assert_eq!(field(&told, "content-length"), None);
    gets(&mut client, b"hello").await;
    works(&mut client, &mut server).await;
    eventually!(
        "an open tunnel",
        (gateway.metric(OPEN).await == 1.0).then_some(())
    );
    assert!(
        gateway.access_lines().is_empty(),
        "the line comes at the end"
    );
    drop(server);
    assert!(
        ends(&mut client).await,
        "the end of the endpoint is passed on"
    );
    client.shutdown().await.unwrap();
    let line = line(&gateway).await;
    assert_eq!(
        (&line["status"], &line["bytes_in"], &line["bytes_out"]),
        (&101.into(), &2.into(), &9.into())
    );
    assert_eq!(line["tunnel"]["protocol"], "websocket");
    assert_eq!(line["tunnel"]["ended_by"], "endpoint");
    assert_eq!(
        (&line["endpoint"], &line["cause"]),
        (&"raw".into(), &serde_json::Value::Null)
    );
    eventually!(
        "no open tunnel",
        (gateway.metric(OPEN).await == 0.0).then_some(())
    );
}

#[tokio::test]
async fn fault_21_no_byte_behind_an_upgrade_is_passed_on_before_the_101() {
    const BEHIND: &str = "GET /evil HTTP/1.1\r\nhost: shop.example\r\n\r\n";
    let (endpoint, gateway) = gateway(|setup| setup).await;
    let mut client = sent(&gateway, &(UPGRADE.to_owned() + BEHIND)).await;
    let (mut server, asked) = endpoint.request().await;
    gets_nothing(&mut server).await;
    server.write_all(switch(&asked).as_bytes()).await.unwrap();
    head(&mut client).await;
    gets(&mut server, BEHIND.as_bytes()).await;
    works(&mut client, &mut server).await;
    endpoint.is_left_alone().await;
}

#[tokio::test]
async fn fault_21_a_refused_upgrade_ends_both_connections() {
    const BEHIND: &str = "GET /evil HTTP/1.1\r\nhost: shop.example\r\n\r\n";
    let (endpoint, gateway) = gateway(|setup| setup).await;
    for behind in ["", BEHIND] {
        let mut client = sent(&gateway, &(UPGRADE.to_owned() + behind)).await;
        let (mut server, _) = endpoint.request().await;
        let refusal = "HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno";
        server.write_all(refusal.as_bytes()).await.unwrap();
        let told = head(&mut client).await;
        assert!(told.starts_with("HTTP/1.1 403 "), "{told}");
        assert_eq!(field(&told, "connection"), Some("close"));
        gets(&mut client, b"no").await;
        assert!(ends(&mut client).await);
        ends(&mut server).await;
        endpoint.is_left_alone().await;
    }
}

#[tokio::test]
async fn fault_21_an_upgrade_with_a_body_is_an_ordinary_request() {
    let upstream = Upstream::plain("web-1").await;
    let gateway = Setup::new()
        .default_pool("web", Pool::plain(&[&upstream]))
        .listener("requests.upgrades = [\"*\"]")
        .start()
        .await;
    for (framing, body) in [
        ("content-length: 5\r\n", "12345"),
        ("transfer-encoding: chunked\r\n", "5\r\n12345\r\n0\r\n\r\n"),
    ] {
        for method in ["GET", "POST"] {
            let head = format!(
                "{method} /echo HTTP/1.1\r\nhost: shop.example\r\nconnection: upgrade, close\r\n\
                 upgrade: other\r\n{framing}\r\n{body}"
            );
            let mut socket = gateway.raw().await;
            socket.send(head.as_bytes()).await;
            let answer = socket.read_to_end().await;
            assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
            assert!(!answer.contains("[\"upgrade\""), "{answer}");
        }
    }
}

#[tokio::test]
async fn fault_21_only_what_was_offered_may_be_switched_to() {
    for answer in [
        &b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: other\r\n\r\nbytes"
            [..],
        b"HTTP/1.1 101 Switching Protocols\r\n\r\nbytes",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket, other\r\n\r\nbytes",
    ] {
        let upstream = Upstream::start("raw", None, Manner::Early(answer)).await;
        let gateway = Setup::new()
            .default_pool("web", Pool::plain(&[&upstream]))
            .start()
            .await;
        for asked in [
            UPGRADE,
            "GET / HTTP/1.1\r\nhost: shop.example\r\nconnection: close\r\n\r\n",
        ] {
            let mut socket = gateway.raw().await;
            socket.send(asked.as_bytes()).await;
            let told = socket.read_to_end().await;
            assert!(told.starts_with("HTTP/1.1 502 "), "{told}");
            assert!(
                told.contains("response-invalid") && !told.contains("bytes"),
                "{told}"
            );
        }
    }
}

#[tokio::test]
async fn upgrades_that_are_not_allowed_are_served_as_if_the_field_were_not_there() {
    let upstream = Upstream::plain("web-1").await;
    for (upgrades, offered) in [
        ("[]", "websocket"),
        ("[\"websocket\"]", "other"),
        ("[\"*\"]", "h2c"),
        ("[\"*\"]", "HTTP/2.0"),
    ] {
        let gateway = Setup::new()
            .default_pool("web", Pool::plain(&[&upstream]))
            .listener(&format!("requests.upgrades = {upgrades}"))
            .start()
            .await;
        let field = format!("Upgrade: {offered}");
        let fields = [
            "-H",
            "Connection: Upgrade",
            "-H",
            &field,
            "-H",
            "HTTP2-Settings: AAMAAABkAAQAAP__",
        ];
        let answer = gateway
            .curl(Http::One, "https://shop.example/", &fields)
            .await;
        assert_eq!(answer.status, 200);
        let echo = answer.body.to_ascii_lowercase();
        for name in ["[\"upgrade\"", "[\"connection\"", "[\"http2-settings\""] {
            assert!(!echo.contains(name), "{echo}");
        }
        assert!(
            !answer
                .head
                .to_ascii_lowercase()
                .contains("connection: close"),
            "{}",
            answer.head
        );
    }
}

#[tokio::test]
async fn connect_is_refused_and_told_what_is_not() {
    let (_endpoint, gateway) = gateway(|setup| setup).await;
    let mut client = sent(&gateway, "CONNECT shop.example:443 HTTP/1.1\r\nhost: shop.example\r\n\r\nGET / HTTP/1.1\r\nhost: shop.example\r\n\r\n").await;
    let told = head(&mut client).await;
    assert!(told.starts_with("HTTP/1.1 405 "), "{told}");
    assert_eq!(
        field(&told, "allow"),
        Some("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")
    );
    assert_eq!(field(&told, "connection"), Some("close"));
}

#[tokio::test]
async fn a_half_closed_tunnel_carries_on_the_other_way() {
    let (endpoint, gateway) = gateway(|setup| setup).await;
    let (mut client, mut server) = tunnel(&gateway, &endpoint).await;
    client.write_all(b"last").await.unwrap();
    client.shutdown().await.unwrap();
    gets(&mut server, b"last").await;
    assert!(ends(&mut server).await);
    server.write_all(b"late").await.unwrap();
    gets(&mut client, b"late").await;
    drop(server);
    assert!(ends(&mut client).await);
    let line = line(&gateway).await;
    assert_eq!(line["tunnel"]["ended_by"], "client");
    assert_eq!(line["cause"], serde_json::Value::Null, "{line}");
}

#[tokio::test]
async fn fault_34_a_side_that_breaks_cuts_the_other() {
    let (endpoint, gateway) = gateway(|setup| setup).await;
    let (mut client, server) = tunnel(&gateway, &endpoint).await;
    client.write_all(b"unread").await.unwrap();
    eventually!("the bytes", server.try_read(&mut [0; 1]).ok());
    // What it has not read makes this a reset.
    drop(server);
    assert!(!ends(&mut client).await, "a cut tunnel looks whole");
    let broken = gateway
        .access_line_where(|line| line["cause"] == "response-cut")
        .await;
    assert_eq!(broken["tunnel"]["ended_by"], "endpoint");
    let (client, mut server) = tunnel(&gateway, &endpoint).await;
    drop(client);
    ends(&mut server).await;
    let left = gateway
        .access_line_where(|line| line["cause"] == "client-closed")
        .await;
    assert_eq!(left["tunnel"]["ended_by"], "client");
}

#[tokio::test]
async fn fault_34_silence_ends_a_tunnel_and_bytes_in_one_direction_keep_it() {
    let idle = "[timeouts]\ntunnel_idle = \"1s\"";
    let (endpoint, gateway) = gateway(|setup| setup.table(idle)).await;
    let (mut client, mut server) = tunnel(&gateway, &endpoint).await;
    for _ in 0..15 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        server.write_all(b"x").await.unwrap();
        gets(&mut client, b"x").await;
    }
    ends(&mut client).await;
    ends(&mut server).await;
    let line = line(&gateway).await;
    assert_eq!(
        (&line["cause"], &line["tunnel"]["ended_by"]),
        (&"tunnel-idle".into(), &"gateway".into())
    );
}

#[tokio::test]
async fn fault_34_a_side_that_is_silent_behind_the_others_end_is_cut() {
    let idle = "[timeouts]\nbody_idle = \"300ms\"";
    let (endpoint, gateway) = gateway(|setup| setup.table(idle)).await;
    let (mut client, mut server) = tunnel(&gateway, &endpoint).await;
    client.shutdown().await.unwrap();
    assert!(ends(&mut server).await);
    ends(&mut client).await;
    assert_eq!(line(&gateway).await["cause"], "tunnel-idle");
}

#[tokio::test]
async fn a_slow_reader_holds_the_other_side_up_and_gets_every_byte() {
    const BYTES: usize = 50_000_000;
    let (endpoint, gateway) = gateway(|setup| setup).await;
    let (mut client, mut server) = tunnel(&gateway, &endpoint).await;
    let before = gateway.resident();
    let sending = tokio::spawn(async move {
        let piece = vec![7; 1 << 20];
        let mut left = BYTES;
        while left > 0 {
            let now = left.min(piece.len());
            server.write_all(&piece[..now]).await.unwrap();
            left -= now;
        }
    });
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(!sending.is_finished(), "nobody has read it");
    let grown = gateway.resident().saturating_sub(before);
    assert!(grown < 10_000_000, "{grown}");
    let mut read = 0;
    let mut piece = vec![0; 1 << 16];
    loop {
        match client.read(&mut piece).await.unwrap() {
            0 => break,
            some => read += some,
        }
    }
    assert_eq!(read, BYTES);
    sending.await.unwrap();
}

#[tokio::test]
async fn fault_34_tunnels_live_through_reloads_that_remove_their_endpoint() {
    let (endpoint, mut gateway) = gateway(|setup| setup).await;
    let (mut client, mut server) = tunnel(&gateway, &endpoint).await;
    let other = Upstream::plain("web-2").await;
    let applied = "witgate_reloads_total{result=\"applied\"}";
    let before = gateway.metric(applied).await;
    gateway.configure(|setup| {
        let mut setup = setup.default_pool("new", Pool::plain(&[&other]));
        setup = setup.pool("web", Pool::plain(&[&other]).with("drain_for = \"0s\""));
        setup.listener("requests.upgrades = []")
    });
    gateway.counted(applied, before + 1.0).await;
    eventually!("the new pool", {
        let answer = gateway.client(Http::One).get("https://shop.example/").await;
        (answer.status == 200).then_some(())
    });
    works(&mut client, &mut server).await;
    drop(server);
    assert!(ends(&mut client).await);
    client.shutdown().await.unwrap();
    assert_eq!(line(&gateway).await["endpoint"], "raw");
}

#[tokio::test]
async fn fault_53_tunnels_have_the_grace_period_and_the_drain_waits_for_them() {
    // Each takes two descriptors here, and other tests run beside this one.
    let many = (descriptors() / 4).min(1000);
    let (endpoint, mut gateway) = gateway(|setup| setup).await;
    let mut open = Vec::new();
    for _ in 0..many {
        open.push(tunnel(&gateway, &endpoint).await);
    }
    gateway.terminate().await;
    gateway.logged(&["draining"]).await;
    for (client, server) in &mut open {
        works(client, server).await;
    }
    for (mut client, server) in open {
        drop(server);
        assert!(ends(&mut client).await);
        client.shutdown().await.unwrap();
    }
    assert_eq!(gateway.exit().await.code(), Some(0));
    assert_eq!(gateway.access_lines().len(), many);
}

#[tokio::test]
async fn fault_53_the_end_of_the_grace_period_cuts_tunnels_and_logs_them() {
    let grace = "[timeouts]\nshutdown_grace = \"500ms\"";
    let (endpoint, mut gateway) = gateway(|setup| setup.table(grace)).await;
    let (mut client, mut server) = tunnel(&gateway, &endpoint).await;
    gateway.terminate().await;
    gateway.exit().await;
    ends(&mut client).await;
    ends(&mut server).await;
    let line = line(&gateway).await;
    assert_eq!(
        (&line["cause"], &line["tunnel"]["ended_by"]),
        (&"shutdown".into(), &"gateway".into())
    );
}

#[tokio::test]
async fn a_tunnel_counts_among_what_its_endpoint_may_have() {
    for limit in ["requests = 1", "connections = 1"] {
        let endpoint = Endpoint::start().await;
        let pool = endpoint.pool().with(&format!(
            "limits = {{ {limit}, queue_timeout = \"300ms\" }}"
        ));
        let gateway = Setup::new().default_pool("web", pool).start().await;
        let (mut client, server) = tunnel(&gateway, &endpoint).await;
        let refused = gateway.client(Http::One).get("https://shop.example/").await;
        assert_eq!(
            (refused.status.as_u16(), refused.cause()),
            (503, "endpoint-queue-timeout"),
            "{limit}"
        );
        drop(server);
        assert!(ends(&mut client).await);
        client.shutdown().await.unwrap();
        line(&gateway).await;
        drop(tunnel(&gateway, &endpoint).await);
    }
}

#[tokio::test]
async fn a_tunnel_gets_the_place_of_an_idle_connection() {
    let upstream = Upstream::plain("web-1").await;
    let pool = Pool::plain(&[&upstream]).with("limits = { connections = 1 }");
    let gateway = Setup::new()
        .workers(1)
        .default_pool("web", pool)
        .start()
        .await;
    let client = gateway.client(Http::One);
    assert_eq!(client.get("https://shop.example/").await.status, 200);
    // The endpoint does not switch; what counts is that it was asked, over another connection.
    let mut refused = sent(&gateway, UPGRADE).await;
    let answer = head(&mut refused).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert_eq!(upstream.connections(), 2);
}

#[tokio::test]
async fn an_endpoint_of_http_2_alone_is_not_ejected_for_want_of_tunnels() {
    for http in ["auto", "h2"] {
        let upstream = Upstream::h2("web-1").await;
        let pool = Pool::pinned(&[&upstream]).with(&format!("http = \"{http}\""));
        let gateway = Setup::new().default_pool("web", pool).start().await;
        for _ in 0..10 {
            let mut client = sent(&gateway, UPGRADE).await;
            let answer = head(&mut client).await;
            assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
        }
        let state = gateway.endpoint("web", "web-1").await;
        assert_eq!(state["ejections"], 0, "{http}: {state}");
        let answer = gateway.client(Http::Two).get("https://shop.example/").await;
        assert_eq!(answer.status, 200, "{http}");
    }
}

#[tokio::test]
async fn fault_34_real_websockets_go_through_tls_on_both_sides_unchanged() {
    real_websockets("auto").await;
}

#[tokio::test]
async fn fault_34_real_websockets_go_to_http_1_1_in_a_pool_of_http_2() {
    real_websockets("h2").await;
}

async fn real_websockets(http: &str) {
    let identity = Identity::self_signed(&["web.internal"]);
    let dir = witgate_tests::TempDir::new().unwrap();
    identity.write(dir.path(), "web");
    let script = peers::script("websocket.py");
    let mut server = Command::new(peers::python())
        .arg(&script)
        .arg("server")
        .arg(dir.path().join("web.pem"))
        .arg(dir.path().join("web.key"))
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut said = BufReader::new(server.stdout.take().unwrap()).lines();
    let port = said.next_line().await.unwrap().expect("a port");
    // The server takes HTTP/2 when it is offered, as it is for requests in both.
    let pool = Pool::of(&format!(
        "http = \"{http}\"\nendpoints = [\"127.0.0.1:{port}\"]\ntrust.certificates = [\"{}\"]",
        identity.fingerprint()
    ));
    let gateway = Setup::new().default_pool("web", pool).start().await;
    let client = Command::new(peers::python())
        .arg(&script)
        .arg("client")
        .arg(gateway.address().to_string())
        .arg(gateway.setup().root_file())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(3 * wait::DEADLINE, client)
        .await
        .expect("it ends")
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && text.trim() == "ok",
        "{text}\n{errors}"
    );
    for code in ["closed 4002", "closed 4002", "closed 4001"] {
        assert_eq!(said.next_line().await.unwrap().as_deref(), Some(code));
    }
}
