//! Where components go, and how they get there whole.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process,
};

use super::{BuildError, Module};

/// The file for each module, in order.
pub(super) fn place(out: &Path, modules: &[Module]) -> Result<Vec<PathBuf>, BuildError> {
    if is_folder(out) {
        let file = |module: &Module| out.join(format!("{}.wasm", module.name));
        return Ok(modules.iter().map(file).collect());
    }
    if modules.len() > 1 {
        return Err(BuildError::OneFileForMany {
            out: out.to_owned(),
            modules: modules.iter().map(|module| module.name.clone()).collect(),
        });
    }
    Ok(vec![out.to_owned(); modules.len()])
}

fn is_folder(out: &Path) -> bool {
    let ends_with_separator = out
        .as_os_str()
        .to_string_lossy()
        .ends_with(std::path::is_separator);
    ends_with_separator || out.is_dir()
}

/// Writes `file` under another name beside it, then renames; makes its folder if needed.
pub(in crate::cli) fn replace(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = file.parent().filter(|path| !path.as_os_str().is_empty());
    if let Some(folder) = folder {
        fs::create_dir_all(folder)?;
    }
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let temporary = file.with_file_name(format!(".{name}.{}.tmp", process::id()));
    let written = fs::write(&temporary, bytes).and_then(|()| fs::rename(&temporary, file));
    if written.is_err() {
        // The error that matters is the first one.
        let _ = fs::remove_file(&temporary);
    }
    written
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
mod tests {
    use super::*;

    fn modules(names: &[&str]) -> Vec<Module> {
        let module = |name: &&str| Module {
            name: (*name).to_owned(),
            path: PathBuf::new(),
        };
        names.iter().map(module).collect()
    }

    #[test]
    fn one_plugin_goes_into_the_named_file() {
        let out = Path::new("some/20-shop.wasm");
        assert_eq!(place(out, &modules(&["shop"])).unwrap(), [out]);
    }

    #[test]
    fn a_folder_gets_a_file_for_each_plugin() {
        let files = place(Path::new("some/"), &modules(&["a-b", "c"])).unwrap();
        assert_eq!(
            files,
            [Path::new("some/a-b.wasm"), Path::new("some/c.wasm")]
        );
    }

    #[test]
    fn several_plugins_do_not_fit_one_file() {
        let error = place(Path::new("x.wasm"), &modules(&["a", "b"])).unwrap_err();
        assert!(error.to_string().contains("makes a, b"), "{error}");
    }

    #[test]
    fn a_file_is_replaced_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("new/x.wasm");
        replace(&file, b"one").unwrap();
        replace(&file, b"two").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"two");
        let entries = fs::read_dir(folder.path().join("new")).unwrap().count();
        assert_eq!(entries, 1);
    }

    #[test]
    fn a_failed_write_leaves_no_temporary_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("taken.wasm");
        fs::create_dir(&file).unwrap();
        replace(&file, b"x").unwrap_err();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
