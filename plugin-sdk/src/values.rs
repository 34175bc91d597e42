//! The values that facts and decisions are made of. They are the WIT's own, whose docs follow
//! the examples; `decision` makes them.

/// What a routing plugin decides. Made by [`Route::forward`], [`Route::respond`] and
/// [`Route::redirect`].
///
/// ```
/// use witgate_sdk::Route;
///
/// let decide = |path: &str| match path {
///     "/old" => Route::redirect(308, "/new").into(),
///     "/api" => Route::forward("api").into(),
///     _ => Route::Pass,
/// };
/// assert_eq!(decide("/"), Route::Pass);
/// assert!(matches!(decide("/api"), Route::Forward(forward) if forward.pool == "api"));
/// ```
#[doc(inline)]
pub use crate::bindings::routing::exports::witgate::plugin::routing::Decision as Route;

/// The pool that a request goes to, and what changes in it. Becomes a [`Route`] or a
/// [`Decision`].
///
/// ```
/// use witgate_sdk::{Decision, Route};
///
/// let forward = Route::forward("api").rule("v1");
/// assert_eq!((forward.pool.as_str(), forward.rule.as_deref()), ("api", Some("v1")));
/// let decision: Decision = forward.into();
/// assert!(matches!(decision, Decision::Forward(_)));
/// ```
#[doc(inline)]
pub use crate::bindings::routing::exports::witgate::plugin::routing::Forward;

/// An answer of the gateway's own. Becomes a [`Route`] or a [`Decision`].
///
/// ```
/// use witgate_sdk::Route;
///
/// let respond = Route::respond(404).text("No such shop.\n").rule("unknown");
/// assert_eq!((respond.status, &respond.body[..]), (404, &b"No such shop.\n"[..]));
/// ```
#[doc(inline)]
pub use crate::bindings::routing::exports::witgate::plugin::routing::Respond;

/// What a routing plugin decides that waits: as a [`Route`], but what is passed on can be
/// edited. Of the draft of WIT 0.2.
///
/// ```
/// use witgate_sdk::{Decision, RequestEdit, Route};
///
/// let known = Decision::pass_with(vec![RequestEdit::set("x-user", "ada")]);
/// let unknown: Decision = Route::respond(401).into();
/// assert_ne!(known, unknown);
/// ```
#[doc(inline)]
pub use crate::bindings::async_routing::exports::witgate::plugin0_2_0::routing::Decision;

/// Which endpoint an affinity plugin wants.
///
/// ```
/// use witgate_sdk::Preference;
///
/// let by_cookie = |cookie: Option<String>| cookie.map_or(Preference::None, Preference::endpoint);
/// assert_eq!(by_cookie(Some("b".to_owned())), Preference::Endpoint("b".to_owned()));
/// assert_eq!(by_cookie(None), Preference::None);
/// ```
#[doc(inline)]
pub use crate::bindings::affinity::exports::witgate::plugin::affinity::Preference;

/// What became of the preference, for [`Affinity::stick`](crate::Affinity::stick).
///
/// ```
/// use witgate_sdk::Outcome;
///
/// let needs_cookie = |outcome| outcome != Outcome::Honoured;
/// assert!(needs_cookie(Outcome::Balanced) && needs_cookie(Outcome::Moved));
/// ```
#[doc(inline)]
pub use crate::bindings::affinity::exports::witgate::plugin::affinity::Outcome;

/// Calls, for [`Plugin::unneeded`](crate::Plugin::unneeded).
///
/// ```
/// use witgate_sdk::Calls;
///
/// let unneeded = Calls::REWRITE_RESPONSE | Calls::STICK_HONOURED;
/// assert!(unneeded.contains(Calls::STICK_HONOURED) && !unneeded.contains(Calls::REWRITE_REQUEST));
/// ```
#[doc(inline)]
pub use crate::bindings::base::exports::witgate::plugin::interest::Calls;

/// What [`Request::body_start`](crate::Request::body_start) has read.
///
/// ```
/// use witgate_sdk::BodyStart;
///
/// let is_json = |start: &BodyStart| start.bytes.first() == Some(&b'{');
/// assert!(is_json(&BodyStart { bytes: b"{}".to_vec(), complete: true }));
/// ```
#[doc(inline)]
pub use crate::bindings::body::Start as BodyStart;

/// Why [`Request::body_start`](crate::Request::body_start) has read nothing.
///
/// ```
/// use witgate_sdk::{BodyFailure, Request, testing};
///
/// let request = Request::post("https://shop.example/").body("a=1").build();
/// let refused = testing::wait_for(request.body_start(1 << 30));
/// assert!(matches!(refused, Err(BodyFailure::TooMuch(most)) if most == 65_536));
/// ```
#[doc(inline)]
pub use crate::bindings::body::Failure as BodyFailure;

/// A header field. Made by [`Field::new`].
///
/// ```
/// use witgate_sdk::{Field, Response};
///
/// let response = Response::with_status(200).header("Vary", "accept").build();
/// assert_eq!(response.headers(), [Field::new("vary", "accept")]);
/// ```
#[doc(inline)]
pub use crate::bindings::types::Field;

/// A change to a request. Made by [`RequestEdit::set`] and its siblings;
/// [`Request::after`](crate::Request::after) shows in a test what it makes of a request.
///
/// ```
/// use witgate_sdk::{Request, RequestEdit};
///
/// let request = Request::get("https://shop.example/api?x=1").build();
/// let after = request.after(&[RequestEdit::path("/v1/api"), RequestEdit::Query(None)]);
/// assert_eq!(after.target_uri(), "https://shop.example/v1/api");
/// ```
#[doc(inline)]
pub use crate::bindings::types::RequestEdit;

/// A change to a response. Made by [`ResponseEdit::set`] and its siblings;
/// [`Response::after`](crate::Response::after) shows in a test what it makes of a response.
///
/// ```
/// use witgate_sdk::{Response, ResponseEdit};
///
/// let response = Response::with_status(200).header("server", "x/1.2").build();
/// assert_eq!(response.after(&[ResponseEdit::remove("server")]).header("server"), None);
/// ```
#[doc(inline)]
pub use crate::bindings::types::ResponseEdit;

/// The scheme of a request's target URI.
///
/// ```
/// use witgate_sdk::{Request, Route, Scheme};
///
/// let to_tls = |request: &Request| match request.scheme() {
///     Scheme::Http => Route::redirect(308, format!("https://{}/", request.host())).into(),
///     Scheme::Https => Route::Pass,
/// };
/// assert_eq!(to_tls(&Request::get("https://shop.example/").build()), Route::Pass);
/// ```
#[doc(inline)]
pub use crate::bindings::types::Scheme;

/// The protocol of a request.
///
/// ```
/// use witgate_sdk::{HttpVersion, Request};
///
/// let request = Request::get("https://shop.example/").version(HttpVersion::Http2).build();
/// assert!(!matches!(request.version(), HttpVersion::Http10 | HttpVersion::Http11));
/// ```
#[doc(inline)]
pub use crate::bindings::types::HttpVersion;

/// The TLS session that a request came in.
///
/// ```
/// use witgate_sdk::{Request, TlsSession};
///
/// let session = TlsSession {
///     version: "TLSv1.2".to_owned(),
///     cipher: "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256".to_owned(),
///     server_name: None,
///     alpn: None,
/// };
/// let request = Request::get("https://shop.example/").tls(Some(session)).build();
/// assert!(request.tls().is_some_and(|tls| tls.version == "TLSv1.2"));
/// ```
#[doc(inline)]
pub use crate::bindings::types::TlsSession;

/// The certificate that the client presented.
///
/// ```
/// use witgate_sdk::ClientCertificate;
///
/// let name = |certificate: &ClientCertificate| match &certificate.verification {
///     Ok(()) => certificate.subject.clone(),
///     Err(why) => format!("nobody: {why}"),
/// };
/// # let certificate = ClientCertificate {
/// #     verification: Err("expired".to_owned()),
/// #     subject: String::new(),
/// #     issuer: String::new(),
/// #     serial: String::new(),
/// #     fingerprint: String::new(),
/// #     not_before: 0,
/// #     not_after: 1,
/// # };
/// assert_eq!(name(&certificate), "nobody: expired");
/// ```
#[doc(inline)]
pub use crate::bindings::types::ClientCertificate;
