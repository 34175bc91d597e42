//! Every malformed file names line and key, and says what was found and what was expected.

use super::*;

/// What stands before the part of a file that a test is about: 9 lines.
const START: &str = r#"[[listeners]]
name = "public"
address = "127.0.0.1:8443"
tls.certificates = [{ chain = "shop.pem", key = "shop.key" }]

[pools.web]
endpoints = ["10.0.0.4:443"]
trust.public = true

"#;

/// A pool's table from line 6 on, with trust.
const POOL: &str = r#"[[listeners]]
name = "public"
address = "127.0.0.1:8443"
tls.certificates = [{ chain = "shop.pem", key = "shop.key" }]

[pools.web]
trust.public = true
"#;

/// The same without trust.
const TRUST: &str = r#"[[listeners]]
name = "public"
address = "127.0.0.1:8443"
tls.certificates = [{ chain = "shop.pem", key = "shop.key" }]

[pools.web]
endpoints = ["10.0.0.4:443"]
"#;

/// A listener's table from line 4 on.
const LISTENER: &str = r#"[pools.web]
endpoints = ["10.0.0.4:443"]
trust.public = true
[[listeners]]
name = "public"
"#;

/// A listener that lacks nothing; its TLS goes on in line 8.
const TLS: &str = r#"[pools.web]
endpoints = ["10.0.0.4:443"]
trust.public = true
[[listeners]]
name = "public"
address = "127.0.0.1:8443"
tls.certificates = [{ chain = "shop.pem", key = "shop.key" }]
"#;

/// Start, rest, line, key, words that must be shown.
type Case = (
    &'static str,
    &'static str,
    usize,
    &'static str,
    &'static [&'static str],
);

#[rustfmt::skip] // One case, one or two lines: it is read as a table.
const CASES: &[Case] = &[
    // Syntax.
    (START, "workers 2\n", 10, "pools.web.workers", &["expected"]),
    (START, "[log]\nlevel = \"info\n", 11, "log.level", &["expected"]),
    (START, "[log]\nlevel = \"info\"\nlevel = \"warn\"\n", 12, "log.level", &["stands twice"]),
    (START, "[pools.web]\n", 10, "pools.web", &["stands twice"]),
    // Error pages.
    (START, "[error_pages]\n502 = {}\n", 11, "error_pages.502", &["no file is named", "`html`, `json` and `text`"]),
    (START, "[error_pages]\n399 = { html = \"a\" }\n", 11, "error_pages.399", &["expected a status from 400 to 599"]),
    (START, "[error_pages]\n3xx.html = \"a\"\n", 11, "error_pages.3xx", &["found \"3xx\"", "\"4xx\" or \"5xx\""]),
    (START, "[error_pages]\n502 = { htm = \"a\" }\n", 11, "error_pages.502.htm", &["did you mean `html`?"]),
    (START, "[error_pages]\n502 = { html = \"\" }\n", 11, "error_pages.502.html", &["found an empty path"]),
    (START, "[error_pages]\n502 = \"a.html\"\n", 11, "error_pages.502", &["expected a table"]),
    (TLS, "error_pages = { 600 = { text = \"a\" } }\n", 8, "listeners[0].error_pages.600", &["found \"600\""]),
    // Shapes.
    (START, "[timeout]\n", 10, "timeout", &["unknown key", "did you mean `timeouts`?"]),
    (START, "[zebra]\n", 10, "zebra", &["unknown key", "`workers`, `plugins`, `admin`"]),
    (START, "[timeouts]\nbody-idle = \"1s\"\n", 11, "timeouts.body-idle", &["did you mean `body_idle`?"]),
    (LISTENER, "adress = \"127.0.0.1:1\"\n", 6, "listeners[0].adress", &["did you mean `address`?"]),
    (LISTENER, "address = \"127.0.0.1:1\"\n", 4, "listeners[0]", &["the key `tls` is missing"]),
    (LISTENER, "address = \"127.0.0.1:1\"\ntls.certificates = [{ chain = \"a\" }]\n", 7, "listeners[0].tls.certificates[0]",
        &["the key `key` is missing"]),
    (LISTENER, "address = \"127.0.0.1:1\"\ntls.certificates = [{ chain = \"a\", key = 1 }]\n", 7, "listeners[0].tls.certificates[0].key",
        &["found integer `1`, expected a string"]),
    (START, "[log]\nlevel = 3\n", 11, "log.level", &["found integer `3`, expected a string"]),
    (START, "[timeouts]\ntls_handshake = 10\n", 11, "timeouts.tls_handshake",
        &["found integer `10`, expected a duration such as \"30s\""]),
    (START, "[limits]\nhead_fields = \"many\"\n", 11, "limits.head_fields",
        &["found string \"many\", expected an integer"]),
    (START, "[limits]\nhead_bytes = 64.5\n", 11, "limits.head_bytes",
        &["found floating point `64.5`, expected a size"]),
    ("[listeners]\nname = \"public\"\n", "", 1, "listeners",
        &["found a table, expected an array", "[[listeners]]"]),
    (POOL, "endpoints = \"10.0.0.4:443\"\n", 8, "pools.web.endpoints", &["expected an array"]),
    (POOL, "endpoints = [7]\n", 8, "pools.web.endpoints[0]",
        &["found integer `7`, expected an endpoint such as"]),
    (POOL, "endpoints = [{ addr = \"a:1\" }]\n", 8, "pools.web.endpoints[0].addr", &["unknown key", "`address`"]),
    (POOL, "endpoints = [{ id = \"a\" }]\n", 8, "pools.web.endpoints[0]", &["the key `address` is missing"]),
    // Units and ranges.
    (START, "[timeouts]\nbody_idle = \"1 fortnight\"\n", 11, "timeouts.body_idle",
        &["found \"1 fortnight\", expected a duration"]),
    (START, "[timeouts]\nbody_idle = \"30\"\n", 11, "timeouts.body_idle", &["units: ms, s, m, h, d"]),
    (START, "[timeouts]\nbody_idle = \"\"\n", 11, "timeouts.body_idle", &["found \"\", expected a duration"]),
    (START, "[timeouts]\nrequest_head = \"0s\"\n", 11, "timeouts.request_head",
        &["found \"0s\", expected 1ms to 1d"]),
    (START, "[timeouts]\nshutdown_delay = \"2d\"\n", 11, "timeouts.shutdown_delay", &["found \"2d\", expected 0s to 1d"]),
    (START, "[timeouts]\nupgrade = \"500ms\"\n", 11, "timeouts.upgrade", &["found \"500ms\", expected 1s to 1h"]),
    (START, "workers = 0\n", 10, "pools.web.workers", &["unknown key"]),
    ("workers = 0\n", START, 1, "workers", &["found 0, expected 1 to 1024"]),
    ("workers = -1\n", START, 1, "workers", &["found -1, expected 1 to 1024"]),
    (START, "[limits]\nhead_bytes = \"1KiB\"\n", 11, "limits.head_bytes",
        &["found \"1KiB\", expected 8KiB to 1MiB"]),
    (START, "[limits]\nhead_bytes = -5\n", 11, "limits.head_bytes", &["found -5, expected a size"]),
    (START, "[limits]\nhead_bytes = \"64K\"\n", 11, "limits.head_bytes",
        &["units: B, KB, MB, GB, KiB, MiB, GiB"]),
    (START, "[limits]\ntarget_bytes = \"64KiB\"\n", 11, "limits.target_bytes",
        &["found \"64KiB\", expected 256B to 63KiB"]),
    (LISTENER, "requests.paths = \"raw\"\naddress = \"127.0.0.1:1\"\ntls.certificates = [{ chain = \"a\", key = \"b\" }]\n", 6,
        "listeners[0].requests.paths", &["found \"raw\", expected `normalize` or `as-sent`"]),
    (LISTENER, "requests.slashs = \"keep\"\naddress = \"127.0.0.1:1\"\ntls.certificates = [{ chain = \"a\", key = \"b\" }]\n", 6,
        "listeners[0].requests.slashs", &["did you mean `slashes`?"]),
    (LISTENER, "requests.encoded_slashes = \"decode\"\naddress = \"127.0.0.1:1\"\ntls.certificates = [{ chain = \"a\", key = \"b\" }]\n", 6,
        "listeners[0].requests.encoded_slashes", &["expected `refuse` or `keep`"]),
    (LISTENER, "address = \"127.0.0.1:1\"\nprotocol = \"http\"\ntls.certificates = [{ chain = \"a\", key = \"b\" }]\n", 8,
        "listeners[0].tls", &["expected none with protocol = \"http\""]),
    (LISTENER, "address = \"127.0.0.1:1\"\nprotocol = \"htp\"\ntls.certificates = [{ chain = \"a\", key = \"b\" }]\n", 7,
        "listeners[0].protocol", &["expected `https` or `http`", "did you mean `http`?"]),
    (LISTENER, "address = \"127.0.0.1:1\"\nhttps_redirect = {}\ntls.certificates = [{ chain = \"a\", key = \"b\" }]\n", 7,
        "listeners[0].https_redirect", &["expected none without protocol = \"http\""]),
    (LISTENER, "address = \"127.0.0.1:1\"\nprotocol = \"http\"\nhttps_redirect = { status = 304 }\n", 8,
        "listeners[0].https_redirect.status", &["found 304, expected 301, 302, 303, 307 or 308"]),
    (LISTENER, "address = \"127.0.0.1:1\"\nprotocol = \"http\"\nhttps_redirect.port = 0\n", 8,
        "listeners[0].https_redirect.port", &["found 0, expected 1 to 65535"]),
    (LISTENER, "address = \"127.0.0.1:1\"\nprotocol = \"http\"\nhttps_redirect.to = \"http://a\"\n", 8,
        "listeners[0].https_redirect.to", &["found \"http://a\"", "expected a URL of HTTPS"]),
    (LISTENER, "address = \"127.0.0.1:1\"\nprotocol = \"http\"\nhttps_redirect.to = \"https://u@a\"\n", 8,
        "listeners[0].https_redirect.to", &["expected a URL of HTTPS"]),
    (LISTENER, "address = \"127.0.0.1:1\"\nprotocol = \"http\"\nhttps_redirect.to = \"www.a\"\n", 8,
        "listeners[0].https_redirect.to", &["expected a URL of HTTPS"]),
    (LISTENER, "address = \"127.0.0.1:1\"\nprotocol = \"http\"\nhttps_redirect.to = \"https://a/#b\"\n", 8,
        "listeners[0].https_redirect.to", &["without a fragment"]),
    (LISTENER, "address = \"127.0.0.1:1\"\nprotocol = \"http\"\nhttps_redirect = { to = \"https://a/?b\", path = \"drop\" }\n", 8,
        "listeners[0].https_redirect.to", &["a query with path = \"drop\" and query = \"drop\" only"]),
    (LISTENER, "address = \"127.0.0.1:1\"\nprotocol = \"http\"\nhttps_redirect = { to = \"https://a\", port = 1 }\n", 8,
        "listeners[0].https_redirect.port", &["expected none with `to`"]),
    (LISTENER, "address = \"127.0.0.1:1\"\nprotocol = \"http\"\nhttps_redirect.path = \"keeep\"\n", 8,
        "listeners[0].https_redirect.path", &["did you mean `keep`?"]),
    (LISTENER, "address = \"127.0.0.1:1\"\nprotocol = \"http\"\nproxy_protocol.trusted = []\n", 8,
        "listeners[0].proxy_protocol.trusted", &["the list is empty"]),
    (LISTENER, "address = \"127.0.0.1:1\"\nprotocol = \"http\"\nproxy_protocol.trusted = [\"10.0.0.0/33\"]\n", 8,
        "listeners[0].proxy_protocol.trusted[0]", &["expected an IP address or a network"]),
    (LISTENER, "address = \"127.0.0.1:1\"\nprotocol = \"http\"\nproxy_protocol = { trusted = [\"::1\"], timeout = \"2m\" }\n", 8,
        "listeners[0].proxy_protocol.timeout", &["expected 1ms to 1m"]),
    (START, "[limits]\nh2_resets = 0\n", 11, "limits.h2_resets", &["found 0, expected 1 to 100000"]),
    (START, "[limits]\nh2_idle_frames = 1\n", 11, "limits.h2_idle_frames", &["found 1, expected 100 to 10000000"]),
    (START, "[limits]\nh2_stream_window = 1000\n", 11, "limits.h2_stream_window", &["expected 64KiB to 16MiB"]),
    (START, "[limits]\nh2_connection_window = \"1GiB\"\n", 11, "limits.h2_connection_window", &["expected 64KiB to 64MiB"]),
    (START, "[limits]\nconnections = 0\n", 11, "limits.connections", &["found 0, expected 1 to 10000000"]),
    (START, "[limits]\nconnections_per_client = -1\n", 11, "limits.connections_per_client", &["found -1, expected 1 to 1000000"]),
    (LISTENER, "requests.body_bytes = \"2000GiB\"\naddress = \"127.0.0.1:1\"\ntls.certificates = [{ chain = \"a\", key = \"b\" }]\n", 6,
        "listeners[0].requests.body_bytes", &["expected 0B to 1024GiB"]),
    (LISTENER, "requests.trace = true\naddress = \"127.0.0.1:1\"\ntls.certificates = [{ chain = \"a\", key = \"b\" }]\n", 6,
        "listeners[0].requests.trace", &["expected a string"]),
    (LISTENER, "requests.upgrades = [\"*\", \"websocket\"]\naddress = \"127.0.0.1:1\"\ntls.certificates = [{ chain = \"a\", key = \"b\" }]\n", 6,
        "listeners[0].requests.upgrades", &["expected it alone"]),
    (LISTENER, "requests.upgrades = [\"websocket\", \"h2c\"]\naddress = \"127.0.0.1:1\"\ntls.certificates = [{ chain = \"a\", key = \"b\" }]\n", 6,
        "listeners[0].requests.upgrades[1]", &["found \"h2c\", expected a protocol other than HTTP"]),
    (LISTENER, "requests.upgrades = [\"websocket/13\"]\naddress = \"127.0.0.1:1\"\ntls.certificates = [{ chain = \"a\", key = \"b\" }]\n", 6,
        "listeners[0].requests.upgrades[0]", &["expected the name of a protocol"]),
    (LISTENER, "requests.upgrades = \"websocket\"\naddress = \"127.0.0.1:1\"\ntls.certificates = [{ chain = \"a\", key = \"b\" }]\n", 6,
        "listeners[0].requests.upgrades", &["expected an array"]),
    (START, "[timeouts]\ntunnel_idle = \"8d\"\n", 11, "timeouts.tunnel_idle", &["expected 1ms to 7d"]),
    (START, "[limits]\nh2_streams = 100000\n", 11, "limits.h2_streams", &["found 100000, expected 1 to 10000"]),
    (START, "[plugins]\ndir = \"p\"\ndeadline = \"61s\"\n", 12, "plugins.deadline", &["expected 1ms to 1m"]),
    (START, "[plugins]\ndir = \"p\"\nmemory = \"2GiB\"\n", 12, "plugins.memory", &["expected 64KiB to 1GiB"]),
    (START, "[plugins]\ndir = \"\"\n", 11, "plugins.dir", &["found an empty path"]),
    (START, "[plugins]\n", 10, "plugins", &["the key `dir` is missing"]),
    (START, "[plugins]\ndir = \"p\"\ncache = \"\"\n", 12, "plugins.cache", &["found an empty path"]),
    (START, "[plugins]\ndir = \"p\"\ncache_size = \"1GiB\"\n", 12, "plugins.cache_size", &["without `plugins.cache`"]),
    (START, "[plugins]\ndir = \"p\"\ncompile_memory = \"1MiB\"\n", 12, "plugins.compile_memory", &["expected 64MiB to 64GiB"]),
    (START, "[plugins]\ndir = \"p\"\ncache = \"c\"\ncache_size = \"1KiB\"\n", 13, "plugins.cache_size", &["expected 1MiB to"]),
    (START, "[plugins]\ndir = \"p\"\nstate = \"p\"\n", 12, "plugins.state", &["is the folder of `plugins.dir`"]),
    (START, "[plugins]\ndir = \"p\"\ncache = \"c\"\nstate = \"c\"\n", 13, "plugins.state", &["is the folder of `plugins.cache`"]),
    (START, "[plugins]\ndir = \"p\"\nstate_size = \"1GiB\"\n", 12, "plugins.state_size", &["without `plugins.state`"]),
    (START, "[plugins]\ndir = \"p\"\ntrust = {}\n", 12, "plugins.trust", &["neither `digests` nor `keys`"]),
    (START, "[plugins]\ndir = \"p\"\ntrust.digests = []\n", 12, "plugins.trust.digests", &["the list is empty"]),
    (START, "[plugins]\ndir = \"p\"\ntrust.digests = [\"sha256:12\"]\n", 12, "plugins.trust.digests[0]",
        &["found \"sha256:12\"", "64 hexadecimal digits; there are 2"]),
    (START, "[plugins]\ndir = \"p\"\ntrust.digests = [\"a.wasm\"]\n", 12, "plugins.trust.digests[0]",
        &["found \"a.wasm\"", "as `witgate plugin check` shows them"]),
    (START, "[plugins]\ndir = \"p\"\ntrust.keys = [\"\"]\n", 12, "plugins.trust.keys[0]", &["found an empty path"]),
    (START, "[plugins]\ndir = \"p\"\ntrust.keys = [\"RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GF=3\"]\n", 12,
        "plugins.trust.keys[0]", &["expected the second line of a minisign public key file"]),
    (START, "[plugins]\ndir = \"p\"\ntrust.keys = [\"untrusted comment: a\\nRW\"]\n", 12, "plugins.trust.keys[0]",
        &["found a whole key file"]),
    (START, "[plugins]\ndir = \"p\"\ntrust = { sidecar = true }\n", 12, "plugins.trust.sidecar", &["did you mean `sidecars`?"]),
    (POOL, "endpoints = [{ address = \"a:1\", weight = 1001 }]\n", 8, "pools.web.endpoints[0].weight",
        &["found 1001, expected 0 to 1000"]),
    // Choices.
    (START, "[plugins]\ndir = \"p\"\non_error = \"fail-opn\"\n", 12, "plugins.on_error",
        &["expected `fail-closed` or `fail-open`", "did you mean `fail-open`?"]),
    (START, "[log]\nlevel = \"warning\"\n", 11, "log.level", &["found \"warning\"", "`error`, `warn`, `info`"]),
    (START, "[log]\nformat = \"xml\"\n", 11, "log.format", &["expected `text` or `json`"]),
    (POOL, "endpoints = [\"a:1\"]\nprotocol = \"h2\"\n", 9, "pools.web.protocol",
        &["expected `https` or `http`"]),
    (POOL, "endpoints = [\"a:1\"]\nbalance = \"least\"\n", 9, "pools.web.balance",
        &["expected `round-robin`, `least-requests`, `random` or `hash`"]),
    (POOL, "endpoints = [\"a:1\"]\nbalance = \"hash\"\n", 9, "pools.web.balance",
        &["found \"hash\" without `hash_on`", "\"header:NAME\""]),
    (POOL, "endpoints = [\"a:1\"]\nbalance = \"hash\"\nhash_on = \"header:\"\n", 10, "pools.web.hash_on",
        &["found \"header:\", expected \"client-address\""]),
    (POOL, "endpoints = [\"a:1\"]\nhash_on = \"path\"\n", 9, "pools.web.hash_on",
        &["expected it with balance = \"hash\" only"]),
    (POOL, "endpoints = [\"a:1\"]\nhealth = { pth = \"/\" }\n", 9, "pools.web.health.pth", &["unknown key", "did you mean `path`?"]),
    (POOL, "endpoints = [\"a:1\"]\nhealth = { path = \"healthz\" }\n", 9, "pools.web.health.path",
        &["found \"healthz\", expected a path such as \"/healthz\""]),
    (POOL, "endpoints = [\"a:1\"]\nhealth = { host = \"a b\" }\n", 9, "pools.web.health.host", &["a host with or without a port"]),
    (POOL, "endpoints = [\"a:1\"]\nhealth = { port = 0 }\n", 9, "pools.web.health.port", &["found 0, expected 1 to 65535"]),
    (POOL, "endpoints = [\"a:1\"]\nhealth = { interval = \"1ms\" }\n", 9, "pools.web.health.interval", &["expected 10ms to 1d"]),
    (POOL, "endpoints = [\"a:1\"]\nhealth = { timeout = \"2h\" }\n", 9, "pools.web.health.timeout", &["expected 10ms to 1h"]),
    (POOL, "endpoints = [\"a:1\"]\nhealth = { unhealthy_after = 0 }\n", 9, "pools.web.health.unhealthy_after",
        &["found 0, expected 1 to 1000"]),
    (POOL, "endpoints = [\"a:1\"]\nhealth = { healthy_after = 0 }\n", 9, "pools.web.health.healthy_after",
        &["found 0, expected 1 to 1000"]),
    (POOL, "endpoints = [\"a:1\"]\nhealth = { status = \"399-200\" }\n", 9, "pools.web.health.status",
        &["found \"399-200\", expected a status or a range of them, 100 to 599"]),
    (POOL, "endpoints = [\"a:1\"]\nhealth = { status = [] }\n", 9, "pools.web.health.status", &["the list is empty"]),
    (POOL, "endpoints = [\"a:1\"]\nhealth = { status = 2.5 }\n", 9, "pools.web.health.status",
        &["expected statuses such as 200, \"200-399\""]),
    (POOL, "endpoints = [\"a:1\"]\nhealth = { body = \"\" }\n", 9, "pools.web.health.body", &["found 0 bytes, expected 1 to 4090"]),
    (POOL, "endpoints = [\"a:1\"]\nhealth = { protocol = \"http\" }\n", 9, "pools.web.health.protocol",
        &["expected \"https\" as the pool is, or a `port` of its own"]),
    (POOL, "endpoints = [\"a:1\"]\nejection = { connects = -1 }\n", 9, "pools.web.ejection.connects", &["found -1, expected 0 to 1000"]),
    (POOL, "endpoints = [\"a:1\"]\nejection = { requests = 1001 }\n", 9, "pools.web.ejection.requests", &["found 1001, expected 0 to 1000"]),
    (POOL, "endpoints = [\"a:1\"]\nejection = { status = \"5xx\" }\n", 9, "pools.web.ejection.status", &["found \"5xx\", expected a status"]),
    (POOL, "endpoints = [\"a:1\"]\nejection = { time = \"25h\" }\n", 9, "pools.web.ejection.time", &["expected 0s to 1d"]),
    (POOL, "endpoints = [\"a:1\"]\nejection = { max_time = 5 }\n", 9, "pools.web.ejection.max_time", &["expected a duration such as"]),
    (POOL, "endpoints = [\"a:1\"]\nejection = { max_share = 101 }\n", 9, "pools.web.ejection.max_share", &["found 101, expected 0 to 100"]),
    (POOL, "endpoints = [\"a:1\"]\npanic_threshold = 101\n", 9, "pools.web.panic_threshold", &["found 101, expected 0 to 100"]),
    (POOL, "endpoints = [\"a:1\"]\nslow_start = \"-1s\"\n", 9, "pools.web.slow_start", &["expected a duration such as"]),
    (POOL, "endpoints = [\"a:1\"]\ndrain_for = \"25h\"\n", 9, "pools.web.drain_for", &["expected 0s to 1d"]),
    (POOL, "endpoints = [{ address = \"a:1\", drain = 1 }]\n", 8, "pools.web.endpoints[0].drain", &["found integer `1`"]),
    (POOL, "endpoints = [\"a:1\"]\nretries = { tries = 0 }\n", 9, "pools.web.retries.tries", &["found 0, expected 1 to 10"]),
    (POOL, "endpoints = [\"a:1\"]\nretries = { tris = 2 }\n", 9, "pools.web.retries.tris", &["did you mean `tries`?"]),
    (POOL, "endpoints = [\"a:1\"]\nretries = { on = [\"connection-close\"] }\n", 9, "pools.web.retries.on[0]",
        &["found \"connection-close\", expected `connection-closed` or `first-byte-timeout`"]),
    (POOL, "endpoints = [\"a:1\"]\nretries = { status = \"5xx\" }\n", 9, "pools.web.retries.status", &["found \"5xx\", expected a status"]),
    (POOL, "endpoints = [\"a:1\"]\nretries = { budget = 101 }\n", 9, "pools.web.retries.budget", &["found 101, expected 0 to 100"]),
    (POOL, "endpoints = [\"a:1\"]\nretries = { min_per_second = -1 }\n", 9, "pools.web.retries.min_per_second",
        &["found -1, expected 0 to 1000"]),
    (POOL, "endpoints = [\"a:1\"]\nretries = { buffer = \"2MiB\" }\n", 9, "pools.web.retries.buffer", &["expected 0B to 1MiB"]),
    (POOL, "endpoints = [\"a:1\"]\ntimeouts = { request = \"0s\" }\n", 9, "pools.web.timeouts.request", &["found \"0s\", expected 1ms to 1d"]),
    (START, "[timeouts]\nbody_min_rate = \"2MiB\"\n", 11, "timeouts.body_min_rate", &["found \"2MiB\", expected 0B to 1MiB"]),
    (POOL, "endpoints = [\"a:1\"]\nlimits = { requests = 0 }\n", 9, "pools.web.limits.requests", &["found 0, expected 1 to 1000000"]),
    (POOL, "endpoints = [\"a:1\"]\nlimits = { connections = -1 }\n", 9, "pools.web.limits.connections",
        &["found -1, expected 1 to 1000000"]),
    (POOL, "endpoints = [\"a:1\"]\nlimits = { queue = -1 }\n", 9, "pools.web.limits.queue", &["found -1, expected 0 to 1000000"]),
    (POOL, "endpoints = [\"a:1\"]\nlimits = { queue_timeout = \"0s\" }\n", 9, "pools.web.limits.queue_timeout", &["expected 1ms to 1h"]),
    (POOL, "endpoints = [\"a:1\"]\nhttp = \"h3\"\n", 9, "pools.web.http", &["found \"h3\", expected `auto`, `h1` or `h2`"]),
    (POOL, "endpoints = [\"a:1\"]\nh2 = { streams = 0 }\n", 9, "pools.web.h2.streams", &["found 0, expected 1 to 1000"]),
    (POOL, "endpoints = [\"a:1\"]\nh2 = { stream_window = \"1KiB\" }\n", 9, "pools.web.h2.stream_window", &["expected 64KiB to 16MiB"]),
    (POOL, "endpoints = [\"a:1\"]\nh2 = { ping_after = \"0s\" }\n", 9, "pools.web.h2.ping_after", &["expected 100ms to 1d"]),
    (POOL, "endpoints = [\"a:1\"]\nh2 = { ping_timeout = \"2d\" }\n", 9, "pools.web.h2.ping_timeout", &["expected 100ms to 1d"]),
    (START, "[dns]\nservers = [\"10.0.0.2\"]\n", 11, "dns.servers[0]", &["found \"10.0.0.2\"", "the port is missing"]),
    (START, "[dns]\ntimeout = \"2m\"\n", 11, "dns.timeout", &["expected 10ms to 1m"]),
    (START, "[dns]\nattempts = 0\n", 11, "dns.attempts", &["found 0, expected 1 to 10"]),
    (START, "[dns]\nmin_ttl = \"0s\"\n", 11, "dns.min_ttl", &["expected 100ms to 1d"]),
    (START, "[dns]\nmax_ttl = \"2d\"\n", 11, "dns.max_ttl", &["expected 100ms to 1d"]),
    (START, "[dns]\nmin_ttl = \"1m\"\nmax_ttl = \"1s\"\n", 11, "dns.min_ttl", &["more than `dns.max_ttl`"]),
    (START, "[dns]\nmax_addresses = 1001\n", 11, "dns.max_addresses", &["found 1001, expected 1 to 1000"]),
    (START, "[dns]\nfamily = \"v4\"\n", 11, "dns.family", &["expected `both`, `ipv4` or `ipv6`"]),
    (START, "[dns]\nallow_loopback = \"yes\"\n", 11, "dns.allow_loopback", &["found string \"yes\""]),
    // The record and the control socket.
    (START, "[record]\nshare = 1\n", 10, "record", &["the key `path` is missing"]),
    (START, "[record]\npath = \"\"\n", 11, "record.path", &["found an empty path"]),
    (START, "[record]\npath = \"a\"\nshare = 0\n", 12, "record.share", &["expected 1 to 100"]),
    (START, "[record]\npath = \"a\"\nredact_headers = [\"a b\"]\n", 12, "record.redact_headers[0]",
        &["expected the name of a field"]),
    (START, "[record]\npath = \"a\"\nmax_size = 1\n", 12, "record.max_size", &["expected 64KiB to 1024GiB"]),
    (START, "[control]\nsocket = \"/a-path-of-more-than-ninety-bytes-which-no-socket-can-have-as-its-address-since-they-end-at-108/x\"\n",
        11, "control.socket", &["expected at most 90"]),
    // Addresses.
    (START, "[admin]\naddress = \"0.0.0.0:9901\"\n", 11, "admin.address", &["expected a loopback address"]),
    (START, "[admin]\naddress = \"localhost:9901\"\n", 11, "admin.address", &["names are not looked up"]),
    (LISTENER, "address = \"127.0.0.1\"\ntls.certificates = [{ chain = \"a\", key = \"b\" }]\n", 6, "listeners[0].address",
        &["the port is missing"]),
    (POOL, "endpoints = [\"10.0.0.4\"]\n", 8, "pools.web.endpoints[0]",
        &["found \"10.0.0.4\"", "the port is missing"]),
    (POOL, "endpoints = [\"10.0.0.4:0\"]\n", 8, "pools.web.endpoints[0]", &["port 0 cannot be connected to"]),
    (POOL, "endpoints = [\"10.0.0.4:70000\"]\n", 8, "pools.web.endpoints[0]", &["a number from 1 to 65535"]),
    (POOL, "endpoints = [\"https://web.internal/x\"]\n", 8, "pools.web.endpoints[0]",
        &["it is not a URL: write \"web.internal:443\""]),
    (POOL, "endpoints = [\"web.internal:443/x\"]\n", 8, "pools.web.endpoints[0]",
        &["paths are for routing plugins"]),
    (POOL, "endpoints = [\"2001:db8::1\"]\n", 8, "pools.web.endpoints[0]", &["in brackets"]),
    (POOL, "endpoints = [\"10.0.0.256:443\"]\n", 8, "pools.web.endpoints[0]", &["expected a host and a port"]),
    (POOL, "endpoints = [\"we b:443\"]\n", 8, "pools.web.endpoints[0]", &["expected a host and a port"]),
    (POOL, "endpoints = [{ address = \"10.0.0.4\" }]\n", 8, "pools.web.endpoints[0].address",
        &["the port is missing"]),
    (POOL, "endpoints = [\"a:1\"]\nserver_name = \"a:1\"\n", 9, "pools.web.server_name", &["it has no port"]),
    (POOL, "endpoints = [\"a:1\"]\nserver_name = \"*.internal\"\n", 9, "pools.web.server_name",
        &["wildcards belong"]),
    (POOL, "endpoints = [\"a:1\"]\nauthority = \"a b\"\n", 9, "pools.web.authority",
        &["a host with or without a port"]),
    // Lists, names and references.
    ("[pools.web]\nendpoints = [\"a:1\"]\ntrust.public = true\n", "", 1, "listeners", &["there is no listener"]),
    ("[[listeners]]\nname = \"p\"\naddress = \"127.0.0.1:1\"\ntls.certificates = [{ chain = \"a\", key = \"b\" }]\n", "", 1, "pools",
        &["there is no pool"]),
    // TLS of pools.
    (START, "tls.min_version = \"1.0\"\n", 10, "pools.web.tls.min_version", &["expected `1.2` or `1.3`"]),
    (START, "tls.client_certificate = { chain = \"a\" }\n", 10, "pools.web.tls.client_certificate", &["the key `key` is missing"]),
    (START, "tls.policy = \"modern\"\n", 10, "pools.web.tls.policy", &["unknown key, expected `min_version` or `client_certificate`"]),
    (START, "server_name_from = \"host\"\n", 10, "pools.web.server_name_from", &["`configuration` or `request`"]),
    (START, "server_name = \"a.b\"\nserver_name_from = \"request\"\n", 10, "pools.web.server_name", &["expected none"]),
    (START, "[pools.b]\nprotocol = \"http\"\nendpoints = [\"a:1\"]\ntls.min_version = \"1.3\"\n", 13, "pools.b.tls",
        &["found `tls`, expected none with protocol = \"http\""]),
    (START, "[pools.b]\nprotocol = \"http\"\nendpoints = [\"a:1\"]\nserver_name_from = \"request\"\n", 13, "pools.b.server_name_from",
        &["expected none with protocol = \"http\""]),
    // TLS of listeners.
    (TLS, "tls.policy = \"moden\"\n", 8, "listeners[0].tls.policy",
        &["`modern`, `tls13`, `AppGwSslPolicy20220101S`", "did you mean `modern`?"]),
    (TLS, "tls.policy = \"AppGwSslPolicy20200101\"\n", 8, "listeners[0].tls.policy", &["did you mean `AppGwSslPolicy20"]),
    (TLS, "tls.min_version = \"1.1\"\n", 8, "listeners[0].tls.min_version", &["found \"1.1\", expected `1.2` or `1.3`"]),
    (TLS, "tls.max_version = \"1.4\"\n", 8, "listeners[0].tls.max_version", &["expected `1.2` or `1.3`"]),
    (TLS, "tls.policy = \"tls13\"\ntls.max_version = \"1.2\"\n", 9, "listeners[0].tls.max_version",
        &["the lowest version is 1.3, the highest 1.2"]),
    (TLS, "tls.suites = [\"TLS_AES_128_GCM_SHA265\"]\n", 8, "listeners[0].tls.suites[0]",
        &["`TLS_AES_128_GCM_SHA256`", "did you mean `TLS_AES_128_GCM_SHA256`?"]),
    (TLS, "tls.suites = [\"TLS_AES_128_GCM_SHA256\"]\n", 8, "listeners[0].tls.suites",
        &["none of the suites is for TLS 1.2", "`min_version`"]),
    (TLS, "tls.suites = []\n", 8, "listeners[0].tls.suites", &["the list is empty"]),
    (TLS, "tls.groups = [\"X25519MLKEM768\"]\n", 8, "listeners[0].tls.groups", &["none of the groups is for TLS 1.2"]),
    (TLS, "tls.groups = [\"prime256v1\"]\n", 8, "listeners[0].tls.groups[0]", &["`X25519MLKEM768`", "`secp256r1`"]),
    (TLS, "tls.unknown_names = \"reject\"\n", 8, "listeners[0].tls.unknown_names", &["`default` or `refuse`"]),
    (TLS, "tls.hosts = \"all\"\n", 8, "listeners[0].tls.hosts", &["`any` or `certificate`"]),
    (TLS, "tls.tickets = { lifetime = \"8d\" }\n", 8, "listeners[0].tls.tickets.lifetime", &["expected 1m to 7d"]),
    (TLS, "tls.tickets = { enabled = false, keys = \"k\" }\n", 8, "listeners[0].tls.tickets.keys", &["expected none"]),
    (TLS, "tls.client_certificates = { mode = \"require\" }\n", 8, "listeners[0].tls.client_certificates.ca",
        &["the key `ca` is missing"]),
    (TLS, "tls.client_certificates = { mode = \"require\", ca = [] }\n", 8, "listeners[0].tls.client_certificates.ca",
        &["the list is empty"]),
    (TLS, "tls.client_certificates = { mode = \"optional\" }\n", 8, "listeners[0].tls.client_certificates.mode",
        &["`require`, `require-or-400` or `request`"]),
    (TLS, "tls.client_certificates = { ca = [\"a\"] }\n", 8, "listeners[0].tls.client_certificates", &["the key `mode` is missing"]),
    (TLS, "tls.client_certificates = { mode = \"request\", direct_issuer = true }\n", 8,
        "listeners[0].tls.client_certificates.direct_issuer", &["expected `ca` beside it"]),
    (TLS, "tls.client_certificates = { mode = \"request\", crl = [\"a\"] }\n", 8,
        "listeners[0].tls.client_certificates.crl", &["found `crl`, expected `ca` beside it"]),
    (TLS, "tls.client_certificates = { mode = \"require\", ca = [\"a\"], crl = [] }\n", 8,
        "listeners[0].tls.client_certificates.crl", &["the list is empty"]),
    (TLS, "tls.client_certificates = { mode = \"require\", ca = [\"a\"], crl_unknown = \"allow\" }\n", 8,
        "listeners[0].tls.client_certificates.crl_unknown", &["expected `crl` beside it"]),
    (TLS, "tls.client_certificates = { mode = \"require\", ca = [\"a\"], crl = [\"b\"], crl_unknown = \"deny\" }\n", 8,
        "listeners[0].tls.client_certificates.crl_unknown", &["found \"deny\"", "`refuse` or `allow`"]),
    (TLS, "tls.client_certificates = { mode = \"require\", ca = [\"a\"], depth = 7 }\n", 8,
        "listeners[0].tls.client_certificates.depth", &["found 7, expected 0 to 6"]),
    (LISTENER, "address = \"127.0.0.1:1\"\ntls.certificates = []\n", 7, "listeners[0].tls.certificates",
        &["the list is empty"]),
    (POOL, "endpoints = []\n", 8, "pools.web.endpoints", &["the list is empty"]),
    (TRUST, "trust.certificates = []\n", 8, "pools.web.trust.certificates", &["the list is empty"]),
    (START, "[[listeners]]\nname = \"public\"\naddress = \"127.0.0.1:1\"\ntls.certificates = [{ chain = \"a\", key = \"b\" }]\n", 11, "listeners[1].name",
        &["found \"public\" again", "listeners[0].name"]),
    (START, "[[listeners]]\nname = \"x\"\naddress = \"127.0.0.1:8443\"\ntls.certificates = [{ chain = \"a\", key = \"b\" }]\n", 12, "listeners[1].address",
        &["found 127.0.0.1:8443 again", "listeners[0].address"]),
    (LISTENER, "default_pool = \"wbe\"\naddress = \"127.0.0.1:1\"\ntls.certificates = [{ chain = \"a\", key = \"b\" }]\n", 6, "listeners[0].default_pool",
        &["found \"wbe\", expected a declared pool: `web`", "did you mean `web`?"]),
    (POOL, "endpoints = [\"a:1\", \"A:1\"]\n", 8, "pools.web.endpoints[1]", &["again"]),
    (POOL, "endpoints = [\"a:1\", { id = \"a:1\", address = \"b:1\" }]\n", 8, "pools.web.endpoints[1]",
        &["found \"a:1\" again"]),
    (POOL, "endpoints = [{ id = \"a b\", address = \"b:1\" }]\n", 8, "pools.web.endpoints[0].id",
        &["visible ASCII"]),
    (START, "[pools.\"a b\"]\nendpoints = [\"a:1\"]\ntrust.public = true\n", 10, "pools.\"a b\"",
        &["found \"a b\", expected a name"]),
    (POOL, "endpoints = [\"a:1\"]\naffinity = \"cookie-affinity\"\n", 9, "pools.web.affinity",
        &["`[plugins]` table"]),
    (POOL, "endpoints = [\"a:1\"]\naffinity = \"30-cookie.wasm\"\n", 9, "pools.web.affinity",
        &["without number and extension: \"cookie\""]),
    // Trust.
    (TRUST, "", 6, "pools.web.trust", &["expected exactly one of", "`trust.certificates`"]),
    (TRUST, "trust = {}\n", 8, "pools.web.trust", &["expected exactly one of"]),
    (TRUST, "trust.roots = [\"ca.pem\"]\ntrust.public = true\n", 9, "pools.web.trust.public",
        &["found `public` beside `roots`", "exactly one"]),
    (TRUST, "trust.public = false\n", 8, "pools.web.trust.public", &["found `false`"]),
    (POOL, "endpoints = [\"a:1\"]\nprotocol = \"http\"\n", 7, "pools.web.trust",
        &["expected none with protocol = \"http\""]),
    (TRUST, "protocol = \"http\"\nserver_name = \"web\"\n", 9, "pools.web.server_name",
        &["expected none with protocol = \"http\""]),
    (TRUST, "trust.certificates = [\"a.pem\", \"sha256:abc\"]\n", 8, "pools.web.trust.certificates[1]",
        &["expected \"sha256:\" and 64 hexadecimal digits; there are 3"]),
    (TRUST, "trust.certificates = [\"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\"]\n", 8, "pools.web.trust.certificates[0]",
        &["write \"sha256:0011"]),
    (TRUST, "trust.certificates = [\"\"]\n", 8, "pools.web.trust.certificates[0]", &["found an empty path"]),
    (TRUST, "trust.certificates = [\"-----BEGIN CERTIFICATE-----\"]\n", 8, "pools.web.trust.certificates[0]",
        &["expected the path of a file"]),
    (TRUST, "trust.spki = [\"sha256:AAAA\"]\n", 8, "pools.web.trust.spki[0]", &["or the base64 of 32 bytes"]),
    (TRUST, "trust.spki = [\"web.pem\"]\n", 8, "pools.web.trust.spki[0]",
        &["found \"web.pem\", expected \"sha256:\""]),
];

#[test]
fn every_malformed_file_names_line_key_and_problem() {
    let mut wrong = Vec::new();
    for (start, rest, line, key, words) in CASES {
        let text = format!("{start}{rest}");
        let error = parse(&text).unwrap_err();
        let shown = error.to_string();
        let problems: Vec<_> = error.problems().collect();
        let place = format!("--> {FILE}:{line}:");
        let right = problems.len() == 1
            && (problems[0].line, problems[0].key.as_str()) == (*line, *key)
            && shown.contains(&place)
            && words.iter().all(|words| shown.contains(words));
        if !right {
            wrong.push(format!(
                "{rest}\nexpected {line} {key} {words:?}, got\n{shown}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n================\n"));
}

#[test]
fn all_problems_of_a_file_are_shown_at_once_and_in_order() {
    let text = format!(
        "{START}[timeouts]\nbody_idle = \"x\"\n[log]\nlevel = \"loud\"\n[pools.a]\nendpoints = []\n"
    );
    let error = parse(&text).unwrap_err();
    let found: Vec<_> = error
        .problems()
        .map(|problem| (problem.line, problem.key.as_str()))
        .collect();
    let expected = [
        (11, "timeouts.body_idle"),
        (13, "log.level"),
        (14, "pools.a.trust"),
        (15, "pools.a.endpoints"),
    ];
    assert_eq!(found, expected);
    let lines = error.lines();
    assert_eq!(lines.len(), 4);
    assert!(
        lines[1].starts_with("/etc/witgate/witgate.toml:13:9: `log.level`: found \"loud\""),
        "{lines:?}"
    );
}

#[test]
fn of_very_many_problems_the_first_are_shown() {
    let endpoints = "\"x\", ".repeat(10_000);
    let error = parse(&format!("{POOL}endpoints = [\n{endpoints}]\n")).unwrap_err();
    assert_eq!(error.problems().count(), 50);
    assert!(error.to_string().ends_with("\n\nand 9950 more problems"));
}

#[test]
fn an_error_is_shown_with_its_source_and_without_colours() {
    let text = START.replace("name =", "nmae =");
    let error = parse(&text).unwrap_err();
    let expected = "\
error: `listeners[0].nmae`: unknown key, expected `name`, `address`, `protocol`, `tls`, `default_pool`, `https_redirect`, `proxy_protocol`, `requests` or `error_pages`
 --> /etc/witgate/witgate.toml:2:1
  |
2 | nmae = \"public\"
  | ^^^^
  |
  = help: did you mean `name`?";
    assert_eq!(error.to_string(), expected);
    assert_eq!(format!("{error:?}"), expected);
    assert!(error.render(true).contains('\u{1b}'));
}

#[test]
fn a_later_problem_points_at_its_key_or_the_nearest_parent() {
    let text = START.replace("endpoints", "affinity = \"sticky\"\nendpoints")
        + "[plugins]\ndir = \"plugins\"\n";
    let config = parse(&text).unwrap();
    for (key, line, column) in [
        ("pools.web.affinity", 7, 12),
        ("listeners[0].tls.certificates[0].key", 4, 49),
        ("listeners[0].tls.certificates[7].key", 4, 5),
        ("listeners[0].default_pool", 1, 1),
        ("pools.web.trust.certificates[1]", 9, 1),
        ("pools.web.timeouts.connect", 6, 8),
        ("plugins.dir", 12, 7),
        ("admin.address", 1, 1),
    ] {
        let error = config.error(key, "is not good");
        let problem = error.problems().next().unwrap();
        assert_eq!(
            (problem.line, problem.column),
            (line, column),
            "{key}: {error}"
        );
        assert_eq!(problem.key, key);
        assert!(error.to_string().contains("is not good"));
    }
}

#[test]
fn a_file_that_cannot_be_read_is_said_to() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing.toml");
    let shown = Config::load(&missing).unwrap_err().to_string();
    assert!(
        shown.contains("missing.toml: cannot read the file: No such file"),
        "{shown}"
    );
    let latin = folder.path().join("latin.toml");
    std::fs::write(&latin, b"# caf\xc3\xa9\n# caf\xe9\n").unwrap();
    let shown = Config::load(&latin).unwrap_err().to_string();
    assert!(shown.contains("not UTF-8 text: line 2"), "{shown}");
    std::fs::write(&latin, START).unwrap();
    Config::load(&latin).unwrap();
}

#[test]
fn no_text_makes_the_parser_panic() {
    let whole = format!(
        "{START}[plugins]\ndir = \"p\"\n[pools.b]\nendpoints = [{{ address = \"ä:1\" }}]\n"
    );
    for (end, _) in whole.char_indices() {
        let _ = parse(&whole[..end]).map_err(|error| error.to_string());
    }
    for (at, letter) in whole.char_indices() {
        for other in ["[", "\"", "\n", "=", "{", ".", "é", "\0"] {
            let (before, after) = (&whole[..at], &whole[at + letter.len_utf8()..]);
            let text = format!("{before}{other}{after}");
            let _ = parse(&text).map_err(|error| error.to_string());
        }
    }
}

#[test]
fn every_malformed_sidecar_names_line_key_and_problem() {
    for (text, line, key, words) in [
        ("deadline = \"0ms\"", 1, "deadline", "expected 1ms to 1m"),
        ("\nmemory = 1", 2, "memory", "expected 64KiB to 1GiB"),
        (
            "on_error = \"open\"",
            1,
            "on_error",
            "expected `fail-closed` or `fail-open`",
        ),
        (
            "on_error = { routing = \"open\" }",
            1,
            "on_error.routing",
            "expected `fail-closed` or `fail-open`",
        ),
        (
            "on_error.route = \"fail-open\"",
            1,
            "on_error.route",
            "expected `routing`, `affinity` or `rewriting`",
        ),
        (
            "on_error = 1",
            1,
            "on_error",
            "a table with one for each role",
        ),
        ("slice = \"1ms\"", 1, "slice", "expected 2ms to 1s"),
        ("overtime = 101", 1, "overtime", "expected 0 to 100"),
        ("instances = 0", 1, "instances", "expected 1 to 1000"),
        (
            "isolation = \"request\"\nrecycle_after = 5",
            2,
            "recycle_after",
            "no instance serves twice",
        ),
        (
            "suspend_for = \"1m\"\nsuspend_at_most = \"1s\"",
            2,
            "suspend_at_most",
            "shorter than `suspend_for`",
        ),
        (
            "[rollout.canary]\nshare = 0",
            2,
            "rollout.canary.share",
            "expected 1 to 100",
        ),
        (
            "rollout.canary.max_differences = 1",
            1,
            "rollout.canary.max_differences",
            "unknown key",
        ),
        (
            "rollout.shadow.for = \"1ms\"",
            1,
            "rollout.shadow.for",
            "expected 1s to 30d",
        ),
        ("roles = []", 1, "roles", "the list is empty"),
        (
            "roles = [\"routing\",\n\"ruting\"]",
            2,
            "roles[1]",
            "did you mean `routing`?",
        ),
        ("roles = [\"routing\", \"routing\"]", 1, "roles[1]", "again"),
        ("role = [\"routing\"]", 1, "role", "did you mean `roles`?"),
        (
            "grants = [\"clock\",\n\"randon\"]",
            2,
            "grants[1]",
            "did you mean `random`?",
        ),
        ("grants = [\"kv\", \"kv\"]", 1, "grants[1]", "again"),
        ("grant = [\"kv\"]", 1, "grant", "did you mean `grants`?"),
        ("\n[kv]\nentries = 5", 2, "kv", "no meaning without \"kv\""),
        (
            "grants = [\"kv\"]\n[kv]\nentries = 0",
            3,
            "kv.entries",
            "expected 1 to 1000000",
        ),
        (
            "grants = [\"kv\"]\nkv.bytes = 1",
            2,
            "kv.bytes",
            "expected 64KiB to 1GiB",
        ),
        ("config = 1", 1, "config", "expected a table"),
        (
            "[config]\na.b = [1.0, inf]",
            2,
            "config.a.b[1]",
            "found inf",
        ),
        ("[config]\nx = ", 2, "config.x", "expected"),
    ] {
        let error = sidecar(text).unwrap_err();
        let problem = error.problems().next().unwrap();
        assert_eq!((problem.line, problem.key.as_str()), (line, key), "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
}
