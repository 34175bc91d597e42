//! Calls that wait: what they ask of the gateway while they run, who answers, and how a call and
//! its answers go on side by side on one worker, so that neither holds it.

use std::{
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::sync::{mpsc, oneshot};

use super::error::DeadlineExceeded;
use crate::{
    config::{BodyLimits, CalloutLimits, Grant, Sidecar},
    total::Total,
};

/// What one call may ask altogether.
const MAX_ASKS: u32 = 32;

/// What a call that waits asks of the gateway.
#[derive(Debug)]
pub enum Ask {
    /// A request to a pool that the plugin may ask.
    Callout(
        Box<Callout>,
        oneshot::Sender<Result<CalloutAnswer, CalloutFailure>>,
    ),
    /// The first bytes of the request's body, so many, within this time, which are kept as part of
    /// this total.
    Body(
        usize,
        Duration,
        Arc<Total>,
        oneshot::Sender<Result<BodyStart, BodyFailure>>,
    ),
}

/// A request of a plugin's own, checked.
#[derive(Debug, Clone)]
pub struct Callout {
    /// The pool's name.
    pub pool: String,
    /// Method, path and query, fields; the authority where the plugin names one.
    pub head: http::request::Parts,
    /// At most 64 KiB.
    pub body: Bytes,
    /// Until the whole answer has to be there.
    pub timeout: Duration,
    /// The most that the answer's body may have.
    pub most: usize,
}

/// What a pool has answered.
#[derive(Debug, Clone)]
pub struct CalloutAnswer {
    /// Status and fields.
    pub head: http::response::Parts,
    /// Whole.
    pub body: Vec<u8>,
}

/// Why a callout has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CalloutFailure {
    /// The configuration has no such pool.
    #[error("pool {0:?} is not declared")]
    UndeclaredPool(String),
    /// No endpoint could be asked, or the answer broke off; a cause of `Proxy-Status`.
    #[error("{0}")]
    Unavailable(String),
    /// It was not whole in time.
    #[error("no whole answer within {0:?}")]
    Timeout(Duration),
    /// It has more bytes than that.
    #[error("the answer has more than {0} bytes")]
    TooLarge(usize),
}

/// The first bytes of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BodyStart {
    /// As many as were asked for, or fewer when there are no more.
    pub bytes: Vec<u8>,
    /// Whether that is all of it.
    pub complete: bool,
}

/// Why a body was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyFailure {
    /// It did not come in time.
    Timeout,
    /// It broke off, or is on its way upstream.
    Gone,
    /// What is kept of bodies for plugins is as much as it may be.
    NoRoom,
}

impl Callout {
    /// Method, path and query.
    pub fn request_line(&self) -> String {
        let path = self.head.uri.path_and_query();
        let path = path.map_or("/", http::uri::PathAndQuery::as_str);
        format!("{} {path}", self.head.method)
    }

    /// Whether it asks the same of the same pool.
    pub fn asks_the_same(&self, other: &Self) -> bool {
        self.pool == other.pool
            && self.head.method == other.head.method
            && self.head.uri == other.head.uri
            && self.head.headers == other.head.headers
            && self.body == other.body
    }
}

/// Who answers what calls ask, on the worker and for the request that they are about.
pub trait Services {
    /// Answers; dropped when the call has ended.
    fn answer(&self, ask: Ask) -> impl Future<Output = ()>;
}

/// Answers nothing: all that is asked is gone.
#[derive(Debug, Clone, Copy)]
pub struct NoServices;

impl Services for NoServices {
    async fn answer(&self, ask: Ask) {
        drop(ask);
    }
}

/// What an instance may ask, and where it asks while a call runs.
#[derive(Debug, Default)]
pub(super) struct Asking {
    pub(super) waits: Waits,
    pub(super) callout: Option<CalloutLimits>,
    pub(super) body: Option<BodyLimits>,
    /// Callouts that the running call has made, or the last one.
    pub(super) callouts: u32,
    /// Those of them that had no answer.
    pub(super) failed: u32,
    /// What it has asked altogether.
    asked: u32,
    asks: Option<mpsc::UnboundedSender<Ask>>,
}

impl Asking {
    /// What this sidecar grants; none when it grants nothing to wait for.
    pub(super) fn of(sidecar: &Sidecar) -> Option<Box<Self>> {
        let grants = &sidecar.grants;
        let (callout, body) = (grants.has(Grant::Callout), grants.has(Grant::Body));
        (callout || body).then(|| {
            Box::new(Self {
                callout: callout.then(|| grants.callout.clone()),
                body: body.then_some(grants.body),
                ..Self::default()
            })
        })
    }

    /// A call begins; what it asks comes out here.
    pub(super) fn begin(&mut self) -> mpsc::UnboundedReceiver<Ask> {
        let (asks, asked) = mpsc::unbounded_channel();
        self.asks = Some(asks);
        self.waits.reset();
        (self.callouts, self.failed, self.asked) = (0, 0, 0);
        asked
    }

    /// The call has ended.
    pub(super) fn end(&mut self) {
        self.asks = None;
    }

    /// Asks. The answer is dropped outside of calls about a request, and of a call that asks without
    /// end.
    pub(super) fn ask<R>(
        &mut self,
        ask: impl FnOnce(oneshot::Sender<R>) -> Ask,
    ) -> oneshot::Receiver<R> {
        let (answer, answered) = oneshot::channel();
        self.asked += 1;
        if let Some(asks) = self.asks.as_ref().filter(|_| self.asked <= MAX_ASKS) {
            // Where it cannot be sent, the answer is dropped, which is what is waited for.
            drop(asks.send(ask(answer)));
        }
        answered
    }
}

/// How long a call has waited for the gateway. Shared between its clock and what it waits for,
/// which may be dropped at any moment; all on one thread.
#[derive(Debug, Clone, Default)]
pub(super) struct Waits(Arc<Mutex<Waited>>);

#[derive(Debug, Default)]
struct Waited {
    now: u32,
    since: Option<Instant>,
    before: Duration,
}

impl Waits {
    /// A wait begins, perhaps beside another; it is over when this is dropped.
    pub(super) fn begin(&self) -> Wait {
        let mut waited = self.lock();
        waited.now += 1;
        waited.since.get_or_insert_with(Instant::now);
        Wait(self.clone())
    }

    /// Whether something is waited for.
    pub(super) fn is_waiting(&self) -> bool {
        self.lock().now > 0
    }

    /// How long something was waited for altogether.
    pub(super) fn time(&self) -> Duration {
        let waited = self.lock();
        let now = waited.since.map_or(Duration::ZERO, |since| since.elapsed());
        waited.before + now
    }

    /// Another call begins.
    pub(super) fn reset(&self) {
        self.lock().before = Duration::ZERO;
    }

    fn lock(&self) -> MutexGuard<'_, Waited> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One wait.
#[derive(Debug)]
pub(super) struct Wait(Waits);

impl Drop for Wait {
    fn drop(&mut self) {
        let mut waited = self.0.lock();
        waited.now = waited.now.saturating_sub(1);
        if waited.now == 0 {
            let since = waited.since.take();
            waited.before += since.map_or(Duration::ZERO, |since| since.elapsed());
        }
    }
}

/// Runs a call to its end and answers what it asks meanwhile. While nothing that it asked is
/// under way, it has `limit` altogether.
pub(super) async fn attended<R>(
    call: impl Future<Output = wasmtime::Result<R>>,
    mut asked: mpsc::UnboundedReceiver<Ask>,
    services: &impl Services,
    limit: Duration,
) -> wasmtime::Result<R> {
    let mut call = pin!(call);
    let mut under_way = FuturesUnordered::new();
    // An instance that was made for the call took its own time.
    let since = Instant::now();
    let (mut waited, mut waits_since) = (Duration::ZERO, since);
    loop {
        let is_alone = under_way.is_empty();
        let end = since + waited + limit + limit / 2;
        tokio::select! {
            biased;
            result = &mut call => return result,
            Some(ask) = asked.recv() => {
                if is_alone {
                    waits_since = Instant::now();
                }
                under_way.push(services.answer(ask));
            }
            Some(()) = under_way.next() => {
                if under_way.is_empty() {
                    waited += waits_since.elapsed();
                }
            }
            () = tokio::time::sleep_until(end.into()), if is_alone => {
                return Err(wasmtime::Error::new(DeadlineExceeded(limit)));
            }
        }
    }
}
