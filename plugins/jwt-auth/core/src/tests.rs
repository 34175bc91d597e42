//! The whole plugin on built requests, with tokens that aws-lc signs and a clock that the tests
//! move. Here is what all of them use.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod claims;
mod configuration;
mod fetched;
mod requests;
mod signatures;
mod signer;
mod vectors;

use witgate_sdk::{prelude::*, testing};

use crate::{Config, Guard};
use signer::Signer;

/// As the plugin jwt-auth has it.
struct JwtAuth(Guard);

impl Plugin for JwtAuth {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, ConfigError> {
        Guard::new(config).map(Self)
    }
}

const URL: &str = "https://shop.example/cart";

/// 2026-01-01, when the clock of native tests stands still.
const NOW: u64 = 1_767_225_600;

/// Claims that are good for an hour, and more of them.
fn claims(more: &str) -> String {
    let comma = if more.is_empty() { "" } else { ", " };
    format!(r#"{{"sub": "ada", "exp": {}{comma}{more}}}"#, NOW + 3600)
}

fn plugin(config: &str) -> JwtAuth {
    testing::configure(config)
        .map_err(|error| error.to_string())
        .unwrap()
}

/// With the signer's key, and more configuration before it.
fn trusting(signer: &Signer, config: &str) -> JwtAuth {
    plugin(&format!(
        "{config}\n[[keys]]\njwks = '{}'",
        signer.jwks("k1")
    ))
}

fn bearing(token: &str) -> Request {
    Request::get(URL)
        .header("authorization", format!("Bearer {token}"))
        .build()
}

/// The status of the answer, its challenge and the reason in the access log; none for who passes.
fn refused(plugin: &JwtAuth, request: &Request) -> Option<(u16, String, String)> {
    match plugin.0.route(request) {
        Route::Pass => None,
        Route::Respond(answer) => {
            let mut fields = answer.headers.iter();
            let challenge = fields
                .find(|field| field.name == "www-authenticate")
                .unwrap();
            let challenge = String::from_utf8(challenge.value.clone()).unwrap();
            Some((
                answer.status,
                challenge,
                testing::access_field("refused").unwrap(),
            ))
        }
        Route::Forward(_) => panic!("it names no pool"),
    }
}

#[track_caller]
fn assert_passes(plugin: &JwtAuth, token: &str) {
    assert_eq!(refused(plugin, &bearing(token)), None);
}

/// Refused as a bad token, for a reason that has these words.
#[track_caller]
fn assert_invalid(plugin: &JwtAuth, token: &str, reason: &str) {
    let (status, challenge, logged) = refused(plugin, &bearing(token)).expect("a refusal");
    assert!(logged.contains(reason), "{logged}");
    assert_eq!(status, 401);
    let expected = "Bearer realm=\"api\", error=\"invalid_token\", error_description=";
    assert_eq!(challenge, format!("{expected}\"{logged}\""));
    let edits = plugin.0.rewrite_request(&bearing(token));
    let is_removal = |edit: &RequestEdit| matches!(edit, RequestEdit::Remove(_));
    assert!(
        edits.iter().all(is_removal),
        "nothing is told of a bad token"
    );
}
