//! The files of new projects: each template in each language, with the same configuration and the
//! same cases.

use clap::ValueEnum;

/// What a new plugin does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Template {
    /// Answers one path itself
    Router,
    /// Keeps sessions with their endpoints by a cookie
    Affinity,
    /// Takes fields away from requests, and puts one on answers
    Rewriter,
    /// Wants a token for a part of the site
    Auth,
}

/// What it is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Language {
    /// With the SDK
    Rust,
    /// JavaScript, with componentize-js
    #[value(name = "js")]
    JavaScript,
    /// With componentize-py
    Python,
    /// With clang and wit-bindgen
    C,
}

/// Path, where `{{name}}` is filled in, and text, likewise.
pub(in crate::cli) type File = (&'static str, &'static str);

/// A text of `template/`.
macro_rules! text {
    ($($path:literal),+) => { include_str!(concat!("../template/", $($path),+)) };
}

/// The sources of a template and its files that are the same in all languages.
macro_rules! template {
    ($name:literal) => {
        Sources {
            rust: text!("rust/", $name, ".rs.in"),
            javascript: text!("javascript/", $name, ".js.in"),
            python: text!("python/", $name, ".py.in"),
            c: text!("c/", $name, ".c.in"),
            world: text!("world/", $name, ".wit.in"),
            sidecar: text!($name, ".toml.in"),
            cases: text!($name, ".cases.toml.in"),
        }
    };
}

struct Sources {
    rust: &'static str,
    javascript: &'static str,
    python: &'static str,
    c: &'static str,
    world: &'static str,
    sidecar: &'static str,
    cases: &'static str,
}

/// A file of the interface.
macro_rules! interface {
    ($($name:literal),+) => {
        [$((
            concat!("wit/deps/witgate/", $name, ".wit"),
            include_str!(concat!("../../../../wit/0.1/", $name, ".wit")),
        )),+]
    };
}

/// The interface, which projects without the SDK need.
pub(in crate::cli) const INTERFACE: [File; 14] = interface!(
    "access-log",
    "affinity",
    "clock",
    "facts",
    "interest",
    "kv",
    "lifecycle",
    "log",
    "metrics",
    "random",
    "rewriting",
    "routing",
    "types",
    "worlds"
);

impl Template {
    fn sources(self) -> Sources {
        match self {
            Self::Router => template!("router"),
            Self::Affinity => template!("affinity"),
            Self::Rewriter => template!("rewriter"),
            Self::Auth => template!("auth"),
        }
    }

    /// What it is, for the README.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Router => {
                "a router that answers one path itself and leaves all other requests to the plugins behind it"
            }
            Self::Affinity => "a cookie names the endpoint that a session stays with",
            Self::Rewriter => {
                "fields that clients may not send are taken away, and answers get one more"
            }
            Self::Auth => "a part of the site is for those who have a token",
        }
    }
}

/// All files of a project.
pub(super) fn files(template: Template, language: Language) -> Vec<File> {
    let sources = template.sources();
    let mut files = vec![
        ("{{name}}.toml", sources.sidecar),
        ("{{name}}.cases.toml", sources.cases),
    ];
    match language {
        Language::Rust => files.extend([
            ("Cargo.toml", text!("rust/Cargo.toml.in")),
            ("src/lib.rs", sources.rust),
            ("README.md", text!("rust/README.md.in")),
            (".gitignore", text!("rust/gitignore.in")),
        ]),
        Language::JavaScript => files.extend([
            ("package.json", text!("javascript/package.json.in")),
            ("plugin.js", sources.javascript),
            ("README.md", text!("javascript/README.md.in")),
            (".gitignore", text!("javascript/gitignore.in")),
        ]),
        Language::Python => files.extend([
            ("requirements.txt", text!("python/requirements.txt.in")),
            ("plugin.py", sources.python),
            ("README.md", text!("python/README.md.in")),
            (".gitignore", text!("python/gitignore.in")),
        ]),
        Language::C => files.extend([
            ("plugin.c", sources.c),
            ("json.c", text!("c/json.c.in")),
            ("json.h", text!("c/json.h.in")),
            ("values.h", text!("c/values.h.in")),
            ("compile_flags.txt", text!("c/compile_flags.txt.in")),
            ("README.md", text!("c/README.md.in")),
            (".gitignore", text!("c/gitignore.in")),
        ]),
    }
    if language != Language::Rust {
        files.push(("wit/world.wit", sources.world));
        files.extend(INTERFACE);
    }
    files
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    #[test]
    fn a_project_gets_the_whole_interface() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit/0.1");
        let entries = fs::read_dir(dir).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name());
        let mut there: Vec<_> = names
            .map(|name| format!("wit/deps/witgate/{}", name.to_string_lossy()))
            .collect();
        there.sort();
        assert_eq!(INTERFACE.map(|(path, _)| path).as_slice(), there);
    }
}
