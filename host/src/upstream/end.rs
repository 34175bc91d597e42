//! When a connection is too old for another request, since a certificate that it was opened with
//! has ended. A new connection tells then whether there is a newer one.

use std::time::{Duration, Instant, SystemTime};

/// The first moment without new requests; counted on the clock that requests look at anyway.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct End(Option<Instant>);

impl End {
    /// Of a connection between these certificates, by their last seconds. An own one that is over
    /// already does not count: the endpoint has taken it, or has not asked for it.
    pub(super) fn of(
        endpoint: Option<SystemTime>,
        own: Option<SystemTime>,
        now: (Instant, SystemTime),
    ) -> Self {
        let (now, wall) = now;
        let left = |last: SystemTime| {
            let over = last.checked_add(Duration::from_secs(1))?;
            Some(over.duration_since(wall).unwrap_or_default())
        };
        let own = own.and_then(left).filter(|left| !left.is_zero());
        let first = endpoint.and_then(left).into_iter().chain(own).min();
        Self(first.and_then(|left| now.checked_add(left)))
    }

    /// Whether it gets no other request.
    pub(super) fn is_over(self, now: Instant) -> bool {
        self.0.is_some_and(|end| end <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// What is over after so many seconds.
    fn over_after(endpoint: Option<u32>, own: Option<u32>) -> Option<u32> {
        let (now, wall) = (Instant::now(), SystemTime::UNIX_EPOCH + 1000 * SECOND);
        let at = |last: Option<u32>| last.map(|last| SystemTime::UNIX_EPOCH + last * SECOND);
        let end = End::of(at(endpoint), at(own), (now, wall));
        (0..100).find(|seconds| end.is_over(now + *seconds * SECOND))
    }

    #[test]
    fn the_certificate_that_ends_first_counts_and_its_last_second_is_its_own() {
        assert_eq!(over_after(Some(1005), None), Some(6));
        assert_eq!(over_after(Some(1005), Some(1003)), Some(4));
        assert_eq!(over_after(Some(1005), Some(1008)), Some(6));
        assert_eq!(over_after(None, None), None);
    }

    #[test]
    fn what_was_over_at_the_start_counts_of_the_endpoint_alone() {
        assert_eq!(over_after(Some(900), None), Some(0));
        assert_eq!(over_after(Some(1005), Some(900)), Some(6));
    }
}
