//! Finds the endpoint that a token stands for, by the tokens of all endpoints of its pool;
//! they are computed anew when the pool's list of endpoints changes.

use std::{cell::RefCell, collections::HashMap};

use witgate_sdk::Pool;

use crate::token::Key;

/// The tokens of each pool's endpoints.
#[derive(Debug, Default)]
pub(crate) struct Members {
    pools: RefCell<HashMap<String, Tokens>>,
}

#[derive(Debug)]
struct Tokens {
    /// Of the list that they were computed from.
    generation: u64,
    /// From token to endpoint id.
    endpoints: HashMap<String, String>,
}

impl Members {
    /// The id of the pool's endpoint with the first of these tokens that one has; none when all
    /// have left the pool.
    pub(crate) fn endpoint(
        &self,
        key: &Key,
        pool: &Pool,
        tokens: impl Iterator<Item = String>,
    ) -> Option<String> {
        let (name, generation) = (pool.name(), pool.generation());
        let mut pools = self.pools.borrow_mut();
        match pools.get(&name) {
            Some(known) if known.generation == generation => known.first(tokens),
            _ => {
                let known = Tokens::new(key, pool, &name, generation);
                let endpoint = known.first(tokens);
                pools.insert(name, known);
                endpoint
            }
        }
    }
}

impl Tokens {
    fn first(&self, mut tokens: impl Iterator<Item = String>) -> Option<String> {
        tokens.find_map(|token| self.endpoints.get(&token).cloned())
    }

    fn new(key: &Key, pool: &Pool, name: &str, generation: u64) -> Self {
        let endpoints = pool.endpoints().into_iter();
        Self {
            generation,
            endpoints: endpoints.map(|id| (key.token(name, &id), id)).collect(),
        }
    }
}
