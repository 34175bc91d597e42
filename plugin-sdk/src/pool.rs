//! A pool as affinity plugins see it.

#[cfg(target_arch = "wasm32")]
use crate::guest::RawPool as Raw;
#[cfg(not(target_arch = "wasm32"))]
use crate::native::RawPool as Raw;

/// A pool of endpoints, as configured.
///
/// In native tests a pool is built:
///
/// ```
/// use witgate_sdk::Pool;
///
/// let pool = Pool::named("web").endpoint("10.0.0.4:443").endpoint("b").generation(3).build();
/// assert_eq!(pool.name(), "web");
/// assert_eq!(pool.endpoints(), ["10.0.0.4:443", "b"]);
/// assert_eq!(pool.generation(), 3);
/// ```
#[derive(Debug)]
#[cfg_attr(not(target_arch = "wasm32"), derive(Clone, PartialEq, Eq))]
pub struct Pool {
    pub(crate) raw: Raw,
}

impl Pool {
    /// Its name in the configuration.
    ///
    /// ```
    /// use witgate_sdk::Pool;
    ///
    /// assert_eq!(Pool::named("web").build().name(), "web");
    /// ```
    #[must_use]
    pub fn name(&self) -> String {
        self.raw.name()
    }

    /// Changes whenever the list of endpoints does, and differs between pools, so that a plugin
    /// may keep what it derived from the list.
    ///
    /// ```
    /// use witgate_sdk::Pool;
    ///
    /// let pool = Pool::named("web").generation(7).build();
    /// assert_eq!(pool.generation(), 7);
    /// ```
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.raw.generation()
    }

    /// The ids of all endpoints, in configuration order, healthy or not.
    ///
    /// ```
    /// use witgate_sdk::Pool;
    ///
    /// let pool = Pool::named("web").endpoint("a").endpoint("b").build();
    /// assert_eq!(pool.endpoints(), ["a", "b"]);
    /// ```
    #[must_use]
    pub fn endpoints(&self) -> Vec<String> {
        self.raw.endpoints()
    }
}
