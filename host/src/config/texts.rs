//! RawBody in files of text: as they are where they are UTF-8, else in base64.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

/// A body as written: text, or base64 of bytes that are none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "text, or a table `{ base64 = \"…\" }`")]
pub enum RawBody {
    /// UTF-8.
    Text(String),
    /// Anything.
    Base64 {
        /// RFC 4648 §4, with padding.
        base64: String,
    },
}

impl Default for RawBody {
    fn default() -> Self {
        Self::Text(String::new())
    }
}

impl RawBody {
    /// These bytes, as people can best read them.
    pub fn of(bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::Text(text.to_owned()),
            Err(_) => Self::Base64 {
                base64: text_of(bytes),
            },
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Text(text) if text.is_empty())
    }

    pub(super) fn bytes(&self) -> Result<Vec<u8>, String> {
        match self {
            Self::Text(text) => Ok(text.as_bytes().to_vec()),
            Self::Base64 { base64 } => bytes_of_base64(base64),
        }
    }
}

/// Base64 of these bytes.
pub(super) fn text_of(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

pub(super) fn bytes_of_base64(text: &str) -> Result<Vec<u8>, String> {
    STANDARD
        .decode(text)
        .map_err(|error| format!("expected base64: {error}"))
}
