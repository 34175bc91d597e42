//! One rule: if all its conditions hold, its actions are done.

use std::collections::BTreeMap;

use serde::Deserialize;
use witgate_sdk::prelude::*;

use crate::{
    Side,
    action::{Place, Replace, ReplaceConfig, Write},
    condition::{Condition, ConditionConfig, Groups},
    message::Message,
    name::{self, SET_COOKIE},
    template::Scope,
};

/// A rule as the operator writes it.
#[derive(Debug, Deserialize, Schema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RuleConfig {
    /// All must hold.
    #[serde(default)]
    when: Vec<ConditionConfig>,
    /// In each field of a name by itself.
    #[serde(default)]
    replace: Vec<ReplaceConfig>,
    /// Removes all fields of a name.
    #[serde(default)]
    delete: Vec<String>,
    /// Makes this the only field of a name.
    #[serde(default)]
    set: BTreeMap<String, String>,
    /// Adds a field behind those of the name.
    #[serde(default)]
    append: BTreeMap<String, String>,
    /// Requests only; what a path cannot hold (RFC 3986) is percent-encoded, `%` stays.
    path: Option<String>,
    /// Requests only; without `?` in front; encoded as `path` is; an empty one drops the query.
    query: Option<String>,
    /// Requests only; the host (and port) that the upstream is told.
    host: Option<String>,
}

/// A rule, checked.
#[derive(Debug)]
pub(crate) struct Rule {
    conditions: Vec<Condition>,
    replace: Vec<Replace>,
    delete: Vec<String>,
    writes: Vec<Write>,
}

impl Rule {
    pub(crate) fn new(config: RuleConfig, side: Side) -> Result<Self, ConfigError> {
        let conditions = list("when", config.when, |condition| {
            Condition::new(condition, side)
        })?;
        let scope = Scope {
            side,
            conditions: &conditions,
            groups: 0,
        };
        let delete = list("delete", config.delete, |name| name::changeable(&name))?;
        keeps_cookies(&config.set, &delete, side)?;
        let mut writes = fields("set", &config.set, Place::Set, scope)?;
        writes.extend(fields("append", &config.append, Place::Append, scope)?);
        let target = [
            ("path", config.path, Place::Path),
            ("query", config.query, Place::Query),
            ("host", config.host, Place::Host),
        ];
        for (key, value, place) in target {
            let Some(value) = value else { continue };
            if side == Side::Response {
                return Err(ConfigError::at(key, "expected only in rules for requests"));
            }
            writes.push(Write::new(place, &value, scope).map_err(|error| error.within(key))?);
        }
        let replace = list("replace", config.replace, |replace| {
            Replace::new(&replace, scope)
        })?;
        Ok(Self {
            replace,
            delete,
            writes,
            conditions,
        })
    }

    /// Does what the rule says, if it holds. Values are made of the message as it was before.
    pub(crate) fn apply(&self, message: &mut Message<'_>) {
        let captured: Option<Vec<Groups>> = self
            .conditions
            .iter()
            .map(|condition| condition.holds(message))
            .collect();
        let Some(captured) = captured else { return };
        let values: Vec<_> = self
            .writes
            .iter()
            .map(|write| write.render(message, &captured))
            .collect();
        self.replace
            .iter()
            .for_each(|replace| replace.apply(message, &captured));
        self.delete
            .iter()
            .for_each(|name| message.replace(name, Vec::new()));
        values
            .into_iter()
            .for_each(|(place, value)| message.write(place, value));
    }
}

/// Makes each item of a list; an error names its place.
fn list<T, R>(
    key: &str,
    items: Vec<T>,
    make: impl Fn(T) -> Result<R, ConfigError>,
) -> Result<Vec<R>, ConfigError> {
    let items = items.into_iter().enumerate();
    items
        .map(|(i, item)| make(item).map_err(|error| error.within(format_args!("{key}[{i}]"))))
        .collect()
}

/// Makes each field of a table; an error names it.
fn fields(
    key: &str,
    table: &BTreeMap<String, String>,
    place: fn(String) -> Place,
    scope: Scope<'_>,
) -> Result<Vec<Write>, ConfigError> {
    let field = |(name, value): (&String, &String)| {
        let write = name::changeable(name).and_then(|name| Write::new(place(name), value, scope));
        write.map_err(|error| error.within(format_args!("{key}.{name}")))
    };
    table.iter().map(field).collect()
}

/// Cookies of a response are dropped only by a rule that says so.
fn keeps_cookies(
    set: &BTreeMap<String, String>,
    delete: &[String],
    side: Side,
) -> Result<(), ConfigError> {
    let sets =
        side == Side::Response && set.keys().any(|name| name.eq_ignore_ascii_case(SET_COOKIE));
    if sets && !delete.iter().any(|name| name == SET_COOKIE) {
        let problem = "would drop the upstream's other cookies: use append to add one, replace to change them, \
                       or name set-cookie in delete as well";
        return Err(ConfigError::at("set.set-cookie", problem));
    }
    Ok(())
}
