//! What the gateway grants, for native tests: a clock that stands still, random numbers that are
//! always the same, a store and numbers in memory. Each thread has its own, and so each test.

use std::{cell::RefCell, collections::BTreeMap, time::Duration};

use crate::{
    bindings::kv::{Counted, Refusal},
    callout::{Answer, Callout, Failure},
};

/// 2026-01-01T00:00:00Z.
const START: Duration = Duration::from_secs(1_767_225_600);
/// Of the WIT.
const MAX_KEY: usize = 512;
const MAX_VALUE: usize = 65_536;
/// Of the sidecar, unless it says otherwise.
const ENTRIES: usize = 10_000;
const MAX_SERIES: usize = 100;
const MAX_NAME: usize = 64;
const MAX_ACCESS_FIELDS: usize = 16;
const MAX_ACCESS_VALUE: usize = 1024;

thread_local! {
    static WORLD: RefCell<World> = RefCell::default();
}

/// Looks at or changes this thread's world.
pub(crate) fn world<R>(with: impl FnOnce(&mut World) -> R) -> R {
    WORLD.with_borrow_mut(with)
}

/// Answers callouts.
type Answers = Box<dyn FnMut(&Callout) -> Result<Answer, Failure>>;

pub(crate) struct World {
    pub(crate) wall: Duration,
    pub(crate) monotonic: Duration,
    pub(crate) seed: u64,
    pub(crate) kv_entries: usize,
    pub(crate) counters: BTreeMap<String, u64>,
    pub(crate) values: BTreeMap<String, Vec<f64>>,
    pub(crate) access_fields: BTreeMap<String, String>,
    pub(crate) answers: Option<Answers>,
    entries: BTreeMap<String, Entry>,
}

#[derive(Debug)]
struct Entry {
    value: Value,
    end: Option<Duration>,
}

#[derive(Debug)]
enum Value {
    Bytes(Vec<u8>),
    Number(i64),
}

impl Default for World {
    fn default() -> Self {
        Self {
            wall: START,
            monotonic: Duration::ZERO,
            seed: 0,
            kv_entries: ENTRIES,
            counters: BTreeMap::new(),
            values: BTreeMap::new(),
            access_fields: BTreeMap::new(),
            answers: None,
            entries: BTreeMap::new(),
        }
    }
}

impl World {
    /// What is not fit is left out, as by the gateway.
    pub(crate) fn set_access_field(&mut self, name: &str, value: &str) {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
        let is_name = (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(fits);
        let known = self.access_fields.contains_key(name);
        if is_name && (known || self.access_fields.len() < MAX_ACCESS_FIELDS) {
            let value = &value[..value.floor_char_boundary(MAX_ACCESS_VALUE)];
            self.access_fields.insert(name.to_owned(), value.to_owned());
        }
    }

    pub(crate) fn callout(&mut self, callout: Callout) -> Result<Answer, Failure> {
        match &mut self.answers {
            Some(answer) => answer(&callout),
            None => Err(Failure::Unavailable("no answer is prepared".to_owned())),
        }
    }

    /// SplitMix64: small, and spread well enough for tests.
    pub(crate) fn random(&mut self) -> u64 {
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.seed ^ (self.seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn get(&mut self, key: &str) -> Option<Vec<u8>> {
        self.sweep();
        self.entries.get(key).map(|entry| match &entry.value {
            Value::Bytes(bytes) => bytes.clone(),
            Value::Number(number) => number.to_le_bytes().to_vec(),
        })
    }

    pub(crate) fn set(&mut self, key: &str, value: &[u8], ttl: Option<u64>) -> Result<(), Refusal> {
        if value.len() > MAX_VALUE {
            return Err(Refusal::TooLarge);
        }
        self.room(key)?;
        let end = self.end(ttl);
        let value = Value::Bytes(value.to_vec());
        self.entries.insert(key.to_owned(), Entry { value, end });
        Ok(())
    }

    pub(crate) fn delete(&mut self, key: &str) -> bool {
        self.sweep();
        self.entries.remove(key).is_some()
    }

    pub(crate) fn increment(
        &mut self,
        key: &str,
        by: i64,
        ttl: Option<u64>,
    ) -> Result<Counted, Refusal> {
        self.room(key)?;
        let (now, end) = (self.monotonic, self.end(ttl));
        let entry = self.entries.entry(key.to_owned()).or_insert(Entry {
            value: Value::Number(0),
            end,
        });
        let Value::Number(number) = &mut entry.value else {
            return Err(Refusal::NotANumber);
        };
        *number = number.saturating_add(by);
        let left = entry.end.map(|end| milliseconds(end.saturating_sub(now)));
        Ok(Counted {
            number: *number,
            left,
        })
    }

    pub(crate) fn count(&mut self, name: &str, by: u64) {
        if is_kept(&self.counters, name) {
            *self.counters.entry(name.to_owned()).or_default() += by;
        }
    }

    pub(crate) fn observe(&mut self, name: &str, value: f64) {
        if value.is_finite() && is_kept(&self.values, name) {
            self.values.entry(name.to_owned()).or_default().push(value);
        }
    }

    /// For an entry of this key.
    fn room(&mut self, key: &str) -> Result<(), Refusal> {
        self.sweep();
        if key.len() > MAX_KEY {
            return Err(Refusal::TooLarge);
        }
        match self.entries.contains_key(key) || self.entries.len() < self.kv_entries {
            true => Ok(()),
            false => Err(Refusal::Full),
        }
    }

    fn sweep(&mut self) {
        let now = self.monotonic;
        self.entries
            .retain(|_, entry| entry.end.is_none_or(|end| end > now));
    }

    fn end(&self, ttl: Option<u64>) -> Option<Duration> {
        self.monotonic.checked_add(Duration::from_millis(ttl?))
    }
}

fn milliseconds(left: Duration) -> u64 {
    u64::try_from(left.as_micros().div_ceil(1000)).map_or(u64::MAX, |left| left.max(1))
}

fn is_kept<T>(series: &BTreeMap<String, T>, name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.:".contains(&byte);
    let is_name = (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(fits);
    is_name && (series.contains_key(name) || series.len() < MAX_SERIES)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::time::Duration;

    use crate::{kv, metrics, testing};

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn an_entry_lives_for_its_time() {
        kv::set("a", "1", Some(SECOND)).unwrap();
        testing::advance(SECOND - Duration::from_millis(1));
        assert!(kv::get("a").is_some());
        testing::advance(Duration::from_millis(1));
        assert!(kv::get("a").is_none());
        assert!(!kv::delete("a"));
    }

    #[test]
    fn a_full_store_refuses_new_entries_only() {
        testing::limit_kv(1);
        kv::increment("a", 1, Some(SECOND)).unwrap();
        assert_eq!(kv::increment("b", 1, None), Err(kv::Refusal::Full));
        assert_eq!(kv::increment("a", 1, None).unwrap().number, 2);
        testing::advance(SECOND);
        assert_eq!(kv::increment("b", 1, None).unwrap().left, None);
        assert_eq!(kv::number("b"), Some(1));
    }

    #[test]
    fn what_was_set_is_no_number() {
        kv::set("a", [0; 8], None).unwrap();
        assert_eq!(kv::increment("a", 1, None), Err(kv::Refusal::NotANumber));
        assert_eq!(
            kv::set(&"k".repeat(513), "", None),
            Err(kv::Refusal::TooLarge)
        );
    }

    #[test]
    fn what_is_not_fit_is_dropped() {
        metrics::count("not a name", 1);
        metrics::observe("value", f64::NAN);
        assert_eq!(testing::counted("not a name"), 0);
        assert!(testing::observed("value").is_empty());
    }

    #[test]
    fn a_new_world_knows_nothing_of_the_one_before() {
        metrics::count("a", 1);
        kv::set("a", "1", None).unwrap();
        testing::reset();
        assert_eq!((testing::counted("a"), kv::get("a")), (0, None));
    }
}
