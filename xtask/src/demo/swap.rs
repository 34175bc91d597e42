//! Plugins that change while requests run: a new one, another version of it, another
//! configuration. Not one request may fail, and what is new must hold soon.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};

use super::{
    curl::Http,
    load::Load,
    stage::{Stage, eventually, replace},
    walk::Walk,
};
use crate::{command, project::Project, step::step};

/// Where the plugin made here answers, and what.
const URL: &str = "https://shop.example/hello";
const FIRST: &str = "Hello from a plugin!";
const SECOND: &str = "Hello again, from its second version!";

/// What is promised on an idle machine is 2 s; this is for one that also runs the load.
const LIMIT: Duration = Duration::from_secs(10);

/// Two builds of a plugin that was made by `witgate plugin new`.
pub(super) struct Versions {
    first: Vec<u8>,
    second: Vec<u8>,
}

/// Makes a plugin as a newcomer would, builds it, edits it and builds it again.
pub(super) fn prepare(project: &Project, stage: &Stage) -> Result<Versions> {
    step(
        "Make a plugin with `witgate plugin new`, edit it, build it twice",
        || {
            let mut new = project.program(project.binary("witgate"));
            command::run(
                new.args(["plugin", "new", "hello"])
                    .current_dir(stage.dir()),
            )?;
            let first = build(project, stage)?;
            edit(stage)?;
            let second = build(project, stage)?;
            ensure!(first != second, "the edit changed nothing");
            Ok(Versions { first, second })
        },
    )
}

fn build(project: &Project, stage: &Stage) -> Result<Vec<u8>> {
    let out = stage.dir().join("hello.wasm");
    let mut build = project.program(project.binary("witgate"));
    build.args(["plugin", "build", "hello", "-o"]).arg(&out);
    command::run(build.current_dir(stage.dir()))?;
    fs::read(&out).with_context(|| out.display().to_string())
}

fn edit(stage: &Stage) -> Result<()> {
    let source = stage.dir().join("hello/src/lib.rs");
    let text = fs::read_to_string(&source)?;
    ensure!(
        text.contains(FIRST),
        "{} does not say {FIRST:?}",
        source.display()
    );
    fs::write(&source, text.replace(FIRST, SECOND))?;
    Ok(())
}

/// Drops the new plugin, its second version and another sidecar into the folder while
/// requests run.
pub(super) fn under_load(walk: &Walk, versions: &Versions) -> Result<()> {
    let load = Load::start(&walk.stage.curlrc());
    let swapped = swaps(walk, versions);
    // A swap that failed is told before the load that it may have failed with.
    let made = load.finish();
    swapped?;
    for (http, requests) in made? {
        eprintln!("    {requests} requests over {http}, none failed");
    }
    Ok(())
}

fn swaps(walk: &Walk, versions: &Versions) -> Result<()> {
    let plugins = walk.stage.plugins();
    let hello = plugins.join("05-hello.wasm");
    let says = |text: &'static str| move |body: &str| body.contains(text);
    swap(
        walk,
        "a new plugin",
        &hello,
        &versions.first,
        URL,
        says(FIRST),
    )?;
    swap(
        walk,
        "its second version",
        &hello,
        &versions.second,
        URL,
        says(SECOND),
    )?;
    let sidecar = plugins.join("20-path-router.toml");
    let text = fs::read_to_string(&sidecar).with_context(|| sidecar.display().to_string())?;
    let other = text.replacen("pool = \"api\"", "pool = \"tenants\"", 1);
    // What the router has to decide would refuse it.
    let cases = sidecar.with_extension("cases.toml");
    fs::remove_file(&cases).with_context(|| cases.display().to_string())?;
    let api = "https://shop.example/api/";
    swap(
        walk,
        "another sidecar",
        &sidecar,
        other.as_bytes(),
        api,
        says("\"web-1\""),
    )?;
    swap(
        walk,
        "the first sidecar again",
        &sidecar,
        text.as_bytes(),
        api,
        says("\"web-2\""),
    )
}

/// Replaces a file and waits until a URL answers as it then must, over both protocols.
fn swap(
    walk: &Walk,
    what: &str,
    file: &Path,
    bytes: &[u8],
    url: &str,
    is_new: impl Fn(&str) -> bool,
) -> Result<()> {
    let begin = Instant::now();
    replace(file, bytes)?;
    eventually(LIMIT, what, || {
        let answer = walk.fetch(Http::Two, &[url])?;
        Ok(is_new(&answer.body).then_some(()))
    })?;
    eprintln!(
        "    {what}: obeyed after {} ms",
        begin.elapsed().as_millis()
    );
    for http in Http::BOTH {
        let answer = walk.fetch(http, &[url])?;
        ensure!(
            is_new(&answer.body),
            "{what}: taken back over {http}: {answer:?}"
        );
    }
    Ok(())
}
