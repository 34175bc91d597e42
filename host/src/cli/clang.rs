//! The clang that makes plugins of C: where it is, how it is called, and what it lacks.

use std::{
    env,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// What brings compiler, linker, C library and the compiler's own functions on Debian.
pub const DEBIAN_PACKAGES: [&str; 4] = ["clang", "lld", "wasi-libc", "libclang-rt-dev-wasm32"];

/// Needs all four of them.
const PROBE: &str = "#include <stdlib.h>\n\
    __attribute__((export_name(\"probe\"))) void *probe(size_t n) { return calloc(n, n); }\n";

/// That of the WASI SDK at `WASI_SDK_PATH`, else the first in the PATH.
pub fn find() -> Option<PathBuf> {
    let is_there = |file: &PathBuf| file.is_file();
    if let Some(sdk) = env::var_os("WASI_SDK_PATH") {
        return Some(Path::new(&sdk).join("bin/clang")).filter(is_there);
    }
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .map(|dir| dir.join("clang"))
        .find(is_there)
}

/// Calls it for a module of functions that others call, on the C library of WASI.
///
/// The stack is as large as that of rustc, and below all data: what overflows it is a trap.
pub fn command(clang: &Path) -> Command {
    let mut command = Command::new(clang);
    command
        .args(["--target=wasm32-wasi", "-mexec-model=reactor"])
        .arg("-Wl,--stack-first,-z,stack-size=1048576,--strip-debug")
        .stdin(Stdio::null());
    command
}

/// Why it cannot make plugins: the first error of trying.
///
/// # Errors
/// When it cannot be run.
pub fn lacks(clang: &Path) -> io::Result<Option<String>> {
    let mut probe = command(clang)
        .args(["-x", "c", "-", "-o", "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    if let Some(mut source) = probe.stdin.take() {
        // One that does not read says why.
        let _ = source.write_all(PROBE.as_bytes());
    }
    let output = probe.wait_with_output()?;
    if output.status.success() {
        return Ok(None);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let error = said.lines().find(|line| line.contains("error"));
    Ok(Some(error.unwrap_or("it says no error").to_owned()))
}
