//! Connections to endpoints: opened, verified, kept and used again. Each worker has its own;
//! a connection is used again only for the endpoint, the trust and the name that it was
//! opened for, since those make the [`Idle`] stack that it returns to.

mod body;
mod connect;
mod patience;
mod replay;

use std::{
    cell::RefCell,
    rc::{Rc, Weak},
    sync::Arc,
    time::{Duration, Instant},
};

use hyper::{
    body::Incoming,
    client::conn::{TrySendError, http1::SendRequest},
};
use rustls_pki_types::ServerName;
use tokio::task::AbortHandle;

pub use body::{BodyError, RequestBody, ResponseBody, Upload};
pub use connect::connect;
pub use patience::Deadline;
pub use replay::Source;

/// How one pool's endpoints are spoken to.
#[derive(Debug, Clone)]
pub enum Transport {
    /// TLS under this pool's trust.
    Tls(Arc<rustls::ClientConfig>, ServerName<'static>),
    /// Plain TCP.
    Plain,
}

impl PartialEq for Transport {
    /// Equal when a connection of one may carry a request of the other: same trust object,
    /// which is kept over a reload exactly when rules and files are the same, and same name.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Tls(trust, name), Self::Tls(other_trust, other_name)) => {
                Arc::ptr_eq(trust, other_trust) && name == other_name
            }
            (Self::Plain, Self::Plain) => true,
            _ => false,
        }
    }
}

/// The idle connections of one worker to one endpoint; the one used last is used first.
#[derive(Debug)]
pub struct Idle {
    stack: RefCell<Vec<IdleConnection>>,
    limit: usize,
    timeout: Duration,
}

#[derive(Debug)]
struct IdleConnection {
    open: Open,
    name: Name,
    since: Instant,
}

/// An open connection: where requests go in, and the task that moves its bytes.
#[derive(Debug)]
struct Open {
    sender: SendRequest<RequestBody>,
    task: AbortHandle,
}

/// The name that a connection was opened under, where that is the request's own; else none, as
/// all connections of a stack have the same.
pub type Name = Option<ServerName<'static>>;

/// A connection that carries a request now.
#[derive(Debug)]
pub struct Connection {
    name: Name,
    /// None once it has been released.
    open: Option<Open>,
    /// Where it returns to, unless that is gone by then.
    home: Weak<Idle>,
    /// Whether it has carried a request before this one.
    pub reused: bool,
}

impl Idle {
    /// An empty stack that keeps at most `limit` connections for at most `timeout`.
    pub fn new(limit: usize, timeout: Duration) -> Rc<Self> {
        Rc::new(Self {
            stack: RefCell::default(),
            limit,
            timeout,
        })
    }

    /// Takes the connection of this name that was used last and can be used again.
    pub fn take(self: &Rc<Self>, name: &Name, now: Instant) -> Option<Connection> {
        let mut stack = self.stack.borrow_mut();
        // One that is closed is never ready; `sweep` drops it.
        let place = stack.iter().rposition(|connection| {
            connection.name == *name && connection.open.sender.is_ready()
        })?;
        let connection = stack.remove(place);
        if now.saturating_duration_since(connection.since) > self.timeout {
            stack.clear();
            return None;
        }
        Some(Connection {
            open: Some(connection.open),
            name: connection.name,
            home: Rc::downgrade(self),
            reused: true,
        })
    }

    /// Closes connections that have been idle for too long.
    pub fn sweep(&self, now: Instant) {
        self.stack.borrow_mut().retain(|connection| {
            !connection.open.sender.is_closed()
                && now.saturating_duration_since(connection.since) <= self.timeout
        });
    }

    /// Closes all.
    pub fn clear(&self) {
        self.stack.borrow_mut().clear();
    }

    fn put(&self, open: Open, name: Name) {
        let mut stack = self.stack.borrow_mut();
        if stack.len() >= self.limit {
            // The one used longest ago has the best chance of being closed by the other side soon.
            let oldest = stack.len().min(1);
            stack.drain(..oldest);
        }
        if self.limit > 0 {
            stack.push(IdleConnection {
                open,
                name,
                since: Instant::now(),
            });
        }
    }
}

impl Connection {
    fn fresh(sender: SendRequest<RequestBody>, task: AbortHandle, home: &Rc<Idle>) -> Self {
        Self {
            name: None,
            open: Some(Open { sender, task }),
            home: Rc::downgrade(home),
            reused: false,
        }
    }

    /// Sends a request. An error carries the request when none of it was sent.
    pub async fn send(
        &mut self,
        request: http::Request<RequestBody>,
    ) -> Result<http::Response<Incoming>, TrySendError<http::Request<RequestBody>>> {
        let open = self.open.as_mut().expect("only `release` takes it");
        open.sender.try_send_request(request).await
    }

    /// Carries no request after this one.
    pub fn retire(&mut self) {
        self.home = Weak::new();
    }

    /// Returns to its stack; closed when that is gone or the connection is.
    fn release(mut self) {
        let Some(home) = self.home.upgrade() else {
            return;
        };
        if let Some(open) = self.open.take_if(|open| !open.sender.is_closed()) {
            home.put(open, self.name.take());
        }
    }
}

impl Drop for Connection {
    /// Whatever it was doing ends now: the other side may never read or write another byte.
    fn drop(&mut self) {
        if let Some(open) = &self.open {
            open.task.abort();
        }
    }
}
