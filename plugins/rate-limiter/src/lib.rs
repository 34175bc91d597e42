//! Lets each client send so many requests in so much time, counted over all workers; what is
//! more is answered 429. In windows: one counter for each client in the store that all instances
//! share, which is made by the first request of a window and is gone when the window is over.
//! `bucket` counts without windows.

#![forbid(unsafe_code)]

mod bucket;

use std::time::Duration;

use serde::Deserialize;
use witgate_sdk::{
    Network,
    kv::{self, Refusal},
    prelude::*,
};

use bucket::Bucket;

/// The sidecar's `[config]`.
#[derive(Debug, Deserialize, Schema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Requests that a client has in each window.
    #[schema(least = 1)]
    requests: i64,
    /// The length of a window. It begins with the client's first request; the next one begins
    /// with the first after it.
    #[schema(least = 1, most = 86_400)]
    seconds: u64,
    /// Instead of windows, a bucket that holds so many.
    #[schema(least = 1, most = MOST)]
    burst: Option<i64>,
    /// What is one client: an address, or a value of a request field. Where the field is
    /// missing, not UTF-8 or longer than 256 bytes, the address counts.
    #[serde(default)]
    by: By,
    /// Addresses of IPv6 that have so many bits in common are one client: most customers have a
    /// whole network.
    #[serde(default = "most_ipv6_bits")]
    #[schema(most = 128)]
    ipv6_bits: u8,
    /// What becomes of clients that the store has no room for: not limited, or 503.
    /// `witgate_plugin_kv_refused_total` counts them.
    #[serde(default)]
    when_full: WhenFull,
}

/// Who is counted as one client.
#[derive(Debug, Default, Deserialize, Schema)]
#[serde(rename_all = "lowercase")]
enum By {
    /// One address, or one network of IPv6.
    #[default]
    Address,
    /// One value of a field; an address where the field is missing.
    Header(String),
}

/// What becomes of clients that there is no room to count.
#[derive(Debug, Clone, Copy, Default, Deserialize, Schema)]
#[serde(rename_all = "lowercase")]
enum WhenFull {
    #[default]
    Pass,
    Refuse,
}

/// What a customer of IPv6 usually gets: as many addresses as it likes in one network.
fn most_ipv6_bits() -> u8 {
    64
}

/// Longest value of a field that is used as it is, bytes: with its prefix it fits into a key.
const LONGEST_VALUE: usize = 256;

/// The most that a bucket may hold, and that may come: beyond all use, and far from overflow.
const MOST: i64 = 1_000_000_000;

/// The plugin.
#[derive(Debug)]
pub struct RateLimiter {
    config: Config,
    /// None where windows are counted.
    bucket: Option<Bucket>,
}

impl Plugin for RateLimiter {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, ConfigError> {
        if config.requests < 1 {
            let problem = format!("expected at least 1, found {}", config.requests);
            return Err(ConfigError::at("requests", problem));
        }
        if !(1..=86_400).contains(&config.seconds) {
            let problem = format!("expected 1 to 86400, found {}", config.seconds);
            return Err(ConfigError::at("seconds", problem));
        }
        if config.ipv6_bits > 128 {
            let problem = format!("expected 0 to 128, found {}", config.ipv6_bits);
            return Err(ConfigError::at("ipv6_bits", problem));
        }
        let bucket = match config.burst {
            None => None,
            Some(burst) => Some(bucket(&config, burst)?),
        };
        if bucket.is_some() {
            Bucket::begin();
        }
        Ok(Self { config, bucket })
    }
}

fn bucket(config: &Config, burst: i64) -> Result<Bucket, ConfigError> {
    let count = |key: &str, found: i64| {
        let fits = u64::try_from(found)
            .ok()
            .filter(|_| (1..=MOST).contains(&found));
        fits.ok_or_else(|| ConfigError::at(key, format!("expected 1 to {MOST}, found {found}")))
    };
    Ok(Bucket {
        burst: count("burst", burst)?,
        requests: count("requests", config.requests)?,
        seconds: config.seconds,
    })
}

impl Routing for RateLimiter {
    fn route(&self, request: &Request) -> Route {
        let client = self.client(request);
        let counted = match &self.bucket {
            Some(bucket) => bucket.take(&client),
            None => self.in_window(&client),
        };
        match counted {
            Ok(Ok(())) => Route::Pass,
            Ok(Err(wait)) => refusal(429, "too many requests\n", wait),
            Err(_) => match self.config.when_full {
                WhenFull::Pass => Route::Pass,
                WhenFull::Refuse => refusal(503, "too many clients\n", self.window()),
            },
        }
    }
}

impl RateLimiter {
    fn window(&self) -> Duration {
        Duration::from_secs(self.config.seconds)
    }

    /// Counts a request. Returns how long until the window is over, where it is one too many.
    fn in_window(&self, client: &str) -> Result<Result<(), Duration>, Refusal> {
        let counted = kv::increment(client, 1, Some(self.window()))?;
        Ok(match counted.number > self.config.requests {
            true => Err(counted.left.unwrap_or(self.window())),
            false => Ok(()),
        })
    }

    /// The key of the client's counter.
    fn client(&self, request: &Request) -> String {
        if let By::Header(name) = &self.config.by
            && let Some(value) = request.header_str(name)
            && value.len() <= LONGEST_VALUE
        {
            return format!("value {value}");
        }
        let address = request.peer().ip();
        let bits = match address.is_ipv4() {
            true => 32,
            false => self.config.ipv6_bits,
        };
        format!("address {}", Network::around(address, bits))
    }
}

/// Tells how long to wait, in whole seconds (RFC 9110 §10.2.3).
fn refusal(status: u16, text: &str, wait: Duration) -> Route {
    let seconds = wait.as_millis().div_ceil(1000);
    Route::respond(status)
        .header("retry-after", seconds.to_string())
        .text(text)
        .rule("rate-limit")
        .into()
}

witgate_sdk::export!(RateLimiter: Routing);

#[cfg(test)]
mod tests;
