//! Keeps a session on one endpoint by a cookie, as Azure Application Gateway does: two
//! cookies with the same opaque value, one of them for requests from other sites. `cookie`
//! makes them, `token` is their value, `members` finds the endpoint that a value stands for.

#![forbid(unsafe_code)]

mod cookie;
mod members;
mod token;

use std::iter;

use witgate_sdk::prelude::*;

pub use cookie::Config;

use cookie::Cookies;
use members::Members;
use token::Key;

/// The plugin.
#[derive(Debug)]
pub struct CookieAffinity {
    cookies: Cookies,
    key: Key,
    members: Members,
}

impl Plugin for CookieAffinity {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, ConfigError> {
        let key = Key::new(config.key.as_deref())?;
        Ok(Self {
            cookies: Cookies::new(config)?,
            key,
            members: Members::default(),
        })
    }

    fn unneeded(&self) -> Calls {
        Calls::STICK_HONOURED
    }
}

impl Affinity for CookieAffinity {
    fn prefer(&self, request: &Request, pool: &Pool) -> Preference {
        self.member(request, pool)
            .map_or(Preference::None, Preference::Endpoint)
    }

    fn stick(
        &self,
        _: &Request,
        pool: &Pool,
        endpoint: &str,
        outcome: Outcome,
    ) -> Vec<ResponseEdit> {
        match outcome {
            Outcome::Honoured => Vec::new(),
            Outcome::Balanced | Outcome::Moved => {
                self.cookies.issue(&self.key.token(&pool.name(), endpoint))
            }
        }
    }
}

impl CookieAffinity {
    /// The member of the pool that a cookie stands for. A browser may send several of a name,
    /// of other paths or domains; only when the first is stale are all of them read.
    fn member(&self, request: &Request, pool: &Pool) -> Option<String> {
        let names = self.cookies.names();
        let mut firsts = names.filter_map(|name| request.cookie(name)).peekable();
        firsts.peek()?;
        let all = iter::once_with(|| self.cookies.values(&request.header_values("cookie")));
        self.members
            .endpoint(&self.key, pool, firsts.chain(all.flatten()))
    }
}

witgate_sdk::export!(CookieAffinity: Affinity);

#[cfg(test)]
mod tests;
