//! HTTP/1.1 messages that readers could understand in two ways, section by section of RFC 9112:
//! each is refused, or goes on in one form. Behind each stands a second request on the same
//! connection, which is served where the first has a certain end and never otherwise.

use serde_json::Value;
use witgate_tests::{
    gateway::{Gateway, Pool, Setup},
    upstream::Upstream,
    wait,
};

/// What must become of a message and of the connection.
#[derive(Debug, Clone, Copy)]
enum Must {
    /// An error answer, and the end.
    BeRefused,
    /// The upstream sees a body of so many bytes, and the connection ends.
    GoOnAndEnd(u64),
    /// The upstream sees a body of so many bytes, and the next request is served.
    GoOn(u64),
}
use Must::{BeRefused, GoOn, GoOnAndEnd};

/// A section and what is special, the message, what must become of it.
type Case = (&'static str, String, Must);

const HOST: &str = "host: shop.example\r\n";
const NEXT: &str = "GET /next HTTP/1.1\r\nhost: shop.example\r\nconnection: close\r\n\r\n";

fn get(more: &str) -> String {
    format!("GET /a HTTP/1.1\r\n{HOST}{more}\r\n")
}

fn post(fields: &str, body: &str) -> String {
    format!("POST /a HTTP/1.1\r\n{HOST}{fields}\r\n\r\n{body}")
}

fn chunked(body: &str) -> String {
    post("transfer-encoding: chunked", body)
}

async fn gateway(change: impl FnOnce(Setup) -> Setup) -> (Upstream, Gateway) {
    let upstream = Upstream::pinned("web-1").await;
    let setup = Setup::new().default_pool("web", Pool::pinned(&[&upstream]));
    (upstream, change(setup).start().await)
}

/// Sends a message and a request behind it; returns all that is answered up to the end.
async fn answers(gateway: &Gateway, name: &str, message: &str) -> String {
    let mut socket = gateway.raw().await;
    socket.try_send(message.as_bytes()).await;
    socket.try_send(NEXT.as_bytes()).await;
    tokio::time::timeout(wait::DEADLINE, socket.read_to_end())
        .await
        .unwrap_or_else(|_| panic!("{name}: the connection does not end"))
}

/// The echoes in answers.
fn echoes(answers: &str) -> Vec<Value> {
    let starts = answers.match_indices("{\"upstream\"").map(|(at, _)| at);
    let parse = |at: usize| {
        let mut values = serde_json::Deserializer::from_str(&answers[at..]).into_iter();
        values.next().unwrap().unwrap()
    };
    starts.map(parse).collect()
}

/// How an echoed request was framed.
fn framing(echo: &Value) -> Vec<&str> {
    let names = echo["headers"].as_array().unwrap().iter();
    let names = names.filter_map(|field| field[0].as_str());
    names
        .filter(|name| ["content-length", "transfer-encoding"].contains(name))
        .collect()
}

/// Checks all cases, and tells of all that fail.
async fn check(gateway: &Gateway, upstream: &Upstream, cases: Vec<Case>) {
    let mut wrong = Vec::new();
    for (name, message, must) in cases {
        let before = upstream.requests();
        let answers = answers(gateway, name, &message).await;
        let heads: Vec<_> = answers.split("HTTP/1.1 ").skip(1).collect();
        let statuses: Vec<_> = heads.iter().map(|head| &head[..3]).collect();
        let echoes = echoes(&answers);
        let targets: Vec<_> = echoes.iter().map(|echo| &echo["target"]).collect();
        let bytes = echoes.first().map(|echo| echo["bytes"].as_u64().unwrap());
        let one_frame = echoes.iter().all(|echo| framing(echo).len() <= 1);
        let right = one_frame
            && match must {
                BeRefused => {
                    matches!(statuses[..], ["400" | "413" | "431" | "501" | "505"])
                        && targets.iter().all(|target| *target != "/next")
                }
                GoOnAndEnd(length) => statuses == ["200"] && bytes == Some(length),
                GoOn(length) => {
                    statuses == ["200", "200"] && targets[1] == "/next" && bytes == Some(length)
                }
            };
        if !right {
            let requests = upstream.requests() - before;
            wrong.push(format!(
                "{name}: {must:?}, {requests} requests upstream: {answers}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[tokio::test]
async fn fault_20_lines_and_request_lines() {
    let (upstream, gateway) = gateway(|setup| setup).await;
    let line = |line: &str| format!("{line}\r\n{HOST}\r\n");
    let cases: Vec<Case> = vec![
        (
            "2.2 an empty line ahead",
            format!("\r\n{}", get("")),
            GoOn(0),
        ),
        (
            "2.2 CR alone at the end of the line",
            format!("GET /a HTTP/1.1\r{HOST}\r\n"),
            BeRefused,
        ),
        ("2.2 CR in the line", line("GET /a\rb HTTP/1.1"), BeRefused),
        (
            "2.2 CR before CR LF",
            format!("GET /a HTTP/1.1\r\r\n{HOST}\r\n"),
            BeRefused,
        ),
        (
            "2.2 a blank ahead of the first field",
            format!("GET /a HTTP/1.1\r\n x: 1\r\n{HOST}\r\n"),
            BeRefused,
        ),
        (
            "2.2 a blank alone in the first field's line",
            format!("GET /a HTTP/1.1\r\n \r\n{HOST}\r\n"),
            BeRefused,
        ),
        (
            "2.3 a lower-case version",
            line("GET /a http/1.1"),
            BeRefused,
        ),
        (
            "2.3 a version of three numbers",
            line("GET /a HTTP/1.1.1"),
            BeRefused,
        ),
        (
            "2.3 a version with a zero ahead",
            line("GET /a HTTP/01.1"),
            BeRefused,
        ),
        ("2.3 another protocol", line("GET /a HTTPS/1.1"), BeRefused),
        ("2.3 a version of later", line("GET /a HTTP/3.0"), BeRefused),
        (
            "3 a vertical tab for a space",
            line("GET\u{b}/a HTTP/1.1"),
            BeRefused,
        ),
        (
            "3 a form feed for a space",
            line("GET /a\u{c}HTTP/1.1"),
            BeRefused,
        ),
        (
            "3 a space behind the version",
            line("GET /a HTTP/1.1 "),
            BeRefused,
        ),
        ("3.1 an empty method", line(" /a HTTP/1.1"), BeRefused),
        (
            "3.1 a method with a slash",
            line("GE/T /a HTTP/1.1"),
            BeRefused,
        ),
        (
            "3.1 a method that is not ASCII",
            line("G\u{e9}T /a HTTP/1.1"),
            BeRefused,
        ),
        ("3.2 an empty target", line("GET  HTTP/1.1"), BeRefused),
        (
            "3.2 a control byte in the target",
            line("GET /a\u{1}b HTTP/1.1"),
            BeRefused,
        ),
        (
            "3.2 DEL in the target",
            line("GET /a\u{7f}b HTTP/1.1"),
            BeRefused,
        ),
        ("3.2.1 two targets", line("GET /a /b HTTP/1.1"), BeRefused),
        (
            "3.2.2 no host in the absolute form",
            line("GET https:///a HTTP/1.1"),
            BeRefused,
        ),
        (
            "3.2.2 user information in the absolute form",
            line("GET https://a@shop.example/a HTTP/1.1"),
            BeRefused,
        ),
        (
            "3.2.2 two ports in the absolute form",
            line("GET https://shop.example:1:2/a HTTP/1.1"),
            BeRefused,
        ),
        (
            "3.2.3 the authority form",
            line("GET shop.example:443 HTTP/1.1"),
            BeRefused,
        ),
        (
            "3.2.4 the asterisk form",
            line("POST * HTTP/1.1"),
            BeRefused,
        ),
    ];
    check(&gateway, &upstream, cases).await;
}

#[tokio::test]
async fn fault_20_fields() {
    let (upstream, gateway) = gateway(|setup| setup).await;
    let cases: Vec<Case> = vec![
        (
            "5 a control byte in a value",
            get("x: 1\u{1}2\r\n"),
            BeRefused,
        ),
        ("5 DEL in a value", get("x: 1\u{7f}2\r\n"), BeRefused),
        ("5 NUL at the end of a value", get("x: 1\0\r\n"), BeRefused),
        (
            "5 a value that is not ASCII",
            get("x: gr\u{fc}n\r\n"),
            GoOn(0),
        ),
        ("5 an empty value", get("x:\r\n"), GoOn(0)),
        ("5 tabs around a value", get("x:\t1\t\r\n"), GoOn(0)),
        ("5.1 a tab before the colon", get("x\t: 1\r\n"), BeRefused),
        (
            "5.1 a name that is not ASCII",
            get("\u{fc}: 1\r\n"),
            BeRefused,
        ),
        ("5.1 NUL in a name", get("x\0y: 1\r\n"), BeRefused),
        ("5.1 a quote in a name", get("\"x\": 1\r\n"), BeRefused),
        (
            "5.2 a length on two lines",
            post("content-length:\r\n 3", "abc"),
            BeRefused,
        ),
        (
            "5.2 a line that goes on with a tab",
            get("x: 1\r\n\t2\r\n"),
            BeRefused,
        ),
        (
            "5.2 a host on two lines",
            "GET /a HTTP/1.1\r\nhost:\r\n shop.example\r\n\r\n".into(),
            BeRefused,
        ),
        (
            "11.1 a line break by its code",
            get("x: 1%0d%0ay: 2\r\n"),
            GoOn(0),
        ),
    ];
    check(&gateway, &upstream, cases).await;
}

#[tokio::test]
async fn fault_20_lengths_and_codings() {
    let (upstream, gateway) = gateway(|setup| setup).await;
    let cases: Vec<Case> = vec![
        (
            "6 a body where none is usual",
            format!("GET /a HTTP/1.1\r\n{HOST}content-length: 3\r\n\r\nabc"),
            GoOn(3),
        ),
        ("6 no body where one is usual", post("x: 1", ""), GoOn(0)),
        (
            "6.1 a tab before the coding",
            post("transfer-encoding:\tchunked", "0\r\n\r\n"),
            GoOn(0),
        ),
        (
            "6.1 a tab behind the coding",
            post("transfer-encoding: chunked\t", "0\r\n\r\n"),
            GoOn(0),
        ),
        (
            "6.1 an empty coding",
            post("transfer-encoding:", "0\r\n\r\n"),
            BeRefused,
        ),
        (
            "6.1 a comma ahead of the coding",
            post("transfer-encoding: ,chunked", "0\r\n\r\n"),
            BeRefused,
        ),
        (
            "6.1 a coding with a parameter",
            post("transfer-encoding: chunked;q=1", "0\r\n\r\n"),
            BeRefused,
        ),
        (
            "6.1 a coding in quotes",
            post("transfer-encoding: 'chunked'", "0\r\n\r\n"),
            BeRefused,
        ),
        (
            "6.1 NUL behind the coding",
            post("transfer-encoding: chunked\0", "0\r\n\r\n"),
            BeRefused,
        ),
        (
            "6.1 a coding twice, in two fields",
            post(
                "transfer-encoding: chunked\r\ntransfer-encoding: chunked",
                "0\r\n\r\n",
            ),
            BeRefused,
        ),
        (
            "6.1 chunks, and a length behind",
            post(
                "transfer-encoding: chunked\r\ncontent-length: 3",
                "3\r\nabc\r\n0\r\n\r\n",
            ),
            GoOnAndEnd(3),
        ),
        (
            "6.1 chunks, and a length ahead",
            post(
                "content-length: 100\r\ntransfer-encoding: chunked",
                "3\r\nabc\r\n0\r\n\r\n",
            ),
            GoOnAndEnd(3),
        ),
        (
            "6.1 chunks, and a length of nothing",
            post(
                "content-length: 0\r\ntransfer-encoding: chunked",
                "3\r\nabc\r\n0\r\n\r\n",
            ),
            GoOnAndEnd(3),
        ),
        (
            "6.2 a length with a zero ahead",
            post("content-length: 03", "abc"),
            GoOn(3),
        ),
        (
            "6.2 a length of hexadecimal digits",
            post("content-length: a", "abc"),
            BeRefused,
        ),
        (
            "6.2 a length with a fraction",
            post("content-length: 3.0", "abc"),
            BeRefused,
        ),
        (
            "6.2 a length with a separator",
            post("content-length: 1_0", "abc"),
            BeRefused,
        ),
        (
            "6.2 a length that is not ASCII",
            post("content-length: \u{663}", "abc"),
            BeRefused,
        ),
        (
            "6.2 a length of 2^64 and 3",
            post("content-length: 18446744073709551619", "abc"),
            BeRefused,
        ),
        (
            "6.3 a length above the limit",
            post("content-length: 9223372036854775807", "abc"),
            BeRefused,
        ),
        (
            "11.2 a look-alike of the length",
            post("content-length: 3\r\ncontent_length: 100", "abc"),
            GoOn(3),
        ),
        (
            "11.2 a look-alike of the coding",
            post("content-length: 3\r\ntransfer_encoding: chunked", "abc"),
            GoOn(3),
        ),
        (
            "11.2 the length named in Connection",
            post("content-length: 3\r\nconnection: content-length", "abc"),
            GoOn(3),
        ),
        (
            "11.2 the coding named in Connection",
            post(
                "transfer-encoding: chunked\r\nconnection: transfer-encoding",
                "3\r\nabc\r\n0\r\n\r\n",
            ),
            GoOn(3),
        ),
        (
            "11.2 a request as a body",
            post(&format!("content-length: {}", NEXT.len()), NEXT),
            GoOn(NEXT.len() as u64),
        ),
    ];
    check(&gateway, &upstream, cases).await;
}

#[tokio::test]
async fn fault_20_chunks() {
    let (upstream, gateway) = gateway(|setup| setup).await;
    let last = "0\r\n\r\n";
    let cases: Vec<Case> = vec![
        (
            "7.1 upper-case digits",
            chunked(&format!("A\r\n0123456789\r\n{last}")),
            GoOn(10),
        ),
        (
            "7.1 zeros ahead of the size",
            chunked(&format!("0003\r\nabc\r\n{last}")),
            GoOn(3),
        ),
        (
            "7.1 a last chunk of many zeros",
            chunked("3\r\nabc\r\n000\r\n\r\n"),
            GoOn(3),
        ),
        (
            "7.1 a plus before the size",
            chunked(&format!("+3\r\nabc\r\n{last}")),
            BeRefused,
        ),
        (
            "7.1 a blank before the size",
            chunked(&format!(" 3\r\nabc\r\n{last}")),
            BeRefused,
        ),
        (
            "7.1 a separator in the size",
            chunked(&format!("0_3\r\nabc\r\n{last}")),
            BeRefused,
        ),
        (
            "7.1 an empty size",
            chunked(&format!("\r\nabc\r\n{last}")),
            BeRefused,
        ),
        (
            "7.1 a size of 2^64 and 3",
            chunked(&format!("10000000000000003\r\nabc\r\n{last}")),
            BeRefused,
        ),
        (
            "7.1 a chunk shorter than its size",
            chunked(&format!("4\r\nabc\r\n{last}")),
            BeRefused,
        ),
        (
            "7.1 a chunk that ends in LF",
            chunked(&format!("3\r\nabc\n{last}")),
            BeRefused,
        ),
        (
            "7.1 a chunk that ends in two letters",
            chunked(&format!("3\r\nabcXX{last}")),
            BeRefused,
        ),
        (
            "7.1.1 an extension with a value",
            chunked(&format!("3;a=\"b c\"\r\nabc\r\n{last}")),
            GoOn(3),
        ),
        (
            "7.1.1 LF in an extension",
            chunked(&format!("3;a\nb\r\nabc\r\n{last}")),
            BeRefused,
        ),
        (
            "7.1.1 CR in an extension",
            chunked(&format!("3;a\rb\r\nabc\r\n{last}")),
            BeRefused,
        ),
        (
            "7.1.1 an extension of 20 KiB",
            chunked(&format!("3;{}\r\nabc\r\n{last}", "a".repeat(20 << 10))),
            BeRefused,
        ),
        (
            "7.1.2 a trailer",
            chunked("3\r\nabc\r\n0\r\nx-checksum: 1\r\n\r\n"),
            GoOn(3),
        ),
        (
            "7.1.2 a trailer without a colon",
            chunked("3\r\nabc\r\n0\r\nx-checksum\r\n\r\n"),
            BeRefused,
        ),
        (
            "7.1.2 a space in a trailer's name",
            chunked("3\r\nabc\r\n0\r\nx y: 1\r\n\r\n"),
            BeRefused,
        ),
        (
            "7.1.2 trailers of 100 KiB",
            chunked(&format!(
                "3\r\nabc\r\n0\r\nx: {}\r\n\r\n",
                "a".repeat(100 << 10)
            )),
            BeRefused,
        ),
        (
            "7.1.2 2000 trailers",
            chunked(&format!("3\r\nabc\r\n0\r\n{}\r\n", "x: 1\r\n".repeat(2000))),
            BeRefused,
        ),
    ];
    check(&gateway, &upstream, cases).await;
}

#[tokio::test]
async fn fault_20_trailers_frame_and_route_nothing() {
    let (upstream, gateway) = gateway(|setup| setup).await;
    for name in [
        "content-length",
        "transfer-encoding",
        "host",
        "connection",
        "authorization",
        "x-forwarded-for",
    ] {
        let message = chunked(&format!("3\r\nabc\r\n0\r\n{name}: 7\r\nx-kept: 1\r\n\r\n"));
        let answers = answers(&gateway, name, &message).await;
        let echoes = echoes(&answers);
        let echo = echoes
            .first()
            .unwrap_or_else(|| panic!("{name}: {answers}"));
        assert_eq!(echo["bytes"], 3, "{name}: {echo}");
        let fields = echo["headers"].as_array().unwrap().iter();
        assert!(
            fields.clone().all(|field| field[1] != "7"),
            "{name}: {echo}"
        );
        let trailers = echo["trailers"].as_array().unwrap().iter();
        let framing = ["content-length", "transfer-encoding", "host", "connection"];
        let passed = trailers.filter(|field| framing.contains(&field[0].as_str().unwrap()));
        assert_eq!(passed.count(), 0, "{name}: {echo}");
    }
    drop(upstream);
}

#[tokio::test]
async fn fault_20_persistence() {
    let (upstream, gateway) = gateway(|setup| setup).await;
    let old = |more: &str| format!("GET /a HTTP/1.0\r\n{HOST}{more}\r\n");
    let cases: Vec<Case> = vec![
        ("9.3 a connection goes on", get(""), GoOn(0)),
        ("9.3 close", get("connection: close\r\n"), GoOnAndEnd(0)),
        (
            "9.3 close in a list and in upper case",
            get("connection: x, CLOSE\r\n"),
            GoOnAndEnd(0),
        ),
        (
            "9.3 close in a second field",
            get("connection: x\r\nconnection: close\r\n"),
            GoOnAndEnd(0),
        ),
        (
            "9.3 close against keep-alive",
            get("connection: keep-alive, close\r\n"),
            GoOnAndEnd(0),
        ),
        (
            "6.1 chunks in HTTP/1.0",
            "POST /a HTTP/1.0\r\nhost: shop.example\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"
                .into(),
            BeRefused,
        ),
    ];
    check(&gateway, &upstream, cases).await;
    let answers = answers(&gateway, "HTTP/1.0", &old("")).await;
    assert_eq!(answers.matches("HTTP/1.0 ").count(), 1, "{answers}");
    assert!(answers.contains("\"target\":\"/a\""), "{answers}");
}

#[tokio::test]
async fn fault_20_a_message_that_ends_early_never_looks_whole() {
    let (upstream, gateway) = gateway(|setup| setup).await;
    for message in [
        post("content-length: 10", "abc"),
        chunked("5\r\nabc"),
        chunked("3\r\nabc\r\n"),
        chunked("3\r\nabc\r\n0\r\n"),
    ] {
        let mut socket = gateway.raw().await;
        socket.send(message.as_bytes()).await;
        witgate_tests::eventually!(
            "the beginning upstream",
            (upstream.bytes() > 0).then_some(())
        );
        drop(socket);
        let line = gateway.access_line_where(|line| line["path"] == "/a").await;
        assert_ne!(line["status"], 200, "{message:?}: {line}");
    }
    assert_eq!(
        gateway
            .client(witgate_tests::Http::One)
            .get("https://shop.example/")
            .await
            .status,
        200
    );
}
