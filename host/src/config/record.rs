//! `[record]`: decisions of plugins that are kept, to be tried on other versions.

use std::{ops::RangeInclusive, path::PathBuf};

use http::HeaderName;

use super::{check::Check, grants::Grant, raw};

const SHARE: RangeInclusive<i64> = 1..=100;
const SIZE: RangeInclusive<u64> = (64 << 10)..=(1 << 40);
/// Of one body; a line has room for one that is as large.
const BODY: RangeInclusive<u64> = 0..=(64 << 10);

/// Which decisions are kept, where, and what is left out of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Absolute. Appended to.
    pub path: PathBuf,
    /// Percent of requests. 1 to 100; default 1.
    pub share: u8,
    /// Of these plugins; of all when none.
    pub plugins: Option<Vec<String>>,
    /// Fields whose values are not kept. Default `authorization` and `proxy-authorization`.
    pub redact_headers: Vec<HeaderName>,
    /// Cookies whose values are not kept; `*` for all, which is the default.
    pub redact_cookies: Vec<String>,
    /// How much of a request's body is kept, of what a plugin has read of it, bytes. 0 to 64 KiB;
    /// default 0.
    pub body_bytes: usize,
    /// How much is kept of the body of each answer to a plugin's callout, bytes. 0 to 64 KiB;
    /// default 4 KiB.
    pub callout_bytes: usize,
    /// What is kept of what plugins read of the clock, of random numbers and of their store. Default
    /// nothing.
    pub imports: Vec<Grant>,
    /// How large the file becomes, bytes. 64 KiB to 1 TiB; default 256 MiB.
    pub max_size: u64,
}

impl Check<'_> {
    pub(super) fn record(&mut self, raw: raw::Record) -> Record {
        let usual = [
            http::header::AUTHORIZATION,
            http::header::PROXY_AUTHORIZATION,
        ];
        let max_size = self.size("record.max_size", raw.max_size.as_ref(), SIZE, 256 << 20);
        Record {
            path: self.file("record.path", &raw.path),
            share: self.count("record.share", raw.share, SHARE, 1),
            plugins: raw.plugins,
            redact_headers: raw.redact_headers.map_or_else(
                || usual.to_vec(),
                |names| self.header_names("record.redact_headers", &names),
            ),
            redact_cookies: raw.redact_cookies.unwrap_or_else(|| vec!["*".to_owned()]),
            body_bytes: self.size("record.body_bytes", raw.body_bytes.as_ref(), BODY, 0),
            callout_bytes: self.size(
                "record.callout_bytes",
                raw.callout_bytes.as_ref(),
                BODY,
                4 << 10,
            ),
            imports: self.imports(&raw.imports.unwrap_or_default()),
            max_size,
        }
    }

    fn imports(&mut self, raw: &[String]) -> Vec<Grant> {
        let kinds = [Grant::Clock, Grant::Random, Grant::Kv];
        let choices = kinds.map(|kind| (kind.as_str(), Some(kind)));
        let raw = raw.iter().enumerate();
        raw.filter_map(|(index, name)| {
            let key = format!("record.imports[{index}]");
            self.choice(&key, Some(name), &choices, None)
        })
        .collect()
    }

    fn header_names(&mut self, key: &str, raw: &[String]) -> Vec<HeaderName> {
        let raw = raw.iter().enumerate();
        let names = raw.filter_map(|(index, text)| {
            let wrong = |_| format!("found {text:?}, expected the name of a field");
            let name = HeaderName::try_from(text).map_err(wrong);
            self.problems.take(&format!("{key}[{index}]"), name)
        });
        names.collect()
    }
}
