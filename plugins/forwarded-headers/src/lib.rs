//! Tells upstreams who the client is and what it asked for: X-Forwarded-*, X-Original-* and
//! Forwarded (RFC 7239). What clients claim about themselves is replaced, unless the peer is
//! trusted. `field` says what each header holds.

#![forbid(unsafe_code)]

mod field;

use serde::Deserialize;
use witgate_sdk::{Network, prelude::*};

use field::{Client, FIELDS, Field, Format};

/// The sidecar's `[config]`.
#[derive(Debug, Deserialize, Schema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Whether `X-Forwarded-For` is sent: the client's address.
    x_forwarded_for: bool,
    /// Whether `X-Forwarded-Proto` is sent: `https` or `http`.
    x_forwarded_proto: bool,
    /// Whether `X-Forwarded-Port` is sent: the listener's port.
    x_forwarded_port: bool,
    /// Whether `X-Forwarded-Host` is sent: the host, with its port if the client named one.
    x_forwarded_host: bool,
    /// Whether `X-Original-Host` is sent: the same.
    x_original_host: bool,
    /// Whether `X-Original-URL` is sent: path and query.
    x_original_url: bool,
    /// Whether `Forwarded` is sent: RFC 7239: `for=192.0.2.7;host=shop.example;proto=https`.
    forwarded: bool,
    /// How the client's address is written; `"ip:port"` is what Azure does, and what many
    /// upstreams cannot read.
    format: Format,
    /// CIDR or single addresses of proxies that are believed.
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
