//! Lets clients in or keeps them out by their addresses: the first rule with a network that the
//! client is in decides. Who is kept out is answered 403.

#![forbid(unsafe_code)]

use std::net::IpAddr;

use serde::Deserialize;
use witgate_sdk::{Network, prelude::*};

/// The sidecar's `[config]`.
#[derive(Debug, Deserialize, Schema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The first rule with a network that the client is in decides. Networks are CIDR or single
    /// addresses.
    rules: Vec<Rule>,
    /// What is done with clients that no rule knows.
    otherwise: Verdict,
}

/// `{ allow = [...] }` or `{ deny = [...] }`.
#[derive(Debug, Deserialize, Schema)]
#[serde(rename_all = "lowercase")]
enum Rule {
    Allow(Vec<Network>),
    Deny(Vec<Network>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Schema)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Allow,
    Deny,
}

impl Rule {
    /// What it says of an address; none when it says nothing.
    fn verdict(&self, address: IpAddr) -> Option<Verdict> {
        let (networks, verdict) = match self {
            Self::Allow(networks) => (networks, Verdict::Allow),
            Self::Deny(networks) => (networks, Verdict::Deny),
        };
        let is_in = |network: &Network| network.contains(address);
        networks.iter().any(is_in).then_some(verdict)
    }
}

/// The plugin.
#[derive(Debug)]
pub struct IpFilter {
    config: Config,
}

impl Plugin for IpFilter {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, ConfigError> {
        Ok(Self { config })
    }
}

impl Routing for IpFilter {
    fn route(&self, request: &Request) -> Route {
        let address = request.peer().ip();
        let mut verdicts = self.config.rules.iter().map(|rule| rule.verdict(address));
        match verdicts
            .find_map(|verdict| verdict)
            .unwrap_or(self.config.otherwise)
        {
            Verdict::Allow => Route::Pass,
            Verdict::Deny => Route::respond(403)
                .text("forbidden\n")
                .rule("ip-filter")
                .into(),
        }
    }
}

witgate_sdk::export!(IpFilter: Routing);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use witgate_sdk::{prelude::*, testing};

    use super::IpFilter;

    fn passes(config: &str, peer: &str) -> bool {
        let filter = testing::configure::<IpFilter>(config).unwrap();
        let request = Request::get("https://shop.example/").peer(peer).build();
        match filter.route(&request) {
            Route::Pass => true,
            Route::Respond(answer) => {
                assert_eq!(answer.status, 403);
                false
            }
            Route::Forward(_) => panic!("it names no pool"),
        }
    }

    const RULES: &str = r#"
otherwise = "deny"
rules = [
    { deny = ["10.1.0.0/16", "10.2.0.7"] },
    { allow = ["10.0.0.0/8", "2001:db8::/32"] },
    { deny = ["10.3.0.0/16"] },
]"#;

    #[test]
    fn the_first_rule_that_knows_the_client_decides() {
        for (peer, expected) in [
            ("10.0.0.1:1", true),
            ("10.1.255.255:1", false),
            ("10.2.0.7:1", false),
            ("10.2.0.8:1", true),
            ("10.3.0.1:1", true),
            ("[2001:db8::7]:1", true),
        ] {
            assert_eq!(passes(RULES, peer), expected, "{peer}");
        }
    }

    #[test]
    fn clients_that_no_rule_knows_are_treated_as_said() {
        for peer in ["192.0.2.7:1", "[2001:db9::]:1"] {
            assert!(!passes(RULES, peer), "{peer}");
            let open = RULES.replace("otherwise = \"deny\"", "otherwise = \"allow\"");
            assert!(passes(&open, peer), "{peer}");
        }
        assert!(passes("rules = []\notherwise = \"allow\"", "192.0.2.7:1"));
    }

    #[test]
    fn a_wrong_configuration_names_its_key() {
        for (config, problem) in [
            ("rules = []", "missing field `otherwise`"),
            (
                "otherwise = \"deny\"\nrules = [{ allow = [\"10.0.0.0/33\"] }]",
                "rules[0].allow[0]: expected a network such as",
            ),
            (
                "otherwise = \"deny\"\nrules = [{ block = [] }]",
                "rules[0]: unknown variant `block`",
            ),
        ] {
            let refusal = testing::configure::<IpFilter>(config).err().unwrap();
            assert!(refusal.to_string().starts_with(problem), "{refusal}");
        }
    }
}
