//! What a token that is signed has to claim (RFC 7519 §4.1, RFC 6749 §3.3), and what of it goes
//! to the upstream.

use serde_json::Value;
use witgate_sdk::prelude::*;

use crate::{
    config::{Config, Expiry},
    keys::Key,
    refusal::Refusal,
    token::Token,
};

/// The rules of the configuration.
pub(crate) struct Rules {
    issuers: Vec<String>,
    audiences: Vec<String>,
    pub(crate) scopes: Vec<String>,
    required: Vec<(Claim, Value)>,
    typ: Option<String>,
    expiry: Expiry,
    leeway: f64,
    /// Names of fields, lower-case, and what they tell.
    pub(crate) headers: Vec<(String, Claim)>,
}

/// Who has sent a request, as far as the token says.
pub(crate) struct Identity {
    times: Times,
    pub(crate) subject: Option<String>,
    pub(crate) kid: Option<String>,
    pub(crate) headers: Vec<Field>,
}

impl Identity {
    /// What it takes to keep it, without the fixed part.
    pub(crate) fn bytes(&self) -> usize {
        let fields = self
            .headers
            .iter()
            .map(|field| field.name.len() + field.value.len());
        let texts = [&self.subject, &self.kid]
            .into_iter()
            .flatten()
            .map(String::len);
        fields.chain(texts).sum()
    }

    #[cfg(test)]
    pub(crate) fn of_subject(subject: String) -> Self {
        Self {
            times: Times::default(),
            subject: Some(subject),
            kid: None,
            headers: Vec::new(),
        }
    }
}

/// Seconds since 1970, with fractions (RFC 7519 §2, NumericDate).
#[derive(Default)]
struct Times {
    expires: Option<f64>,
    not_before: Option<f64>,
    issued: Option<f64>,
}

/// A claim's name; or, when it begins with `/`, a JSON pointer (RFC 6901) into the claims.
pub(crate) struct Claim(String);

impl Claim {
    fn of<'a>(&self, claims: &'a Value) -> Option<&'a Value> {
        let found = match self.0.starts_with('/') {
            true => claims.pointer(&self.0),
            false => claims.get(&self.0),
        };
        found.filter(|value| !value.is_null())
    }
}

const MALFORMED: Refusal = Refusal::Token("its claims are malformed");

impl Rules {
    pub(crate) fn new(config: Config) -> Self {
        let required = config.required.into_iter();
        let headers = config.headers.into_iter();
        Self {
            issuers: config.issuers,
            audiences: config.audiences,
            scopes: config.scopes,
            required: required.map(|(name, value)| (Claim(name), value)).collect(),
            typ: config.typ,
            expiry: config.expiry,
            leeway: f64::from(config.leeway),
            headers: headers
                .map(|(name, claim)| (name.to_ascii_lowercase(), Claim(claim)))
                .collect(),
        }
    }

    /// What a token claims, when it keeps to the rules. `now` is in seconds since 1970.
    pub(crate) fn identity(
        &self,
        token: &Token<'_>,
        key: &Key,
        now: f64,
    ) -> Result<Identity, Refusal> {
        let claims: Value = serde_json::from_slice(&token.payload).map_err(|_| MALFORMED)?;
        if !claims.is_object() {
            return Err(MALFORMED);
        }
        let times = Times {
            expires: time(&claims, "exp")?,
            not_before: time(&claims, "nbf")?,
            issued: time(&claims, "iat")?,
        };
        if times.expires.is_none() && self.expiry == Expiry::Required {
            return Err(Refusal::Token("it does not say when it expires"));
        }
        self.check_times(&times, now)?;
        self.check_type(token.typ.as_deref())?;
        self.check_issuer(&claims, key)?;
        self.check_audience(&claims)?;
        if !self
            .required
            .iter()
            .all(|(claim, value)| has(claim.of(&claims), value))
        {
            return Err(Refusal::Token("a claim is not as required"));
        }
        self.check_scopes(&claims)?;
        Ok(Identity {
            times,
            subject: claims.get("sub").and_then(Value::as_str).map(str::to_owned),
            kid: token.kid.clone(),
            headers: self.fields(&claims)?,
        })
    }

    /// Whether one who was let in before still is.
    pub(crate) fn still_good(&self, identity: &Identity, now: f64) -> Result<(), Refusal> {
        self.check_times(&identity.times, now)
    }

    fn check_times(&self, times: &Times, now: f64) -> Result<(), Refusal> {
        if times
            .expires
            .is_some_and(|expires| now >= expires + self.leeway)
        {
            return Err(Refusal::Token("it has expired"));
        }
        if times
            .not_before
            .is_some_and(|from| now + self.leeway < from)
        {
            return Err(Refusal::Token("it is not valid yet"));
        }
        if times
            .issued
            .is_some_and(|issued| now + self.leeway < issued)
        {
            return Err(Refusal::Token("it was issued in the future"));
        }
        Ok(())
    }

    /// RFC 8725 §3.11; media types without regard to case, their `application/` left out or not
    /// (RFC 7515 §4.1.9).
    fn check_type(&self, found: Option<&str>) -> Result<(), Refusal> {
        let short = |typ: &str| {
            let typ = typ.to_ascii_lowercase();
            typ.strip_prefix("application/")
                .map(str::to_owned)
                .unwrap_or(typ)
        };
        match &self.typ {
            Some(expected) if found.map(short) != Some(short(expected)) => {
                Err(Refusal::Token("its typ is not the one expected"))
            }
            _ => Ok(()),
        }
    }

    /// A key's own issuers count before those of all (RFC 8725 §3.8).
    fn check_issuer(&self, claims: &Value, key: &Key) -> Result<(), Refusal> {
        let expected = key.issuers.as_ref().unwrap_or(&self.issuers);
        let issuer = claims.get("iss").and_then(Value::as_str);
        let is_known = |issuer: &str| expected.iter().any(|expected| expected == issuer);
        match expected.is_empty() || issuer.is_some_and(is_known) {
            true => Ok(()),
            false => Err(Refusal::Token("its issuer is not accepted")),
        }
    }

    /// A token for others is refused, whether or not this plugin has a name of its own (RFC
    /// 7519 §4.1.3).
    fn check_audience(&self, claims: &Value) -> Result<(), Refusal> {
        let found = claims.get("aud");
        let is_meant = self
            .audiences
            .iter()
            .any(|name| has(found, &Value::from(name.as_str())));
        match is_meant || found.is_none() && self.audiences.is_empty() {
            true => Ok(()),
            false => Err(Refusal::Token("it is for another audience")),
        }
    }

    fn check_scopes(&self, claims: &Value) -> Result<(), Refusal> {
        let granted: Vec<&str> = ["scope", "scp"]
            .iter()
            .filter_map(|name| claims.get(name))
            .flat_map(|value| match value {
                Value::String(words) => words.split(' ').collect::<Vec<_>>(),
                Value::Array(words) => words.iter().filter_map(Value::as_str).collect(),
                _ => Vec::new(),
            })
            .collect();
        match self
            .scopes
            .iter()
            .all(|scope| granted.contains(&scope.as_str()))
        {
            true => Ok(()),
            false => Err(Refusal::Scope),
        }
    }

    /// The fields for the upstream; none for a claim that the token does not have.
    fn fields(&self, claims: &Value) -> Result<Vec<Field>, Refusal> {
        let mut fields = Vec::new();
        for (name, claim) in &self.headers {
            if let Some(value) = claim.of(claims) {
                fields.push(Field::new(name, field_value(value)?));
            }
        }
        Ok(fields)
    }
}

/// A string as it is, anything else as JSON. One that a field would change is refused: what the
/// upstream reads would not be what was signed.
fn field_value(value: &Value) -> Result<String, Refusal> {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    match text.trim() != text || text.contains(char::is_control) {
        true => Err(Refusal::Token("a claim does not fit into a header field")),
        false => Ok(text),
    }
}

fn time(claims: &Value, name: &str) -> Result<Option<f64>, Refusal> {
    match claims.get(name) {
        None => Ok(None),
        Some(value) => value.as_f64().map(Some).ok_or(MALFORMED),
    }
}

/// Whether a claim is this value, or a list that has it.
fn has(claim: Option<&Value>, expected: &Value) -> bool {
    match claim {
        Some(Value::Array(values)) => values.contains(expected),
        Some(value) => value == expected,
        None => false,
    }
}
