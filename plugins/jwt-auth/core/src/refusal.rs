//! Why a request is refused, and what its client is told: RFC 6750 §3.

use witgate_sdk::prelude::*;

/// By what the client can do about it. Texts stand between quotes in a header field, and never
/// have anything of the token in them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// There is no token.
    Missing,
    /// The request is not one that has a token in the agreed way.
    Request(&'static str),
    /// The token is not good.
    Token(&'static str),
    /// No key of the configuration is for the token, which names this one.
    UnknownKey(Option<String>),
    /// The token is good and does not allow enough.
    Scope,
    /// No keys could be fetched; it is tried again after so many seconds.
    NoKeys(u32),
}

impl Refusal {
    /// For the access log and for the client.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Missing => "no token was sent",
            Self::Request(reason) | Self::Token(reason) => reason,
            Self::UnknownKey(_) => "no key is known for the alg and kid of the token",
            Self::Scope => "the token lacks a scope",
            Self::NoKeys(_) => "the keys that would tell cannot be had",
        }
    }

    /// The answer; `scopes` are those that would be enough.
    pub(crate) fn answer(&self, realm: &str, scopes: &[String]) -> Route {
        if let Self::NoKeys(wait) = self {
            return Route::respond(503)
                .header("retry-after", wait.to_string())
                .text(format!("{}\n", self.reason()))
                .rule("jwt-auth")
                .into();
        }
        let (status, error) = match self {
            Self::Missing => (401, None),
            Self::Request(_) => (400, Some("invalid_request")),
            Self::Token(_) | Self::UnknownKey(_) => (401, Some("invalid_token")),
            Self::Scope => (403, Some("insufficient_scope")),
            Self::NoKeys(_) => (503, None),
        };
        let reason = self.reason();
        let mut challenge = format!("Bearer realm=\"{realm}\"");
        if let Some(error) = error {
            challenge += &format!(", error=\"{error}\", error_description=\"{reason}\"");
        }
        if *self == Self::Scope {
            challenge += &format!(", scope=\"{}\"", scopes.join(" "));
        }
        Route::respond(status)
            .header("www-authenticate", challenge)
            .text(format!("{reason}\n"))
            .rule("jwt-auth")
            .into()
    }
}
