//! The sidecar's `[config]`.

use serde::Deserialize;
use witgate_sdk::{ConfigError, PathPattern, Schema, is_protected_field};

/// Whom to ask, about what, and what becomes of the answer.
#[derive(Debug, Deserialize, Schema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The pool that is asked. The sidecar's `callout.pools` has to name it.
    pub(crate) pool: String,
    /// Path and query of the question, a `GET`.
    pub(crate) path: String,
    /// Paths that need an answer. Upper and lower case do not matter.
    #[serde(default)]
    pub(crate) paths: Vec<PathPattern>,
    /// Paths that do not. Upper and lower case matter here.
    #[serde(default)]
    pub(crate) except: Vec<PathPattern>,
    /// Fields of the request that the question has as well, all values of each.
    #[serde(default = "credentials")]
    pub(crate) ask_with: Vec<String>,
    /// Fields of the answer that the upstream gets. What the client sent under these names
    /// never reaches it.
    #[serde(default)]
    pub(crate) tell: Vec<String>,
    /// What becomes of a request when the service is not there, not in time, or answers 5xx:
    /// 503, or on without an answer. A question that cannot be asked is 503 in either case.
    #[serde(default)]
    pub(crate) on_error: OnError,
}

/// What becomes of a request that nobody has judged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Schema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum OnError {
    #[default]
    Refuse,
    Pass,
}

fn credentials() -> Vec<String> {
    vec!["authorization".to_owned(), "cookie".to_owned()]
}

impl Config {
    /// Checks what serde does not.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        if self.pool.is_empty() {
            let problem = "expected a pool's name, found nothing";
            return Err(ConfigError::at("pool", problem));
        }
        if !self.path.starts_with('/') {
            let found = &self.path;
            let problem = format!("expected a path that begins with \"/\", found {found:?}");
            return Err(ConfigError::at("path", problem));
        }
        for (key, names) in [("ask_with", &self.ask_with), ("tell", &self.tell)] {
            let wrong = |name: &String| !is_name(name) || is_protected_field(name);
            if let Some(index) = names.iter().position(wrong) {
                let found = &names[index];
                let expected =
                    "a field's name such as \"x-user\", none that is the gateway's to set";
                let problem = format!("expected {expected}, found {found:?}");
                return Err(ConfigError::at(format!("{key}[{index}]"), problem));
            }
        }
        Ok(())
    }
}

/// A token (RFC 9110 §5.6.2).
fn is_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(fits)
}
