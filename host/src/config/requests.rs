//! `listeners.requests`: which requests a listener takes, and in which form they are passed on.

use std::ops::RangeInclusive;

use super::{check::Check, raw};
use crate::headers::is_token;

const BODY_BYTES: RangeInclusive<u64> = 0..=(1 << 40);
/// What Azure's gateway lets through without a firewall.
const DEFAULT_BODY: usize = 4 << 30;

/// What a listener takes for a request, and in which form it is passed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requests {
    /// Default normalize.
    pub paths: Paths,
    /// Slashes that follow each other. Default merge; counts with [`Paths::Normalize`] only.
    pub slashes: Slashes,
    /// `%2F`, `%5C` and `\` in a path. Default refuse; counts with [`Paths::Normalize`] only.
    pub encoded_slashes: EncodedSlashes,
    /// Fields whose name has `_`. Default drop.
    pub underscores: Underscores,
    /// Default refuse.
    pub trace: Trace,
    /// Bytes of a request's body; 413 above. 0 to 1 TiB, default 4 GiB.
    pub body_bytes: u64,
    /// Protocols that clients may switch to. Default `websocket` alone.
    pub upgrades: Upgrades,
}

impl Default for Requests {
    fn default() -> Self {
        Self {
            paths: Paths::default(),
            slashes: Slashes::default(),
            encoded_slashes: EncodedSlashes::default(),
            underscores: Underscores::default(),
            trace: Trace::default(),
            body_bytes: DEFAULT_BODY as u64,
            upgrades: Upgrades::default(),
        }
    }
}

/// Which form of a path decides the route and reaches the upstream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Paths {
    /// The normal form (RFC 3986 §6.2.2); what has none is refused.
    #[default]
    Normalize,
    /// The one that the client sent.
    AsSent,
}

/// What becomes of slashes that follow each other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Slashes {
    /// They become one.
    #[default]
    Merge,
    /// They stay: an empty segment is a segment.
    Keep,
}

/// What becomes of slashes that some servers see and others do not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum EncodedSlashes {
    /// 400.
    #[default]
    Refuse,
    /// They stay encoded.
    Keep,
}

/// What becomes of fields whose name has `_`, which many upstreams take for `-`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Underscores {
    /// Not passed on.
    #[default]
    Drop,
    /// Passed on as sent.
    Keep,
}

/// What becomes of TRACE, whose answer holds the request's own fields.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Trace {
    /// 405.
    #[default]
    Refuse,
    /// Passed on as other methods are.
    Forward,
}

/// Which protocols a client may go over to on its connection (RFC 9110 §7.8).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Upgrades {
    /// All but versions of HTTP.
    Any,
    /// These, by the name before the version; none when empty.
    Named(Vec<String>),
}

impl Default for Upgrades {
    fn default() -> Self {
        Self::Named(vec!["websocket".to_owned()])
    }
}

/// Requests inside these would pass every plugin by.
const VERSIONS_OF_HTTP: [&str; 4] = ["h2c", "h2", "h3", "http"];

impl Upgrades {
    /// Whether clients may switch to the protocol of this name, in any case.
    pub fn allow(&self, name: &str) -> bool {
        match self {
            Self::Any => !is_http(name),
            Self::Named(names) => names.iter().any(|named| named.eq_ignore_ascii_case(name)),
        }
    }
}

fn is_http(name: &str) -> bool {
    VERSIONS_OF_HTTP
        .iter()
        .any(|http| http.eq_ignore_ascii_case(name))
}

impl Check<'_> {
    fn upgrades(&mut self, key: &str, raw: Option<&Vec<String>>) -> Upgrades {
        let Some(raw) = raw else {
            return Upgrades::default();
        };
        if raw.iter().any(|name| name == "*") {
            if raw.len() > 1 {
                self.problems.add(
                    key,
                    "found \"*\" beside others, expected it alone: it stands for all",
                );
            }
            return Upgrades::Any;
        }
        for (index, name) in raw.iter().enumerate() {
            let problem = match name {
                name if is_http(name) => {
                    "a protocol other than HTTP: its requests would pass the plugins by"
                }
                name if !is_token(name) => {
                    "the name of a protocol such as \"websocket\", without a version"
                }
                _ => continue,
            };
            self.problems.add(
                &format!("{key}[{index}]"),
                format!("found {name:?}, expected {problem}"),
            );
        }
        Upgrades::Named(raw.clone())
    }

    pub(super) fn requests(&mut self, key: &str, raw: &raw::Requests) -> Requests {
        let key = |name: &str| format!("{key}.{name}");
        Requests {
            paths: self.choice(
                &key("paths"),
                raw.paths.as_deref(),
                &[("normalize", Paths::Normalize), ("as-sent", Paths::AsSent)],
                Paths::default(),
            ),
            slashes: self.choice(
                &key("slashes"),
                raw.slashes.as_deref(),
                &[("merge", Slashes::Merge), ("keep", Slashes::Keep)],
                Slashes::default(),
            ),
            encoded_slashes: self.choice(
                &key("encoded_slashes"),
                raw.encoded_slashes.as_deref(),
                &[
                    ("refuse", EncodedSlashes::Refuse),
                    ("keep", EncodedSlashes::Keep),
                ],
                EncodedSlashes::default(),
            ),
            underscores: self.choice(
                &key("underscores"),
                raw.underscores.as_deref(),
                &[("drop", Underscores::Drop), ("keep", Underscores::Keep)],
                Underscores::default(),
            ),
            trace: self.choice(
                &key("trace"),
                raw.trace.as_deref(),
                &[("refuse", Trace::Refuse), ("forward", Trace::Forward)],
                Trace::default(),
            ),
            body_bytes: self.size(
                &key("body_bytes"),
                raw.body_bytes.as_ref(),
                BODY_BYTES,
                DEFAULT_BODY,
            ) as u64,
            upgrades: self.upgrades(&key("upgrades"), raw.upgrades.as_ref()),
        }
    }
}
