//! `[error_pages]` and `listeners.error_pages`: files that clients get instead of the gateway's
//! own words about an error, by status and form.

use std::{collections::BTreeMap, path::PathBuf};

use super::{check::Check, keys::quoted, raw};

/// The pages of all listeners that have none of their own, or of one listener.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ErrorPages(pub Vec<ErrorPage>);

/// One file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorPage {
    /// Where it stands in the configuration: `error_pages.502.html`.
    pub key: String,
    /// Which errors it is for.
    pub statuses: PageStatuses,
    /// What it holds.
    pub form: Form,
    /// Absolute.
    pub file: PathBuf,
}

/// The statuses that a page is for; one that names the status comes before one of its class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageStatuses {
    /// 400 to 599.
    One(u16),
    /// The first digit, 4 or 5.
    Class(u16),
}

/// What the body of an error can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// For people with a browser.
    Html,
    /// For programs.
    Json,
    /// For people with a terminal.
    Text,
}

impl PageStatuses {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "4xx" => Some(Self::Class(4)),
            "5xx" => Some(Self::Class(5)),
            exact => exact
                .parse()
                .ok()
                .filter(|status| (400..=599).contains(status))
                .map(Self::One),
        }
    }
}

impl Check<'_> {
    pub(super) fn error_pages(
        &mut self,
        key: &str,
        raw: BTreeMap<String, raw::ErrorPage>,
    ) -> ErrorPages {
        let mut pages = Vec::new();
        for (status, raw) in raw {
            let key = format!("{key}.{}", quoted(&status));
            let Some(statuses) = PageStatuses::parse(&status) else {
                let message = format!(
                    "found {status:?}, expected a status from 400 to 599, or \"4xx\" or \"5xx\""
                );
                self.problems.add(&key, message);
                continue;
            };
            let files = [
                ("html", Form::Html, raw.html),
                ("json", Form::Json, raw.json),
                ("text", Form::Text, raw.text),
            ];
            let before = pages.len();
            for (name, form, path) in files {
                let key = format!("{key}.{name}");
                pages.extend(path.map(|path| ErrorPage {
                    file: self.file(&key, &path),
                    key,
                    statuses,
                    form,
                }));
            }
            if pages.len() == before {
                self.problems.add(
                    &key,
                    "no file is named, expected at least one of `html`, `json` and `text`",
                );
            }
        }
        ErrorPages(pages)
    }
}
