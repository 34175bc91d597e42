//! Whether a plugin is called at all: one that fails every time is left alone for a while, a
//! longer one each time that it still fails afterwards.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use crate::config::Suspension;

/// The failures in a row of one plugin version on one worker.
#[derive(Debug, Default)]
pub(super) struct Failures {
    in_a_row: Cell<u32>,
    suspended: Cell<Option<Suspended>>,
}

#[derive(Debug, Clone, Copy)]
struct Suspended {
    until: Instant,
    duration: Duration,
}

/// What a failure led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AfterFailure {
    /// Calls go on.
    Called,
    /// For this long there are none.
    Suspended(Duration),
}

impl Failures {
    /// How much longer there are no calls; none when there are. The clock is read only while
    /// something is wrong.
    pub(super) fn suspended_for(&self) -> Option<Duration> {
        let suspended = self.suspended.get()?;
        let left = suspended.until.checked_duration_since(Instant::now())?;
        (!left.is_zero()).then_some(left)
    }

    /// Whether the last failure was one too many.
    pub(super) fn is_suspended(&self) -> bool {
        self.suspended.get().is_some()
    }

    /// A call came back with a decision. True when that ended a suspension.
    pub(super) fn succeeded(&self) -> bool {
        if self.in_a_row.get() == 0 {
            return false;
        }
        self.in_a_row.set(0);
        self.suspended.take().is_some()
    }

    /// A call failed.
    pub(super) fn failed(&self, rules: &Suspension) -> AfterFailure {
        let in_a_row = self.in_a_row.get().saturating_add(1);
        self.in_a_row.set(in_a_row);
        if rules.after == 0 || in_a_row < rules.after {
            return AfterFailure::Called;
        }
        let now = Instant::now();
        let duration = match self.suspended.get() {
            None => rules.first,
            // Calls that ran beside the one that suspended the plugin say nothing new.
            Some(before) if before.until > now => return AfterFailure::Called,
            Some(before) => (before.duration * 2).min(rules.longest),
        };
        let until = now + duration;
        self.suspended.set(Some(Suspended { until, duration }));
        AfterFailure::Suspended(duration)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Suspension = Suspension {
        after: 3,
        first: Duration::from_millis(1),
        longest: Duration::from_millis(3),
    };

    fn fail(failures: &Failures) -> AfterFailure {
        std::thread::sleep(failures.suspended_for().unwrap_or_default() * 2);
        failures.failed(&RULES)
    }

    #[test]
    fn only_failures_in_a_row_suspend() {
        let failures = Failures::default();
        for _ in 0..10 {
            assert_eq!(fail(&failures), AfterFailure::Called);
            assert_eq!(fail(&failures), AfterFailure::Called);
            assert!(!failures.succeeded());
        }
        assert_eq!(failures.suspended_for(), None);
    }

    #[test]
    fn each_suspension_is_twice_as_long_up_to_the_longest() {
        let failures = Failures::default();
        fail(&failures);
        fail(&failures);
        let durations = [1, 2, 3, 3].map(Duration::from_millis);
        for expected in durations {
            assert_eq!(fail(&failures), AfterFailure::Suspended(expected));
        }
        assert!(failures.succeeded());
        assert_eq!(fail(&failures), AfterFailure::Called);
    }

    #[test]
    fn zero_never_suspends() {
        let never = Suspension { after: 0, ..RULES };
        let failures = Failures::default();
        assert!((0..100).all(|_| failures.failed(&never) == AfterFailure::Called));
    }
}
