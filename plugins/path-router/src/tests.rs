//! The plugin's decisions on built requests.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use witgate_sdk::{prelude::*, testing};

use crate::PathRouter;

fn router(config: &str) -> PathRouter {
    testing::configure(config).unwrap()
}

fn refusal(config: &str) -> String {
    testing::configure::<PathRouter>(config)
        .unwrap_err()
        .to_string()
}

fn get(url: &str) -> Request {
    Request::get(url).build()
}

fn pool(router: &PathRouter, url: &str) -> Option<String> {
    match router.route(&get(url)) {
        Route::Forward(forward) => Some(forward.pool),
        _ => None,
    }
}

/// The path that the upstream sees, with one rule for a pattern.
fn overridden(pattern: &str, new: &str, path: &str) -> String {
    let rule =
        format!("rules = [{{ paths = ['{pattern}'], pool = 'p', override_path = '{new}' }}]");
    let request = get(&format!("https://a{path}"));
    match router(&rule).route(&request) {
        Route::Forward(forward) => request.after(&forward.edits).path().to_owned(),
        other => panic!("{path} is not forwarded but {other:?}"),
    }
}

fn location(redirect: &str, url: &str) -> String {
    let rule = format!("rules = [{{ paths = ['/*'], redirect = {{ {redirect} }} }}]");
    match router(&rule).route(&get(url)) {
        Route::Respond(respond) => {
            String::from_utf8(respond.headers.first().unwrap().value.clone()).unwrap()
        }
        other => panic!("{url} is not redirected but {other:?}"),
    }
}

const RULES: &str = r#"
    [[rules]]
    paths = ["/api/*", "/images*"]
    pool = "api"

    [[rules]]
    name = "exact"
    paths = ["/"]
    hosts = ["*.shop.example"]
    pool = "shop"

    [[rules]]
    paths = ["/api/late"]
    pool = "never"
"#;

#[test]
fn the_first_match_in_list_order_counts() {
    assert_eq!(
        pool(&router(RULES), "https://a/api/late").as_deref(),
        Some("api")
    );
}

#[test]
fn a_star_matches_what_follows() {
    let router = router(RULES);
    assert_eq!(pool(&router, "https://a/api/").as_deref(), Some("api"));
    assert_eq!(pool(&router, "https://a/api/v1/x").as_deref(), Some("api"));
    assert_eq!(pool(&router, "https://a/images2/x").as_deref(), Some("api"));
    assert_eq!(pool(&router, "https://a/api"), None);
}

#[test]
fn case_does_not_matter() {
    assert_eq!(
        pool(&router(RULES), "https://a/API/V1").as_deref(),
        Some("api")
    );
    assert_eq!(
        pool(
            &router("rules = [{ paths = ['/Docs/*'], pool = 'd' }]"),
            "https://a/docs/"
        )
        .as_deref(),
        Some("d")
    );
}

#[test]
fn the_query_does_not_count() {
    assert_eq!(pool(&router(RULES), "https://a/x?/api/"), None);
    assert_eq!(
        pool(&router(RULES), "https://a/api/?q").as_deref(),
        Some("api")
    );
}

#[test]
fn listeners_narrow_a_rule() {
    let router = router("rules = [{ paths = ['/*'], listeners = ['inside'], pool = 'staff' }]");
    let from =
        |listener: &str| router.route(&Request::get("https://a/").listener(listener).build());
    assert_eq!(from("inside"), Route::forward("staff").into());
    assert_eq!(from("public"), Route::Pass);
}

#[test]
fn a_field_tells_the_rule_whatever_the_client_claims() {
    let router = router(
        "rule_field = 'X-Rule'\nrules = [{ name = 'all', paths = ['/*'], pool = 'p', override_path = '/v1' }]",
    );
    let request = Request::get("https://a/b").header("x-rule", "mine").build();
    let Route::Forward(forward) = router.route(&request) else {
        panic!("it is not forwarded");
    };
    let seen = request.after(&forward.edits);
    assert_eq!(seen.header_values("x-rule"), [b"all"]);
    assert_eq!(seen.path(), "/v1/b");
}

#[test]
fn a_field_that_tells_rules_needs_their_names() {
    let nameless = "rule_field = 'x-rule'\nrules = [{ paths = ['/*'], pool = 'p' }]";
    assert_eq!(
        refusal(nameless),
        "rule_field: expected a name in each rule, as the field tells it; rules[0] has none"
    );
    let no_name = "rule_field = 'x rule'\nrules = []";
    assert!(refusal(no_name).starts_with("rule_field: expected the name of a header field"));
}

#[test]
fn hosts_narrow_a_rule() {
    let router = router(RULES);
    let route = router.route(&get("https://www.shop.example/"));
    assert_eq!(route, Route::forward("shop").rule("exact").into());
    assert_eq!(router.route(&get("https://shop.example/")), Route::Pass);
}

#[test]
fn an_override_replaces_the_matched_prefix() {
    assert_eq!(
        overridden("/pathrule*", "/override/", "/pathrule/"),
        "/override/"
    );
    assert_eq!(
        overridden("/pathrule*", "/override/", "/pathrule/home/"),
        "/override/home/"
    );
    assert_eq!(
        overridden("/pathrule*", "/override/", "/pathrule/home/second/"),
        "/override/home/second/"
    );
    assert_eq!(
        overridden("/pathrule/home*", "/override/", "/pathrule/home/"),
        "/override/"
    );
    assert_eq!(
        overridden("/pathrule/*", "/override/", "/PathRule/Home"),
        "/override/Home"
    );
}

#[test]
fn an_override_meets_the_rest_with_one_slash() {
    assert_eq!(overridden("/api/*", "/v1", "/api/home"), "/v1/home");
    assert_eq!(overridden("/api*", "/v1", "/api/home"), "/v1/home");
    assert_eq!(overridden("/api*", "/v1", "/api2/home"), "/v12/home");
    assert_eq!(overridden("/api/*", "/", "/api/home"), "/home");
    assert_eq!(overridden("/api", "/v1", "/api"), "/v1");
    assert_eq!(overridden("/api*", "/v1/", "/api"), "/v1/");
}

#[test]
fn an_override_of_a_whole_path_is_the_whole_path() {
    assert_eq!(overridden("/", "/index.html", "/"), "/index.html");
    assert_eq!(overridden("/docs/", "/v1", "/docs/"), "/v1");
    assert_eq!(overridden("/docs/", "/v1/", "/docs/"), "/v1/");
    assert_eq!(overridden("/docs/*", "/v1", "/docs/"), "/v1/");
}

#[test]
fn an_override_keeps_the_query() {
    let request = get("https://a/api/x?y=1");
    let Route::Forward(forward) =
        router("rules = [{ paths = ['/api/*'], pool = 'p', override_path = '/v1/' }]")
            .route(&request)
    else {
        panic!("not forwarded")
    };
    assert_eq!(request.after(&forward.edits).query(), Some("y=1"));
}

#[test]
fn a_redirect_takes_along_what_it_is_told_to() {
    let url = "http://shop.example:8080/a/b?c=d";
    assert_eq!(
        location("status = 301, to = 'https://new.example/'", url),
        "https://new.example/"
    );
    let path = "status = 301, to = 'https://new.example/base/', include_path = true";
    assert_eq!(location(path, url), "https://new.example/base/a/b");
    assert_eq!(
        location(&format!("{path}, include_query = true"), url),
        "https://new.example/base/a/b?c=d"
    );
    let query = "status = 302, to = '/login?from=shop', include_query = true";
    assert_eq!(location(query, url), "/login?from=shop&c=d");
}

#[test]
fn a_redirect_can_keep_the_host() {
    let to = "status = 308, to = 'https://{host}:8443', include_path = true, include_query = true";
    assert_eq!(
        location(to, "http://shop.example:8080/a?b"),
        "https://shop.example:8443/a?b"
    );
    assert_eq!(
        location(to, "http://[2001:db8::7]:80/"),
        "https://[2001:db8::7]:8443/"
    );
}

#[test]
fn a_redirect_to_a_path_stays_on_the_host() {
    let to = "status = 302, to = '/', include_path = true";
    assert_eq!(location(to, "https://a//evil.example/x"), "/evil.example/x");
    assert_eq!(location(to, "https://a/\\evil.example"), "/evil.example");
}

#[test]
fn a_redirect_has_status_and_rule() {
    let router = router(
        "rules = [{ name = 'old', paths = ['/old'], redirect = { status = 307, to = '/new' } }]",
    );
    assert_eq!(
        router.route(&get("https://a/old")),
        Route::redirect(307, "/new").rule("old").into()
    );
}

#[test]
fn wrong_configurations_name_the_key() {
    let cases = [
        ("", "missing field `rules`"),
        (
            "rules = [{ pool = 'p' }]",
            "rules[0]: missing field `paths`",
        ),
        (
            "rules = [{ paths = [], pool = 'p' }]",
            "rules[0].paths: expected at least one path, found none",
        ),
        (
            "rules = [{ paths = ['/', 'x'], pool = 'p' }]",
            "rules[0].paths[1]: expected a path starting with \"/\", found \"x\"",
        ),
        (
            "rules = [{ paths = ['/a*b'], pool = 'p' }]",
            "rules[0].paths[0]: expected \"*\" only at the end, found \"/a*b\"",
        ),
        (
            "rules = [{ paths = ['/a?b'], pool = 'p' }]",
            "rules[0].paths[0]: expected a path without query or fragment, found \"/a?b\"",
        ),
        (
            "rules = [{ paths = ['/'] }]",
            "rules[0]: expected pool or redirect, found neither",
        ),
        (
            "rules = [{ paths = ['/'], pool = 'p', redirect = { status = 301, to = '/' } }]",
            "rules[0]: expected pool or redirect, found both",
        ),
        (
            "rules = [{ paths = ['/'], override_path = '/x', redirect = { status = 301, to = '/' } }]",
            "rules[0].override_path: expected a pool beside it, found none",
        ),
        (
            "rules = [{ paths = ['/'], redirect = { status = 300, to = '/' } }]",
            "rules[0].redirect.status: expected 301, 302, 303, 307 or 308, found 300",
        ),
        (
            "rules = [{ paths = ['/'], hosts = ['a:1'], pool = 'p' }]",
            "rules[0].hosts[0]: expected a host without a port, found \"a:1\"",
        ),
        (
            "rules = [{ paths = ['/'], pol = 'p' }]",
            "rules[0].pol: unknown field `pol`, expected one of `name`, `paths`, `hosts`, `listeners`, `pool`, `override_path`, `redirect`",
        ),
    ];
    for (config, expected) in cases {
        assert_eq!(refusal(config), expected, "{config}");
    }
    for to in [
        "ftp://x",
        "https://",
        "//evil.example",
        "",
        "https://a b",
        "https://a/#x",
    ] {
        let config =
            format!("rules = [{{ paths = ['/'], redirect = {{ status = 301, to = '{to}' }} }}]");
        assert!(
            refusal(&config).starts_with("rules[0].redirect.to: expected "),
            "{to}"
        );
    }
}

#[test]
fn paths_that_no_request_can_have_are_refused() {
    for path in ["/a b", "/\\u0001", "/\\u007F", "/ä", "/ä*"] {
        let config = format!("rules = [{{ paths = ['/', \"{path}\"], pool = 'p' }}]");
        assert!(
            refusal(&config)
                .starts_with("rules[0].paths[1]: expected a path of visible ASCII characters"),
            "{config}: {}",
            refusal(&config)
        );
    }
    for path in [
        "x", "", "/a b", "/\\u0001", "/ä", "/a?b", "/a#b", "/*", "/<", "/>", "/`",
    ] {
        let config =
            format!("rules = [{{ paths = ['/'], pool = 'p', override_path = \"{path}\" }}]");
        assert!(
            refusal(&config)
                .starts_with("rules[0].override_path: expected a path starting with \"/\""),
            "{config}: {}",
            refusal(&config)
        );
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
    testing::configure_sidecar::<PathRouter>(sidecar).unwrap();
}
