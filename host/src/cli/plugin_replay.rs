//! `witgate plugin replay`: decisions that a gateway has recorded, tried on another build.

use std::{
    fs::File,
    io::{BufRead as _, BufReader},
    path::Path,
};

use super::{
    plugin_file::{PluginFile, block_on},
    say,
};
use crate::plugin::{RecordedLine, Replay};

/// Differences that are printed.
const SHOWN: usize = 20;

/// Prints what the plugin decides otherwise than the record says; an error when there is any.
pub(super) fn run(file: &Path, record: &Path, of: Option<&str>, all: bool) -> Result<(), String> {
    block_on(replay(file, record, of, all))
}

async fn replay(file: &Path, record: &Path, of: Option<&str>, all: bool) -> Result<(), String> {
    let loaded = PluginFile::load(file).await?;
    let name = of.unwrap_or(&loaded.name);
    let lines =
        File::open(record).map_err(|error| format!("error: {}: {error}", record.display()))?;
    let mut replay = Replay::of(loaded.version);
    let (mut compared, mut differing, mut others) = (0_u64, 0_u64, 0_u64);
    for (index, line) in BufReader::new(lines).lines().enumerate() {
        let place = format!("{}:{}", record.display(), index + 1);
        let line = line.map_err(|error| format!("error: {place}: {error}"))?;
        let line: RecordedLine = serde_json::from_str(&line)
            .map_err(|error| format!("error: {place}: expected a recorded decision: {error}"))?;
        if line.plugin != name {
            others += 1;
            continue;
        }
        let request = line.case.request().to_owned();
        let differences = replay
            .compare(line.case)
            .await
            .map_err(|problem| format!("error: {place}: {problem}"))?;
        compared += 1;
        differing += u64::from(!differences.is_empty());
        if all || differing <= SHOWN as u64 {
            for difference in differences {
                say(&format!(
                    "{place}: {} of {request}\n  recorded: {}\n  now:      {}\n",
                    difference.key, difference.expected, difference.found
                ));
            }
        }
    }
    if compared == 0 && others > 0 {
        return Err(format!(
            "error: {}: none of its {others} decisions is one of plugin {name:?}; --plugin names another",
            record.display()
        ));
    }
    say(&format!(
        "{compared} decisions: {} alike, {differing} not\n",
        compared - differing
    ));
    match differing {
        0 => Ok(()),
        _ => Err(format!(
            "error: {} decides otherwise than {} says",
            file.display(),
            record.display()
        )),
    }
}
