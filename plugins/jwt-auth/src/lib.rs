//! Lets in who has a good JSON Web Token (RFC 7519), and tells the upstream what it claims. All of
//! it is in the core, which jwks-auth shares; here it becomes a plugin that waits for nobody.

#![forbid(unsafe_code)]

use jwt_auth_core::{Config, Guard};
use witgate_sdk::prelude::*;

/// The plugin.
pub struct JwtAuth(Guard);

impl Plugin for JwtAuth {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, ConfigError> {
        Guard::new(config).map(Self)
    }
}

impl Routing for JwtAuth {
    fn route(&self, request: &Request) -> Route {
        self.0.route(request)
    }
}

impl Rewriting for JwtAuth {
    fn rewrite_request(&self, request: &Request) -> Vec<RequestEdit> {
        self.0.rewrite_request(request)
    }
}

witgate_sdk::export!(JwtAuth: Routing, Rewriting);
