//! `http` and `h2` of a pool: which HTTP its endpoints are spoken to with, and how much an
//! HTTP/2 connection to one may hold.

use std::{ops::RangeInclusive, time::Duration};

use super::{check::Check, raw};

/// Which HTTP a pool's endpoints are spoken to with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoolHttp {
    /// What the endpoint chooses by ALPN; only with TLS, HTTP/1.1 without it.
    Auto,
    /// HTTP/1.1.
    H1,
    /// HTTP/2; without TLS by prior knowledge (RFC 9113 §3.3).
    H2,
}

impl PoolHttp {
    /// Whether HTTP/1.1 may be spoken.
    pub fn may_be_h1(self) -> bool {
        self != Self::H2
    }

    /// Whether HTTP/2 may be spoken.
    pub fn may_be_h2(self) -> bool {
        self != Self::H1
    }
}

/// HTTP/2 connections to endpoints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolH2 {
    /// Requests that one connection carries at a time, where the endpoint takes as many.
    /// 1 to 1000, default 100.
    pub streams: usize,
    /// Bytes of one answer that are held for a client that does not read. 64 KiB to 16 MiB,
    /// default 256 KiB.
    pub stream_window: u32,
    /// How long nothing may come before the endpoint is asked for a sign of life. Default 30 s.
    pub ping_after: Duration,
    /// How long it has to give one. Default 10 s.
    pub ping_timeout: Duration,
}

/// How each worker keeps its connections to an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keeping {
    /// Connections without a request, of each version.
    pub max_idle: usize,
    /// How long each is kept.
    pub timeout: Duration,
    /// HTTP/2 connections.
    pub h2: PoolH2,
}

const STREAMS: RangeInclusive<i64> = 1..=1000;
const WINDOW: RangeInclusive<u64> = 64 << 10..=16 << 20;
const PINGS: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_hours(24);

impl Check<'_> {
    pub(super) fn pool_http(&mut self, pool: &str, raw: Option<&str>, https: bool) -> PoolHttp {
        let names = [
            ("auto", PoolHttp::Auto),
            ("h1", PoolHttp::H1),
            ("h2", PoolHttp::H2),
        ];
        match self.choice(&format!("{pool}.http"), raw, &names, PoolHttp::Auto) {
            // Nothing is agreed on without TLS.
            PoolHttp::Auto if !https => PoolHttp::H1,
            http => http,
        }
    }

    pub(super) fn pool_h2(&mut self, pool: &str, raw: &raw::PoolH2) -> PoolH2 {
        let at = |name: &str| format!("{pool}.h2.{name}");
        let window = raw.stream_window.as_ref();
        let window = self.size(&at("stream_window"), window, WINDOW, 256 << 10);
        let mut ping = |name: &str, raw: &Option<raw::Duration>, seconds| {
            let default = Duration::from_secs(seconds);
            self.duration(&at(name), raw.as_ref(), PINGS, default)
        };
        PoolH2 {
            ping_after: ping("ping_after", &raw.ping_after, 30),
            ping_timeout: ping("ping_timeout", &raw.ping_timeout, 10),
            streams: self.count(&at("streams"), raw.streams, STREAMS, 100),
            stream_window: u32::try_from(window).unwrap_or(u32::MAX),
        }
    }
}
