//! `balance` and `hash_on` of a pool: how endpoints are chosen where affinity has no say.

use http::HeaderName;

use super::check::Check;

/// How a pool chooses an endpoint where affinity has no say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Balance {
    /// In turn, by weight. The default.
    RoundRobin,
    /// Of two that are drawn, the one with fewer running requests for its weight.
    LeastRequests,
    /// Drawn, by weight.
    Random,
    /// Equal keys get equal endpoints; requests without the key are spread by round robin.
    Hash(HashOn),
}

/// What of a request its hash key is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HashOn {
    /// The client's IP address.
    ClientAddress,
    /// The path, without query, as routing left it.
    Path,
    /// All values of this field.
    Header(HeaderName),
    /// The first cookie of this name.
    Cookie(String),
}

/// The forms of `hash_on`.
const HASH_ON: &str = "expected \"client-address\", \"path\", \"header:NAME\" or \"cookie:NAME\"";

impl Check<'_> {
    pub(super) fn balance(
        &mut self,
        pool: &str,
        balance: Option<&str>,
        on: Option<&str>,
    ) -> Balance {
        let key = format!("{pool}.balance");
        let names = [
            ("round-robin", Kind::RoundRobin),
            ("least-requests", Kind::LeastRequests),
            ("random", Kind::Random),
            ("hash", Kind::Hash),
        ];
        let kind = self.choice(&key, balance, &names, Kind::RoundRobin);
        let on_key = format!("{pool}.hash_on");
        let hash_on = on.and_then(|on| self.problems.take(&on_key, hash_on(on)));
        match (kind, on) {
            (Kind::Hash, None) => {
                let message = format!("found \"hash\" without `hash_on`, {HASH_ON} there");
                self.problems.add(&key, message);
                Balance::RoundRobin
            }
            (Kind::Hash, Some(_)) => hash_on.map_or(Balance::RoundRobin, Balance::Hash),
            (_, Some(_)) => {
                let message = "found `hash_on`, expected it with balance = \"hash\" only";
                self.problems.add_unwanted(&on_key, message);
                Balance::RoundRobin
            }
            (Kind::RoundRobin, None) => Balance::RoundRobin,
            (Kind::LeastRequests, None) => Balance::LeastRequests,
            (Kind::Random, None) => Balance::Random,
        }
    }
}

#[derive(Clone, Copy)]
enum Kind {
    RoundRobin,
    LeastRequests,
    Random,
    Hash,
}

fn hash_on(text: &str) -> Result<HashOn, String> {
    let wrong = || format!("found {text:?}, {HASH_ON}");
    match text.split_once(':') {
        None if text == "client-address" => Ok(HashOn::ClientAddress),
        None if text == "path" => Ok(HashOn::Path),
        Some(("header", name)) => HeaderName::from_bytes(name.as_bytes())
            .map(HashOn::Header)
            .map_err(|_| wrong()),
        Some(("cookie", name)) if HeaderName::from_bytes(name.as_bytes()).is_ok() => {
            Ok(HashOn::Cookie(name.to_owned()))
        }
        _ => Err(wrong()),
    }
}
