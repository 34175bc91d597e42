//! Watches what frames an HTTP/2 client sends. Those that neither open a stream nor carry
//! anything cost the gateway work all the same; more of them than a client with good reasons
//! sends end the connection. Only frame headers are looked at (RFC 9113 §4.1).

use std::{
    cell::Cell,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::{error::ConnectionFault, local::OpenConnection};

/// The client's connection preface (RFC 9113 §3.4), which stands before its first frame.
const PREFACE: usize = 24;
const HEADER: usize = 9;
/// The time that a number of idle frames is counted in.
const WINDOW: Duration = Duration::from_secs(10);
/// Bytes sent to the client that excuse one frame of its own: a client that reads has to open
/// windows. More than an acknowledgement has, so that these excuse nothing.
const EXCUSE: usize = 32;
/// Data frames that are padded and no longer than this may be padding alone.
const MAX_PADDING: usize = 256;

/// How many idle frames may still come.
#[derive(Debug)]
struct Allowance {
    most: u32,
    left: u32,
    since: Instant,
}

impl Allowance {
    fn new(most: u32, now: Instant) -> Self {
        Self {
            most,
            left: most,
            since: now,
        }
    }

    /// Uses one up; false when there is none.
    fn take(&mut self, now: impl FnOnce() -> Instant) -> bool {
        if self.left == 0 {
            let now = now();
            if now.duration_since(self.since) < WINDOW {
                return false;
            }
            (self.left, self.since) = (self.most, now);
        }
        self.left -= 1;
        true
    }

    fn give(&mut self, frames: usize) {
        let frames = u32::try_from(frames).unwrap_or(u32::MAX);
        self.left = self.left.saturating_add(frames).min(self.most);
    }
}

/// Where in the client's bytes the next frame header is.
#[derive(Debug)]
struct Frames {
    skip: usize,
    header: [u8; HEADER],
    have: usize,
}

impl Frames {
    fn new() -> Self {
        Self {
            skip: PREFACE,
            header: [0; HEADER],
            have: 0,
        }
    }

    /// The next frame that starts in these bytes, which become what follows its header.
    fn next(&mut self, bytes: &mut &[u8]) -> Option<Frame> {
        let skipped = self.skip.min(bytes.len());
        self.skip -= skipped;
        *bytes = &bytes[skipped..];
        let wanted = (HEADER - self.have).min(bytes.len());
        let (head, rest) = bytes.split_at(wanted);
        self.header[self.have..self.have + wanted].copy_from_slice(head);
        self.have += wanted;
        *bytes = rest;
        if self.have < HEADER {
            return None;
        }
        self.have = 0;
        let [a, b, c, kind, flags, ..] = self.header;
        let length = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        self.skip = length;
        Some(Frame {
            length,
            kind,
            flags,
        })
    }
}

/// What a frame header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Frame {
    length: usize,
    kind: u8,
    flags: u8,
}

impl Frame {
    const DATA: u8 = 0;
    const HEADERS: u8 = 1;
    const END_STREAM: u8 = 1;
    const PADDED: u8 = 8;

    /// Whether it opens no stream, ends none and carries nothing.
    fn is_idle(self) -> bool {
        let padded = self.flags & Self::PADDED != 0 && self.length <= MAX_PADDING;
        match self.kind {
            Self::DATA => (self.length == 0 || padded) && self.flags & Self::END_STREAM == 0,
            kind => kind != Self::HEADERS,
        }
    }
}

/// A stream to an HTTP/2 client whose frames are watched.
pub(super) struct FrameWatch<S> {
    stream: S,
    open: Rc<OpenConnection>,
    /// Counts what has come: signs of life.
    heard: Rc<Cell<u64>>,
    frames: Frames,
    allowance: Allowance,
}

impl<S> FrameWatch<S> {
    pub(super) fn new(
        stream: S,
        open: Rc<OpenConnection>,
        heard: Rc<Cell<u64>>,
        most: u32,
    ) -> Self {
        Self {
            stream,
            open,
            heard,
            frames: Frames::new(),
            allowance: Allowance::new(most, Instant::now()),
        }
    }

    fn watch(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while let Some(frame) = self.frames.next(&mut bytes) {
            if !frame.is_idle() {
                self.allowance.give(1);
            } else if !self.allowance.take(Instant::now) {
                self.open.end(ConnectionFault::H2Flood);
                return Err(io::Error::other("too many frames without use"));
            }
        }
        Ok(())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for FrameWatch<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        self.heard.set(self.heard.get() + 1);
        Poll::Ready(self.watch(buffer.filled().get(before..).unwrap_or_default()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for FrameWatch<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes))?;
        self.allowance.give(written / EXCUSE);
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, slices))?;
        self.allowance.give(written / EXCUSE);
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn frame(length: usize, kind: u8, flags: u8) -> Frame {
        Frame {
            length,
            kind,
            flags,
        }
    }

    fn bytes(frames: &[Frame]) -> Vec<u8> {
        let mut out = vec![b'x'; PREFACE];
        for frame in frames {
            let [.., a, b, c] = frame.length.to_be_bytes();
            out.extend([a, b, c, frame.kind, frame.flags, 0, 0, 0, 1]);
            out.resize(out.len() + frame.length, 0);
        }
        out
    }

    #[test]
    fn frames_are_found_however_the_bytes_are_cut() {
        let sent = [frame(0, 4, 0), frame(70_000, 0, 0), frame(8, 6, 1)];
        let all = bytes(&sent);
        for piece in [1, 7, 9, 24, 1000, all.len()] {
            let mut frames = Frames::new();
            let mut found = Vec::new();
            for mut part in all.chunks(piece) {
                while let Some(frame) = frames.next(&mut part) {
                    found.push(frame);
                }
            }
            assert_eq!(found, sent, "pieces of {piece}");
        }
    }

    #[test]
    fn frames_that_do_nothing_are_idle() {
        for idle in [
            frame(0, 0, 0),
            frame(10, 0, Frame::PADDED),
            frame(5, 2, 0),
            frame(4, 3, 0),
            frame(6, 4, 0),
            frame(8, 6, 0),
            frame(8, 7, 0),
            frame(4, 8, 0),
            frame(100, 9, 0),
            frame(9, 99, 0),
        ] {
            assert!(idle.is_idle(), "{idle:?}");
        }
        for useful in [
            frame(1, 0, 0),
            frame(0, 0, 1),
            frame(30, 1, 4),
            frame(900, 0, 8),
        ] {
            assert!(!useful.is_idle(), "{useful:?}");
        }
    }

    #[test]
    fn an_allowance_is_renewed_after_its_window_and_by_use() {
        let start = Instant::now();
        let mut allowance = Allowance::new(2, start);
        assert!(allowance.take(|| start) && allowance.take(|| start));
        assert!(!allowance.take(|| start));
        allowance.give(1);
        assert!(allowance.take(|| start) && !allowance.take(|| start));
        assert!(allowance.take(|| start + WINDOW));
        allowance.give(100);
        assert_eq!(allowance.left, 2);
    }
}
