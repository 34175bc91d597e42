//! Asking an instance what its cases ask, and comparing what it decides with what they expect.

mod services;

use std::{sync::Arc, time::Instant};

use http::{Uri, uri::Authority};

use super::{
    Decision, Forward, Outcome, Respond,
    error::{CallError, LoadError},
    facts::{
        ClientCertificate, Connection, Lendable, Original, PoolFacts, Request, RequestId, Response,
        TlsSession,
    },
    imports::Imports,
    instance::Instance,
    recorded, shown,
    version::Version,
};
use crate::config::{Case, CaseOutcome, CaseRoute, CaseStick, CaseTls, Cases, RawCase};

pub(super) use services::CaseServices;

/// Tries all cases of a version, each on a new instance. Fails with those that are decided
/// otherwise.
pub(super) async fn try_all(version: &Arc<Version>, cases: &Cases) -> Result<(), LoadError> {
    let mut problems = Vec::new();
    for (index, case) in cases.cases.iter().enumerate() {
        let mut instance = Instance::try_out(version).await?;
        for wrong in tried(&mut instance, case).await.differences {
            let key = format!("cases[{index}].{}", wrong.key);
            let message = format!(
                "{}: expected {}, the plugin decides {}",
                case.name, wrong.expected, wrong.found
            );
            problems.push((key, message));
        }
    }
    match problems.is_empty() {
        true => Ok(()),
        false => Err(LoadError::Cases(cases.error(problems))),
    }
}

/// What was decided otherwise.
#[derive(Debug)]
pub struct CaseDifference {
    /// `route`, `prefer` and so on, as in the file.
    pub key: &'static str,
    /// As text.
    pub expected: String,
    /// As text; why there is none.
    pub found: String,
    /// As it would stand in the file; none when the call has failed.
    pub decided: Option<CaseDecision>,
}

/// A decision as a case has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CaseDecision {
    /// Of routing, with what the case has asked for.
    Route(CaseRoute),
    /// Of affinity, before.
    Prefer(String),
    /// Of affinity, afterwards.
    Stick(CaseStick),
    /// Of rewriting.
    Edits(Vec<String>),
}

/// What trying a case came to.
#[derive(Debug)]
pub struct Tried {
    /// What was decided otherwise.
    pub differences: Vec<CaseDifference>,
    /// What the plugin has asked for and the case does not tell.
    pub missing: Vec<Missing>,
}

/// Something that a plugin has asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Missing {
    /// An answer, of which the case has only the beginning or nothing.
    Cut(String),
    /// A callout that it does not speak of.
    Callout(String),
    /// The clock, random numbers or the store, of which it speaks, but not of this.
    Import(String),
}

/// A version that recorded decisions are tried on, one after the other.
pub struct Replay {
    version: Arc<Version>,
    instance: Option<Instance>,
}

impl Replay {
    /// Of this version.
    pub fn of(version: Arc<Version>) -> Self {
        let instance = None;
        Self { version, instance }
    }

    /// What this version decides otherwise. Fails when the case is none, or when no instance
    /// can be made.
    pub async fn compare(&mut self, case: RawCase) -> Result<Tried, String> {
        let case = case.checked()?;
        let mut instance = match self.instance.take() {
            Some(instance) => instance,
            None => Instance::try_out(&self.version)
                .await
                .map_err(|error| error.to_string())?,
        };
        let tried = tried(&mut instance, &case).await;
        // One whose call failed is not used again.
        self.instance = tried.differences.is_empty().then_some(instance);
        Ok(tried)
    }
}

/// Asks what a case asks. The order is that of a request's way, but no edit is applied: each
/// role is asked about the request as it is written.
pub(super) async fn tried(instance: &mut Instance, case: &Case) -> Tried {
    let mut request = request(case);
    let services = CaseServices::of(case);
    let mut missing = Vec::new();
    // Each call is answered from the first answer on.
    let mut again = |request: &mut Lendable<Request>| {
        services.again();
        let begin = Imports::known_from(&case.imports);
        if let Some(imports) = std::mem::replace(&mut request.imports, begin) {
            missing.extend(imports.missing());
        }
    };
    let pool = Arc::new(PoolFacts {
        name: case.pool.0.clone(),
        generation: 1,
        endpoints: case.pool.1.clone(),
    });
    let expected = &case.expected;
    let mut all = Vec::new();
    let mut compare = |key, expected: String, found: Result<(String, CaseDecision), CallError>| {
        let (found, decided) = match found {
            Ok((text, decided)) => (text, Some(decided)),
            Err(error) => (format!("nothing: {error}"), None),
        };
        if found != expected {
            all.push(CaseDifference {
                key,
                expected,
                found,
                decided,
            });
        }
    };
    if let Some(wanted) = &expected.route {
        let decided = instance
            .route(&mut request, &services, Instant::now())
            .await;
        again(&mut request);
        let found = decided.map(|decision| {
            let narrowed = recorded::route(&decision).narrowed(wanted);
            (as_far_as(wanted, &decision), CaseDecision::Route(narrowed))
        });
        compare("route", wanted_route(wanted), found);
    }
    if let Some(wanted) = &expected.prefer {
        let preferred = instance.prefer(&mut request, &pool, Instant::now()).await;
        again(&mut request);
        let found = preferred.map(|preference| {
            let text = shown::preference(&preference);
            (text.clone(), CaseDecision::Prefer(text))
        });
        compare("prefer", wanted.clone(), found);
    }
    if let Some(wanted) = &expected.rewrite_request {
        let edits = instance
            .rewrite_request(&mut request, &services, Instant::now())
            .await;
        again(&mut request);
        let found = edits.map(|edits| written(&edits, shown::request_edit));
        compare("rewrite_request", shown::list(wanted), found);
    }
    if let Some(wanted) = &expected.rewrite_response {
        let mut response = response(case);
        let edits = instance
            .rewrite_response(&mut request, &mut response, &services, Instant::now())
            .await;
        again(&mut request);
        let found = edits.map(|edits| written(&edits, shown::response_edit));
        compare("rewrite_response", shown::list(wanted), found);
    }
    if let Some(wanted) = &expected.stick {
        let outcome = match wanted.outcome {
            CaseOutcome::Balanced => Outcome::Balanced,
            CaseOutcome::Honoured => Outcome::Honoured,
            CaseOutcome::Moved => Outcome::Moved,
        };
        let edits = instance
            .stick(
                &mut request,
                &pool,
                &wanted.endpoint,
                outcome,
                Instant::now(),
            )
            .await;
        again(&mut request);
        let found = edits.map(|edits| {
            let edits: Vec<_> = edits.iter().map(shown::response_edit).collect();
            let stick = CaseStick {
                edits: edits.clone(),
                ..wanted.clone()
            };
            (shown::list(&edits), CaseDecision::Stick(stick))
        });
        compare("stick", shown::list(&wanted.edits), found);
    }
    missing.extend(services.missing());
    Tried {
        differences: all,
        missing,
    }
}

/// A list of edits as text and as a case has it.
fn written<E>(edits: &[E], text: impl Fn(&E) -> String) -> (String, CaseDecision) {
    let edits: Vec<_> = edits.iter().map(text).collect();
    (shown::list(&edits), CaseDecision::Edits(edits))
}

/// A list of edits as text.
pub(super) fn texts<E>(edits: &[E], text: impl Fn(&E) -> String) -> String {
    shown::list(&edits.iter().map(text).collect::<Vec<_>>())
}

/// The expected decision as text, as far as it is given.
fn wanted_route(wanted: &CaseRoute) -> String {
    let kind = match (&wanted.forward, wanted.respond) {
        (Some(pool), _) => format!("forward {pool}"),
        (None, Some(status)) => format!("respond {status}"),
        (None, None) => "pass".to_owned(),
    };
    let list = wanted.edits.as_deref().or(wanted.headers.as_deref());
    route(
        kind,
        wanted.rule.as_deref(),
        list,
        wanted.body.as_deref().map(str::as_bytes),
    )
}

/// A decision as text, without what is not asked for.
fn as_far_as(wanted: &CaseRoute, decision: &Decision) -> String {
    let rule = |rule: &Option<String>| {
        let asked = wanted.rule.is_some();
        asked.then(|| rule.clone().unwrap_or_default())
    };
    match decision {
        Decision::Pass(edits) => {
            let edits: Vec<_> = edits.iter().map(shown::request_edit).collect();
            let list = wanted.edits.as_ref().map(|_| edits);
            route("pass".to_owned(), None, list.as_deref(), None)
        }
        Decision::Forward(Forward {
            pool,
            rule: of,
            edits,
        }) => {
            let edits: Vec<_> = edits.iter().map(shown::request_edit).collect();
            let list = wanted.edits.as_ref().map(|_| edits);
            let kind = format!("forward {pool}");
            route(kind, rule(of).as_deref(), list.as_deref(), None)
        }
        Decision::Respond(Respond {
            status,
            headers,
            body,
            rule: of,
        }) => {
            let headers: Vec<_> = headers.iter().map(shown::field).collect();
            let list = wanted.headers.as_ref().map(|_| headers);
            let body = wanted.body.as_ref().map(|_| body.as_slice());
            let kind = format!("respond {status}");
            route(kind, rule(of).as_deref(), list.as_deref(), body)
        }
    }
}

fn route(kind: String, rule: Option<&str>, list: Option<&[String]>, body: Option<&[u8]>) -> String {
    let rule = rule.map(|rule| format!("rule {rule:?}"));
    let list = list.map(shown::list);
    let body = body.map(|body| format!("\"{}\"", body.escape_ascii()));
    let parts = [Some(kind), rule, list, body];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// The request of a case.
pub(super) fn request(case: &Case) -> Lendable<Request> {
    let mut head = http::Request::new(()).into_parts().0;
    head.method = case.method.clone();
    head.uri = target(&case.uri);
    head.headers.extend(case.headers.iter().cloned());
    let authority = case.uri.authority().map_or("", Authority::as_str);
    head.version = case.version;
    let connection = Connection {
        listener: case.listener.as_str().into(),
        peer: case.peer,
        local: case.local,
        tls: case.tls.as_ref().map(session),
    };
    Lendable::new(Request {
        id: RequestId(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef),
        head,
        authority: authority
            .to_ascii_lowercase()
            .parse()
            .unwrap_or_else(|_| Authority::from_static("localhost")),
        connection: Arc::new(connection),
        original: case.original.as_ref().map(|uri| {
            Box::new(Original {
                authority: uri
                    .authority()
                    .cloned()
                    .unwrap_or_else(|| Authority::from_static("localhost")),
                target: target(uri),
            })
        }),
        access_fields: Vec::new(),
        imports: Imports::known_from(&case.imports),
    })
}

fn session(tls: &CaseTls) -> TlsSession {
    TlsSession {
        version: tls.version.clone().into(),
        cipher: tls.cipher.clone().into(),
        server_name: tls.server_name.as_deref().map(Into::into),
        alpn: tls.alpn.clone().map(Into::into),
        client: tls.client.as_ref().map(|client| ClientCertificate {
            verification: client.verification.clone(),
            subject: client.subject.clone(),
            issuer: client.issuer.clone(),
            serial: client.serial.clone(),
            fingerprint: client.fingerprint.clone(),
            validity: client.validity,
            chain: client.chain.clone(),
        }),
    }
}

/// Path and query alone.
fn target(uri: &Uri) -> Uri {
    uri.path_and_query()
        .map_or_else(Uri::default, |target| Uri::from(target.clone()))
}

/// The answer of a case.
pub(super) fn response(case: &Case) -> Lendable<Response> {
    let mut head = http::Response::new(()).into_parts().0;
    head.status = case.response.0;
    head.headers.extend(case.response.1.iter().cloned());
    Lendable::new(Response { head })
}
