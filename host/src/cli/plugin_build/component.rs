//! Turns what a compiler made into a component, and says what is in one.
//!
//! A core module becomes a component by the `component-type` section that the SDK left in
//! it; a component is taken as it is. Nothing here decides whether it may be loaded.

use std::{
    io::{self, Write as _},
    path::Path,
};

use wasmparser::{Parser, Payload};

use crate::plugin::{self, Digest, LoadError};

/// What the names of our own interfaces start with.
const PACKAGE: &str = "witgate:plugin/";

/// Returns the component in `bytes`, made from a core module if that is what they are.
pub(super) fn from_module(bytes: Vec<u8>) -> Result<Vec<u8>, LoadError> {
    if Parser::is_component(&bytes) {
        return Ok(bytes);
    }
    plugin::encode(&bytes)
}

/// Prints the line about one written component: file, size, hash, roles, imports.
pub(super) fn describe(file: &Path, bytes: &[u8]) {
    let surface = Surface::read(bytes);
    // Not println!, which panics when nobody reads: the file is written all the same.
    let _ = writeln!(
        io::stdout(),
        "{}  {}  sha256:{}  roles: {}  imports: {}",
        file.display(),
        kilobytes(bytes.len()),
        Digest::of(bytes),
        listed(surface.roles()),
        listed(surface.imports.iter().map(|name| short(name))),
    );
    if surface.roles().next().is_none() {
        eprintln!(
            "warning: {} has none of the roles routing, affinity and rewriting, so the gateway \
             will refuse it; the SDK's export macro is what adds them",
            file.display()
        );
    }
}

/// The interfaces that a component imports and exports, by full name.
#[derive(Debug, Default)]
struct Surface {
    imports: Vec<String>,
    exports: Vec<String>,
}

impl Surface {
    /// Reads the outermost component only. What cannot be parsed is left out.
    fn read(bytes: &[u8]) -> Self {
        let mut surface = Self::default();
        let mut depth = 0_usize;
        for payload in Parser::new(0).parse_all(bytes).map_while(Result::ok) {
            match payload {
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
                Payload::End(_) => depth = depth.saturating_sub(1),
                Payload::ComponentImportSection(section) if depth == 0 => {
                    let names = section.into_iter().flatten();
                    surface
                        .imports
                        .extend(names.map(|one| one.name.name.to_owned()));
                }
                Payload::ComponentExportSection(section) if depth == 0 => {
                    let names = section.into_iter().flatten();
                    surface
                        .exports
                        .extend(names.map(|one| one.name.name.to_owned()));
                }
                _ => {}
            }
        }
        surface
    }

    /// The exports that are roles.
    fn roles(&self) -> impl Iterator<Item = &str> {
        self.exports
            .iter()
            .filter(|name| name.starts_with(PACKAGE))
            .map(|name| short(name))
            .filter(|name| matches!(*name, "routing" | "affinity" | "rewriting"))
    }
}

/// `routing` of `witgate:plugin/routing@0.1.0`; foreign names stay whole.
fn short(name: &str) -> &str {
    let Some(ours) = name.strip_prefix(PACKAGE) else {
        return name;
    };
    ours.split_once('@').map_or(ours, |(name, _)| name)
}

fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<_> = names.collect();
    if names.is_empty() {
        return "none".to_owned();
    }
    names.join(", ")
}

fn kilobytes(bytes: usize) -> String {
    format!("{}.{} kB", bytes / 1000, bytes % 1000 / 100)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
mod tests {
    use super::*;

    #[test]
    fn a_component_is_taken_as_it_is() {
        let component = b"\0asm\x0d\0\x01\0".to_vec();
        assert_eq!(from_module(component.clone()).unwrap(), component);
    }

    #[test]
    fn a_module_that_names_no_world_is_refused() {
        from_module(b"\0asm\x01\0\0\0".to_vec()).unwrap_err();
    }

    #[test]
    fn garbage_is_refused() {
        from_module(b"not wasm".to_vec()).unwrap_err();
        from_module(Vec::new()).unwrap_err();
    }

    #[test]
    fn our_names_are_shown_short_and_foreign_names_whole() {
        assert_eq!(short("witgate:plugin/routing@0.1.0"), "routing");
        assert_eq!(short("wasi:cli/exit@0.2.0"), "wasi:cli/exit@0.2.0");
    }

    #[test]
    fn sizes_are_rounded_down() {
        assert_eq!(kilobytes(78_199), "78.1 kB");
        assert_eq!(kilobytes(42), "0.0 kB");
    }
}
