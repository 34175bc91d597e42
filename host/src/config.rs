//! The configuration as the gateway uses it: typed, complete, every default filled in.
//!
//! `parse` reads TOML into `raw` structs and checks them; what needs files (certificates,
//! plugins) or other parts (the affinity plugin of a pool) is resolved by `snapshot`, which
//! reports through [`Config::error`], so that every problem names file, line and key.

mod balance;
mod case_callouts;
mod case_imports;
mod case_tls;
mod cases;
mod check;
mod dns;
mod endpoint_limits;
mod error;
mod error_pages;
mod grants;
mod health;
mod hosts;
mod keys;
mod limits;
mod opening;
mod own_schema;
mod parse;
mod pins;
mod plugin_limits;
mod plugin_trust;
mod pool_http;
mod pools;
mod raw;
mod record;
mod redirect;
mod requests;
mod retries;
mod rollout;
mod schema;
mod sidecar;
mod texts;
mod tls;
mod trace;
mod units;

#[cfg(test)]
mod tests;

use std::{
    fmt::Display, net::SocketAddr, num::NonZeroUsize, path::Path, path::PathBuf, time::Duration,
};

pub use balance::{Balance, HashOn};
pub use case_callouts::{CaseAnswer, CaseCallout, CaseFailure, RawCallout};
pub use case_imports::{CaseClock, CaseImports, CaseKv, KvRefusal, RawImports};
pub use case_tls::{CaseClient, CaseTls, RawClient, RawTls};
pub use cases::{
    Case, CaseBody, CaseBodyFailure, CaseOutcome, CaseRoute, CaseStick, Cases, Expected, RawCase,
    RawPool, RawResponse, RawRoute,
};
pub use dns::{Dns, Family};
pub use endpoint_limits::EndpointLimits;
pub use error::{ConfigError, Problem};
pub use error_pages::{ErrorPage, ErrorPages, Form, PageStatuses};
pub use grants::{BodyLimits, CalloutLimits, Grant, Grants, KvLimits};
pub use health::{Ejection, Fitness, Probe, Statuses};
pub use opening::ProxyProtocol;
pub use own_schema::OwnFile;
pub use plugin_limits::{
    Isolation, LONGEST_SLICE, MAX_TABLE, OnError, OnErrors, PluginLimits, Suspension, TICK,
};
pub use plugin_trust::{PluginTrust, SignerKey};
pub use pool_http::{Keeping, PoolH2, PoolHttp};
pub use record::Record;
pub use redirect::{HttpsRedirect, RedirectPart, RedirectTo};
pub use requests::{EncodedSlashes, Paths, Requests, Slashes, Trace, Underscores, Upgrades};
pub use retries::{Retries, RetryOn};
pub use rollout::{Rollout, ShadowCallouts, StageRules};
pub use schema::{ConfigSchema, SchemaError};
pub use sidecar::{Role, Sidecar};
pub use texts::RawBody;
pub use tls::{
    CertificateFiles, ClientCertificates, ClientIdentity, ClientMode, Hosts, ListenerTls, PoolTls,
    ServerNameFrom, Tickets, TlsPolicy, TlsVersion, UnknownNames, UnknownStatus,
};
pub use trace::{TraceContext, Tracing};

use error::Source;
use keys::{KeyPath, Mark};

/// One configuration file, parsed and checked.
#[derive(Debug)]
pub struct Config {
    source: Source,
    /// Worker threads. Default: one for each core.
    pub workers: NonZeroUsize,
    /// Where plugins are and what they may use.
    pub plugins: Option<Plugins>,
    /// The loopback listener for health, readiness and metrics; none when absent.
    pub admin: Option<SocketAddr>,
    /// `[control]`: the Unix socket over which the command line speaks with the gateway. None
    /// when there is no such table.
    pub control: Option<PathBuf>,
    /// `[record]`. None when there is no such table.
    pub record: Option<Record>,
    /// What the gateway's own log shows.
    pub log: Log,
    /// Where access-log lines go.
    pub access_log: AccessLog,
    /// Whose traces requests belong to.
    pub trace: Tracing,
    /// Deadlines towards clients.
    pub timeouts: Timeouts,
    /// Sizes that clients must keep to.
    pub limits: Limits,
    /// How names of endpoints are looked up.
    pub dns: Dns,
    /// What clients get instead of the gateway's own words about errors, by listeners that have
    /// no pages of their own.
    pub error_pages: ErrorPages,
    /// At least one, names unique, in file order.
    pub listeners: Vec<Listener>,
    /// At least one, sorted by name.
    pub pools: Vec<Pool>,
}

impl Config {
    /// Reads a file. Blocks.
    ///
    /// # Errors
    /// The file cannot be read, or as [`Config::parse`].
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        parse::config(Source::read(path)?)
    }

    /// Reads `text`, the contents of `path`; relative paths in it start at the folder of
    /// `path`. Files that it names are not opened.
    ///
    /// # Errors
    /// All that is wrong with it, at once where possible.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        parse::config(Source::new(path, text))
    }

    /// The file, as it was given.
    pub fn path(&self) -> &Path {
        self.source.path()
    }

    /// A problem with the value of `key`, as `listeners[0].tls.certificates[1].key` or
    /// `pools.web.affinity`; it points at the nearest parent that is in the file.
    pub fn error(&self, key: &str, problem: impl Display) -> ConfigError {
        let key = KeyPath::parse(key);
        let problem = self.source.problem(&key, Mark::Value, problem.to_string());
        ConfigError::of(&self.source, vec![problem])
    }
}

/// `[plugins]`: the watched folder and the defaults for all plugins in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plugins {
    /// Absolute. It need not exist before the gateway starts with `watch`, but must exist.
    pub dir: PathBuf,
    /// What a plugin's sidecar may override.
    pub limits: PluginLimits,
    /// Memory of all instances of all plugins together, bytes. 1 MiB to 1 TiB; default 4 GiB.
    pub total_memory: usize,
    /// What is kept of requests' bodies for plugins, all together, bytes. 1 MiB to 1 TiB; default
    /// 256 MiB.
    pub total_bodies: usize,
    /// Where compiled code is kept; nowhere when none.
    pub cache: Option<PrivateFolder>,
    /// Where versions that were in service outlive the process; nowhere when none.
    pub state: Option<PrivateFolder>,
    /// Which files may be taken into service; all when none.
    pub trust: Option<PluginTrust>,
}

/// Where compiled code, or versions, of plugins are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrivateFolder {
    /// A folder that is the gateway's alone; made when it is not there.
    pub dir: PathBuf,
    /// All of it, bytes. 1 MiB to 1 TiB; default 256 MiB.
    pub size: u64,
}

/// `[log]`: the gateway's own log, on stderr.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// Default info.
    pub level: tracing::Level,
    /// Default text.
    pub format: LogFormat,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// `[access_log]`: one JSON line per request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccessLog {
    /// `path = "-"`, the default.
    Stdout,
    /// Appended to; absolute.
    File(PathBuf),
    /// `path = "off"`.
    Off,
}

/// `[timeouts]`: deadlines towards clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timeouts {
    /// From accept to the end of the TLS handshake. Default 10 s.
    pub tls_handshake: Duration,
    /// From a request's first wait to the end of its head; also how long a connection may
    /// idle between requests. Default 60 s.
    pub request_head: Duration,
    /// Between two reads of a body, either way. Default 60 s.
    pub body_idle: Duration,
    /// Bytes that a client must send or take each second while the gateway waits for it; 0 for
    /// any number. 0 to 1 MiB, default 240.
    pub body_min_rate: u64,
    /// How long it is told before a drain that one will come. Default 0 s.
    pub shutdown_delay: Duration,
    /// In which no byte goes through a tunnel, either way. 1 ms to 7 days, default 1 h.
    pub tunnel_idle: Duration,
    /// How long running requests and tunnels may take after SIGTERM. Default 30 s.
    pub shutdown_grace: Duration,
    /// How long the process that will replace this one may take to be ready. Default 60 s.
    pub upgrade: Duration,
}

/// `[limits]`: sizes that clients must keep to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Request line and header fields together, bytes; 431 above. 8 KiB to 1 MiB, default 64 KiB.
    pub head_bytes: usize,
    /// Header fields of one request; 431 above. 1 to 1000, default 100.
    pub head_fields: usize,
    /// Path and query of one request, bytes; 414 above. 256 B to 63 KiB, default 16 KiB.
    pub target_bytes: usize,
    /// Streams that one HTTP/2 connection may have open. 1 to 10000, default 100.
    pub h2_streams: u32,
    /// Requests that one HTTP/2 connection may cancel, or have reset for its errors, in 10 s;
    /// above, it ends. 1 to 100000, default 100.
    pub h2_resets: u32,
    /// Frames of one HTTP/2 connection in 10 s that neither open a stream nor carry anything,
    /// beyond those that answers explain; above, it ends. 100 to 10000000, default 10000.
    pub h2_idle_frames: u32,
    /// Bytes that a client may send on one HTTP/2 stream before the gateway has passed them
    /// on: the most that a slow upstream makes it hold. 64 KiB to 16 MiB, default 256 KiB.
    pub h2_stream_window: u32,
    /// The same for all streams of a connection. 64 KiB to 64 MiB, default 1 MiB.
    pub h2_connection_window: u32,
    /// Client connections of all workers; accepting pauses above. Default 100000, and never more
    /// than half of the descriptors that the process may have.
    pub connections: usize,
    /// Connections of one client address, or one IPv6 /64; more are closed. Default 10000.
    pub connections_per_client: u32,
    /// Client connections of one worker; accepting pauses above. Default 10000.
    pub connections_per_worker: usize,
}

/// One `[[listeners]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// Where it stands in the file: `listeners[0]`.
    pub key: String,
    /// Unique.
    pub name: String,
    /// Port 0 takes any free port; the log names it.
    pub address: SocketAddr,
    /// Certificates, and what is agreed on with clients; none where HTTP is spoken as it is.
    pub tls: Option<ListenerTls>,
    /// Serves what no routing plugin claims; a declared pool.
    pub default_pool: Option<String>,
    /// Where all requests are sent instead; only without TLS.
    pub https_redirect: Option<HttpsRedirect>,
    /// Whether connections start with a header of the PROXY protocol.
    pub proxy_protocol: Option<ProxyProtocol>,
    /// Which requests it takes, and in which form they are passed on.
    pub requests: Requests,
    /// Its own pages, which replace all of the configuration's.
    pub error_pages: Option<ErrorPages>,
}

/// One `[pools.NAME]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    /// Where it stands in the file: `pools.web`.
    pub key: String,
    /// Unique.
    pub name: String,
    /// How its endpoints are spoken to.
    pub protocol: Protocol,
    /// Which HTTP that is. Default: what the endpoint chooses.
    pub http: PoolHttp,
    /// HTTP/2 connections to endpoints.
    pub h2: PoolH2,
    /// At least one; ids and addresses unique.
    pub endpoints: Vec<Endpoint>,
    /// The name sent as SNI and verified; an endpoint's own host when absent.
    pub server_name: Option<String>,
    /// Whether that is so for all requests.
    pub server_name_from: ServerNameFrom,
    /// Versions and the gateway's own certificate.
    pub tls: PoolTls,
    /// What upstreams get as `Host` instead of what the client asked for.
    pub authority: Option<String>,
    /// The plugin that makes sessions stick.
    pub affinity: Option<String>,
    /// How an endpoint is chosen where affinity has no say. Default round robin.
    pub balance: Balance,
    /// Deadlines towards endpoints.
    pub timeouts: PoolTimeouts,
    /// Connections kept idle per endpoint and worker. 0 to 10000, default 64.
    pub max_idle: usize,
    /// Which endpoints may be chosen.
    pub fitness: Fitness,
    /// How much each endpoint may have at a time.
    pub limits: EndpointLimits,
    /// When a request is tried again.
    pub retries: Retries,
}

/// How a pool's endpoints are spoken to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Protocol {
    /// TLS, to certificates that this trust accepts.
    Https(Trust),
    /// Plain; `protocol = "http"` in the file, and no `trust`.
    Http,
}

/// One server of a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Default: the address as written.
    pub id: String,
    /// A DNS name or IP address.
    pub host: String,
    /// 1 to 65535.
    pub port: u16,
    /// Share of new sessions, 0 to 1000; default 1. With 0 only sessions that stick to it
    /// still reach it.
    pub weight: u16,
    /// Whether only sessions that stick to it still reach it, whatever its weight.
    pub drain: bool,
}

/// `pools.NAME.timeouts`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolTimeouts {
    /// TCP connect. Default 5 s.
    pub connect: Duration,
    /// TLS handshake. Default 5 s.
    pub tls_handshake: Duration,
    /// From the request's end to the response's head. Default 30 s.
    pub first_byte: Duration,
    /// How long an unused connection is kept. Default 60 s.
    pub idle: Duration,
    /// From a request's head to the last byte of its answer. Default: no limit.
    pub request: Option<Duration>,
}

/// What upstream certificates a pool accepts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Trust {
    /// Exactly these leaf certificates; the name does not matter. At least one.
    Certificates(Vec<PinnedCertificate>),
    /// Leaf certificates with one of these keys: SHA-256 of the SubjectPublicKeyInfo
    /// (RFC 7469 §2.4). At least one.
    Spki(Vec<[u8; 32]>),
    /// Chains to one of these CA files, for the right name. At least one.
    Roots(Vec<PathBuf>),
    /// Chains to a CA of the platform, for the right name.
    Public,
}

/// One entry of `trust.certificates`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PinnedCertificate {
    /// A PEM file with one or more certificates, each of which is listed; absolute.
    File(PathBuf),
    /// `sha256:` and 64 hexadecimal digits: SHA-256 of the DER certificate.
    Fingerprint([u8; 32]),
}
