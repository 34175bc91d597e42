//! The configuration file as it is written: only shapes are checked here, and unknown keys
//! refused. Ranges, names and references are left to `parse`.

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer},
};
use serde_path_to_error::Segment as SerdeSegment;

use super::{
    error::{ConfigError, Source},
    keys::{self, KeyPath, Mark, Segment},
    units,
};

macro_rules! tables {
    ($($(#[$doc:meta])* $name:ident { $($(#[$attribute:meta])* $field:ident: $type:ty,)* })*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Default, Deserialize)]
            #[serde(deny_unknown_fields, expecting = "a table")]
            pub(super) struct $name {
                $($(#[$attribute])* pub(super) $field: $type,)*
            }
        )*
    };
}

/// Tables that have the keys of `PluginLimits` beside their own.
macro_rules! plugin_tables {
    ($($(#[$doc:meta])* $name:ident { $($own:tt)* })*) => {
        plugin_tables! { @limits
            deadline: Option<Duration>,
            slice: Option<Duration>,
            overtime: Option<i64>,
            memory: Option<Size>,
            table: Option<i64>,
            stack: Option<Size>,
            output: Option<Size>,
            log_lines: Option<i64>,
            file_size: Option<Size>,
            compile_timeout: Option<Duration>,
            compile_memory: Option<Size>,
            instances: Option<i64>,
            isolation: Option<String>,
            recycle_after: Option<i64>,
            suspend_after: Option<i64>,
            suspend_for: Option<Duration>,
            suspend_at_most: Option<Duration>,
            on_error: Option<OnError>,
            => $($(#[$doc])* $name { $($own)* })*
        }
    };
    (@limits $($limit:ident: $type:ty,)* => $($table:tt)*) => {
        tables! { PluginLimits { $($limit: $type,)* } }
        plugin_tables! { @tables [$($limit: $type,)*] $($table)* }
    };
    (@tables [$($limit:ident: $type:ty,)*]) => {};
    (@tables [$($limit:ident: $type:ty,)*] $(#[$doc:meta])* $name:ident { $($own:tt)* } $($more:tt)*) => {
        tables! { $(#[$doc])* $name { $($own)* $($limit: $type,)* } }
        impl $name {
            /// Takes the limits out.
            pub(super) fn take_limits(&mut self) -> PluginLimits {
                PluginLimits { $($limit: self.$limit.take(),)* }
            }
        }
        plugin_tables! { @tables [$($limit: $type,)*] $($more)* }
    };
}

/// What a sidecar says of its plugin's grants.
pub(super) struct Grants {
    pub(super) grants: Option<Vec<String>>,
    pub(super) kv: Option<Kv>,
    pub(super) callout: Option<Callout>,
    pub(super) body: Option<Body>,
}

plugin_tables! {
    Plugins {
        dir: String,
        total_memory: Option<Size>,
        total_bodies: Option<Size>,
        trust: Option<PluginTrust>,
        cache: Option<String>,
        cache_size: Option<Size>,
        state: Option<String>,
        state_size: Option<Size>,
    }
    /// A plugin's sidecar.
    Sidecar {
        roles: Option<Vec<String>>,
        grants: Option<Vec<String>>,
        kv: Option<Kv>,
        callout: Option<Callout>,
        body: Option<Body>,
        #[serde(default)]
        rollout: Rollout,
        #[serde(default)]
        config: toml::Table,
    }
}

tables! {
    File {
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
    Dns {
        servers: Option<Vec<String>>,
        timeout: Option<Duration>,
        attempts: Option<i64>,
        min_ttl: Option<Duration>,
        max_ttl: Option<Duration>,
        max_addresses: Option<i64>,
        family: Option<String>,
        allow_loopback: Option<bool>,
    }
    PluginTrust {
        digests: Option<Vec<String>>,
        keys: Option<Vec<String>>,
        sidecars: Option<bool>,
    }
    Kv {
        entries: Option<i64>,
        bytes: Option<Size>,
    }
    Callout {
        pools: Vec<String>,
        timeout: Option<Duration>,
        bytes: Option<Size>,
        per_call: Option<i64>,
    }
    Body {
        bytes: Option<Size>,
        timeout: Option<Duration>,
    }
    Rollout {
        shadow: Option<Shadow>,
        canary: Option<Stage>,
    }
    Shadow {
        share: Option<i64>,
        requests: Option<i64>,
        #[serde(rename = "for")]
        time: Option<Duration>,
        max_errors: Option<i64>,
        max_differences: Option<i64>,
        callouts: Option<String>,
    }
    Stage {
        share: Option<i64>,
        requests: Option<i64>,
        #[serde(rename = "for")]
        time: Option<Duration>,
        max_errors: Option<i64>,
    }
    OnErrorRoles {
        routing: Option<String>,
        affinity: Option<String>,
        rewriting: Option<String>,
    }
    Admin {
        address: String,
    }
    Control {
        socket: String,
    }
    Record {
        path: String,
        share: Option<i64>,
        plugins: Option<Vec<String>>,
        redact_headers: Option<Vec<String>>,
        redact_cookies: Option<Vec<String>>,
        body_bytes: Option<Size>,
        callout_bytes: Option<Size>,
        max_size: Option<Size>,
    }
    Log {
        level: Option<String>,
        format: Option<String>,
    }
    AccessLog {
        path: Option<String>,
    }
    Tracing {
        context: Option<String>,
        sampled: Option<i64>,
        spans: Option<bool>,
    }
    Timeouts {
        tls_handshake: Option<Duration>,
        request_head: Option<Duration>,
        body_idle: Option<Duration>,
        body_min_rate: Option<Size>,
        shutdown_delay: Option<Duration>,
        tunnel_idle: Option<Duration>,
        shutdown_grace: Option<Duration>,
        upgrade: Option<Duration>,
    }
    Limits {
        head_bytes: Option<Size>,
        head_fields: Option<i64>,
        target_bytes: Option<Size>,
        h2_streams: Option<i64>,
        h2_resets: Option<i64>,
        h2_idle_frames: Option<i64>,
        h2_stream_window: Option<Size>,
        h2_connection_window: Option<Size>,
        connections: Option<i64>,
        connections_per_client: Option<i64>,
        connections_per_worker: Option<i64>,
    }
    Listener {
        name: String,
        address: String,
        protocol: Option<String>,
        tls: Option<Tls>,
        default_pool: Option<String>,
        https_redirect: Option<HttpsRedirect>,
        proxy_protocol: Option<ProxyProtocol>,
        #[serde(default)]
        requests: Requests,
        error_pages: Option<BTreeMap<String, ErrorPage>>,
    }
    ErrorPage {
        html: Option<String>,
        json: Option<String>,
        text: Option<String>,
    }
    HttpsRedirect {
        status: Option<i64>,
        port: Option<i64>,
        to: Option<String>,
        path: Option<String>,
        query: Option<String>,
    }
    ProxyProtocol {
        trusted: Vec<String>,
        timeout: Option<Duration>,
    }
    Requests {
        paths: Option<String>,
        slashes: Option<String>,
        encoded_slashes: Option<String>,
        underscores: Option<String>,
        trace: Option<String>,
        body_bytes: Option<Size>,
        upgrades: Option<Vec<String>>,
    }
    Tls {
        certificates: Vec<Certificate>,
        policy: Option<String>,
        min_version: Option<String>,
        max_version: Option<String>,
        suites: Option<Vec<String>>,
        groups: Option<Vec<String>>,
        unknown_names: Option<String>,
        hosts: Option<String>,
        tickets: Option<Tickets>,
        client_certificates: Option<ClientCertificates>,
    }
    Certificate {
        chain: String,
        key: String,
        ocsp: Option<String>,
    }
    Tickets {
        enabled: Option<bool>,
        keys: Option<String>,
        lifetime: Option<Duration>,
    }
    ClientCertificates {
        mode: String,
        ca: Option<Vec<String>>,
        crl: Option<Vec<String>>,
        crl_unknown: Option<String>,
        depth: Option<i64>,
        direct_issuer: Option<bool>,
        headers: Option<bool>,
    }
    Pool {
        protocol: Option<String>,
        http: Option<String>,
        #[serde(default)]
        h2: PoolH2,
        endpoints: Vec<Endpoint>,
        server_name: Option<String>,
        server_name_from: Option<String>,
        tls: Option<PoolTls>,
        authority: Option<String>,
        affinity: Option<String>,
        balance: Option<String>,
        hash_on: Option<String>,
        trust: Option<Trust>,
        #[serde(default)]
        timeouts: PoolTimeouts,
        max_idle: Option<i64>,
        health: Option<Health>,
        #[serde(default)]
        ejection: Ejection,
        panic_threshold: Option<i64>,
        slow_start: Option<Duration>,
        drain_for: Option<Duration>,
        #[serde(default)]
        limits: EndpointLimits,
        #[serde(default)]
        retries: Retries,
    }
    Retries {
        tries: Option<i64>,
        on: Option<Vec<String>>,
        status: Option<Statuses>,
        budget: Option<i64>,
        min_per_second: Option<i64>,
        buffer: Option<Size>,
    }
    EndpointLimits {
        requests: Option<i64>,
        connections: Option<i64>,
        queue: Option<i64>,
        queue_timeout: Option<Duration>,
    }
    Health {
        protocol: Option<String>,
        path: Option<String>,
        host: Option<String>,
        port: Option<i64>,
        interval: Option<Duration>,
        timeout: Option<Duration>,
        unhealthy_after: Option<i64>,
        healthy_after: Option<i64>,
        status: Option<Statuses>,
        body: Option<String>,
    }
    Ejection {
        connects: Option<i64>,
        requests: Option<i64>,
        status: Option<Statuses>,
        time: Option<Duration>,
        max_time: Option<Duration>,
        max_share: Option<i64>,
    }
    PoolTls {
        min_version: Option<String>,
        client_certificate: Option<ClientIdentity>,
    }
    ClientIdentity {
        chain: String,
        key: String,
    }
    PoolH2 {
        streams: Option<i64>,
        stream_window: Option<Size>,
        ping_after: Option<Duration>,
        ping_timeout: Option<Duration>,
    }
    PoolTimeouts {
        connect: Option<Duration>,
        tls_handshake: Option<Duration>,
        first_byte: Option<Duration>,
        idle: Option<Duration>,
        request: Option<Duration>,
    }
    Trust {
        certificates: Option<Vec<String>>,
        spki: Option<Vec<String>>,
        roots: Option<Vec<String>>,
        public: Option<bool>,
    }
    EndpointTable {
        id: Option<String>,
        address: String,
        weight: Option<i64>,
        drain: Option<bool>,
    }
}

impl Trust {
    /// The keys that are there.
    pub(super) fn kinds(&self) -> Vec<&'static str> {
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

/// A duration as written.
#[derive(Debug)]
pub(super) struct Duration(pub(super) String);

/// A size as written.
#[derive(Debug)]
pub(super) enum Size {
    Bytes(i64),
    Text(String),
}

/// Statuses and ranges of them, as written: one, or a list.
#[derive(Debug)]
pub(super) struct Statuses(pub(super) Vec<String>);

/// One policy for all roles, or one for each.
#[derive(Debug)]
pub(super) enum OnError {
    All(String),
    Roles(OnErrorRoles),
}

/// `"host:port"`, or a table with more.
#[derive(Debug)]
pub(super) enum Endpoint {
    Address(String),
    Table(EndpointTable),
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Duration;
            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str(units::DURATION)
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Duration, E> {
                Ok(Duration(text.to_owned()))
            }
        }
        deserializer.deserialize_any(Text)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextOrBytes;
        impl Visitor<'_> for TextOrBytes {
            type Value = Size;
            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str(units::SIZE)
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Size, E> {
                Ok(Size::Text(text.to_owned()))
            }
            fn visit_i64<E: Error>(self, bytes: i64) -> Result<Size, E> {
                Ok(Size::Bytes(bytes))
            }
        }
        deserializer.deserialize_any(TextOrBytes)
    }
}

impl<'de> Deserialize<'de> for OnError {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AllOrRoles;
        impl<'de> Visitor<'de> for AllOrRoles {
            type Value = OnError;
            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str(r#""fail-closed", "fail-open" or a table with one for each role"#)
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<OnError, E> {
                Ok(OnError::All(text.to_owned()))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<OnError, A::Error> {
                OnErrorRoles::deserialize(MapAccessDeserializer::new(map)).map(OnError::Roles)
            }
        }
        deserializer.deserialize_any(AllOrRoles)
    }
}

impl<'de> Deserialize<'de> for Statuses {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMany;
        impl<'de> Visitor<'de> for OneOrMany {
            type Value = Statuses;
            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str(r#"statuses such as 200, "200-399" or a list of them"#)
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Statuses, E> {
                Ok(Statuses(vec![text.to_owned()]))
            }
            fn visit_i64<E: Error>(self, status: i64) -> Result<Statuses, E> {
                Ok(Statuses(vec![status.to_string()]))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Statuses, A::Error> {
                let mut all = Vec::new();
                while let Some(Statuses(some)) = list.next_element()? {
                    all.extend(some);
                }
                Ok(Statuses(all))
            }
        }
        deserializer.deserialize_any(OneOrMany)
    }
}

impl<'de> Deserialize<'de> for Endpoint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AddressOrTable;
        impl<'de> Visitor<'de> for AddressOrTable {
            type Value = Endpoint;
            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str(
                    r#"an endpoint such as "10.0.0.4:443" or { address = "10.0.0.4:443" }"#,
                )
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Endpoint, E> {
                Ok(Endpoint::Address(text.to_owned()))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Endpoint, A::Error> {
                let table = MapAccessDeserializer::new(map);
                EndpointTable::deserialize(table).map(Endpoint::Table)
            }
        }
        deserializer.deserialize_any(AddressOrTable)
    }
}

/// Reads a file's text into its raw form.
pub(super) fn read<T: DeserializeOwned>(source: &Source) -> Result<T, ConfigError> {
    let deserializer =
        toml::Deserializer::parse(source.text()).map_err(|error| syntax(source, &error))?;
    serde_path_to_error::deserialize(deserializer).map_err(|error| shape(source, &error))
}

fn syntax(source: &Source, error: &toml::de::Error) -> ConfigError {
    let span = error.span().unwrap_or(0..0);
    let mut key = keys::near(source.text(), span.start);
    let mut message = error.message().to_owned();
    if message == "duplicate key" {
        let written = source.text().get(span.clone()).unwrap_or_default();
        if key.last_key() != Some(written) && !written.is_empty() {
            key.push_key(written);
        }
        message = "this key stands twice in the file, expected each once".to_owned();
    }
    let problem = source.problem_at(span, &key, message);
    ConfigError::of(source, vec![problem])
}

fn shape(source: &Source, error: &serde_path_to_error::Error<toml::de::Error>) -> ConfigError {
    let mut key = key_path(error.path());
    let words = Words::of(error.inner().message());
    let mut mark = Mark::Value;
    if let Some(unknown) = &words.unknown_key {
        mark = Mark::Key;
        if key.last_key() != Some(unknown) {
            key.push_key(unknown);
        }
    }
    let help = words.help.or_else(|| help(&key));
    let problem = source.problem(&key, mark, words.message);
    ConfigError::of(source, vec![problem.with_help(help)])
}

fn key_path(path: &serde_path_to_error::Path) -> KeyPath {
    let segments = path.iter().filter_map(|segment| match segment {
        SerdeSegment::Seq { index } => Some(Segment::Index(*index)),
        SerdeSegment::Map { key } => Some(Segment::Key(key.clone())),
        SerdeSegment::Enum { .. } | SerdeSegment::Unknown => None,
    });
    KeyPath(segments.collect())
}

fn help(key: &KeyPath) -> Option<String> {
    match key.to_string().as_str() {
        "listeners" => Some("each listener is a table of its own, under `[[listeners]]`".into()),
        "pools" => Some("each pool is a table of its own, under `[pools.NAME]`".into()),
        _ => None,
    }
}

/// A message of serde in the words of this file format.
struct Words {
    message: String,
    unknown_key: Option<String>,
    help: Option<String>,
}

impl Words {
    fn of(serde: &str) -> Self {
        let mut words = Self {
            message: serde.to_owned(),
            unknown_key: None,
            help: None,
        };
        if let Some(rest) = serde.strip_prefix("unknown field `") {
            words.unknown(rest);
        } else if let Some(rest) = serde.strip_prefix("missing field `") {
            let key = rest.trim_end_matches('`');
            words.message = format!("the key `{key}` is missing");
        } else if let Some(rest) = serde
            .strip_prefix("invalid type: ")
            .or_else(|| serde.strip_prefix("invalid value: "))
            && let Some((found, expected)) = rest.split_once(", expected ")
        {
            words.message = format!("found {}, expected {}", plain(found), plain(expected));
        }
        words
    }

    fn unknown(&mut self, rest: &str) {
        let (key, expected) = rest.split_once('`').unwrap_or((rest, ""));
        let known: Vec<&str> = expected.split('`').skip(1).step_by(2).collect();
        self.message = format!("unknown key, expected {}", one_of(&known));
        self.help = closest(key, &known).map(|known| format!("did you mean `{known}`?"));
        self.unknown_key = Some(key.to_owned());
    }
}

fn plain(words: &str) -> &str {
    match words {
        "i64" => "an integer",
        "a sequence" | "sequence" => "an array",
        "a map" | "map" => "a table",
        other => other,
    }
}

/// `a`, `b` or `c`.
pub(super) fn one_of(known: &[&str]) -> String {
    let quoted: Vec<_> = known.iter().map(|name| format!("`{name}`")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => "nothing here".to_owned(),
    }
}

/// A longer key than this is no mistyped one, and comparing takes time in proportion.
const MISTYPED_LENGTH: usize = 64;

/// The one of `known` that was probably meant.
pub(super) fn closest<'a>(written: &str, known: &[&'a str]) -> Option<&'a str> {
    if written.len() > MISTYPED_LENGTH {
        return None;
    }
    let written = written.to_ascii_lowercase().replace('-', "_");
    let distances = known.iter().map(|name| {
        let plain = name.to_ascii_lowercase().replace('-', "_");
        (distance(&written, &plain), *name)
    });
    let (distance, name) = distances.min_by_key(|(distance, _)| *distance)?;
    (distance <= written.len().max(3) / 3).then_some(name)
}

/// How many letters to insert, remove, change or swap with the next (Damerau-Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let mut rows = vec![(0..=other.len()).collect::<Vec<usize>>()];
    let at =
        |rows: &[Vec<usize>], i: usize, j: usize| rows.get(i).and_then(|row| row.get(j)).copied();
    let far = usize::MAX - 1;
    for (i, letter) in one.iter().enumerate() {
        rows.push(vec![i + 1]);
        for (j, meant) in other.iter().enumerate() {
            let changed = at(&rows, i, j).unwrap_or(far) + usize::from(letter != meant);
            let removed = at(&rows, i, j + 1).unwrap_or(far) + 1;
            let inserted = at(&rows, i + 1, j).unwrap_or(far) + 1;
            let is_swap =
                i > 0 && j > 0 && one.get(i - 1) == Some(meant) && other.get(j - 1) == Some(letter);
            let swapped = if is_swap {
                at(&rows, i - 1, j - 1).unwrap_or(far) + 1
            } else {
                far
            };
            let best = changed.min(removed).min(inserted).min(swapped);
            if let Some(row) = rows.last_mut() {
                row.push(best);
            }
        }
    }
    at(&rows, one.len(), other.len()).unwrap_or(far)
}
