//! Tells browsers which origins may read answers (Fetch, §3.2 "CORS protocol"): preflights are
//! answered here, and all other answers get the fields that they need. What upstreams say of it
//! is replaced. `origin` says who an origin is.

#![forbid(unsafe_code)]

mod origin;

use serde::Deserialize;
use witgate_sdk::prelude::*;

use origin::Pattern;

/// The sidecar's `[config]`.
#[derive(Debug, Deserialize, Schema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Who may read: scheme, host and, unless it is the scheme's own, port. In a host `*`
    /// stands for any characters, dots included, and `?` for one. `"*"` alone is everyone.
    origins: Vec<Pattern>,
    /// What a preflight allows.
    #[serde(default = "simple_methods")]
    methods: Vec<String>,
    /// Request fields that a preflight allows beside those that need none.
    #[serde(default)]
    headers: Vec<String>,
    /// Response fields that scripts may read beside those that always are.
    #[serde(default)]
    expose: Vec<String>,
    /// Whether browsers may send cookies, and scripts read the answers. Not with `"*"`.
    #[serde(default)]
    credentials: bool,
    /// How long a preflight's answer may be kept.
    #[serde(default = "ten_minutes")]
    max_age: u32,
}

/// Those that need no preflight.
fn simple_methods() -> Vec<String> {
    ["GET", "HEAD", "POST"].map(str::to_owned).to_vec()
}

/// Some browsers remember no longer.
fn ten_minutes() -> u32 {
    600
}

const ALLOW_ORIGIN: &str = "access-control-allow-origin";
const ALLOW_CREDENTIALS: &str = "access-control-allow-credentials";
const EXPOSE_HEADERS: &str = "access-control-expose-headers";

/// The plugin.
#[derive(Debug)]
pub struct BasicCors {
    config: Config,
    /// Whether answers are the same for all origins, and may be cached so.
    for_all: bool,
}

impl Plugin for BasicCors {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, ConfigError> {
        let for_all = config.origins.contains(&Pattern::All);
        if for_all && config.credentials {
            let problem = "browsers refuse it together with the origin \"*\"; name the origins";
            return Err(ConfigError::at("credentials", problem));
        }
        let words = [
            ("methods", &config.methods),
            ("headers", &config.headers),
            ("expose", &config.expose),
        ];
        for (key, words) in words {
            check(key, words)?;
        }
        Ok(Self { config, for_all })
    }

    fn unneeded(&self) -> Calls {
        Calls::REWRITE_REQUEST
    }
}

impl Routing for BasicCors {
    /// A preflight is `OPTIONS` with these two fields; any other `OPTIONS` is the upstream's.
    fn route(&self, request: &Request) -> Route {
        let is_preflight = request.method() == "OPTIONS"
            && request.header("access-control-request-method").is_some();
        match request.header_str("origin") {
            Some(origin) if is_preflight => self.preflight(&origin),
            _ => Route::Pass,
        }
    }
}

impl Rewriting for BasicCors {
    fn rewrite_response(&self, request: &Request, _: &Response) -> Vec<ResponseEdit> {
        let mut edits: Vec<_> = [ALLOW_ORIGIN, ALLOW_CREDENTIALS, EXPOSE_HEADERS]
            .map(ResponseEdit::remove)
            .to_vec();
        if !self.for_all {
            edits.push(ResponseEdit::append("vary", "origin"));
        }
        let origin = request.header_str("origin");
        let Some(allowed) = origin.as_deref().and_then(|origin| self.allowed(origin)) else {
            return edits;
        };
        edits.push(ResponseEdit::set(ALLOW_ORIGIN, allowed));
        if self.config.credentials {
            edits.push(ResponseEdit::set(ALLOW_CREDENTIALS, "true"));
        }
        if !self.config.expose.is_empty() {
            edits.push(ResponseEdit::set(
                EXPOSE_HEADERS,
                self.config.expose.join(", "),
            ));
        }
        edits
    }
}

impl BasicCors {
    /// What `access-control-allow-origin` says to an origin; none when it may not read answers.
    fn allowed<'a>(&self, origin: &'a str) -> Option<&'a str> {
        if self.for_all {
            return Some("*");
        }
        let mut patterns = self.config.origins.iter();
        patterns
            .any(|pattern| pattern.matches(origin))
            .then_some(origin)
    }

    fn preflight(&self, origin: &str) -> Route {
        let Some(allowed) = self.allowed(origin) else {
            let answer = Route::respond(403).header("vary", "origin");
            return answer.text("origin not allowed\n").rule("cors").into();
        };
        let config = &self.config;
        let mut answer = Route::respond(204)
            .header(ALLOW_ORIGIN, allowed)
            .header("access-control-allow-methods", config.methods.join(", "))
            .header("access-control-max-age", config.max_age.to_string())
            .rule("cors");
        if !config.headers.is_empty() {
            answer = answer.header("access-control-allow-headers", config.headers.join(", "));
        }
        if config.credentials {
            answer = answer.header(ALLOW_CREDENTIALS, "true");
        }
        if !self.for_all {
            answer = answer.header("vary", "origin");
        }
        answer.into()
    }
}

/// Methods and names of fields are tokens (RFC 9110 §5.6.2).
fn check(key: &str, words: &[String]) -> Result<(), ConfigError> {
    let of_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    let is_token = |word: &String| !word.is_empty() && word.chars().all(of_token);
    match words.iter().position(|word| !is_token(word)) {
        None => Ok(()),
        Some(index) => Err(ConfigError::at(
            format!("{key}[{index}]"),
            format!(
                "expected a word such as \"PUT\" or \"x-total\", found {:?}",
                words[index]
            ),
        )),
    }
}

witgate_sdk::export!(BasicCors: Routing, Rewriting);

#[cfg(test)]
mod tests;
