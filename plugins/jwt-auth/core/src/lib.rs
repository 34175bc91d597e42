//! Who has a good JSON Web Token (RFC 7519), and what is told to the upstream: what the plugins
//! jwt-auth and jwks-auth have in common. What happens to a request, in this order: `scope` says
//! whether it needs a token, `place` finds it, `token` takes it apart, `keys` has its signature
//! checked, `claims` what it says; `refusal` tells the client why not. `known` saves the work for a
//! token that comes again, `config` reads the sidecar, and `fetched` has keys that a service tells.

#![forbid(unsafe_code)]

mod claims;
mod config;
mod fetched;
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
pub use fetched::Fetching;

/// Who is let in with the keys of the configuration.
pub struct Guard {
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

impl Guard {
    /// With the keys that the configuration has.
    ///
    /// # Errors
    /// What is not as it must be, with its key.
    pub fn new(mut config: Config) -> Result<Self, ConfigError> {
        if config.jwks.is_some() {
            let problem = "keys are fetched by the plugin jwks-auth; this one has those in `keys`";
            return Err(ConfigError::at("jwks", problem));
        }
        let keys = config.keys.take();
        let keys = keys.ok_or_else(|| ConfigError::new("missing field `keys`"))?;
        Self::with(Keys::new(keys)?, config)
    }

    fn with(keys: Keys, mut config: Config) -> Result<Self, ConfigError> {
        config.check()?;
        Ok(Self {
            scope: Scope::new(&config),
            place: config.token.clone(),
            token_bytes: config.token_bytes,
            keys,
            without_token: config.without_token,
            strip: config.strip,
            realm: std::mem::take(&mut config.realm),
            rules: Rules::new(config),
            known: Known::default(),
        })
    }

    /// Whether the request may go on.
    pub fn route(&self, request: &Request) -> Route {
        let admitted = self.token_of(request).and_then(|token| {
            let token = token.map(|token| self.authenticate(&token, None));
            token.transpose()
        });
        self.answer(admitted)
    }

    /// The fields are this plugin's, on every request: what a client sends under their names
    /// never reaches the upstream. The token is checked once more, since another plugin may have
    /// routed the request before this one was asked, and another instance may have been.
    pub fn rewrite_request(&self, request: &Request) -> Vec<RequestEdit> {
        let Ok(Some(token)) = self.place.find(request) else {
            return self.edits(request, None);
        };
        let identity = self.authenticate(&token, None).ok();
        self.edits(request, identity.as_deref())
    }

    fn answer(&self, admitted: Result<Option<Rc<Identity>>, Refusal>) -> Route {
        match admitted {
            Ok(identity) => {
                let identity = identity.as_deref();
                if let Some(subject) = identity.and_then(|identity| identity.subject.as_ref()) {
                    access_log::set("sub", subject);
                }
                if let Some(kid) = identity.and_then(|identity| identity.kid.as_ref()) {
                    access_log::set("kid", kid);
                }
                Route::Pass
            }
            Err(refusal) => {
                access_log::set("refused", refusal.reason());
                if let Refusal::UnknownKey(Some(kid)) = &refusal {
                    access_log::set("kid", kid);
                }
                refusal.answer(&self.realm, &self.rules.scopes)
            }
        }
    }

    fn edits(&self, request: &Request, identity: Option<&Identity>) -> Vec<RequestEdit> {
        let names = self.rules.headers.iter();
        let mut edits: Vec<_> = names.map(|(name, _)| RequestEdit::remove(name)).collect();
        if let Some(identity) = identity {
            edits.extend(identity.headers.iter().cloned().map(RequestEdit::Append));
            edits.extend(self.strip.then(|| self.place.strip(request)));
        }
        edits
    }

    /// The token that a request has to have; none where it may go on without.
    fn token_of(&self, request: &Request) -> Result<Option<String>, Refusal> {
        if !self.scope.covers(request) {
            return Ok(None);
        }
        match (self.place.find(request)?, self.without_token) {
            (None, WithoutToken::Refuse) => Err(Refusal::Missing),
            (token, _) => Ok(token),
        }
    }

    /// Who has sent this token, by the keys of the configuration and then by others.
    fn authenticate(&self, text: &str, others: Option<&Keys>) -> Result<Rc<Identity>, Refusal> {
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
        let key = match (self.keys.signer(&token), others) {
            (Err(Refusal::UnknownKey(_)), Some(others)) => others.signer(&token),
            (signer, _) => signer,
        }?;
        let identity = Rc::new(self.rules.identity(&token, key, now)?);
        self.known.keep(digest, &identity);
        Ok(identity)
    }
}

#[cfg(test)]
mod tests;
