//! From the bytes of a file to a component that fits the WIT: core modules are encoded,
//! everything is compiled and checked, and what does not fit is refused in plain words.

use wasmparser::Parser;
use wasmtime::component::{Component, InstancePre, types::ComponentItem};

use super::{
    bindings::exports::witgate::plugin::{affinity, lifecycle, rewriting, routing},
    engine::PluginEngine,
    error::LoadError,
    state::State,
    version::Digest,
};
use crate::config::{Grant, Role};

const PACKAGE: &str = "witgate:plugin/";
const VERSION: &str = "witgate:plugin@0.1.0";
const OFFERED: &str = "`types`, `request`, `response`, `pool`, `log` and `access-log` of `witgate:plugin@0.1.0`; where its sidecar grants \
    them, `clock`, `random`, `kv` and `metrics`; and WASI 0.2 (with an empty context)";
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
    pub(super) pre: InstancePre<State>,
    pub(super) lifecycle: lifecycle::GuestIndices,
    pub(super) routing: Option<routing::GuestIndices>,
    pub(super) affinity: Option<affinity::GuestIndices>,
    pub(super) rewriting: Option<rewriting::GuestIndices>,
    /// What it imports, as written in it.
    pub imports: Vec<String>,
    /// Of the component, which is not the file where that is a core module.
    digest: Digest,
    from_cache: bool,
}

impl CheckedComponent {
    /// Compiles and checks the bytes of a plugin file. Blocks for as long as Cranelift needs:
    /// about a second for each 500 kB.
    pub fn compile(engine: &PluginEngine, bytes: &[u8]) -> Result<Self, LoadError> {
        let component = as_component(bytes)?;
        let digest = Digest::of(&component);
        let kept = engine.kept_code(digest);
        let from_cache = kept.is_some();
        let component = match kept {
            Some(component) => component,
            None => Component::new(&engine.engine, component).map_err(|error| {
                let message = format!("{error:#}");
                LoadError::Compile { message }
            })?,
        };
        let (imports, exports) = interface_names(engine, &component);
        check_imports(&imports)?;
        check_exports(&exports)?;
        let pre = engine
            .linker
            .instantiate_pre(&component)
            .map_err(mismatch)?;
        let has = |name: &str| exports.iter().any(|export| export == name);
        Ok(Self {
            lifecycle: lifecycle::GuestIndices::new(&pre).map_err(mismatch)?,
            routing: has(ROUTING)
                .then(|| routing::GuestIndices::new(&pre))
                .transpose()
                .map_err(mismatch)?,
            affinity: has(AFFINITY)
                .then(|| affinity::GuestIndices::new(&pre))
                .transpose()
                .map_err(mismatch)?,
            rewriting: has(REWRITING)
                .then(|| rewriting::GuestIndices::new(&pre))
                .transpose()
                .map_err(mismatch)?,
            pre,
            imports,
            digest,
            from_cache,
        })
    }

    /// Keeps the compiled code for the next time, unless it comes from there. Blocks.
    pub(super) fn keep(&self, engine: &PluginEngine) {
        if !self.from_cache {
            engine.keep_code(self.pre.component(), self.digest);
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

    pub(super) fn imports_wasi(&self) -> bool {
        self.imports.iter().any(|name| name.starts_with("wasi:"))
    }
}

const LIFECYCLE: &str = "witgate:plugin/lifecycle@0.1.0";
const ROUTING: &str = "witgate:plugin/routing@0.1.0";
const AFFINITY: &str = "witgate:plugin/affinity@0.1.0";
const REWRITING: &str = "witgate:plugin/rewriting@0.1.0";

/// The bytes as a component, encoding a core module by its `component-type` section.
fn as_component(bytes: &[u8]) -> Result<std::borrow::Cow<'_, [u8]>, LoadError> {
    if bytes.is_empty() {
        return Err(LoadError::Empty);
    }
    if bytes.starts_with(b"\x7fELF") {
        return Err(LoadError::Compiled);
    }
    if !bytes.starts_with(b"\0asm") {
        return Err(LoadError::NotWasm {
            found: start_of(bytes),
        });
    }
    validate(bytes)?;
    if Parser::is_component(bytes) {
        return Ok(bytes.into());
    }
    encode(bytes).map(Into::into)
}

/// Makes a component of a core module that `cargo build --target wasm32-unknown-unknown` wrote.
pub fn encode(module: &[u8]) -> Result<Vec<u8>, LoadError> {
    if !has_component_type(module) {
        return Err(LoadError::NoComponentType);
    }
    wit_component::ComponentEncoder::default()
        .validate(true)
        .module(module)
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
        matches!(payload, Ok(wasmparser::Payload::CustomSection(section)) if section.name().starts_with("component-type"))
    })
}

fn interface_names(engine: &PluginEngine, component: &Component) -> (Vec<String>, Vec<String>) {
    let ty = component.component_type();
    let imports = ty
        .imports(&engine.engine)
        .map(|(name, _)| name.to_owned())
        .collect();
    let exports = ty
        .exports(&engine.engine)
        .filter(|(_, item)| !matches!(item.ty, ComponentItem::Type(_)))
        .map(|(name, _)| name.to_owned())
        .collect();
    (imports, exports)
}

fn check_imports(imports: &[String]) -> Result<(), LoadError> {
    if let Some(found) = imports.iter().find(|name| is_other_version(name)) {
        return Err(LoadError::OtherVersion {
            found: found.clone(),
            offered: VERSION,
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
    let has = |name: &str| exports.iter().any(|export| export == name);
    if let Some(found) = exports.iter().find(|name| is_other_version(name)) {
        return Err(LoadError::OtherVersion {
            found: found.clone(),
            offered: VERSION,
        });
    }
    if ![ROUTING, AFFINITY, REWRITING].into_iter().any(has) {
        return Err(LoadError::NoRole {
            exports: exports.to_vec(),
        });
    }
    match has(LIFECYCLE) {
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
    name.starts_with(PACKAGE) && !name.ends_with("@0.1.0")
}

fn mismatch(error: wasmtime::Error) -> LoadError {
    LoadError::Mismatch {
        message: format!("{error:#}"),
    }
}
