//! One server of a pool, with what all workers know of it.

use std::{
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use crate::metrics::{EndpointCounters, PerWorker};

/// What makes an endpoint the same one after a reload.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EndpointKey {
    /// Its pool's name.
    pub pool: String,
    /// Its id in the pool.
    pub id: String,
    /// DNS name or IP address.
    pub host: String,
    /// 1 to 65535.
    pub port: u16,
}

/// An endpoint; lives as long as a snapshot names it.
#[derive(Debug)]
pub struct Endpoint {
    /// Its identity.
    pub key: EndpointKey,
    /// What its connections did.
    pub counters: PerWorker<EndpointCounters>,
    /// Milliseconds since [`START`] until which it is passed over.
    ejected_until: AtomicU64,
    /// When its last failure was logged, milliseconds since [`START`], and of which kind.
    reported: AtomicU64,
}

/// A failure of the same kind is logged again after this many milliseconds.
const REPORT_INTERVAL: u64 = 1000;

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

impl Endpoint {
    /// A healthy endpoint.
    pub fn new(key: EndpointKey, workers: usize) -> Self {
        Self {
            key,
            counters: PerWorker::new(workers),
            ejected_until: AtomicU64::new(0),
            reported: AtomicU64::new(0),
        }
    }

    /// Passes it over for this long, on all workers.
    pub fn eject(&self, now: Instant, duration: Duration) {
        self.ejected_until
            .store(milliseconds(now + duration), Ordering::Relaxed);
    }

    /// Takes it back at once, since it has served.
    pub fn restore(&self) {
        if self.ejected_until.load(Ordering::Relaxed) != 0 {
            self.ejected_until.store(0, Ordering::Relaxed);
        }
    }

    /// Whether a failure of this kind (below 256) may be logged: each new kind at once, the
    /// same again once a second, since an endpoint that is down fails with every request.
    pub fn may_report(&self, kind: usize) -> bool {
        let now = milliseconds(Instant::now()) + REPORT_INTERVAL;
        let last = self.reported.load(Ordering::Relaxed);
        let kind = kind as u64 & 0xff;
        let due = last & 0xff != kind || now.saturating_sub(last >> 8) >= REPORT_INTERVAL;
        if due {
            self.reported.store(now << 8 | kind, Ordering::Relaxed);
        }
        due
    }

    /// Requests that it has and that have not ended, of all workers.
    pub fn running(&self) -> u64 {
        // Workers are read one after the other: a sum below 0 is one that has just ended.
        let sum = self.counters.sum(|each| each.running.get());
        u64::try_from(sum.cast_signed()).unwrap_or(0)
    }

    /// Whether it may be chosen.
    pub fn is_available(&self, now: Instant) -> bool {
        match self.ejected_until.load(Ordering::Relaxed) {
            0 => true,
            until => milliseconds(now) >= until,
        }
    }
}

fn milliseconds(instant: Instant) -> u64 {
    u64::try_from(instant.saturating_duration_since(*START).as_millis()).unwrap_or(u64::MAX)
}
