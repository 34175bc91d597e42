//! Counters. Each worker writes its own copy, so that counting never contends; a scrape adds
//! them up. What counts hangs on what it counts (a pool, an endpoint, a plugin), and outlives
//! the snapshots that name it.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use crate::{
    error::{Cause, ConnectionFault},
    plugin::CallError,
    tls::downstream::HandshakeCause,
};

/// A number that only its worker changes and anyone may read.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds, as the only writer: no locked instruction.
    pub fn add(&self, n: u64) {
        self.0.store(
            self.0.load(Ordering::Relaxed).wrapping_add(n),
            Ordering::Relaxed,
        );
    }

    /// Takes away, as the only writer.
    pub fn sub(&self, n: u64) {
        self.0.store(
            self.0.load(Ordering::Relaxed).wrapping_sub(n),
            Ordering::Relaxed,
        );
    }

    /// Makes it at least this, as the only writer.
    pub fn raise(&self, n: u64) {
        if n > self.get() {
            self.0.store(n, Ordering::Relaxed);
        }
    }

    /// The value, from any thread.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Many numbers: arrays of more than 32 have no `Default`.
#[derive(Debug)]
struct Counters<const N: usize>([Counter; N]);

impl<const N: usize> Default for Counters<N> {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Counter::default()))
    }
}

/// One `T` per worker, each on cache lines of its own.
#[derive(Debug)]
pub struct PerWorker<T>(Box<[Aligned<T>]>);

#[derive(Debug, Default)]
#[repr(align(128))]
struct Aligned<T>(T);

impl<T: Default> PerWorker<T> {
    /// One for each of this many workers; at least one.
    pub fn new(workers: usize) -> Self {
        Self((0..workers.max(1)).map(|_| Aligned::default()).collect())
    }

    /// How many workers it is for.
    pub fn workers(&self) -> usize {
        self.0.len()
    }

    /// A worker's own.
    pub fn of(&self, worker: usize) -> &T {
        &self.0[worker % self.0.len()].0
    }

    /// Each worker's.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|each| &each.0)
    }

    /// The largest of one of its numbers over all workers.
    pub fn most(&self, number: impl Fn(&T) -> u64) -> u64 {
        self.0.iter().map(|each| number(&each.0)).max().unwrap_or(0)
    }

    /// The sum of one of its numbers over all workers.
    pub fn sum(&self, number: impl Fn(&T) -> u64) -> u64 {
        self.0
            .iter()
            .map(|each| number(&each.0))
            .fold(0, u64::wrapping_add)
    }
}

/// What one version of a plugin did.
#[derive(Debug, Default)]
pub struct PluginCounters {
    /// Calls of any role, by how long they took.
    pub calls: CallTimes,
    /// Decisions that the gateway did not act on.
    pub refused: Counter,
    /// Times that a call left the worker to others.
    pub yields: Counter,
    /// Requests of its own, to pools.
    pub callouts: Counter,
    /// Those of them that had no answer.
    pub callouts_failed: Counter,
    /// Instances that were made.
    pub instances_made: Counter,
    /// Instances that there are now.
    pub instances: Counter,
    /// Most linear memory that one of its instances had, bytes.
    pub memory: Counter,
    /// Times that it was suspended.
    pub suspensions: Counter,
    /// Whether it is suspended now: 0 or 1, or 2 while it is so in service and on trial.
    pub suspended: Counter,
    /// Failed calls, by [`PLUGIN_FAILURES`].
    failures: [Counter; PLUGIN_FAILURES.len()],
}

/// How long calls took: buckets whose bounds double, the first at 1 µs.
#[derive(Debug, Default)]
pub struct CallTimes {
    buckets: [Counter; CallTimes::BUCKETS],
    nanoseconds: Counter,
}

impl CallTimes {
    /// The last but one ends at 67 s, more than the longest deadline; the last holds everything.
    pub const BUCKETS: usize = 28;

    /// Counts a call.
    pub fn observe(&self, took: Duration) {
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let doublings = u64::BITS - (nanoseconds.saturating_sub(1) / 1000).leading_zeros();
        let bucket = (doublings as usize).min(Self::BUCKETS - 1);
        self.buckets[bucket].add(1);
        self.nanoseconds.add(nanoseconds);
    }

    /// The upper bound of the bucket at this place, seconds.
    pub fn bound(index: usize) -> f64 {
        match index {
            index if index < Self::BUCKETS - 1 => (1_u64 << index) as f64 / 1e6,
            _ => f64::MAX,
        }
    }

    /// How many calls fell into the bucket at this place.
    pub fn bucket(&self, index: usize) -> u64 {
        self.buckets.get(index).map_or(0, Counter::get)
    }

    /// How many calls there were.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(Counter::get).sum()
    }

    /// The time of all of them.
    pub fn nanoseconds(&self) -> u64 {
        self.nanoseconds.get()
    }
}

/// The kinds of failed calls, as metric labels.
pub const PLUGIN_FAILURES: [&str; 9] = [
    "trap",
    "deadline",
    "memory",
    "busy",
    "instantiate",
    "overtime",
    "suspended",
    "total-memory",
    "total-bodies",
];

impl PluginCounters {
    /// Counts a failed call by its kind.
    pub fn failed(&self, error: &CallError) {
        let kind = match error {
            CallError::Trap { .. } => 0,
            CallError::Deadline { .. } => 1,
            CallError::Memory { .. } => 2,
            CallError::Busy { .. } => 3,
            CallError::Instantiate { .. } => 4,
            CallError::Overtime { .. } => 5,
            CallError::Suspended { .. } => 6,
            CallError::TotalMemory { .. } => 7,
            CallError::TotalBodies { .. } => 8,
        };
        self.failures[kind].add(1);
    }

    /// Failures of the kind at this place of [`PLUGIN_FAILURES`].
    pub fn failures(&self, kind: usize) -> u64 {
        self.failures.get(kind).map_or(0, Counter::get)
    }
}

/// What one listener's clients did.
#[derive(Debug, Default)]
pub struct ListenerCounters {
    /// Connections accepted.
    pub accepted: Counter,
    /// Connections open now.
    pub open: Counter,
    /// Tunnels open now.
    pub tunnels: Counter,
    /// TLS handshakes that failed or took too long, by [`HandshakeCause::ALL`].
    failed_handshakes: [Counter; HandshakeCause::ALL.len()],
    /// Connections that the gateway ended, by [`ConnectionFault::ALL`].
    ended: [Counter; ConnectionFault::ALL.len()],
    /// Answers by the first digit of their status; clients that went away first are 0.
    pub responses: [Counter; 6],
    /// How long requests took, from head to last byte.
    pub durations: Histogram,
}

impl ListenerCounters {
    /// Counts a failed handshake by its cause.
    pub fn failed_handshake(&self, cause: HandshakeCause) {
        self.failed_handshakes[cause.index()].add(1);
    }

    /// Handshakes that failed by this cause.
    pub fn failed_handshakes(&self, cause: HandshakeCause) -> u64 {
        self.failed_handshakes[cause.index()].get()
    }

    /// Counts a connection that the gateway ended.
    pub fn ended(&self, fault: ConnectionFault) {
        self.ended[fault.index()].add(1);
    }

    /// Connections that ended for this.
    pub fn endings(&self, fault: ConnectionFault) -> u64 {
        self.ended[fault.index()].get()
    }
}

/// What one endpoint's connections did.
#[derive(Debug, Default)]
pub struct EndpointCounters {
    /// Requests sent to it.
    pub requests: Counter,
    /// Requests that have not ended.
    pub running: Counter,
    /// Connections opened to it.
    pub connections: Counter,
    /// Requests that it failed, by [`Cause::ALL`].
    errors: Counters<{ Cause::ALL.len() }>,
}

impl EndpointCounters {
    /// Counts a failure by its cause.
    pub fn failed(&self, cause: Cause) {
        self.errors.0[cause.index()].add(1);
    }

    /// Failures of this cause.
    pub fn failures(&self, cause: Cause) -> u64 {
        self.errors.0[cause.index()].get()
    }
}

/// How often the requests of one pool were tried again.
#[derive(Debug, Default)]
pub struct RetryCounters {
    /// Tries after the first.
    pub made: Counter,
    /// Tries that the pool's budget did not allow.
    pub refused: Counter,
}

/// Upper bounds of the buckets, seconds; the last, which is written `+Inf`, holds everything.
pub const BUCKETS: [f64; 12] = [
    0.0005,
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    1.0,
    10.0,
    f64::MAX,
];

/// Durations in fixed buckets.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [Counter; BUCKETS.len()],
    microseconds: Counter,
}

impl Histogram {
    /// Counts one duration.
    pub fn observe(&self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        let bucket = BUCKETS
            .iter()
            .position(|bound| seconds <= *bound)
            .unwrap_or(BUCKETS.len() - 1);
        self.buckets[bucket].add(1);
        self.microseconds
            .add(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX));
    }

    /// How many durations fell into the bucket at this place.
    pub fn bucket(&self, index: usize) -> u64 {
        self.buckets.get(index).map_or(0, Counter::get)
    }

    /// The sum of all durations in microseconds.
    pub fn microseconds(&self) -> u64 {
        self.microseconds.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_add_up() {
        let counters = PerWorker::<ListenerCounters>::new(2);
        counters.of(0).accepted.add(2);
        counters.of(1).accepted.add(3);
        assert_eq!(counters.sum(|worker| worker.accepted.get()), 5);
    }

    #[test]
    fn a_call_falls_into_the_first_bucket_that_holds_it() {
        let times = CallTimes::default();
        for (nanoseconds, bucket) in [
            (0, 0),
            (1_000, 0),
            (1_001, 1),
            (2_000, 1),
            (2_001, 2),
            (65_536_000, 16),
            (65_536_001, 17),
            (67_108_864_000, 26),
            (67_108_864_001, 27),
            (u64::MAX, 27),
        ] {
            let before = times.bucket(bucket);
            times.observe(Duration::from_nanos(nanoseconds));
            assert_eq!(times.bucket(bucket), before + 1, "{nanoseconds} ns");
            let seconds = nanoseconds as f64 / 1e9;
            assert!(seconds <= CallTimes::bound(bucket), "{nanoseconds} ns");
        }
        assert_eq!(times.count(), 10);
    }

    #[test]
    fn a_duration_falls_into_the_first_bucket_that_holds_it() {
        let histogram = Histogram::default();
        histogram.observe(Duration::from_micros(500));
        histogram.observe(Duration::from_secs(60));
        assert_eq!(histogram.bucket(0), 1);
        assert_eq!(histogram.bucket(BUCKETS.len() - 1), 1);
        assert_eq!(histogram.microseconds(), 60_000_500);
    }
}
