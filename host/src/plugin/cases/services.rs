//! What a case answers to the plugin that is tried: its callouts in turn, and the start of its
//! body.

use std::sync::{Mutex, MutexGuard, PoisonError};

use http::uri::PathAndQuery;

use super::{
    super::waiting::{
        Ask, BodyFailure, BodyStart, Callout, CalloutAnswer, CalloutFailure, Services,
    },
    Missing,
};
use crate::config::{Case, CaseBodyFailure, CaseCallout, CaseFailure};

/// Answers what a case has an answer for.
pub struct CaseServices<'a> {
    case: &'a Case,
    /// Whether each of its callouts has been answered in this call.
    used: Mutex<Vec<bool>>,
    missing: Mutex<Vec<Missing>>,
}

impl<'a> CaseServices<'a> {
    /// The answers of this case.
    pub fn of(case: &'a Case) -> Self {
        Self {
            case,
            used: Mutex::new(vec![false; case.callouts.len()]),
            missing: Mutex::default(),
        }
    }

    /// Another call begins, which is answered from the first on.
    pub fn again(&self) {
        lock(&self.used).fill(false);
    }

    /// What was asked and could not be answered so far.
    pub fn missing(&self) -> Vec<Missing> {
        std::mem::take(&mut lock(&self.missing))
    }

    fn lacks(&self, missing: Missing) {
        lock(&self.missing).push(missing);
    }

    /// The answers to the same request come in their order; the last one stays.
    fn expected(&self, callout: &Callout, path: &str) -> Option<&'a CaseCallout> {
        let all = self.case.callouts.iter().enumerate();
        let alike = all.filter(|(_, expected)| {
            expected.pool == callout.pool
                && expected.method == callout.head.method
                && expected.path == path
        });
        let mut used = lock(&self.used);
        let mut last = None;
        for (index, expected) in alike {
            last = Some(expected);
            if let Some(used) = used.get_mut(index).filter(|used| !**used) {
                *used = true;
                break;
            }
        }
        last
    }

    fn callout(&self, callout: &Callout) -> Result<CalloutAnswer, CalloutFailure> {
        let path = callout.head.uri.path_and_query();
        let path = path.map_or("/", PathAndQuery::as_str);
        let asked = format!(
            "of pool {:?} to {} {path}",
            callout.pool, callout.head.method
        );
        let Some(expected) = self.expected(callout, path) else {
            self.lacks(Missing::Callout(asked.clone()));
            let message = format!("the case has no answer {asked}");
            return Err(CalloutFailure::Unavailable(message));
        };
        let answer = expected.answer.as_ref().map_err(|failure| match failure {
            CaseFailure::Unavailable(cause) => CalloutFailure::Unavailable(cause.clone()),
            CaseFailure::Timeout => CalloutFailure::Timeout(callout.timeout),
            CaseFailure::TooLarge => CalloutFailure::TooLarge(callout.most),
            CaseFailure::UndeclaredPool => CalloutFailure::UndeclaredPool(callout.pool.clone()),
        })?;
        if answer.is_cut {
            let length = answer.body.len();
            self.lacks(Missing::Cut(format!(
                "the answer {asked}, of which it has {length} bytes"
            )));
        }
        if answer.body.len() > callout.most {
            return Err(CalloutFailure::TooLarge(callout.most));
        }
        let mut head = http::Response::new(()).into_parts().0;
        head.status = answer.status;
        head.headers.extend(answer.headers.iter().cloned());
        Ok(CalloutAnswer {
            head,
            body: answer.body.clone(),
        })
    }

    fn body(&self, most: usize) -> Result<BodyStart, BodyFailure> {
        let body = &self.case.body;
        match body.failure {
            Some(CaseBodyFailure::Timeout) => return Err(BodyFailure::Timeout),
            Some(CaseBodyFailure::Gone) => return Err(BodyFailure::Gone),
            None => {}
        }
        let bytes = body.bytes.get(..most);
        if bytes.is_none() && body.is_cut {
            let length = body.bytes.len();
            self.lacks(Missing::Cut(format!(
                "{most} bytes of the body, of which it has {length}"
            )));
            return Err(BodyFailure::Gone);
        }
        let bytes = bytes.unwrap_or(&body.bytes);
        Ok(BodyStart {
            bytes: bytes.to_vec(),
            complete: bytes.len() == body.bytes.len() && !body.is_cut,
        })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Services for CaseServices<'_> {
    async fn answer(&self, ask: Ask) {
        match ask {
            Ask::Callout(callout, answer) => drop(answer.send(self.callout(&callout))),
            Ask::Body(most, _, _, answer) => drop(answer.send(self.body(most))),
        }
    }
}
