//! Values that all instances of the plugin share, on all workers and over all its versions; for
//! plugins whose sidecar has `grants = ["kv"]`. May be used at any moment, in `configure` too.
//!
//! The store is bounded by `[kv]` in the sidecar; when it is full, new entries are refused, and
//! those that are there live on. It lives as long as the gateway's process and the plugin in its
//! folder. Each call is atomic, but not two of them: count with [`increment`].
//!
//! ```
//! use std::time::Duration;
//! use witgate_sdk::{kv, testing};
//!
//! let minute = Some(Duration::from_secs(60));
//! assert_eq!(kv::increment("192.0.2.7", 1, minute)?.number, 1);
//! testing::advance(Duration::from_secs(20));
//! let counted = kv::increment("192.0.2.7", 1, minute)?;
//! assert_eq!((counted.number, counted.left), (2, Some(Duration::from_secs(40))));
//!
//! kv::set("motto", "facts in, decision out", None)?;
//! assert_eq!(kv::get("motto").as_deref(), Some(&b"facts in, decision out"[..]));
//! assert!(kv::delete("motto"));
//! # Ok::<(), kv::Refusal>(())
//! ```

use std::time::Duration;

/// What the store refuses.
///
/// ```
/// use witgate_sdk::kv::{self, Refusal};
///
/// kv::set("motto", "facts in", None)?;
/// assert_eq!(kv::increment("motto", 1, None), Err(Refusal::NotANumber));
/// # Ok::<(), Refusal>(())
/// ```
#[doc(inline)]
pub use crate::bindings::kv::Refusal;

/// What [`increment`] has made of an entry.
///
/// ```
/// let counted = witgate_sdk::kv::increment("visits", 2, None)?;
/// assert_eq!((counted.number, counted.left), (2, None));
/// # Ok::<(), witgate_sdk::kv::Refusal>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    /// The number, this increment included.
    pub number: i64,
    /// How long the entry still lives, in whole milliseconds, at least one; none when it has no
    /// end.
    pub left: Option<Duration>,
}

/// The value of a key; none when there is none, or its time is up. See [`number`] for what
/// [`increment`] has made.
///
/// ```
/// use witgate_sdk::kv;
///
/// assert_eq!(kv::get("motto"), None);
/// kv::set("motto", "facts in", None)?;
/// assert_eq!(kv::get("motto").as_deref(), Some(&b"facts in"[..]));
/// # Ok::<(), kv::Refusal>(())
/// ```
#[must_use]
pub fn get(key: &str) -> Option<Vec<u8>> {
    #[cfg(target_arch = "wasm32")]
    return crate::bindings::kv::get(key);
    #[cfg(not(target_arch = "wasm32"))]
    crate::native::world(|world| world.get(key))
}

/// The number of a key, as [`increment`] has made it; none when there is none.
///
/// ```
/// use witgate_sdk::kv;
///
/// kv::increment("visits", 3, None)?;
/// assert_eq!(kv::number("visits"), Some(3));
/// # Ok::<(), kv::Refusal>(())
/// ```
#[must_use]
pub fn number(key: &str) -> Option<i64> {
    let bytes = get(key)?;
    bytes.try_into().ok().map(i64::from_le_bytes)
}

/// Writes a value of at most 64 KiB, over any that there is. It lives so long from now; without
/// end when there is no `ttl`.
///
/// # Errors
/// [`Refusal::Full`], or [`Refusal::TooLarge`] when the key has more than 512 bytes or the value
/// too many; the entry is then as it was.
///
/// ```
/// use std::time::Duration;
/// use witgate_sdk::{kv, testing};
///
/// kv::set("motto", "facts in", Some(Duration::from_secs(1)))?;
/// testing::advance(Duration::from_secs(1));
/// assert_eq!(kv::get("motto"), None);
/// # Ok::<(), kv::Refusal>(())
/// ```
pub fn set(key: &str, value: impl AsRef<[u8]>, ttl: Option<Duration>) -> Result<(), Refusal> {
    #[cfg(target_arch = "wasm32")]
    return crate::bindings::kv::set(key, value.as_ref(), ttl.map(milliseconds));
    #[cfg(not(target_arch = "wasm32"))]
    crate::native::world(|world| world.set(key, value.as_ref(), ttl.map(milliseconds)))
}

/// Removes an entry. Returns whether there was one.
///
/// ```
/// use witgate_sdk::kv;
///
/// kv::set("motto", "facts in", None)?;
/// assert!(kv::delete("motto"));
/// assert!(!kv::delete("motto"));
/// # Ok::<(), kv::Refusal>(())
/// ```
pub fn delete(key: &str) -> bool {
    #[cfg(target_arch = "wasm32")]
    return crate::bindings::kv::delete(key);
    #[cfg(not(target_arch = "wasm32"))]
    crate::native::world(|world| world.delete(key))
}

/// Adds to a number, which is 0 where there is none, and stays at its least or greatest rather
/// than overflow. `ttl` counts only where this makes the entry: one that is there ends when it
/// was to end.
///
/// # Errors
/// As [`set`], and [`Refusal::NotANumber`] for a value that [`set`] has written.
///
/// ```
/// use witgate_sdk::kv;
///
/// assert_eq!(kv::increment("visits", 1, None)?.number, 1);
/// assert_eq!(kv::increment("visits", 5, None)?.number, 6);
/// # Ok::<(), kv::Refusal>(())
/// ```
pub fn increment(key: &str, by: i64, ttl: Option<Duration>) -> Result<Counted, Refusal> {
    #[cfg(target_arch = "wasm32")]
    let counted = crate::bindings::kv::increment(key, by, ttl.map(milliseconds))?;
    #[cfg(not(target_arch = "wasm32"))]
    let counted = crate::native::world(|world| world.increment(key, by, ttl.map(milliseconds)))?;
    Ok(Counted {
        number: counted.number,
        left: counted.left.map(Duration::from_millis),
    })
}

/// Rounded up: nothing ends before its time.
fn milliseconds(ttl: Duration) -> u64 {
    u64::try_from(ttl.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}
