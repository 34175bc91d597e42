//! `retries` of a pool: what is tried again, where, how often, and what never is.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use witgate_tests::{
    Http, body,
    client::{Answer, Client},
    eventually,
    gateway::{Gateway, Pool, Setup},
    over_h1_and_h2,
    scripted::{End, Scripted, Talk},
    upstream::{Upstream, refusing},
};

const URL: &str = "https://shop.example/cart";

const MADE: &str = "witgate_upstream_retries_total{pool=\"web\",result=\"made\"}";
const REFUSED: &str = "witgate_upstream_retries_total{pool=\"web\",result=\"over-budget\"}";

const UNAVAILABLE: &str = "HTTP/1.1 503 Busy\r\ncontent-length: 4\r\n\r\nbusy";

/// How an upstream fails each request, once it has read its head.
#[derive(Clone, Copy)]
enum Failure {
    Closed,
    Silent,
    Busy,
    Half,
}

async fn failing(failure: Failure) -> Scripted {
    Scripted::plain(move |mut talk: Talk| async move {
        while let Some(head) = talk.request().await {
            if head.contains("content-length: 5") {
                talk.body(5).await;
            }
            match failure {
                Failure::Closed => return talk.end(End::Whole).await,
                Failure::Silent => return talk.held().await,
                Failure::Busy => drop(talk.send(UNAVAILABLE).await),
                Failure::Half => {
                    talk.send("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf")
                        .await;
                    return talk.end(End::Whole).await;
                }
            }
        }
    })
    .await
}

/// Of the two the failing one is asked first, as it has nearly all of the weight.
fn first_then(bad: &Scripted, good: &Upstream, lines: &str) -> Pool {
    let (bad, good) = (bad.address(), good.address());
    Pool::of(&format!(
        "protocol = \"http\"\nendpoints = [\
         {{ id = \"bad\", address = \"{bad}\", weight = 1000 }}, \
         {{ id = \"good\", address = \"{good}\", weight = 1 }}]"
    ))
    .with("ejection = { requests = 0 }")
    .with(lines)
}

async fn gateway(pool: Pool) -> Gateway {
    let setup = Setup::new().workers(1).default_pool("web", pool);
    setup.start().await
}

async fn send(client: &Client, method: &str, length: u64) -> Answer {
    let request = http::Request::builder().method(method).uri(URL);
    let request = request.body(body::zeros(length)).unwrap();
    client.fetch(request).await.unwrap()
}

const ON_ALL: &str = "retries = { on = [\"connection-closed\", \"first-byte-timeout\"], status = \"502-504\" }\n\
                      timeouts = { first_byte = \"300ms\" }";

over_h1_and_h2! {
    async fn an_idempotent_request_is_tried_elsewhere_after_what_is_listed(http) {
        for failure in [Failure::Closed, Failure::Silent, Failure::Busy] {
            let bad = failing(failure).await;
            let good = Upstream::plain("good").await;
            let gateway = gateway(first_then(&bad, &good, ON_ALL)).await;
            let client = gateway.client(http);
            let echo = send(&client, "GET", 0).await;
            assert_eq!(echo.echo().upstream, "good");
            let put = send(&client, "PUT", 5).await;
            assert_eq!((put.echo().upstream.as_str(), put.echo().bytes), ("good", 5));
            assert_eq!((bad.requests(), good.requests()), (2, 2));
            let put = gateway.access_line_where(|line| line["method"] == "PUT").await;
            let tries = (&put["attempts"], &put["endpoint"], &put["bytes_in"]);
            assert_eq!(tries, (&2.into(), &"good".into(), &5.into()), "{put}");
            assert_eq!(gateway.metric(MADE).await, 2.0);
            // What is not idempotent is sent once.
            for (method, length) in [("POST", 0), ("PATCH", 5)] {
                let answer = send(&client, method, length).await;
                assert!(answer.status.is_server_error(), "{method}: {answer:?}");
            }
            assert_eq!((bad.requests(), good.requests()), (4, 2));
            assert_eq!(gateway.metric(MADE).await, 2.0);
        }
    }

    async fn nothing_that_was_sent_is_tried_again_unless_told(http) {
        for (failure, status) in [(Failure::Closed, 502), (Failure::Silent, 504), (Failure::Busy, 503)] {
            let bad = failing(failure).await;
            let good = Upstream::plain("good").await;
            let pool = first_then(&bad, &good, "timeouts = { first_byte = \"300ms\" }");
            let gateway = gateway(pool).await;
            assert_eq!(send(&gateway.client(http), "GET", 0).await.status, status);
            assert_eq!((bad.requests(), good.requests()), (1, 0));
        }
    }

    async fn an_answer_that_has_begun_is_never_followed_by_another(http) {
        let bad = failing(Failure::Half).await;
        let good = Upstream::plain("good").await;
        let gateway = gateway(first_then(&bad, &good, ON_ALL)).await;
        gateway.client(http).try_get(URL).await.unwrap_err();
        assert_eq!((bad.requests(), good.requests()), (1, 0));
    }

    async fn the_answer_of_the_last_try_is_passed_on(http) {
        let only = failing(Failure::Busy).await;
        let pool = only.pool().with("retries = { status = 503, tries = 4 }");
        let gateway = gateway(pool).await;
        let answer = send(&gateway.client(http), "GET", 0).await;
        // Its own answer, not one that the gateway makes up.
        assert_eq!((answer.status.as_u16(), answer.text()), (503, "busy"));
        assert_eq!(answer.header("proxy-status"), "");
        assert_eq!(only.requests(), 4, "there is no other endpoint");
    }

    async fn one_try_is_no_retry(http) {
        let good = Upstream::plain("good").await;
        let gone = refusing().await;
        let list = format!(
            "protocol = \"http\"\nendpoints = [{{ address = \"{gone}\", weight = 1000 }}, \"{}\"]",
            good.address()
        );
        let pool = Pool::of(&list).with("ejection = { connects = 0 }");
        let mut gateway = gateway(pool.clone().with("retries = { tries = 1 }")).await;
        let client = gateway.client(http);
        assert_eq!(send(&client, "GET", 0).await.cause(), "connect-refused");
        assert_eq!(gateway.metric(MADE).await, 0.0);
        // A reload allows them.
        gateway.configure(|setup| setup.default_pool("web", pool));
        eventually!("a retry", (send(&client, "POST", 5).await.status == 200).then_some(()));
        assert!(gateway.metric(MADE).await >= 1.0);
    }

    async fn no_more_is_kept_of_a_body_than_allowed(http) {
        for (buffer, length, status) in [(100, 100, 200), (100, 101, 502), (0, 1, 502)] {
            let bad = Scripted::plain(|mut talk: Talk| async move {
                talk.request().await;
                talk.until("0\r\n\r\n").await;
                talk.end(End::Whole).await;
            })
            .await;
            let good = Upstream::plain("good").await;
            let retries = format!("retries = {{ on = [\"connection-closed\"], buffer = {buffer} }}");
            let gateway = gateway(first_then(&bad, &good, &retries)).await;
            // Of unknown length: what was kept is thrown away when there is more.
            let pieces = body::paced(1, length, std::time::Duration::from_millis(1));
            let request = http::Request::put(URL).body(pieces).unwrap();
            let answer = gateway.client(http).fetch(request).await.unwrap();
            assert_eq!(answer.status, status, "{length} bytes, {buffer} kept");
            if status == 200 {
                assert_eq!(answer.echo().bytes, length as u64);
            }
            assert_eq!(bad.requests(), 1);
        }
    }
}

#[tokio::test]
async fn retries_beyond_the_budget_are_refused_and_told_apart() {
    let seen = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&seen);
    let only = Scripted::plain(move |mut talk: Talk| {
        let counted = Arc::clone(&counted);
        async move {
            while talk.request().await.is_some() {
                counted.fetch_add(1, Relaxed);
                talk.send(UNAVAILABLE).await;
            }
        }
    })
    .await;
    let retries = "retries = { status = 503, tries = 2, budget = 20, min_per_second = 1 }";
    let gateway = gateway(only.pool().with(retries)).await;
    let client = gateway.client(Http::Two);
    const REQUESTS: u64 = 200;
    for _ in 0..REQUESTS {
        assert_eq!(send(&client, "GET", 0).await.text(), "busy");
    }
    let (made, refused) = (gateway.metric(MADE).await, gateway.metric(REFUSED).await);
    assert_eq!(made + refused, REQUESTS as f64);
    assert_eq!(seen.load(Relaxed), REQUESTS + made as u64);
    // A fifth of them, and ten of the seconds; a slow machine may begin another ten of them.
    assert!((40.0..=60.0).contains(&made), "{made} retries");
}
