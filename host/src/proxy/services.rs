//! What a request answers to the plugins that decide it and wait meanwhile: callouts to pools,
//! and the start of its own body.

use std::rc::Rc;

use tokio::sync::oneshot;

use super::{callout, unsent::Unsent};
use crate::{
    local::LocalSnapshot,
    plugin::{Ask, BodyFailure, BodyStart, Callout, CalloutAnswer, CalloutFailure, Services},
};

/// The services of one request.
pub(super) struct RequestServices {
    pub(super) snapshot: Rc<LocalSnapshot>,
    pub(super) worker: usize,
    pub(super) body: Unsent,
}

impl RequestServices {
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
            Ask::Callout(callout, answer) => {
                answer_callout(&self.snapshot, self.worker, *callout, answer).await;
            }
            Ask::Body(most, limit, answer) => {
                drop(answer.send(self.body.start(most, limit).await));
            }
        }
    }
}

/// Sends it, for as long as the call waits for it.
async fn answer_callout(
    snapshot: &LocalSnapshot,
    worker: usize,
    callout: Callout,
    mut answer: oneshot::Sender<Result<CalloutAnswer, CalloutFailure>>,
) {
    let sent = tokio::select! {
        biased;
        sent = callout::send(snapshot, worker, callout) => sent,
        () = answer.closed() => return,
    };
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
                answer_callout(&self.snapshot, self.worker, *callout, answer).await;
            }
            Ask::Body(most, _, answer) => drop(answer.send(self.start(most))),
        }
    }
}
