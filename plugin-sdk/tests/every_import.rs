//! A plugin that uses all that a plugin can import, tested as its author would: natively, by `cargo test`.

use std::time::Duration;

use witgate_sdk::{
    BodyFailure, access_log,
    callout::{self, Answer},
    clock, kv, metrics,
    prelude::*,
    random, testing,
};

struct Everything {
    started: Duration,
    token: u64,
}

impl Plugin for Everything {
    type Config = NoConfig;

    fn configure(_: NoConfig) -> Result<Self, ConfigError> {
        metrics::count("instances", 1);
        let counted = kv::increment("instances", 1, None);
        counted.map_err(|refusal| ConfigError::new(refusal.to_string()))?;
        log::info!("ready");
        Ok(Self {
            started: clock::monotonic(),
            token: random::number(),
        })
    }
}

/// All facts of a request, one a line.
fn facts(request: &Request) -> String {
    let tls = request.tls();
    let certificate = request.client_certificate();
    let lines = [
        request.id(),
        format!("{} {:?}", request.method(), request.version()),
        format!("{:?} {}", request.scheme(), request.authority()),
        request.target_uri().to_owned(),
        format!(
            "{} {} {:?}",
            request.host(),
            request.path(),
            request.query()
        ),
        request.original_uri().to_owned(),
        request.original_authority().to_owned(),
        request.original_target().to_owned(),
        format!("{:?} {:?}", request.header("a"), request.header_str("a")),
        format!("{:?}", request.header_values("a")),
        request.headers().len().to_string(),
        format!("{:?}", request.cookie("session")),
        format!(
            "{} {} {}",
            request.listener(),
            request.peer(),
            request.local()
        ),
        format!("{:?}", tls.and_then(|tls| tls.server_name)),
        format!(
            "{} {}",
            certificate.is_some(),
            request.client_certificate_chain().len()
        ),
    ];
    lines.join("\n")
}

impl AsyncRouting for Everything {
    async fn route(&self, request: &Request) -> Decision {
        access_log::set("facts", &facts(request));
        metrics::count("requests", 1);
        let start = match request.body_start(4).await {
            Ok(start) => start.bytes,
            Err(BodyFailure::Timeout) => return Route::respond(408).into(),
            Err(_) => return Route::respond(400).into(),
        };
        metrics::observe("body", start.len() as f64);
        let asked = callout::post("accounts", "/check", start).timeout(Duration::from_secs(1));
        let answer = match asked.header("x-token", self.token.to_string()).send().await {
            Ok(answer) => answer,
            Err(failure) => {
                log::warn!("accounts: {failure:?}");
                return Route::respond(503).into();
            }
        };
        let ran = (clock::monotonic() - self.started).as_secs();
        let times = kv::increment(request.host(), 1, Some(Duration::from_mins(1)));
        match (answer.status, times) {
            (200, Ok(times)) if times.number <= 2 => Route::forward("web")
                .rule(format!("time {} after {ran} s", times.number))
                .into(),
            (200, _) => Route::respond(429)
                .header("date", clock::since_1970().as_secs().to_string())
                .into(),
            _ => Route::respond(403).into(),
        }
    }
}

impl Affinity for Everything {
    fn prefer(&self, request: &Request, pool: &Pool) -> Preference {
        let endpoints = pool.endpoints();
        match request
            .cookie("node")
            .filter(|node| endpoints.contains(node))
        {
            Some(node) => Preference::endpoint(node),
            None => {
                let one = random::below(endpoints.len() as u64) as usize;
                Preference::endpoint(&endpoints[one])
            }
        }
    }

    fn stick(&self, _: &Request, pool: &Pool, endpoint: &str, _: Outcome) -> Vec<ResponseEdit> {
        let cookie = format!(
            "node={endpoint}; Path=/{}/{}",
            pool.name(),
            pool.generation()
        );
        vec![ResponseEdit::append("set-cookie", cookie)]
    }
}

impl AsyncRewriting for Everything {
    async fn rewrite_request(&self, request: &Request) -> Vec<RequestEdit> {
        let nonce = random::array::<4>();
        let _ = kv::set("last", request.id(), None);
        vec![RequestEdit::set("x-nonce", format!("{nonce:?}"))]
    }

    async fn rewrite_response(&self, _: &Request, response: &Response) -> Vec<ResponseEdit> {
        if log::enabled(log::Level::Debug) {
            log::debug!("{:?} {:?}", response.headers(), response.header_values("a"));
        }
        let last = kv::get("last").unwrap_or_default();
        kv::delete("last");
        let server = response.header_str("server");
        vec![
            ResponseEdit::set("x-last", last),
            ResponseEdit::set("x-saw", format!("{} {server:?}", response.status())),
            ResponseEdit::remove("server"),
        ]
    }
}

witgate_sdk::export!(Everything: AsyncRouting, Affinity, AsyncRewriting);

fn plugin() -> Everything {
    testing::reset();
    testing::seed(7);
    testing::configure("").expect("no configuration")
}

fn request() -> Request {
    Request::post("https://shop.example/cart?a=1")
        .id("00000000000000000000000000000001")
        .header("a", "1")
        .header("a", "2")
        .cookie("session", "s")
        .body("drop table")
        .build()
}

#[test]
fn it_decides_by_body_callout_store_and_clock() {
    let plugin = plugin();
    let token = plugin.token.to_string();
    testing::on_callout(move |asked| {
        assert_eq!((asked.pool(), asked.path()), ("accounts", "/check"));
        assert_eq!(asked.headers()[0].value, token.as_bytes());
        let is_allowed = asked.content() == b"drop";
        Ok(Answer::new(if is_allowed { 200 } else { 403 }))
    });
    let decide = |request| testing::wait_for(plugin.route(&request));
    let forward = |rule: &str| -> Decision { Route::forward("web").rule(rule).into() };

    assert_eq!(decide(request()), forward("time 1 after 0 s"));
    testing::advance(Duration::from_secs(2));
    assert_eq!(decide(request()), forward("time 2 after 2 s"));
    testing::set_time(Duration::from_secs(99));
    let refused: Decision = Route::respond(429).header("date", "99").into();
    assert_eq!(decide(request()), refused);
    // The entry of the store has ended.
    testing::advance(Duration::from_mins(1));
    assert_eq!(decide(request()), forward("time 1 after 62 s"));
    let other = Request::post("https://shop.example/")
        .body("select")
        .build();
    assert_eq!(decide(other), Route::respond(403).into());

    assert_eq!(testing::counted("instances"), 1);
    assert_eq!(testing::counted("requests"), 5);
    assert_eq!(testing::observed("body"), [4.0; 5]);
    assert_eq!(kv::number("instances"), Some(1));
}

#[test]
fn it_sees_all_facts() {
    let plugin = plugin();
    // Nobody answers callouts.
    let decision = testing::wait_for(plugin.route(&request()));
    assert_eq!(decision, Route::respond(503).into());
    let facts = testing::access_field("facts").expect("set by route");
    for part in [
        "00000000000000000000000000000001\nPOST ",
        "https://shop.example/cart?a=1",
        "shop.example /cart Some(\"a=1\")",
        "Some([49]) Some(\"1\")",
        "[[49], [50]]\n3\nSome(\"s\")",
        "Some(\"shop.example\")\nfalse 0",
    ] {
        assert!(facts.contains(part), "{part}: {facts}");
    }
}

#[test]
fn it_keeps_a_session_with_its_node() {
    let plugin = plugin();
    let pool = Pool::named("web")
        .endpoint("a")
        .endpoint("b")
        .generation(3)
        .build();
    let with = |node| {
        Request::get("https://shop.example/")
            .cookie("node", node)
            .build()
    };
    assert_eq!(plugin.prefer(&with("b"), &pool), Preference::endpoint("b"));
    let drawn = plugin.prefer(&with("gone"), &pool);
    assert!(
        ["a", "b"].map(Preference::endpoint).contains(&drawn),
        "{drawn:?}"
    );
    let edits = plugin.stick(&with("b"), &pool, "b", Outcome::Honoured);
    let answer = Response::with_status(200).build().after(&edits);
    assert_eq!(
        answer.header_str("set-cookie").as_deref(),
        Some("node=b; Path=/web/3")
    );
}

#[test]
fn it_rewrites_both_ways() {
    let plugin = plugin();
    let request = request();
    let edits = testing::wait_for(plugin.rewrite_request(&request));
    assert!(request.after(&edits).header("x-nonce").is_some());
    let response = Response::with_status(200).header("server", "old").build();
    let edits = testing::wait_for(plugin.rewrite_response(&request, &response));
    let response = response.after(&edits);
    assert_eq!(
        response.header_str("x-last").as_deref(),
        Some("00000000000000000000000000000001")
    );
    assert_eq!(
        response.header_str("x-saw").as_deref(),
        Some("200 Some(\"old\")")
    );
    assert_eq!(response.header("server"), None);
    assert_eq!(kv::get("last"), None);
}
