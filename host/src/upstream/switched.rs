//! A connection to an endpoint that has stopped speaking HTTP (101).

use http::Version;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::{Connection, Incoming};

/// A connection that the endpoint has switched to another protocol. It never returns to its
/// stack; dropped, it is closed.
#[derive(Debug)]
pub struct Switched {
    /// Hands over its stream, so that it has to live until then.
    connection: Connection,
    stream: OnUpgrade,
}

impl Switched {
    /// The connection that this answer, a 101, has come on.
    pub fn new(mut connection: Connection, answer: &mut http::Response<Incoming>) -> Self {
        connection.retire();
        Self {
            connection,
            stream: hyper::upgrade::on(answer),
        }
    }

    /// The bytes behind the 101, and those to the endpoint.
    ///
    /// # Errors
    /// The connection has broken since.
    pub async fn stream(&mut self) -> hyper::Result<impl AsyncRead + AsyncWrite + Unpin + use<>> {
        debug_assert_eq!(self.connection.version(), Version::HTTP_11);
        (&mut self.stream).await.map(TokioIo::new)
    }
}
