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
    /// The id of the pool's endpoint with this token; none when it has left the pool.
    pub(crate) fn endpoint(&self, key: &Key, pool: &Pool, token: &str) -> Option<String> {
        let (name, generation) = (pool.name(), pool.generation());
        let mut pools = self.pools.borrow_mut();
        if pools
            .get(&name)
            .is_none_or(|tokens| tokens.generation != generation)
        {
            pools.insert(name.clone(), Tokens::new(key, pool, &name, generation));
        }
        pools.get(&name)?.endpoints.get(token).cloned()
    }
}

impl Tokens {
    fn new(key: &Key, pool: &Pool, name: &str, generation: u64) -> Self {
        let endpoints = pool.endpoints().into_iter();
        Self {
            generation,
            endpoints: endpoints.map(|id| (key.token(name, &id), id)).collect(),
        }
    }
}
