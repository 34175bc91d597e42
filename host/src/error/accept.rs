//! Which form of an answer a client wants, by `Accept` (RFC 9110 §12.5.1).

use std::cmp::Reverse;

use http::{HeaderMap, HeaderValue, header::ACCEPT};

use crate::config::Form;

/// The field's value; of several lines as if they were one (RFC 9110 §5.3).
pub fn accept(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut lines = headers.get_all(ACCEPT).iter();
    let first = lines.next()?;
    let rest: Vec<_> = lines.map(HeaderValue::as_bytes).collect();
    if rest.is_empty() {
        return Some(first.clone());
    }
    let all = [&[first.as_bytes()], rest.as_slice()].concat();
    HeaderValue::from_bytes(&all.join(b",".as_slice())).ok()
}

/// The one of `offered`, which stand in the gateway's order of preference, that the client likes
/// best: by quality, then by how exactly it is named, then by which is named first. The first
/// when the client likes none: an answer that it may not read says more than none.
pub(super) fn best(accept: Option<&HeaderValue>, offered: &[Form; 3]) -> Form {
    let [first, ..] = *offered;
    let Some(accept) = accept.and_then(|value| std::str::from_utf8(value.as_bytes()).ok()) else {
        return first;
    };
    let ranges: Vec<_> = split(accept, b',').filter_map(Range::parse).collect();
    let liking = |form: &Form| {
        let matching = ranges.iter().enumerate();
        let matching = matching.filter_map(|(place, range)| {
            let exactness = range.exactness(*form)?;
            Some((exactness, range.quality, Reverse(place)))
        });
        let (exactness, quality, place) = matching.max()?;
        (quality > 0).then_some((quality, exactness, place))
    };
    let mut best = (None, first);
    for form in offered {
        let liked = liking(form);
        if liked > best.0 {
            best = (liked, *form);
        }
    }
    best.1
}

/// One element of the field.
struct Range<'a> {
    kind: &'a str,
    subtype: &'a str,
    /// In thousandths.
    quality: u16,
}

impl<'a> Range<'a> {
    /// Parameters other than the quality do not matter: no form comes in more than one version.
    fn parse(text: &'a str) -> Option<Self> {
        let mut parts = split(text, b';');
        let (kind, subtype) = parts.next()?.trim().split_once('/')?;
        let quality = parts.find_map(|parameter| {
            let (name, value) = parameter.split_once('=')?;
            name.trim().eq_ignore_ascii_case("q").then(|| value.trim())
        });
        Some(Self {
            kind,
            subtype,
            quality: quality.map_or(Some(1000), thousandths)?,
        })
    }

    /// How exactly it names the form; none when it does not.
    fn exactness(&self, form: Form) -> Option<u8> {
        let is = |text: &str, name: &str| text.eq_ignore_ascii_case(name);
        if self.kind == "*" {
            return (self.subtype == "*").then_some(0);
        }
        let (kind, subtypes): (_, &[_]) = match form {
            Form::Html => ("text", &["html"]),
            Form::Json => ("application", &["json", "problem+json"]),
            Form::Text => ("text", &["plain"]),
        };
        if !is(self.kind, kind) {
            return None;
        }
        match self.subtype {
            "*" => Some(1),
            subtype => subtypes.iter().any(|name| is(subtype, name)).then_some(2),
        }
    }
}

/// A quality (RFC 9110 §12.4.2): `0` to `1` with up to three digits behind the point.
fn thousandths(text: &str) -> Option<u16> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = fraction.bytes().all(|byte| byte.is_ascii_digit());
    if !matches!(whole, "0" | "1") || !digits || fraction.len() > 3 {
        return None;
    }
    let value = format!("{whole}{fraction:0<3}").parse().ok()?;
    (value <= 1000).then_some(value)
}

/// The pieces between `separator`, which does not count inside of quotes (RFC 9110 §5.6.4).
fn split(text: &str, separator: u8) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    let mut escaped = false;
    text.split(move |letter: char| {
        if std::mem::take(&mut escaped) {
            return false;
        }
        match letter {
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ => {}
        }
        !quoted && letter == char::from(separator)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: [Form; 3] = [Form::Text, Form::Html, Form::Json];

    fn of(accept: &str) -> Form {
        let value = HeaderValue::from_str(accept).expect("a legal value");
        best(Some(&value), &PLAIN)
    }

    #[test]
    fn without_a_wish_the_gateways_order_counts() {
        assert_eq!(best(None, &PLAIN), Form::Text);
        for accept in ["*/*", "text/*", "", ",", "*", "image/png", "*/html"] {
            assert_eq!(of(accept), Form::Text, "{accept}");
        }
        let other = [Form::Json, Form::Text, Form::Html];
        let anything = HeaderValue::from_static("*/*");
        assert_eq!(best(Some(&anything), &other), Form::Json);
    }

    #[test]
    fn clients_get_what_they_usually_ask_for() {
        let chromium = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,\
                        image/webp,image/apng,*/*;q=0.8,application/signed-exchange;v=b3;q=0.7";
        assert_eq!(of(chromium), Form::Html);
        assert_eq!(of("application/json, text/plain, */*"), Form::Json);
        assert_eq!(of("application/json"), Form::Json);
        assert_eq!(of("application/problem+json"), Form::Json);
        assert_eq!(of("application/*"), Form::Json);
    }

    #[test]
    fn quality_counts_first_then_exactness_then_order() {
        for (accept, form) in [
            ("text/html;q=0.5, application/json;q=0.501", Form::Json),
            ("text/html; Q=0.5 ,TEXT/PLAIN;q=0.4", Form::Html),
            ("text/html, application/json", Form::Html),
            ("application/json, text/html", Form::Json),
            ("*/*, text/html", Form::Html),
            ("*/*, text/html;q=0.9", Form::Text),
            ("text/*;q=0.3, text/html;q=0.7, */*;q=0.5", Form::Html),
            ("text/*, text/plain;q=0.1", Form::Html),
            (
                "text/html;level=1;q=0.4, application/json;q=0.5",
                Form::Json,
            ),
            (
                "application/json;q=0.2, application/problem+json",
                Form::Json,
            ),
        ] {
            assert_eq!(of(accept), form, "{accept}");
        }
    }

    #[test]
    fn quality_0_means_not_at_all() {
        assert_eq!(of("text/plain;q=0, */*;q=0.1"), Form::Html);
        assert_eq!(of("text/*;q=0.0, */*"), Form::Json);
        assert_eq!(of("*/*;q=0"), Form::Text);
    }

    #[test]
    fn what_is_malformed_is_passed_over() {
        for odd in [
            "text/html;q=2",
            "text/html;q=0.1234",
            "text/html;q=x",
            "text/html;q=-0",
            "text/html;q=1.001",
            "text/html;q=",
            "html",
        ] {
            let accept = format!("{odd}, application/json;q=0.001");
            assert_eq!(of(&accept), Form::Json, "{accept}");
        }
        assert_eq!(
            of("text/html;a=\"x, application/json\\\";q=0\";q=0.5, application/json;q=0.4"),
            Form::Html
        );
    }

    #[test]
    fn lines_are_joined() {
        let mut headers = HeaderMap::new();
        assert_eq!(accept(&headers), None);
        headers.append(ACCEPT, HeaderValue::from_static("text/html;q=0.1"));
        headers.append(ACCEPT, HeaderValue::from_static("application/json"));
        let joined = accept(&headers);
        assert_eq!(best(joined.as_ref(), &PLAIN), Form::Json);
    }
}
