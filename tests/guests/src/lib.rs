//! What the misbehaving plugins share: when they do.

use witgate_sdk::prelude::Request;

/// Whether a request asks for the misbehaviour; all others are passed.
pub fn is_bad(request: &Request) -> bool {
    request.path().starts_with("/bad")
}
