//! A built response.

use super::fields::Fields;
use crate::{Field, Response};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RawResponse {
    status: u16,
    pub(super) fields: Fields,
}

impl RawResponse {
    pub(crate) fn status(&self) -> u16 {
        self.status
    }

    pub(crate) fn header(&self, name: &str) -> Option<Vec<u8>> {
        self.fields.first(name)
    }

    pub(crate) fn header_values(&self, name: &str) -> Vec<Vec<u8>> {
        self.fields.values(name)
    }

    pub(crate) fn headers(&self) -> Vec<Field> {
        self.fields.all()
    }
}

/// Builds a [`Response`] for a test.
///
/// ```
/// use witgate_sdk::Response;
///
/// let response = Response::with_status(404).header("server", "x").build();
/// assert_eq!(response.status(), 404);
/// ```
#[derive(Debug, Clone)]
pub struct ResponseBuilder(RawResponse);

impl Response {
    /// Starts to build a response of this status, without fields.
    ///
    /// ```
    /// use witgate_sdk::Response;
    ///
    /// let response = Response::with_status(404).build();
    /// assert!(response.headers().is_empty());
    /// ```
    #[must_use]
    pub fn with_status(status: u16) -> ResponseBuilder {
        ResponseBuilder(RawResponse {
            status,
            fields: Fields::default(),
        })
    }
}

impl ResponseBuilder {
    /// Adds a field, behind those of the same name.
    ///
    /// ```
    /// use witgate_sdk::Response;
    ///
    /// let response = Response::with_status(200).header("vary", "accept").build();
    /// assert_eq!(response.header_str("vary").as_deref(), Some("accept"));
    /// ```
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<Vec<u8>>) -> Self {
        self.0.fields.append(name, value);
        self
    }

    /// The response.
    ///
    /// ```
    /// use witgate_sdk::Response;
    ///
    /// assert_eq!(Response::with_status(204).build().status(), 204);
    /// ```
    #[must_use]
    pub fn build(self) -> Response {
        Response { raw: self.0 }
    }
}
