//! The interface is a package of its own: it needs nothing of this repository, says what each item
//! is, becomes what registries take, and serves plugins that are made without the SDK.

use std::{fs, path::Path};

use wit_component::DecodedWasm;
use wit_parser::{Docs, PackageId, Resolve, Stability};
use witgate_tests::{
    Http, TempDir,
    gateway::{Pool, Setup},
    readme,
    upstream::Upstream,
    wasm::{guest, other_language},
};

/// The package from a copy of its folder.
fn package() -> (Resolve, PackageId) {
    let dir = TempDir::new().unwrap();
    let folder = readme::copy("wit/0.1", dir.path());
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(folder).unwrap();
    (resolve, package)
}

/// What is not documented, or does not say since when it is there.
fn undocumented(resolve: &Resolve, id: PackageId) -> Vec<String> {
    let package = &resolve.packages[id];
    let mut items = vec![(package.name.to_string(), &package.docs, None)];
    for (name, id) in &package.interfaces {
        let interface = &resolve.interfaces[*id];
        items.push((name.clone(), &interface.docs, Some(&interface.stability)));
        for (function, item) in &interface.functions {
            let name = format!("{name}.{function}");
            items.push((name, &item.docs, Some(&item.stability)));
        }
    }
    for (name, id) in &package.worlds {
        let world = &resolve.worlds[*id];
        items.push((name.clone(), &world.docs, Some(&world.stability)));
    }
    let is_bare = |docs: &Docs, stability: Option<&Stability>| {
        docs.contents.is_none() || stability == Some(&Stability::Unknown)
    };
    let bare = items
        .into_iter()
        .filter(|(_, docs, stability)| is_bare(docs, *stability));
    bare.map(|(name, ..)| name).collect()
}

#[test]
fn the_package_stands_alone() {
    let (resolve, id) = package();
    assert_eq!(resolve.packages.len(), 1);
    let package = &resolve.packages[id];
    assert_eq!(package.name.to_string(), "witgate:plugin@0.1.0");
    assert_eq!(undocumented(&resolve, id), Vec::<String>::new());
}

/// What `wkg wit build` does with it, but for the metadata that `wkg.toml` adds.
#[test]
fn the_package_becomes_what_registries_take() {
    let (resolve, id) = package();
    let bytes = wit_component::encode(&resolve, id).unwrap();
    let DecodedWasm::WitPackage(decoded, found) = wit_component::decode(&bytes).unwrap() else {
        panic!("not a package");
    };
    let package = &decoded.packages[found];
    assert_eq!(package.name, resolve.packages[id].name);
    let names = |resolve: &Resolve, id: PackageId| {
        let package = &resolve.packages[id];
        let interfaces = package.interfaces.keys().cloned();
        interfaces
            .chain(package.worlds.keys().cloned())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&decoded, found), names(&resolve, id));
    assert_eq!(undocumented(&decoded, found), Vec::<String>::new());
}

/// The metadata that `wkg` takes: it refuses keys that it does not know.
#[test]
fn the_metadata_is_what_wkg_knows() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit/wkg.toml");
    let text = fs::read_to_string(file).unwrap();
    let mut lines = text
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty());
    assert_eq!(lines.next(), Some("[metadata]"));
    for line in lines {
        let (key, value) = line.split_once(" = ").unwrap();
        let known = [
            "authors",
            "description",
            "licenses",
            "source",
            "homepage",
            "revision",
        ];
        assert!(known.contains(&key), "{line}");
        assert!(value.starts_with('"') && value.ends_with('"'), "{line}");
    }
}

/// The page of the interface shows the plugin that is tested here.
#[test]
fn the_page_shows_the_plugin_without_the_sdk() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("../docs/interface.md")).unwrap();
    let plugin = fs::read_to_string(root.join("guests/examples/without-the-sdk.rs")).unwrap();
    let shown = format!("```rust\n{}\n```\n", plugin.trim_end());
    assert!(page.contains(&shown), "stale: run `cargo xtask reference`");
}

/// A plugin that is made with a generator of bindings alone routes over both protocols.
async fn routes(wasm: &[u8], name: &str) {
    let (web, api) = (
        Upstream::pinned("web-1").await,
        Upstream::pinned("api-1").await,
    );
    let gateway = Setup::new()
        .default_pool("web", Pool::pinned(&[&web]))
        .pool("api", Pool::pinned(&[&api]))
        .plugin("20-bindings", wasm)
        .sidecar("20-bindings", "[config]\npool = \"api\"\n")
        .start()
        .await;
    for http in [Http::One, Http::Two] {
        let client = gateway.client(http);
        for (path, upstream) in [("/api/carts", "api-1"), ("/apiary", "web-1")] {
            let answer = client.get(&format!("https://shop.example{path}")).await;
            assert_eq!(answer.echo().upstream, upstream);
            assert_eq!(answer.header("x-routed-by"), name);
        }
    }
    gateway
        .access_line_where(|line| line["rule"] == name && line["pool"] == "api")
        .await;
    let entries = gateway.log().len();
    gateway.setup().put_sidecar("20-bindings", "[config]\n");
    gateway
        .logged_after(entries, &["plugin refused", "pool"])
        .await;
}

#[tokio::test]
async fn a_plugin_made_with_wit_bindgen_alone_routes() {
    routes(&guest("without-the-sdk"), "bindings").await;
}

#[tokio::test]
async fn a_plugin_made_with_wit_bindgen_c_routes() {
    routes(&other_language("c"), "c").await;
}
