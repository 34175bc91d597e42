//! From raw to typed: fills in defaults, checks ranges, names and references. All problems of
//! a file are collected before any is reported.

use std::{
    collections::BTreeMap, net::SocketAddr, num::NonZeroUsize, ops::RangeInclusive, path::PathBuf,
    thread, time::Duration,
};

use super::{
    AccessLog, Config, Listener, Log, LogFormat, PluginLimits, Plugins, PrivateFolder, Timeouts,
    check::{Check, GRACE, TIMEOUTS, TUNNELS, UPGRADE, Unique},
    error::{ConfigError, Problems, Source},
    hosts, raw,
};

/// Each worker is a thread with listeners and connections of its own.
const WORKERS: RangeInclusive<i64> = 1..=1024;
/// Leaves room for what is put behind it while the socket is being made.
const MAX_SOCKET_PATH: usize = 90;
/// Of all plugins together.
const PLUGINS_MEMORY: RangeInclusive<u64> = (1 << 20)..=(1 << 40);
/// Of their compiled code on disk, and of their versions.
const PRIVATE_FOLDER: RangeInclusive<u64> = (1 << 20)..=(1 << 40);
/// Bytes per second. More would turn slow lines away.
const MIN_RATES: RangeInclusive<u64> = 0..=(1 << 20);

/// Reads and checks a whole file.
pub(super) fn config(source: Source) -> Result<Config, ConfigError> {
    let raw: raw::File = raw::read(&source)?;
    let mut check = Check {
        path: source.path(),
        problems: Problems::of(&source),
    };
    let has_plugins = raw.plugins.is_some();
    let admin = check.admin(raw.admin);
    let config = Config {
        workers: check.workers(raw.workers),
        plugins: raw.plugins.map(|raw| check.plugins(raw)),
        admin,
        control: raw.control.map(|raw| check.control(&raw)),
        record: raw.record.map(|raw| check.record(raw)),
        log: check.log(&raw.log),
        access_log: check.access_log(raw.access_log),
        trace: check.trace(&raw.trace),
        timeouts: check.timeouts(&raw.timeouts),
        limits: check.limits(&raw.limits),
        dns: check.dns(raw.dns),
        error_pages: check.error_pages("error_pages", raw.error_pages),
        listeners: check.listeners(raw.listeners, admin, &raw.pools),
        pools: check.pools(raw.pools, has_plugins),
        source: source.clone(),
    };
    check.problems.finish()?;
    Ok(config)
}

impl Check<'_> {
    fn workers(&mut self, raw: Option<i64>) -> NonZeroUsize {
        let cores = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let workers = self.count("workers", raw, WORKERS, cores.get());
        NonZeroUsize::new(workers).unwrap_or(cores)
    }

    fn plugins(&mut self, mut raw: raw::Plugins) -> Plugins {
        let limits = raw.take_limits();
        let (memory_key, memory) = ("plugins.total_memory", raw.total_memory.as_ref());
        let (bodies_key, bodies) = ("plugins.total_bodies", raw.total_bodies.as_ref());
        let dir = self.file("plugins.dir", &raw.dir);
        let cache = self.private_folder("cache", raw.cache.as_deref(), raw.cache_size.as_ref());
        let state = self.private_folder("state", raw.state.as_deref(), raw.state_size.as_ref());
        let others = [
            ("plugins.dir", Some(&dir)),
            ("plugins.cache", cache.as_ref().map(|cache| &cache.dir)),
        ];
        for (other, path) in others {
            if path.is_some() && path == state.as_ref().map(|state| &state.dir) {
                let message = format!("is the folder of `{other}`, expected one of its own");
                self.problems.add("plugins.state", message);
            }
        }
        Plugins {
            dir,
            limits: self.plugin_limits("plugins.", &limits, &PluginLimits::DEFAULT),
            total_memory: self.size(memory_key, memory, PLUGINS_MEMORY, 4 << 30),
            total_bodies: self.size(bodies_key, bodies, PLUGINS_MEMORY, 256 << 20),
            cache,
            state,
            trust: raw.trust.map(|raw| self.plugin_trust(raw)),
        }
    }

    fn private_folder(
        &mut self,
        name: &str,
        dir: Option<&str>,
        size: Option<&raw::Size>,
    ) -> Option<PrivateFolder> {
        let (key, size_key) = (format!("plugins.{name}"), format!("plugins.{name}_size"));
        let checked: u64 = self.size(&size_key, size, PRIVATE_FOLDER, 256 << 20);
        let Some(dir) = dir else {
            if size.is_some() {
                let message = format!("has no meaning without `{key}`, the folder of what is kept");
                self.problems.add(&size_key, message);
            }
            return None;
        };
        Some(PrivateFolder {
            dir: self.file(&key, dir),
            size: checked,
        })
    }

    /// A longer path is none that a socket can have (unix(7)).
    fn control(&mut self, raw: &raw::Control) -> PathBuf {
        let path = self.file("control.socket", &raw.socket);
        let length = path.as_os_str().len();
        if length > MAX_SOCKET_PATH {
            let message = format!(
                "the path {} has {length} bytes, expected at most {MAX_SOCKET_PATH}",
                path.display()
            );
            self.problems.add("control.socket", message);
        }
        path
    }

    fn admin(&mut self, raw: Option<raw::Admin>) -> Option<SocketAddr> {
        let raw = raw?;
        let address = hosts::socket_address(&raw.address);
        let address = self.problems.take("admin.address", address)?;
        if !address.ip().is_loopback() {
            self.problems.add(
                "admin.address",
                format!(
                    "found {:?}, expected a loopback address such as \"127.0.0.1:9901\": \
                     the admin listener has no authentication",
                    raw.address
                ),
            );
        }
        Some(address)
    }

    fn log(&mut self, raw: &raw::Log) -> Log {
        use tracing::Level;
        let levels = [
            ("error", Level::ERROR),
            ("warn", Level::WARN),
            ("info", Level::INFO),
            ("debug", Level::DEBUG),
            ("trace", Level::TRACE),
        ];
        let formats = [("text", LogFormat::Text), ("json", LogFormat::Json)];
        Log {
            level: self.choice("log.level", raw.level.as_deref(), &levels, Level::INFO),
            format: self.choice(
                "log.format",
                raw.format.as_deref(),
                &formats,
                LogFormat::Text,
            ),
        }
    }

    fn access_log(&mut self, raw: raw::AccessLog) -> AccessLog {
        match raw.path.as_deref() {
            None | Some("-") => AccessLog::Stdout,
            Some("off") => AccessLog::Off,
            Some(path) => AccessLog::File(self.file("access_log.path", path)),
        }
    }

    fn timeouts(&mut self, raw: &raw::Timeouts) -> Timeouts {
        let rate = raw.body_min_rate.as_ref();
        let body_min_rate = self.size("timeouts.body_min_rate", rate, MIN_RATES, 240) as u64;
        let mut timeout = |name: &str, raw: &Option<raw::Duration>, range, seconds| {
            let default = Duration::from_secs(seconds);
            self.duration(&format!("timeouts.{name}"), raw.as_ref(), range, default)
        };
        Timeouts {
            tls_handshake: timeout("tls_handshake", &raw.tls_handshake, TIMEOUTS, 10),
            request_head: timeout("request_head", &raw.request_head, TIMEOUTS, 60),
            body_idle: timeout("body_idle", &raw.body_idle, TIMEOUTS, 60),
            body_min_rate,
            shutdown_delay: timeout("shutdown_delay", &raw.shutdown_delay, GRACE, 0),
            tunnel_idle: timeout("tunnel_idle", &raw.tunnel_idle, TUNNELS, 3600),
            shutdown_grace: timeout("shutdown_grace", &raw.shutdown_grace, GRACE, 30),
            upgrade: timeout("upgrade", &raw.upgrade, UPGRADE, 60),
        }
    }

    fn listeners(
        &mut self,
        raw: Vec<raw::Listener>,
        admin: Option<SocketAddr>,
        pools: &BTreeMap<String, raw::Pool>,
    ) -> Vec<Listener> {
        if raw.is_empty() {
            self.problems.add_with_help(
                "listeners",
                "there is no listener, expected at least one",
                "add a `[[listeners]]` table with `name`, `address` and `tls.certificates`",
            );
        }
        let mut names = Unique::default();
        let mut addresses = Unique::default();
        if let Some(admin) = admin {
            addresses.claim(self, admin, "admin.address");
        }
        let raw = raw.into_iter().enumerate();
        let listeners = raw.filter_map(|(index, raw)| {
            let listener = self.listener(format!("listeners[{index}]"), raw, pools)?;
            names.claim(
                self,
                listener.name.clone(),
                &format!("{}.name", listener.key),
            );
            if listener.address.port() != 0 {
                let key = format!("{}.address", listener.key);
                addresses.claim(self, listener.address, &key);
            }
            Some(listener)
        });
        listeners.collect()
    }

    fn listener(
        &mut self,
        key: String,
        raw: raw::Listener,
        pools: &BTreeMap<String, raw::Pool>,
    ) -> Option<Listener> {
        self.problems
            .take(&format!("{key}.name"), hosts::name(&raw.name));
        let protocol = self.protocol(&key, raw.protocol.as_deref());
        let tls = self.tls_by_protocol(&key, protocol, raw.tls);
        let https_redirect = self.https_redirect(&key, protocol, raw.https_redirect);
        let proxy_protocol = self.proxy_protocol(&key, raw.proxy_protocol);
        if let Some(pool) = raw.default_pool.as_deref() {
            self.declared(&format!("{key}.default_pool"), pool, pools);
        }
        let requests = self.requests(&format!("{key}.requests"), &raw.requests);
        let error_pages = raw
            .error_pages
            .map(|raw| self.error_pages(&format!("{key}.error_pages"), raw));
        let address = hosts::socket_address(&raw.address);
        Some(Listener {
            address: self.problems.take(&format!("{key}.address"), address)?,
            key,
            name: raw.name,
            tls,
            https_redirect,
            proxy_protocol,
            default_pool: raw.default_pool,
            requests,
            error_pages,
        })
    }

    fn declared(&mut self, key: &str, pool: &str, pools: &BTreeMap<String, raw::Pool>) {
        if pools.contains_key(pool) {
            return;
        }
        let known: Vec<&str> = pools.keys().map(String::as_str).collect();
        let expected = match known.len() {
            0 => "a pool, but the file declares none".to_owned(),
            1..=8 => format!("a declared pool: {}", raw::one_of(&known)),
            many => format!("one of the {many} declared pools"),
        };
        let message = format!("found {pool:?}, expected {expected}");
        match raw::closest(pool, &known) {
            Some(meant) => {
                let help = format!("did you mean `{meant}`?");
                self.problems.add_with_help(key, message, &help);
            }
            None => self.problems.add(key, message),
        }
    }
}
