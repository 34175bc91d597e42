//! `witgate import azure`: an export of an Azure Application Gateway becomes a configuration.
//!
//! `export` finds the gateway and works out what `expression`s say, `node` reads it, `listeners`,
//! `pools`, `routes` and `rewrites` translate their parts, `translation` joins them, and `report`
//! has what could not be said in Witgate's words.

mod certificates;
mod export;
mod expression;
mod hosts;
mod listeners;
mod node;
mod pools;
mod report;
mod rewrites;
mod routes;
mod text;
mod translation;

use std::{
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;

use super::{plural, say};
use export::Export;
use translation::{REPORT_FILE, Translated};

/// The largest export that is read. One of a gateway with all that Azure allows has 5 MB.
const MAX_EXPORT: u64 = 32 << 20;
/// The exit code when everything was written, but something has no equal.
const LEFT_OUT: u8 = 3;

/// An export, and where to write what it becomes.
#[derive(Debug, Args)]
pub(super) struct AzureExport {
    /// An ARM template, or what `az network application-gateway show` prints (JSON); - for stdin
    file: PathBuf,
    /// The folder to write; it must be empty or not there yet
    #[arg(long, value_name = "DIR")]
    into: PathBuf,
    /// The file of the template's parameters (JSON)
    #[arg(long, value_name = "FILE")]
    parameters: Option<PathBuf>,
    /// The gateway's name, when the export has several
    #[arg(long, value_name = "NAME")]
    gateway: Option<String>,
    /// The folder of the reference plugins (NAME.wasm), to copy those that are needed
    #[arg(long, value_name = "DIR")]
    plugins: Option<PathBuf>,
}

/// Translates and writes; prints what was written and what else there is to know.
///
/// # Errors
/// With why nothing, or not all, was written.
pub(super) fn azure(asked: &AzureExport) -> Result<ExitCode, String> {
    let text = read(&asked.file)?;
    let parameters = asked.parameters.as_deref().map(read).transpose()?;
    let export = Export::read(&text, parameters.as_deref(), asked.gateway.as_deref());
    let export = export.map_err(|why| format!("error: {}: {why}", asked.file.display()))?;
    let source = asked.file.file_name().unwrap_or_default().to_string_lossy();
    let mut translated = translation::translate(&export, &text::comment(&source));
    plugins(&mut translated, asked.plugins.as_deref())?;
    write(&mut translated, &asked.into, export.name())
}

fn read(file: &Path) -> Result<String, String> {
    let failed = |error: io::Error| format!("error: cannot read {}: {error}", file.display());
    let mut bytes = Vec::new();
    let taken = match file.as_os_str() == "-" {
        true => io::stdin().take(MAX_EXPORT + 1).read_to_end(&mut bytes),
        false => {
            fs::File::open(file).and_then(|open| open.take(MAX_EXPORT + 1).read_to_end(&mut bytes))
        }
    };
    taken.map_err(failed)?;
    if bytes.len() as u64 > MAX_EXPORT {
        return Err(format!(
            "error: {}: it has more than {} MiB",
            file.display(),
            MAX_EXPORT >> 20
        ));
    }
    // PowerShell writes a byte order mark.
    let text = String::from_utf8(bytes)
        .map_err(|error| format!("error: {}: it is not UTF-8: {error}", file.display()))?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(&text).to_owned())
}

/// Takes the plugins that are needed from the folder, or asks for them.
fn plugins(translated: &mut Translated, from: Option<&Path>) -> Result<(), String> {
    for (file, plugin) in &translated.plugins {
        let to = format!("plugins/{file}.wasm");
        let Some(from) = from else {
            let what = format!("the reference plugin {plugin}");
            translated.report.provide(&to, what);
            continue;
        };
        let path = from.join(format!("{plugin}.wasm"));
        let bytes = fs::read(&path).map_err(|error| {
            format!(
                "error: cannot read {}: {error}; expected the reference plugins there, built by `cargo xtask plugins`",
                path.display()
            )
        })?;
        translated.files.insert(to, bytes);
    }
    Ok(())
}

fn write(translated: &mut Translated, into: &Path, name: &str) -> Result<ExitCode, String> {
    let is_free = match fs::read_dir(into) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    };
    if !is_free {
        return Err(format!(
            "error: {} is there already and not an empty folder",
            into.display()
        ));
    }
    let report = translated.report.text();
    let title = format!("{name}: what `witgate import azure` has to tell\n");
    let files = &mut translated.files;
    files.insert(
        REPORT_FILE.to_owned(),
        format!("{title}{report}").into_bytes(),
    );
    let failed = |path: &Path, error| format!("error: cannot write {}: {error}", path.display());
    for folder in ["plugins", "certs"] {
        let path = into.join(folder);
        fs::create_dir_all(&path).map_err(|error| failed(&path, error))?;
    }
    for (file, bytes) in files.iter() {
        let path = into.join(file);
        fs::write(&path, bytes).map_err(|error| failed(&path, error))?;
    }
    let names: Vec<_> = files.keys().map(String::as_str).collect();
    let into = into.display();
    say(&format!(
        "{name} is in {into}: {}\n{report}",
        names.join(", ")
    ));
    let count = translated.report.left_out();
    say(&match count {
        0 => format!(
            "\nall of it was translated; then: witgate check --config {into}/witgate.toml\n"
        ),
        _ => format!(
            "\n{count} place{} left out (exit code {LEFT_OUT}); all of this is in {into}/{REPORT_FILE}; then: witgate check \
             --config {into}/witgate.toml\n",
            plural(count)
        ),
    });
    Ok(match count {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::from(LEFT_OUT),
    })
}
