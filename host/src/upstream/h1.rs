//! HTTP/1.1: a connection carries one request at a time, and returns to a stack between them.

use std::{
    cell::RefCell,
    rc::{Rc, Weak},
    sync::Arc,
    time::{Duration, Instant},
};

use http::{Request, Response};
use hyper::client::conn::http1::SendRequest;
use tokio::task::AbortHandle;

use super::{
    Carrier, Connection, Connections, Name, NoAnswer, OnInterim, Past, RequestBody, body::Incoming,
    end::End,
};

/// Connections that wait for a request; the one used last is used first.
#[derive(Debug, Default)]
pub(super) struct Idle(RefCell<Vec<IdleConnection>>);

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
    end: End,
}

/// A connection that carries a request now.
#[derive(Debug)]
pub(super) struct Exclusive {
    name: Name,
    /// None once it has been released.
    open: Option<Open>,
    /// Where it returns to, unless that is gone by then.
    home: Weak<Connections>,
}

impl Idle {
    /// Takes the connection of this name that was used last and can be used again.
    pub(super) fn take(
        &self,
        home: &Rc<Connections>,
        name: &Name,
        now: Instant,
    ) -> Option<Connection> {
        let mut stack = self.0.borrow_mut();
        let connection = loop {
            // One that is closed is never ready; `sweep` drops it.
            let place = stack.iter().rposition(|connection| {
                connection.name == *name && connection.open.sender.is_ready()
            })?;
            let connection = stack.remove(place);
            if !connection.open.end.is_over(now) {
                break connection;
            }
        };
        if now.saturating_duration_since(connection.since) > home.keeping.timeout {
            stack.clear();
            return None;
        }
        let exclusive = Exclusive {
            open: Some(connection.open),
            name: connection.name,
            home: Rc::downgrade(home),
        };
        Some(Connection {
            carrier: Carrier::H1(exclusive),
            past: Past::Idle,
        })
    }

    /// Closes connections that have been idle for too long, or whose certificate has ended.
    pub(super) fn sweep(&self, timeout: Duration, now: Instant) {
        self.0.borrow_mut().retain(|connection| {
            !connection.open.sender.is_closed()
                && !connection.open.end.is_over(now)
                && now.saturating_duration_since(connection.since) <= timeout
        });
    }

    /// Closes all.
    pub(super) fn clear(&self) {
        self.0.borrow_mut().clear();
    }

    fn put(&self, limit: usize, open: Open, name: Name) {
        let mut stack = self.0.borrow_mut();
        if stack.len() >= limit {
            // The one used longest ago has the best chance of being closed by the other side soon.
            let oldest = stack.len().min(1);
            stack.drain(..oldest);
        }
        if limit > 0 {
            stack.push(IdleConnection {
                open,
                name,
                since: Instant::now(),
            });
        }
    }
}

impl Exclusive {
    /// One that has just been opened.
    pub(super) fn fresh(
        sender: SendRequest<RequestBody>,
        task: AbortHandle,
        name: &Name,
        home: &Rc<Connections>,
        end: End,
    ) -> Connection {
        let exclusive = Self {
            name: name.clone(),
            open: Some(Open { sender, task, end }),
            home: Rc::downgrade(home),
        };
        Connection {
            carrier: Carrier::H1(exclusive),
            past: Past::New,
        }
    }

    pub(super) async fn send(
        &mut self,
        mut request: Request<RequestBody>,
        interim: Option<&Arc<dyn OnInterim>>,
    ) -> Result<Response<Incoming>, NoAnswer> {
        if let Some(interim) = interim.map(Arc::clone) {
            hyper::ext::on_informational(&mut request, move |answer| {
                interim.came(answer.status(), answer.headers());
            });
        }
        let open = self.open.as_mut().expect("only `release` takes it");
        let response = open.sender.try_send_request(request).await;
        Ok(response.map_err(NoAnswer::of_h1)?.map(Incoming::H1))
    }

    pub(super) fn retire(&mut self) {
        self.home = Weak::new();
    }

    /// Returns to its stack; closed when that is gone or the connection is.
    pub(super) fn release(mut self) {
        let Some(home) = self.home.upgrade() else {
            return;
        };
        if let Some(open) = self.open.take_if(|open| !open.sender.is_closed()) {
            home.idle.put(home.keeping.max_idle, open, self.name.take());
            home.has_room();
        }
    }
}

impl Drop for Exclusive {
    /// Whatever it was doing ends now: the other side may never read or write another byte.
    fn drop(&mut self) {
        if let Some(open) = &self.open {
            open.task.abort();
        }
    }
}
