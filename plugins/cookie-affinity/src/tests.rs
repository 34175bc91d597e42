//! The plugin's decisions on built requests and pools.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use witgate_sdk::{prelude::*, testing};

use crate::CookieAffinity;

fn plugin(config: &str) -> CookieAffinity {
    testing::configure(config).unwrap()
}

fn pool() -> Pool {
    Pool::named("web").endpoint("a").endpoint("b").build()
}

fn plain() -> Request {
    Request::get("https://shop.example/").build()
}

/// The `set-cookie` fields that a client gets.
fn issued(plugin: &CookieAffinity, endpoint: &str, outcome: Outcome) -> Vec<String> {
    let response = Response::with_status(200)
        .header("set-cookie", "app=1")
        .build();
    let after = response.after(&plugin.stick(&plain(), &pool(), endpoint, outcome));
    let values = after
        .header_values("set-cookie")
        .into_iter()
        .map(|value| String::from_utf8(value).unwrap());
    assert_eq!(
        values.clone().next().as_deref(),
        Some("app=1"),
        "the upstream's cookie stays"
    );
    values.skip(1).collect()
}

/// What a client sends back that got this `set-cookie`.
fn sent_back(set_cookie: &str) -> Request {
    let (name, value) = set_cookie
        .split(';')
        .next()
        .unwrap()
        .split_once('=')
        .unwrap();
    Request::get("https://shop.example/")
        .cookie(name, value)
        .build()
}

#[test]
fn a_new_session_gets_both_cookies() {
    let cookies = issued(&plugin(""), "a", Outcome::Balanced);
    let [first, second] = cookies.as_slice() else {
        panic!("{cookies:?}")
    };
    let value = first
        .strip_prefix("ApplicationGatewayAffinity=")
        .and_then(|rest| rest.strip_suffix("; Path=/"))
        .unwrap();
    assert!(value.len() == 32 && value.bytes().all(|byte| byte.is_ascii_hexdigit()));
    assert_eq!(
        *second,
        format!("ApplicationGatewayAffinityCORS={value}; Path=/; SameSite=None; Secure")
    );
}

#[test]
fn either_cookie_leads_back_to_the_endpoint() {
    let plugin = plugin("");
    for endpoint in ["a", "b"] {
        for cookie in issued(&plugin, endpoint, Outcome::Balanced) {
            assert_eq!(
                plugin.prefer(&sent_back(&cookie), &pool()),
                Preference::endpoint(endpoint),
                "{cookie}"
            );
        }
    }
}

#[test]
fn another_node_reads_the_cookie() {
    let cookies = issued(&plugin(""), "b", Outcome::Balanced);
    assert_eq!(
        plugin("").prefer(&sent_back(&cookies[0]), &pool()),
        Preference::endpoint("b")
    );
}

#[test]
fn another_key_does_not_read_the_cookie() {
    let cookies = issued(
        &plugin("key = '000102030405060708090a0b0c0d0e0f'"),
        "b",
        Outcome::Balanced,
    );
    assert_eq!(
        plugin("").prefer(&sent_back(&cookies[0]), &pool()),
        Preference::None
    );
}

#[test]
fn an_unknown_or_missing_cookie_prefers_nothing() {
    let plugin = plugin("");
    assert_eq!(plugin.prefer(&plain(), &pool()), Preference::None);
    let forged = Request::get("https://a/")
        .cookie("ApplicationGatewayAffinity", "a")
        .build();
    assert_eq!(plugin.prefer(&forged, &pool()), Preference::None);
}

#[test]
fn a_stale_cookie_does_not_hide_the_other() {
    let plugin = plugin("");
    let cookies = issued(&plugin, "b", Outcome::Balanced);
    let good = cookies[1].split(';').next().unwrap().to_owned();
    let request = Request::get("https://a/")
        .cookie("ApplicationGatewayAffinity", "stale")
        .header("cookie", good)
        .build();
    assert_eq!(plugin.prefer(&request, &pool()), Preference::endpoint("b"));
}

#[test]
fn a_stale_duplicate_does_not_hide_the_cookie() {
    let plugin = plugin("");
    let name = "ApplicationGatewayAffinity";
    let value = |endpoint| {
        let cookie = &issued(&plugin, endpoint, Outcome::Balanced)[0];
        cookie.split(['=', ';']).nth(1).unwrap().to_owned()
    };
    let (a, b) = (value("a"), value("b"));
    let prefers = |lines: &[String]| {
        let request = lines
            .iter()
            .fold(Request::get("https://a/"), |request, line| {
                request.header("cookie", line.as_str())
            });
        plugin.prefer(&request.build(), &pool())
    };
    let cases = [
        (vec![format!("{name}=old; x={a}; {name}={b}")], "b"),
        (
            vec![format!("{name}=old"), format!("{name}=\"{b}\"; {name}={a}")],
            "b",
        ),
        (vec![format!("{name}CORS=old; {name}CORS={a}")], "a"),
        (vec![format!("{name}={a}; {name}={b}")], "a"),
    ];
    for (lines, endpoint) in cases {
        assert_eq!(prefers(&lines), Preference::endpoint(endpoint), "{lines:?}");
    }
    let stale = format!("{name}=old; {name}=older; other={a}");
    assert_eq!(prefers(&[stale]), Preference::None);
}

#[test]
fn an_endpoint_that_left_the_pool_is_not_preferred() {
    let plugin = plugin("");
    let back = sent_back(&issued(&plugin, "b", Outcome::Balanced)[0]);
    assert_eq!(plugin.prefer(&back, &pool()), Preference::endpoint("b"));
    let without_b = Pool::named("web").endpoint("a").generation(2).build();
    assert_eq!(plugin.prefer(&back, &without_b), Preference::None);
    let with_b = Pool::named("web")
        .endpoint("c")
        .endpoint("b")
        .generation(3)
        .build();
    assert_eq!(plugin.prefer(&back, &with_b), Preference::endpoint("b"));
}

#[test]
fn a_cookie_counts_in_its_own_pool_only() {
    let plugin = plugin("");
    let back = sent_back(&issued(&plugin, "b", Outcome::Balanced)[0]);
    assert_eq!(
        plugin.prefer(&back, &Pool::named("api").endpoint("b").build()),
        Preference::None
    );
}

#[test]
fn cookies_are_issued_again_when_the_session_moved() {
    let plugin = plugin("");
    assert_eq!(
        issued(&plugin, "b", Outcome::Moved),
        issued(&plugin, "b", Outcome::Balanced)
    );
    assert!(issued(&plugin, "b", Outcome::Honoured).is_empty());
}

#[test]
fn name_and_attributes_are_configurable() {
    let config = "name = 'S', domain = 'shop.example', path = '/app', max_age = '12h', http_only = true, \
                  secure = true, same_site = 'lax'";
    let cookies = issued(&plugin(&config.replace(", ", "\n")), "a", Outcome::Balanced);
    let value = &cookies[0][2..34];
    let common = "; Path=/app; Domain=shop.example; Max-Age=43200; HttpOnly";
    let expected = [
        format!("S={value}{common}; SameSite=Lax; Secure"),
        format!("SCORS={value}{common}; SameSite=None; Secure"),
    ];
    assert_eq!(cookies, expected);
}

#[test]
fn the_cors_cookie_can_be_left_out() {
    let plugin = plugin("cors = false");
    assert_eq!(issued(&plugin, "a", Outcome::Balanced).len(), 1);
}

#[test]
fn wrong_configurations_name_the_key() {
    let cases = [
        ("name = 'a b'", "name: expected a cookie's name"),
        ("name = ''", "name: expected a cookie's name"),
        (
            "key = 'secret'",
            "key: expected 32 hexadecimal digits, found 6 characters",
        ),
        ("path = 'app'", "path: expected a path starting with \"/\""),
        (
            "path = '/; Secure'",
            "path: expected a path starting with \"/\"",
        ),
        ("domain = ''", "domain: expected a domain"),
        ("max_age = '12'", "max_age: expected a time such as"),
        ("max_age = '0s'", "max_age: expected a time such as"),
        ("same_site = 'none'", "same_site: expected secure = true"),
        (
            "same_site = 'no'",
            "same_site: unknown variant `no`, expected one of `strict`, `lax`, `none`",
        ),
        ("nam = 'a'", "nam: unknown field `nam`, expected one of"),
    ];
    for (config, expected) in cases {
        let refusal = testing::configure::<CookieAffinity>(config)
            .unwrap_err()
            .to_string();
        assert!(refusal.starts_with(expected), "{config}: {refusal}");
    }
}

#[test]
fn the_example_of_the_readme_is_accepted() {
    let readme = include_str!("../README.md");
    let sidecar = readme
        .split("```toml\n")
        .nth(1)
        .and_then(|rest| rest.split("```").next())
        .unwrap();
    testing::configure_sidecar::<CookieAffinity>(sidecar).unwrap();
}
