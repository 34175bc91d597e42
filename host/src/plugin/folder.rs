//! The plugin folder: which files are plugins, in which order, and their bytes. Names only;
//! whether a file is any good is found out by loading it.

use std::{
    fs::OpenOptions,
    io::{self, Read},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustix::fs::OFlags;

use super::{
    error::LoadError,
    trust::{NoSidecar, SignatureFile, Signatures, Trust, Untrusted, signature_of},
    version::{Digest, Source},
};
use crate::config::{Cases, ConfigError, PluginLimits, Sidecar};

/// A file of the folder that should be a plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The file's name without `NN-` and `.wasm`.
    pub name: Arc<str>,
    /// `NN-name.wasm`.
    pub wasm: PathBuf,
    /// `NN-name.toml` beside it; need not be there.
    pub sidecar: PathBuf,
    /// `NN-name.cases.toml` beside it; need not be there.
    pub cases: PathBuf,
}

/// Why a file of the folder was not taken into service.
#[derive(Debug, thiserror::Error)]
pub enum RejectReason {
    /// The plugin itself.
    #[error(transparent)]
    Plugin(#[from] LoadError),
    /// Nobody who is trusted vouches for it.
    #[error(transparent)]
    Untrusted(#[from] Untrusted),
    /// Nor for its sidecar.
    #[error(transparent)]
    NoSidecar(#[from] NoSidecar),
    /// Its sidecar.
    #[error("its sidecar is not valid")]
    Sidecar(#[from] ConfigError),
    /// Its cases.
    #[error("its cases are not valid")]
    Cases(#[source] ConfigError),
    /// What its sidecar asks of it.
    #[error("refuses its configuration")]
    Configuration(#[source] ConfigError),
    /// It was in service or on trial, and is no more.
    #[error(
        "was rolled back ({0}); another file or sidecar takes its place, and `witgate plugin promote` with the version's digits takes it all the same"
    )]
    RolledBack(String),
    /// The file is gone, but a pool of the configuration names the plugin.
    #[error("is gone, but a pool names it in `affinity`")]
    Missing,
    /// Another file of the folder has that name.
    #[error("has the same name as {0}, which comes first")]
    Duplicate(PathBuf),
}

/// All `*.wasm` of the folder in lexical order of their file names. Hidden files are left out:
/// copying tools write to them before they rename.
pub fn scan(dir: &Path) -> io::Result<Vec<Found>> {
    let mut found: Vec<Found> = std::fs::read_dir(dir)?
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter_map(Found::at)
        .collect();
    found.sort_by(|a, b| a.wasm.cmp(&b.wasm));
    Ok(found)
}

/// Files of compiled code, which are left out for good.
pub fn compiled(dir: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(dir).into_iter().flatten();
    let paths = files.filter_map(Result::ok).map(|entry| entry.path());
    let paths = paths.filter(|path| path.extension().is_some_and(|end| end == "cwasm"));
    paths.collect()
}

impl Found {
    /// The plugin at this path, when its name says that it is one.
    pub fn at(wasm: PathBuf) -> Option<Self> {
        let stem = wasm
            .file_name()?
            .to_str()?
            .strip_suffix(".wasm")
            .filter(|stem| !stem.starts_with('.'))?;
        let name = without_number(stem).into();
        Some(Self {
            name,
            sidecar: wasm.with_extension("toml"),
            cases: wasm.with_extension("cases.toml"),
            wasm,
        })
    }

    /// All files whose change is a change of the plugin, whether they are there or not.
    pub fn files(&self) -> [PathBuf; 5] {
        [
            self.wasm.clone(),
            self.sidecar.clone(),
            self.cases.clone(),
            signature_of(&self.wasm),
            signature_of(&self.sidecar),
        ]
    }

    /// Reads plugin, sidecar, cases and signatures, each once: what is trusted is these bytes,
    /// whatever becomes of the files.
    pub fn read(
        &self,
        defaults: &PluginLimits,
        trust: Option<&Trust>,
    ) -> Result<Source, RejectReason> {
        let sidecar = match self.sidecar.exists() {
            true => Sidecar::load(&self.sidecar, defaults)?,
            false => Sidecar::absent(&self.sidecar, defaults),
        };
        let cases = match self.cases.exists() {
            true => Some(Cases::load(&self.cases).map_err(RejectReason::Cases)?),
            false => None,
        };
        let bytes = read_bounded(&self.wasm, sidecar.limits.file_size)?;
        let source = Source {
            name: Arc::clone(&self.name),
            path: self.wasm.clone(),
            digest: Digest::of(&bytes),
            bytes: bytes.into(),
            sidecar,
            cases,
            signatures: Signatures {
                plugin: SignatureFile::beside(&self.wasm),
                sidecar: SignatureFile::beside(&self.sidecar),
            },
        };
        if let Some(trust) = trust {
            trust.vet(&source)?;
        }
        Ok(source)
    }
}

/// `10-site-router` is `site-router`.
fn without_number(stem: &str) -> &str {
    match stem
        .trim_start_matches(|c: char| c.is_ascii_digit())
        .strip_prefix('-')
    {
        Some(name) if !name.is_empty() => name,
        _ => stem,
    }
}

/// Reads a plugin file: nothing but a regular file, which cannot block, and of no more than
/// `limit` bytes.
pub fn read_bounded(path: &Path, limit: u64) -> Result<Vec<u8>, LoadError> {
    let too_large = |size| LoadError::TooLarge { size, limit };
    // Opening some devices does something, so that they are not opened at all.
    let metadata = std::fs::metadata(path).map_err(LoadError::Read)?;
    if !metadata.is_file() {
        return Err(LoadError::NotAFile);
    }
    let mut options = OpenOptions::new();
    options
        .read(true)
        .custom_flags(OFlags::NONBLOCK.bits().cast_signed());
    let file = options.open(path).map_err(LoadError::Read)?;
    // By now it may be another one.
    let metadata = file.metadata().map_err(LoadError::Read)?;
    if !metadata.is_file() {
        return Err(LoadError::NotAFile);
    }
    if metadata.len() > limit {
        return Err(too_large(metadata.len()));
    }
    let mut bytes = Vec::new();
    let more = limit.saturating_add(1);
    file.take(more)
        .read_to_end(&mut bytes)
        .map_err(LoadError::Read)?;
    match u64::try_from(bytes.len()) {
        Ok(size) if size <= limit => Ok(bytes),
        _ => Err(too_large(more)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_loses_its_number() {
        for (stem, name) in [
            ("10-site-router", "site-router"),
            ("router", "router"),
            ("7-", "7-"),
            ("2fa", "2fa"),
        ] {
            assert_eq!(without_number(stem), name);
        }
    }

    #[test]
    fn only_visible_wasm_files_are_plugins() {
        for file in ["a.toml", ".a.wasm", "a.wasm.part", "a"] {
            assert_eq!(Found::at(PathBuf::from(file)), None, "{file}");
        }
        let found = Found::at(PathBuf::from("p/10-a.wasm")).expect("a plugin");
        assert_eq!(
            (&*found.name, found.sidecar),
            ("a", PathBuf::from("p/10-a.toml"))
        );
    }
}
