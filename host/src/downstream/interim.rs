//! Interim answers of an upstream (RFC 9110 §15.2: 103, Early Hints) on their way to an HTTP/1.1
//! client. The server library has no way to send them; so they wait here, as bytes, until the
//! client's stream has nothing else to write, and the final answer waits for them.

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use http::{HeaderMap, StatusCode};
use tokio::sync::Notify;

use crate::{headers, upstream::OnInterim};

/// Bytes that may wait for a client; what comes on top of them is dropped, which an interim
/// answer always may be.
const MOST: usize = 64 << 10;

/// The interim answers of one connection that are not written yet. All of it happens on one
/// thread; the lock is for the upstream's callback, which has to be `Send`.
#[derive(Debug, Default)]
pub(super) struct Interim {
    bytes: Mutex<Vec<u8>>,
    waits: AtomicBool,
    queued: Notify,
    written: Notify,
}

impl Interim {
    /// What is to be written next; empty when nothing waits.
    pub(super) fn take(&self) -> Vec<u8> {
        match self.waits() {
            true => std::mem::take(&mut *self.bytes()),
            false => Vec::new(),
        }
    }

    /// What was taken has been written.
    pub(super) fn written(&self) {
        if self.bytes().is_empty() {
            self.waits.store(false, Ordering::Relaxed);
            self.written.notify_one();
        }
    }

    /// Completes when there is something to write.
    pub(super) async fn queued(&self) {
        self.queued.notified().await;
    }

    /// Completes when nothing waits any more. The deadline is that of the client's stream, which
    /// ends the connection when the client reads nothing.
    pub(super) async fn all_written(&self) {
        while self.waits() {
            self.written.notified().await;
        }
    }

    fn waits(&self) -> bool {
        self.waits.load(Ordering::Relaxed)
    }

    fn bytes(&self) -> MutexGuard<'_, Vec<u8>> {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OnInterim for Interim {
    fn came(&self, status: StatusCode, fields: &HeaderMap) {
        let Some(fields) = headers::interim(status, fields) else {
            return;
        };
        let answer = encode(status, &fields);
        let mut bytes = self.bytes();
        if bytes.len() + answer.len() <= MOST {
            bytes.extend_from_slice(&answer);
            self.waits.store(true, Ordering::Relaxed);
            self.queued.notify_one();
        }
    }
}

fn encode(status: StatusCode, fields: &HeaderMap) -> Vec<u8> {
    let reason = status.canonical_reason().unwrap_or_default();
    let mut bytes = format!("HTTP/1.1 {} {reason}\r\n", status.as_u16()).into_bytes();
    for (name, value) in fields {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            bytes.extend_from_slice(part);
        }
    }
    bytes.extend_from_slice(b"\r\n");
    bytes
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn hints(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        fields
            .iter()
            .map(|(name, value)| {
                (
                    http::HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect()
    }

    #[test]
    fn early_hints_lose_what_belongs_to_one_connection() {
        let interim = Interim::default();
        let fields = hints(&[
            ("link", "</a.css>; rel=preload"),
            ("connection", "x-a"),
            ("x-a", "1"),
            ("content-length", "3"),
        ]);
        interim.came(StatusCode::EARLY_HINTS, &fields);
        assert_eq!(
            interim.take(),
            b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\n"
        );
    }

    #[test]
    fn continue_and_switching_protocols_are_no_upstreams_to_send() {
        let interim = Interim::default();
        interim.came(StatusCode::CONTINUE, &HeaderMap::new());
        interim.came(StatusCode::SWITCHING_PROTOCOLS, &HeaderMap::new());
        assert!(interim.take().is_empty());
    }

    #[test]
    fn what_a_client_does_not_read_is_bounded() {
        let interim = Interim::default();
        let fields = hints(&[("link", "</a.css>; rel=preload")]);
        for _ in 0..10_000 {
            interim.came(StatusCode::EARLY_HINTS, &fields);
        }
        let waiting = interim.take().len();
        assert!(waiting > MOST / 2 && waiting <= MOST, "{waiting}");
    }

    #[tokio::test]
    async fn the_final_answer_waits_until_all_is_written() {
        let interim = Interim::default();
        interim.all_written().await;
        interim.came(StatusCode::EARLY_HINTS, &HeaderMap::new());
        interim.queued().await;
        let write = async {
            drop(interim.take());
            interim.written();
        };
        tokio::join!(interim.all_written(), write);
    }
}
