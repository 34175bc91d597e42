//! What routing can decide, whichever version of the WIT the plugin speaks.

use super::bindings::{
    exports::witgate::plugin::routing::{self as v0_1, Forward, Respond},
    v0_2::exports::witgate::plugin0_2_0::routing as v0_2,
    witgate::plugin::types::RequestEdit,
};

/// A decision of routing.
#[derive(Debug, Clone)]
pub enum Decision {
    /// The next plugin decides, about the request as edited; in 0.1 there are no edits.
    Pass(Vec<RequestEdit>),
    /// A pool serves it.
    Forward(Forward),
    /// This is the answer.
    Respond(Respond),
}

impl From<v0_1::Decision> for Decision {
    fn from(decision: v0_1::Decision) -> Self {
        match decision {
            v0_1::Decision::Pass => Self::Pass(Vec::new()),
            v0_1::Decision::Forward(forward) => Self::Forward(forward),
            v0_1::Decision::Respond(respond) => Self::Respond(respond),
        }
    }
}

impl From<v0_2::Decision> for Decision {
    fn from(decision: v0_2::Decision) -> Self {
        match decision {
            v0_2::Decision::Pass(edits) => Self::Pass(edits),
            v0_2::Decision::Forward(forward) => Self::Forward(Forward {
                pool: forward.pool,
                rule: forward.rule,
                edits: forward.edits,
            }),
            v0_2::Decision::Respond(respond) => Self::Respond(Respond {
                status: respond.status,
                headers: respond.headers,
                body: respond.body,
                rule: respond.rule,
            }),
        }
    }
}
