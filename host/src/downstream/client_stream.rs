//! The client's side of a connection, with what HTTP needs beyond reading and writing: a write
//! that makes no progress for too long is an error, so that a client which reads nothing holds
//! nothing; and closing lingers, so that a client which still sends reads its answer first.
//! Interim answers go out where HTTP has nothing of its own to write.

use std::{
    cell::Cell,
    io,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep},
};

use super::interim::Interim;
use crate::local::StreamWatch;

/// How long a client that still sends may take to read its answer and close (RFC 9112 §9.6).
/// Closing at once would have its unread bytes reset the connection, answer and all.
const LINGER: Duration = Duration::from_secs(5);

/// A stream to a client. Its timer is only touched when a write or the close has to wait.
#[derive(Debug)]
pub(super) struct ClientStream<S> {
    stream: S,
    limit: Duration,
    /// Of the answer that the connection carries, where that is one at a time.
    watch: Rc<StreamWatch>,
    /// Since when a write has had to wait.
    since: Instant,
    waiting: Option<Pin<Box<Sleep>>>,
    lingering: bool,
    interim: Arc<Interim>,
    /// What is being written of it.
    writing: Vec<u8>,
    /// What was read already, and is to be read once more.
    unread: Bytes,
    unsent: Rc<Cell<bool>>,
}

impl<S> ClientStream<S> {
    pub(super) fn new(
        stream: S,
        limit: Duration,
        watch: Rc<StreamWatch>,
        interim: Arc<Interim>,
    ) -> Self {
        Self {
            stream,
            limit,
            watch,
            since: Instant::now(),
            waiting: None,
            lingering: false,
            interim,
            writing: Vec::new(),
            unread: Bytes::new(),
            unsent: Rc::default(),
        }
    }

    /// Says at any time whether HTTP may have something to write that is not on its way.
    pub(super) fn unsent(&self) -> Rc<Cell<bool>> {
        Rc::clone(&self.unsent)
    }

    /// Has this read next, which was read already. What was put back before has been read by then.
    pub(super) fn put_back(&mut self, bytes: Bytes) {
        self.unread = bytes;
    }

    /// Without any of that.
    pub(super) fn into_inner(self) -> S {
        self.stream
    }

    /// Passes a result on; one that has been pending for the whole limit, or to the end of the
    /// answer's time, becomes an error.
    fn bounded<R>(
        &mut self,
        cx: &mut Context<'_>,
        result: Poll<io::Result<R>>,
    ) -> Poll<io::Result<R>> {
        if result.is_ready() {
            self.waiting = None;
            return result;
        }
        if self.waiting.is_none() {
            self.since = Instant::now();
        }
        let stalls = self.since + self.limit;
        let end = self.watch.end().map(Instant::from_std);
        let due = end.map_or(stalls, |end| end.min(stalls));
        let timer = self
            .waiting
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
        if timer.deadline() != due {
            timer.as_mut().reset(due);
        }
        ready!(timer.as_mut().poll(cx));
        self.watch.cut_now();
        Poll::Ready(Err(io::Error::new(
            io::ErrorKind::TimedOut,
            match due < stalls {
                true => "the request's time is over".to_owned(),
                false => format!("the client has read nothing for {:?}", self.limit),
            },
        )))
    }
}

impl<S: AsyncWrite + Unpin> ClientStream<S> {
    /// Writes the interim answers that wait.
    fn poll_interim(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.writing.is_empty() {
            self.writing = self.interim.take();
        }
        if self.writing.is_empty() {
            return Poll::Ready(Ok(()));
        }
        while !self.writing.is_empty() {
            let count = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.writing))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.writing.drain(..count);
        }
        self.interim.written();
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> ClientStream<S> {
    /// Reads to the end, or until the time to linger is over.
    fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut bytes = [0; 4096];
        loop {
            if let Some(timer) = &mut self.waiting
                && timer.as_mut().poll(cx).is_ready()
            {
                return Poll::Ready(Ok(()));
            }
            let mut buffer = ReadBuf::new(&mut bytes);
            let read = ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer));
            if read.is_err() || buffer.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ClientStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.unread.is_empty() {
            let count = self.unread.len().min(buffer.remaining());
            buffer.put_slice(&self.unread.split_to(count));
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for ClientStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.unsent.set(true);
        let result = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.bounded(cx, result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.unsent.set(true);
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.bounded(cx, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// HTTP flushes when it has written all that it has: between two messages, or while it waits
    /// for an answer. That is where an interim answer may stand.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = match self.poll_interim(cx) {
            Poll::Ready(Ok(())) => Pin::new(&mut self.stream).poll_flush(cx),
            other => other,
        };
        if let Poll::Ready(Ok(())) = result {
            self.unsent.set(false);
        }
        self.bounded(cx, result)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.lingering {
            let result = Pin::new(&mut self.stream).poll_shutdown(cx);
            ready!(self.bounded(cx, result))?;
            self.lingering = true;
            self.waiting = Some(Box::pin(tokio::time::sleep(LINGER)));
        }
        self.poll_discard(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;
    use crate::local::Cut;

    fn client_stream<S>(stream: S, limit: Duration) -> ClientStream<S> {
        ClientStream::new(stream, limit, Rc::default(), Arc::default())
    }

    #[tokio::test]
    async fn closing_reads_what_the_client_still_sends() {
        let (mut client, gateway) = tokio::io::duplex(8);
        let mut gateway = client_stream(gateway, Duration::from_secs(5));
        let sending = async {
            let sent = client.write_all(&[0; 64]).await;
            drop(client);
            sent
        };
        let (sent, closed) = tokio::join!(sending, gateway.shutdown());
        assert!(sent.is_ok() && closed.is_ok());
    }

    #[tokio::test]
    async fn a_reader_that_stalls_is_an_error() {
        let (_reader, writer) = tokio::io::duplex(8);
        let mut writer = client_stream(writer, Duration::from_millis(20));
        assert!(writer.write_all(b"12345678").await.is_ok());
        let error = writer.write_all(b"9").await.expect_err("nobody reads");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(writer.watch.cut(), Some(Cut::Stalled));
    }

    #[tokio::test]
    async fn a_reader_that_stalls_is_not_waited_for_beyond_the_end_of_the_request() {
        let (_reader, writer) = tokio::io::duplex(8);
        let mut writer = client_stream(writer, Duration::from_secs(60));
        let end = std::time::Instant::now() + Duration::from_millis(20);
        writer.watch.ends_at(end);
        assert!(writer.write_all(b"12345678").await.is_ok());
        let error = writer.write_all(b"9").await.expect_err("nobody reads");
        assert_eq!(error.to_string(), "the request's time is over");
        assert_eq!(writer.watch.cut(), Some(Cut::TimeOver));
    }
}
