//! Routes by host: many sites behind one listener, as Azure Application Gateway's multi-site
//! listeners do. Hosts are exact or have wildcards; the first site in list order that matches
//! gets the request, and what no site matches is left to the next plugin.

#![forbid(unsafe_code)]

use serde::Deserialize;
use witgate_sdk::{HostPattern, HostTable, prelude::*};

/// The sidecar's `[config]`.
#[derive(Debug, Deserialize, Schema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Tried in order.
    sites: Vec<Site>,
}

/// Hosts that share a pool.
#[derive(Debug, Deserialize, Schema)]
#[serde(deny_unknown_fields)]
struct Site {
    /// `rule` in the access log; at most 128 bytes.
    name: Option<String>,
    /// Exact, or with `*` and `?`.
    hosts: Vec<HostPattern>,
    /// Only requests that came to one of these.
    #[serde(default)]
    listeners: Vec<String>,
    /// A pool of the gateway's configuration.
    pool: String,
}

impl Site {
    fn serves(&self, request: &Request) -> bool {
        self.listeners.is_empty() || self.listeners.contains(&request.listener())
    }
}

/// The plugin: its sites, in the order they are tried.
#[derive(Debug)]
pub struct SiteRouter {
    sites: Vec<Site>,
    /// Which of them a host is of.
    hosts: HostTable,
}

impl Plugin for SiteRouter {
    type Config = Config;

    fn configure(Config { sites }: Config) -> Result<Self, ConfigError> {
        match sites.iter().position(|site| site.hosts.is_empty()) {
            Some(i) => Err(ConfigError::at(
                format!("sites[{i}].hosts"),
                "expected at least one host, found none",
            )),
            None => Ok(Self {
                hosts: hosts(&sites),
                sites,
            }),
        }
    }
}

fn hosts(sites: &[Site]) -> HostTable {
    let numbered = sites.iter().enumerate();
    let hosts = numbered.flat_map(|(i, site)| site.hosts.iter().map(move |host| (host, i)));
    hosts.map(|(host, i)| (host.clone(), i)).collect()
}

impl Routing for SiteRouter {
    fn route(&self, request: &Request) -> Route {
        let numbers = self.hosts.matching(request.host());
        let mut sites = numbers.iter().filter_map(|i| self.sites.get(*i));
        match sites.find(|site| site.serves(request)) {
            Some(site) => Forward {
                rule: site.name.clone(),
                ..Route::forward(&site.pool)
            }
            .into(),
            None => Route::Pass,
        }
    }
}

witgate_sdk::export!(SiteRouter: Routing);

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use witgate_sdk::testing;

    use super::*;

    const SITES: &str = r#"
        [[sites]]
        name = "shop"
        hosts = ["shop.example", "*.shop.example"]
        pool = "shop"

        [[sites]]
        hosts = ["node?.example"]
        pool = "nodes"

        [[sites]]
        hosts = ["late.shop.example"]
        pool = "never"
    "#;

    fn route(host: &str) -> Route {
        let router = testing::configure::<SiteRouter>(SITES).unwrap();
        router.route(&Request::get(&format!("https://{host}/")).build())
    }

    #[test]
    fn an_exact_host_finds_its_pool_and_rule() {
        assert_eq!(
            route("Shop.Example:8443"),
            Route::forward("shop").rule("shop").into()
        );
    }

    #[test]
    fn wildcards_match_hosts() {
        assert_eq!(
            route("a.b.shop.example"),
            Route::forward("shop").rule("shop").into()
        );
        assert_eq!(route("node7.example"), Route::forward("nodes").into());
    }

    #[test]
    fn the_first_match_in_list_order_counts() {
        assert_eq!(
            route("late.shop.example"),
            Route::forward("shop").rule("shop").into()
        );
    }

    #[test]
    fn a_site_can_be_of_some_listeners_alone() {
        let sites = "sites = [{ hosts = ['*'], listeners = ['inside'], pool = 'staff' }]";
        let router = testing::configure::<SiteRouter>(sites).unwrap();
        let from = |listener: &str| {
            let request = Request::get("https://shop.example/").listener(listener);
            router.route(&request.build())
        };
        assert_eq!(from("inside"), Route::forward("staff").into());
        assert_eq!(from("public"), Route::Pass);
    }

    #[test]
    fn an_unknown_host_passes() {
        assert_eq!(route("other.example"), Route::Pass);
        assert_eq!(route("node12.example"), Route::Pass);
    }

    #[test]
    fn wrong_configurations_name_the_key() {
        let cases = [
            ("", "missing field `sites`"),
            (
                "sites = [{ hosts = [], pool = 'p' }]",
                "sites[0].hosts: expected at least one host, found none",
            ),
            (
                "sites = [{ hosts = ['a', '*a*.b'], pool = 'p' }]",
                "sites[0].hosts[1]: expected a host with one \"*\" per label at most, found \"*a*.b\"",
            ),
            (
                "sites = [{ hosts = ['a'], pol = 'p' }]",
                "sites[0].pol: unknown field `pol`, expected one of `name`, `hosts`, `listeners`, `pool`",
            ),
        ];
        for (config, expected) in cases {
            let refusal = testing::configure::<SiteRouter>(config)
                .unwrap_err()
                .to_string();
            assert_eq!(refusal, expected, "{config}");
        }
    }

    #[test]
    fn the_example_of_the_readme_is_accepted() {
        let readme = include_str!("../README.md");
        let sidecar = readme
            .split("```toml\n")
            .nth(1)
            .and_then(|rest| rest.split("```").next())
            .unwrap();
        testing::configure_sidecar::<SiteRouter>(sidecar).unwrap();
    }
}
