//! The schemas of types that are not ours.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    num::{NonZeroU8, NonZeroU16, NonZeroU32, NonZeroU64, NonZeroUsize},
    rc::Rc,
    sync::Arc,
};

use crate::{Schema, Shape};

/// Any value: `#[schema(as = BTreeMap<String, Anything>)]`.
///
/// ```
/// use std::collections::BTreeMap;
/// use witgate_schema::{Anything, Schema, Shape};
///
/// assert!(matches!(<BTreeMap<String, Anything>>::SHAPE, Shape::Map(Shape::Any)));
/// ```
#[derive(Debug)]
pub struct Anything;

macro_rules! shapes {
    ($($type:ty: $shape:expr;)*) => {
        $(impl Schema for $type {
            const SHAPE: Shape = $shape;
        })*
    };
}

macro_rules! integers {
    ($($type:ty)*) => {
        $(impl Schema for $type {
            const SHAPE: Shape = Shape::Integer {
                least: <$type>::MIN as i128,
                most: <$type>::MAX as i128,
            };
        })*
    };
}

shapes! {
    Anything: Shape::Any;
    bool: Shape::Bool;
    char: Shape::Words("a single character");
    String: Shape::Text;
    str: Shape::Text;
    f32: Shape::Number;
    f64: Shape::Number;
    IpAddr: Shape::Words("an IP address");
    Ipv4Addr: Shape::Words("an IPv4 address");
    Ipv6Addr: Shape::Words("an IPv6 address");
    SocketAddr: Shape::Words("an IP address and port");
}

integers!(u8 u16 u32 u64 i8 i16 i32 i64);

// `usize` of a plugin is that of Wasm, whose 32 bits no configuration should depend on.
shapes! {
    usize: Shape::Integer { least: 0, most: u64::MAX as i128 };
    isize: Shape::Integer { least: i64::MIN as i128, most: i64::MAX as i128 };
    NonZeroU8: Shape::Integer { least: 1, most: u8::MAX as i128 };
    NonZeroU16: Shape::Integer { least: 1, most: u16::MAX as i128 };
    NonZeroU32: Shape::Integer { least: 1, most: u32::MAX as i128 };
    NonZeroU64: Shape::Integer { least: 1, most: u64::MAX as i128 };
    NonZeroUsize: Shape::Integer { least: 1, most: u64::MAX as i128 };
}

impl<T: Schema> Schema for Option<T> {
    const SHAPE: Shape = T::SHAPE;
    const OPTIONAL: bool = true;
}

impl<T: Schema> Schema for Vec<T> {
    const SHAPE: Shape = Shape::List(&T::SHAPE);
}

impl<T: Schema, const N: usize> Schema for [T; N] {
    const SHAPE: Shape = Shape::List(&T::SHAPE);
}

impl<T: Schema> Schema for VecDeque<T> {
    const SHAPE: Shape = Shape::List(&T::SHAPE);
}

impl<T: Schema> Schema for BTreeSet<T> {
    const SHAPE: Shape = Shape::List(&T::SHAPE);
}

impl<T: Schema, S> Schema for HashSet<T, S> {
    const SHAPE: Shape = Shape::List(&T::SHAPE);
}

// serde asks the type inside, also about a key that is missing.
macro_rules! pointers {
    ($($pointer:ident)*) => {
        $(impl<T: Schema + ?Sized> Schema for $pointer<T> {
            const SHAPE: Shape = T::SHAPE;
            const OPTIONAL: bool = T::OPTIONAL;
        })*
    };
}

pointers!(Box Arc Rc);

impl<T: Schema + ToOwned + ?Sized> Schema for Cow<'_, T> {
    const SHAPE: Shape = T::SHAPE;
}

impl<K, V: Schema> Schema for BTreeMap<K, V> {
    const SHAPE: Shape = Shape::Map(&V::SHAPE);
}

impl<K, V: Schema, S> Schema for HashMap<K, V, S> {
    const SHAPE: Shape = Shape::Map(&V::SHAPE);
}
