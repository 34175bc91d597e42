//! The schema of a plugin's configuration: a JSON Schema (2020-12) that came with the plugin's
//! file. Finds what in a sidecar's `[config]` it does not allow, without running the plugin.
//!
//! Whoever made the file made the schema, so that it is bounded: in bytes, in depth, and in the
//! steps of a comparison. Of JSON Schema those keywords count that describe what serde and its like
//! read; `pattern` is not among them, as its worst case has no bound. `oneOf` is `anyOf`.

mod choice;
mod words;

use serde_json::{Map, Value};

use super::{
    error::ConfigError,
    keys::{KeyPath, Mark, Segment},
    raw,
    sidecar::Sidecar,
};
use words::{MAX_COMPARED, MAX_LETTERS, expected, found, names, quoted_name};

/// Bytes of a schema. The largest of the reference plugins has 5 kB.
const MAX_BYTES: usize = 256 << 10;
/// Subschemas inside each other, references counted.
const MAX_DEPTH: usize = 64;
/// Comparisons of a value with a subschema, a name or a choice, and what is written about them: well
/// below a second and a few megabytes in all.
const MAX_STEPS: usize = 200_000;
/// Bytes of a message or a reference for a step.
const BYTES_PER_STEP: usize = 16;
/// Bytes that are only looked at, or pairs of letters, for a step.
const LETTERS_PER_STEP: usize = 64;
/// As many as are shown of one file.
const MAX_PROBLEMS: usize = 50;

/// A schema as it was read.
#[derive(Debug, Clone)]
pub struct ConfigSchema {
    root: Value,
}

/// Why what a file has as its schema is none.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// Larger than a schema may be.
    #[error("it has {size} bytes, expected at most {MAX_BYTES}")]
    TooLarge {
        /// Bytes found.
        size: usize,
    },
    /// No JSON, or nested too deeply.
    #[error("it is not JSON: {0}")]
    NotJson(#[from] serde_json::Error),
    /// Another value than a schema is.
    #[error("expected a JSON object")]
    NotAnObject,
}

impl ConfigSchema {
    /// Reads the text of a schema.
    ///
    /// # Errors
    /// It is too large, no JSON, or no object.
    pub fn parse(text: &[u8]) -> Result<Self, SchemaError> {
        if text.len() > MAX_BYTES {
            return Err(SchemaError::TooLarge { size: text.len() });
        }
        let root: Value = serde_json::from_slice(text)?;
        match root.is_object() {
            true => Ok(Self { root }),
            false => Err(SchemaError::NotAnObject),
        }
    }

    /// As JSON.
    pub fn json(&self) -> &Value {
        &self.root
    }

    /// The keys of what it does not allow about a value that is no sidecar's.
    #[cfg(test)]
    pub(super) fn wrong_keys(&self, value: &Value) -> Vec<String> {
        let wrong = self.problems(value).into_iter();
        let keys = wrong.map(|wrong| KeyPath(wrong.at[1..].to_vec()).to_string());
        keys.collect()
    }

    /// What the schema does not allow about a value; nothing when it is too involved to say.
    fn problems(&self, value: &Value) -> Vec<Wrong> {
        let mut walk = Walk {
            root: &self.root,
            steps: MAX_STEPS,
            at: vec![Segment::Key("config".to_owned())],
            depth: 0,
        };
        let mut wrong = Vec::new();
        match walk.check(&self.root, value, &mut wrong) {
            Ok(()) => wrong,
            Err(TooInvolved) => Vec::new(),
        }
    }
}

impl Sidecar {
    /// Compares `[config]` with the schema of its plugin. A schema that is too involved to be
    /// compared with allows everything; the plugin will say.
    ///
    /// # Errors
    /// All that the schema does not allow, each at its line.
    pub fn check_config(&self, schema: &ConfigSchema) -> Result<(), ConfigError> {
        // Made by us, of the table.
        let config: Value = serde_json::from_str(&self.config_json).unwrap_or_default();
        let mut problems = self.problems();
        for wrong in schema.problems(&config) {
            problems.add_at(&KeyPath(wrong.at), wrong.mark, wrong.message, wrong.help);
        }
        problems.finish()
    }
}

/// One thing that is not allowed.
#[derive(Debug, Clone)]
struct Wrong {
    at: Vec<Segment>,
    mark: Mark,
    message: String,
    help: Option<String>,
}

/// The bounds of a comparison are reached.
#[derive(Debug, Clone, Copy)]
struct TooInvolved;

/// A comparison that is under way.
struct Walk<'a> {
    root: &'a Value,
    /// Left.
    steps: usize,
    at: Vec<Segment>,
    depth: usize,
}

impl<'a> Walk<'a> {
    fn step(&mut self, steps: usize) -> Result<(), TooInvolved> {
        self.steps = self.steps.checked_sub(steps).ok_or(TooInvolved)?;
        Ok(())
    }

    fn wrong(
        &mut self,
        mark: Mark,
        message: String,
        help: Option<String>,
    ) -> Result<Wrong, TooInvolved> {
        self.step(self.at.len() + message.len() / BYTES_PER_STEP)?;
        Ok(Wrong {
            at: self.at.clone(),
            mark,
            message,
            help,
        })
    }

    /// The name that was probably meant, as help.
    fn closest<'n>(
        &mut self,
        written: &str,
        names: impl Iterator<Item = &'n str>,
    ) -> Result<Option<String>, TooInvolved> {
        let names: Vec<&str> = names.take(MAX_COMPARED).collect();
        let short = names.into_iter().filter(|name| name.len() <= MAX_LETTERS);
        let short: Vec<&str> = short.collect();
        let letters: usize = short.iter().map(|name| name.len()).sum();
        let pairs = letters * written.len().min(MAX_LETTERS);
        self.step(short.len() + pairs / LETTERS_PER_STEP)?;
        let meant = raw::closest(written, &short);
        Ok(meant.map(|meant| format!("did you mean {}?", quoted_name(meant))))
    }

    fn within<R>(
        &mut self,
        segment: Segment,
        work: impl FnOnce(&mut Self) -> Result<R, TooInvolved>,
    ) -> Result<R, TooInvolved> {
        self.at.push(segment);
        let done = work(self);
        self.at.pop();
        done
    }

    /// Notes what `schema` does not allow about `value`, which is at `self.at`.
    fn check(
        &mut self,
        schema: &'a Value,
        value: &Value,
        out: &mut Vec<Wrong>,
    ) -> Result<(), TooInvolved> {
        self.step(1)?;
        if self.depth == MAX_DEPTH {
            return Err(TooInvolved);
        }
        self.depth += 1;
        let checked = match schema {
            Value::Bool(false) => {
                let message = format!("found {}, expected nothing here", found(value));
                self.wrong(Mark::Key, message, None)
                    .map(|wrong| out.push(wrong))
            }
            Value::Object(schema) => self.keywords(schema, value, out),
            _ => Ok(()),
        };
        self.depth -= 1;
        out.truncate(MAX_PROBLEMS);
        checked
    }

    fn keywords(
        &mut self,
        schema: &'a Map<String, Value>,
        value: &Value,
        out: &mut Vec<Wrong>,
    ) -> Result<(), TooInvolved> {
        if let Some(target) = self.target(schema)? {
            self.check(target, value, out)?;
        }
        if !self.has_type(schema, value)? {
            let expected = expected(schema);
            let message = format!("found {}, expected {expected}", found(value));
            out.push(self.wrong(Mark::Value, message, None)?);
            return Ok(());
        }
        self.one_of_values(schema, value, out)?;
        for all in list(schema, "allOf") {
            self.check(all, value, out)?;
        }
        for keyword in ["anyOf", "oneOf"] {
            let choices = list(schema, keyword);
            if !choices.is_empty() {
                self.any_of(choices, value, out)?;
            }
        }
        match value {
            Value::Number(_) => self.bounds(schema, value, out)?,
            Value::String(text) => {
                if schema.contains_key("minLength") || schema.contains_key("maxLength") {
                    self.step(text.len() / LETTERS_PER_STEP)?;
                    self.length(schema, text.chars().count(), "characters", out)?;
                }
            }
            Value::Array(entries) => {
                self.length(schema, entries.len(), "entries", out)?;
                let Some(items) = schema.get("items") else {
                    return Ok(());
                };
                // The first ones have schemas of their own, which are passed over.
                let first = list(schema, "prefixItems").len();
                for (index, entry) in entries.iter().enumerate().skip(first) {
                    self.within(Segment::Index(index), |walk| walk.check(items, entry, out))?;
                }
            }
            Value::Object(table) => self.table(schema, table, out)?,
            Value::Null | Value::Bool(_) => {}
        }
        Ok(())
    }

    /// What `$ref` points to, in the same schema.
    fn target(&mut self, schema: &Map<String, Value>) -> Result<Option<&'a Value>, TooInvolved> {
        let pointer = schema.get("$ref").and_then(Value::as_str);
        let Some(pointer) = pointer.and_then(|pointer| pointer.strip_prefix('#')) else {
            return Ok(None);
        };
        self.step(pointer.len() / BYTES_PER_STEP)?;
        Ok(self.root.pointer(pointer))
    }

    fn has_type(
        &mut self,
        schema: &Map<String, Value>,
        value: &Value,
    ) -> Result<bool, TooInvolved> {
        match schema.get("type") {
            Some(Value::String(name)) => Ok(is_of(value, name)),
            Some(Value::Array(names)) => {
                self.step(names.len())?;
                let mut names = names.iter().filter_map(Value::as_str);
                Ok(names.any(|name| is_of(value, name)))
            }
            _ => Ok(true),
        }
    }

    fn one_of_values(
        &mut self,
        schema: &Map<String, Value>,
        value: &Value,
        out: &mut Vec<Wrong>,
    ) -> Result<(), TooInvolved> {
        let allowed = match (schema.get("enum"), schema.get("const")) {
            (Some(Value::Array(all)), _) => all.as_slice(),
            (_, Some(one)) => std::slice::from_ref(one),
            _ => return Ok(()),
        };
        self.step(allowed.len())?;
        if allowed.contains(value) {
            return Ok(());
        }
        let message = format!("found {}, expected {}", found(value), expected(schema));
        let help = match value.as_str() {
            Some(text) => self.closest(text, allowed.iter().filter_map(Value::as_str))?,
            None => None,
        };
        out.push(self.wrong(Mark::Value, message, help)?);
        Ok(())
    }

    fn bounds(
        &mut self,
        schema: &Map<String, Value>,
        value: &Value,
        out: &mut Vec<Wrong>,
    ) -> Result<(), TooInvolved> {
        let bound = |name: &str| schema.get(name).filter(|bound| bound.is_number());
        let (least, most) = (bound("minimum"), bound("maximum"));
        let is_low = least.is_some_and(|least| is_less(value, least));
        let is_high = most.is_some_and(|most| is_less(most, value));
        if !is_low && !is_high {
            return Ok(());
        }
        // The ends of 64 bits tell nobody anything.
        let most =
            most.filter(|most| is_high || most.as_u64().is_none_or(|most| most < u64::MAX / 2));
        let expected = match (least, most) {
            (Some(least), Some(most)) => format!("{least} to {most}"),
            (Some(least), None) => format!("at least {least}"),
            (_, most) => format!("at most {}", most.unwrap_or(&Value::Null)),
        };
        let message = format!("found {value}, expected {expected}");
        out.push(self.wrong(Mark::Value, message, None)?);
        Ok(())
    }

    fn length(
        &mut self,
        schema: &Map<String, Value>,
        found: usize,
        of: &str,
        out: &mut Vec<Wrong>,
    ) -> Result<(), TooInvolved> {
        let keywords = match of {
            "entries" => ["minItems", "maxItems"],
            _ => ["minLength", "maxLength"],
        };
        let [least, most] = keywords.map(|name| schema.get(name).and_then(Value::as_u64));
        let found = u64::try_from(found).unwrap_or(u64::MAX);
        let expected = match (least, most) {
            (Some(least), _) if found < least => format!("at least {least}"),
            (_, Some(most)) if found > most => format!("at most {most}"),
            _ => return Ok(()),
        };
        let message = format!("found {found} {of}, expected {expected}");
        out.push(self.wrong(Mark::Value, message, None)?);
        Ok(())
    }

    fn table(
        &mut self,
        schema: &'a Map<String, Value>,
        table: &Map<String, Value>,
        out: &mut Vec<Wrong>,
    ) -> Result<(), TooInvolved> {
        let known = schema.get("properties").and_then(Value::as_object);
        // Patterns are not looked at, so that any other key may be one of theirs.
        let others = match schema.contains_key("patternProperties") {
            true => None,
            false => schema.get("additionalProperties"),
        };
        for (key, value) in table {
            self.step(1)?;
            if out.len() >= MAX_PROBLEMS {
                return Ok(());
            }
            let of_key = known.and_then(|known| known.get(key));
            let segment = Segment::Key(key.clone());
            match (of_key, others) {
                (None, Some(Value::Bool(false))) => self.within(segment, |walk| {
                    out.push(walk.unknown(key, known)?);
                    Ok(())
                })?,
                (Some(of_key), _) | (None, Some(of_key)) => {
                    self.within(segment, |walk| walk.check(of_key, value, out))?;
                }
                (None, None) => {}
            }
        }
        let required = list(schema, "required");
        self.step(required.len())?;
        for key in required.iter().filter_map(Value::as_str) {
            if !table.contains_key(key) && out.len() < MAX_PROBLEMS {
                let message = format!("the key {} is missing", quoted_name(key));
                out.push(self.wrong(Mark::Value, message, None)?);
            }
        }
        Ok(())
    }

    fn unknown(
        &mut self,
        key: &str,
        known: Option<&Map<String, Value>>,
    ) -> Result<Wrong, TooInvolved> {
        self.step(known.map_or(0, Map::len))?;
        let all = known.into_iter().flat_map(Map::keys).map(String::as_str);
        let message = format!("unknown key, expected {}", names(all.clone()));
        let help = self.closest(key, all)?;
        self.wrong(Mark::Key, message, help)
    }
}

fn list<'a>(schema: &'a Map<String, Value>, keyword: &str) -> &'a [Value] {
    let list = schema.get(keyword).and_then(Value::as_array);
    list.map_or(&[], Vec::as_slice)
}

/// Whether a value is of a type of JSON Schema; of one that there is not, all are.
fn is_of(value: &Value, name: &str) -> bool {
    match name {
        "string" => value.is_string(),
        // 1.0 is one as well (JSON Schema, validation §6.1.1).
        "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "null" => value.is_null(),
        _ => true,
    }
}

/// Whole numbers are compared as such: above 2⁵³ others of them look the same.
fn is_less(one: &Value, other: &Value) -> bool {
    let whole = |number: &Value| {
        let signed = number.as_i64().map(i128::from);
        signed.or_else(|| number.as_u64().map(i128::from))
    };
    match (whole(one), whole(other)) {
        (Some(one), Some(other)) => one < other,
        _ => one.as_f64() < other.as_f64(),
    }
}

#[cfg(test)]
mod tests;
