//! How long a body is waited for: between two of its frames, at which rate, and until when.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use tokio::time::Sleep;

/// Waits for the frames of a body. A body that never waits never touches the runtime's timers.
#[derive(Debug)]
pub(super) struct Patience {
    idle: Duration,
    /// Bytes that must come for each second of waiting; 0 for any number.
    min_rate: u64,
    sleep: Option<Pin<Box<Sleep>>>,
    /// Whether a frame came since the timer was set; and, with a rate, how much came, how long
    /// it was waited for, and since when it is.
    moved: bool,
    /// Frames of both directions when it was looked at last.
    frames: u64,
    bytes: u64,
    waited: Duration,
    since: Option<Instant>,
}

/// Why it is not waited any longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    /// Nothing came for the whole timeout.
    Idle,
    /// What came was too little.
    Slow,
}

impl Patience {
    /// Waits for at most `idle` at a time.
    pub(super) fn new(idle: Duration, min_rate: u64) -> Self {
        Self {
            idle,
            min_rate,
            sleep: None,
            moved: false,
            frames: 0,
            bytes: 0,
            waited: Duration::ZERO,
            since: None,
        }
    }

    pub(super) fn idle(&self) -> Duration {
        self.idle
    }

    pub(super) fn min_rate(&self) -> u64 {
        self.min_rate
    }

    /// Any rate will do from now on.
    pub(super) fn forgive(&mut self) {
        self.min_rate = 0;
    }

    /// So many bytes came.
    pub(super) fn progress(&mut self, bytes: usize) {
        self.moved = true;
        self.bytes += bytes as u64;
        if let Some(since) = self.since.take() {
            self.waited += since.elapsed();
        }
    }

    /// Ready when nothing came for the whole timeout, in neither direction as the number of
    /// frames says, or too little. A timer that is set is not
    /// moved with every frame but when it fires, so that a stream costs one timer entry per
    /// timeout; a wait may thus last up to twice as long.
    pub(super) fn poll_over(&mut self, cx: &mut Context<'_>, frames: u64) -> Poll<Over> {
        self.moved |= std::mem::replace(&mut self.frames, frames) != frames;
        if self.min_rate > 0 {
            self.since.get_or_insert_with(Instant::now);
        }
        let idle = self.idle;
        let sleep = self
            .sleep
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(idle)));
        loop {
            ready!(sleep.as_mut().poll(cx));
            if !std::mem::take(&mut self.moved) {
                return Poll::Ready(Over::Idle);
            }
            let waiting = self.since.replace(Instant::now());
            let waited =
                std::mem::take(&mut self.waited) + waiting.map_or(Duration::ZERO, |s| s.elapsed());
            let bytes = std::mem::take(&mut self.bytes);
            if is_slow(bytes, waited, idle, self.min_rate) {
                return Poll::Ready(Over::Slow);
            }
            sleep.as_mut().reset(tokio::time::Instant::now() + idle);
        }
    }
}

/// Whether so few bytes came in the time that was spent on waiting. What was waited for less
/// than half of the timeout was held up by somebody else.
fn is_slow(bytes: u64, waited: Duration, idle: Duration, min_rate: u64) -> bool {
    waited * 2 >= idle && (bytes as f64) < min_rate as f64 * waited.as_secs_f64()
}

/// The end of a request's time.
#[derive(Debug)]
pub struct Deadline {
    /// When it is.
    pub at: Instant,
    /// How long it was, from the request's head.
    pub limit: Duration,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Deadline {
    /// So long after `begun`.
    pub fn new(begun: Instant, limit: Duration) -> Self {
        Self {
            at: begun + limit,
            limit,
            sleep: None,
        }
    }

    pub(super) fn has_passed(&self) -> bool {
        Instant::now() >= self.at
    }

    pub(super) fn poll_passed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let at = self.at.into();
        let sleep = self
            .sleep
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(at)));
        sleep.as_mut().poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn only_time_spent_on_waiting_counts() {
        assert!(is_slow(99, SECOND, SECOND, 100));
        assert!(!is_slow(100, SECOND, SECOND, 100));
        assert!(
            !is_slow(1, SECOND / 3, SECOND, 100),
            "it was hardly waited for"
        );
        assert!(!is_slow(1, SECOND, SECOND, 0), "any rate will do");
    }

    #[tokio::test]
    async fn a_trickle_is_over_at_the_timeout_and_a_stream_is_not() {
        let idle = Duration::from_millis(50);
        let mut patience = Patience::new(idle, 1000);
        patience.progress(1);
        assert_eq!(poll_fn(|cx| patience.poll_over(cx, 0)).await, Over::Slow);
        let mut patience = Patience::new(idle, 1000);
        patience.progress(1000);
        // Nothing more comes: not slow, but silent.
        assert_eq!(poll_fn(|cx| patience.poll_over(cx, 0)).await, Over::Idle);
    }
}
