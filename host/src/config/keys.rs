//! Paths of keys, such as `listeners[0].tls.certificates[1].key`, and where they stand in a
//! file's text.

use std::{fmt, ops::Range};

use toml::de::{DeTable, DeValue};

/// A path of keys and indices from the top of the file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct KeyPath(pub(super) Vec<Segment>);

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Segment {
    Key(String),
    Index(usize),
}

/// Which part of the source a problem is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    Key,
    Value,
}

impl KeyPath {
    /// Reads the form that `Display` writes. What does not follow it becomes a key as it is:
    /// the path is for people, and an odd one must not hide the problem that it belongs to.
    pub(super) fn parse(text: &str) -> Self {
        let mut path = Self::default();
        let mut rest = text;
        while !rest.is_empty() {
            rest = rest.strip_prefix('.').unwrap_or(rest);
            rest = path.step(rest);
        }
        path
    }

    /// Takes one segment from the front of `text` and returns what follows it.
    fn step<'a>(&mut self, text: &'a str) -> &'a str {
        if let Some((index, rest)) = text.strip_prefix('[').and_then(|t| t.split_once(']'))
            && let Ok(index) = index.parse()
        {
            self.0.push(Segment::Index(index));
            return rest;
        }
        if let Some((key, rest)) = text.strip_prefix('"').and_then(|t| t.split_once('"')) {
            self.0.push(Segment::Key(key.to_owned()));
            return rest;
        }
        let ends =
            |(at, letter): (usize, char)| (at > 0 && matches!(letter, '.' | '[')).then_some(at);
        let end = text.char_indices().find_map(ends).unwrap_or(text.len());
        let (key, rest) = text.split_at(end);
        self.0.push(Segment::Key(key.to_owned()));
        rest
    }

    pub(super) fn last_key(&self) -> Option<&str> {
        match self.0.last() {
            Some(Segment::Key(key)) => Some(key),
            _ => None,
        }
    }

    pub(super) fn push_key(&mut self, key: &str) {
        self.0.push(Segment::Key(key.to_owned()));
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Index(index) => write!(out, "[{index}]")?,
                Segment::Key(key) => {
                    let dot = if position > 0 { "." } else { "" };
                    write!(out, "{dot}{}", quoted(key))?;
                }
            }
        }
        Ok(())
    }
}

/// A key as it is written in a path: quoted when TOML wants that.
pub(super) fn quoted(key: &str) -> String {
    let bare = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_');
    if !key.is_empty() && key.chars().all(bare) {
        key.to_owned()
    } else {
        format!("\"{key}\"")
    }
}

/// Where the value (or the key) of `path` stands in `text`; of its nearest parent that is
/// there, when it is not.
pub(super) fn locate(text: &str, path: &KeyPath, mark: Mark) -> Range<usize> {
    let (root, _) = DeTable::parse_recoverable(text);
    let mut found = 0..0;
    let mut table = Some(root.get_ref());
    let mut array = None;
    for (position, segment) in path.0.iter().enumerate() {
        let value = match segment {
            Segment::Key(wanted) => {
                let mut entries = table.into_iter().flat_map(DeTable::iter);
                let Some((key, value)) = entries.find(|(key, _)| key.get_ref() == wanted) else {
                    break;
                };
                let is_last = position + 1 == path.0.len();
                let by_key = is_composite(value.get_ref()) || (is_last && mark == Mark::Key);
                found = if by_key { key.span() } else { value.span() };
                value.get_ref()
            }
            Segment::Index(index) => {
                let entries: Option<&toml::de::DeArray<'_>> = array;
                let Some(value) = entries.and_then(|entries| entries.get(*index)) else {
                    break;
                };
                found = value.span();
                value.get_ref()
            }
        };
        table = value.as_table();
        array = value.as_array();
    }
    first_line(text, found)
}

fn is_composite(value: &DeValue<'_>) -> bool {
    value.is_table() || value.is_array()
}

fn first_line(text: &str, span: Range<usize>) -> Range<usize> {
    let marked = text.get(span.clone()).unwrap_or_default();
    match marked.find('\n') {
        Some(end) => span.start..span.start + end,
        None => span,
    }
}

/// The key that a syntax error at `offset` is about, as far as the lines before it tell: the
/// last table header and the key at the start of the error's line.
pub(super) fn near(text: &str, offset: usize) -> KeyPath {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = text.get(line_start..).and_then(|rest| rest.lines().next());
    let line = line.unwrap_or_default();
    if let Some(header) = header(line) {
        return KeyPath::parse(header.trim_matches(['[', ']']).trim());
    }
    let headers: Vec<_> = before.lines().filter_map(header).collect();
    let mut path = headers.last().map_or_else(KeyPath::default, |last| {
        let mut path = KeyPath::parse(last.trim_matches(['[', ']']).trim());
        if last.starts_with("[[") {
            let same = headers.iter().filter(|header| *header == last);
            path.0.push(Segment::Index(same.count() - 1));
        }
        path
    });
    let key = line
        .trim_start()
        .split(['=', ' '])
        .next()
        .unwrap_or_default();
    let is_key = |letter: char| letter.is_alphanumeric() || matches!(letter, '-' | '_' | '.');
    if key.chars().all(is_key) {
        path.0.extend(KeyPath::parse(key).0);
    }
    path
}

/// The header in a line, from its first to its last bracket.
fn header(line: &str) -> Option<&str> {
    let line = line.trim();
    let end = line.rfind(']')? + 1;
    let is_header = line.starts_with('[') && !line.contains('=');
    line.get(..end).filter(|_| is_header)
}
