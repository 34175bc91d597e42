//! Instructions and allocations for each request, as valgrind's callgrind counts them: the same on
//! a busy machine as on a quiet one, so that a change which costs can be told from chance.
//!
//! The gateway serves few requests in one run and many in another, on one HTTP/1.1 connection; the
//! difference is the requests' own. Without plugins: what their code is made into while the
//! gateway runs, callgrind would not see change.

use std::{
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;

use super::{
    load,
    peers::{self, Measured, Running, Server, Setup, Stage},
    statistics::number,
};
use crate::{build, project::Project, setup, step::step};

/// What the developer build takes, for each request. Change it with what changes it, and say why.
const DEBUG: Count = Count {
    instructions: 77_900.0,
    allocations: 28.0,
};
/// The same for the release build.
const RELEASE: Count = Count {
    instructions: 63_600.0,
    allocations: 31.1,
};
/// What may be more. Another compiler or another version of a dependency takes some of it.
const TOLERANCE: f64 = 1.1;

const FEW: u32 = 200;
const MANY: u32 = 1200;
/// Valgrind is some fifty times as slow.
const LIMIT: Duration = Duration::from_secs(300);

/// Which build to count.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The release build, which takes many minutes to make
    #[arg(long)]
    release: bool,
}

/// For each request, or for all of a run.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Count {
    instructions: f64,
    allocations: f64,
}

/// Counts, and fails when it is more than it was by more than chance. Builds what it counts.
pub(crate) fn run(project: &Project, options: &Options) -> Result<()> {
    setup::instructions(project)?;
    let (measured, before) = if options.release {
        build::release(project, &[peers::GATEWAY])?;
        (Measured::release(project), RELEASE)
    } else {
        build::host_as_declared(project)?;
        (Measured::debug(project), DEBUG)
    };
    let stage = Stage::new(project, measured)?;
    let [few, many] = [FEW, MANY].map(|requests| {
        step(
            &format!("Count the instructions of {requests} requests"),
            || {
                let begin = Instant::now();
                let count = count(&stage, requests)?;
                ensure!(begin.elapsed() < LIMIT, "it took longer than {LIMIT:?}");
                Ok(count)
            },
        )
    });
    let now = per_request(few?, many?);
    println!(
        "{} instructions and {} allocations for each request; {} and {} before",
        number(now.instructions),
        number(now.allocations),
        number(before.instructions),
        number(before.allocations),
    );
    judge(now, before)
}

fn per_request(few: Count, many: Count) -> Count {
    let requests = f64::from(MANY - FEW);
    Count {
        instructions: (many.instructions - few.instructions) / requests,
        allocations: (many.allocations - few.allocations) / requests,
    }
}

fn judge(now: Count, before: Count) -> Result<()> {
    let pairs = [
        ("instructions", now.instructions, before.instructions),
        ("allocations", now.allocations, before.allocations),
    ];
    for (what, now, before) in pairs {
        if now > before * TOLERANCE {
            bail!(
                "a request takes {} {what}, and took {} before: find out why, or change the \
                 number in xtask/src/bench/instructions.rs",
                number(now),
                number(before)
            );
        }
        if now * TOLERANCE < before {
            println!("fewer {what} than before: put the new number into instructions.rs");
        }
    }
    Ok(())
}

/// Everything that a gateway does which serves so many requests.
fn count(stage: &Stage, requests: u32) -> Result<Count> {
    let setup = Setup {
        workers: 1,
        ..Setup::default()
    };
    let (gateway, dir, port) = stage.prepare("callgrind", Server::Witgate(setup))?;
    let file = dir.join("callgrind");
    let mut valgrind = Command::new("valgrind");
    valgrind
        .args([
            "--tool=callgrind",
            "--compress-strings=no",
            "--dump-line=no",
        ])
        .arg(format!("--callgrind-out-file={}", file.display()))
        .arg(gateway.get_program())
        .args(gateway.get_args());
    let running = Running::spawn("valgrind", &mut valgrind, dir, port)?;
    let mut until = stage.client("until", &running);
    load::output(&mut until, LIMIT).with_context(|| running.log())?;
    let mut h2load = Command::new("h2load");
    h2load
        .args(["--h1", "-c1", "-t1", "-n", &requests.to_string()])
        .arg(format!("https://localhost:{port}/128"));
    let text = load::output(&mut h2load, LIMIT)?;
    let all_good = format!("{requests} succeeded");
    ensure!(text.contains(&all_good), "h2load lost requests:\n{text}");
    running.end()?;
    read(&file)
}

fn read(file: &Path) -> Result<Count> {
    let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    parse(&text).with_context(|| format!("{} has no totals", file.display()))
}

/// The file format is in valgrind's manual, "Callgrind Format Specification": `fn=` begins a
/// function, `cfn=` names one that it calls, `calls=` says how often.
fn parse(text: &str) -> Option<Count> {
    let (mut caller, mut called) = ("", "");
    let (mut instructions, mut allocations) = (None, 0.0);
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("fn=") {
            caller = name;
        } else if let Some(name) = line.strip_prefix("cfn=") {
            called = name;
        } else if let Some(calls) = line.strip_prefix("calls=") {
            if is_allocation(called) && !is_allocator(caller) {
                allocations += calls.split(' ').next()?.parse::<f64>().ok()?;
            }
        } else if let Some(total) = line.strip_prefix("totals: ") {
            instructions = total.trim().parse::<f64>().ok();
        }
    }
    Some(Count {
        instructions: instructions?,
        allocations,
    })
}

/// Entries of mimalloc, which Rust code uses, and of the C library, which the TLS library uses.
fn is_allocation(function: &str) -> bool {
    let (mimalloc, name) = match function.strip_prefix("mi_") {
        Some(name) => (true, name),
        None => (false, function),
    };
    let name = if mimalloc {
        name.trim_end_matches("_aligned")
    } else {
        name
    };
    matches!(name, "malloc" | "zalloc" | "calloc" | "realloc")
}

/// Calls within the allocators are part of one allocation.
fn is_allocator(function: &str) -> bool {
    function.starts_with("mi_") || function.starts_with("_mi_") || is_allocation(function)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
mod tests {
    use super::*;

    const FILE: &str = "events: Ir\nfn=main\n0 100\ncfn=mi_malloc_aligned\ncalls=7 0\n0 700\n\
        cfn=serve\ncalls=3 0\n0 10\nfn=mi_malloc_aligned\n0 20\ncfn=mi_malloc\ncalls=7 0\n0 9\n\
        fn=OPENSSL_malloc\n0 1\ncfn=malloc\ncalls=2 0\n0 5\ntotals: 12345\n";

    #[test]
    fn the_file_of_callgrind_is_read() {
        let count = parse(FILE).unwrap();
        assert_eq!((count.instructions, count.allocations), (12345.0, 9.0));
        assert_eq!(parse("events: Ir\n"), None);
    }

    #[test]
    fn what_is_more_than_tolerated_fails() {
        let before = Count {
            instructions: 100.0,
            allocations: 10.0,
        };
        let with = |instructions, allocations| Count {
            instructions,
            allocations,
        };
        judge(with(109.0, 10.9), before).unwrap();
        judge(with(50.0, 5.0), before).unwrap();
        let error = judge(with(111.0, 10.0), before).unwrap_err().to_string();
        assert!(
            error.contains("takes 111 instructions, and took 100"),
            "{error}"
        );
        let error = judge(with(100.0, 12.0), before).unwrap_err().to_string();
        assert!(error.contains("takes 12.0 allocations"), "{error}");
    }
}
