//! `[pools.NAME]`: endpoints, trust, and what becomes of failures.

use serde::Deserialize;
use witgate_schema::Schema;

use super::{Duration, Endpoint, Size, Statuses};

tables! {
    /// Servers that are alike.
    Pool {
        /// Whether connections to the endpoints are encrypted.
        #[schema(choice("https", "http"), default = r#""https""#)]
        protocol: Option<String>,
        /// Which HTTP the endpoints are spoken to with: see [HTTP/2 to
        /// endpoints](#http2-to-endpoints).
        #[schema(choice("auto", "h1", "h2"), default = r#""auto""#)]
        http: Option<String>,
        /// How much an HTTP/2 connection may hold: see there.
        #[serde(default)]
        #[schema(default = "see there")]
        h2: PoolH2,
        /// `"host:port"`, or a table: see below. Addresses are unique. A name stands for all
        /// its addresses: see [`[dns]`](#dns).
        #[schema(range = "list of endpoints, not empty")]
        endpoints: Vec<Endpoint>,
        /// Sent as SNI and, with `trust.roots` and `trust.public`, verified. Not with `"http"`.
        #[schema(range = "DNS name or IP address", default = "the endpoint's host")]
        server_name: Option<String>,
        /// `"request"`: the host that the endpoint gets as `Host` is sent and verified instead;
        /// connections are kept apart by it.
        #[schema(choice("configuration", "request"), default = r#""configuration""#)]
        server_name_from: Option<String>,
        tls: Option<PoolTls>,
        /// Sent to the endpoints as `Host`.
        #[schema(range = "host, or host and port", default = "what the client asked for")]
        authority: Option<String>,
        /// Makes sessions stick to an endpoint. `"cookie-affinity"` is the plugin in
        /// `plugins/50-cookie-affinity.wasm`.
        #[schema(range = "name of a plugin", default = "none")]
        affinity: Option<String>,
        /// Which endpoint a request gets where affinity has no say: see [Balance](#balance).
        #[schema(choice("round-robin", "least-requests", "random", "hash"), default = r#""round-robin""#)]
        balance: Option<String>,
        /// What requests are told apart by. Not with another `balance`.
        #[schema(range = r#"`"client-address"`, `"path"`, `"header:NAME"`, `"cookie:NAME"`"#, default = r#"required with `"hash"`"#)]
        hash_on: Option<String>,
        /// Which certificates are accepted: see [Trust](#trust).
        #[schema(range = "exactly one kind", default = r#"required with `"https"`"#)]
        trust: Option<Trust>,
        #[serde(default)]
        timeouts: PoolTimeouts,
        /// Unused connections that are kept for each endpoint and worker, of each version of
        /// HTTP. 0: none.
        #[schema(least = 0, most = 10000, default = "64")]
        max_idle: Option<i64>,
        /// Active probes: see [Health](#health).
        #[schema(default = "none")]
        health: Option<Health>,
        /// What failed requests mean for an endpoint: see [Ejection](#ejection).
        #[serde(default)]
        #[schema(default = "see there")]
        ejection: Ejection,
        /// When fewer than this percentage of the endpoints that take new sessions are healthy,
        /// probes are ignored: they are more likely wrong than all of those down. 0: never.
        #[schema(least = 0, most = 100, default = "0")]
        panic_threshold: Option<i64>,
        /// An endpoint that was added by a reload or has recovered gets a tenth of its share at
        /// first, all of it after this time. Not under `"hash"`.
        #[schema(range = "duration, 0s to 1d", default = r#""0s""#)]
        slow_start: Option<Duration>,
        /// How long sessions that stick to an endpoint that a reload removed still reach it.
        #[schema(range = "duration, 0s to 1d", default = r#""30s""#)]
        drain_for: Option<Duration>,
        /// How much one endpoint may have at a time: see [Limits of
        /// endpoints](#limits-of-endpoints).
        #[serde(default)]
        #[schema(default = "see there")]
        limits: EndpointLimits,
        /// What is tried again: see [Retries](#retries).
        #[serde(default)]
        #[schema(default = "see there")]
        retries: Retries,
    }
    /// What is tried again.
    Retries {
        /// How often one request is tried in all. 1: no retries.
        #[schema(least = 1, most = 10, default = "3")]
        tries: Option<i64>,
        /// Causes after which an idempotent request is tried again, although it may have
        /// arrived.
        #[schema(range = r#"list of `"connection-closed"`, `"first-byte-timeout"`"#, default = "empty")]
        on: Option<Vec<String>>,
        /// Answers after which it is: `"502-504"`.
        #[schema(range = "status, range, or list of them", default = "none")]
        status: Option<Statuses>,
        /// Retries for each hundred requests of the last 10 seconds. More are not made, so that
        /// endpoints that fail for too much load do not get a multiple of it.
        #[schema(least = 0, most = 100, default = "20")]
        budget: Option<i64>,
        /// Retries that are allowed each second whatever the budget says, counted over 10
        /// seconds.
        #[schema(least = 0, most = 1000, default = "10")]
        min_per_second: Option<i64>,
        /// How much of an idempotent request's body is kept. A body that is longer is not kept
        /// at all, nor is one with trailers. 0: none.
        #[schema(range = "size, 0 to 1MiB", default = r#""16KiB""#)]
        buffer: Option<Size>,
    }
    /// How much one endpoint may have at a time.
    EndpointLimits {
        /// Requests that may run on one endpoint, to the end of their answers.
        #[schema(least = 1, most = 1000000, default = "no limit")]
        requests: Option<i64>,
        /// Connections to one endpoint, idle ones too. With `http = "h1"` it limits requests as
        /// well, since a connection carries one at a time. At least one for each worker is
        /// needed: a connection is not shared between them.
        #[schema(least = 1, most = 1000000, default = "no limit")]
        connections: Option<i64>,
        /// Requests that may wait for one endpoint. More are tried elsewhere, then answered
        /// with 503, `endpoint-queue-full`.
        #[schema(least = 0, most = 1000000, default = "100")]
        queue: Option<i64>,
        /// How long a request waits. After it: 503, `endpoint-queue-timeout`.
        #[schema(range = "duration, 1ms to 1h", default = r#""1s""#)]
        queue_timeout: Option<Duration>,
    }
    /// Active probes.
    Health {
        /// `"http"` in an `"https"` pool needs a `port`, and is HTTP/1.1. Else probes speak
        /// what requests do.
        #[schema(choice("https", "http"), default = "as the pool")]
        protocol: Option<String>,
        /// What is asked for, with `GET`.
        #[schema(range = "path, may have a query", default = r#""/""#)]
        path: Option<String>,
        /// Sent as `Host`. The name that is verified is the pool's.
        #[schema(range = "host, or host and port", default = "`authority`, else the endpoint's address")]
        host: Option<String>,
        /// Where probes are answered.
        #[schema(least = 1, most = 65535, default = "the endpoint's")]
        port: Option<i64>,
        /// From the end of a probe to the next, a tenth more or less.
        #[schema(range = "duration, 10ms to 1d", default = r#""30s""#)]
        interval: Option<Duration>,
        /// For the whole probe.
        #[schema(range = "duration, 10ms to 1h", default = r#""30s""#)]
        timeout: Option<Duration>,
        /// So many failures in a row take the endpoint out.
        #[schema(least = 1, most = 1000, default = "3")]
        unhealthy_after: Option<i64>,
        /// So many successes in a row bring it back.
        #[schema(least = 1, most = 1000, default = "1")]
        healthy_after: Option<i64>,
        /// What the answer must have: `"200-399"`, `[200, "300-302"]`.
        #[schema(range = "status, range, or list of them", default = r#""200-399""#)]
        status: Option<Statuses>,
        /// What the first 64 KiB of the answer's body must contain.
        #[schema(range = "text of 1 to 4090 bytes", default = "none")]
        body: Option<String>,
    }
    /// What failed requests mean for an endpoint.
    Ejection {
        /// Connections in a row that could not be made or trusted. 0: never.
        #[schema(least = 0, most = 1000, default = "1")]
        connects: Option<i64>,
        /// Requests in a row without an answer, with an invalid one, or with one of `status`.
        /// 0: never.
        #[schema(least = 0, most = 1000, default = "5")]
        requests: Option<i64>,
        /// Answers that count as failures: `"502-504"`.
        #[schema(range = "status, range, or list of them", default = "none")]
        status: Option<Statuses>,
        /// The first time. 0: endpoints are never ejected.
        #[schema(range = "duration, 0s to 1d", default = r#""5s""#)]
        time: Option<Duration>,
        /// At most.
        #[schema(range = "duration, 0s to 1d", default = r#""5m""#)]
        max_time: Option<Duration>,
        /// Percentage of the pool that may be out for its `requests` at a time, at least one
        /// endpoint. What cannot be connected to is always passed over.
        #[schema(least = 0, most = 100, default = "50")]
        max_share: Option<i64>,
    }
    /// TLS towards endpoints.
    PoolTls {
        /// The lowest version.
        #[schema(choice("1.2", "1.3"), default = r#""1.2""#)]
        min_version: Option<String>,
        /// PEM files of the gateway's own certificate, for endpoints that ask for one.
        #[schema(range = "`{ chain, key }`", default = "none")]
        client_certificate: Option<ClientIdentity>,
    }
    /// The gateway's own certificate.
    ClientIdentity {
        /// A PEM file with the certificate first and its issuers after it.
        #[schema(range = "path")]
        chain: String,
        /// A PEM file with its private key, not encrypted.
        #[schema(range = "path")]
        key: String,
    }
    /// How much an HTTP/2 connection to an endpoint may hold.
    PoolH2 {
        /// Requests that one connection carries at a time, where the endpoint allows as many.
        #[schema(least = 1, most = 1000, default = "100")]
        streams: Option<i64>,
        /// What an endpoint may send of an answer before the client has taken it. The window of
        /// the connection is that of all its streams, so that clients that do not read hold up
        /// no others.
        #[schema(range = "size, 64KiB to 16MiB", default = r#""256KiB""#)]
        stream_window: Option<Size>,
        /// After so long without a byte of an answer the endpoint is asked for a sign of life.
        /// The pause triples while there is nothing else, up to 5m30s, as gRPC's servers end
        /// connections that are pinged more often.
        #[schema(range = "duration, 100ms to 1d", default = r#""30s""#)]
        ping_after: Option<Duration>,
        /// Without one in this time the connection is closed, and what runs on it fails.
        #[schema(range = "duration, 100ms to 1d", default = r#""10s""#)]
        ping_timeout: Option<Duration>,
    }
    /// Deadlines towards endpoints.
    PoolTimeouts {
        /// TCP connection. After it: 504.
        #[schema(range = "duration, 1ms to 1d", default = r#""5s""#)]
        connect: Option<Duration>,
        /// TLS handshake. After it: 504.
        #[schema(range = "duration, 1ms to 1d", default = r#""5s""#)]
        tls_handshake: Option<Duration>,
        /// From the end of the request to the response's head. After it: 504.
        #[schema(range = "duration, 1ms to 1d", default = r#""30s""#)]
        first_byte: Option<Duration>,
        /// How long an unused connection is kept.
        #[schema(range = "duration, 1ms to 1d", default = r#""60s""#)]
        idle: Option<Duration>,
        /// From the request's head to the last byte of the answer: see [The time of a
        /// request](#the-time-of-a-request).
        #[schema(range = "duration, 1ms to 1d", default = "none")]
        request: Option<Duration>,
    }
    /// Which certificates of endpoints are accepted: exactly one kind.
    Trust {
        /// Exactly these certificates, self-signed or not; the name does not matter. A PEM file
        /// may hold several.
        #[schema(range = "list of paths and fingerprints", default = "none")]
        certificates: Option<Vec<String>>,
        /// Every certificate with one of these keys: renewals with the same key go on working.
        #[schema(range = "list of hashes", default = "none")]
        spki: Option<Vec<String>>,
        /// Certificates for the right name that one of these CAs has issued.
        #[schema(range = "list of paths", default = "none")]
        roots: Option<Vec<String>>,
        /// Certificates for the right name that a CA of the operating system has issued.
        #[schema(range = "`true`", default = "none")]
        public: Option<bool>,
    }
    /// An endpoint.
    EndpointTable {
        /// For logs, metrics and plugins. Give one when the address may change but sessions
        /// should stick.
        #[schema(range = r#"visible ASCII without quotes, `\`, `,`, `;`; unique"#, default = "the address as written")]
        id: Option<String>,
        /// `"10.0.0.4:443"`
        #[schema(range = "endpoint")]
        address: String,
        /// Share of new sessions. With 0 only sessions that stick to it still reach it.
        #[schema(least = 0, most = 1000, default = "1")]
        weight: Option<i64>,
        /// Takes it out of service gently: as with weight 0, and shown as `draining`. What runs
        /// on it ends as it would.
        #[schema(default = "false")]
        drain: Option<bool>,
    }
}

impl Trust {
    /// The keys that are there.
    pub(in crate::config) fn kinds(&self) -> Vec<&'static str> {
        let kinds = [
            ("certificates", self.certificates.is_some()),
            ("spki", self.spki.is_some()),
            ("roots", self.roots.is_some()),
            ("public", self.public.is_some()),
        ];
        let given = kinds.into_iter().filter(|(_, given)| *given);
        given.map(|(name, _)| name).collect()
    }
}
