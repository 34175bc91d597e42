//! A walk along the demo's tour: every line over HTTP/1.1 and HTTP/2, and what the access log
//! and the admin listener must say.

use std::{collections::BTreeSet, fs, time::Duration};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::{
    curl::{Answer, Http, fetch, fetch_plain},
    stage::{Logs, Stage, eventually},
    tour::{ADMIN, Expect, STOPS},
};

/// How long what must come soon may take on a loaded machine.
const LIMIT: Duration = Duration::from_secs(10);

/// Lines of the gateway's log that are shown when something broke.
const SHOWN: usize = 40;

/// A gateway that is looked at.
pub(super) struct Walk {
    pub(super) stage: Stage,
    pub(super) logs: Logs,
}

impl Walk {
    /// Around a stage on which nothing runs yet.
    pub(super) fn on(stage: Stage) -> Self {
        Self {
            logs: Logs::on(&stage),
            stage,
        }
    }

    /// Every stop, and sessions that stick.
    pub(super) fn tour(&self, http: Http) -> Result<()> {
        for (number, stop) in STOPS.iter().enumerate() {
            let title = || format!("over {http}: {}", stop.title);
            let mark = format!("tour={number}{}", http.flag());
            let curl: Vec<_> = stop.curl.iter().map(|one| marked(one, &mark)).collect();
            let curl: Vec<_> = curl.iter().map(String::as_str).collect();
            let answer = self.fetch(http, &curl).with_context(title)?;
            self.compare(http, &mark, &answer, &stop.expect)
                .with_context(|| format!("{}\ngot {answer:?}", title()))?;
        }
        self.affinity(http)
            .with_context(|| format!("over {http}: sessions stick"))
    }

    /// What curl gets through the gateway.
    pub(super) fn fetch(&self, http: Http, curl: &[&str]) -> Result<Answer> {
        // The tour's own -i would show the head twice.
        let curl: Vec<_> = curl.iter().filter(|one| **one != "-i").collect();
        fetch(&self.stage.curlrc(), http, &curl)
    }

    fn compare(&self, http: Http, mark: &str, answer: &Answer, expect: &Expect) -> Result<()> {
        ensure!(answer.version == http.to_string(), "not over {http}");
        ensure!(
            answer.status == expect.status,
            "the status is not {}",
            expect.status
        );
        let text = format!("{}\n{}", answer.head, answer.body);
        for part in expect.has {
            ensure!(text.contains(part), "{part:?} is missing");
        }
        for part in expect.lacks {
            ensure!(!text.contains(part), "{part:?} must not be there");
        }
        if let Some(upstream) = expect.upstream {
            ensure!(
                answer.upstream().as_deref() == Some(upstream),
                "{upstream} did not answer"
            );
        }
        if let Some(pool) = expect.pool {
            let line = self.access_line(mark)?;
            let found = line.get("pool").and_then(Value::as_str);
            ensure!(
                found == Some(pool),
                "the access log does not say pool {pool}: {line}"
            );
        }
        Ok(())
    }

    /// The access-log line of the request with this mark in its query.
    fn access_line(&self, mark: &str) -> Result<Value> {
        eventually(LIMIT, "the request in the access log", || {
            let text = fs::read_to_string(&self.logs.access)?;
            let mut lines = text.lines().filter(|line| line.contains(mark));
            Ok(lines.find_map(|line| serde_json::from_str(line).ok()))
        })
    }

    /// Without a cookie requests are spread; with the first answer's they are not.
    fn affinity(&self, http: Http) -> Result<()> {
        let jar = self.stage.dir().join("cookies.txt");
        let jar = jar.to_string_lossy();
        let url = "https://shop.example/";
        let ask = |arguments: &[&str]| -> Result<String> {
            let answer = self.fetch(http, arguments)?;
            answer
                .upstream()
                .with_context(|| format!("no upstream in {answer:?}"))
        };
        let mut without = BTreeSet::new();
        eventually(
            LIMIT,
            "both servers answer requests without a cookie",
            || {
                without.insert(ask(&[url])?);
                Ok((without.len() == 2).then_some(()))
            },
        )?;
        let first = ask(&["-c", &jar, url])?;
        let with = (0..8)
            .map(|_| ask(&["-b", &jar, url]))
            .collect::<Result<BTreeSet<_>>>()?;
        ensure!(
            with.len() == 1 && with.contains(&first),
            "{first} answered first, then {with:?}"
        );
        fs::remove_file(jar.as_ref()).context("the cookie file")
    }

    /// The pages of the admin listener.
    pub(super) fn admin(&self) -> Result<()> {
        for (url, part) in ADMIN {
            let answer = fetch_plain(&self.stage.moved(url))?;
            ensure!(answer.status == 200, "{url}: {answer:?}");
            ensure!(
                answer.body.contains(part),
                "{url} lacks {part:?}: {answer:?}"
            );
        }
        Ok(())
    }

    /// The end of the gateway's log, for whoever must find out why.
    pub(super) fn show_log(&self) {
        let log = fs::read_to_string(&self.logs.log).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        let shown = lines.len().saturating_sub(SHOWN);
        eprintln!("the end of the gateway's log:");
        for line in lines.iter().skip(shown) {
            eprintln!("    {line}");
        }
    }
}

/// A URL with a mark in its query; other arguments as they are.
fn marked(argument: &str, mark: &str) -> String {
    match argument {
        other if !other.starts_with("https://") => other.to_owned(),
        url if url.contains('?') => format!("{url}&{mark}"),
        url => format!("{url}?{mark}"),
    }
}
