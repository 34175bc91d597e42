//! Panics when asked for an endpoint for `/bad`, and when told who answered `/answer/bad`.

use witgate_guests::is_bad;
use witgate_sdk::prelude::*;

struct Guest;

impl Plugin for Guest {
    type Config = NoConfig;

    fn configure(_: NoConfig) -> Result<Self, ConfigError> {
        Ok(Self)
    }
}

impl Affinity for Guest {
    fn prefer(&self, request: &Request, _: &Pool) -> Preference {
        assert!(!is_bad(request), "panicked as asked");
        Preference::None
    }

    fn stick(&self, request: &Request, _: &Pool, _: &str, _: Outcome) -> Vec<ResponseEdit> {
        assert!(request.path() != "/answer/bad", "panicked as asked");
        Vec::new()
    }
}

witgate_sdk::export!(Guest: Affinity);
