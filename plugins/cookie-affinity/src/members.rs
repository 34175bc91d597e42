//! Finds the endpoint that a token stands for, by the tokens of all endpoints of its pool;
//! they are computed anew when the pool's list of endpoints changes.

use std::{cell::RefCell, collections::BTreeMap};

use witgate_sdk::Pool;

use crate::token::Key;

/// Lists that are remembered. Reloads leave those behind that no pool has any more; beyond this
/// many all are forgotten.
const MOST: usize = 1024;

/// The tokens of each pool's endpoints, by the generation of its list.
#[derive(Debug, Default)]
pub(crate) struct Members {
    lists: RefCell<BTreeMap<u64, Tokens>>,
}

/// The tokens of one list of endpoints, each with the id that it stands for.
#[derive(Debug)]
struct Tokens(BTreeMap<String, String>);

impl Members {
    /// The id of the pool's endpoint with the first of these tokens that one has; none when all
    /// have left the pool.
    pub(crate) fn endpoint(
        &self,
        key: &Key,
        pool: &Pool,
        tokens: impl Iterator<Item = String>,
    ) -> Option<String> {
        let mut lists = self.lists.borrow_mut();
        let generation = pool.generation();
        if lists.len() >= MOST && !lists.contains_key(&generation) {
            lists.clear();
        }
        let known = lists.entry(generation);
        known
            .or_insert_with(|| Tokens::new(key, pool))
            .first(tokens)
    }
}

impl Tokens {
    fn first(&self, mut tokens: impl Iterator<Item = String>) -> Option<String> {
        tokens.find_map(|token| self.0.get(&token).cloned())
    }

    fn new(key: &Key, pool: &Pool) -> Self {
        let (name, endpoints) = (pool.name(), pool.endpoints().into_iter());
        Self(endpoints.map(|id| (key.token(&name, &id), id)).collect())
    }
}
