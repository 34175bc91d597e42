//! Lets in who has a good JSON Web Token (RFC 7519), and tells the upstream what it claims. What
//! happens to a request, in this order: `scope` says whether it needs a token, `place` finds it,
//! `token` takes it apart, `keys` has its signature checked, `claims` what it says; `refusal`
//! tells the client why not. `known` saves the work for a token that comes again, and `config`
//! reads the sidecar.

#![forbid(unsafe_code)]

mod claims;
mod config;
mod keys;
mod known;
mod place;
mod refusal;
mod scope;
mod token;

use std::rc::Rc;

use sha2::{Digest as _, Sha256};
use witgate_sdk::{access_log, clock, prelude::*};

use claims::{Identity, Rules};
use config::{Place, WithoutToken};
use keys::Keys;
use known::Known;
use refusal::Refusal;
use scope::Scope;
use token::Token;

pub use config::Config;

/// The plugin.
pub struct JwtAuth {
    scope: Scope,
    place: Place,
    token_bytes: usize,
    keys: Keys,
    rules: Rules,
    known: Known,
    without_token: WithoutToken,
    strip: bool,
    realm: String,
}

impl Plugin for JwtAuth {
    type Config = Config;

    fn configure(mut config: Config) -> Result<Self, ConfigError> {
        config.check()?;
        Ok(Self {
            scope: Scope::new(&config),
            place: config.token.clone(),
            token_bytes: config.token_bytes,
            keys: Keys::new(std::mem::take(&mut config.keys))?,
            without_token: config.without_token,
            strip: config.strip,
            realm: std::mem::take(&mut config.realm),
            rules: Rules::new(config),
            known: Known::default(),
        })
    }
}

impl Routing for JwtAuth {
    fn route(&self, request: &Request) -> Route {
        match self.admit(request) {
            Ok(()) => Route::Pass,
            Err(refusal) => {
                access_log::set("refused", refusal.reason());
                if let Refusal::UnknownKey(Some(kid)) = &refusal {
                    access_log::set("kid", kid);
                }
                refusal.answer(&self.realm, &self.rules.scopes)
            }
        }
    }
}

impl Rewriting for JwtAuth {
    /// The fields are this plugin's, on every request: what a client sends under their names
    /// never reaches the upstream. The token is checked once more, since another plugin may have
    /// routed the request before this one was asked, and another instance may have been.
    fn rewrite_request(&self, request: &Request) -> Vec<RequestEdit> {
        let names = self.rules.headers.iter();
        let mut edits: Vec<_> = names.map(|(name, _)| RequestEdit::remove(name)).collect();
        let Ok(Some(token)) = self.place.find(request) else {
            return edits;
        };
        if let Ok(identity) = self.authenticate(&token) {
            edits.extend(identity.headers.iter().cloned().map(RequestEdit::Append));
            edits.extend(self.strip.then(|| self.place.strip(request)));
        }
        edits
    }
}

impl JwtAuth {
    fn admit(&self, request: &Request) -> Result<(), Refusal> {
        if !self.scope.covers(request) {
            return Ok(());
        }
        let Some(token) = self.place.find(request)? else {
            return match self.without_token {
                WithoutToken::Pass => Ok(()),
                WithoutToken::Refuse => Err(Refusal::Missing),
            };
        };
        let identity = self.authenticate(&token)?;
        if let Some(subject) = &identity.subject {
            access_log::set("sub", subject);
        }
        if let Some(kid) = &identity.kid {
            access_log::set("kid", kid);
        }
        Ok(())
    }

    /// Who has sent this token.
    fn authenticate(&self, text: &str) -> Result<Rc<Identity>, Refusal> {
        if text.len() > self.token_bytes {
            return Err(Refusal::Token("it is too long"));
        }
        let now = clock::since_1970().as_secs_f64();
        let digest = Sha256::digest(text).into();
        if let Some(identity) = self.known.get(&digest) {
            self.rules.still_good(&identity, now)?;
            return Ok(identity);
        }
        let token = Token::parse(text)?;
        let key = self.keys.signer(&token)?;
        let identity = Rc::new(self.rules.identity(&token, key, now)?);
        self.known.keep(digest, &identity);
        Ok(identity)
    }
}

witgate_sdk::export!(JwtAuth: Routing, Rewriting);

#[cfg(test)]
mod tests;
