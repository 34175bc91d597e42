//! Keys that a service tells: when it is asked, and what becomes of requests while it is silent.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Duration,
};

use witgate_sdk::{
    callout::{Answer, Failure},
    prelude::*,
    testing,
};

use super::{NOW, bearing, claims, signer::Signer};
use crate::{Config, Fetching};

struct JwksAuth(Fetching);

impl Plugin for JwksAuth {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, ConfigError> {
        Fetching::new(config).map(Self)
    }
}

const CONFIG: &str = "[jwks]\npool = \"id\"\npath = \"/jwks.json\"\nauthority = \"id.example\"\n\
                      ttl = 600\nmin_interval = 30\nmax_stale = 1000";

fn plugin() -> JwksAuth {
    testing::configure(CONFIG)
        .map_err(|error| error.to_string())
        .unwrap()
}

/// A service that tells this set, or none, and counts how often it is asked.
#[derive(Clone, Default)]
struct Service {
    set: Rc<RefCell<Option<String>>>,
    asked: Rc<Cell<u32>>,
}

impl Service {
    fn telling(set: Option<String>) -> Self {
        let service = Self::default();
        service.tells(set);
        let answering = service.clone();
        testing::on_callout(move |asked| {
            assert_eq!((asked.pool(), asked.path()), ("id", "/jwks.json"));
            answering.asked.set(answering.asked.get() + 1);
            match &*answering.set.borrow() {
                Some(set) => Ok(Answer {
                    body: set.clone().into_bytes(),
                    ..Answer::new(200)
                }),
                None => Err(Failure::Timeout),
            }
        });
        service
    }

    fn tells(&self, set: Option<String>) {
        *self.set.borrow_mut() = set;
    }
}

/// The status; none for who passes.
fn refused(plugin: &JwksAuth, token: &str) -> Option<u16> {
    match testing::wait_for(plugin.0.route(&bearing(token))) {
        Decision::Respond(answer) => Some(answer.status),
        _ => None,
    }
}

fn advance(seconds: u64) {
    testing::advance(Duration::from_secs(seconds));
}

/// Good for longer than any test takes.
fn token(signer: &Signer, kid: &str) -> String {
    let header = format!(r#"{{"alg": "{}", "kid": "{kid}"}}"#, signer.alg());
    let claims = format!(r#"{{"sub": "ada", "exp": {}}}"#, NOW + 1_000_000);
    signer.token_of(&header, &claims)
}

#[test]
fn a_set_is_fetched_once_and_shared_by_instances() {
    let signer = Signer::p256();
    let service = Service::telling(Some(signer.jwks("k1")));
    let first = plugin();
    for _ in 0..3 {
        assert_eq!(refused(&first, &token(&signer, "k1")), None);
    }
    assert_eq!(refused(&plugin(), &token(&signer, "k1")), None);
    assert_eq!(service.asked.get(), 1);
}

#[test]
fn an_unknown_key_is_asked_for_no_more_often_than_it_may_be() {
    let (old, new) = (Signer::p256(), Signer::p256());
    let service = Service::telling(Some(old.jwks("k1")));
    let plugin = plugin();
    assert_eq!(refused(&plugin, &token(&old, "k1")), None);
    // Somebody makes names of keys up.
    for number in 0..20 {
        assert_eq!(
            refused(&plugin, &token(&old, &format!("x{number}"))),
            Some(401)
        );
    }
    assert_eq!(service.asked.get(), 1);
    service.tells(Some(new.jwks("k2")));
    assert_eq!(refused(&plugin, &token(&new, "k2")), Some(401), "too soon");
    advance(30);
    for number in 0..20 {
        assert_eq!(refused(&plugin, &token(&new, "k2")), None);
        assert_eq!(
            refused(&plugin, &token(&old, &format!("x{number}"))),
            Some(401)
        );
    }
    assert_eq!(service.asked.get(), 2);
    // What the issuer has taken out of its set signs nothing any more.
    assert_eq!(refused(&plugin, &token(&old, "k1")), Some(401));
}

#[test]
fn without_keys_nobody_can_be_told_from_another() {
    let signer = Signer::p256();
    let service = Service::telling(None);
    let plugin = plugin();
    let bearer = token(&signer, "k1");
    for _ in 0..5 {
        let decided = testing::wait_for(plugin.0.route(&bearing(&bearer)));
        let Decision::Respond(answer) = decided else {
            panic!("{decided:?}");
        };
        assert_eq!(answer.status, 503);
        let after = answer
            .headers
            .iter()
            .find(|field| field.name == "retry-after");
        assert_eq!(after.unwrap().value, b"30");
    }
    assert_eq!(service.asked.get(), 1);
    assert_eq!(
        refused(&plugin, "no-token"),
        Some(401),
        "whatever the keys are"
    );
    service.tells(Some(signer.jwks("k1")));
    assert_eq!(refused(&plugin, &bearer), Some(503));
    advance(30);
    assert_eq!(refused(&plugin, &bearer), None);
}

#[test]
fn old_keys_are_fetched_again_and_count_while_that_fails() {
    let (old, new) = (Signer::p256(), Signer::p256());
    let service = Service::telling(Some(old.jwks("k1")));
    let plugin = plugin();
    assert_eq!(refused(&plugin, &token(&old, "k1")), None);
    service.tells(None);
    advance(600);
    assert_eq!(refused(&plugin, &token(&old, "k1")), None);
    assert_eq!(refused(&plugin, &token(&old, "k1")), None);
    assert_eq!(service.asked.get(), 2);
    advance(1000);
    assert_eq!(
        refused(&plugin, &token(&new, "k2")),
        Some(503),
        "too old to count"
    );
    // A key that is gone signs nothing, even what was known to be good.
    service.tells(Some(new.jwks("k2")));
    advance(30);
    assert_eq!(refused(&plugin, &token(&new, "k2")), None);
    assert_eq!(refused(&plugin, &token(&old, "k1")), Some(401));
}

#[test]
fn what_is_no_set_of_public_keys_is_not_taken() {
    let (signer, secret) = (Signer::p256(), Signer::secret());
    for set in [
        "",
        "{}",
        "{\"keys\": []}",
        "<html>",
        &secret.jwks("k1"),
        &"x".repeat(70_000),
    ] {
        let service = Service::telling(Some(set.to_owned()));
        let plugin = plugin();
        assert_eq!(
            refused(&plugin, &token(&signer, "k1")),
            Some(503),
            "{:.20}",
            set
        );
        assert_eq!(refused(&plugin, &token(&secret, "k1")), Some(503));
        assert_eq!(service.asked.get(), 1);
        advance(10_000);
    }
}

#[test]
fn keys_of_the_configuration_need_nobody() {
    let (own, other) = (Signer::p256(), Signer::p256());
    let service = Service::telling(None);
    let config = format!("[[keys]]\njwks = '{}'\n{CONFIG}", own.jwks("k1"));
    let plugin: JwksAuth = testing::configure(&config)
        .map_err(|e| e.to_string())
        .unwrap();
    assert_eq!(refused(&plugin, &token(&own, "k1")), None);
    assert_eq!(service.asked.get(), 0);
    assert_eq!(refused(&plugin, &token(&other, "k2")), Some(503));
}

#[test]
fn the_upstream_is_told_what_a_fetched_key_has_signed() {
    let signer = Signer::p256();
    let _service = Service::telling(Some(signer.jwks("k1")));
    let config = format!("headers = {{ x-user = \"sub\" }}\n{CONFIG}");
    let plugin: JwksAuth = testing::configure(&config)
        .map_err(|e| e.to_string())
        .unwrap();
    let request = bearing(&signer.token(&claims("")));
    let edits = testing::wait_for(plugin.0.rewrite_request(&request));
    let told = [
        RequestEdit::remove("x-user"),
        RequestEdit::append("x-user", "ada"),
    ];
    assert_eq!(edits, told);
}

#[test]
fn a_wrong_service_names_its_key() {
    for (lines, problem) in [
        ("", "missing field `jwks`"),
        ("[jwks]\npool = \"id\"\npath = \"x\"", "jwks.path: expected"),
        (
            "[jwks]\npool = \"id\"\npath = \"/\"\nttl = 5",
            "jwks.ttl: expected 10 to 86400",
        ),
        (
            "[jwks]\npool = \"id\"\npath = \"/\"\nmin_interval = 0",
            "jwks.min_interval: expected 1 to 3600",
        ),
        (
            "[jwks]\npool = \"id\"\npath = \"/\"\nissuers = []",
            "jwks.issuers: expected",
        ),
    ] {
        let refusal = testing::configure::<JwksAuth>(lines).err().unwrap();
        assert!(refusal.to_string().starts_with(problem), "{refusal}");
    }
}
