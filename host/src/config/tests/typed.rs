//! What good files mean.

use std::{path::PathBuf, time::Duration};

use super::*;
use crate::config::{
    AccessLog, BodyLimits, CalloutLimits, Cases, CertificateFiles, ClientCertificates, ClientMode,
    EncodedSlashes, Endpoint, ErrorPage, ErrorPages, Form, Grant, Grants, Hosts, HttpsRedirect,
    Isolation, KvLimits, LogFormat, OnError, OnErrors, PageStatuses, Paths, PinnedCertificate,
    PluginTrust, PoolH2, PoolHttp, PrivateFolder, Protocol, RedirectPart, RedirectTo, Requests,
    Role, Rollout, ShadowCallouts, SignerKey, Slashes, StageRules, Suspension, Tickets, TlsPolicy,
    TlsVersion, Trace, Trust, Underscores, UnknownNames, UnknownStatus, Upgrades,
};

const SECOND: Duration = Duration::from_secs(1);

const WHOLE: &str = r#"
workers = 2

[plugins]
dir = "plugins"
deadline = "20ms"
memory = "16MiB"
on_error = "fail-open"

[admin]
address = "127.0.0.1:9901"

[log]
level = "debug"
format = "json"

[access_log]
path = "logs/access.json"

[timeouts]
tls_handshake = "11s"
request_head = "1m1s"
body_idle = "1m 2s"
body_min_rate = "1KiB"
shutdown_delay = "3s"
tunnel_idle = "2d"
shutdown_grace = "0s"
upgrade = "5s"

[limits]
head_bytes = 65536
head_fields = 50
target_bytes = "1KiB"
h2_resets = 10
h2_idle_frames = 1000
h2_stream_window = "64KiB"
h2_connection_window = "2MiB"
connections = 50
connections_per_client = 7
h2_streams = 200
connections_per_worker = 5

[error_pages]
502 = { html = "errors/502.html", json = "/errors/502.json" }
5xx.text = "errors/5xx.txt"

[[listeners]]
name = "public"
address = "127.0.0.1:8443"
tls.certificates = [{ chain = "certs/shop.pem", key = "/keys/shop.key" }]
default_pool = "web"
requests = { paths = "as-sent", slashes = "keep", encoded_slashes = "keep", underscores = "keep", trace = "forward", body_bytes = "1MiB", upgrades = ["websocket", "Sync"] }

[[listeners]]
name = "second"
address = "[::1]:0"

[[listeners.tls.certificates]]
chain = "a.pem"
key = "a.key"

[[listeners]]
name = "plain"
address = "127.0.0.1:8080"
protocol = "http"
https_redirect = { status = 301, port = 8443, query = "drop" }
proxy_protocol = { trusted = ["10.0.0.0/8", "::1"], timeout = "2s" }
error_pages = {}

[pools.web]
protocol = "https"
endpoints = ["10.0.0.4:443", { id = "b", address = "[2001:db8::5]:8443", weight = 2 }]
server_name = "web.internal"
authority = "web.internal:8443"
affinity = "cookie-affinity"
trust.certificates = [
    "certs/web-1.pem",
    "sha256:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
    "SHA256:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF",
]
timeouts = { connect = "1s", tls_handshake = "2s", first_byte = "3s", idle = "4s", request = "5m" }
max_idle = 0
http = "h2"
h2 = { streams = 7, stream_window = "1MiB", ping_after = "1s", ping_timeout = "2s" }
ejection = { time = "250ms" }

[pools.keys]
endpoints = ["keys.internal:443"]
trust.spki = [
    "sha256:ABEiM0RVZneImaq7zN3u/wARIjNEVWZ3iJmqu8zd7v8=",
    "sha256:00112233445566778899AABBCCDDEEFF00112233445566778899AABBCCDDEEFF",
]

[pools."by.roots"]
endpoints = ["a.internal:443"]
trust = { roots = ["ca.pem", "/etc/ca.pem"] }

[pools.plain]
protocol = "http"
endpoints = ["localhost:8080"]
"#;

const HASH: [u8; 32] = [
    0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff,
    0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff,
];

const MINIMAL: &str = r#"
[plugins]
dir = "plugins"

[[listeners]]
name = "public"
address = "127.0.0.1:8443"
tls.certificates = [{ chain = "shop.pem", key = "shop.key" }]

[pools.web]
endpoints = ["10.0.0.4:443"]
trust.public = true
"#;

fn path(path: &str) -> PathBuf {
    Path::new("/etc/witgate").join(path)
}

#[test]
fn a_whole_file_is_understood() {
    let config = parse(WHOLE).unwrap();
    assert_eq!(config.path(), Path::new(FILE));
    assert_eq!(config.workers.get(), 2);
    let plugins = config.plugins.as_ref().unwrap();
    assert_eq!(plugins.dir, path("plugins"));
    assert_eq!(plugins.limits.deadline, Duration::from_millis(20));
    assert_eq!(
        (plugins.limits.memory, plugins.limits.on_error),
        (16 << 20, OnErrors::all(OnError::FailOpen))
    );
    assert_eq!(config.admin, Some(([127, 0, 0, 1], 9901).into()));
    assert_eq!(
        (config.log.level, config.log.format),
        (tracing::Level::DEBUG, LogFormat::Json)
    );
    assert_eq!(config.access_log, AccessLog::File(path("logs/access.json")));
    let timeouts = &config.timeouts;
    assert_eq!(
        (timeouts.tls_handshake, timeouts.request_head),
        (11 * SECOND, 61 * SECOND)
    );
    assert_eq!(
        (timeouts.body_idle, timeouts.shutdown_grace),
        (62 * SECOND, Duration::ZERO)
    );
    assert_eq!(timeouts.body_min_rate, 1024);
    assert_eq!(
        (timeouts.shutdown_delay, timeouts.upgrade),
        (3 * SECOND, 5 * SECOND)
    );
    assert_eq!(timeouts.tunnel_idle, Duration::from_hours(48));
    let limits = &config.limits;
    assert_eq!((limits.head_bytes, limits.head_fields), (65536, 50));
    assert_eq!((limits.h2_streams, limits.connections_per_worker), (200, 5));
    assert_eq!(limits.target_bytes, 1024);
    assert_eq!((limits.h2_resets, limits.h2_idle_frames), (10, 1000));
    assert_eq!(
        (limits.h2_stream_window, limits.h2_connection_window),
        (64 << 10, 2 << 20)
    );
    assert_eq!((limits.connections, limits.connections_per_client), (50, 7));
}

#[test]
fn listeners_keep_the_files_order() {
    let listeners = parse(WHOLE).unwrap().listeners;
    let [public, second, plain] = &listeners[..] else {
        panic!("{listeners:?}");
    };
    assert_eq!(
        (public.key.as_str(), public.name.as_str()),
        ("listeners[0]", "public")
    );
    let (chain, key) = (path("certs/shop.pem"), PathBuf::from("/keys/shop.key"));
    assert_eq!(
        public.tls.as_ref().unwrap().certificates,
        [CertificateFiles {
            chain,
            key,
            ocsp: None
        }]
    );
    assert_eq!(public.default_pool.as_deref(), Some("web"));
    let requests = Requests {
        paths: Paths::AsSent,
        slashes: Slashes::Keep,
        encoded_slashes: EncodedSlashes::Keep,
        underscores: Underscores::Keep,
        trace: Trace::Forward,
        body_bytes: 1 << 20,
        upgrades: Upgrades::Named(vec!["websocket".into(), "Sync".into()]),
    };
    assert_eq!(public.requests, requests);
    assert_eq!(second.requests, Requests::default());
    assert_eq!((public.tls.is_some(), &plain.tls), (true, &None));
    let redirect = HttpsRedirect {
        status: 301,
        to: RedirectTo::SameHost { port: 8443 },
        path: RedirectPart::Keep,
        query: RedirectPart::Drop,
    };
    assert_eq!(plain.https_redirect, Some(redirect));
    let proxy = plain.proxy_protocol.as_ref().unwrap();
    assert_eq!(proxy.timeout, 2 * SECOND);
    for (peer, trusted) in [
        ("10.1.2.3", true),
        ("::1", true),
        ("::ffff:10.0.0.1", true),
        ("11.0.0.1", false),
    ] {
        assert_eq!(proxy.trusts(peer.parse().unwrap()), trusted, "{peer}");
    }
    assert_eq!(
        (&public.https_redirect, &public.proxy_protocol),
        (&None, &None)
    );
    assert_eq!(second.address, "[::1]:0".parse().unwrap());
    assert_eq!(
        (
            second.tls.as_ref().unwrap().certificates.len(),
            second.default_pool.as_ref()
        ),
        (1, None)
    );
}

#[test]
fn error_pages_are_understood() {
    let config = parse(WHOLE).unwrap();
    let page = |status: &str, name: &str, statuses, form, file: &str| ErrorPage {
        key: format!("error_pages.{status}.{name}"),
        statuses,
        form,
        file: path(file),
    };
    let (exact, class) = (PageStatuses::One(502), PageStatuses::Class(5));
    let expected = ErrorPages(vec![
        page("502", "html", exact, Form::Html, "errors/502.html"),
        page("502", "json", exact, Form::Json, "/errors/502.json"),
        page("5xx", "text", class, Form::Text, "errors/5xx.txt"),
    ]);
    assert_eq!(config.error_pages, expected);
    let of = |index: usize| config.listeners[index].error_pages.clone();
    assert_eq!((of(0), of(2)), (None, Some(ErrorPages::default())));
}

#[test]
fn pools_are_sorted_by_name() {
    let pools = parse(WHOLE).unwrap().pools;
    let keys: Vec<_> = pools.iter().map(|pool| pool.key.as_str()).collect();
    assert_eq!(
        keys,
        [
            "pools.\"by.roots\"",
            "pools.keys",
            "pools.plain",
            "pools.web"
        ]
    );
    let web = &pools[3];
    let endpoint = |id: &str, host: &str, port, weight| Endpoint {
        id: id.to_owned(),
        host: host.to_owned(),
        port,
        weight,
        drain: false,
    };
    let first = endpoint("10.0.0.4:443", "10.0.0.4", 443, 1);
    assert_eq!(
        web.endpoints,
        [first, endpoint("b", "2001:db8::5", 8443, 2)]
    );
    assert_eq!(web.server_name.as_deref(), Some("web.internal"));
    assert_eq!(web.authority.as_deref(), Some("web.internal:8443"));
    assert_eq!(web.affinity.as_deref(), Some("cookie-affinity"));
    let timeouts = &web.timeouts;
    assert_eq!(
        (timeouts.connect, timeouts.tls_handshake),
        (SECOND, 2 * SECOND)
    );
    assert_eq!(
        (timeouts.first_byte, timeouts.idle),
        (3 * SECOND, 4 * SECOND)
    );
    assert_eq!(timeouts.request, Some(300 * SECOND));
    assert_eq!(
        (web.max_idle, web.fitness.ejection.time),
        (0, Duration::from_millis(250))
    );
    let h2 = PoolH2 {
        streams: 7,
        stream_window: 1 << 20,
        ping_after: SECOND,
        ping_timeout: 2 * SECOND,
    };
    assert_eq!((web.http, &web.h2), (PoolHttp::H2, &h2));
}

#[test]
fn each_kind_of_trust_is_understood() {
    let config = parse(WHOLE).unwrap();
    let protocols: Vec<_> = config.pools.into_iter().map(|pool| pool.protocol).collect();
    let pin = PinnedCertificate::Fingerprint(HASH);
    let file = PinnedCertificate::File(path("certs/web-1.pem"));
    let expected = [
        Protocol::Https(Trust::Roots(vec![path("ca.pem"), "/etc/ca.pem".into()])),
        Protocol::Https(Trust::Spki(vec![HASH, HASH])),
        Protocol::Http,
        Protocol::Https(Trust::Certificates(vec![file, pin.clone(), pin])),
    ];
    assert_eq!(protocols, expected);
    let public = parse(MINIMAL).unwrap().pools.remove(0).protocol;
    assert_eq!(public, Protocol::Https(Trust::Public));
}

/// The numbers are those of the doc comments of `config` and of docs/configuration.md.
#[test]
fn defaults_are_as_documented() {
    let config = parse(MINIMAL).unwrap();
    assert_eq!(
        config.workers,
        std::thread::available_parallelism().unwrap()
    );
    let plugins = &config.plugins.as_ref().unwrap().limits;
    assert_eq!(plugins.deadline, Duration::from_millis(50));
    assert_eq!(
        (plugins.memory, plugins.on_error),
        (32 * 1024 * 1024, OnErrors::all(OnError::FailClosed))
    );
    assert_eq!(config.admin, None);
    assert_eq!(
        (config.log.level, config.log.format),
        (tracing::Level::INFO, LogFormat::Text)
    );
    assert_eq!(config.access_log, AccessLog::Stdout);
    let timeouts = &config.timeouts;
    assert_eq!(
        (timeouts.tls_handshake, timeouts.request_head),
        (10 * SECOND, 60 * SECOND)
    );
    assert_eq!(
        (timeouts.body_idle, timeouts.shutdown_grace),
        (60 * SECOND, 30 * SECOND)
    );
    assert_eq!(timeouts.body_min_rate, 240);
    assert_eq!(
        (timeouts.shutdown_delay, timeouts.upgrade),
        (Duration::ZERO, 60 * SECOND)
    );
    assert_eq!(timeouts.tunnel_idle, Duration::from_hours(1));
    let limits = &config.limits;
    assert_eq!((limits.head_bytes, limits.head_fields), (64 * 1024, 100));
    assert_eq!(limits.target_bytes, 16 * 1024);
    assert_eq!((limits.h2_resets, limits.h2_idle_frames), (100, 10_000));
    assert_eq!(
        (limits.h2_stream_window, limits.h2_connection_window),
        (256 << 10, 1 << 20)
    );
    assert_eq!(
        (limits.connections, limits.connections_per_client),
        (100_000, 10_000)
    );
    assert_eq!(
        (limits.h2_streams, limits.connections_per_worker),
        (100, 10_000)
    );
    assert_eq!(config.listeners[0].default_pool, None);
    let requests = Requests {
        paths: Paths::Normalize,
        slashes: Slashes::Merge,
        encoded_slashes: EncodedSlashes::Refuse,
        underscores: Underscores::Drop,
        trace: Trace::Refuse,
        body_bytes: 4 << 30,
        upgrades: Upgrades::Named(vec!["websocket".into()]),
    };
    assert_eq!(config.listeners[0].requests, requests);
    let pool = &config.pools[0];
    assert_eq!(
        (&pool.server_name, &pool.authority, &pool.affinity),
        (&None, &None, &None)
    );
    let timeouts = &pool.timeouts;
    assert_eq!(
        (timeouts.connect, timeouts.tls_handshake),
        (5 * SECOND, 5 * SECOND)
    );
    assert_eq!(
        (timeouts.first_byte, timeouts.idle),
        (30 * SECOND, 60 * SECOND)
    );
    assert_eq!(timeouts.request, None);
    assert_eq!(pool.max_idle, 64);
    let h2 = PoolH2 {
        streams: 100,
        stream_window: 256 << 10,
        ping_after: 30 * SECOND,
        ping_timeout: 10 * SECOND,
    };
    assert_eq!((pool.http, &pool.h2), (PoolHttp::Auto, &h2));
    assert_eq!(
        (pool.endpoints[0].weight, pool.endpoints[0].id.as_str()),
        (1, "10.0.0.4:443")
    );
}

/// The block of docs/configuration.md that starts with this line.
fn documented(start: &str) -> &'static str {
    let reference = include_str!("../../../../docs/configuration.md");
    let (_, block) = reference.split_once(start).unwrap();
    block.split_once("```").unwrap().0
}

#[test]
fn the_reference_shows_every_key_with_its_default() {
    let written = documented("```toml every-key\n");
    let short = written.lines().filter(|line| {
        let kept = [
            "[plugins]",
            "dir ",
            "[[listeners]]",
            "name ",
            "address ",
            "tls.",
            "trust.",
        ];
        let endpoints = ["[pools.web]", "endpoints ", "    ", "]"];
        kept.iter()
            .chain(&endpoints)
            .any(|start| line.starts_with(start))
    });
    let short: Vec<_> = short.collect();
    let plain = |text: &str| {
        let mut config = parse(text).unwrap();
        config.source = crate::config::Source::without_text(Path::new(FILE));
        format!("{config:#?}")
    };
    assert_eq!(plain(written), plain(&short.join("\n")));
    let all: Vec<_> = written
        .lines()
        .map(|line| line.strip_prefix("# ").unwrap_or(line))
        .collect();
    parse(&all.join("\n")).unwrap();
    sidecar(documented("```toml sidecar\n")).unwrap();
    Cases::parse(documented("```toml cases\n"), Path::new("a.cases.toml")).unwrap();
}

#[test]
fn the_access_log_can_be_off() {
    let log = |path: &str| {
        parse(&format!("{MINIMAL}[access_log]\npath = {path:?}\n"))
            .unwrap()
            .access_log
    };
    assert_eq!(log("off"), AccessLog::Off);
    assert_eq!(log("-"), AccessLog::Stdout);
}

#[test]
fn sizes_are_read_in_all_units() {
    for (written, bytes) in [
        ("8192", 8192),
        ("\"8192B\"", 8192),
        ("\"64KiB\"", 65536),
        ("\"64 kib\"", 65536),
        ("\"10KB\"", 10_000),
        ("\"1MB\"", 1_000_000),
        ("\"1MiB\"", 1 << 20),
    ] {
        let config = parse(&format!("{MINIMAL}[limits]\nhead_bytes = {written}\n")).unwrap();
        assert_eq!(config.limits.head_bytes, bytes, "{written}");
    }
}

#[test]
fn relative_paths_start_at_the_files_folder() {
    let config = Config::parse(MINIMAL, Path::new("sub/witgate.toml")).unwrap();
    let folder = std::env::current_dir().unwrap().join("sub");
    assert_eq!(config.plugins.unwrap().dir, folder.join("plugins"));
    assert_eq!(
        config.listeners[0].tls.as_ref().unwrap().certificates[0].key,
        folder.join("shop.key")
    );
}

#[test]
fn a_sidecar_overrides_the_defaults() {
    let text = r#"
deadline = "10ms"
memory = "16MiB"
on_error = "fail-open"
roles = ["rewriting", "routing"]
[config]
site = "shop"
since = 2024-05-01T10:00:00Z
day = 2024-05-01
n = -3
half = 0.5
list = [{ a = true }]
"#;
    let sidecar = sidecar(text).unwrap();
    assert_eq!(sidecar.limits.deadline, Duration::from_millis(10));
    assert_eq!(
        (sidecar.limits.memory, sidecar.limits.on_error),
        (16 << 20, OnErrors::all(OnError::FailOpen))
    );
    assert_eq!(sidecar.roles, Some(vec![Role::Rewriting, Role::Routing]));
    let json: serde_json::Value = serde_json::from_str(&sidecar.config_json).unwrap();
    let expected = serde_json::json!({
        "site": "shop", "since": "2024-05-01T10:00:00Z", "day": "2024-05-01",
        "n": -3, "half": 0.5, "list": [{ "a": true }],
    });
    assert_eq!(json, expected);
    let error = sidecar.error("config.list[0].a", "no");
    assert_eq!(error.problems().next().unwrap().line, 12);
}

#[test]
fn all_of_a_plugins_limits_are_understood() {
    let text = r#"
deadline = "1s"
slice = "3ms"
overtime = 20
memory = "1MiB"
table = 500
stack = 100_000
output = "2KiB"
log_lines = 0
file_size = "1MiB"
compile_timeout = "1s"
compile_memory = "100MiB"
instances = 3
isolation = "reuse"
recycle_after = 0
suspend_after = 4
suspend_for = "2m"
on_error = { affinity = "fail-open" }
"#;
    let limits = sidecar(text).unwrap().limits;
    let expected = PluginLimits {
        deadline: SECOND,
        slice: Duration::from_millis(3),
        overtime: 20,
        memory: 1 << 20,
        table: 500,
        stack: 128 << 10,
        output: 2048,
        log_lines: 0,
        file_size: 1 << 20,
        compile_timeout: SECOND,
        compile_memory: 100 << 20,
        instances: 3,
        isolation: Isolation::Reuse(None),
        suspension: Suspension {
            after: 4,
            first: 120 * SECOND,
            longest: 120 * SECOND,
        },
        on_error: OnErrors {
            affinity: OnError::FailOpen,
            ..OnErrors::all(OnError::FailClosed)
        },
    };
    assert_eq!(limits, expected);
    assert_eq!(limits.slice_ticks(), 2, "slices are whole ticks of 2 ms");
    let fresh = sidecar("isolation = \"request\"").unwrap().limits;
    assert_eq!(fresh.isolation, Isolation::Request);
}

#[test]
fn trust_in_plugins_is_digests_and_keys() {
    let line = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";
    let digest = "sha256:".to_owned() + &"0A".repeat(32);
    let trust = format!("trust.digests = [{digest:?}]\ntrust.keys = [{line:?}, \"a.pub\"]\n");
    let text = MINIMAL.replace(
        "dir = \"plugins\"\n",
        &format!("dir = \"plugins\"\n{trust}"),
    );
    let expected = PluginTrust {
        digests: vec![[10; 32]],
        keys: vec![
            SignerKey::Line(line.to_owned()),
            SignerKey::File(path("a.pub")),
        ],
        sidecars: false,
    };
    assert_eq!(parse(&text).unwrap().plugins.unwrap().trust, Some(expected));
    assert_eq!(parse(MINIMAL).unwrap().plugins.unwrap().trust, None);
}

#[test]
fn private_folders_have_a_size() {
    let plugins = |lines: &str| {
        let lines = format!("dir = \"plugins\"\n{lines}\n");
        let config = parse(&MINIMAL.replace("dir = \"plugins\"\n", &lines)).unwrap();
        config.plugins.unwrap()
    };
    let folder = |name, size| {
        let dir = path(name);
        Some(PrivateFolder { dir, size })
    };
    assert_eq!((plugins("").cache, plugins("").state), (None, None));
    assert_eq!(plugins("cache = \"c\"").cache, folder("c", 256 << 20));
    assert_eq!(plugins("state = \"s\"").state, folder("s", 256 << 20));
    let sized =
        plugins("cache = \"c\"\ncache_size = \"1GiB\"\nstate = \"s\"\nstate_size = \"1MiB\"");
    assert_eq!(sized.cache, folder("c", 1 << 30));
    assert_eq!(sized.state, folder("s", 1 << 20));
}

#[test]
fn a_sidecar_grants_what_it_names() {
    let text = "grants = [\"metrics\", \"kv\"]\n[kv]\nbytes = \"1MiB\"";
    let grants = sidecar(text).unwrap().grants;
    let granted = Grant::ALL.map(|grant| grants.has(grant));
    assert_eq!(granted, [false, false, true, true, false, false]);
    let expected = KvLimits {
        entries: 10_000,
        bytes: 1 << 20,
    };
    assert_eq!(grants.kv, expected);
}

#[test]
fn what_a_plugin_may_wait_for_has_limits() {
    let text = "grants = [\"callout\", \"body\"]\ncallout = { pools = [\"auth\"], per_call = 2 }";
    let grants = sidecar(text).unwrap().grants;
    let expected = CalloutLimits {
        pools: vec!["auth".to_owned()],
        per_call: 2,
        ..CalloutLimits::default()
    };
    assert_eq!(grants.callout, expected);
    assert_eq!(grants.body, BodyLimits::default());
    let text = "grants = [\"body\"]\nbody = { bytes = \"1MiB\", timeout = \"1s\" }";
    let body = sidecar(text).unwrap().grants.body;
    assert_eq!(
        (body.bytes, body.timeout),
        (1 << 20, Duration::from_secs(1))
    );
}

#[test]
fn stages_of_a_rollout_have_rules_of_their_own() {
    assert_eq!(sidecar("").unwrap().rollout, Rollout::default());
    let text = "rollout.shadow = { share = 5, for = \"1m\", max_differences = 2, callouts = \"make\" }\n\
                rollout.canary = { requests = 7, max_errors = 0 }";
    let rollout = sidecar(text).unwrap().rollout;
    let shadow = StageRules {
        share: 5,
        requests: None,
        time: Some(60 * SECOND),
        max_errors: 1,
        max_differences: 2,
        callouts: ShadowCallouts::Make,
    };
    let canary = StageRules {
        share: 10,
        requests: Some(7),
        time: None,
        max_errors: 0,
        max_differences: 0,
        callouts: ShadowCallouts::Reuse,
    };
    assert_eq!(
        (rollout.shadow, rollout.canary),
        (Some(shadow), Some(canary))
    );
}

#[test]
fn an_empty_or_absent_sidecar_changes_nothing() {
    let absent = Sidecar::absent(Path::new("/p/10-a.toml"), &PluginLimits::DEFAULT);
    for sidecar in [sidecar("").unwrap(), absent.clone()] {
        assert_eq!(sidecar.limits, PluginLimits::DEFAULT);
        assert_eq!((sidecar.roles, sidecar.config_json.as_str()), (None, "{}"));
        assert_eq!(sidecar.grants, Grants::default());
    }
    let shown = absent.error("config", "is needed").to_string();
    assert_eq!(shown, "error: /p/10-a.toml: `config`: is needed");
}

const TLS: &str = r#"
[[listeners]]
name = "public"
address = "127.0.0.1:8443"

[listeners.tls]
certificates = [{ chain = "shop.pem", key = "shop.key", ocsp = "shop.ocsp" }]
policy = "AppGwSslPolicy20220101S"
min_version = "1.3"
suites = ["TLS_AES_256_GCM_SHA384"]
groups = ["x25519", "X25519MLKEM768"]
unknown_names = "refuse"
hosts = "certificate"
tickets = { keys = "tickets.keys", lifetime = "1h" }

[listeners.tls.client_certificates]
mode = "require-or-400"
ca = ["clients.pem"]
crl = ["clients.crl"]
crl_unknown = "allow"
depth = 1
direct_issuer = true
headers = true

[pools.web]
endpoints = ["10.0.0.4:443"]
trust.public = true
"#;

#[test]
fn all_of_a_listeners_tls_is_understood() {
    use rustls::{CipherSuite, NamedGroup};
    let tls = &parse(TLS).unwrap().listeners[0].tls.clone().unwrap();
    assert_eq!(tls.certificates[0].ocsp, Some(path("shop.ocsp")));
    let policy = &tls.policy;
    assert_eq!(policy.name, "AppGwSslPolicy20220101S");
    assert_eq!((policy.min, policy.max), (TlsVersion::V13, TlsVersion::V13));
    assert_eq!(policy.suites, [CipherSuite::TLS13_AES_256_GCM_SHA384]);
    let groups = [NamedGroup::X25519, NamedGroup::X25519MLKEM768];
    assert_eq!(policy.groups, groups);
    assert_eq!(tls.unknown_names, UnknownNames::Refuse);
    assert_eq!(tls.hosts, Hosts::Certificate);
    let tickets = Tickets::On {
        keys: Some(path("tickets.keys")),
        lifetime: 3600 * SECOND,
    };
    assert_eq!(tls.tickets, tickets);
    let clients = ClientCertificates {
        mode: ClientMode::RequireOr400,
        ca: vec![path("clients.pem")],
        crl: vec![path("clients.crl")],
        crl_unknown: UnknownStatus::Allow,
        depth: 1,
        direct_issuer: true,
        headers: true,
    };
    assert_eq!(tls.client_certificates, Some(clients));
}

#[test]
fn without_a_word_tls_is_modern() {
    let tls = &parse(MINIMAL).unwrap().listeners[0].tls.clone().unwrap();
    assert_eq!(tls.policy, TlsPolicy::default());
    assert_eq!(
        (tls.policy.min, tls.policy.max, tls.policy.suites.len()),
        (TlsVersion::V12, TlsVersion::V13, 9)
    );
    assert_eq!(
        (tls.unknown_names, tls.hosts),
        (UnknownNames::Default, Hosts::Any)
    );
    let tickets = Tickets::On {
        keys: None,
        lifetime: 12 * 3600 * SECOND,
    };
    assert_eq!((&tls.tickets, &tls.client_certificates), (&tickets, &None));
}

/// Every block of TOML in the documentation: whole files of each kind are read as such, parts of
/// them are at least TOML.
#[test]
fn each_block_of_toml_in_the_documentation_is_read() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let docs = std::fs::read_dir(root.join("docs")).unwrap();
    let docs = docs.map(|entry| entry.unwrap().path());
    let pages = docs.filter(|path| path.extension().is_some_and(|one| one == "md"));
    let mut whole = 0;
    for page in pages.chain([root.join("README.md")]) {
        let text = std::fs::read_to_string(&page).unwrap();
        for block in text.split("```toml").skip(1) {
            let (info, block) = block.split_once('\n').unwrap();
            let (block, _) = block.split_once("```").unwrap();
            let place = format!("{}: {block}", page.display());
            let is_cases = block.contains("[[cases]]");
            let is_sidecar = block.contains("[config]")
                || block.contains("[rollout.")
                || block.contains("[[config.");
            if block.contains("[[listeners]]") {
                parse(block).unwrap_or_else(|error| panic!("{place}{error}"));
            } else if is_cases {
                Cases::parse(block, Path::new("a.cases.toml"))
                    .unwrap_or_else(|error| panic!("{place}{error}"));
            } else if is_sidecar || info.trim() == "sidecar" {
                sidecar(block).unwrap_or_else(|error| panic!("{place}{error}"));
            } else {
                toml::from_str::<toml::Table>(block)
                    .unwrap_or_else(|error| panic!("{place}{error}"));
                continue;
            }
            whole += 1;
        }
    }
    assert!(whole >= 8, "{whole}");
}
