//! What a rule does: replacements in fields that are there, and values that it writes.

use regex_lite::Regex;
use serde::Deserialize;
use witgate_sdk::prelude::*;

use crate::{
    condition::{self, Groups},
    message::Message,
    name,
    template::{Scope, Template},
};

/// A replacement as the operator writes it.
#[derive(Debug, Deserialize, Schema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReplaceConfig {
    /// The fields to look into.
    name: String,
    /// Each match is replaced.
    pattern: String,
    /// `{1}` is the first group of `pattern`, `{0}` all of the match.
    with: String,
    /// Of ASCII letters.
    #[serde(default)]
    ignore_case: bool,
}

/// Replaces what a pattern matches, in each field of a name by itself.
#[derive(Debug)]
pub(crate) struct Replace {
    name: String,
    pattern: Regex,
    with: Template,
}

impl Replace {
    pub(crate) fn new(config: &ReplaceConfig, scope: Scope<'_>) -> Result<Self, ConfigError> {
        let name = name::changeable(&config.name).map_err(|error| error.within("name"))?;
        let pattern = condition::pattern(&config.pattern, config.ignore_case)?;
        let scope = Scope {
            groups: pattern.captures_len(),
            ..scope
        };
        let with = Template::parse(&config.with, scope)
            .map_err(|problem| ConfigError::at("with", problem))?;
        Ok(Self {
            name,
            pattern,
            with,
        })
    }

    pub(crate) fn apply(&self, message: &mut Message<'_>, captured: &[Groups]) {
        let before = message.own_values(&self.name);
        let after: Vec<_> = before
            .iter()
            .map(|value| self.replaced(value, message, captured))
            .collect();
        if after != before {
            message.replace(&self.name, after);
        }
    }

    /// One value; as it is when it is not UTF-8.
    fn replaced(&self, value: &[u8], message: &Message<'_>, captured: &[Groups]) -> Vec<u8> {
        let Ok(text) = std::str::from_utf8(value) else {
            return value.to_vec();
        };
        let (mut replaced, mut end) = (Vec::new(), 0);
        for found in self.pattern.captures_iter(text) {
            let Some(whole) = found.get(0) else { continue };
            let groups: Vec<_> = found
                .iter()
                .map(|group| group.map_or("", |group| group.as_str()))
                .collect();
            replaced.extend_from_slice(text.get(end..whole.start()).unwrap_or_default().as_bytes());
            replaced.extend_from_slice(&self.with.render(message, captured, &groups));
            end = whole.end();
        }
        replaced.extend_from_slice(text.get(end..).unwrap_or_default().as_bytes());
        replaced
    }
}

/// Where a value goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    Set(String),
    Append(String),
    Path,
    Query,
    Host,
}

/// A value that a rule writes.
#[derive(Debug)]
pub(crate) struct Write {
    place: Place,
    value: Template,
}

impl Write {
    pub(crate) fn new(place: Place, value: &str, scope: Scope<'_>) -> Result<Self, ConfigError> {
        Template::parse(value, scope)
            .map(|value| Self { place, value })
            .map_err(ConfigError::new)
    }

    /// The value for this message, and where it goes.
    pub(crate) fn render(&self, message: &Message<'_>, captured: &[Groups]) -> (&Place, Vec<u8>) {
        (&self.place, self.value.render(message, captured, &[]))
    }
}
