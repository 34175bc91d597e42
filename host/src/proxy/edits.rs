//! Acting on what plugins return: each edit is checked against what a plugin may change, then
//! the whole list is applied, or none of it.

use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode, Uri,
    uri::{Authority, PathAndQuery},
};

use crate::{
    error::RefusedDecision as Refused,
    headers,
    plugin::{Field, Request, RequestEdit, Respond, ResponseEdit},
};

/// Most edits of one decision.
const MAX_EDITS: usize = 128;
/// Longest field name and value, bytes.
const MAX_NAME: usize = 256;
const MAX_VALUE: usize = 64 << 10;
/// Names and values of one decision together, bytes.
const MAX_BYTES: usize = 256 << 10;
/// Longest path or query, bytes.
const MAX_TARGET: usize = 64 << 10;
/// Longest body of an answer, bytes.
const MAX_BODY: usize = 64 << 10;

/// A checked edit.
enum Edit {
    Set(HeaderName, HeaderValue),
    Append(HeaderName, HeaderValue),
    Remove(HeaderName),
    Path(String),
    Query(Option<String>),
    Authority(Authority),
}

/// Applies a list to a request.
pub(super) fn apply_to_request(
    edits: Vec<RequestEdit>,
    request: &mut Request,
) -> Result<(), Refused> {
    if edits.is_empty() {
        return Ok(());
    }
    let edits = checked(edits, |edit| {
        Ok(match edit {
            RequestEdit::Set(field) => set(field)?,
            RequestEdit::Append(field) => append(field)?,
            RequestEdit::Remove(name) => Edit::Remove(field_name(&name)?),
            RequestEdit::Path(path) => Edit::Path(checked_path(path)?),
            RequestEdit::Query(query) => Edit::Query(query.map(checked_query).transpose()?),
            RequestEdit::Authority(authority) => Edit::Authority(checked_authority(authority)?),
        })
    })?;
    if let Some(uri) = target(&edits, &request.head.uri)? {
        request.keep_original();
        request.head.uri = uri;
    }
    request.head.headers.reserve(edits.len());
    for edit in edits {
        match edit {
            Edit::Authority(authority) => {
                request.keep_original();
                request.authority = authority;
            }
            edit => apply(edit, &mut request.head.headers),
        }
    }
    Ok(())
}

/// Applies a list to a response's fields.
pub(super) fn apply_to_response(
    edits: Vec<ResponseEdit>,
    headers: &mut HeaderMap,
) -> Result<(), Refused> {
    let edits = checked(edits, |edit| {
        Ok(match edit {
            ResponseEdit::Set(field) => set(field)?,
            ResponseEdit::Append(field) => append(field)?,
            ResponseEdit::Remove(name) => Edit::Remove(field_name(&name)?),
        })
    })?;
    edits.into_iter().for_each(|edit| apply(edit, headers));
    Ok(())
}

/// An answer that a plugin gives itself.
pub(super) fn answer(respond: Respond) -> Result<http::Response<bytes::Bytes>, Refused> {
    let status = StatusCode::from_u16(respond.status)
        .ok()
        .filter(|status| (200..600).contains(&status.as_u16()))
        .ok_or(Refused::Status(respond.status))?;
    if respond.body.len() > MAX_BODY {
        return Err(Refused::TooLarge {
            what: "the body's bytes",
            limit: MAX_BODY,
        });
    }
    let mut response = http::Response::new(bytes::Bytes::from(respond.body));
    *response.status_mut() = status;
    let fields = respond
        .headers
        .into_iter()
        .map(ResponseEdit::Append)
        .collect();
    apply_to_response(fields, response.headers_mut())?;
    Ok(response)
}

fn checked<T>(
    edits: Vec<T>,
    mut check: impl FnMut(T) -> Result<Edit, Refused>,
) -> Result<Vec<Edit>, Refused> {
    if edits.len() > MAX_EDITS {
        return Err(Refused::TooLarge {
            what: "the number of edits",
            limit: MAX_EDITS,
        });
    }
    let edits = edits
        .into_iter()
        .map(&mut check)
        .collect::<Result<Vec<_>, _>>()?;
    if edits.iter().map(Edit::bytes).sum::<usize>() > MAX_BYTES {
        return Err(Refused::TooLarge {
            what: "the size of all edits",
            limit: MAX_BYTES,
        });
    }
    Ok(edits)
}

impl Edit {
    fn bytes(&self) -> usize {
        match self {
            Self::Set(name, value) | Self::Append(name, value) => name.as_str().len() + value.len(),
            Self::Remove(name) => name.as_str().len(),
            Self::Path(text) => text.len(),
            Self::Query(text) => text.as_ref().map_or(0, String::len),
            Self::Authority(authority) => authority.as_str().len(),
        }
    }
}

fn apply(edit: Edit, headers: &mut HeaderMap) {
    match edit {
        Edit::Set(name, value) => drop(headers.insert(name, value)),
        Edit::Append(name, value) => drop(headers.append(name, value)),
        Edit::Remove(name) => drop(headers.remove(name)),
        Edit::Path(_) | Edit::Query(_) | Edit::Authority(_) => {}
    }
}

fn set(field: Field) -> Result<Edit, Refused> {
    field_of(field).map(|(name, value)| Edit::Set(name, value))
}

fn append(field: Field) -> Result<Edit, Refused> {
    field_of(field).map(|(name, value)| Edit::Append(name, value))
}

fn field_of(field: Field) -> Result<(HeaderName, HeaderValue), Refused> {
    let name = field_name(&field.name)?;
    if field.value.len() > MAX_VALUE {
        return Err(Refused::FieldValue(field.name));
    }
    match HeaderValue::from_maybe_shared(bytes::Bytes::from(field.value)) {
        Ok(value) => Ok((name, value)),
        Err(_) => Err(Refused::FieldValue(field.name)),
    }
}

fn field_name(name: &str) -> Result<HeaderName, Refused> {
    if let Some(usual) = usual_name(name) {
        return Ok(usual);
    }
    let refused = || Refused::FieldName(name.chars().take(MAX_NAME).collect());
    if name.len() > MAX_NAME {
        return Err(refused());
    }
    let parsed = HeaderName::from_bytes(name.as_bytes()).map_err(|_| refused())?;
    match headers::is_protected(&parsed) {
        true => Err(Refused::ProtectedField(parsed.as_str().to_owned())),
        false => Ok(parsed),
    }
}

/// Names that requests are given more often than others and that `http` has no constants for:
/// one that is parsed is a copy, and so is each copy of that.
fn usual_name(name: &str) -> Option<HeaderName> {
    const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
    const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
    const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
    const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
    const X_ORIGINAL_HOST: HeaderName = HeaderName::from_static("x-original-host");
    const X_ORIGINAL_URL: HeaderName = HeaderName::from_static("x-original-url");
    const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
    const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
    Some(match name {
        "x-forwarded-for" => X_FORWARDED_FOR,
        "x-forwarded-proto" => X_FORWARDED_PROTO,
        "x-forwarded-host" => X_FORWARDED_HOST,
        "x-forwarded-port" => X_FORWARDED_PORT,
        "x-original-host" => X_ORIGINAL_HOST,
        "x-original-url" => X_ORIGINAL_URL,
        "x-real-ip" => X_REAL_IP,
        "x-request-id" => X_REQUEST_ID,
        _ => return None,
    })
}

fn checked_path(path: String) -> Result<String, Refused> {
    let legal = path.starts_with('/')
        && path.len() <= MAX_TARGET
        && !path.contains(['?', '#'])
        && is_visible(&path);
    if legal {
        Ok(path)
    } else {
        Err(Refused::Target {
            part: "path",
            value: shortened(&path),
        })
    }
}

fn checked_query(query: String) -> Result<String, Refused> {
    let legal = query.len() <= MAX_TARGET && !query.contains('#') && is_visible(&query);
    if legal {
        Ok(query)
    } else {
        Err(Refused::Target {
            part: "query",
            value: shortened(&query),
        })
    }
}

fn checked_authority(authority: String) -> Result<Authority, Refused> {
    let refused = Refused::Target {
        part: "authority",
        value: shortened(&authority),
    };
    match Authority::try_from(authority.to_ascii_lowercase()) {
        Ok(parsed) if !parsed.as_str().contains('@') && !parsed.host().is_empty() => Ok(parsed),
        _ => Err(refused),
    }
}

fn is_visible(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Enough of a plugin's text to recognise it.
pub(super) fn shortened(text: &str) -> String {
    text.chars().take(80).collect()
}

/// The URI with the path and query that the last such edits of the list ask for; none when
/// none does.
fn target(edits: &[Edit], uri: &Uri) -> Result<Option<Uri>, Refused> {
    let path = edits.iter().rev().find_map(|edit| match edit {
        Edit::Path(path) => Some(path.as_str()),
        _ => None,
    });
    let query = edits.iter().rev().find_map(|edit| match edit {
        Edit::Query(query) => Some(query.as_deref()),
        _ => None,
    });
    if path.is_none() && query.is_none() {
        return Ok(None);
    }
    let path = path.unwrap_or(uri.path());
    let target = match query.unwrap_or(uri.query()) {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    PathAndQuery::try_from(target)
        .map(|target| Some(Uri::from(target)))
        .map_err(|_| Refused::Target {
            part: "path",
            value: shortened(path),
        })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::plugin::{Connection, RequestId};

    #[test]
    fn usual_names_are_legal_and_free_to_set() {
        for name in [
            "x-forwarded-for",
            "x-forwarded-proto",
            "x-forwarded-host",
            "x-forwarded-port",
            "x-original-host",
            "x-original-url",
            "x-real-ip",
            "x-request-id",
        ] {
            let usual = usual_name(name).expect("one of them");
            assert_eq!(usual.as_str(), name);
            assert!(!headers::is_protected(&usual), "{name}");
        }
        assert_eq!(usual_name("host"), None);
    }

    fn request(uri: &str) -> Request {
        let (head, ()) = http::Request::builder()
            .uri(uri)
            .header("x-a", "1")
            .body(())
            .expect("legal")
            .into_parts();
        let address = ([127, 0, 0, 1], 1).into();
        let connection = Connection {
            listener: "l".into(),
            peer: address,
            local: address,
            tls: None,
        };
        Request {
            id: RequestId(1),
            head,
            authority: Authority::from_static("a"),
            connection: Arc::new(connection),
            original: None,
            access_fields: Vec::new(),
            imports: None,
        }
    }

    fn field(name: &str, value: &[u8]) -> Field {
        Field {
            name: name.into(),
            value: value.into(),
        }
    }

    fn refused(edit: RequestEdit) -> Refused {
        apply_to_request(vec![edit], &mut request("/")).expect_err("the edit should be refused")
    }

    #[test]
    fn edits_apply_in_order() {
        let mut request = request("/old?a=1");
        let edits = vec![
            RequestEdit::Append(field("X-A", b"2")),
            RequestEdit::Set(field("x-b", b"3")),
            RequestEdit::Path("/new".into()),
            RequestEdit::Authority("B.example:8443".into()),
        ];
        apply_to_request(edits, &mut request).expect("legal edits");
        assert_eq!(request.head.headers.get_all("x-a").iter().count(), 2);
        assert_eq!(request.head.uri, "/new?a=1");
        let (authority, target) = request.original();
        assert_eq!(
            (authority.as_str(), target.to_string().as_str()),
            ("a", "/old?a=1")
        );
        assert_eq!(request.authority, "b.example:8443");
        apply_to_request(
            vec![RequestEdit::Query(None), RequestEdit::Remove("x-a".into())],
            &mut request,
        )
        .expect("legal");
        assert_eq!(request.head.uri, "/new");
        assert!(!request.head.headers.contains_key("x-a"));
    }

    #[test]
    fn framing_and_connection_fields_are_refused() {
        for name in [
            "Content-Length",
            "transfer-encoding",
            "connection",
            "te",
            "trailer",
            "upgrade",
            "host",
            "keep-alive",
        ] {
            assert_eq!(
                refused(RequestEdit::Set(field(name, b"1"))),
                Refused::ProtectedField(name.to_lowercase())
            );
            assert_eq!(
                refused(RequestEdit::Remove(name.into())),
                Refused::ProtectedField(name.to_lowercase())
            );
        }
    }

    #[test]
    fn illegal_names_values_and_targets_are_refused() {
        for name in [
            "", "a b", "a:", "a
b", ":path", "ä",
        ] {
            assert_eq!(
                refused(RequestEdit::Append(field(name, b"1"))),
                Refused::FieldName(name.into())
            );
        }
        for value in [
            &b"a
b: c"[..],
            b"\0",
            &[b'a'; MAX_VALUE + 1],
        ] {
            assert_eq!(
                refused(RequestEdit::Set(field("x", value))),
                Refused::FieldValue("x".into())
            );
        }
        for path in [
            "", "a", "/a b", "/a?b", "/a#b", "/a
", "/ä",
        ] {
            assert!(
                matches!(
                    refused(RequestEdit::Path(path.into())),
                    Refused::Target { part: "path", .. }
                ),
                "{path}"
            );
        }
        for authority in ["", "a b", "u@a", "a/b"] {
            let edit = RequestEdit::Authority(authority.into());
            assert!(
                matches!(
                    refused(edit),
                    Refused::Target {
                        part: "authority",
                        ..
                    }
                ),
                "{authority}"
            );
        }
    }

    #[test]
    fn a_list_is_applied_whole_or_not_at_all() {
        let mut request = request("/");
        let edits = vec![
            RequestEdit::Set(field("x-a", b"2")),
            RequestEdit::Set(field("host", b"b")),
        ];
        assert!(apply_to_request(edits, &mut request).is_err());
        assert_eq!(request.head.headers["x-a"], "1");
    }

    #[test]
    fn size_limits_hold() {
        let many = vec![RequestEdit::Remove("x".into()); MAX_EDITS + 1];
        assert!(matches!(
            apply_to_request(many, &mut request("/")),
            Err(Refused::TooLarge {
                limit: MAX_EDITS,
                ..
            })
        ));
        let large = vec![RequestEdit::Append(field("x", &[b'a'; MAX_VALUE])); 5];
        assert!(matches!(
            apply_to_request(large, &mut request("/")),
            Err(Refused::TooLarge {
                limit: MAX_BYTES,
                ..
            })
        ));
    }

    #[test]
    fn an_answer_has_a_final_status() {
        let respond = |status| Respond {
            status,
            headers: vec![],
            body: vec![],
            rule: None,
        };
        assert_eq!(answer(respond(100)).map(drop), Err(Refused::Status(100)));
        assert_eq!(answer(respond(600)).map(drop), Err(Refused::Status(600)));
        assert_eq!(
            answer(respond(301)).map(|response| response.status().as_u16()),
            Ok(301)
        );
    }
}
