//! What the kernel tells of processes and of the machine: processor time and memory, from
//! `/proc` (proc(5)).

use std::{
    collections::{BTreeMap, VecDeque},
    fs,
    time::Duration,
};

use anyhow::{Context as _, Result};

/// Ticks in a second of `/proc`: 100 on every Linux that Rust runs on (`USER_HZ`).
const TICKS: f64 = 100.0;

/// A process and its children, and theirs.
pub(crate) fn family(process: u32) -> Vec<u32> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Ok(id) = entry.file_name().to_string_lossy().parse::<u32>() else {
            continue;
        };
        // One that has ended meanwhile has no children that are of interest.
        if let Ok(fields) = stat(&id.to_string())
            && let Some(parent) = fields.get(1).and_then(|field| field.parse().ok())
        {
            children.entry(parent).or_default().push(id);
        }
    }
    let mut found = Vec::new();
    let mut next = VecDeque::from([process]);
    while let Some(id) = next.pop_front() {
        found.push(id);
        next.extend(children.remove(&id).unwrap_or_default());
    }
    found
}

/// Processor time so far of all threads of these processes, user and system.
pub(crate) fn time(processes: &[u32]) -> Result<Duration> {
    let mut ticks = 0.0;
    for id in processes {
        let fields = stat(&id.to_string()).with_context(|| format!("process {id} has ended"))?;
        ticks += sum(&fields, &[11, 12]);
    }
    Ok(Duration::from_secs_f64(ticks / TICKS))
}

/// Processor time of the programs that this one has run to their end.
pub(crate) fn time_of_ended() -> Result<Duration> {
    let ticks = sum(&stat("self")?, &[13, 14]);
    Ok(Duration::from_secs_f64(ticks / TICKS))
}

/// Time that the machine's processors were busy, all together, since it was started.
pub(crate) fn time_of_machine() -> Result<Duration> {
    let text = fs::read_to_string("/proc/stat").context("/proc/stat")?;
    let fields: Vec<_> = text.split_whitespace().take(9).map(str::to_owned).collect();
    // user, nice, system; irq, softirq. Not idle, not waiting for disks.
    Ok(Duration::from_secs_f64(
        sum(&fields, &[1, 2, 3, 6, 7]) / TICKS,
    ))
}

/// Resident memory of these processes, KiB; a page that two of them share counts once (PSS).
pub(crate) fn memory(processes: &[u32]) -> Result<f64> {
    let mut sum = 0.0;
    for id in processes {
        let file = format!("/proc/{id}/smaps_rollup");
        let text = fs::read_to_string(&file).with_context(|| file.clone())?;
        let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
        let kib = line.and_then(|line| line.split_whitespace().next());
        sum += kib
            .and_then(|kib| kib.parse::<f64>().ok())
            .with_context(|| format!("{file} has no Pss"))?;
    }
    Ok(sum)
}

/// What stands behind the name in a process's `stat`, which may have spaces itself: field 0 is
/// the state, 1 the parent, 11 to 14 the times.
fn stat(process: &str) -> Result<Vec<String>> {
    let file = format!("/proc/{process}/stat");
    let text = fs::read_to_string(&file).context(file)?;
    let (_, fields) = text.rsplit_once(')').context("a stat without a name")?;
    Ok(fields.split_whitespace().map(str::to_owned).collect())
}

fn sum(fields: &[String], at: &[usize]) -> f64 {
    let field = |at: &usize| fields.get(*at)?.parse::<f64>().ok();
    at.iter().filter_map(field).sum()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn work_takes_time_and_memory() {
        let this = [std::process::id()];
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_millis(60) {
            std::hint::black_box(0);
        }
        assert!(time(&this).unwrap() > Duration::ZERO);
        assert!(time_of_machine().unwrap() > time(&this).unwrap());
        assert!(memory(&this).unwrap() > 100.0);
    }

    #[test]
    fn children_belong_to_the_family() {
        let mut child = std::process::Command::new("sleep")
            .arg("100")
            .spawn()
            .unwrap();
        assert!(family(std::process::id()).contains(&child.id()));
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
