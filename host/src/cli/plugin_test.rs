//! `witgate plugin test`: the cases beside a plugin, tried one by one.

use std::path::{Path, PathBuf};

use super::{
    plugin_file::{PluginFile, block_on},
    plural, say,
};
use crate::plugin::Rehearsal;

/// Tries the cases of each file and prints what is decided otherwise; an error when anything is,
/// or when there are none.
pub(super) fn run(files: &[PathBuf]) -> Result<(), String> {
    block_on(async {
        let mut wrong = Vec::new();
        for file in files {
            if let Err(message) = test(file).await {
                wrong.push(message);
            }
        }
        match wrong.is_empty() {
            true => Ok(()),
            false => Err(wrong.join("\n")),
        }
    })
}

async fn test(file: &Path) -> Result<(), String> {
    let PluginFile { version, cases, .. } = PluginFile::load(file).await?;
    let Some(cases) = cases else {
        let expected = file.with_extension("cases.toml");
        return Err(format!(
            "error: {}: there are no cases; expected {}",
            file.display(),
            expected.display()
        ));
    };
    let count = cases.cases.len();
    say(&format!(
        "{}: {count} case{}\n",
        file.display(),
        plural(count)
    ));
    let rehearsal = Rehearsal::of(version);
    let mut failed = 0;
    for case in &cases.cases {
        let differences = rehearsal
            .try_case(case)
            .await
            .map_err(|error| format!("error: {}: {error}", file.display()))?;
        if differences.is_empty() {
            say(&format!("  ok     {}\n", case.name));
            continue;
        }
        failed += 1;
        say(&format!(
            "  WRONG  {}: {} {}\n",
            case.name, case.method, case.uri
        ));
        for difference in differences {
            say(&format!(
                "           {}\n             expected: {}\n             decided:  {}\n",
                difference.key, difference.expected, difference.found
            ));
        }
    }
    match failed {
        0 => Ok(()),
        _ => Err(format!(
            "error: {}: {failed} of {count} case{} decided otherwise; the gateway would refuse the file",
            file.display(),
            plural(count)
        )),
    }
}
