//! A name server that says what a test tells it to, over UDP and TCP of one port.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use hickory_proto::{
    op::{Message, Query, ResponseCode},
    rr::{RData, Record, RecordType},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, UdpSocket},
    task::JoinHandle,
};

/// The longest answer over UDP, bytes (RFC 9715 §3); longer ones must be asked for over TCP.
const UDP_LENGTH: usize = 1232;

/// What a name server says.
#[derive(Debug, Clone)]
pub enum Zone {
    /// These addresses, for so many seconds, whatever the name.
    Addresses(Vec<IpAddr>, u32),
    /// There is no such name.
    NoName,
    /// It has no address.
    NoAddress,
    /// SERVFAIL.
    Failure,
    /// Nothing at all.
    Silence,
}

impl Zone {
    /// Addresses of the loopback's network by their last number.
    pub fn loopback(last: &[u8], ttl: u32) -> Self {
        let ip = |last: &u8| IpAddr::from([127, 0, 0, *last]);
        Self::Addresses(last.iter().map(ip).collect(), ttl)
    }
}

/// A running name server; stops when dropped.
#[derive(Debug)]
pub struct NameServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    tasks: [JoinHandle<()>; 2],
}

#[derive(Debug)]
struct Shared {
    zone: Mutex<Zone>,
    queries: AtomicU64,
}

impl NameServer {
    /// A server on a free port of the loopback.
    pub async fn start(zone: Zone) -> Self {
        let shared = Arc::new(Shared {
            zone: Mutex::new(zone),
            queries: AtomicU64::new(0),
        });
        let (udp, tcp) = sockets().await;
        let address = udp.local_addr().unwrap();
        let tasks = [
            tokio::spawn(datagrams(udp, Arc::clone(&shared))),
            tokio::spawn(streams(tcp, Arc::clone(&shared))),
        ];
        Self {
            address,
            shared,
            tasks,
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Says something else from now on.
    pub fn say(&self, zone: Zone) {
        *self.shared.zone.lock().unwrap() = zone;
    }

    /// Questions so far.
    pub fn queries(&self) -> u64 {
        self.shared.queries.load(Relaxed)
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// One port that is free for both.
async fn sockets() -> (UdpSocket, TcpListener) {
    loop {
        let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = udp.local_addr().unwrap();
        if let Ok(tcp) = TcpListener::bind(address).await {
            return (udp, tcp);
        }
    }
}

async fn datagrams(socket: UdpSocket, shared: Arc<Shared>) {
    let mut buffer = [0; 4096];
    loop {
        let Ok((length, from)) = socket.recv_from(&mut buffer).await else {
            continue;
        };
        let answer = shared.answer(&buffer[..length]);
        let Some(answer) = answer else { continue };
        let bytes = answer.to_vec().unwrap();
        let bytes = match bytes.len() {
            ..=UDP_LENGTH => bytes,
            _ => {
                let mut short = answer.truncate();
                short.metadata.truncation = true;
                short.to_vec().unwrap()
            }
        };
        let _ = socket.send_to(&bytes, from).await;
    }
}

async fn streams(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(stream_of(stream, Arc::clone(&shared)));
        }
    }
}

/// Messages with their lengths before them (RFC 1035 §4.2.2).
async fn stream_of(mut stream: TcpStream, shared: Arc<Shared>) -> Option<()> {
    loop {
        let length = stream.read_u16().await.ok()?;
        let mut query = vec![0; length.into()];
        stream.read_exact(&mut query).await.ok()?;
        let Some(answer) = shared.answer(&query) else {
            continue;
        };
        let answer = answer.to_vec().unwrap();
        stream
            .write_u16(answer.len().try_into().unwrap())
            .await
            .ok()?;
        stream.write_all(&answer).await.ok()?;
    }
}

impl Shared {
    fn answer(&self, query: &[u8]) -> Option<Message> {
        self.queries.fetch_add(1, Relaxed);
        let query = Message::from_vec(query).ok()?;
        let mut answer = Message::response(query.metadata.id, query.metadata.op_code);
        answer.metadata.recursion_desired = query.metadata.recursion_desired;
        answer.metadata.recursion_available = true;
        answer.add_queries(query.queries.clone());
        match &*self.zone.lock().unwrap() {
            Zone::Silence => return None,
            Zone::Failure => answer.metadata.response_code = ResponseCode::ServFail,
            Zone::NoName => answer.metadata.response_code = ResponseCode::NXDomain,
            Zone::NoAddress => {}
            Zone::Addresses(addresses, ttl) => {
                let question = query.queries.first()?;
                let records = addresses
                    .iter()
                    .filter_map(|ip| record(question, *ip, *ttl));
                answer.add_answers(records);
            }
        }
        Some(answer)
    }
}

fn record(question: &Query, ip: IpAddr, ttl: u32) -> Option<Record> {
    let data = match (question.query_type(), ip) {
        (RecordType::A, IpAddr::V4(v4)) => RData::A(v4.into()),
        (RecordType::AAAA, IpAddr::V6(v6)) => RData::AAAA(v6.into()),
        _ => return None,
    };
    Some(Record::from_rdata(question.name().clone(), ttl, data))
}
