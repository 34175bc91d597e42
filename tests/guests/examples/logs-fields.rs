//! Adds fields to the access log, in routing and in rewriting: for bad requests some that are
//! not fit and more than there may be.

use witgate_guests::is_bad;
use witgate_sdk::{access_log, prelude::*};

struct Guest;

impl Plugin for Guest {
    type Config = NoConfig;

    fn configure(_: NoConfig) -> Result<Self, ConfigError> {
        Ok(Self)
    }
}

impl Routing for Guest {
    fn route(&self, request: &Request) -> Route {
        access_log::set("tenant", "none");
        access_log::set("path", request.path());
        if is_bad(request) {
            access_log::set("not a name", "1");
            access_log::set("long", &"é".repeat(1000));
            for number in 0..100 {
                access_log::set(&format!("n{number:02}"), "x");
            }
        }
        Route::Pass
    }
}

impl Rewriting for Guest {
    fn rewrite_response(&self, _: &Request, response: &Response) -> Vec<ResponseEdit> {
        access_log::set("tenant", &response.status().to_string());
        Vec::new()
    }
}

witgate_sdk::export!(Guest: Routing, Rewriting);
