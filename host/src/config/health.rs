//! How a pool learns which endpoints are fit: `health` (active probes), `ejection` (what
//! traffic shows), `panic_threshold`, `slow_start` and `drain_for`.

use std::{fmt, ops::RangeInclusive, time::Duration};

use http::{HeaderValue, uri::PathAndQuery};

use super::{
    check::{Check, GRACE},
    hosts, raw,
};

/// What decides whether an endpoint takes requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fitness {
    /// Active probes; none when absent.
    pub probe: Option<Probe>,
    /// What traffic shows.
    pub ejection: Ejection,
    /// When fewer than this share of the endpoints are healthy, percent, probes are ignored.
    /// 0 to 100, default 0: never.
    pub panic_threshold: u8,
    /// How long an endpoint that was added or has recovered takes to get its whole share.
    /// Default 0: at once.
    pub slow_start: Duration,
    /// How long sessions that stick to an endpoint that was removed still reach it. Default
    /// 30 s.
    pub drain_for: Duration,
}

/// `pools.NAME.health`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// Whether probes are encrypted as requests are. Plain probes of an `https` pool go to a
    /// port of their own.
    pub encrypted: bool,
    /// Default `/`.
    pub path: PathAndQuery,
    /// Sent as `Host`; the pool's authority, else its server name, else the endpoint's host.
    pub host: Option<HeaderValue>,
    /// Default: the endpoint's.
    pub port: Option<u16>,
    /// Between the end of a probe and the next, give or take a tenth. Default 30 s.
    pub interval: Duration,
    /// For the whole of a probe. Default 30 s.
    pub timeout: Duration,
    /// Failures in a row. Default 3.
    pub unhealthy_after: u32,
    /// Successes in a row. Default 1.
    pub healthy_after: u32,
    /// Default 200 to 399.
    pub statuses: Statuses,
    /// What the first 64 KiB of the body must contain. At most 4090 bytes.
    pub body: Option<String>,
}

/// `pools.NAME.ejection`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ejection {
    /// Connections in a row that could not be made. Default 1; 0: never.
    pub connects: u32,
    /// Requests in a row without a good answer. Default 5; 0: never.
    pub requests: u32,
    /// Statuses that count as no good answer. Default none.
    pub statuses: Statuses,
    /// How long the first time; twice as long each further time. Default 5 s; 0: never.
    pub time: Duration,
    /// How long at most. Default 5 min.
    pub max_time: Duration,
    /// Share of the endpoints that may be out for their requests at a time, percent, at least
    /// one. Default 50.
    pub max_share: u8,
}

/// Ranges of statuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statuses(Vec<RangeInclusive<u16>>);

impl Statuses {
    /// No status at all.
    pub(super) fn none() -> Self {
        Self(Vec::new())
    }

    /// Whether one of the ranges has it.
    pub fn contains(&self, status: u16) -> bool {
        self.0.iter().any(|range| range.contains(&status))
    }
}

impl fmt::Display for Statuses {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, range) in self.0.iter().enumerate() {
            let comma = if place > 0 { ", " } else { "" };
            match (range.start(), range.end()) {
                (only, end) if only == end => write!(out, "{comma}{only}")?,
                (start, end) => write!(out, "{comma}{start}-{end}")?,
            }
        }
        Ok(())
    }
}

const INTERVALS: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_hours(24);
const TIMES: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_hours(1);
const IN_A_ROW: RangeInclusive<i64> = 1..=1000;
const IN_A_ROW_OR_NEVER: RangeInclusive<i64> = 0..=1000;
const PERCENT: RangeInclusive<i64> = 0..=100;
/// Azure's limit.
const BODY_LENGTH: usize = 4090;

/// `Fitness` as written.
pub(super) struct RawFitness {
    pub(super) health: Option<raw::Health>,
    pub(super) ejection: raw::Ejection,
    pub(super) panic_threshold: Option<i64>,
    pub(super) slow_start: Option<raw::Duration>,
    pub(super) drain_for: Option<raw::Duration>,
}

impl Check<'_> {
    pub(super) fn fitness(&mut self, pool: &str, https: bool, raw: RawFitness) -> Fitness {
        let at = |name: &str| format!("{pool}.{name}");
        Fitness {
            probe: raw.health.map(|raw| self.probe(&at("health"), https, raw)),
            ejection: self.ejection(&at("ejection"), raw.ejection),
            panic_threshold: self.count(&at("panic_threshold"), raw.panic_threshold, PERCENT, 0),
            slow_start: self.duration(
                &at("slow_start"),
                raw.slow_start.as_ref(),
                GRACE,
                Duration::ZERO,
            ),
            drain_for: self.duration(
                &at("drain_for"),
                raw.drain_for.as_ref(),
                GRACE,
                Duration::from_secs(30),
            ),
        }
    }

    fn probe(&mut self, key: &str, https: bool, raw: raw::Health) -> Probe {
        let at = |name: &str| format!("{key}.{name}");
        let choices = [("https", true), ("http", false)];
        let encrypted = self.choice(&at("protocol"), raw.protocol.as_deref(), &choices, https);
        let port = raw
            .port
            .map(|port| self.count(&at("port"), Some(port), 1..=65535, 1));
        self.probe_protocol(&at("protocol"), (https, encrypted), port.is_some());
        let path = raw.path.as_deref().unwrap_or("/");
        let path = self.problems.take(&at("path"), probe_path(path));
        let host = raw.host.map(hosts::authority);
        let host = host.and_then(|host| self.problems.take(&at("host"), host));
        let body = raw.body.map(probe_body);
        let azures = Duration::from_secs(30);
        let (interval, timeout) = (raw.interval.as_ref(), raw.timeout.as_ref());
        Probe {
            encrypted,
            path: path.unwrap_or(PathAndQuery::from_static("/")),
            host: host.and_then(|host| HeaderValue::try_from(host).ok()),
            port,
            interval: self.duration(&at("interval"), interval, INTERVALS, azures),
            timeout: self.duration(&at("timeout"), timeout, TIMES, azures),
            unhealthy_after: self.count(&at("unhealthy_after"), raw.unhealthy_after, IN_A_ROW, 3),
            healthy_after: self.count(&at("healthy_after"), raw.healthy_after, IN_A_ROW, 1),
            statuses: match raw.status {
                Some(raw) => self.statuses(&at("status"), raw),
                None => Statuses(vec![200..=399]),
            },
            body: body.and_then(|body| self.problems.take(&at("body"), body)),
        }
    }

    /// A probe proves something only over the trust that requests have.
    fn probe_protocol(&mut self, key: &str, (pool, probe): (bool, bool), own_port: bool) {
        match (pool, probe) {
            (false, true) => self.problems.add(
                key,
                "found \"https\", expected \"http\" as the pool is: it has no trust",
            ),
            (true, false) if !own_port => self.problems.add(
                key,
                "found \"http\", expected \"https\" as the pool is, or a `port` of its own for probes",
            ),
            _ => {}
        }
    }

    fn ejection(&mut self, key: &str, raw: raw::Ejection) -> Ejection {
        let at = |name: &str| format!("{key}.{name}");
        let (first, most) = (Duration::from_secs(5), Duration::from_mins(5));
        Ejection {
            connects: self.count(&at("connects"), raw.connects, IN_A_ROW_OR_NEVER, 1),
            requests: self.count(&at("requests"), raw.requests, IN_A_ROW_OR_NEVER, 5),
            statuses: match raw.status {
                Some(raw) => self.statuses(&at("status"), raw),
                None => Statuses::none(),
            },
            time: self.duration(&at("time"), raw.time.as_ref(), GRACE, first),
            max_time: self.duration(&at("max_time"), raw.max_time.as_ref(), GRACE, most),
            max_share: self.count(&at("max_share"), raw.max_share, PERCENT, 50),
        }
    }

    pub(super) fn statuses(&mut self, key: &str, raw: raw::Statuses) -> Statuses {
        let raw::Statuses(list) = raw;
        if list.is_empty() {
            let message =
                "the list is empty, expected at least one status or range such as \"200-399\"";
            self.problems.add(key, message);
        }
        let ranges = list
            .iter()
            .filter_map(|text| self.problems.take(key, range(text)));
        Statuses(ranges.collect())
    }
}

fn range(text: &str) -> Result<RangeInclusive<u16>, String> {
    let (start, end) = text.split_once('-').unwrap_or((text, text));
    let status = |text: &str| text.trim().parse().ok().filter(|s| (100..=599).contains(s));
    match (status(start), status(end)) {
        (Some(start), Some(end)) if start <= end => Ok(start..=end),
        _ => Err(format!(
            "found {text:?}, expected a status or a range of them, 100 to 599, such as \"200-399\""
        )),
    }
}

fn probe_path(text: &str) -> Result<PathAndQuery, String> {
    let path = text.starts_with('/').then(|| text.parse().ok()).flatten();
    path.ok_or_else(|| format!("found {text:?}, expected a path such as \"/healthz\""))
}

fn probe_body(text: String) -> Result<String, String> {
    match text.len() {
        1..=BODY_LENGTH => Ok(text),
        found => Err(format!("found {found} bytes, expected 1 to {BODY_LENGTH}")),
    }
}
