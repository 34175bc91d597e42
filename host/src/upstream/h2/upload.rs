//! A request's body on its way into a stream, in a task of its own.

use std::{cell::RefCell, future::poll_fn, rc::Rc, task::Poll};

use bytes::Bytes;
use h2::{Reason, SendStream};
use tokio::task::AbortHandle;

use crate::{h2_body::Pump, upstream::RequestBody};

/// A body that is being sent, by a task of its own: an answer that has begun does not depend
/// on it, nor it on the answer's being read. Ends when dropped.
#[derive(Debug)]
pub(super) struct Uploading {
    pump: Rc<RefCell<Option<Pump<RequestBody>>>>,
    task: AbortHandle,
}

impl Uploading {
    pub(super) fn start(body: RequestBody, stream: SendStream<Bytes>) -> Self {
        let pump = Pump::new(stream, body, Reason::CANCEL);
        let pump = Rc::new(RefCell::new(Some(pump)));
        let running = Rc::clone(&pump);
        let sending = poll_fn(move |cx| match &mut *running.borrow_mut() {
            Some(pump) => pump.poll(cx),
            None => Poll::Ready(()),
        });
        let task = tokio::task::spawn_local(sending).abort_handle();
        Self { pump, task }
    }
}

impl Drop for Uploading {
    fn drop(&mut self) {
        self.task.abort();
        // The stream is given up now, not when the task is looked at again.
        self.pump.borrow_mut().take();
    }
}
