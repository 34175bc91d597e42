//! The files that are followed.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{config::Config, snapshot};

/// All files whose change may mean a change of what is served.
pub(super) fn inputs<'a>(
    path: &Path,
    configs: impl IntoIterator<Item = &'a Arc<Config>>,
) -> Vec<PathBuf> {
    let mut inputs = vec![path.to_owned()];
    configs
        .into_iter()
        .for_each(|config| add_inputs(config, &mut inputs));
    inputs.sort();
    inputs.dedup();
    inputs
}

fn add_inputs(config: &Config, inputs: &mut Vec<PathBuf>) {
    inputs.extend(snapshot::files(config).map(Path::to_owned));
    if let Some(folder) = &config.plugins {
        inputs.push(folder.dir.clone());
        for found in crate::plugin::folder::scan(&folder.dir).unwrap_or_default() {
            inputs.extend(found.files());
        }
        let trust = folder.trust.iter();
        inputs.extend(trust.flat_map(|trust| trust.files().cloned()));
    }
}
