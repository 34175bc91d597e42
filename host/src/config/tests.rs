//! Good and bad files: what they mean, and where their problems are said to be.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod malformed;
mod pools;
mod typed;

use std::path::Path;

use super::{Config, ConfigError, PluginLimits, Sidecar};

/// The file that all tests pretend to read.
const FILE: &str = "/etc/witgate/witgate.toml";

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, Path::new(FILE))
}

fn sidecar(text: &str) -> Result<Sidecar, ConfigError> {
    let path = Path::new("/etc/witgate/plugins/10-sites.toml");
    Sidecar::parse(text, path, &PluginLimits::DEFAULT)
}
