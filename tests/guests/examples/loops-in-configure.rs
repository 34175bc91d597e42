//! Never finishes its configuration.

use witgate_sdk::prelude::*;

struct Guest;

impl Plugin for Guest {
    type Config = NoConfig;

    fn configure(_: NoConfig) -> Result<Self, ConfigError> {
        loop {
            std::hint::spin_loop();
        }
    }
}

impl Routing for Guest {
    fn route(&self, _: &Request) -> Route {
        Route::Pass
    }
}

witgate_sdk::export!(Guest: Routing);
