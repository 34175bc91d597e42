//! Every guest has a test: a misbehaviour that nobody looks at is none.

use std::{fs, path::Path};

#[test]
fn every_guest_is_named_by_a_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let tests: String = files(&root.join("e2e"))
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    let mut guests = 0;
    for path in files(&root.join("guests/examples")) {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        assert!(
            tests.contains(&format!("guest(\"{name}\")")),
            "no test uses {}",
            path.display()
        );
        guests += 1;
    }
    assert!(guests > 0);
}

fn files(dir: &Path) -> impl Iterator<Item = std::path::PathBuf> {
    fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
}
