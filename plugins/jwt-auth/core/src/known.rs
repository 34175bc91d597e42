//! Tokens that were found good, by their SHA-256: one that comes again costs a hash instead of a
//! signature. Only what has passed every check is kept, and its times are checked anew.

use std::{cell::RefCell, collections::HashMap, rc::Rc};

use crate::claims::Identity;

/// Of one instance; a bounded number of entries of bounded size.
#[derive(Default)]
pub(crate) struct Known(RefCell<HashMap<TokenDigest, Rc<Identity>>>);

/// SHA-256 of a whole token.
pub(crate) type TokenDigest = [u8; 32];

/// With the size below, at most some 2 MiB of an instance's memory.
const MOST_ENTRIES: usize = 1000;
/// Of all that is kept of one token, bytes; a larger one is checked each time.
const MOST_BYTES: usize = 2048;

impl Known {
    pub(crate) fn get(&self, digest: &TokenDigest) -> Option<Rc<Identity>> {
        self.0.borrow().get(digest).cloned()
    }

    /// Knows no token any more.
    pub(crate) fn clear(&self) {
        self.0.borrow_mut().clear();
    }

    /// Begins anew when it is full, which costs each token one check of its signature.
    pub(crate) fn keep(&self, digest: TokenDigest, identity: &Rc<Identity>) {
        if identity.bytes() > MOST_BYTES {
            return;
        }
        let mut entries = self.0.borrow_mut();
        if entries.len() >= MOST_ENTRIES {
            entries.clear();
        }
        entries.insert(digest, Rc::clone(identity));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(bytes: usize) -> Rc<Identity> {
        Rc::new(Identity::of_subject("s".repeat(bytes)))
    }

    fn digest(number: usize) -> TokenDigest {
        let mut digest = [0; 32];
        digest[..8].copy_from_slice(&number.to_le_bytes());
        digest
    }

    #[test]
    fn entries_are_bounded_in_number_and_size() {
        let known = Known::default();
        for number in 0..MOST_ENTRIES {
            known.keep(digest(number), &identity(8));
        }
        assert!(known.get(&digest(0)).is_some());
        known.keep(digest(MOST_ENTRIES), &identity(MOST_BYTES + 1));
        assert!(known.get(&digest(MOST_ENTRIES)).is_none(), "too large");
        assert!(known.get(&digest(0)).is_some(), "nothing made room for it");
        known.keep(digest(MOST_ENTRIES), &identity(MOST_BYTES));
        assert!(known.get(&digest(MOST_ENTRIES)).is_some());
        assert!(known.get(&digest(0)).is_none(), "it was full");
    }
}
