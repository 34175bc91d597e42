//! Which requests need a token: hosts, paths, exceptions and preflights. When in doubt, one does.

use witgate_sdk::{HostPattern, PathPattern, is_plain_path, prelude::*};

use crate::config::Config;

/// Hosts and paths of the configuration.
pub(crate) struct Scope {
    /// Empty: all.
    hosts: Vec<HostPattern>,
    /// Empty: all.
    paths: Vec<PathPattern>,
    except: Vec<PathPattern>,
    preflights_pass: bool,
}

impl Scope {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            hosts: config.hosts.clone(),
            paths: config.paths.clone(),
            except: config.except.clone(),
            preflights_pass: config.preflights,
        }
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
        if self.paths.is_empty() && self.except.is_empty() || !is_plain_path(path) {
            return true;
        }
        let mut paths = self.paths.iter();
        let is_covered = self.paths.is_empty() || paths.any(|p| p.matches_any_case(path));
        is_covered && !self.except.iter().any(|pattern| pattern.matches(path))
    }
}

/// As browsers send it (Fetch, "CORS-preflight request"): it never has credentials.
fn is_preflight(request: &Request) -> bool {
    request.method() == "OPTIONS"
        && request.header("access-control-request-method").is_some()
        && request.header("origin").is_some()
}
