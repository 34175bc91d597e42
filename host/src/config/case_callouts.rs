//! What a case answers to the callouts of its plugin.

use http::{HeaderName, HeaderValue, Method, StatusCode};
use serde::{Deserialize, Serialize};

use super::{check::Check, texts::RawBody};

/// A callout that a case expects, and its answer.
#[derive(Debug, Clone)]
pub struct CaseCallout {
    /// The pool that is asked.
    pub pool: String,
    /// GET, unless it says otherwise.
    pub method: Method,
    /// Path and query.
    pub path: String,
    /// What the pool answers, or why it does not.
    pub answer: Result<CaseAnswer, CaseFailure>,
}

/// Why a callout has no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CaseFailure {
    /// A cause of `Proxy-Status`; `connect-refused` unless it says otherwise.
    Unavailable(String),
    /// It was not whole in time.
    Timeout,
    /// It had too many bytes.
    TooLarge,
    /// The gateway has no such pool.
    UndeclaredPool,
}

impl CaseFailure {
    const TIMEOUT: &str = "timeout";
    const TOO_LARGE: &str = "too-large";
    const UNDECLARED_POOL: &str = "undeclared-pool";

    /// As in `failure`.
    pub fn token(&self) -> &str {
        match self {
            Self::Unavailable(cause) => cause,
            Self::Timeout => Self::TIMEOUT,
            Self::TooLarge => Self::TOO_LARGE,
            Self::UndeclaredPool => Self::UNDECLARED_POOL,
        }
    }

    fn of(token: String) -> Self {
        match token.as_str() {
            Self::TIMEOUT => Self::Timeout,
            Self::TOO_LARGE => Self::TooLarge,
            Self::UNDECLARED_POOL => Self::UndeclaredPool,
            _ => Self::Unavailable(token),
        }
    }
}

/// A pool's answer.
#[derive(Debug, Clone)]
pub struct CaseAnswer {
    /// 200, unless it says otherwise.
    pub status: StatusCode,
    /// In order.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Empty, unless it says otherwise.
    pub body: Vec<u8>,
    /// Whether there was more of it than is known.
    pub is_cut: bool,
}

/// As written; part of a `RawCase`.
#[allow(missing_docs, reason = "those of `CaseCallout`, as text")]
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a table")]
pub struct RawCallout {
    pub pool: String,
    pub request: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<String>,
    #[serde(skip_serializing_if = "RawBody::is_empty")]
    pub body: RawBody,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub body_cut: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub unavailable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
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
        let body = self
            .problems
            .take(&format!("{key}.body"), raw.body.bytes())?;
        let answer = CaseAnswer {
            status,
            headers,
            body,
            is_cut: raw.body_cut,
        };
        let unavailable = raw.unavailable.then(|| "connect-refused".to_owned());
        let failure = raw.failure.or(unavailable);
        Some(CaseCallout {
            pool: raw.pool,
            method,
            path,
            answer: failure.map(CaseFailure::of).map_or(Ok(answer), Err),
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
