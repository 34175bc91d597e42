//! What conditions test and templates refer to: `http_req_NAME`, `http_resp_NAME`, `var_NAME`.

use crate::{
    Side,
    message::Message,
    name::{SET_COOKIE, is_token},
    variable::Variable,
};

/// A header field or a server variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fact {
    Header(Side, String),
    Variable(Variable),
}

impl Fact {
    /// The fact of this name, in a rule for this side.
    ///
    /// # Errors
    /// With what is wrong, for the operator.
    pub(crate) fn parse(text: &str, side: Side) -> Result<Self, String> {
        if let Some(name) = text.strip_prefix("var_") {
            return Variable::parse(name, side).map(Self::Variable);
        }
        let header = text
            .strip_prefix("http_req_")
            .map(|name| (Side::Request, name));
        match header.or_else(|| {
            text.strip_prefix("http_resp_")
                .map(|name| (Side::Response, name))
        }) {
            Some((Side::Response, _)) if side == Side::Request => Err(format!(
                "expected no response's header in a rule for requests, found {text:?}"
            )),
            Some((of, name)) if is_token(name) => Ok(Self::Header(of, name.to_ascii_lowercase())),
            _ => Err(format!(
                "expected http_req_NAME, http_resp_NAME or var_NAME, found {text:?}"
            )),
        }
    }

    /// All values: of a header one per field, of a variable one.
    pub(crate) fn values(&self, message: &Message<'_>) -> Vec<Vec<u8>> {
        match self {
            Self::Header(side, name) => message.values(*side, name),
            Self::Variable(variable) => vec![variable.value(message).into_bytes()],
        }
    }

    /// Whether its values cannot be written as one.
    pub(crate) fn is_separate(&self) -> bool {
        matches!(self, Self::Header(Side::Response, name) if name == SET_COOKIE)
    }
}
