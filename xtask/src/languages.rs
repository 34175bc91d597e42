//! Builds the plugins in C, JavaScript and Python, examples and tests' ones, into
//! `target/other-languages/`, by the commands of the examples' READMEs. Those with an interpreter
//! take some ten seconds each, and none of them is built again while what it is made of stays the same.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result};

use crate::{command, project::Project, step::step};

/// The examples, whose tools and worlds the tests' plugins share.
pub(crate) const JAVASCRIPT: &str = "examples/plugin-javascript";
pub(crate) const PYTHON: &str = "examples/plugin-python";

const SOURCES: [(&str, &str); 4] = [
    ("examples/plugin-javascript/plugin.js", "javascript"),
    ("examples/plugin-python/plugin.py", "python"),
    (
        "tests/guests/other-languages/misbehaves.js",
        "javascript-misbehaves",
    ),
    (
        "tests/guests/other-languages/misbehaves.py",
        "python-misbehaves",
    ),
];
/// Projects for `witgate plugin build`.
const C: [(&str, &str); 2] = [
    ("examples/plugin-c", "c"),
    ("tests/guests/other-languages/c-misbehaves", "c-misbehaves"),
];
const WORLD: &str = "api-router";
const LIMIT: Duration = Duration::from_secs(300);

/// Where npm's packages are.
pub(crate) fn javascript_tools(project: &Project) -> PathBuf {
    project.target().join("componentize-js")
}

/// The virtual environment with PyPI's.
pub(crate) fn python_tools(project: &Project) -> PathBuf {
    project.target().join("componentize-py")
}

/// Builds those in C, and of the others those whose ingredients have changed.
pub(crate) fn build(project: &Project) -> Result<()> {
    step("Build the plugins in C, JavaScript and Python", || {
        let dir = project.target().join("other-languages");
        fs::create_dir_all(&dir)?;
        for (source, name) in C {
            let mut build = project.program(project.binary("witgate"));
            build.args(["plugin", "build", source, "-o"]);
            command::run(build.arg(dir.join(name).with_extension("wasm")))?;
        }
        SOURCES
            .iter()
            .try_for_each(|(source, name)| component(project, source, &dir.join(name)))
    })
}

/// Makes `NAME.wasm`; then `NAME.ingredients`, a copy of all that it was made of.
fn component(project: &Project, source: &str, to: &Path) -> Result<()> {
    let (wasm, stamp) = (to.with_extension("wasm"), to.with_extension("ingredients"));
    let javascript = source.ends_with(".js");
    let made_of = ingredients(project, source, javascript)?;
    if wasm.is_file() && fs::read(&stamp).is_ok_and(|made| made == made_of) {
        return Ok(());
    }
    eprintln!("    {source}");
    let mut tool = if javascript {
        componentize_js(project, source, &wasm)
    } else {
        componentize_py(project, source, &wasm)
    };
    command::run_quietly(&mut tool, LIMIT)?;
    fs::write(stamp, made_of)?;
    Ok(())
}

fn ingredients(project: &Project, source: &str, javascript: bool) -> Result<Vec<u8>> {
    let (example, versions) = if javascript {
        (JAVASCRIPT, "package-lock.json")
    } else {
        (PYTHON, "requirements.txt")
    };
    let example = project.root().join(example);
    let mut interface = fs::read_dir(example.join("wit/deps/witgate"))?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<_>>>()?;
    interface.sort();
    let mut files = vec![
        project.root().join(source),
        example.join("wit/world.wit"),
        example.join(versions),
    ];
    files.append(&mut interface);
    let read = |file: &PathBuf| fs::read(file).with_context(|| file.display().to_string());
    Ok(files.iter().map(read).collect::<Result<Vec<_>>>()?.concat())
}

/// Everything of WASI is left out but what brings an exception's text to the log.
fn componentize_js(project: &Project, source: &str, wasm: &Path) -> Command {
    let cli = "node_modules/@bytecodealliance/componentize-js/src/cli.js";
    let mut node = project.program("node");
    node.arg(javascript_tools(project).join(cli))
        .arg(source)
        .args(["--wit", &format!("{JAVASCRIPT}/wit")])
        .args(["--world-name", WORLD])
        .args(["--disable", "random", "clocks", "http", "fetch-event"])
        .arg("--out")
        .arg(wasm);
    node
}

fn componentize_py(project: &Project, source: &str, wasm: &Path) -> Command {
    let source = Path::new(source);
    let mut python = project.program(python_tools(project).join("bin/componentize-py"));
    python
        .args(["--wit-path", &format!("{PYTHON}/wit"), "--world", WORLD])
        .arg("componentize")
        .arg("--python-path")
        .arg(source.parent().unwrap_or(source))
        .arg(source.file_stem().unwrap_or_default())
        .arg("--output")
        .arg(wasm);
    python
}
