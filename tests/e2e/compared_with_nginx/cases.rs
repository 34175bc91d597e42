//! The requests of the comparison, and the upstreams that do wrong.

use witgate_tests::upstream::Manner;

use super::ask::{Ask, Message, message};

/// A request with a name that says what is special about it.
pub(super) type Case = (String, Ask);

const MIB: usize = 1 << 20;

/// All of them. Names are unique.
pub(super) fn all() -> Vec<Case> {
    let messages = [methods(), bodies(), answers(), fields(), paths(), hosts()];
    let messages = messages.into_iter().flatten();
    let messages = messages.map(|(name, message)| (name.to_owned(), Ask::Message(message)));
    let bytes = [versions(), forms(), framing(), heads()];
    let bytes = bytes.into_iter().flatten();
    let bytes = bytes.map(|(name, bytes)| (name.to_owned(), Ask::Bytes(bytes.into_bytes())));
    let faults = faults().into_iter().map(|(name, _, _)| {
        let ask = message("GET", format!("/bad/{name}"));
        (
            format!("upstream: {}", name.replace('-', " ")),
            Ask::Message(ask),
        )
    });
    messages.chain(bytes).chain(faults).collect()
}

fn methods() -> Vec<(&'static str, Message)> {
    vec![
        ("GET", message("GET", "/a?b=c")),
        ("HEAD", message("HEAD", "/bytes/1000")),
        ("POST", message("POST", "/a").body(5)),
        ("PUT of nothing", message("PUT", "/a").body(0)),
        ("POST without a body", message("POST", "/a")),
        ("PATCH", message("PATCH", "/a").body(5)),
        ("DELETE", message("DELETE", "/a")),
        ("DELETE with a body", message("DELETE", "/a").body(5)),
        ("GET with a body", message("GET", "/a").body(5)),
        ("OPTIONS", message("OPTIONS", "/a")),
        ("TRACE", message("TRACE", "/a")),
        ("unknown method", message("PURGE", "/a")),
        ("method in lower case", message("get", "/a")),
    ]
}

fn bodies() -> Vec<(&'static str, Message)> {
    vec![
        ("body at the limit", message("POST", "/count").body(MIB)),
        (
            "body above the limit",
            message("POST", "/count").body(MIB + 1),
        ),
        ("pieces", message("POST", "/a").pieces(3, 100)),
        ("pieces, none", message("POST", "/a").pieces(0, 0)),
        (
            "pieces at the limit",
            message("POST", "/count").pieces(64, MIB / 64),
        ),
        (
            "pieces above the limit",
            message("POST", "/count").pieces(65, MIB / 64),
        ),
        (
            "trailers of the request",
            message("POST", "/a").pieces(1, 5).trailer("abc"),
        ),
        ("body sent back", message("POST", "/mirror").body(300_000)),
    ]
}

fn answers() -> Vec<(&'static str, Message)> {
    let letters =
        |name: &'static str, value: &'static str| message("GET", "/letters").field(name, value);
    vec![
        ("200 of 5 MB", message("GET", "/bytes/5000000")),
        ("200 of nothing", message("GET", "/bytes/0")),
        ("200 in pieces", message("GET", "/chunked")),
        ("201", message("GET", "/status/201")),
        ("204", message("GET", "/status/204")),
        ("205", message("GET", "/status/205")),
        ("304", message("GET", "/status/304")),
        ("401", message("GET", "/status/401")),
        ("404", message("GET", "/status/404")),
        ("429", message("GET", "/status/429")),
        ("500", message("GET", "/status/500")),
        ("503", message("GET", "/status/503")),
        ("599", message("GET", "/status/599")),
        ("HEAD of 404", message("HEAD", "/status/404")),
        ("301", message("GET", "/redirect/301")),
        ("302", message("GET", "/redirect/302")),
        ("307 of POST", message("POST", "/redirect/307").body(5)),
        ("range", letters("range", "bytes=3-5")),
        ("range outside", letters("range", "bytes=30-50")),
        ("range without sense", letters("range", "letters")),
        ("not modified", letters("if-none-match", "\"letters\"")),
        (
            "compressed",
            message("GET", "/gzip").field("accept-encoding", "gzip"),
        ),
        ("compressed, not asked for", message("GET", "/gzip")),
        ("two Set-Cookie", message("GET", "/cookies")),
        ("fields for one hop", message("GET", "/hop-by-hop")),
        (
            "trailers of the answer",
            message("GET", "/trailers").field("te", "trailers"),
        ),
        ("slow", message("GET", "/slow/300")),
        ("too slow", message("GET", "/slow/4000")),
    ]
}

fn fields() -> Vec<(&'static str, Message)> {
    let get = || message("GET", "/a");
    vec![
        ("field twice", get().field("x-a", "1").field("x-a", "2")),
        ("field, empty", get().field("x-a", "")),
        ("field, not ASCII", get().field("x-a", "gr\u{fc}n")),
        ("field with a tab", get().field("x-a", "1\t2")),
        ("field with an underscore", get().field("x_a", "1")),
        ("field of 7000 bytes", get().field("x-a", "a".repeat(7000))),
        ("field of 9000 bytes", get().field("x-a", "a".repeat(9000))),
        ("cookie", get().field("cookie", "a=1; b=2")),
        (
            "cookie twice",
            get().field("cookie", "a=1").field("cookie", "b=2"),
        ),
        ("te: trailers", get().field("te", "trailers")),
        (
            "accept-encoding",
            get().field("accept-encoding", "br, gzip"),
        ),
        (
            "x-forwarded-for",
            get().field("x-forwarded-for", "203.0.113.9"),
        ),
        ("authorization", get().field("authorization", "Basic eDp5")),
        ("max-forwards", get().field("max-forwards", "0")),
    ]
}

fn paths() -> Vec<(&'static str, Message)> {
    let get = |target: &str| message("GET", target);
    vec![
        ("path //a", get("//a")),
        ("path /a//b", get("/a//b")),
        ("path /a/./b", get("/a/./b")),
        ("path /a/../b", get("/a/../b")),
        ("path /../a", get("/../a")),
        ("path /a/%2e%2e/b", get("/a/%2e%2e/b")),
        ("path /%2e%2e/a", get("/%2e%2e/a")),
        ("path /a%2fb", get("/a%2fb")),
        ("path /a%5cb", get("/a%5cb")),
        ("path /a%00b", get("/a%00b")),
        ("path /a%0d%0ab", get("/a%0d%0ab")),
        ("path /a%zz", get("/a%zz")),
        ("path /a%", get("/a%")),
        ("path /%61", get("/%61")),
        ("path /a%20b", get("/a%20b")),
        ("path /a;x=1", get("/a;x=1")),
        ("path /a?", get("/a?")),
        ("path /?b?c", get("/?b?c")),
        ("path /a?x=/../y", get("/a?x=/../y")),
        ("path /a?x=%00", get("/a?x=%00")),
        ("path /a+b!$&'()*,:@", get("/a+b!$&'()*,:@")),
        (
            "target of 8000 bytes",
            get(&format!("/{}", "a".repeat(7999))),
        ),
        (
            "target of 9000 bytes",
            get(&format!("/{}", "a".repeat(8999))),
        ),
        (
            "query of 9000 bytes",
            get(&format!("/?{}", "a".repeat(8998))),
        ),
    ]
}

fn hosts() -> Vec<(&'static str, Message)> {
    let of = |host| message("GET", "/").host(host);
    vec![
        ("host in upper case", of("SHOP.example")),
        ("host with the port 443", of("shop.example:443")),
        ("host with another port", of("shop.example:8443")),
        ("host with a final dot", of("shop.example.")),
        ("host that is an address", of("127.0.0.1")),
        ("host that is an IPv6 address", of("[::1]")),
        ("host that nobody knows", of("unknown.example")),
        ("host with user information", of("user@shop.example")),
        ("host with two dots", of("shop..example")),
    ]
}

const HOST: &str = "host: shop.example\r\nconnection: close\r\n";

fn versions() -> Vec<(&'static str, String)> {
    vec![
        (
            "HTTP/1.0",
            "GET /a HTTP/1.0\r\nhost: shop.example\r\n\r\n".into(),
        ),
        ("HTTP/1.0 without a host", "GET /a HTTP/1.0\r\n\r\n".into()),
        (
            "HTTP/1.0, answer in pieces",
            "GET /chunked HTTP/1.0\r\nhost: shop.example\r\n\r\n".into(),
        ),
        (
            "HTTP/1.0 with a body",
            "POST /a HTTP/1.0\r\nhost: shop.example\r\ncontent-length: 3\r\n\r\nabc".into(),
        ),
        (
            "HTTP/1.0 in chunks",
            "POST /a HTTP/1.0\r\nhost: shop.example\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"
                .into(),
        ),
        ("HTTP/0.9", "GET /a\r\n\r\n".into()),
        ("HTTP/1.2", format!("GET /a HTTP/1.2\r\n{HOST}\r\n")),
        ("HTTP/2.0 in text", format!("GET /a HTTP/2.0\r\n{HOST}\r\n")),
        (
            "http/1.1 in lower case",
            format!("GET /a http/1.1\r\n{HOST}\r\n"),
        ),
        (
            "preface of HTTP/2",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into(),
        ),
        ("no HTTP", "hello\r\n\r\n".into()),
    ]
}

/// Forms of the request line, and what else is special to HTTP/1.1.
fn forms() -> Vec<(&'static str, String)> {
    let pipeline = "GET /1 HTTP/1.1\r\nhost: shop.example\r\n\r\n".repeat(3);
    vec![
        ("absolute form", format!("GET https://shop.example/a?b HTTP/1.1\r\n{HOST}\r\n")),
        ("absolute form, other host", format!("GET https://other.example/a HTTP/1.1\r\n{HOST}\r\n")),
        ("absolute form of http", format!("GET http://shop.example/a HTTP/1.1\r\n{HOST}\r\n")),
        ("absolute form of ftp", format!("GET ftp://shop.example/a HTTP/1.1\r\n{HOST}\r\n")),
        ("OPTIONS *", format!("OPTIONS * HTTP/1.1\r\n{HOST}\r\n")),
        ("GET *", format!("GET * HTTP/1.1\r\n{HOST}\r\n")),
        ("CONNECT", format!("CONNECT shop.example:443 HTTP/1.1\r\n{HOST}\r\n")),
        ("target without a slash", format!("GET a HTTP/1.1\r\n{HOST}\r\n")),
        ("target with a space", format!("GET /a b HTTP/1.1\r\n{HOST}\r\n")),
        ("target with a fragment", format!("GET /a#b HTTP/1.1\r\n{HOST}\r\n")),
        ("target, not ASCII", format!("GET /gr\u{fc}n HTTP/1.1\r\n{HOST}\r\n")),
        ("target with a backslash", format!("GET /a\\b HTTP/1.1\r\n{HOST}\r\n")),
        ("target with a bar", format!("GET /a|b HTTP/1.1\r\n{HOST}\r\n")),
        ("two spaces", format!("GET  /a HTTP/1.1\r\n{HOST}\r\n")),
        ("tab for a space", format!("GET\t/a HTTP/1.1\r\n{HOST}\r\n")),
        ("method with a bracket", format!("G(T /a HTTP/1.1\r\n{HOST}\r\n")),
        ("empty line ahead", format!("\r\nGET /a HTTP/1.1\r\n{HOST}\r\n")),
        ("space ahead", format!(" GET /a HTTP/1.1\r\n{HOST}\r\n")),
        ("pipelining", format!("{pipeline}GET /2 HTTP/1.1\r\n{HOST}\r\n")),
        ("keep-alive and proxy-connection", format!("GET /a HTTP/1.1\r\n{HOST}keep-alive: 5\r\nproxy-connection: close\r\n\r\n")),
        ("field named in connection", "GET /a HTTP/1.1\r\nhost: shop.example\r\nconnection: close, x-a\r\nx-a: 1\r\n\r\n".into()),
        ("upgrade that nobody takes", "GET /a HTTP/1.1\r\nhost: shop.example\r\nconnection: close, upgrade\r\nupgrade: x\r\n\r\n".into()),
        ("expect", format!("POST /a HTTP/1.1\r\n{HOST}expect: 100-continue\r\ncontent-length: 3\r\n\r\nabc")),
        ("expect of something else", format!("POST /a HTTP/1.1\r\n{HOST}expect: cake\r\ncontent-length: 3\r\n\r\nabc")),
        ("no host", "GET /a HTTP/1.1\r\nconnection: close\r\n\r\n".into()),
        ("two hosts", format!("GET /a HTTP/1.1\r\n{HOST}host: other.example\r\n\r\n")),
        ("the same host twice", format!("GET /a HTTP/1.1\r\n{HOST}host: shop.example\r\n\r\n")),
        ("empty host", "GET /a HTTP/1.1\r\nhost:\r\nconnection: close\r\n\r\n".into()),
        ("host with a space", "GET /a HTTP/1.1\r\nhost: a b\r\nconnection: close\r\n\r\n".into()),
        ("host with a slash", "GET /a HTTP/1.1\r\nhost: a/b\r\nconnection: close\r\n\r\n".into()),
    ]
}

fn framing() -> Vec<(&'static str, String)> {
    let post =
        |framing: &str, body: &str| format!("POST /a HTTP/1.1\r\n{HOST}{framing}\r\n\r\n{body}");
    let chunked = |body: &str| post("transfer-encoding: chunked", body);
    vec![
        (
            "two lengths",
            post("content-length: 3\r\ncontent-length: 4", "abcd"),
        ),
        (
            "the same length twice",
            post("content-length: 3\r\ncontent-length: 3", "abc"),
        ),
        ("list of lengths", post("content-length: 3, 3", "abc")),
        ("length +3", post("content-length: +3", "abc")),
        ("length -3", post("content-length: -3", "abc")),
        ("length 0x3", post("content-length: 0x3", "abc")),
        ("length, empty", post("content-length:", "")),
        (
            "length above 64 bits",
            post("content-length: 99999999999999999999", "abc"),
        ),
        (
            "length and chunks",
            post(
                "content-length: 3\r\ntransfer-encoding: chunked",
                "0\r\n\r\n",
            ),
        ),
        (
            "unknown transfer coding",
            post("transfer-encoding: xchunked", "0\r\n\r\n"),
        ),
        (
            "chunked twice",
            post("transfer-encoding: chunked, chunked", "0\r\n\r\n"),
        ),
        (
            "gzip, chunked",
            post("transfer-encoding: gzip, chunked", "0\r\n\r\n"),
        ),
        ("identity", post("transfer-encoding: identity", "")),
        (
            "chunked in upper case",
            post("transfer-encoding: CHUNKED", "0\r\n\r\n"),
        ),
        (
            "chunked before a blank",
            post("transfer-encoding: chunked ", "0\r\n\r\n"),
        ),
        (
            "chunked behind a vertical tab",
            post("transfer-encoding: \u{b}chunked", "0\r\n\r\n"),
        ),
        ("chunk extension", chunked("3;a=b\r\nabc\r\n0\r\n\r\n")),
        (
            "chunk size without sense",
            chunked("xyz\r\nabc\r\n0\r\n\r\n"),
        ),
        ("chunk size -3", chunked("-3\r\nabc\r\n0\r\n\r\n")),
        (
            "chunk size above 64 bits",
            chunked("fffffffffffffffff\r\nabc\r\n0\r\n\r\n"),
        ),
        (
            "chunk longer than its size",
            chunked("3\r\nabcd\r\n0\r\n\r\n"),
        ),
        ("chunk lines that end in LF", chunked("3\nabc\n0\n\n")),
    ]
}

fn heads() -> Vec<(&'static str, String)> {
    let get = |line: &str| format!("GET /a HTTP/1.1\r\n{HOST}{line}\r\n\r\n");
    vec![
        (
            "lines that end in LF",
            "GET /a HTTP/1.1\nhost: shop.example\nconnection: close\n\n".into(),
        ),
        ("CR in a field", get("x-a: 1\r2")),
        ("NUL in a field", get("x-a: 1\x002")),
        ("field on two lines", get("x-a: 1\r\n 2")),
        ("space before the colon", get("x-a : 1")),
        ("space in a name", get("x a: 1")),
        ("bracket in a name", get("x(a): 1")),
        ("empty name", get(": 1")),
        ("no colon", get("x-a")),
        (
            "blank ahead of the first field",
            format!("GET /a HTTP/1.1\r\n x-a: 1\r\n{HOST}\r\n"),
        ),
        (
            "50 fields",
            get(&(0..50)
                .map(|n| format!("x-{n}: 1"))
                .collect::<Vec<_>>()
                .join("\r\n")),
        ),
    ]
}

/// An answer that is wrong or not usual: its name, how it is sent, its bytes.
pub(super) type Fault = (&'static str, Manners, &'static [u8]);

type Manners = fn(&'static [u8]) -> Manner;

/// All of them.
pub(super) fn faults() -> Vec<Fault> {
    let closed: Manners = Manner::Literal;
    let silent: Manners = Manner::Early;
    vec![
        ("closed-before-the-head", closed, b""),
        ("closed-in-the-head", closed, b"HTTP/1.1 200 OK\r\ncontent-len"),
        ("not-http", closed, b"SSH-2.0-OpenSSH\r\n\r\n"),
        ("status-of-two-digits", closed, b"HTTP/1.1 99 OK\r\ncontent-length: 2\r\n\r\nok"),
        ("status-of-letters", closed, b"HTTP/1.1 abc OK\r\ncontent-length: 2\r\n\r\nok"),
        ("two-lengths", closed, b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok!"),
        ("length-and-chunks", closed, b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"),
        ("negative-length", closed, b"HTTP/1.1 200 OK\r\ncontent-length: -2\r\n\r\nok"),
        ("cut-in-the-body", closed, b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok"),
        ("cut-in-a-chunk", closed, b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nok"),
        ("no-last-chunk", closed, b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n"),
        ("bad-chunk-size", closed, b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\nok\r\n0\r\n\r\n"),
        ("unknown-transfer-coding", closed, b"HTTP/1.1 200 OK\r\ntransfer-encoding: xyz\r\n\r\nok"),
        ("nul-in-a-field", closed, b"HTTP/1.1 200 OK\r\nx-a: 1\x002\r\ncontent-length: 2\r\n\r\nok"),
        ("cr-in-a-field", closed, b"HTTP/1.1 200 OK\r\nx-a: 1\r2\r\ncontent-length: 2\r\n\r\nok"),
        ("field-on-two-lines", closed, b"HTTP/1.1 200 OK\r\nx-a: 1\r\n 2\r\ncontent-length: 2\r\n\r\nok"),
        ("bytes-after-the-answer", closed, b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil"),
        ("body-up-to-the-close", closed, b"HTTP/1.0 200 OK\r\nx-a: 1\r\n\r\nall of it"),
        ("204-with-a-body", closed, b"HTTP/1.1 204 No Content\r\ncontent-length: 2\r\n\r\nok"),
        ("304-with-a-length", closed, b"HTTP/1.1 304 Not Modified\r\ncontent-length: 2\r\netag: \"a\"\r\n\r\n"),
        ("100-ahead", closed, b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"),
        ("103-ahead", closed, b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"),
        ("101-that-nobody-asked-for", closed, b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"),
        ("field-of-12-kib", closed, long_field()),
        ("silent-before-the-head", silent, b""),
        ("silent-in-the-head", silent, b"HTTP/1.1 200 OK\r\n"),
        ("silent-in-the-body", silent, b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok"),
    ]
}

fn long_field() -> &'static [u8] {
    let value = "a".repeat(12 << 10);
    let answer = format!("HTTP/1.1 200 OK\r\nx-a: {value}\r\ncontent-length: 2\r\n\r\nok");
    Box::leak(answer.into_bytes().into_boxed_slice())
}
