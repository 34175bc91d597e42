//! What a sidecar grants its plugin beside the facts of a request, and how much of it.

use std::{fmt, ops::RangeInclusive, time::Duration};

use super::{check::Check, raw};

const ENTRIES: RangeInclusive<i64> = 1..=1_000_000;
const BYTES: RangeInclusive<u64> = (64 << 10)..=(1 << 30);
const CALLOUTS: RangeInclusive<i64> = 1..=16;
const ANSWER: RangeInclusive<u64> = 0..=(8 << 20);
const BODY: RangeInclusive<u64> = 1..=(8 << 20);
/// Whoever waits longer than this for a decision has given up.
const WAIT: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_mins(1);

/// An interface that a plugin may import only if its sidecar says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Grant {
    /// Civil and monotonic time.
    Clock,
    /// Random numbers.
    Random,
    /// Values that a plugin's instances share.
    Kv,
    /// Numbers of the plugin's own.
    Metrics,
    /// Requests to pools.
    Callout,
    /// The start of requests' bodies.
    Body,
}

impl Grant {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 6] = [
        Self::Clock,
        Self::Random,
        Self::Kv,
        Self::Metrics,
        Self::Callout,
        Self::Body,
    ];

    /// As in a sidecar's `grants`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Clock => "clock",
            Self::Random => "random",
            Self::Kv => "kv",
            Self::Metrics => "metrics",
            Self::Callout => "callout",
            Self::Body => "body",
        }
    }

    /// The interface, as a component imports it.
    pub fn interface(self) -> &'static str {
        match self {
            Self::Clock => "witgate:plugin/clock@0.1.0",
            Self::Random => "witgate:plugin/random@0.1.0",
            Self::Kv => "witgate:plugin/kv@0.1.0",
            Self::Metrics => "witgate:plugin/metrics@0.1.0",
            Self::Callout => "witgate:plugin/callout@0.2.0",
            Self::Body => "witgate:plugin/body@0.2.0",
        }
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// What a sidecar grants; nothing where it is silent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Grants {
    granted: Vec<Grant>,
    /// How much the plugin may keep, where it may.
    pub kv: KvLimits,
    /// Whom it may ask, where it may.
    pub callout: CalloutLimits,
    /// How much of a body it may read, where it may.
    pub body: BodyLimits,
}

impl Grants {
    /// Whether it may be imported.
    pub fn has(&self, grant: Grant) -> bool {
        self.granted.contains(&grant)
    }
}

/// How much one plugin may keep in its store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KvLimits {
    /// 1 to 1,000,000; default 10,000.
    pub entries: usize,
    /// Keys, values and what it takes to keep them. 64 KiB to 1 GiB; default 16 MiB.
    pub bytes: usize,
}

impl Default for KvLimits {
    fn default() -> Self {
        Self {
            entries: 10_000,
            bytes: 16 << 20,
        }
    }
}

/// What one plugin may ask of pools while it decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CalloutLimits {
    /// Names of pools, each once; at least one where it is granted.
    pub pools: Vec<String>,
    /// Until an answer has to be whole. 1 ms to 1 min; default 1 s.
    pub timeout: Duration,
    /// Of an answer's body. 0 to 8 MiB; default 64 KiB.
    pub bytes: usize,
    /// In one call of the plugin. 1 to 16; default 4.
    pub per_call: u32,
}

impl Default for CalloutLimits {
    fn default() -> Self {
        Self {
            pools: Vec::new(),
            timeout: Duration::from_secs(1),
            bytes: 64 << 10,
            per_call: 4,
        }
    }
}

/// What one plugin may read of the body of each request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyLimits {
    /// 1 B to 8 MiB; default 64 KiB.
    pub bytes: usize,
    /// Until the client has to have sent it. 1 ms to 1 min; default 5 s.
    pub timeout: Duration,
}

impl Default for BodyLimits {
    fn default() -> Self {
        Self {
            bytes: 64 << 10,
            timeout: Duration::from_secs(5),
        }
    }
}

impl Check<'_> {
    /// The key `grants` of a sidecar and the tables of single grants.
    pub(super) fn grants(&mut self, raw: raw::Grants) -> Grants {
        let tables = [
            (Grant::Kv, raw.kv.is_some()),
            (Grant::Callout, raw.callout.is_some()),
            (Grant::Body, raw.body.is_some()),
        ];
        let mut grants = Grants {
            granted: self.granted(&raw.grants.unwrap_or_default()),
            kv: self.kv(raw.kv.as_ref()),
            callout: self.callout(raw.callout),
            body: self.body(raw.body.as_ref()),
        };
        grants.granted.sort_unstable();
        for (grant, _) in tables.into_iter().filter(|(_, is_given)| *is_given) {
            if !grants.has(grant) {
                let message = format!("has no meaning without {:?} in `grants`", grant.as_str());
                self.problems.add(grant.as_str(), message);
            }
        }
        if grants.has(Grant::Callout) && grants.callout.pools.is_empty() {
            let message = "\"callout\" allows nothing without the pools that may be asked; \
                           expected `[callout]` with `pools = [\"NAME\"]`";
            self.problems.add("grants", message);
        }
        grants
    }

    fn granted(&mut self, raw: &[String]) -> Vec<Grant> {
        let choices = Grant::ALL.map(|grant| (grant.as_str(), Some(grant)));
        let mut granted = Vec::new();
        for (index, name) in raw.iter().enumerate() {
            let key = format!("grants[{index}]");
            match self.choice(&key, Some(name), &choices, None) {
                Some(grant) if granted.contains(&grant) => {
                    let message = format!("found {name:?} again, expected each once");
                    self.problems.add(&key, message);
                }
                grant => granted.extend(grant),
            }
        }
        granted
    }

    fn kv(&mut self, raw: Option<&raw::Kv>) -> KvLimits {
        let default = KvLimits::default();
        raw.map_or(default, |raw| KvLimits {
            entries: self.count("kv.entries", raw.entries, ENTRIES, default.entries),
            bytes: self.size("kv.bytes", raw.bytes.as_ref(), BYTES, default.bytes),
        })
    }

    fn callout(&mut self, raw: Option<raw::Callout>) -> CalloutLimits {
        let default = CalloutLimits::default();
        let Some(raw) = raw else { return default };
        let (timeout, bytes) = ("callout.timeout", "callout.bytes");
        CalloutLimits {
            timeout: self.duration(timeout, raw.timeout.as_ref(), WAIT, default.timeout),
            bytes: self.size(bytes, raw.bytes.as_ref(), ANSWER, default.bytes),
            per_call: self.count("callout.per_call", raw.per_call, CALLOUTS, default.per_call),
            pools: self.list("callout.pools", raw.pools, |_, _, name| Some(name)),
        }
    }

    fn body(&mut self, raw: Option<&raw::Body>) -> BodyLimits {
        let default = BodyLimits::default();
        raw.map_or(default, |raw| BodyLimits {
            bytes: self.size("body.bytes", raw.bytes.as_ref(), BODY, default.bytes),
            timeout: self.duration("body.timeout", raw.timeout.as_ref(), WAIT, default.timeout),
        })
    }
}
