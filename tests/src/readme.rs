//! The commands of a README, run as they are written.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Output, Stdio},
    time::Duration,
};

use tokio::process::Command;

use crate::gateway::binary;

/// How long all commands of a page may take.
const DEADLINE: Duration = Duration::from_secs(120);

/// The blocks of a page that are fenced with this word: `sh`, `toml`.
pub fn blocks(page: &str, kind: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let Some(found) = line.trim_start().strip_prefix("```") else {
            continue;
        };
        let body: Vec<_> = lines
            .by_ref()
            .take_while(|line| line.trim_start() != "```")
            .collect();
        if found == kind {
            blocks.push(body.join("\n"));
        }
    }
    blocks
}

/// Copies a folder of the repository, such as `examples/azure-migration`, into another.
pub fn copy(folder: &str, to: &Path) -> PathBuf {
    let from = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .join(folder);
    let to = to.join(from.file_name().unwrap());
    copy_all(&from, &to);
    to
}

fn copy_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.path().is_dir() {
            true => copy_all(&entry.path(), &target),
            false => drop(fs::copy(entry.path(), target).unwrap()),
        }
    }
}

/// Runs the `sh` blocks of a page as one script in a folder; `witgate` is this build's.
pub async fn run(page: &str, dir: &Path, variables: &[(&str, &Path)]) -> Output {
    let script = blocks(page, "sh").join("\n");
    assert!(!script.is_empty(), "a page without commands");
    let bin = binary();
    let path = env::var_os("PATH").unwrap_or_default();
    let paths = bin.parent().map(Path::to_owned).into_iter();
    let paths = env::join_paths(paths.chain(env::split_paths(&path))).unwrap();
    let mut shell = Command::new("sh");
    shell
        .args(["-eux", "-c", &script])
        .current_dir(dir)
        .env("PATH", paths)
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .kill_on_drop(true);
    tokio::time::timeout(DEADLINE, shell.output())
        .await
        .expect("the commands end in time")
        .unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_found_by_their_word() {
        let page =
            "a\n```sh\none\ntwo\n```\n```toml\nx = 1\n```\n- list\n  ```sh\n  three\n  ```\n";
        assert_eq!(blocks(page, "sh"), ["one\ntwo", "  three"]);
        assert_eq!(blocks(page, "toml"), ["x = 1"]);
    }
}
