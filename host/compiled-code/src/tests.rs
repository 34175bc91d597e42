//! What is kept is found again, by the same engine and from the same folder; all else is not.
#![allow(
    clippy::unwrap_used,
    reason = "a test ends at the first thing that is not as it must be"
)]

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::PathBuf,
    time::{Duration, SystemTime},
};

use super::*;

const DIGEST: WasmDigest = [7; 32];
const LIMIT: u64 = 64 << 20;

fn component(engine: &Engine) -> Component {
    let text = "(component (core module $m (func (export \"f\") (result i32) i32.const 42)) (core instance (instantiate $m)))";
    Component::new(engine, wat::parse_str(text).unwrap()).unwrap()
}

/// A folder with one entry.
fn kept() -> (tempfile::TempDir, Engine, CompiledCode) {
    let dir = tempfile::tempdir().unwrap();
    let engine = Engine::default();
    let code = CompiledCode::open(&dir.path().join("a/b"), LIMIT).unwrap();
    code.keep(&component(&engine), &DIGEST).unwrap();
    (dir, engine, code)
}

fn entries(code: &CompiledCode) -> Vec<PathBuf> {
    let files = fs::read_dir(&code.entries.dir).unwrap();
    let paths = files.map(|file| file.unwrap().path());
    let mut paths: Vec<_> = paths.filter(|path| path.extension().is_some()).collect();
    paths.sort();
    paths
}

fn is_unfit(found: &Found, why: &str) -> bool {
    matches!(found, Found::Unfit(unfit) if unfit.to_string().contains(why))
}

#[test]
fn what_is_kept_is_found_by_the_next_process_too() {
    let (dir, engine, code) = kept();
    assert!(matches!(code.find(&engine, &DIGEST), Found::Code(_)));
    assert!(matches!(code.find(&engine, &[8; 32]), Found::Nothing));
    let next = CompiledCode::open(&dir.path().join("a/b"), LIMIT).unwrap();
    assert!(matches!(
        next.find(&Engine::default(), &DIGEST),
        Found::Code(_)
    ));
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let folder = dir.path().join("a/b");
    assert_eq!((mode(&folder), mode(&folder.join("key"))), (0o700, 0o600));
    assert_eq!(
        entries(&code)
            .iter()
            .map(|path| mode(path))
            .collect::<Vec<_>>(),
        [0o600]
    );
}

#[test]
fn another_engine_finds_nothing() {
    let (_dir, _engine, code) = kept();
    let mut config = wasmtime::Config::new();
    config.epoch_interruption(true);
    let other = Engine::new(&config).unwrap();
    assert!(matches!(code.find(&other, &DIGEST), Found::Nothing));
}

#[test]
fn one_bit_that_is_other_is_enough() {
    let (_dir, engine, code) = kept();
    let path = entries(&code).remove(0);
    let good = fs::read(&path).unwrap();
    for at in [0, 9, 40, good.len() / 2, good.len() - 1] {
        let mut bad = good.clone();
        bad[at] ^= 1;
        fs::write(&path, &bad).unwrap();
        let found = code.find(&engine, &DIGEST);
        assert!(is_unfit(&found, "is damaged"), "{at}: {found:?}");
        assert!(!path.exists(), "it is gone");
        fs::write(&path, &good).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }
    for length in [0, 8, 40, good.len() - 1] {
        fs::write(&path, &good[..length]).unwrap();
        assert!(
            is_unfit(&code.find(&engine, &DIGEST), "is damaged"),
            "{length}"
        );
    }
}

#[test]
fn an_entry_of_another_folder_or_name_is_never_loaded() {
    let (_dir, engine, code) = kept();
    let (_other_dir, _, other) = kept();
    let (own, foreign) = (entries(&code).remove(0), entries(&other).remove(0));
    assert_eq!(own.file_name(), foreign.file_name());
    fs::copy(&foreign, &own).unwrap();
    assert!(is_unfit(&code.find(&engine, &DIGEST), "not written here"));
    let renamed = own.with_file_name(EntryName::of(&engine, &[8; 32]).as_str());
    code.keep(&component(&engine), &DIGEST).unwrap();
    fs::rename(&own, &renamed).unwrap();
    assert!(is_unfit(&code.find(&engine, &[8; 32]), "not written here"));
    // What wasmtime itself would load, put there by someone who knows the name.
    fs::write(&own, component(&engine).serialize().unwrap()).unwrap();
    assert!(is_unfit(&code.find(&engine, &DIGEST), "not written here"));
}

#[test]
fn an_entry_that_others_may_write_or_that_is_a_link_is_never_loaded() {
    let (_dir, engine, code) = kept();
    let path = entries(&code).remove(0);
    let aside = path.with_extension("aside");
    fs::rename(&path, &aside).unwrap();
    symlink(&aside, &path).unwrap();
    assert!(is_unfit(&code.find(&engine, &DIGEST), "cannot be read"));
    fs::rename(&aside, &path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o620)).unwrap();
    assert!(is_unfit(
        &code.find(&engine, &DIGEST),
        "nobody else may write"
    ));
}

#[test]
fn a_folder_that_others_may_write_to_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let refused = |mode: u32, path: &str| {
        let permissions = fs::Permissions::from_mode(mode);
        fs::set_permissions(dir.path().join(path), permissions).unwrap();
        CompiledCode::open(dir.path(), LIMIT)
            .err()
            .map(|error| error.to_string())
    };
    assert_eq!(refused(0o755, ""), None);
    for mode in [0o770, 0o702, 0o1777] {
        let told = refused(mode, "").unwrap();
        assert!(
            told.contains(&format!("mode {mode:04o}, so that others may write")),
            "{told}"
        );
    }
    assert_eq!(refused(0o700, ""), None);
    let told = refused(0o640, "key").unwrap();
    assert!(told.contains("its key has mode 0640"), "{told}");
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let told = CompiledCode::open(&file, LIMIT).unwrap_err().to_string();
    assert!(told.contains("is not a folder"), "{told}");
}

#[test]
fn a_key_that_is_not_whole_is_made_anew() {
    let (dir, engine, code) = kept();
    fs::write(dir.path().join("a/b/key"), "").unwrap();
    let next = CompiledCode::open(&dir.path().join("a/b"), LIMIT).unwrap();
    assert!(is_unfit(&next.find(&engine, &DIGEST), "not written here"));
    drop(code);
}

#[test]
fn what_is_not_used_for_longest_makes_room() {
    let (_dir, engine, code) = kept();
    let first = entries(&code).remove(0);
    let size = fs::metadata(&first).unwrap().len();
    let small = CompiledCode {
        entries: Entries::new(&code.entries.dir, 3 * size),
        key: seal::key_of(&code.entries.dir).unwrap(),
    };
    let age = |digest: u8, seconds: u64| {
        let path = small
            .entries
            .dir
            .join(EntryName::of(&engine, &[digest; 32]).as_str());
        let file = fs::File::options().write(true).open(path).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(seconds))
            .unwrap();
    };
    age(7, 300);
    for digest in [1, 2] {
        small.keep(&component(&engine), &[digest; 32]).unwrap();
        age(digest, 200 - u64::from(digest));
    }
    assert!(
        matches!(small.find(&engine, &DIGEST), Found::Code(_)),
        "now it is the newest"
    );
    small.keep(&component(&engine), &[3; 32]).unwrap();
    assert!(matches!(small.find(&engine, &[1; 32]), Found::Nothing));
    for digest in [7, 2, 3] {
        assert!(
            matches!(small.find(&engine, &[digest; 32]), Found::Code(_)),
            "{digest}"
        );
    }
    let none = CompiledCode {
        entries: Entries::new(&code.entries.dir, size - 1),
        key: seal::key_of(&code.entries.dir).unwrap(),
    };
    assert!(none.keep(&component(&engine), &DIGEST).is_err());
}
