//! Long work shows what it does: a line when a step begins, one with its time when it ends.

use std::time::Instant;

use anyhow::{Context as _, Result};

/// Runs one step under a title that is a command: `Build the gateway`.
///
/// # Errors
/// Those of the work, under the title.
pub(crate) fn step<T>(title: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    eprintln!("==> {title}");
    let begin = Instant::now();
    let result = work().with_context(|| format!("{title}: failed"))?;
    eprintln!("    done in {:.1} s", begin.elapsed().as_secs_f64());
    Ok(result)
}
