//! How long the head of a request is waited for on a connection of HTTP/1.1, and how long such a
//! connection has idled. The library asks for a timer for each request; here all of them are one
//! of the runtime's, which is touched as often as it fires and not as often as there are requests.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use hyper::rt::{Sleep, Timer};

/// The timer of one connection.
#[derive(Debug)]
pub(super) struct HeadTimer {
    shared: Arc<Shared>,
    limit: Duration,
    /// How much of the limit goes by before the connection counts as idle; none when it was found
    /// to be amid a head.
    idle_after: Option<Duration>,
    usual_idle_after: Duration,
    sleep: Option<Pin<Box<tokio::time::Sleep>>>,
}

/// All of it is used on one thread; the library asks for types that may go to others.
#[derive(Debug)]
struct Shared {
    began: Instant,
    /// When the head that is waited for must have come, nanoseconds since `began`; 0 while none
    /// is.
    due: AtomicU64,
    over: AtomicBool,
}

/// What has come of waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// No head has come for a while.
    Parking,
    /// None has come for the whole limit: said once, and by the library's timer from then on.
    Over,
}

impl HeadTimer {
    /// For heads that may take `limit`, and a connection that idles after `idle_after` of it.
    pub(super) fn new(limit: Duration, idle_after: Duration) -> Self {
        let shared = Shared {
            began: Instant::now(),
            due: AtomicU64::new(0),
            over: AtomicBool::new(false),
        };
        Self {
            shared: Arc::new(shared),
            limit,
            idle_after: Some(idle_after),
            usual_idle_after: idle_after,
            sleep: None,
        }
    }

    /// What the library sets.
    pub(super) fn for_hyper(&self) -> ForHyper {
        ForHyper(Arc::clone(&self.shared))
    }

    /// When the head that is waited for must have come; none while none is waited for.
    pub(super) fn due(&self) -> Option<Instant> {
        match self.shared.due.load(Ordering::Relaxed) {
            0 => None,
            due => Some(self.shared.began + Duration::from_nanos(due)),
        }
    }

    /// The library begins anew, on a connection that has idled or was amid a head.
    pub(super) fn restart(&mut self, has_idled: bool) {
        self.idle_after = has_idled.then_some(self.usual_idle_after);
    }

    /// Ready when one of these is due; else this wakes when it would be.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Due> {
        loop {
            let Some(due) = self.due() else {
                // The next head may idle again.
                self.idle_after = Some(self.usual_idle_after);
                return Poll::Pending;
            };
            if self.shared.over.load(Ordering::Relaxed) {
                return Poll::Pending;
            }
            let begun = due - self.limit;
            let (next, what) = match self.idle_after.map(|after| begun + after) {
                Some(idle) if idle < due => (idle, Due::Parking),
                _ => (due, Due::Over),
            };
            let sleep = self
                .sleep
                .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(next.into())));
            if sleep.deadline() > next.into() {
                sleep.as_mut().reset(next.into());
            }
            ready!(sleep.as_mut().poll(cx));
            if sleep.deadline() < next.into() {
                sleep.as_mut().reset(next.into());
                continue;
            }
            if what == Due::Over {
                self.shared.over.store(true, Ordering::Relaxed);
            }
            return Poll::Ready(what);
        }
    }
}

/// The timer as the library sees it.
#[derive(Debug)]
pub(super) struct ForHyper(Arc<Shared>);

impl Timer for ForHyper {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(Instant::now() + duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        let since = deadline.saturating_duration_since(self.0.began);
        let due = u64::try_from(since.as_nanos()).unwrap_or(u64::MAX).max(1);
        self.0.due.store(due, Ordering::Relaxed);
        let shared = Arc::clone(&self.0);
        Box::pin(HeadSleep { shared, due })
    }
}

/// The wait for one head.
#[derive(Debug)]
struct HeadSleep {
    shared: Arc<Shared>,
    due: u64,
}

impl Future for HeadSleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        // The connection's task, which this is polled by, is woken by its timer.
        match self.shared.over.load(Ordering::Relaxed) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }
}

impl Sleep for HeadSleep {}

impl Drop for HeadSleep {
    fn drop(&mut self) {
        let (mine, relaxed) = (self.due, Ordering::Relaxed);
        let _ = self.shared.due.compare_exchange(mine, 0, relaxed, relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    const LIMIT: Duration = Duration::from_millis(60);
    const IDLE: Duration = Duration::from_millis(20);

    #[tokio::test]
    async fn a_connection_idles_and_then_its_time_is_over() {
        let mut timer = HeadTimer::new(LIMIT, IDLE);
        let mut head = timer.for_hyper().sleep(LIMIT);
        let begin = Instant::now();
        assert_eq!(poll_fn(|cx| timer.poll(cx)).await, Due::Parking);
        assert!(begin.elapsed() < LIMIT);
        // It was amid a head.
        timer.restart(false);
        assert_eq!(poll_fn(|cx| timer.poll(cx)).await, Due::Over);
        assert!(begin.elapsed() >= LIMIT);
        poll_fn(|cx| head.as_mut().poll(cx)).await;
    }

    #[tokio::test]
    async fn a_request_puts_both_off() {
        let mut timer = HeadTimer::new(LIMIT, IDLE);
        let library = timer.for_hyper();
        let first = library.sleep(LIMIT);
        assert!(poll_fn(|cx| Poll::Ready(timer.poll(cx))).await.is_pending());
        drop(first);
        assert_eq!(timer.due(), None);
        tokio::time::sleep(IDLE * 2).await;
        assert!(poll_fn(|cx| Poll::Ready(timer.poll(cx))).await.is_pending());
        let begin = Instant::now();
        let _second = library.sleep(LIMIT);
        assert_eq!(poll_fn(|cx| timer.poll(cx)).await, Due::Parking);
        assert!(begin.elapsed() >= IDLE);
    }
}
