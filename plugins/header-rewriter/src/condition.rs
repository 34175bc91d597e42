//! Conditions: a fact and the regular expression that it is tested by.

use regex_lite::{Regex, RegexBuilder};
use serde::Deserialize;
use witgate_sdk::prelude::*;

use crate::{Side, fact::Fact, message::Message};

/// A condition as the operator writes it.
#[derive(Debug, Deserialize, Schema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConditionConfig {
    /// What is tested.
    fact: String,
    /// Matches anywhere; `^` and `$` bind it.
    pattern: String,
    /// Of ASCII letters.
    #[serde(default)]
    ignore_case: bool,
    /// Holds when the pattern does not match.
    #[serde(default)]
    negate: bool,
}

/// A condition, checked.
#[derive(Debug)]
pub(crate) struct Condition {
    fact: Fact,
    pattern: Regex,
    negate: bool,
}

/// The groups of a match, the whole of it first; empty for a condition that is negated.
pub(crate) type Groups = Vec<String>;

impl Condition {
    pub(crate) fn new(config: ConditionConfig, side: Side) -> Result<Self, ConfigError> {
        let fact =
            Fact::parse(&config.fact, side).map_err(|problem| ConfigError::at("fact", problem))?;
        let pattern = pattern(&config.pattern, config.ignore_case)?;
        Ok(Self {
            fact,
            pattern,
            negate: config.negate,
        })
    }

    /// The groups, if the condition holds. A header holds if one of its values does; one that
    /// is absent or not UTF-8 matches nothing.
    pub(crate) fn holds(&self, message: &Message<'_>) -> Option<Groups> {
        let values = self.fact.values(message);
        let texts = values
            .iter()
            .filter_map(|value| std::str::from_utf8(value).ok());
        let groups = texts
            .map(|text| self.groups(text))
            .find(Option::is_some)
            .flatten();
        if self.negate {
            groups.is_none().then(Groups::new)
        } else {
            groups
        }
    }

    /// Whether it captures this group of this fact.
    pub(crate) fn captures(&self, fact: &Fact, group: usize) -> bool {
        !self.negate && self.fact == *fact && group < self.pattern.captures_len()
    }

    fn groups(&self, text: &str) -> Option<Groups> {
        let captures = self.pattern.captures(text)?;
        let group = |group: Option<regex_lite::Match<'_>>| {
            group.map_or("", |group| group.as_str()).to_owned()
        };
        Some(captures.iter().map(group).collect())
    }
}

/// Compiles the value of a key `pattern`.
pub(crate) fn pattern(text: &str, ignore_case: bool) -> Result<Regex, ConfigError> {
    let regex = RegexBuilder::new(text)
        .case_insensitive(ignore_case)
        .build();
    regex.map_err(|error| {
        ConfigError::at(
            "pattern",
            format!("expected a regular expression, found {text:?}: {error}"),
        )
    })
}
