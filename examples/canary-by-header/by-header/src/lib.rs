//! Sends whoever asks for it, by a header or a cookie, to a pool of its own; all others are for the
//! plugins behind it.

#![forbid(unsafe_code)]

use serde::Deserialize;
use witgate_sdk::prelude::*;

/// The sidecar's `[config]`.
#[derive(Debug, Deserialize, Schema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Who sends this header is meant.
    header: Pair,
    /// So is who has this cookie.
    cookie: Pair,
    /// A pool of the configuration.
    pool: String,
}

#[derive(Debug, Deserialize, Schema)]
#[serde(deny_unknown_fields)]
struct Pair {
    name: String,
    value: String,
}

/// The plugin.
#[derive(Debug)]
pub struct ByHeader(Config);

impl Plugin for ByHeader {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, ConfigError> {
        if config.header.name.is_empty() {
            return Err(ConfigError::at("header.name", "expected a header's name"));
        }
        Ok(Self(config))
    }
}

impl Routing for ByHeader {
    fn route(&self, request: &Request) -> Route {
        let Config {
            header,
            cookie,
            pool,
        } = &self.0;
        let rule = if request.header_str(&header.name).as_ref() == Some(&header.value) {
            "header"
        } else if request.cookie(&cookie.name).as_ref() == Some(&cookie.value) {
            "cookie"
        } else {
            return Route::Pass;
        };
        Route::forward(pool).rule(rule).into()
    }
}

witgate_sdk::export!(ByHeader: Routing);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use witgate_sdk::testing;

    use super::*;

    const CONFIG: &str = "pool = 'v2'\n\
        header = { name = 'x-canary', value = 'yes' }\n\
        cookie = { name = 'canary', value = 'yes' }";

    #[test]
    fn who_asks_for_it_gets_it() {
        let plugin: ByHeader = testing::configure(CONFIG).unwrap();
        let request = || Request::get("https://shop.example/");
        let by_header = request().header("X-Canary", "yes").build();
        assert_eq!(
            plugin.route(&by_header),
            Route::forward("v2").rule("header").into()
        );
        let by_cookie = request().cookie("canary", "yes").build();
        assert_eq!(
            plugin.route(&by_cookie),
            Route::forward("v2").rule("cookie").into()
        );
        let no = request()
            .header("x-canary", "no")
            .cookie("canary", "no")
            .build();
        assert_eq!(plugin.route(&no), Route::Pass);
    }

    #[test]
    fn a_wrong_configuration_names_its_key() {
        let wrong = CONFIG.replace("x-canary", "");
        let refusal = testing::configure::<ByHeader>(&wrong).err().unwrap();
        assert!(refusal.to_string().starts_with("header.name"), "{refusal}");
    }
}
