//! The text of an error's body, with places that each error fills: `{status}`, `{reason}`,
//! `{cause}` and `{request_id}`. Any other brace is text, since style sheets and JSON are full of
//! them. What is text is never copied: all answers share it.

use bytes::Bytes;
use http::StatusCode;

use super::Cause;
use crate::{config::Form, plugin::RequestId};

/// Places that one text may have: each becomes a piece of the answer's body.
pub(super) const MOST_PLACES: usize = 64;

/// What an error's body tells.
#[derive(Debug, Clone, Copy)]
pub(super) struct Facts {
    pub(super) status: StatusCode,
    pub(super) cause: Cause,
    pub(super) id: RequestId,
}

#[derive(Debug, Clone)]
pub(super) struct Template {
    form: Form,
    parts: Vec<Part>,
}

#[derive(Debug, Clone)]
enum Part {
    Text(Bytes),
    Fact(Fact),
}

#[derive(Debug, Clone, Copy)]
enum Fact {
    Status,
    Reason,
    Cause,
    RequestId,
}

const PLACES: [(&str, Fact); 4] = [
    ("{status}", Fact::Status),
    ("{reason}", Fact::Reason),
    ("{cause}", Fact::Cause),
    ("{request_id}", Fact::RequestId),
];

impl Template {
    /// Finds the places of a text.
    pub(super) fn new(text: String, form: Form) -> Self {
        let text = Bytes::from(text);
        let mut parts = Vec::new();
        let (mut start, mut at) = (0, 0);
        while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
            let place = PLACES
                .iter()
                .find(|(place, _)| rest.starts_with(place.as_bytes()));
            let Some((place, fact)) = place else {
                at += 1;
                continue;
            };
            if start < at {
                parts.push(Part::Text(text.slice(start..at)));
            }
            parts.push(Part::Fact(*fact));
            at += place.len();
            start = at;
        }
        if start < text.len() {
            parts.push(Part::Text(text.slice(start..)));
        }
        Self { form, parts }
    }

    /// How many places there are to fill.
    pub(super) fn places(&self) -> usize {
        let places = self.parts.iter();
        places.filter(|part| matches!(part, Part::Fact(_))).count()
    }

    /// The body of one error, in pieces; none of them is empty.
    pub(super) fn fill(&self, facts: &Facts) -> Vec<Bytes> {
        let fill = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Fact(fact) => Bytes::from(escape(&fact.of(facts), self.form)),
        };
        self.parts.iter().map(fill).collect()
    }
}

impl Fact {
    fn of(self, facts: &Facts) -> String {
        match self {
            Self::Status => facts.status.as_str().to_owned(),
            Self::Reason => facts
                .status
                .canonical_reason()
                .unwrap_or("Error")
                .to_owned(),
            Self::Cause => facts.cause.token().to_owned(),
            Self::RequestId => facts.id.to_string(),
        }
    }
}

/// A value as text of the form, between any tags or inside of any quotes.
fn escape(value: &str, form: Form) -> String {
    match form {
        Form::Text => value.to_owned(),
        Form::Html => {
            let mut out = String::with_capacity(value.len());
            for letter in value.chars() {
                match letter {
                    '&' => out.push_str("&amp;"),
                    '<' => out.push_str("&lt;"),
                    '>' => out.push_str("&gt;"),
                    '"' => out.push_str("&quot;"),
                    '\'' => out.push_str("&#39;"),
                    other => out.push(other),
                }
            }
            out
        }
        Form::Json => {
            let quoted = serde_json::Value::from(value).to_string();
            let inner = quoted.strip_prefix('"').and_then(|s| s.strip_suffix('"'));
            inner.unwrap_or_default().to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &str, form: Form) -> String {
        let facts = Facts {
            status: StatusCode::BAD_GATEWAY,
            cause: Cause::ConnectRefused,
            id: RequestId(0xa),
        };
        let pieces = Template::new(text.to_owned(), form).fill(&facts);
        assert!(pieces.iter().all(|piece| !piece.is_empty()));
        String::from_utf8(pieces.concat()).expect("text")
    }

    #[test]
    fn places_are_filled_wherever_they_stand() {
        assert_eq!(
            filled("{status}{reason}: <{cause}> {request_id}", Form::Text),
            "502Bad Gateway: <connect-refused> 0000000000000000000000000000000a"
        );
        assert_eq!(filled("", Form::Text), "");
        assert_eq!(filled("{status}", Form::Html), "502");
    }

    #[test]
    fn other_braces_are_text() {
        let text = "p { margin: 0 } {Status} { status } {{cause} {unknown} {status";
        assert_eq!(
            filled(text, Form::Html),
            "p { margin: 0 } {Status} { status } {connect-refused {unknown} {status"
        );
    }

    #[test]
    fn values_are_escaped_for_the_form() {
        let value = "<a href='\"&\\\n";
        assert_eq!(escape(value, Form::Text), value);
        assert_eq!(escape(value, Form::Html), "&lt;a href=&#39;&quot;&amp;\\\n");
        assert_eq!(escape(value, Form::Json), "<a href='\\\"&\\\\\\n");
    }

    #[test]
    fn text_is_shared_and_not_copied() {
        let template = Template::new("a page {status}".to_owned(), Form::Html);
        let facts = Facts {
            status: StatusCode::NOT_FOUND,
            cause: Cause::NoRoute,
            id: RequestId(1),
        };
        let (one, other) = (template.fill(&facts), template.fill(&facts));
        assert_eq!(
            one.first().map(|b| b.as_ptr()),
            other.first().map(|b| b.as_ptr())
        );
        assert_eq!(template.places(), 1);
    }
}
