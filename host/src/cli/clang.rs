//! The clang that makes plugins of C: where it is, how it is called, and what it lacks.

use std::{
    env,
    ffi::OsString,
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

/// What brings compiler, linker, C library and the compiler's own functions on Debian.
pub const DEBIAN_PACKAGES: [&str; 4] = ["clang", "lld", "wasi-libc", "libclang-rt-dev-wasm32"];

/// Names the folder of a WASI SDK.
const SDK: &str = "WASI_SDK_PATH";

/// How long trying may take; it takes a second where little else runs.
const LIMIT: Duration = Duration::from_secs(30);

/// Of what it says while it is tried, as much is read.
const MOST: u64 = 64 << 10;

/// Needs all four of them.
const PROBE: &str = "#include <stdlib.h>\n\
    __attribute__((export_name(\"probe\"))) void *probe(size_t n) { return calloc(n, n); }\n";

/// That of the WASI SDK at `WASI_SDK_PATH`, else the first in the PATH.
///
/// # Errors
/// Where there is none, in words.
pub fn find() -> Result<PathBuf, String> {
    if let Some(sdk) = sdk() {
        let clang = Path::new(&sdk).join("bin/clang");
        return match clang.is_file() {
            true => Ok(clang),
            false => Err(format!(
                "{SDK} is {}, which has no bin/clang",
                sdk.display()
            )),
        };
    }
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .map(|dir| dir.join("clang"))
        .find(|file| file.is_file())
        .ok_or_else(|| "no clang in the PATH".to_owned())
}

/// What mends one that is not found, or that lacks something.
pub fn mend() -> String {
    match sdk() {
        Some(_) => format!("unset {SDK}, or name the SDK's folder"),
        None => format!("apt-get install {}", DEBIAN_PACKAGES.join(" ")),
    }
}

fn sdk() -> Option<OsString> {
    env::var_os(SDK).filter(|dir| !dir.is_empty())
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

/// Why it cannot make plugins: the first error of trying, which may take 30 seconds.
///
/// # Errors
/// When it cannot be run.
pub fn lacks(clang: &Path) -> io::Result<Option<String>> {
    lacks_within(clang, LIMIT)
}

fn lacks_within(clang: &Path, limit: Duration) -> io::Result<Option<String>> {
    let end = Instant::now() + limit;
    let mut probe = command(clang)
        .args(["-x", "c", "-", "-o", "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    if let Some(mut source) = probe.stdin.take() {
        // One that does not read says why; a pipe holds all of it.
        let _ = source.write_all(PROBE.as_bytes());
    }
    let (sender, said) = mpsc::channel();
    if let Some(stderr) = probe.stderr.take() {
        // What it has started may keep its end open: nobody waits for this thread.
        thread::spawn(move || {
            let mut text = Vec::new();
            let _ = stderr.take(MOST).read_to_end(&mut text);
            let _ = sender.send(text);
        });
    }
    let status = loop {
        if let Some(status) = probe.try_wait()? {
            break status;
        }
        if Instant::now() >= end {
            probe.kill()?;
            probe.wait()?;
            return Ok(Some(format!("it has not ended after {limit:?}")));
        }
        thread::sleep(Duration::from_millis(5));
    };
    if status.success() {
        return Ok(None);
    }
    let left = end.saturating_duration_since(Instant::now());
    let said = said.recv_timeout(left).unwrap_or_default();
    let said = String::from_utf8_lossy(&said);
    let error = said.lines().find(|line| line.contains("error"));
    Ok(Some(error.unwrap_or("it says no error").to_owned()))
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    #[test]
    fn one_that_does_not_end_is_waited_for_no_longer_than_the_limit() -> io::Result<()> {
        let dir = tempfile::tempdir()?;
        let clang = dir.path().join("clang");
        fs::write(&clang, "#!/bin/sh\nexec sleep 20\n")?;
        fs::set_permissions(&clang, fs::Permissions::from_mode(0o755))?;
        let begin = Instant::now();
        let lacks = lacks_within(&clang, Duration::from_millis(200))?;
        assert_eq!(lacks.as_deref(), Some("it has not ended after 200ms"));
        assert!(begin.elapsed() < Duration::from_secs(10));
        Ok(())
    }
}
