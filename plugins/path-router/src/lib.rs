//! Routes by URL path, as Azure Application Gateway's path rules do: list order, first match,
//! case-insensitive, `*` only at the end. A rule sends to a pool, if need be with another
//! path, or redirects. `rule` is one rule, `redirect` what it may answer.

#![forbid(unsafe_code)]

mod redirect;
mod rule;

use serde::Deserialize;
use witgate_sdk::prelude::*;

use rule::{Rule, RuleConfig};

/// The sidecar's `[config]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    rules: Vec<RuleConfig>,
}

/// The plugin: its rules, in the order they are tried.
#[derive(Debug)]
pub struct PathRouter {
    rules: Vec<Rule>,
}

impl Plugin for PathRouter {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, ConfigError> {
        let rules = config.rules.into_iter().enumerate();
        let rules = rules
            .map(|(i, rule)| Rule::new(rule).map_err(|e| e.within(format_args!("rules[{i}]"))));
        Ok(Self {
            rules: rules.collect::<Result<_, _>>()?,
        })
    }
}

impl Routing for PathRouter {
    fn route(&self, request: &Request) -> Route {
        let path = request.path();
        let lower = path.to_ascii_lowercase();
        for rule in &self.rules {
            if let Some(matched) = rule.matched(&lower)
                && rule.serves(request.host())
            {
                return rule.decide(request, matched);
            }
        }
        Route::Pass
    }
}

witgate_sdk::export!(PathRouter: Routing);

#[cfg(test)]
mod tests;
