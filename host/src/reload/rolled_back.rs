//! The versions of a plugin that were rolled back, and why: what its files say now or will say is
//! compared with them, so that none of them comes back by itself.

use crate::plugin::Source;

/// How many are remembered of a plugin; the oldest is forgotten first. More than anybody tries
/// between two releases, and few enough for a record that people read.
const REMEMBERED: usize = 16;

/// The oldest first; without the bytes of their files, as nothing is made of them.
#[derive(Debug, Clone, Default)]
pub struct RolledBack(Vec<(Source, String)>);

impl RolledBack {
    /// Remembers a version, as the last one, even if it was before.
    pub fn add(&mut self, version: &Source, reason: String) {
        self.forgive(version);
        self.0.push((version.without_bytes(), reason));
        let surplus = self.0.len().saturating_sub(REMEMBERED);
        self.0.drain(..surplus);
    }

    /// Why this version was rolled back; none when it was not.
    pub fn reason(&self, version: &Source) -> Option<&str> {
        let mut all = self.0.iter();
        let found = all.find(|(known, _)| known.makes_the_same(version));
        found.map(|(_, reason)| reason.as_str())
    }

    /// Takes a version off the list. False when it was not on it.
    pub fn forgive(&mut self, version: &Source) -> bool {
        let before = self.0.len();
        self.0.retain(|(known, _)| !known.makes_the_same(version));
        self.0.len() < before
    }

    /// All of them, the oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&Source, &str)> {
        self.0
            .iter()
            .map(|(source, reason)| (source, reason.as_str()))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::{
        config::{PluginLimits, Sidecar},
        plugin::{Digest, SignatureFile, Signatures},
    };

    fn version(number: usize, sidecar: &str) -> Source {
        let bytes = format!("version {number}").into_bytes();
        let path = Path::new("plugins/10-shop.wasm");
        let defaults = PluginLimits::DEFAULT;
        let sidecar = Sidecar::parse(sidecar, &path.with_extension("toml"), &defaults);
        Source {
            name: "shop".into(),
            path: path.to_owned(),
            digest: Digest::of(&bytes),
            bytes: bytes.into(),
            sidecar: sidecar.expect("a sidecar"),
            cases: None,
            signatures: Signatures {
                plugin: SignatureFile::Absent,
                sidecar: SignatureFile::Absent,
            },
        }
    }

    #[test]
    fn the_last_ones_are_remembered_and_the_oldest_is_forgotten() {
        let mut rolled_back = RolledBack::default();
        for number in 0..=REMEMBERED {
            rolled_back.add(&version(number, ""), format!("reason {number}"));
        }
        assert_eq!(rolled_back.iter().count(), REMEMBERED);
        assert_eq!(rolled_back.reason(&version(0, "")), None);
        for number in 1..=REMEMBERED {
            let reason = format!("reason {number}");
            assert_eq!(
                rolled_back.reason(&version(number, "")),
                Some(reason.as_str())
            );
        }
        assert!(
            rolled_back
                .iter()
                .all(|(source, _)| source.bytes.is_empty())
        );
    }

    #[test]
    fn a_version_is_on_the_list_once_and_gone_when_it_is_forgiven() {
        let mut rolled_back = RolledBack::default();
        let with_config = version(1, "config = { pool = \"web\" }");
        rolled_back.add(&version(1, ""), "first".to_owned());
        rolled_back.add(&version(2, ""), "second".to_owned());
        rolled_back.add(&version(1, ""), "again".to_owned());
        let reasons: Vec<_> = rolled_back.iter().map(|(_, reason)| reason).collect();
        assert_eq!(reasons, ["second", "again"]);
        // Another sidecar makes another version of the same file.
        assert_eq!(rolled_back.reason(&with_config), None);
        assert!(!rolled_back.forgive(&with_config));
        assert!(rolled_back.forgive(&version(1, "")));
        assert_eq!(rolled_back.reason(&version(1, "")), None);
        assert_eq!(rolled_back.reason(&version(2, "")), Some("second"));
    }
}
