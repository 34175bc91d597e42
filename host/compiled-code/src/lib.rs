//! Compiled plugins from elsewhere: from a child process (`compiler` asks for them, `job` makes
//! them), and from disk. Machine code that is loaded runs without any sandbox, so what is loaded
//! must be what this gateway's engine has made:
//!
//! - a child is this very program, and seals what it has compiled with a key that was made for this
//!   one job and is known to nobody else;
//! - the folder is private (`folder`): its owner is who runs the gateway, and nobody else may
//!   write into it;
//! - each entry is sealed (`seal`) with a key that is made with the folder and kept in it, over
//!   its name as well, which holds the digest of the WebAssembly and what the engine is;
//! - an entry that is damaged, renamed or from another folder does not fit its seal: it is thrown
//!   away and never loaded.
//!
//! What comes in is WebAssembly; what goes out is components. Whether they are fit to be used is the
//! caller's to check.

mod code;
mod compiler;
mod entries;
mod folder;
mod job;
mod seal;

use std::{fmt, io, path::Path};

use wasmtime::{Engine, component::Component};

use self::{
    entries::{Entries, EntryName},
    seal::Key,
};

pub use compiler::{CompileError, Compiler, Made};
pub use folder::{FolderError, is_own, open as open_private};
pub use job::{JobLimits, serve};

/// SHA-256 of WebAssembly.
pub type WasmDigest = [u8; 32];

/// A folder of compiled components.
#[derive(Debug)]
pub struct CompiledCode {
    entries: Entries,
    key: Key,
}

/// What the folder has for some WebAssembly.
pub enum Found {
    /// The component, ready to use.
    Code(Component),
    /// Nothing.
    Nothing,
    /// Something that may not be loaded; it is gone now.
    Unfit(Unfit),
}

impl fmt::Debug for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(_) => f.write_str("Code"),
            Self::Nothing => f.write_str("Nothing"),
            Self::Unfit(unfit) => write!(f, "Unfit({unfit})"),
        }
    }
}

/// Why an entry may not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum Unfit {
    /// It cannot be read.
    #[error("cannot be read: {0}")]
    Read(#[source] io::Error),
    /// Somebody else can have written it.
    #[error("is not a file of this user that nobody else may write to")]
    Owner,
    /// It is not what this gateway has written under that name.
    #[error("is damaged, or was not written here")]
    Seal,
    /// The engine does not take it.
    #[error("does not fit the engine: {0:#}")]
    Engine(wasmtime::Error),
}

impl CompiledCode {
    /// Opens a folder, which is made when it is not there. It keeps to `limit` bytes. Blocks.
    ///
    /// # Errors
    /// The folder or its key cannot be used, or others may write to them.
    pub fn open(dir: &Path, limit: u64) -> Result<Self, FolderError> {
        folder::open(dir)?;
        Ok(Self {
            key: seal::key_of(dir)?,
            entries: Entries::new(dir, limit),
        })
    }

    /// What there is for this WebAssembly and this engine. Blocks.
    pub fn find(&self, engine: &Engine, wasm: &WasmDigest) -> Found {
        let name = EntryName::of(engine, wasm);
        let bytes = match self.entries.read(&name) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return Found::Nothing,
            Err(unfit) => return self.throw_away(&name, unfit),
        };
        let Some(code) = self.key.opened(name.as_str(), &bytes) else {
            return self.throw_away(&name, Unfit::Seal);
        };
        match code::load(engine, &code) {
            Ok(component) => {
                self.entries.used(&name);
                Found::Code(component)
            }
            Err(error) => self.throw_away(&name, Unfit::Engine(error)),
        }
    }

    /// Keeps a component that was compiled from this WebAssembly. Entries that have not been used
    /// for longest make room. Blocks.
    ///
    /// # Errors
    /// The disk is full or such; nothing else depends on it.
    pub fn keep(&self, component: &Component, wasm: &WasmDigest) -> io::Result<()> {
        let name = EntryName::of(component.engine(), wasm);
        let code = component.serialize().map_err(io::Error::other)?;
        let sealed = self.key.sealed(name.as_str(), &code);
        self.entries.write(&name, &sealed)
    }

    fn throw_away(&self, name: &EntryName, unfit: Unfit) -> Found {
        self.entries.remove(name);
        Found::Unfit(unfit)
    }
}

#[cfg(test)]
mod tests;
