//! Header fields on their way: what ends at the gateway, what is kept, what it adds.

use std::sync::Arc;

use witgate_tests::{
    body,
    certs::Identity,
    gateway::{Gateway, Pool, Setup},
    over_h1_and_h2,
    upstream::{Manner, Upstream},
    wasm,
};

const URL: &str = "https://shop.example/cart?x=1";

async fn gateway() -> (Upstream, Gateway) {
    let upstream = Upstream::pinned("web-1").await;
    let pool = Pool::pinned(&[&upstream]);
    let gateway = Setup::new().default_pool("web", pool).start().await;
    (upstream, gateway)
}

over_h1_and_h2! {
    async fn ordinary_fields_and_the_target_arrive_as_sent(http) {
        let (_upstream, gateway) = gateway().await;
        let fields = [("x-a", "1"), ("x-a", "2"), ("cookie", "a=1; b=2"), ("accept", "*/*")];
        let echo = gateway.client(http).get_with(URL, &fields).await.echo();
        assert_eq!((echo.method.as_str(), echo.target.as_str()), ("GET", "/cart?x=1"));
        assert_eq!(echo.all("x-a"), ["1", "2"]);
        assert_eq!(echo.all("cookie"), ["a=1; b=2"]);
        assert_eq!(echo.header("accept"), Some("*/*"));
    }

    async fn the_host_is_kept(http) {
        let (_upstream, gateway) = gateway().await;
        let echo = gateway.client(http).get("https://shop.example:8443/").await.echo();
        assert_eq!(echo.all("host"), ["shop.example:8443"]);
    }

    async fn a_pools_authority_replaces_the_host(http) {
        let upstream = Upstream::pinned("web-1").await;
        let pool = Pool::pinned(&[&upstream]).with("authority = \"web.internal\"");
        let gateway = Setup::new().default_pool("web", pool).start().await;
        let echo = gateway.client(http).get(URL).await.echo();
        assert_eq!(echo.all("host"), ["web.internal"]);
    }

    async fn hop_by_hop_fields_of_the_answer_end_at_the_gateway(http) {
        let (_upstream, gateway) = gateway().await;
        let answer = gateway.client(http).get("https://shop.example/hop-by-hop").await;
        assert_eq!(answer.header("x-kept"), "to the end");
        for name in ["x-private", "x-other", "keep-alive", "proxy-connection"] {
            assert_eq!(answer.header(name), "", "{name} in {answer:?}");
        }
    }

    async fn an_answer_without_a_date_gets_one_and_keeps_its_own(http) {
        let identity = Arc::new(Identity::self_signed(&["web.internal"]));
        for (answered, own) in [
            (&b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"[..], None),
            (
                b"HTTP/1.1 200 OK\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\ncontent-length: 2\r\n\r\nok",
                Some("Sun, 06 Nov 1994 08:49:37 GMT"),
            ),
        ] {
            let upstream = Upstream::start("web-1", Some(&identity), Manner::Early(answered)).await;
            let setup = Setup::new().default_pool("web", Pool::pinned(&[&upstream]));
            let answer = setup.start().await.client(http).get(URL).await;
            let dates = answer.all("date");
            assert_eq!(dates.len(), 1, "{answer:?}");
            assert!(dates[0].len() == 29 && dates[0].ends_with(" GMT"), "{dates:?}");
            assert!(own.is_none_or(|own| own == dates[0]), "{dates:?}");
        }
    }

    async fn every_set_cookie_stays_a_field_of_its_own(http) {
        let (_upstream, gateway) = gateway().await;
        let answer = gateway.client(http).get("https://shop.example/cookies").await;
        assert_eq!(answer.all("set-cookie"), ["a=1; Path=/", "b=2; Path=/"]);
    }

    async fn trailers_of_the_answer_are_kept(http) {
        let bytes = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-checksum\r\n\r\n\
            5\r\nhello\r\n0\r\nx-checksum: abc\r\n\r\n";
        let identity = Arc::new(Identity::self_signed(&["web.internal"]));
        let upstream = Upstream::start("web-1", Some(&identity), Manner::Literal(bytes)).await;
        let pool = Pool::pinned(&[&upstream]);
        let gateway = Setup::new().default_pool("web", pool).start().await;
        let answer = gateway.client(http).get_with(URL, &[("te", "trailers")]).await;
        assert_eq!(answer.text(), "hello");
        assert_eq!(answer.trailers["x-checksum"], "abc");
    }

    async fn trailers_of_the_request_are_kept(http) {
        let (_upstream, gateway) = gateway().await;
        let mut fields = http::HeaderMap::new();
        fields.insert("x-checksum", "abc".parse().unwrap());
        let frames = vec![
            Ok(hyper::body::Frame::data("hello".into())),
            Ok(hyper::body::Frame::trailers(fields)),
        ];
        let request = http::Request::post(URL).header("trailer", "x-checksum");
        let request = request.body(body::frames(frames)).unwrap();
        let echo = gateway.client(http).fetch(request).await.unwrap().echo();
        assert_eq!(echo.bytes, 5);
        assert_eq!(echo.trailers, [("x-checksum".to_owned(), "abc".to_owned())]);
    }

    async fn a_body_of_unknown_length_arrives_whole(http) {
        let (_upstream, gateway) = gateway().await;
        let client = gateway.client(http);
        let answer = client.get("https://shop.example/chunked").await;
        assert_eq!(answer.text(), "one two three\n");
        let frames = ["a", "bc"].map(|data| Ok(hyper::body::Frame::data(data.into())));
        let request = http::Request::post("https://shop.example/count");
        let request = request.body(body::frames(frames.into())).unwrap();
        assert_eq!(client.fetch(request).await.unwrap().text(), "{\"bytes\":3}");
    }

    async fn one_access_log_line_tells_of_one_request(http) {
        let (_upstream, gateway) = gateway().await;
        let client = gateway.client(http);
        client.get(URL).await;
        client.get("https://shop.example/other").await;
        let line = gateway.access_line_where(|line| line["path"] == "/cart").await;
        let seen = [&line["method"], &line["authority"], &line["query"], &line["pool"]];
        assert_eq!(seen, ["GET", "shop.example", "x=1", "web"], "{line}");
        assert_eq!([&line["endpoint"], &line["listener"]], ["web-1", "public"], "{line}");
        assert_eq!([&line["status"], &line["attempts"]], [200, 1], "{line}");
        let other = gateway.access_line_where(|line| line["path"] == "/other").await;
        assert_ne!(line["id"], other["id"]);
        assert_eq!(gateway.access_lines().len(), 2);
    }

    async fn a_head_request_has_a_head_alone(http) {
        let (_upstream, gateway) = gateway().await;
        let request = http::Request::head("https://shop.example/bytes/1000");
        let answer = gateway.client(http).fetch(request.body(body::empty()).unwrap()).await.unwrap();
        assert_eq!((answer.header("content-length"), answer.body.len()), ("1000", 0));
    }
}

#[tokio::test]
async fn hop_by_hop_fields_of_the_request_end_at_the_gateway() {
    let (_upstream, gateway) = gateway().await;
    let fields = [
        ("connection", "x-private"),
        ("connection", "X-Other, keep-alive"),
        ("x-private", "for one hop"),
        ("x-other", "for one hop"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "keep-alive"),
        ("proxy-authorization", "Basic eDp5"),
        ("x-kept", "to the end"),
    ];
    let client = gateway.client(witgate_tests::Http::One);
    let echo = client.get_with(URL, &fields).await.echo();
    assert_eq!(echo.header("x-kept"), Some("to the end"));
    for (name, _) in &fields[2..6] {
        assert_eq!(echo.header(name), None, "{name} in {echo:?}");
    }
}

#[tokio::test]
async fn a_connection_field_cannot_take_the_host_away() {
    let (_upstream, gateway) = gateway().await;
    let client = gateway.client(witgate_tests::Http::One);
    let echo = client
        .get_with(URL, &[("connection", "host, x-request-id")])
        .await
        .echo();
    assert_eq!(echo.all("host"), ["shop.example"]);
}

over_h1_and_h2! {
    async fn forwarded_fields_of_clients_are_replaced(http) {
        let upstream = Upstream::pinned("web-1").await;
        let gateway = Setup::new()
            .default_pool("web", Pool::pinned(&[&upstream]))
            .plugin("40-forwarded-headers", &wasm::reference("forwarded-headers"))
            .start()
            .await;
        let sent = [("x-forwarded-for", "203.0.113.9"), ("x-forwarded-proto", "http")];
        let echo = gateway.client(http).get_with(URL, &sent).await.echo();
        assert_eq!(echo.all("x-forwarded-for"), ["127.0.0.1"]);
        assert_eq!(echo.all("x-forwarded-proto"), ["https"]);
    }
}

/// Appends its name to `x-order` both ways.
fn appending(name: &str) -> String {
    format!(
        "[[config.request]]\nappend = {{ x-order = '{name}' }}\n\
         [[config.response]]\nappend = {{ x-order = '{name}' }}\n"
    )
}

over_h1_and_h2! {
    async fn rewriters_run_in_order_and_in_reverse_on_the_way_back(http) {
        let upstream = Upstream::pinned("web-1").await;
        let rewriter = wasm::reference("header-rewriter");
        let gateway = Setup::new()
            .default_pool("web", Pool::pinned(&[&upstream]))
            .plugin("70-first", &rewriter)
            .sidecar("70-first", &appending("first"))
            .plugin("80-second", &rewriter)
            .sidecar("80-second", &appending("second"))
            .start()
            .await;
        let answer = gateway.client(http).get(URL).await;
        assert_eq!(answer.echo().all("x-order"), ["first", "second"]);
        assert_eq!(answer.all("x-order"), ["second", "first"]);
    }

    async fn a_rewriter_sets_and_deletes_and_keeps_every_cookie(http) {
        let upstream = Upstream::pinned("web-1").await;
        let rules = "[[config.request]]\nset = { x-client = '{var_client_ip}' }\ndelete = ['x-a']\n\
            [[config.response]]\nappend = { set-cookie = 'c=3' }\n";
        let gateway = Setup::new()
            .default_pool("web", Pool::pinned(&[&upstream]))
            .plugin("70-header-rewriter", &wasm::reference("header-rewriter"))
            .sidecar("70-header-rewriter", rules)
            .start()
            .await;
        let client = gateway.client(http);
        let echo = client.get_with(URL, &[("x-a", "1"), ("x-b", "2")]).await.echo();
        assert_eq!(echo.all("x-client"), ["127.0.0.1"]);
        assert_eq!((echo.header("x-a"), echo.header("x-b")), (None, Some("2")));
        let answer = client.get("https://shop.example/cookies").await;
        assert_eq!(answer.all("set-cookie"), ["a=1; Path=/", "b=2; Path=/", "c=3"]);
    }
}

#[tokio::test]
async fn a_request_with_two_lengths_is_refused_before_the_upstream() {
    let (upstream, gateway) = gateway().await;
    let mut socket = gateway.raw().await;
    let head =
        "POST / HTTP/1.1\r\nhost: shop.example\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab";
    socket.send(head.as_bytes()).await;
    let answer = socket.read_to_end().await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert_eq!(upstream.requests(), 0);
}

#[tokio::test]
async fn a_request_with_length_and_chunks_reaches_no_upstream_as_two() {
    let (upstream, gateway) = gateway().await;
    let mut socket = gateway.raw().await;
    let text = "POST /first HTTP/1.1\r\nhost: shop.example\r\ncontent-length: 6\r\n\
        transfer-encoding: chunked\r\n\r\n0\r\n\r\nGET /second HTTP/1.1\r\nhost: shop.example\r\n\r\n";
    socket.send(text.as_bytes()).await;
    let answer = socket.read_to_end().await;
    assert!(!answer.contains("/second"), "{answer}");
    assert!(upstream.requests() <= 1, "{answer}");
}
