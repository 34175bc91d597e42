//! The traits that a plugin implements: `Plugin`, and one per role that it has.

use serde::de::DeserializeOwned;

use crate::{
    Calls, ConfigError, Decision, Outcome, Pool, Preference, Request, RequestEdit, Response,
    ResponseEdit, Route,
};

/// What every plugin is: something made from a configuration.
///
/// The gateway makes several instances of a plugin and uses each for one request at a time.
/// An instance may keep what it derives (in a `Cell` or `RefCell`), but it can be thrown away
/// at any moment and shares nothing with the others.
///
/// ```
/// use witgate_sdk::prelude::*;
///
/// #[derive(serde::Deserialize)]
/// #[serde(deny_unknown_fields)]
/// struct Config {
///     pool: String,
/// }
///
/// struct Everything {
///     pool: String,
/// }
///
/// impl Plugin for Everything {
///     type Config = Config;
///
///     fn configure(config: Config) -> Result<Self, ConfigError> {
///         if config.pool.is_empty() {
///             return Err(ConfigError::at("pool", "expected a pool's name, found nothing"));
///         }
///         Ok(Self { pool: config.pool })
///     }
/// }
/// ```
pub trait Plugin: Sized + 'static {
    /// The `[config]` table of the sidecar file. Put `#[serde(deny_unknown_fields)]` on it, so
    /// that a misspelt key is refused, and derive [`Schema`](crate::Schema), so that the gateway
    /// points at its line.
    type Config: DeserializeOwned;

    /// Makes an instance, before any request.
    ///
    /// # Errors
    /// When the configuration is wrong; the version is then not taken into service.
    fn configure(config: Self::Config) -> Result<Self, ConfigError>;

    /// Calls in which this plugin, as it is configured, would do nothing: the gateway leaves
    /// them out, which saves each request about a microsecond. None, unless it says so.
    ///
    /// Asked once for each version; the answer may depend on the configuration alone.
    ///
    /// ```
    /// # use witgate_sdk::prelude::*;
    /// struct Stamp;
    ///
    /// impl Plugin for Stamp {
    ///     type Config = NoConfig;
    ///
    ///     fn configure(_: NoConfig) -> Result<Self, ConfigError> {
    ///         Ok(Self)
    ///     }
    ///
    ///     fn unneeded(&self) -> Calls {
    ///         Calls::REWRITE_RESPONSE
    ///     }
    /// }
    ///
    /// impl Rewriting for Stamp {
    ///     fn rewrite_request(&self, _: &Request) -> Vec<RequestEdit> {
    ///         vec![RequestEdit::set("x-stamp", "1")]
    ///     }
    /// }
    /// ```
    fn unneeded(&self) -> Calls {
        Calls::empty()
    }
}

/// The routing role: which pool serves a request.
pub trait Routing: Plugin {
    /// Decides where one request goes, or passes it on to the next routing plugin.
    fn route(&self, request: &Request) -> Route;
}

/// The affinity role: which endpoint of its pool a session sticks to.
pub trait Affinity: Plugin {
    /// Says which endpoint should serve the request, before one is chosen.
    fn prefer(&self, request: &Request, pool: &Pool) -> Preference;

    /// Returns the edits that make the session stick, once the endpoint of this id has
    /// answered. Not called for answers that the gateway itself makes.
    fn stick(
        &self,
        request: &Request,
        pool: &Pool,
        endpoint: &str,
        outcome: Outcome,
    ) -> Vec<ResponseEdit> {
        let _ = (request, pool, endpoint, outcome);
        Vec::new()
    }
}

/// The rewriting role: what changes in a request on its way upstream, and in its response.
pub trait Rewriting: Plugin {
    /// Returns the edits for a request, after its pool is known.
    fn rewrite_request(&self, request: &Request) -> Vec<RequestEdit> {
        let _ = request;
        Vec::new()
    }

    /// Returns the edits for the upstream's response. `request` is as it went upstream.
    fn rewrite_response(&self, request: &Request, response: &Response) -> Vec<ResponseEdit> {
        let _ = (request, response);
        Vec::new()
    }
}

/// The routing role of a plugin that waits while it decides. Of the draft of WIT 0.2.
#[allow(async_fn_in_trait, reason = "all of a plugin runs on one thread")]
pub trait AsyncRouting: Plugin {
    /// As [`Routing::route`]; a request that is passed on can be edited: [`Decision::pass_with`].
    async fn route(&self, request: &Request) -> Decision;
}

/// The rewriting role of a plugin that waits while it decides. Of the draft of WIT 0.2.
#[allow(async_fn_in_trait, reason = "all of a plugin runs on one thread")]
pub trait AsyncRewriting: Plugin {
    /// As [`Rewriting::rewrite_request`].
    async fn rewrite_request(&self, request: &Request) -> Vec<RequestEdit> {
        let _ = request;
        Vec::new()
    }

    /// As [`Rewriting::rewrite_response`].
    async fn rewrite_response(&self, request: &Request, response: &Response) -> Vec<ResponseEdit> {
        let _ = (request, response);
        Vec::new()
    }
}
