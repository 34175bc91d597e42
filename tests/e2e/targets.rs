//! What a request is for: one normal form of path and host decides the route and reaches the
//! upstream, or the request is refused.

use witgate_tests::{
    Http, body,
    gateway::{Gateway, Pool, Setup},
    over_h1_and_h2,
    upstream::Upstream,
    wasm,
};

async fn gateway(change: impl FnOnce(Setup) -> Setup) -> (Upstream, Gateway) {
    let upstream = Upstream::pinned("web-1").await;
    let setup = Setup::new().default_pool("web", Pool::pinned(&[&upstream]));
    let gateway = change(setup).start().await;
    (upstream, gateway)
}

/// Sends these bytes of a request line, with this host, and returns the whole answer.
async fn ask(gateway: &Gateway, method: &str, target: &str, host: &str) -> String {
    let mut socket = gateway.raw().await;
    let head = format!("{method} {target} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    socket.send(head.as_bytes()).await;
    socket.read_to_end().await
}

/// What the upstream saw of a request that was passed on.
async fn seen(gateway: &Gateway, target: &str, host: &str) -> (String, String) {
    let answer = ask(gateway, "GET", target, host).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{target}: {answer}");
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    let body = &body[body.find('{').unwrap()..=body.rfind('}').unwrap()];
    let echo: serde_json::Value = serde_json::from_str(body).unwrap();
    let fields = echo["headers"].as_array().unwrap();
    let host = fields.iter().find(|field| field[0] == "host").unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    (text(&echo["target"]), text(&host[1]))
}

fn is_refused(answer: &str, status: u16, cause: &str) {
    assert!(
        answer.starts_with(&format!("HTTP/1.1 {status} ")),
        "{answer}"
    );
    assert!(answer.contains(&format!("details=\"{cause}\"")), "{answer}");
}

#[tokio::test]
async fn fault_33_a_path_reaches_the_upstream_in_its_normal_form() {
    let (_upstream, gateway) = gateway(|setup| setup).await;
    for (sent, expected) in [
        ("/a/./b/../c?x=/../%2e", "/a/c?x=/../%2e"),
        ("//a///b", "/a/b"),
        ("/%61/%2e%2E/%62%3a", "/b%3A"),
        ("/a;x=1/b", "/a;x=1/b"),
        ("http://shop.example/a/%2e/b", "/a/b"),
    ] {
        assert_eq!(seen(&gateway, sent, "shop.example").await.0, expected);
    }
    let line = gateway
        .access_line_where(|line| line["path"] == "//a///b")
        .await;
    assert_eq!(line["status"], 200);
}

#[tokio::test]
async fn fault_33_a_path_without_a_normal_form_is_refused() {
    let (upstream, gateway) = gateway(|setup| setup).await;
    for sent in [
        "/../a",
        "/a/%2e%2e/../b",
        "/a%2fb",
        "/a%5Cb",
        "/a\\b",
        "/a%00",
        "/a%",
        "/a/..;x/b",
    ] {
        let answer = ask(&gateway, "GET", sent, "shop.example").await;
        is_refused(&answer, 400, "path-invalid");
    }
    assert_eq!(upstream.requests(), 0);
}

over_h1_and_h2! {
    async fn fault_33_no_spelling_gets_around_a_routing_rule(http) {
        let upstream = Upstream::pinned("web-1").await;
        let inner = Upstream::pinned("inner-1").await;
        let rules = "[[config.rules]]\npaths = ['/admin/*']\npool = 'inner'\n";
        let gateway = Setup::new()
            .default_pool("web", Pool::pinned(&[&upstream]))
            .pool("inner", Pool::pinned(&[&inner]))
            .plugin("10-path-router", &wasm::reference("path-router"))
            .sidecar("10-path-router", rules)
            .start()
            .await;
        let client = gateway.client(http);
        for path in ["/admin/x", "//admin/x", "/./admin/x", "/a/../admin/x", "/%61dmin/x", "/a/%2e%2e/admin//x"] {
            let echo = client.get(&format!("https://shop.example{path}")).await.echo();
            assert_eq!((echo.upstream.as_str(), echo.target.as_str()), ("inner-1", "/admin/x"), "{path}");
        }
        let answer = client.get("https://shop.example/admin%2fx").await;
        assert_eq!((answer.status.as_u16(), answer.cause()), (400, "path-invalid"));
        assert_eq!(upstream.requests(), 0);
    }

    async fn fault_33_a_host_reaches_the_upstream_in_its_normal_form(http) {
        let (_upstream, gateway) = gateway(|setup| setup).await;
        let client = gateway.client(http);
        for (sent, expected) in [
            ("SHOP.example", "shop.example"),
            ("shop.example.", "shop.example"),
            ("shop.example:443", "shop.example"),
            ("Shop.Example.:8443", "shop.example:8443"),
        ] {
            let echo = client.get(&format!("https://{sent}/")).await.echo();
            assert_eq!(echo.all("host"), [expected], "{sent}");
        }
    }

    async fn a_target_that_is_too_long_is_414(http) {
        let (upstream, gateway) = gateway(|setup| setup.table("[limits]\ntarget_bytes = \"1KiB\"")).await;
        let client = gateway.client(http);
        let url = |length: usize| format!("https://shop.example/{}", "a".repeat(length - 1));
        assert_eq!(client.get(&url(1024)).await.status, 200);
        let answer = client.get(&url(1025)).await;
        assert_eq!((answer.status.as_u16(), answer.cause()), (414, "target-too-long"));
        assert_eq!(upstream.requests(), 1);
    }

    async fn fields_with_an_underscore_are_dropped(http) {
        let (_upstream, gateway) = gateway(|setup| setup).await;
        let sent = [("x_forwarded_for", "203.0.113.9"), ("x-a", "1")];
        let echo = gateway.client(http).get_with("https://shop.example/", &sent).await.echo();
        assert_eq!((echo.header("x_forwarded_for"), echo.header("x-a")), (None, Some("1")));
    }

    async fn fields_with_an_underscore_are_kept_where_the_listener_says_so(http) {
        let (_upstream, gateway) = gateway(|setup| setup.listener("requests.underscores = \"keep\"")).await;
        let echo = gateway.client(http).get_with("https://shop.example/", &[("x_a", "1")]).await.echo();
        assert_eq!(echo.header("x_a"), Some("1"));
    }

    async fn fault_31_an_unknown_method_is_passed_on(http) {
        let (_upstream, gateway) = gateway(|setup| setup).await;
        let request = http::Request::builder().method("PURGE").uri("https://shop.example/a");
        let answer = gateway.client(http).fetch(request.body(body::empty()).unwrap()).await.unwrap();
        assert_eq!(answer.echo().method, "PURGE");
    }

    async fn fault_31_trace_is_refused_unless_the_listener_allows_it(http) {
        let (upstream, mut gateway) = gateway(|setup| setup).await;
        let trace = || http::Request::trace("https://shop.example/a").body(body::empty()).unwrap();
        let client = gateway.client(http);
        let answer = client.fetch(trace()).await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.cause()), (405, "method-refused"));
        assert_eq!(answer.header("allow"), "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
        assert_eq!(upstream.requests(), 0);
        gateway.configure(|setup| setup.listener("requests.trace = \"forward\""));
        let answer = witgate_tests::eventually!("the new rule", {
            let answer = client.fetch(trace()).await.unwrap();
            (answer.status == 200).then_some(answer)
        });
        assert_eq!(answer.echo().method, "TRACE");
    }
}

#[tokio::test]
async fn fault_33_what_is_no_host_is_refused() {
    let (upstream, gateway) = gateway(|setup| setup).await;
    for host in [
        "user@shop.example",
        "a..b",
        "a,b",
        "a:0",
        "a:x",
        "[::g]",
        "a b",
    ] {
        let answer = ask(&gateway, "GET", "/", host).await;
        is_refused(&answer, 400, "host-invalid");
    }
    assert_eq!(upstream.requests(), 0);
}

#[tokio::test]
async fn fault_31_the_host_of_an_absolute_target_counts() {
    let (_upstream, gateway) = gateway(|setup| setup).await;
    let target = "https://Other.example:443/a?b=c";
    let found = seen(&gateway, target, "shop.example").await;
    assert_eq!(found, ("/a?b=c".to_owned(), "other.example".to_owned()));
}

#[tokio::test]
async fn fault_31_a_target_that_is_no_path_is_refused() {
    let (upstream, gateway) = gateway(|setup| setup).await;
    for (method, target) in [
        ("GET", "*"),
        ("GET", "ftp://shop.example/a"),
        ("GET", "shop.example:443"),
    ] {
        let answer = ask(&gateway, method, target, "shop.example").await;
        is_refused(&answer, 400, "request-invalid");
    }
    assert_eq!(upstream.requests(), 0);
}

#[tokio::test]
async fn fault_31_options_of_the_server_is_passed_on() {
    let (_upstream, gateway) = gateway(|setup| setup).await;
    let answer = ask(&gateway, "OPTIONS", "*", "shop.example").await;
    for seen in [r#""method":"OPTIONS""#, r#""target":"*""#] {
        assert!(answer.contains(seen), "{answer}");
    }
}

#[tokio::test]
async fn fault_31_connect_is_refused() {
    let (upstream, mut gateway) = gateway(|setup| setup).await;
    let answer = ask(&gateway, "CONNECT", "shop.example:443", "shop.example").await;
    is_refused(&answer, 405, "method-refused");
    let allow = "allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n";
    assert!(answer.contains(allow), "{answer}");
    gateway.configure(|setup| setup.listener("requests.trace = \"forward\""));
    witgate_tests::eventually!("the new rule", {
        let answer = ask(&gateway, "CONNECT", "shop.example:443", "shop.example").await;
        is_refused(&answer, 405, "method-refused");
        answer.contains("OPTIONS, TRACE\r\n").then_some(())
    });
    assert_eq!(upstream.connections(), 0);
}

#[tokio::test]
async fn a_path_goes_on_as_sent_where_the_listener_says_so() {
    let (_upstream, gateway) =
        gateway(|setup| setup.listener("requests.paths = \"as-sent\"")).await;
    for sent in ["//a/../b", "/a%2Fb%00", "/%61"] {
        assert_eq!(seen(&gateway, sent, "shop.example").await.0, sent);
    }
}

#[tokio::test]
async fn encoded_slashes_and_empty_segments_go_on_where_the_listener_says_so() {
    let rules = "requests = { encoded_slashes = \"keep\", slashes = \"keep\" }";
    let (_upstream, gateway) = gateway(|setup| setup.listener(rules)).await;
    assert_eq!(
        seen(&gateway, "//a%2fb/./c", "shop.example").await.0,
        "//a%2Fb/c"
    );
}

#[tokio::test]
async fn fault_31_pipelined_requests_are_answered_in_order() {
    let (_upstream, gateway) = gateway(|setup| setup).await;
    let mut socket = gateway.raw().await;
    let request = |method: &str, path: &str, more: &str| {
        format!("{method} {path} HTTP/1.1\r\nhost: shop.example\r\n{more}\r\n")
    };
    let all = request("GET", "/first", "")
        + &request("HEAD", "/bytes/5", "")
        + &request("GET", "/status/204", "")
        + &request("GET", "/status/304", "")
        + &request("GET", "/last", "connection: close\r\n");
    socket.send(all.as_bytes()).await;
    let answers = socket.read_to_end().await;
    let heads: Vec<_> = answers.split("HTTP/1.1 ").skip(1).collect();
    let statuses: Vec<_> = heads.iter().map(|head| &head[..3]).collect();
    assert_eq!(statuses, ["200", "200", "204", "304", "200"], "{answers}");
    assert!(heads[0].contains("\"target\":\"/first\""), "{answers}");
    assert!(heads[1].contains("content-length: 5\r\n"), "{answers}");
    for bodiless in &heads[1..4] {
        assert!(bodiless.ends_with("\r\n\r\n"), "{answers}");
    }
    assert!(heads[4].contains("\"target\":\"/last\""), "{answers}");
}

#[tokio::test]
async fn plugins_see_the_normal_form_and_what_the_client_sent() {
    let upstream = Upstream::pinned("web-1").await;
    let rules = "[[config.request]]\nset = { x-path = '{var_uri_path}' }\n";
    let gateway = Setup::new()
        .default_pool("web", Pool::pinned(&[&upstream]))
        .plugin(
            "40-forwarded-headers",
            &wasm::reference("forwarded-headers"),
        )
        .plugin("70-header-rewriter", &wasm::reference("header-rewriter"))
        .sidecar("70-header-rewriter", rules)
        .start()
        .await;
    let client = gateway.client(Http::Two);
    let echo = client.get("https://shop.example/%61//b?c=d").await.echo();
    assert_eq!(echo.header("x-path"), Some("/a/b"));
    assert_eq!(echo.header("x-original-url"), Some("/%61//b?c=d"));
}
