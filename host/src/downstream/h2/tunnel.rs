//! A stream that has become a tunnel (RFC 8441 §5): its DATA are the tunnel's bytes. Dropped
//! before its end was sent it is reset, so that a tunnel that breaks never looks whole.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf as _, Bytes};
use h2::{Reason, RecvStream, SendStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Both directions of the stream.
#[derive(Debug)]
pub(super) struct TunnelStream {
    input: RecvStream,
    /// Received, and not read yet.
    held: Bytes,
    output: SendStream<Bytes>,
    /// Whether the end was sent.
    ended: bool,
}

impl TunnelStream {
    pub(super) fn new(input: RecvStream, output: SendStream<Bytes>) -> Self {
        Self {
            input,
            held: Bytes::new(),
            output,
            ended: false,
        }
    }

    /// Ready when the client has reset the stream, whatever else is waited for. Once the end was
    /// sent, that is as good as an end of its own.
    pub(super) fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self.ended {
            true => Poll::Pending,
            false => self.output.poll_reset(cx).map(drop),
        }
    }

    fn closed(&self, error: h2::Error) -> io::Result<()> {
        match error.reason() {
            Some(Reason::NO_ERROR | Reason::CANCEL) if self.ended => Ok(()),
            _ => Err(io::Error::other(error)),
        }
    }
}

impl AsyncRead for TunnelStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.held.is_empty() {
            match ready!(self.input.poll_data(cx)) {
                None => return Poll::Ready(Ok(())),
                Some(Ok(data)) => self.held = data,
                Some(Err(error)) => return Poll::Ready(self.closed(error)),
            }
        }
        let count = self.held.len().min(buffer.remaining());
        buffer.put_slice(&self.held[..count]);
        self.held.advance(count);
        // Fails only for more than was received.
        let _ = self.input.flow_control().release_capacity(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for TunnelStream {
    /// Takes all once the client takes a byte of it: no more than that waits for its windows.
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.output.capacity() == 0 {
            self.output.reserve_capacity(1);
        }
        while self.output.capacity() == 0 {
            match ready!(self.output.poll_capacity(cx)) {
                Some(Ok(_)) => {}
                Some(Err(error)) => return Poll::Ready(Err(io::Error::other(error))),
                None => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            }
        }
        let sent = self.output.send_data(Bytes::copy_from_slice(bytes), false);
        Poll::Ready(sent.map(|()| bytes.len()).map_err(io::Error::other))
    }

    /// The connection's own task writes.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.ended {
            self.ended = true;
            let sent = self.output.send_data(Bytes::new(), true);
            return Poll::Ready(sent.map_err(io::Error::other));
        }
        Poll::Ready(Ok(()))
    }
}
