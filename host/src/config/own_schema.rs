//! The schemas of the gateway's own files, for editors; and, in the tests, the tables of the
//! reference, which are made of them.

#[cfg(test)]
mod reference;

use witgate_schema::{Schema as _, Shape, json};

use super::raw;

/// A file that operators write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum OwnFile {
    /// The gateway's configuration
    Gateway,
    /// The file beside a plugin; `plugin schema --sidecar` has the plugin's own keys in it as well
    Sidecar,
}

impl OwnFile {
    fn shape(self) -> Shape {
        match self {
            Self::Gateway => raw::File::SHAPE,
            Self::Sidecar => raw::Sidecar::SHAPE,
        }
    }

    /// The JSON Schema (2020-12) of the file. It says shapes and the ranges of integers; what else is
    /// checked is in the words.
    pub fn schema(self) -> String {
        let shape = self.shape();
        let mut text = vec![0; json(&shape, &mut [])];
        json(&shape, &mut text);
        // Made of strings alone.
        without_links(&String::from_utf8_lossy(&text))
    }
}

/// Words alone of `[words](target)`: targets are places of the reference.
fn without_links(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once("](") {
        let opens = before.rfind('[').unwrap_or(before.len());
        let (outside, words) = before.split_at(opens);
        plain.push_str(outside);
        plain.push_str(words.strip_prefix('[').unwrap_or(words));
        rest = behind.split_once(')').map_or(behind, |(_, rest)| rest);
    }
    plain.push_str(rest);
    plain
}
