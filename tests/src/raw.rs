//! A socket for literal bytes, over TLS.

use std::{net::SocketAddr, sync::Arc};

use rustls_pki_types::{CertificateDer, ServerName};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::client::{Error, trusting};

/// A TLS connection of a client.
pub type TlsClient = TlsStream<TcpStream>;

/// One TLS connection to the gateway, on which a test writes what it likes.
#[derive(Debug)]
pub struct RawSocket {
    stream: TlsClient,
}

impl RawSocket {
    /// Connects under a server name, offering these protocols.
    pub async fn connect(
        address: SocketAddr,
        name: &str,
        root: CertificateDer<'static>,
        alpn: &[&str],
    ) -> Result<Self, Error> {
        let tcp = TcpStream::connect(address).await?;
        tcp.set_nodelay(true)?;
        let connector = TlsConnector::from(Arc::clone(&trusting(root, alpn)));
        let name = ServerName::try_from(name.to_owned())?;
        Ok(Self {
            stream: connector.connect(name, tcp).await?,
        })
    }

    /// The certificate that the gateway presented.
    pub fn certificate(&self) -> CertificateDer<'static> {
        let (_, session) = self.stream.get_ref();
        session.peer_certificates().unwrap()[0].clone().into_owned()
    }

    /// The protocol that was negotiated; empty when none was.
    pub fn alpn(&self) -> String {
        let (_, session) = self.stream.get_ref();
        String::from_utf8_lossy(session.alpn_protocol().unwrap_or_default()).into_owned()
    }

    /// The connection itself.
    pub fn into_inner(self) -> TlsClient {
        self.stream
    }

    /// Writes these bytes; a connection that has ended takes them as well.
    pub async fn try_send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
        let _ = self.stream.flush().await;
    }

    /// Writes these bytes.
    pub async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    /// Reads up to and with this end, and returns it all as text; panics when the
    /// connection ends first.
    pub async fn read_until(&mut self, end: &str) -> String {
        let mut read = Vec::new();
        while !read.ends_with(end.as_bytes()) {
            let byte = self.stream.read_u8().await;
            read.push(byte.unwrap_or_else(|error| {
                panic!("{error} after {:?}", String::from_utf8_lossy(&read))
            }));
        }
        String::from_utf8(read).unwrap()
    }

    /// Reads to the connection's end, whole or cut, and returns it all as text.
    pub async fn read_to_end(&mut self) -> String {
        let mut read = Vec::new();
        let _ = self.stream.read_to_end(&mut read).await;
        String::from_utf8_lossy(&read).into_owned()
    }
}
