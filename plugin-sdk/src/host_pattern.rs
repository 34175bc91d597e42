//! Patterns for hosts, by the rules of Azure Application Gateway: `*` stands for any
//! characters, dots included, `?` for one.

use std::{error::Error, fmt};

use serde::Deserialize;

use crate::Schema;

/// A host, or a pattern for hosts. In a configuration it is a string.
///
/// ```
/// use witgate_sdk::HostPattern;
///
/// let pattern: HostPattern = "*.shop.example".parse()?;
/// assert!(pattern.matches("a.b.shop.example"));
/// assert!(!pattern.matches("shop.example"));
/// # Ok::<(), witgate_sdk::HostPatternError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Schema)]
#[serde(try_from = "String")]
#[schema(crate = witgate_schema, words = "a host such as \"shop.example\" or \"*.shop.example\"")]
pub struct HostPattern {
    /// Lower-case, without a final dot or brackets, as hosts of requests are.
    text: String,
    has_wildcards: bool,
}

/// A string that is no pattern for hosts.
///
/// ```
/// use witgate_sdk::HostPattern;
///
/// let refusal = "shop.example:8443".parse::<HostPattern>().unwrap_err();
/// assert_eq!(refusal.to_string(), "expected a host without a port, found \"shop.example:8443\"");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPatternError {
    found: String,
    expected: &'static str,
}

/// Azure's limits on wildcards.
const MOST_WILDCARDS: usize = 4;
const MOST_STARS: usize = 2;

impl HostPattern {
    /// Whether a request's host, which is lower-case, falls under the pattern.
    ///
    /// ```
    /// use witgate_sdk::HostPattern;
    ///
    /// let pattern: HostPattern = "node?.example".parse().unwrap();
    /// assert!(pattern.matches("node7.example") && !pattern.matches("node12.example"));
    /// ```
    #[must_use]
    pub fn matches(&self, host: &str) -> bool {
        if self.has_wildcards {
            wild(self.text.as_bytes(), host.as_bytes())
        } else {
            self.text == host
        }
    }
}

impl std::str::FromStr for HostPattern {
    type Err = HostPatternError;

    fn from_str(text: &str) -> Result<Self, HostPatternError> {
        let host = text
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .unwrap_or(text);
        let host = host.strip_suffix('.').unwrap_or(host);
        match fault(host) {
            None => Ok(Self {
                text: host.to_ascii_lowercase(),
                has_wildcards: host.contains(['*', '?']),
            }),
            Some(expected) => Err(HostPatternError {
                found: text.to_owned(),
                expected,
            }),
        }
    }
}

impl TryFrom<String> for HostPattern {
    type Error = HostPatternError;

    fn try_from(text: String) -> Result<Self, HostPatternError> {
        text.parse()
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for HostPatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {}, found {:?}", self.expected, self.found)
    }
}

impl Error for HostPatternError {}

/// What is expected instead of this host.
fn fault(host: &str) -> Option<&'static str> {
    let stars = |text: &str| text.matches('*').count();
    let legal = |c: char| c.is_ascii_alphanumeric() || "-._:*?".contains(c);
    if host.is_empty() || !host.chars().all(legal) {
        Some("a host such as \"shop.example\" or \"*.shop.example\"")
    } else if host.matches(':').count() == 1 {
        Some("a host without a port")
    } else if ["**", "*?", "?*"].iter().any(|pair| host.contains(pair)) {
        Some("a host without two wildcards side by side (other than \"??\")")
    } else if host.split('.').any(|label| stars(label) > 1) {
        Some("a host with one \"*\" per label at most")
    } else if stars(host) > MOST_STARS {
        Some("a host with two \"*\" at most")
    } else if host.matches(['*', '?']).count() > MOST_WILDCARDS {
        Some("a host with four wildcards at most")
    } else {
        None
    }
}

/// Matches greedily, and falls back to the last `*` only: linear in practice, at worst the
/// product of the lengths.
fn wild(pattern: &[u8], host: &[u8]) -> bool {
    let (mut p, mut h) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while h < host.len() {
        match (pattern.get(p), star) {
            (Some(b'*'), _) => {
                star = Some((p + 1, h));
                p += 1;
            }
            (Some(&wanted), _) if wanted == b'?' || Some(&wanted) == host.get(h) => {
                p += 1;
                h += 1;
            }
            (_, Some((behind, from))) => {
                star = Some((behind, from + 1));
                p = behind;
                h = from + 1;
            }
            (_, None) => return false,
        }
    }
    pattern.iter().skip(p).all(|&left| left == b'*')
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn matches(pattern: &str, host: &str) -> bool {
        pattern.parse::<HostPattern>().unwrap().matches(host)
    }

    fn refusal(pattern: &str) -> String {
        pattern.parse::<HostPattern>().unwrap_err().to_string()
    }

    #[test]
    fn an_exact_host_is_case_insensitive() {
        assert!(matches("Shop.Example.", "shop.example"));
        assert!(!matches("shop.example", "www.shop.example"));
        assert!(matches("[2001:DB8::7]", "2001:db8::7"));
    }

    #[test]
    fn a_star_spans_dots() {
        assert!(matches("*.contoso.com", "a.b.contoso.com"));
        assert!(!matches("*.contoso.com", "contoso.com"));
        assert!(!matches("*.contoso.com", "a.contoso.com.evil"));
        assert!(matches("*", "anything.at.all"));
        assert!(matches("*-shop.*", "my-shop.x-shop.example"));
    }

    #[test]
    fn a_question_mark_is_one_character() {
        assert!(matches("node?.example", "node1.example"));
        assert!(!matches("node?.example", "node.example"));
        assert!(!matches("node?.example", "node12.example"));
        assert!(matches("??.example", "de.example"));
    }

    #[test]
    fn wildcards_are_limited() {
        assert!(refusal("a**.b").contains("side by side"));
        assert!(refusal("a*?.b").contains("side by side"));
        assert!(refusal("?*.b").contains("side by side"));
        assert!(refusal("*a*.b").contains("per label"));
        assert!(refusal("*.*.*.b").contains("two \"*\""));
        assert!(refusal("*.*.?.?.?").contains("four"));
        assert!("*.*.?.?.b".parse::<HostPattern>().is_ok());
    }

    #[test]
    fn what_is_no_host_is_refused() {
        assert_eq!(
            refusal("shop.example:8443"),
            "expected a host without a port, found \"shop.example:8443\""
        );
        assert!(refusal("").contains("a host such as"));
        assert!(refusal("https://shop.example").contains("a host such as"));
    }
}
