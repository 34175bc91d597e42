//! An endpoint that a test moves the bytes of, for what becomes a tunnel.

use std::{net::SocketAddr, time::Duration};

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time::timeout,
};

use crate::{gateway::Pool, wait};

/// Long enough for bytes that are on their way to come.
const QUIET: Duration = Duration::from_millis(200);

/// A listening endpoint without TLS.
#[derive(Debug)]
pub struct Endpoint(TcpListener);

impl Endpoint {
    /// On a free port of the loopback.
    pub async fn start() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    /// A pool of it alone.
    pub fn pool(&self) -> Pool {
        let address = self.address();
        Pool::of(&format!(
            "protocol = \"http\"\nendpoints = [{{ id = \"raw\", address = \"{address}\" }}]"
        ))
    }

    /// The next connection, and the head of the request on it.
    pub async fn request(&self) -> (TcpStream, String) {
        let accepted = timeout(wait::DEADLINE, self.0.accept()).await;
        let (mut stream, _) = accepted.expect("a connection").unwrap();
        stream.set_nodelay(true).unwrap();
        let head = head(&mut stream).await;
        (stream, head)
    }

    /// The next connection, switched to a WebSocket.
    pub async fn switched(&self) -> TcpStream {
        let (mut stream, head) = self.request().await;
        stream.write_all(switch(&head).as_bytes()).await.unwrap();
        stream
    }

    /// Asserts that nobody connects for a while.
    pub async fn is_left_alone(&self) {
        assert!(timeout(QUIET, self.0.accept()).await.is_err());
    }
}

/// The answer of a server of WebSockets.
pub fn switch(head: &str) -> String {
    let key = field(head, "sec-websocket-key").unwrap_or_default();
    let keyed = format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    let accept = STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, keyed.as_bytes()));
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-accept: {accept}\r\n\r\n"
    )
}

/// The value of a head's only field of this name.
pub fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let lines = head.split("\r\n").filter_map(|line| line.split_once(": "));
    let mut found = lines.filter(|(found, _)| found.eq_ignore_ascii_case(name));
    let value = found.next().map(|(_, value)| value);
    assert!(found.next().is_none(), "{name} twice in {head}");
    value
}

/// Reads up to and with the empty line.
pub async fn head(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut read = Vec::new();
    let reading = async {
        while !read.ends_with(b"\r\n\r\n") {
            read.push(stream.read_u8().await.unwrap());
        }
    };
    timeout(wait::DEADLINE, reading).await.expect("a head");
    String::from_utf8(read).unwrap()
}

/// Asserts that exactly these bytes come next.
pub async fn gets(stream: &mut (impl AsyncRead + Unpin), bytes: &[u8]) {
    let mut read = vec![0; bytes.len()];
    let reading = timeout(wait::DEADLINE, stream.read_exact(&mut read)).await;
    reading.expect("bytes").unwrap();
    assert_eq!(
        read.escape_ascii().to_string(),
        bytes.escape_ascii().to_string()
    );
}

/// Asserts that nothing comes for a while, not even the end.
pub async fn gets_nothing(stream: &mut (impl AsyncRead + Unpin)) {
    let read = timeout(QUIET, stream.read_u8()).await;
    assert!(read.is_err(), "{read:?}");
}

/// Asserts that the end comes next, and says whether it was a whole one.
pub async fn ends(stream: &mut (impl AsyncRead + Unpin)) -> bool {
    let read = timeout(wait::DEADLINE, stream.read(&mut [0])).await;
    match read.expect("the end") {
        Ok(0) => true,
        Ok(_) => panic!("a byte instead of the end"),
        Err(_) => false,
    }
}
