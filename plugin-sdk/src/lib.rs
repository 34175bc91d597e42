//! Plugins for Witgate, a TLS gateway whose decisions are Wasm plugins.
//!
//! A plugin is a function: facts in, decision out. It reads a [`Request`] and returns a
//! [`Route`], a [`Preference`] or a list of edits; the gateway checks it and acts on it. This
//! one sends whoever asks for it to another pool:
//!
//! ```
//! use witgate_sdk::prelude::*;
//!
//! #[derive(serde::Deserialize, Schema)]
//! #[serde(deny_unknown_fields)]
//! struct Config {
//!     beta_pool: String,
//! }
//!
//! struct Beta {
//!     pool: String,
//! }
//!
//! impl Plugin for Beta {
//!     type Config = Config;
//!
//!     fn configure(config: Config) -> Result<Self, ConfigError> {
//!         Ok(Beta { pool: config.beta_pool })
//!     }
//! }
//!
//! impl Routing for Beta {
//!     fn route(&self, request: &Request) -> Route {
//!         match request.header_str("x-beta").as_deref() {
//!             Some("1") => Route::forward(&self.pool).rule("beta").into(),
//!             _ => Route::Pass,
//!         }
//!     }
//! }
//!
//! witgate_sdk::export!(Beta: Routing);
//! ```
//!
//! Its crate is a `cdylib`, built for `wasm32-unknown-unknown` with `witgate plugin build`, and
//! copied into the gateway's plugin folder.
//!
//! # Tests
//!
//! Natively, [`Request`], [`Response`] and [`Pool`] have builders, [`testing::configure`] makes
//! the plugin from the text of its sidecar, and `after` shows what edits make of a message. So
//! `cargo test` runs a plugin's logic without Wasm:
//!
//! ```
//! # use witgate_sdk::prelude::*;
//! # #[derive(serde::Deserialize)]
//! # struct Config { beta_pool: String }
//! # struct Beta { pool: String }
//! # impl Plugin for Beta {
//! #     type Config = Config;
//! #     fn configure(config: Config) -> Result<Self, ConfigError> { Ok(Beta { pool: config.beta_pool }) }
//! # }
//! # impl Routing for Beta {
//! #     fn route(&self, request: &Request) -> Route {
//! #         match request.header_str("x-beta").as_deref() {
//! #             Some("1") => Route::forward(&self.pool).rule("beta").into(),
//! #             _ => Route::Pass,
//! #         }
//! #     }
//! # }
//! use witgate_sdk::testing;
//!
//! let beta = testing::configure::<Beta>("beta_pool = \"next\"").unwrap();
//! let request = Request::get("https://shop.example/").header("x-beta", "1").build();
//! assert_eq!(beta.route(&request), Route::forward("next").rule("beta").into());
//!
//! let refusal = testing::configure::<Beta>("beta_pool = 5").err().unwrap();
//! assert_eq!(refusal.to_string(), "beta_pool: invalid type: integer `5`, expected a string");
//! ```
//!
//! # What the sidecar grants
//!
//! [`clock`], [`random`], [`kv`], [`metrics`] and [`callout`] are there for plugins whose sidecar names them in
//! `grants`; a plugin that uses one of them without is refused when it is loaded. In native tests
//! they work on a world of the test's own, which [`testing`] can change and look at.
//!
//! # Waiting
//!
//! A decision that needs somebody else's answer, or the start of the request's body, is made by
//! [`AsyncRouting`] and [`AsyncRewriting`], whose functions are `async`: see [`callout`] and
//! [`Request::body_start`]. They are of the draft of WIT 0.2 and may change until it is published.
//!
//! # Text, and no types of `http`
//!
//! Facts are text, bytes and numbers, as they cross into the plugin. The gateway has parsed them; types of
//! the crate `http` would parse them again in every call, and be code in every plugin. Compare words:
//!
//! ```
//! # use witgate_sdk::prelude::*;
//! let request = Request::post("https://shop.example/api/carts").header("X-Beta", "1").build();
//! assert!(request.method() == "POST" && request.path().starts_with("/api/"));
//! assert_eq!(request.header_str("x-beta").as_deref(), Some("1"));
//! ```
//!
//! # Errors
//!
//! A wrong configuration is a [`ConfigError`]; the version is then not taken into service. A
//! panic goes to the log with file and line, and becomes a trap: the request gets an error and
//! the instance is thrown away.

mod config;
mod connection;
mod decision;
mod export;
#[cfg(target_arch = "wasm32")]
mod guest;
mod host_pattern;
mod host_table;
#[cfg(not(target_arch = "wasm32"))]
mod native;
mod network;
mod path_pattern;
mod plugin;
mod pool;
mod protected;
mod request;
mod response;
mod target_uri;
mod values;

pub mod access_log;
#[doc(hidden)]
pub mod bindings;
pub mod callout;
pub mod clock;
pub mod kv;
pub mod log;
pub mod metrics;
pub mod random;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;

pub use config::{ConfigError, NoConfig};
pub use host_pattern::{HostPattern, HostPatternError};
pub use host_table::HostTable;
#[cfg(not(target_arch = "wasm32"))]
pub use native::{PoolBuilder, RequestBuilder, ResponseBuilder};
pub use network::{Network, NetworkError};
pub use path_pattern::{PathPattern, PathPatternError, is_plain_path};
pub use plugin::{Affinity, AsyncRewriting, AsyncRouting, Plugin, Rewriting, Routing};
pub use pool::Pool;
pub use protected::is_protected_field;
pub use request::Request;
pub use response::Response;
pub use values::{
    BodyFailure, BodyStart, Calls, ClientCertificate, Decision, Field, Forward, HttpVersion,
    Outcome, Preference, RequestEdit, Respond, ResponseEdit, Route, Scheme, TlsSession,
};

/// The schema of a plugin's configuration, which the gateway finds wrong keys by.
///
/// Derived beside `Deserialize`, it lies in the plugin's file, and `witgate check` and the
/// gateway's log point at the line of the sidecar. `witgate plugin schema` prints it for editors.
///
/// ```
/// use witgate_sdk::prelude::*;
///
/// #[derive(serde::Deserialize, Schema)]
/// #[serde(deny_unknown_fields)]
/// struct Config {
///     /// Where requests go.
///     pool: String,
///     #[serde(default)]
///     #[schema(least = 0, most = 100)]
///     share: u8,
/// }
/// ```
#[doc(inline)]
pub use witgate_schema::Schema;

/// What [`Schema`] is made of.
///
/// ```
/// use witgate_sdk::{NoConfig, schema::{Schema, Shape}};
///
/// assert!(matches!(NoConfig::SHAPE, Shape::Table(table) if table.keys.is_empty() && table.strict));
/// ```
#[doc(inline)]
pub use witgate_schema as schema;

/// Everything that a plugin usually needs.
///
/// ```
/// use witgate_sdk::prelude::*;
///
/// let request = Request::get("https://shop.example/").build();
/// log::info!("{}", request.host());
/// ```
pub mod prelude {
    pub use crate::{
        Affinity, AsyncRewriting, AsyncRouting, Calls, ClientCertificate, ConfigError, Decision,
        Field, Forward, HttpVersion, NoConfig, Outcome, Plugin, Pool, Preference, Request,
        RequestEdit, Respond, Response, ResponseEdit, Rewriting, Route, Routing, Schema, Scheme,
        TlsSession, log,
    };
}

/// For `export!` only.
#[doc(hidden)]
pub mod __private {
    pub use crate::export::{Described, Export, Exported, Slot, Undescribed, check};
}

/// Plugins allocate for most of what they pass, and in Wasm the standard library's allocator
/// takes several times as long.
#[cfg(all(target_arch = "wasm32", feature = "allocator"))]
#[global_allocator]
static ALLOCATOR: talc::wasm::WasmDynamicTalc = talc::wasm::new_wasm_dynamic_allocator();

/// Runs the examples of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
