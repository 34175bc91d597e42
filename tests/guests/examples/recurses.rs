//! Calls itself without end.

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
            deeper(1);
        }
        Route::Pass
    }
}

#[expect(unconditional_recursion, reason = "the misbehaviour")]
fn deeper(depth: u64) -> u64 {
    let here = std::hint::black_box([depth; 16]);
    deeper(depth + 1) + here[0]
}

witgate_sdk::export!(Guest: Routing);
