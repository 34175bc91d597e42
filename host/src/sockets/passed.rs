//! Sockets that were open when this process started: by socket activation (`LISTEN_FDS`,
//! sd_listen_fds(3)), or handed over by the gateway that this one replaces, which says in
//! [`HANDED_OVER`] what each is for.

use std::{
    env, io,
    net::{SocketAddr, TcpListener},
    os::fd::OwnedFd,
    sync::{Mutex, MutexGuard, PoisonError},
};

use listenfd::ListenFd;
use socket2::SockRef;

/// The environment variable that says what each handed-over socket is: `NAME=ADDRESS`, in their
/// order, with spaces between. It is there even when there is none.
pub const HANDED_OVER: &str = "WITGATE_HANDED_OVER";

/// A socket on its way to the process that will replace this one.
#[derive(Debug)]
pub struct HandOver {
    /// The listener's name.
    pub name: String,
    /// Its address in the configuration of this process.
    pub configured: SocketAddr,
    /// The socket.
    pub socket: OwnedFd,
}

/// Sockets that nobody has taken yet.
#[derive(Debug, Default)]
pub struct Passed {
    sockets: Mutex<Vec<PassedSocket>>,
    upgrade: bool,
}

#[derive(Debug)]
struct PassedSocket {
    /// The listener's name, or the `FileDescriptorName` of a socket unit.
    name: String,
    /// Where the listener of the process before was configured; none by socket activation.
    configured: Option<SocketAddr>,
    address: SocketAddr,
    listener: TcpListener,
}

impl Passed {
    /// Takes what the environment speaks of, which is possible once. Fails when any of it is no
    /// listening TCP socket.
    pub fn from_environment() -> io::Result<Self> {
        let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(':').map(str::to_owned);
        let handed_over = env::var(HANDED_OVER).ok();
        let mut places = handed_over.iter().flat_map(|all| all.split(' '));
        let mut open = ListenFd::from_env();
        let mut sockets = Vec::new();
        for index in 0..open.len() {
            let Some(listener) = open.take_tcp_listener(index)? else {
                continue;
            };
            if !SockRef::from(&listener).is_listener()? {
                let message = format!("socket {index} does not listen");
                return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
            }
            let name = names.next().unwrap_or_default();
            let place = places.next().and_then(place);
            let (name, configured) = match place {
                Some((name, configured)) => (name, Some(configured)),
                None => (name, None),
            };
            sockets.push(PassedSocket {
                name,
                configured,
                address: listener.local_addr()?,
                listener,
            });
        }
        Ok(Self {
            sockets: Mutex::new(sockets),
            upgrade: handed_over.is_some(),
        })
    }

    /// Whether a gateway waits for this one to take over from it.
    pub fn is_upgrade(&self) -> bool {
        self.upgrade
    }

    /// Those for a listener of this name and configured address.
    pub(super) fn take(&self, name: &str, configured: SocketAddr) -> Vec<TcpListener> {
        let mut sockets = self.lock();
        let taken = sockets.extract_if(.., |socket| socket.fits(name, configured));
        taken.map(|socket| socket.listener).collect()
    }

    /// Closes those that nobody has taken, and says which.
    pub fn close_the_rest(&self) {
        for socket in self.lock().drain(..) {
            let (name, address) = (socket.name, socket.address);
            match self.upgrade {
                true => tracing::info!(listener = name, %address, "no longer listening"),
                false => tracing::warn!(
                    name, %address, "a socket that was passed is of no listener: neither its name nor its address"
                ),
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<PassedSocket>> {
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PassedSocket {
    /// A socket unit says by its name which listener it is for, whatever the address; the
    /// configuration of the process before by the address, unless that leaves it to the system.
    fn fits(&self, name: &str, configured: SocketAddr) -> bool {
        match self.configured {
            Some(before) => before == configured && (before.port() != 0 || self.name == name),
            None => self.name == name || self.address == configured,
        }
    }
}

fn place(text: &str) -> Option<(String, SocketAddr)> {
    let (name, address) = text.split_once('=')?;
    Some((name.to_owned(), address.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(name: &str, configured: Option<&str>) -> (Passed, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        let socket = PassedSocket {
            name: name.to_owned(),
            configured: configured.map(|address| address.parse().expect("an address")),
            address,
            listener,
        };
        let passed = Passed {
            sockets: Mutex::new(vec![socket]),
            upgrade: configured.is_some(),
        };
        (passed, address)
    }

    fn at(address: &str) -> SocketAddr {
        address.parse().expect("an address")
    }

    #[test]
    fn a_socket_unit_is_found_by_its_name_or_its_address() {
        let (passed_for, _) = passed("public", None);
        assert!(passed_for.take("other", at("127.0.0.1:1")).is_empty());
        assert_eq!(passed_for.take("public", at("127.0.0.1:1")).len(), 1);
        let (unnamed, address) = passed("unknown", None);
        assert_eq!(unnamed.take("public", address).len(), 1);
        assert!(unnamed.take("public", address).is_empty());
    }

    #[test]
    fn a_listener_that_has_moved_takes_no_socket_of_the_process_before() {
        let (handed, _) = passed("public", Some("127.0.0.1:8443"));
        assert!(handed.take("public", at("127.0.0.1:8444")).is_empty());
        assert_eq!(handed.take("renamed", at("127.0.0.1:8443")).len(), 1);
        let (any_port, _) = passed("public", Some("127.0.0.1:0"));
        assert!(any_port.take("other", at("127.0.0.1:0")).is_empty());
        assert_eq!(any_port.take("public", at("127.0.0.1:0")).len(), 1);
    }

    #[test]
    fn places_are_names_and_addresses() {
        let known = place("public=[::1]:8443").expect("a place");
        assert_eq!(known, ("public".to_owned(), at("[::1]:8443")));
        for wrong in ["", "public", "public=", "public=8443"] {
            assert_eq!(place(wrong), None, "{wrong}");
        }
    }
}
