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

/// A fenced block: the heading above it, what stands behind the fence, and its lines.
struct Block {
    heading: String,
    info: String,
    text: String,
}

fn all_blocks(page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = page.lines();
    let mut heading = "";
    while let Some(line) = lines.next() {
        heading = line.strip_prefix("## ").unwrap_or(heading);
        let Some(info) = line.trim_start().strip_prefix("```") else {
            continue;
        };
        let body: Vec<_> = lines
            .by_ref()
            .take_while(|line| line.trim_start() != "```")
            .collect();
        blocks.push(Block {
            heading: heading.to_owned(),
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

/// What a page does, step by step.
#[derive(Debug)]
pub enum Step {
    /// The heading that the next steps are below.
    Heading(String),
    /// A file is written, with what the page shows.
    File(String),
    /// A command of the page, with all that it has printed on both streams.
    Command {
        /// As the page has it; loops have several lines.
        text: String,
        /// As it came.
        printed: String,
    },
}

/// Does what a page says, in a folder: writes the blocks whose fence names a file (`toml
/// plugins/a.toml`) and runs the commands of those of `sh`, in order. What they have started ends
/// with them.
///
/// Returns what was done, and whether all of it succeeded.
pub async fn follow(page: &str, dir: &Path, variables: &[(&str, &Path)]) -> (Vec<Step>, bool) {
    let mut script = "exec 2>&1\n".to_owned();
    let mut steps = Vec::new();
    for block in all_blocks(page) {
        let of = |step: &Step| matches!(step, Step::Heading(heading) if *heading == block.heading);
        if !steps.iter().any(of) {
            steps.push(Step::Heading(block.heading.clone()));
        }
        match block.info.split_once(' ') {
            Some((_, file)) => {
                let text = block.text;
                script.push_str(&format!(
                    "cat > '{file}' <<'END OF FILE'\n{text}\nEND OF FILE\n"
                ));
                steps.push(Step::File(file.to_owned()));
            }
            None if block.info == "sh" => {
                for text in commands(&block.text) {
                    script.push_str(&format!("echo '{END}'\n{text}\n"));
                    let printed = String::new();
                    steps.push(Step::Command { text, printed });
                }
            }
            None => {}
        }
    }
    let done = run_script("-eu", &script, dir, variables).await;
    let printed = String::from_utf8_lossy(&done.stdout).into_owned();
    let end = format!("{END}\n");
    // Before the first one stands nothing.
    let mut outputs = printed.split(&end).skip(1);
    for step in &mut steps {
        if let Step::Command { printed, .. } = step {
            outputs.next().unwrap_or_default().clone_into(printed);
        }
    }
    (steps, done.status.success())
}

/// The commands of a block: lines, and loops up to their `done`.
fn commands(block: &str) -> Vec<String> {
    let mut commands: Vec<String> = Vec::new();
    let mut is_loop = false;
    for line in block.lines() {
        match commands.last_mut().filter(|_| is_loop) {
            Some(last) => *last = format!("{last}\n{line}"),
            None => commands.push(line.to_owned()),
        }
        is_loop = (is_loop || line.starts_with("for ")) && line != "done";
    }
    commands
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
    let done = run_script(TRACED, &script, dir, variables).await;
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

/// What the commands of pages make in their folders, which is no part of a copy.
const MADE: [&str; 3] = ["node_modules", "venv", "target"];

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
        let is_made = MADE.iter().any(|made| entry.file_name() == *made);
        match entry.path().is_dir() {
            true if is_made => {}
            true => copy_all(&entry.path(), &target),
            false => drop(fs::copy(entry.path(), target).unwrap()),
        }
    }
}

/// Runs the `sh` blocks of a page as one script in a folder; `witgate` is this build's.
pub async fn run(page: &str, dir: &Path, variables: &[(&str, &Path)]) -> Output {
    let script = blocks(page, "sh").join("\n");
    assert!(!script.is_empty(), "a page without commands");
    run_script(TRACED, &script, dir, variables).await
}

/// The options of a shell that says what it does, on stderr, and ends at the first failure.
const TRACED: &str = "-eux";

async fn run_script(
    options: &str,
    script: &str,
    dir: &Path,
    variables: &[(&str, &Path)],
) -> Output {
    let bin = binary();
    let path = env::var_os("PATH").unwrap_or_default();
    let paths = bin.parent().map(Path::to_owned).into_iter();
    let paths = env::join_paths(paths.chain(env::split_paths(&path))).unwrap();
    // In a group of its own, which ends as a whole.
    let ending = format!("trap 'code=$?; trap \"\" TERM; kill 0; exit $code' EXIT\n{script}");
    let mut shell = Command::new("sh");
    shell
        .args([options, "-c", &ending])
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
    fn a_loop_is_one_command() {
        let block = "a\nfor x in 1 2; do\n    b\ndone\n! c  # d";
        let expected = ["a", "for x in 1 2; do\n    b\ndone", "! c  # d"];
        assert_eq!(commands(block), expected);
    }

    #[test]
    fn blocks_are_found_by_their_word() {
        let page =
            "a\n```sh\none\ntwo\n```\n```toml\nx = 1\n```\n- list\n  ```sh\n  three\n  ```\n";
        assert_eq!(blocks(page, "sh"), ["one\ntwo", "  three"]);
        assert_eq!(blocks(page, "toml"), ["x = 1"]);
    }
}
