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
