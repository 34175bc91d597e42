//! What a token has to claim, and what of it reaches the upstream.

use std::time::Duration;

use witgate_sdk::{prelude::*, testing};

use super::{
    NOW, assert_invalid, assert_passes, bearing, claims, plugin, refused,
    signer::{Signer, encode},
    trusting,
};

#[test]
fn a_token_counts_in_its_time_and_a_little_around_it() {
    let signer = Signer::ed25519();
    let (strict, lenient) = (trusting(&signer, ""), trusting(&signer, "leeway = 30"));
    let at = |claim: &str, time: u64| {
        let exp = NOW + 100_000;
        let claims = match claim {
            "exp" => format!(r#"{{"exp": {time}}}"#),
            _ => format!(r#"{{"exp": {exp}, "{claim}": {time}}}"#),
        };
        signer.token(&claims)
    };
    assert_passes(&strict, &at("exp", NOW + 1));
    assert_invalid(&strict, &at("exp", NOW), "has expired");
    assert_passes(&lenient, &at("exp", NOW - 29));
    assert_invalid(&lenient, &at("exp", NOW - 30), "has expired");
    for (claim, reason) in [("nbf", "not valid yet"), ("iat", "issued in the future")] {
        assert_passes(&strict, &at(claim, NOW));
        assert_invalid(&strict, &at(claim, NOW + 1), reason);
        assert_passes(&lenient, &at(claim, NOW + 30));
        assert_invalid(&lenient, &at(claim, NOW + 31), reason);
    }
}

#[test]
fn times_may_have_fractions_and_must_be_numbers() {
    let signer = Signer::ed25519();
    let plugin = trusting(&signer, "");
    assert_passes(&plugin, &signer.token(&format!(r#"{{"exp": {NOW}.5}}"#)));
    testing::advance(Duration::from_millis(500));
    assert_invalid(
        &plugin,
        &signer.token(&format!(r#"{{"exp": {NOW}.5}}"#)),
        "has expired",
    );
    for exp in ["\"2000000000\"", "true", "[]", "{}", "1e999"] {
        assert_invalid(
            &plugin,
            &signer.token(&format!(r#"{{"exp": {exp}}}"#)),
            "malformed",
        );
    }
    assert_invalid(&plugin, &signer.token(r#"{"exp": -1}"#), "has expired");
}

#[test]
fn a_token_has_to_expire_unless_it_need_not() {
    let signer = Signer::ed25519();
    let token = signer.token("{}");
    assert_invalid(
        &trusting(&signer, ""),
        &token,
        "does not say when it expires",
    );
    let patient = trusting(&signer, "expiry = \"optional\"");
    assert_passes(&patient, &token);
    assert_invalid(&patient, &signer.token(r#"{"exp": 1}"#), "has expired");
}

#[test]
fn an_issuer_has_keys_of_its_own() {
    let (ours, theirs) = (Signer::ed25519(), Signer::ed25519());
    let of = |issuer: &str| claims(&format!(r#""iss": "{issuer}""#));
    let open = trusting(&ours, "");
    assert_passes(&open, &ours.token(&of("https://any.example")));
    let config = format!(
        "issuers = ['https://id.example']\n[[keys]]\njwks = '{}'\n[[keys]]\nissuers = ['https://partner.example']\njwks = '{}'",
        ours.jwks("k1"),
        theirs.jwks("k1"),
    );
    let plugin = plugin(&config);
    assert_passes(&plugin, &ours.token(&of("https://id.example")));
    assert_passes(&plugin, &theirs.token(&of("https://partner.example")));
    for token in [
        ours.token(&of("https://partner.example")),
        theirs.token(&of("https://id.example")),
        ours.token(&of("https://id.example/")),
        ours.token(&claims("")),
        ours.token(&claims(r#""iss": ["https://id.example"]"#)),
    ] {
        assert_invalid(&plugin, &token, "issuer is not accepted");
    }
}

#[test]
fn a_token_for_others_is_refused() {
    let signer = Signer::ed25519();
    let for_shop = trusting(&signer, "audiences = ['shop', 'cart']");
    for aud in ["\"shop\"", "[\"other\", \"cart\"]"] {
        let token = signer.token(&claims(&format!("\"aud\": {aud}")));
        assert_passes(&for_shop, &token);
        assert_invalid(&trusting(&signer, ""), &token, "another audience");
    }
    for aud in [
        "\"Shop\"",
        "[]",
        "\"\"",
        "{\"shop\": 1}",
        "null",
        "[\"shop,cart\"]",
    ] {
        let token = signer.token(&claims(&format!("\"aud\": {aud}")));
        assert_invalid(&for_shop, &token, "another audience");
    }
    assert_invalid(&for_shop, &signer.token(&claims("")), "another audience");
    assert_passes(&trusting(&signer, ""), &signer.token(&claims("")));
}

#[test]
fn all_scopes_are_needed_in_any_of_their_forms() {
    let signer = Signer::ed25519();
    let plugin = trusting(&signer, "scopes = ['cart:read', 'cart:write']");
    for more in [
        r#""scope": "openid cart:write cart:read""#,
        r#""scp": ["cart:read", "cart:write"]"#,
        r#""scp": "cart:read cart:write""#,
        r#""scope": "cart:read", "scp": ["cart:write"]"#,
    ] {
        assert_passes(&plugin, &signer.token(&claims(more)));
    }
    for more in [
        "",
        r#""scope": "cart:read""#,
        r#""scope": "cart:read cart:write2""#,
        r#""scope": 5"#,
        r#""scp": ["cart:read cart:write"]"#,
    ] {
        let request = bearing(&signer.token(&claims(more)));
        let (status, challenge, logged) = refused(&plugin, &request).unwrap();
        assert_eq!(
            (status, logged.as_str()),
            (403, "the token lacks a scope"),
            "{more}"
        );
        let expected = "Bearer realm=\"api\", error=\"insufficient_scope\", \
             error_description=\"the token lacks a scope\", scope=\"cart:read cart:write\"";
        assert_eq!(challenge, expected);
    }
}

#[test]
fn claims_have_to_be_as_required() {
    let signer = Signer::ed25519();
    let config = "[required]\ntenant = 'shop'\nlevel = 2\n'/realm/roles' = 'admin'";
    let plugin = trusting(&signer, config);
    let good = r#""tenant": "shop", "level": 2, "realm": {"roles": ["user", "admin"]}"#;
    assert_passes(&plugin, &signer.token(&claims(good)));
    for (from, to) in [
        ("\"shop\"", "\"shop2\""),
        ("\"tenant\"", "\"tenants\""),
        ("2", "\"2\""),
        ("\"admin\"", "\"admins\""),
        ("\"roles\"", "\"role\""),
    ] {
        let token = signer.token(&claims(&good.replace(from, to)));
        assert_invalid(&plugin, &token, "not as required");
    }
}

#[test]
fn a_type_can_be_asked_for() {
    let signer = Signer::ed25519();
    let plugin = trusting(&signer, "typ = 'at+jwt'");
    let of = |typ: &str| {
        let header = format!(r#"{{"alg": "EdDSA"{typ}}}"#);
        signer.token_of(&header, &claims(""))
    };
    assert_passes(&plugin, &of(r#", "typ": "at+JWT""#));
    assert_passes(&plugin, &of(r#", "typ": "application/at+jwt""#));
    for typ in ["", r#", "typ": "JWT""#] {
        assert_invalid(&plugin, &of(typ), "typ is not the one");
    }
}

#[test]
fn what_is_malformed_is_refused() {
    let signer = Signer::ed25519();
    let plugin = trusting(&signer, "token_bytes = 1000");
    let good = signer.token(&claims(""));
    assert_passes(&plugin, &good);
    let (signed, signature) = good.rsplit_once('.').unwrap();
    for token in [
        "a",
        "..",
        ".",
        signed,
        &format!("{good}."),
        &format!("{good}.{signature}"),
        &format!(".{good}"),
        &format!("{good}="),
        &good.replacen('.', "..", 1),
        &format!("+{good}"),
        &format!("{}.e30.AA", encode("[]")),
        &format!("{}.e30.AA", encode(r#""EdDSA""#)),
        &format!("{}.e30.AA", encode(r#"{"kid": "k1"}"#)),
        &format!("{}.e30.AA", encode(r#"{"alg": "EdDSA", "alg": "HS256"}"#)),
        &format!("{}.e30.AA", encode(r#"{"alg": ["EdDSA"]}"#)),
        &format!("{}.e30.AA", encode([0xff, 0xfe])),
    ] {
        assert_invalid(&plugin, token, "no JWT");
    }
    for claims in ["", "[]", "\"text\"", "{\"exp\": 1", "{} {}", "null"] {
        assert_invalid(&plugin, &signer.token(claims), "claims are malformed");
    }
    let deep = format!("{{\"exp\": {}, \"a\": {}", NOW + 9, "[".repeat(200));
    assert_invalid(&plugin, &signer.token(&deep), "claims are malformed");
    let long = signer.token(&claims(&format!("\"a\": \"{}\"", "a".repeat(700))));
    assert_invalid(&plugin, &long, "too long");
    let of_the_most = trusting(&signer, "");
    assert_passes(&of_the_most, &long);
    assert_invalid(&of_the_most, &"a".repeat(8193), "too long");
    assert_invalid(&of_the_most, &"a".repeat(8192), "no JWT");
}

#[test]
fn extensions_are_refused() {
    let signer = Signer::ed25519();
    let plugin = trusting(&signer, "");
    for header in [
        r#"{"alg": "EdDSA", "crit": ["exp"], "exp": 1}"#,
        r#"{"alg": "EdDSA", "crit": []}"#,
        r#"{"alg": "EdDSA", "b64": false, "crit": ["b64"]}"#,
        r#"{"alg": "EdDSA", "b64": false}"#,
    ] {
        assert_invalid(&plugin, &signer.token_of(header, &claims("")), "extension");
    }
    let header = format!(r#"{{"alg": "EdDSA", "kid": "{}"}}"#, "k".repeat(257));
    assert_invalid(
        &plugin,
        &signer.token_of(&header, &claims("")),
        "kid is too long",
    );
}

#[test]
fn the_upstream_is_told_what_is_claimed() {
    let signer = Signer::ed25519();
    let config =
        "[headers]\nX-User = 'sub'\nx-roles = '/realm/roles'\nx-level = 'level'\nx-mail = 'email'";
    let plugin = trusting(&signer, config);
    let more = r#""realm": {"roles": ["a,b", "ü"]}, "level": 7, "email": null"#;
    let token = signer.token(&claims(more));
    let request = Request::get(super::URL)
        .header("authorization", format!("Bearer {token}"))
        .header("x-user", "eve")
        .header("X-Mail", "eve@evil.example")
        .build();
    let seen = request.after(&plugin.0.rewrite_request(&request));
    assert_eq!(seen.header_values("x-user"), [b"ada"]);
    assert_eq!(seen.header_str("x-roles").unwrap(), r#"["a,b","ü"]"#);
    assert_eq!(seen.header_str("x-level").unwrap(), "7");
    assert_eq!(
        seen.header("x-mail"),
        None,
        "not claimed, and not the client's to say"
    );
    assert!(seen.header("authorization").is_some());
}

#[test]
fn a_claim_that_a_field_would_change_is_refused() {
    let signer = Signer::ed25519();
    let plugin = trusting(&signer, "headers = { x-name = 'name' }");
    for name in [
        r"a\r\nx-admin: 1",
        r"a\u0000",
        r" ada",
        r"ada\t",
        r"a\u007f",
        r"\u0085a",
    ] {
        let token = signer.token(&claims(&format!(r#""name": "{name}""#)));
        assert_invalid(&plugin, &token, "does not fit into a header field");
    }
    let token = signer.token(&claims(r#""name": ["a\u007f"]"#));
    assert_invalid(&plugin, &token, "does not fit into a header field");
    assert_passes(&plugin, &signer.token(&claims(r#""name": """#)));
}
