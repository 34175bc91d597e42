//! A request's target URI (RFC 9110 §7.1): asked for once, and taken apart here.

use crate::Scheme;

/// `https://shop.example:8443/api?x=1`, and where its parts are.
#[derive(Debug, Clone)]
pub(crate) struct TargetUri {
    text: String,
    authority: usize,
    target: usize,
    /// Where the `?` is.
    query: Option<usize>,
}

impl TargetUri {
    /// Of a URI as the gateway writes it.
    pub(crate) fn new(text: String) -> Self {
        let authority = text.find("://").map_or(0, |end| end + 3);
        let find = |from: usize, what| {
            let rest = text.get(from..).unwrap_or_default();
            rest.find(what).map(|at: usize| from + at)
        };
        let target = find(authority, '/').unwrap_or(text.len());
        let query = find(target, '?');
        Self {
            text,
            authority,
            target,
            query,
        }
    }

    pub(crate) fn scheme(&self) -> Scheme {
        if self.text.starts_with("https:") {
            Scheme::Https
        } else {
            Scheme::Http
        }
    }

    pub(crate) fn authority(&self) -> &str {
        self.part(self.authority, self.target)
    }

    /// No port, no brackets, no final dot.
    pub(crate) fn host(&self) -> &str {
        let authority = self.authority();
        let bracketed = authority
            .strip_prefix('[')
            .and_then(|v6| v6.split_once(']'));
        if let Some((v6, _)) = bracketed {
            return v6;
        }
        let host = authority
            .split_once(':')
            .map_or(authority, |(host, _)| host);
        host.strip_suffix('.').unwrap_or(host)
    }

    /// Path and query; `*` where the URI ends with the authority.
    pub(crate) fn target(&self) -> &str {
        or_asterisk(self.part(self.target, self.text.len()))
    }

    pub(crate) fn path(&self) -> &str {
        or_asterisk(self.part(self.target, self.query.unwrap_or(self.text.len())))
    }

    pub(crate) fn query(&self) -> Option<&str> {
        self.query.map(|mark| self.part(mark + 1, self.text.len()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    fn part(&self, start: usize, end: usize) -> &str {
        self.text.get(start..end).unwrap_or_default()
    }
}

fn or_asterisk(part: &str) -> &str {
    if part.is_empty() { "*" } else { part }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> [String; 5] {
        let uri = TargetUri::new(text.to_owned());
        let query = uri.query().map_or("-", |query| query);
        [uri.authority(), uri.host(), uri.target(), uri.path(), query].map(str::to_owned)
    }

    #[test]
    fn a_uri_is_taken_apart() {
        let expected = ["a.b:81", "a.b", "/c?d?e/f", "/c", "d?e/f"];
        assert_eq!(parts("https://a.b:81/c?d?e/f"), expected);
        assert_eq!(parts("http://a./"), ["a.", "a", "/", "/", "-"]);
        assert_eq!(parts("http://a/?"), ["a", "a", "/?", "/", ""]);
        assert_eq!(
            parts("https://[::1]:1//x:/"),
            ["[::1]:1", "::1", "//x:/", "//x:/", "-"]
        );
    }

    #[test]
    fn options_asterisk_has_no_path() {
        assert_eq!(parts("https://a"), ["a", "a", "*", "*", "-"]);
    }
}
