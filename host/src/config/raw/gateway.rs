//! The file as a whole, and its smaller tables.

use std::collections::BTreeMap;

use serde::Deserialize;
use witgate_schema::Schema;

use super::{Duration, ErrorPage, Listener, Plugins, Pool, Size};

tables! {
    /// The configuration of a Witgate gateway.
    File {
        /// Threads that serve traffic. Each has listeners, connections and plugin instances of
        /// its own.
        #[schema(least = 1, most = 1024, default = "one for each core")]
        workers: Option<i64>,
        plugins: Option<Plugins>,
        admin: Option<Admin>,
        control: Option<Control>,
        record: Option<Record>,
        #[serde(default)]
        log: Log,
        #[serde(default)]
        access_log: AccessLog,
        #[serde(default)]
        trace: Tracing,
        #[serde(default)]
        timeouts: Timeouts,
        #[serde(default)]
        limits: Limits,
        #[serde(default)]
        dns: Dns,
        #[serde(default)]
        error_pages: BTreeMap<String, ErrorPage>,
        #[serde(default)]
        listeners: Vec<Listener>,
        #[serde(default)]
        pools: BTreeMap<String, Pool>,
    }
    /// How names of endpoints are looked up.
    Dns {
        /// Name servers, asked over UDP, and over TCP for long answers. With this list names
        /// are taken as they are: no search domains.
        #[schema(range = "list of addresses", default = "those of `/etc/resolv.conf`")]
        servers: Option<Vec<String>>,
        /// For an answer to one attempt.
        #[schema(range = "duration, 10ms to 1m", default = r#""2s""#)]
        timeout: Option<Duration>,
        /// Before a lookup has failed. The next follows after `min_ttl`, then after twice as
        /// long each time, up to 30 s.
        #[schema(least = 1, most = 10, default = "2")]
        attempts: Option<i64>,
        /// An answer counts for its own time to live, within these.
        #[schema(range = "duration, 100ms to 1d", default = r#""5s""#)]
        min_ttl: Option<Duration>,
        /// An answer counts for its own time to live, within these.
        #[schema(range = "duration, 100ms to 1d", default = r#""1h""#)]
        max_ttl: Option<Duration>,
        /// Addresses of one name that are used: the lowest, so that the order of an answer does
        /// not matter. The log tells of more.
        #[schema(least = 1, most = 1000, default = "64")]
        max_addresses: Option<i64>,
        /// Which addresses are asked for.
        #[schema(choice("both", "ipv4", "ipv6"), default = r#""both""#)]
        family: Option<String>,
        /// Whether name servers may name addresses of this machine, `127.0.0.0/8` and `::1`.
        /// The hosts file may.
        #[schema(default = "false")]
        allow_loopback: Option<bool>,
    }
    /// Health, readiness, metrics and the state of pools.
    Admin {
        /// Only `127.0.0.0/8` and `[::1]`: there is no authentication. `"127.0.0.1:9901"`
        #[schema(range = "loopback address")]
        address: String,
    }
    /// The socket of `witgate plugin status`, `promote` and `rollback`.
    Control {
        /// Where the socket is made. `"/run/witgate/control.sock"`
        #[schema(range = "path of at most 90 bytes")]
        socket: String,
    }
    /// A file of decisions that plugins made.
    Record {
        /// Appended to; made for its owner alone. One JSON object a line: `plugin`, `version`,
        /// `case` (as in [cases](#cases-of-plugins)).
        #[schema(range = "path")]
        path: String,
        /// Percent of requests.
        #[schema(least = 1, most = 100, default = "1")]
        share: Option<i64>,
        /// Only the decisions of these plugins.
        #[schema(range = "list of names", default = "all")]
        plugins: Option<Vec<String>>,
        /// Fields of requests and answers, those to callouts too, whose values are not kept.
        #[schema(range = "list of field names", default = r#"["authorization", "proxy-authorization"]"#)]
        redact_headers: Option<Vec<String>>,
        /// Cookies whose values are not kept; `"*"` stands for all.
        #[schema(range = "list of names", default = r#"["*"]"#)]
        redact_cookies: Option<Vec<String>>,
        /// How much is kept of what plugins have read of a request's body. What they have not
        /// read is never kept.
        #[schema(range = "size, 0 to 64KiB", default = "0")]
        body_bytes: Option<Size>,
        /// How much is kept of the body of each answer that a plugin's callout got.
        #[schema(range = "size, 0 to 64KiB", default = r#""4KiB""#)]
        callout_bytes: Option<Size>,
        /// What is kept of what plugins read of these. What a store says may be secret.
        #[schema(range = r#"list of `"clock"`, `"random"`, `"kv"`"#, default = "nothing")]
        imports: Option<Vec<String>>,
        /// Nothing more is written when the file is as large as that;
        /// `witgate_record_lost_lines_total` counts what was not.
        #[schema(range = "size, 64KiB to 1024GiB", default = r#""256MiB""#)]
        max_size: Option<Size>,
    }
    /// The gateway's own log, on stderr.
    Log {
        /// What is shown: this and all before it.
        #[schema(choice("error", "warn", "info", "debug", "trace"), default = r#""info""#)]
        level: Option<String>,
        /// Lines for people, or one JSON object per line.
        #[schema(choice("text", "json"), default = r#""text""#)]
        format: Option<String>,
    }
    /// One JSON object per request and line.
    AccessLog {
        /// A file that is appended to, stdout, or nothing. SIGUSR1 opens the file again.
        #[schema(range = r#"path, `"-"`, `"off"`"#, default = r#""-""#)]
        path: Option<String>,
    }
    /// Whose trace a request is part of, and where its time went.
    Tracing {
        /// `off`: `traceparent` is a field like any other. `accept`: a client's trace is
        /// continued, and one begins here where it names none. `start`: one begins here with
        /// each request, whatever the client says.
        #[schema(choice("off", "accept", "start"), default = r#""off""#)]
        context: Option<String>,
        /// Percent of the traces that begin here which have the flag `sampled`. A trace that is
        /// continued keeps the client's.
        #[schema(least = 0, most = 100, default = "100")]
        sampled: Option<i64>,
        /// Whether lines of the access log have the spans of the request's way.
        #[schema(default = "false")]
        spans: Option<bool>,
    }
    /// Deadlines towards clients.
    Timeouts {
        /// From accepting a connection to the end of its TLS handshake.
        #[schema(range = "duration, 1ms to 1d", default = r#""10s""#)]
        tls_handshake: Option<Duration>,
        /// For a request's head to arrive; also how long a connection may idle between two
        /// requests.
        #[schema(range = "duration, 1ms to 1d", default = r#""60s""#)]
        request_head: Option<Duration>,
        /// Between two pieces of a body, in either direction; also how long a client may keep
        /// the gateway from sending a piece.
        #[schema(range = "duration, 1ms to 1d", default = r#""60s""#)]
        body_idle: Option<Duration>,
        /// Bytes of a request's body that must come for each second of waiting for the client,
        /// measured over `body_idle`, until the answer begins. Less is answered with 408.
        /// Requests of gRPC are exempt, as their messages may be far apart: for them only
        /// `body_idle` counts. 0: any rate.
        #[schema(range = "size, 0 to 1MiB", default = r#""240B""#)]
        body_min_rate: Option<Size>,
        /// How long after SIGTERM the gateway still accepts connections while `/readyz` answers
        /// 503, so that load balancers look elsewhere first.
        #[schema(range = "duration, 0s to 1d", default = r#""0s""#)]
        shutdown_delay: Option<Duration>,
        /// How long nothing may go through a [tunnel](#tunnels), in either direction, before
        /// both sides are closed.
        #[schema(range = "duration, 1ms to 7d", default = r#""1h""#)]
        tunnel_idle: Option<Duration>,
        /// How long running requests and tunnels may take after that, or after an upgrade.
        #[schema(range = "duration, 0s to 1d", default = r#""30s""#)]
        shutdown_grace: Option<Duration>,
        /// How long the new process of an [upgrade](operations.md#upgrade) may take to be
        /// ready.
        #[schema(range = "duration, 1s to 1h", default = r#""60s""#)]
        upgrade: Option<Duration>,
    }
    /// Limits towards clients.
    Limits {
        /// Request line and header fields together. More is answered with 431.
        #[schema(range = "size, 8KiB to 1MiB", default = r#""64KiB""#)]
        head_bytes: Option<Size>,
        /// Header fields of one request. More are answered with 431.
        #[schema(least = 1, most = 1000, default = "100")]
        head_fields: Option<i64>,
        /// Path and query of one request. More is answered with 414.
        #[schema(range = "size, 256B to 63KiB", default = r#""16KiB""#)]
        target_bytes: Option<Size>,
        /// Requests that one HTTP/2 connection may have running.
        #[schema(least = 1, most = 10000, default = "100")]
        h2_streams: Option<i64>,
        /// Requests that one HTTP/2 connection may cancel, or have reset for errors of its own,
        /// in 10 seconds. More end it.
        #[schema(least = 1, most = 100000, default = "100")]
        h2_resets: Option<i64>,
        /// Frames of one HTTP/2 connection in 10 seconds that neither open a stream nor carry
        /// anything: pings, settings, window updates, priorities, resets, unknown ones, empty
        /// data. More end it. What it sends and is sent raises the number.
        #[schema(least = 100, most = 10000000, default = "10000")]
        h2_idle_frames: Option<i64>,
        /// What a client may send on one HTTP/2 stream before the gateway has passed it on.
        #[schema(range = "size, 64KiB to 16MiB", default = r#""256KiB""#)]
        h2_stream_window: Option<Size>,
        /// The same for all streams of a connection.
        #[schema(range = "size, 64KiB to 64MiB", default = r#""1MiB""#)]
        h2_connection_window: Option<Size>,
        /// Connections from clients that all workers hold. At this number accepting pauses
        /// until one ends; so it does when clients hold half of the descriptors that the
        /// process may have.
        #[schema(least = 1, most = 10000000, default = "100000")]
        connections: Option<i64>,
        /// Connections from one IPv4 address or one IPv6 /64 network. More are closed at once.
        #[schema(least = 1, most = 1000000, default = "10000")]
        connections_per_client: Option<i64>,
        /// Connections from clients that one worker holds. At this number it stops accepting
        /// until one ends.
        #[schema(least = 1, most = 1000000, default = "10000")]
        connections_per_worker: Option<i64>,
    }
}
