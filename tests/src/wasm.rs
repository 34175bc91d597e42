//! Wasm files for tests: the reference plugins, the misbehaving guests, and modules and
//! components written by hand.

mod handmade;

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use crate::certs::{hex, sha256};

pub use handmade::{
    another_version, answering, asking_for_a_response, counting, executing, exiting, for_browsers,
    forwarding, laborious, nested, on_wasi, recursing, responding_with, routing, types,
    unknown_import, with_pages, wrong_world,
};

/// A plugin of `plugins/`, such as `path-router`.
pub fn reference(name: &str) -> Vec<u8> {
    load(&target_dir().join("plugins"), name)
}

/// The folder of the plugins of `plugins/`.
pub fn references() -> PathBuf {
    target_dir().join("plugins")
}

/// A plugin of `tests/guests/examples/`, by its file name without extension.
pub fn guest(name: &str) -> Vec<u8> {
    load(&target_dir().join("guests"), name)
}

/// A plugin in C, JavaScript or Python, by its name in `xtask/src/languages.rs`.
pub fn other_language(name: &str) -> Vec<u8> {
    load(&target_dir().join("other-languages"), name)
}

/// The same module or component as another file: with a custom section of this number.
pub fn stamped(wasm: &[u8], number: u32) -> Vec<u8> {
    let mut section = vec![0, 10, 5];
    section.extend(b"stamp");
    section.extend(number.to_le_bytes());
    [wasm, &section].concat()
}

/// What the access log calls the version of a plugin: the first 12 digits of its SHA-256.
pub fn version(wasm: &[u8]) -> String {
    let mut digits = hex(&sha256(wasm));
    digits.truncate(12);
    digits
}

/// Cargo's target folder: `WITGATE_TARGET_DIR`, or the one that the test executable is in.
pub(crate) fn target_dir() -> PathBuf {
    if let Some(dir) = env::var_os("WITGATE_TARGET_DIR") {
        return PathBuf::from(dir);
    }
    let executable = env::current_exe().expect("a path of the test executable");
    let profile = executable.parent().and_then(Path::parent);
    profile
        .and_then(Path::parent)
        .expect("target/PROFILE/deps/NAME")
        .to_owned()
}

fn load(dir: &Path, name: &str) -> Vec<u8> {
    let path = dir.join(format!("{name}.wasm"));
    fs::read(&path)
        .unwrap_or_else(|error| panic!("{}: {error}; run `cargo xtask test`", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_changes_the_version_and_leaves_the_module_valid() {
        let module = wat::parse_str("(module)").unwrap();
        let other = stamped(&module, 7);
        assert_ne!(version(&module), version(&other));
        wat::parse_bytes(&other).unwrap();
        assert!(other.starts_with(&module));
    }
}
