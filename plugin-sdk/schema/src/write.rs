//! A shape as the text of a JSON Schema; written by the compiler as well, so that there are loops
//! and bytes where other code would have iterators and strings.

use crate::{Flat, Key, Shape, Table};

/// Writes the JSON Schema (2020-12) of a shape, as much of it as there is room for, and returns
/// how many bytes all of it has.
///
/// ```
/// use witgate_schema::{Schema, json};
///
/// const LENGTH: usize = json(&<Vec<bool>>::SHAPE, &mut []);
/// const TEXT: [u8; LENGTH] = {
///     let mut text = [0; LENGTH];
///     json(&<Vec<bool>>::SHAPE, &mut text);
///     text
/// };
/// assert!(TEXT.ends_with(br#""type":"array","items":{"type":"boolean"}}"#));
/// ```
pub const fn json(shape: &Shape, into: &mut [u8]) -> usize {
    let mut out = Out { into, at: 0 };
    out.raw("{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\"");
    out.members(shape, true);
    out.raw("}");
    out.at
}

struct Out<'a> {
    into: &'a mut [u8],
    at: usize,
}

impl Out<'_> {
    const fn byte(&mut self, byte: u8) {
        if self.at < self.into.len() {
            self.into[self.at] = byte;
        }
        self.at += 1;
    }

    const fn raw(&mut self, text: &str) {
        let bytes = text.as_bytes();
        let mut i = 0;
        while i < bytes.len() {
            self.byte(bytes[i]);
            i += 1;
        }
    }

    /// A string (RFC 8259 §7).
    const fn string(&mut self, text: &str) {
        self.byte(b'"');
        self.escaped(text);
        self.byte(b'"');
    }

    const fn escaped(&mut self, text: &str) {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let bytes = text.as_bytes();
        let mut i = 0;
        while i < bytes.len() {
            match bytes[i] {
                byte @ (b'"' | b'\\') => {
                    self.byte(b'\\');
                    self.byte(byte);
                }
                b'\n' => self.raw("\\n"),
                byte @ 0..=31 => {
                    self.raw("\\u00");
                    self.byte(HEX[(byte >> 4) as usize]);
                    self.byte(HEX[(byte & 15) as usize]);
                }
                byte => self.byte(byte),
            }
            i += 1;
        }
    }

    const fn number(&mut self, number: i128) {
        if number < 0 {
            self.byte(b'-');
        }
        let number = number.unsigned_abs();
        let mut place: u128 = 1;
        while number / place >= 10 {
            place *= 10;
        }
        while place > 0 {
            self.byte(b'0' + (number / place % 10) as u8);
            place /= 10;
        }
    }

    /// The members of a schema's object, each behind a comma where it is not the first.
    const fn members(&mut self, shape: &Shape, follows: bool) {
        if follows && !matches!(shape, Shape::Any) {
            self.byte(b',');
        }
        match shape {
            Shape::Any => {}
            Shape::Bool => self.raw("\"type\":\"boolean\""),
            Shape::Text => self.raw("\"type\":\"string\""),
            Shape::Words(words) => {
                self.raw("\"type\":\"string\",\"title\":");
                self.string(words);
            }
            Shape::Integer { least, most } => {
                self.raw("\"type\":\"integer\",\"minimum\":");
                self.number(*least);
                self.raw(",\"maximum\":");
                self.number(*most);
            }
            Shape::Number => self.raw("\"type\":\"number\""),
            Shape::Choice(names) => {
                self.raw("\"enum\":[");
                let mut i = 0;
                while i < names.len() {
                    if i > 0 {
                        self.byte(b',');
                    }
                    self.string(names[i]);
                    i += 1;
                }
                self.byte(b']');
            }
            Shape::List(shape) => {
                self.raw("\"type\":\"array\",\"items\":");
                self.object(shape);
            }
            Shape::Map(shape) => {
                self.raw("\"type\":\"object\",\"additionalProperties\":");
                self.object(shape);
            }
            Shape::Table(table) => self.table(table),
            Shape::Either(shapes) => {
                self.raw("\"anyOf\":[");
                let mut i = 0;
                while i < shapes.len() {
                    if i > 0 {
                        self.byte(b',');
                    }
                    self.object(&shapes[i]);
                    i += 1;
                }
                self.byte(b']');
            }
        }
    }

    const fn object(&mut self, shape: &Shape) {
        self.byte(b'{');
        self.members(shape, false);
        self.byte(b'}');
    }

    const fn table(&mut self, table: &Table) {
        if table.strict && table.takes_others() {
            panic!(
                "serde refuses all keys of a flattened map or enum beside `deny_unknown_fields`"
            );
        }
        self.open_table(table);
        match (table.strict, table.others()) {
            (true, _) => self.raw(",\"additionalProperties\":false"),
            (false, Some(shape)) => {
                self.raw(",\"additionalProperties\":");
                self.object(shape);
            }
            (false, None) => {}
        }
    }

    /// A table that says nothing of keys which it does not know: they are for others to read.
    const fn open_table(&mut self, table: &Table) {
        self.raw("\"type\":\"object\"");
        if !table.doc.is_empty() {
            self.raw(",\"description\":");
            self.string(table.doc);
        }
        self.raw(",\"properties\":{");
        self.keys(table, 0);
        self.byte(b'}');
        if self.required(table, 0) > 0 {
            self.byte(b']');
        }
        if self.one_of_each(table, 0) > 0 {
            self.byte(b']');
        }
    }

    /// The keys of a table, and of those that are flat in it. Counts those written.
    const fn keys(&mut self, table: &Table, before: usize) -> usize {
        let (mut i, mut count) = (0, before);
        while i < table.keys.len() {
            if count > 0 {
                self.byte(b',');
            }
            self.key(&table.keys[i]);
            count += 1;
            i += 1;
        }
        let mut i = 0;
        while i < table.flat.len() {
            if let Shape::Table(flat) = &table.flat[i].shape {
                count = self.keys(flat, count);
            }
            i += 1;
        }
        count
    }

    const fn required(&mut self, table: &Table, before: usize) -> usize {
        let (mut i, mut count) = (0, before);
        while i < table.keys.len() {
            if table.keys[i].required {
                self.raw(if count == 0 { ",\"required\":[" } else { "," });
                self.string(table.keys[i].name);
                count += 1;
            }
            i += 1;
        }
        let mut i = 0;
        while i < table.flat.len() {
            if let Flat {
                shape: Shape::Table(flat),
                optional: false,
            } = &table.flat[i]
            {
                count = self.required(flat, count);
            }
            i += 1;
        }
        count
    }

    /// One of several tables has to fit as well, for each enum that is flat in the table.
    const fn one_of_each(&mut self, table: &Table, before: usize) -> usize {
        let (mut i, mut count) = (0, before);
        while i < table.flat.len() {
            match &table.flat[i] {
                Flat { optional: true, .. } => {}
                Flat {
                    shape: Shape::Table(flat),
                    ..
                } => count = self.one_of_each(flat, count),
                Flat {
                    shape: Shape::Either(shapes),
                    ..
                } => {
                    self.raw(if count == 0 { ",\"allOf\":[" } else { "," });
                    self.one_of(shapes);
                    count += 1;
                }
                Flat {
                    shape: Shape::Any | Shape::Map(_),
                    ..
                } => {}
                _ => panic!("only what reads a table can be flattened"),
            }
            i += 1;
        }
        count
    }

    const fn one_of(&mut self, shapes: &[Shape]) {
        self.raw("{\"anyOf\":[");
        let mut i = 0;
        while i < shapes.len() {
            if i > 0 {
                self.byte(b',');
            }
            match &shapes[i] {
                Shape::Table(table) => {
                    self.byte(b'{');
                    self.open_table(table);
                    self.byte(b'}');
                }
                Shape::Either(shapes) => self.one_of(shapes),
                Shape::Any | Shape::Map(_) => self.raw("{}"),
                _ => panic!("only enums whose variants have fields, or a tag, can be flattened"),
            }
            i += 1;
        }
        self.raw("]}");
    }

    /// Name and schema of a key. Its own words stand in the place of those of its table.
    const fn key(&mut self, key: &Key) {
        self.string(key.name);
        self.raw(":{");
        let mut shape = key.shape;
        let has_words = !key.doc.is_empty() || !key.range.is_empty() || !key.default.is_empty();
        if has_words {
            self.raw("\"description\":\"");
            self.escaped(key.doc);
            self.line("", key.range, !key.doc.is_empty());
            let follows = !key.doc.is_empty() || !key.range.is_empty();
            self.line("Default: ", key.default, follows);
            self.byte(b'"');
            if let Shape::Table(table) = &mut shape {
                table.doc = "";
            }
        }
        self.members(&shape, has_words);
        self.byte(b'}');
    }

    /// Words of a description, on a line of their own.
    const fn line(&mut self, before: &str, words: &str, follows: bool) {
        if words.is_empty() {
            return;
        }
        if follows {
            self.raw("\\n");
        }
        self.escaped(before);
        self.escaped(words);
    }
}

impl Table {
    /// Whether what is flat in it reads keys that are not known.
    const fn takes_others(&self) -> bool {
        let mut i = 0;
        while i < self.flat.len() {
            match &self.flat[i].shape {
                Shape::Table(table) if !table.takes_others() => {}
                _ => return true,
            }
            i += 1;
        }
        false
    }

    /// What the values of keys are that are not known.
    const fn others(&self) -> Option<&Shape> {
        let mut i = 0;
        while i < self.flat.len() {
            let found = match &self.flat[i].shape {
                Shape::Table(table) => table.others(),
                Shape::Map(shape) => Some(*shape),
                _ => None,
            };
            if found.is_some() {
                return found;
            }
            i += 1;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn written(shape: Shape) -> Value {
        let mut text = vec![0; super::json(&shape, &mut [])];
        assert_eq!(super::json(&shape, &mut text), text.len());
        let mut value: Value = serde_json::from_slice(&text).expect("JSON");
        let of = value.as_object_mut().and_then(|all| all.remove("$schema"));
        assert!(of.is_some(), "{value}");
        value
    }

    #[test]
    fn each_shape_is_written() {
        const KEYS: &[Key] = &[
            Key {
                doc: "Says \"how\".\nAnd: \\, \u{1}, é.",
                range: "1 to 10",
                default: "`3`",
                required: false,
                ..Key::new(
                    "a",
                    Shape::Integer {
                        least: -10,
                        most: 105,
                    },
                )
            },
            Key::new("b", Shape::Any),
        ];
        let table = Table {
            keys: KEYS,
            flat: &[],
            strict: true,
            doc: "All of it.",
        };
        let shapes = [
            (Shape::Any, json!({})),
            (Shape::Bool, json!({"type": "boolean"})),
            (Shape::Number, json!({"type": "number"})),
            (
                Shape::Words("a host"),
                json!({"type": "string", "title": "a host"}),
            ),
            (Shape::Choice(&["x", "y"]), json!({"enum": ["x", "y"]})),
            (
                Shape::List(&Shape::Text),
                json!({"type": "array", "items": {"type": "string"}}),
            ),
            (
                Shape::Map(&Shape::Any),
                json!({"type": "object", "additionalProperties": {}}),
            ),
            (
                Shape::Either(&[Shape::Bool, Shape::Text]),
                json!({"anyOf": [{"type": "boolean"}, {"type": "string"}]}),
            ),
            (
                Shape::Table(table),
                json!({
                    "type": "object",
                    "description": "All of it.",
                    "properties": {
                        "a": {
                            "description": "Says \"how\".\nAnd: \\, \u{1}, é.\n1 to 10\nDefault: `3`",
                            "type": "integer",
                            "minimum": -10,
                            "maximum": 105,
                        },
                        "b": {},
                    },
                    "required": ["b"],
                    "additionalProperties": false,
                }),
            ),
        ];
        for (shape, expected) in shapes {
            assert_eq!(written(shape), expected, "{shape:?}");
        }
    }

    #[test]
    fn no_more_is_written_than_there_is_room_for() {
        let mut text = [0; 5];
        assert!(super::json(&Shape::Bool, &mut text) > 5);
        assert_eq!(&text, b"{\"$sc");
    }

    /// A table that refuses unknown keys or not, in which this is flat.
    fn with(shape: Shape, strict: bool) -> Value {
        let flat = Box::leak(Box::new([Flat {
            shape,
            optional: false,
        }]));
        written(Shape::Table(Table {
            keys: &[],
            flat,
            strict,
            doc: "",
        }))
    }

    #[test]
    #[should_panic(expected = "beside `deny_unknown_fields`")]
    fn unknown_keys_are_not_refused_and_read_at_a_time() {
        with(Shape::Map(&Shape::Text), true);
    }

    #[test]
    #[should_panic(expected = "only what reads a table")]
    fn a_text_is_not_flattened() {
        with(Shape::Text, false);
    }

    #[test]
    #[should_panic(expected = "only enums whose variants have fields")]
    fn a_name_alone_is_not_flattened() {
        with(Shape::Either(&[Shape::Choice(&["a"])]), false);
    }
}
