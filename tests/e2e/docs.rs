//! The documentation: a book that builds and whose links lead somewhere.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use witgate_tests::{TempDir, gateway::binary, peers, readme};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The pages of a folder of the repository.
fn pages(folder: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join(folder)).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut pages: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|one| one == "md"))
        .collect();
    pages.sort();
    pages
}

/// The book's pages, and those that stand beside what they are about.
fn all_pages() -> Vec<PathBuf> {
    let mut all = [pages("docs"), pages("."), pages("examples")].concat();
    all.push(root().join("plugin-sdk/README.md"));
    all.push(root().join("wit/README.md"));
    for folder in ["plugins", "examples"] {
        for entry in fs::read_dir(root().join(folder)).unwrap() {
            let page = entry.unwrap().path().join("README.md");
            all.extend(Some(page).filter(|page| page.is_file()));
        }
    }
    all
}

#[test]
fn the_book_has_each_page_once() {
    let summary = read(&root().join("docs/SUMMARY.md"));
    let listed: Vec<_> = links(&summary).into_iter().map(|(link, _)| link).collect();
    let unique: BTreeSet<_> = listed.iter().cloned().collect();
    assert_eq!(listed.len(), unique.len(), "{listed:?}");
    let names = pages("docs").into_iter().map(|page| {
        let name = page.file_name().unwrap();
        name.to_string_lossy().into_owned()
    });
    let there: BTreeSet<_> = names.filter(|name| name != "SUMMARY.md").collect();
    assert_eq!(unique, there);
}

#[test]
fn the_concepts_begin_with_the_diagram_of_the_readme() {
    let diagram = |page: &str| readme::blocks(&read(&root().join(page)), "text").remove(0);
    let shown = diagram("docs/concepts.md");
    assert!(shown.contains("cookie-affinity.wasm"), "{shown}");
    assert_eq!(shown, diagram("README.md"));
}

#[test]
fn the_page_of_the_interface_has_all_of_it() {
    let page = read(&root().join("docs/interface.md"));
    for version in ["0.1", "0.2"] {
        for entry in fs::read_dir(root().join("wit").join(version)).unwrap() {
            let path = entry.unwrap().path();
            let shown = format!("```wit\n{}\n```\n", read(&path).trim_end());
            let name = path.display();
            assert!(path.extension().is_some_and(|end| end == "wit"), "{name}");
            assert!(
                page.contains(&shown),
                "{name} is not there, or stale: run `cargo xtask reference`"
            );
        }
    }
}

#[tokio::test]
async fn the_book_builds() {
    let dir = TempDir::new().unwrap();
    let mdbook = peers::mdbook();
    let built = tokio::process::Command::new(mdbook)
        .args(["build", "--dest-dir"])
        .arg(dir.path())
        .arg(root().join("docs"))
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&built.stderr).into_owned();
    assert!(built.status.success(), "{said}");
    assert!(!said.contains("ERROR") && !said.contains("WARN"), "{said}");
    for (page, part) in [
        ("configuration.html", "every-key"),
        ("interface.html", "rewrite-request: func"),
        ("plugin-guide.html", "witgate plugin promote"),
    ] {
        let text = read(&dir.path().join(page));
        assert!(text.contains(part), "{part} in {page}");
    }
}

/// Targets and anchors of the links of a page, but for those to other places.
fn links(page: &str) -> Vec<(String, Option<String>)> {
    let mut links = Vec::new();
    let mut is_code = false;
    for line in page.lines() {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        }
        if is_code {
            continue;
        }
        for part in line.split("](").skip(1) {
            let target = part.split(')').next().unwrap_or_default();
            if target.contains("://") || target.contains(' ') {
                continue;
            }
            let (file, anchor) = match target.split_once('#') {
                Some((file, anchor)) => (file, Some(anchor.to_owned())),
                None => (target, None),
            };
            links.push((file.to_owned(), anchor));
        }
    }
    links
}

/// The anchors of a page's headings, as GitHub and mdBook make them.
fn anchors(page: &str) -> BTreeSet<String> {
    let mut is_code = false;
    let mut anchors = BTreeSet::new();
    for line in page.lines() {
        if line.starts_with("```") {
            is_code = !is_code;
        }
        if let Some(heading) = line.strip_prefix('#').filter(|_| !is_code) {
            let heading = heading.trim_start_matches('#').trim().to_lowercase();
            let kept = heading.chars().filter_map(|c| match c {
                ' ' => Some('-'),
                '-' | '_' => Some(c),
                c if c.is_alphanumeric() => Some(c),
                _ => None,
            });
            anchors.insert(kept.collect());
        }
    }
    anchors
}

#[test]
fn each_link_leads_somewhere() {
    let all = all_pages();
    let mut broken = Vec::new();
    for page in &all {
        let text = read(page);
        for (file, anchor) in links(&text) {
            let target = match file.as_str() {
                "" => page.clone(),
                file => page.parent().unwrap().join(file),
            };
            if !target.exists() {
                broken.push(format!("{}: {file}", page.display()));
                continue;
            }
            if let Some(anchor) = anchor
                && target.extension().is_some_and(|one| one == "md")
                && !anchors(&read(&target)).contains(&anchor)
            {
                broken.push(format!("{}: {file}#{anchor}", page.display()));
            }
        }
    }
    assert!(all.len() > 20, "{all:?}");
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// The command lines of a page that begin with one of our programs, without what stands behind them:
/// comments, what their output goes into, and options for others.
fn own_commands(page: &str) -> Vec<String> {
    let shown = readme::blocks(page, "console").join("\n");
    let shown = shown.lines().filter_map(|line| line.strip_prefix("$ "));
    let run = readme::blocks(page, "sh").join("\n").replace("\\\n", " ");
    let alone = |line: &str| {
        let line = line.trim().trim_start_matches("! ");
        let ends = [" #", " >", " 2>", " |", " &", " -- "].iter();
        let end = ends.filter_map(|mark| line.find(mark)).min();
        line[..end.unwrap_or(line.len())].replace("target/debug/", "")
    };
    let begins = |line: &String| line.starts_with("witgate ") || line.starts_with("cargo xtask ");
    shown.chain(run.lines()).map(alone).filter(begins).collect()
}

/// What cannot be run without a gateway, an export or twenty minutes is at least spelled as the
/// programs take it: with `--help` behind it, which is answered once all before it is understood.
#[test]
fn each_command_of_our_programs_is_one_that_they_take() {
    let xtask = binary().with_file_name("xtask");
    let path = std::env::var("PATH").unwrap();
    let path = format!("{}:{path}", binary().parent().unwrap().display());
    let mut tried = BTreeSet::new();
    for page in all_pages() {
        for command in own_commands(&read(&page)) {
            if !tried.insert(command.clone()) {
                continue;
            }
            let asked = command.replace("cargo xtask", xtask.to_str().unwrap());
            let asked = format!("{asked} --help");
            let done = std::process::Command::new("sh")
                .args(["-c", &asked])
                .env("PATH", &path)
                .env("PLUGINS", "plugins")
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&done.stderr).into_owned();
            assert!(
                done.status.success(),
                "{}: {command}: {said}",
                page.display()
            );
        }
    }
    assert!(tried.len() >= 40, "{}: {tried:?}", tried.len());
}
