//! The host's side of the WIT interface `kv`: `store` keeps the entries.

use std::time::{Duration, Instant};

use wasmtime::Result;

use super::{
    bindings::witgate::plugin::kv::{Counted, Host, Refusal},
    state::State,
    store::{self, Store},
};
use crate::config::KvLimits;

impl State {
    /// What is not granted is not imported either; this is a second lock on the same door.
    fn store(&self) -> Result<(&Store, KvLimits)> {
        let shared = self.shared.as_ref();
        let store = shared.and_then(|shared| shared.store());
        store.ok_or_else(|| wasmtime::Error::msg("the sidecar does not grant `kv`"))
    }
}

impl Host for State {
    fn get(&mut self, key: String) -> Result<Option<Vec<u8>>> {
        Ok(self.store()?.0.get(&key, Instant::now()))
    }

    fn set(
        &mut self,
        key: String,
        value: Vec<u8>,
        ttl: Option<u64>,
    ) -> Result<Result<(), Refusal>> {
        let (store, limits) = self.store()?;
        let ttl = ttl.map(Duration::from_millis);
        let set = store.set(limits, &key, value, ttl, Instant::now());
        Ok(set.map_err(Into::into))
    }

    fn delete(&mut self, key: String) -> Result<bool> {
        Ok(self.store()?.0.delete(&key, Instant::now()))
    }

    fn increment(
        &mut self,
        key: String,
        by: i64,
        ttl: Option<u64>,
    ) -> Result<Result<Counted, Refusal>> {
        let (store, limits) = self.store()?;
        let ttl = ttl.map(Duration::from_millis);
        let counted = store.increment(limits, &key, by, ttl, Instant::now());
        let counted = counted.map(|(number, left)| Counted {
            number,
            left: left.map(milliseconds),
        });
        Ok(counted.map_err(Into::into))
    }
}

/// Rounded up, so that who waits so long finds the entry gone.
fn milliseconds(left: Duration) -> u64 {
    u64::try_from(left.as_micros().div_ceil(1000)).map_or(u64::MAX, |left| left.max(1))
}

impl From<store::Refusal> for Refusal {
    fn from(refusal: store::Refusal) -> Self {
        match refusal {
            store::Refusal::Full => Self::Full,
            store::Refusal::TooLarge => Self::TooLarge,
            store::Refusal::NotANumber => Self::NotANumber,
        }
    }
}
