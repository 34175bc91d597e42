//! A request's body on its way into a stream: a frame is read from the client only when the
//! one before it has been taken.

use std::{
    cell::RefCell,
    future::poll_fn,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use h2::{Reason, SendStream};
use http_body::Body as _;
use tokio::task::AbortHandle;

use crate::upstream::RequestBody;

/// A body that is being sent, by a task of its own: an answer that has begun does not depend
/// on it, nor it on the answer's being read. Ends when dropped.
#[derive(Debug)]
pub(super) struct Uploading {
    pump: Rc<RefCell<Option<Pump>>>,
    task: AbortHandle,
}

#[derive(Debug)]
struct Pump {
    stream: SendStream<Bytes>,
    body: RequestBody,
    /// Read from the client, and whether nothing follows it.
    held: Option<(Bytes, bool)>,
}

impl Uploading {
    pub(super) fn start(body: RequestBody, stream: SendStream<Bytes>) -> Self {
        let pump = Rc::new(RefCell::new(Some(Pump {
            stream,
            body,
            held: None,
        })));
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

impl Pump {
    /// Ready when there is nothing more to send: all was, the stream was reset, or the client
    /// has failed, which resets it.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            // Asked first, so that a reset wakes the task whatever it waits for.
            if self.stream.poll_reset(cx).is_ready() {
                return Poll::Ready(());
            }
            if self.held.is_some() && ready!(self.poll_send(cx)).is_none() {
                return Poll::Ready(());
            }
            let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
            let sent = match frame {
                None => self.stream.send_data(Bytes::new(), true),
                Some(Err(_)) => {
                    self.stream.send_reset(Reason::CANCEL);
                    return Poll::Ready(());
                }
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => {
                        // More is asked for with the data; what is reserved before there is
                        // any would be taken from other streams.
                        self.stream.reserve_capacity(data.len().min(1));
                        self.held = Some((data, self.body.is_end_stream()));
                        continue;
                    }
                    Err(frame) => match frame.into_trailers() {
                        Ok(trailers) => self.stream.send_trailers(trailers),
                        Err(_) => continue,
                    },
                },
            };
            // An error is that of the stream, which the answer will tell.
            drop(sent);
            return Poll::Ready(());
        }
    }

    /// Sends what is held once the windows are open; none when that was the last.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Option<()>> {
        let empty = self.held.as_ref().is_some_and(|(data, _)| data.is_empty());
        while !empty && self.stream.capacity() == 0 {
            match ready!(self.stream.poll_capacity(cx)) {
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Poll::Ready(None),
            }
        }
        let Some((data, last)) = self.held.take() else {
            return Poll::Ready(Some(()));
        };
        let sent = self.stream.send_data(data, last);
        Poll::Ready((sent.is_ok() && !last).then_some(()))
    }
}
