//! Checks of single values: ranges, units, choices, lists, files and uniqueness. Each notes what
//! is wrong and goes on with the default, so that all problems of a file are found.

use std::{
    collections::HashMap,
    fmt::Debug,
    hash::Hash,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    error::{Problems, beside},
    raw,
    units::{self, show_duration, show_size},
};

/// A shorter deadline is a mistake, a longer one is none at all.
pub(super) const TIMEOUTS: RangeInclusive<Duration> =
    Duration::from_millis(1)..=Duration::from_hours(24);
/// A start takes a while; a process that never gets ready must not be waited for all day.
pub(super) const UPGRADE: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_hours(1);
/// Tunnels may be silent for days.
pub(super) const TUNNELS: RangeInclusive<Duration> =
    Duration::from_millis(1)..=Duration::from_hours(7 * 24);
pub(super) const GRACE: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_hours(24);

/// Where the file is, and what is wrong with it so far. What is wrong gets its default, so
/// that the rest can be checked.
pub(super) struct Check<'a> {
    pub(super) path: &'a Path,
    pub(super) problems: Problems,
}

impl Check<'_> {
    pub(super) fn list<T>(
        &mut self,
        key: &str,
        raw: Vec<String>,
        mut check: impl FnMut(&mut Self, &str, String) -> Option<T>,
    ) -> Vec<T> {
        if raw.is_empty() {
            self.problems.add(
                key,
                "the list is empty, expected at least one entry; nothing would be accepted",
            );
        }
        let raw = raw.into_iter().enumerate();
        let entries = raw.filter_map(|(index, text)| check(self, &format!("{key}[{index}]"), text));
        entries.collect()
    }

    pub(super) fn file(&mut self, key: &str, path: &str) -> PathBuf {
        if path.is_empty() {
            self.problems
                .add(key, "found an empty path, expected a file or folder");
        } else if path.contains("-----BEGIN") {
            self.problems.add(
                key,
                "found PEM text, expected the path of a file that holds it",
            );
        }
        beside(self.path, path)
    }

    pub(super) fn duration(
        &mut self,
        key: &str,
        raw: Option<&raw::Duration>,
        range: RangeInclusive<Duration>,
        default: Duration,
    ) -> Duration {
        let Some(raw::Duration(text)) = raw else {
            return default;
        };
        let (low, high) = (show_duration(*range.start()), show_duration(*range.end()));
        let checked = units::duration(text).and_then(|duration| match range.contains(&duration) {
            true => Ok(duration),
            false => Err(format!("found {text:?}, expected {low} to {high}")),
        });
        self.problems.take(key, checked).unwrap_or(default)
    }

    pub(super) fn size<N: TryFrom<u64>>(
        &mut self,
        key: &str,
        raw: Option<&raw::Size>,
        range: RangeInclusive<u64>,
        default: N,
    ) -> N {
        let (size, found) = match raw {
            None => return default,
            Some(raw::Size::Text(text)) => (units::size(text), format!("{text:?}")),
            Some(raw::Size::Bytes(bytes)) => {
                let size = u64::try_from(*bytes);
                (
                    size.map_err(|_| format!("found {bytes}, expected {}", units::SIZE)),
                    bytes.to_string(),
                )
            }
        };
        let (low, high) = (show_size(*range.start()), show_size(*range.end()));
        let checked = size.and_then(|size| match N::try_from(size) {
            Ok(fits) if range.contains(&size) => Ok(fits),
            _ => Err(format!("found {found}, expected {low} to {high}")),
        });
        self.problems.take(key, checked).unwrap_or(default)
    }

    pub(super) fn count<N: TryFrom<i64>>(
        &mut self,
        key: &str,
        raw: Option<i64>,
        range: RangeInclusive<i64>,
        default: N,
    ) -> N {
        let Some(found) = raw else {
            return default;
        };
        let (low, high) = (range.start(), range.end());
        let wrong = || format!("found {found}, expected {low} to {high}");
        let checked = N::try_from(found).ok().filter(|_| range.contains(&found));
        self.problems
            .take(key, checked.ok_or_else(wrong))
            .unwrap_or(default)
    }

    pub(super) fn choice<T: Copy>(
        &mut self,
        key: &str,
        raw: Option<&str>,
        choices: &[(&str, T)],
        default: T,
    ) -> T {
        let Some(found) = raw else {
            return default;
        };
        if let Some((_, chosen)) = choices.iter().find(|(name, _)| *name == found) {
            return *chosen;
        }
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        let message = format!("found {found:?}, expected {}", raw::one_of(&names));
        match raw::closest(found, &names) {
            Some(meant) => {
                let help = format!("did you mean `{meant}`?");
                self.problems.add_with_help(key, message, &help);
            }
            None => self.problems.add(key, message),
        }
        default
    }
}

/// Values that only one key may have.
pub(super) struct Unique<T>(HashMap<T, String>);

impl<T> Default for Unique<T> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<T: Eq + Hash + Debug> Unique<T> {
    pub(super) fn claim(&mut self, check: &mut Check<'_>, value: T, key: &str) {
        if let Some(first) = self.0.get(&value) {
            let message = format!(
                "found {value:?} again, expected each once: it is the one of {first} already"
            );
            check.problems.add(key, message);
        } else {
            self.0.insert(value, key.to_owned());
        }
    }
}
