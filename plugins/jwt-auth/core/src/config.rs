//! The sidecar's `[config]`, as the operator writes it, and the checks of its words. The README
//! says what each key means.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use witgate_sdk::{HostPattern, PathPattern, is_protected_field, prelude::*, schema::Anything};

use crate::keys::{Algorithm, Source};

/// The sidecar's `[config]`.
#[derive(Deserialize, Schema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Keys that tokens may be signed with.
    pub(crate) keys: Option<Vec<Source>>,
    /// The service that tells keys.
    pub(crate) jwks: Option<Jwks>,
    /// `iss` has to be one of them.
    #[serde(default)]
    pub(crate) issuers: Vec<String>,
    /// `aud` has to be, or to have, one of them. Without the key, a token that has an `aud` is
    /// refused: it is for someone else (RFC 7519 §4.1.3).
    #[serde(default)]
    pub(crate) audiences: Vec<String>,
    /// All of them have to be in `scope` or `scp`, words or a list; else 403.
    #[serde(default)]
    pub(crate) scopes: Vec<String>,
    /// Each claim has to be this, or to be a list that has it: `required = { tenant = "shop",
    /// "/realm_access/roles" = "admin" }`.
    #[serde(default)]
    #[schema(as = BTreeMap<String, Anything>)]
    pub(crate) required: BTreeMap<String, Value>,
    /// What the header's `typ` has to be, such as `"at+jwt"`: keeps ID tokens from being taken
    /// for access tokens.
    pub(crate) typ: Option<String>,
    /// Whether a token without `exp` is refused.
    #[serde(default)]
    pub(crate) expiry: Expiry,
    /// By how much clocks may differ, for `exp`, `nbf` and `iat` (which must not be in the
    /// future).
    #[serde(default)]
    #[schema(most = MOST_LEEWAY)]
    pub(crate) leeway: u32,
    /// What the upstream is told: strings as they are, other values as JSON; nothing where the
    /// token has no such claim.
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, String>,
    /// Where the token is: in `Authorization: Bearer`, or all of the value of that field or
    /// cookie.
    #[serde(default)]
    pub(crate) token: Place,
    /// Longest token.
    #[serde(default = "eight_kib")]
    #[schema(least = 1, most = MOST_TOKEN_BYTES)]
    pub(crate) token_bytes: usize,
    /// Whether a token that is good is taken out before the request goes upstream.
    #[serde(default)]
    pub(crate) strip: bool,
    /// What becomes of a request without one. A bad one is refused in either case.
    #[serde(default)]
    pub(crate) without_token: WithoutToken,
    /// Hosts that need a token, exact or with `*` and `?`, as in site-router.
    #[serde(default)]
    pub(crate) hosts: Vec<HostPattern>,
    /// Paths that need one, exact or with a final `*`, whatever their case.
    #[serde(default)]
    pub(crate) paths: Vec<PathPattern>,
    /// Paths that need none, exact or with a final `*`, in this case only.
    #[serde(default)]
    pub(crate) except: Vec<PathPattern>,
    /// Whether CORS preflights, which never have a token, pass. basic-cors with a lower number
    /// answers them before this plugin is asked.
    #[serde(default)]
    pub(crate) preflights: bool,
    /// In `WWW-Authenticate`.
    #[serde(default = "realm")]
    pub(crate) realm: String,
}

/// The service that tells keys; times in seconds.
#[derive(Deserialize, Schema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Jwks {
    /// The pool that is asked, which `callout.pools` names too.
    pub(crate) pool: String,
    /// Path, and query, of the set (RFC 7517).
    pub(crate) path: String,
    /// `Host` of the request.
    pub(crate) authority: Option<String>,
    /// Of RSA keys in the set that do not say theirs.
    pub(crate) alg: Option<Algorithm>,
    /// Whose keys these are.
    pub(crate) issuers: Option<Vec<String>>,
    /// How long a set counts until it is fetched again.
    #[serde(default = "ten_minutes")]
    #[schema(least = 10, most = 86_400)]
    pub(crate) ttl: u32,
    /// The least time between two fetches, whatever tokens ask for.
    #[serde(default = "half_a_minute")]
    #[schema(least = 1, most = 3_600)]
    pub(crate) min_interval: u32,
    /// How long a set counts beyond `ttl` while no other can be fetched.
    #[serde(default = "a_day")]
    #[schema(most = 604_800)]
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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Schema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Expiry {
    #[default]
    Required,
    Optional,
}

/// Where requests have their token.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Schema)]
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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Schema)]
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
