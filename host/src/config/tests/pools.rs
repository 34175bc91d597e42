//! What the tables of a pool mean: balance.

use super::*;
use crate::config::{Balance, HashOn, Pool};

/// A pool with these lines in its table.
fn pool(lines: &str) -> Pool {
    let text = format!(
        "[[listeners]]\nname = \"l\"\naddress = \"127.0.0.1:1\"\n\
         tls.certificates = [{{ chain = \"a\", key = \"b\" }}]\n\
         [pools.web]\ntrust.public = true\nendpoints = [\"10.0.0.4:443\"]\n{lines}\n"
    );
    parse(&text).unwrap().pools.remove(0)
}

#[test]
fn endpoints_are_balanced_in_turn_unless_told() {
    assert_eq!(pool("").balance, Balance::RoundRobin);
    for (written, meant) in [
        ("round-robin", Balance::RoundRobin),
        ("least-requests", Balance::LeastRequests),
        ("random", Balance::Random),
    ] {
        assert_eq!(pool(&format!("balance = \"{written}\"")).balance, meant);
    }
}

#[test]
fn each_hash_key_is_understood() {
    for (written, meant) in [
        ("client-address", HashOn::ClientAddress),
        ("path", HashOn::Path),
        ("header:X-User", HashOn::Header("x-user".parse().unwrap())),
        ("cookie:Session", HashOn::Cookie("Session".to_owned())),
    ] {
        let pool = pool(&format!("balance = \"hash\"\nhash_on = \"{written}\""));
        assert_eq!(pool.balance, Balance::Hash(meant));
    }
}
