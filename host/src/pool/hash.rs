//! Keys and scores of consistent hashing. Both are fixed for all time, so that gateways side by
//! side, and a gateway before and after an update, choose alike.

/// The key of these bytes: FNV-1a, then mixed.
pub fn hash_key<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> u64 {
    let bytes = parts.into_iter().flatten();
    mix(bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    }))
}

/// Spreads every bit over all others (the finaliser of SplitMix64).
pub(super) fn mix(mut value: u64) -> u64 {
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// How well a key falls on an endpoint of this seed and weight: the highest wins, and each
/// endpoint wins its weight's share of keys (weighted rendezvous hashing).
pub(super) fn score(key: u64, seed: u64, weight: u16) -> f64 {
    let drawn = mix(key ^ seed) >> 11;
    let unit = (drawn as f64 + 0.5) / (1_u64 << 53) as f64;
    f64::from(weight) / -unit.ln()
}

/// Random numbers that need to be even, not secret (SplitMix64).
#[derive(Debug)]
pub(super) struct Random(std::cell::Cell<u64>);

impl Random {
    pub(super) fn new() -> Self {
        use std::hash::{BuildHasher as _, Hasher as _, RandomState};
        Self(std::cell::Cell::new(
            RandomState::new().build_hasher().finish(),
        ))
    }

    /// A number below `limit`, which is not 0.
    pub(super) fn below(&self, limit: u64) -> u64 {
        let next = self.0.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.0.set(next);
        // The high half of the product: even without a division.
        let product = u128::from(mix(next)) * u128::from(limit);
        u64::try_from(product >> 64).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_never_change() {
        assert_eq!(hash_key([&b"alice"[..]]), hash_key([&b"al"[..], b"ice"]));
        assert_eq!(hash_key([&b"alice"[..]]), 0xc5d1_556d_6677_4a5c);
    }

    #[test]
    fn random_numbers_are_even() {
        let random = Random::new();
        let mut counts = [0_u32; 10];
        for _ in 0..10_000 {
            counts[random.below(10) as usize] += 1;
        }
        assert!(
            counts.iter().all(|count| (850..1150).contains(count)),
            "{counts:?}"
        );
    }
}
