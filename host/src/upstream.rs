//! Connections to endpoints: opened, verified, kept and used again. Each worker has its own;
//! a connection is used again only for the endpoint, the trust and the name that it was
//! opened for, since those make the [`Connections`] that it belongs to.

mod body;
mod connect;
mod connections;
mod end;
mod failure;
mod h1;
mod h2;
mod opening;
mod patience;
mod replay;
mod switched;

use std::{sync::Arc, time::SystemTime};

use http::{HeaderMap, Request, Response, StatusCode, Version};
use rustls_pki_types::ServerName;

pub use body::{BodyError, Incoming, RequestBody, ResponseBody, Upload};
pub use connect::{connect, offers};
pub use connections::Connections;
pub use failure::NoAnswer;
pub use opening::Opening;
pub use patience::Deadline;
pub use replay::{Ahead, Source};
pub use switched::Switched;

use crate::config::PoolHttp;

/// Takes the interim answers to a request (RFC 9110 §15.2), as they come.
pub trait OnInterim: Send + Sync {
    /// One has come, with this status and these fields.
    fn came(&self, status: StatusCode, fields: &HeaderMap);
}

/// How one pool's endpoints are spoken to.
#[derive(Debug, Clone)]
pub struct Transport {
    /// The pool's trust and the usual name; none without TLS.
    pub tls: Option<(Arc<rustls::ClientConfig>, ServerName<'static>)>,
    /// What is offered, or spoken without being asked.
    pub http: PoolHttp,
    /// The last second of the certificate that is presented, where there is one.
    pub own_end: Option<SystemTime>,
}

impl PartialEq for Transport {
    /// Equal when a connection of one may carry a request of the other: same trust object,
    /// which is kept over a reload exactly when rules and files are the same, same name and
    /// same choice of HTTP.
    fn eq(&self, other: &Self) -> bool {
        self.http == other.http
            && match (&self.tls, &other.tls) {
                (Some((trust, name)), Some((other_trust, other_name))) => {
                    Arc::ptr_eq(trust, other_trust) && name == other_name
                }
                (None, None) => true,
                _ => false,
            }
    }
}

/// The name that a connection was opened under, where that is the request's own; else none, as
/// all connections to an endpoint have the same.
pub type Name = Option<ServerName<'static>>;

/// A connection, or a stream of one, that carries a request now. Dropped before the end of the
/// answer, it ends the request: HTTP/1.1 with the connection, HTTP/2 with the stream alone.
#[derive(Debug)]
pub struct Connection {
    carrier: Carrier,
    /// What it has done before this request.
    pub past: Past,
}

#[derive(Debug)]
enum Carrier {
    H1(h1::Exclusive),
    H2(h2::Stream),
}

/// What a connection has done before a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Past {
    /// It was opened for this request.
    New,
    /// It carried others and idled then: the other side may be closing it.
    Idle,
    /// It carries others beside this one.
    Busy,
}

impl Connection {
    /// Which HTTP it speaks.
    pub fn version(&self) -> Version {
        match &self.carrier {
            Carrier::H1(_) => Version::HTTP_11,
            Carrier::H2(_) => Version::HTTP_2,
        }
    }

    /// Sends a request in the form that the connection's version wants, and waits for the head
    /// of its answer; the interim ones before it go to `interim`.
    ///
    /// # Errors
    /// See [`NoAnswer`].
    pub async fn send(
        &mut self,
        request: Request<RequestBody>,
        interim: Option<&Arc<dyn OnInterim>>,
    ) -> Result<Response<Incoming>, NoAnswer> {
        match &mut self.carrier {
            Carrier::H1(connection) => connection.send(request, interim).await,
            Carrier::H2(stream) => stream.send(request, interim).await,
        }
    }

    /// Whether a request may have met the end of an idle connection: endpoints close those at any
    /// time. One that has said GOAWAY has said with it what it acts on (RFC 9113 §6.8).
    pub fn may_have_raced(&self) -> bool {
        let told = match &self.carrier {
            Carrier::H1(_) => false,
            Carrier::H2(stream) => stream.is_told_to_go(),
        };
        self.past == Past::Idle && !told
    }

    /// Carries no request after this one, or these.
    pub fn retire(&mut self) {
        match &mut self.carrier {
            Carrier::H1(connection) => connection.retire(),
            Carrier::H2(stream) => stream.retire(),
        }
    }

    /// The answer was too late. Nothing else follows on a connection that is silent altogether.
    pub fn was_late(&mut self) {
        match &mut self.carrier {
            Carrier::H1(connection) => connection.retire(),
            Carrier::H2(stream) => stream.retire_if_silent(),
        }
    }

    /// The answer has ended: free for another request.
    fn release(self) {
        match self.carrier {
            Carrier::H1(connection) => connection.release(),
            Carrier::H2(stream) => drop(stream),
        }
    }
}
