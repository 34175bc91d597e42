//! Asks for every fact, again and again.

use witgate_guests::is_bad;
use witgate_sdk::prelude::*;

struct Guest;

impl Plugin for Guest {
    type Config = NoConfig;

    fn configure(_: NoConfig) -> Result<Self, ConfigError> {
        Ok(Self)
    }
}

impl Routing for Guest {
    fn route(&self, request: &Request) -> Route {
        if is_bad(request) {
            for _ in 0..1000 {
                std::hint::black_box((request.headers(), request.authority(), request.query()));
            }
        }
        Route::Pass
    }
}

witgate_sdk::export!(Guest: Routing);
