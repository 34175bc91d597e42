//! `docs/faults.md` says which tests show what of the table of faults; here is what keeps it
//! from saying what is not so.

use std::{
    fs,
    path::{Path, PathBuf},
};

const PAGE: &str = include_str!("../../docs/faults.md");

/// The cells of each row whose first one is a number.
fn rows() -> Vec<(u32, Vec<&'static str>)> {
    let cells = |line: &'static str| -> Vec<_> { line.split(" | ").collect() };
    let rows = PAGE.lines().map(cells).filter_map(|cells| {
        let number = cells.first()?.trim_start_matches("| ").parse().ok()?;
        Some((number, cells))
    });
    rows.collect()
}

/// All that stands in backticks in a text.
fn quoted(text: &'static str) -> impl Iterator<Item = &'static str> {
    text.split('`').skip(1).step_by(2)
}

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn every_test_that_the_page_names_exists() {
    let mut files = Vec::new();
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("e2e");
    sources(&dir, &mut files);
    let all: String = files
        .iter()
        .map(|file| fs::read_to_string(file).unwrap())
        .collect();
    let mut named = 0;
    for (number, cells) in rows() {
        for name in quoted(cells[2]) {
            named += 1;
            let is_there = all.contains(&format!("fn {name}("));
            assert!(is_there, "fault {number}: there is no test {name}");
        }
    }
    assert!(named > 100, "{named} tests named");
}

#[test]
fn every_fault_has_a_row_with_a_test_or_the_reason_why_not() {
    let found: Vec<_> = rows().iter().map(|(number, _)| *number).collect();
    let wanted: Vec<_> = (1..=63).collect();
    assert_eq!(found, wanted);
    for (number, cells) in rows() {
        let tests = quoted(cells[2]).count();
        let remark = cells[3].trim_end_matches(" |");
        assert!(
            tests > 0 || remark.len() > 20,
            "fault {number}: neither a test nor a reason"
        );
    }
}
