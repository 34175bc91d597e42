//! A built pool.

use crate::Pool;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RawPool {
    name: String,
    generation: u64,
    endpoints: Vec<String>,
}

impl RawPool {
    pub(crate) fn name(&self) -> String {
        self.name.clone()
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    pub(crate) fn endpoints(&self) -> Vec<String> {
        self.endpoints.clone()
    }
}

/// Builds a [`Pool`] for a test.
///
/// ```
/// use witgate_sdk::Pool;
///
/// let pool = Pool::named("web").endpoint("a").endpoint("b").build();
/// assert_eq!(pool.endpoints(), ["a", "b"]);
/// ```
#[derive(Debug, Clone)]
pub struct PoolBuilder(RawPool);

impl Pool {
    /// Starts to build a pool of this name, without endpoints and of generation 1.
    ///
    /// ```
    /// use witgate_sdk::Pool;
    ///
    /// let pool = Pool::named("web").build();
    /// assert_eq!((pool.generation(), pool.endpoints().len()), (1, 0));
    /// ```
    pub fn named(name: impl Into<String>) -> PoolBuilder {
        PoolBuilder(RawPool {
            name: name.into(),
            generation: 1,
            endpoints: Vec::new(),
        })
    }
}

impl PoolBuilder {
    /// Adds an endpoint of this id.
    ///
    /// ```
    /// use witgate_sdk::Pool;
    ///
    /// let pool = Pool::named("web").endpoint("10.0.0.4:443").build();
    /// assert_eq!(pool.endpoints(), ["10.0.0.4:443"]);
    /// ```
    #[must_use]
    pub fn endpoint(mut self, id: impl Into<String>) -> Self {
        self.0.endpoints.push(id.into());
        self
    }

    /// The number that changes with the list of endpoints.
    ///
    /// ```
    /// use witgate_sdk::Pool;
    ///
    /// assert_ne!(Pool::named("web").generation(2).build(), Pool::named("web").build());
    /// ```
    #[must_use]
    pub fn generation(mut self, generation: u64) -> Self {
        self.0.generation = generation;
        self
    }

    /// The pool.
    ///
    /// ```
    /// use witgate_sdk::Pool;
    ///
    /// assert_eq!(Pool::named("web").build().name(), "web");
    /// ```
    #[must_use]
    pub fn build(self) -> Pool {
        Pool { raw: self.0 }
    }
}
