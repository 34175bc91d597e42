//! One request on a stream of an HTTP/2 connection, and the body of its answer.

use std::{
    future::poll_fn,
    pin::Pin,
    rc::{Rc, Weak},
    task::{Context, Poll, ready},
    time::Instant,
};

use bytes::Bytes;
use h2::{RecvStream, client::ResponseFuture};
use http::{HeaderMap, Request, Response, header::CONTENT_LENGTH};
use http_body::{Body, Frame, SizeHint};

use super::{Shared, upload::Uploading};
use crate::{
    error::UpstreamError,
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
    ) -> Result<Response<Incoming>, NoAnswer> {
        let (mut head, body) = request.into_parts();
        let on_interim = head.extensions.remove::<OnInterim>();
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
        let answer = answer_of(answer, on_interim).await;
        let answer = answer.map_err(|error| NoAnswer::of_h2(&error))?;
        self.shared.heard.set(Instant::now());
        let length = length(answer.headers()).map_err(NoAnswer::Failed)?;
        Ok(answer.map(|stream| Incoming::H2(Received::new(stream, length, &self.shared))))
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
    on_interim: Option<OnInterim>,
) -> Result<Response<RecvStream>, h2::Error> {
    let Some(on_interim) = on_interim else {
        return answer.await;
    };
    poll_fn(|cx| {
        while let Poll::Ready(Some(Ok(interim))) = answer.poll_informational(cx) {
            on_interim.came(interim.status(), interim.headers());
        }
        Pin::new(&mut answer).poll(cx)
    })
    .await
}

/// The one length that the fields declare.
fn length(headers: &HeaderMap) -> Result<Option<u64>, UpstreamError> {
    let mut fields = headers.get_all(CONTENT_LENGTH).iter();
    let Some(field) = fields.next() else {
        return Ok(None);
    };
    if fields.next().is_some() {
        return Err(UpstreamError::Invalid("two content-length".to_owned()));
    }
    let length = field.to_str().ok().and_then(|text| text.parse().ok());
    match length {
        Some(length) => Ok(Some(length)),
        None => Err(UpstreamError::Invalid("no content-length".to_owned())),
    }
}

/// The body of an answer. The endpoint may send more as what came is passed on.
#[derive(Debug)]
pub struct Received {
    stream: RecvStream,
    shared: Rc<Shared>,
    /// Bytes to come, where that is declared.
    left: Option<u64>,
    only_trailers: bool,
}

impl Received {
    fn new(stream: RecvStream, declared: Option<u64>, shared: &Rc<Shared>) -> Self {
        Self {
            left: declared,
            stream,
            shared: Rc::clone(shared),
            only_trailers: false,
        }
    }

    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, h2::Error>>> {
        let data = ready!(self.stream.poll_data(cx));
        if let Some(Ok(data)) = &data {
            // Fails only for more than was received.
            let _ = self.stream.flow_control().release_capacity(data.len());
            self.left = self.left.map(|left| left.saturating_sub(data.len() as u64));
        }
        Poll::Ready(data)
    }
}

impl Body for Received {
    type Data = Bytes;
    type Error = h2::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        let this = self.get_mut();
        if !this.only_trailers {
            match ready!(this.poll_data(cx)) {
                None => this.only_trailers = true,
                Some(data) => {
                    this.shared.heard.set(Instant::now());
                    return Poll::Ready(Some(data.map(Frame::data)));
                }
            }
        }
        let trailers = ready!(this.stream.poll_trailers(cx));
        Poll::Ready(match trailers {
            Ok(Some(trailers)) => Some(Ok(Frame::trailers(trailers))),
            Ok(None) => None,
            Err(error) => Some(Err(error)),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.stream.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        match self.left {
            _ if self.is_end_stream() => SizeHint::with_exact(0),
            Some(left) => SizeHint::with_exact(left),
            None => SizeHint::default(),
        }
    }
}
