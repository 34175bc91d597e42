//! The key that a pool with `balance = "hash"` chooses by: what its `hash_on` names of a
//! request. None when the request does not have it.

use std::net::IpAddr;

use http::{HeaderMap, header::COOKIE};

use crate::{
    config::{Balance, HashOn},
    plugin::Request,
    pool::hash_key,
};

pub(super) fn balance_key(balance: &Balance, request: &Request) -> Option<u64> {
    let Balance::Hash(on) = balance else {
        return None;
    };
    match on {
        HashOn::ClientAddress => Some(match request.connection.peer.ip().to_canonical() {
            IpAddr::V4(v4) => hash_key([&v4.octets()[..]]),
            IpAddr::V6(v6) => hash_key([&v6.octets()[..]]),
        }),
        HashOn::Path => Some(hash_key([request.head.uri.path().as_bytes()])),
        HashOn::Header(name) => {
            let values = request.head.headers.get_all(name);
            values.iter().next()?;
            Some(hash_key(values.iter().map(|value| value.as_bytes())))
        }
        HashOn::Cookie(name) => cookie(&request.head.headers, name).map(|value| hash_key([value])),
    }
}

/// The first cookie of this name over all `cookie` fields (RFC 6265 §5.4).
fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a [u8]> {
    let fields = headers.get_all(COOKIE).iter();
    let pairs = fields.flat_map(|field| field.as_bytes().split(|byte| *byte == b';'));
    let mut values = pairs.filter_map(|pair| {
        pair.trim_ascii()
            .strip_prefix(name.as_bytes())?
            .strip_prefix(b"=")
    });
    values.next()
}
