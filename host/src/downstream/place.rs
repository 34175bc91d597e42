//! The place of a connection's only future. hyper gives a connection back only where its
//! service's futures may move; one that stays here does, without a box for each request.

use std::{
    cell::RefCell,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

/// Where one future at a time runs.
pub(super) struct Place<F>(Rc<RefCell<Pin<Box<Option<F>>>>>);

impl<F> Default for Place<F> {
    fn default() -> Self {
        Self(Rc::new(RefCell::new(Box::pin(None))))
    }
}

impl<F> Place<F> {
    /// Puts a future here, behind the end of the one before.
    pub(super) fn put(&self, future: F) -> Occupied<F> {
        self.0.borrow_mut().set(Some(future));
        Occupied(Rc::clone(&self.0))
    }
}

/// The future in its place; dropped with this.
pub(super) struct Occupied<F>(Rc<RefCell<Pin<Box<Option<F>>>>>);

impl<F: Future> Future for Occupied<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let mut place = self.0.borrow_mut();
        let Some(future) = place.as_mut().as_pin_mut() else {
            return Poll::Pending;
        };
        let output = ready!(future.poll(cx));
        place.set(None);
        Poll::Ready(output)
    }
}

impl<F> Drop for Occupied<F> {
    fn drop(&mut self) {
        self.0.borrow_mut().set(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_future_ends_with_its_answer_or_when_nobody_waits_for_it() {
        let place = Place::default();
        let held = Rc::new(7);
        let job = |waits: bool| {
            let held = Rc::clone(&held);
            async move {
                if waits {
                    std::future::pending::<()>().await;
                }
                *held
            }
        };
        assert_eq!(place.put(job(false)).await, 7);
        assert_eq!(Rc::strong_count(&held), 1);
        let mut waiting = place.put(job(true));
        let waker = std::task::Waker::noop();
        let polled = Pin::new(&mut waiting).poll(&mut Context::from_waker(waker));
        assert!(polled.is_pending());
        assert_eq!(Rc::strong_count(&held), 2);
        drop(waiting);
        assert_eq!(Rc::strong_count(&held), 1);
    }
}
