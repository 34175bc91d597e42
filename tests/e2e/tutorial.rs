//! The tutorial works as it is written, in a fresh folder outside the repository, and prints what
//! its transcript in the book says.
//!
//! With `WRITE_DOCS=1` the transcript is written instead of compared.

use std::{
    env, fs,
    net::TcpListener,
    path::{Path, PathBuf},
};

use witgate_tests::{
    TempDir,
    readme::{self, Step},
    wasm,
};

const TRANSCRIPT: &str = "docs/tutorial-transcript.md";
const PORTS: [&str; 3] = ["8080", "9101", "9102"];

const BEGIN: &str = "# The tutorial, as it ran

[The tutorial](plugin-guide.md), done word for word in a fresh folder outside the repository: each command, and all that it printed on both
streams. A test does it again and compares. `…` stands for what differs from one machine to the next: digests, sizes and times, and cargo's lines
about what it downloads and compiles. Files are written as the tutorial shows them.
";

/// What cargo says of its progress, which depends on what it has done before.
const PROGRESS: [&str; 12] = [
    "Adding",
    "Blocking",
    "Checking",
    "Compiling",
    "Doc-tests",
    "Downloaded",
    "Downloading",
    "Finished",
    "Fresh",
    "Locking",
    "Running",
    "Updating",
];

/// What is printed or not by when something was ready: curl's tries, and the upstreams' greeting.
const BY_CHANCE: [&str; 3] = ["curl: (7)", "Serving HTTP on ", "Warning: Problem"];
/// Where `status` names earlier versions.
const KEPT: &str = "    kept: ";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// What may stand in the book: no path, port, time, size or digest of one machine.
struct Neutral {
    /// What is found, and what stands for it; longer ones first.
    names: Vec<(String, String)>,
}

impl Neutral {
    fn text(&self, printed: &str) -> String {
        let mut lines: Vec<String> = Vec::new();
        for line in printed.trim_end().lines() {
            if is_progress(line) {
                if lines.last().is_none_or(|last| last != "    …") {
                    lines.push("    …".to_owned());
                }
            } else if !BY_CHANCE.iter().any(|start| line.starts_with(start)) {
                lines.push(self.line(line));
            }
        }
        lines.join("\n")
    }

    fn line(&self, line: &str) -> String {
        let mut line = line.to_owned();
        for (name, neutral) in &self.names {
            line = line.replace(name, neutral);
        }
        let mut out = String::new();
        let mut rest = line.as_str();
        while let Some(at) = rest.find(|c: char| c.is_ascii_alphanumeric()) {
            let (before, from) = rest.split_at(at);
            let word = from.find(|c: char| !c.is_alphanumeric() && c != '.');
            let (word, behind) = from.split_at(word.unwrap_or(from.len()));
            out.push_str(before);
            out.push_str(&neutral(word, behind));
            rest = behind;
        }
        // How many versions were seen is a matter of when the gateway looked.
        match out.strip_prefix(KEPT) {
            Some(_) => format!("{KEPT}…"),
            None => out + rest,
        }
    }
}

/// A word, or what stands for it. Digests have twelve digits or more, and may have those of a sidecar
/// behind them, which are the same everywhere; sizes and times have a unit.
fn neutral(word: &str, behind: &str) -> String {
    let is_number = |text: &str| text.parse::<f64>().is_ok();
    let digest = word.split('.').next().unwrap_or_default();
    if digest.len() >= 12 && digest.chars().all(|c| c.is_ascii_hexdigit()) {
        return format!("…{}", &word[digest.len()..]);
    }
    let unit = behind.trim_start_matches(' ');
    let unit = unit
        .find(|c: char| !c.is_alphabetic())
        .map(|end| &unit[..end]);
    let has_unit = ["kB", "µs", "ms", "s"].contains(&unit.unwrap_or_default());
    match word.strip_suffix('s') {
        _ if is_number(word) && has_unit => "…".to_owned(),
        Some(number) if number.contains('.') && is_number(number) => "…s".to_owned(),
        _ => word.to_owned(),
    }
}

fn is_progress(line: &str) -> bool {
    let word = line.split_whitespace().next().unwrap_or_default();
    line.starts_with("  ") && PROGRESS.contains(&word)
}

/// The page of what was done.
fn transcript(steps: &[Step], neutral: &Neutral) -> String {
    let mut page = BEGIN.to_owned();
    let mut is_open = false;
    let close = |page: &mut String, is_open: &mut bool| {
        if std::mem::take(is_open) {
            page.push_str("```\n");
        }
    };
    for step in steps {
        match step {
            Step::Heading(heading) => {
                close(&mut page, &mut is_open);
                page.push_str(&format!("\n## {heading}\n"));
            }
            Step::File(file) => {
                close(&mut page, &mut is_open);
                page.push_str(&format!("\n`{file}` is written.\n"));
            }
            Step::Command { text, printed } => {
                if !std::mem::replace(&mut is_open, true) {
                    page.push_str("\n```text\n");
                }
                let text = text.replace('\n', "\n> ");
                page.push_str(&format!("$ {}\n", neutral.line(&text)));
                match neutral.text(printed).as_str() {
                    "" => {}
                    printed => page.push_str(&format!("{printed}\n")),
                }
            }
        }
    }
    close(&mut page, &mut is_open);
    page
}

#[tokio::test]
async fn the_tutorial_works_as_it_is_written() {
    let mut page = fs::read_to_string(root().join("docs/plugin-guide.md")).unwrap();
    let dir = TempDir::new().unwrap();
    let mut names = vec![(dir.path().display().to_string(), "~/tutorial".to_owned())];
    // All at once, so that they differ.
    let free = PORTS.map(|_| TcpListener::bind("127.0.0.1:0").unwrap());
    for (port, free) in PORTS.into_iter().zip(&free) {
        let free = free.local_addr().unwrap().port().to_string();
        page = page.replace(port, &free);
        names.push((free, port.to_owned()));
    }
    drop(free);
    let target = wasm::references().with_file_name("new-plugins");
    let (steps, all_went_well) =
        readme::follow(&page, dir.path(), &[("CARGO_TARGET_DIR", &target)]).await;
    let log = fs::read_to_string(dir.path().join("gateway.log")).unwrap_or_default();
    assert!(all_went_well, "{steps:#?}\n{log}");
    let found = transcript(&steps, &Neutral { names });
    for said in [
        "test result: ok. 1 passed",
        // The two commands that are meant to fail: `!` hides from the shell whether they did.
        "WRONG",
        "did you mean `cookie`?",
    ] {
        assert!(found.contains(said), "{said}: {found}");
    }
    for path in [root().canonicalize().unwrap(), env::temp_dir()] {
        let path = path.display().to_string();
        assert!(!found.contains(&path), "{path}: {found}");
    }
    let file = root().join(TRANSCRIPT);
    if env::var_os("WRITE_DOCS").is_some() {
        fs::write(&file, &found).unwrap();
    }
    let kept = fs::read_to_string(&file).unwrap_or_default();
    let pairs = kept.lines().zip(found.lines());
    let first = pairs.enumerate().find(|(_, (kept, found))| kept != found);
    assert!(
        kept == found,
        "{TRANSCRIPT} is stale, first at {first:?}: run this test with WRITE_DOCS=1\n{found}"
    );
}

#[test]
fn what_differs_between_machines_is_left_out() {
    let names = vec![("/tmp/x7".to_owned(), "~/tutorial".to_owned())];
    let neutral = Neutral { names };
    for (line, expected) in [
        (
            "x.wasm  78.5 kB  sha256:581d546964d4  roles: routing",
            "x.wasm  … kB  sha256:…  roles: routing",
        ),
        ("route: pass  (6.9 µs)", "route: pass  (… µs)"),
        ("1 passed; finished in 0.00s", "1 passed; finished in …s"),
        (
            "error: /tmp/x7/a.toml:3: 5",
            "error: ~/tutorial/a.toml:3: 5",
        ),
        (
            "   Compiling a v0.1.0 (/b)\n    Finished `x`\nok",
            "    …\nok",
        ),
        ("Finished with cache.", "Finished with cache."),
        ("status 200, 2 cases, v0.1.0", "status 200, 2 cases, v0.1.0"),
        (
            "30b19d1b1321.b05b is live (50 %) for 3 s: 0",
            "….b05b is live (50 %) for … s: 0",
        ),
        ("    kept: 30b19d1b1321.b05b, 30b19d1b1321", "    kept: …"),
        ("Serving HTTP on 127.0.0.1 port 1\na\n\n", "a"),
    ] {
        assert_eq!(neutral.text(line), expected);
    }
}
