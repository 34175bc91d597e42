//! Closed for maintenance: answers 503 with a page and `Retry-After` (RFC 9110 §10.2.3). Clients of
//! some networks, and those with a cookie, are let through to the plugins behind it.

#![forbid(unsafe_code)]

use serde::Deserialize;
use witgate_sdk::{Network, prelude::*};

/// The sidecar's `[config]`.
#[derive(Debug, Deserialize, Schema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What clients are told to wait, in seconds.
    retry_after: u32,
    /// For browsers; other clients get a line of text.
    page: String,
    /// Clients of these networks are let in.
    #[serde(default)]
    allow: Vec<Network>,
    /// So are those who have this cookie.
    cookie: Option<Cookie>,
}

#[derive(Debug, Deserialize, Schema)]
#[serde(deny_unknown_fields)]
struct Cookie {
    name: String,
    /// 16 characters or more.
    value: String,
}

/// The plugin.
#[derive(Debug)]
pub struct Maintenance(Config);

impl Plugin for Maintenance {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, ConfigError> {
        let is_guessable = |cookie: &Cookie| cookie.value.len() < 16;
        if config.cookie.as_ref().is_some_and(is_guessable) {
            let wanted = "expected 16 characters or more, which nobody guesses";
            return Err(ConfigError::at("cookie.value", wanted));
        }
        Ok(Self(config))
    }
}

impl Routing for Maintenance {
    fn route(&self, request: &Request) -> Route {
        if self.lets_in(request) {
            return Route::Pass;
        }
        let closed = Route::respond(503)
            .rule("maintenance")
            .header("retry-after", self.0.retry_after.to_string())
            .header("cache-control", "no-store")
            .header("vary", "accept");
        let accept = request.header_str("accept").unwrap_or_default();
        match accept.contains("text/html") {
            true => closed
                .header("content-type", "text/html; charset=utf-8")
                .body(self.0.page.as_str()),
            false => closed.text("closed for maintenance\n"),
        }
        .into()
    }
}

impl Maintenance {
    fn lets_in(&self, request: &Request) -> bool {
        let address = request.peer().ip();
        let has_it = |cookie: &Cookie| request.cookie(&cookie.name).as_ref() == Some(&cookie.value);
        let Config { allow, cookie, .. } = &self.0;
        allow.iter().any(|network| network.contains(address)) || cookie.as_ref().is_some_and(has_it)
    }
}

witgate_sdk::export!(Maintenance: Routing);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use witgate_sdk::{RequestBuilder, testing};

    use super::*;

    const CONFIG: &str = "retry_after = 600\npage = '<p>closed'\nallow = ['192.0.2.0/24']\n\
        cookie = { name = 'open', value = '0123456789abcdef' }";

    fn route(change: impl FnOnce(RequestBuilder) -> RequestBuilder) -> Route {
        let plugin: Maintenance = testing::configure(CONFIG).unwrap();
        let request = Request::get("https://shop.example/").peer("198.51.100.7:1");
        plugin.route(&change(request).build())
    }

    #[test]
    fn some_are_let_in() {
        assert_eq!(route(|one| one.peer("192.0.2.7:1")), Route::Pass);
        let with = |value: &'static str| route(move |one| one.cookie("open", value));
        assert_eq!(with("0123456789abcdef"), Route::Pass);
        assert_ne!(with("0123456789abcdee"), Route::Pass);
    }

    #[test]
    fn browsers_get_the_page_and_others_a_line() {
        for (accept, body) in [
            ("text/html,*/*;q=0.8", "<p>closed"),
            ("*/*", "closed for maintenance\n"),
        ] {
            let Route::Respond(answer) = route(|one| one.header("accept", accept)) else {
                panic!("it answers");
            };
            assert_eq!((answer.status, &answer.body[..]), (503, body.as_bytes()));
            let waits = Field::new("retry-after", "600");
            assert!(answer.headers.contains(&waits), "{answer:?}");
        }
    }

    #[test]
    fn a_cookie_that_could_be_guessed_is_refused() {
        let wrong = CONFIG.replace("0123456789abcdef", "1");
        let refusal = testing::configure::<Maintenance>(&wrong).err().unwrap();
        assert!(refusal.to_string().starts_with("cookie.value"), "{refusal}");
    }
}
