//! How connections open: without TLS, with the PROXY protocol, and with the wrong one of both.

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use witgate_tests::{
    Http,
    client::trusting,
    gateway::{Gateway, Pool, Setup},
    raw_h2::{END_STREAM, PREFACE, headers, settings},
    upstream::Upstream,
    wait, wasm,
};

async fn gateway(change: impl FnOnce(Setup) -> Setup) -> (Upstream, Gateway) {
    let upstream = Upstream::pinned("web-1").await;
    let setup = Setup::new().default_pool("web", Pool::pinned(&[&upstream]));
    let gateway = change(setup).start().await;
    (upstream, gateway)
}

fn plain(setup: Setup) -> Setup {
    setup.certificates(&[]).listener("protocol = \"http\"")
}

/// Sends these bytes without TLS, and returns all that comes back.
async fn answer(gateway: &Gateway, bytes: &[u8]) -> String {
    let mut socket = TcpStream::connect(gateway.address()).await.unwrap();
    let _ = socket.write_all(bytes).await;
    let mut read = Vec::new();
    let _ = tokio::time::timeout(wait::DEADLINE, socket.read_to_end(&mut read))
        .await
        .expect("the end of the connection");
    String::from_utf8_lossy(&read).into_owned()
}

fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nhost: Shop.example:80\r\nconnection: close\r\n\r\n")
}

fn ended(cause: &str) -> String {
    format!("witgate_connections_ended_total{{listener=\"public\",cause=\"{cause}\"}}")
}

#[tokio::test]
async fn a_plain_listener_serves_and_says_so_to_plugins() {
    let forwarded = wasm::reference("forwarded-headers");
    let (_upstream, gateway) =
        gateway(|setup| plain(setup).plugin("40-forwarded-headers", &forwarded)).await;
    let answer = answer(&gateway, get("/a?b").as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.contains("\"target\":\"/a?b\""), "{answer}");
    assert!(
        answer.contains("[\"x-forwarded-proto\",\"http\"]"),
        "{answer}"
    );
    assert!(answer.contains("[\"host\",\"shop.example\"]"), "{answer}");
}

#[tokio::test]
async fn a_plain_listener_speaks_http2_with_prior_knowledge() {
    let (upstream, gateway) = gateway(plain).await;
    let mut socket = TcpStream::connect(gateway.address()).await.unwrap();
    let fields: &[(&[u8], &[u8])] = &[
        (b":method", b"GET"),
        (b":scheme", b"http"),
        (b":authority", b"shop.example"),
        (b":path", b"/bytes/100"),
    ];
    let bytes = [PREFACE, &settings(&[]), &headers(1, END_STREAM, fields)].concat();
    socket.write_all(&bytes).await.unwrap();
    let mut read = [0; 9];
    socket.read_exact(&mut read).await.unwrap();
    assert_eq!(read[3], 4, "a SETTINGS frame");
    witgate_tests::eventually!("the request", (upstream.requests() == 1).then_some(()));
}

#[tokio::test]
async fn a_redirect_keeps_host_path_and_query_or_goes_where_it_is_told() {
    for (keys, status, location) in [
        ("{}", "308", "https://shop.example/a/c?x=/../y"),
        (
            "{ status = 301, port = 8443 }",
            "301",
            "https://shop.example:8443/a/c?x=/../y",
        ),
        (
            "{ status = 302 }",
            "302",
            "https://shop.example/a/c?x=/../y",
        ),
        (
            "{ status = 307 }",
            "307",
            "https://shop.example/a/c?x=/../y",
        ),
        (
            "{ status = 303, path = \"drop\", query = \"drop\" }",
            "303",
            "https://shop.example/",
        ),
        (
            "{ to = \"https://www.shop.example\" }",
            "308",
            "https://www.shop.example/a/c?x=/../y",
        ),
        (
            "{ to = \"https://www.shop.example:8443/moved/\", query = \"drop\" }",
            "308",
            "https://www.shop.example:8443/moved/a/c",
        ),
        (
            "{ to = \"https://www.shop.example\", path = \"drop\" }",
            "308",
            "https://www.shop.example/?x=/../y",
        ),
        (
            "{ to = \"https://status.example/?from=shop\", path = \"drop\", query = \"drop\" }",
            "308",
            "https://status.example/?from=shop",
        ),
    ] {
        let (upstream, gateway) =
            gateway(|setup| plain(setup).listener(&format!("https_redirect = {keys}"))).await;
        let answer = answer(&gateway, get("/a/./b/../c?x=/../y").as_bytes()).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{answer}"
        );
        assert!(
            answer.contains(&format!("location: {location}\r\n")),
            "{answer}"
        );
        assert!(answer.ends_with("\r\n\r\n"), "no body: {answer}");
        assert_eq!(upstream.connections(), 0);
    }
}

#[tokio::test]
async fn fault_32_a_plain_request_on_the_tls_port_is_answered_with_400() {
    let (upstream, gateway) = gateway(|setup| setup).await;
    let answer = answer(&gateway, get("/a").as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(answer.contains("details=\"plain-http\""), "{answer}");
    let line = gateway.access_line_where(|line| line["path"] == "/a").await;
    assert_eq!(line["cause"], "plain-http");
    assert_eq!(upstream.connections(), 0);
    assert_eq!(
        gateway
            .client(Http::Two)
            .get("https://shop.example/")
            .await
            .status,
        200
    );
}

fn proxied(setup: Setup) -> Setup {
    setup.listener("proxy_protocol = { trusted = [\"127.0.0.0/8\"], timeout = \"500ms\" }")
}

fn version_2(command: u8, family: u8, addresses: &[u8]) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    header.extend([0x20 | command, family]);
    header.extend(u16::try_from(addresses.len()).unwrap().to_be_bytes());
    header.extend(addresses);
    header
}

#[tokio::test]
async fn the_proxy_protocol_tells_who_the_client_is() {
    let forwarded = wasm::reference("forwarded-headers");
    let (_upstream, gateway) =
        gateway(|setup| proxied(plain(setup)).plugin("40-forwarded-headers", &forwarded)).await;
    let v4 = [192, 0, 2, 9, 10, 0, 0, 1, 0x30, 0x39, 0x01, 0xbb];
    let mut v6 = [0; 36];
    (v6[0], v6[1], v6[2], v6[3], v6[15]) = (0x20, 0x01, 0x0d, 0xb8, 7);
    // Addresses, and a field that load balancers add behind them.
    let with_field = [&v4[..], &[0xea, 0, 3, 1, 2, 3]].concat();
    for (header, peer) in [
        (
            b"PROXY TCP4 192.0.2.9 10.0.0.1 12345 443\r\n".to_vec(),
            "192.0.2.9",
        ),
        (
            b"PROXY TCP6 2001:db8::7 ::1 12345 443\r\n".to_vec(),
            "2001:db8::7",
        ),
        (b"PROXY UNKNOWN\r\n".to_vec(), "127.0.0.1"),
        (version_2(1, 0x11, &v4), "192.0.2.9"),
        (version_2(1, 0x11, &with_field), "192.0.2.9"),
        (version_2(1, 0x21, &v6), "2001:db8::7"),
        (version_2(0, 0, &[]), "127.0.0.1"),
    ] {
        let before = gateway.access_lines().len();
        let answer = answer(&gateway, &[&header[..], get("/").as_bytes()].concat()).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{header:?}: {answer}");
        assert!(
            answer.contains(&format!("[\"x-forwarded-for\",\"{peer}\"]")),
            "{answer}"
        );
        let line =
            witgate_tests::eventually!("a line", gateway.access_lines().get(before).cloned());
        assert!(line["peer"].as_str().unwrap().contains(peer), "{line}");
    }
}

#[tokio::test]
async fn tls_follows_the_header_of_the_proxy_protocol() {
    let (_upstream, gateway) = gateway(proxied).await;
    let mut socket = TcpStream::connect(gateway.address()).await.unwrap();
    socket
        .write_all(b"PROXY TCP4 192.0.2.9 10.0.0.1 12345 443\r\n")
        .await
        .unwrap();
    let config = trusting(gateway.setup().authority().certificate(), &["http/1.1"]);
    let connector = tokio_rustls::TlsConnector::from(config);
    let name = "shop.example".try_into().unwrap();
    let mut stream = connector.connect(name, socket).await.unwrap();
    stream.write_all(get("/tls").as_bytes()).await.unwrap();
    let line = gateway
        .access_line_where(|line| line["path"] == "/tls")
        .await;
    assert_eq!(
        (&line["status"], &line["peer"]),
        (&200.into(), &"192.0.2.9:12345".into())
    );
}

#[tokio::test]
async fn a_connection_without_a_header_of_the_proxy_protocol_is_closed() {
    let (upstream, gateway) = gateway(|setup| proxied(plain(setup))).await;
    for bytes in [
        get("/").into_bytes(),
        b"PROXY TCP4 192.0.2.9\r\n\r\n".to_vec(),
        b"PROXY TCP4 256.0.0.1 10.0.0.1 1 2\r\n".to_vec(),
        [&b"PROXY TCP4 "[..], &[b'1'; 200]].concat(),
        version_2(1, 0x11, &[1, 2, 3]),
        version_2(5, 0x11, &[0; 12]),
        version_2(1, 0x11, &[0; 5000]),
    ] {
        assert_eq!(answer(&gateway, &bytes).await, "", "{bytes:?}");
    }
    gateway.counted(&ended("proxy-invalid"), 7.0).await;
    assert_eq!(answer(&gateway, b"PROXY TCP4 192.0.2.9").await, "");
    gateway.counted(&ended("proxy-timeout"), 1.0).await;
    assert_eq!(upstream.requests(), 0);
}

#[tokio::test]
async fn nobody_but_trusted_peers_says_who_the_client_is() {
    let (upstream, gateway) =
        gateway(|setup| plain(setup).listener("proxy_protocol.trusted = [\"10.0.0.0/8\"]")).await;
    let message = format!("PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n{}", get("/"));
    assert_eq!(answer(&gateway, message.as_bytes()).await, "");
    gateway.counted(&ended("proxy-untrusted"), 1.0).await;
    assert_eq!(upstream.requests(), 0);
}
