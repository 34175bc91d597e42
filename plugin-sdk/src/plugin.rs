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
    ///
    /// ```
    /// use witgate_sdk::{prelude::*, testing};
    ///
    /// struct Ranks(u8);
    ///
    /// #[derive(serde::Deserialize)]
    /// struct Config {
    ///     rank: u8,
    /// }
    ///
    /// impl Plugin for Ranks {
    ///     type Config = Config;
    ///
    ///     fn configure(config: Config) -> Result<Self, ConfigError> {
    ///         match config.rank {
    ///             0 => Err(ConfigError::at("rank", "expected at least 1, found 0")),
    ///             rank => Ok(Self(rank)),
    ///         }
    ///     }
    /// }
    ///
    /// assert_eq!(testing::configure::<Ranks>("rank = 3").unwrap().0, 3);
    /// let refusal = testing::configure::<Ranks>("rank = 0").err().unwrap();
    /// assert_eq!(refusal.to_string(), "rank: expected at least 1, found 0");
    /// ```
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
///
/// ```
/// # use witgate_sdk::prelude::*;
/// # struct Docs;
/// # impl Plugin for Docs {
/// #     type Config = NoConfig;
/// #     fn configure(_: NoConfig) -> Result<Self, ConfigError> { Ok(Self) }
/// # }
/// impl Routing for Docs {
///     fn route(&self, request: &Request) -> Route {
///         match request.path().starts_with("/docs/") {
///             true => Route::forward("docs").into(),
///             false => Route::Pass,
///         }
///     }
/// }
///
/// let route = |url| Docs.route(&Request::get(url).build());
/// assert_eq!(route("https://shop.example/docs/"), Route::forward("docs").into());
/// assert_eq!(route("https://shop.example/"), Route::Pass);
/// ```
pub trait Routing: Plugin {
    /// Decides where one request goes, or passes it on to the next routing plugin.
    ///
    /// ```
    /// # use witgate_sdk::prelude::*;
    /// # struct Closed;
    /// # impl Plugin for Closed {
    /// #     type Config = NoConfig;
    /// #     fn configure(_: NoConfig) -> Result<Self, ConfigError> { Ok(Self) }
    /// # }
    /// impl Routing for Closed {
    ///     fn route(&self, _: &Request) -> Route {
    ///         Route::respond(503).header("retry-after", "60").into()
    ///     }
    /// }
    ///
    /// let request = Request::get("https://shop.example/").build();
    /// assert!(matches!(Closed.route(&request), Route::Respond(answer) if answer.status == 503));
    /// ```
    fn route(&self, request: &Request) -> Route;
}

/// The affinity role: which endpoint of its pool a session sticks to.
///
/// ```
/// # use witgate_sdk::prelude::*;
/// # struct Sticky;
/// # impl Plugin for Sticky {
/// #     type Config = NoConfig;
/// #     fn configure(_: NoConfig) -> Result<Self, ConfigError> { Ok(Self) }
/// # }
/// impl Affinity for Sticky {
///     fn prefer(&self, request: &Request, _: &Pool) -> Preference {
///         request.cookie("node").map_or(Preference::None, Preference::endpoint)
///     }
///
///     fn stick(&self, _: &Request, _: &Pool, endpoint: &str, outcome: Outcome) -> Vec<ResponseEdit> {
///         match outcome {
///             Outcome::Honoured => Vec::new(),
///             _ => vec![ResponseEdit::append("set-cookie", format!("node={endpoint}; Path=/"))],
///         }
///     }
/// }
///
/// let pool = Pool::named("web").endpoint("a").endpoint("b").build();
/// let request = Request::get("https://shop.example/").cookie("node", "b").build();
/// assert_eq!(Sticky.prefer(&request, &pool), Preference::endpoint("b"));
/// assert!(Sticky.stick(&request, &pool, "b", Outcome::Honoured).is_empty());
/// ```
pub trait Affinity: Plugin {
    /// Says which endpoint should serve the request, before one is chosen.
    ///
    /// ```
    /// # use witgate_sdk::prelude::*;
    /// # struct ByUser;
    /// # impl Plugin for ByUser {
    /// #     type Config = NoConfig;
    /// #     fn configure(_: NoConfig) -> Result<Self, ConfigError> { Ok(Self) }
    /// # }
    /// impl Affinity for ByUser {
    ///     fn prefer(&self, request: &Request, _: &Pool) -> Preference {
    ///         let user = request.header_str("x-user").and_then(|user| user.parse().ok());
    ///         user.map_or(Preference::None, Preference::Hash)
    ///     }
    /// }
    ///
    /// let pool = Pool::named("web").endpoint("a").build();
    /// let request = Request::get("https://shop.example/").header("x-user", "7").build();
    /// assert_eq!(ByUser.prefer(&request, &pool), Preference::Hash(7));
    /// ```
    fn prefer(&self, request: &Request, pool: &Pool) -> Preference;

    /// Returns the edits that make the session stick, once the endpoint of this id has
    /// answered. Not called for answers that the gateway itself makes.
    ///
    /// ```
    /// # use witgate_sdk::prelude::*;
    /// # struct Named;
    /// # impl Plugin for Named {
    /// #     type Config = NoConfig;
    /// #     fn configure(_: NoConfig) -> Result<Self, ConfigError> { Ok(Self) }
    /// # }
    /// impl Affinity for Named {
    ///     fn prefer(&self, _: &Request, _: &Pool) -> Preference {
    ///         Preference::None
    ///     }
    ///
    ///     fn stick(&self, _: &Request, _: &Pool, endpoint: &str, _: Outcome) -> Vec<ResponseEdit> {
    ///         vec![ResponseEdit::set("x-served-by", endpoint)]
    ///     }
    /// }
    ///
    /// let (request, pool) = (Request::get("https://shop.example/").build(), Pool::named("web").build());
    /// let edits = Named.stick(&request, &pool, "a", Outcome::Balanced);
    /// let response = Response::with_status(200).build().after(&edits);
    /// assert_eq!(response.header_str("x-served-by").as_deref(), Some("a"));
    /// ```
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
///
/// ```
/// # use witgate_sdk::prelude::*;
/// # struct Quiet;
/// # impl Plugin for Quiet {
/// #     type Config = NoConfig;
/// #     fn configure(_: NoConfig) -> Result<Self, ConfigError> { Ok(Self) }
/// # }
/// impl Rewriting for Quiet {
///     fn rewrite_response(&self, _: &Request, _: &Response) -> Vec<ResponseEdit> {
///         vec![ResponseEdit::remove("server")]
///     }
/// }
///
/// let request = Request::get("https://shop.example/").build();
/// let response = Response::with_status(200).header("server", "x/1.2").build();
/// let edits = Quiet.rewrite_response(&request, &response);
/// assert_eq!(response.after(&edits).header("server"), None);
/// ```
pub trait Rewriting: Plugin {
    /// Returns the edits for a request, after its pool is known.
    ///
    /// ```
    /// # use witgate_sdk::prelude::*;
    /// # struct Versioned;
    /// # impl Plugin for Versioned {
    /// #     type Config = NoConfig;
    /// #     fn configure(_: NoConfig) -> Result<Self, ConfigError> { Ok(Self) }
    /// # }
    /// impl Rewriting for Versioned {
    ///     fn rewrite_request(&self, request: &Request) -> Vec<RequestEdit> {
    ///         vec![RequestEdit::path(format!("/v1{}", request.path()))]
    ///     }
    /// }
    ///
    /// let request = Request::get("https://shop.example/carts").build();
    /// let edits = Versioned.rewrite_request(&request);
    /// assert_eq!(request.after(&edits).path(), "/v1/carts");
    /// ```
    fn rewrite_request(&self, request: &Request) -> Vec<RequestEdit> {
        let _ = request;
        Vec::new()
    }

    /// Returns the edits for the upstream's response. `request` is as it went upstream.
    ///
    /// ```
    /// # use witgate_sdk::prelude::*;
    /// # struct Errors;
    /// # impl Plugin for Errors {
    /// #     type Config = NoConfig;
    /// #     fn configure(_: NoConfig) -> Result<Self, ConfigError> { Ok(Self) }
    /// # }
    /// impl Rewriting for Errors {
    ///     fn rewrite_response(&self, _: &Request, response: &Response) -> Vec<ResponseEdit> {
    ///         match response.status() {
    ///             500.. => vec![ResponseEdit::set("cache-control", "no-store")],
    ///             _ => Vec::new(),
    ///         }
    ///     }
    /// }
    ///
    /// let request = Request::get("https://shop.example/").build();
    /// let edits = Errors.rewrite_response(&request, &Response::with_status(503).build());
    /// assert_eq!(edits, [ResponseEdit::set("cache-control", "no-store")]);
    /// ```
    fn rewrite_response(&self, request: &Request, response: &Response) -> Vec<ResponseEdit> {
        let _ = (request, response);
        Vec::new()
    }
}

/// The routing role of a plugin that waits while it decides. Of the draft of WIT 0.2.
///
/// ```
/// # use witgate_sdk::prelude::*;
/// # struct Gate;
/// # impl Plugin for Gate {
/// #     type Config = NoConfig;
/// #     fn configure(_: NoConfig) -> Result<Self, ConfigError> { Ok(Self) }
/// # }
/// use witgate_sdk::{callout::{self, Answer}, testing};
///
/// impl AsyncRouting for Gate {
///     async fn route(&self, _: &Request) -> Decision {
///         match callout::get("accounts", "/check").send().await {
///             Ok(answer) if answer.status == 200 => Decision::pass(),
///             _ => Route::respond(403).into(),
///         }
///     }
/// }
///
/// testing::on_callout(|_| Ok(Answer::new(200)));
/// let request = Request::get("https://shop.example/").build();
/// assert_eq!(testing::wait_for(Gate.route(&request)), Decision::pass());
/// ```
#[allow(async_fn_in_trait, reason = "all of a plugin runs on one thread")]
pub trait AsyncRouting: Plugin {
    /// As [`Routing::route`]; a request that is passed on can be edited: [`Decision::pass_with`].
    ///
    /// ```
    /// # use witgate_sdk::prelude::*;
    /// # struct Stamp;
    /// # impl Plugin for Stamp {
    /// #     type Config = NoConfig;
    /// #     fn configure(_: NoConfig) -> Result<Self, ConfigError> { Ok(Self) }
    /// # }
    /// use witgate_sdk::testing;
    ///
    /// impl AsyncRouting for Stamp {
    ///     async fn route(&self, request: &Request) -> Decision {
    ///         Decision::pass_with(vec![RequestEdit::set("x-seen-by", request.id())])
    ///     }
    /// }
    ///
    /// let request = Request::get("https://shop.example/").id("0f").build();
    /// let expected = Decision::pass_with(vec![RequestEdit::set("x-seen-by", "0f")]);
    /// assert_eq!(testing::wait_for(Stamp.route(&request)), expected);
    /// ```
    async fn route(&self, request: &Request) -> Decision;
}

/// The rewriting role of a plugin that waits while it decides. Of the draft of WIT 0.2.
///
/// ```
/// # use witgate_sdk::prelude::*;
/// # struct Named;
/// # impl Plugin for Named {
/// #     type Config = NoConfig;
/// #     fn configure(_: NoConfig) -> Result<Self, ConfigError> { Ok(Self) }
/// # }
/// use witgate_sdk::{callout::{self, Answer}, testing};
///
/// impl AsyncRewriting for Named {
///     async fn rewrite_request(&self, _: &Request) -> Vec<RequestEdit> {
///         match callout::get("accounts", "/name").send().await {
///             Ok(answer) => vec![RequestEdit::set("x-name", answer.body)],
///             Err(_) => vec![RequestEdit::remove("x-name")],
///         }
///     }
/// }
///
/// testing::on_callout(|_| Ok(Answer::new(200).with_body("ada")));
/// let request = Request::get("https://shop.example/").build();
/// let edits = testing::wait_for(Named.rewrite_request(&request));
/// assert_eq!(edits, [RequestEdit::set("x-name", "ada")]);
/// ```
#[allow(async_fn_in_trait, reason = "all of a plugin runs on one thread")]
pub trait AsyncRewriting: Plugin {
    /// As [`Rewriting::rewrite_request`].
    ///
    /// ```
    /// # use witgate_sdk::prelude::*;
    /// # struct Sized;
    /// # impl Plugin for Sized {
    /// #     type Config = NoConfig;
    /// #     fn configure(_: NoConfig) -> Result<Self, ConfigError> { Ok(Self) }
    /// # }
    /// use witgate_sdk::testing;
    ///
    /// impl AsyncRewriting for Sized {
    ///     async fn rewrite_request(&self, request: &Request) -> Vec<RequestEdit> {
    ///         let is_small = request.body_start(1024).await.is_ok_and(|start| start.complete);
    ///         vec![RequestEdit::set("x-small", is_small.to_string())]
    ///     }
    /// }
    ///
    /// let request = Request::post("https://shop.example/").body("a=1").build();
    /// let edits = testing::wait_for(Sized.rewrite_request(&request));
    /// assert_eq!(edits, [RequestEdit::set("x-small", "true")]);
    /// ```
    async fn rewrite_request(&self, request: &Request) -> Vec<RequestEdit> {
        let _ = request;
        Vec::new()
    }

    /// As [`Rewriting::rewrite_response`].
    ///
    /// ```
    /// # use witgate_sdk::prelude::*;
    /// # struct Quiet;
    /// # impl Plugin for Quiet {
    /// #     type Config = NoConfig;
    /// #     fn configure(_: NoConfig) -> Result<Self, ConfigError> { Ok(Self) }
    /// # }
    /// use witgate_sdk::testing;
    ///
    /// impl AsyncRewriting for Quiet {
    ///     async fn rewrite_response(&self, _: &Request, _: &Response) -> Vec<ResponseEdit> {
    ///         vec![ResponseEdit::remove("server")]
    ///     }
    /// }
    ///
    /// let (request, response) = (Request::get("https://shop.example/").build(), Response::with_status(200).build());
    /// let edits = testing::wait_for(Quiet.rewrite_response(&request, &response));
    /// assert_eq!(edits, [ResponseEdit::remove("server")]);
    /// ```
    async fn rewrite_response(&self, request: &Request, response: &Response) -> Vec<ResponseEdit> {
        let _ = (request, response);
        Vec::new()
    }
}
