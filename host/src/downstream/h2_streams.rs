//! Runs an HTTP/2 connection's streams on the worker's own thread, and resets those whose
//! client takes nothing for too long, or whose time is over.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use hyper::rt;
use tokio::time::{Instant, Sleep};

use crate::local::{OpenConnection, StreamWatch};

/// hyper hands each stream's future to it; ended early, that resets the stream.
#[derive(Clone)]
pub(super) struct Streams {
    open: Rc<OpenConnection>,
    limit: Duration,
}

impl Streams {
    /// Streams of this connection, whose client may let each wait for this long.
    pub(super) fn new(open: Rc<OpenConnection>, limit: Duration) -> Self {
        Self { open, limit }
    }
}

impl<F> rt::Executor<F> for Streams
where
    F: Future<Output = ()> + 'static,
{
    fn execute(&self, stream: F) {
        let Self { open, limit } = self.clone();
        // Of a stream that has become a tunnel, hyper runs the sending half this way.
        let tunnel = open.stream.get();
        tokio::task::spawn_local(async move {
            let watch = Rc::new(StreamWatch::default());
            let mut stream = pin!(stream);
            let mut timer = None;
            poll_fn(|cx| {
                let is_cut = |tunnel: &Rc<StreamWatch>| tunnel.poll_broken(cx).is_ready();
                if tunnel.as_ref().is_some_and(is_cut) {
                    return Poll::Ready(());
                }
                let polled = open.stream.during(&watch, || stream.as_mut().poll(cx));
                if polled.is_ready() || has_stalled(&watch, limit, &mut timer, cx) {
                    return Poll::Ready(());
                }
                Poll::Pending
            })
            .await;
            if let Some(tunnel) = tunnel {
                tunnel.close();
            }
        });
    }
}

/// Whether the client's or the request's time is over; else this wakes when it would be. A stream whose client
/// takes what comes never touches the runtime's timers.
fn has_stalled(
    watch: &StreamWatch,
    limit: Duration,
    timer: &mut Option<Pin<Box<Sleep>>>,
    cx: &mut Context<'_>,
) -> bool {
    let Some(due) = watch.due(limit).map(Instant::from_std) else {
        return false;
    };
    let timer = timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
    if timer.deadline() != due {
        timer.as_mut().reset(due);
    }
    let over = timer.as_mut().poll(cx).is_ready();
    if over {
        watch.cut_now();
    }
    over
}
