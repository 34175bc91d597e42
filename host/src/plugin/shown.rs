//! Decisions as text, one line each: for cases, and for what people read about versions that
//! decide otherwise. The forms are part of the file format of cases.

use std::fmt::Write as _;

use super::{
    Decision, Field, Preference, RequestEdit, ResponseEdit, bindings::witgate::plugin::types,
};

/// `pass`, `forward api rule "r" [path /v1]`, `respond 301 [location: /new] "body"`.
pub fn decision(decision: &Decision) -> String {
    match decision {
        Decision::Pass(edits) => {
            let mut text = "pass".to_owned();
            if !edits.is_empty() {
                add_list(&mut text, edits.iter().map(request_edit).collect());
            }
            text
        }
        Decision::Forward(forward) => {
            let mut text = format!("forward {}", printable(forward.pool.as_bytes()));
            add_rule(&mut text, forward.rule.as_deref());
            add_list(&mut text, forward.edits.iter().map(request_edit).collect());
            text
        }
        Decision::Respond(respond) => {
            let mut text = format!("respond {}", respond.status);
            add_rule(&mut text, respond.rule.as_deref());
            add_list(&mut text, respond.headers.iter().map(field).collect());
            if !respond.body.is_empty() {
                let _ = write!(text, " \"{}\"", respond.body.escape_ascii());
            }
            text
        }
    }
}

/// `none`, `endpoint b`, `hash 7`.
pub fn preference(preference: &Preference) -> String {
    match preference {
        Preference::None => "none".to_owned(),
        Preference::Endpoint(id) => format!("endpoint {}", printable(id.as_bytes())),
        Preference::Hash(key) => format!("hash {key}"),
    }
}

/// `set x-a: 1`, `append x-a: 1`, `remove x-a`, `path /v1`, `query a=1`, `no query`,
/// `authority shop.example`.
pub fn request_edit(edit: &RequestEdit) -> String {
    match edit {
        RequestEdit::Set(of) => format!("set {}", field(of)),
        RequestEdit::Append(of) => format!("append {}", field(of)),
        RequestEdit::Remove(name) => format!("remove {}", printable(name.as_bytes())),
        RequestEdit::Path(path) => format!("path {}", printable(path.as_bytes())),
        RequestEdit::Query(Some(query)) => format!("query {}", printable(query.as_bytes())),
        RequestEdit::Query(None) => "no query".to_owned(),
        RequestEdit::Authority(authority) => {
            format!("authority {}", printable(authority.as_bytes()))
        }
    }
}

/// As [`request_edit`].
pub fn response_edit(edit: &ResponseEdit) -> String {
    match edit {
        types::ResponseEdit::Set(of) => format!("set {}", field(of)),
        types::ResponseEdit::Append(of) => format!("append {}", field(of)),
        types::ResponseEdit::Remove(name) => format!("remove {}", printable(name.as_bytes())),
    }
}

/// `[set x-a: 1, remove x-b]`, or `no edits`.
pub fn list(edits: &[String]) -> String {
    match edits {
        [] => "no edits".to_owned(),
        edits => format!("[{}]", edits.join(", ")),
    }
}

/// `x-a: 1`
pub fn field(field: &Field) -> String {
    let (name, value) = (printable(field.name.as_bytes()), printable(&field.value));
    format!("{name}: {value}")
}

fn add_rule(text: &mut String, rule: Option<&str>) {
    if let Some(rule) = rule {
        let _ = write!(text, " rule \"{}\"", printable(rule.as_bytes()));
    }
}

fn add_list(text: &mut String, items: Vec<String>) {
    if !items.is_empty() {
        let _ = write!(text, " {}", list(&items));
    }
}

/// Text as it is, but for control characters and what is not UTF-8.
fn printable(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.chars().any(char::is_control) => text.to_owned(),
        _ => bytes.escape_ascii().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::{Forward, Respond};

    #[test]
    fn decisions_are_one_line_each() {
        let set = RequestEdit::Set(Field {
            name: "x-a".to_owned(),
            value: b"1\n\xff".to_vec(),
        });
        let forward = Decision::Forward(Forward {
            pool: "api".to_owned(),
            rule: Some("v1".to_owned()),
            edits: vec![set, RequestEdit::Query(None)],
        });
        assert_eq!(
            decision(&forward),
            r#"forward api rule "v1" [set x-a: 1\n\xff, no query]"#
        );
        let respond = Decision::Respond(Respond {
            status: 301,
            rule: None,
            headers: vec![Field {
                name: "location".to_owned(),
                value: b"/new".to_vec(),
            }],
            body: b"moved\n".to_vec(),
        });
        assert_eq!(
            decision(&respond),
            r#"respond 301 [location: /new] "moved\n""#
        );
        assert_eq!(decision(&Decision::Pass(Vec::new())), "pass");
        assert_eq!(preference(&Preference::Hash(7)), "hash 7");
    }
}
