//! What a gateway is started with: a folder with its configuration, certificates and plugins.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use super::{Gateway, launch::Launch};
use crate::{
    certs::{Authority, GATEWAY_NAMES},
    upstream::Upstream,
};

/// A gateway that has yet to be started. Files are written at once into a temporary folder,
/// the configuration file on start.
#[derive(Debug)]
pub struct Setup {
    dir: TempDir,
    authority: Authority,
    workers: usize,
    plugin_defaults: String,
    admin: String,
    tables: Vec<String>,
    certificates: Vec<String>,
    listener: Vec<String>,
    address: String,
    launch: Launch,
    default_pool: Option<String>,
    pools: BTreeMap<String, Pool>,
    verbatim: Option<String>,
}

impl Default for Setup {
    fn default() -> Self {
        Self::new()
    }
}

impl Setup {
    /// One listener, two workers, an admin listener, an empty plugin folder, no pool.
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("plugins")).unwrap();
        let authority = Authority::new("the clients' root");
        authority.write(dir.path(), "root");
        authority.issue(&GATEWAY_NAMES).write(dir.path(), "gateway");
        Self {
            dir,
            authority,
            workers: 2,
            plugin_defaults: String::new(),
            admin: "127.0.0.1:0".into(),
            tables: Vec::new(),
            certificates: vec!["gateway".into()],
            listener: Vec::new(),
            address: "127.0.0.1:0".into(),
            launch: Launch::default(),
            default_pool: None,
            pools: BTreeMap::new(),
            verbatim: None,
        }
    }

    /// This text is the configuration, whatever else is said here.
    pub fn configuration(mut self, text: &str) -> Self {
        self.verbatim = Some(text.to_owned());
        self
    }

    /// Another number of workers.
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self
    }

    /// Lines of the `[plugins]` table besides `dir`: `deadline = "2s"`.
    pub fn plugin_defaults(mut self, lines: &str) -> Self {
        lines.clone_into(&mut self.plugin_defaults);
        self
    }

    /// Adds a whole table, such as `[limits]` and its keys.
    pub fn table(mut self, table: &str) -> Self {
        self.tables.push(table.to_owned());
        self
    }

    /// The certificates of the listener, by the names that they were written under; with none,
    /// a line of [`listener`](Self::listener) says them.
    pub fn certificates(mut self, names: &[&str]) -> Self {
        self.certificates = names.iter().map(ToString::to_string).collect();
        self
    }

    /// Adds a line to the listener: `tls.policy = "tls13"`.
    pub fn listener(mut self, line: &str) -> Self {
        self.listener.push(line.to_owned());
        self
    }

    /// Takes all lines that [`listener`](Self::listener) has added away again.
    pub fn plain_listener(mut self) -> Self {
        self.listener.clear();
        self
    }

    /// Another address of the listener than any free port.
    pub fn address(mut self, address: SocketAddr) -> Self {
        self.address = address.to_string();
        self
    }

    /// The same for the admin listener.
    pub fn admin(mut self, address: SocketAddr) -> Self {
        self.admin = address.to_string();
        self
    }

    /// Lets the process have so many descriptors.
    pub fn descriptors(self, limit: u32) -> Self {
        self.prelude(&format!("ulimit -n {limit}"))
    }

    /// Shell commands that come before the gateway in its process.
    pub fn prelude(mut self, commands: &str) -> Self {
        self.launch.prelude.push(commands.to_owned());
        self
    }

    /// Adds an argument behind `run --config FILE`.
    pub fn argument(mut self, argument: &str) -> Self {
        self.launch.arguments.push(argument.to_owned());
        self
    }

    /// Adds a variable to the environment.
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.launch
            .environment
            .push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts the program by this path instead.
    pub fn program(mut self, path: &Path) -> Self {
        self.launch.program = Some(path.to_owned());
        self
    }

    /// Passes a listening socket under this name, as systemd does.
    pub fn socket(mut self, name: &str, socket: &TcpListener) -> Self {
        let socket = socket.try_clone().unwrap();
        self.launch.socket = Some((name.to_owned(), socket));
        self
    }

    pub(super) fn launch(&self) -> &Launch {
        &self.launch
    }

    /// Declares a pool, or replaces the one of this name.
    pub fn pool(mut self, name: &str, pool: Pool) -> Self {
        self.pools.insert(name.to_owned(), pool);
        self
    }

    /// Declares a pool that serves what no plugin claims.
    pub fn default_pool(mut self, name: &str, pool: Pool) -> Self {
        self.default_pool = Some(name.to_owned());
        self.pool(name, pool)
    }

    /// Puts a plugin into the folder, under a name without extension.
    pub fn plugin(self, name: &str, wasm: &[u8]) -> Self {
        self.put_plugin(name, wasm);
        self
    }

    /// Puts a plugin's sidecar file into the folder.
    pub fn sidecar(self, name: &str, toml: &str) -> Self {
        self.put_sidecar(name, toml);
        self
    }

    /// Puts a plugin's file of cases into the folder.
    pub fn cases(self, name: &str, toml: &str) -> Self {
        self.put_cases(name, toml);
        self
    }

    /// Starts the gateway and waits until it is ready.
    pub async fn start(self) -> Gateway {
        Gateway::start(self).await
    }

    /// Writes a plugin beside the folder and renames it into it, as a careful person would.
    pub fn put_plugin(&self, name: &str, wasm: &[u8]) {
        self.put(&format!("{name}.wasm"), wasm);
    }

    /// Writes a sidecar as [`put_plugin`](Self::put_plugin) writes a plugin.
    pub fn put_sidecar(&self, name: &str, toml: &str) {
        self.put(&format!("{name}.toml"), toml.as_bytes());
    }

    /// Writes cases as [`put_plugin`](Self::put_plugin) writes a plugin.
    pub fn put_cases(&self, name: &str, toml: &str) {
        self.put(&format!("{name}.cases.toml"), toml.as_bytes());
    }

    /// Writes any other file of the folder the same way.
    pub fn put_beside(&self, file: &str, text: &str) {
        self.put(file, text.as_bytes());
    }

    fn put(&self, file: &str, bytes: &[u8]) {
        let beside = self.dir().join(format!("{file}.new"));
        fs::write(&beside, bytes).unwrap();
        fs::rename(&beside, self.plugins().join(file)).unwrap();
    }

    /// The plugin folder.
    pub fn plugins(&self) -> PathBuf {
        self.dir().join("plugins")
    }

    /// The folder of everything.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The configuration file.
    pub fn file(&self) -> PathBuf {
        self.dir().join("witgate.toml")
    }

    /// The root that clients trust.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Its certificate, PEM.
    pub fn root_file(&self) -> PathBuf {
        self.dir().join("root.pem")
    }

    /// Writes the configuration file, in one step.
    pub fn write(&self) {
        let beside = self.dir().join("witgate.toml.new");
        fs::write(&beside, self.text()).unwrap();
        fs::rename(&beside, self.file()).unwrap();
    }

    /// Replaces what this is by what `change` makes of it.
    pub(super) fn change(&mut self, change: impl FnOnce(Self) -> Self) {
        let now = std::mem::take(self);
        *self = change(now);
    }

    /// The configuration as it is written.
    pub fn text(&self) -> String {
        if let Some(text) = &self.verbatim {
            return text.clone();
        }
        let mut text = format!("workers = {}\n", self.workers);
        let _ = writeln!(
            text,
            "[plugins]\ndir = \"plugins\"\n{}",
            self.plugin_defaults
        );
        let _ = writeln!(text, "[admin]\naddress = \"{}\"", self.admin);
        for table in &self.tables {
            let _ = writeln!(text, "{table}");
        }
        let _ = writeln!(
            text,
            "[[listeners]]\nname = \"public\"\naddress = \"{}\"",
            self.address
        );
        if !self.certificates.is_empty() {
            let _ = writeln!(text, "tls.certificates = [{}]", self.certificate_list());
        }
        for line in &self.listener {
            let _ = writeln!(text, "{line}");
        }
        if let Some(pool) = &self.default_pool {
            let _ = writeln!(text, "default_pool = \"{pool}\"");
        }
        for (name, pool) in &self.pools {
            let _ = writeln!(text, "[pools.{name}]\n{}", pool.lines.join("\n"));
        }
        text
    }

    fn certificate_list(&self) -> String {
        let entry = |name: &String| format!("{{ chain = \"{name}.pem\", key = \"{name}.key\" }}");
        self.certificates
            .iter()
            .map(entry)
            .collect::<Vec<_>>()
            .join(", ")
    }
}

/// The lines of a `[pools.NAME]`.
#[derive(Debug, Clone)]
pub struct Pool {
    lines: Vec<String>,
}

impl Pool {
    /// These TLS upstreams, each trusted by the fingerprint of its certificate. Endpoint ids
    /// are the upstreams' names.
    pub fn pinned(upstreams: &[&Upstream]) -> Self {
        let pin = |upstream: &&Upstream| format!("\"{}\"", upstream.identity().fingerprint());
        let pins: Vec<_> = upstreams.iter().map(pin).collect();
        Self::trusting(upstreams, &format!("certificates = [{}]", pins.join(", ")))
    }

    /// These TLS upstreams under a trust of this form: `roots = ["ca.pem"]`.
    pub fn trusting(upstreams: &[&Upstream], trust: &str) -> Self {
        Self::new(upstreams).with(&format!("trust.{trust}"))
    }

    /// These upstreams without TLS.
    pub fn plain(upstreams: &[&Upstream]) -> Self {
        Self::new(upstreams).with("protocol = \"http\"")
    }

    fn new(upstreams: &[&Upstream]) -> Self {
        let endpoint = |upstream: &&Upstream| {
            format!(
                "{{ id = \"{}\", address = \"{}\" }}",
                upstream.name(),
                upstream.address()
            )
        };
        let endpoints: Vec<_> = upstreams.iter().map(endpoint).collect();
        Self::of(&format!("endpoints = [{}]", endpoints.join(", ")))
    }

    /// A pool of exactly these lines.
    pub fn of(lines: &str) -> Self {
        Self {
            lines: vec![lines.to_owned()],
        }
    }

    /// Adds a line: `authority = "web.internal"`.
    pub fn with(mut self, line: &str) -> Self {
        self.lines.push(line.to_owned());
        self
    }
}
