//! How many connections clients may have: in all, as far as the process has descriptors, and
//! each. Counted over all workers; touched when a connection comes and goes, never by requests.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

/// Descriptors that clients never get: for files that reloads read, logs, listeners and the
/// runtimes' own.
const RESERVED: usize = 64;
/// Maps of clients, each with a lock of its own, so that workers seldom meet.
const SHARDS: usize = 64;

/// The books of all workers.
#[derive(Debug)]
pub struct Admission {
    open: AtomicUsize,
    most: usize,
    clients: Box<[Mutex<HashMap<Client, u32>>]>,
}

/// A client: an IPv4 address, or the /64 network that an IPv6 client chooses addresses from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Client {
    V4(Ipv4Addr),
    V6([u16; 4]),
}

impl From<IpAddr> for Client {
    fn from(address: IpAddr) -> Self {
        let network = |v6: Ipv6Addr| {
            let [a, b, c, d, ..] = v6.segments();
            Self::V6([a, b, c, d])
        };
        match address.to_canonical() {
            IpAddr::V4(v4) => Self::V4(v4),
            IpAddr::V6(v6) => network(v6),
        }
    }
}

impl Admission {
    /// For a process with so many descriptors. Of those that are not reserved clients get half:
    /// each of their requests may need one to an endpoint.
    pub fn new(descriptors: usize) -> Arc<Self> {
        Arc::new(Self {
            open: AtomicUsize::new(0),
            most: (descriptors.saturating_sub(RESERVED) / 2).max(1),
            clients: (0..SHARDS).map(|_| Mutex::default()).collect(),
        })
    }

    /// Whether there is room for a connection more, when `limit` is what is configured.
    pub fn has_room(&self, limit: usize) -> bool {
        self.open.load(Ordering::Relaxed) < limit.min(self.most)
    }

    /// Enters a connection, until what this returns is dropped.
    pub fn enter(self: &Arc<Self>) -> Admitted {
        self.open.fetch_add(1, Ordering::Relaxed);
        Admitted {
            admission: Arc::clone(self),
            client: None,
        }
    }

    fn shard(&self, client: Client) -> &Mutex<HashMap<Client, u32>> {
        let spread = match client {
            Client::V4(v4) => u64::from(u32::from(v4)),
            Client::V6(network) => network
                .into_iter()
                .fold(0, |all, part| (all << 16) | u64::from(part)),
        };
        let mixed = spread.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        &self.clients[usize::try_from(mixed).unwrap_or_default() % SHARDS]
    }
}

/// A connection in the books.
#[derive(Debug)]
pub struct Admitted {
    admission: Arc<Admission>,
    client: Option<Client>,
}

impl Admitted {
    /// Enters it under its client's address; false when that has `most` already.
    pub fn is_within(&mut self, address: IpAddr, most: u32) -> bool {
        let client = Client::from(address);
        let shard = self.admission.shard(client);
        let mut clients = shard.lock().unwrap_or_else(PoisonError::into_inner);
        let count = clients.entry(client).or_default();
        if *count >= most {
            return false;
        }
        *count += 1;
        drop(clients);
        self.leave();
        self.client = Some(client);
        true
    }

    fn leave(&mut self) {
        let Some(client) = self.client.take() else {
            return;
        };
        let shard = self.admission.shard(client);
        let mut clients = shard.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = clients.get_mut(&client) {
            *count -= 1;
            if *count == 0 {
                clients.remove(&client);
            }
        }
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.leave();
        self.admission.open.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_client_gets_as_many_as_it_may_and_gives_them_back() {
        let admission = Admission::new(1000);
        let mut first = admission.enter();
        assert!(first.is_within(ip("192.0.2.1"), 1));
        let mut second = admission.enter();
        assert!(!second.is_within(ip("192.0.2.1"), 1));
        assert!(second.is_within(ip("192.0.2.2"), 1));
        drop(first);
        assert!(admission.enter().is_within(ip("192.0.2.1"), 1));
        drop(second);
        assert!(
            admission
                .clients
                .iter()
                .all(|shard| shard.lock().expect("no panic").is_empty())
        );
        assert_eq!(admission.open.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn addresses_of_one_ipv6_network_are_one_client() {
        let admission = Admission::new(1000);
        let mut first = admission.enter();
        assert!(first.is_within(ip("2001:db8:1:2::1"), 1));
        assert!(!admission.enter().is_within(ip("2001:db8:1:2:ffff::9"), 1));
        assert!(admission.enter().is_within(ip("2001:db8:1:3::1"), 1));
        assert_eq!(
            Client::from(ip("::ffff:192.0.2.1")),
            Client::from(ip("192.0.2.1"))
        );
    }

    #[test]
    fn descriptors_are_left_for_everything_else() {
        let admission = Admission::new(RESERVED + 4);
        let held: Vec<_> = (0..2).map(|_| admission.enter()).collect();
        assert!(!admission.has_room(100));
        drop(held);
        assert!(admission.has_room(100));
        assert!(!admission.has_room(0));
    }
}
