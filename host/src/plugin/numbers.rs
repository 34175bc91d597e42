//! The counters and histograms that a plugin names itself: bounded in number, each with a part
//! per worker, so that workers do not contend; a scrape adds the parts up.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::metrics::PerWorker;

/// Counters, and histograms, that one plugin may have; what `metrics.wit` promises.
const MAX_SERIES: usize = 100;
/// Longest name, bytes.
const MAX_NAME: usize = 64;

/// Upper bounds of the buckets; the last, which is written `+Inf`, holds everything.
pub const VALUE_BUCKETS: [f64; 23] = [
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    25.0,
    50.0,
    100.0,
    250.0,
    500.0,
    1000.0,
    10_000.0,
    100_000.0,
    1_000_000.0,
    f64::MAX,
];

/// A counter. Atomic, as an instance that is only tried counts on no worker of its own.
#[derive(Debug, Default)]
pub struct Total(AtomicU64);

impl Total {
    pub(super) fn add(&self, by: u64) {
        self.0.fetch_add(by, Ordering::Relaxed);
    }

    /// The value.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A histogram.
#[derive(Debug, Default)]
pub struct Values {
    buckets: [Total; VALUE_BUCKETS.len()],
    /// The bits of the sum.
    sum: AtomicU64,
}

impl Values {
    pub(super) fn enter(&self, value: f64) {
        let bucket = VALUE_BUCKETS.iter().position(|bound| value <= *bound);
        if let Some(bucket) = bucket.and_then(|bucket| self.buckets.get(bucket)) {
            bucket.add(1);
        }
        let more = |bits| Some((f64::from_bits(bits) + value).to_bits());
        // It never refuses.
        let _: Result<u64, u64> = self
            .sum
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
    }

    /// How many values fell into the bucket at this place.
    pub fn bucket(&self, index: usize) -> u64 {
        self.buckets.get(index).map_or(0, Total::get)
    }

    /// The sum of all values.
    pub fn sum(&self) -> f64 {
        f64::from_bits(self.sum.load(Ordering::Relaxed))
    }
}

/// Series of one kind, by name.
pub type Series<T> = BTreeMap<Box<str>, Arc<PerWorker<T>>>;

/// What one plugin counts, all its versions together.
#[derive(Debug)]
pub struct Numbers {
    workers: usize,
    counters: Mutex<Series<Total>>,
    histograms: Mutex<Series<Values>>,
    dropped: AtomicU64,
}

impl Numbers {
    pub(super) fn new(workers: usize) -> Self {
        Self {
            workers,
            counters: Mutex::default(),
            histograms: Mutex::default(),
            dropped: AtomicU64::new(0),
        }
    }

    /// The counter of this name, made where there is none; none where it may not be made.
    pub(super) fn counter(&self, name: &str) -> Option<Arc<PerWorker<Total>>> {
        self.series(&self.counters, name)
    }

    /// The histogram of this name, likewise.
    pub(super) fn histogram(&self, name: &str) -> Option<Arc<PerWorker<Values>>> {
        self.series(&self.histograms, name)
    }

    pub(super) fn drop_one(&self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }

    /// The counters there are now.
    pub fn counters(&self) -> Series<Total> {
        lock(&self.counters).clone()
    }

    /// The histograms there are now.
    pub fn histograms(&self) -> Series<Values> {
        lock(&self.histograms).clone()
    }

    /// Counts and values that were not fit, or of too many names.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    fn series<T: Default>(&self, all: &Mutex<Series<T>>, name: &str) -> Option<Arc<PerWorker<T>>> {
        let mut all = lock(all);
        if let Some(series) = all.get(name) {
            return Some(Arc::clone(series));
        }
        if all.len() >= MAX_SERIES || !is_name(name) {
            return None;
        }
        let series = Arc::new(PerWorker::new(self.workers));
        all.insert(name.into(), Arc::clone(&series));
        Some(series)
    }
}

fn is_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.:".contains(&byte);
    (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(fits)
}

fn lock<T>(series: &Mutex<T>) -> MutexGuard<'_, T> {
    series.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_their_number_are_bounded() {
        let numbers = Numbers::new(1);
        for name in ["", "a b", "a\"b", "ä", &"a".repeat(65)] {
            assert!(numbers.counter(name).is_none(), "{name}");
        }
        for number in 0..MAX_SERIES {
            assert!(numbers.counter(&format!("name-{number}")).is_some());
        }
        assert!(numbers.counter("one-more").is_none());
        assert!(numbers.counter("name-0").is_some());
        assert!(numbers.histogram("one-more").is_some());
    }

    #[test]
    fn values_fall_into_buckets_and_add_up() {
        let values = Values::default();
        for value in [-1.0, 0.001, 0.002, 5e9] {
            values.enter(value);
        }
        assert_eq!([0, 1, 22].map(|index| values.bucket(index)), [2, 1, 1]);
        assert!((values.sum() - (5e9 - 0.997)).abs() < 1e-3);
    }
}
