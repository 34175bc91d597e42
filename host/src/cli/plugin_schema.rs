//! `witgate schema` and `witgate plugin schema`: JSON Schemas for editors, of the gateway's own files
//! and of a plugin's configuration, which is read from the plugin's file.

use std::path::Path;

use serde_json::Value;

use super::{describe, plugin_check, say};
use crate::{
    config::{OwnFile, PluginLimits},
    plugin::{self, LoadError, folder},
};

/// Prints that of one of the gateway's own files.
pub(super) fn own(file: OwnFile) -> Result<(), String> {
    say(&format!("{:#}\n", value(file)?));
    Ok(())
}

/// Prints that of a plugin's configuration, or of its whole sidecar.
pub(super) fn run(file: &Path, sidecar: bool) -> Result<(), String> {
    let refused = |error: LoadError| format!("error: {}: {}", file.display(), describe(&error));
    // One that is wrong is what a schema helps to mend: then the defaults hold.
    let beside = plugin_check::sidecar(file).ok().flatten();
    let limit = beside.map_or(PluginLimits::DEFAULT.file_size, |sidecar| {
        sidecar.limits.file_size
    });
    let bytes = folder::read_bounded(file, limit).map_err(refused)?;
    let schema = plugin::config_schema(&bytes).map_err(refused)?;
    let Some(schema) = schema else {
        return Err(format!(
            "error: {}: has no schema of its configuration; with the SDK, `#[derive(Deserialize, Schema)]` \
             on its type makes one",
            file.display()
        ));
    };
    let mut printed = schema.json().clone();
    if sidecar {
        // With a name of its own, what it refers to is looked for in itself.
        if let Some(members) = printed.as_object_mut() {
            members.insert("$id".to_owned(), Value::from("config"));
        }
        let mut whole = value(OwnFile::Sidecar)?;
        if let Some(config) = whole.pointer_mut("/properties/config") {
            *config = printed;
        }
        printed = whole;
    }
    say(&format!("{printed:#}\n"));
    Ok(())
}

fn value(file: OwnFile) -> Result<Value, String> {
    serde_json::from_str(&file.schema()).map_err(|error| format!("error: no JSON: {error}"))
}
