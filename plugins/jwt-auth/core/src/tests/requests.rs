//! Where the token of a request is, and which requests need one.

use witgate_sdk::{prelude::*, testing};

use super::{URL, bearing, claims, refused, signer::Signer, trusting};

const CLAIMS: &str = "headers = { x-user = 'sub' }";

/// Whether a GET without a token passes.
fn is_open(plugin: &super::JwtAuth, url: &str) -> bool {
    refused(plugin, &Request::get(url).build()).is_none()
}

fn with(fields: &[(&str, &str)]) -> Request {
    let request = Request::get(URL);
    let fields = fields.iter();
    fields
        .fold(request, |request, (name, value)| {
            request.header(name, *value)
        })
        .build()
}

/// What the upstream gets.
fn seen(plugin: &super::JwtAuth, request: &Request) -> Request {
    request.after(&plugin.0.rewrite_request(request))
}

#[test]
fn who_sends_no_token_is_told_no_error() {
    let plugin = trusting(&Signer::ed25519(), "realm = 'shop, all of it'");
    for request in [
        with(&[]),
        with(&[("authorization", "Basic YTpi")]),
        with(&[("authorization", "")]),
        with(&[("authorization", "BearerX abc")]),
    ] {
        let (status, challenge, logged) = refused(&plugin, &request).unwrap();
        assert_eq!(
            (status, challenge.as_str()),
            (401, "Bearer realm=\"shop, all of it\"")
        );
        assert_eq!(logged, "no token was sent");
    }
}

#[test]
fn the_scheme_is_written_in_any_case() {
    let signer = Signer::ed25519();
    let plugin = trusting(&signer, CLAIMS);
    let token = signer.token(&claims(""));
    for scheme in ["bearer", "BEARER", "bEaReR  "] {
        let request = with(&[("authorization", &format!("{scheme} {token}"))]);
        assert_eq!(refused(&plugin, &request), None, "{scheme}");
        assert_eq!(seen(&plugin, &request).header_str("x-user").unwrap(), "ada");
    }
}

#[test]
fn a_request_with_two_tokens_or_half_a_one_is_malformed() {
    let signer = Signer::ed25519();
    let plugin = trusting(&signer, CLAIMS);
    let good = format!("Bearer {}", signer.token(&claims("")));
    for (fields, reason) in [
        (vec![good.as_str(), good.as_str()], "more than one token"),
        (vec![good.as_str(), "Basic YTpi"], "more than one token"),
        (vec!["Bearer"], "behind Bearer"),
        (vec!["Bearer "], "behind Bearer"),
        (vec!["bearer a b"], "behind Bearer"),
        (vec!["Bearer \"a\""], "behind Bearer"),
        (vec!["Bearer ü"], "behind Bearer"),
        (vec!["Bearer a,Bearer b"], "behind Bearer"),
    ] {
        let fields: Vec<_> = fields
            .iter()
            .map(|value| ("authorization", *value))
            .collect();
        let request = with(&fields);
        let (status, challenge, logged) = refused(&plugin, &request).unwrap();
        assert_eq!(status, 400, "{fields:?}");
        assert!(
            challenge.contains("error=\"invalid_request\""),
            "{challenge}"
        );
        assert!(logged.contains(reason), "{logged}");
        assert_eq!(seen(&plugin, &request).header("x-user"), None);
    }
}

#[test]
fn a_token_can_be_in_a_field_of_its_own() {
    let signer = Signer::ed25519();
    let plugin = trusting(&signer, "token.header = 'X-Token'\nstrip = true");
    let token = signer.token(&claims(""));
    let request = with(&[("x-token", &token), ("authorization", "Basic YTpi")]);
    assert_eq!(refused(&plugin, &request), None);
    let seen = seen(&plugin, &request);
    assert_eq!(seen.header("x-token"), None);
    assert!(seen.header("authorization").is_some());
    assert_eq!(refused(&plugin, &bearing(&token)).unwrap().0, 401);
    let twice = with(&[("x-token", &token), ("x-token", &token)]);
    assert_eq!(refused(&plugin, &twice).unwrap().0, 400);
    assert_eq!(refused(&plugin, &with(&[("x-token", "ü")])).unwrap().0, 401);
}

#[test]
fn a_token_can_be_in_a_cookie() {
    let signer = Signer::ed25519();
    let plugin = trusting(&signer, "token.cookie = 'session'\nstrip = true");
    let token = signer.token(&claims(""));
    let cookies = format!("a=1; session={token}; session2=x");
    let request = with(&[("cookie", &cookies), ("cookie", "b=\"2\"")]);
    assert_eq!(refused(&plugin, &request), None);
    let seen_by = seen(&plugin, &request);
    assert_eq!(
        seen_by.header_values("cookie"),
        [b"a=1; session2=x; b=\"2\""]
    );
    let alone = with(&[("cookie", &format!("session=\"{token}\""))]);
    assert_eq!(refused(&plugin, &alone), None);
    assert_eq!(seen(&plugin, &alone).header("cookie"), None);
    let twice = with(&[("cookie", &format!("session={token}; session=x"))]);
    assert_eq!(refused(&plugin, &twice).unwrap().0, 400);
    assert_eq!(
        refused(&plugin, &with(&[("cookie", "Session=x")]))
            .unwrap()
            .0,
        401
    );
}

#[test]
fn only_a_good_token_is_taken_out() {
    let signer = Signer::ed25519();
    let plugin = trusting(&signer, "strip = true");
    let request = bearing(&signer.token(&claims("")));
    assert_eq!(seen(&plugin, &request).header("authorization"), None);
    for value in ["Basic YTpi", "Bearer of.another.kind"] {
        let request = with(&[("authorization", value)]);
        assert_eq!(
            seen(&plugin, &request).header_str("authorization").unwrap(),
            value
        );
    }
}

#[test]
fn a_token_may_be_left_out_where_it_may() {
    let signer = Signer::ed25519();
    let plugin = trusting(&signer, &format!("without_token = 'pass'\n{CLAIMS}"));
    let forged = with(&[("x-user", "eve")]);
    assert_eq!(refused(&plugin, &forged), None);
    assert_eq!(seen(&plugin, &forged).header("x-user"), None);
    assert_eq!(refused(&plugin, &bearing("a.b.c")).unwrap().0, 401);
}

#[test]
fn hosts_and_paths_are_the_ones_that_are_named() {
    let signer = Signer::ed25519();
    let config = "hosts = ['*.shop.example']\npaths = ['/api/*', '/Admin']\nexcept = ['/api/health', '/api/public/*']";
    let plugin = trusting(&signer, config);
    for url in [
        "https://shop.example/api/cart",
        "https://www.shop.example/",
        "https://www.shop.example/api",
        "https://www.shop.example/admin/x",
        "https://www.shop.example/api/health",
        "https://www.shop.example/api/public/a?b=/../c",
    ] {
        assert!(is_open(&plugin, url), "{url}");
    }
    for url in [
        "https://www.shop.example/api/cart",
        "https://www.shop.example/API/cart",
        "https://www.shop.example/admin",
        "https://www.shop.example/api/Health",
        "https://www.shop.example/api/health/x",
        "https://www.shop.example/api/PUBLIC/a",
    ] {
        assert!(!is_open(&plugin, url), "{url}");
    }
    assert!(!is_open(&trusting(&signer, ""), "https://any.example/"));
}

/// On a listener with `paths = "as-sent"` the upstream may read these in its own way.
#[test]
fn a_path_that_can_be_read_in_two_ways_gets_no_exception() {
    let plugin = trusting(&Signer::ed25519(), "except = ['/public/*']");
    for path in [
        "/public/a",
        "/public/.well-known/a",
        "/public/..a;b=./100%25",
    ] {
        assert!(
            is_open(&plugin, &format!("https://shop.example{path}")),
            "{path}"
        );
    }
    for path in [
        "/public/../admin",
        "/public/%2e%2E/admin",
        "/public/..%2fadmin",
        "/public//../admin",
        "/public/..\\admin",
        "/public/..%5cadmin",
        "/public/.",
        "/public/..;/admin",
    ] {
        assert!(
            !is_open(&plugin, &format!("https://shop.example{path}")),
            "{path}"
        );
    }
}

#[test]
fn claims_are_the_plugins_to_tell_on_all_paths() {
    let signer = Signer::ed25519();
    let plugin = trusting(&signer, &format!("except = ['/*']\n{CLAIMS}"));
    let forged = with(&[("X-User", "eve"), ("x-user", "root")]);
    assert_eq!(refused(&plugin, &forged), None);
    assert_eq!(seen(&plugin, &forged).header("x-user"), None);
    let known = bearing(&signer.token(&claims("")));
    assert_eq!(seen(&plugin, &known).header_str("x-user").unwrap(), "ada");
}

#[test]
fn preflights_pass_where_they_may() {
    let signer = Signer::ed25519();
    let preflight = |fields: &[&str]| {
        let request = Request::with_method("OPTIONS", URL);
        let fields = fields.iter();
        fields
            .fold(request, |request, name| request.header(name, "x"))
            .build()
    };
    let whole = preflight(&["origin", "access-control-request-method"]);
    assert_eq!(refused(&trusting(&signer, ""), &whole).unwrap().0, 401);
    let plugin = trusting(&signer, "preflights = true");
    assert_eq!(refused(&plugin, &whole), None);
    for half in [&["origin"], &["access-control-request-method"]] {
        assert_eq!(refused(&plugin, &preflight(half)).unwrap().0, 401);
    }
}

#[test]
fn the_access_log_says_who_came() {
    let signer = Signer::ed25519();
    let plugin = trusting(&signer, "");
    assert_eq!(refused(&plugin, &bearing(&signer.token(&claims("")))), None);
    assert_eq!(testing::access_field("sub").as_deref(), Some("ada"));
    assert_eq!(testing::access_field("kid").as_deref(), Some("k1"));
    assert_eq!(testing::access_field("refused"), None);
}
