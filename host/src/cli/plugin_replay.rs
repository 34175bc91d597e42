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
use crate::plugin::{Missing, RecordedLine, Replay};

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
    let (mut alike, mut differing, mut unknown, mut others) = (0_u64, 0_u64, 0_u64, 0_u64);
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
        let tried = replay
            .compare(line.case)
            .await
            .map_err(|problem| format!("error: {place}: {problem}"))?;
        if tried.differences.is_empty() {
            alike += 1;
            continue;
        }
        let cut = tried.missing.iter().find_map(|missing| match missing {
            Missing::Cut(what) => Some(what),
            Missing::Callout(_) | Missing::Import(_) => None,
        });
        if let Some(what) = cut {
            unknown += 1;
            if all || unknown <= SHOWN as u64 {
                say(&format!(
                    "{place}: {request} cannot be decided again: the plugin asks for {what}\n"
                ));
            }
            continue;
        }
        differing += 1;
        if all || differing <= SHOWN as u64 {
            for missing in tried.missing {
                let asked = match missing {
                    Missing::Callout(asked) => asked,
                    Missing::Import(asked) => format!("of {asked}"),
                    Missing::Cut(_) => continue,
                };
                say(&format!(
                    "{place}: {request}: now an answer is asked for that the record does not have, {asked}\n"
                ));
            }
            for difference in tried.differences {
                say(&format!(
                    "{place}: {} of {request}\n  recorded: {}\n  now:      {}\n",
                    difference.key, difference.expected, difference.found
                ));
            }
        }
    }
    if alike + differing + unknown == 0 && others > 0 {
        return Err(format!(
            "error: {}: none of its {others} decisions is one of plugin {name:?}; --plugin names another",
            record.display()
        ));
    }
    let without = match unknown {
        0 => String::new(),
        _ => format!(", {unknown} that cannot be decided again"),
    };
    say(&format!(
        "{} decisions: {alike} alike, {differing} not{without}\n",
        alike + differing + unknown
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
