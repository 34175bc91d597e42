//! From HTTP to a tunnel on a connection of HTTP/1.1: it goes over to what the endpoint has
//! agreed to speak.

use std::{cell::RefCell, task::Poll};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};

use crate::{downstream::client_stream::ClientStream, proxy::Tunnel};

/// What comes behind HTTP on a connection of HTTP/1.1, if anything does.
#[derive(Default)]
pub(super) struct Switch(RefCell<Option<Box<Tunnel>>>);

impl Switch {
    /// What comes behind the answer that is given now.
    pub(super) fn note(&self, tunnel: Option<Box<Tunnel>>) {
        self.0.replace(tunnel);
    }

    /// Goes on where hyper has left the connection, with what it has read beyond the last request:
    /// with the tunnel, or with closing.
    pub(super) async fn finish<S>(&self, mut stream: ClientStream<S>, first: Bytes)
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let tunnel = self.0.take();
        match tunnel {
            Some(tunnel) => {
                let stream = stream.into_inner();
                tunnel.run(stream, first, |_, _| Poll::Pending).await;
            }
            None => drop(stream.shutdown().await),
        }
    }
}
