//! Projects in C: wit-bindgen makes C of the world `plugin` in the project's `wit/`, and clang
//! compiles that and all `.c` files of the folder.

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::Stdio,
};

use wit_bindgen_core::{Files, wit_parser::Resolve};

use super::{BuildError, Module, WORLD, failed, not_started, single};
use crate::cli::clang;

/// Where what the author includes is, below the project's folder; clangd is told so, too.
const BINDINGS: &str = "target/witgate-build/bindings";

/// Whether the folder has a plugin in C.
pub(super) fn is_project(dir: &Path) -> bool {
    dir.join("plugin.c").is_file() && !dir.join("Cargo.toml").is_file()
}

/// Makes the core module; `args` are for clang, behind all others.
pub(super) fn compile(dir: &Path, args: &[String]) -> Result<Module, BuildError> {
    let (dir, module) = single(dir)?;
    let clang = clang::find().map_err(|why| BuildError::NoClang {
        why,
        mend: clang::mend(),
    })?;
    let bindings = dir.join(BINDINGS);
    let generated = generate(&dir.join("wit"), &bindings)?;
    let sources = sources(&dir)?;
    let generated: Vec<_> = generated
        .iter()
        .filter(|name| !name.ends_with(".h"))
        .collect();
    let files = sources.len() + generated.iter().filter(|name| name.ends_with(".c")).count();
    let _ = writeln!(
        io::stderr(),
        "{}: compiling {files} files of {}",
        clang.display(),
        dir.display()
    );
    let mut command = clang::command(&clang);
    command
        .current_dir(&dir)
        .args(["-O2", "-Wall", "-Wextra", "-isystem", BINDINGS])
        .args(sources)
        .args(generated)
        .arg("-o")
        .arg(&module.path);
    // What it says is for people, warnings too, and is shown as it says it; the summary is all that
    // goes to stdout.
    let status = command
        .args(args)
        .stdout(Stdio::from(io::stderr()))
        .status()
        .map_err(not_started(&command))?;
    match status.success() {
        true => Ok(module),
        false => Err(BuildError::Clang(status)),
    }
}

/// The names of the folder's own sources, in order: messages and `assert` show them as they are
/// here. `./` is put before those that clang would take for an option or a file of options.
fn sources(dir: &Path) -> Result<Vec<PathBuf>, BuildError> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir).map_err(failed("read", dir))? {
        let name = PathBuf::from(entry.map_err(failed("read", dir))?.file_name());
        if name.extension().is_some_and(|one| one == "c") {
            names.push(match name.as_os_str().as_encoded_bytes() {
                [b'-' | b'@', ..] => Path::new(".").join(name),
                _ => name,
            });
        }
    }
    names.sort();
    Ok(names)
}

/// Writes the bindings of the world in `wit` into a folder; returns their paths below the
/// project's: `plugin.h`, `plugin.c` and an object that has the world's type.
fn generate(wit: &Path, into: &Path) -> Result<Vec<String>, BuildError> {
    let files = bindings(wit).map_err(|message| BuildError::Interface {
        wit: wit.to_owned(),
        message,
    })?;
    fs::create_dir_all(into).map_err(failed("write", into))?;
    let mut names = Vec::new();
    for (name, bytes) in files.iter() {
        let path = into.join(name);
        fs::write(&path, bytes).map_err(failed("write", &path))?;
        names.push(format!("{BINDINGS}/{name}"));
    }
    Ok(names)
}

/// # Errors
/// What is wrong, in the parser's words.
fn bindings(wit: &Path) -> Result<Files, String> {
    let words = |error| format!("{error:#}");
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(wit).map_err(words)?;
    let world = resolve
        .select_world(&[package], Some(WORLD))
        .map_err(words)?;
    let mut files = Files::default();
    wit_bindgen_c::Opts::default()
        .build()
        .generate(&mut resolve, world, &mut files)
        .map_err(words)?;
    Ok(files)
}
