//! Routes by URL path, as Azure Application Gateway's path rules do: list order, first match,
//! case-insensitive, `*` only at the end. A rule sends to a pool, if need be with another
//! path, or redirects. `rule` is one rule, `redirect` what it may answer,
//! `table` finds rules by path.

#![forbid(unsafe_code)]

mod redirect;
mod rule;
mod table;

use serde::Deserialize;
use witgate_sdk::prelude::*;

use rule::{Rule, RuleConfig};
use table::PathTable;

/// The sidecar's `[config]`.
#[derive(Debug, Deserialize, Schema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Tried in order.
    rules: Vec<RuleConfig>,
    /// Requests that a rule forwards have its name in this field; each rule needs a name then.
    rule_field: Option<String>,
}

/// The plugin: its rules, in the order they are tried.
#[derive(Debug)]
pub struct PathRouter {
    rules: Vec<Rule>,
    table: PathTable,
    /// The request's field that tells upstreams and rewriters which rule it was, lower-case.
    rule_field: Option<String>,
}

impl Plugin for PathRouter {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, ConfigError> {
        let rules = config.rules.into_iter().enumerate();
        let rules = rules
            .map(|(i, rule)| Rule::new(rule).map_err(|e| e.within(format_args!("rules[{i}]"))));
        let rules: Vec<Rule> = rules.collect::<Result<_, _>>()?;
        let rule_field = config
            .rule_field
            .map(|field| field_name(&field, &rules).map_err(|e| e.within("rule_field")))
            .transpose()?;
        Ok(Self {
            table: PathTable::new(&rules),
            rules,
            rule_field,
        })
    }
}

impl Routing for PathRouter {
    fn route(&self, request: &Request) -> Route {
        let path = request.path();
        let lower = path.to_ascii_lowercase();
        let numbers = self.table.matching(&lower);
        for rule in numbers.iter().filter_map(|i| self.rules.get(*i)) {
            if let Some(matched) = rule.matched(&lower)
                && rule.serves(request)
            {
                return rule.decide(request, matched, self.rule_field.as_deref());
            }
        }
        Route::Pass
    }
}

/// Checks the name of the field that tells rules. Each rule needs a name then, so that none goes
/// by what a client claims in the field.
fn field_name(field: &str, rules: &[Rule]) -> Result<String, ConfigError> {
    let is_legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if field.is_empty() || field.len() > 256 || !field.bytes().all(is_legal) {
        return Err(ConfigError::new(format!(
            "expected the name of a header field, of letters, digits and \"-\", found {field:?}"
        )));
    }
    match rules.iter().position(|rule| rule.name().is_none()) {
        Some(i) => Err(ConfigError::new(format!(
            "expected a name in each rule, as the field tells it; rules[{i}] has none"
        ))),
        None => Ok(field.to_ascii_lowercase()),
    }
}

witgate_sdk::export!(PathRouter: Routing);

#[cfg(test)]
mod tests;
