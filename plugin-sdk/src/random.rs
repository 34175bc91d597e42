//! Random numbers that nobody can predict; for plugins whose sidecar has `grants = ["random"]`.
//! May be asked at any moment, in `configure` too.
//!
//! In native tests they are the same in each run, and others after
//! [`testing::seed`](crate::testing::seed):
//!
//! ```
//! use witgate_sdk::{random, testing};
//!
//! testing::seed(1);
//! let first = random::number();
//! assert_ne!(random::number(), first);
//! testing::seed(1);
//! assert_eq!(random::number(), first);
//!
//! assert!(random::below(6) < 6);
//! let key: [u8; 32] = random::array();
//! # let _ = key;
//! ```

/// Most bytes that the gateway gives in one call.
const MOST: usize = 65_536;

/// So many random bytes.
///
/// ```
/// assert_eq!(witgate_sdk::random::bytes(20).len(), 20);
/// ```
#[must_use]
pub fn bytes(length: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(length);
    while bytes.len() < length {
        bytes.extend(some((length - bytes.len()).min(MOST)));
    }
    bytes
}

/// Random bytes as an array: a key, a token.
///
/// ```
/// let key: [u8; 32] = witgate_sdk::random::array();
/// assert_ne!(key, [0; 32]);
/// ```
#[must_use]
pub fn array<const N: usize>() -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes(N));
    array
}

/// A random number of all that there are.
///
/// ```
/// use witgate_sdk::{random, testing};
///
/// testing::seed(7);
/// let first = random::number();
/// testing::seed(7);
/// assert_eq!(random::number(), first);
/// ```
#[must_use]
pub fn number() -> u64 {
    #[cfg(target_arch = "wasm32")]
    return crate::bindings::random::number();
    #[cfg(not(target_arch = "wasm32"))]
    crate::native::world(crate::native::World::random)
}

/// A random number below `end`, each as likely as any other; 0 when `end` is 0.
///
/// ```
/// assert!(witgate_sdk::random::below(6) < 6);
/// assert_eq!(witgate_sdk::random::below(0), 0);
/// ```
#[must_use]
pub fn below(end: u64) -> u64 {
    if end == 0 {
        return 0;
    }
    // What is left of all numbers behind the last whole multiple of `end` would make some of
    // them likelier.
    let multiple = u64::MAX - u64::MAX % end;
    loop {
        let number = number();
        if number < multiple {
            return number % end;
        }
    }
}

/// At most [`MOST`].
fn some(length: usize) -> Vec<u8> {
    #[cfg(target_arch = "wasm32")]
    return crate::bindings::random::bytes(u32::try_from(length).unwrap_or(0));
    #[cfg(not(target_arch = "wasm32"))]
    std::iter::repeat_with(number)
        .flat_map(u64::to_le_bytes)
        .take(length)
        .collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn numbers_below_an_end_are_spread() {
        crate::testing::seed(7);
        let mut seen = [0; 3];
        for _ in 0..3000 {
            seen[usize::try_from(super::below(3)).unwrap_or(3)] += 1;
        }
        assert!(
            seen.iter().all(|times| (900..1100).contains(times)),
            "{seen:?}"
        );
        assert_eq!(super::below(0), 0);
    }

    #[test]
    fn as_many_bytes_as_wanted() {
        for length in [0, 7, 70_000] {
            assert_eq!(super::bytes(length).len(), length);
        }
    }
}
