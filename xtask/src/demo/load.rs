//! Background load: curl over HTTP/1.1 and HTTP/2 at once, every answer looked at.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

use anyhow::{Context as _, Result, bail};

use super::curl::{self, Http};

/// Requests of one curl process. Its connections are kept from one request to the next.
const BATCH: u32 = 500;

/// What each protocol makes at least, however soon the load is ended.
const LEAST: u64 = 2000;

/// Requests that one curl process has open at a time.
const PARALLEL: &str = "4";

/// Load that runs until it is asked for its result.
#[derive(Debug)]
pub(super) struct Load {
    stop: Arc<AtomicBool>,
    clients: Vec<(Http, JoinHandle<Result<Counts>>)>,
}

/// How often each outcome came: `200`, or what curl says of a request without an answer.
type Counts = BTreeMap<String, u64>;

impl Load {
    /// Starts one client for each protocol.
    pub(super) fn start(curlrc: &Path) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let client = |http| {
            let (stop, curlrc) = (Arc::clone(&stop), curlrc.to_owned());
            (http, thread::spawn(move || drive(http, curlrc, &stop)))
        };
        let clients = Http::BOTH.map(client).into();
        Self { stop, clients }
    }

    /// Ends the load; returns how many requests each protocol made. Fails if there was any
    /// answer but 200.
    pub(super) fn finish(self) -> Result<Vec<(Http, u64)>> {
        self.stop.store(true, Ordering::Relaxed);
        let mut made = Vec::new();
        for (http, client) in self.clients {
            let Ok(counts) = client.join() else {
                bail!("the client of {http} panicked");
            };
            made.push((http, all_good(http, &counts?)?));
        }
        Ok(made)
    }
}

fn all_good(http: Http, counts: &Counts) -> Result<u64> {
    let bad: Vec<_> = counts
        .iter()
        .filter(|(outcome, _)| *outcome != "200")
        .collect();
    if !bad.is_empty() {
        bail!("over {http} not every request succeeded while plugins were swapped: {counts:?}");
    }
    Ok(counts.values().sum())
}

fn drive(http: Http, curlrc: PathBuf, stop: &AtomicBool) -> Result<Counts> {
    let mut counts = Counts::new();
    while !stop.load(Ordering::Relaxed) || counts.values().sum::<u64>() < LEAST {
        batch(&mut curl::command(&curlrc), http, &mut counts)?;
    }
    Ok(counts)
}

fn batch(curl: &mut Command, http: Http, counts: &mut Counts) -> Result<()> {
    curl.args([
        http.flag(),
        "--parallel",
        "--parallel-max",
        PARALLEL,
        "-o",
        "/dev/null",
    ]);
    curl.args(["-w", "%{http_code} %{errormsg}\n"]);
    let output = curl
        .arg(format!("https://shop.example/load/[1-{BATCH}]"))
        .output()
        .context("cannot run curl")?;
    let text = String::from_utf8_lossy(&output.stdout);
    for line in text.lines() {
        *counts.entry(line.trim().to_owned()).or_default() += 1;
    }
    let missing = u64::from(BATCH).saturating_sub(text.lines().count() as u64);
    if missing > 0 {
        let why = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        *counts.entry(format!("no result: {why}")).or_default() += missing;
    }
    Ok(())
}
