//! The entries that a plugin's instances share: keys, values and when they end, within bounds.
//!
//! Workers meet here, which plugins without the grant `kv` never come to. The map is cut into
//! shards, each behind a lock of its own that is held for one look-up or one change: about a
//! microsecond, and nothing is waited for inside. A map without locks would still write what
//! other threads write, and could not keep the order of ends beside the entries.

use std::{
    collections::{BTreeMap, HashMap},
    hash::{BuildHasher as _, RandomState},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use crate::config::KvLimits;

/// Far more than workers, so that two rarely want the same one; and so many that a shard of the
/// largest store doubles its table in about a millisecond.
const SHARDS: usize = 64;
/// Longest key and value, bytes; what `kv.wit` promises.
const MAX_KEY: usize = 512;
const MAX_VALUE: usize = 64 << 10;
/// What keeping an entry takes beside key and value, bytes: its places in table and order, as
/// sparse as they may be.
const ENTRY: usize = 256;
/// Entries whose time is up that a write removes from its shard. More than the one that it may
/// add, so that they do not pile up.
const SWEEP: usize = 2;
/// The same of each shard when the store is full: all together a fraction of a millisecond.
const FULL_SWEEP: usize = 16;

/// Why an entry was not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    Full,
    TooLarge,
    NotANumber,
}

/// One plugin's entries.
pub(super) struct Store {
    hasher: RandomState,
    shards: Box<[Padded]>,
    used: Used,
}

/// What is used of the limits, over all shards; and how often that was too much.
#[derive(Debug, Default)]
pub(super) struct Used {
    entries: AtomicUsize,
    bytes: AtomicUsize,
    refused: AtomicU64,
}

/// On cache lines of its own.
#[derive(Default)]
#[repr(align(128))]
struct Padded(Mutex<Shard>);

#[derive(Default)]
struct Shard {
    entries: HashMap<Arc<str>, Entry>,
    /// The keys of entries that end, by when they do; numbers tell equal moments apart.
    ends: BTreeMap<End, Arc<str>>,
    last: u64,
}

type End = (Instant, u64);

struct Entry {
    value: Value,
    end: Option<End>,
}

enum Value {
    Bytes(Box<[u8]>),
    Number(i64),
}

impl Default for Store {
    fn default() -> Self {
        Self {
            hasher: RandomState::new(),
            shards: (0..SHARDS).map(|_| Padded::default()).collect(),
            used: Used::default(),
        }
    }
}

impl Store {
    pub(super) fn get(&self, key: &str, now: Instant) -> Option<Vec<u8>> {
        let mut shard = self.shard(key);
        shard.live(key, now, &self.used)?.value.bytes().into()
    }

    /// `ttl` counts from now.
    pub(super) fn set(
        &self,
        limits: KvLimits,
        key: &str,
        value: Vec<u8>,
        ttl: Option<Duration>,
        now: Instant,
    ) -> Result<(), Refusal> {
        if key.len() > MAX_KEY || value.len() > MAX_VALUE {
            return Err(Refusal::TooLarge);
        }
        let mut value = Some(Value::Bytes(value.into()));
        self.write(now, || {
            let mut shard = self.shard(key);
            shard.sweep(now, SWEEP, &self.used);
            let before = shard.entries.get(key).map(|entry| entry.value.size());
            let size = value.as_ref().map_or(0, Value::size);
            self.used.take(limits, key, before, size)?;
            let value = value.take().ok_or(Refusal::Full)?;
            shard.put(key, value, end(now, ttl));
            Ok(())
        })
    }

    /// Whether there was one.
    pub(super) fn delete(&self, key: &str, now: Instant) -> bool {
        let mut shard = self.shard(key);
        let found = shard.live(key, now, &self.used).is_some();
        shard.remove(key, &self.used);
        found
    }

    /// The new number, and how long it still lives. `ttl` counts for a new entry.
    pub(super) fn increment(
        &self,
        limits: KvLimits,
        key: &str,
        by: i64,
        ttl: Option<Duration>,
        now: Instant,
    ) -> Result<(i64, Option<Duration>), Refusal> {
        if key.len() > MAX_KEY {
            return Err(Refusal::TooLarge);
        }
        self.write(now, || {
            let mut shard = self.shard(key);
            shard.sweep(now, SWEEP, &self.used);
            if let Some(entry) = shard.live(key, now, &self.used) {
                return entry.add(by, now);
            }
            let value = Value::Number(by);
            self.used.take(limits, key, None, value.size())?;
            let end = end(now, ttl);
            shard.put(key, value, end);
            Ok((by, end.map(|end| end.duration_since(now))))
        })
    }

    /// Entries, their bytes, and how often the store was full.
    pub(super) fn figures(&self) -> (u64, u64, u64) {
        let used = &self.used;
        (
            used.entries.load(Ordering::Relaxed) as u64,
            used.bytes.load(Ordering::Relaxed) as u64,
            used.refused.load(Ordering::Relaxed),
        )
    }

    /// Writes; when the store is full, once more after what has ended is out of it.
    fn write<R>(
        &self,
        now: Instant,
        mut write: impl FnMut() -> Result<R, Refusal>,
    ) -> Result<R, Refusal> {
        let mut written = write();
        if matches!(written, Err(Refusal::Full)) && self.sweep(now) > 0 {
            written = write();
        }
        if matches!(written, Err(Refusal::Full)) {
            self.used.refused.fetch_add(1, Ordering::Relaxed);
        }
        written
    }

    /// Removes entries whose time is up, some from each shard; returns how many.
    fn sweep(&self, now: Instant) -> usize {
        let shards = self.shards.iter();
        shards
            .map(|shard| lock(shard).sweep(now, FULL_SWEEP, &self.used))
            .sum()
    }

    fn shard(&self, key: &str) -> MutexGuard<'_, Shard> {
        let hash = usize::try_from(self.hasher.hash_one(key) % SHARDS as u64);
        lock(&self.shards[hash.unwrap_or(0)])
    }
}

/// A thread that has panicked holds no half-made change: each is one call into a map.
fn lock(shard: &Padded) -> MutexGuard<'_, Shard> {
    shard.0.lock().unwrap_or_else(PoisonError::into_inner)
}

/// None for one that is beyond all clocks.
fn end(now: Instant, ttl: Option<Duration>) -> Option<Instant> {
    ttl.and_then(|ttl| now.checked_add(ttl))
}

impl Shard {
    /// The entry of a key, unless its time is up.
    fn live(&mut self, key: &str, now: Instant, used: &Used) -> Option<&mut Entry> {
        let end = self.entries.get(key)?.end;
        if end.is_some_and(|(end, _)| end <= now) {
            self.remove(key, used);
            return None;
        }
        self.entries.get_mut(key)
    }

    /// The bytes of a new or longer value are taken already; those of a shorter one given back.
    fn put(&mut self, key: &str, value: Value, end: Option<Instant>) {
        self.last += 1;
        let end = end.map(|end| (end, self.last));
        let key = match self.entries.remove_entry(key) {
            Some((key, before)) => {
                before.end.and_then(|end| self.ends.remove(&end));
                key
            }
            None => Arc::from(key),
        };
        if let Some(end) = end {
            self.ends.insert(end, Arc::clone(&key));
        }
        self.entries.insert(key, Entry { value, end });
    }

    fn remove(&mut self, key: &str, used: &Used) {
        if let Some(entry) = self.entries.remove(key) {
            entry.end.and_then(|end| self.ends.remove(&end));
            used.give_back(key, entry.value.size());
        }
    }

    /// Removes up to `most` entries whose time is up; returns how many.
    fn sweep(&mut self, now: Instant, most: usize, used: &Used) -> usize {
        let mut swept = 0;
        while swept < most
            && let Some(first) = self.ends.first_entry()
            && first.key().0 <= now
        {
            let key = first.remove();
            if let Some(entry) = self.entries.remove(&key) {
                used.give_back(&key, entry.value.size());
            }
            swept += 1;
        }
        swept
    }
}

impl Entry {
    fn add(&mut self, by: i64, now: Instant) -> Result<(i64, Option<Duration>), Refusal> {
        let Value::Number(number) = &mut self.value else {
            return Err(Refusal::NotANumber);
        };
        *number = number.saturating_add(by);
        let left = self.end.map(|(end, _)| end.saturating_duration_since(now));
        Ok((*number, left))
    }
}

impl Value {
    fn size(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Number(_) => size_of::<i64>(),
        }
    }

    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Bytes(bytes) => bytes.to_vec(),
            Self::Number(number) => number.to_le_bytes().to_vec(),
        }
    }
}

impl Used {
    /// Room for a value of this size, in the place of one of another where there is one.
    fn take(
        &self,
        limits: KvLimits,
        key: &str,
        before: Option<usize>,
        size: usize,
    ) -> Result<(), Refusal> {
        let Some(before) = before else {
            add(&self.entries, 1, limits.entries)?;
            let bytes = add(&self.bytes, ENTRY + key.len() + size, limits.bytes);
            return bytes.inspect_err(|_| {
                self.entries.fetch_sub(1, Ordering::Relaxed);
            });
        };
        match size.checked_sub(before) {
            Some(more) => add(&self.bytes, more, limits.bytes),
            None => {
                self.bytes.fetch_sub(before - size, Ordering::Relaxed);
                Ok(())
            }
        }
    }

    fn give_back(&self, key: &str, size: usize) {
        self.entries.fetch_sub(1, Ordering::Relaxed);
        let bytes = ENTRY + key.len() + size;
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

fn add(used: &AtomicUsize, more: usize, limit: usize) -> Result<(), Refusal> {
    let sum = |used: usize| {
        used.checked_add(more)
            .filter(|sum| more == 0 || *sum <= limit)
    };
    used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, sum)
        .map(drop)
        .map_err(|_| Refusal::Full)
}

#[cfg(test)]
mod tests;
