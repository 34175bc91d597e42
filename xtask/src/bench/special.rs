//! Measurements that are no processor time: memory of idle connections, system calls, the time
//! of a start and of a plugin's swap.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};

use super::{
    load::Load,
    measure::Sample,
    peers::{Held, Running, Server, Stage, millis},
    process,
    scenario::Metric,
};
use crate::command;

/// Enough that pages and tables of the process itself do not count.
const IDLE: u32 = 2000;
/// For what a server still does about connections that were opened.
const SETTLE: Duration = Duration::from_secs(1);
/// For strace to attach, and to write.
const ATTACH: Duration = Duration::from_millis(500);
/// How long a start or a swap may take.
const LIMIT: Duration = Duration::from_secs(60);
/// Between two copies of a plugin, under load.
const APART: Duration = Duration::from_millis(300);

/// Memory for each connection that has had a request and idles, on a server that has had some
/// load before.
pub(super) fn idle(stage: &Stage, server: Server) -> Result<Sample> {
    let server = stage.start("idle", server)?;
    Load::wrk(32, "/128").run(stage, &server, 1)?;
    thread::sleep(SETTLE);
    let before = process::memory(server.processes())?;
    let held = Held::open(stage, &server, IDLE)?;
    thread::sleep(SETTLE);
    let after = process::memory(server.processes())?;
    drop(held);
    server.end()?;
    Ok(Sample::from([(
        Metric::Memory,
        (after - before) / f64::from(IDLE),
    )]))
}

/// System calls for each request under load, as strace counts them.
pub(super) fn system_calls(stage: &Stage, server: &Running, seconds: u64) -> Result<Sample> {
    let file = server.dir().join("strace");
    let mut strace = Command::new("strace");
    strace.args(["-c", "-f", "-q", "-o"]).arg(&file);
    for process in server.processes() {
        strace.args(["-p", &process.to_string()]);
    }
    let mut strace = strace
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("cannot run strace")?;
    thread::sleep(ATTACH);
    let done = Load::wrk(32, "/128").run(stage, server, seconds)?;
    let process = i32::try_from(strace.id()).ok().and_then(Pid::from_raw);
    kill_process(process.context("a process id")?, Signal::INT)?;
    let ended = command::wait(&mut strace, LIMIT)?;
    ensure!(ended.is_some(), "strace does not end");
    let text = fs::read_to_string(&file)?;
    let calls = total(&text).with_context(|| {
        format!("strace counted nothing; may it trace here (ptrace_scope)?\n{text}")
    })?;
    ensure!(done.failed == 0.0, "{} requests failed", done.failed);
    Ok(Sample::from([(Metric::Calls, calls / done.requests)]))
}

/// The calls in the last line of `strace -c`: `100.00 1.234567 12 98765 17 total`, where seconds,
/// time a call, and errors may be missing.
fn total(text: &str) -> Option<f64> {
    let line = text
        .lines()
        .rfind(|line| line.trim_end().ends_with(" total"))?;
    let fields: Vec<_> = line.split_whitespace().collect();
    fields.get(3)?.parse().ok()
}

/// From the start of the process to the first answer. The first start is for the compiler.
pub(super) fn start(stage: &Stage, server: Server) -> Result<Sample> {
    let (mut command, dir, port) = stage.prepare("start", server)?;
    let mut took = 0.0;
    for _ in 0..2 {
        let begin = Instant::now();
        let running = Running::spawn("start", &mut command, dir.clone(), port)?;
        first_answer(stage, &running, "")?;
        took = millis(begin);
        running.end()?;
    }
    Ok(Sample::from([(Metric::Time, took)]))
}

/// From the copy of a plugin's other version, which was there before, to the first answer that
/// obeys it.
pub(super) fn swap(stage: &Stage, server: Server, seconds: u64) -> Result<Sample> {
    let server = stage.start("swap", server)?;
    let at = server.dir().join("plugins/10-version.wasm");
    let versions = ["b", "a"].map(|version| (version, stage.guest(&format!("version-{version}"))));
    for (version, file) in &versions {
        swap_to(stage, &server, &at, file, version)?;
    }
    thread::sleep(APART);
    let (took, failed) = thread::scope(|scope| -> Result<_> {
        let load = scope.spawn(|| Load::wrk(10, "/128").run(stage, &server, seconds.max(2)));
        thread::sleep(APART);
        let mut took = Vec::new();
        for (version, file) in &versions {
            took.push(swap_to(stage, &server, &at, file, version)?);
            thread::sleep(APART);
        }
        let Ok(done) = load.join() else {
            anyhow::bail!("the load panicked");
        };
        Ok((took, done?.failed))
    })?;
    server.end()?;
    let slowest = took.into_iter().fold(0.0, f64::max);
    Ok(Sample::from([
        (Metric::Time, slowest),
        (Metric::Failed, failed),
    ]))
}

fn swap_to(stage: &Stage, server: &Running, at: &Path, file: &Path, version: &str) -> Result<f64> {
    let beside = at.with_extension("new");
    fs::copy(file, &beside).with_context(|| file.display().to_string())?;
    let begin = Instant::now();
    fs::rename(&beside, at)?;
    first_answer(stage, server, &format!("x-version: {version}"))?;
    Ok(millis(begin))
}

/// Waits for an answer with this in its head. The client looks each millisecond, and gives up by
/// itself.
fn first_answer(stage: &Stage, server: &Running, has: &str) -> Result<()> {
    let mut until = stage.client("until", server);
    let output = until.args(["--has", has]).stdin(Stdio::null()).output()?;
    let told = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{told}\n{}", server.log());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_of_strace_is_read() {
        let text = "% time     seconds  usecs/call     calls    errors syscall\n\
            ------ ----------- ----------- --------- --------- ----------------\n\
            \x2062.10    0.012345           2      5000       100 read\n\
            ------ ----------- ----------- --------- --------- ----------------\n\
            100.00    0.019876           2      9000       100 total\n";
        assert_eq!(total(text), Some(9000.0));
        assert_eq!(total("strace: attach: Operation not permitted\n"), None);
    }
}
