//! Bytes of which all who take them may have so many together, whatever thread they are on.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// What may be taken, and what is.
#[derive(Debug)]
pub struct Total {
    limit: AtomicUsize,
    used: AtomicUsize,
}

impl Total {
    /// Nothing is used.
    pub fn new(limit: usize) -> Self {
        Self {
            limit: AtomicUsize::new(limit),
            used: AtomicUsize::new(0),
        }
    }

    /// What is used may be above it from then on; it grows no further.
    pub fn set_limit(&self, limit: usize) {
        self.limit.store(limit, Ordering::Relaxed);
    }

    /// Bytes.
    pub fn limit(&self) -> usize {
        self.limit.load(Ordering::Relaxed)
    }

    /// Bytes.
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Whether there was room for so many more.
    pub fn take(&self, bytes: usize) -> bool {
        let limit = self.limit();
        let fits = |sum: &usize| bytes == 0 || *sum <= limit;
        let more = |used: usize| used.checked_add(bytes).filter(fits);
        self.used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
            .is_ok()
    }

    /// What was taken and is not needed any more.
    pub fn give_back(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// A part of a total, given back when dropped.
#[derive(Debug)]
pub struct Part {
    of: Arc<Total>,
    bytes: usize,
}

impl Part {
    /// So many bytes; none when there is no room for them.
    pub fn take(of: &Arc<Total>, bytes: usize) -> Option<Self> {
        of.take(bytes).then(|| Self {
            of: Arc::clone(of),
            bytes,
        })
    }

    /// Whether it has so many bytes now, or more.
    pub fn grow_to(&mut self, bytes: usize) -> bool {
        let more = bytes.saturating_sub(self.bytes);
        let grown = self.of.take(more);
        self.bytes += if grown { more } else { 0 };
        grown
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.of.give_back(self.bytes);
    }
}
