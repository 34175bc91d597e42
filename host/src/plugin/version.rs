//! One version of a plugin in service: checked code, its configuration and its limits.

use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, OnceLock, atomic::AtomicUsize, atomic::Ordering},
};

use super::{
    bindings::exports::witgate::plugin::interest::Calls,
    component::CheckedComponent,
    engine::PluginEngine,
    error::LoadError,
    shared::{Shared, Uses},
    trial::Trial,
    trust::Signatures,
};
use crate::{
    config::{Cases, Grant, Grants, OnError, PluginLimits, Role, Sidecar},
    metrics::{PerWorker, PluginCounters},
    total::Total,
};

/// SHA-256 of a plugin file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let mut out = [0; 32];
        out.copy_from_slice(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes).as_ref());
        Self(out)
    }

    /// The digest of these 64 hexadecimal digits.
    pub fn parse(digits: &str) -> Option<Self> {
        let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
        if !rest.is_empty() {
            return None;
        }
        let byte = |pair: &[u8; 2]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
        let bytes: Vec<u8> = pairs.iter().map(byte).collect::<Option<_>>()?;
        Some(Self(bytes.try_into().ok()?))
    }

    pub(super) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<[u8; 32]> for Digest {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

/// All digits.
impl fmt::LowerHex for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The first 12 hexadecimal digits, enough to tell versions apart.
impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .take(6)
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A plugin as it was read from the folder, not yet checked.
#[derive(Debug, Clone)]
pub struct Source {
    /// The file's name without `NN-` and `.wasm`.
    pub name: Arc<str>,
    /// The file.
    pub path: PathBuf,
    /// The file's bytes.
    pub bytes: Arc<[u8]>,
    /// What `bytes` hash to.
    pub digest: Digest,
    /// Its limits and configuration.
    pub sidecar: Sidecar,
    /// What it has to decide before it is taken into service.
    pub cases: Option<Cases>,
    /// Who vouches for it, whether anybody asks or not.
    pub signatures: Signatures,
}

impl Source {
    /// What tells versions apart for people: the digest of the file and, where it is configured,
    /// four digits of that of its configuration: `4aca32ceda53.9f3b`.
    pub fn label(&self) -> String {
        let mut label = self.digest.to_string();
        if self.sidecar.config_json != "{}" {
            let config = Digest::of(self.sidecar.config_json.as_bytes()).to_string();
            label.push('.');
            label.extend(config.chars().take(4));
        }
        label
    }

    /// The same but for the file's bytes: enough to tell versions apart.
    pub fn without_bytes(&self) -> Self {
        Self {
            bytes: Arc::from([]),
            ..self.clone()
        }
    }

    /// Whether it makes the same version as the other. How that is rolled out is another matter.
    pub fn makes_the_same(&self, other: &Self) -> bool {
        let cases = |source: &Self| source.cases.as_ref().map(|cases| cases.text().to_owned());
        self.digest == other.digest
            && self.path == other.path
            && self.sidecar.limits == other.sidecar.limits
            && self.sidecar.config_json == other.sidecar.config_json
            && self.sidecar.roles == other.sidecar.roles
            && self.sidecar.grants == other.sidecar.grants
            && cases(self) == cases(other)
    }
}

/// One version of a plugin that takes or took part in decisions. Freed, compiled code and
/// all, when the last request that began with it has ended.
pub struct Version {
    /// The plugin's name.
    pub name: Arc<str>,
    /// What it was made from.
    pub source: Source,
    /// The digest as the access log shows it.
    pub label: Arc<str>,
    /// The roles that it is used for.
    pub roles: Vec<Role>,
    /// What a call may cost.
    pub limits: PluginLimits,
    /// Calls, errors and time, per worker.
    pub counters: Arc<PerWorker<PluginCounters>>,
    /// What it shares with other versions of the plugin; none when nothing is granted that is.
    pub shared: Option<Arc<Shared>>,
    pub(super) engine: PluginEngine,
    pub(super) component: Arc<CheckedComponent>,
    /// What its first instance has said that it need not be asked.
    pub(super) unneeded: OnceLock<Calls>,
    _alive: Alive,
}

impl Version {
    /// A version of this code under this sidecar. Fails when the sidecar allows only roles that
    /// the code does not have, or does not grant what the code imports.
    pub(super) fn new(
        engine: &PluginEngine,
        component: Arc<CheckedComponent>,
        source: Source,
        workers: usize,
    ) -> Result<Self, LoadError> {
        check_grants(&component, &source.sidecar.grants)?;
        Ok(Self {
            shared: engine
                .shared
                .of(&source.name, &source.sidecar.grants, workers),
            roles: roles(&component, source.sidecar.roles.as_deref())?,
            name: Arc::clone(&source.name),
            label: source.digest.to_string().into(),
            limits: source.sidecar.limits.clone(),
            counters: Arc::new(PerWorker::new(workers)),
            engine: engine.clone(),
            component,
            unneeded: OnceLock::new(),
            source,
            _alive: Alive::new(),
        })
    }

    /// The same in service, or about to be: it begins to count, and shares what it is granted with
    /// the plugin's other versions.
    pub fn in_company(&self) -> Self {
        let workers = self.counters.workers();
        let shared = self
            .engine
            .shared
            .of(&self.name, &self.source.sidecar.grants, workers);
        self.with(shared)
    }

    /// The same as a shadow: what it stores and counts is seen by no other.
    pub fn apart(&self) -> Self {
        let workers = self.counters.workers();
        let shared = self.shared.as_ref().map(|_| Arc::new(Shared::new(workers)));
        self.with(shared)
    }

    fn with(&self, shared: Option<Arc<Shared>>) -> Self {
        Self {
            name: Arc::clone(&self.name),
            source: self.source.clone(),
            label: Arc::clone(&self.label),
            roles: self.roles.clone(),
            limits: self.limits.clone(),
            shared,
            counters: Arc::new(PerWorker::new(self.counters.workers())),
            engine: self.engine.clone(),
            component: Arc::clone(&self.component),
            unneeded: self.unneeded.clone(),
            _alive: Alive::new(),
        }
    }

    /// What bodies that are kept for plugins may have together.
    pub fn bodies(&self) -> &Arc<Total> {
        &self.engine.bodies
    }

    /// Whether this version is used for a role.
    pub fn has(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }

    /// Whether it has said that it does nothing in these calls.
    pub fn does_without(&self, calls: Calls) -> bool {
        let unneeded = self.unneeded.get();
        unneeded.is_some_and(|unneeded| unneeded.contains(calls))
    }

    /// Whether its calls may wait: it speaks the draft of WIT 0.2.
    pub fn waits(&self) -> bool {
        self.component.waits
    }

    /// What a failed call of a role means for the request.
    pub fn on_error(&self, role: Role) -> OnError {
        self.limits.on_error.of(role)
    }

    /// How many versions the process holds; a reload under load raises it for the time of the
    /// requests that are under way.
    pub fn alive() -> usize {
        ALIVE.load(Ordering::Relaxed)
    }

    /// How an instance that is only tried uses what it is granted: empty, and seen by no other.
    pub(super) fn uses_alone(&self) -> Option<Uses> {
        let shared = self.shared.as_ref().map(|_| Arc::new(Shared::new(1)))?;
        Some(Uses::new(shared, &self.source.sidecar.grants))
    }

    /// How a new instance uses what is shared.
    pub(super) fn uses(&self) -> Option<Uses> {
        let shared = Arc::clone(self.shared.as_ref()?);
        Some(Uses::new(shared, &self.source.sidecar.grants))
    }
}

/// A plugin as requests meet it.
#[derive(Debug, Clone)]
pub struct InService {
    /// The version that decides.
    pub live: Arc<Version>,
    /// The one that is about to.
    pub trial: Option<Arc<Trial>>,
}

impl InService {
    /// Both versions, where there are two.
    pub(super) fn versions(&self) -> impl Iterator<Item = &Arc<Version>> {
        let on_trial = self.trial.as_ref().map(|trial| &trial.version);
        std::iter::once(&self.live).chain(on_trial)
    }

    /// Whether either version is used for a role.
    pub fn has(&self, role: Role) -> bool {
        let on_trial = self.trial.as_ref().map(|trial| &trial.version);
        self.live.has(role) || on_trial.is_some_and(|version| version.has(role))
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.label)
    }
}

/// The roles that both the component has and the sidecar allows.
fn roles(component: &CheckedComponent, allowed: Option<&[Role]>) -> Result<Vec<Role>, LoadError> {
    let found = component.roles();
    let Some(allowed) = allowed else {
        return Ok(found);
    };
    let used: Vec<Role> = found
        .iter()
        .copied()
        .filter(|role| allowed.contains(role))
        .collect();
    match used.as_slice() {
        [] => Err(LoadError::RolesExcluded {
            found: names(&found),
            allowed: names(allowed),
        }),
        _ => Ok(used),
    }
}

/// Refuses imports that the sidecar does not grant, with the line that would.
fn check_grants(component: &CheckedComponent, grants: &Grants) -> Result<(), LoadError> {
    let needs = component.needs();
    let missing = needs.iter().filter(|grant| !grants.has(**grant));
    let interfaces: Vec<_> = missing.map(|grant| grant.interface().to_owned()).collect();
    if interfaces.is_empty() {
        return Ok(());
    }
    let granted = Grant::ALL.into_iter();
    let granted = granted.filter(|grant| grants.has(*grant) || needs.contains(grant));
    Err(LoadError::NotGranted {
        interfaces,
        line: grants_line(granted),
    })
}

/// What a sidecar that grants these says.
pub fn grants_line(grants: impl IntoIterator<Item = Grant>) -> String {
    let names: Vec<_> = grants
        .into_iter()
        .map(|grant| format!("{:?}", grant.as_str()))
        .collect();
    format!("grants = [{}]", names.join(", "))
}

fn names(roles: &[Role]) -> String {
    roles
        .iter()
        .map(Role::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}

static ALIVE: AtomicUsize = AtomicUsize::new(0);

/// Counts itself for as long as it lives.
struct Alive;

impl Alive {
    fn new() -> Self {
        ALIVE.fetch_add(1, Ordering::Relaxed);
        Self
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        ALIVE.fetch_sub(1, Ordering::Relaxed);
    }
}
