//! Writes thousands of lines.

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
            for line in 0..10_000 {
                log::info!("flood {line}");
            }
        }
        Route::Pass
    }
}

witgate_sdk::export!(Guest: Routing);
