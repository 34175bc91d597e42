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

/// Runs the `sh` blocks of a page as one script and asserts that each prints what the block `text
/// printed` behind it says, where there is one: line for line, with `…` for anything within a line
/// and a line `…` for any number of lines. Returns all that was printed.
pub async fn run_and_compare(page: &str, dir: &Path, variables: &[(&str, &Path)]) -> String {
    let mut script = String::new();
    let mut expected = Vec::new();
    for block in all_blocks(page) {
        match block.info.as_str() {
            "sh" => {
                script.push_str(&format!("{}\necho '{END}'\n", block.text));
                expected.push(None);
            }
            "text printed" => *expected.last_mut().expect("a block before") = Some(block.text),
            _ => {}
        }
    }
    assert!(
        expected.iter().any(Option::is_some),
        "a page without output"
    );
    let done = run_script(&script, dir, variables).await;
    let [printed, traced] =
        [done.stdout, done.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert!(done.status.success(), "{printed}\n{traced}");
    let blocks: Vec<_> = printed.split(&format!("{END}\n")).collect();
    assert_eq!(blocks.len(), expected.len() + 1, "{printed}\n{traced}");
    for (found, expected) in blocks.iter().zip(&expected) {
        if let Some(expected) = expected {
            assert!(
                fits(expected, found),
                "expected\n{expected}\nfound\n{found}\nin\n{traced}"
            );
        }
    }
    printed
}

/// Stands in the output behind what a block has printed.
const END: &str = "-- end of the block --";

fn fits(expected: &str, found: &str) -> bool {
    let expected: Vec<_> = expected.lines().map(str::trim_end).collect();
    let found: Vec<_> = found.lines().map(str::trim_end).collect();
    fit(&expected, &found)
}

fn fit(expected: &[&str], found: &[&str]) -> bool {
    match expected {
        [] => found.is_empty(),
        ["…", rest @ ..] => (0..=found.len()).any(|skipped| fit(rest, &found[skipped..])),
        [line, rest @ ..] => match found {
            [first, others @ ..] => fits_line(line, first) && fit(rest, others),
            [] => false,
        },
    }
}

fn fits_line(expected: &str, found: &str) -> bool {
    match expected.split_once('…') {
        None => expected == found,
        Some((begin, rest)) => found.strip_prefix(begin).is_some_and(|found| {
            let mut places = found.char_indices().map(|(place, _)| place);
            places.any(|place| fits_line(rest, &found[place..])) || fits_line(rest, "")
        }),
    }
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
    fn printed_lines_fit_with_anything_for_an_ellipsis() {
        assert!(fits("a\nb: …", "a\nb: 7\n"));
        assert!(fits("…\nb…d\n…", "a\nb c d\ne\nf"));
        assert!(fits("…", "") && fits("a…", "a"));
        assert!(!fits("a", "a\nb") && !fits("a\nb", "a"));
        assert!(!fits("b…d", "b c") && !fits("a\n…\nc", "a\nb"));
    }

    #[test]
    fn blocks_are_found_by_their_word() {
        let page =
            "a\n```sh\none\ntwo\n```\n```toml\nx = 1\n```\n- list\n  ```sh\n  three\n  ```\n";
        assert_eq!(blocks(page, "sh"), ["one\ntwo", "  three"]);
        assert_eq!(blocks(page, "toml"), ["x = 1"]);
    }
}
