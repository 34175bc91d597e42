//! Redirects: where to, and what of the request's URL goes with it.

use std::borrow::Cow;

use serde::Deserialize;
use witgate_sdk::prelude::*;

/// A redirect as the operator writes it.
#[derive(Debug, Deserialize, Schema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RedirectConfig {
    /// 301, 302, 303, 307 or 308.
    #[schema(least = 301, most = 308)]
    status: u16,
    /// `https://…`, `http://…`, or `/…` on the same listener.
    to: String,
    /// Puts the request's path behind `to`.
    #[serde(default)]
    include_path: bool,
    /// Puts the request's query behind `to`.
    #[serde(default)]
    include_query: bool,
}

/// A redirect, checked.
#[derive(Debug)]
pub(crate) struct Redirect {
    status: u16,
    to: String,
    include_path: bool,
    include_query: bool,
}

/// Stands in `to` for the host that the client asked for.
const HOST: &str = "{host}";

/// RFC 9110 §15.4.
const STATUSES: [u16; 5] = [301, 302, 303, 307, 308];

impl Redirect {
    pub(crate) fn new(config: RedirectConfig) -> Result<Self, ConfigError> {
        let RedirectConfig {
            status,
            to,
            include_path,
            include_query,
        } = config;
        if !STATUSES.contains(&status) {
            let problem = format!("expected 301, 302, 303, 307 or 308, found {status}");
            return Err(ConfigError::at("status", problem));
        }
        if let Some(expected) = fault(&to, include_path) {
            return Err(ConfigError::at(
                "to",
                format!("expected {expected}, found {to:?}"),
            ));
        }
        Ok(Self {
            status,
            to,
            include_path,
            include_query,
        })
    }

    /// The answer to a request.
    pub(crate) fn respond(&self, request: &Request) -> Respond {
        Route::redirect(self.status, self.location(request))
    }

    fn location(&self, request: &Request) -> String {
        let mut location = self.to.clone();
        if location.contains(HOST) {
            location = location.replace(HOST, &url_host(request.host()));
        }
        if self.include_path {
            if location.ends_with('/') {
                location.pop();
            }
            location.push_str(request.path());
        }
        if let Some(query) = request.query().filter(|_| self.include_query) {
            location.push(if location.contains('?') { '&' } else { '?' });
            location.push_str(query);
        }
        on_this_host(location)
    }
}

/// What is expected instead of this target.
fn fault(to: &str, include_path: bool) -> Option<&'static str> {
    let host = ["https://", "http://"]
        .iter()
        .find_map(|scheme| to.strip_prefix(scheme));
    let names_a_host = host.is_some_and(|rest| !rest.is_empty() && !rest.starts_with(['/', '?']));
    let is_a_path = to.starts_with('/') && !to.starts_with("//") && !to.starts_with("/\\");
    if !names_a_host && !is_a_path {
        Some(
            "a URL starting with \"https://\" or \"http://\" and a host, or a path starting with one \"/\"",
        )
    } else if to.contains(|c: char| c.is_ascii_control() || c == ' ' || c == '#' || !c.is_ascii()) {
        Some("a URL without space, \"#\" or characters that need encoding")
    } else if include_path && to.contains('?') {
        Some("no query in it, as include_path puts the request's path at its end")
    } else {
        None
    }
}

/// As hosts are written in URLs: IPv6 in brackets.
fn url_host(host: &str) -> Cow<'_, str> {
    if host.contains(':') {
        format!("[{host}]").into()
    } else {
        host.into()
    }
}

/// A location that is a path stays on this host, whatever path the client sent: browsers
/// read `//evil.example` and `/\evil.example` as another host.
fn on_this_host(location: String) -> String {
    match location.strip_prefix('/') {
        Some(path) if path.starts_with(['/', '\\']) => {
            format!("/{}", path.trim_start_matches(['/', '\\']))
        }
        _ => location,
    }
}
