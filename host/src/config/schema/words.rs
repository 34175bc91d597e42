//! What was found and what was expected, in words. Names and words of a schema are not ours: they
//! are cut, and what is no letter in them is escaped.

use serde_json::{Map, Value};

/// Names in one list; all of them would hide those that matter.
const MAX_NAMES: usize = 20;
/// Names that a misspelt one is compared with.
pub(super) const MAX_COMPARED: usize = 100;
/// Where nothing may stand.
const NOTHING: &str = "nothing here";
/// Characters of a name, or of a value.
pub(super) const MAX_LETTERS: usize = 64;

/// `string "x"`, ``integer `5` ``, `a table`: what stands there.
pub(super) fn found(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(flag) => format!("boolean `{flag}`"),
        Value::Number(number) if number.is_f64() => format!("floating point `{number}`"),
        Value::Number(number) => format!("integer `{number}`"),
        Value::String(text) => format!("string \"{}\"", cut(text)),
        Value::Array(_) => "an array".to_owned(),
        Value::Object(_) => "a table".to_owned(),
    }
}

/// What a schema expects, as far as a few words can say it.
pub(super) fn expected(schema: &Map<String, Value>) -> String {
    if let Some(Value::Array(all)) = schema.get("enum") {
        return list(all.iter(), constant);
    }
    if let Some(one) = schema.get("const") {
        return constant(one);
    }
    let title = schema.get("title").and_then(Value::as_str);
    match (schema.get("type"), title) {
        (Some(Value::String(name)), Some(title)) if name == "string" => words(title),
        (Some(Value::String(name)), _) if name == "object" => table(schema),
        (Some(Value::String(name)), _) => of_type(name),
        (Some(Value::Array(names)), _) => {
            let names = names.iter().filter_map(Value::as_str);
            list(names.filter(|name| *name != "null"), of_type)
        }
        _ => "another value".to_owned(),
    }
}

fn of_type(name: &str) -> String {
    let words = match name {
        "string" => "a string",
        "integer" => "an integer",
        "number" => "a number",
        "boolean" => "a boolean",
        "array" => "an array",
        "object" => "a table",
        // TOML has no null.
        "null" => NOTHING,
        _ => "another value",
    };
    words.to_owned()
}

/// With the keys that it must have.
fn table(schema: &Map<String, Value>) -> String {
    let required = super::list(schema, "required");
    match required.first().and_then(Value::as_str) {
        Some(first) => format!("a table with {}", quoted_name(first)),
        None => "a table".to_owned(),
    }
}

fn constant(value: &Value) -> String {
    match value {
        Value::String(text) => quoted_name(text),
        other => found(other),
    }
}

/// `a`, `b` or `c`.
pub(super) fn names<'a>(all: impl Iterator<Item = &'a str>) -> String {
    list(all, quoted_name)
}

/// A, b or c, each in words. Those that are not shown are only counted.
pub(super) fn list<T>(all: impl Iterator<Item = T>, words: impl Fn(T) -> String) -> String {
    let mut all = all;
    let mut shown: Vec<String> = all.by_ref().take(MAX_NAMES).map(words).collect();
    let more = all.count();
    if more > 0 {
        shown.push(format!("{more} others"));
    }
    match shown.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => NOTHING.to_owned(),
    }
}

pub(super) fn quoted_name(name: &str) -> String {
    format!("`{}`", cut(name))
}

/// Words that stand without quotes, so that theirs need no escape.
fn words(text: &str) -> String {
    let mut words = String::new();
    for letter in text.chars().take(2 * MAX_LETTERS) {
        match letter {
            '"' | '\'' | '\\' => words.push(letter),
            _ => words.extend(letter.escape_debug()),
        }
    }
    words
}

fn cut(text: &str) -> String {
    let mut cut: String = text.chars().take(MAX_LETTERS).collect();
    cut = cut.escape_debug().to_string();
    if text.chars().nth(MAX_LETTERS).is_some() {
        cut.push('…');
    }
    cut
}
