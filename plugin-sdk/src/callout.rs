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

/// What can go wrong with a callout.
///
/// ```
/// use witgate_sdk::{callout::{self, Failure}, testing};
///
/// testing::on_callout(|_| Err(Failure::Timeout));
/// let answer = testing::wait_for(callout::get("accounts", "/check").send());
/// assert_eq!(answer, Err(Failure::Timeout));
/// ```
#[doc(inline)]
pub use crate::bindings::callout::Failure;

/// A request that is about to be sent.
///
/// ```
/// use witgate_sdk::callout;
///
/// let asked = callout::get("accounts", "/check");
/// assert_eq!(asked.method(), "GET");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "nothing is asked until it is sent"]
pub struct Callout(Outgoing);

/// A `GET` of this path, with its query, from a pool.
///
/// ```
/// use witgate_sdk::callout;
///
/// let asked = callout::get("accounts", "/check?user=7");
/// assert_eq!((asked.pool(), asked.path()), ("accounts", "/check?user=7"));
/// ```
pub fn get(pool: impl Into<String>, path: impl Into<String>) -> Callout {
    with_method("GET", pool, path)
}

/// A `POST` to this path.
///
/// ```
/// use witgate_sdk::callout;
///
/// let asked = callout::post("accounts", "/check", "user=7");
/// assert_eq!((asked.method(), asked.content()), ("POST", &b"user=7"[..]));
/// ```
pub fn post(pool: impl Into<String>, path: impl Into<String>, body: impl Into<Vec<u8>>) -> Callout {
    with_method("POST", pool, path).body(body)
}

/// A request of another method; `CONNECT` is refused.
///
/// ```
/// use witgate_sdk::callout;
///
/// let asked = callout::with_method("HEAD", "accounts", "/");
/// assert_eq!(asked.method(), "HEAD");
/// ```
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
    ///
    /// ```
    /// use witgate_sdk::callout;
    ///
    /// let asked = callout::get("accounts", "/").header("x-user", "7");
    /// assert_eq!(asked.headers().len(), 1);
    /// ```
    pub fn header(mut self, name: &str, value: impl Into<Vec<u8>>) -> Self {
        self.0.headers.push(Field {
            name: name.to_owned(),
            value: value.into(),
        });
        self
    }

    /// Whom it is for: `Host` or `:authority`. Otherwise the pool's `authority`, or else the
    /// endpoint's address.
    ///
    /// ```
    /// use witgate_sdk::callout;
    ///
    /// let asked = callout::get("accounts", "/").authority("accounts.example");
    /// assert_eq!(asked.pool(), "accounts");
    /// ```
    pub fn authority(mut self, authority: impl Into<String>) -> Self {
        self.0.authority = Some(authority.into());
        self
    }

    /// At most 64 KiB.
    ///
    /// ```
    /// use witgate_sdk::callout;
    ///
    /// let asked = callout::with_method("PUT", "accounts", "/7").body("x");
    /// assert_eq!(asked.content(), b"x");
    /// ```
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.0.body = body.into();
        self
    }

    /// Until the whole answer has to be there; never longer than `[callout]` says.
    ///
    /// ```
    /// use std::time::Duration;
    /// use witgate_sdk::callout;
    ///
    /// let asked = callout::get("accounts", "/").timeout(Duration::from_millis(50));
    /// assert_eq!(asked.path(), "/");
    /// ```
    pub fn timeout(mut self, timeout: Duration) -> Self {
        let milliseconds = timeout.as_millis().max(1);
        self.0.timeout = Some(u32::try_from(milliseconds).unwrap_or(u32::MAX));
        self
    }

    /// The pool that is asked.
    ///
    /// ```
    /// assert_eq!(witgate_sdk::callout::get("accounts", "/").pool(), "accounts");
    /// ```
    #[must_use]
    pub fn pool(&self) -> &str {
        &self.0.pool
    }

    /// `GET`.
    ///
    /// ```
    /// assert_eq!(witgate_sdk::callout::get("accounts", "/").method(), "GET");
    /// ```
    #[must_use]
    pub fn method(&self) -> &str {
        &self.0.method
    }

    /// Path and query.
    ///
    /// ```
    /// assert_eq!(witgate_sdk::callout::get("accounts", "/a?b").path(), "/a?b");
    /// ```
    #[must_use]
    pub fn path(&self) -> &str {
        &self.0.path
    }

    /// All fields, in order.
    ///
    /// ```
    /// assert!(witgate_sdk::callout::get("accounts", "/").headers().is_empty());
    /// ```
    #[must_use]
    pub fn headers(&self) -> &[Field] {
        &self.0.headers
    }

    /// The body, empty when there is none.
    ///
    /// ```
    /// assert!(witgate_sdk::callout::get("accounts", "/").content().is_empty());
    /// ```
    #[must_use]
    pub fn content(&self) -> &[u8] {
        &self.0.body
    }

    /// Sends it and waits for the whole answer, whatever its status.
    ///
    /// # Errors
    /// See [`Failure`].
    ///
    /// ```
    /// use witgate_sdk::{callout::{self, Answer}, testing};
    ///
    /// testing::on_callout(|_| Ok(Answer::new(204)));
    /// let answer = testing::wait_for(async { callout::get("accounts", "/").send().await });
    /// assert_eq!(answer.map(|answer| answer.status), Ok(204));
    /// ```
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
///
/// ```
/// use witgate_sdk::callout::Answer;
///
/// let answer = Answer::new(200).with_header("x-user", "7").with_body("ok");
/// assert_eq!((answer.header("x-user"), answer.text()), (Some("7"), Some("ok")));
/// ```
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
    ///
    /// ```
    /// assert_eq!(witgate_sdk::callout::Answer::new(404).status, 404);
    /// ```
    #[must_use]
    pub fn new(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    /// The same with a field.
    ///
    /// ```
    /// use witgate_sdk::callout::Answer;
    ///
    /// assert_eq!(Answer::new(200).with_header("x-a", "1").headers.len(), 1);
    /// ```
    #[must_use]
    pub fn with_header(mut self, name: &str, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push(Field {
            name: name.to_ascii_lowercase(),
            value: value.into(),
        });
        self
    }

    /// The same with a body.
    ///
    /// ```
    /// use witgate_sdk::callout::Answer;
    ///
    /// assert_eq!(Answer::new(200).with_body("ok").body, b"ok");
    /// ```
    #[must_use]
    pub fn with_body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// The first value of a field, if it is UTF-8.
    ///
    /// ```
    /// use witgate_sdk::callout::Answer;
    ///
    /// assert_eq!(Answer::new(200).with_header("X-A", "1").header("x-a"), Some("1"));
    /// ```
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut fields = self.headers.iter();
        let field = fields.find(|field| field.name.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(&field.value).ok()
    }

    /// The body, if it is UTF-8.
    ///
    /// ```
    /// use witgate_sdk::callout::Answer;
    ///
    /// assert_eq!(Answer::new(200).with_body([0xff]).text(), None);
    /// ```
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.body).ok()
    }
}
