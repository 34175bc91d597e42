//! Applies edits as the gateway does, with its refusals: the same limits and the same
//! characters, so that a native test finds what would cost a request.

use crate::{Field, Request, RequestEdit, Response, ResponseEdit, is_protected_field};

/// Most edits of one decision.
const MAX_EDITS: usize = 128;
/// Longest field name and value, bytes.
const MAX_NAME: usize = 256;
const MAX_VALUE: usize = 64 << 10;
/// Names and values of one decision together, bytes.
const MAX_BYTES: usize = 256 << 10;
/// Longest path or query, bytes.
const MAX_TARGET: usize = 64 << 10;
/// Longest path and query with the `?` between, bytes: all that the gateway's type can hold.
const MAX_WHOLE_TARGET: usize = 65_534;
/// Most colons of an IPv6 address in brackets.
const MAX_COLONS: usize = 8;

/// The bytes that an edit has, or why it is refused.
type Checked = Result<usize, String>;

impl Request {
    /// The request as it is after these edits; for native tests.
    ///
    /// ```
    /// use witgate_sdk::{Request, RequestEdit};
    ///
    /// let request = Request::get("https://shop.example/api?x=1").build();
    /// let after = request.after(&[RequestEdit::path("/v1/api"), RequestEdit::set("x-a", "1")]);
    /// assert_eq!((after.path(), after.query()), ("/v1/api", Some("x=1")));
    /// assert_eq!(after.header_str("x-a").as_deref(), Some("1"));
    /// ```
    ///
    /// # Panics
    /// When the gateway would refuse one of them, or the list as a whole.
    #[must_use]
    pub fn after(&self, edits: &[RequestEdit]) -> Self {
        accept(list(edits.iter().map(request_edit)));
        let mut after = Self::new(self.raw.clone());
        for edit in edits {
            after.apply(edit);
        }
        accept(after.whole_target());
        after
    }

    fn whole_target(&self) -> Checked {
        let query = self.raw.query.as_ref();
        match self.raw.path.len() + query.map_or(0, |query| 1 + query.len()) {
            bytes if bytes > MAX_WHOLE_TARGET => Err(format!(
                "path and query have {bytes} bytes, {MAX_WHOLE_TARGET} is the most"
            )),
            bytes => Ok(bytes),
        }
    }

    fn apply(&mut self, edit: &RequestEdit) {
        let raw = &mut self.raw;
        match edit {
            RequestEdit::Set(field) => raw.fields.set(&field.name, field.value.clone()),
            RequestEdit::Append(field) => raw.fields.append(&field.name, field.value.clone()),
            RequestEdit::Remove(name) => raw.fields.remove(name),
            RequestEdit::Path(path) => raw.path.clone_from(path),
            RequestEdit::Query(query) => raw.query.clone_from(query),
            RequestEdit::Authority(authority) => raw.authority = authority.to_ascii_lowercase(),
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
    /// When the gateway would refuse one of them, or the list as a whole.
    #[must_use]
    pub fn after(&self, edits: &[ResponseEdit]) -> Self {
        accept(list(edits.iter().map(response_edit)));
        let mut after = self.clone();
        let fields = &mut after.raw.fields;
        for edit in edits {
            match edit {
                ResponseEdit::Set(field) => fields.set(&field.name, field.value.clone()),
                ResponseEdit::Append(field) => fields.append(&field.name, field.value.clone()),
                ResponseEdit::Remove(name) => fields.remove(name),
            }
        }
        after
    }
}

/// Panics with the reason of a refusal.
fn accept(checked: Checked) {
    if let Err(reason) = checked {
        panic!("refused: {reason}");
    }
}

fn list(edits: impl ExactSizeIterator<Item = Checked>) -> Checked {
    let count = edits.len();
    if count > MAX_EDITS {
        return Err(format!("{count} edits, {MAX_EDITS} is the most"));
    }
    match edits.sum::<Checked>()? {
        bytes if bytes > MAX_BYTES => Err(format!(
            "all edits have {bytes} bytes, {MAX_BYTES} is the most"
        )),
        bytes => Ok(bytes),
    }
}

fn request_edit(edit: &RequestEdit) -> Checked {
    match edit {
        RequestEdit::Set(field) | RequestEdit::Append(field) => whole_field(field),
        RequestEdit::Remove(name) => field_name(name),
        RequestEdit::Path(text) => {
            let legal = text.starts_with('/') && is_target(text, b"<>`?#");
            part("path", text, legal)
        }
        RequestEdit::Query(None) => Ok(0),
        RequestEdit::Query(Some(text)) => part("query", text, is_target(text, b"\"<>#")),
        RequestEdit::Authority(text) => part("authority", text, is_authority(text)),
    }
}

fn response_edit(edit: &ResponseEdit) -> Checked {
    match edit {
        ResponseEdit::Set(field) | ResponseEdit::Append(field) => whole_field(field),
        ResponseEdit::Remove(name) => field_name(name),
    }
}

fn part(part: &str, text: &str, legal: bool) -> Checked {
    if legal {
        Ok(text.len())
    } else {
        Err(format!("{part} {text:?}"))
    }
}

fn whole_field(field: &Field) -> Checked {
    let Field { name, value } = field;
    let control = |byte: &u8| byte.is_ascii_control() && *byte != b'\t';
    if value.len() > MAX_VALUE {
        return Err(format!("the value of {name:?} is too long"));
    }
    if value.iter().any(control) {
        return Err(format!("the value of {name:?} has a control character"));
    }
    field_name(name).map(|bytes| bytes + value.len())
}

fn field_name(name: &str) -> Checked {
    if name.is_empty() || name.len() > MAX_NAME || !name.bytes().all(is_token) {
        return Err(format!("{name:?} is no field name"));
    }
    if is_protected_field(name) {
        return Err(format!("{name:?} is the gateway's to set"));
    }
    Ok(name.len())
}

/// RFC 9110 §5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Whether a path or query is visible ASCII without these: laxer than RFC 3986, as clients are.
fn is_target(text: &str, refused: &[u8]) -> bool {
    let legal = |byte: u8| byte.is_ascii_graphic() && !refused.contains(&byte);
    text.len() <= MAX_TARGET && text.bytes().all(legal)
}

/// Whether the gateway reads it as `host[:port]`. What is in brackets is not looked at closely.
fn is_authority(text: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"!$%&'()*+,-.:;=[]_~".contains(&byte);
    let colons = |text: &str| text.matches(':').count();
    let (bracketed, rest) = text
        .split_once(']')
        .map_or((None, text), |(bracketed, rest)| (Some(bracketed), rest));
    let brackets_close = bracketed.is_none_or(|bracketed| {
        let inside = bracketed.split_once('[');
        inside.is_some_and(|(before, inside)| !before.contains('%') && !inside.contains('['))
            && colons(bracketed) <= MAX_COLONS
    });
    !text.is_empty()
        && !text.starts_with(':')
        && text.bytes().all(legal)
        && brackets_close
        && !rest.contains(['[', ']', '%'])
        && colons(rest) <= 1
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

    fn refusal(edits: &[RequestEdit]) -> Option<String> {
        list(edits.iter().map(request_edit)).err()
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
            RequestEdit::authority("B:1"),
        ];
        let after = request().after(&edits);
        assert_eq!((after.path(), after.query()), ("/y", None));
        assert_eq!((after.authority(), after.host()), ("b:1", "b"));
    }

    #[test]
    #[should_panic(expected = "refused: \"Content-Length\" is the gateway's to set")]
    fn a_refused_edit_of_a_request_panics() {
        let _ = request().after(&[RequestEdit::set("Content-Length", "0")]);
    }

    #[test]
    #[should_panic(expected = "refused: path and query have 65535 bytes")]
    fn a_path_too_long_for_its_query_panics() {
        let path = format!("/{}", "p".repeat(MAX_WHOLE_TARGET - 1));
        let _ = request().after(&[RequestEdit::path(&path), RequestEdit::Query(None)]);
        let _ = request().after(&[RequestEdit::path(&path), RequestEdit::query("")]);
    }

    #[test]
    #[should_panic(expected = "refused: \"a b\" is no field name")]
    fn a_refused_edit_of_a_response_panics() {
        let _ = Response::with_status(200)
            .build()
            .after(&[ResponseEdit::remove("a b")]);
    }

    #[test]
    fn what_the_gateway_refuses_is_refused() {
        let name = "n".repeat(MAX_NAME + 1);
        let value = "v".repeat(MAX_VALUE + 1);
        let path = format!("/{}", "p".repeat(MAX_TARGET));
        let query = "q".repeat(MAX_TARGET + 1);
        let names = ["", "a b", "a:", "a\n", "ä", &name].map(RequestEdit::remove);
        let protected =
            crate::protected::PROTECTED.map(|name| RequestEdit::set(name.to_uppercase(), "1"));
        let values = ["b\r\nc: d", "\0", "\x1b", "\x7f", &value];
        let values = values.map(|value| RequestEdit::append("a", value));
        let paths = [
            "", "a", "*", "/a b", "/a?b", "/a#b", "/a\t", "/ä", "/<", "/>", "/`", &path,
        ];
        let queries = ["a b", "a#b", "a\n", "ä", "\"", "<", ">", &query];
        let authorities = [
            "",
            ":1",
            "a b",
            "u@a",
            "a/b",
            "a?b",
            "a#b",
            "a\\b",
            "ä",
            "a:b:c",
            "%61",
            "[::1",
            "::1",
            "::1]",
            "[[::1]",
            "[::1]]",
            "[::1]:1:2",
            "%[::1]",
            "[0:1:2:3:4:5:6:7:8:9]",
        ];
        let edits = names.into_iter().chain(protected).chain(values);
        let edits = edits
            .chain(paths.map(RequestEdit::path))
            .chain(queries.map(RequestEdit::query))
            .chain(authorities.map(RequestEdit::authority));
        for edit in edits {
            assert!(refusal(std::slice::from_ref(&edit)).is_some(), "{edit:?}");
        }
    }

    #[test]
    fn what_the_gateway_accepts_is_accepted() {
        let name = "n".repeat(MAX_NAME);
        let value = "v".repeat(MAX_VALUE);
        let path = format!("/{}", "p".repeat(MAX_TARGET - 1));
        let query = "q".repeat(MAX_TARGET);
        let edits = [
            RequestEdit::remove(name),
            RequestEdit::remove("!#$%&'*+-.^_`|~"),
            RequestEdit::append("a", value),
            RequestEdit::set("a", ""),
            RequestEdit::set("a", b"\t \xff"),
        ];
        let paths = ["/", "//", "/a%2f;b=1/{}\"|\\^[]", &path].map(RequestEdit::path);
        let queries = ["", "a=b?c/d&e[]={`|\\^}", &query].map(RequestEdit::query);
        let authorities = [
            "a",
            "a:",
            "a:99999",
            "[::1]",
            "[fe80::1%25e]:80",
            "a_b.~c:1",
        ];
        let edits = edits.into_iter().chain(paths).chain(queries);
        for edit in edits.chain(authorities.map(RequestEdit::authority)) {
            assert_eq!(refusal(std::slice::from_ref(&edit)), None, "{edit:?}");
        }
        assert_eq!(refusal(&[RequestEdit::Query(None)]), None);
    }

    #[test]
    fn a_list_has_limits_too() {
        let one = RequestEdit::remove("x");
        assert_eq!(refusal(&vec![one.clone(); MAX_EDITS]), None);
        assert!(refusal(&vec![one; MAX_EDITS + 1]).is_some());
        let quarter = RequestEdit::set("four", vec![b'v'; MAX_BYTES / 4 - 4]);
        assert_eq!(refusal(&vec![quarter.clone(); 4]), None);
        assert!(refusal(&vec![quarter; 5]).is_some());
    }
}
