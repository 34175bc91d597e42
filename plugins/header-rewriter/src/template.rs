//! Values with `{references}`, parsed once.

use crate::{
    Side,
    condition::{Condition, Groups},
    fact::Fact,
    message::Message,
};

/// Text, and what is put between.
#[derive(Debug)]
pub(crate) struct Template(Vec<Part>);

#[derive(Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Fact(Fact),
    /// A group of what the rule's condition of this place matched.
    Capture {
        condition: usize,
        group: usize,
    },
    /// A group of what the replacement's own pattern matched.
    Group(usize),
}

/// What references may refer to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scope<'a> {
    pub(crate) side: Side,
    pub(crate) conditions: &'a [Condition],
    /// How many groups the replacement's own pattern has, the whole match included.
    pub(crate) groups: usize,
}

impl Template {
    /// `{{` and `}}` stand for braces.
    ///
    /// # Errors
    /// With what is wrong, for the operator.
    pub(crate) fn parse(text: &str, scope: Scope<'_>) -> Result<Self, String> {
        if text.contains(|c: char| c.is_ascii_control() && c != '\t') {
            return Err(format!(
                "expected a value without control characters, found {text:?}"
            ));
        }
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, brace) = rest.split_at(at);
            push_text(&mut parts, before);
            rest = if let Some(behind) = brace.strip_prefix("{{") {
                push_text(&mut parts, "{");
                behind
            } else if let Some(behind) = brace.strip_prefix("}}") {
                push_text(&mut parts, "}");
                behind
            } else {
                let reference = brace
                    .strip_prefix('{')
                    .and_then(|inner| inner.split_once('}'));
                let (name, behind) =
                    reference.ok_or_else(|| format!("expected braces in pairs, found {text:?}"))?;
                parts.push(Part::parse(name, scope)?);
                behind
            };
        }
        push_text(&mut parts, rest);
        Ok(Self(parts))
    }

    /// The value for a message. `captured` are the groups of the rule's conditions, `groups`
    /// those of the replacement's own pattern.
    pub(crate) fn render(
        &self,
        message: &Message<'_>,
        captured: &[Groups],
        groups: &[&str],
    ) -> Vec<u8> {
        let mut value = Vec::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => value.extend_from_slice(text.as_bytes()),
                Part::Fact(fact) => {
                    value.extend_from_slice(&fact.values(message).join(b", ".as_slice()))
                }
                Part::Capture { condition, group } => {
                    let text = captured
                        .get(*condition)
                        .and_then(|groups| groups.get(*group));
                    value.extend_from_slice(text.map_or(b"", |text| text.as_bytes()));
                }
                Part::Group(group) => {
                    value.extend_from_slice(groups.get(*group).map_or(b"", |text| text.as_bytes()))
                }
            }
        }
        value
    }
}

fn push_text(parts: &mut Vec<Part>, more: &str) {
    match parts.last_mut() {
        _ if more.is_empty() => {}
        Some(Part::Text(text)) => text.push_str(more),
        _ => parts.push(Part::Text(more.to_owned())),
    }
}

impl Part {
    fn parse(name: &str, scope: Scope<'_>) -> Result<Self, String> {
        if let Ok(group) = name.parse::<usize>() {
            return if group < scope.groups {
                Ok(Self::Group(group))
            } else {
                Err(no_group(name))
            };
        }
        if let Some(capture) = capture(name, scope) {
            return Ok(capture);
        }
        let fact = Fact::parse(name, scope.side)?;
        if fact.is_separate() {
            return Err(format!(
                "{{{name}}} would join cookies, which no client can take apart; use replace"
            ));
        }
        Ok(Self::Fact(fact))
    }
}

/// `var_uri_path_1` is a group if a condition of the rule tests `var_uri_path`.
fn capture(name: &str, scope: Scope<'_>) -> Option<Part> {
    let (fact, group) = name.rsplit_once('_')?;
    let (fact, group) = (Fact::parse(fact, scope.side).ok()?, group.parse().ok()?);
    let condition = scope
        .conditions
        .iter()
        .position(|condition| condition.captures(&fact, group))?;
    Some(Part::Capture { condition, group })
}

fn no_group(name: &str) -> String {
    format!("expected a group of the pattern beside it, found {{{name}}}")
}
