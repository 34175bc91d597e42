//! The gateway's facts, for Wasm: what `native` is for tests. A request, a response or a pool
//! is the one of the running call, so that there is nothing to hold.

use crate::{
    BodyFailure, BodyStart, ClientCertificate, Field, HttpVersion, Scheme, TlsSession,
    bindings::{
        Addresses, body,
        facts::{pool, request, response},
    },
};

/// The request of the running call.
#[derive(Debug)]
pub(crate) struct RawRequest;
/// The response of the running call.
#[derive(Debug)]
pub(crate) struct RawResponse;
/// The pool of the running call.
#[derive(Debug)]
pub(crate) struct RawPool {
    /// Came with the call.
    pub(crate) generation: u64,
}

macro_rules! getters {
    ($raw:ident: $interface:ident { $($name:ident($($argument:ident)?) -> $type:ty,)* }) => {
        impl $raw {
            $(pub(crate) fn $name(&self $(, $argument: &str)?) -> $type {
                $interface::$name($($argument)?)
            })*
        }
    };
}

getters!(RawRequest: request {
    id() -> String,
    method() -> String,
    version() -> HttpVersion,
    target_uri() -> String,
    original_uri() -> String,
    scheme() -> Scheme,
    header(name) -> Option<Vec<u8>>,
    header_values(name) -> Vec<Vec<u8>>,
    headers() -> Vec<Field>,
    cookie(name) -> Option<String>,
    listener() -> String,
    addresses() -> Addresses,
    tls() -> Option<TlsSession>,
    client_certificate() -> Option<ClientCertificate>,
    client_certificate_chain() -> Vec<Vec<u8>>,
});

impl RawRequest {
    pub(crate) async fn body_start(&self, most: u64) -> Result<BodyStart, BodyFailure> {
        body::read(most).await
    }
}

getters!(RawResponse: response {
    status() -> u16,
    header(name) -> Option<Vec<u8>>,
    header_values(name) -> Vec<Vec<u8>>,
    headers() -> Vec<Field>,
});

impl RawPool {
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }
}

getters!(RawPool: pool {
    name() -> String,
    endpoints() -> Vec<String>,
});
