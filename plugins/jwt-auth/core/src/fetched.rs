//! Keys that a service tells, fetched by callouts: when they are needed, and no more often than the
//! configuration says. All instances share what one has fetched, by the store of the plugin; each
//! keeps the keys that it has made of it.

use std::{cell::RefCell, rc::Rc, time::Duration};

use witgate_sdk::{
    callout::{self, Failure},
    clock, kv, log,
    prelude::*,
};

use crate::{
    Guard,
    claims::Identity,
    config::{Config, Jwks},
    keys::Keys,
    refusal::Refusal,
};

/// What was fetched last: when, in milliseconds since 1970, and the set.
const SET: &str = "set";
/// Counts what was fetched, so that instances see with a look that there is something new.
const GENERATION: &str = "generation";
/// Is there while nobody else may fetch.
const TRIED: &str = "tried";
/// Is there while what was tried last counts as failed.
const FAILED: &str = "failed";
/// A value of the store holds 64 KiB, with the time.
const MOST_BYTES: usize = (64 << 10) - 8;

/// Who is let in with keys that a service tells.
pub struct Fetching {
    guard: Guard,
    jwks: Jwks,
    own: RefCell<Own>,
}

/// What this instance has made of what was fetched.
#[derive(Default, Clone)]
struct Own {
    generation: i64,
    /// Since 1970.
    fetched: Duration,
    keys: Option<Rc<Keys>>,
}

impl Fetching {
    /// With the service that the configuration names, and the keys that it has as well.
    ///
    /// # Errors
    /// What is not as it must be, with its key.
    pub fn new(mut config: Config) -> Result<Self, ConfigError> {
        let jwks = config.jwks.take();
        let jwks = jwks.ok_or_else(|| ConfigError::new("missing field `jwks`"))?;
        jwks.check().map_err(|error| error.within("jwks"))?;
        let keys = match config.keys.take() {
            Some(keys) => Keys::new(keys)?,
            None => Keys::none(),
        };
        Ok(Self {
            guard: Guard::with(keys, config)?,
            jwks,
            own: RefCell::default(),
        })
    }

    /// Whether the request may go on.
    pub async fn route(&self, request: &Request) -> Decision {
        let admitted = match self.guard.token_of(request) {
            Ok(Some(token)) => self.authenticate(&token).await.map(Some),
            Ok(None) => Ok(None),
            Err(refusal) => Err(refusal),
        };
        match self.guard.answer(admitted) {
            Route::Pass => Decision::pass(),
            Route::Forward(forward) => forward.into(),
            Route::Respond(respond) => respond.into(),
        }
    }

    /// As [`Guard::rewrite_request`].
    pub async fn rewrite_request(&self, request: &Request) -> Vec<RequestEdit> {
        let identity = match self.guard.place.find(request) {
            Ok(Some(token)) => self.authenticate(&token).await.ok(),
            _ => None,
        };
        self.guard.edits(request, identity.as_deref())
    }

    async fn authenticate(&self, text: &str) -> Result<Rc<Identity>, Refusal> {
        self.take_over();
        let now = clock::since_1970();
        let before = self.keys(now);
        let age = now.saturating_sub(self.own.borrow().fetched);
        let is_old = before.is_none() || age >= seconds(self.jwks.ttl);
        let found = self.guard.authenticate(text, before.as_deref());
        // Keys of the configuration need nobody; nor does a token that is no good by itself.
        let asks = match &found {
            Err(Refusal::UnknownKey(_)) => true,
            _ => is_old && before.is_some(),
        };
        if !asks {
            return found;
        }
        if self.may_fetch(before.is_some()) {
            if let Err(why) = self.fetch().await {
                log::warn!("the keys cannot be fetched: {why}");
                self.note_failure(&why);
            }
            self.take_over();
        }
        let keys = self.keys(clock::since_1970());
        match self.guard.authenticate(text, keys.as_deref()) {
            Err(Refusal::UnknownKey(_)) if keys.is_none() => {
                Err(Refusal::NoKeys(self.jwks.min_interval))
            }
            other => other,
        }
    }

    /// The keys that were fetched, while they count.
    fn keys(&self, now: Duration) -> Option<Rc<Keys>> {
        let own = self.own.borrow();
        let counts = seconds(self.jwks.ttl) + seconds(self.jwks.max_stale);
        own.keys
            .clone()
            .filter(|_| now.saturating_sub(own.fetched) < counts)
    }

    /// Takes over what another instance has fetched since this one has looked.
    fn take_over(&self) {
        let generation = kv::number(GENERATION).unwrap_or(0);
        if generation == self.own.borrow().generation {
            return;
        }
        let Some(kept) = kv::get(SET) else {
            return;
        };
        let Some((time, text)) = kept.split_first_chunk::<8>() else {
            return;
        };
        // Whoever has written it has made keys of it already.
        if let Ok(keys) = self.keys_of(text) {
            let fetched = Duration::from_millis(u64::from_le_bytes(*time));
            self.own.replace(Own {
                generation,
                fetched,
                keys: Some(Rc::new(keys)),
            });
            // A token whose key is gone is not to be known any more.
            self.guard.known.clear();
        }
    }

    /// One instance at a time, and no more often than is configured. While there are no keys at all
    /// nobody is held up by another who fetches, but by one who has failed.
    fn may_fetch(&self, has_keys: bool) -> bool {
        let pause = Some(seconds(self.jwks.min_interval));
        let is_first = kv::increment(TRIED, 1, pause).is_ok_and(|tried| tried.number == 1);
        match has_keys {
            true => is_first,
            false => kv::get(FAILED).is_none(),
        }
    }

    fn note_failure(&self, why: &str) {
        let pause = Some(seconds(self.jwks.min_interval));
        if kv::set(FAILED, why, pause).is_err() {
            log::warn!("there is no room in the store of this plugin");
        }
    }

    async fn fetch(&self) -> Result<(), String> {
        let Jwks {
            pool,
            path,
            authority,
            ..
        } = &self.jwks;
        let mut asked = callout::get(pool, path).header("accept", "application/json");
        if let Some(authority) = authority {
            asked = asked.authority(authority);
        }
        let answer = asked.send().await.map_err(|failure| told(&failure))?;
        if answer.status != 200 {
            return Err(format!("status {}", answer.status));
        }
        let body = answer.body;
        if body.len() > MOST_BYTES {
            return Err(format!("{} bytes, more than {MOST_BYTES}", body.len()));
        }
        self.keys_of(&body)?;
        let now = u64::try_from(clock::since_1970().as_millis()).unwrap_or(u64::MAX);
        let kept = [&now.to_le_bytes()[..], &body].concat();
        let lives = seconds(self.jwks.ttl) + seconds(self.jwks.max_stale);
        kv::set(SET, kept, Some(lives)).map_err(|refusal| format!("the store: {refusal:?}"))?;
        kv::increment(GENERATION, 1, None).map_err(|refusal| format!("the store: {refusal:?}"))?;
        kv::delete(FAILED);
        Ok(())
    }

    fn keys_of(&self, body: &[u8]) -> Result<Keys, String> {
        let text = std::str::from_utf8(body).map_err(|_| "it is no UTF-8".to_owned())?;
        let keys = Keys::fetched(text, self.jwks.alg, self.jwks.issuers.as_deref());
        keys.map_err(|error| error.to_string())
    }
}

fn told(failure: &Failure) -> String {
    format!("{failure:?}")
}

fn seconds(seconds: u32) -> Duration {
    Duration::from_secs(seconds.into())
}
