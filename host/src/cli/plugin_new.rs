//! `witgate plugin new`: writes a plugin project that builds, and whose cases hold.
//!
//! What the projects do and what they are written in is in `files`, their texts in `template/`.

mod files;

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use thiserror::Error;

pub(super) use files::{INTERFACE, Language, Template};

/// The SDK beside the sources that this program was built from.
const SDK_OF_THE_SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../plugin-sdk");

/// Longest name, bytes: as much as crates.io takes.
const MAX_NAME: usize = 64;

/// Names that cargo refuses for a library, or that clash with what each plugin links to.
const TAKEN: &str = "abstract alloc as async await become box break const continue core crate do dyn else \
    enum extern false final fn for gen if impl in let loop macro match mod move mut \
    override priv pub ref return self static std struct super test trait true type \
    unsafe use while witgate-sdk";

/// Why no project was made.
#[derive(Debug, Error)]
pub(crate) enum NewError {
    /// Not a name that cargo takes for a package.
    #[error(
        "{name:?} cannot be a plugin's name: {why}; take lower-case letters, digits, `-` and `_`, \
         a letter first"
    )]
    Name {
        /// What was asked for.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Something is there already.
    #[error("{0} is there already and not an empty folder")]
    Taken(PathBuf),
    /// The folder named by `--sdk` has no SDK.
    #[error("{0} is not the folder of witgate-sdk: it has no Cargo.toml")]
    Sdk(PathBuf),
    /// A file cannot be written.
    #[error("cannot write {path}")]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Makes the project `parent/NAME`, says what to do next, and returns its folder.
///
/// It takes the SDK from the folder `sdk`; without one from beside the sources that this
/// program was built from, and when those are gone from the registry.
///
/// # Errors
/// See [`NewError`]; files written before a failed one stay.
pub(super) fn run(
    name: &str,
    parent: &Path,
    (template, language): (Template, Language),
    sdk: Option<&Path>,
) -> Result<PathBuf, NewError> {
    check_name(name)?;
    let dir = parent.join(name);
    if !is_free(&dir) {
        return Err(NewError::Taken(dir));
    }
    let dependency = dependency(sdk)?;
    for (file, text) in files::files(template, language) {
        let fill = |text: &str| {
            text.replace("{{name}}", name)
                .replace("{{what}}", template.words())
                .replace("{{sdk}}", &dependency)
        };
        write(&dir.join(fill(file)), &fill(text))?;
    }
    // Not println!, which panics when nobody reads: the project is made all the same.
    let _ = writeln!(
        io::stdout(),
        "made {0}: {1}, then `witgate plugin build {0} -o {0}/{name}.wasm` and `witgate plugin test {0}/{name}.wasm`",
        dir.strip_prefix(".").unwrap_or(&dir).display(),
        match language {
            Language::Rust => "try `cargo test` in it",
            Language::JavaScript => "run `npm install` in it",
            Language::Python => "make `venv` in it as its README says",
            Language::C => "see what its README needs",
        }
    );
    Ok(dir)
}

fn check_name(name: &str) -> Result<(), NewError> {
    let is_legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c);
    let why = if name.is_empty() {
        "it is empty"
    } else if name.len() > MAX_NAME {
        "it has more than 64 characters"
    } else if !name.starts_with(|c: char| c.is_ascii_lowercase()) {
        "it does not start with a lower-case letter"
    } else if !name.chars().all(is_legal) {
        "it has a character that cargo does not take"
    } else if TAKEN.split(' ').any(|taken| taken == name) {
        "it has a meaning in Rust"
    } else {
        return Ok(());
    };
    Err(NewError::Name {
        name: name.to_owned(),
        why,
    })
}

/// Whether nothing is lost when the project is written there.
fn is_free(dir: &Path) -> bool {
    match fs::read_dir(dir) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

/// The value of the line `witgate-sdk = …`.
fn dependency(sdk: Option<&Path>) -> Result<String, NewError> {
    let is_sdk = |path: &Path| path.join("Cargo.toml").is_file();
    let beside = Path::new(SDK_OF_THE_SOURCES);
    let path = match sdk {
        Some(path) if is_sdk(path) => path,
        Some(path) => return Err(NewError::Sdk(path.to_owned())),
        None if is_sdk(beside) => beside,
        None => return Ok(format!("\"{}\"", env!("CARGO_PKG_VERSION"))),
    };
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let path = toml::Value::from(path.to_string_lossy().into_owned());
    Ok(format!("{{ path = {path} }}"))
}

fn write(path: &Path, text: &str) -> Result<(), NewError> {
    let made = path.parent().map_or(Ok(()), fs::create_dir_all);
    made.and_then(|()| fs::write(path, text))
        .map_err(|source| NewError::Write {
            path: path.to_owned(),
            source,
        })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
mod tests {
    use clap::ValueEnum as _;

    use super::*;

    fn sdk(parent: &Path) -> PathBuf {
        let sdk = parent.join("the \"sdk\"");
        fs::create_dir(&sdk).unwrap();
        fs::write(sdk.join("Cargo.toml"), "").unwrap();
        sdk
    }

    const ROUTER: (Template, Language) = (Template::Router, Language::Rust);

    #[test]
    fn a_project_has_its_files_and_no_placeholder() {
        let parent = tempfile::tempdir().unwrap();
        let sdk = sdk(parent.path());
        for (language, own) in [
            (Language::Rust, &["Cargo.toml", "src/lib.rs"][..]),
            (
                Language::JavaScript,
                &["package.json", "plugin.js", "wit/deps/witgate/types.wit"],
            ),
            (
                Language::Python,
                &["requirements.txt", "plugin.py", "wit/world.wit"],
            ),
            (
                Language::C,
                &["plugin.c", "json.c", "json.h", "wit/world.wit"],
            ),
        ] {
            for template in Template::value_variants() {
                let name = format!("{template:?}-{language:?}").to_lowercase();
                let dir = run(&name, parent.path(), (*template, language), Some(&sdk)).unwrap();
                let sidecars = [format!("{name}.toml"), format!("{name}.cases.toml")];
                let shared = ["README.md", ".gitignore", &sidecars[0], &sidecars[1]];
                for file in shared.iter().chain(own) {
                    let text = fs::read_to_string(dir.join(file)).unwrap();
                    assert!(!text.contains("{{"), "{file}: {text}");
                }
            }
        }
        let text = fs::read_to_string(parent.path().join("router-rust/Cargo.toml")).unwrap();
        let manifest: toml::Table = toml::from_str(&text).unwrap();
        let path = manifest["dependencies"]["witgate-sdk"]["path"]
            .as_str()
            .unwrap();
        assert!(path.ends_with("/the \"sdk\""), "{path}");
    }

    #[test]
    fn a_name_is_one_that_cargo_takes() {
        check_name("shop-router_2").unwrap();
        let long = "a".repeat(65);
        for name in [
            "", "2fast", "-a", "_a", "Shop", "a b", "ä", "../x", "fn", "std", &long,
        ] {
            let error = check_name(name).unwrap_err().to_string();
            assert!(error.contains("cannot be a plugin's name"), "{error}");
        }
    }

    #[test]
    fn a_folder_with_something_in_it_is_left_alone() {
        let parent = tempfile::tempdir().unwrap();
        let sdk = sdk(parent.path());
        fs::create_dir(parent.path().join("empty")).unwrap();
        run("empty", parent.path(), ROUTER, Some(&sdk)).unwrap();
        let error = run("empty", parent.path(), ROUTER, Some(&sdk)).unwrap_err();
        assert!(matches!(error, NewError::Taken(_)), "{error}");
        fs::write(parent.path().join("file"), "").unwrap();
        let error = run("file", parent.path(), ROUTER, Some(&sdk)).unwrap_err();
        assert!(matches!(error, NewError::Taken(_)), "{error}");
    }

    #[test]
    fn an_sdk_is_a_folder_with_a_manifest() {
        let parent = tempfile::tempdir().unwrap();
        let error = run("x", parent.path(), ROUTER, Some(parent.path())).unwrap_err();
        assert!(matches!(error, NewError::Sdk(_)), "{error}");
    }
}
