//! Re-makes `plugin-sdk/src/bindings/` from `wit/`: one file per exported interface, so that a
//! plugin exports only the roles that it names. The first holds what the others share.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use wit_bindgen_core::{Files, WorldGenerator as _, wit_parser::Resolve};
use wit_bindgen_rust::{Opts, WithOption};

/// The WIT package, below the project's root.
const WIT: &str = "wit/0.1";
/// Where the bindings are, below the project's root.
const BINDINGS: &str = "plugin-sdk/src/bindings";
/// The module that they have in the SDK.
const MODULE: &str = "witgate_sdk::bindings";
const PACKAGE: &str = "witgate:plugin";
const VERSION: &str = "0.1.0";

/// One generated file: a world that exports a single interface.
struct World {
    /// Of the file and the world.
    name: &'static str,
    /// What the world says.
    items: &'static str,
    /// The interfaces whose types come from the first world's file.
    shared: &'static [&'static str],
}

const WORLDS: [World; 4] = [
    World {
        name: "base",
        items: "include imports; export lifecycle;",
        shared: &[],
    },
    World {
        name: "routing",
        items: "export routing;",
        shared: &["types"],
    },
    World {
        name: "affinity",
        items: "export affinity;",
        shared: &["types"],
    },
    World {
        name: "rewriting",
        items: "export rewriting;",
        shared: &["types"],
    },
];

/// Re-makes the bindings; with `check`, only compares them.
///
/// # Errors
/// When the WIT does not parse, a file cannot be written, or (with `check`) one is stale.
pub(crate) fn run(check: bool) -> Result<()> {
    let root = root();
    let mut stale = Vec::new();
    for world in &WORLDS {
        let path = root.join(BINDINGS).join(world.name).with_extension("rs");
        let text =
            generate(&root.join(WIT), world).with_context(|| format!("world {}", world.name))?;
        if fs::read_to_string(&path).is_ok_and(|found| found == text) {
            continue;
        }
        if !check {
            write(&path, &text)?;
        }
        stale.push(format!("{BINDINGS}/{}.rs", world.name));
    }
    match (stale.as_slice(), check) {
        ([], _) => println!("the bindings are up to date"),
        (files, false) => println!("re-made {}", files.join(", ")),
        (files, true) => bail!("stale: {}; run `cargo xtask bindings`", files.join(", ")),
    }
    Ok(())
}

/// The project's root: the folder above this package's.
fn root() -> PathBuf {
    let package = env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let package = package.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")));
    package
        .parent()
        .map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}

fn write(path: &Path, text: &str) -> Result<()> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir).with_context(|| dir.display().to_string())?;
    }
    fs::write(path, text).with_context(|| path.display().to_string())
}

/// The Rust source of one world.
fn generate(wit: &Path, world: &World) -> Result<String> {
    let mut resolve = Resolve::default();
    resolve.push_dir(wit)?;
    let package = resolve.push_str("sdk.wit", &world_source(world))?;
    let id = resolve.select_world(&[package], Some(world.name))?;
    let mut files = Files::default();
    options(world)
        .build()
        .generate(&mut resolve, id, &mut files)?;
    let (_, text) = files.iter().next().context("the generator made no file")?;
    Ok(String::from_utf8(text.to_vec())?)
}

/// A package with the world alone; its items are those of the plugin package.
fn world_source(world: &World) -> String {
    let items = world
        .items
        .replace("include ", &format!("include {PACKAGE}/"));
    let items = items.replace("export ", &format!("export {PACKAGE}/"));
    let items = items.replace(';', &format!("@{VERSION};"));
    format!(
        "package witgate:sdk@{VERSION};\nworld {} {{ {items} }}\n",
        world.name
    )
}

fn options(world: &World) -> Opts {
    let shared = |interface: &&str| {
        let types = format!("crate::bindings::base::witgate::plugin::{interface}");
        (
            format!("{PACKAGE}/{interface}@{VERSION}"),
            WithOption::Path(types),
        )
    };
    Opts {
        format: true,
        generate_all: true,
        pub_export_macro: true,
        export_macro_name: Some(format!("export_{}", world.name)),
        default_bindings_module: Some(format!("{MODULE}::{}", world.name)),
        // Sections of equal names would be joined by the linker and not be readable.
        type_section_suffix: Some(format!(":{}", world.name)),
        additional_derive_attributes: ["Clone", "PartialEq", "Eq"].map(str::to_owned).to_vec(),
        with: world.shared.iter().map(shared).collect(),
        ..Opts::default()
    }
}
