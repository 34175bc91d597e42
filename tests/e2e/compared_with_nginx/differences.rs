//! Where the two are not equal, and why that is right.

use std::fmt::Write as _;

/// One difference: the case, the versions, what is so at nginx and not at Witgate and the other
/// way round, and why.
#[derive(Debug, Clone, Copy)]
pub(super) struct Difference {
    pub(super) case: &'static str,
    pub(super) over: &'static str,
    pub(super) nginx: &'static str,
    pub(super) witgate: &'static str,
    pub(super) why: &'static str,
}

impl Difference {
    pub(super) fn found(&self) -> (String, String, String) {
        let [over, nginx, witgate] = [self.over, self.nginx, self.witgate].map(str::to_owned);
        (over, nginx, witgate)
    }
}

/// What the table stands between.
pub(super) const BEGIN: &str =
    "<!-- the list of tests/e2e/compared_with_nginx/differences.rs -->\n";
pub(super) const END: &str = "<!-- end of the list -->";

/// The list as a table of Markdown.
pub(super) fn table() -> String {
    let mut table = String::from(
        "\n| request | over | nginx | Witgate | why |\n| --- | --- | --- | --- | --- |\n",
    );
    for row in DIFFERENCES {
        let cell = |text: &str| match text {
            "" => "-".to_owned(),
            text => text.replace('|', "\\|"),
        };
        let [case, nginx, witgate, why] = [row.case, row.nginx, row.witgate, row.why].map(cell);
        let over = row.over;
        let _ = writeln!(table, "| {case} | {over} | {nginx} | {witgate} | {why} |");
    }
    table.push('\n');
    table
}

/// All of them, in the order of the cases.
pub(super) const DIFFERENCES: &[Difference] = &[
    Difference {
        case: "method in lower case",
        over: "h1, h2",
        nginx: "400",
        witgate: "field content-type `application/json`; 200; upstream saw `get /a`; upstream saw body of `0`; upstream saw host `shop.example`",
        why: "Methods are case-sensitive and any token is one (RFC 9110 §9.1); the upstream decides.",
    },
    Difference {
        case: "trailers of the request",
        over: "h2",
        nginx: "no whole answer",
        witgate: "field content-type `application/json`; 200; upstream saw `POST /a`; upstream saw body of `5`; upstream saw host `shop.example`",
        why: "nginx ends the stream on trailers of a request; they are allowed (RFC 9113 §8.1) and passed on.",
    },
    Difference {
        case: "fields for one hop",
        over: "h1",
        nginx: "field proxy-connection `keep-alive`; field x-other `for one hop`; field x-private `for one hop`",
        witgate: "",
        why: "What `Connection` names ends at the gateway (RFC 9110 §7.6.1).",
    },
    Difference {
        case: "fields for one hop",
        over: "h2",
        nginx: "no whole answer",
        witgate: "body `with fields\\n`; field x-kept `to the end`; 200",
        why: "What `Connection` names ends at the gateway (RFC 9110 §7.6.1). HTTP/2 forbids it, and the client refuses nginx's answer.",
    },
    Difference {
        case: "trailers of the answer",
        over: "h1, h2",
        nginx: "",
        witgate: "trailer x-checksum `abc`",
        why: "Trailers are passed on, as gRPC needs; nginx drops them.",
    },
    Difference {
        case: "field of 9000 bytes",
        over: "h1",
        nginx: "400",
        witgate: "field content-type `application/json`; 200; upstream saw `GET /a`; upstream saw body of `0`; upstream saw host `shop.example`; upstream saw x-a `(9000 bytes)`",
        why: "nginx limits each line to a buffer of 8 KiB; Witgate limits the whole head (`limits.head_bytes`), and the upstream decides.",
    },
    Difference {
        case: "cookie twice",
        over: "h1",
        nginx: "upstream saw cookie `a=1 + b=2`",
        witgate: "upstream saw cookie `a=1; b=2`",
        why: "Several `Cookie` fields are joined (RFC 9113 §8.2.3), so that upstream and plugins see one.",
    },
    Difference {
        case: "te: trailers",
        over: "h1, h2",
        nginx: "",
        witgate: "upstream saw te `trailers`",
        why: "`te: trailers` tells the upstream that trailers will arrive, as gRPC needs.",
    },
    Difference {
        case: "path //a",
        over: "h1, h2",
        nginx: "upstream saw `GET //a`",
        witgate: "upstream saw `GET /a`",
        why: "One normal form of the path decides the route and reaches the upstream, so that no spelling gets around a rule. `requests.paths = \"as-sent\"` switches it off.",
    },
    Difference {
        case: "path /a//b",
        over: "h1, h2",
        nginx: "upstream saw `GET /a//b`",
        witgate: "upstream saw `GET /a/b`",
        why: "One normal form of the path decides the route and reaches the upstream, so that no spelling gets around a rule. `requests.paths = \"as-sent\"` switches it off.",
    },
    Difference {
        case: "path /a/./b",
        over: "h1, h2",
        nginx: "upstream saw `GET /a/./b`",
        witgate: "upstream saw `GET /a/b`",
        why: "One normal form of the path decides the route and reaches the upstream, so that no spelling gets around a rule. `requests.paths = \"as-sent\"` switches it off.",
    },
    Difference {
        case: "path /a/../b",
        over: "h1, h2",
        nginx: "upstream saw `GET /a/../b`",
        witgate: "upstream saw `GET /b`",
        why: "One normal form of the path decides the route and reaches the upstream, so that no spelling gets around a rule. `requests.paths = \"as-sent\"` switches it off.",
    },
    Difference {
        case: "path /a/%2e%2e/b",
        over: "h1, h2",
        nginx: "upstream saw `GET /a/%2e%2e/b`",
        witgate: "upstream saw `GET /b`",
        why: "One normal form of the path decides the route and reaches the upstream, so that no spelling gets around a rule. `requests.paths = \"as-sent\"` switches it off.",
    },
    Difference {
        case: "path /a%2fb",
        over: "h1, h2",
        nginx: "field content-type `application/json`; 200; upstream saw `GET /a%2fb`; upstream saw body of `0`; upstream saw host `shop.example`",
        witgate: "400",
        why: "Servers disagree on whether it separates segments, so that it is refused (`requests.encoded_slashes`).",
    },
    Difference {
        case: "path /a%5cb",
        over: "h1, h2",
        nginx: "field content-type `application/json`; 200; upstream saw `GET /a%5cb`; upstream saw body of `0`; upstream saw host `shop.example`",
        witgate: "400",
        why: "Servers disagree on whether it separates segments, so that it is refused (`requests.encoded_slashes`).",
    },
    Difference {
        case: "path /a%0d%0ab",
        over: "h1, h2",
        nginx: "upstream saw `GET /a%0d%0ab`",
        witgate: "upstream saw `GET /a%0D%0Ab`",
        why: "One normal form of the path decides the route and reaches the upstream, so that no spelling gets around a rule. `requests.paths = \"as-sent\"` switches it off.",
    },
    Difference {
        case: "path /%61",
        over: "h1, h2",
        nginx: "upstream saw `GET /%61`",
        witgate: "upstream saw `GET /a`",
        why: "One normal form of the path decides the route and reaches the upstream, so that no spelling gets around a rule. `requests.paths = \"as-sent\"` switches it off.",
    },
    Difference {
        case: "target of 9000 bytes",
        over: "h2",
        nginx: "field content-type `application/json`; 200; upstream saw `GET (9000 bytes)`; upstream saw body of `0`; upstream saw host `shop.example`",
        witgate: "414",
        why: "nginx does not apply its limit to the target over HTTP/2; Witgate does (`limits.target_bytes`).",
    },
    Difference {
        case: "query of 9000 bytes",
        over: "h2",
        nginx: "field content-type `application/json`; 200; upstream saw `GET (9000 bytes)`; upstream saw body of `0`; upstream saw host `shop.example`",
        witgate: "414",
        why: "nginx does not apply its limit to the target over HTTP/2; Witgate does (`limits.target_bytes`).",
    },
    Difference {
        case: "host in upper case",
        over: "h1, h2",
        nginx: "upstream saw host `SHOP.example`",
        witgate: "upstream saw host `shop.example`",
        why: "One normal form of the host decides the route and reaches the upstream.",
    },
    Difference {
        case: "host with the port 443",
        over: "h1, h2",
        nginx: "upstream saw host `shop.example:443`",
        witgate: "upstream saw host `shop.example`",
        why: "One normal form of the host decides the route and reaches the upstream.",
    },
    Difference {
        case: "host with a final dot",
        over: "h1, h2",
        nginx: "upstream saw host `shop.example.`",
        witgate: "upstream saw host `shop.example`",
        why: "One normal form of the host decides the route and reaches the upstream.",
    },
    Difference {
        case: "host with user information",
        over: "h1, h2",
        nginx: "field content-type `application/json`; 200; upstream saw `GET /`; upstream saw body of `0`; upstream saw host `user@shop.example`",
        witgate: "400",
        why: "A host has no user information (RFC 9110 §4.2.4); nginx passes it on.",
    },
    Difference {
        case: "HTTP/1.0 without a host",
        over: "h1",
        nginx: "field content-type `application/json`; 200; upstream saw `GET /a`; upstream saw body of `0`",
        witgate: "400",
        why: "Routes are by host, and the upstream needs one.",
    },
    Difference {
        case: "HTTP/0.9",
        over: "h1",
        nginx: "no head",
        witgate: "400",
        why: "A protocol without status and fields is not spoken.",
    },
    Difference {
        case: "HTTP/1.2",
        over: "h1",
        nginx: "field content-type `application/json`; 200; upstream saw `GET /a`; upstream saw body of `0`; upstream saw host `shop.example`",
        witgate: "400",
        why: "There is no HTTP/1.2; a message of an unknown version is not guessed at.",
    },
    Difference {
        case: "HTTP/2.0 in text",
        over: "h1",
        nginx: "505",
        witgate: "400",
        why: "400 for any version that is not spoken, 505 at nginx; both close.",
    },
    Difference {
        case: "preface of HTTP/2",
        over: "h1",
        nginx: "400",
        witgate: "none",
        why: "The connection ends without an answer that no client of HTTP/2 would understand.",
    },
    Difference {
        case: "absolute form, other host",
        over: "h1",
        nginx: "upstream saw host `shop.example`",
        witgate: "upstream saw host `other.example`",
        why: "In absolute form the target's host counts (RFC 9112 §3.2.2). nginx routes by it too, but `$http_host` is the field.",
    },
    Difference {
        case: "absolute form of ftp",
        over: "h1",
        nginx: "field content-type `application/json`; 200; upstream saw `GET /a`; upstream saw body of `0`; upstream saw host `shop.example`",
        witgate: "400",
        why: "A request for `ftp` is not one for this server.",
    },
    Difference {
        case: "OPTIONS *",
        over: "h1",
        nginx: "400",
        witgate: "field content-type `application/json`; 200; upstream saw `OPTIONS *`; upstream saw body of `0`; upstream saw host `shop.example`",
        why: "A request for the server as a whole is legal (RFC 9112 §3.2.4) and passed on.",
    },
    Difference {
        case: "CONNECT",
        over: "h1",
        nginx: "400",
        witgate: "405",
        why: "Refused by both; 405 says that it is the method.",
    },
    Difference {
        case: "target, not ASCII",
        over: "h1",
        nginx: "upstream saw `GET /grün`",
        witgate: "upstream saw `GET /gr%C3%BCn`",
        why: "Bytes that may not stand in a path are encoded (RFC 3986 §2.1).",
    },
    Difference {
        case: "target with a backslash",
        over: "h1",
        nginx: "field content-type `application/json`; 200; upstream saw `GET /a\\b`; upstream saw body of `0`; upstream saw host `shop.example`",
        witgate: "400",
        why: "Servers disagree on whether it separates segments, so that it is refused (`requests.encoded_slashes`).",
    },
    Difference {
        case: "target with a bar",
        over: "h1",
        nginx: "upstream saw `GET /a|b`",
        witgate: "upstream saw `GET /a%7Cb`",
        why: "Bytes that may not stand in a path are encoded (RFC 3986 §2.1).",
    },
    Difference {
        case: "two spaces",
        over: "h1",
        nginx: "field content-type `application/json`; 200; upstream saw `GET /a`; upstream saw body of `0`; upstream saw host `shop.example`",
        witgate: "400",
        why: "One space separates the parts of a request line (RFC 9112 §3); others are a means of smuggling.",
    },
    Difference {
        case: "keep-alive and proxy-connection",
        over: "h1",
        nginx: "upstream saw proxy-connection `close`",
        witgate: "",
        why: "Fields for one hop end at the gateway.",
    },
    Difference {
        case: "field named in connection",
        over: "h1",
        nginx: "upstream saw x-a `1`",
        witgate: "",
        why: "What `Connection` names ends at the gateway (RFC 9110 §7.6.1).",
    },
    Difference {
        case: "the same length twice",
        over: "h1",
        nginx: "400",
        witgate: "field content-type `application/json`; 200; upstream saw `POST /a`; upstream saw body of `3`; upstream saw host `shop.example`",
        why: "Equal lengths are one length (RFC 9110 §8.6); one goes on.",
    },
    Difference {
        case: "length and chunks",
        over: "h1",
        nginx: "400",
        witgate: "field content-type `application/json`; 200; upstream saw `POST /a`; upstream saw body of `0`; upstream saw host `shop.example`",
        why: "Chunks count, the length is dropped, and the connection closed (RFC 9112 §6.1); nginx refuses.",
    },
    Difference {
        case: "unknown transfer coding",
        over: "h1",
        nginx: "501",
        witgate: "400",
        why: "Both refuse and close; 400 for any coding but `chunked`, 501 at nginx.",
    },
    Difference {
        case: "chunked twice",
        over: "h1",
        nginx: "501",
        witgate: "400",
        why: "Both refuse and close; 400 for any coding but `chunked`, 501 at nginx.",
    },
    Difference {
        case: "gzip, chunked",
        over: "h1",
        nginx: "501",
        witgate: "400",
        why: "Both refuse and close; 400 for any coding but `chunked`, 501 at nginx.",
    },
    Difference {
        case: "identity",
        over: "h1",
        nginx: "501",
        witgate: "400",
        why: "Both refuse and close; 400 for any coding but `chunked`, 501 at nginx.",
    },
    Difference {
        case: "chunked behind a vertical tab",
        over: "h1",
        nginx: "501",
        witgate: "400",
        why: "Both refuse and close; 400 for any coding but `chunked`, 501 at nginx.",
    },
    Difference {
        case: "chunk lines that end in LF",
        over: "h1",
        nginx: "field content-type `application/json`; 200; upstream saw `POST /a`; upstream saw body of `3`; upstream saw host `shop.example`",
        witgate: "400",
        why: "A line of a chunk ends in CR LF (RFC 9112 §7.1); LF alone is a means of smuggling.",
    },
    Difference {
        case: "bracket in a name",
        over: "h1",
        nginx: "field content-type `application/json`; 200; upstream saw `GET /a`; upstream saw body of `0`; upstream saw host `shop.example`",
        witgate: "400",
        why: "Not a name of a field (RFC 9110 §5.1). nginx drops such fields, Witgate refuses the message.",
    },
    Difference {
        case: "no colon",
        over: "h1",
        nginx: "field content-type `application/json`; 200; upstream saw `GET /a`; upstream saw body of `0`; upstream saw host `shop.example`; upstream saw x-a ``",
        witgate: "400",
        why: "Not a field (RFC 9112 §5). nginx takes it for one without a value.",
    },
    Difference {
        case: "upstream: not http",
        over: "h1",
        nginx: "no status",
        witgate: "502",
        why: "What is no answer is never passed on as one.",
    },
    Difference {
        case: "upstream: not http",
        over: "h2",
        nginx: "no whole answer",
        witgate: "502",
        why: "What is no answer is never passed on as one.",
    },
    Difference {
        case: "upstream: status of two digits",
        over: "h1",
        nginx: "body `ok`; 99",
        witgate: "502",
        why: "What is no answer is never passed on as one.",
    },
    Difference {
        case: "upstream: status of two digits",
        over: "h2",
        nginx: "no whole answer",
        witgate: "502",
        why: "What is no answer is never passed on as one.",
    },
    Difference {
        case: "upstream: status of letters",
        over: "h1",
        nginx: "body `ok`; abc",
        witgate: "502",
        why: "What is no answer is never passed on as one.",
    },
    Difference {
        case: "upstream: status of letters",
        over: "h2",
        nginx: "no whole answer",
        witgate: "502",
        why: "What is no answer is never passed on as one.",
    },
    Difference {
        case: "upstream: two lengths",
        over: "h1, h2",
        nginx: "body `ok!`; 200",
        witgate: "502",
        why: "An answer whose end is in doubt is an error; nginx passes it on.",
    },
    Difference {
        case: "upstream: negative length",
        over: "h1, h2",
        nginx: "body `ok`; 200",
        witgate: "502",
        why: "An answer whose end is in doubt is an error; nginx passes it on.",
    },
    Difference {
        case: "upstream: unknown transfer coding",
        over: "h1, h2",
        nginx: "body `ok`; 200",
        witgate: "502",
        why: "An answer whose end is in doubt is an error; nginx passes it on.",
    },
    Difference {
        case: "upstream: 100 ahead",
        over: "h1",
        nginx: "100, 200",
        witgate: "200",
        why: "nginx 1.22 does not know interim answers: over HTTP/1.1 it passes them on as the answer, over HTTP/2 it fails. Witgate takes this one for the answer to its own connection.",
    },
    Difference {
        case: "upstream: 100 ahead",
        over: "h2",
        nginx: "no whole answer",
        witgate: "body `ok`; 200",
        why: "nginx 1.22 does not know interim answers: over HTTP/1.1 it passes them on as the answer, over HTTP/2 it fails. Witgate takes this one for the answer to its own connection.",
    },
    Difference {
        case: "upstream: 103 ahead",
        over: "h2",
        nginx: "no whole answer",
        witgate: "body `ok`; 200",
        why: "nginx 1.22 does not know interim answers: over HTTP/1.1 it passes them on as the answer, over HTTP/2 it fails.",
    },
    Difference {
        case: "upstream: 101 that nobody asked for",
        over: "h1",
        nginx: "101",
        witgate: "502",
        why: "A switch of protocols that nobody asked for is an error.",
    },
    Difference {
        case: "upstream: 101 that nobody asked for",
        over: "h2",
        nginx: "no whole answer",
        witgate: "502",
        why: "A switch of protocols that nobody asked for is an error.",
    },
    Difference {
        case: "upstream: field of 12 kib",
        over: "h1, h2",
        nginx: "502",
        witgate: "body `ok`; field x-a `(12288 bytes)`; 200",
        why: "nginx limits the head of an answer to `proxy_buffer_size`.",
    },
];
