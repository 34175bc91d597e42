//! Pieces of TOML, and names made fit for Witgate.

use std::collections::BTreeSet;

/// As `config::hosts` takes them.
const MAX_NAME: usize = 64;

/// A string in quotes.
pub(super) fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

/// A list of strings.
pub(super) fn list<T: AsRef<str>>(items: &[T]) -> String {
    let items: Vec<_> = items.iter().map(|item| quoted(item.as_ref())).collect();
    format!("[{}]", items.join(", "))
}

/// A key, in quotes when it needs them.
pub(super) fn key(text: &str) -> String {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    if !text.is_empty() && text.chars().all(is_bare) {
        text.to_owned()
    } else {
        quoted(text)
    }
}

/// The text in one line, for a comment.
pub(super) fn comment(text: &str) -> String {
    text.replace(|c: char| c.is_control(), " ")
}

/// Letters, digits, `-`, `_` and `.` alone; other characters become `-`.
pub(super) fn fit(text: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let fit: String = text
        .chars()
        .map(|c| if allowed(c) { c } else { '-' })
        .take(MAX_NAME)
        .collect();
    // A file's name must not start with a dot.
    let fit = fit.trim_start_matches('.');
    if fit.is_empty() {
        "unnamed".to_owned()
    } else {
        fit.to_owned()
    }
}

/// Names that are taken.
#[derive(Debug, Default)]
pub(super) struct Names(BTreeSet<String>);

impl Names {
    /// A name like `wish` that is fit and not taken yet, whatever its case.
    pub(super) fn take(&mut self, wish: &str) -> String {
        let fit = fit(wish);
        let numbered = (2..).map(|number: u32| {
            let number = format!("-{number}");
            let kept = fit.len().min(MAX_NAME - number.len());
            format!("{}{number}", &fit[..kept])
        });
        let mut all = std::iter::once(fit.clone()).chain(numbered);
        all.find(|name| self.0.insert(name.to_ascii_lowercase()))
            .unwrap_or(fit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_fit_and_each_is_taken_once() {
        let mut names = Names::default();
        assert_eq!(names.take("Web Pool/1"), "Web-Pool-1");
        assert_eq!(names.take("web-pool-1"), "web-pool-1-2");
        assert_eq!(names.take("../x"), "-x");
        assert_eq!(names.take("ä"), "-");
        assert_eq!(names.take(""), "unnamed");
        let long = "a".repeat(80);
        assert_eq!(names.take(&long).len(), 64);
        let second = names.take(&long);
        assert!(second.len() == 64 && second.ends_with("a-2"), "{second}");
    }

    #[test]
    fn toml_is_quoted_where_it_must_be() {
        assert_eq!(quoted("a\"b"), "'a\"b'");
        assert_eq!(list(&["a", "b"]), "[\"a\", \"b\"]");
        assert_eq!(
            (key("web-1").as_str(), key("a.b").as_str()),
            ("web-1", "\"a.b\"")
        );
        assert_eq!(comment("a\nb"), "a b");
    }
}
