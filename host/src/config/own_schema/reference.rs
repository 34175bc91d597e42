//! The tables of docs/configuration.md, which stand between marks: `<!-- keys: pools.health -->`
//! names the table, from the top of the file or, behind `sidecar`, of a sidecar. A table inside it
//! that has no mark of its own is shown in it, with its keys behind a dot.
//!
//! With `WITGATE_WRITE_REFERENCE` in the environment (`cargo xtask reference`) the test writes the page.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::{fs, path::PathBuf};

use serde_json::Value;
use witgate_schema::{Key, Table};

use super::*;

const END: &str = "<!-- end of keys -->";
const HEAD: &str = "| key | type, range | default | meaning |\n| --- | --- | --- | --- |\n";

fn page() -> PathBuf {
    PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../docs/configuration.md"
    ))
}

/// A mark's words: the file, and the path of a table in it.
fn place(mark: &str) -> (OwnFile, &str) {
    match mark.split_once(' ').unwrap_or((mark, "")) {
        ("sidecar", path) => (OwnFile::Sidecar, path),
        ("gateway", path) => (OwnFile::Gateway, path),
        _ => (OwnFile::Gateway, mark),
    }
}

/// All marks of a text.
fn marks(text: &str) -> Vec<&str> {
    let behind = text.split("<!-- keys: ").skip(1);
    behind
        .map(|rest| rest.split_once(" -->").unwrap().0)
        .collect()
}

/// The table that is in a shape, be it the value of a map, an entry of a list or one of several
/// forms.
fn table_in(shape: &Shape) -> Option<Table> {
    match shape {
        Shape::Table(table) => Some(*table),
        Shape::List(shape) | Shape::Map(shape) => table_in(shape),
        Shape::Either(shapes) => shapes.iter().find_map(table_in),
        _ => None,
    }
}

fn table_at(file: OwnFile, path: &str) -> Table {
    let root = table_in(&file.shape()).unwrap();
    path.split('.')
        .filter(|key| !key.is_empty())
        .fold(root, |table, name| {
            let key = table.keys.iter().find(|key| key.name == name);
            let key = key.unwrap_or_else(|| panic!("{path}: there is no key {name}"));
            table_in(&key.shape).unwrap_or_else(|| panic!("{path}: {name} is no table"))
        })
}

struct Rows<'a> {
    marks: &'a [&'a str],
    file: OwnFile,
    text: String,
    without_words: Vec<String>,
}

impl Rows<'_> {
    /// The keys of the table at `path`; `shown` stands before each.
    fn add(&mut self, table: &Table, path: &str, shown: &str) {
        let shared = match (self.file, path) {
            (OwnFile::Sidecar, "") => {
                let plugins = table_at(OwnFile::Gateway, "plugins");
                self.add_limits(table, &plugins);
                plugins.keys
            }
            _ => &[],
        };
        for key in table.keys {
            if shared.iter().any(|other| other.name == key.name) {
                continue;
            }
            let (path, name) = (
                format!("{path}{}", key.name),
                format!("{shown}{}", key.name),
            );
            let inner = match key.shape {
                Shape::Table(table) => Some(table),
                _ => None,
            };
            let below = format!("{path}.");
            let is_elsewhere = self.marks.iter().any(|mark| {
                let (file, marked) = place(mark);
                file == self.file && (marked == path || marked.starts_with(&below))
            });
            let has_table = inner.is_some() || is_elsewhere;
            match key.doc {
                "" if !has_table && key.range.is_empty() => self.without_words.push(name.clone()),
                "" if has_table => {}
                _ => self.row(key, &name),
            }
            if let Some(inner) = inner.filter(|_| !is_elsewhere) {
                self.add(&inner, &below, &format!("{name}."));
            }
        }
    }

    /// One row for what sidecars and `[plugins]` share.
    fn add_limits(&mut self, sidecar: &Table, plugins: &Table) {
        let is_shared = |key: &&Key| plugins.keys.iter().any(|other| other.name == key.name);
        let names: Vec<_> = sidecar
            .keys
            .iter()
            .filter(is_shared)
            .map(|key| code(key.name))
            .collect();
        let names = names.join(", ");
        self.text.push_str(&format!(
            "| {names} | as in [`[plugins]`](#plugins) | what is said there | As there, for this plugin. |\n"
        ));
    }

    fn row(&mut self, key: &Key, name: &str) {
        let default = match (key.required, key.default) {
            (true, "") => "required".to_owned(),
            (_, default) => value_or_words(default),
        };
        let cells = [code(name), kind(key), default, key.doc.replace('\n', " ")];
        self.text
            .push_str(&format!("| {} |\n", cells.join(" | ")).replace("  ", " "));
    }
}

fn code(text: &str) -> String {
    format!("`{text}`")
}

/// A default that is written in TOML is code.
fn value_or_words(default: &str) -> String {
    let is_value = default == "true"
        || default == "false"
        || default
            .starts_with(|first: char| first == '"' || first == '[' || first.is_ascii_digit());
    // Several of them are code already.
    let is_code = default.contains('`');
    if is_value && !is_code {
        code(default)
    } else {
        default.to_owned()
    }
}

fn kind(key: &Key) -> String {
    if !key.range.is_empty() {
        return key.range.to_owned();
    }
    match key.shape {
        Shape::Integer { most, .. } if most == i128::from(i64::MAX) => "integer".to_owned(),
        Shape::Integer { least, most } => format!("integer, {least} to {most}"),
        Shape::Bool => "boolean".to_owned(),
        Shape::Choice(names) => {
            let names: Vec<_> = names
                .iter()
                .map(|name| code(&format!("{name:?}")))
                .collect();
            names.join(", ")
        }
        Shape::Text | Shape::Words(_) => "string".to_owned(),
        Shape::List(_) => "list".to_owned(),
        _ => "table".to_owned(),
    }
}

/// The page with its tables made anew, and the keys that nobody describes.
fn made(text: &str) -> (String, Vec<String>) {
    let marks = marks(text);
    let mut without_words = Vec::new();
    let (start, rest) = text.split_once("<!-- keys: ").unwrap();
    let mut made = start.to_owned();
    for part in rest.split("<!-- keys: ") {
        let (mark, rest) = part.split_once(" -->").unwrap();
        let (_, behind) = rest
            .split_once(END)
            .unwrap_or_else(|| panic!("{mark}: no end"));
        let (file, path) = place(mark);
        let mut rows = Rows {
            marks: &marks,
            file,
            text: HEAD.to_owned(),
            without_words: Vec::new(),
        };
        let prefix = if path.is_empty() {
            String::new()
        } else {
            format!("{path}.")
        };
        rows.add(&table_at(file, path), &prefix, "");
        without_words.extend(rows.without_words);
        made.push_str(&format!(
            "<!-- keys: {mark} -->\n{}{END}{behind}",
            rows.text
        ));
    }
    (made, without_words)
}

#[test]
fn the_reference_is_what_the_schema_says() {
    let text = fs::read_to_string(page()).unwrap();
    let (made, without_words) = made(&text);
    assert!(
        without_words.is_empty(),
        "nobody describes {without_words:?}"
    );
    if std::env::var_os("WITGATE_WRITE_REFERENCE").is_some() {
        return fs::write(page(), made).unwrap();
    }
    let differs = text
        .lines()
        .zip(made.lines())
        .find(|(found, made)| found != made);
    assert!(
        text == made,
        "docs/configuration.md is stale: run `cargo xtask reference`; the first line that differs: {differs:?}"
    );
}

#[test]
fn each_key_of_the_file_is_in_one_table_of_the_reference() {
    let text = fs::read_to_string(page()).unwrap();
    let marks = marks(&text);
    let root = table_at(OwnFile::Gateway, "");
    for key in root
        .keys
        .iter()
        .filter(|key| table_in(&key.shape).is_some())
    {
        assert!(marks.contains(&key.name), "{} has no table", key.name);
    }
    for mark in &marks {
        assert_eq!(
            marks.iter().filter(|other| *other == mark).count(),
            1,
            "{mark}"
        );
    }
}

/// The configurations of `examples/`.
fn examples() -> Vec<(PathBuf, Value)> {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples");
    let dirs = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let files = dirs.map(|dir| dir.join("witgate.toml"));
    let all: Vec<_> = files
        .filter(|file| file.is_file())
        .map(|file| {
            let read: toml::Table = toml::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
            (file, serde_json::to_value(read).unwrap())
        })
        .collect();
    assert!(all.len() >= 8, "{}", all.len());
    all
}

#[test]
fn the_schemas_allow_what_the_reference_shows() {
    let every_key = fs::read_to_string(page()).unwrap();
    let every_key = every_key.split("```toml every-key\n").nth(1).unwrap();
    let every_key = every_key.split("```").next().unwrap();
    // With the lines that are examples.
    let lines = every_key.lines().map(|line| match line.strip_prefix("# ") {
        Some(example) if !example.starts_with("suites") => example,
        _ => line,
    });
    let written: toml::Table = toml::from_str(&lines.collect::<Vec<_>>().join("\n")).unwrap();
    let written = serde_json::to_value(written).unwrap();
    let schema = super::super::ConfigSchema::parse(OwnFile::Gateway.schema().as_bytes()).unwrap();
    assert_eq!(schema.wrong_keys(&written), [""; 0]);
    for (name, file) in examples() {
        assert_eq!(schema.wrong_keys(&file), [""; 0], "{}", name.display());
    }
    for on in ["client-address", "header:x", "cookie:session"] {
        let mut hashed = written.clone();
        let pools = hashed["pools"].as_object_mut().unwrap();
        for pool in pools.values_mut() {
            pool["balance"] = Value::from("hash");
            pool["hash_on"] = Value::from(on);
        }
        assert_eq!(schema.wrong_keys(&hashed), [""; 0], "{on}");
    }
    let mut wrong = written;
    wrong["log"]["levle"] = Value::from("info");
    wrong["workers"] = Value::from(0);
    assert_eq!(schema.wrong_keys(&wrong), ["log.levle", "workers"]);
}

#[test]
fn links_are_words_in_a_schema() {
    let plain = without_links("a [`b`](#b): see [c](d.md#e), [1] and (f)");
    assert_eq!(plain, "a `b`: see c, [1] and (f)");
    for file in [OwnFile::Gateway, OwnFile::Sidecar] {
        let schema: Value = serde_json::from_str(&file.schema()).unwrap();
        assert_eq!(schema["additionalProperties"], false);
        assert!(!file.schema().contains("]("));
    }
}
