//! Asking a service before deciding: an HTTP request to a pool, for plugins whose sidecar has
//! `grants = ["callout"]` and names the pools in `[callout]`. Of the draft of WIT 0.2, and so for
//! [`AsyncRouting`](crate::AsyncRouting) and [`AsyncRewriting`](crate::AsyncRewriting) alone.
//!
//! A call that waits does not hold its worker, and what it waits does not count to its deadline.
//! Several callouts may be under way at a time.
//!
//! ```
//! use witgate_sdk::{callout, prelude::*, testing};
//!
//! struct Gate;
//!
//! impl Plugin for Gate {
//!     type Config = NoConfig;
//!
//!     fn configure(_: NoConfig) -> Result<Self, ConfigError> {
//!         Ok(Self)
//!     }
//! }
//!
//! impl AsyncRouting for Gate {
//!     async fn route(&self, request: &Request) -> Decision {
//!         let token = request.header_str("authorization").unwrap_or_default();
//!         let asked = callout::get("accounts", "/check").header("authorization", token);
//!         match asked.send().await {
//!             Ok(answer) if answer.status == 200 => Decision::pass(),
//!             Ok(_) => Route::respond(403).into(),
//!             Err(_) => Route::respond(503).into(),
//!         }
//!     }
//! }
//!
//! witgate_sdk::export!(Gate: AsyncRouting);
//!
//! testing::on_callout(|asked| {
//!     assert_eq!((asked.pool(), asked.path()), ("accounts", "/check"));
//!     Ok(callout::Answer::new(200))
//! });
//! let request = Request::get("https://shop.example/").build();
//! assert_eq!(testing::wait_for(Gate.route(&request)), Decision::pass());
//! ```

use std::time::Duration;

use crate::{Field, bindings::callout::Outgoing};

#[doc(inline)]
pub use crate::bindings::callout::Failure;

/// A request that is about to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "nothing is asked until it is sent"]
pub struct Callout(Outgoing);

/// A `GET` of this path, with its query, from a pool.
pub fn get(pool: impl Into<String>, path: impl Into<String>) -> Callout {
    with_method("GET", pool, path)
}

/// A `POST` to this path.
pub fn post(pool: impl Into<String>, path: impl Into<String>, body: impl Into<Vec<u8>>) -> Callout {
    with_method("POST", pool, path).body(body)
}

/// A request of another method; `CONNECT` is refused.
pub fn with_method(
    method: impl Into<String>,
    pool: impl Into<String>,
    path: impl Into<String>,
) -> Callout {
    Callout(Outgoing {
        pool: pool.into(),
        method: method.into(),
        path: path.into(),
        authority: None,
        headers: Vec::new(),
        body: Vec::new(),
        timeout: None,
    })
}

impl Callout {
    /// Adds a field. One that only the gateway may set, such as `host`, is refused when the
    /// request is sent.
    pub fn header(mut self, name: &str, value: impl Into<Vec<u8>>) -> Self {
        self.0.headers.push(Field {
            name: name.to_owned(),
            value: value.into(),
        });
        self
    }

    /// Whom it is for: `Host` or `:authority`. Otherwise the pool's `authority`, or else the
    /// endpoint's address.
    pub fn authority(mut self, authority: impl Into<String>) -> Self {
        self.0.authority = Some(authority.into());
        self
    }

    /// At most 64 KiB.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.0.body = body.into();
        self
    }

    /// Until the whole answer has to be there; never longer than `[callout]` says.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        let milliseconds = timeout.as_millis().max(1);
        self.0.timeout = Some(u32::try_from(milliseconds).unwrap_or(u32::MAX));
        self
    }

    /// The pool that is asked.
    #[must_use]
    pub fn pool(&self) -> &str {
        &self.0.pool
    }

    /// `GET`.
    #[must_use]
    pub fn method(&self) -> &str {
        &self.0.method
    }

    /// Path and query.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.0.path
    }

    /// All fields, in order.
    #[must_use]
    pub fn headers(&self) -> &[Field] {
        &self.0.headers
    }

    /// The body, empty when there is none.
    #[must_use]
    pub fn content(&self) -> &[u8] {
        &self.0.body
    }

    /// Sends it and waits for the whole answer, whatever its status.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn send(self) -> Result<Answer, Failure> {
        #[cfg(target_arch = "wasm32")]
        {
            let answer = crate::bindings::callout::send(self.0).await?;
            Ok(Answer {
                status: answer.status,
                headers: answer.headers,
                body: answer.body,
            })
        }
        #[cfg(not(target_arch = "wasm32"))]
        crate::native::world(|world| world.callout(self))
    }
}

/// What a pool has answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// 200 to 599.
    pub status: u16,
    /// In order; names in lower case.
    pub headers: Vec<Field>,
    /// Whole.
    pub body: Vec<u8>,
}

impl Answer {
    /// One without fields and body, for tests.
    #[must_use]
    pub fn new(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    /// The same with a field.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push(Field {
            name: name.to_ascii_lowercase(),
            value: value.into(),
        });
        self
    }

    /// The same with a body.
    #[must_use]
    pub fn with_body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// The first value of a field, if it is UTF-8.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut fields = self.headers.iter();
        let field = fields.find(|field| field.name.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(&field.value).ok()
    }

    /// The body, if it is UTF-8.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.body).ok()
    }
}
