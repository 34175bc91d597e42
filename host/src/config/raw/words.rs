//! From text to raw, and what serde and TOML say about what does not fit, in the words of this file format.

use serde::de::DeserializeOwned;
use serde_path_to_error::Segment as SerdeSegment;

use super::super::{
    error::{ConfigError, Source},
    keys::{self, KeyPath, Mark, Segment},
};

/// Reads a file's text into its raw form.
pub(in crate::config) fn read<T: DeserializeOwned>(source: &Source) -> Result<T, ConfigError> {
    let deserializer =
        toml::Deserializer::parse(source.text()).map_err(|error| syntax(source, &error))?;
    serde_path_to_error::deserialize(deserializer).map_err(|error| shape(source, &error))
}

fn syntax(source: &Source, error: &toml::de::Error) -> ConfigError {
    let span = error.span().unwrap_or(0..0);
    let mut key = keys::near(source.text(), span.start);
    let mut message = error.message().to_owned();
    if message == "duplicate key" {
        let written = source.text().get(span.clone()).unwrap_or_default();
        if key.last_key() != Some(written) && !written.is_empty() {
            key.push_key(written);
        }
        message = "this key stands twice in the file, expected each once".to_owned();
    }
    let problem = source.problem_at(span, &key, message);
    ConfigError::of(source, vec![problem])
}

fn shape(source: &Source, error: &serde_path_to_error::Error<toml::de::Error>) -> ConfigError {
    let mut key = key_path(error.path());
    let words = Words::of(error.inner().message());
    let mut mark = Mark::Value;
    if let Some(unknown) = &words.unknown_key {
        mark = Mark::Key;
        if key.last_key() != Some(unknown) {
            key.push_key(unknown);
        }
    }
    let help = words.help.or_else(|| help(&key));
    let problem = source.problem(&key, mark, words.message);
    ConfigError::of(source, vec![problem.with_help(help)])
}

fn key_path(path: &serde_path_to_error::Path) -> KeyPath {
    let segments = path.iter().filter_map(|segment| match segment {
        SerdeSegment::Seq { index } => Some(Segment::Index(*index)),
        SerdeSegment::Map { key } => Some(Segment::Key(key.clone())),
        SerdeSegment::Enum { .. } | SerdeSegment::Unknown => None,
    });
    KeyPath(segments.collect())
}

fn help(key: &KeyPath) -> Option<String> {
    match key.to_string().as_str() {
        "listeners" => Some("each listener is a table of its own, under `[[listeners]]`".into()),
        "pools" => Some("each pool is a table of its own, under `[pools.NAME]`".into()),
        _ => None,
    }
}

/// A message of serde in the words of this file format.
struct Words {
    message: String,
    unknown_key: Option<String>,
    help: Option<String>,
}

impl Words {
    fn of(serde: &str) -> Self {
        let mut words = Self {
            message: serde.to_owned(),
            unknown_key: None,
            help: None,
        };
        if let Some(rest) = serde.strip_prefix("unknown field `") {
            words.unknown(rest);
        } else if let Some(rest) = serde.strip_prefix("missing field `") {
            let key = rest.trim_end_matches('`');
            words.message = format!("the key `{key}` is missing");
        } else if let Some(rest) = serde
            .strip_prefix("invalid type: ")
            .or_else(|| serde.strip_prefix("invalid value: "))
            && let Some((found, expected)) = rest.split_once(", expected ")
        {
            words.message = format!("found {}, expected {}", plain(found), plain(expected));
        }
        words
    }

    fn unknown(&mut self, rest: &str) {
        let (key, expected) = rest.split_once('`').unwrap_or((rest, ""));
        let known: Vec<&str> = expected.split('`').skip(1).step_by(2).collect();
        self.message = format!("unknown key, expected {}", one_of(&known));
        self.help = closest(key, &known).map(|known| format!("did you mean `{known}`?"));
        self.unknown_key = Some(key.to_owned());
    }
}

fn plain(words: &str) -> &str {
    match words {
        "i64" => "an integer",
        "a sequence" | "sequence" => "an array",
        "a map" | "map" => "a table",
        other => other,
    }
}

/// `a`, `b` or `c`.
pub(in crate::config) fn one_of(known: &[&str]) -> String {
    let quoted: Vec<_> = known.iter().map(|name| format!("`{name}`")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => "nothing here".to_owned(),
    }
}

/// A longer key than this is no mistyped one, and comparing takes time in proportion.
const MISTYPED_LENGTH: usize = 64;

/// The one of `known` that was probably meant.
pub(in crate::config) fn closest<'a>(written: &str, known: &[&'a str]) -> Option<&'a str> {
    if written.len() > MISTYPED_LENGTH {
        return None;
    }
    let written = written.to_ascii_lowercase().replace('-', "_");
    let distances = known.iter().map(|name| {
        let plain = name.to_ascii_lowercase().replace('-', "_");
        (distance(&written, &plain), *name)
    });
    let (distance, name) = distances.min_by_key(|(distance, _)| *distance)?;
    (distance <= written.len().max(3) / 3).then_some(name)
}

/// How many letters to insert, remove, change or swap with the next (Damerau-Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let mut rows = vec![(0..=other.len()).collect::<Vec<usize>>()];
    let at =
        |rows: &[Vec<usize>], i: usize, j: usize| rows.get(i).and_then(|row| row.get(j)).copied();
    let far = usize::MAX - 1;
    for (i, letter) in one.iter().enumerate() {
        rows.push(vec![i + 1]);
        for (j, meant) in other.iter().enumerate() {
            let changed = at(&rows, i, j).unwrap_or(far) + usize::from(letter != meant);
            let removed = at(&rows, i, j + 1).unwrap_or(far) + 1;
            let inserted = at(&rows, i + 1, j).unwrap_or(far) + 1;
            let is_swap =
                i > 0 && j > 0 && one.get(i - 1) == Some(meant) && other.get(j - 1) == Some(letter);
            let swapped = if is_swap {
                at(&rows, i - 1, j - 1).unwrap_or(far) + 1
            } else {
                far
            };
            let best = changed.min(removed).min(inserted).min(swapped);
            if let Some(row) = rows.last_mut() {
                row.push(best);
            }
        }
    }
    at(&rows, one.len(), other.len()).unwrap_or(far)
}
