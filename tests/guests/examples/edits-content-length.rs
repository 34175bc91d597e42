//! Sets the length of messages: of requests for `/bad`, of answers for `/answer/bad`.

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
            return vec![RequestEdit::set("Content-Length", "7")];
        }
        Vec::new()
    }

    fn rewrite_response(&self, request: &Request, _: &Response) -> Vec<ResponseEdit> {
        if request.path() == "/answer/bad" {
            return vec![ResponseEdit::set("Content-Length", "7")];
        }
        Vec::new()
    }
}

witgate_sdk::export!(Guest: Rewriting);
