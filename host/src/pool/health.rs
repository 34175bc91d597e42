//! Whether an endpoint is fit: what probes said of it and what traffic has shown. Written by
//! the prober and by workers that meet a failure, read with every choice: atomics alone.

use std::{
    sync::{
        LazyLock, Mutex, PoisonError,
        atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant, SystemTime},
};

use crate::config::Ejection;

/// What probes said of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Probed {
    /// Nothing: there are no probes, or none has ended. It counts as healthy.
    Unknown,
    /// Enough good ones.
    Healthy,
    /// Enough bad ones.
    Unhealthy,
}

/// Why an endpoint is as it is, and since when.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// A cause's token.
    pub cause: &'static str,
    /// For people.
    pub detail: String,
    /// When it became so.
    pub since: SystemTime,
}

/// How an endpoint failed a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// It could not be reached or trusted.
    Connect,
    /// It took the request and gave no good answer.
    Request,
}

/// An endpoint's health.
#[derive(Debug)]
pub struct Health {
    probed: AtomicU8,
    verdict: Mutex<Option<Verdict>>,
    /// Failures in a row.
    connects: AtomicU32,
    requests: AtomicU32,
    /// Ejections in a row, and in all.
    streak: AtomicU32,
    ejections: AtomicU64,
    /// Milliseconds since [`START`]: until when it is passed over, since when, and from when
    /// on its slow start counts (0: it never was away).
    until: AtomicU64,
    from: AtomicU64,
    back: AtomicU64,
}

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// This many milliseconds of the process's time, never 0.
pub(super) fn milliseconds(instant: Instant) -> u64 {
    let since = instant.saturating_duration_since(*START);
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX - 1) + 1
}

impl Health {
    /// Of an endpoint that joins a pool now, or with the pool's first endpoints.
    pub(super) fn new(joined: Option<Instant>) -> Self {
        Self {
            probed: AtomicU8::new(Probed::Unknown as u8),
            verdict: Mutex::default(),
            connects: AtomicU32::default(),
            requests: AtomicU32::default(),
            streak: AtomicU32::default(),
            ejections: AtomicU64::default(),
            until: AtomicU64::default(),
            from: AtomicU64::default(),
            back: AtomicU64::new(joined.map_or(0, milliseconds)),
        }
    }

    /// What probes said last.
    pub fn probed(&self) -> Probed {
        match self.probed.load(Relaxed) {
            1 => Probed::Healthy,
            2 => Probed::Unhealthy,
            _ => Probed::Unknown,
        }
    }

    /// Why probes say so; none before the first has ended.
    pub fn verdict(&self) -> Option<Verdict> {
        self.verdict
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Takes in what probes came to. Of the prober alone, which never runs on a worker.
    pub fn set_probed(&self, probed: Probed, verdict: Option<Verdict>) {
        *self.verdict.lock().unwrap_or_else(PoisonError::into_inner) = verdict;
        let before = self.probed.swap(probed as u8, Relaxed);
        if before == Probed::Unhealthy as u8 && probed != Probed::Unhealthy {
            self.back.store(milliseconds(Instant::now()), Relaxed);
            // It was away longer than any ejection knows.
            self.until.store(0, Relaxed);
            self.streak.store(0, Relaxed);
        }
    }

    /// Whether it is passed over for its failures.
    pub fn is_ejected(&self, now: Instant) -> bool {
        match self.until.load(Relaxed) {
            0 => false,
            until => milliseconds(now) < until,
        }
    }

    /// How long it has been ejected, and for how long still.
    pub fn ejected(&self, now: Instant) -> Option<(Duration, Duration)> {
        let (now, until) = (milliseconds(now), self.until.load(Relaxed));
        let passed = now.saturating_sub(self.from.load(Relaxed));
        let left = until.checked_sub(now).filter(|left| *left > 0)?;
        Some((Duration::from_millis(passed), Duration::from_millis(left)))
    }

    /// How often it was ejected.
    pub fn ejections(&self) -> u64 {
        self.ejections.load(Relaxed)
    }

    /// Counts a failure; true when there have been enough in a row to eject it.
    pub(super) fn failed(&self, failure: Failure, rules: &Ejection) -> bool {
        let (row, enough) = match failure {
            Failure::Connect => (&self.connects, rules.connects),
            Failure::Request => (&self.requests, rules.requests),
        };
        // A count that has wrapped has long been enough.
        let failures = row.fetch_add(1, Relaxed).saturating_add(1);
        enough > 0 && failures >= enough && !rules.time.is_zero()
    }

    /// Passes it over for a time that grows; none when it is being passed over already.
    pub(super) fn eject(&self, now: Instant, rules: &Ejection) -> Option<Duration> {
        let until = self.until.load(Relaxed);
        if until > milliseconds(now) {
            return None;
        }
        let streak = self.streak.load(Relaxed);
        let factor = 1_u32.checked_shl(streak.min(31)).unwrap_or(u32::MAX);
        let time = rules
            .time
            .saturating_mul(factor)
            .min(rules.max_time.max(rules.time));
        let end = milliseconds(now + time);
        // Of several workers that meet the same failure one ejects.
        self.until
            .compare_exchange(until, end, Relaxed, Relaxed)
            .ok()?;
        self.from.store(milliseconds(now), Relaxed);
        self.back.store(end, Relaxed);
        self.streak.store(streak.saturating_add(1), Relaxed);
        self.ejections.fetch_add(1, Relaxed);
        Some(time)
    }

    /// It could be reached.
    pub(super) fn reached(&self) {
        if self.connects.load(Relaxed) != 0 {
            self.connects.store(0, Relaxed);
        }
    }

    /// It has served. Only reads while all is well.
    pub(super) fn served(&self, now: Instant, rules: &Ejection) {
        self.reached();
        if self.requests.load(Relaxed) != 0 {
            self.requests.store(0, Relaxed);
        }
        let until = self.until.load(Relaxed);
        if until == 0 {
            return;
        }
        let now = milliseconds(now);
        if now < until {
            // It was tried as the last one left, and is back.
            self.until.store(now, Relaxed);
            self.back.store(now, Relaxed);
        } else if now - until >= millis(rules.max_time.min(rules.time.saturating_mul(8))) {
            // It has been well for long enough to be trusted as before.
            self.until.store(0, Relaxed);
            self.streak.store(0, Relaxed);
        }
    }

    /// How much of its share it gets, percent: 10 when its slow start begins, 100 when it ends.
    pub(super) fn warmth(&self, now: Instant, slow_start: Duration) -> u32 {
        const COLD: u64 = 10;
        let back = self.back.load(Relaxed);
        let window = millis(slow_start);
        if back == 0 || window == 0 {
            return 100;
        }
        let passed = milliseconds(now).saturating_sub(back);
        let percent = COLD + (100 - COLD).saturating_mul(passed) / window;
        u32::try_from(percent.min(100)).unwrap_or(100)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
