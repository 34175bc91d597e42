//! The cookies: their names and attributes (RFC 6265 §4.1).

use serde::Deserialize;
use witgate_sdk::prelude::*;

/// The sidecar's `[config]`.
#[derive(Debug, Deserialize, Schema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The cookie's name; the second one's is this and `CORS`.
    name: String,
    /// Makes the values; make one with `openssl rand -hex 16`.
    pub(crate) key: Option<String>,
    /// Send the second cookie, which has `SameSite=None; Secure`.
    cors: bool,
    /// `Path` of both.
    path: String,
    /// `Domain` of both.
    domain: Option<String>,
    /// `Max-Age` of both.
    max_age: Option<String>,
    /// `HttpOnly` of both.
    http_only: bool,
    /// `Secure` of the first.
    secure: bool,
    /// `SameSite` of the first; `"none"` needs `secure`.
    same_site: Option<SameSite>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Schema)]
#[serde(rename_all = "lowercase")]
enum SameSite {
    Strict,
    Lax,
    None,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            name: "ApplicationGatewayAffinity".to_owned(),
            key: None,
            cors: true,
            path: "/".to_owned(),
            domain: None,
            max_age: None,
            http_only: false,
            secure: false,
            same_site: None,
        }
    }
}

/// Both cookies, ready but for their value.
#[derive(Debug)]
pub(crate) struct Cookies {
    plain: Cookie,
    /// For requests from other sites; browsers send it only when it says `SameSite=None`.
    cors: Option<Cookie>,
}

#[derive(Debug)]
struct Cookie {
    name: String,
    /// `; Path=/; …`
    attributes: String,
}

impl Cookies {
    pub(crate) fn new(config: Config) -> Result<Self, ConfigError> {
        config.check()?;
        let max_age = config.max_age.as_deref().map(seconds).transpose()?;
        let common = config.common_attributes(max_age);
        let plain = format!(
            "{common}{}{}",
            same_site(config.same_site),
            flag(config.secure, "Secure")
        );
        let cors = Cookie {
            name: format!("{}CORS", config.name),
            attributes: format!("{common}; SameSite=None; Secure"),
        };
        Ok(Self {
            plain: Cookie {
                name: config.name,
                attributes: plain,
            },
            cors: config.cors.then_some(cors),
        })
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.all().map(|cookie| cookie.name.as_str())
    }

    /// The edits that give both cookies this value.
    pub(crate) fn issue(&self, value: &str) -> Vec<ResponseEdit> {
        let mut edits = Vec::with_capacity(2);
        edits.extend(self.all().map(|Cookie { name, attributes }| {
            let line = [name, "=", value, attributes].concat();
            ResponseEdit::append("set-cookie", line)
        }));
        edits
    }

    /// The values of all cookies of either name in these fields, in order (RFC 6265 §5.4).
    pub(crate) fn values(&self, fields: &[Vec<u8>]) -> Vec<String> {
        let texts = fields
            .iter()
            .filter_map(|field| std::str::from_utf8(field).ok());
        texts
            .flat_map(|text| text.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .filter(|(found, _)| self.names().any(|name| name == *found))
            .map(|(_, value)| unquoted(value).to_owned())
            .collect()
    }

    fn all(&self) -> impl Iterator<Item = &Cookie> {
        std::iter::once(&self.plain).chain(&self.cors)
    }
}

impl Config {
    fn check(&self) -> Result<(), ConfigError> {
        let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        if self.name.is_empty() || !self.name.chars().all(token) {
            return Err(wrong(
                "name",
                "a cookie's name (letters, digits, \"-\", \"_\", \".\")",
                &self.name,
            ));
        }
        let attribute = |text: &str| text.chars().all(|c| c.is_ascii_graphic() && c != ';');
        if !self.path.starts_with('/') || !attribute(&self.path) {
            return Err(wrong(
                "path",
                "a path starting with \"/\", without \";\" or space",
                &self.path,
            ));
        }
        match &self.domain {
            Some(domain) if domain.is_empty() || !attribute(domain) => {
                Err(wrong("domain", "a domain", domain))
            }
            _ if self.same_site == Some(SameSite::None) && !self.secure => Err(ConfigError::at(
                "same_site",
                "expected secure = true beside \"none\", or browsers drop the cookie",
            )),
            _ => Ok(()),
        }
    }

    fn common_attributes(&self, max_age: Option<u64>) -> String {
        let domain = self
            .domain
            .as_ref()
            .map(|domain| format!("; Domain={domain}"));
        let max_age = max_age.map(|seconds| format!("; Max-Age={seconds}"));
        let (domain, max_age) = (domain.unwrap_or_default(), max_age.unwrap_or_default());
        format!(
            "; Path={}{domain}{max_age}{}",
            self.path,
            flag(self.http_only, "HttpOnly")
        )
    }
}

fn unquoted(value: &str) -> &str {
    value
        .strip_prefix('"')
        .and_then(|value| value.strip_suffix('"'))
        .unwrap_or(value)
}

fn wrong(key: &str, expected: &str, found: &str) -> ConfigError {
    ConfigError::at(key, format!("expected {expected}, found {found:?}"))
}

fn same_site(same_site: Option<SameSite>) -> &'static str {
    match same_site {
        Some(SameSite::Strict) => "; SameSite=Strict",
        Some(SameSite::Lax) => "; SameSite=Lax",
        Some(SameSite::None) => "; SameSite=None",
        None => "",
    }
}

fn flag(on: bool, name: &str) -> String {
    if on {
        format!("; {name}")
    } else {
        String::new()
    }
}

/// `90s`, `15m`, `12h` or `7d` as seconds.
fn seconds(text: &str) -> Result<u64, ConfigError> {
    let units = [("s", 1), ("m", 60), ("h", 3600), ("d", 86_400)];
    let parsed = units.iter().find_map(|(unit, factor)| {
        let number = text.strip_suffix(unit)?.parse::<u64>().ok()?;
        number.checked_mul(*factor).filter(|&seconds| seconds > 0)
    });
    parsed.ok_or_else(|| {
        wrong(
            "max_age",
            "a time such as \"90s\", \"15m\", \"12h\" or \"7d\"",
            text,
        )
    })
}
