//! Projects in JavaScript and Python: a component is made of `plugin.js` or `plugin.py` by
//! componentize-js or componentize-py, with the world `plugin` of the project's `wit/`.

use std::{
    env,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::{BuildError, Module, WORLD, not_started, single};

/// Where componentize-js is in a project; `npm install` puts it there.
const COMPONENTIZE_JS: &str = "node_modules/@bytecodealliance/componentize-js/src/cli.js";
/// Where componentize-py is in a project, in the virtual environment.
const COMPONENTIZE_PY: &str = "venv/bin/componentize-py";

/// A language whose plugins have an interpreter in them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Script {
    JavaScript,
    Python,
}

impl Script {
    /// The language of the project in `dir`; none when it is cargo's, or nobody's.
    pub(super) fn of(dir: &Path) -> Option<Self> {
        let has = |name: &str| dir.join(name).is_file();
        match () {
            () if has("Cargo.toml") => None,
            () if has("plugin.js") => Some(Self::JavaScript),
            () if has("plugin.py") => Some(Self::Python),
            () => None,
        }
    }

    /// Makes the component; there have to be no `args`.
    pub(super) fn compile(self, dir: &Path, args: &[String]) -> Result<Module, BuildError> {
        if !args.is_empty() {
            return Err(BuildError::Options {
                tool: self.tool(),
                args: args.to_vec(),
            });
        }
        let (dir, module) = single(dir)?;
        let mut tool = match self {
            Self::JavaScript => javascript(&dir, &module.path),
            Self::Python => python(&dir, &module.path),
        }
        .ok_or_else(|| self.lacking(&dir))?;
        let _ = writeln!(
            io::stderr(),
            "{}: making a component of {}",
            self.tool(),
            dir.display()
        );
        // What the tool says is for people; the summary is all that goes to stdout.
        let status = tool
            .current_dir(&dir)
            .stdin(Stdio::null())
            .stdout(Stdio::from(io::stderr()))
            .status()
            .map_err(not_started(&tool))?;
        match status.success() {
            true => Ok(module),
            false => Err(BuildError::Tool(self.tool(), status)),
        }
    }

    fn tool(self) -> &'static str {
        match self {
            Self::JavaScript => "componentize-js",
            Self::Python => "componentize-py",
        }
    }

    fn lacking(self, dir: &Path) -> BuildError {
        let shown = dir.display();
        let (mend, language) = match self {
            Self::JavaScript => (format!("npm install --prefix {shown}"), "js"),
            Self::Python => (
                format!(
                    "python3 -m venv {shown}/venv && {shown}/venv/bin/pip install -r {shown}/requirements.txt"
                ),
                "python",
            ),
        };
        BuildError::Lacking {
            tool: self.tool(),
            place: shown.to_string(),
            mend,
            language,
        }
    }
}

/// Everything of WASI is left out but what brings an exception's text to the log.
fn javascript(dir: &Path, out: &Path) -> Option<Command> {
    let own = dir.join(COMPONENTIZE_JS);
    let mut tool = match own.is_file() {
        true => {
            let mut node = Command::new(in_path("node")?);
            node.arg(own);
            node
        }
        false => Command::new(in_path("componentize-js")?),
    };
    tool.args(["plugin.js", "--wit", "wit", "--world-name", WORLD])
        .args(["--disable", "random", "clocks", "http", "fetch-event"])
        .arg("--out")
        .arg(out);
    Some(tool)
}

fn python(dir: &Path, out: &Path) -> Option<Command> {
    let own = Some(dir.join(COMPONENTIZE_PY)).filter(|path| path.is_file());
    let mut tool = Command::new(own.or_else(|| in_path("componentize-py"))?);
    tool.args(["--wit-path", "wit", "--world", WORLD])
        .args(["componentize", "plugin", "--output"])
        .arg(out);
    Some(tool)
}

fn in_path(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    let files = env::split_paths(&path).map(|dir| dir.join(program));
    files.into_iter().find(|file| file.is_file())
}
