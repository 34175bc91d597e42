//! One request on a stream of an HTTP/2 connection, and the body of its answer.

use std::{
    future::poll_fn,
    pin::Pin,
    rc::{Rc, Weak},
    sync::Arc,
    task::{Context, Poll, ready},
    time::Instant,
};

use bytes::Bytes;
use h2::{RecvStream, client::ResponseFuture};
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};

use super::{Shared, upload::Uploading};
use crate::{
    error::UpstreamError,
    h2_body,
    upstream::{Connections, NoAnswer, OnInterim, RequestBody, body::Incoming},
};

/// A stream that carries a request. Dropped before the answer's end it is reset with CANCEL,
/// and the connection goes on.
#[derive(Debug)]
pub(in crate::upstream) struct Stream {
    shared: Rc<Shared>,
    home: Weak<Connections>,
    begun: Instant,
    upload: Option<Uploading>,
}

impl Stream {
    pub(super) fn new(shared: &Rc<Shared>, home: &Rc<Connections>) -> Self {
        Self {
            shared: Rc::clone(shared),
            home: Rc::downgrade(home),
            begun: Instant::now(),
            upload: None,
        }
    }

    pub(in crate::upstream) async fn send(
        &mut self,
        request: Request<RequestBody>,
        interim: Option<&Arc<dyn OnInterim>>,
    ) -> Result<Response<Incoming>, NoAnswer> {
        let (head, body) = request.into_parts();
        let ends = body.is_end_stream();
        let mut sender = self.shared.sender.borrow().clone();
        let ready = poll_fn(|cx| sender.poll_ready(cx)).await;
        let sent = ready.and_then(|()| sender.send_request(Request::from_parts(head, ()), ends));
        // It would keep a stream that has yet to be opened from being given up.
        drop(sender);
        let answer = match sent {
            Ok((answer, _)) if ends => answer,
            Ok((answer, stream)) => {
                self.upload = Some(Uploading::start(body, stream));
                answer
            }
            Err(_) => return Err(NoAnswer::Unsent),
        };
        let answer = answer_of(answer, interim).await;
        let answer = answer.map_err(|error| NoAnswer::of_h2(&error))?;
        self.shared.heard.set(Instant::now());
        let length = h2_body::declared_length(answer.headers())
            .map_err(|problem| NoAnswer::Failed(UpstreamError::Invalid(problem.to_owned())))?;
        Ok(answer.map(|stream| {
            Incoming::H2(Received {
                body: h2_body::Received::new(stream, length),
                shared: Rc::clone(&self.shared),
            })
        }))
    }

    /// Whether the endpoint has said GOAWAY.
    pub(in crate::upstream) fn is_told_to_go(&self) -> bool {
        self.shared.told_to_go.get()
    }

    pub(in crate::upstream) fn retire(&mut self) {
        if let Some(home) = self.home.upgrade() {
            home.retire(&self.shared);
        }
    }

    /// Whoever comes next would wait for nothing as well, when nothing has come on any stream
    /// since this one began.
    pub(in crate::upstream) fn retire_if_silent(&mut self) {
        if self.shared.heard.get() <= self.begun {
            self.retire();
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.upload = None;
        self.shared.running.set(self.shared.running.get() - 1);
        self.shared.unused.set(Instant::now());
        if let Some(home) = self.home.upgrade() {
            home.stream_ended();
        }
    }
}

/// The answer, and on the way to it the interim ones.
async fn answer_of(
    mut answer: ResponseFuture,
    interim: Option<&Arc<dyn OnInterim>>,
) -> Result<Response<RecvStream>, h2::Error> {
    let Some(interim) = interim else {
        return answer.await;
    };
    poll_fn(|cx| {
        while let Poll::Ready(Some(Ok(came))) = answer.poll_informational(cx) {
            interim.came(came.status(), came.headers());
        }
        Pin::new(&mut answer).poll(cx)
    })
    .await
}

/// The body of an answer.
#[derive(Debug)]
pub struct Received {
    body: h2_body::Received,
    shared: Rc<Shared>,
}

impl Body for Received {
    type Data = Bytes;
    type Error = h2::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        let this = self.get_mut();
        let frame = ready!(Pin::new(&mut this.body).poll_frame(cx));
        if frame.is_some() {
            this.shared.heard.set(Instant::now());
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
