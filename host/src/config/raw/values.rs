//! Values that are written in more than one way, or that serde does not know.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer},
};
use witgate_schema::{Schema, Shape};

use super::{super::units, EndpointTable, OnErrorRoles};

/// A duration as written.
#[derive(Debug)]
pub(in crate::config) struct Duration(pub(in crate::config) String);

/// A size as written.
#[derive(Debug)]
pub(in crate::config) enum Size {
    Bytes(i64),
    Text(String),
}

/// Statuses and ranges of them, as written: one, or a list.
#[derive(Debug)]
pub(in crate::config) struct Statuses(pub(in crate::config) Vec<String>);

/// One policy for all roles, or one for each.
#[derive(Debug)]
pub(in crate::config) enum OnError {
    All(String),
    Roles(OnErrorRoles),
}

/// `"host:port"`, or a table with more.
#[derive(Debug)]
pub(in crate::config) enum Endpoint {
    Address(String),
    Table(EndpointTable),
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Duration;
            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str(units::DURATION)
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Duration, E> {
                Ok(Duration(text.to_owned()))
            }
        }
        deserializer.deserialize_any(Text)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextOrBytes;
        impl Visitor<'_> for TextOrBytes {
            type Value = Size;
            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str(units::SIZE)
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Size, E> {
                Ok(Size::Text(text.to_owned()))
            }
            fn visit_i64<E: Error>(self, bytes: i64) -> Result<Size, E> {
                Ok(Size::Bytes(bytes))
            }
        }
        deserializer.deserialize_any(TextOrBytes)
    }
}

impl<'de> Deserialize<'de> for OnError {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AllOrRoles;
        impl<'de> Visitor<'de> for AllOrRoles {
            type Value = OnError;
            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str(r#""fail-closed", "fail-open" or a table with one for each role"#)
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<OnError, E> {
                Ok(OnError::All(text.to_owned()))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<OnError, A::Error> {
                OnErrorRoles::deserialize(MapAccessDeserializer::new(map)).map(OnError::Roles)
            }
        }
        deserializer.deserialize_any(AllOrRoles)
    }
}

impl<'de> Deserialize<'de> for Statuses {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMany;
        impl<'de> Visitor<'de> for OneOrMany {
            type Value = Statuses;
            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str(r#"statuses such as 200, "200-399" or a list of them"#)
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Statuses, E> {
                Ok(Statuses(vec![text.to_owned()]))
            }
            fn visit_i64<E: Error>(self, status: i64) -> Result<Statuses, E> {
                Ok(Statuses(vec![status.to_string()]))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Statuses, A::Error> {
                let mut all = Vec::new();
                while let Some(Statuses(some)) = list.next_element()? {
                    all.extend(some);
                }
                Ok(Statuses(all))
            }
        }
        deserializer.deserialize_any(OneOrMany)
    }
}

impl<'de> Deserialize<'de> for Endpoint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AddressOrTable;
        impl<'de> Visitor<'de> for AddressOrTable {
            type Value = Endpoint;
            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str(
                    r#"an endpoint such as "10.0.0.4:443" or { address = "10.0.0.4:443" }"#,
                )
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Endpoint, E> {
                Ok(Endpoint::Address(text.to_owned()))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Endpoint, A::Error> {
                let table = MapAccessDeserializer::new(map);
                EndpointTable::deserialize(table).map(Endpoint::Table)
            }
        }
        deserializer.deserialize_any(AddressOrTable)
    }
}

impl Schema for Duration {
    const SHAPE: Shape = Shape::Words(units::DURATION);
}

impl Schema for Size {
    const SHAPE: Shape = Shape::Either(&[WHOLE, Shape::Words(units::SIZE)]);
}

impl Schema for OnError {
    const SHAPE: Shape = Shape::Either(&[
        Shape::Choice(&["fail-closed", "fail-open"]),
        OnErrorRoles::SHAPE,
    ]);
}

impl Schema for Statuses {
    const SHAPE: Shape = Shape::Either(&[
        WHOLE,
        Shape::Text,
        Shape::List(&Shape::Either(&[WHOLE, Shape::Text])),
    ]);
}

impl Schema for Endpoint {
    const SHAPE: Shape = Shape::Either(&[
        Shape::Words("an endpoint such as \"10.0.0.4:443\""),
        EndpointTable::SHAPE,
    ]);
}

const WHOLE: Shape = Shape::Integer {
    least: 0,
    most: i64::MAX as i128,
};
