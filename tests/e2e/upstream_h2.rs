//! HTTP/2 to endpoints: who chooses it, and that messages mean the same on both sides whatever
//! either speaks.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request};
use http_body_util::BodyExt as _;
use hyper::body::Frame;
use witgate_tests::{
    Http, body,
    certs::Identity,
    client::get,
    gateway::{Gateway, Pool, Setup},
    over_h1_and_h2,
    tls_server::TlsServer,
    upstream::{Speaks, Upstream},
};

const URL: &str = "https://shop.example/cart?a=b";

/// More than all windows and buffers on the way hold.
const MANY: u64 = 8 << 20;

async fn gateway(upstream: &Upstream, lines: &str) -> Gateway {
    let pool = Pool::pinned(&[upstream]).with(lines);
    Setup::new().default_pool("web", pool).start().await
}

async fn h2() -> (Upstream, Gateway) {
    let upstream = Upstream::h2("web-1").await;
    let gateway = gateway(&upstream, "").await;
    (upstream, gateway)
}

async fn both() -> Upstream {
    let identity = Arc::new(Identity::self_signed(&["web.internal"]));
    Upstream::speaking("web-1", Some(&identity), Speaks::Both).await
}

over_h1_and_h2! {
    async fn an_endpoint_that_speaks_both_is_spoken_to_in_http2(http) {
        let upstream = both().await;
        let gateway = gateway(&upstream, "").await;
        let answer = gateway.client(http).get_with(URL, &[("te", "trailers"), ("cookie", "a=1; b=2")]).await;
        let echo = answer.echo();
        assert_eq!((echo.version.as_str(), echo.authority.as_str()), ("HTTP/2.0", "shop.example"));
        assert_eq!(echo.target, "/cart?a=b");
        assert_eq!(echo.header("te"), Some("trailers"));
        assert_eq!(echo.all("cookie").join("; "), "a=1; b=2");
        for gone in ["host", "connection", "transfer-encoding", "keep-alive", "upgrade"] {
            assert_eq!(echo.header(gone), None, "{gone}");
        }
        let line = gateway.access_line_where(|line| line["path"] == "/cart").await;
        assert_eq!(line["upstream_version"], "HTTP/2", "{line}");
    }

    async fn http1_can_be_asked_for(http) {
        let upstream = both().await;
        let gateway = gateway(&upstream, "http = \"h1\"").await;
        let echo = gateway.client(http).get(URL).await.echo();
        assert_eq!((echo.version.as_str(), echo.header("host")), ("HTTP/1.1", Some("shop.example")));
        let line = gateway.access_line_where(|line| line["path"] == "/cart").await;
        assert_eq!(line["upstream_version"], "HTTP/1.1", "{line}");
    }

    async fn an_endpoint_without_http2_is_an_error_of_its_own_where_it_is_wanted(http) {
        let identity = Arc::new(Identity::self_signed(&["web.internal"]));
        let h1 = Upstream::tls("web-1", &identity).await;
        let no_alpn = TlsServer::new(&identity).start().await;
        for address in [h1.address(), no_alpn.address()] {
            let pool = Pool::of(&format!(
                "endpoints = [\"{address}\"]\nhttp = \"h2\"\ntrust.certificates = [\"{}\"]",
                identity.fingerprint()
            ));
            let gateway = Setup::new().default_pool("web", pool).start().await;
            let answer = gateway.client(http).get(URL).await;
            assert_eq!((answer.status.as_u16(), answer.cause()), (502, "protocol-mismatch"));
        }
        assert_eq!(h1.requests(), 0);
    }

    async fn without_tls_http2_is_spoken_where_it_is_configured(http) {
        let upstream = Upstream::speaking("web-1", None, Speaks::H2(100)).await;
        let pool = Pool::plain(&[&upstream]).with("http = \"h2\"\nauthority = \"web.internal:80\"");
        let gateway = Setup::new().default_pool("web", pool).start().await;
        let echo = gateway.client(http).get(URL).await.echo();
        assert_eq!((echo.version.as_str(), echo.authority.as_str()), ("HTTP/2.0", "web.internal:80"));
    }

    async fn bodies_go_both_ways_with_and_without_a_length(http) {
        let (_upstream, gateway) = h2().await;
        let client = gateway.client(http);
        let parts = (0..100).map(|_| Ok(Frame::data(Bytes::from_static(&[7; 1000])))).collect();
        for body in [body::zeros(100_000), body::frames(parts)] {
            let request = Request::put("https://shop.example/mirror").body(body).unwrap();
            let answer = client.fetch(request).await.unwrap();
            assert_eq!((answer.status.as_u16(), answer.body.len()), (200, 100_000));
        }
        let request = Request::put("https://shop.example/count").body(body::zeros(MANY)).unwrap();
        let answer = client.fetch(request).await.unwrap();
        assert_eq!(answer.text(), format!("{{\"bytes\":{MANY}}}"));
        let answer = client.get(&format!("https://shop.example/bytes/{MANY}")).await;
        assert_eq!(answer.body.len() as u64, MANY);
        assert_eq!(client.get("https://shop.example/chunked").await.text(), "one two three\n");
        let declared = client.get_with("https://shop.example/", &[]).await;
        assert!(declared.echo().header("content-length").is_none(), "a GET has no body");
    }

    async fn trailers_go_both_ways(http) {
        let (_upstream, gateway) = h2().await;
        let client = gateway.client(http);
        let mut fields = HeaderMap::new();
        fields.insert("x-checksum", HeaderValue::from_static("abc"));
        let frames = vec![Ok(Frame::data(Bytes::from_static(b"body"))), Ok(Frame::trailers(fields))];
        let request = Request::post(URL).header("trailer", "x-checksum");
        let answer = client.fetch(request.body(body::frames(frames)).unwrap()).await.unwrap();
        assert_eq!(answer.echo().trailers, [("x-checksum".to_owned(), "abc".to_owned())]);
        let mut request = get("https://shop.example/trailers");
        request.headers_mut().insert("te", HeaderValue::from_static("trailers"));
        let answer = client.fetch(request).await.unwrap();
        assert_eq!(answer.text(), "with trailers\n");
        assert_eq!(answer.trailers["x-checksum"], "abc");
    }

    async fn answers_without_a_body_have_none(http) {
        let (_upstream, gateway) = h2().await;
        let client = gateway.client(http);
        for (method, path, status) in [
            (Method::GET, "/status/204", 204),
            (Method::GET, "/status/304", 304),
            (Method::HEAD, "/bytes/100", 200),
            (Method::POST, "/status/200", 200),
            (Method::OPTIONS, "/cart", 200),
        ] {
            let request = Request::builder().method(&method).uri(format!("https://shop.example{path}"));
            let answer = client.fetch(request.body(body::empty()).unwrap()).await.unwrap();
            assert_eq!(answer.status, status, "{method} {path}");
            assert!(answer.body.is_empty() || method == Method::OPTIONS);
            if method == Method::HEAD {
                assert_eq!(answer.header("content-length"), "100");
            }
        }
    }

    async fn an_answer_that_is_cut_is_no_whole_answer(http) {
        let (_upstream, gateway) = h2().await;
        let client = gateway.client(http);
        // The endpoint's library may forget the head when the body fails at once.
        let cause = match client.try_get("https://shop.example/cut/1000").await {
            Err(_) => "response-cut",
            Ok(answer) => {
                assert_eq!(answer.status, 502);
                "stream-reset"
            }
        };
        let line = gateway.access_line_where(|line| line["path"] == "/cut/1000").await;
        assert_eq!(line["cause"], cause, "{line}");
        assert_eq!(client.get(URL).await.status, 200);
    }

    async fn hop_by_hop_fields_end_at_the_gateway(http) {
        let (_upstream, gateway) = h2().await;
        let sent = [("connection", "x-a"), ("x-a", "1"), ("te", "gzip"), ("x-b", "2")];
        let sent = if http == Http::One { &sent[..] } else { &sent[3..] };
        let echo = gateway.client(http).get_with(URL, sent).await.echo();
        assert_eq!(echo.header("x-b"), Some("2"));
        for gone in ["connection", "x-a", "te"] {
            assert_eq!(echo.header(gone), None, "{gone}");
        }
    }
}

#[tokio::test]
async fn a_stream_both_ways_is_never_held_up() {
    let (_upstream, gateway) = h2().await;
    let client = gateway.client(Http::Two);
    let (mut more, body) = http_body_util::channel::Channel::<Bytes, std::io::Error>::new(1);
    let request = Request::post("https://shop.example/mirror").body(body.boxed_unsync());
    let answer = client.send(request.unwrap()).await.unwrap();
    let mut answer = answer.into_body();
    // In lockstep: each message is answered before the next is sent.
    for number in 0..100 {
        let message = Bytes::from(format!("message {number}"));
        more.send_data(message.clone()).await.unwrap();
        let back = answer.frame().await.unwrap().unwrap();
        assert_eq!(back.into_data().unwrap(), message);
    }
    drop(more);
    let rest = answer.collect().await.unwrap().to_bytes();
    assert!(rest.is_empty(), "{rest:?}");
}
