//! The record of one plugin, a JSON file: its versions without their bytes, which are in files
//! named by the digest.

use std::{ops::RangeInclusive, path::Path, sync::Arc, time::Duration};

use serde::{Deserialize, Deserializer, Serialize};

use super::{super::rolled_back::RolledBack, Memory, Unfinished};
use crate::{
    config::{Cases, PluginLimits, Sidecar},
    plugin::{Digest, Progress, SignatureFile, Signatures, Source, Stage, Tally},
};

/// What this gateway writes.
const FORMAT: u32 = 2;
/// What it reads: 1 had the last version that was rolled back alone.
const FORMATS: RangeInclusive<u32> = 1..=FORMAT;

/// What became of a plugin's versions.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    format: u32,
    live: Option<RecordedVersion>,
    /// The last one at the end.
    kept: Vec<RecordedVersion>,
    /// The last one at the end.
    #[serde(deserialize_with = "one_or_more")]
    rolled_back: Vec<GivenUp>,
    #[serde(default)]
    trial: Option<RecordedTrial>,
}

/// A trial that was not over.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RecordedTrial {
    version: RecordedVersion,
    /// `shadow` or `canary`.
    stage: String,
    milliseconds: u64,
    requests: u64,
    errors: u64,
    alike: u64,
    differing: u64,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct GivenUp {
    version: RecordedVersion,
    reason: String,
}

/// Of format 1 one or null, of format 2 a list.
fn one_or_more<'de, D: Deserializer<'de>>(input: D) -> Result<Vec<GivenUp>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMore {
        More(Vec<GivenUp>),
        One(Option<Box<GivenUp>>),
    }
    Ok(match OneOrMore::deserialize(input)? {
        OneOrMore::More(all) => all,
        OneOrMore::One(one) => one.into_iter().map(|one| *one).collect(),
    })
}

/// A version, but for its bytes.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RecordedVersion {
    /// The file's name in the plugin folder.
    file: String,
    /// All digits.
    sha256: String,
    /// The text of the sidecar.
    sidecar: Option<String>,
    /// The text of the cases.
    cases: Option<String>,
    /// The texts of the signatures of file and sidecar.
    signature: Option<String>,
    sidecar_signature: Option<String>,
}

/// Why a record cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// It is no record, or a damaged one.
    #[error("is damaged: {0}")]
    Damaged(#[from] serde_json::Error),
    /// Another version of the gateway has written it.
    #[error("has format {0}, expected 1 to {FORMAT}")]
    Format(u32),
}

impl Record {
    /// What is to be recalled of a plugin. Versions before the live one are only worth a record
    /// when their bytes have room.
    pub fn of(memory: &Memory, has_room: impl Fn(&Source) -> bool) -> Self {
        let kept = memory.kept.iter().filter(|source| has_room(source));
        Self {
            format: FORMAT,
            live: memory.live.as_ref().map(RecordedVersion::of),
            kept: kept.map(RecordedVersion::of).collect(),
            rolled_back: memory.rolled_back.iter().map(GivenUp::of).collect(),
            trial: memory.trial.as_ref().map(RecordedTrial::of),
        }
    }

    /// The contents of a record.
    pub fn parse(bytes: &[u8]) -> Result<Self, RecordError> {
        let record: Self = serde_json::from_slice(bytes)?;
        match FORMATS.contains(&record.format) {
            true => Ok(record),
            false => Err(RecordError::Format(record.format)),
        }
    }

    /// For people to read as well.
    pub fn to_text(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    /// The versions as they were, as far as `file` has their bytes.
    pub fn recall(
        self,
        name: &Arc<str>,
        plugins: &Path,
        defaults: &PluginLimits,
        file: impl Fn(Digest) -> Option<Vec<u8>>,
    ) -> Memory {
        let source = |version: RecordedVersion, bytes: Option<Vec<u8>>| {
            let label = version.label().to_owned();
            let source = version.source(name, plugins, defaults, bytes.unwrap_or_default());
            if source.is_none() {
                tracing::warn!(plugin = %name, version = label, "a version that was kept is not usable any more: its sidecar or its cases are not valid");
            }
            source
        };
        let whole = |version: RecordedVersion| {
            let bytes = file(version.digest()?)?;
            source(version, Some(bytes))
        };
        let trial = self.trial.and_then(|trial| {
            let (stage, progress) = trial.progress()?;
            Some(Unfinished {
                version: source(trial.version, None)?,
                stage,
                progress,
            })
        });
        let mut rolled_back = RolledBack::default();
        for given_up in self.rolled_back {
            if let Some(version) = source(given_up.version, None) {
                rolled_back.add(&version, given_up.reason);
            }
        }
        Memory {
            name: Arc::clone(name),
            live: self.live.and_then(whole),
            kept: self.kept.into_iter().filter_map(whole).collect(),
            rolled_back,
            trial,
        }
    }
}

impl GivenUp {
    fn of((version, reason): (&Source, &str)) -> Self {
        Self {
            version: RecordedVersion::of(version),
            reason: reason.to_owned(),
        }
    }
}

impl RecordedTrial {
    fn of(trial: &Unfinished) -> Self {
        let Progress { lasted, tally } = trial.progress;
        Self {
            version: RecordedVersion::of(&trial.version),
            stage: trial.stage.as_str().to_owned(),
            milliseconds: u64::try_from(lasted.as_millis()).unwrap_or(u64::MAX),
            requests: tally.requests,
            errors: tally.failures,
            alike: tally.alike,
            differing: tally.differing,
        }
    }

    fn progress(&self) -> Option<(Stage, Progress)> {
        let progress = Progress {
            lasted: Duration::from_millis(self.milliseconds),
            tally: Tally {
                requests: self.requests,
                failures: self.errors,
                alike: self.alike,
                differing: self.differing,
            },
        };
        Some((Stage::parse(&self.stage)?, progress))
    }
}

impl RecordedVersion {
    fn of(source: &Source) -> Self {
        let file = source.path.file_name().unwrap_or_default();
        Self {
            file: file.to_string_lossy().into_owned(),
            sha256: format!("{:x}", source.digest),
            sidecar: source.sidecar.text().map(str::to_owned),
            cases: source.cases.as_ref().map(|cases| cases.text().to_owned()),
            signature: text(&source.signatures.plugin),
            sidecar_signature: text(&source.signatures.sidecar),
        }
    }

    fn label(&self) -> &str {
        self.sha256.get(..12).unwrap_or(&self.sha256)
    }

    fn digest(&self) -> Option<Digest> {
        Digest::parse(&self.sha256)
    }

    /// None when the sidecar or the cases mean nothing any more.
    fn source(
        self,
        name: &Arc<str>,
        plugins: &Path,
        defaults: &PluginLimits,
        bytes: Vec<u8>,
    ) -> Option<Source> {
        let digest = self.digest()?;
        let path = plugins.join(self.file);
        let sidecar = path.with_extension("toml");
        let sidecar = match self.sidecar {
            Some(text) => Sidecar::parse(&text, &sidecar, defaults).ok()?,
            None => Sidecar::absent(&sidecar, defaults),
        };
        let cases = path.with_extension("cases.toml");
        let cases = self.cases.map(|text| Cases::parse(&text, &cases).ok());
        Some(Source {
            name: Arc::clone(name),
            bytes: bytes.into(),
            digest,
            sidecar,
            cases: match cases {
                Some(cases) => Some(cases?),
                None => None,
            },
            signatures: Signatures {
                plugin: signature(self.signature),
                sidecar: signature(self.sidecar_signature),
            },
            path,
        })
    }
}

fn text(signature: &SignatureFile) -> Option<String> {
    match signature {
        SignatureFile::Text(text) => Some(text.as_ref().to_owned()),
        SignatureFile::Absent | SignatureFile::Unreadable(_) => None,
    }
}

fn signature(text: Option<String>) -> SignatureFile {
    text.map_or(SignatureFile::Absent, |text| {
        SignatureFile::Text(text.into())
    })
}
