//! The host's side of the WIT interface `kv`: `store` keeps the entries.

use std::time::{Duration, Instant};

use wasmtime::Result;

use super::{
    bindings::witgate::plugin::kv::{Counted, Host, Refusal},
    state::State,
    store::{self, Store},
};
use crate::config::{CaseKv, KvLimits, KvRefusal};

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
        if let Some(value) = self.known().and_then(|known| known.get(&key)) {
            return Ok(value);
        }
        let value = self.store()?.0.get(&key, Instant::now());
        if let Some(noted) = self.noted() {
            let size = key.len() + value.as_ref().map_or(0, Vec::len);
            noted.kv(size, || CaseKv::Get {
                key,
                value: value.clone(),
            });
        }
        Ok(value)
    }

    fn set(
        &mut self,
        key: String,
        value: Vec<u8>,
        ttl: Option<u64>,
    ) -> Result<Result<(), Refusal>> {
        if let Some(done) = self.known().and_then(|known| known.set(&key)) {
            return Ok(done.map_err(Into::into));
        }
        let (store, limits) = self.store()?;
        let ttl = ttl.map(Duration::from_millis);
        let set = store.set(limits, &key, value, ttl, Instant::now());
        let done = set.map_err(KvRefusal::from);
        if let Some(noted) = self.noted() {
            noted.kv(key.len(), || CaseKv::Set { key, done });
        }
        Ok(done.map_err(Into::into))
    }

    fn delete(&mut self, key: String) -> Result<bool> {
        if let Some(found) = self.known().and_then(|known| known.delete(&key)) {
            return Ok(found);
        }
        let found = self.store()?.0.delete(&key, Instant::now());
        if let Some(noted) = self.noted() {
            noted.kv(key.len(), || CaseKv::Delete { key, found });
        }
        Ok(found)
    }

    fn increment(
        &mut self,
        key: String,
        by: i64,
        ttl: Option<u64>,
    ) -> Result<Result<Counted, Refusal>> {
        let counted = match self.known().and_then(|known| known.increment(&key)) {
            Some(counted) => counted,
            None => self.incremented(key, by, ttl)?,
        };
        let counted = counted.map(|(number, left)| Counted { number, left });
        Ok(counted.map_err(Into::into))
    }
}

impl State {
    fn incremented(
        &mut self,
        key: String,
        by: i64,
        ttl: Option<u64>,
    ) -> Result<Result<(i64, Option<u64>), KvRefusal>> {
        let (store, limits) = self.store()?;
        let ttl = ttl.map(Duration::from_millis);
        let counted = store.increment(limits, &key, by, ttl, Instant::now());
        let counted = counted
            .map(|(number, left)| (number, left.map(milliseconds)))
            .map_err(KvRefusal::from);
        if let Some(noted) = self.noted() {
            noted.kv(key.len(), || CaseKv::Increment { key, counted });
        }
        Ok(counted)
    }
}

/// Rounded up, so that who waits so long finds the entry gone.
fn milliseconds(left: Duration) -> u64 {
    u64::try_from(left.as_micros().div_ceil(1000)).map_or(u64::MAX, |left| left.max(1))
}

impl From<store::Refusal> for KvRefusal {
    fn from(refusal: store::Refusal) -> Self {
        match refusal {
            store::Refusal::Full => Self::Full,
            store::Refusal::TooLarge => Self::TooLarge,
            store::Refusal::NotANumber => Self::NotANumber,
        }
    }
}

impl From<KvRefusal> for Refusal {
    fn from(refusal: KvRefusal) -> Self {
        match refusal {
            KvRefusal::Full => Self::Full,
            KvRefusal::TooLarge => Self::TooLarge,
            KvRefusal::NotANumber => Self::NotANumber,
        }
    }
}
