//! Wishes for the endpoint whose id the cookie `endpoint` has, whether or not there is one, and
//! sets that cookie anew when another one answered.

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
        let wish = request.cookie("endpoint");
        wish.map_or(Preference::None, Preference::Endpoint)
    }

    fn stick(&self, _: &Request, _: &Pool, id: &str, outcome: Outcome) -> Vec<ResponseEdit> {
        match outcome {
            Outcome::Honoured => Vec::new(),
            Outcome::Balanced | Outcome::Moved => {
                vec![ResponseEdit::append("set-cookie", format!("endpoint={id}"))]
            }
        }
    }
}

witgate_sdk::export!(Guest: Affinity);
