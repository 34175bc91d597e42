//! What an import tells besides the files: what is missing, what will be otherwise than before,
//! and what has no equal.

use super::node::Node;

/// What there is to tell.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// Files that have to be put there: which, what.
    provide: Vec<(String, String)>,
    /// Place in the export, and how it will be otherwise.
    otherwise: Vec<(String, String)>,
    /// Place in the export, and why it was left out.
    no_equal: Vec<(String, String)>,
}

impl Report {
    /// A file that the configuration names and that the export does not have.
    pub(super) fn provide(&mut self, file: &str, what: impl Into<String>) {
        if !self.provide.iter().any(|(one, _)| one == file) {
            self.provide.push((file.to_owned(), what.into()));
        }
    }

    /// Something that was translated, but does not behave quite as before.
    pub(super) fn otherwise(&mut self, node: &Node<'_>, how: impl Into<String>) {
        add(&mut self.otherwise, &node.path, how.into());
    }

    /// Something that was not translated.
    pub(super) fn no_equal(&mut self, node: &Node<'_>, why: impl Into<String>) {
        self.no_equal_at(&node.path, why);
    }

    /// The same, by path.
    pub(super) fn no_equal_at(&mut self, path: &str, why: impl Into<String>) {
        add(&mut self.no_equal, path, why.into());
    }

    /// How many places have no equal.
    pub(super) fn left_out(&self) -> usize {
        self.no_equal.len()
    }

    /// As text for people.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        let mut section = |title: &str, entries: &[(String, String)]| {
            if entries.is_empty() {
                return;
            }
            text.push_str(&format!("\n{title}:\n"));
            for (place, what) in entries {
                text.push_str(&format!("  {place}\n      {what}\n"));
            }
        };
        section("to be provided before it runs", &self.provide);
        section("otherwise than before", &self.otherwise);
        section("no equal; left out", &self.no_equal);
        text
    }
}

fn add(entries: &mut Vec<(String, String)>, path: &str, what: String) {
    let entry = (path.to_owned(), what);
    if !entries.contains(&entry) {
        entries.push(entry);
    }
}
