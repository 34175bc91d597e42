//! Running other programs: shown, checked, and never for ever.

use std::{
    env,
    fs::File,
    io::{self, Read as _, Seek as _},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

/// Between two looks at whether a program has ended.
const PAUSE: Duration = Duration::from_millis(20);

/// Runs a program whose output the person sees; fails if it does.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let name = name(command);
    let status = command
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("cannot run {name}"))?;
    if !status.success() {
        bail!("{name} failed ({status})");
    }
    Ok(())
}

/// As [`run`], and returns what it writes to its stdout, which the person sees at its end.
pub(crate) fn run_and_read(command: &mut Command) -> Result<String> {
    let name = name(command);
    let Output { status, stdout, .. } = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot run {name}"))?;
    let said = String::from_utf8_lossy(&stdout).into_owned();
    print!("{said}");
    if !status.success() {
        bail!("{name} failed ({status})");
    }
    Ok(said)
}

/// Runs a program quietly and for a limited time; an error has the line that tells most.
pub(crate) fn run_quietly(command: &mut Command, limit: Duration) -> Result<()> {
    let name = name(command);
    let log = tempfile::tempfile()?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log.try_clone()?)
        .spawn()
        .with_context(|| format!("cannot run {name}"))?;
    let status = match wait(&mut child, limit)? {
        Some(status) if status.success() => return Ok(()),
        Some(status) => status.to_string(),
        None => {
            let _ = child.kill();
            let _ = child.wait();
            format!("not done after {} s", limit.as_secs())
        }
    };
    bail!("{name}: {status}: {}", telling_line(log)?)
}

/// What a program writes, when it can be run and succeeds.
pub(crate) fn output(command: &mut Command) -> Option<String> {
    let Output { status, stdout, .. } = command.stdin(Stdio::null()).output().ok()?;
    status
        .success()
        .then(|| String::from_utf8_lossy(&stdout).into_owned())
}

/// Waits for the end of a program; none when it has not ended within the limit.
pub(crate) fn wait(child: &mut Child, limit: Duration) -> io::Result<Option<ExitStatus>> {
    let begin = Instant::now();
    loop {
        let status = child.try_wait()?;
        if status.is_some() || begin.elapsed() > limit {
            return Ok(status);
        }
        thread::sleep(PAUSE);
    }
}

/// Where in the PATH a program is.
pub(crate) fn which(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .map(|dir| dir.join(program))
        .find(|file| file.is_file())
}

/// The program and its first argument: `rustup target`.
fn name(command: &Command) -> String {
    let program = command.get_program().to_string_lossy();
    let program = program.rsplit('/').next().unwrap_or_default();
    let first = command.get_args().next().map(|arg| arg.to_string_lossy());
    format!("{program} {}", first.unwrap_or_default())
        .trim()
        .to_owned()
}

/// The first line that calls itself an error, else the last one.
fn telling_line(mut log: File) -> Result<String> {
    log.rewind()?;
    let mut text = Vec::new();
    log.read_to_end(&mut text)?;
    let text = String::from_utf8_lossy(&text);
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let is_error = |line: &&str| line.starts_with("error") || line.starts_with("E: ");
    let line = lines.clone().find(is_error).or_else(|| lines.next_back());
    Ok(line.unwrap_or("it wrote nothing").to_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_told_with_the_line_that_says_why() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo first; echo no network >&2; exit 3"]);
        let error = run_quietly(&mut command, Duration::from_secs(20)).unwrap_err();
        assert_eq!(error.to_string(), "sh -c: exit status: 3: no network");
        let mut command = Command::new("sh");
        command.args(["-c", "echo one; echo error: two; echo three; exit 3"]);
        let error = run_quietly(&mut command, Duration::from_secs(20)).unwrap_err();
        assert_eq!(error.to_string(), "sh -c: exit status: 3: error: two");
    }

    #[test]
    fn a_program_that_does_not_end_is_ended() {
        let mut command = Command::new("sleep");
        let error = run_quietly(command.arg("100"), Duration::from_millis(50)).unwrap_err();
        assert!(error.to_string().contains("not done after"), "{error}");
    }
}
