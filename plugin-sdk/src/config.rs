//! From the sidecar's configuration to a plugin, and the error that says what is wrong in it.

use std::{error::Error, fmt};

use serde::Deserialize;

use crate::{Plugin, Schema};

/// A wrong configuration: the key, what was found there, and what is expected.
///
/// ```
/// use witgate_sdk::ConfigError;
///
/// let error = ConfigError::at("rules[2].path", "expected a string starting with \"/\", found \"api\"");
/// assert_eq!(error.to_string(), "rules[2].path: expected a string starting with \"/\", found \"api\"");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    key: Option<String>,
    problem: String,
}

impl ConfigError {
    /// A problem that no single key has.
    ///
    /// ```
    /// use witgate_sdk::ConfigError;
    ///
    /// let error = ConfigError::new("neither `pool` nor `redirect` is there");
    /// assert_eq!((error.key(), error.to_string().as_str()), (None, "neither `pool` nor `redirect` is there"));
    /// ```
    pub fn new(problem: impl Into<String>) -> Self {
        Self {
            key: None,
            problem: problem.into(),
        }
    }

    /// A problem with the value of a key. Tables are joined by dots, places in a list are
    /// counted from 0: `rules[2].path`.
    ///
    /// ```
    /// use witgate_sdk::ConfigError;
    ///
    /// let error = ConfigError::at("rules[2].path", "is empty");
    /// assert_eq!(error.to_string(), "rules[2].path: is empty");
    /// ```
    pub fn at(key: impl Into<String>, problem: impl Into<String>) -> Self {
        Self {
            key: Some(key.into()),
            problem: problem.into(),
        }
    }

    /// The same problem, seen from the table or list that the key is in.
    ///
    /// ```
    /// use witgate_sdk::ConfigError;
    ///
    /// let error = ConfigError::at("path", "is empty").within("rules[2]");
    /// assert_eq!(error.to_string(), "rules[2].path: is empty");
    /// ```
    #[must_use]
    pub fn within(self, outer: impl fmt::Display) -> Self {
        let key = match self.key {
            Some(key) if key.starts_with('[') => format!("{outer}{key}"),
            Some(key) => format!("{outer}.{key}"),
            None => outer.to_string(),
        };
        Self {
            key: Some(key),
            ..self
        }
    }

    /// The key, if one is to blame.
    ///
    /// ```
    /// use witgate_sdk::ConfigError;
    ///
    /// assert_eq!(ConfigError::at("pool", "is empty").key(), Some("pool"));
    /// ```
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.key {
            Some(key) => write!(f, "{key}: {}", self.problem),
            None => f.write_str(&self.problem),
        }
    }
}

impl Error for ConfigError {}

/// The configuration of a plugin that has none: any key is refused.
///
/// ```
/// use witgate_sdk::{prelude::*, testing};
///
/// struct Plain;
///
/// impl Plugin for Plain {
///     type Config = NoConfig;
///
///     fn configure(_: NoConfig) -> Result<Self, ConfigError> {
///         Ok(Self)
///     }
/// }
///
/// assert!(testing::configure::<Plain>("").is_ok());
/// assert!(testing::configure::<Plain>("pool = \"web\"").is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Schema)]
#[serde(deny_unknown_fields)]
#[schema(crate = witgate_schema)]
pub struct NoConfig {}

/// Makes a plugin from its configuration's JSON text.
pub(crate) fn configure<P: Plugin>(json: &str) -> Result<P, ConfigError> {
    let mut text = serde_json::Deserializer::from_str(json);
    let config = serde_path_to_error::deserialize(&mut text).map_err(wrong)?;
    text.end()
        .map_err(|error| ConfigError::new(without_position(&error)))?;
    P::configure(config)
}

fn wrong(error: serde_path_to_error::Error<serde_json::Error>) -> ConfigError {
    let problem = without_position(error.inner());
    match error.path().to_string() {
        // Text that is no table at all has no key.
        path if path == "." || path == "?" => ConfigError::new(problem),
        path => ConfigError::at(path, problem),
    }
}

/// Lines and columns are those of the JSON, which the operator did not write.
fn without_position(error: &serde_json::Error) -> String {
    let mut text = error.to_string();
    if let Some(end) = text.rfind(" at line ") {
        text.truncate(end);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Config {
        #[serde(default)]
        #[allow(dead_code, reason = "only its type matters")]
        rules: Vec<Rule>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Rule {
        #[allow(dead_code, reason = "only its type matters")]
        path: String,
    }

    struct Strict;

    impl Plugin for Strict {
        type Config = Config;

        fn configure(_: Config) -> Result<Self, ConfigError> {
            Ok(Self)
        }
    }

    fn refusal(json: &str) -> String {
        configure::<Strict>(json)
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default()
    }

    #[test]
    fn a_wrong_type_names_the_key() {
        let refusal = refusal(r#"{"rules": [{"path": "/"}, {"path": 5}]}"#);
        assert_eq!(
            refusal,
            "rules[1].path: invalid type: integer `5`, expected a string"
        );
    }

    #[test]
    fn an_unknown_key_is_named_with_those_that_exist() {
        let refusal = refusal(r#"{"rules": [{"pth": "/"}]}"#);
        assert_eq!(
            refusal,
            "rules[0].pth: unknown field `pth`, expected `path`"
        );
    }

    #[test]
    fn a_missing_key_is_named() {
        assert_eq!(
            refusal(r#"{"rules": [{}]}"#),
            "rules[0]: missing field `path`"
        );
    }

    #[test]
    fn what_is_not_json_is_refused() {
        assert_eq!(refusal("{"), "EOF while parsing an object");
        assert_eq!(refusal("{} {}"), "trailing characters");
    }

    #[test]
    fn a_key_is_seen_from_outside() {
        let error = ConfigError::new("is empty")
            .within("paths[1]")
            .within("rules[0]");
        assert_eq!(error.key(), Some("rules[0].paths[1]"));
    }
}
