//! Uses all that a sidecar can grant, at start and for each request, and answers with what it got.

use std::time::Duration;

use witgate_sdk::{clock, kv, metrics, prelude::*, random};

struct Guest {
    started: Duration,
    token: u64,
}

impl Plugin for Guest {
    type Config = NoConfig;

    fn configure(_: NoConfig) -> Result<Self, ConfigError> {
        metrics::count("instances", 1);
        let counted = kv::increment("instances", 1, None);
        counted.map_err(|refusal| ConfigError::new(refusal.to_string()))?;
        Ok(Self {
            started: clock::monotonic(),
            token: random::number(),
        })
    }
}

impl Routing for Guest {
    fn route(&self, request: &Request) -> Route {
        if request.path() == "/many-names" {
            (0..200).for_each(|number| metrics::count(&format!("name-{number}"), 1));
        }
        metrics::count("requests", 1);
        metrics::observe("path-length", request.path().len() as f64);
        let counted = kv::increment(request.path(), 1, Some(Duration::from_mins(1)));
        let counted = match counted {
            Ok(counted) => format!("{} {:?}", counted.number, counted.left.is_some()),
            Err(refusal) => refusal.to_string(),
        };
        let ran = clock::monotonic() > self.started;
        Route::respond(200)
            .header("x-count", counted.as_str())
            .body(counted)
            .header("x-time", clock::since_1970().as_secs().to_string())
            .header("x-ran", ran.to_string())
            .header("x-random", self.token.to_string())
            .header("x-bytes", random::bytes(100_000).len().to_string())
            .into()
    }
}

witgate_sdk::export!(Guest: Routing);
