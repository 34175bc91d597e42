//! Whether a request is tried again, and where. It is sent a second time only when nothing of
//! the first was sent, or when it is idempotent and its body can be sent again; never once an
//! answer is on its way to the client; and never beyond the pool's budget.

use std::time::Instant;

use http::StatusCode;

use super::attempt::{Failed, Next, Sending};
use crate::{
    config::RetryOn,
    error::UpstreamError,
    local::LocalPool,
    pool::{Choice, Wanted},
};

/// The tries of one request.
pub(super) struct Tries<'a> {
    local: &'a LocalPool,
    worker: usize,
    wanted: Wanted,
    /// Endpoints that have failed, the last one last.
    failed: Vec<usize>,
    /// Tries so far, with the one that runs.
    count: u32,
}

/// Which further try a failure allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Again {
    /// None.
    Never,
    /// There was no room: another endpoint may have some. Nothing was tried that would count.
    ElsewhereForFree,
    /// On another endpoint.
    Elsewhere,
    /// On another endpoint if there is one, else on the same.
    Anywhere,
}

impl<'a> Tries<'a> {
    /// None yet.
    pub(super) fn new(local: &'a LocalPool, worker: usize, wanted: Wanted) -> Self {
        Self {
            local,
            worker,
            wanted,
            failed: Vec::new(),
            count: 0,
        }
    }

    /// Where the request is tried first; none when no endpoint will do.
    pub(super) fn first(&mut self) -> Option<Choice> {
        let now = Instant::now();
        self.local.budget.earn(now);
        self.count = 1;
        self.choose(&[], now)
    }

    /// What this failure allows.
    pub(super) fn after(&self, failed: &Failed, sending: &Sending) -> Again {
        match failed.next {
            Next::Room if sending.is_replayable() => Again::ElsewhereForFree,
            Next::OtherEndpoint | Next::NewConnection if sending.is_replayable() => {
                Again::Elsewhere
            }
            Next::Raced | Next::Repeat
                if sending.is_repeatable() && self.is_listed(&failed.error) =>
            {
                Again::Anywhere
            }
            _ => Again::Never,
        }
    }

    /// What an answer of this status allows.
    pub(super) fn after_answer(&self, status: StatusCode, sending: &Sending) -> Again {
        let statuses = &self.local.running.pool.retries.statuses;
        match statuses.contains(status.as_u16()) && sending.is_repeatable() {
            true => Again::Anywhere,
            false => Again::Never,
        }
    }

    /// Where the request is tried next, after it has failed at the endpoint `at`; none when it
    /// may not be tried again, or nowhere.
    pub(super) fn next(&mut self, again: Again, at: usize) -> Option<Choice> {
        if again == Again::Never || self.count >= self.local.running.pool.retries.tries {
            return None;
        }
        self.failed.push(at);
        let now = Instant::now();
        let elsewhere = self.choose(&self.failed, now);
        let choice = match again {
            Again::Anywhere => elsewhere
                .or_else(|| self.choose(&[at], now))
                .or_else(|| self.choose(&[], now)),
            _ => elsewhere,
        }?;
        if again == Again::ElsewhereForFree {
            self.count += 1;
            return Some(choice);
        }
        self.claim().then_some(choice)
    }

    /// Whether a request that was sent on an idle connection, which ended before an answer
    /// began, may be sent once more on a new one.
    pub(super) fn after_race(&mut self, failed: &Failed, sending: &Sending) -> bool {
        failed.next == Next::Raced && sending.is_repeatable() && self.once_more()
    }

    /// Whether a request of the gateway's own that met the end of an idle connection may be sent
    /// once more.
    pub(super) fn once_more(&mut self) -> bool {
        self.count < self.local.running.pool.retries.tries && self.claim()
    }

    /// Takes a retry from the budget.
    fn claim(&mut self) -> bool {
        let pool = &self.local.running.pool;
        let granted = self.local.budget.spend(&pool.retries, Instant::now());
        let counters = pool.retried.of(self.worker);
        match granted {
            true => counters.made.add(1),
            false => counters.refused.add(1),
        }
        self.count += u32::from(granted);
        granted
    }

    fn is_listed(&self, error: &UpstreamError) -> bool {
        let failure = match error {
            UpstreamError::Closed => RetryOn::Closed,
            UpstreamError::FirstByteTimeout(_) => RetryOn::FirstByteTimeout,
            _ => return false,
        };
        self.local.running.pool.retries.on.contains(&failure)
    }

    fn choose(&self, but: &[usize], now: Instant) -> Option<Choice> {
        let pool = &self.local.running.pool;
        self.local.balancer.choose(pool, self.wanted, but, now)
    }
}
