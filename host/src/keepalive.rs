//! TCP keepalive: finds a peer that is gone while nothing is said, as on an idle tunnel, and
//! keeps alive the entries that firewalls and balancers between have of the connection.

use std::{os::fd::AsFd, time::Duration};

use socket2::{SockRef, TcpKeepalive};

/// Silence before the first question; less than the 4 minutes after which Azure's balancers forget
/// a connection, and the 5 of other clouds'.
const TIME: Duration = Duration::from_secs(60);
/// Between questions. After nine without an answer, as Linux counts, the connection is reset.
const INTERVAL: Duration = Duration::from_secs(10);

/// Has the system look after this socket. Connections inherit it from the one that accepts them.
/// A refusal leaves it as it was: the idle deadlines hold all the same.
pub fn set(socket: &impl AsFd) {
    let keepalive = TcpKeepalive::new().with_time(TIME).with_interval(INTERVAL);
    let _ = SockRef::from(socket).set_tcp_keepalive(&keepalive);
}
