//! Answers with what it has read of the clock, of random numbers and of its store.

use witgate_sdk::{clock, kv, prelude::*, random};

struct Guest;

impl Plugin for Guest {
    type Config = NoConfig;

    fn configure(_: NoConfig) -> Result<Self, ConfigError> {
        Ok(Self)
    }
}

impl Routing for Guest {
    fn route(&self, request: &Request) -> Route {
        if request.path() == "/sticky" {
            return Route::Pass;
        }
        let mut read = vec![
            format!("{:?}", clock::since_1970()),
            format!("{:?}", clock::monotonic()),
            random::number().to_string(),
            format!("{:?}", random::bytes(5)),
        ];
        if request.path() == "/much" {
            read.extend((0..3).map(|_| format!("{:?}", random::bytes(30_000).last())));
        }
        let counted = kv::increment("count", 1, None).map(|counted| counted.number);
        read.push(format!("{counted:?} {:?}", kv::get("last")));
        let set = kv::set("last", request.path(), None);
        let refused = kv::increment("last", 1, None).is_err();
        read.push(format!("{set:?} {refused} {}", kv::delete("never")));
        Route::respond(200).body(read.join("\n")).into()
    }
}

impl Affinity for Guest {
    fn prefer(&self, _: &Request, _: &Pool) -> Preference {
        Preference::Hash(random::number())
    }
}

witgate_sdk::export!(Guest: Routing, Affinity);
