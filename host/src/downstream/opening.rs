//! What stands before HTTP on a client's connection: perhaps a header of the PROXY protocol,
//! then TLS or not. Nothing that belongs to what follows is taken from the socket.

use std::{io, net::SocketAddr, time::Duration};

use ppp::{v1, v2};
use tokio::{io::AsyncReadExt as _, net::TcpStream, time::timeout};

use crate::{config::ProxyProtocol, error::ConnectionFault};

/// Longest header of version 1, its line end included.
const MAX_V1: usize = 107;
/// What both versions are at least as long as.
const MIN: usize = 12;
const V2_SIGNATURE: &[u8; MIN] = b"\r\n\r\n\0\r\nQUIT\n";
/// Longest header of version 2 that is read; addresses take 36 bytes of it, and what load
/// balancers add takes some hundreds.
const MAX_V2: usize = 4096;

/// The two ends of a client's connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ends {
    pub(super) peer: SocketAddr,
    pub(super) local: SocketAddr,
}

/// Reads the header that a trusted peer must send first, and returns whose connection it says
/// that this is; the peer's own, when it says nothing about that.
pub(super) async fn announced(
    stream: &mut TcpStream,
    seen: Ends,
    rules: &ProxyProtocol,
) -> Result<Ends, ConnectionFault> {
    if !rules.trusts(seen.peer.ip()) {
        return Err(ConnectionFault::ProxyUntrusted);
    }
    match timeout(rules.timeout, read(stream)).await {
        Ok(Ok(announced)) => Ok(announced.unwrap_or(seen)),
        Ok(Err(_)) => Err(ConnectionFault::ProxyInvalid),
        Err(_) => Err(ConnectionFault::ProxyTimeout),
    }
}

async fn read(stream: &mut TcpStream) -> io::Result<Option<Ends>> {
    let mut header = vec![0; MIN];
    stream.read_exact(&mut header).await?;
    if header == V2_SIGNATURE {
        header.resize(MIN + 4, 0);
        stream.read_exact(&mut header[MIN..]).await?;
        let length = usize::from(u16::from_be_bytes([header[MIN + 2], header[MIN + 3]]));
        if length > MAX_V2 {
            return Err(invalid());
        }
        header.resize(MIN + 4 + length, 0);
        stream.read_exact(&mut header[MIN + 4..]).await?;
        return version_2(&header);
    }
    if !header.starts_with(b"PROXY ") {
        return Err(invalid());
    }
    while !header.ends_with(b"\r\n") {
        if header.len() >= MAX_V1 {
            return Err(invalid());
        }
        header.push(stream.read_u8().await?);
    }
    version_1(&header)
}

fn invalid() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "no PROXY protocol header")
}

fn version_1(header: &[u8]) -> io::Result<Option<Ends>> {
    let header = v1::Header::try_from(header).map_err(|_| invalid())?;
    Ok(match header.addresses {
        v1::Addresses::Unknown => None,
        v1::Addresses::Tcp4(ip) => Some(Ends {
            peer: (ip.source_address, ip.source_port).into(),
            local: (ip.destination_address, ip.destination_port).into(),
        }),
        v1::Addresses::Tcp6(ip) => Some(Ends {
            peer: (ip.source_address, ip.source_port).into(),
            local: (ip.destination_address, ip.destination_port).into(),
        }),
    })
}

fn version_2(header: &[u8]) -> io::Result<Option<Ends>> {
    let header = v2::Header::try_from(header).map_err(|_| invalid())?;
    // A load balancer's own connection, to see whether the gateway lives.
    if header.command == v2::Command::Local {
        return Ok(None);
    }
    match header.addresses {
        v2::Addresses::Unspecified => Ok(None),
        v2::Addresses::IPv4(ip) => Ok(Some(Ends {
            peer: (ip.source_address, ip.source_port).into(),
            local: (ip.destination_address, ip.destination_port).into(),
        })),
        v2::Addresses::IPv6(ip) => Ok(Some(Ends {
            peer: (ip.source_address, ip.source_port).into(),
            local: (ip.destination_address, ip.destination_port).into(),
        })),
        v2::Addresses::Unix(_) => Err(invalid()),
    }
}

/// Whether the client speaks HTTP where TLS is spoken: what came first may be a method and a
/// space, and no record of TLS starts with a letter. Waits for the first bytes.
pub(super) async fn is_plain(stream: &TcpStream) -> io::Result<bool> {
    let mut first = [0; 16];
    let read = stream.peek(&mut first).await?;
    Ok(starts_like_http(first.get(..read).unwrap_or_default()))
}

fn starts_like_http(first: &[u8]) -> bool {
    let method = first.iter().position(|byte| *byte == b' ');
    let method = first
        .get(..method.unwrap_or(first.len()))
        .unwrap_or_default();
    !method.is_empty() && method.iter().all(u8::is_ascii_alphabetic)
}

/// Whether the client of a plain listener speaks HTTP/2 with prior knowledge (RFC 9113 §3.3).
/// Waits for its first bytes.
pub(super) async fn speaks_h2(stream: &TcpStream, limit: Duration) -> io::Result<bool> {
    let mut first = [0; 14];
    let read = timeout(limit, stream.peek(&mut first)).await??;
    let first = first.get(..read).unwrap_or_default();
    Ok(read >= 4 && b"PRI * HTTP/2.0".starts_with(first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_starts_with_a_method_and_other_protocols_do_not() {
        for http in [
            &b"G"[..],
            b"GET / HTTP/1.1\r\n",
            b"PROPFIND / HTTP/",
            b"PRI * HTTP/2.0\r\n",
        ] {
            assert!(starts_like_http(http), "{}", http.escape_ascii());
        }
        for other in [
            &b""[..],
            b"\x16\x03\x01",
            b"SSH-2.0-OpenSSH_",
            b"\x80\x2e\x01",
            b" GET",
            b"\0\0",
        ] {
            assert!(!starts_like_http(other), "{}", other.escape_ascii());
        }
    }
}
