//! Marks requests and answers with its version, B, in `x-version`, and routes to pool `web`.

use witgate_sdk::prelude::*;

const VERSION: &str = "B";

struct Guest;

impl Plugin for Guest {
    type Config = NoConfig;

    fn configure(_: NoConfig) -> Result<Self, ConfigError> {
        Ok(Self)
    }
}

impl Routing for Guest {
    fn route(&self, _: &Request) -> Route {
        Route::forward("web").into()
    }
}

impl Rewriting for Guest {
    fn rewrite_request(&self, _: &Request) -> Vec<RequestEdit> {
        vec![RequestEdit::set("x-version", VERSION)]
    }

    fn rewrite_response(&self, _: &Request, _: &Response) -> Vec<ResponseEdit> {
        vec![ResponseEdit::set("x-version", VERSION)]
    }
}

witgate_sdk::export!(Guest: Routing, Rewriting);
