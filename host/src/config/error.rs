//! Problems of a configuration file: each with its key, its place in the file, what was found
//! and what was expected, shown with an excerpt of the source.

use std::{
    fmt,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use super::keys::{self, KeyPath, Mark};

/// A file's name and text, kept so that later problems can point into it.
#[derive(Debug, Clone)]
pub(super) struct Source {
    path: Arc<Path>,
    /// None when the file could not be read.
    text: Option<Arc<str>>,
}

impl Source {
    pub(super) fn new(path: &Path, text: &str) -> Self {
        Self {
            path: path.into(),
            text: Some(text.into()),
        }
    }

    pub(super) fn without_text(path: &Path) -> Self {
        Self {
            path: path.into(),
            text: None,
        }
    }

    /// Reads a file; its problems are a [`ConfigError`] without a line.
    pub(super) fn read(path: &Path) -> Result<Self, ConfigError> {
        let unread = |message: String| {
            let problem = Problem::of_file(message);
            ConfigError::of(&Self::without_text(path), vec![problem])
        };
        let bytes = std::fs::read(path)
            .map_err(|error| unread(format!("cannot read the file: {error}")))?;
        String::from_utf8(bytes)
            .map(|text| Self::new(path, &text))
            .map_err(|error| {
                let valid = error.as_bytes().get(..error.utf8_error().valid_up_to());
                let newlines = valid
                    .unwrap_or_default()
                    .iter()
                    .filter(|byte| **byte == b'\n');
                unread(format!(
                    "the file is not UTF-8 text: line {}",
                    newlines.count() + 1
                ))
            })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn text(&self) -> &str {
        self.text.as_deref().unwrap_or_default()
    }

    /// None for a file that is not there.
    pub(super) fn own_text(&self) -> Option<&str> {
        self.text.as_deref()
    }

    pub(super) fn problem(&self, key: &KeyPath, mark: Mark, message: String) -> Problem {
        if self.text.is_none() {
            return Problem {
                key: key.to_string(),
                ..Problem::of_file(message)
            };
        }
        let span = keys::locate(self.text(), key, mark);
        self.problem_at(span, key, message)
    }

    pub(super) fn problem_at(&self, span: Range<usize>, key: &KeyPath, message: String) -> Problem {
        let before = self.text().get(..span.start).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let on_line = before.get(line_start..).unwrap_or_default();
        Problem {
            key: key.to_string(),
            line: before.matches('\n').count() + 1,
            column: on_line.chars().count() + 1,
            message,
            help: None,
            span: Some(span),
        }
    }
}

/// One thing that is wrong with a configuration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// As `pools.web.endpoints[0]`; empty when it is about the whole file.
    pub key: String,
    /// Counted from 1; 0 when the file could not be read.
    pub line: usize,
    /// In characters, counted from 1; 0 when the file could not be read.
    pub column: usize,
    /// What was found and what was expected.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    span: Option<Range<usize>>,
}

impl Problem {
    fn of_file(message: String) -> Self {
        Self {
            key: String::new(),
            line: 0,
            column: 0,
            message,
            help: None,
            span: None,
        }
    }

    pub(super) fn with_help(mut self, help: Option<String>) -> Self {
        self.help = help;
        self
    }

    fn title(&self) -> String {
        if self.key.is_empty() {
            return self.message.clone();
        }
        format!("`{}`: {}", self.key, self.message)
    }
}

/// Everything that is wrong with one or more configuration files; at least one problem.
///
/// `Display` shows each with file, line and column, key, words and an excerpt, without colours.
#[derive(Clone)]
pub struct ConfigError {
    problems: Vec<(Source, Problem)>,
    /// How many there are beyond those.
    more: usize,
}

impl ConfigError {
    pub(super) fn of(source: &Source, mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|problem| (problem.line, problem.column));
        let problems = problems.into_iter();
        Self {
            problems: problems.map(|problem| (source.clone(), problem)).collect(),
            more: 0,
        }
    }

    /// All problems; those of one file in the order of its lines.
    pub fn problems(&self) -> impl Iterator<Item = &Problem> {
        self.problems.iter().map(|(_, problem)| problem)
    }

    /// The files that the problems are in, each with its problem.
    pub fn files(&self) -> impl Iterator<Item = (&Path, &Problem)> {
        let problems = self.problems.iter();
        problems.map(|(source, problem)| (source.path(), problem))
    }

    /// Adds the problems of `other`, so that all can be shown at once.
    pub fn extend(&mut self, other: Self) {
        self.problems.extend(other.problems);
        self.more += other.more;
    }

    /// One line for each problem: `FILE:LINE:COLUMN: KEY: what is wrong`, for logs.
    pub fn lines(&self) -> Vec<String> {
        let problems = self.files();
        let lines = problems.map(|(path, problem)| match problem.line {
            0 => format!("{}: {}", path.display(), problem.title()),
            line => {
                let (path, column) = (path.display(), problem.column);
                format!("{path}:{line}:{column}: {}", problem.title())
            }
        });
        lines.collect()
    }

    /// As `Display`, in colours when a terminal wants them.
    pub fn render(&self, colours: bool) -> String {
        let renderer = if colours {
            Renderer::styled()
        } else {
            Renderer::plain()
        };
        let shown = self.problems.iter().map(|(source, problem)| {
            let path = source.path().display().to_string();
            renderer.render(&[group(source, problem, path)])
        });
        let mut shown: Vec<_> = shown.collect();
        if self.more > 0 {
            shown.push(format!("and {} more problems", self.more));
        }
        shown.join("\n\n")
    }
}

fn group<'a>(source: &'a Source, problem: &'a Problem, path: String) -> Group<'a> {
    let Some(span) = &problem.span else {
        let title = Level::ERROR.primary_title(format!("{path}: {}", problem.title()));
        return Group::with_title(title);
    };
    let marked = AnnotationKind::Primary.span(span.clone());
    let snippet = Snippet::source(source.text()).path(path).annotation(marked);
    let group = Level::ERROR.primary_title(problem.title()).element(snippet);
    match &problem.help {
        Some(help) => group.element(Level::HELP.message(help)),
        None => group,
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.render(false))
    }
}

/// The same as `Display`: `main` may return it.
impl fmt::Debug for ConfigError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

impl std::error::Error for ConfigError {}

/// Collects the problems of one file.
#[derive(Debug)]
pub(super) struct Problems {
    source: Source,
    found: Vec<Problem>,
    more: usize,
}

/// Nobody mends more at a time, and each takes a look through the whole file to find its line.
const PROBLEMS_SHOWN: usize = 50;

impl Problems {
    pub(super) fn of(source: &Source) -> Self {
        Self {
            source: source.clone(),
            found: Vec::new(),
            more: 0,
        }
    }

    /// Notes that the value of `key` is wrong.
    pub(super) fn add(&mut self, key: &str, message: impl Into<String>) {
        self.note(key, Mark::Value, message.into(), None);
    }

    /// The same, and what to do about it.
    pub(super) fn add_with_help(&mut self, key: &str, message: impl Into<String>, help: &str) {
        self.note(key, Mark::Value, message.into(), Some(help.to_owned()));
    }

    /// Notes that `key` should not be there.
    pub(super) fn add_unwanted(&mut self, key: &str, message: impl Into<String>) {
        self.note(key, Mark::Key, message.into(), None);
    }

    fn note(&mut self, key: &str, mark: Mark, message: String, help: Option<String>) {
        self.add_at(&KeyPath::parse(key), mark, message, help);
    }

    /// Notes a problem with a key or its value, and what to do about it.
    pub(super) fn add_at(
        &mut self,
        key: &KeyPath,
        mark: Mark,
        message: String,
        help: Option<String>,
    ) {
        if self.found.len() == PROBLEMS_SHOWN {
            self.more += 1;
            return;
        }
        let problem = self.source.problem(key, mark, message);
        self.found.push(problem.with_help(help));
    }

    /// The value, or a note that it is wrong.
    pub(super) fn take<T>(&mut self, key: &str, result: Result<T, String>) -> Option<T> {
        result.map_err(|message| self.add(key, message)).ok()
    }

    pub(super) fn finish(self) -> Result<(), ConfigError> {
        if self.found.is_empty() {
            return Ok(());
        }
        let mut error = ConfigError::of(&self.source, self.found);
        error.more = self.more;
        Err(error)
    }
}

/// Absolute, relative to the folder of the file that names it.
pub(super) fn beside(file: &Path, path: &str) -> PathBuf {
    let file = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    file.parent().unwrap_or(&file).join(path)
}
