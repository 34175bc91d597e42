//! JSON Schemas (2020-12) of configurations, made by the compiler.
//!
//! [`Schema`] is derived beside serde's `Deserialize` and says what serde reads; [`json`] writes
//! it as text, in a constant too, so that it can lie in a section of a Wasm file. `schemars`
//! makes its schemas when the program runs, which a file that nobody runs cannot.
//!
//! ```
//! use serde::Deserialize;
//! use witgate_schema::Schema;
//!
//! #[derive(Deserialize, Schema)]
//! #[serde(deny_unknown_fields)]
//! # #[schema(crate = witgate_schema)]
//! struct Config {
//!     /// Where requests go.
//!     pool: String,
//!     #[serde(default)]
//!     paths: Vec<String>,
//! }
//!
//! const LENGTH: usize = witgate_schema::json(&Config::SHAPE, &mut []);
//! const TEXT: [u8; LENGTH] = {
//!     let mut text = [0; LENGTH];
//!     witgate_schema::json(&Config::SHAPE, &mut text);
//!     text
//! };
//! let schema: serde_json::Value = serde_json::from_slice(&TEXT).unwrap();
//! assert_eq!(schema["properties"]["pool"]["description"], "Where requests go.");
//! assert_eq!(schema["required"][0], "pool");
//! ```

mod types;
mod write;

pub use types::Anything;
/// Derives the schema of what `Deserialize` reads; the attributes that count are told at the
/// trait.
///
/// ```
/// use serde::Deserialize;
/// use witgate_schema::{Schema, Shape};
///
/// #[derive(Deserialize, Schema)]
/// #[serde(rename_all = "lowercase")]
/// # #[schema(crate = witgate_schema)]
/// enum SameSite {
///     Lax,
///     Strict,
/// }
///
/// assert!(matches!(SameSite::SHAPE, Shape::Choice(["lax", "strict"])));
/// ```
pub use witgate_schema_derive::Schema;
pub use write::json;

/// A type that has a place in a configuration.
///
/// The derive follows the attributes of serde: `rename`, `rename_all`, `alias`, `default`, `skip`,
/// `deny_unknown_fields`, `transparent`, `flatten`, `untagged`, `tag`, `content`, `from`, `try_from`. What reads itself in
/// another way (`with`, `deserialize_with`) names its schema with `#[schema(as = Type)]`, or `#[schema(any)]`; `least = 1` and
/// `most = 10` are the bounds of an integer. Comments become descriptions. A type that holds itself
/// has no constant: implement the trait, or leave it out.
///
/// ```
/// use witgate_schema::{Schema, Shape};
///
/// struct Seconds(f64);
///
/// impl Schema for Seconds {
///     const SHAPE: Shape = Shape::Number;
/// }
///
/// assert!(matches!(<Vec<Seconds>>::SHAPE, Shape::List(Shape::Number)));
/// ```
#[diagnostic::on_unimplemented(
    note = "say what it reads as: `#[schema(as = Type)]`, or `#[schema(any)]`"
)]
pub trait Schema {
    /// What may stand there.
    const SHAPE: Shape;
    /// Whether the key may be missing: only of `Option`, and of what reads as one.
    const OPTIONAL: bool = false;
}

/// What may stand in a place of a configuration.
///
/// ```
/// use witgate_schema::{Schema, Shape};
///
/// assert!(matches!(u8::SHAPE, Shape::Integer { least: 0, most: 255 }));
/// assert!(matches!(<Option<String>>::SHAPE, Shape::Text));
/// ```
#[derive(Debug, Clone, Copy)]
pub enum Shape {
    /// Anything.
    Any,
    /// `true` or `false`.
    Bool,
    /// A string.
    Text,
    /// A string of a form that these words say: `a duration such as "250ms"`.
    Words(&'static str),
    /// An integer, both bounds included.
    Integer {
        /// The smallest.
        least: i128,
        /// The largest.
        most: i128,
    },
    /// A number, whole or not.
    Number,
    /// One of these strings.
    Choice(&'static [&'static str]),
    /// A list of these.
    List(&'static Shape),
    /// A table with any keys and these values.
    Map(&'static Shape),
    /// A table with these keys.
    Table(Table),
    /// One of these.
    Either(&'static [Shape]),
}

impl Shape {
    /// Whether it is a table that refuses keys that it does not know.
    ///
    /// ```
    /// use witgate_schema::Shape;
    ///
    /// assert!(!Shape::Map(&Shape::Text).is_strict());
    /// ```
    pub const fn is_strict(&self) -> bool {
        matches!(self, Self::Table(table) if table.strict)
    }
}

/// A table with known keys.
///
/// ```
/// use witgate_schema::{Key, Shape, Table};
///
/// const POOL: Table = Table {
///     keys: &[Key::new("pool", Shape::Text)],
///     flat: &[],
///     strict: true,
///     doc: "Where requests go.",
/// };
/// assert_eq!(POOL.keys[0].name, "pool");
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Table {
    /// In the order in which they are declared.
    pub keys: &'static [Key],
    /// What else reads the same table (serde's `flatten`).
    pub flat: &'static [Flat],
    /// Whether others are refused.
    pub strict: bool,
    /// What it is for; may be empty.
    pub doc: &'static str,
}

/// Something whose keys stand among those of a table: a table itself, a map for all keys that are
/// left, or one of several tables.
///
/// ```
/// use witgate_schema::{Flat, Key, Shape, Table};
///
/// const LIMITS: Table = Table {
///     keys: &[Key::new("most", Shape::Number)],
///     flat: &[],
///     strict: false,
///     doc: "",
/// };
/// const POOL: Table = Table {
///     keys: &[Key::new("pool", Shape::Text)],
///     flat: &[Flat { shape: Shape::Table(LIMITS), optional: true }],
///     strict: true,
///     doc: "",
/// };
/// let mut text = vec![0; witgate_schema::json(&Shape::Table(POOL), &mut [])];
/// witgate_schema::json(&Shape::Table(POOL), &mut text);
/// let schema: serde_json::Value = serde_json::from_slice(&text).unwrap();
/// assert_eq!(schema["properties"]["most"]["type"], "number");
/// assert_eq!(schema["required"], serde_json::json!(["pool"]));
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Flat {
    /// What it reads.
    pub shape: Shape,
    /// Whether all of it may be missing.
    pub optional: bool,
}

/// A key of a table.
///
/// ```
/// use witgate_schema::{Key, Shape};
///
/// let share = Key {
///     required: false,
///     doc: "Percent of all requests.",
///     default: "`0`",
///     ..Key::new("share", Shape::Integer { least: 0, most: 100 })
/// };
/// assert!(share.range.is_empty());
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// As it is written.
    pub name: &'static str,
    /// Its value.
    pub shape: Shape,
    /// Whether it must be there.
    pub required: bool,
    /// What it means; may be empty.
    pub doc: &'static str,
    /// What its value may be where the shape does not say it, for people; may be empty.
    pub range: &'static str,
    /// What holds without it, for people, as code or in words; may be empty.
    pub default: &'static str,
}

impl Key {
    /// A key that must be there, without any words.
    ///
    /// ```
    /// use witgate_schema::{Key, Shape};
    ///
    /// assert!(Key::new("pool", Shape::Text).required);
    /// ```
    pub const fn new(name: &'static str, shape: Shape) -> Self {
        Self {
            name,
            shape,
            required: true,
            doc: "",
            range: "",
            default: "",
        }
    }
}
