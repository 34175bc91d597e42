//! The commands of a README, run as they are written.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Output, Stdio},
    time::Duration,
};

use tokio::process::Command;

use crate::gateway::binary;

/// How long all commands of a page may take; plugins are built in some.
const DEADLINE: Duration = Duration::from_secs(400);

/// A fenced block: what stands behind the fence, and its lines.
struct Block {
    info: String,
    text: String,
}

fn all_blocks(page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let Some(info) = line.trim_start().strip_prefix("```") else {
            continue;
        };
        let body: Vec<_> = lines
            .by_ref()
            .take_while(|line| line.trim_start() != "```")
            .collect();
        blocks.push(Block {
            info: info.to_owned(),
            text: body.join("\n"),
        });
    }
    blocks
}

/// The blocks of a page that are fenced with this word: `sh`, `toml`.
pub fn blocks(page: &str, kind: &str) -> Vec<String> {
    let blocks = all_blocks(page).into_iter();
    let found = blocks.filter(|block| block.info == kind);
    found.map(|block| block.text).collect()
}

/// Does what a page says, in a folder: writes the blocks whose fence names a file (`toml
/// plugins/a.toml`) and runs those of `sh`, in order. What they have started ends with them.
pub async fn follow(page: &str, dir: &Path, variables: &[(&str, &Path)]) -> Output {
    let mut script = String::new();
    for block in all_blocks(page) {
        match block.info.split_once(' ') {
            Some((_, file)) => {
                let text = block.text;
                script.push_str(&format!(
                    "cat > '{file}' <<'END OF FILE'\n{text}\nEND OF FILE\n"
                ));
            }
            None if block.info == "sh" => script.push_str(&format!("{}\n", block.text)),
            None => {}
        }
    }
    run_script(&script, dir, variables).await
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
    run_script(&script, dir, variables).await
}

async fn run_script(script: &str, dir: &Path, variables: &[(&str, &Path)]) -> Output {
    let bin = binary();
    let path = env::var_os("PATH").unwrap_or_default();
    let paths = bin.parent().map(Path::to_owned).into_iter();
    let paths = env::join_paths(paths.chain(env::split_paths(&path))).unwrap();
    // In a group of its own, which ends as a whole.
    let ending = format!("trap 'code=$?; trap \"\" TERM; kill 0; exit $code' EXIT\n{script}");
    let mut shell = Command::new("sh");
    shell
        .args(["-eux", "-c", &ending])
        .current_dir(dir)
        .env("PATH", paths)
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    let child = shell.spawn().unwrap();
    let group = format!("-{}", child.id().unwrap());
    let ended = tokio::time::timeout(DEADLINE, child.wait_with_output()).await;
    if ended.is_err() {
        let mut kill = Command::new("kill");
        let _ = kill.args(["-KILL", "--", &group]).status().await;
    }
    ended.expect("the commands end in time").unwrap()
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
