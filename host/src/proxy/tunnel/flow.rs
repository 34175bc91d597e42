//! One direction of a tunnel: bytes as they come, at most one piece of them held, and their end
//! passed on.

use std::{
    cell::Cell,
    io,
    mem::MaybeUninit,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Read at a time: what a TLS record may hold.
const PIECE: usize = 16 << 10;

/// Which side of a direction broke.
#[derive(Debug)]
pub(super) enum Broken {
    /// The one that it comes from.
    Source(io::Error),
    /// The one that it goes to.
    Sink(io::Error),
}

/// One direction.
#[derive(Debug)]
pub(super) struct Flow {
    /// Read, and not taken yet by the other side.
    held: Bytes,
    unflushed: bool,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// All is read; the end is on its way.
    Ending,
    Ended,
}

impl Flow {
    /// A direction that starts with these bytes, which were read before there was a tunnel.
    pub(super) fn new(first: Bytes) -> Self {
        Self {
            held: first,
            unflushed: false,
            state: State::Open,
        }
    }

    /// Whether its source has no more.
    pub(super) fn is_read(&self) -> bool {
        self.state != State::Open
    }

    /// Moves what there is, and counts what was taken; ready when the end has been passed on.
    pub(super) fn poll<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut R,
        sink: &mut W,
        moved: &Cell<u64>,
    ) -> Poll<Result<(), Broken>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        loop {
            ready!(self.poll_held(cx, sink, moved)).map_err(Broken::Sink)?;
            match self.state {
                State::Open => {}
                State::Ending => {
                    ready!(Pin::new(&mut *sink).poll_shutdown(cx)).map_err(Broken::Sink)?;
                    self.state = State::Ended;
                    return Poll::Ready(Ok(()));
                }
                State::Ended => return Poll::Ready(Ok(())),
            }
            // On the stack: a silent tunnel holds no buffer.
            let mut piece = [MaybeUninit::uninit(); PIECE];
            let mut piece = ReadBuf::uninit(&mut piece);
            let read = Pin::new(&mut *source).poll_read(cx, &mut piece);
            match read.map_err(Broken::Source)? {
                Poll::Pending => {
                    if self.unflushed {
                        ready!(Pin::new(&mut *sink).poll_flush(cx)).map_err(Broken::Sink)?;
                        self.unflushed = false;
                    }
                    return Poll::Pending;
                }
                Poll::Ready(()) if piece.filled().is_empty() => self.state = State::Ending,
                Poll::Ready(()) => {
                    let taken = self.poll_write(cx, sink, piece.filled(), moved);
                    let taken = match taken.map_err(Broken::Sink)? {
                        Poll::Ready(taken) => taken,
                        Poll::Pending => 0,
                    };
                    let rest = piece.filled().get(taken..).unwrap_or_default();
                    self.held = Bytes::copy_from_slice(rest);
                }
            }
        }
    }

    fn poll_held<W: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        sink: &mut W,
        moved: &Cell<u64>,
    ) -> Poll<io::Result<()>> {
        while !self.held.is_empty() {
            let held = self.held.clone();
            match ready!(self.poll_write(cx, sink, &held, moved))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                taken => self.held.advance(taken),
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_write<W: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        sink: &mut W,
        bytes: &[u8],
        moved: &Cell<u64>,
    ) -> Poll<io::Result<usize>> {
        let taken = ready!(Pin::new(sink).poll_write(cx, bytes))?;
        self.unflushed = true;
        moved.set(moved.get() + taken as u64);
        Poll::Ready(Ok(taken))
    }
}
