//! A stream's answer until its head is sent: interim answers go out on it (RFC 9113 §8.1), and
//! it tells when the client gives up the request.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use bytes::Bytes;
use h2::server::SendResponse;
use http::{HeaderMap, Response, StatusCode};

use crate::{headers, upstream::OnInterim};

/// Bytes of interim answers to one request, counted as in RFC 9113 §6.5.2. No window holds them
/// up, so that all of them may wait for a client that does not read; what comes on top is
/// dropped, which an interim answer always may be.
const MOST: usize = 64 << 10;
/// What is counted for a field beside its bytes.
const FIELD: usize = 32;

/// What has yet to be answered. All of it happens on one thread; the lock is for the upstream's
/// callback, which has to be `Send`.
#[derive(Debug)]
pub(super) struct Reply(Mutex<State>);

#[derive(Debug)]
struct State {
    /// None once the answer itself begins, or nobody waits for it any more.
    respond: Option<SendResponse<Bytes>>,
    /// Bytes that may still be sent.
    left: usize,
}

impl Reply {
    pub(super) fn new(respond: SendResponse<Bytes>) -> Self {
        Self(Mutex::new(State {
            respond: Some(respond),
            left: MOST,
        }))
    }

    /// Takes the stream for the answer itself: no interim one is sent from here on.
    pub(super) fn take(&self) -> Option<SendResponse<Bytes>> {
        self.state().respond.take()
    }

    /// Ready when the client has reset the stream, or its connection has ended.
    pub(super) fn poll_reset(&self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.state().respond {
            Some(respond) => respond.poll_reset(cx).map(drop),
            None => Poll::Pending,
        }
    }

    /// Tells a client that waits for it to send its body (RFC 9110 §10.1.1).
    pub(super) fn go_on(&self) {
        self.state().send(StatusCode::CONTINUE, HeaderMap::new());
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn send(&mut self, status: StatusCode, fields: HeaderMap) {
        let lengths = fields
            .iter()
            .map(|(name, value)| name.as_str().len() + value.len() + FIELD);
        let size = FIELD + lengths.sum::<usize>();
        let (Some(respond), Some(left)) = (&mut self.respond, self.left.checked_sub(size)) else {
            return;
        };
        self.left = left;
        let mut answer = Response::new(());
        *answer.status_mut() = status;
        *answer.headers_mut() = fields;
        // It may be lost with its stream, which tells that itself.
        let _ = respond.send_informational(answer);
    }
}

impl OnInterim for Reply {
    fn came(&self, status: StatusCode, fields: &HeaderMap) {
        if let Some(fields) = headers::interim(status, fields) {
            self.state().send(status, fields);
        }
    }
}
