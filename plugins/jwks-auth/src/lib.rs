//! Lets in who has a good JSON Web Token (RFC 7519), as jwt-auth does, with keys that it fetches:
//! from the service of the issuer that tells them (a JWK Set, RFC 7517), when they are needed.

#![forbid(unsafe_code)]

use jwt_auth_core::{Config, Fetching};
use witgate_sdk::prelude::*;

/// The plugin.
pub struct JwksAuth(Fetching);

impl Plugin for JwksAuth {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, ConfigError> {
        Fetching::new(config).map(Self)
    }
}

impl AsyncRouting for JwksAuth {
    async fn route(&self, request: &Request) -> Decision {
        self.0.route(request).await
    }
}

impl AsyncRewriting for JwksAuth {
    async fn rewrite_request(&self, request: &Request) -> Vec<RequestEdit> {
        self.0.rewrite_request(request).await
    }
}

witgate_sdk::export!(JwksAuth: AsyncRouting, AsyncRewriting);
