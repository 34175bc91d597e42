//! What a request answers to the plugins that decide it and wait meanwhile: callouts to pools,
//! and the start of its own body.

use std::{cell::RefCell, rc::Rc};

use http::uri::PathAndQuery;
use tokio::sync::oneshot;

use super::{callout, unsent::Unsent};
use crate::{
    local::LocalSnapshot,
    plugin::{
        Ask, BodyFailure, BodyStart, Callout, CalloutAnswer, CalloutFailure, Heard, HeardCallout,
        Services,
    },
};

/// The services of one request.
pub(super) struct RequestServices {
    pub(super) snapshot: Rc<LocalSnapshot>,
    pub(super) worker: usize,
    pub(super) body: Unsent,
    /// What the running call is answered, where its decision is recorded.
    pub(super) heard: RefCell<Option<Heard>>,
}

impl RequestServices {
    /// Notes from now on what is answered, or no more.
    pub(super) fn listen(&self, listen: bool) {
        *self.heard.borrow_mut() = listen.then(Heard::default);
    }

    /// A callout that is noted: its place among the others.
    fn asked(&self) -> Option<usize> {
        let mut heard = self.heard.borrow_mut();
        let callouts = &mut heard.as_mut()?.callouts;
        callouts.push(None);
        Some(callouts.len() - 1)
    }

    fn answered(
        &self,
        place: usize,
        (pool, request): (String, String),
        answer: &Result<CalloutAnswer, CalloutFailure>,
    ) {
        let recorder = self.snapshot.shared.recorder.as_ref();
        let most = recorder.map_or(0, |recorder| recorder.rules.callout_bytes);
        let mut heard = self.heard.borrow_mut();
        let callouts = heard.as_mut().map(|heard| &mut heard.callouts);
        if let Some(callout) = callouts.and_then(|callouts| callouts.get_mut(place)) {
            *callout = Some(HeardCallout {
                pool,
                request,
                answer: answer
                    .as_ref()
                    .map(|answer| start_of(answer, most))
                    .map_err(Clone::clone),
            });
        }
    }

    /// Those of a version that is called beside the one in service: it sees as much of the body as
    /// has been read, and has none read.
    pub(super) fn beside(&self) -> ShadowServices {
        ShadowServices {
            snapshot: Rc::clone(&self.snapshot),
            worker: self.worker,
            known: self.body.known(usize::MAX),
        }
    }
}

impl Services for RequestServices {
    async fn answer(&self, ask: Ask) {
        // Nobody waits for an answer any more when the call has ended.
        match ask {
            Ask::Callout(callout, answer) => match self.asked() {
                None => {
                    let note = |_: &_| {};
                    answer_callout(&self.snapshot, self.worker, *callout, answer, note).await;
                }
                Some(place) => {
                    let asked = names(&callout);
                    let note = |sent: &_| self.answered(place, asked, sent);
                    answer_callout(&self.snapshot, self.worker, *callout, answer, note).await;
                }
            },
            Ask::Body(most, limit, answer) => {
                let start = self.body.start(most, limit).await;
                if let Some(heard) = self.heard.borrow_mut().as_mut() {
                    heard.body(&start);
                }
                drop(answer.send(start));
            }
        }
    }
}

/// Pool and request line of a callout.
fn names(callout: &Callout) -> (String, String) {
    let path = callout.head.uri.path_and_query();
    let path = path.map_or("/", PathAndQuery::as_str);
    let request = format!("{} {path}", callout.head.method);
    (callout.pool.clone(), request)
}

/// An answer with no more than the first bytes of its body; and whether that is all.
fn start_of(answer: &CalloutAnswer, most: usize) -> (CalloutAnswer, bool) {
    let start = answer.body.get(..most).unwrap_or(&answer.body);
    let kept = CalloutAnswer {
        head: answer.head.clone(),
        body: start.to_vec(),
    };
    (kept, start.len() == answer.body.len())
}

/// Sends it, for as long as the call waits for it.
async fn answer_callout(
    snapshot: &LocalSnapshot,
    worker: usize,
    callout: Callout,
    mut answer: oneshot::Sender<Result<CalloutAnswer, CalloutFailure>>,
    note: impl FnOnce(&Result<CalloutAnswer, CalloutFailure>),
) {
    let sent = tokio::select! {
        biased;
        sent = callout::send(snapshot, worker, callout) => sent,
        () = answer.closed() => return,
    };
    note(&sent);
    drop(answer.send(sent));
}

/// Those of a version on trial.
pub(super) struct ShadowServices {
    snapshot: Rc<LocalSnapshot>,
    worker: usize,
    known: BodyStart,
}

impl ShadowServices {
    fn start(&self, most: usize) -> Result<BodyStart, BodyFailure> {
        let known = &self.known;
        match known.bytes.get(..most) {
            Some(bytes) => Ok(BodyStart {
                bytes: bytes.to_vec(),
                complete: known.complete && bytes.len() == known.bytes.len(),
            }),
            None if known.complete => Ok(known.clone()),
            None => Err(BodyFailure::Gone),
        }
    }
}

impl Services for ShadowServices {
    async fn answer(&self, ask: Ask) {
        match ask {
            Ask::Callout(callout, answer) => {
                let note = |_: &_| {};
                answer_callout(&self.snapshot, self.worker, *callout, answer, note).await;
            }
            Ask::Body(most, _, answer) => drop(answer.send(self.start(most))),
        }
    }
}
