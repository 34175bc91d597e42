//! Splits requests between pools by weights. The same client always goes to the same pool: a
//! cookie or its address is made a number, which falls into the share of one of them. Who has no
//! such key is split at random.

#![forbid(unsafe_code)]

use serde::Deserialize;
use witgate_sdk::{prelude::*, random};

/// The sidecar's `[config]`.
#[derive(Debug, Deserialize, Schema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Pools of the configuration, and their parts of the sum of all weights. 0 is none.
    pools: Vec<Share>,
    /// What makes two requests one client's. Who does not have the cookie is split at random,
    /// each request anew.
    #[serde(default)]
    sticky: Sticky,
    /// Another one makes another split: without it, the same clients are in front of all
    /// splits.
    #[serde(default)]
    salt: String,
}

#[derive(Debug, Deserialize, Schema)]
#[serde(deny_unknown_fields)]
struct Share {
    /// A pool of the configuration.
    pool: String,
    /// Its part of the sum of all weights; 0 is none.
    weight: u32,
}

/// What makes two requests one client's.
#[derive(Debug, Default, Deserialize, Schema)]
#[serde(rename_all = "lowercase")]
enum Sticky {
    #[default]
    Address,
    /// The value of the cookie of this name.
    Cookie(String),
    Never,
}

/// The plugin.
#[derive(Debug)]
pub struct CanarySplit {
    config: Config,
    total: u64,
}

impl Plugin for CanarySplit {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, ConfigError> {
        let weights = config.pools.iter().map(|share| u64::from(share.weight));
        match weights.sum() {
            0 => Err(ConfigError::at(
                "pools",
                "expected at least one with a weight above 0",
            )),
            total => Ok(Self { config, total }),
        }
    }
}

impl Routing for CanarySplit {
    fn route(&self, request: &Request) -> Route {
        let (number, rule) = match self.key(request) {
            Some(key) => (
                hash(&[self.config.salt.as_bytes(), key.as_bytes()]),
                "sticky",
            ),
            None => (random::number(), "random"),
        };
        match self.share_of(number) {
            Some(share) => Route::forward(&share.pool).rule(rule).into(),
            None => Route::Pass,
        }
    }
}

impl CanarySplit {
    fn key(&self, request: &Request) -> Option<String> {
        match &self.config.sticky {
            Sticky::Address => Some(request.peer().ip().to_string()),
            Sticky::Cookie(name) => request.cookie(name),
            Sticky::Never => None,
        }
    }

    /// All numbers are laid over all weights, in order: who is in the first share stays there
    /// when that grows and the sum of all stays the same.
    fn share_of(&self, number: u64) -> Option<&Share> {
        let place = (u128::from(number) * u128::from(self.total)) >> 64;
        let mut end = 0;
        self.config.pools.iter().find(|share| {
            end += u128::from(share.weight);
            place < end
        })
    }
}

/// FNV-1a, whose bits are then mixed, as the first decide: the same in every instance, version
/// and process.
fn hash(parts: &[&[u8]]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    let hash = parts
        .iter()
        .copied()
        .flatten()
        .fold(0xcbf2_9ce4_8422_2325, step);
    let mixed = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let mixed = (mixed ^ (mixed >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    mixed ^ (mixed >> 33)
}

witgate_sdk::export!(CanarySplit: Routing);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use std::collections::BTreeMap;

    use witgate_sdk::{prelude::*, testing};

    use super::CanarySplit;

    fn split(canary: u32, more: &str) -> CanarySplit {
        let stable = 100 - canary;
        let config = format!(
            "{more}\npools = [{{ pool = \"next\", weight = {canary} }}, {{ pool = \"web\", weight = {stable} }}]"
        );
        testing::configure(&config).unwrap()
    }

    fn pool(split: &CanarySplit, request: &Request) -> String {
        match split.route(request) {
            Route::Forward(forward) => forward.pool,
            _ => panic!("it forwards all"),
        }
    }

    fn of_address(number: u32) -> Request {
        let [_, b, c, d] = number.to_be_bytes();
        let peer = format!("10.{b}.{c}.{d}:1");
        Request::get("https://shop.example/").peer(&peer).build()
    }

    fn of_session(session: &str) -> Request {
        Request::get("https://shop.example/")
            .cookie("session", session)
            .build()
    }

    /// How many of 10,000 requests go to `next`.
    fn share(split: &CanarySplit, request: impl Fn(u32) -> Request) -> u32 {
        let pools = (0..10_000).map(|number| pool(split, &request(number)));
        let counted = pools.fold(BTreeMap::new(), |mut counted, pool| {
            *counted.entry(pool).or_insert(0) += 1;
            counted
        });
        counted.get("next").copied().unwrap_or(0)
    }

    #[test]
    fn pools_get_their_shares() {
        let by_address = share(&split(10, ""), of_address);
        assert!((900..1100).contains(&by_address), "{by_address}");
        let sessions = |number: u32| of_session(&number.to_string());
        let by_session = share(&split(10, "sticky.cookie = \"session\""), sessions);
        assert!((900..1100).contains(&by_session), "{by_session}");
        let at_random = share(&split(10, "sticky = \"never\""), |_| of_address(1));
        assert!((900..1100).contains(&at_random), "{at_random}");
        assert_eq!(share(&split(0, ""), of_address), 0);
        assert_eq!(share(&split(100, ""), of_address), 10_000);
    }

    #[test]
    fn a_client_stays_while_the_canary_grows() {
        let growing = [1, 5, 20, 50, 100].map(|canary| split(canary, ""));
        for number in 0..1000 {
            let request = of_address(number);
            let pools: Vec<_> = growing.iter().map(|split| pool(split, &request)).collect();
            assert!(pools.is_sorted_by_key(|pool| pool == "next"), "{pools:?}");
        }
    }

    #[test]
    fn who_has_no_key_is_split_at_random() {
        let by_cookie = split(50, "sticky.cookie = \"session\"");
        let without = of_address(1);
        let pools: Vec<_> = (0..100).map(|_| pool(&by_cookie, &without)).collect();
        assert!(pools.iter().any(|pool| pool == "web"));
        assert!(pools.iter().any(|pool| pool == "next"));
        let with = of_session("7f");
        let first = pool(&by_cookie, &with);
        assert!((0..100).all(|_| pool(&by_cookie, &with) == first));
    }

    #[test]
    fn another_salt_splits_otherwise() {
        let (one, other) = (split(50, ""), split(50, "salt = \"b\""));
        let differ = |number: &u32| {
            let request = of_address(*number);
            pool(&one, &request) != pool(&other, &request)
        };
        let different = (0..1000).filter(differ).count();
        assert!((400..600).contains(&different), "{different}");
    }

    #[test]
    fn a_wrong_configuration_names_its_key() {
        for (config, problem) in [
            ("", "missing field `pools`"),
            ("pools = []", "pools: expected at least one"),
            (
                "pools = [{ pool = \"web\", weight = -1 }]",
                "pools[0].weight: invalid value",
            ),
            (
                "pools = [{ pool = \"web\", weight = 1 }]\nsticky = \"client\"",
                "sticky: unknown variant `client`",
            ),
        ] {
            let refusal = testing::configure::<CanarySplit>(config).err().unwrap();
            assert!(refusal.to_string().starts_with(problem), "{refusal}");
        }
    }
}
