//! `limits` of a pool: how much each of its endpoints may have at a time, and who may wait.

use std::{ops::RangeInclusive, time::Duration};

use super::{check::Check, raw};

/// How much each endpoint may have at a time, over all workers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointLimits {
    /// Requests that run. Default: no limit.
    pub requests: Option<u32>,
    /// Connections, used or not. Default: no limit.
    pub connections: Option<u32>,
    /// Requests that wait for one of either. Default 100.
    pub queue: u32,
    /// How long they wait. Default 1 s.
    pub queue_timeout: Duration,
}

const SLOTS: RangeInclusive<i64> = 1..=1_000_000;
const QUEUE: RangeInclusive<i64> = 0..=1_000_000;
const WAITS: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_hours(1);

impl Check<'_> {
    pub(super) fn endpoint_limits(
        &mut self,
        key: &str,
        raw: raw::EndpointLimits,
    ) -> EndpointLimits {
        let at = |name: &str| format!("{key}.{name}");
        let mut slots = |name: &str, raw: Option<i64>| {
            let slots = self.count(&at(name), Some(raw?), SLOTS, 1);
            Some(slots)
        };
        let requests = slots("requests", raw.requests);
        let connections = slots("connections", raw.connections);
        EndpointLimits {
            requests,
            connections,
            queue: self.count(&at("queue"), raw.queue, QUEUE, 100),
            queue_timeout: self.duration(
                &at("queue_timeout"),
                raw.queue_timeout.as_ref(),
                WAITS,
                Duration::from_secs(1),
            ),
        }
    }
}
