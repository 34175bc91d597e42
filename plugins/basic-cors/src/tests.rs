//! What browsers are told, on built requests and answers.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use witgate_sdk::{prelude::*, testing};

use crate::{BasicCors, origin::Pattern};

const SHOP: &str = r#"
origins = ["https://shop.example", "https://*.shop.example:8443"]
methods = ["GET", "PUT"]
headers = ["content-type", "x-cart"]
expose = ["x-total"]
credentials = true
max_age = 60
"#;

const SHOP_ORIGIN: &str = "https://shop.example";

fn plugin(config: &str) -> BasicCors {
    testing::configure(config).unwrap()
}

fn preflight(origin: &str) -> Request {
    Request::with_method("OPTIONS", "https://api.example/cart")
        .header("origin", origin)
        .header("access-control-request-method", "PUT")
        .build()
}

fn get(origin: Option<&str>) -> Request {
    let request = Request::get("https://api.example/cart");
    match origin {
        Some(origin) => request.header("origin", origin).build(),
        None => request.build(),
    }
}

/// An answer whose upstream has ideas of its own, as the client gets it.
fn answered(config: &str, origin: Option<&str>) -> Response {
    let response = Response::with_status(200)
        .header("access-control-allow-origin", "*")
        .header("access-control-allow-credentials", "true")
        .header("vary", "accept-encoding")
        .build();
    let edits = plugin(config).rewrite_response(&get(origin), &response);
    response.after(&edits)
}

fn text(response: &Response, name: &str) -> String {
    let values = response.header_values(name);
    String::from_utf8(values.join(&b", "[..])).unwrap()
}

#[test]
fn a_preflight_is_answered() {
    let Route::Respond(answer) = plugin(SHOP).route(&preflight(SHOP_ORIGIN)) else {
        panic!("it passes");
    };
    assert_eq!(answer.status, 204);
    let fields: Vec<_> = answer
        .headers
        .iter()
        .map(|field| {
            (
                field.name.as_str(),
                std::str::from_utf8(&field.value).unwrap(),
            )
        })
        .collect();
    let expected = [
        ("access-control-allow-origin", SHOP_ORIGIN),
        ("access-control-allow-methods", "GET, PUT"),
        ("access-control-max-age", "60"),
        ("access-control-allow-headers", "content-type, x-cart"),
        ("access-control-allow-credentials", "true"),
        ("vary", "origin"),
    ];
    assert_eq!(fields, expected);
}

#[test]
fn a_preflight_of_a_stranger_is_refused() {
    let Route::Respond(answer) = plugin(SHOP).route(&preflight("https://evil.example")) else {
        panic!("it passes");
    };
    assert_eq!(answer.status, 403);
    assert!(
        answer
            .headers
            .iter()
            .all(|field| !field.name.starts_with("access-control"))
    );
}

#[test]
fn other_requests_pass() {
    let plain = Request::with_method("OPTIONS", "https://api.example/cart").build();
    for request in [plain, get(Some(SHOP_ORIGIN)), get(None)] {
        assert_eq!(plugin(SHOP).route(&request), Route::Pass);
    }
}

#[test]
fn an_answer_names_the_origin_that_may_read_it() {
    let answer = answered(SHOP, Some(SHOP_ORIGIN));
    assert_eq!(text(&answer, "access-control-allow-origin"), SHOP_ORIGIN);
    assert_eq!(text(&answer, "access-control-allow-credentials"), "true");
    assert_eq!(text(&answer, "access-control-expose-headers"), "x-total");
    assert_eq!(text(&answer, "vary"), "accept-encoding, origin");
}

#[test]
fn strangers_and_pages_of_the_same_site_are_told_nothing() {
    for origin in [Some("https://evil.example"), Some("null"), None] {
        let answer = answered(SHOP, origin);
        assert_eq!(
            text(&answer, "access-control-allow-origin"),
            "",
            "{origin:?}"
        );
        assert_eq!(text(&answer, "access-control-allow-credentials"), "");
        assert_eq!(text(&answer, "vary"), "accept-encoding, origin");
    }
}

#[test]
fn an_answer_for_all_may_be_cached_for_all() {
    let answer = answered("origins = [\"*\"]", Some("https://any.example"));
    assert_eq!(text(&answer, "access-control-allow-origin"), "*");
    assert_eq!(text(&answer, "access-control-allow-credentials"), "");
    assert_eq!(text(&answer, "vary"), "accept-encoding");
}

#[test]
fn an_origin_is_scheme_host_and_port() {
    let matches = |pattern: &str, origin: &str| {
        Pattern::try_from(pattern.to_owned())
            .unwrap()
            .matches(origin)
    };
    assert!(matches(
        "https://*.shop.example",
        "https://a.b.shop.example"
    ));
    assert!(matches(
        "http://[2001:db8::7]:8080",
        "http://[2001:db8::7]:8080"
    ));
    assert!(matches("*", "null"));
    for origin in [
        "http://www.shop.example",
        "https://shop.example",
        "https://www.shop.example:8443",
        "https://evil.example/.shop.example",
        "https://evil.example:443.shop.example",
        "https://evil.example#.shop.example",
        "null",
        "",
    ] {
        assert!(!matches("https://*.shop.example", origin), "{origin}");
    }
}

#[test]
fn a_wrong_configuration_names_its_key() {
    for (config, problem) in [
        ("methods = []", "missing field `origins`"),
        (
            "origins = [\"shop.example\"]",
            "origins[0]: expected an origin such as",
        ),
        (
            "origins = [\"https://shop.example/\"]",
            "origins[0]: expected an origin such as",
        ),
        (
            "origins = [\"*\"]\ncredentials = true",
            "credentials: browsers refuse it",
        ),
        (
            "origins = []\nexpose = [\"x total\"]",
            "expose[0]: expected a word",
        ),
    ] {
        let refusal = testing::configure::<BasicCors>(config).err().unwrap();
        assert!(refusal.to_string().starts_with(problem), "{refusal}");
    }
}
