//! Sets a value with a line break and what looks like a further field.

use witgate_guests::is_bad;
use witgate_sdk::prelude::*;

struct Guest;

impl Plugin for Guest {
    type Config = NoConfig;

    fn configure(_: NoConfig) -> Result<Self, ConfigError> {
        Ok(Self)
    }
}

impl Rewriting for Guest {
    fn rewrite_request(&self, request: &Request) -> Vec<RequestEdit> {
        if is_bad(request) {
            return vec![RequestEdit::set("x-split", "a\r\nx-injected: b")];
        }
        Vec::new()
    }
}

witgate_sdk::export!(Guest: Rewriting);
