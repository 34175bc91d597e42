//! Which requests need a token: hosts, paths, exceptions and preflights. When in doubt, one does.

use witgate_sdk::{HostPattern, prelude::*};

use crate::config::Config;

/// Hosts and paths of the configuration.
pub(crate) struct Scope {
    /// Empty: all.
    hosts: Vec<HostPattern>,
    /// Lower-case; empty: all.
    paths: Vec<PathPattern>,
    except: Vec<PathPattern>,
    preflights_pass: bool,
}

impl Scope {
    pub(crate) fn new(config: &Config) -> Result<Self, ConfigError> {
        let lower: Vec<_> = config
            .paths
            .iter()
            .map(|path| path.to_ascii_lowercase())
            .collect();
        Ok(Self {
            hosts: config.hosts.clone(),
            paths: patterns("paths", &lower)?,
            except: patterns("except", &config.except)?,
            preflights_pass: config.preflights,
        })
    }

    /// Paths that need a token are compared without regard to case, exceptions exactly: an
    /// upstream that takes `/Public` and `/public` for two is not opened by an exception for one.
    pub(crate) fn covers(&self, request: &Request) -> bool {
        if self.preflights_pass && is_preflight(request) {
            return false;
        }
        let is_host = |pattern: &HostPattern| pattern.matches(request.host());
        if !self.hosts.is_empty() && !self.hosts.iter().any(is_host) {
            return false;
        }
        let path = request.path();
        if self.paths.is_empty() && self.except.is_empty() || !is_plain(path) {
            return true;
        }
        let lower = path.to_ascii_lowercase();
        let is_covered = self.paths.is_empty() || self.paths.iter().any(|p| p.matches(&lower));
        is_covered && !self.except.iter().any(|pattern| pattern.matches(path))
    }
}

/// As browsers send it (Fetch, "CORS-preflight request"): it never has credentials.
fn is_preflight(request: &Request) -> bool {
    request.method() == "OPTIONS"
        && request.header("access-control-request-method").is_some()
        && request.header("origin").is_some()
}

/// Whether no server can take the path for another one. Usually so, since listeners normalise
/// paths; on one that does not, what is not plain needs a token and gets no exception.
fn is_plain(path: &str) -> bool {
    let lower = path.to_ascii_lowercase().replace("%2e", ".");
    let is_dots = |segment: &str| matches!(segment.split(';').next(), Some("." | ".."));
    let tricks = ["//", "\\", "%2f", "%5c"];
    !lower.split('/').any(is_dots) && !tricks.iter().any(|trick| lower.contains(trick))
}

/// A path that is matched whole, or up to the final `*`.
enum PathPattern {
    Exact(String),
    Prefix(String),
}

impl PathPattern {
    fn new(text: &str) -> Result<Self, ConfigError> {
        let path = text.strip_suffix('*').unwrap_or(text);
        let is_legal = |byte: u8| byte.is_ascii_graphic() && !b"*?#".contains(&byte);
        if !path.starts_with('/') || !path.bytes().all(is_legal) {
            let expected = "a path such as \"/api\" or \"/api/*\" of visible ASCII characters";
            return Err(ConfigError::new(format!(
                "expected {expected}, found {text:?}"
            )));
        }
        Ok(match text.ends_with('*') {
            true => Self::Prefix(path.to_owned()),
            false => Self::Exact(path.to_owned()),
        })
    }

    fn matches(&self, path: &str) -> bool {
        match self {
            Self::Exact(exact) => exact == path,
            Self::Prefix(prefix) => path.starts_with(prefix.as_str()),
        }
    }
}

fn patterns(key: &str, texts: &[String]) -> Result<Vec<PathPattern>, ConfigError> {
    let texts = texts.iter().enumerate();
    texts
        .map(|(i, text)| {
            PathPattern::new(text).map_err(|error| error.within(format_args!("{key}[{i}]")))
        })
        .collect()
}
