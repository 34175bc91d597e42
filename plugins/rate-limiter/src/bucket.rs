//! A token bucket that is exact over all workers, out of nothing but atomic increments. Time has
//! steps, and each step brings some tokens; those of the last steps, as many as the bucket holds,
//! are there to be taken. A token is taken by counting a step's up: who gets a number beyond the
//! step's tokens has taken none, and spoils nothing for others. So no count is ever taken back,
//! and two who come at the same moment never get the same token.

use std::time::Duration;

use witgate_sdk::kv::{self, Refusal};

/// Steps whose tokens the bucket holds: the finer, the more counters each client has.
const MOST_STEPS: u64 = 10;
/// When the clock began: an entry that ends in a hundred years tells how long it has lived.
const CLOCK: &str = "clock";
const CENTURY: Duration = Duration::from_secs(100 * 365 * 86_400);
/// A counter outlives its step by so much, so that rounded milliseconds never bring tokens back.
const MARGIN: Duration = Duration::from_secs(1);

/// How many, and how fast more come.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bucket {
    /// Tokens that it holds.
    pub(crate) burst: u64,
    /// Tokens that come in so many `seconds`.
    pub(crate) requests: u64,
    /// See `requests`.
    pub(crate) seconds: u64,
}

impl Bucket {
    /// Begins the clock, where it has not begun.
    pub(crate) fn begin() {
        // Where there is no room for it there is none for clients, who are told so.
        let _ = elapsed();
    }

    /// Takes a token of this client. Returns how long until one comes, where there is none.
    pub(crate) fn take(&self, client: &str) -> Result<Result<(), Duration>, Refusal> {
        let now = elapsed()?;
        let newest = self.step_at(now);
        for step in newest - (self.steps() - 1)..=newest {
            let ends = self.start_of(step + self.steps());
            let ttl = ends.saturating_sub(now) + MARGIN;
            let Self {
                burst,
                requests,
                seconds,
            } = self;
            let key = format!("{burst} {requests}/{seconds} {step} {client}");
            let taken = kv::increment(&key, 1, Some(ttl))?.number;
            if u64::try_from(taken).is_ok_and(|taken| taken <= self.tokens_of(step)) {
                return Ok(Ok(()));
            }
        }
        Ok(Err(self.start_of(newest + 1).saturating_sub(now)))
    }

    fn steps(&self) -> u64 {
        self.burst.min(MOST_STEPS)
    }

    /// The step at a time. The first ones lie before the clock began: a bucket is full at first.
    fn step_at(&self, now: Duration) -> u64 {
        let tokens = now.as_millis() * u128::from(self.requests * self.steps());
        let step = tokens / (1000 * u128::from(self.seconds * self.burst));
        u64::try_from(step).unwrap_or(u64::MAX / 2) + self.steps()
    }

    /// The first millisecond of a step.
    fn start_of(&self, step: u64) -> Duration {
        let since = u128::from(step.saturating_sub(self.steps()));
        let milliseconds = (since * 1000 * u128::from(self.seconds * self.burst))
            .div_ceil(u128::from(self.requests * self.steps()));
        Duration::from_millis(u64::try_from(milliseconds).unwrap_or(u64::MAX))
    }

    /// Of as many steps in a row as the bucket holds the tokens are as many as it holds.
    fn tokens_of(&self, step: u64) -> u64 {
        let (place, steps) = (step % self.steps(), self.steps());
        (place + 1) * self.burst / steps - place * self.burst / steps
    }
}

/// Since the clock began, for all workers alike.
fn elapsed() -> Result<Duration, Refusal> {
    let clock = kv::increment(CLOCK, 0, Some(CENTURY))?;
    Ok(CENTURY.saturating_sub(clock.left.unwrap_or(CENTURY)))
}
