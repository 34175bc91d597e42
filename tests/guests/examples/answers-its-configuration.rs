//! Answers every request with what its configuration says, in `x-answer`.

use witgate_sdk::prelude::*;

#[derive(Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Config {
    answer: String,
}

struct Guest(Config);

impl Plugin for Guest {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, ConfigError> {
        Ok(Self(config))
    }
}

impl Routing for Guest {
    fn route(&self, _: &Request) -> Route {
        Route::respond(200)
            .header("x-answer", self.0.answer.as_str())
            .into()
    }
}

witgate_sdk::export!(Guest: Routing);
