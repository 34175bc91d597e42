//! Bodies on streams of HTTP/2, from and to clients and endpoints alike: read as far as they are
//! passed on, and sent frame by frame, the next being read only when the one before was taken.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, header::CONTENT_LENGTH};
use http_body::{Body, Frame, SizeHint};

/// A body that comes on a stream. The other side may send more as what came is passed on.
#[derive(Debug)]
pub struct Received {
    stream: RecvStream,
    /// Bytes to come, where that is declared.
    left: Option<u64>,
    only_trailers: bool,
}

impl Received {
    /// The body on this stream, with the length that its fields declare; the library sees to it
    /// that so many bytes come (RFC 9113 §8.1.1).
    pub fn new(stream: RecvStream, declared: Option<u64>) -> Self {
        Self {
            stream,
            left: declared,
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
                Some(data) => return Poll::Ready(Some(data.map(Frame::data))),
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

/// The length that the fields of a head declare.
///
/// # Errors
/// More than one field, or one that is no length; what is wrong.
pub fn declared_length(headers: &HeaderMap) -> Result<Option<u64>, &'static str> {
    let mut fields = headers.get_all(CONTENT_LENGTH).iter();
    let Some(field) = fields.next() else {
        return Ok(None);
    };
    if fields.next().is_some() {
        return Err("two content-length");
    }
    let length = field.to_str().ok().and_then(|text| text.parse().ok());
    length.map(Some).ok_or("no content-length")
}

/// A body on its way into a stream.
#[derive(Debug)]
pub struct Pump<B> {
    stream: SendStream<Bytes>,
    body: B,
    /// Read from the body, and whether nothing follows it.
    held: Option<(Bytes, bool)>,
    /// What the other side is told when the body breaks.
    broken: Reason,
}

impl<B> Pump<B>
where
    B: Body<Data = Bytes> + Unpin,
{
    /// Nothing is sent yet. The stream is reset for this reason when the body breaks.
    pub fn new(stream: SendStream<Bytes>, body: B, broken: Reason) -> Self {
        Self {
            stream,
            body,
            held: None,
            broken,
        }
    }

    /// Ready when there is nothing more to send: all was, the stream was reset, or the body has
    /// broken, which resets it.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
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
                    self.stream.send_reset(self.broken);
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
            // An error is that of the stream, which its other half tells.
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
