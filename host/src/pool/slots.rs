//! Limits on what one endpoint has at a time, over all workers, with a bounded queue before
//! it (circuit breaking). Only pools with `limits` come here; taking and giving back is one
//! atomic change each, and only those who wait share a lock.

use std::{
    sync::atomic::{AtomicU32, Ordering::SeqCst},
    time::Duration,
};

use tokio::{pin, sync::Notify, time::timeout};

/// Slots of one kind: requests, or connections.
#[derive(Debug, Default)]
pub struct Slots {
    taken: AtomicU32,
    waiting: AtomicU32,
    freed: Notify,
}

/// Why there is no slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// All are taken, and so many wait for one already.
    Queue(u32),
    /// None became free in this time.
    Timeout(Duration),
}

impl Slots {
    /// Whether one can be had without waiting.
    pub fn has_room(&self, limit: u32) -> bool {
        self.taken.load(SeqCst) < limit && self.waiting.load(SeqCst) == 0
    }

    /// How many are taken.
    pub fn taken(&self) -> u32 {
        self.taken.load(SeqCst)
    }

    /// How many wait for one.
    pub fn waiting(&self) -> u32 {
        self.waiting.load(SeqCst)
    }

    /// Takes one of `limit`, after a wait when `queue` or fewer wait and one becomes free in
    /// time. Cancel safe: a wait that is dropped leaves the queue.
    ///
    /// # Errors
    /// See [`Full`]; nothing is taken then.
    pub async fn take(&self, limit: u32, queue: u32, time: Duration) -> Result<(), Full> {
        // Those who wait come first.
        if self.waiting.load(SeqCst) == 0 && self.try_take(limit) {
            return Ok(());
        }
        let _place = Place::claim(&self.waiting, queue).ok_or(Full::Queue(queue))?;
        timeout(time, self.wait(limit))
            .await
            .map_err(|_| Full::Timeout(time))
    }

    async fn wait(&self, limit: u32) {
        loop {
            let freed = self.freed.notified();
            pin!(freed);
            // From here on no slot that is given back is missed.
            freed.as_mut().enable();
            if self.try_take(limit) {
                return;
            }
            freed.await;
        }
    }

    fn try_take(&self, limit: u32) -> bool {
        let more = |taken| (taken < limit).then_some(taken + 1);
        self.taken.fetch_update(SeqCst, SeqCst, more).is_ok()
    }

    /// Gives one back that was taken.
    pub fn give_back(&self) {
        self.taken.fetch_sub(1, SeqCst);
        if self.waiting.load(SeqCst) > 0 {
            self.freed.notify_one();
        }
    }
}

/// A place in the queue.
struct Place<'a>(&'a AtomicU32);

impl<'a> Place<'a> {
    fn claim(waiting: &'a AtomicU32, queue: u32) -> Option<Self> {
        let more = |waiting| (waiting < queue).then_some(waiting + 1);
        waiting.fetch_update(SeqCst, SeqCst, more).ok()?;
        Some(Self(waiting))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const LONG: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn a_slot_that_is_given_back_goes_to_one_who_waits() {
        let slots = Arc::new(Slots::default());
        assert_eq!(slots.take(1, 0, LONG).await, Ok(()));
        assert!(!slots.has_room(1));
        let waits = tokio::spawn({
            let slots = Arc::clone(&slots);
            async move { slots.take(1, 1, LONG).await }
        });
        while slots.waiting() == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(slots.take(1, 1, LONG).await, Err(Full::Queue(1)));
        slots.give_back();
        assert_eq!(waits.await.ok(), Some(Ok(())));
        assert!(!slots.has_room(1));
        slots.give_back();
        assert!(slots.has_room(1));
    }

    #[tokio::test]
    async fn a_wait_ends_at_its_deadline_and_leaves_the_queue() {
        let slots = Slots::default();
        assert_eq!(slots.take(1, 0, LONG).await, Ok(()));
        let short = Duration::from_millis(5);
        assert_eq!(slots.take(1, 1, short).await, Err(Full::Timeout(short)));
        assert_eq!(slots.waiting(), 0);
    }

    #[test]
    fn many_threads_never_exceed_the_limit_and_none_is_forgotten() {
        const LIMIT: u32 = 3;
        let slots = Slots::default();
        let (now, most) = (AtomicU32::new(0), AtomicU32::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let mut builder = tokio::runtime::Builder::new_current_thread();
                    let runtime = builder.enable_time().build().expect("a runtime");
                    let work = async {
                        for _ in 0..250 {
                            slots.take(LIMIT, 1000, LONG).await.expect("room in time");
                            most.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
                            tokio::task::yield_now().await;
                            now.fetch_sub(1, SeqCst);
                            slots.give_back();
                        }
                    };
                    runtime.block_on(work);
                });
            }
        });
        assert!(most.load(SeqCst) <= LIMIT);
        assert!(slots.has_room(1), "{slots:?}");
    }
}
