//! The sidecar's `[config]`, as the operator writes it, and the checks of its words. The README
//! says what each key means.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use witgate_sdk::{HostPattern, PathPattern, is_protected_field, prelude::*};

use crate::keys::{Algorithm, Source};

/// The sidecar's `[config]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub(crate) keys: Option<Vec<Source>>,
    pub(crate) jwks: Option<Jwks>,
    #[serde(default)]
    pub(crate) issuers: Vec<String>,
    #[serde(default)]
    pub(crate) audiences: Vec<String>,
    #[serde(default)]
    pub(crate) scopes: Vec<String>,
    #[serde(default)]
    pub(crate) required: BTreeMap<String, Value>,
    pub(crate) typ: Option<String>,
    #[serde(default)]
    pub(crate) expiry: Expiry,
    #[serde(default)]
    pub(crate) leeway: u32,
    /// From the field's name to the claim's.
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) token: Place,
    #[serde(default = "eight_kib")]
    pub(crate) token_bytes: usize,
    #[serde(default)]
    pub(crate) strip: bool,
    #[serde(default)]
    pub(crate) without_token: WithoutToken,
    #[serde(default)]
    pub(crate) hosts: Vec<HostPattern>,
    #[serde(default)]
    pub(crate) paths: Vec<PathPattern>,
    #[serde(default)]
    pub(crate) except: Vec<PathPattern>,
    #[serde(default)]
    pub(crate) preflights: bool,
    #[serde(default = "realm")]
    pub(crate) realm: String,
}

/// The service that tells keys; times in seconds.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Jwks {
    pub(crate) pool: String,
    pub(crate) path: String,
    pub(crate) authority: Option<String>,
    pub(crate) alg: Option<Algorithm>,
    pub(crate) issuers: Option<Vec<String>>,
    #[serde(default = "ten_minutes")]
    pub(crate) ttl: u32,
    #[serde(default = "half_a_minute")]
    pub(crate) min_interval: u32,
    #[serde(default = "a_day")]
    pub(crate) max_stale: u32,
}

fn ten_minutes() -> u32 {
    600
}

fn half_a_minute() -> u32 {
    30
}

fn a_day() -> u32 {
    86_400
}

impl Jwks {
    /// Checks what serde does not.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        if !self.path.starts_with('/') {
            let problem = format!(
                "expected a path such as \"/jwks.json\", found {:?}",
                self.path
            );
            return Err(ConfigError::at("path", problem));
        }
        if self.issuers.as_ref().is_some_and(Vec::is_empty) {
            let problem = "expected at least one; without the key, those of all keys count";
            return Err(ConfigError::at("issuers", problem));
        }
        for (key, found, range) in [
            ("ttl", self.ttl, 10..=86_400),
            ("min_interval", self.min_interval, 1..=3_600),
            ("max_stale", self.max_stale, 0..=604_800),
        ] {
            if !range.contains(&found) {
                let (least, most) = range.into_inner();
                let problem = format!("expected {least} to {most}, found {found}");
                return Err(ConfigError::at(key, problem));
            }
        }
        Ok(())
    }
}

/// Whether a token has to say when it ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Expiry {
    #[default]
    Required,
    Optional,
}

/// Where requests have their token.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Place {
    /// In `Authorization`, behind `Bearer` (RFC 6750 §2.1).
    #[default]
    Bearer,
    /// All of the value of this field.
    Header(String),
    /// The value of the cookie of this name.
    Cookie(String),
}

impl Place {
    fn is_header(&self, lower: &str) -> bool {
        matches!(self, Self::Header(name) if name.eq_ignore_ascii_case(lower))
    }
}

/// What becomes of a request without a token.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum WithoutToken {
    #[default]
    Refuse,
    Pass,
}

/// Longest token that may be configured, bytes: what servers usually take in one field.
pub(crate) const MOST_TOKEN_BYTES: usize = 8192;
/// Most fields made of claims: with their removal well below the gateway's 128 edits.
const MOST_HEADERS: usize = 16;
/// More would make the times in tokens meaningless.
const MOST_LEEWAY: u32 = 600;

/// Where the client's own secrets are.
const SECRETS: [&str; 2] = ["authorization", "cookie"];

fn eight_kib() -> usize {
    MOST_TOKEN_BYTES
}

fn realm() -> String {
    "api".to_owned()
}

impl Config {
    /// Checks what serde does not; keys and paths are checked where they are made.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        if self.leeway > MOST_LEEWAY {
            let problem = format!("expected 0 to {MOST_LEEWAY} seconds, found {}", self.leeway);
            return Err(ConfigError::at("leeway", problem));
        }
        if !(1..=MOST_TOKEN_BYTES).contains(&self.token_bytes) {
            let found = self.token_bytes;
            let problem = format!("expected 1 to {MOST_TOKEN_BYTES}, found {found}");
            return Err(ConfigError::at("token_bytes", problem));
        }
        if !self.realm.chars().all(is_quotable) {
            let problem = "expected visible ASCII characters and spaces without \\ and quotes";
            let problem = format!("{problem}, found {:?}", self.realm);
            return Err(ConfigError::at("realm", problem));
        }
        for (index, scope) in self.scopes.iter().enumerate() {
            if scope.is_empty() || !scope.chars().all(|c| c != ' ' && is_quotable(c)) {
                let problem = format!("expected one scope, found {scope:?}");
                return Err(ConfigError::at(format!("scopes[{index}]"), problem));
            }
        }
        match &self.token {
            Place::Header(name) | Place::Cookie(name) if !is_token(name) => {
                let problem = format!("expected a name such as \"x-token\", found {name:?}");
                return Err(ConfigError::at("token", problem));
            }
            _ => {}
        }
        self.check_required()?;
        self.check_headers()
    }

    fn check_required(&self) -> Result<(), ConfigError> {
        match self
            .required
            .iter()
            .find(|(_, v)| v.is_object() || v.is_array())
        {
            None => Ok(()),
            Some((claim, _)) => Err(ConfigError::at(
                format!("required.{claim}"),
                "expected a string, a number or a boolean",
            )),
        }
    }

    fn check_headers(&self) -> Result<(), ConfigError> {
        if self.headers.len() > MOST_HEADERS {
            let found = self.headers.len();
            let problem = format!("expected {MOST_HEADERS} at most, found {found}");
            return Err(ConfigError::at("headers", problem));
        }
        for (name, claim) in &self.headers {
            let at = |problem: &str| ConfigError::at(format!("headers.{name}"), problem);
            let lower = name.to_ascii_lowercase();
            if !is_token(name) {
                return Err(at("expected the name of a header field"));
            }
            let is_taken = is_protected_field(&lower) || SECRETS.contains(&lower.as_str());
            if is_taken || self.token.is_header(&lower) {
                return Err(at("expected a name that no other use is made of"));
            }
            let is_same = |other: &&String| other.eq_ignore_ascii_case(name);
            if self.headers.keys().filter(is_same).count() > 1 {
                return Err(at("expected each name once, found it in another case too"));
            }
            if claim.is_empty() {
                return Err(at("expected the name of a claim, found nothing"));
            }
        }
        Ok(())
    }
}

/// What may stand between quotes in `WWW-Authenticate` (RFC 6750 §3).
fn is_quotable(c: char) -> bool {
    (' '..='~').contains(&c) && c != '"' && c != '\\'
}

/// RFC 9110 §5.6.2, and the gateway's limit.
fn is_token(name: &str) -> bool {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    (1..=256).contains(&name.len()) && name.bytes().all(token)
}
