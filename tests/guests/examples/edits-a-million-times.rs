//! Returns a million edits.

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
            return vec![RequestEdit::append("x-many", "1"); 1_000_000];
        }
        Vec::new()
    }
}

witgate_sdk::export!(Guest: Rewriting);
