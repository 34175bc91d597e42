//! What is derived is what serde reads.

#![allow(dead_code, reason = "only the types matter")]

use std::{
    collections::{BTreeMap, BTreeSet, HashSet, VecDeque},
    num::NonZeroU16,
    rc::Rc,
    sync::Arc,
};

use serde::Deserialize;
use serde_json::{Value, json};
use witgate_schema::{Schema, Shape};

fn schema<T: Schema>() -> Value {
    let mut text = vec![0; witgate_schema::json(&T::SHAPE, &mut [])];
    witgate_schema::json(&T::SHAPE, &mut text);
    let mut value: Value = serde_json::from_slice(&text).expect("JSON");
    let of = value.as_object_mut().and_then(|all| all.remove("$schema"));
    assert!(of.is_some(), "{value}");
    value
}

/// All of it.
#[derive(Deserialize, Schema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[schema(crate = witgate_schema)]
struct Config {
    /// Where requests go,
    /// one and all.
    ///
    /// Or not.
    pool_name: String,
    #[serde(rename = "for")]
    time: Option<u8>,
    #[serde(default = "five", alias = "n")]
    #[schema(least = 1, most = LIMIT)]
    number: u32,
    #[serde(default)]
    sites: Vec<Site>,
    sticky: Sticky,
    same_site: SameSite,
    either: Either,
    text: Text,
    #[serde(default)]
    any: BTreeMap<String, Wrapped>,
    #[serde(skip)]
    seen: u8,
    #[schema(any)]
    other: Value,
    #[schema(any)]
    maybe: Option<Value>,
    #[serde(default, deserialize_with = "anything")]
    #[schema(as = Vec<bool>)]
    odd: Option<u8>,
}

const LIMIT: u32 = 10;

fn five() -> u32 {
    5
}

fn anything<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<u8>, D::Error> {
    Value::deserialize(from).map(|_| None)
}

#[derive(Deserialize, Schema)]
#[serde(default)]
#[schema(crate = witgate_schema)]
#[derive(Default)]
struct Site {
    r#type: String,
}

#[derive(Deserialize, Schema)]
#[serde(rename_all = "lowercase")]
#[schema(crate = witgate_schema)]
enum Sticky {
    Address,
    /// Its name.
    Cookie(String),
    Both {
        name: String,
    },
}

#[derive(Deserialize, Schema)]
#[schema(crate = witgate_schema)]
enum SameSite {
    #[serde(rename = "ip:port")]
    IpPort,
    Lax,
}

#[derive(Deserialize, Schema)]
#[serde(untagged)]
#[schema(crate = witgate_schema)]
enum Either {
    One(String),
    Many(Vec<String>),
}

#[derive(Deserialize, Schema)]
#[serde(try_from = "String")]
#[schema(crate = witgate_schema, words = "a host")]
struct Text(u8);

impl TryFrom<String> for Text {
    type Error = String;

    fn try_from(_: String) -> Result<Self, String> {
        Ok(Self(0))
    }
}

#[derive(Deserialize, Schema)]
#[schema(crate = witgate_schema)]
struct Wrapped(i8);

#[test]
fn each_attribute_counts() {
    let string = || json!({"type": "string"});
    let number = || json!({"type": "integer", "minimum": 1, "maximum": 10});
    let expected = json!({
        "type": "object",
        "description": "All of it.",
        "properties": {
            "pool-name": {"type": "string", "description": "Where requests go, one and all.\nOr not."},
            "for": {"type": "integer", "minimum": 0, "maximum": 255},
            "number": number(),
            "n": number(),
            "sites": {"type": "array", "items": {"type": "object", "properties": {"type": string()}}},
            "sticky": {"anyOf": [
                {"enum": ["address"]},
                {
                    "type": "object",
                    "properties": {"cookie": {"description": "Its name.", "type": "string"}},
                    "required": ["cookie"],
                    "additionalProperties": false,
                },
                {
                    "type": "object",
                    "properties": {"both": {
                        "type": "object",
                        "properties": {"name": string()},
                        "required": ["name"],
                    }},
                    "required": ["both"],
                    "additionalProperties": false,
                },
            ]},
            "same-site": {"enum": ["ip:port", "Lax"]},
            "either": {"anyOf": [string(), {"type": "array", "items": string()}]},
            "text": {"type": "string", "title": "a host"},
            "any": {"type": "object", "additionalProperties": {"type": "integer", "minimum": -128, "maximum": 127}},
            "other": {},
            "maybe": {},
            "odd": {"type": "array", "items": {"type": "boolean"}},
        },
        "required": ["pool-name", "sticky", "same-site", "either", "text", "other"],
        "additionalProperties": false,
    });
    assert_eq!(schema::<Config>(), expected);
}

#[derive(Deserialize, Schema)]
#[serde(transparent)]
#[schema(crate = witgate_schema)]
struct Named {
    name: Option<String>,
    #[serde(skip)]
    seen: u8,
}

#[derive(Deserialize, Schema)]
#[serde(transparent)]
#[schema(crate = witgate_schema)]
struct Bounded(#[schema(least = 3)] u8, #[serde(default)] bool);

#[derive(Deserialize, Schema)]
#[serde(rename_all = "camelCase")]
#[schema(crate = witgate_schema)]
struct Holders {
    named: Named,
    bounded: Bounded,
    boxed: Box<Option<bool>>,
    _max_age: NonZeroU16,
    set: BTreeSet<bool>,
    hashed: HashSet<bool>,
    queue: VecDeque<bool>,
}

#[test]
fn transparent_types_and_holders_are_what_they_hold() {
    let bools = || json!({"type": "array", "items": {"type": "boolean"}});
    let expected = json!({
        "type": "object",
        "properties": {
            "named": {"type": "string"},
            "bounded": {"type": "integer", "minimum": 3, "maximum": 255},
            "boxed": {"type": "boolean"},
            "maxAge": {"type": "integer", "minimum": 1, "maximum": 65535},
            "set": bools(),
            "hashed": bools(),
            "queue": bools(),
        },
        "required": ["bounded", "maxAge", "set", "hashed", "queue"],
    });
    assert_eq!(schema::<Holders>(), expected);
    // serde reads what the schema says.
    let written = json!({"bounded": 5, "maxAge": 1, "set": [], "hashed": [true], "queue": []});
    let read: Holders = serde_json::from_value(written).expect("a value that fits");
    assert_eq!((read.named.name, read.bounded.0), (None, 5));
    assert!(matches!(<Arc<Rc<Option<bool>>>>::SHAPE, Shape::Bool));
    const { assert!(<Arc<Rc<Option<bool>>>>::OPTIONAL && !<Box<bool>>::OPTIONAL) };
}

#[test]
fn a_constant_holds_it() {
    const LENGTH: usize = witgate_schema::json(&<Vec<Either>>::SHAPE, &mut []);
    const TEXT: [u8; LENGTH] = {
        let mut text = [0; LENGTH];
        witgate_schema::json(&<Vec<Either>>::SHAPE, &mut text);
        text
    };
    let value: Value = serde_json::from_slice(&TEXT).expect("JSON");
    assert_eq!(value["items"]["anyOf"][0]["type"], "string");
    assert!(matches!(<Option<bool>>::SHAPE, Shape::Bool));
}

/// What several tables have.
#[derive(Deserialize, Schema)]
#[schema(crate = witgate_schema)]
struct Common {
    /// Whether it counts.
    #[serde(default)]
    on: bool,
    name: String,
}

#[derive(Deserialize, Schema)]
#[schema(crate = witgate_schema)]
struct Size {
    least: u8,
}

#[derive(Deserialize, Schema)]
#[serde(deny_unknown_fields)]
#[schema(crate = witgate_schema)]
struct Merged {
    pool: String,
    #[serde(flatten)]
    common: Common,
    #[serde(flatten)]
    size: Option<Size>,
}

#[derive(Deserialize, Schema)]
#[schema(crate = witgate_schema)]
struct Others {
    pool: String,
    #[serde(flatten)]
    others: BTreeMap<String, bool>,
}

#[derive(Deserialize, Schema)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
#[schema(crate = witgate_schema)]
enum Action {
    Pass,
    /// To a pool.
    Forward {
        pool: String,
    },
    #[serde(alias = "deny")]
    Refuse(Status),
}

#[derive(Deserialize, Schema)]
#[serde(deny_unknown_fields)]
#[schema(crate = witgate_schema)]
struct Status {
    status: Option<u16>,
}

#[derive(Deserialize, Schema)]
#[schema(crate = witgate_schema)]
struct Rule {
    path: String,
    #[serde(flatten)]
    action: Action,
}

#[derive(Deserialize, Schema)]
#[serde(tag = "by", content = "of", rename_all = "lowercase")]
#[schema(crate = witgate_schema)]
enum Key {
    Address,
    Field(String),
    Maybe(Option<u8>),
    Cookie { name: String },
}

/// Asserts that serde reads the one and not the other.
fn reads<T: for<'de> Deserialize<'de>>(good: Value, bad: Value) {
    let shown = format!("{good}");
    assert!(serde_json::from_value::<T>(good).is_ok(), "{shown}");
    let shown = format!("{bad}");
    assert!(serde_json::from_value::<T>(bad).is_err(), "{shown}");
}

#[test]
fn flattened_tables_are_one() {
    let expected = json!({
        "type": "object",
        "properties": {
            "pool": {"type": "string"},
            "on": {"type": "boolean", "description": "Whether it counts."},
            "name": {"type": "string"},
            "least": {"type": "integer", "minimum": 0, "maximum": 255},
        },
        "required": ["pool", "name"],
        "additionalProperties": false,
    });
    assert_eq!(schema::<Merged>(), expected);
    reads::<Merged>(
        json!({"pool": "a", "name": "b", "least": 1}),
        json!({"pool": "a", "name": "b", "lest": 1}),
    );
    let expected = json!({
        "type": "object",
        "properties": {"pool": {"type": "string"}},
        "required": ["pool"],
        "additionalProperties": {"type": "boolean"},
    });
    assert_eq!(schema::<Others>(), expected);
    reads::<Others>(
        json!({"pool": "a", "b": true}),
        json!({"pool": "a", "b": 1}),
    );
}

#[test]
fn a_tag_says_which_variant_it_is() {
    let text = || json!({"type": "string"});
    let status = || json!({"type": "integer", "minimum": 0, "maximum": 65535});
    let pass = || json!({"type": "object", "properties": {"type": {"enum": ["pass"]}}, "required": ["type"]});
    let forward = || {
        json!({
            "type": "object",
            "properties": {"type": {"enum": ["forward"], "description": "To a pool."}, "pool": text()},
            "required": ["type", "pool"],
        })
    };
    let refuse = || {
        json!({
            "type": "object",
            "properties": {"type": {"enum": ["refuse", "deny"]}, "status": status()},
            "required": ["type"],
        })
    };
    let strict = |mut schema: Value| {
        schema["additionalProperties"] = json!(false);
        schema
    };
    let expected = json!({"anyOf": [pass(), strict(forward()), strict(refuse())]});
    assert_eq!(schema::<Action>(), expected);
    reads::<Action>(
        json!({"type": "forward", "pool": "a"}),
        json!({"type": "forward", "pool": "a", "x": 1}),
    );
    reads::<Action>(
        json!({"type": "deny", "status": 403}),
        json!({"type": "deny", "stats": 403}),
    );
    reads::<Action>(json!({"type": "pass", "x": 1}), json!({"pool": "a"}));
    // Beside others the variants say nothing of keys that are not theirs.
    let expected = json!({
        "type": "object",
        "properties": {"path": text()},
        "required": ["path"],
        "allOf": [{"anyOf": [pass(), forward(), refuse()]}],
    });
    assert_eq!(schema::<Rule>(), expected);
    reads::<Rule>(
        json!({"path": "/", "type": "forward", "pool": "a"}),
        json!({"path": "/", "type": "forward"}),
    );
}

#[test]
fn a_tag_may_stand_beside_the_variant() {
    let of = |name: &str, of: Value, required: Value| {
        json!({
            "type": "object",
            "properties": {"by": {"enum": [name]}, "of": of},
            "required": required,
        })
    };
    let cookie =
        json!({"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]});
    let expected = json!({"anyOf": [
        {"type": "object", "properties": {"by": {"enum": ["address"]}}, "required": ["by"]},
        of("field", json!({"type": "string"}), json!(["by", "of"])),
        of("maybe", json!({"type": "integer", "minimum": 0, "maximum": 255}), json!(["by"])),
        of("cookie", cookie, json!(["by", "of"])),
    ]});
    assert_eq!(schema::<Key>(), expected);
    reads::<Key>(json!({"by": "address"}), json!({"by": "field"}));
    reads::<Key>(json!({"by": "maybe"}), json!({"by": "cookie", "of": {}}));
}
