//! The request or response that rules work on: the gateway's facts, and over them what the
//! rules changed so far. The changes become the plugin's edits.

use std::net::Ipv6Addr;

use witgate_sdk::prelude::*;

use crate::{Side, action::Place};

/// A message with changes.
pub(crate) struct Message<'a> {
    request: &'a Request,
    /// None when the request is what the rules work on.
    response: Option<&'a Response>,
    fields: Vec<(String, Change)>,
    path: Option<String>,
    query: Option<Option<String>>,
    host: Option<String>,
}

/// What became of the fields of one name.
enum Change {
    /// These came behind those that there are.
    Appended(Vec<Vec<u8>>),
    /// There are only these.
    Replaced(Vec<Vec<u8>>),
}

impl<'a> Message<'a> {
    pub(crate) fn request(request: &'a Request) -> Self {
        Self {
            request,
            response: None,
            fields: Vec::new(),
            path: None,
            query: None,
            host: None,
        }
    }

    pub(crate) fn response(request: &'a Request, response: &'a Response) -> Self {
        Self {
            response: Some(response),
            ..Self::request(request)
        }
    }

    /// The request, without changes.
    pub(crate) fn the_request(&self) -> &Request {
        self.request
    }

    pub(crate) fn status(&self) -> Option<u16> {
        self.response.map(Response::status)
    }

    pub(crate) fn path(&self) -> &str {
        self.path.as_deref().unwrap_or_else(|| self.request.path())
    }

    pub(crate) fn query(&self) -> Option<&str> {
        match &self.query {
            Some(changed) => changed.as_deref(),
            None => self.request.query(),
        }
    }

    /// The values of a header field, of the request or the response.
    pub(crate) fn values(&self, side: Side, name: &str) -> Vec<Vec<u8>> {
        match (side, self.response) {
            (Side::Request, Some(_)) => self.request.header_values(name),
            _ => self.own_values(name),
        }
    }

    /// The values of a header field of the message that is changed.
    pub(crate) fn own_values(&self, name: &str) -> Vec<Vec<u8>> {
        let original = || match self.response {
            Some(response) => response.header_values(name),
            None => self.request.header_values(name),
        };
        match self.fields.iter().find(|(changed, _)| changed == name) {
            Some((_, Change::Replaced(values))) => values.clone(),
            Some((_, Change::Appended(values))) => [original(), values.clone()].concat(),
            None => original(),
        }
    }

    /// Makes these the only values of a field.
    pub(crate) fn replace(&mut self, name: &str, values: Vec<Vec<u8>>) {
        self.change(name, |change| *change = Change::Replaced(values));
    }

    /// Puts a value into its place.
    pub(crate) fn write(&mut self, place: &Place, value: Vec<u8>) {
        match place {
            Place::Set(name) => self.replace(name, vec![value]),
            Place::Append(name) => self.change(name, |change| {
                let (Change::Appended(values) | Change::Replaced(values)) = change;
                values.push(value);
            }),
            Place::Path => self.path = Some(as_path(&value)),
            Place::Query => self.query = Some((!value.is_empty()).then(|| encoded(&value, b"/?"))),
            Place::Host => self.write_host(value),
        }
    }

    fn write_host(&mut self, value: Vec<u8>) {
        match String::from_utf8(value) {
            Ok(host) if is_authority(&host) => self.host = Some(host),
            _ => log::warn!("a rule made a host that is none; the host stays"),
        }
    }

    /// Applies to the fields of one name, from no change on.
    fn change(&mut self, name: &str, apply: impl FnOnce(&mut Change)) {
        match self.fields.iter_mut().find(|(changed, _)| changed == name) {
            Some((_, change)) => apply(change),
            None => {
                let mut change = Change::Appended(Vec::new());
                apply(&mut change);
                self.fields.push((name.to_owned(), change));
            }
        }
    }

    pub(crate) fn into_request_edits(self) -> Vec<RequestEdit> {
        let mut edits = Vec::new();
        edits.extend(self.path.map(RequestEdit::Path));
        edits.extend(self.query.map(RequestEdit::Query));
        edits.extend(self.host.map(RequestEdit::Authority));
        edits.extend(field_edits(self.fields).map(|edit| match edit {
            ResponseEdit::Set(field) => RequestEdit::Set(field),
            ResponseEdit::Append(field) => RequestEdit::Append(field),
            ResponseEdit::Remove(name) => RequestEdit::Remove(name),
        }));
        edits
    }

    pub(crate) fn into_response_edits(self) -> Vec<ResponseEdit> {
        field_edits(self.fields).collect()
    }
}

/// The fewest edits: one for one value, else a removal and one per value.
fn field_edits(fields: Vec<(String, Change)>) -> impl Iterator<Item = ResponseEdit> {
    fields.into_iter().flat_map(|(name, change)| {
        let (first, rest) = match change {
            Change::Appended(values) => (None, values),
            Change::Replaced(values) if values.len() == 1 => (
                values
                    .into_iter()
                    .next()
                    .map(|value| ResponseEdit::set(&name, value)),
                Vec::new(),
            ),
            Change::Replaced(values) => (Some(ResponseEdit::remove(&name)), values),
        };
        first.into_iter().chain(
            rest.into_iter()
                .map(move |value| ResponseEdit::append(&name, value)),
        )
    })
}

/// A path: starts with one slash, with what a path cannot hold percent-encoded.
fn as_path(value: &[u8]) -> String {
    let path = encoded(value, b"/");
    if path.starts_with('/') {
        path
    } else {
        format!("/{path}")
    }
}

/// Percent-encodes all but RFC 3986's `pchar`, what is encoded already, and these (§3.3).
fn encoded(value: &[u8], delimiters: &[u8]) -> String {
    let stays = |byte: &u8| {
        byte.is_ascii_alphanumeric()
            || b"-._~!$&'()*+,;=:@%".contains(byte)
            || delimiters.contains(byte)
    };
    let mut text = String::with_capacity(value.len());
    for byte in value {
        if stays(byte) {
            text.push(char::from(*byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

/// `host` or `host:port` (RFC 3986 §3.2.2), an IPv6 address in brackets.
fn is_authority(text: &str) -> bool {
    let host_end = match text.find(']') {
        Some(bracket) => bracket + 1,
        None => text.find(':').unwrap_or(text.len()),
    };
    let (host, port) = text.split_at(host_end);
    is_host(host) && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port))
}

fn is_host(text: &str) -> bool {
    let address = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    match address {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => {
            let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
            !text.is_empty() && text.bytes().all(legal)
        }
    }
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok()
}
