//! Why the gateway ended a client's connection: before it carried a request, or for how its
//! client behaved. No request tells of these; a counter and, at debug level, the log do.

/// The cause's token: a label of `witgate_connections_ended_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionFault {
    /// The listener expects the PROXY protocol, and its peer is not one that may speak it.
    ProxyUntrusted,
    /// It does not start with a header of the PROXY protocol.
    ProxyInvalid,
    /// That header did not come in time.
    ProxyTimeout,
    /// Its client has as many connections as `limits.connections_per_client` allows.
    ClientLimit,
    /// No request head in time, or no request at all for as long.
    HeadTimeout,
    /// What came was not HTTP/1.1, or its head was too large.
    HeadInvalid,
    /// What came was against the rules of HTTP/2.
    H2Invalid,
    /// More requests were cancelled than `limits.h2_resets` allows.
    H2Resets,
    /// More frames without use came than `limits.h2_idle_frames` allows.
    H2Flood,
}

impl ConnectionFault {
    /// All, in the order of their indexes.
    pub const ALL: [Self; 9] = [
        Self::ProxyUntrusted,
        Self::ProxyInvalid,
        Self::ProxyTimeout,
        Self::ClientLimit,
        Self::HeadTimeout,
        Self::HeadInvalid,
        Self::H2Invalid,
        Self::H2Resets,
        Self::H2Flood,
    ];

    /// Its place in [`ConnectionFault::ALL`].
    pub fn index(self) -> usize {
        self as usize
    }

    /// The token: `h2-flood`.
    pub fn token(self) -> &'static str {
        match self {
            Self::ProxyUntrusted => "proxy-untrusted",
            Self::ProxyInvalid => "proxy-invalid",
            Self::ProxyTimeout => "proxy-timeout",
            Self::ClientLimit => "client-limit",
            Self::HeadTimeout => "head-timeout",
            Self::HeadInvalid => "head-invalid",
            Self::H2Invalid => "h2-invalid",
            Self::H2Resets => "h2-resets",
            Self::H2Flood => "h2-flood",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_stands_at_its_own_place_and_is_documented() {
        let documented = include_str!("../../../docs/observing.md");
        for (index, fault) in ConnectionFault::ALL.into_iter().enumerate() {
            assert_eq!(fault.index(), index);
            let token = format!("`{}`", fault.token());
            assert!(documented.contains(&token), "{token}");
        }
    }
}
