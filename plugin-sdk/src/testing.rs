//! For native tests: makes a plugin as the gateway would, and changes and shows the world that
//! `clock`, `random`, `kv`, `metrics` and `access_log` work on. Each thread has a world of its own, and so has
//! each test.
//!
//! ```
//! use std::time::Duration;
//! use witgate_sdk::{clock, kv, testing};
//!
//! kv::set("motto", "facts in", Some(Duration::from_secs(60)))?;
//! testing::advance(Duration::from_secs(60));
//! assert_eq!((clock::monotonic().as_secs(), kv::get("motto")), (60, None));
//! # Ok::<(), kv::Refusal>(())
//! ```

use std::{
    task::{Context, Poll, Waker},
    time::Duration,
};

use crate::{
    ConfigError, Plugin,
    callout::{Answer, Callout, Failure},
    config,
    native::world,
};

/// Makes a plugin from the `[config]` table of its sidecar, given as TOML; or as JSON when it
/// begins with `{`.
///
/// ```
/// use witgate_sdk::{prelude::*, testing};
///
/// #[derive(serde::Deserialize)]
/// struct Config {
///     pool: String,
/// }
///
/// struct Everything(String);
///
/// impl Plugin for Everything {
///     type Config = Config;
///
///     fn configure(config: Config) -> Result<Self, ConfigError> {
///         Ok(Self(config.pool))
///     }
/// }
///
/// assert_eq!(testing::configure::<Everything>("pool = \"web\"").unwrap().0, "web");
/// assert_eq!(testing::configure::<Everything>("{\"pool\": \"web\"}").unwrap().0, "web");
/// ```
///
/// # Errors
/// What the gateway would refuse, in the same words; or that the text is no TOML.
pub fn configure<P: Plugin>(text: &str) -> Result<P, ConfigError> {
    if text.trim_start().starts_with('{') {
        return config::configure(text);
    }
    from_table(&parse(text)?)
}

/// Makes a plugin from its sidecar's whole text, as it lies beside the `.wasm` file. Only
/// `[config]` is looked at; without one the configuration is empty.
///
/// # Errors
/// As [`configure`].
///
/// ```
/// use witgate_sdk::{prelude::*, testing};
///
/// struct Nothing;
///
/// impl Plugin for Nothing {
///     type Config = NoConfig;
///
///     fn configure(_: NoConfig) -> Result<Self, ConfigError> {
///         Ok(Self)
///     }
/// }
///
/// assert!(testing::configure_sidecar::<Nothing>("deadline = '5ms'").is_ok());
/// assert!(testing::configure_sidecar::<Nothing>("[config]\npool = 'web'").is_err());
/// ```
pub fn configure_sidecar<P: Plugin>(text: &str) -> Result<P, ConfigError> {
    match parse(text)?.get("config") {
        None => config::configure("{}"),
        Some(toml::Value::Table(config)) => from_table(config),
        Some(_) => Err(ConfigError::at("config", "expected a table")),
    }
}

/// Lets so much time go by; until then the clock stands still, from 2026-01-01 on.
///
/// ```
/// use std::time::Duration;
/// use witgate_sdk::{clock, testing};
///
/// let since = clock::since_1970();
/// testing::advance(Duration::from_secs(60));
/// assert_eq!(clock::since_1970() - since, Duration::from_secs(60));
/// ```
pub fn advance(by: Duration) {
    world(|world| {
        world.monotonic = world.monotonic.saturating_add(by);
        world.wall = world.wall.saturating_add(by);
    });
}

/// Sets the civil time, counted from 1970; the monotonic clock goes on.
///
/// ```
/// use std::time::Duration;
/// use witgate_sdk::{clock, testing};
///
/// testing::set_time(Duration::from_secs(86_400));
/// assert_eq!(clock::since_1970().as_secs(), 86_400);
/// ```
pub fn set_time(since_1970: Duration) {
    world(|world| world.wall = since_1970);
}

/// Random numbers begin anew; other seeds, other numbers.
///
/// ```
/// use witgate_sdk::{random, testing};
///
/// testing::seed(1);
/// let first = random::number();
/// testing::seed(1);
/// assert_eq!(random::number(), first);
/// ```
pub fn seed(seed: u64) {
    world(|world| world.seed = seed);
}

/// How many entries `kv` has room for; 10,000 until then.
///
/// ```
/// use witgate_sdk::{kv, testing};
///
/// testing::limit_kv(1);
/// assert!(kv::set("a", "1", None).is_ok());
/// assert!(kv::set("b", "2", None).is_err());
/// ```
pub fn limit_kv(entries: usize) {
    world(|world| world.kv_entries = entries);
}

/// What the plugin has counted under a name; 0 for one that it has not used.
///
/// ```
/// use witgate_sdk::{metrics, testing};
///
/// assert_eq!(testing::counted("refused"), 0);
/// metrics::count("refused", 1);
/// assert_eq!(testing::counted("refused"), 1);
/// ```
#[must_use]
pub fn counted(name: &str) -> u64 {
    world(|world| world.counters.get(name).copied().unwrap_or(0))
}

/// The values that the plugin has entered under a name, in order.
///
/// ```
/// use witgate_sdk::{metrics, testing};
///
/// metrics::observe("size", 3.0);
/// metrics::observe("size", 4.0);
/// assert_eq!(testing::observed("size"), [3.0, 4.0]);
/// ```
#[must_use]
pub fn observed(name: &str) -> Vec<f64> {
    world(|world| world.values.get(name).cloned().unwrap_or_default())
}

/// The value of a field that the plugin has set for the access log; none when it has not.
///
/// ```
/// use witgate_sdk::{access_log, testing};
///
/// access_log::set("tenant", "shop");
/// assert_eq!(testing::access_field("tenant").as_deref(), Some("shop"));
/// assert_eq!(testing::access_field("user"), None);
/// ```
#[must_use]
pub fn access_field(name: &str) -> Option<String> {
    world(|world| world.access_fields.get(name).cloned())
}

/// Answers the plugin's callouts from now on; until then none can be sent.
///
/// ```
/// use witgate_sdk::{callout::{self, Answer}, testing};
///
/// testing::on_callout(|asked| Ok(Answer::new(if asked.path() == "/check" { 200 } else { 404 })));
/// let answer = testing::wait_for(callout::get("accounts", "/check").send());
/// assert_eq!(answer.map(|answer| answer.status), Ok(200));
/// ```
pub fn on_callout(answer: impl FnMut(&Callout) -> Result<Answer, Failure> + 'static) {
    world(|world| world.answers = Some(Box::new(answer)));
}

/// The decision of a function that is `async`. Nothing really waits in a test.
///
/// # Panics
/// When it waits for something that is not of this SDK.
///
/// ```
/// assert_eq!(witgate_sdk::testing::wait_for(async { 1 + 1 }), 2);
/// ```
pub fn wait_for<R>(decision: impl Future<Output = R>) -> R {
    let mut decision = std::pin::pin!(decision);
    let mut context = Context::from_waker(Waker::noop());
    match decision.as_mut().poll(&mut context) {
        Poll::Ready(decision) => decision,
        Poll::Pending => panic!("it waits for something that a test does not have"),
    }
}

/// Begins with a new world, for a test that does not have a thread to itself, as with
/// `--test-threads=1`.
///
/// ```
/// use witgate_sdk::{kv, testing};
///
/// kv::set("a", "1", None)?;
/// testing::reset();
/// assert_eq!(kv::get("a"), None);
/// # Ok::<(), kv::Refusal>(())
/// ```
pub fn reset() {
    world(|world| *world = crate::native::World::default());
}

fn parse(text: &str) -> Result<toml::Table, ConfigError> {
    toml::from_str(text).map_err(|error| ConfigError::new(error.to_string()))
}

fn from_table<P: Plugin>(table: &toml::Table) -> Result<P, ConfigError> {
    let json = serde_json::to_string(table).map_err(|error| ConfigError::new(error.to_string()))?;
    config::configure(&json)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NoConfig;

    #[derive(Debug)]
    struct Plain;

    impl Plugin for Plain {
        type Config = NoConfig;

        fn configure(_: NoConfig) -> Result<Self, ConfigError> {
            Ok(Self)
        }
    }

    #[test]
    fn an_empty_sidecar_is_no_configuration() {
        assert!(configure::<Plain>("").is_ok());
        assert!(configure::<Plain>("{}").is_ok());
    }

    #[test]
    fn of_a_sidecar_only_the_config_counts() {
        assert!(configure_sidecar::<Plain>("deadline = '5ms'").is_ok());
        let refusal = configure_sidecar::<Plain>("deadline = '5ms'\n[config]\npool = 'web'").err();
        assert_eq!(refusal.as_ref().and_then(ConfigError::key), Some("pool"));
    }

    #[test]
    fn a_plugin_without_configuration_refuses_keys() {
        let refusal = configure::<Plain>("pool = 'web'")
            .err()
            .map(|error| error.to_string());
        assert_eq!(
            refusal.as_deref(),
            Some("pool: unknown field `pool`, there are no fields")
        );
    }
}
