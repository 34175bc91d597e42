//! Accepting connections: one loop per listening socket and worker. A connection is handed on at
//! once, so that a silent client holds up nobody; a full worker or an exhausted system pauses it.

use std::{
    collections::HashMap,
    io,
    pin::pin,
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
    sockets::Socket,
};

/// How long accepting pauses when the system has no descriptor or memory left, or the worker
/// has all the connections that it may have.
const PAUSE: Duration = Duration::from_millis(50);
/// Connections that are taken from a socket before it is closed: as many as the kernel may hold.
const LAST: usize = 4096;
/// How often it is told that there are too many connections.
const TELL_AGAIN: Duration = Duration::from_secs(10);

/// The loops of one worker.
#[derive(Default)]
pub struct Acceptors {
    /// By address of the shared socket, which the entry keeps alive.
    running: HashMap<*const Socket, Running>,
}

struct Running {
    socket: Arc<Socket>,
    loops: Vec<JoinHandle<()>>,
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
        self.running.retain(|_, running| {
            let stays = wanted
                .iter()
                .any(|wanted| Arc::ptr_eq(wanted, &running.socket));
            if !stays {
                running.socket.close();
                running.loops.iter().for_each(JoinHandle::abort);
            }
            stays
        });
        for socket in wanted {
            if local.drain.started() {
                socket.close();
                continue;
            }
            self.running
                .entry(Arc::as_ptr(socket))
                .or_insert_with(|| Running::start(local, socket));
        }
    }

    /// Lets go of the sockets. The loops end by themselves when the worker's drain has started.
    pub fn close(&self) {
        for running in self.running.values() {
            running.socket.close();
        }
    }

    /// Whether the loops have ended, and with them all accepting.
    pub fn ended(&self) -> bool {
        let mut loops = self.running.values().flat_map(|running| &running.loops);
        loops.all(JoinHandle::is_finished)
    }
}

impl Running {
    fn start(local: &Rc<Local>, socket: &Arc<Socket>) -> Self {
        let listeners = socket.take(local.index).unwrap_or_else(|error| {
            tracing::error!(address = %socket.address, %error, "cannot accept connections");
            Vec::new()
        });
        let start = |listener| {
            let (local, socket) = (Rc::clone(local), Arc::clone(socket));
            tokio::task::spawn_local(async move {
                match TcpListener::from_std(listener) {
                    Ok(listener) => serve(&local, &socket, listener).await,
                    Err(error) => {
                        tracing::error!(address = %socket.address, %error, "cannot accept connections")
                    }
                }
            })
        };
        Self {
            socket: Arc::clone(socket),
            loops: listeners.into_iter().map(start).collect(),
        }
    }
}

/// Accepts until the drain starts, and then what the kernel has accepted by then: closing the
/// socket would reset it.
async fn serve(local: &Rc<Local>, socket: &Arc<Socket>, listener: TcpListener) {
    let mut drain = pin!(local.drain.wait());
    tokio::select! {
        biased;
        () = &mut drain => {}
        () = accept_all(local, socket, &listener) => {}
    }
    let Ok(listener) = listener.into_std() else {
        return;
    };
    for _ in 0..LAST {
        if is_full(local) {
            return;
        }
        let accepted = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) if is_of_one_connection(&error) => continue,
            Err(_) => return,
        };
        if accepted.set_nonblocking(true).is_ok()
            && let Ok(stream) = TcpStream::from_std(accepted)
        {
            hand_on(local, socket, stream);
        }
    }
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
