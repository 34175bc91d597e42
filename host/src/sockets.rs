//! Listening sockets: bound here, passed by a supervisor, or handed over by the process that
//! this one replaces. An address has one for each worker (`SO_REUSEPORT`), or fewer that workers
//! share. They are kept here as well, so that they can be handed on.

mod passed;

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use socket2::{Domain, Protocol, SockRef, Socket as RawSocket, Type};

use crate::keepalive;

pub use passed::{HANDED_OVER, HandOver, Passed};

/// Connections that the kernel holds until a worker accepts them.
const BACKLOG: i32 = 4096;

/// Where the sockets of listeners come from.
#[derive(Debug, Clone)]
pub enum Sockets {
    /// From whoever has started this process, else bound.
    Open(Arc<Origin>),
    /// Nowhere: a configuration is checked, perhaps that of a gateway which runs and has the
    /// addresses.
    Leave,
}

/// What new listeners may take.
#[derive(Debug, Default)]
pub struct Origin {
    /// Sockets that were passed to this process and that no listener has taken.
    pub passed: Passed,
    /// Whether another gateway may have the same addresses.
    pub overlap: bool,
}

/// One address, with the sockets that listen there.
#[derive(Debug)]
pub struct Socket {
    /// As in the configuration.
    pub configured: SocketAddr,
    /// With the port that the system chose, where the configuration says 0.
    pub address: SocketAddr,
    workers: usize,
    listening: Mutex<Vec<TcpListener>>,
}

impl Socket {
    /// The sockets of an address: those that were passed for it, else new ones.
    ///
    /// Fails when anyone else listens there, `SO_REUSEPORT` or not: two gateways that share a
    /// port by accident would each get half of the connections.
    pub fn open(
        name: &str,
        address: SocketAddr,
        workers: usize,
        origin: &Origin,
    ) -> io::Result<Self> {
        let passed = origin.passed.take(name, address);
        match passed.is_empty() {
            true => Self::bind(address, workers, origin.overlap),
            false => Self::adopt(address, workers, passed),
        }
    }

    fn bind(address: SocketAddr, workers: usize, overlap: bool) -> io::Result<Self> {
        if !overlap {
            raw(address)?.bind(&address.into())?;
        }
        let first = listen(address)?;
        let bound = first.local_addr()?;
        let mut listening = vec![first];
        for _ in 1..workers {
            listening.push(listen(bound)?);
        }
        Ok(Self::of(address, bound, workers, listening))
    }

    /// Every socket that was passed is accepted from, as clients may wait on each. Workers get
    /// more of their own only beside sockets that were made for that.
    fn adopt(address: SocketAddr, workers: usize, passed: Vec<TcpListener>) -> io::Result<Self> {
        let mut bound = address;
        let mut alone = false;
        for listener in &passed {
            listener.set_nonblocking(true)?;
            keepalive::set(listener);
            bound = listener.local_addr()?;
            alone |= !SockRef::from(listener).reuse_port()?;
        }
        let mut listening = passed;
        while !alone && listening.len() < workers {
            match listen(bound) {
                Ok(more) => listening.push(more),
                // Another user's sockets: workers share those that there are.
                Err(_) => break,
            }
        }
        Ok(Self::of(address, bound, workers, listening))
    }

    fn of(
        configured: SocketAddr,
        address: SocketAddr,
        workers: usize,
        listening: Vec<TcpListener>,
    ) -> Self {
        Self {
            configured,
            address,
            workers: workers.max(1),
            listening: Mutex::new(listening),
        }
    }

    /// A socket that nobody will accept from.
    pub fn unopened(address: SocketAddr) -> Self {
        Self::of(address, address, 1, Vec::new())
    }

    /// What this worker accepts from; nothing once it is closed.
    pub fn take(&self, worker: usize) -> io::Result<Vec<TcpListener>> {
        let listening = self.lock();
        share(worker, self.workers, listening.len())
            .into_iter()
            .filter_map(|index| listening.get(index))
            .map(TcpListener::try_clone)
            .collect()
    }

    /// All its sockets, for the process that will replace this one.
    pub fn hand_over(&self, name: &str) -> io::Result<Vec<HandOver>> {
        let listening = self.lock();
        let handed = listening.iter().map(|listener| {
            Ok(HandOver {
                name: name.to_owned(),
                configured: self.configured,
                socket: listener.try_clone()?.into(),
            })
        });
        handed.collect()
    }

    /// Lets go of what is kept here; each worker closes its own. What waits to be accepted is
    /// reset when the last of them is closed, unless another process has the socket as well.
    pub fn close(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, Vec<TcpListener>> {
        self.listening
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Which of so many sockets a worker accepts from, so that each socket has a worker and each
/// worker a socket.
fn share(worker: usize, workers: usize, sockets: usize) -> Vec<usize> {
    match sockets {
        0 => Vec::new(),
        few if few < workers => vec![worker % few],
        many => (worker..many).step_by(workers).collect(),
    }
}

fn raw(address: SocketAddr) -> io::Result<RawSocket> {
    let socket = RawSocket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    Ok(socket)
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = raw(address)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    keepalive::set(&socket);
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_socket_has_a_worker_and_each_worker_a_socket() {
        for (workers, sockets) in [(1, 1), (2, 2), (2, 1), (3, 2), (1, 4), (2, 5), (4, 3)] {
            let shares: Vec<_> = (0..workers)
                .map(|worker| share(worker, workers, sockets))
                .collect();
            assert!(shares.iter().all(|share| !share.is_empty()), "{shares:?}");
            for socket in 0..sockets {
                assert!(
                    shares.iter().any(|share| share.contains(&socket)),
                    "{socket} in {shares:?}"
                );
            }
        }
        assert!(share(0, 2, 0).is_empty());
    }

    #[test]
    fn an_address_in_use_is_taken_only_to_overlap() {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let first = Socket::open("a", any, 2, &Origin::default()).expect("a free port");
        let address = first.address;
        Socket::open("a", address, 2, &Origin::default()).expect_err("in use");
        let overlap = Origin {
            overlap: true,
            ..Origin::default()
        };
        let second = Socket::open("a", address, 2, &overlap).expect("both listen");
        assert_eq!(second.address, address);
        first.close();
        second.close();
        Socket::open("a", address, 2, &Origin::default()).expect("free again");
    }
}
