//! Programs of others that the gateway is compared with and spoken to through, where
//! `cargo xtask setup` put them (`xtask/src/setup/peers.rs`).

use std::{
    env,
    path::{Path, PathBuf},
};

use crate::wasm::target_dir;

/// Python with the packages of `tests/python/requirements.txt`.
pub fn python() -> PathBuf {
    there(target_dir().join("python/bin/python"))
}

/// mdBook, which PyPI has built.
pub fn mdbook() -> PathBuf {
    there(target_dir().join("python/bin/mdbook"))
}

/// A program of `tests/python/`.
pub fn script(name: &str) -> PathBuf {
    there(
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("python")
            .join(name),
    )
}

/// nginx: the machine's, else the one that set-up unpacked.
pub fn nginx() -> PathBuf {
    ["/usr/sbin/nginx", "/usr/local/sbin/nginx"]
        .into_iter()
        .map(PathBuf::from)
        .chain(in_path("nginx"))
        .find(|file| file.is_file())
        .unwrap_or_else(|| there(target_dir().join("nginx/usr/sbin/nginx")))
}

/// Where in the PATH a program is.
pub fn in_path(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .map(|dir| dir.join(program))
        .find(|file| file.is_file())
}

fn there(path: PathBuf) -> PathBuf {
    assert!(
        path.exists(),
        "no {}: run `cargo xtask setup`",
        path.display()
    );
    path
}
