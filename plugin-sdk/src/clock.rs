//! The time; for plugins whose sidecar has `grants = ["clock"]`. May be asked at any moment, in
//! `configure` too.
//!
//! In native tests the clock stands still until [`testing::advance`](crate::testing::advance) or
//! [`testing::set_time`](crate::testing::set_time) moves it:
//!
//! ```
//! use std::time::Duration;
//! use witgate_sdk::{clock, testing};
//!
//! let before = clock::monotonic();
//! testing::advance(Duration::from_secs(60));
//! assert_eq!(clock::monotonic() - before, Duration::from_secs(60));
//!
//! testing::set_time(Duration::from_secs(1_700_000_000));
//! assert_eq!(clock::since_1970().as_secs(), 1_700_000_000);
//! ```

use std::time::Duration;

/// The machine's civil time (UTC), counted from 1970. It may jump, also back: do not measure
/// durations by it.
///
/// ```
/// use std::time::Duration;
/// use witgate_sdk::{clock, testing};
///
/// testing::set_time(Duration::from_secs(1_900_000_000));
/// assert_eq!(clock::since_1970().as_secs(), 1_900_000_000);
/// ```
#[must_use]
pub fn since_1970() -> Duration {
    #[cfg(target_arch = "wasm32")]
    {
        let time = crate::bindings::clock::wall();
        Duration::new(time.seconds, time.nanoseconds)
    }
    #[cfg(not(target_arch = "wasm32"))]
    crate::native::world(|world| world.wall)
}

/// Time since a moment before the plugin was loaded; never goes back. The same for all
/// instances in one process, and of no meaning in another.
///
/// ```
/// use std::time::Duration;
/// use witgate_sdk::{clock, testing};
///
/// let since = clock::monotonic();
/// testing::advance(Duration::from_millis(5));
/// assert_eq!(clock::monotonic() - since, Duration::from_millis(5));
/// ```
#[must_use]
pub fn monotonic() -> Duration {
    #[cfg(target_arch = "wasm32")]
    return Duration::from_nanos(crate::bindings::clock::monotonic());
    #[cfg(not(target_arch = "wasm32"))]
    crate::native::world(|world| world.monotonic)
}
