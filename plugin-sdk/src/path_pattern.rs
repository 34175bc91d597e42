//! Paths as configurations name them: whole, or up to a final `*`.

use std::{fmt, str::FromStr};

use serde::Deserialize;

use crate::Schema;

/// A path, exact or ending in `*`: `/api`, `/api/*`. Upper and lower case differ; for a list in
/// which they should not, compare with [`matches_any_case`](Self::matches_any_case).
///
/// ```
/// use witgate_sdk::PathPattern;
///
/// let api: PathPattern = "/api/*".parse().unwrap();
/// assert!(api.matches("/api/carts/7") && !api.matches("/API/carts") && !api.matches("/api"));
/// assert!(api.matches_any_case("/API/carts"));
/// assert!("api".parse::<PathPattern>().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Schema)]
#[serde(try_from = "String")]
#[schema(crate = witgate_schema, words = "a path such as \"/api\" or \"/api/*\"")]
pub struct PathPattern {
    path: String,
    is_prefix: bool,
}

impl PathPattern {
    /// Whether it is this path, or its start.
    ///
    /// ```
    /// use witgate_sdk::PathPattern;
    ///
    /// let pattern: PathPattern = "/api".parse().unwrap();
    /// assert!(pattern.matches("/api") && !pattern.matches("/api/"));
    /// ```
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        match self.is_prefix {
            true => path.starts_with(&self.path),
            false => path == self.path,
        }
    }

    /// The same without regard to the case of ASCII letters.
    ///
    /// ```
    /// use witgate_sdk::PathPattern;
    ///
    /// let pattern: PathPattern = "/Files/*".parse().unwrap();
    /// assert!(pattern.matches_any_case("/files/a.txt") && !pattern.matches("/files/a.txt"));
    /// ```
    #[must_use]
    pub fn matches_any_case(&self, path: &str) -> bool {
        let start = match self.is_prefix {
            true => path.get(..self.path.len()),
            false => Some(path),
        };
        start.is_some_and(|start| start.eq_ignore_ascii_case(&self.path))
    }
}

/// Whether no server can take the path for another one. Usually so, since listeners normalise
/// paths; on one that does not, an exception must not be given to a path that is not plain.
///
/// ```
/// use witgate_sdk::is_plain_path;
///
/// assert!(is_plain_path("/public/a.css"));
/// assert!(!is_plain_path("/public/%2e%2e/admin") && !is_plain_path("/public//admin"));
/// ```
#[must_use]
pub fn is_plain_path(path: &str) -> bool {
    let lower = path.to_ascii_lowercase().replace("%2e", ".");
    let is_dots = |segment: &str| matches!(segment.split(';').next(), Some("." | ".."));
    let tricks = ["//", "\\", "%2f", "%5c"];
    !lower.split('/').any(is_dots) && !tricks.iter().any(|trick| lower.contains(trick))
}

/// A text that is no [`PathPattern`].
///
/// ```
/// use witgate_sdk::PathPattern;
///
/// let refusal = "api/*".parse::<PathPattern>().unwrap_err();
/// assert!(refusal.to_string().ends_with("found \"api/*\""));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathPatternError {
    found: String,
}

impl fmt::Display for PathPatternError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "expected a path such as \"/api\" or \"/api/*\" of visible ASCII characters, found {:?}",
            self.found
        )
    }
}

impl std::error::Error for PathPatternError {}

impl FromStr for PathPattern {
    type Err = PathPatternError;

    fn from_str(text: &str) -> Result<Self, PathPatternError> {
        let path = text.strip_suffix('*').unwrap_or(text);
        let is_legal = |byte: u8| byte.is_ascii_graphic() && !b"*?#".contains(&byte);
        if !path.starts_with('/') || !path.bytes().all(is_legal) {
            let found = text.to_owned();
            return Err(PathPatternError { found });
        }
        Ok(Self {
            path: path.to_owned(),
            is_prefix: text.ends_with('*'),
        })
    }
}

impl TryFrom<String> for PathPattern {
    type Error = PathPatternError;

    fn try_from(text: String) -> Result<Self, PathPatternError> {
        text.parse()
    }
}
