//! Says which calls it does without, and panics where it is asked all the same. Its sidecar can have it say less than it means.

use witgate_sdk::prelude::*;

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    #[serde(default)]
    says_nothing: bool,
}

struct Guest(Config);

impl Plugin for Guest {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, ConfigError> {
        Ok(Self(config))
    }

    fn unneeded(&self) -> Calls {
        match self.0.says_nothing {
            true => Calls::empty(),
            false => Calls::REWRITE_RESPONSE | Calls::STICK_HONOURED,
        }
    }
}

impl Affinity for Guest {
    fn prefer(&self, request: &Request, _: &Pool) -> Preference {
        let endpoint = request.header_str("x-endpoint");
        endpoint.map_or(Preference::None, Preference::Endpoint)
    }

    fn stick(&self, _: &Request, _: &Pool, endpoint: &str, outcome: Outcome) -> Vec<ResponseEdit> {
        assert_ne!(
            outcome,
            Outcome::Honoured,
            "asked about an honoured endpoint"
        );
        vec![ResponseEdit::set("x-stick", endpoint)]
    }
}

impl Rewriting for Guest {
    fn rewrite_request(&self, _: &Request) -> Vec<RequestEdit> {
        vec![RequestEdit::set("x-request", "asked")]
    }

    fn rewrite_response(&self, _: &Request, _: &Response) -> Vec<ResponseEdit> {
        panic!("asked about a response");
    }
}

witgate_sdk::export!(Guest: Affinity, Rewriting);
