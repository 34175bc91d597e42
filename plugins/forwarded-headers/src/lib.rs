//! Tells upstreams who the client is and what it asked for: X-Forwarded-*, X-Original-* and
//! Forwarded (RFC 7239). What clients claim about themselves is replaced, unless the peer is
//! trusted. `field` says what each header holds.

#![forbid(unsafe_code)]

mod field;

use serde::Deserialize;
use witgate_sdk::{Network, prelude::*};

use field::{Client, FIELDS, Field, Format};

/// The sidecar's `[config]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    x_forwarded_for: bool,
    x_forwarded_proto: bool,
    x_forwarded_port: bool,
    x_forwarded_host: bool,
    x_original_host: bool,
    x_original_url: bool,
    forwarded: bool,
    format: Format,
    trusted: Vec<Network>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            x_forwarded_for: true,
            x_forwarded_proto: true,
            x_forwarded_port: true,
            x_forwarded_host: true,
            x_original_host: true,
            x_original_url: true,
            forwarded: false,
            format: Format::Ip,
            trusted: Vec::new(),
        }
    }
}

impl Config {
    fn sends(&self, field: Field) -> bool {
        match field {
            Field::For => self.x_forwarded_for,
            Field::Proto => self.x_forwarded_proto,
            Field::Port => self.x_forwarded_port,
            Field::Host => self.x_forwarded_host,
            Field::OriginalHost => self.x_original_host,
            Field::OriginalUrl => self.x_original_url,
            Field::Forwarded => self.forwarded,
        }
    }
}

/// The plugin.
#[derive(Debug)]
pub struct ForwardedHeaders {
    config: Config,
}

impl Plugin for ForwardedHeaders {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, ConfigError> {
        Ok(Self { config })
    }

    fn unneeded(&self) -> Calls {
        Calls::REWRITE_RESPONSE
    }
}

impl Rewriting for ForwardedHeaders {
    fn rewrite_request(&self, request: &Request) -> Vec<RequestEdit> {
        let client = Client::new(request, self.config.format);
        let trusted = client.is_in_any(&self.config.trusted);
        let fields = FIELDS.into_iter();
        let mut edits = Vec::with_capacity(FIELDS.len());
        edits.extend(fields.filter_map(|field| self.edit(field, &client, trusted)));
        edits
    }
}

impl ForwardedHeaders {
    /// What becomes of one field; none when it stays as it came.
    fn edit(&self, field: Field, client: &Client<'_>, trusted: bool) -> Option<RequestEdit> {
        let name = field.name();
        match (self.config.sends(field), trusted) {
            (true, false) => Some(RequestEdit::set(name, client.value(field))),
            (false, false) => Some(RequestEdit::remove(name)),
            (true, true) => client
                .value_behind(field)
                .map(|value| RequestEdit::set(name, value)),
            (false, true) => None,
        }
    }
}

witgate_sdk::export!(ForwardedHeaders: Rewriting);

#[cfg(test)]
mod tests;
