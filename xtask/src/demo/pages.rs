//! The pages that show the demo: their commands, run as they are written while the demo runs.
//!
//! Each page begins with the command that starts it, which is what runs here. A block `text printed`
//! says what the block before it prints, with `…` for anything.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};

use super::{
    stage::{QUICKSTART, eventually},
    walk::Walk,
};
use crate::{command, project::Project};

/// From the top of the repository.
const PAGES: [&str; 2] = ["docs/quick-start.md", "examples/quickstart/README.md"];
/// What they begin with.
const DEMO: &str = "cargo xtask demo";
/// The plugin that they make, which is deleted in the end.
const PLUGIN: &str = "05-hello.wasm";

/// What the commands of one block may take: a plugin is compiled in one.
const LIMIT: Duration = Duration::from_secs(300);
/// Until requests obey what has just been built; the pages say a second, on a machine that does nothing else.
const OBEYED: Duration = Duration::from_secs(20);

/// Follows all of them.
pub(super) fn follow(project: &Project, walk: &Walk) -> Result<()> {
    for page in PAGES {
        let top = top(project, walk, page)?;
        let text = fs::read_to_string(project.root().join(page)).context(page)?;
        let run = follow_one(project, &top, &text).context(page)?;
        eprintln!("    {page}: {run} blocks of commands");
    }
    fs::remove_file(walk.stage.plugins().join(PLUGIN)).context(PLUGIN)?;
    eventually(OBEYED, "the deleted plugin is gone", || {
        let log = fs::read_to_string(&walk.logs.log)?;
        Ok(log.contains("plugin is gone").then_some(()))
    })
}

/// A folder like the top of the repository, as far as the pages look.
fn top(project: &Project, walk: &Walk, page: &str) -> Result<PathBuf> {
    let name = page.replace(['/', '.'], "-");
    let top = walk.stage.dir().join(name);
    fs::create_dir_all(top.join("examples"))?;
    symlink(walk.stage.dir(), top.join(QUICKSTART))?;
    symlink(project.target(), top.join("target"))?;
    Ok(top)
}

/// Returns how many blocks it has run.
fn follow_one(project: &Project, top: &Path, page: &str) -> Result<usize> {
    let blocks = blocks(page);
    let begins = blocks.first().is_some_and(|block| block.commands == DEMO);
    ensure!(begins, "it does not begin with `{DEMO}`");
    for block in &blocks[1..] {
        let fits = || -> Result<Option<()>> {
            let printed = run(project, top, &block.commands)?;
            Ok(shows(&printed, &block.printed).then_some(()))
        };
        // Asking again changes nothing, and what was built just now takes a moment to be obeyed.
        let only_asks = block.commands.lines().all(|line| line.starts_with("curl "));
        let limit = if only_asks { OBEYED } else { Duration::ZERO };
        let what = format!("{} prints {}", block.commands, block.printed);
        eventually(limit, &what, fits)?;
    }
    Ok(blocks.len())
}

/// Commands, and what they print; empty where that is not said.
#[derive(Debug, Default, PartialEq, Eq)]
struct Block {
    commands: String,
    printed: String,
}

fn blocks(page: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let Some(kind) = line.trim_start().strip_prefix("```") else {
            continue;
        };
        let body = lines.by_ref().take_while(|line| line.trim_start() != "```");
        let text = body.collect::<Vec<_>>().join("\n");
        match (kind, blocks.last_mut()) {
            ("sh", _) => blocks.push(Block {
                commands: text,
                ..Block::default()
            }),
            ("text printed", Some(block)) => block.printed = text,
            _ => {}
        }
    }
    blocks
}

/// Runs commands as a shell does that ends at the first error; returns what they print.
fn run(project: &Project, top: &Path, commands: &str) -> Result<String> {
    let printed = top.join("printed");
    let mut shell = project.program("sh");
    shell
        .args(["-euc", &format!("exec >printed\n{commands}")])
        .current_dir(top);
    command::run_quietly(&mut shell, LIMIT).with_context(|| commands.to_owned())?;
    fs::read_to_string(&printed).with_context(|| printed.display().to_string())
}

/// Whether all parts of what is expected are there, in order.
fn shows(printed: &str, expected: &str) -> bool {
    let parts = expected.split(['…', '\n']).map(str::trim);
    let mut rest = printed;
    parts.filter(|part| !part.is_empty()).all(|part| {
        let found = rest.split_once(part).map(|(_, behind)| behind);
        rest = found.unwrap_or(rest);
        found.is_some()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_have_their_commands_and_what_these_print() {
        let page = "a\n```sh\none\ntwo\n```\nb\n```text printed\n1 … 2\n```\n```toml\nx\n```\n\
                    - c\n  ```sh\nthree\n  ```\n";
        let block = |commands: &str, printed: &str| Block {
            commands: commands.to_owned(),
            printed: printed.to_owned(),
        };
        assert_eq!(
            blocks(page),
            [block("one\ntwo", "1 … 2"), block("three", "")]
        );
    }

    #[test]
    fn what_is_expected_is_there_in_order() {
        assert!(shows("a b\nc d\n", "a…\nd"));
        assert!(shows("a", ""));
        assert!(!shows("c d\na b\n", "a…\nd"));
        assert!(!shows("a", "a…a"));
    }
}
