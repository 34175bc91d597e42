//! From HTTP to a tunnel, on the client's side: the connection of HTTP/1.1, or one stream of
//! HTTP/2, goes over to what the endpoint has agreed to speak.

use std::{cell::RefCell, rc::Rc};

use bytes::Bytes;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};

use super::client_stream::ClientStream;
use crate::proxy::Tunnel;

/// What goes on behind an answer that ends HTTP.
#[derive(Clone)]
pub(super) enum Behind {
    /// The connection, once hyper has left it.
    Connection(Rc<Switch>),
    /// The stream.
    Stream,
}

impl Behind {
    pub(super) fn note(&self, stream: OnUpgrade, tunnel: Option<Tunnel>) {
        match (self, tunnel) {
            (Self::Connection(switch), tunnel) => drop(switch.0.replace(tunnel)),
            (Self::Stream, Some(tunnel)) => run_on(stream, tunnel),
            (Self::Stream, None) => {}
        }
    }
}

/// What comes behind HTTP on a connection of HTTP/1.1, if anything does.
#[derive(Default)]
pub(super) struct Switch(RefCell<Option<Tunnel>>);

impl Switch {
    /// Goes on where hyper has left the connection, with what it has read beyond the last request:
    /// with the tunnel, or with closing.
    pub(super) async fn finish<S>(&self, mut stream: ClientStream<S>, first: Bytes)
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let tunnel = self.0.take();
        match tunnel {
            Some(tunnel) => tunnel.run(stream.into_inner(), first).await,
            None => drop(stream.shutdown().await),
        }
    }
}

/// Goes on with a stream of HTTP/2.
fn run_on(stream: OnUpgrade, tunnel: Tunnel) {
    tokio::task::spawn_local(async move {
        // A client that has gone by now is in the tunnel's record.
        if let Ok(upgraded) = stream.await {
            tunnel.run(TokioIo::new(upgraded), Bytes::new()).await;
        }
    });
}
