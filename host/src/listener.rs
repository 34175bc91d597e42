//! Accepting connections: one loop per listener and local. A connection is handed on at once,
//! so that a silent client holds up nobody; a full worker or an exhausted system pauses it.

use std::{
    collections::HashMap,
    io,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use crate::{
    downstream,
    local::{Local, OpenConnection},
    snapshot::Socket,
};

/// How long accepting pauses when the system has no descriptor or memory left, or the worker
/// has all the connections that it may have.
const PAUSE: Duration = Duration::from_millis(50);
/// How often it is told that there are too many connections.
const TELL_AGAIN: Duration = Duration::from_secs(10);

/// The loops of one local.
#[derive(Default)]
pub struct Acceptors {
    /// By address of the shared socket, which the entry keeps alive.
    running: HashMap<*const Socket, (Arc<Socket>, JoinHandle<()>)>,
}

impl Acceptors {
    /// Starts and stops loops until they are those of the worker's snapshot. Connections of a
    /// listener that is gone go on.
    pub fn follow(&mut self, local: &Rc<Local>) {
        let snapshot = local.snapshot();
        let wanted: Vec<_> = snapshot
            .shared
            .listeners
            .iter()
            .map(|listener| &listener.socket)
            .collect();
        self.running.retain(|_, (socket, task)| {
            let stays = wanted.iter().any(|wanted| Arc::ptr_eq(wanted, socket));
            if !stays {
                task.abort();
            }
            stays
        });
        if local.drain.started() {
            return;
        }
        for socket in wanted {
            self.running
                .entry(Arc::as_ptr(socket))
                .or_insert_with(|| (Arc::clone(socket), start(local, socket)));
        }
    }

    /// Stops all loops.
    pub fn stop(&mut self) {
        self.running.drain().for_each(|(_, (_, task))| task.abort());
    }
}

fn start(local: &Rc<Local>, socket: &Arc<Socket>) -> JoinHandle<()> {
    let local = Rc::clone(local);
    let socket = Arc::clone(socket);
    tokio::task::spawn_local(async move {
        let listener = socket.take(local.index).map(TcpListener::from_std);
        match listener {
            Some(Ok(listener)) => accept_all(&local, &socket, &listener).await,
            Some(Err(error)) => {
                tracing::error!(address = %socket.address, %error, "cannot accept connections")
            }
            None => {
                tracing::error!(address = %socket.address, "the listening socket is in use already")
            }
        }
    })
}

async fn accept_all(local: &Rc<Local>, socket: &Arc<Socket>, listener: &TcpListener) {
    let mut troubled = false;
    let mut told: Option<Instant> = None;
    loop {
        if is_full(local) && told.is_none_or(|told| told.elapsed() > TELL_AGAIN) {
            told = Some(Instant::now());
            tracing::warn!(address = %socket.address, "accepting pauses: there are as many connections as may be");
        }
        while is_full(local) {
            tokio::time::sleep(PAUSE).await;
        }
        match listener.accept().await {
            Ok((stream, _)) => {
                troubled = false;
                hand_on(local, socket, stream);
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                if !std::mem::replace(&mut troubled, true) {
                    tracing::error!(address = %socket.address, %error, "accepting pauses");
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

fn is_full(local: &Local) -> bool {
    let snapshot = local.snapshot();
    let limits = &snapshot.shared.config.limits;
    local.connections.get() >= limits.connections_per_worker
        || !local.admission.has_room(limits.connections)
}

/// Serves the connection with the listener that has this address now.
fn hand_on(local: &Rc<Local>, socket: &Arc<Socket>, stream: TcpStream) {
    let snapshot = local.snapshot();
    let listener = snapshot
        .shared
        .listeners
        .iter()
        .find(|listener| Arc::ptr_eq(&listener.socket, socket));
    if let Some(listener) = listener {
        let open = OpenConnection::new(Rc::clone(local), Arc::clone(listener));
        tokio::task::spawn_local(downstream::serve(open, stream));
    }
}

/// Errors that say something about the connection that was about to be accepted, and nothing
/// about the next one.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
    )
}
