//! `witgate plugin schema`: the JSON Schema of a plugin's configuration, as it is in its file.

use std::path::Path;

use super::{describe, say};
use crate::{
    config::PluginLimits,
    plugin::{self, LoadError, folder},
};

/// Prints it.
pub(super) fn run(file: &Path) -> Result<(), String> {
    let refused = |error: LoadError| format!("error: {}: {}", file.display(), describe(&error));
    let limit = PluginLimits::DEFAULT.file_size;
    let bytes = folder::read_bounded(file, limit).map_err(refused)?;
    let schema = plugin::config_schema(&bytes).map_err(refused)?;
    let Some(schema) = schema else {
        return Err(format!(
            "error: {}: has no schema of its configuration; with the SDK, `#[derive(Deserialize, Schema)]` \
             on its type makes one",
            file.display()
        ));
    };
    say(&format!("{:#}\n", schema.json()));
    Ok(())
}
