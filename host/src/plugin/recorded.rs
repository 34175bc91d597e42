//! A decision with what it was about, as a line of a record: the form is that of a case, so that
//! it can be tried on another version.

use std::{borrow::Cow, rc::Rc};

use http::{HeaderMap, HeaderName, HeaderValue, header};
use serde::{Deserialize, Serialize};

use super::{
    BodyFailure, BodyStart, Callout, CalloutAnswer, CalloutFailure, ClientCertificate, Decision,
    Imports, Outcome, PoolFacts, Preference, Request, RequestEdit, Response, ResponseEdit,
    TlsSession, Version, shown,
};
use crate::config::{
    self, CaseBodyFailure, CaseClient, CaseFailure, CaseOutcome, CaseRoute, CaseStick, RawBody,
    RawCallout, RawCase, RawClient, RawImports, RawPool, RawResponse, RawTls,
};

/// What stands where a value was left out.
const REDACTED: &str = "redacted";

/// One line.
#[derive(Debug, Serialize, Deserialize)]
pub struct RecordedLine {
    /// The plugin's name.
    pub plugin: String,
    /// The version that decided, first 12 digits of its SHA-256.
    pub version: String,
    /// What about, and what.
    pub case: RawCase,
}

/// A call and what was decided.
pub enum RecordedCall<'a> {
    /// Of routing.
    Route(&'a Decision),
    /// Of affinity, before.
    Prefer(&'a PoolFacts, &'a Preference),
    /// Of affinity, afterwards: the endpoint that answered, and how it relates to the preference.
    Stick(&'a PoolFacts, &'a str, Outcome, &'a [ResponseEdit]),
    /// Of rewriting.
    RewriteRequest(&'a [RequestEdit]),
    /// Of rewriting.
    RewriteResponse(&'a [ResponseEdit]),
}

/// What a plugin was answered while it waited.
#[derive(Debug, Default)]
pub struct Heard {
    /// In the order in which it has asked; none of one that it did not wait for.
    pub callouts: Vec<Option<Rc<HeardCallout>>>,
    /// The longest start of the body that it has asked for.
    pub body: Option<Result<BodyStart, BodyFailure>>,
}

/// A callout and what became of it.
#[derive(Debug)]
pub struct HeardCallout {
    /// What was asked.
    pub callout: Callout,
    /// What was answered.
    pub answer: Result<CalloutAnswer, CalloutFailure>,
}

impl Heard {
    /// A start of the body was read; a shorter one says nothing new.
    pub fn body(&mut self, start: &Result<BodyStart, BodyFailure>) {
        let length = |start: &Result<BodyStart, _>| start.as_ref().map_or(0, |it| it.bytes.len());
        if self
            .body
            .as_ref()
            .is_none_or(|known| length(known) <= length(start))
        {
            self.body = Some(start.clone());
        }
    }
}

impl RecordedLine {
    /// `heard` is what a plugin that waits has been answered. None when the request cannot be
    /// written as text.
    pub fn new(
        version: &Version,
        request: &Request,
        response: Option<&Response>,
        heard: Option<Heard>,
        call: RecordedCall<'_>,
        rules: &config::Record,
    ) -> Option<Self> {
        let target = request.target_uri();
        let original = request.original_uri();
        let connection = &request.connection;
        let mut case = RawCase {
            name: Some(request.id.to_string()),
            request: format!("{} {target}", request.head.method),
            original: (original != target).then_some(original),
            headers: fields(&request.head.headers, rules)?,
            version: http_version(request.head.version),
            tls: connection.tls.as_ref().map(tls),
            peer: Some(connection.peer.to_string()),
            local: Some(connection.local.to_string()),
            listener: Some(connection.listener.to_string()),
            ..RawCase::default()
        };
        let imports = request.imports.as_deref().and_then(Imports::noted);
        case.imports = imports.map(RawImports::of);
        if let Some(response) = response {
            case.response = Some(RawResponse {
                status: response.head.status.as_u16(),
                headers: fields(&response.head.headers, rules)?,
            });
        }
        if let Some(heard) = heard {
            case.callouts = callouts(heard.callouts, rules)?;
            body(&mut case, heard.body, rules);
        }
        decided(&mut case, call);
        Some(Self {
            plugin: version.name.to_string(),
            version: version.label.to_string(),
            case,
        })
    }
}

/// None where it is what cases have anyway.
fn http_version(version: http::Version) -> Option<String> {
    match version {
        http::Version::HTTP_10 => Some("HTTP/1.0".to_owned()),
        http::Version::HTTP_2 => Some("HTTP/2".to_owned()),
        _ => None,
    }
}

fn tls(session: &TlsSession) -> RawTls {
    RawTls {
        version: Some(session.version.to_string()),
        cipher: Some(session.cipher.to_string()),
        server_name: Some(
            session
                .server_name
                .as_deref()
                .unwrap_or_default()
                .to_owned(),
        ),
        alpn: Some(session.alpn.as_deref().unwrap_or_default().to_owned()),
        client: session.client.as_ref().map(client),
    }
}

fn client(client: &ClientCertificate) -> RawClient {
    RawClient::of(&CaseClient {
        verification: client.verification.clone(),
        subject: client.subject.clone(),
        issuer: client.issuer.clone(),
        serial: client.serial.clone(),
        fingerprint: client.fingerprint.clone(),
        validity: client.validity,
        chain: client.chain.clone(),
    })
}

fn callouts(
    heard: Vec<Option<Rc<HeardCallout>>>,
    rules: &config::Record,
) -> Option<Vec<RawCallout>> {
    let heard = heard.iter().flatten();
    heard.map(|heard| callout(heard, rules)).collect()
}

fn callout(heard: &HeardCallout, rules: &config::Record) -> Option<RawCallout> {
    let asked = RawCallout {
        pool: heard.callout.pool.clone(),
        request: heard.callout.request_line(),
        ..RawCallout::default()
    };
    Some(match &heard.answer {
        Ok(answer) => {
            let kept = answer.body.get(..rules.callout_bytes);
            let kept = kept.unwrap_or(&answer.body);
            RawCallout {
                status: Some(answer.head.status.as_u16()),
                headers: fields(&answer.head.headers, rules)?,
                body: RawBody::of(kept),
                body_cut: kept.len() < answer.body.len(),
                ..asked
            }
        }
        Err(failure) => {
            let failure = match failure {
                CalloutFailure::UndeclaredPool(_) => CaseFailure::UndeclaredPool,
                CalloutFailure::Unavailable(cause) => CaseFailure::Unavailable(cause.clone()),
                CalloutFailure::Timeout(_) => CaseFailure::Timeout,
                CalloutFailure::TooLarge(_) => CaseFailure::TooLarge,
            };
            RawCallout {
                failure: Some(failure.token().to_owned()),
                ..asked
            }
        }
    })
}

/// Of a body that was not asked for nothing is known.
fn body(case: &mut RawCase, heard: Option<Result<BodyStart, BodyFailure>>, rules: &config::Record) {
    match heard {
        None => case.body_cut = true,
        Some(Ok(start)) => {
            let kept = start.bytes.get(..rules.body_bytes);
            case.body_cut =
                kept.is_some_and(|kept| kept.len() < start.bytes.len()) || !start.complete;
            case.body = RawBody::of(kept.unwrap_or(&start.bytes));
        }
        Some(Err(BodyFailure::Timeout)) => case.body_failure = Some(CaseBodyFailure::Timeout),
        // The call has failed for want of room, which is none of its own doing.
        Some(Err(BodyFailure::Gone | BodyFailure::NoRoom)) => {
            case.body_failure = Some(CaseBodyFailure::Gone)
        }
    }
}

fn decided(case: &mut RawCase, call: RecordedCall<'_>) {
    let pool = |pool: &PoolFacts| RawPool {
        name: pool.name.clone(),
        endpoints: pool.endpoints.clone(),
    };
    let of_response =
        |edits: &[ResponseEdit]| edits.iter().map(shown::response_edit).collect::<Vec<_>>();
    match call {
        RecordedCall::Route(decision) => case.route = Some(route(decision).into()),
        RecordedCall::Prefer(facts, preference) => {
            case.pool = Some(pool(facts));
            case.prefer = Some(shown::preference(preference));
        }
        RecordedCall::Stick(facts, endpoint, outcome, edits) => {
            case.pool = Some(pool(facts));
            case.stick = Some(CaseStick {
                endpoint: endpoint.to_owned(),
                outcome: match outcome {
                    Outcome::Balanced => CaseOutcome::Balanced,
                    Outcome::Honoured => CaseOutcome::Honoured,
                    Outcome::Moved => CaseOutcome::Moved,
                },
                edits: of_response(edits),
            });
        }
        RecordedCall::RewriteRequest(edits) => {
            case.rewrite_request = Some(edits.iter().map(shown::request_edit).collect());
        }
        RecordedCall::RewriteResponse(edits) => case.rewrite_response = Some(of_response(edits)),
    }
}

/// All that a decision of routing says.
pub(super) fn route(decision: &Decision) -> CaseRoute {
    let rule = |rule: &Option<String>| Some(rule.clone().unwrap_or_default());
    match decision {
        Decision::Pass(_) => CaseRoute {
            pass: Some(true),
            ..CaseRoute::default()
        },
        Decision::Forward(forward) => CaseRoute {
            forward: Some(forward.pool.clone()),
            rule: rule(&forward.rule),
            edits: Some(forward.edits.iter().map(shown::request_edit).collect()),
            ..CaseRoute::default()
        },
        Decision::Respond(respond) => CaseRoute {
            respond: Some(respond.status),
            rule: rule(&respond.rule),
            headers: Some(respond.headers.iter().map(shown::field).collect()),
            body: Some(String::from_utf8_lossy(&respond.body).into_owned()),
            ..CaseRoute::default()
        },
    }
}

/// Fields as `name: value`; none when a value is no text.
fn fields(headers: &HeaderMap, rules: &config::Record) -> Option<Vec<String>> {
    let fields = headers.iter().map(|(name, value)| {
        let value = kept(name, value, rules)?;
        Some(format!("{name}: {value}"))
    });
    fields.collect()
}

fn kept<'a>(
    name: &HeaderName,
    value: &'a HeaderValue,
    rules: &config::Record,
) -> Option<Cow<'a, str>> {
    if rules.redact_headers.contains(name) {
        return Some(REDACTED.into());
    }
    let value = value.to_str().ok()?;
    Some(match *name {
        header::COOKIE => cookies(value, rules).into(),
        header::SET_COOKIE => set_cookie(value, rules).into(),
        _ => value.into(),
    })
}

fn cookies(value: &str, rules: &config::Record) -> String {
    let pairs = value.split(';').map(|pair| set_cookie(pair.trim(), rules));
    pairs.collect::<Vec<_>>().join("; ")
}

/// `name=redacted; Path=/`: attributes stay.
fn set_cookie(value: &str, rules: &config::Record) -> String {
    let (pair, attributes) = value.split_at(value.find(';').unwrap_or(value.len()));
    let Some((name, _)) = pair.split_once('=') else {
        return value.to_owned();
    };
    let redacted = |cookie: &String| cookie == "*" || *cookie == name.trim();
    match rules.redact_cookies.iter().any(redacted) {
        true => format!("{name}={REDACTED}{attributes}"),
        false => value.to_owned(),
    }
}
