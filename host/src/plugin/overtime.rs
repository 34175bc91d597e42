//! How much of a worker's time the calls of one plugin may take once they have used up their
//! first slice, all together: without a bound, a plugin that loops for some requests takes most
//! of the worker from all others, however short its deadline.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use super::ticker::Ticker;

/// Overtime that may at least be taken at once after a time without any.
const BURST: Duration = Duration::from_millis(200);

/// The overtime of one plugin version on one worker: a leaky bucket that holds [`BURST`], or
/// one call that lasts until its deadline.
#[derive(Debug)]
pub(super) struct Overtime {
    began: Instant,
    percent: u8,
    burst: u64,
    ticker: Option<Ticker>,
    /// When all that was taken will have leaked away, nanoseconds since `began`. Only its worker
    /// writes it.
    empty_at: AtomicU64,
}

impl Overtime {
    /// Nothing has been taken.
    pub(super) fn new(percent: u8, deadline: Duration, ticker: Option<Ticker>) -> Self {
        Self {
            ticker,
            began: Instant::now(),
            percent,
            burst: nanoseconds(deadline.max(BURST)),
            empty_at: AtomicU64::new(0),
        }
    }

    /// What share of the worker's time it may be, percent.
    pub(super) fn percent(&self) -> u8 {
        self.percent
    }

    /// Whether a call may go on after a slice, until it has used up another.
    pub(super) fn is_left(&self, now: Instant) -> bool {
        let full = self.burst.saturating_mul(100) / u64::from(self.percent.max(1));
        let empty_at = self.empty_at.load(Ordering::Relaxed);
        self.percent == 100
            || (self.percent > 0 && empty_at.saturating_sub(self.since_began(now)) < full)
    }

    /// Has the engine's clock tick early.
    pub(super) fn tick_soon(&self) {
        if let Some(ticker) = &self.ticker {
            ticker.soon();
        }
    }

    /// A call has taken this much.
    pub(super) fn take(&self, time: Duration, now: Instant) {
        let leaks_for = nanoseconds(time).saturating_mul(100) / u64::from(self.percent.max(1));
        let empty_at = self.empty_at.load(Ordering::Relaxed);
        let from = empty_at.max(self.since_began(now));
        self.empty_at
            .store(from.saturating_add(leaks_for), Ordering::Relaxed);
    }

    fn since_began(&self, now: Instant) -> u64 {
        nanoseconds(now.saturating_duration_since(self.began))
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLICE: Duration = Duration::from_millis(2);

    /// Slices that are granted at one moment.
    fn granted(overtime: &Overtime, now: Instant) -> usize {
        let grant = |_: &usize| {
            let left = overtime.is_left(now);
            if left {
                overtime.take(SLICE, now);
            }
            left
        };
        (0..10_000).take_while(grant).count()
    }

    #[test]
    fn what_is_taken_comes_back_at_the_rate_that_is_allowed() {
        let overtime = Overtime::new(5, SLICE, None);
        let start = Instant::now();
        let burst = granted(&overtime, start);
        assert_eq!(burst, 100, "200 ms in slices of 2 ms");
        let later = start + Duration::from_secs(1);
        assert_eq!(granted(&overtime, later), 25, "5 % of a second");
        let much_later = start + Duration::from_hours(1);
        assert_eq!(granted(&overtime, much_later), burst, "no more is saved up");
    }

    #[test]
    fn none_and_all_are_what_they_say() {
        let now = Instant::now();
        assert_eq!(granted(&Overtime::new(0, SLICE, None), now), 0);
        assert_eq!(granted(&Overtime::new(100, SLICE, None), now), 10_000);
    }
}
