//! Routes by host: many sites behind one listener, as Azure Application Gateway's multi-site
//! listeners do. Hosts are exact or have wildcards; the first site in list order that matches
//! gets the request, and what no site matches is left to the next plugin.

#![forbid(unsafe_code)]

use serde::Deserialize;
use witgate_sdk::{HostPattern, prelude::*};

/// The sidecar's `[config]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    sites: Vec<Site>,
}

/// Hosts that share a pool.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Site {
    /// For the access log.
    name: Option<String>,
    hosts: Vec<HostPattern>,
    pool: String,
}

/// The plugin: its sites, in the order they are tried.
#[derive(Debug)]
pub struct SiteRouter {
    sites: Vec<Site>,
}

impl Plugin for SiteRouter {
    type Config = Config;

    fn configure(Config { sites }: Config) -> Result<Self, ConfigError> {
        match sites.iter().position(|site| site.hosts.is_empty()) {
            Some(i) => Err(ConfigError::at(
                format!("sites[{i}].hosts"),
                "expected at least one host, found none",
            )),
            None => Ok(Self { sites }),
        }
    }
}

impl Routing for SiteRouter {
    fn route(&self, request: &Request) -> Route {
        let host = request.host();
        let serves = |site: &&Site| site.hosts.iter().any(|pattern| pattern.matches(host));
        match self.sites.iter().find(serves) {
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
                "sites[0].pol: unknown field `pol`, expected one of `name`, `hosts`, `pool`",
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
