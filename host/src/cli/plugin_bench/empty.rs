//! A plugin that does nothing, in every role: what a call costs whatever the plugin does.
//!
//! Written by hand, so that no compiler or SDK has a part in it; made when it is asked for, from
//! the interface that this program has in it for new projects.

use std::{path::Path, sync::Arc};

use wit_component::{StringEncoding, embed_component_metadata};
use wit_parser::{Resolve, SourceMap};

use crate::{
    cli::plugin_new,
    config::Sidecar,
    plugin::{self, Digest, PluginEngine, Signatures, Source, Version},
};

/// The world that it is of, in either version of the interface.
const WORLD: &str = "plugin";

/// Each file of the draft with asynchronous functions.
const DRAFT: [(&str, &str); 5] = [
    ("body.wit", include_str!("../../../../wit/0.2/body.wit")),
    (
        "callout.wit",
        include_str!("../../../../wit/0.2/callout.wit"),
    ),
    (
        "rewriting.wit",
        include_str!("../../../../wit/0.2/rewriting.wit"),
    ),
    (
        "routing.wit",
        include_str!("../../../../wit/0.2/routing.wit"),
    ),
    ("worlds.wit", include_str!("../../../../wit/0.2/worlds.wit")),
];

/// One with the roles and the limits of another, and of the same version of the interface.
///
/// # Errors
/// When the engine does not take it, in words.
pub(super) async fn beside(engine: &PluginEngine, other: &Version) -> Result<Arc<Version>, String> {
    let path = Path::new("empty.wasm");
    let mut sidecar = Sidecar::absent(path, &other.limits);
    sidecar.roles = Some(other.roles.clone());
    let loaded = load(engine, sidecar, other.waits()).await;
    loaded.map_err(|problem| format!("error: the empty plugin: {problem}"))
}

async fn load(
    engine: &PluginEngine,
    sidecar: Sidecar,
    waits: bool,
) -> Result<Arc<Version>, String> {
    let bytes = module(waits)?;
    let source = Source {
        name: "empty".into(),
        path: "empty.wasm".into(),
        digest: Digest::of(&bytes),
        bytes: bytes.into(),
        sidecar,
        cases: None,
        signatures: Signatures::default(),
    };
    let loaded = plugin::load(engine, source, None, 1, |_| {}).await;
    loaded.map_err(|error| error.to_string())
}

/// A core module that says which world it is of.
fn module(waits: bool) -> Result<Vec<u8>, String> {
    let mut resolve = Resolve::default();
    let mut package = package(&mut resolve, &plugin_new::INTERFACE)?;
    let mut text = include_str!("empty.wat");
    if waits {
        package = self::package(&mut resolve, &DRAFT)?;
        text = include_str!("empty-waiting.wat");
    }
    let words = |error| format!("{error:#}");
    let mut module = wat::parse_str(text).map_err(|error| error.to_string())?;
    let world = resolve.select_world(&[package], Some(WORLD));
    embed_component_metadata(
        &mut module,
        &resolve,
        world.map_err(words)?,
        StringEncoding::UTF8,
    )
    .map_err(words)?;
    Ok(module)
}

fn package(resolve: &mut Resolve, files: &[(&str, &str)]) -> Result<wit_parser::PackageId, String> {
    let mut sources = SourceMap::new();
    for (path, text) in files {
        sources.push_str(path, *text);
    }
    let parsed = sources.parse().map_err(|(_, error)| error.to_string())?;
    resolve
        .push_group(parsed)
        .map_err(|error| error.to_string())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
mod tests {
    use super::*;
    use crate::{
        config::{PluginLimits, RawBody, RawCase, RawPool},
        plugin::{Compiler, Rehearsal},
    };

    #[tokio::test]
    async fn it_decides_nothing_in_every_role_and_either_version() {
        let engine = PluginEngine::new(Compiler::Here).unwrap();
        let case = RawCase {
            request: "GET https://shop.example/".to_owned(),
            body: RawBody::Text(String::new()),
            pool: Some(RawPool {
                name: "web".to_owned(),
                endpoints: vec!["a".to_owned()],
            }),
            ..RawCase::default()
        };
        let case = case.request_alone().unwrap();
        for waits in [false, true] {
            let sidecar = Sidecar::absent(Path::new("empty.toml"), &PluginLimits::DEFAULT);
            let version = load(&engine, sidecar, waits).await.unwrap();
            assert_eq!(version.waits(), waits);
            let empty = Rehearsal::of(version);
            // Again and again on one instance.
            for _ in 0..3 {
                let asked = empty.ask(&case).await.into_iter();
                let decided: Vec<_> = asked
                    .map(|each| (each.call, each.made.unwrap().decision.unwrap()))
                    .collect();
                let expected = [
                    ("route", "pass"),
                    ("prefer", "none"),
                    ("stick", "no edits"),
                    ("rewrite_request", "no edits"),
                    ("rewrite_response", "no edits"),
                ];
                assert_eq!(
                    decided,
                    expected.map(|(call, text)| (call, text.to_owned()))
                );
            }
        }
    }
}
