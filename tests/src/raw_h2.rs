//! HTTP/2 as frames: literal ones, right or wrong, on a raw socket, as a client or a server.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time::timeout,
};

use crate::{
    gateway::Gateway,
    raw::{RawSocket, TlsClient},
    wait,
};

/// What a client's connection starts with (RFC 9113 §3.4).
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Frame types (RFC 9113 §6).
pub mod kind {
    #![allow(missing_docs, reason = "named as in the RFC")]
    pub const DATA: u8 = 0;
    pub const HEADERS: u8 = 1;
    pub const PRIORITY: u8 = 2;
    pub const RST_STREAM: u8 = 3;
    pub const SETTINGS: u8 = 4;
    pub const PUSH_PROMISE: u8 = 5;
    pub const PING: u8 = 6;
    pub const GOAWAY: u8 = 7;
    pub const WINDOW_UPDATE: u8 = 8;
    pub const CONTINUATION: u8 = 9;
}

/// Ends the stream, or acknowledges.
pub const END_STREAM: u8 = 1;
/// Ends the header block.
pub const END_HEADERS: u8 = 4;

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// See [`kind`].
    pub kind: u8,
    /// Its flags.
    pub flags: u8,
    /// 0 for the connection.
    pub stream: u32,
    /// What it carries.
    pub payload: Vec<u8>,
}

impl Frame {
    /// The error code of a RST_STREAM or GOAWAY.
    pub fn code(&self) -> u32 {
        let at = if self.kind == kind::GOAWAY { 4 } else { 0 };
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }
}

/// The bytes of a frame.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, a, b, c] = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = vec![a, b, c, kind, flags];
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A header block of literal fields, none of them indexed (RFC 7541 §6.2.2).
pub fn block(fields: &[(&[u8], &[u8])]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            integer(&mut block, text.len());
            block.extend(*text);
        }
    }
    block
}

/// An integer with a prefix of seven bits (RFC 7541 §5.1).
fn integer(out: &mut Vec<u8>, value: usize) {
    if value < 127 {
        return out.push(u8::try_from(value).unwrap());
    }
    out.push(127);
    let mut rest = value - 127;
    while rest >= 128 {
        out.push(u8::try_from(rest % 128).unwrap() | 128);
        rest /= 128;
    }
    out.push(u8::try_from(rest).unwrap());
}

/// HEADERS with these fields in one frame.
pub fn headers(stream: u32, flags: u8, fields: &[(&[u8], &[u8])]) -> Vec<u8> {
    frame(kind::HEADERS, flags | END_HEADERS, stream, &block(fields))
}

/// The four pseudo-fields of a request for `shop.example`.
pub fn request<'a>(method: &'a str, path: &'a str) -> Vec<(&'a [u8], &'a [u8])> {
    vec![
        (b":method", method.as_bytes()),
        (b":scheme", b"https"),
        (b":authority", b"shop.example"),
        (b":path", path.as_bytes()),
    ]
}

/// A whole GET.
pub fn get(stream: u32, path: &str) -> Vec<u8> {
    headers(stream, END_STREAM, &request("GET", path))
}

/// A SETTINGS frame with these (RFC 9113 §6.5).
pub fn settings(settings: &[(u16, u32)]) -> Vec<u8> {
    let mut payload = Vec::new();
    for (id, value) in settings {
        payload.extend(id.to_be_bytes());
        payload.extend(value.to_be_bytes());
    }
    frame(kind::SETTINGS, 0, 0, &payload)
}

/// A connection that speaks frames.
#[derive(Debug)]
pub struct RawH2<S = TlsClient> {
    stream: S,
}

impl RawH2 {
    /// Connects, and sends the preface and these settings.
    pub async fn open(gateway: &Gateway, with: &[(u16, u32)]) -> Self {
        let mut socket = Self::without_preface(gateway).await;
        socket.send(PREFACE).await;
        socket.send(&settings(with)).await;
        socket
    }

    /// Connects, and sends nothing.
    pub async fn without_preface(gateway: &Gateway) -> Self {
        let socket: RawSocket = gateway.raw_with(&["h2"]).await;
        assert_eq!(socket.alpn(), "h2");
        Self {
            stream: socket.into_inner(),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> RawH2<S> {
    /// Writes these bytes; a connection that has ended takes them as well.
    pub async fn send(&mut self, bytes: &[u8]) {
        let written = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        let _ = written.await;
    }

    /// The next frame; none when the connection has ended.
    pub async fn read(&mut self) -> Option<Frame> {
        timeout(wait::DEADLINE, read_frame(&mut self.stream))
            .await
            .expect("a frame or the end of the connection")
    }

    /// The next frame of this kind; none when the connection ends first.
    pub async fn read_kind(&mut self, kind: u8) -> Option<Frame> {
        loop {
            let frame = self.read().await?;
            if frame.kind == kind {
                return Some(frame);
            }
        }
    }

    /// Reads until this stream has ended: its HEADERS, or what reset it or the connection;
    /// none when the connection ended without a word.
    pub async fn outcome(&mut self, stream: u32) -> Option<Frame> {
        loop {
            let frame = self.read().await?;
            let of_stream =
                frame.stream == stream && matches!(frame.kind, kind::HEADERS | kind::RST_STREAM);
            if of_stream || frame.kind == kind::GOAWAY {
                return Some(frame);
            }
        }
    }

    /// Reads to the end of the connection, within the time that tests may take.
    pub async fn ends(&mut self) {
        while self.read().await.is_some() {}
    }

    /// Writes this piece so many times while reading what comes; whether the gateway ended the
    /// connection.
    pub async fn flood(self, piece: &[u8], times: usize) -> bool {
        let (mut reader, mut writer) = tokio::io::split(self.stream);
        let mut reading = tokio::spawn(async move {
            let mut sink = vec![0; 16 << 10];
            while matches!(reader.read(&mut sink).await, Ok(1..)) {}
        });
        for _ in 0..times {
            let sent = timeout(wait::DEADLINE, writer.write_all(piece)).await;
            if !matches!(sent, Ok(Ok(()))) {
                return reading.is_finished() || sent.is_ok();
            }
        }
        let _ = writer.flush().await;
        let ended = timeout(Duration::from_secs(2), &mut reading).await.is_ok();
        reading.abort();
        ended
    }
}

/// A server without TLS that leaves every frame to its test.
#[derive(Debug)]
pub struct RawH2Server {
    listener: TcpListener,
}

impl RawH2Server {
    /// Listens on a free port of the loopback.
    pub async fn start() -> Self {
        Self {
            listener: TcpListener::bind("127.0.0.1:0").await.unwrap(),
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    /// The next connection, once its preface has come; these settings are sent.
    pub async fn accept(&self, with: &[(u16, u32)]) -> RawH2<TcpStream> {
        let accepted = async {
            let (mut stream, _) = self.listener.accept().await.unwrap();
            let mut preface = [0; PREFACE.len()];
            stream.read_exact(&mut preface).await.unwrap();
            assert_eq!(preface, PREFACE);
            RawH2 { stream }
        };
        let mut socket = timeout(wait::DEADLINE, accepted)
            .await
            .expect("a connection");
        socket.send(&settings(with)).await;
        socket
    }

    /// Whether somebody connects within this time.
    pub async fn is_connected_to(&self, within: Duration) -> bool {
        timeout(within, self.listener.accept()).await.is_ok()
    }
}

impl RawH2<TcpStream> {
    /// The stream of the next request.
    pub async fn request(&mut self) -> u32 {
        let head = self.read_kind(kind::HEADERS).await;
        head.expect("a request").stream
    }

    /// Answers a request with 200 and this body.
    pub async fn answer(&mut self, stream: u32, body: &[u8]) {
        self.send(&headers(stream, 0, &[(b":status", b"200")]))
            .await;
        self.send(&frame(kind::DATA, END_STREAM, stream, body))
            .await;
    }
}

async fn read_frame<S: AsyncRead + Unpin>(stream: &mut S) -> Option<Frame> {
    let mut head = [0; 9];
    stream.read_exact(&mut head).await.ok()?;
    let [a, b, c, kind, flags, id @ ..] = head;
    let mut payload = vec![0; usize::try_from(u32::from_be_bytes([0, a, b, c])).unwrap()];
    stream.read_exact(&mut payload).await.ok()?;
    Some(Frame {
        kind,
        flags,
        stream: u32::from_be_bytes(id),
        payload,
    })
}
