//! Which endpoints of a pool may be chosen, and what a failure does to that.

use std::time::Instant;

use super::{Drain, Failure, Pool, Probed};

/// An endpoint as operators see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndpointState {
    /// Probes say so.
    Healthy,
    /// No probe has ended, or there are none.
    Unprobed,
    /// Probes say so.
    Unhealthy,
    /// It failed requests and is passed over for a time.
    Ejected,
    /// It gets no new session.
    Draining,
}

impl EndpointState {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Healthy,
        Self::Unprobed,
        Self::Unhealthy,
        Self::Ejected,
        Self::Draining,
    ];

    /// `healthy`, and so on.
    pub fn token(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Unprobed => "unprobed",
            Self::Unhealthy => "unhealthy",
            Self::Ejected => "ejected",
            Self::Draining => "draining",
        }
    }
}

/// What counts at one choice: the time, and whether probes do.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    pub(super) now: Instant,
    /// So many are unhealthy that probes are more likely to be wrong than all of them to be.
    panics: bool,
}

impl Pool {
    pub(super) fn look(&self, now: Instant) -> Look {
        Look {
            now,
            panics: self.panics(),
        }
    }

    fn panics(&self) -> bool {
        let threshold = usize::from(self.fitness.panic_threshold);
        if threshold == 0 {
            return false;
        }
        let takes = self.endpoints.iter().zip(&self.weights);
        let takes = takes.filter(|(_, weight)| **weight > 0);
        let (mut all, mut healthy) = (0, 0);
        for (endpoint, _) in takes {
            all += 1;
            healthy += usize::from(endpoint.health.probed() != Probed::Unhealthy);
        }
        healthy * 100 < all * threshold
    }

    /// Whether a request may be tried on it at all.
    pub(super) fn serves(&self, index: usize, look: Look) -> bool {
        let gone = matches!(self.drains.get(index), Some(Drain::Leaves(at)) if *at <= look.now);
        let endpoint = self.endpoints.get(index).filter(|_| !gone);
        endpoint
            .is_some_and(|endpoint| look.panics || endpoint.health.probed() != Probed::Unhealthy)
    }

    /// Whether it may be chosen while there are others.
    pub(super) fn is_fit(&self, index: usize, look: Look) -> bool {
        self.serves(index, look)
            && self
                .endpoints
                .get(index)
                .is_some_and(|endpoint| !endpoint.health.is_ejected(look.now))
    }

    /// Whether a request need not wait for its turn there.
    pub(super) fn has_room(&self, index: usize) -> bool {
        match (self.limits.requests, self.endpoints.get(index)) {
            (Some(limit), Some(endpoint)) => endpoint.requests.has_room(limit),
            _ => true,
        }
    }

    /// Its share of new sessions, hundredths of its weight while it starts slowly.
    pub(super) fn share(&self, index: usize, weight: u16, now: Instant) -> u32 {
        let warmth = self.endpoints.get(index).map_or(100, |endpoint| {
            endpoint.health.warmth(now, self.fitness.slow_start)
        });
        u32::from(weight) * warmth
    }

    /// The state of the endpoint at this place.
    pub fn state(&self, index: usize, now: Instant) -> EndpointState {
        let Some(endpoint) = self.endpoints.get(index) else {
            return EndpointState::Unprobed;
        };
        match (self.drains.get(index), endpoint.health.probed()) {
            (Some(Drain::Marked | Drain::Leaves(_)), _) => EndpointState::Draining,
            (_, Probed::Unhealthy) => EndpointState::Unhealthy,
            _ if endpoint.health.is_ejected(now) => EndpointState::Ejected,
            (_, Probed::Healthy) => EndpointState::Healthy,
            (_, Probed::Unknown) => EndpointState::Unprobed,
        }
    }

    /// Whether the endpoint at this place may be chosen now.
    pub fn is_available(&self, index: usize, now: Instant) -> bool {
        self.is_fit(index, self.look(now))
    }

    /// Takes in that a connection to it was made and trusted.
    pub fn reached(&self, index: usize) {
        if let Some(endpoint) = self.endpoints.get(index) {
            endpoint.health.reached();
        }
    }

    /// Takes in that it has answered with this status.
    pub fn answered(&self, index: usize, status: u16, now: Instant) {
        let rules = &self.fitness.ejection;
        if rules.statuses.contains(status) {
            self.failed(index, Failure::Request, now);
        } else if let Some(endpoint) = self.endpoints.get(index) {
            endpoint.health.served(now, rules);
        }
    }

    /// Takes in that it has failed a request, and passes it over for a time when that was once
    /// too often.
    pub fn failed(&self, index: usize, failure: Failure, now: Instant) {
        let rules = &self.fitness.ejection;
        let Some(endpoint) = self.endpoints.get(index) else {
            return;
        };
        if !endpoint.health.failed(failure, rules)
            || (failure == Failure::Request && !self.may_eject_another(now))
        {
            return;
        }
        if let Some(time) = endpoint.health.eject(now, rules) {
            tracing::warn!(
                pool = self.name,
                endpoint = endpoint.key.id,
                for_ms = time.as_millis(),
                failure = match failure {
                    Failure::Connect => "connect",
                    Failure::Request => "request",
                },
                "endpoint is ejected"
            );
        }
    }

    /// What cannot be reached is no loss, but what answers badly may be better than nothing:
    /// the load of those that are out falls on those that are left.
    fn may_eject_another(&self, now: Instant) -> bool {
        let ejected = |endpoint: &&std::sync::Arc<super::Endpoint>| endpoint.health.is_ejected(now);
        let out = self.endpoints.iter().filter(ejected).count();
        let share = usize::from(self.fitness.ejection.max_share);
        out < (self.endpoints.len() * share).div_ceil(100).max(1)
    }
}

#[cfg(test)]
mod tests;
