//! The faults of upstream connections that end when they should not, by their numbers in the
//! table of faults. Those of connecting are with pools, early answers in a module of their own.

use witgate_tests::{
    Http,
    body::{self, Body},
    client::{Client, Error, get},
    eventually,
    gateway::{Gateway, Setup},
    over_h1_and_h2,
    scripted::{End, Scripted, Talk},
};

const URL: &str = "https://shop.example/cart";

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

async fn before(upstream: &Scripted) -> Gateway {
    let setup = Setup::new().default_pool("web", upstream.pool());
    setup.start().await
}

fn request(method: &str, body: Body) -> http::Request<Body> {
    let request = http::Request::builder().method(method).uri(URL);
    request.body(body).unwrap()
}

/// Status and cause of an answer that is the gateway's own.
async fn outcome(client: &Client, request: http::Request<Body>) -> (u16, String) {
    let answer = client.fetch(request).await.unwrap();
    (answer.status.as_u16(), answer.cause().to_owned())
}

over_h1_and_h2! {
    async fn fault_02_a_fresh_connection_that_ends_before_the_answer_is_502(http) {
        for end in [End::Whole, End::Cut, End::Reset] {
            let script = move |mut talk: Talk| async move {
                talk.request().await;
                talk.end(end).await;
            };
            for upstream in [Scripted::plain(script).await, Scripted::tls(script).await] {
                let gateway = before(&upstream).await;
                let client = gateway.client(http);
                for (sent, method) in ["GET", "POST", "PUT"].into_iter().enumerate() {
                    let request = request(method, body::full("a"));
                    let outcome = outcome(&client, request).await;
                    assert_eq!(outcome, (502, "connection-closed".into()), "{method} {end:?}");
                    assert_eq!(upstream.requests(), sent as u64 + 1, "never twice");
                }
            }
        }
    }

    async fn fault_02_a_reused_connection_that_ends_is_made_up_for_once(http) {
        for end in [End::Whole, End::Cut, End::Reset] {
            // Each second request of a connection meets its end.
            let upstream = Scripted::tls(move |mut talk: Talk| async move {
                if let Some(head) = talk.request().await {
                    let length = if head.starts_with("PUT") { 5 } else { 0 };
                    let body = talk.body(length).await.unwrap_or_default();
                    let body = String::from_utf8_lossy(&body);
                    let number = talk.number;
                    let answer = format!("{number} {body}");
                    let length = answer.len();
                    talk.send(format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{answer}"))
                        .await;
                }
                talk.request().await;
                talk.end(end).await;
            })
            .await;
            let gateway = before(&upstream).await;
            let client = gateway.client(http);
            assert_eq!(client.get(URL).await.text(), "1 ");
            let again = client.get(URL).await;
            assert_eq!(again.text(), "2 ", "once more, on a new connection");
            assert_eq!(upstream.requests(), 3);
            let put = client.fetch(request("PUT", body::full("12345"))).await.unwrap();
            assert_eq!(put.text(), "3 12345", "the body is sent again, and whole");
            assert_eq!(upstream.requests(), 5);
            let post = outcome(&client, request("POST", body::empty())).await;
            assert_eq!(post, (502, "connection-closed".into()), "not idempotent");
            assert_eq!(upstream.requests(), 6);
            let made = "witgate_upstream_retries_total{pool=\"web\",result=\"made\"}";
            assert_eq!(gateway.metric(made).await, 2.0);
        }
    }

    async fn fault_02_a_body_that_was_not_kept_is_not_sent_again(http) {
        const LONG: u64 = 16 * 1024 + 1;
        let upstream = Scripted::plain(|mut talk: Talk| async move {
            talk.request().await;
            talk.send(OK).await;
            talk.request().await;
            talk.body(usize::try_from(LONG).unwrap()).await;
            talk.end(End::Whole).await;
        })
        .await;
        let gateway = before(&upstream).await;
        let client = gateway.client(http);
        assert_eq!(client.get(URL).await.status, 200);
        let put = outcome(&client, request("PUT", body::zeros(LONG))).await;
        assert_eq!(put, (502, "connection-closed".into()));
        assert_eq!(upstream.requests(), 2);
    }
}

/// The answer is not whole, and is never taken for it.
fn is_cut(answer: Result<witgate_tests::client::Answer, Error>, what: &str) {
    if let Ok(answer) = answer {
        panic!("{what}: {answer:?}");
    }
}

/// Answers with these bytes and this end, once for each connection.
async fn ending(tls: bool, bytes: &'static [u8], end: End) -> Scripted {
    let script = move |mut talk: Talk| async move {
        if talk.request().await.is_some() {
            talk.send(bytes).await;
            // What was sent must be read before a reset throws it away.
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            talk.end(end).await;
        }
    };
    match tls {
        true => Scripted::tls(script).await,
        false => Scripted::plain(script).await,
    }
}

const SHORT: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf";
const IN_A_CHUNK: &[u8] = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nhalf";
const NO_LAST_CHUNK: &[u8] = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n";
const TO_THE_END: &[u8] = b"HTTP/1.1 200 OK\r\n\r\nwhole";

async fn cut_by(http: Http, bytes: &'static [u8], ends: &[(bool, End)]) {
    for (tls, end) in ends {
        let upstream = ending(*tls, bytes, *end).await;
        let gateway = before(&upstream).await;
        let client = gateway.client(http);
        for requests in 1..3 {
            is_cut(client.try_get(URL).await, &format!("{end:?}, TLS: {tls}"));
            assert_eq!(upstream.connections(), requests, "it is not used again");
        }
        let line = gateway
            .access_line_where(|line| line["path"] == "/cart")
            .await;
        assert_eq!(
            (&line["cause"], &line["status"]),
            (&"response-cut".into(), &200.into())
        );
    }
}

const ALL_ENDS: [(bool, End); 5] = [
    (false, End::Whole),
    (false, End::Reset),
    (true, End::Whole),
    (true, End::Cut),
    (true, End::Reset),
];

over_h1_and_h2! {
    async fn fault_03_an_answer_shorter_than_its_length_never_looks_whole(http) {
        cut_by(http, SHORT, &ALL_ENDS).await;
    }

    async fn fault_04_a_chunked_answer_that_is_cut_never_looks_whole(http) {
        cut_by(http, IN_A_CHUNK, &ALL_ENDS).await;
        cut_by(http, NO_LAST_CHUNK, &ALL_ENDS).await;
    }

    async fn fault_05_an_answer_without_a_length_that_is_cut_never_looks_whole(http) {
        cut_by(http, TO_THE_END, &[(false, End::Reset), (true, End::Cut), (true, End::Reset)]).await;
    }

    async fn fault_05_an_answer_without_a_length_is_whole_at_the_end_of_its_connection(http) {
        for tls in [false, true] {
            let upstream = ending(tls, TO_THE_END, End::Whole).await;
            let gateway = before(&upstream).await;
            let client = gateway.client(http);
            for _ in 0..2 {
                assert_eq!(client.get(URL).await.text(), "whole", "TLS: {tls}");
            }
            assert_eq!(upstream.connections(), 2);
        }
    }

    async fn fault_11_a_client_that_leaves_ends_its_upstream_request_at_once(http) {
        // Before the head, in the body of the answer, and in that of the request.
        let upstream = Scripted::tls(|mut talk: Talk| async move {
            let head = talk.request().await.unwrap_or_default();
            if head.contains("/answered") {
                talk.send("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf").await;
            }
            talk.held().await;
        })
        .await;
        let gateway = before(&upstream).await;
        for (ended, path) in [(1, "/silent"), (2, "/answered"), (3, "/uploading")] {
            let client = gateway.client(http);
            let url = format!("https://shop.example{path}");
            let request = match path {
                "/uploading" => http::Request::post(&url).body(body::unfinished("a")).unwrap(),
                _ => get(&url),
            };
            let asking = tokio::spawn(async move { client.fetch(request).await.map(drop) });
            eventually!("the request", (upstream.requests() == ended).then_some(()));
            if path == "/answered" {
                gateway.counted("witgate_upstream_requests_total{pool=\"web\",endpoint=\"ID\"}"
                    .replace("ID", &upstream.address().to_string()).as_str(), 2.0).await;
            }
            asking.abort();
            let _ = asking.await;
            eventually!("the end of the connection", (upstream.ended() == ended).then_some(()));
            let line = gateway.access_line_where(|line| line["path"] == path).await;
            // A body that was cut is told apart; over HTTP/2 its stream is gone at once.
            let causes = match path {
                "/uploading" => ["client-closed", "request-body-failed"],
                _ => ["client-closed"; 2],
            };
            assert!(causes.iter().any(|cause| line["cause"] == *cause), "{line}");
        }
    }
}
