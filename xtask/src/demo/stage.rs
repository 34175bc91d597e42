//! The folder that the demo's gateway runs on, and the two servers started on it: the
//! quickstart example itself, or a copy of it on free ports.

use std::{
    fs::{self, File},
    io,
    net::TcpListener,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;

use super::curl::fetch_plain;
use crate::{children::Children, project::Project};

/// The quickstart example, from the top of the repository.
pub(super) const QUICKSTART: &str = "examples/quickstart";

/// How long the gateway may take to compile its plugins and listen, on a slow machine.
const START: Duration = Duration::from_secs(60);

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// Where everything listens, on the loopback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ports {
    gateway: u16,
    admin: u16,
    web: [u16; 2],
    impostor: u16,
}

/// As the quickstart's files have it.
const DOCUMENTED: Ports = Ports {
    gateway: 8443,
    admin: 9901,
    web: [9001, 9002],
    impostor: 9003,
};

/// A folder with configuration, certificates and plugins.
#[derive(Debug)]
pub(super) struct Stage {
    dir: PathBuf,
    ports: Ports,
    /// Removes a copy at the end.
    copy: Option<TempDir>,
}

impl Stage {
    /// The quickstart example where it is, on its documented ports.
    pub(super) fn in_place(project: &Project) -> Result<Self> {
        DOCUMENTED.must_be_free()?;
        let stage = Self {
            dir: project.root().join(QUICKSTART),
            ports: DOCUMENTED,
            copy: None,
        };
        stage.copy_plugins(project)?;
        Ok(stage)
    }

    /// A copy in a temporary folder, on free ports.
    pub(super) fn copy(project: &Project) -> Result<Self> {
        let copy = TempDir::with_prefix("witgate-demo-")?;
        let ports = Ports::free()?;
        let original = project.root().join(QUICKSTART);
        let stage = Self {
            dir: copy.path().to_owned(),
            ports,
            copy: Some(copy),
        };
        for file in ["witgate.toml", "curlrc"] {
            let text = read(&original.join(file))?;
            fs::write(stage.dir.join(file), stage.moved(&text))?;
        }
        fs::create_dir(stage.plugins())?;
        for file in beside_plugins(&original.join("plugins"))? {
            let name = file.file_name().unwrap_or_default();
            fs::copy(&file, stage.plugins().join(name))?;
        }
        stage.copy_plugins(project)?;
        Ok(stage)
    }

    /// The folder of the gateway's plugins.
    pub(super) fn plugins(&self) -> PathBuf {
        self.dir.join("plugins")
    }

    /// The folder of everything.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// What curl needs to find and trust the gateway.
    pub(super) fn curlrc(&self) -> PathBuf {
        self.dir.join("curlrc")
    }

    /// A text of the quickstart as it is on this stage: other ports, other folder.
    pub(super) fn moved(&self, text: &str) -> String {
        if self.copy.is_none() {
            return text.to_owned();
        }
        let mut text = text.replace(QUICKSTART, &self.dir.to_string_lossy());
        for (from, to) in DOCUMENTED.all().into_iter().zip(self.ports.all()) {
            text = text.replace(&format!("127.0.0.1:{from}"), &format!("127.0.0.1:{to}"));
        }
        text
    }

    /// Starts the upstreams, which make the certificates, and then the gateway; its log and
    /// its access log go to `logs` or, with none, to the terminal.
    pub(super) fn start(&self, project: &Project, logs: Option<&Logs>) -> Result<Children> {
        let mut children = Children::default();
        let web = self.ports.web.map(|port| format!("127.0.0.1:{port}"));
        let mut upstreams = project.program(project.binary("demo-upstreams"));
        upstreams.arg("--certs").arg(self.dir.join("certs"));
        upstreams.args(["--web", &web.join(",")]);
        upstreams.args(["--impostor", &format!("127.0.0.1:{}", self.ports.impostor)]);
        children.start_until_ready("demo-upstreams", &mut upstreams)?;
        let mut gateway = project.program(project.binary("witgate"));
        gateway
            .args(["run", "--config"])
            .arg(self.dir.join("witgate.toml"));
        if let Some(logs) = logs {
            gateway
                .stderr(logs.file(&logs.log)?)
                .stdout(logs.file(&logs.access)?);
        }
        children.start("the gateway", &mut gateway)?;
        eventually(START, "the gateway ready", || {
            children.check()?;
            Ok(self.is_ready().then_some(()))
        })?;
        Ok(children)
    }

    fn is_ready(&self) -> bool {
        let url = format!("http://127.0.0.1:{}/readyz", self.ports.admin);
        fetch_plain(&url).is_ok_and(|answer| answer.status == 200)
    }

    /// Puts beside each sidecar file the plugin that it is for.
    fn copy_plugins(&self, project: &Project) -> Result<()> {
        let beside = beside_plugins(&self.plugins())?;
        for sidecar in beside.iter().filter(|file| !is_cases(file)) {
            let stem = sidecar.file_stem().unwrap_or_default().to_string_lossy();
            let name = stem.trim_start_matches(|c: char| c.is_ascii_digit() || c == '-');
            let built = project
                .target()
                .join("plugins")
                .join(format!("{name}.wasm"));
            let bytes = fs::read(&built).with_context(|| built.display().to_string())?;
            replace(&sidecar.with_extension("wasm"), &bytes)?;
        }
        Ok(())
    }
}

/// Where a gateway writes what nobody watches.
#[derive(Debug)]
pub(super) struct Logs {
    /// The gateway's log.
    pub(super) log: PathBuf,
    /// Its access log.
    pub(super) access: PathBuf,
}

impl Logs {
    /// Files in the stage's folder.
    pub(super) fn on(stage: &Stage) -> Self {
        Self {
            log: stage.dir.join("gateway.log"),
            access: stage.dir.join("access.log"),
        }
    }

    fn file(&self, path: &Path) -> Result<File> {
        File::create(path).with_context(|| path.display().to_string())
    }
}

impl Ports {
    fn all(self) -> [u16; 5] {
        let Self {
            gateway,
            admin,
            web: [one, two],
            impostor,
        } = self;
        [gateway, admin, one, two, impostor]
    }

    /// Ports that nobody uses now. Another program could take one before we do; then the
    /// start fails and says so.
    fn free() -> Result<Self> {
        let bind = |_| TcpListener::bind("127.0.0.1:0");
        let listeners = [(); 5]
            .map(bind)
            .into_iter()
            .collect::<io::Result<Vec<_>>>()?;
        let ports = listeners
            .iter()
            .map(|listener| Ok(listener.local_addr()?.port()));
        let ports = ports.collect::<io::Result<Vec<_>>>()?;
        let [gateway, admin, one, two, impostor] = ports[..] else {
            bail!("five listeners have five ports");
        };
        Ok(Self {
            gateway,
            admin,
            web: [one, two],
            impostor,
        })
    }

    fn must_be_free(self) -> Result<()> {
        for port in self.all() {
            TcpListener::bind(("127.0.0.1", port)).with_context(|| {
                format!("the demo needs port {port} of 127.0.0.1: end what uses it and try again")
            })?;
        }
        Ok(())
    }
}

/// Looks until there is something, for a limited time.
pub(super) fn eventually<T>(
    limit: Duration,
    what: &str,
    mut look: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let begin = Instant::now();
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        if begin.elapsed() > limit {
            bail!("not within {} s: {what}", limit.as_secs());
        }
        thread::sleep(PAUSE);
    }
}

/// Writes a file under another name, then renames it, as one should into a watched folder.
pub(super) fn replace(file: &Path, bytes: &[u8]) -> Result<()> {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let temporary = file.with_file_name(format!(".{name}.tmp"));
    fs::write(&temporary, bytes).with_context(|| temporary.display().to_string())?;
    fs::rename(&temporary, file).with_context(|| file.display().to_string())
}

/// Sidecars and cases.
fn beside_plugins(dir: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(dir).with_context(|| dir.display().to_string())?;
    let paths = entries.flatten().map(|entry| entry.path());
    Ok(paths
        .filter(|path| path.extension().is_some_and(|one| one == "toml"))
        .collect())
}

fn is_cases(file: &Path) -> bool {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    name.ends_with(".cases.toml")
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| path.display().to_string())
}
