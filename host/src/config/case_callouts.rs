//! What a case answers to the callouts of its plugin.

use http::{HeaderName, HeaderValue, Method, StatusCode};
use serde::{Deserialize, Serialize};

use super::check::Check;

/// A callout that a case expects, and its answer.
#[derive(Debug, Clone)]
pub struct CaseCallout {
    /// The pool that is asked.
    pub pool: String,
    /// GET, unless it says otherwise.
    pub method: Method,
    /// Path and query.
    pub path: String,
    /// What the pool answers; none when it is not there.
    pub answer: Option<CaseAnswer>,
}

/// A pool's answer.
#[derive(Debug, Clone)]
pub struct CaseAnswer {
    /// 200, unless it says otherwise.
    pub status: StatusCode,
    /// In order.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Empty, unless it says otherwise.
    pub body: String,
}

/// As written; part of a `RawCase`.
#[allow(missing_docs, reason = "those of `CaseCallout`, as text")]
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a table")]
pub struct RawCallout {
    pub pool: String,
    pub request: String,
    pub status: Option<u16>,
    pub headers: Vec<String>,
    pub body: String,
    pub unavailable: bool,
}

impl Check<'_> {
    pub(super) fn case_callouts(&mut self, key: &str, raw: Vec<RawCallout>) -> Vec<CaseCallout> {
        let raw = raw.into_iter().enumerate();
        let callouts = raw.filter_map(|(index, raw)| {
            let key = format!("{key}[{index}]");
            self.case_callout(&key, raw)
        });
        callouts.collect()
    }

    fn case_callout(&mut self, key: &str, raw: RawCallout) -> Option<CaseCallout> {
        if raw.pool.is_empty() {
            let message = "expected the name of the pool that is asked";
            self.problems.add(&format!("{key}.pool"), message);
        }
        let line = request_line(&raw.request);
        let (method, path) = self.problems.take(&format!("{key}.request"), line)?;
        let status = StatusCode::from_u16(raw.status.unwrap_or(200))
            .map_err(|_| "expected 200 to 599".to_owned());
        let status = self.problems.take(&format!("{key}.status"), status)?;
        let headers = self.fields(&format!("{key}.headers"), &raw.headers);
        let answer = CaseAnswer {
            status,
            headers,
            body: raw.body,
        };
        Some(CaseCallout {
            pool: raw.pool,
            method,
            path,
            answer: (!raw.unavailable).then_some(answer),
        })
    }
}

/// `POST /check?x=1`; the method may be left out.
fn request_line(text: &str) -> Result<(Method, String), String> {
    let wrong = || format!("found {text:?}, expected such as \"GET /check?user=7\"");
    let (method, path) = text.trim().split_once(' ').unwrap_or(("GET", text.trim()));
    let method = method.parse().map_err(|_| wrong())?;
    match path.starts_with('/') {
        true => Ok((method, path.to_owned())),
        false => Err(wrong()),
    }
}
