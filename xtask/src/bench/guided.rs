//! `cargo xtask release`: the gateway as it is meant to run. It is compiled with counters, serves
//! the loads that `cargo xtask bench` measures, and is compiled again with what was counted
//! (profile-guided optimisation): the code that requests run stands together, and is inlined
//! where that pays.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result};

use super::{
    load::Load,
    peers::{Measured, Plugins, Server, Setup, Stage, Upstream},
};
use crate::{build, command, project::Project, setup, step::step};

/// How long each load counts.
const SECONDS: u64 = 4;
/// To make one file of what was counted.
const MERGE: Duration = Duration::from_secs(300);

/// What it serves: title, setup and load. Once each kind of HTTP, of connections and of bodies,
/// without plugins and with them.
fn lessons() -> Vec<(&'static str, Setup, Load)> {
    let plain = Setup::default();
    let roles = Setup {
        plugins: Plugins::Roles,
        ..plain
    };
    let over_h2 = |setup: Setup| Setup {
        upstream: Upstream::H2,
        ..setup
    };
    let keep_alive = Load::wrk(32, "/128");
    let connect = |resume| Load::Connect { resume };
    vec![
        ("HTTP/1.1", plain, keep_alive),
        ("HTTP/1.1, three roles", roles, keep_alive),
        ("HTTP/2", plain, Load::H2load),
        ("HTTP/2, three roles", roles, Load::H2load),
        ("HTTP/2 on both sides", over_h2(plain), Load::H2load),
        ("HTTP/2 on both sides, roles", over_h2(roles), Load::H2load),
        ("16 KiB", roles, Load::wrk(32, "/16k")),
        ("1 MiB down", roles, Load::wrk(8, "/1m")),
        ("1 MiB up", roles, Load::Upload),
        ("new connections", roles, connect(false)),
        ("resumed connections", roles, connect(true)),
        ("paced requests", roles, Load::Paced),
    ]
}

/// Where it is put.
pub(crate) fn binary(project: &Project) -> PathBuf {
    dir(project).join("witgate")
}

fn dir(project: &Project) -> PathBuf {
    project.target().join("guided")
}

/// Builds it, which takes half an hour on two cores.
pub(crate) fn run(project: &Project) -> Result<()> {
    crate::prepare(project)?;
    setup::bench(project)?;
    let merger = step("Look for llvm-profdata", setup::llvm_profdata)?;
    let dir = dir(project);
    let (counts, profile) = (dir.join("counts"), dir.join("merged.profdata"));
    // What is left of another build is of other code.
    match fs::remove_dir_all(&counts) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(error).with_context(|| counts.display().to_string());
        }
        _ => {}
    }
    let flag = format!("-Cprofile-generate={}", counts.display());
    let counting = step("Build the gateway with counters (many minutes)", || {
        build::with_flag(project, &dir, &flag)
    })?;
    learn(project, counting)?;
    step("Merge what was counted", || {
        merge(&merger, &counts, &profile)
    })?;
    let flag = format!("-Cprofile-use={}", profile.display());
    let built = step("Build the gateway with it (many minutes)", || {
        build::with_flag(project, &dir, &flag)
    })?;
    let gateway = binary(project);
    fs::copy(&built, &gateway).with_context(|| gateway.display().to_string())?;
    println!("The gateway is {}.", gateway.display());
    Ok(())
}

/// Has it serve; it writes what it has counted when it ends.
fn learn(project: &Project, counting: PathBuf) -> Result<()> {
    let measured = Measured {
        gateway: counting,
        ..Measured::release(project)
    };
    let stage = step("Start the upstream", || Stage::new(project, measured))?;
    for (title, setup, load) in lessons() {
        step(&format!("Count what requests run: {title}"), || {
            let server = stage.start("counting", Server::Witgate(setup))?;
            load.run(&stage, &server, SECONDS)?;
            server.end()
        })?;
    }
    Ok(())
}

fn merge(merger: &Path, counts: &Path, into: &Path) -> Result<()> {
    let mut merge = Command::new(merger);
    merge.args(["merge", "-o"]).arg(into).arg(counts);
    command::run_quietly(&mut merge, MERGE)
}
