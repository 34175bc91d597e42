//! What a sidecar grants its plugin beside the facts of a request, and how much of it.

use std::{fmt, ops::RangeInclusive};

use super::{check::Check, raw};

const ENTRIES: RangeInclusive<i64> = 1..=1_000_000;
const BYTES: RangeInclusive<u64> = (64 << 10)..=(1 << 30);

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
}

impl Grant {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 4] = [Self::Clock, Self::Random, Self::Kv, Self::Metrics];

    /// As in a sidecar's `grants`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Clock => "clock",
            Self::Random => "random",
            Self::Kv => "kv",
            Self::Metrics => "metrics",
        }
    }

    /// The interface, as a component imports it.
    pub fn interface(self) -> &'static str {
        match self {
            Self::Clock => "witgate:plugin/clock@0.1.0",
            Self::Random => "witgate:plugin/random@0.1.0",
            Self::Kv => "witgate:plugin/kv@0.1.0",
            Self::Metrics => "witgate:plugin/metrics@0.1.0",
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

impl Check<'_> {
    /// The keys `grants` and `kv` of a sidecar.
    pub(super) fn grants(&mut self, granted: Option<&[String]>, kv: Option<&raw::Kv>) -> Grants {
        let mut grants = Grants {
            granted: self.granted(granted.unwrap_or_default()),
            kv: self.kv(kv),
        };
        grants.granted.sort_unstable();
        if kv.is_some() && !grants.has(Grant::Kv) {
            let message = "has no meaning without \"kv\" in `grants`";
            self.problems.add("kv", message);
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
}
