//! What a request answers to the plugins that decide it and wait meanwhile: callouts to pools,
//! and the start of its own body.

mod beside;

use std::{cell::RefCell, rc::Rc, time::Instant};

use tokio::sync::oneshot;

use self::beside::ShadowServices;
use super::{
    callout,
    record::Record,
    trace::{self, Context, Spans, What},
    unsent::Unsent,
};
use crate::{
    local::LocalSnapshot,
    plugin::{Ask, Callout, CalloutAnswer, CalloutFailure, Heard, HeardCallout, Services, Shadow},
};

/// The services of one request.
pub(super) struct RequestServices {
    snapshot: Rc<LocalSnapshot>,
    worker: usize,
    pub(super) body: Unsent,
    /// What the running call is answered, where somebody else is to know it.
    heard: RefCell<Option<Heard>>,
    /// The trace that callouts are part of, and where their time is kept.
    trace: Option<Context>,
    spans: Option<Rc<Spans>>,
}

impl RequestServices {
    pub(super) fn new(snapshot: Rc<LocalSnapshot>, record: &Record, body: Unsent) -> Self {
        Self {
            snapshot,
            worker: record.worker(),
            body,
            heard: RefCell::default(),
            trace: record.trace(),
            spans: record.spans().cloned(),
        }
    }

    /// Notes from now on what is answered, or no more.
    pub(super) fn listen(&self, listen: bool) {
        *self.heard.borrow_mut() = listen.then(Heard::default);
    }

    /// What has been answered since it was to be noted.
    pub(super) fn take_heard(&self) -> Option<Heard> {
        self.heard.take()
    }

    /// Those of a version that is called beside the one in service, about what that has just
    /// decided.
    pub(super) fn beside(&self, shadow: &Shadow) -> ShadowServices {
        let heard = self.heard.borrow();
        let heard = heard.as_ref().map(|heard| heard.callouts.clone());
        ShadowServices::new(self, shadow, heard.unwrap_or_default())
    }

    /// A callout that is noted: its place among the others.
    fn asked(&self) -> Option<usize> {
        let mut heard = self.heard.borrow_mut();
        let callouts = &mut heard.as_mut()?.callouts;
        callouts.push(None);
        Some(callouts.len() - 1)
    }

    fn answered(&self, place: usize, heard: HeardCallout) {
        let mut all = self.heard.borrow_mut();
        let all = all.as_mut().map(|heard| &mut heard.callouts);
        if let Some(noted) = all.and_then(|all| all.get_mut(place)) {
            *noted = Some(Rc::new(heard));
        }
    }

    async fn callout(
        &self,
        mut callout: Callout,
        answer: oneshot::Sender<Result<CalloutAnswer, CalloutFailure>>,
    ) {
        let noted = self.asked().map(|place| (place, callout.clone()));
        let span = self.spans.as_ref();
        let span = span.map(|it| (it, it.number(), callout.pool.clone(), Instant::now()));
        if let Some(trace) = &self.trace {
            let number = span.as_ref().map(|(_, number, ..)| *number);
            trace.tell(&mut callout.head.headers, number);
        }
        let note = |answer: &Result<CalloutAnswer, _>| {
            if let Some((spans, number, pool, since)) = span {
                spans.ended(number, What::Callout(pool), since, outcome(answer));
            }
            if let Some((place, callout)) = noted {
                let answer = answer.clone();
                self.answered(place, HeardCallout { callout, answer });
            }
        };
        send(&self.snapshot, self.worker, callout, answer, note).await;
    }
}

fn outcome(answer: &Result<CalloutAnswer, CalloutFailure>) -> trace::Outcome {
    trace::Outcome::Word(match answer {
        Ok(answer) => return trace::Outcome::Status(answer.head.status.as_u16()),
        Err(CalloutFailure::UndeclaredPool(_)) => "undeclared-pool",
        Err(CalloutFailure::Unavailable(_)) => "unavailable",
        Err(CalloutFailure::Timeout(_)) => "timeout",
        Err(CalloutFailure::TooLarge(_)) => "too-large",
    })
}

impl Services for RequestServices {
    async fn answer(&self, ask: Ask) {
        // Nobody waits for an answer any more when the call has ended.
        match ask {
            Ask::Callout(callout, answer) => self.callout(*callout, answer).await,
            Ask::Body(most, limit, bodies, answer) => {
                let start = self.body.start(most, limit, &bodies).await;
                if let Some(heard) = self.heard.borrow_mut().as_mut() {
                    heard.body(&start);
                }
                drop(answer.send(start));
            }
        }
    }
}

/// Sends a callout, for as long as the call waits for it; `note` sees what came of it first.
async fn send(
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
