//! `cargo xtask …`: what a developer of Witgate runs. Sets up the machine, builds the gateway
//! and its plugins, walks through the demo, runs the tests, measures, re-makes the SDK's bindings and pages of the documentation.

mod bench;
mod bindings;
mod build;
mod children;
#[path = "../../host/src/cli/clang.rs"]
#[allow(
    dead_code,
    unreachable_pub,
    reason = "shared with the gateway, which uses all of it"
)]
mod clang;
mod command;
mod demo;
mod languages;
mod package;
mod project;
mod reference;
mod setup;
mod step;
#[path = "../../host/src/cli/toolchain.rs"]
#[allow(
    dead_code,
    unreachable_pub,
    reason = "shared with the gateway, which uses all of it"
)]
mod toolchain;

use std::process::ExitCode;

use clap::Parser;

use project::Project;

/// Tasks of the Witgate project. Each does what it needs first, so that any of them works in
/// a fresh clone.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Task {
    /// Makes sure that this machine can compile the gateway and its plugins, and run the tests
    Setup,
    /// Builds the gateway, the reference plugins and the plugins of the tests
    Plugins,
    /// Builds the plugins in C, JavaScript and Python into `target/other-languages/`
    Languages,
    /// Starts a gateway with plugins and upstreams to play with, until Ctrl-C
    Demo {
        /// Walks through the demo by itself, on free ports; fails if anything is not as it says
        #[arg(long)]
        check: bool,
    },
    /// Runs every test
    Test {
        /// Handed to `cargo test --workspace`
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// Builds the gateway as it is meant to run, guided by what requests do, into `target/guided/witgate`
    Release,
    /// Measures what requests cost, beside nginx; builds the gateway for release, which takes long
    Bench(bench::Options),
    /// Counts instructions and allocations for each request; fails when they are more than before
    Instructions(bench::instructions::Options),
    /// Re-makes the SDK's Rust bindings from `wit/`
    Bindings {
        /// Changes nothing; fails if the bindings are not what `wit/` asks for
        #[arg(long)]
        check: bool,
    },
    /// Packs the crates that are published, and compiles them from their packages
    Package,
    /// Re-makes the pages of `docs/` that are made of other files: the tables of keys, the interface
    Reference {
        /// Changes nothing; fails if a page is not what it is made of
        #[arg(long)]
        check: bool,
    },
}

fn main() -> ExitCode {
    match run(Task::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> anyhow::Result<()> {
    let project = Project::find()?;
    match task {
        Task::Setup => {
            setup::build(&project)?;
            setup::tests(&project)
        }
        Task::Plugins => prepare(&project),
        Task::Languages => {
            setup::build(&project)?;
            build::host(&project)?;
            setup::languages(&project)?;
            languages::build(&project)
        }
        Task::Demo { check } => {
            setup::build(&project)?;
            build::host(&project)?;
            build::plugins(&project)?;
            demo::run(&project, check)
        }
        Task::Test { arguments } => {
            prepare(&project)?;
            setup::tests(&project)?;
            languages::build(&project)?;
            step::step("Run every test", || {
                let mut cargo = project.cargo("test");
                command::run(cargo.arg("--workspace").args(arguments))
            })
        }
        Task::Release => bench::guided::run(&project),
        Task::Bench(options) => bench::run(&project, &options),
        Task::Instructions(options) => {
            prepare(&project)?;
            bench::instructions::run(&project, &options)
        }
        Task::Bindings { check } => bindings::run(check),
        Task::Package => package::run(&project),
        Task::Reference { check } => reference::run(&project, check),
    }
}

/// The binaries that the tests run, and what they load.
fn prepare(project: &Project) -> anyhow::Result<()> {
    setup::build(project)?;
    build::host(project)?;
    build::plugins(project)?;
    build::guests(project)
}
