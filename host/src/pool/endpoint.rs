//! One server of a pool, with what all workers know of it.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use super::{
    Full, Slots,
    health::{Health, milliseconds},
};
use crate::metrics::{Counter, EndpointCounters, PerWorker};

/// What makes an endpoint the same one after a reload.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EndpointKey {
    /// Its pool's name.
    pub pool: String,
    /// Its id in the pool.
    pub id: String,
    /// DNS name or IP address, as configured.
    pub host: String,
    /// Where it is reached: what `host` is, or one of the addresses that it has.
    pub address: SocketAddr,
}

/// An endpoint; lives as long as a snapshot names it.
#[derive(Debug)]
pub struct Endpoint {
    /// Its identity.
    pub key: EndpointKey,
    /// What its connections did.
    pub counters: PerWorker<EndpointCounters>,
    /// Whether it is fit.
    pub health: Health,
    /// Requests that it has, where its pool limits them.
    pub requests: Slots,
    /// Connections to it, where its pool limits them.
    pub connections: Slots,
    /// What its probes came to.
    pub probes: Probes,
    /// When its last failure was logged, milliseconds, and of which kind.
    reported: AtomicU64,
}

/// A failure of the same kind is logged again after this many milliseconds.
const REPORT_INTERVAL: u64 = 1000;

impl Endpoint {
    /// An endpoint of which nothing bad is known. With the time at which it `joined` a pool
    /// that was there before it, its slow start begins.
    pub fn new(key: EndpointKey, workers: usize, joined: Option<Instant>) -> Self {
        Self {
            key,
            counters: PerWorker::new(workers),
            health: Health::new(joined),
            requests: Slots::default(),
            connections: Slots::default(),
            probes: Probes::default(),
            reported: AtomicU64::new(0),
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
}

/// A connection among those that an endpoint may have.
#[derive(Debug)]
pub struct ConnectionPermit(Arc<Endpoint>);

impl ConnectionPermit {
    /// As [`Slots::take`] of the endpoint's connections.
    pub async fn take(
        endpoint: &Arc<Endpoint>,
        limit: u32,
        queue: u32,
        time: Duration,
    ) -> Result<Self, Full> {
        endpoint.connections.take(limit, queue, time).await?;
        Ok(Self(Arc::clone(endpoint)))
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.0.connections.give_back();
    }
}

/// Counts of probes, which one task writes.
#[derive(Debug, Default)]
pub struct Probes {
    /// As they must be.
    pub good: Counter,
    /// All others.
    pub bad: Counter,
}

impl Probes {
    /// Counts one.
    pub fn count(&self, good: bool) {
        let counter = if good { &self.good } else { &self.bad };
        counter.add(1);
    }
}
