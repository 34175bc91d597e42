//! What a plugin's file has to be: core modules are encoded, what is compiled is checked against
//! the WIT, and what does not fit is refused in plain words.

use std::{borrow::Cow, sync::Arc};

use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER,
};
use wasmparser::{Parser, Payload};
use wasmtime::component::{Component, InstancePre, types::ComponentItem};

use super::{
    bindings::{
        exports::witgate::plugin::{affinity, interest, lifecycle, rewriting, routing},
        v0_2::exports::witgate::plugin0_2_0 as v0_2,
    },
    compile::{self, Compiled},
    engine::{Kind, PluginEngine, Runtime},
    error::LoadError,
    state::State,
    version::Digest,
};
use crate::config::{ConfigSchema, Grant, PluginLimits, Role};

const PACKAGE: &str = "witgate:plugin/";
const VERSIONS: &str = "witgate:plugin@0.1.0 and its successor's draft, witgate:plugin@0.2.0";
const OFFERED: &str = "`types`, `request`, `response`, `pool`, `log` and `access-log` of `witgate:plugin@0.1.0`; where its sidecar grants \
    them, `clock`, `random`, `kv` and `metrics` of the same, `callout` and `body` of `witgate:plugin@0.2.0`; and WASI 0.2 (with an empty context)";
const IMPORTS: [&str; 6] = [
    "witgate:plugin/types@0.1.0",
    "witgate:plugin/request@0.1.0",
    "witgate:plugin/response@0.1.0",
    "witgate:plugin/pool@0.1.0",
    "witgate:plugin/log@0.1.0",
    "witgate:plugin/access-log@0.1.0",
];
/// The parts of WASI 0.2 that are linked.
const WASI: [&str; 6] = [
    "wasi:cli/",
    "wasi:clocks/",
    "wasi:filesystem/",
    "wasi:io/",
    "wasi:random/",
    "wasi:sockets/",
];

/// A compiled component whose imports are linked and whose roles are known.
pub struct CheckedComponent {
    pub(super) runtime: Arc<Runtime>,
    pub(super) pre: InstancePre<State>,
    pub(super) lifecycle: lifecycle::GuestIndices,
    pub(super) routing: Option<RoutingIndices>,
    pub(super) affinity: Option<affinity::GuestIndices>,
    pub(super) rewriting: Option<RewritingIndices>,
    pub(super) interest: Option<interest::GuestIndices>,
    /// Whether its calls may wait.
    pub(super) waits: bool,
    /// Whether it imports anything of WASI.
    pub(super) uses_wasi: bool,
    /// What it imports, as written in it.
    pub imports: Vec<String>,
    /// What its configuration may be; none when the file does not say.
    pub schema: Option<ConfigSchema>,
    /// What its code is to be kept as; none when it is kept already.
    keep_as: Option<Digest>,
}

/// The routing role, in the version of the WIT that the component speaks.
pub(super) enum RoutingIndices {
    V0_1(routing::GuestIndices),
    V0_2(v0_2::routing::GuestIndices),
}

/// The same of rewriting.
pub(super) enum RewritingIndices {
    V0_1(rewriting::GuestIndices),
    V0_2(v0_2::rewriting::GuestIndices),
}

impl RoutingIndices {
    fn new(pre: &InstancePre<State>, exports: &[String]) -> wasmtime::Result<Option<Self>> {
        if has(exports, ROUTING_0_2) {
            return v0_2::routing::GuestIndices::new(pre).map(|role| Some(Self::V0_2(role)));
        }
        has(exports, ROUTING)
            .then(|| routing::GuestIndices::new(pre).map(Self::V0_1))
            .transpose()
    }
}

impl RewritingIndices {
    fn new(pre: &InstancePre<State>, exports: &[String]) -> wasmtime::Result<Option<Self>> {
        if has(exports, REWRITING_0_2) {
            return v0_2::rewriting::GuestIndices::new(pre).map(|role| Some(Self::V0_2(role)));
        }
        has(exports, REWRITING)
            .then(|| rewriting::GuestIndices::new(pre).map(Self::V0_1))
            .transpose()
    }
}

fn has(exports: &[String], name: &str) -> bool {
    exports.iter().any(|export| export == name)
}

impl CheckedComponent {
    /// Compiles and checks the bytes of a plugin file, which takes about a second for each 500 kB.
    pub async fn compile(
        engine: &PluginEngine,
        bytes: &Arc<[u8]>,
        limits: &PluginLimits,
    ) -> Result<Self, LoadError> {
        Self::check(compile::compile(engine, bytes, limits).await?)
    }

    fn check(compiled: Compiled) -> Result<Self, LoadError> {
        let Compiled {
            runtime,
            component,
            waits,
            schema,
            keep_as,
        } = compiled;
        let (imports, exports) = interface_names(&runtime, &component);
        check_imports(&imports)?;
        check_exports(&exports)?;
        let pre = runtime
            .linker
            .instantiate_pre(&component)
            .map_err(mismatch)?;
        Ok(Self {
            lifecycle: lifecycle::GuestIndices::new(&pre).map_err(mismatch)?,
            routing: RoutingIndices::new(&pre, &exports).map_err(mismatch)?,
            affinity: has(&exports, AFFINITY)
                .then(|| affinity::GuestIndices::new(&pre))
                .transpose()
                .map_err(mismatch)?,
            rewriting: RewritingIndices::new(&pre, &exports).map_err(mismatch)?,
            interest: has(&exports, INTEREST)
                .then(|| interest::GuestIndices::new(&pre))
                .transpose()
                .map_err(mismatch)?,
            runtime,
            pre,
            waits,
            uses_wasi: imports.iter().any(|name| name.starts_with("wasi:")),
            imports,
            schema,
            keep_as,
        })
    }

    /// Keeps the compiled code for the next time, unless it comes from there. Blocks.
    pub(super) fn keep(&self, engine: &PluginEngine) {
        if let Some(name) = self.keep_as {
            engine.keep_code(self.pre.component(), name);
        }
    }

    /// The roles that it exports, in the order in which a request meets them.
    pub fn roles(&self) -> Vec<Role> {
        [
            self.routing.as_ref().map(|_| Role::Routing),
            self.affinity.as_ref().map(|_| Role::Affinity),
            self.rewriting.as_ref().map(|_| Role::Rewriting),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// The grants that it needs of its sidecar.
    pub fn needs(&self) -> Vec<Grant> {
        let imports = |grant: &Grant| self.imports.iter().any(|name| name == grant.interface());
        Grant::ALL.into_iter().filter(imports).collect()
    }
}

/// What the modules begin with that wasm-bindgen leaves for its tools to replace.
const WASM_BINDGEN: &str = "__wbindgen";
/// The section that holds the schema of the configuration, JSON.
pub(super) const SCHEMA: &str = "witgate:config-schema";
const LIFECYCLE: &str = "witgate:plugin/lifecycle@0.1.0";
const INTEREST: &str = "witgate:plugin/interest@0.1.0";
const ROUTING: &str = "witgate:plugin/routing@0.1.0";
const AFFINITY: &str = "witgate:plugin/affinity@0.1.0";
const REWRITING: &str = "witgate:plugin/rewriting@0.1.0";
const ROUTING_0_2: &str = "witgate:plugin/routing@0.2.0";
const REWRITING_0_2: &str = "witgate:plugin/rewriting@0.2.0";
const ROLES: [&str; 5] = [ROUTING, AFFINITY, REWRITING, ROUTING_0_2, REWRITING_0_2];

/// Which engine a file needs: what is of 0.2 waits. Of a core module the names of imports and
/// exports count, which hold those of the interfaces.
pub(super) fn kind(file: &[u8]) -> Kind {
    let waits = |name: &str| {
        let version = name.split(PACKAGE).nth(1);
        version.is_some_and(|name| name.contains("@0.2"))
    };
    let waiting = Parser::new(0).parse_all(file).any(|payload| match payload {
        Ok(Payload::ComponentImportSection(imports)) => imports
            .into_iter()
            .flatten()
            .any(|import| waits(import.name.name)),
        Ok(Payload::ComponentExportSection(exports)) => exports
            .into_iter()
            .flatten()
            .any(|export| waits(export.name.name)),
        Ok(Payload::ImportSection(imports)) => imports
            .into_imports()
            .flatten()
            .any(|import| waits(import.module)),
        Ok(Payload::ExportSection(exports)) => exports
            .into_iter()
            .flatten()
            .any(|export| waits(export.name)),
        _ => false,
    });
    match waiting {
        true => Kind::Waiting,
        false => Kind::Plain,
    }
}

/// The schema of the configuration that a file has in a section of its own, wherever in it: the
/// SDK leaves it in the core module, other tools beside that.
///
/// # Errors
/// The file is not WebAssembly or is damaged, or what it has as its schema is none.
pub fn config_schema(file: &[u8]) -> Result<Option<ConfigSchema>, LoadError> {
    look_at(file)?;
    for payload in Parser::new(0).parse_all(file) {
        let payload = payload.map_err(|error| LoadError::Damaged {
            message: error.to_string(),
        })?;
        match payload {
            // What has no schema has an empty section.
            Payload::CustomSection(section)
                if section.name() == SCHEMA && !section.data().is_empty() =>
            {
                let schema = ConfigSchema::parse(section.data());
                return schema.map(Some).map_err(LoadError::Schema);
            }
            _ => {}
        }
    }
    Ok(None)
}

/// The section that holds this schema, to be put behind a component or module.
pub fn schema_section(schema: &[u8]) -> Vec<u8> {
    let name = SCHEMA.as_bytes();
    let size = leb128(name.len()).len() + name.len() + schema.len();
    [&[0], &*leb128(size), &leb128(name.len()), name, schema].concat()
}

/// A number as WebAssembly writes it (core specification §5.2.2).
fn leb128(number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut left = number;
    loop {
        let low = left.to_le_bytes().first().map_or(0, |low| low & 0x7f);
        left >>= 7;
        match left {
            0 => {
                bytes.push(low);
                return bytes;
            }
            _ => bytes.push(low | 0x80),
        }
    }
}

/// Refuses what is no WebAssembly at first sight.
pub(super) fn look_at(bytes: &[u8]) -> Result<(), LoadError> {
    if bytes.is_empty() {
        return Err(LoadError::Empty);
    }
    if bytes.starts_with(b"\x7fELF") {
        return Err(LoadError::Compiled);
    }
    match bytes.starts_with(b"\0asm") {
        true => Ok(()),
        false => Err(LoadError::NotWasm {
            found: start_of(bytes),
        }),
    }
}

/// The bytes as a component, encoding a core module by its `component-type` section.
pub(super) fn as_component(bytes: &[u8]) -> Result<Cow<'_, [u8]>, LoadError> {
    validate(bytes)?;
    if Parser::is_component(bytes) {
        return Ok(bytes.into());
    }
    encode(bytes).map(Into::into)
}

/// Makes a component of a core module that a compiler wrote, such as `cargo build --target
/// wasm32-unknown-unknown`. What it imports of WASI's first version, as the C library does, is
/// what WASI 0.2 has for it.
pub fn encode(module: &[u8]) -> Result<Vec<u8>, LoadError> {
    if let Some(import) = imported(module, |from| from.starts_with(WASM_BINDGEN)) {
        return Err(LoadError::ForBrowsers { import });
    }
    if !has_component_type(module) {
        return Err(LoadError::NoComponentType);
    }
    let encoder = wit_component::ComponentEncoder::default()
        .validate(true)
        .module(module);
    let preview1 = imported(module, |from| from == WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME);
    let encoder = match preview1 {
        Some(_) => encoder.and_then(|encoder| {
            encoder.adapter(
                WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME,
                WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER,
            )
        }),
        None => encoder,
    };
    encoder
        .and_then(|mut encoder| encoder.encode())
        .map_err(|error| LoadError::Encode {
            message: format!("{error:#}"),
        })
}

fn start_of(bytes: &[u8]) -> String {
    let start = bytes.get(..bytes.len().min(8)).unwrap_or_default();
    format!("\"{}\"", start.escape_ascii())
}

fn validate(bytes: &[u8]) -> Result<(), LoadError> {
    wasmparser::Validator::new_with_features(wasmparser::WasmFeatures::all())
        .validate_all(bytes)
        .map(drop)
        .map_err(|error| LoadError::Damaged {
            message: error.to_string(),
        })
}

fn has_component_type(module: &[u8]) -> bool {
    Parser::new(0).parse_all(module).any(|payload| {
        matches!(payload, Ok(Payload::CustomSection(section)) if section.name().starts_with("component-type"))
    })
}

/// The first module that a core module imports from and that is wanted.
fn imported(module: &[u8], wanted: impl Fn(&str) -> bool) -> Option<String> {
    let payloads = Parser::new(0).parse_all(module).map_while(Result::ok);
    let imports = payloads.filter_map(|payload| match payload {
        Payload::ImportSection(section) => Some(section),
        _ => None,
    });
    imports
        .flat_map(|section| section.into_imports())
        .flatten()
        .find(|import| wanted(import.module))
        .map(|import| import.module.to_owned())
}

fn interface_names(runtime: &Runtime, component: &Component) -> (Vec<String>, Vec<String>) {
    let ty = component.component_type();
    let imports = ty
        .imports(&runtime.engine)
        .map(|(name, _)| name.to_owned())
        .collect();
    let exports = ty
        .exports(&runtime.engine)
        .filter(|(_, item)| !matches!(item.ty, ComponentItem::Type(_)))
        .map(|(name, _)| name.to_owned())
        .collect();
    (imports, exports)
}

fn check_imports(imports: &[String]) -> Result<(), LoadError> {
    if let Some(found) = imports.iter().find(|name| is_other_version(name)) {
        return Err(LoadError::OtherVersion {
            found: found.clone(),
            offered: VERSIONS,
        });
    }
    let unknown: Vec<String> = imports
        .iter()
        .filter(|name| !is_offered(name))
        .cloned()
        .collect();
    match unknown.as_slice() {
        [] => Ok(()),
        _ => Err(LoadError::UnknownImports {
            names: unknown,
            offered: OFFERED,
        }),
    }
}

fn check_exports(exports: &[String]) -> Result<(), LoadError> {
    if let Some(found) = exports.iter().find(|name| is_other_version(name)) {
        return Err(LoadError::OtherVersion {
            found: found.clone(),
            offered: VERSIONS,
        });
    }
    if !ROLES.into_iter().any(|role| has(exports, role)) {
        return Err(LoadError::NoRole {
            exports: exports.to_vec(),
        });
    }
    match has(exports, LIFECYCLE) {
        true => Ok(()),
        false => Err(LoadError::NoLifecycle { name: LIFECYCLE }),
    }
}

fn is_offered(import: &str) -> bool {
    IMPORTS.contains(&import)
        || Grant::ALL.iter().any(|grant| grant.interface() == import)
        || WASI.iter().any(|prefix| import.starts_with(prefix))
}

fn is_other_version(name: &str) -> bool {
    let of = |version| name.ends_with(version);
    name.starts_with(PACKAGE) && !of("@0.1.0") && !of("@0.2.0")
}

fn mismatch(error: wasmtime::Error) -> LoadError {
    LoadError::Mismatch {
        message: format!("{error:#}"),
    }
}
