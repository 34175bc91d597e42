//! Re-makes `plugin-sdk/src/bindings/` from `wit/`: one file per exported interface, so that a
//! plugin exports only the roles that it names. The first holds what the others share.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use wit_bindgen_core::{Files, WorldGenerator as _, wit_parser::Resolve};
use wit_bindgen_rust::{Opts, WithOption};

/// The WIT packages, below the project's root, each after those that it uses.
const WIT: [&str; 2] = ["wit/0.1", "wit/0.2"];
/// Where the bindings are, below the project's root.
const BINDINGS: &str = "plugin-sdk/src/bindings";
/// The module that they have in the SDK.
const MODULE: &str = "witgate_sdk::bindings";
/// Whose types all others share.
const TYPES: &str = "witgate:plugin/types@0.1.0";
const SHARED_TYPES: &str = "crate::bindings::base::witgate::plugin::types";

/// One generated file: a world that exports a single interface.
struct World {
    /// Of the file and the world.
    name: &'static str,
    /// What the world says.
    items: &'static str,
    /// How many of the packages it is of: the generator names what it makes by those it knows.
    packages: usize,
}

/// The first has the types of all.
const WORLDS: [World; 7] = [
    World {
        name: "base",
        items: "include witgate:plugin/imports@0.1.0; export witgate:plugin/lifecycle@0.1.0; export witgate:plugin/interest@0.1.0;",
        packages: 1,
    },
    World {
        name: "routing",
        items: "export witgate:plugin/routing@0.1.0;",
        packages: 1,
    },
    World {
        name: "affinity",
        items: "export witgate:plugin/affinity@0.1.0;",
        packages: 1,
    },
    World {
        name: "rewriting",
        items: "export witgate:plugin/rewriting@0.1.0;",
        packages: 1,
    },
    World {
        name: "waiting",
        items: "import witgate:plugin/callout@0.2.0; import witgate:plugin/body@0.2.0;",
        packages: 2,
    },
    World {
        name: "async_routing",
        items: "export witgate:plugin/routing@0.2.0;",
        packages: 2,
    },
    World {
        name: "async_rewriting",
        items: "export witgate:plugin/rewriting@0.2.0;",
        packages: 2,
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
        let text = generate(&root, world).with_context(|| format!("world {}", world.name))?;
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
fn generate(root: &Path, world: &World) -> Result<String> {
    let mut resolve = Resolve::default();
    for package in WIT.into_iter().take(world.packages) {
        resolve.push_dir(root.join(package))?;
    }
    let package = resolve.push_str("sdk.wit", &world_source(world))?;
    let id = resolve.select_world(&[package], Some(world.name.replace('_', "-").as_str()))?;
    let mut files = Files::default();
    options(world)
        .build()
        .generate(&mut resolve, id, &mut files)?;
    let (_, text) = files.iter().next().context("the generator made no file")?;
    Ok(String::from_utf8(text.to_vec())?)
}

/// A package with the world alone.
fn world_source(world: &World) -> String {
    format!(
        "package witgate:sdk@0.1.0;\nworld {} {{ {} }}\n",
        world.name.replace('_', "-"),
        world.items
    )
}

fn options(world: &World) -> Opts {
    let shared = (world.name != "base").then(|| {
        let types = WithOption::Path(SHARED_TYPES.to_owned());
        (TYPES.to_owned(), types)
    });
    Opts {
        format: true,
        generate_all: true,
        pub_export_macro: true,
        export_macro_name: Some(format!("export_{}", world.name)),
        default_bindings_module: Some(format!("{MODULE}::{}", world.name)),
        // Sections of equal names would be joined by the linker and not be readable.
        type_section_suffix: Some(format!(":{}", world.name)),
        additional_derive_attributes: ["Clone", "PartialEq", "Eq"].map(str::to_owned).to_vec(),
        with: shared.into_iter().collect(),
        ..Opts::default()
    }
}
