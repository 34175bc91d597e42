//! Alternatives (`anyOf`): when a value fits none of them, which was meant, and so what is wrong.

use serde_json::{Map, Value};

use super::{
    Mark, Segment, TooInvolved, Walk, Wrong,
    words::{MAX_COMPARED, expected, found, list, names, quoted_name},
};

/// What the tag of a table says.
enum Tagged {
    /// Which alternative it is.
    As(usize),
    /// None of them.
    Wrong(Wrong),
}

/// The strings that a key may be, where a schema lists them.
fn tags<'a>(schema: &'a Map<String, Value>, key: &str) -> &'a [Value] {
    let of_key = schema.get("properties").and_then(|all| all.get(key));
    match (
        of_key.and_then(|of| of.get("enum")),
        of_key.and_then(|of| of.get("const")),
    ) {
        (Some(Value::Array(all)), _) => all.as_slice(),
        (_, Some(one)) => std::slice::from_ref(one),
        _ => &[],
    }
}

/// An alternative that does not fit, and why.
struct Tried<'a> {
    schema: &'a Map<String, Value>,
    wrong: Vec<Wrong>,
}

impl<'a> Walk<'a> {
    /// Notes what is wrong when `value` is none of `choices`: in the one that was meant, if one
    /// can be told by the value's keys or its kind.
    pub(super) fn any_of(
        &mut self,
        choices: &'a [Value],
        value: &Value,
        out: &mut Vec<Wrong>,
    ) -> Result<(), TooInvolved> {
        let mut all = Vec::new();
        for choice in choices {
            let mut wrong = Vec::new();
            self.check(choice, value, &mut wrong)?;
            if wrong.is_empty() {
                return Ok(());
            }
            // TOML has no null, which other tools allow wherever a key may be missing.
            let schema = self.resolved(choice)?;
            let schema = schema.filter(|schema| schema.get("type") != Some(&Value::from("null")));
            if let Some(schema) = schema {
                all.push(Tried { schema, wrong });
            }
        }
        match self.by_tag(&all, value)? {
            Some(Tagged::As(index)) => out.extend(all.swap_remove(index).wrong),
            Some(Tagged::Wrong(wrong)) => out.push(wrong),
            None => match self.meant(&all, value)? {
                Some(index) => out.extend(all.swap_remove(index).wrong),
                None => out.push(self.none_of(&all, value)?),
            },
        }
        Ok(())
    }

    /// The alternative that a table names, where all tables among them say by the same key which they
    /// are: an enum with a tag.
    fn by_tag(&mut self, all: &[Tried<'a>], value: &Value) -> Result<Option<Tagged>, TooInvolved> {
        let Some(table) = value.as_object() else {
            return Ok(None);
        };
        let is_table = |tried: &&Tried<'a>| tried.schema.contains_key("properties");
        let tables: Vec<_> = all.iter().filter(is_table).collect();
        let [first, _, ..] = tables.as_slice() else {
            return Ok(None);
        };
        let mut required = super::list(first.schema, "required").iter();
        self.step(required.len() * tables.len())?;
        let tag = required.by_ref().filter_map(Value::as_str).find(|key| {
            let mut tables = tables.iter();
            tables.all(|tried| !tags(tried.schema, key).is_empty())
        });
        let Some(tag) = tag else {
            return Ok(None);
        };
        let Some(found_tag) = table.get(tag) else {
            let message = format!("the key {} is missing", quoted_name(tag));
            return Ok(Some(Tagged::Wrong(self.wrong(
                Mark::Value,
                message,
                None,
            )?)));
        };
        for (index, tried) in all.iter().enumerate() {
            let tags = tags(tried.schema, tag);
            self.step(tags.len())?;
            if tags.contains(found_tag) {
                return Ok(Some(Tagged::As(index)));
            }
        }
        let known = tables.iter().flat_map(|tried| tags(tried.schema, tag));
        let known: Vec<_> = known.filter_map(Value::as_str).collect();
        let message = format!(
            "found {}, expected {}",
            found(found_tag),
            names(known.iter().copied())
        );
        let help = match found_tag.as_str() {
            Some(written) => self.closest(written, known.into_iter())?,
            None => None,
        };
        let wrong = self.within(Segment::Key(tag.to_owned()), |walk| {
            walk.wrong(Mark::Value, message, help)
        })?;
        Ok(Some(Tagged::Wrong(wrong)))
    }

    /// The schema that a reference stands for; only one step, as more of them are rare.
    fn resolved(
        &mut self,
        choice: &'a Value,
    ) -> Result<Option<&'a Map<String, Value>>, TooInvolved> {
        let Some(schema) = choice.as_object() else {
            return Ok(None);
        };
        Ok(match self.target(schema)? {
            Some(target) => target.as_object(),
            None => Some(schema),
        })
    }

    fn meant(&mut self, all: &[Tried<'_>], value: &Value) -> Result<Option<usize>, TooInvolved> {
        if all.len() == 1 {
            return Ok(Some(0));
        }
        let mut of_kind = Vec::new();
        for (index, tried) in all.iter().enumerate() {
            // Strings are told apart by their values, not by their kind.
            let is_composite = value.is_array() || value.is_object();
            let is_typed = tried.schema.contains_key("type");
            if is_composite && is_typed && self.has_type(tried.schema, value)? {
                of_kind.push(index);
            }
        }
        if let [only] = of_kind.as_slice() {
            return Ok(Some(*only));
        }
        let Some(table) = value.as_object() else {
            return Ok(None);
        };
        for index in of_kind {
            let schema = all.get(index).map(|tried| tried.schema);
            let known = schema.and_then(|schema| schema.get("properties"));
            let Some(known) = known.and_then(Value::as_object) else {
                continue;
            };
            self.step(table.len())?;
            if table.keys().any(|key| known.contains_key(key)) {
                return Ok(Some(index));
            }
        }
        Ok(None)
    }

    fn none_of(&mut self, all: &[Tried<'_>], value: &Value) -> Result<Wrong, TooInvolved> {
        self.step(all.len())?;
        let choices = list(all.iter(), |tried| expected(tried.schema));
        let message = format!("found {}, expected {choices}", found(value));
        let written = match value {
            Value::String(text) => Some(text),
            Value::Object(table) => table.keys().next(),
            _ => None,
        };
        let is_text = value.is_string();
        let names = all.iter().flat_map(|tried| {
            let keyword = if is_text { "enum" } else { "required" };
            let names = super::list(tried.schema, keyword).iter();
            names.take(MAX_COMPARED).filter_map(Value::as_str)
        });
        let help = match written {
            Some(written) => self.closest(written, names)?,
            None => None,
        };
        self.wrong(Mark::Value, message, help)
    }
}
