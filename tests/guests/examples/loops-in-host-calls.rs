//! Asks the gateway for the same fact for ever.

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
            loop {
                std::hint::black_box(request.path());
            }
        }
        Route::Pass
    }
}

witgate_sdk::export!(Guest: Routing);
