//! `witgate plugin test`: the cases beside a plugin, tried one by one; with `--bless`, what it
//! decides becomes what they expect.

mod bless;

use std::path::{Path, PathBuf};

use super::{
    plugin_file::{PluginFile, block_on},
    plural, say,
};
use crate::plugin::Rehearsal;

/// Tries the cases of each file and prints what is decided otherwise; an error when anything is,
/// or when there are none. With `is_blessed` it is written into the files of cases instead.
pub(super) fn run(files: &[PathBuf], is_blessed: bool) -> Result<(), String> {
    block_on(async {
        let mut wrong = Vec::new();
        for file in files {
            let tested = match PluginFile::load(file).await {
                Ok(loaded) => test(file, loaded, is_blessed).await,
                Err(message) => Err(message),
            };
            wrong.extend(tested.err());
        }
        match wrong.is_empty() {
            true => Ok(()),
            false => Err(wrong.join("\n")),
        }
    })
}

/// Whether a gateway would take the file into service: it loads, and its cases hold. That there
/// are none is said, and no error.
pub(super) fn accepts(file: &Path) -> Result<(), String> {
    block_on(async {
        let loaded = PluginFile::load(file).await?;
        match loaded.cases {
            Some(_) => test(file, loaded, false).await,
            None => {
                say("no cases beside it: it is copied untried\n");
                Ok(())
            }
        }
    })
}

async fn test(file: &Path, loaded: PluginFile, is_blessed: bool) -> Result<(), String> {
    let PluginFile { version, cases, .. } = loaded;
    let expected = file.with_extension("cases.toml");
    let Some(cases) = cases else {
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
    let mut decided = Vec::new();
    for (index, case) in cases.cases.iter().enumerate() {
        let differences = rehearsal
            .try_case(case)
            .await
            .map_err(|error| format!("error: {}: {error}", file.display()))?;
        if differences.is_empty() {
            say(&format!("  ok     {}\n", case.name));
            continue;
        }
        failed += 1;
        let word = if is_blessed { "BLESS " } else { "WRONG " };
        say(&format!(
            "  {word} {}: {} {}\n",
            case.name, case.method, case.uri
        ));
        for difference in differences {
            say(&format!(
                "           {}\n             expected: {}\n             decided:  {}\n",
                difference.key, difference.expected, difference.found
            ));
            decided.push((index, difference));
        }
    }
    if is_blessed && failed > 0 {
        bless::write(&expected, cases.text(), &decided)?;
        say(&format!(
            "{}: {failed} of {count} case{} written as decided; read them before you trust them\n",
            expected.display(),
            plural(count)
        ));
        return Ok(());
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
