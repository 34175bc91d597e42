//! The file of cases beside a plugin, `NN-name.cases.toml`: requests, and what the plugin has to
//! decide about them before a version of it is taken into service.

use std::{net::SocketAddr, path::Path};

use http::{HeaderName, HeaderValue, Method, StatusCode, Uri, Version};
use serde::{Deserialize, Serialize};

use super::{
    case_callouts::{CaseCallout, RawCallout},
    case_imports::{CaseImports, RawImports},
    case_tls::{CaseTls, RawTls},
    check::Check,
    error::{ConfigError, Problems, Source},
    keys::{KeyPath, Mark},
    raw,
    texts::RawBody,
};

const EXPECTS_NOTHING: &str =
    "expects nothing; expected `route`, `prefer`, `stick`, `rewrite_request` or `rewrite_response`";

/// A file's cases, parsed and checked.
#[derive(Debug, Clone)]
pub struct Cases {
    source: Source,
    /// In the file's order; at least one.
    pub cases: Vec<Case>,
}

/// One request, and what is expected of the plugin. What is not expected is not asked for.
#[derive(Debug, Clone)]
pub struct Case {
    /// For messages; `case 3` when it has none.
    pub name: String,
    /// GET, unless it says otherwise.
    pub method: Method,
    /// Absolute: scheme, authority, path and query.
    pub uri: Uri,
    /// What the client asked for, where plugins have made something else of it since.
    pub original: Option<Uri>,
    /// In order.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// HTTP/1.1, unless it says otherwise.
    pub version: Version,
    /// The session of the client's connection; none for a URL of http.
    pub tls: Option<CaseTls>,
    /// The request's body.
    pub body: CaseBody,
    /// What the plugin may ask, and is answered.
    pub callouts: Vec<CaseCallout>,
    /// What the clock, random numbers and its store say to the plugin.
    pub imports: CaseImports,
    /// The client's address.
    pub peer: SocketAddr,
    /// The gateway's.
    pub local: SocketAddr,
    /// The listener's name.
    pub listener: String,
    /// The pool that affinity is asked about, and the ids of its endpoints.
    pub pool: (String, Vec<String>),
    /// The upstream's answer: status and fields.
    pub response: (StatusCode, Vec<(HeaderName, HeaderValue)>),
    /// What it has to decide.
    pub expected: Expected,
}

/// The body of a case's request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CaseBody {
    /// Empty, unless it says otherwise.
    pub bytes: Vec<u8>,
    /// Whether there was more of it than is known.
    pub is_cut: bool,
    /// Whether it can be read.
    pub failure: Option<CaseBodyFailure>,
}

/// Why a body could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CaseBodyFailure {
    /// It did not come in time.
    Timeout,
    /// It broke off, or was on its way upstream.
    Gone,
}

/// What a plugin has to decide, role by role; edits in their text form.
#[derive(Debug, Clone, Default)]
pub struct Expected {
    /// The decision of routing.
    pub route: Option<CaseRoute>,
    /// The preference of affinity: `none`, `endpoint b`, `hash 7`.
    pub prefer: Option<String>,
    /// What makes a session stick.
    pub stick: Option<CaseStick>,
    /// The request's edits.
    pub rewrite_request: Option<Vec<String>>,
    /// The response's edits.
    pub rewrite_response: Option<Vec<String>>,
}

/// An expected decision of routing. What is not given may be anything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CaseRoute {
    /// To this pool.
    pub forward: Option<String>,
    /// An answer with this status.
    pub respond: Option<u16>,
    /// The rule's name.
    pub rule: Option<String>,
    /// The edits that belong to the rule.
    pub edits: Option<Vec<String>>,
    /// All fields of the answer.
    pub headers: Option<Vec<String>>,
    /// The answer's body.
    pub body: Option<String>,
    /// No opinion.
    pub pass: Option<bool>,
}

impl CaseRoute {
    /// Without what `wanted` does not ask for; of another kind than it wants, all that is not
    /// empty.
    #[must_use]
    pub fn narrowed(self, wanted: &Self) -> Self {
        let kind = |it: &Self| (it.forward.is_some(), it.respond.is_some());
        let is_other = kind(&self) != kind(wanted);
        let keeps = |asked: bool, is_empty: bool| if is_other { !is_empty } else { asked };
        let list = |found: Option<Vec<String>>, asked: bool| {
            found.filter(|list| keeps(asked, list.is_empty()))
        };
        let text =
            |found: Option<String>, asked: bool| found.filter(|text| keeps(asked, text.is_empty()));
        Self {
            rule: text(self.rule, wanted.rule.is_some()),
            edits: list(self.edits, wanted.edits.is_some()),
            headers: list(self.headers, wanted.headers.is_some()),
            body: text(self.body, wanted.body.is_some()),
            ..self
        }
    }
}

/// Expected edits that make a session stick.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaseStick {
    /// The endpoint that has answered.
    pub endpoint: String,
    /// How it relates to the preference.
    #[serde(default)]
    pub outcome: CaseOutcome,
    /// Text forms.
    pub edits: Vec<String>,
}

/// How the endpoint that answered relates to the preference.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CaseOutcome {
    /// There was no preference.
    #[default]
    Balanced,
    /// It was preferred.
    Honoured,
    /// Another one was preferred.
    Moved,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
struct File {
    #[serde(default)]
    cases: Vec<RawCase>,
}

/// A case as written; also part of a line of a record.
#[allow(missing_docs, reason = "those of `Case`, as text")]
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a table")]
pub struct RawCase {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    pub request: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub original: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<RawTls>,
    #[serde(skip_serializing_if = "RawBody::is_empty")]
    pub body: RawBody,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub body_cut: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_failure: Option<CaseBodyFailure>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub callouts: Vec<RawCallout>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub imports: Option<RawImports>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listener: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool: Option<RawPool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response: Option<RawResponse>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<RawRoute>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stick: Option<CaseStick>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rewrite_request: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rewrite_response: Option<Vec<String>>,
}

/// Part of a [`RawCase`].
#[allow(missing_docs, reason = "as there")]
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct RawPool {
    pub name: String,
    #[serde(default)]
    pub endpoints: Vec<String>,
}

/// Part of a [`RawCase`].
#[allow(missing_docs, reason = "as there")]
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct RawResponse {
    pub status: u16,
    #[serde(default)]
    pub headers: Vec<String>,
}

/// Part of a [`RawCase`].
#[allow(missing_docs, reason = "as there")]
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged, expecting = "`pass`, or a table with `forward` or `respond`")]
pub enum RawRoute {
    Text(String),
    Table(CaseRoute),
}

impl From<CaseRoute> for RawRoute {
    fn from(route: CaseRoute) -> Self {
        Self::Table(route)
    }
}

impl RawCase {
    /// Method and URL.
    pub fn request(&self) -> &str {
        &self.request
    }

    /// Checked.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn checked(self) -> Result<Case, String> {
        match self.expects_nothing() {
            true => Err(EXPECTS_NOTHING.to_owned()),
            false => self.request_alone(),
        }
    }

    /// Checked, but for there being anything expected.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn request_alone(self) -> Result<Case, String> {
        let source = Source::without_text(Path::new("the request"));
        let mut check = Check {
            path: source.path(),
            problems: Problems::of(&source),
        };
        let case = check.case(0, self);
        let finished = check.problems.finish();
        finished.map_err(|error| error.lines().join("; "))?;
        case.ok_or_else(|| "expected a case".to_owned())
    }

    fn expects_nothing(&self) -> bool {
        self.route.is_none()
            && self.prefer.is_none()
            && self.stick.is_none()
            && self.rewrite_request.is_none()
            && self.rewrite_response.is_none()
    }
}

impl Cases {
    /// Reads a file. Blocks.
    ///
    /// # Errors
    /// The file cannot be read, or as [`Cases::parse`].
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        cases(Source::read(path)?)
    }

    /// Reads `text`, the contents of `path`.
    ///
    /// # Errors
    /// All that is wrong with it, at once where possible.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        cases(Source::new(path, text))
    }

    /// The text that it was read from.
    pub fn text(&self) -> &str {
        self.source.text()
    }

    /// Problems with the values of keys, as `cases[0].route`.
    pub fn error(&self, problems: Vec<(String, String)>) -> ConfigError {
        let problems = problems.into_iter().map(|(key, problem)| {
            let key = KeyPath::parse(&key);
            self.source.problem(&key, Mark::Value, problem)
        });
        ConfigError::of(&self.source, problems.collect())
    }
}

fn cases(source: Source) -> Result<Cases, ConfigError> {
    let raw: File = raw::read(&source)?;
    let mut check = Check {
        path: source.path(),
        problems: Problems::of(&source),
    };
    if raw.cases.is_empty() {
        let message = "there are none, expected at least one table `[[cases]]`";
        check.problems.add("cases", message);
    }
    let raw = raw.cases.into_iter().enumerate();
    let cases = raw
        .filter_map(|(index, raw)| {
            let expects_nothing = raw.expects_nothing();
            let case = check.case(index, raw)?;
            if expects_nothing {
                let key = format!("cases[{index}]");
                check.problems.add(&key, EXPECTS_NOTHING);
            }
            Some(case)
        })
        .collect();
    check.problems.finish()?;
    Ok(Cases { source, cases })
}

impl Check<'_> {
    fn case(&mut self, index: usize, raw: RawCase) -> Option<Case> {
        let key = |name: &str| format!("cases[{index}].{name}");
        let (method, uri) = self
            .problems
            .take(&key("request"), request_line(&raw.request))?;
        let headers = self.fields(&key("headers"), &raw.headers);
        let original = raw.original.as_deref().map(request_line);
        let original = original.and_then(|line| self.problems.take(&key("original"), line));
        let peer = self.address(&key("peer"), raw.peer.as_deref(), ([192, 0, 2, 1], 50_000));
        let port = uri.port_u16().unwrap_or(match uri.scheme_str() {
            Some("http") => 80,
            _ => 443,
        });
        let local = self.address(
            &key("local"),
            raw.local.as_deref(),
            ([198, 51, 100, 1], port),
        );
        let response = match &raw.response {
            None => (StatusCode::OK, Vec::new()),
            Some(response) => {
                let status = StatusCode::from_u16(response.status)
                    .map_err(|_| format!("found {}, expected 100 to 599", response.status));
                let status = self.problems.take(&key("response.status"), status);
                let fields = self.fields(&key("response.headers"), &response.headers);
                (status.unwrap_or_default(), fields)
            }
        };
        let callouts = self.case_callouts(&key("callouts"), raw.callouts);
        let imports = raw.imports.unwrap_or_default();
        let imports = self.case_imports(&key("imports"), imports);
        let version = raw.version.as_deref().map(http_version);
        let version = version.and_then(|version| self.problems.take(&key("version"), version));
        let tls = self.case_tls(&key("tls"), &uri, raw.tls);
        let bytes = self.problems.take(&key("body"), raw.body.bytes());
        let expected = Expected {
            route: self.route(&key("route"), raw.route),
            prefer: raw.prefer,
            stick: raw.stick,
            rewrite_request: raw.rewrite_request,
            rewrite_response: raw.rewrite_response,
        };
        Some(Case {
            name: raw.name.unwrap_or_else(|| format!("case {}", index + 1)),
            method,
            uri,
            original: original.map(|(_, uri)| uri),
            headers,
            version: version.unwrap_or(Version::HTTP_11),
            tls,
            body: CaseBody {
                bytes: bytes.unwrap_or_default(),
                is_cut: raw.body_cut,
                failure: raw.body_failure,
            },
            callouts,
            imports,
            peer,
            local,
            listener: raw.listener.unwrap_or_else(|| "public".to_owned()),
            pool: raw.pool.map_or_else(
                || ("web".to_owned(), Vec::new()),
                |pool| (pool.name, pool.endpoints),
            ),
            response,
            expected,
        })
    }

    fn route(&mut self, key: &str, raw: Option<RawRoute>) -> Option<CaseRoute> {
        let problem = match raw? {
            RawRoute::Text(text) if text == "pass" => {
                return Some(CaseRoute {
                    pass: Some(true),
                    ..CaseRoute::default()
                });
            }
            RawRoute::Text(text) => format!(
                "found {text:?}, expected \"pass\", {{ forward = \"POOL\" }} or {{ respond = STATUS }}"
            ),
            RawRoute::Table(route) => {
                let kinds = [
                    route.forward.is_some(),
                    route.respond.is_some(),
                    route.pass == Some(true),
                ];
                match kinds.into_iter().filter(|given| *given).count() {
                    1 => return Some(route),
                    _ => "expected one of `forward` and `respond`".to_owned(),
                }
            }
        };
        self.problems.add(key, problem);
        None
    }

    pub(super) fn fields(&mut self, key: &str, raw: &[String]) -> Vec<(HeaderName, HeaderValue)> {
        let raw = raw.iter().enumerate();
        let fields = raw.filter_map(|(index, text)| {
            let key = format!("{key}[{index}]");
            self.problems.take(&key, field(text))
        });
        fields.collect()
    }

    fn address(&mut self, key: &str, raw: Option<&str>, default: ([u8; 4], u16)) -> SocketAddr {
        let default = SocketAddr::from(default);
        let Some(text) = raw else { return default };
        let address = text.parse().map_err(|_| {
            format!("found {text:?}, expected an address and port such as \"192.0.2.7:50000\"")
        });
        self.problems.take(key, address).unwrap_or(default)
    }
}

fn http_version(text: &str) -> Result<Version, String> {
    match text {
        "HTTP/1.0" => Ok(Version::HTTP_10),
        "HTTP/1.1" => Ok(Version::HTTP_11),
        "HTTP/2" => Ok(Version::HTTP_2),
        _ => Err(format!(
            "found {text:?}, expected \"HTTP/1.0\", \"HTTP/1.1\" or \"HTTP/2\""
        )),
    }
}

/// `GET https://shop.example/api`; the method may be left out.
fn request_line(text: &str) -> Result<(Method, Uri), String> {
    let wrong = || format!("found {text:?}, expected such as \"GET https://shop.example/api?x=1\"");
    let (method, url) = text.trim().split_once(' ').unwrap_or(("GET", text.trim()));
    let method = method.parse().map_err(|_| wrong())?;
    let uri: Uri = url.trim().parse().map_err(|_| wrong())?;
    match (uri.scheme_str(), uri.authority()) {
        (Some("http" | "https"), Some(authority)) if !authority.as_str().contains('@') => {
            Ok((method, uri))
        }
        _ => Err(wrong()),
    }
}

/// `x-beta: 1`
fn field(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let wrong = || format!("found {text:?}, expected a field such as \"x-beta: 1\"");
    let (name, value) = text.split_once(':').ok_or_else(wrong)?;
    let name = name.trim().parse().map_err(|_| wrong())?;
    let value = value.trim().parse().map_err(|_| wrong())?;
    Ok((name, value))
}
