//! What becomes of built requests and responses.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use witgate_sdk::{RequestBuilder, prelude::*, testing};

use crate::HeaderRewriter;

fn plugin(config: &str) -> HeaderRewriter {
    testing::configure(config).unwrap()
}

fn refusal(config: &str) -> String {
    testing::configure::<HeaderRewriter>(config)
        .unwrap_err()
        .to_string()
}

fn request_builder() -> RequestBuilder {
    Request::get("https://shop.example:8443/api/v1?x=1")
        .peer("192.0.2.7:5555")
        .header("User-Agent", "curl/8")
        .header("Accept", "text/html")
        .header("Accept", "text/plain")
        .cookie("lang", "de")
}

fn request() -> Request {
    request_builder().build()
}

fn response() -> Response {
    Response::with_status(302)
        .header("Location", "http://internal:8080/next?y=2")
        .header("Set-Cookie", "a=1; Path=/")
        .header("Set-Cookie", "b=2; Path=/; Secure")
        .header("Server", "secret/1.0")
        .build()
}

/// The request after one rule for requests.
fn requested(rule: &str) -> Request {
    request().after(&plugin(&format!("[[request]]\n{rule}")).rewrite_request(&request()))
}

/// The response after rules.
fn responded(rules: &str) -> Response {
    response().after(&plugin(rules).rewrite_response(&request(), &response()))
}

fn values(values: Vec<Vec<u8>>) -> Vec<String> {
    values
        .into_iter()
        .map(|value| String::from_utf8(value).unwrap())
        .collect()
}

#[test]
fn fields_are_set_appended_and_deleted() {
    let seen = requested(
        "set = { Accept = '*/*', x-new = 'n' }\nappend = { via = 'x' }\ndelete = ['user-agent', 'x-none']",
    );
    assert_eq!(values(seen.header_values("accept")), ["*/*"]);
    assert_eq!(seen.header_str("x-new").as_deref(), Some("n"));
    assert_eq!(seen.header_str("via").as_deref(), Some("x"));
    assert_eq!(seen.header("user-agent"), None);
    assert_eq!(
        responded("[[response]]\ndelete = ['server']").header("server"),
        None
    );
}

#[test]
fn values_refer_to_headers_and_variables() {
    let cases = [
        ("{http_req_User-Agent}", "curl/8"),
        ("{http_req_accept}", "text/html, text/plain"),
        ("{http_req_x-none}", ""),
        ("{var_client_ip}:{var_client_port}", "192.0.2.7:5555"),
        ("{var_add_x_forwarded_for_proxy}", "192.0.2.7"),
        ("{var_host} {var_server_port}", "shop.example 8443"),
        (
            "{var_http_method} {var_request_uri} {var_http_version}",
            "GET /api/v1?x=1 HTTP/1.1",
        ),
        (
            "{var_uri_path} {var_query_string} {var_request_query}",
            "/api/v1 x=1 x=1",
        ),
        ("{var_request_scheme} {var_ssl_enabled}", "https on"),
        (
            "{var_ssl_connection_protocol} {var_ciphers_used}",
            "TLSv1.3 TLS_AES_128_GCM_SHA256",
        ),
        (
            "{var_ssl_server_name} {var_listener}",
            "shop.example public",
        ),
        ("{var_cookie_lang}{var_cookie_none}", "de"),
        ("{var_request_id}", "0123456789abcdef0123456789abcdef"),
        ("{{\"a\": 1}}", "{\"a\": 1}"),
    ];
    for (value, expected) in cases {
        let seen = requested(&format!("set = {{ x-a = '{value}' }}"));
        assert_eq!(seen.header_str("x-a").as_deref(), Some(expected), "{value}");
    }
    let seen = responded(
        "[[response]]\nset = { x-a = '{var_http_status} {http_resp_server} {http_req_user-agent}' }",
    );
    assert_eq!(
        seen.header_str("x-a").as_deref(),
        Some("302 secret/1.0 curl/8")
    );
}

#[test]
fn a_value_that_is_not_utf8_is_copied_as_it_is() {
    let request = Request::get("https://a/").header("x-a", b"\xff").build();
    let edits = plugin("[[request]]\nset = { x-b = '{http_req_x-a}' }").rewrite_request(&request);
    assert_eq!(edits, [RequestEdit::set("x-b", b"\xff")]);
}

#[test]
fn all_conditions_must_hold() {
    let when = |conditions: &str| {
        requested(&format!("when = [{conditions}]\nset = {{ x-a = '1' }}"))
            .header("x-a")
            .is_some()
    };
    let curl = "{ fact = 'http_req_User-Agent', pattern = '^CURL/', ignore_case = true }";
    let api = "{ fact = 'var_uri_path', pattern = '^/api/' }";
    assert!(when(&format!("{curl}, {api}")));
    assert!(!when(&format!(
        "{curl}, {{ fact = 'var_uri_path', pattern = '^/x' }}"
    )));
    assert!(
        !when("{ fact = 'http_req_User-Agent', pattern = '^CURL/' }"),
        "case counts by default"
    );
    assert!(
        when("{ fact = 'http_req_accept', pattern = 'plain' }"),
        "any of a header's values will do"
    );
}

#[test]
fn a_condition_can_be_negated() {
    let when = |conditions: &str| {
        requested(&format!("when = [{conditions}]\nset = {{ x-a = '1' }}"))
            .header("x-a")
            .is_some()
    };
    assert!(!when(
        "{ fact = 'http_req_accept', pattern = 'plain', negate = true }"
    ));
    assert!(
        when("{ fact = 'http_req_x-none', pattern = '', negate = true }"),
        "an absent header matches nothing"
    );
    assert!(
        when("{ fact = 'var_cookie_none', pattern = '^$' }"),
        "an absent variable is empty"
    );
}

#[test]
fn captures_are_used_in_values() {
    let seen = requested(
        "when = [{ fact = 'var_uri_path', pattern = '^/(\\w+)/v(\\d+)' }, { fact = 'http_req_accept', pattern = 'text/(p.*)' }]\n\
         set = { x-a = '{var_uri_path_1} {var_uri_path_2} {http_req_Accept_1} {var_uri_path_0}' }",
    );
    assert_eq!(
        seen.header_str("x-a").as_deref(),
        Some("api 1 plain /api/v1")
    );
}

#[test]
fn a_header_can_be_renamed() {
    let seen = requested("set = { x-agent = '{http_req_user-agent}' }\ndelete = ['user-agent']");
    assert_eq!(
        (
            seen.header_str("x-agent").as_deref(),
            seen.header("user-agent")
        ),
        (Some("curl/8"), None)
    );
}

#[test]
fn path_query_and_host_are_rewritten() {
    let seen = requested(
        "when = [{ fact = 'var_uri_path', pattern = '^/api/(.*)' }, { fact = 'var_query_string', pattern = 'x=(\\d)' }]\n\
         path = '/{var_uri_path_1}/of api'\nquery = 'n={var_query_string_1}&m=#'\nhost = 'api.internal'",
    );
    assert_eq!(seen.path(), "/v1/of%20api");
    assert_eq!(seen.query(), Some("n=1&m=%23"));
    assert_eq!(seen.authority(), "api.internal");
    assert_eq!(requested("query = ''").query(), None);
    assert_eq!(requested("path = '{http_req_x-none}'").path(), "/");
    assert_eq!(
        requested("host = '{http_req_accept}'").authority(),
        "shop.example:8443",
        "no host is made of nonsense"
    );
}

#[test]
fn what_a_path_or_query_cannot_hold_is_encoded() {
    let cases = [
        ("azAZ09-._~!$&'()*+,;=:@/%2f", None, None),
        ("?", Some("%3F"), None),
        ("#", Some("%23"), Some("%23")),
        (
            " <>`\"{}",
            Some("%20%3C%3E%60%22%7B%7D"),
            Some("%20%3C%3E%60%22%7B%7D"),
        ),
        ("|\\^[]", Some("%7C%5C%5E%5B%5D"), Some("%7C%5C%5E%5B%5D")),
        ("\tä", Some("%09%C3%A4"), Some("%09%C3%A4")),
    ];
    for (raw, path, query) in cases {
        let request = Request::get("https://a/").header("x-raw", raw).build();
        let config = "[[request]]\npath = '/{http_req_x-raw}'\nquery = '{http_req_x-raw}'";
        let seen = request.after(&plugin(config).rewrite_request(&request));
        assert_eq!(seen.path(), format!("/{}", path.unwrap_or(raw)));
        assert_eq!(seen.query(), Some(query.unwrap_or(raw)));
    }
}

#[test]
fn any_byte_makes_a_path_and_query_that_the_gateway_accepts() {
    let all: Vec<u8> = (0..=255).filter(|byte| !b"\r\n\0".contains(byte)).collect();
    let request = Request::get("https://a/").header("x-raw", all).build();
    let config = "[[request]]\npath = '{http_req_x-raw}'\nquery = '{http_req_x-raw}'";
    let seen = request.after(&plugin(config).rewrite_request(&request));
    assert!(seen.path().starts_with("/%01%02"));
}

#[test]
fn a_host_is_taken_only_if_it_is_one() {
    let host = |value: &str| {
        let request = Request::get("https://shop.example/")
            .header("x-raw", value)
            .build();
        let edits = plugin("[[request]]\nhost = '{http_req_x-raw}'").rewrite_request(&request);
        request.after(&edits).authority().to_owned()
    };
    for value in [
        "a",
        "a:1",
        "a:65535",
        "a_b.example.",
        "192.0.2.7:80",
        "[::1]",
        "[2001:db8::7]:8443",
    ] {
        assert_eq!(host(value), value);
    }
    for value in [
        "", ":1", "a:", "a:b", "a:b:c", "a:99999", "a:+1", "a:1:2", "[[::", "[::1", "::1", "::1]",
        "[::1]1", "[::1]:x", "[a]", "[]", "[[::1]]", "a[::1]", "a b", "u@a", "a/b", "ä",
    ] {
        assert_eq!(host(value), "shop.example", "{value}");
    }
}

#[test]
fn each_cookie_is_changed_by_itself() {
    let seen = responded(
        "[[response]]\n[[response.replace]]\nname = 'Set-Cookie'\npattern = '^(\\w+)=([^;]*)'\nwith = '{1}={2}-{var_host}'\n\
         [[response.replace]]\nname = 'set-cookie'\npattern = 'path=/'\nignore_case = true\nwith = 'Path=/shop'",
    );
    let cookies = values(seen.header_values("set-cookie"));
    assert_eq!(
        cookies,
        [
            "a=1-shop.example; Path=/shop",
            "b=2-shop.example; Path=/shop; Secure"
        ]
    );
}

#[test]
fn a_cookie_can_be_added_without_losing_one() {
    let seen = responded("[[response]]\nappend = { set-cookie = 'c=3' }");
    assert_eq!(
        values(seen.header_values("set-cookie")),
        ["a=1; Path=/", "b=2; Path=/; Secure", "c=3"]
    );
}

#[test]
fn cookies_are_dropped_only_when_asked() {
    assert!(
        refusal("[[response]]\nset = { Set-Cookie = 'c=3' }")
            .starts_with("response[0].set.set-cookie: would drop")
    );
    let joined = "[[response]]\nset = { x-a = '{http_resp_Set-Cookie}' }";
    assert!(
        refusal(joined).contains("would join cookies"),
        "{}",
        refusal(joined)
    );
    let seen = responded("[[response]]\nset = { set-cookie = 'c=3' }\ndelete = ['set-cookie']");
    assert_eq!(values(seen.header_values("set-cookie")), ["c=3"]);
}

#[test]
fn a_location_is_rewritten_by_its_parts() {
    let seen = responded(
        "[[response]]\nwhen = [{ fact = 'http_resp_Location', pattern = '^https?://internal:\\d+(/.*)$' }]\n\
         set = { location = 'https://{var_host}{http_resp_Location_1}' }",
    );
    assert_eq!(
        seen.header_str("location").as_deref(),
        Some("https://shop.example/next?y=2")
    );
}

#[test]
fn rules_see_what_those_before_them_changed() {
    let config = "[[request]]\npath = '/new'\nset = { x-a = '1' }\n\
                  [[request]]\nwhen = [{ fact = 'http_req_x-a', pattern = '1' }]\nappend = { x-a = '{var_uri_path}' }\n\
                  [[request]]\nreplace = [{ name = 'x-a', pattern = '[0-9]', with = '<{0}>' }]";
    let edits = plugin(config).rewrite_request(&request());
    assert_eq!(
        values(request().after(&edits).header_values("x-a")),
        ["<1>", "/new"]
    );
}

#[test]
fn nothing_to_replace_is_no_edit() {
    let replace = "[[response]]\nreplace = [{ name = 'set-cookie', pattern = 'zzz', with = '' }]";
    assert_eq!(
        plugin(replace).rewrite_response(&request(), &response()),
        []
    );
}

#[test]
fn framing_and_connection_fields_are_refused() {
    for name in [
        "Content-Length",
        "transfer-encoding",
        "connection",
        "keep-alive",
        "te",
        "trailer",
        "upgrade",
        "proxy-connection",
        "proxy-authenticate",
    ] {
        for rule in [
            format!("set = {{ {name} = '1' }}"),
            format!("append = {{ {name} = '1' }}"),
            format!("delete = ['{name}']"),
        ] {
            let refusal = refusal(&format!("[[request]]\n{rule}"));
            assert!(
                refusal.contains("only the gateway may change it"),
                "{refusal}"
            );
        }
    }
    assert!(
        refusal("[[request]]\nset = { host = 'a' }")
            .starts_with("request[0].set.host: expected another name")
    );
}

#[test]
fn the_clients_certificate_has_azures_variables() {
    let certificate = ClientCertificate {
        verification: Err("it is not for TLS clients".into()),
        subject: "CN=ada,O=Example".into(),
        issuer: "CN=clients".into(),
        serial: "c0ffee".into(),
        fingerprint: "sha256:ab".into(),
        not_before: 0,
        not_after: 1_893_456_000,
    };
    let chain = [b"abc".to_vec(), b"issuer".to_vec()];
    let request = request_builder().client_certificate(certificate, chain);
    let value = |request: &RequestBuilder, name: &str| {
        let rule = format!("[[request]]\nset = {{ x-a = '<{{var_client_certificate{name}}}>' }}");
        let request = request.clone().build();
        let seen = request.after(&plugin(&rule).rewrite_request(&request));
        seen.header_str("x-a").unwrap()
    };
    for (name, with, without) in [
        (
            "",
            "<-----BEGIN%20CERTIFICATE-----%0AYWJj%0A-----END%20CERTIFICATE-----%0A>",
            "<>",
        ),
        ("_subject", "<CN=ada,O=Example>", "<>"),
        ("_issuer", "<CN=clients>", "<>"),
        ("_serial", "<C0FFEE>", "<>"),
        (
            "_fingerprint",
            "<a9993e364706816aba3e25717850c26c9cd0d89d>",
            "<>",
        ),
        ("_fingerprint_sha256", "<sha256:ab>", "<>"),
        ("_start_date", "<Jan  1 00:00:00 1970 GMT>", "<>"),
        ("_end_date", "<Jan  1 00:00:00 2030 GMT>", "<>"),
        (
            "_verification",
            "<FAILED:it is not for TLS clients>",
            "<NONE>",
        ),
    ] {
        assert_eq!(value(&request, name), with, "{name}");
        assert_eq!(value(&request_builder(), name), without, "{name}");
    }
    assert!(
        refusal("[[request]]\nset = { x-a = '{var_client_certificate_color}' }")
            .contains("expected a server variable")
    );
}

#[test]
fn variables_that_cannot_be_had_are_refused_with_the_reason() {
    for name in [
        "ciphers_supported",
        "client_tcp_rtt",
        "client_user",
        "received_bytes",
        "sent_bytes",
    ] {
        let refusal = refusal(&format!("[[request]]\nset = {{ x-a = '{{var_{name}}}' }}"));
        assert!(
            refusal.starts_with(&format!(
                "request[0].set.x-a: the server variable {name} cannot be had: "
            )),
            "{refusal}"
        );
    }
    assert!(
        refusal("[[request]]\nset = { x-a = '{var_http_status}' }").contains("rule for requests")
    );
}

#[test]
fn wrong_configurations_name_the_key() {
    let cases = [
        (
            "[[request]]\nset = { 'a b' = '1' }",
            "request[0].set.a b: expected the name of a header field",
        ),
        (
            "[[request]]\nset = { x-a = '{foo}' }",
            "request[0].set.x-a: expected http_req_NAME, http_resp_NAME or var_NAME, found \"foo\"",
        ),
        (
            "[[request]]\nset = { x-a = '{var_foo}' }",
            "request[0].set.x-a: expected a server variable, found \"foo\"",
        ),
        (
            "[[request]]\nset = { x-a = 'a{b' }",
            "request[0].set.x-a: expected braces in pairs",
        ),
        (
            "[[request]]\nset = { x-a = 'a}b' }",
            "request[0].set.x-a: expected braces in pairs",
        ),
        (
            "[[request]]\nset = { x-a = \"a\\nb\" }",
            "request[0].set.x-a: expected a value without control characters",
        ),
        (
            "[[request]]\nset = { x-a = '{http_resp_x}' }",
            "request[0].set.x-a: expected no response's header",
        ),
        (
            "[[request]]\nset = { x-a = '{1}' }",
            "request[0].set.x-a: expected a group of the pattern beside it",
        ),
        (
            "[[response]]\n[[response]]\npath = '/'",
            "response[1].path: expected only in rules for requests",
        ),
        (
            "[[request]]\nwhen = [{ fact = 'var_host', pattern = '(' }]",
            "request[0].when[0].pattern: expected a regular expression, found \"(\"",
        ),
        (
            "[[request]]\nwhen = [{ fact = 'host', pattern = 'a' }]",
            "request[0].when[0].fact: expected http_req_NAME",
        ),
        (
            "[[request]]\nwhen = [{ fact = 'var_host' }]",
            "request[0].when[0]: missing field `pattern`",
        ),
        (
            "[[response]]\nreplace = [{ name = 'a', pattern = 'a', with = '{1}' }]",
            "response[0].replace[0].with: expected a group",
        ),
        (
            "[[response]]\nreplace = [{ name = 'te', pattern = 'a', with = '' }]",
            "response[0].replace[0].name: te frames",
        ),
        (
            "[[response]]\nremove = ['a']",
            "response[0].remove: unknown field `remove`, expected one of",
        ),
    ];
    for (config, expected) in cases {
        let refusal = refusal(config);
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
    testing::configure_sidecar::<HeaderRewriter>(sidecar).unwrap();
}
