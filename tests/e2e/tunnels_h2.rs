//! WebSockets over HTTP/2 (RFC 8441): to the endpoint they are upgrades of HTTP/1.1.

use bytes::Bytes;
use h2::{RecvStream, SendStream, client::SendRequest, ext::Protocol};
use http::{Method, Request, Response};
use tokio::io::AsyncWriteExt as _;
use witgate_tests::{
    eventually,
    gateway::{Gateway, Setup},
    tunnel::{Endpoint, ends, field, gets, gets_nothing, switch},
};

async fn gateway() -> (Endpoint, Gateway) {
    let endpoint = Endpoint::start().await;
    let setup = Setup::new().default_pool("web", endpoint.pool());
    (endpoint, setup.start().await)
}

/// A client's connection that has seen the gateway's settings.
async fn connect(gateway: &Gateway) -> SendRequest<Bytes> {
    let stream = gateway.raw_with(&["h2"]).await.into_inner();
    let (client, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let client = client.ready().await.unwrap();
    eventually!(
        "the setting",
        client.is_extended_connect_protocol_enabled().then_some(())
    );
    client
}

/// Asserts that the stream ends whole and that no byte comes before; an empty frame may tell it.
async fn has_ended(down: &mut RecvStream) {
    while let Some(data) = down.data().await {
        assert_eq!(data.unwrap(), "");
    }
}

type Answer = tokio::task::JoinHandle<Response<RecvStream>>;

fn ask(client: &mut SendRequest<Bytes>, protocol: &'static str) -> (Answer, SendStream<Bytes>) {
    let mut request = Request::builder()
        .method(Method::CONNECT)
        .uri("https://shop.example/chat?a=b")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "of the client")
        .body(())
        .unwrap();
    request
        .extensions_mut()
        .insert(Protocol::from_static(protocol));
    let (answer, stream) = client.send_request(request, false).unwrap();
    (tokio::spawn(async { answer.await.unwrap() }), stream)
}

#[tokio::test]
async fn a_websocket_over_h2_is_an_upgrade_with_a_key_of_the_gateways() {
    let (endpoint, gateway) = gateway().await;
    let mut client = connect(&gateway).await;
    let (answer, mut up) = ask(&mut client, "websocket");
    up.send_data(Bytes::from_static(b"early"), false).unwrap();
    let (mut server, asked) = endpoint.request().await;
    assert!(asked.starts_with("GET /chat?a=b HTTP/1.1\r\n"), "{asked}");
    assert_eq!(field(&asked, "upgrade"), Some("websocket"));
    assert_eq!(field(&asked, "connection"), Some("upgrade"));
    assert_eq!(field(&asked, "host"), Some("shop.example"));
    assert_eq!(field(&asked, "sec-websocket-version"), Some("13"));
    let key = field(&asked, "sec-websocket-key").unwrap();
    assert!(key.len() == 24 && key.ends_with("=="), "{key}");
    gets_nothing(&mut server).await;
    server.write_all(switch(&asked).as_bytes()).await.unwrap();
    gets(&mut server, b"early").await;
    let (head, mut down) = answer.await.unwrap().into_parts();
    assert_eq!(head.status, 200);
    for name in ["sec-websocket-accept", "upgrade", "connection"] {
        assert!(!head.headers.contains_key(name), "{head:?}");
    }
    server.write_all(b"down").await.unwrap();
    assert_eq!(down.data().await.unwrap().unwrap(), "down");
    up.send_data(Bytes::from_static(b"last"), true).unwrap();
    gets(&mut server, b"last").await;
    assert!(
        ends(&mut server).await,
        "the end of the stream is passed on"
    );
    drop(server);
    has_ended(&mut down).await;
    let line = gateway
        .access_line_where(|line| line["tunnel"].is_object())
        .await;
    assert_eq!(
        (&line["method"], &line["status"]),
        (&"CONNECT".into(), &200.into())
    );
    assert_eq!(
        (&line["bytes_in"], &line["bytes_out"]),
        (&9.into(), &4.into())
    );
    assert_eq!(line["tunnel"]["ended_by"], "client");
    assert_eq!(line["cause"], serde_json::Value::Null, "{line}");
}

#[tokio::test]
async fn answers_other_than_a_true_101_do_not_open_it() {
    let (endpoint, gateway) = gateway().await;
    let mut client = connect(&gateway).await;
    for (answered, status, cause) in [
        (
            "HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno",
            403,
            "",
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nno",
            502,
            "not-switched",
        ),
        (
            "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\
             sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
            502,
            "response-invalid",
        ),
    ] {
        let (answer, mut up) = ask(&mut client, "websocket");
        up.send_data(Bytes::from_static(b"early"), false).unwrap();
        let (mut server, _) = endpoint.request().await;
        server.write_all(answered.as_bytes()).await.unwrap();
        let answer = answer.await.unwrap();
        assert_eq!(answer.status(), status);
        let told = answer.headers().get("proxy-status");
        let told = told.map_or("", |told| told.to_str().unwrap());
        assert!(told.contains(cause), "{told}");
        // Not a byte of the stream.
        ends(&mut server).await;
    }
}

#[tokio::test]
async fn a_stream_that_is_reset_cuts_its_endpoint_at_once() {
    let (endpoint, gateway) = gateway().await;
    let mut client = connect(&gateway).await;
    let (answer, mut up) = ask(&mut client, "websocket");
    let mut server = endpoint.switched().await;
    let answer = answer.await.unwrap();
    up.send_reset(h2::Reason::CANCEL);
    drop(answer);
    ends(&mut server).await;
    let line = gateway
        .access_line_where(|line| line["tunnel"].is_object())
        .await;
    assert_eq!(
        (&line["cause"], &line["tunnel"]["ended_by"]),
        (&"client-closed".into(), &"client".into())
    );
    // The connection carries on.
    let (answer, mut up) = ask(&mut client, "websocket");
    let mut server = endpoint.switched().await;
    assert_eq!(answer.await.unwrap().status(), 200);
    up.send_data(Bytes::from_static(b"x"), false).unwrap();
    gets(&mut server, b"x").await;
}

#[tokio::test]
async fn an_endpoint_that_breaks_resets_the_stream() {
    let (endpoint, gateway) = gateway().await;
    let mut client = connect(&gateway).await;
    let (answer, mut up) = ask(&mut client, "websocket");
    let server = endpoint.switched().await;
    let mut down = answer.await.unwrap().into_body();
    up.send_data(Bytes::from_static(b"unread"), false).unwrap();
    eventually!("the bytes", server.try_read(&mut [0; 1]).ok());
    drop(server);
    assert!(
        down.data().await.unwrap().is_err(),
        "a cut tunnel looks whole"
    );
}

#[tokio::test]
async fn a_drain_waits_for_a_tunnel_on_a_stream() {
    let (endpoint, mut gateway) = gateway().await;
    let mut client = connect(&gateway).await;
    let (answer, mut up) = ask(&mut client, "websocket");
    let mut server = endpoint.switched().await;
    let mut down = answer.await.unwrap().into_body();
    gateway.terminate().await;
    gateway.logged(&["draining"]).await;
    // Longer than a connection without streams may stay.
    tokio::time::sleep(std::time::Duration::from_secs(6)).await;
    up.send_data(Bytes::from_static(b"up"), false).unwrap();
    gets(&mut server, b"up").await;
    drop(server);
    has_ended(&mut down).await;
    up.send_data(Bytes::new(), true).unwrap();
    drop((client, up, down));
    assert_eq!(gateway.exit().await.code(), Some(0));
}

#[tokio::test]
async fn other_protocols_are_501_and_plain_connect_is_405() {
    let (endpoint, gateway) = gateway().await;
    let mut client = connect(&gateway).await;
    let (answer, _up) = ask(&mut client, "other");
    assert_eq!(answer.await.unwrap().status(), 501);
    let request = Request::builder()
        .method(Method::CONNECT)
        .uri("shop.example:443")
        .body(())
        .unwrap();
    let (answer, _up) = client.send_request(request, false).unwrap();
    let answer = answer.await.unwrap();
    assert_eq!(answer.status(), 405);
    assert!(answer.headers().contains_key("allow"));
    // One with a body is no request (RFC 9110 §9.3.6).
    let request = Request::builder()
        .method(Method::CONNECT)
        .uri("shop.example:443")
        .header("content-length", "5")
        .body(())
        .unwrap();
    let (answer, _up) = client.send_request(request, false).unwrap();
    let refused = answer.await.expect_err("a length");
    assert_eq!(refused.reason(), Some(h2::Reason::PROTOCOL_ERROR));
    endpoint.is_left_alone().await;
}
