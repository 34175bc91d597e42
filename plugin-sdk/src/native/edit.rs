//! Applies edits as the gateway does, with its refusals.

use crate::{Request, RequestEdit, Response, ResponseEdit};

/// Fields that frame a message or belong to one connection; no plugin may touch them.
const PROTECTED: [&str; 9] = [
    "content-length",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "upgrade",
    "host",
];

impl Request {
    /// The request as it is after these edits; for native tests.
    ///
    /// ```
    /// use witgate_sdk::{Request, RequestEdit};
    ///
    /// let request = Request::get("https://shop.example/api?x=1").build();
    /// let after = request.after(&[RequestEdit::path("/v1/api"), RequestEdit::set("x-a", "1")]);
    /// assert_eq!((after.path(), after.query()), ("/v1/api".into(), Some("x=1".into())));
    /// assert_eq!(after.header_str("x-a").as_deref(), Some("1"));
    /// ```
    ///
    /// # Panics
    /// When the gateway would refuse one of them.
    #[must_use]
    pub fn after(&self, edits: &[RequestEdit]) -> Self {
        let mut after = self.clone();
        for edit in edits {
            after.apply(edit);
        }
        after
    }

    fn apply(&mut self, edit: &RequestEdit) {
        let raw = &mut self.raw;
        match edit {
            RequestEdit::Set(field) => raw
                .fields
                .set(legal(&field.name, &field.value), field.value.clone()),
            RequestEdit::Append(field) => raw
                .fields
                .append(legal(&field.name, &field.value), field.value.clone()),
            RequestEdit::Remove(name) => raw.fields.remove(legal(name, b"")),
            RequestEdit::Path(path) => {
                assert!(
                    path.starts_with('/') && target(path) && !path.contains('?'),
                    "refused: path {path:?}"
                );
                raw.path.clone_from(path);
            }
            RequestEdit::Query(query) => {
                assert!(
                    query.as_deref().is_none_or(target),
                    "refused: query {query:?}"
                );
                raw.query.clone_from(query);
            }
            RequestEdit::Authority(authority) => raw.authority.clone_from(authority),
        }
    }
}

impl Response {
    /// The response as it is after these edits; for native tests.
    ///
    /// ```
    /// use witgate_sdk::{Response, ResponseEdit};
    ///
    /// let response = Response::with_status(200).header("set-cookie", "a=1").build();
    /// let after = response.after(&[ResponseEdit::append("set-cookie", "b=2")]);
    /// assert_eq!(after.header_values("set-cookie"), [b"a=1", b"b=2"]);
    /// ```
    ///
    /// # Panics
    /// When the gateway would refuse one of them.
    #[must_use]
    pub fn after(&self, edits: &[ResponseEdit]) -> Self {
        let mut after = self.clone();
        for edit in edits {
            let fields = &mut after.raw.fields;
            match edit {
                ResponseEdit::Set(field) => {
                    fields.set(legal(&field.name, &field.value), field.value.clone())
                }
                ResponseEdit::Append(field) => {
                    fields.append(legal(&field.name, &field.value), field.value.clone())
                }
                ResponseEdit::Remove(name) => fields.remove(legal(name, b"")),
            }
        }
        after
    }
}

/// The name, if name and value are what the gateway accepts.
fn legal<'a>(name: &'a str, value: &[u8]) -> &'a str {
    assert!(
        !name.is_empty() && name.len() <= 256 && name.bytes().all(token),
        "refused: {name:?} is no field name"
    );
    let protected = PROTECTED
        .iter()
        .any(|protected| name.eq_ignore_ascii_case(protected));
    assert!(!protected, "refused: {name:?} is the gateway's to set");
    let illegal = |byte: &u8| matches!(byte, b'\r' | b'\n' | 0);
    assert!(
        !value.iter().any(illegal),
        "refused: the value of {name:?} has CR, LF or NUL"
    );
    name
}

/// RFC 9110 §5.6.2.
fn token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn target(text: &str) -> bool {
    !text
        .bytes()
        .any(|byte| byte <= b' ' || byte == b'#' || byte == 0x7f)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> Request {
        Request::get("https://a/x?q")
            .header("a", "1")
            .header("b", "2")
            .header("a", "3")
            .build()
    }

    #[test]
    fn set_replaces_all_of_a_name() {
        let after = request().after(&[RequestEdit::set("A", "4")]);
        assert_eq!(after.header_values("a"), [b"4"]);
        assert_eq!(after.headers().len(), 2);
    }

    #[test]
    fn edits_apply_in_order() {
        let edits = [
            RequestEdit::remove("a"),
            RequestEdit::append("a", "5"),
            RequestEdit::append("a", "6"),
        ];
        assert_eq!(request().after(&edits).header_values("a"), [b"5", b"6"]);
    }

    #[test]
    fn target_and_authority_change() {
        let edits = [
            RequestEdit::path("/y"),
            RequestEdit::Query(None),
            RequestEdit::authority("b:1"),
        ];
        let after = request().after(&edits);
        assert_eq!(
            (after.path(), after.query(), after.host()),
            ("/y".into(), None, "b".into())
        );
    }

    #[test]
    #[should_panic(expected = "gateway's to set")]
    fn a_framing_field_is_refused() {
        let _ = request().after(&[RequestEdit::set("Content-Length", "0")]);
    }

    #[test]
    #[should_panic(expected = "CR, LF or NUL")]
    fn a_line_break_is_refused() {
        let _ = request().after(&[RequestEdit::set("a", "b\r\nc: d")]);
    }

    #[test]
    #[should_panic(expected = "no field name")]
    fn a_name_that_is_no_token_is_refused() {
        let _ = Response::with_status(200)
            .build()
            .after(&[ResponseEdit::remove("a b")]);
    }

    #[test]
    #[should_panic(expected = "refused: path")]
    fn a_path_with_a_query_is_refused() {
        let _ = request().after(&[RequestEdit::path("/a?b")]);
    }
}
