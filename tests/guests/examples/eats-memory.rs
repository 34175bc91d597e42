//! Takes memory until there is no more.

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
            let mut eaten = Vec::new();
            loop {
                eaten.push(std::hint::black_box(vec![1_u8; 64 * 1024]));
            }
        }
        Route::Pass
    }
}

witgate_sdk::export!(Guest: Routing);
