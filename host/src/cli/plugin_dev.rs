//! `witgate plugin dev`: builds a plugin whenever its sources change, and puts it into a gateway's
//! folder when its cases hold.
//!
//! What is built lies beside the project's other build products first, with the sidecar and the
//! cases that it will have; only a whole file that has passed is renamed into the folder.

use std::{
    collections::BTreeSet,
    fs,
    path::{Component, Path, PathBuf},
    sync::mpsc::{self, Receiver, RecvTimeoutError, Sender},
    thread,
    time::{Duration, Instant},
};

use clap::Args;
use notify::{Event, EventKind, RecursiveMode, Watcher as _};

use super::{describe, plugin_build, plugin_test, say};

/// So long nothing has to change before a build begins; editors write several files.
const QUIET: Duration = Duration::from_millis(200);
/// After so long it begins even so.
const PATIENCE: Duration = Duration::from_secs(2);
/// Where a plugin stands in the chain when the folder does not have it yet.
const PLACE: &str = "50";
/// Folders whose changes are not a person's.
const MADE: [&str; 5] = ["target", "node_modules", "venv", "__pycache__", "build"];

/// A project and a folder.
#[derive(Debug, Args)]
pub(super) struct Developed {
    /// The project's folder
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// The plugin folder of a running gateway
    #[arg(long, value_name = "FOLDER")]
    into: PathBuf,
    /// Build and try once, and end
    #[arg(long)]
    once: bool,
}

/// What comes from outside.
enum Wish {
    /// Something has changed.
    Changed,
    /// Ctrl-C or SIGTERM.
    End,
}

/// Builds, tries and copies until Ctrl-C.
///
/// # Errors
/// The folders cannot be used; with `once`, also when nothing was copied.
pub(super) fn run(developed: &Developed) -> Result<(), String> {
    let dir = developed.dir.canonicalize().map_err(|error| {
        format!(
            "error: cannot find the project {}: {error}",
            developed.dir.display()
        )
    })?;
    if !developed.into.is_dir() {
        return Err(format!(
            "error: {} is no folder: expected the plugin folder of a gateway",
            developed.into.display()
        ));
    }
    let project = Project {
        own_sidecars: sidecars(&developed.into),
        into: developed.into.clone(),
        dir,
    };
    if developed.once {
        return project.round();
    }
    let (wish, wishes) = mpsc::channel();
    end_on_signals(wish.clone())?;
    let _watcher = watch(&project.dir, wish)?;
    say(&format!(
        "watching {}, for {}; Ctrl-C ends it\n",
        project.dir.display(),
        project.into.display()
    ));
    loop {
        if let Err(message) = project.round() {
            eprintln!("{message}");
            say("not copied; the folder stays as it is\n");
        }
        if !is_changed(&wishes) {
            say("ended\n");
            return Ok(());
        }
        say("\nsomething has changed\n");
    }
}

/// Waits for a change, and until there are no more for a moment; false at the end.
fn is_changed(wishes: &Receiver<Wish>) -> bool {
    match wishes.recv() {
        Ok(Wish::Changed) => {}
        Ok(Wish::End) | Err(_) => return false,
    }
    let since = Instant::now();
    while since.elapsed() < PATIENCE {
        match wishes.recv_timeout(QUIET) {
            Ok(Wish::Changed) => {}
            Ok(Wish::End) | Err(RecvTimeoutError::Disconnected) => return false,
            Err(RecvTimeoutError::Timeout) => break,
        }
    }
    true
}

/// Sends an end on SIGINT and SIGTERM.
fn end_on_signals(wish: Sender<Wish>) -> Result<(), String> {
    use tokio::signal::unix::{SignalKind, signal};
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("error: the system refuses a runtime: {error}"))?;
    let both = {
        let _in_it = runtime.enter();
        signal(SignalKind::interrupt()).and_then(|one| Ok((one, signal(SignalKind::terminate())?)))
    };
    let (mut interrupt, mut terminate) =
        both.map_err(|error| format!("error: the system refuses to tell of signals: {error}"))?;
    thread::spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        });
        let _ = wish.send(Wish::End);
    });
    Ok(())
}

fn watch(dir: &Path, wish: Sender<Wish>) -> Result<notify::RecommendedWatcher, String> {
    let root = dir.to_owned();
    let told = move |event: notify::Result<Event>| {
        let Ok(event) = event else { return };
        let is_access = matches!(event.kind, EventKind::Access(_));
        if !is_access && event.paths.iter().any(|path| is_source(&root, path)) {
            let _ = wish.send(Wish::Changed);
        }
    };
    let failed =
        |error: notify::Error| format!("error: {} cannot be watched: {error}", dir.display());
    let mut watcher = notify::recommended_watcher(told).map_err(failed)?;
    watcher
        .watch(dir, RecursiveMode::Recursive)
        .map_err(failed)?;
    Ok(watcher)
}

/// Whether a file is one that a person changes: not hidden, not built.
fn is_source(root: &Path, path: &Path) -> bool {
    let within = path.strip_prefix(root).unwrap_or(path);
    let is_own = |part: Component<'_>| {
        let name = part.as_os_str().to_string_lossy();
        !name.starts_with('.') && !name.ends_with('~') && !MADE.contains(&name.as_ref())
    };
    let made = ["wasm", "lock", "swp", "tmp"];
    let extension = path.extension().and_then(|one| one.to_str());
    within.components().all(is_own) && !extension.is_some_and(|one| made.contains(&one))
}

/// What is built, and where to.
struct Project {
    dir: PathBuf,
    into: PathBuf,
    /// Those that the folder had before: they are the operator's, and stay.
    own_sidecars: BTreeSet<String>,
}

impl Project {
    /// Builds, tries, and copies what has passed.
    fn round(&self) -> Result<(), String> {
        let since = Instant::now();
        let staging = self.dir.join("target/witgate-dev");
        let made = staging.join("made");
        clear(&staging)?;
        // A folder with / at its end takes one file per plugin.
        plugin_build::run(&self.dir, &made.join(""), &[]).map_err(|error| describe(&error))?;
        let mut staged = Vec::new();
        for file in wasm_files(&made)? {
            staged.push(self.stage(&file, &staging)?);
        }
        for place in &staged {
            self.put(place, &staging)?;
            say(&format!(
                "copied to {} after {:.1} s\n",
                self.into.join(format!("{place}.wasm")).display(),
                since.elapsed().as_secs_f64()
            ));
        }
        Ok(())
    }

    /// Puts a built file together with what belongs to it, and tries it; returns its name in the
    /// folder, without extension.
    fn stage(&self, file: &Path, staging: &Path) -> Result<String, String> {
        let name = file.file_stem().unwrap_or_default().to_string_lossy();
        let place = placed(&self.into, &name);
        let target = staging.join(format!("{place}.wasm"));
        copy(file, &target)?;
        let theirs = self.into.join(format!("{place}.toml"));
        let ours = self.dir.join(format!("{name}.toml"));
        let sidecar = match self.own_sidecars.contains(&place) {
            true => theirs,
            false => ours,
        };
        let cases = self.dir.join(format!("{name}.cases.toml"));
        let theirs = self.into.join(format!("{place}.cases.toml"));
        let cases = if cases.is_file() { cases } else { theirs };
        for (from, kind) in [(sidecar, "toml"), (cases, "cases.toml")] {
            if from.is_file() {
                copy(&from, &staging.join(format!("{place}.{kind}")))?;
            }
        }
        plugin_test::accepts(&target)?;
        Ok(place)
    }

    /// Copies what is not there yet, the plugin itself last.
    fn put(&self, place: &str, staging: &Path) -> Result<(), String> {
        for kind in ["toml", "cases.toml", "wasm"] {
            let file = format!("{place}.{kind}");
            let (from, to) = (staging.join(&file), self.into.join(&file));
            if from.is_file() && fs::read(&from).ok() != fs::read(&to).ok() {
                drop_into(&from, &to)?;
            }
        }
        Ok(())
    }
}

/// The names of the sidecars of a folder, without extension.
fn sidecars(into: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(into).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        Some(name.strip_suffix(".toml")?.to_owned())
    });
    names.filter(|name| !name.ends_with(".cases")).collect()
}

fn clear(staging: &Path) -> Result<(), String> {
    let cleared = match staging.exists() {
        true => fs::remove_dir_all(staging),
        false => Ok(()),
    };
    cleared
        .and_then(|()| fs::create_dir_all(staging.join("made")))
        .map_err(|error| format!("error: cannot use {}: {error}", staging.display()))
}

fn wasm_files(dir: &Path) -> Result<Vec<PathBuf>, String> {
    let read = fs::read_dir(dir)
        .map_err(|error| format!("error: cannot read {}: {error}", dir.display()))?;
    let mut files: Vec<_> = read.flatten().map(|entry| entry.path()).collect();
    files.retain(|file| file.extension().is_some_and(|one| one == "wasm"));
    files.sort();
    Ok(files)
}

/// `20-name` when the folder has such a file, else a place of its own.
fn placed(into: &Path, name: &str) -> String {
    let entries = fs::read_dir(into).into_iter().flatten().flatten();
    let mut places = entries.filter_map(|entry| {
        let file = entry.path();
        let is_plugin = file
            .extension()
            .is_some_and(|one| one == "wasm" || one == "toml");
        let stem = file.file_stem()?.to_str()?;
        let stem = stem.strip_suffix(".cases").unwrap_or(stem);
        let (number, own) = stem.split_once('-')?;
        let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        (is_plugin && is_number && own == name).then(|| stem.to_owned())
    });
    places.next().unwrap_or_else(|| format!("{PLACE}-{name}"))
}

fn copy(from: &Path, to: &Path) -> Result<(), String> {
    let copied = fs::copy(from, to).map(drop);
    copied.map_err(|error| {
        format!(
            "error: cannot copy {} to {}: {error}",
            from.display(),
            to.display()
        )
    })
}

/// Writes beside and renames: the gateway never sees half a file.
fn drop_into(from: &Path, to: &Path) -> Result<(), String> {
    let failed = |error| format!("error: cannot write {}: {error}", to.display());
    let bytes = fs::read(from).map_err(failed)?;
    plugin_build::replace(to, &bytes).map_err(failed)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
mod tests {
    use super::*;

    #[test]
    fn what_is_built_or_hidden_is_no_source() {
        let root = Path::new("/p");
        for (path, expected) in [
            ("/p/src/lib.rs", true),
            ("/p/beta.cases.toml", true),
            ("/p/plugin.py", true),
            ("/p/target/debug/x", false),
            ("/p/node_modules/x/index.js", false),
            ("/p/.git/index", false),
            ("/p/src/.lib.rs.swp", false),
            ("/p/beta.wasm", false),
            ("/p/Cargo.lock", false),
        ] {
            assert_eq!(is_source(root, Path::new(path)), expected, "{path}");
        }
    }

    #[test]
    fn a_plugin_keeps_its_place_in_the_folder() {
        let into = tempfile::tempdir().unwrap();
        assert_eq!(placed(into.path(), "beta"), "50-beta");
        fs::write(into.path().join("07-beta.wasm"), "").unwrap();
        fs::write(into.path().join("08-other.wasm"), "").unwrap();
        assert_eq!(placed(into.path(), "beta"), "07-beta");
    }

    #[test]
    fn many_changes_are_one_and_an_end_counts_at_once() {
        let (wish, wishes) = mpsc::channel();
        for _ in 0..100 {
            wish.send(Wish::Changed).unwrap();
        }
        assert!(is_changed(&wishes));
        wish.send(Wish::Changed).unwrap();
        wish.send(Wish::End).unwrap();
        assert!(!is_changed(&wishes));
        let endless = wish.clone();
        thread::spawn(move || while endless.send(Wish::Changed).is_ok() {});
        let since = Instant::now();
        assert!(is_changed(&wishes));
        assert!(since.elapsed() < PATIENCE * 2);
    }
}
