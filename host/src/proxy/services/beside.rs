//! What a version on trial is answered that is called beside the one in service: what that was
//! answered, and the start of the body as it goes by. The request never waits for it.

use std::{cell::RefCell, rc::Rc, time::Duration};

use tokio::time::timeout;

use super::{RequestServices, send};
use crate::{
    client_body::Tap,
    config::{Grant, ShadowCallouts},
    local::LocalSnapshot,
    plugin::{
        Ask, BodyFailure, BodyStart, Callout, CalloutAnswer, CalloutFailure, HeardCallout,
        Services, Shadow,
    },
};

/// Those of a version on trial.
pub(in crate::proxy) struct ShadowServices {
    snapshot: Rc<LocalSnapshot>,
    worker: usize,
    body: Option<Rc<Tap>>,
    rule: ShadowCallouts,
    /// What the version in service was answered, and has not been told this one yet.
    heard: RefCell<Vec<Rc<HeardCallout>>>,
}

impl ShadowServices {
    pub(super) fn new(
        services: &RequestServices,
        shadow: &Shadow,
        heard: Vec<Option<Rc<HeardCallout>>>,
    ) -> Self {
        let grants = &shadow.version().source.sidecar.grants;
        let reads = grants.has(Grant::Body);
        Self {
            snapshot: Rc::clone(&services.snapshot),
            worker: services.worker,
            body: reads
                .then(|| {
                    services
                        .body
                        .tap(grants.body.bytes, shadow.version().bodies())
                })
                .flatten(),
            rule: shadow.callouts(),
            heard: RefCell::new(heard.into_iter().flatten().collect()),
        }
    }

    /// The answers to the same question come in their order; the last one stays.
    fn reused(&self, callout: &Callout) -> Option<Result<CalloutAnswer, CalloutFailure>> {
        let mut heard = self.heard.borrow_mut();
        let alike = |heard: &&Rc<HeardCallout>| heard.callout.asks_the_same(callout);
        let more_than_one = heard.iter().filter(alike).count() > 1;
        let place = heard.iter().position(|heard| alike(&heard))?;
        let found = match more_than_one {
            true => heard.remove(place),
            false => Rc::clone(heard.get(place)?),
        };
        Some(match &found.answer {
            Ok(answer) if answer.body.len() > callout.most => {
                Err(CalloutFailure::TooLarge(callout.most))
            }
            answer => answer.clone(),
        })
    }

    async fn start(&self, most: usize, limit: Duration) -> Result<BodyStart, BodyFailure> {
        let body = self.body.as_ref().ok_or(BodyFailure::Gone)?;
        let seen = timeout(limit, body.start(most)).await;
        let seen = seen.map_err(|_| BodyFailure::Timeout)?;
        let seen = seen.ok_or(BodyFailure::Gone)?;
        Ok(BodyStart {
            bytes: seen.bytes,
            complete: seen.is_all,
        })
    }
}

impl Services for ShadowServices {
    async fn answer(&self, ask: Ask) {
        match ask {
            Ask::Callout(callout, answer) => {
                let refused = |why: &str| {
                    let message = format!("{why} (`rollout.shadow.callouts`)");
                    Err(CalloutFailure::Unavailable(message))
                };
                let answered = match self.rule {
                    ShadowCallouts::Make => {
                        return send(&self.snapshot, self.worker, *callout, answer, |_| {}).await;
                    }
                    ShadowCallouts::Refuse => refused("a shadow may not ask"),
                    ShadowCallouts::Reuse => self
                        .reused(&callout)
                        .unwrap_or_else(|| refused("the version in service has not asked this")),
                };
                drop(answer.send(answered));
            }
            Ask::Body(most, limit, _, answer) => drop(answer.send(self.start(most, limit).await)),
        }
    }
}
