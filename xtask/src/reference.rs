//! Re-makes what in `docs/` is made of other files: the tables of configuration.md, of what the
//! gateway's own types say, and the files of the interface in interface.md.

use std::fs;

use anyhow::{Context as _, Result, bail, ensure};

use crate::{command, project::Project, step::step};

const INTERFACE: &str = "docs/interface.md";
/// Before and behind the name of a file that is shown, relative to `docs/`.
const FILE: (&str, &str) = ("<!-- file: ", " -->\n");
const END: &str = "<!-- end of file -->";
/// The test that compares the tables, or writes them when it is told to.
const TABLES: &str = "config::own_schema::reference::the_reference_is_what_the_schema_says";

/// Re-makes the pages; with `check`, only compares them.
///
/// # Errors
/// When a page cannot be read or made, or (with `check`) is stale.
pub(crate) fn run(project: &Project, check: bool) -> Result<()> {
    interface(project, check)?;
    step("The tables of docs/configuration.md", || {
        let mut cargo = project.cargo("test");
        // The whole workspace, as the tests need it; see `build`.
        cargo.args(["--quiet", "--workspace", "--lib", TABLES, "--", "--exact"]);
        if !check {
            cargo.env("WITGATE_WRITE_REFERENCE", "1");
        }
        let said = command::run_and_read(&mut cargo)?;
        ensure!(has_run(&said), "there is no test {TABLES}");
        Ok(())
    })
}

/// Whether one of the test binaries had the test; cargo is content without it.
fn has_run(said: &str) -> bool {
    said.lines().any(|line| line.contains(" 1 passed;"))
}

fn interface(project: &Project, check: bool) -> Result<()> {
    let path = project.root().join(INTERFACE);
    let page = fs::read_to_string(&path).context(INTERFACE)?;
    let made = with_files(&page, |name| {
        let file = project.root().join("docs").join(name);
        fs::read_to_string(&file).with_context(|| file.display().to_string())
    })?;
    match (page == made, check) {
        (true, _) => println!("{INTERFACE} is up to date"),
        (false, false) => {
            fs::write(&path, made).context(INTERFACE)?;
            println!("re-made {INTERFACE}");
        }
        (false, true) => bail!("stale: {INTERFACE}; run `cargo xtask reference`"),
    }
    Ok(())
}

/// The page with the text of each file between its marks.
fn with_files(page: &str, read: impl Fn(&str) -> Result<String>) -> Result<String> {
    let mut parts = page.split(FILE.0);
    let mut made = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, rest) = part.split_once(FILE.1).context("a mark without an end")?;
        let behind = rest.split_once(END).map(|(_, behind)| behind);
        let behind = behind.with_context(|| format!("{name}: no {END}"))?;
        let text = read(name)?;
        made.push_str(&format!(
            "{}{name}{}```{}\n{}\n```\n{END}{behind}",
            FILE.0,
            FILE.1,
            language(name),
            text.trim_end()
        ));
    }
    Ok(made)
}

fn language(name: &str) -> &str {
    match name.rsplit_once('.') {
        Some((_, "rs")) => "rust",
        Some((_, end)) => end,
        None => "text",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_that_is_not_there_has_not_run() {
        let line = |passed| {
            format!(
                "running {passed} tests\n\ntest result: ok. {passed} passed; 0 failed; 0 ignored\n"
            )
        };
        assert!(!has_run(&[line(0), line(0)].concat()));
        assert!(has_run(&[line(0), line(1), line(0)].concat()));
    }

    #[test]
    fn what_is_between_the_marks_is_made_anew() {
        let page = "a\n<!-- file: x.wit -->\nold\n<!-- end of file -->\nb\n";
        let made = with_files(page, |name| Ok(format!("of {name}\n"))).expect("a page");
        let expected = "a\n<!-- file: x.wit -->\n```wit\nof x.wit\n```\n<!-- end of file -->\nb\n";
        assert_eq!(made, expected);
        assert!(with_files("<!-- file: x -->\n", |_| Ok(String::new())).is_err());
    }
}
