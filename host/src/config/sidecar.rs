//! The TOML file beside a plugin: what it may use, which of its roles count, and the
//! configuration that is handed to it.

use std::{fmt, path::Path};

use serde_json::{Map, Number, Value};

use super::{
    PluginLimits,
    check::Check,
    error::{ConfigError, Problems, Source},
    grants::Grants,
    keys::{KeyPath, Mark, quoted},
    raw,
    rollout::Rollout,
};

/// What a plugin can decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Which pool.
    Routing,
    /// Which endpoint a session sticks to.
    Affinity,
    /// Which header fields change.
    Rewriting,
}

impl Role {
    const ALL: [(&'static str, Self); 3] = [
        ("routing", Self::Routing),
        ("affinity", Self::Affinity),
        ("rewriting", Self::Rewriting),
    ];

    /// As in a sidecar's `roles`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Routing => "routing",
            Self::Affinity => "affinity",
            Self::Rewriting => "rewriting",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// A plugin's `NN-name.toml`, parsed and checked.
#[derive(Debug, Clone)]
pub struct Sidecar {
    source: Source,
    /// The file's, and where it is silent, the defaults'.
    pub limits: PluginLimits,
    /// Only these of the plugin's roles are used; all when none. Not empty, each once.
    pub roles: Option<Vec<Role>>,
    /// What it may import beside the facts.
    pub grants: Grants,
    /// What a new version goes through before it is live.
    pub rollout: Rollout,
    /// The `[config]` table as JSON text, an object; dates and times are strings. `{}` without
    /// the table.
    pub config_json: String,
}

impl Sidecar {
    /// Reads a file. Blocks.
    ///
    /// # Errors
    /// The file cannot be read, or as [`Sidecar::parse`].
    pub fn load(path: &Path, defaults: &PluginLimits) -> Result<Self, ConfigError> {
        sidecar(Source::read(path)?, defaults)
    }

    /// Reads `text`, the contents of `path`.
    ///
    /// # Errors
    /// All that is wrong with it, at once where possible.
    pub fn parse(text: &str, path: &Path, defaults: &PluginLimits) -> Result<Self, ConfigError> {
        sidecar(Source::new(path, text), defaults)
    }

    /// What applies to a plugin that has no file at `path`.
    pub fn absent(path: &Path, defaults: &PluginLimits) -> Self {
        Self {
            source: Source::without_text(path),
            limits: defaults.clone(),
            roles: None,
            grants: Grants::default(),
            rollout: Rollout::default(),
            config_json: "{}".to_owned(),
        }
    }

    /// The file as it is written; none when there is no file.
    pub fn text(&self) -> Option<&str> {
        self.source.own_text()
    }

    /// To collect what is wrong with it in the eyes of others.
    pub(super) fn problems(&self) -> Problems {
        Problems::of(&self.source)
    }

    /// A problem with the value of `key`, as `roles[0]` or `config.sites[2].host`; it points at
    /// the nearest parent that is in the file.
    pub fn error(&self, key: &str, problem: impl fmt::Display) -> ConfigError {
        let key = KeyPath::parse(key);
        let problem = self.source.problem(&key, Mark::Value, problem.to_string());
        ConfigError::of(&self.source, vec![problem])
    }
}

fn sidecar(source: Source, defaults: &PluginLimits) -> Result<Sidecar, ConfigError> {
    let mut raw: raw::Sidecar = raw::read(&source)?;
    let mut check = Check {
        path: source.path(),
        problems: Problems::of(&source),
    };
    let limits = check.plugin_limits("", &raw.take_limits(), defaults);
    let roles = raw.roles.map(|raw| roles(&mut check, &raw));
    let grants = check.grants(raw::Grants {
        grants: raw.grants,
        kv: raw.kv,
        callout: raw.callout,
        body: raw.body,
    });
    let rollout = check.rollout(raw.rollout);
    let config = table(&mut check.problems, "config", raw.config);
    check.problems.finish()?;
    Ok(Sidecar {
        source,
        limits,
        roles,
        grants,
        rollout,
        config_json: config.to_string(),
    })
}

fn roles(check: &mut Check<'_>, raw: &[String]) -> Vec<Role> {
    if raw.is_empty() {
        let message = "the list is empty, expected at least one role; \
                       to switch the plugin off, move it out of the folder";
        check.problems.add("roles", message);
    }
    let mut roles = Vec::new();
    for (index, name) in raw.iter().enumerate() {
        let key = format!("roles[{index}]");
        let role = check.choice(
            &key,
            Some(name),
            &Role::ALL.map(|(name, role)| (name, Some(role))),
            None,
        );
        match role {
            Some(role) if roles.contains(&role) => {
                check
                    .problems
                    .add(&key, format!("found {name:?} again, expected each once"));
            }
            Some(role) => roles.push(role),
            None => {}
        }
    }
    roles
}

fn table(problems: &mut Problems, key: &str, table: toml::Table) -> Value {
    let entries = table.into_iter().map(|(name, value)| {
        let value = json(problems, &format!("{key}.{}", quoted(&name)), value);
        (name, value)
    });
    Value::Object(entries.collect::<Map<_, _>>())
}

fn json(problems: &mut Problems, key: &str, value: toml::Value) -> Value {
    match value {
        toml::Value::String(text) => Value::String(text),
        toml::Value::Integer(number) => Value::from(number),
        toml::Value::Boolean(flag) => Value::Bool(flag),
        toml::Value::Datetime(time) => Value::String(time.to_string()),
        toml::Value::Table(entries) => table(problems, key, entries),
        toml::Value::Array(entries) => {
            let entries = entries.into_iter().enumerate();
            let entries =
                entries.map(|(index, value)| json(problems, &format!("{key}[{index}]"), value));
            Value::Array(entries.collect())
        }
        toml::Value::Float(number) => Number::from_f64(number).map_or_else(
            || {
                let message = format!("found {number}, expected a number that JSON can express");
                problems.add(key, message);
                Value::Null
            },
            Value::Number,
        ),
    }
}
