//! A response's head as plugins see it.

use crate::Field;

#[cfg(target_arch = "wasm32")]
use crate::guest::RawResponse as Raw;
#[cfg(not(target_arch = "wasm32"))]
use crate::native::RawResponse as Raw;

/// A response's head, from the upstream, before it goes to the client.
///
/// In native tests a response is built:
///
/// ```
/// use witgate_sdk::Response;
///
/// let response = Response::with_status(200).header("set-cookie", "a=1").header("set-cookie", "b=2").build();
/// assert_eq!(response.status(), 200);
/// assert_eq!(response.header_values("Set-Cookie"), [b"a=1", b"b=2"]);
/// ```
#[derive(Debug)]
#[cfg_attr(not(target_arch = "wasm32"), derive(Clone, PartialEq, Eq))]
pub struct Response {
    pub(crate) raw: Raw,
}

impl Response {
    /// 100 to 599.
    ///
    /// ```
    /// use witgate_sdk::Response;
    ///
    /// assert_eq!(Response::with_status(304).build().status(), 304);
    /// ```
    #[must_use]
    pub fn status(&self) -> u16 {
        self.raw.status()
    }

    /// The value of the first field of this name; none when there is none.
    ///
    /// ```
    /// use witgate_sdk::Response;
    ///
    /// let response = Response::with_status(200).header("ETag", "\"1\"").build();
    /// assert_eq!(response.header("etag").as_deref(), Some(&b"\"1\""[..]));
    /// ```
    #[must_use]
    pub fn header(&self, name: &str) -> Option<Vec<u8>> {
        self.raw.header(name)
    }

    /// The value of the first field of this name as text; none when there is none or it is
    /// not UTF-8.
    ///
    /// ```
    /// use witgate_sdk::Response;
    ///
    /// let response = Response::with_status(200).header("x-a", "1").header("x-b", b"\xff").build();
    /// assert_eq!(response.header_str("X-A").as_deref(), Some("1"));
    /// assert_eq!(response.header_str("x-b"), None);
    /// ```
    #[must_use]
    pub fn header_str(&self, name: &str) -> Option<String> {
        self.header(name)
            .and_then(|value| String::from_utf8(value).ok())
    }

    /// The values of all fields of this name, in order; empty when there is none.
    ///
    /// ```
    /// use witgate_sdk::Response;
    ///
    /// let response = Response::with_status(200).header("set-cookie", "a=1").header("set-cookie", "b=2").build();
    /// assert_eq!(response.header_values("set-cookie"), [b"a=1", b"b=2"]);
    /// ```
    #[must_use]
    pub fn header_values(&self, name: &str) -> Vec<Vec<u8>> {
        self.raw.header_values(name)
    }

    /// All fields, in the order received, with lower-case names. Copies the whole head.
    ///
    /// ```
    /// use witgate_sdk::{Field, Response};
    ///
    /// let response = Response::with_status(200).header("X-A", "1").build();
    /// assert_eq!(response.headers(), [Field::new("x-a", "1")]);
    /// ```
    #[must_use]
    pub fn headers(&self) -> Vec<Field> {
        self.raw.headers()
    }
}
