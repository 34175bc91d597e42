//! One rule: which paths and hosts it is for, and what becomes of their requests.

use serde::Deserialize;
use witgate_sdk::{HostPattern, prelude::*};

use crate::redirect::{Redirect, RedirectConfig};

/// A rule as the operator writes it.
#[derive(Debug, Deserialize, Schema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RuleConfig {
    /// `rule` in the access log; at most 128 bytes.
    name: Option<String>,
    /// Each starts with `/`, may end with `*`.
    paths: Vec<String>,
    /// Exact, or with `*` and `?`, as in site-router.
    #[serde(default)]
    hosts: Vec<HostPattern>,
    /// Only requests that came to one of these.
    #[serde(default)]
    listeners: Vec<String>,
    /// A pool of the gateway's configuration.
    pool: Option<String>,
    /// Takes the place of what the pattern matched.
    override_path: Option<String>,
    /// An answer that sends the client elsewhere; this or `pool`.
    redirect: Option<RedirectConfig>,
}

/// A rule, checked.
#[derive(Debug)]
pub(crate) struct Rule {
    name: Option<String>,
    paths: Vec<PathPattern>,
    /// Empty: all.
    hosts: Vec<HostPattern>,
    /// Empty: all.
    listeners: Vec<String>,
    action: Action,
}

#[derive(Debug)]
enum Action {
    Forward {
        pool: String,
        override_path: Option<String>,
    },
    Redirect(Redirect),
}

/// What of a path a pattern matched, which an override replaces.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Matched {
    Whole,
    /// This many bytes.
    Prefix(usize),
}

impl Rule {
    pub(crate) fn new(config: RuleConfig) -> Result<Self, ConfigError> {
        if config.paths.is_empty() {
            return Err(ConfigError::at(
                "paths",
                "expected at least one path, found none",
            ));
        }
        let paths = config.paths.iter().enumerate();
        let paths = paths.map(|(i, path)| {
            PathPattern::new(path).map_err(|e| e.within(format_args!("paths[{i}]")))
        });
        Ok(Self {
            paths: paths.collect::<Result<_, _>>()?,
            action: Action::new(config.pool, config.override_path, config.redirect)?,
            name: config.name,
            hosts: config.hosts,
            listeners: config.listeners,
        })
    }

    /// What of the lower-case path this rule matches.
    pub(crate) fn matched(&self, lower: &str) -> Option<Matched> {
        self.paths.iter().find_map(|pattern| pattern.matched(lower))
    }

    pub(crate) fn paths(&self) -> &[PathPattern] {
        &self.paths
    }

    /// Whether it is for the request's host and listener.
    pub(crate) fn serves(&self, request: &Request) -> bool {
        let host = request.host();
        (self.hosts.is_empty() || self.hosts.iter().any(|pattern| pattern.matches(host)))
            && (self.listeners.is_empty() || self.listeners.contains(&request.listener()))
    }

    pub(crate) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// What becomes of a request whose path it matches. A request that goes on tells the rule's
    /// name in the field `told_in`.
    pub(crate) fn decide(
        &self,
        request: &Request,
        matched: Matched,
        told_in: Option<&str>,
    ) -> Route {
        match &self.action {
            Action::Forward {
                pool,
                override_path,
            } => {
                let edits = override_path
                    .iter()
                    .map(|new| RequestEdit::path(overridden(new, request.path(), matched)));
                let told = told_in.zip(self.name());
                let told = told.map(|(field, name)| RequestEdit::set(field, name));
                Forward {
                    pool: pool.clone(),
                    rule: self.name.clone(),
                    edits: edits.chain(told).collect(),
                }
                .into()
            }
            Action::Redirect(redirect) => Respond {
                rule: self.name.clone(),
                ..redirect.respond(request)
            }
            .into(),
        }
    }
}

impl Action {
    fn new(
        pool: Option<String>,
        override_path: Option<String>,
        redirect: Option<RedirectConfig>,
    ) -> Result<Self, ConfigError> {
        match (pool, override_path, redirect) {
            (Some(pool), override_path, None) => {
                override_path.as_deref().map_or(Ok(()), check_override)?;
                Ok(Self::Forward {
                    pool,
                    override_path,
                })
            }
            (None, None, Some(redirect)) => Redirect::new(redirect)
                .map(Self::Redirect)
                .map_err(|e| e.within("redirect")),
            (None, Some(_), _) => Err(ConfigError::at(
                "override_path",
                "expected a pool beside it, found none",
            )),
            (None, None, None) => Err(ConfigError::new("expected pool or redirect, found neither")),
            (Some(_), _, Some(_)) => Err(ConfigError::new("expected pool or redirect, found both")),
        }
    }
}

/// What the gateway would refuse at each request is refused here.
fn check_override(path: &str) -> Result<(), ConfigError> {
    let legal = |byte: u8| byte.is_ascii_graphic() && !b"?#*<>`".contains(&byte);
    if path.starts_with('/') && path.bytes().all(legal) {
        return Ok(());
    }
    let problem = format!(
        "expected a path starting with \"/\", of visible ASCII characters without \"?\", \"#\", \"*\", \
         \"<\", \">\" or \"`\", found {path:?}"
    );
    Err(ConfigError::at("override_path", problem))
}

/// The override in the place of what was matched, with one slash where it meets the rest. The
/// slash at the end of `/api/*` belongs to the rest: `/v1` makes `/v1/home` of `/api/home`.
fn overridden(new: &str, path: &str, matched: Matched) -> String {
    let Matched::Prefix(matched) = matched else {
        return new.to_owned();
    };
    let (gone, kept) = path.split_at_checked(matched).unwrap_or((path, ""));
    if gone.ends_with('/') || kept.starts_with('/') {
        let new = new.strip_suffix('/').unwrap_or(new);
        let kept = kept.strip_prefix('/').unwrap_or(kept);
        return [new, "/", kept].concat();
    }
    [new, kept].concat()
}

/// A path that is matched whole, or up to the final `*`. Lower-case.
#[derive(Debug)]
pub(crate) enum PathPattern {
    Exact(String),
    Prefix(String),
}

impl PathPattern {
    fn new(text: &str) -> Result<Self, ConfigError> {
        let lower = text.to_ascii_lowercase();
        let (path, wild) = match lower.strip_suffix('*') {
            Some(prefix) => (prefix, true),
            None => (lower.as_str(), false),
        };
        let expected = if !path.starts_with('/') {
            "a path starting with \"/\""
        } else if path.contains('*') {
            "\"*\" only at the end"
        } else if path.contains(['?', '#']) {
            "a path without query or fragment"
        } else if !path.bytes().all(|byte| byte.is_ascii_graphic()) {
            "a path of visible ASCII characters, others percent-encoded"
        } else if wild {
            return Ok(Self::Prefix(path.to_owned()));
        } else {
            return Ok(Self::Exact(lower));
        };
        Err(ConfigError::new(format!(
            "expected {expected}, found {text:?}"
        )))
    }

    fn matched(&self, lower: &str) -> Option<Matched> {
        match self {
            Self::Exact(path) => (path == lower).then_some(Matched::Whole),
            Self::Prefix(prefix) => lower
                .starts_with(prefix.as_str())
                .then_some(Matched::Prefix(prefix.len())),
        }
    }
}
