//! What came of a request, as aspects that can be compared: statuses, the body, fields that
//! matter, and what the upstream saw.

use std::{borrow::Cow, collections::BTreeMap};

use http::HeaderMap;
use witgate_tests::{
    certs::{hex, sha256},
    client::Answer,
    upstream::Echo,
};

/// Fields that belong to a proxy, a connection or a moment.
const NOT_COMPARED: [&str; 9] = [
    "connection",
    "content-length",
    "date",
    "keep-alive",
    "proxy-status",
    "server",
    "transfer-encoding",
    "x-request-id",
    "via",
];

/// Names of aspects and what each is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Outcome(BTreeMap<String, String>);

impl Outcome {
    /// No answer to its end over HTTP/2: a reset may take the head with it or come behind it.
    pub(super) fn no_whole_answer() -> Self {
        Self::default().with("status", "no whole answer")
    }

    /// A whole answer over HTTP/2.
    pub(super) fn of_answer(answer: &Answer) -> Self {
        let fields = list(&answer.headers);
        Self::default()
            .with("status", answer.status.as_u16())
            .content(&fields, &answer.body)
            .fields("trailer", &list(&answer.trailers))
    }

    /// All that was read from a connection of HTTP/1.1.
    pub(super) fn of_bytes(read: &[u8], head: bool, ended: bool) -> Self {
        let mut statuses = Vec::new();
        let mut outcome = Self::default();
        let mut rest = read;
        while !rest.is_empty() {
            let (message, after) = Message::parse(rest, head);
            statuses.push(message.status.clone());
            let interim = message.status.starts_with('1');
            if !interim && outcome == Self::default() && message.is_whole() {
                outcome = outcome.content(&message.fields, &message.body);
                outcome = outcome.fields("trailer", &message.trailers);
            }
            rest = after;
        }
        if statuses.is_empty() {
            statuses.push("none".to_owned());
        }
        if !ended {
            statuses.push("open".to_owned());
        }
        outcome.with("status", statuses.join(", "))
    }

    fn with(mut self, aspect: &str, value: impl ToString) -> Self {
        self.0.insert(aspect.to_owned(), value.to_string());
        self
    }

    fn content(self, fields: &[(String, String)], body: &[u8]) -> Self {
        let text = String::from_utf8_lossy(body);
        let own =
            fields.iter().any(|(name, _)| name == "proxy-status") || text.contains("<center>nginx");
        if own {
            return self;
        }
        let outcome = self.fields("field", fields);
        match serde_json::from_slice::<Echo>(body) {
            Ok(echo) => outcome.echo(&echo),
            Err(_) if body.is_empty() => outcome,
            Err(_) if body.len() <= 40 => outcome.with("body", text.escape_debug()),
            Err(_) => {
                let mut digest = hex(&sha256(body));
                digest.truncate(8);
                outcome.with("body", format!("{} bytes, {digest}", body.len()))
            }
        }
    }

    fn echo(self, echo: &Echo) -> Self {
        let target = shown(&echo.target);
        self.with("upstream saw", format!("{} {target}", echo.method))
            .with("upstream saw body of", echo.bytes)
            .fields("upstream saw", &echo.headers)
            .fields("upstream saw trailer", &echo.trailers)
    }

    fn fields(mut self, kind: &str, fields: &[(String, String)]) -> Self {
        for (name, value) in fields {
            if NOT_COMPARED.contains(&name.as_str()) {
                continue;
            }
            let entry = self.0.entry(format!("{kind} {name}")).or_default();
            if !entry.is_empty() {
                entry.push_str(" + ");
            }
            entry.push_str(&shown(value));
        }
        self
    }

    /// What is in one and not in the other, for each of the two; empty when they are equal.
    pub(super) fn differences(&self, other: &Self) -> (String, String) {
        let only = |a: &Self, b: &Self| {
            let differ =
                a.0.iter()
                    .filter(|(name, value)| b.0.get(*name) != Some(value));
            let shown = differ.map(|(name, value)| match name.as_str() {
                "status" => value.clone(),
                _ => format!("{name} `{value}`"),
            });
            shown.collect::<Vec<_>>().join("; ")
        };
        (only(self, other), only(other, self))
    }
}

/// A value; what is long is told by its length.
fn shown(value: &str) -> Cow<'_, str> {
    match value.len() {
        0..=60 => Cow::Borrowed(value),
        length => Cow::Owned(format!("({length} bytes)")),
    }
}

fn list(fields: &HeaderMap) -> Vec<(String, String)> {
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    fields
        .iter()
        .map(|(name, value)| (name.to_string(), text(value)))
        .collect()
}

/// One message of HTTP/1.1, as far as it came.
#[derive(Debug)]
struct Message {
    status: String,
    fields: Vec<(String, String)>,
    body: Vec<u8>,
    trailers: Vec<(String, String)>,
}

impl Message {
    /// Takes one message from the front. What is no message is all of it.
    fn parse(bytes: &[u8], head: bool) -> (Self, &[u8]) {
        let Some((lines, rest)) = split(bytes, b"\r\n\r\n") else {
            return (Self::bare("no head"), &[]);
        };
        let lines = String::from_utf8_lossy(lines);
        let (line, lines) = lines.split_once("\r\n").unwrap_or((&lines, ""));
        let status = line.split(' ').nth(1).unwrap_or("no status");
        let mut message = Self {
            fields: fields(lines),
            ..Self::bare(status)
        };
        if head || status.starts_with('1') || status == "204" || status == "304" {
            return (message, rest);
        }
        let field = |name: &str| message.fields.iter().find(|(found, _)| found == name);
        let rest = match (field("transfer-encoding"), field("content-length")) {
            (Some(_), _) => message.take_chunks(rest),
            (None, Some((_, length))) => {
                let length = length.parse().unwrap();
                message.take_length(rest, length)
            }
            (None, None) => message.take_length(rest, rest.len()),
        };
        (message, rest)
    }

    fn bare(status: &str) -> Self {
        Self {
            status: status.to_owned(),
            fields: Vec::new(),
            body: Vec::new(),
            trailers: Vec::new(),
        }
    }

    fn is_whole(&self) -> bool {
        !self.status.ends_with("cut")
    }

    fn take_length<'a>(&mut self, rest: &'a [u8], length: usize) -> &'a [u8] {
        let Some((body, rest)) = rest.split_at_checked(length) else {
            self.status.push_str(", cut");
            return &[];
        };
        self.body = body.to_vec();
        rest
    }

    fn take_chunks<'a>(&mut self, mut rest: &'a [u8]) -> &'a [u8] {
        loop {
            let Some((size, after)) = split(rest, b"\r\n") else {
                self.status.push_str(", cut");
                return &[];
            };
            let size = String::from_utf8_lossy(size);
            let size = usize::from_str_radix(&size, 16).unwrap();
            if size == 0 {
                return self.take_trailers(after);
            }
            let Some((chunk, after)) = after.split_at_checked(size) else {
                self.status.push_str(", cut");
                return &[];
            };
            self.body.extend(chunk);
            rest = after.strip_prefix(b"\r\n").unwrap_or_default();
        }
    }

    fn take_trailers<'a>(&mut self, rest: &'a [u8]) -> &'a [u8] {
        if let Some(rest) = rest.strip_prefix(b"\r\n") {
            return rest;
        }
        let Some((lines, rest)) = split(rest, b"\r\n\r\n") else {
            self.status.push_str(", cut");
            return &[];
        };
        self.trailers = fields(&String::from_utf8_lossy(lines));
        rest
    }
}

fn fields(lines: &str) -> Vec<(String, String)> {
    let split = lines.split("\r\n").filter_map(|line| line.split_once(':'));
    split
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect()
}

fn split<'a>(bytes: &'a [u8], at: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let place = bytes.windows(at.len()).position(|window| window == at)?;
    Some((&bytes[..place], &bytes[place + at.len()..]))
}
