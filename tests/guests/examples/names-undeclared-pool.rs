//! Routes to a pool that no configuration has.

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
            return Route::forward("nowhere").into();
        }
        Route::Pass
    }
}

witgate_sdk::export!(Guest: Routing);
