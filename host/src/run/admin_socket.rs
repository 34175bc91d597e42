//! The admin listener's socket and server: up before the gateway is, so that a start which takes
//! long is told from one that hangs; handed over and given up as listeners are.

use std::{io, net::SocketAddr, sync::Arc};

use tokio::{net::TcpListener, task::JoinHandle};

use crate::{
    admin,
    sockets::{HandOver, Origin, Socket},
};

/// What it is called among the sockets that are handed over; no listener can have this name.
const NAME: &str = "[admin]";

pub(super) struct AdminSocket {
    socket: Socket,
    shown: admin::Shown,
    server: Option<JoinHandle<()>>,
}

impl AdminSocket {
    pub(super) fn open(address: SocketAddr, origin: &Origin) -> io::Result<Self> {
        Ok(Self {
            socket: Socket::open(NAME, address, 1, origin)?,
            shown: admin::Shown::default(),
            server: None,
        })
    }

    /// Answers from now on; what there is to tell may come later.
    pub(super) fn serve(&mut self) -> io::Result<()> {
        tracing::info!(address = %self.socket.address, "admin listening");
        for listener in self.socket.take(0)? {
            let listener = TcpListener::from_std(listener)?;
            let served = admin::serve(listener, Arc::clone(&self.shown));
            self.server = Some(tokio::spawn(served));
        }
        Ok(())
    }

    /// The gateway has started.
    pub(super) fn show(&self, state: admin::State) {
        drop(self.shown.set(state));
    }

    /// Accepts no more; another process has the socket.
    pub(super) fn stop(&mut self) {
        if let Some(server) = self.server.take() {
            server.abort();
        }
        self.socket.close();
    }

    pub(super) fn hand_over(&self) -> io::Result<Vec<HandOver>> {
        self.socket.hand_over(NAME)
    }
}
