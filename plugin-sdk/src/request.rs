//! A request as plugins see it: typed getters over the gateway's facts, or over built ones in
//! native tests.

use std::{cell::OnceCell, net::SocketAddr};

use crate::{
    BodyFailure, BodyStart, ClientCertificate, Field, HttpVersion, Scheme, TlsSession,
    bindings::Addresses, target_uri::TargetUri,
};

#[cfg(target_arch = "wasm32")]
use crate::guest::RawRequest as Raw;
#[cfg(not(target_arch = "wasm32"))]
use crate::native::RawRequest as Raw;

/// A request as the gateway received it; during rewriting with the edits made so far.
///
/// A getter is a call into the gateway and copies what it returns: ask for what is needed,
/// once. Scheme, authority, host, path and query are parts of the target URI and cost one call
/// together; so do those of the original, and the two addresses. Header names are case-insensitive.
///
/// In native tests a request is built:
///
/// ```
/// use witgate_sdk::Request;
///
/// let request = Request::get("https://shop.example:8443/api?x=1")
///     .header("X-Beta", "1")
///     .cookie("session", "7f")
///     .peer("192.0.2.7:5555")
///     .build();
/// assert_eq!(request.authority(), "shop.example:8443");
/// assert_eq!(request.host(), "shop.example");
/// assert_eq!(request.path(), "/api");
/// assert_eq!(request.query(), Some("x=1"));
/// assert_eq!(request.header_str("x-beta").as_deref(), Some("1"));
/// assert_eq!(request.cookie("session").as_deref(), Some("7f"));
/// assert_eq!(request.peer().port(), 5555);
/// ```
#[derive(Debug)]
#[cfg_attr(not(target_arch = "wasm32"), derive(Clone))]
pub struct Request {
    pub(crate) raw: Raw,
    uri: OnceCell<TargetUri>,
    original: OnceCell<TargetUri>,
    addresses: OnceCell<Addresses>,
}

impl Request {
    pub(crate) fn new(raw: Raw) -> Self {
        Self {
            raw,
            uri: OnceCell::new(),
            original: OnceCell::new(),
            addresses: OnceCell::new(),
        }
    }

    fn uri(&self) -> &TargetUri {
        self.uri
            .get_or_init(|| TargetUri::new(self.raw.target_uri()))
    }

    fn original(&self) -> &TargetUri {
        self.original
            .get_or_init(|| TargetUri::new(self.raw.original_uri()))
    }

    fn addresses(&self) -> &Addresses {
        self.addresses.get_or_init(|| self.raw.addresses())
    }

    /// The first bytes of the body, up to `most`; fewer only when that is all of it. Waits until
    /// the client has sent them. For plugins whose sidecar has `grants = ["body"]`, before the
    /// request is sent upstream: in [`AsyncRouting::route`](crate::AsyncRouting::route) and
    /// [`AsyncRewriting::rewrite_request`](crate::AsyncRewriting::rewrite_request). What is read
    /// goes upstream unchanged.
    ///
    /// ```
    /// use witgate_sdk::{Request, testing};
    ///
    /// let request = Request::post("https://shop.example/").body("drop table").build();
    /// let start = testing::wait_for(request.body_start(4)).unwrap();
    /// assert_eq!((&start.bytes[..], start.complete), (&b"drop"[..], false));
    /// ```
    ///
    /// # Errors
    /// When `most` is more than `[body]` in the sidecar allows, when the client does not send in
    /// time, and when it breaks off.
    pub async fn body_start(&self, most: u64) -> Result<BodyStart, BodyFailure> {
        self.raw.body_start(most).await
    }

    /// The gateway's own id of this request: 32 lower-case hexadecimal digits, also in the
    /// access log.
    ///
    /// ```
    /// use witgate_sdk::Request;
    ///
    /// let request = Request::get("https://shop.example/").id("0f").build();
    /// assert_eq!(request.id(), "0f");
    /// ```
    #[must_use]
    pub fn id(&self) -> String {
        self.raw.id()
    }

    /// The method, as sent: `GET`.
    ///
    /// ```
    /// use witgate_sdk::Request;
    ///
    /// let request = Request::post("https://shop.example/carts").build();
    /// assert_eq!(request.method(), "POST");
    /// ```
    #[must_use]
    pub fn method(&self) -> String {
        self.raw.method()
    }

    /// The protocol between client and gateway.
    ///
    /// ```
    /// use witgate_sdk::{HttpVersion, Request};
    ///
    /// let request = Request::get("https://shop.example/").version(HttpVersion::Http2).build();
    /// assert_eq!(request.version(), HttpVersion::Http2);
    /// ```
    #[must_use]
    pub fn version(&self) -> HttpVersion {
        self.raw.version()
    }

    /// The target URI (RFC 9110 §7.1): `https://shop.example:8443/api?x=1`. Ends with the
    /// authority for `OPTIONS *`.
    ///
    /// ```
    /// use witgate_sdk::Request;
    ///
    /// let request = Request::get("https://Shop.Example:8443/api?x=1").build();
    /// assert_eq!(request.target_uri(), "https://shop.example:8443/api?x=1");
    /// ```
    #[must_use]
    pub fn target_uri(&self) -> &str {
        self.uri().as_str()
    }

    /// `https` on a TLS listener, else `http`.
    ///
    /// ```
    /// use witgate_sdk::{Request, Scheme};
    ///
    /// let request = Request::get("http://shop.example/").build();
    /// assert_eq!(request.scheme(), Scheme::Http);
    /// ```
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        let known = self.uri.get().or_else(|| self.original.get());
        known.map_or_else(|| self.raw.scheme(), TargetUri::scheme)
    }

    /// Host and, when the client named another than the scheme's own, port:
    /// `shop.example:8443`. Lower-case, no final dot.
    ///
    /// ```
    /// use witgate_sdk::Request;
    ///
    /// let request = Request::get("https://Shop.Example:8443/").build();
    /// assert_eq!(request.authority(), "shop.example:8443");
    /// ```
    #[must_use]
    pub fn authority(&self) -> &str {
        self.uri().authority()
    }

    /// The authority's host alone: lower-case, no port, no final dot; an IPv6 address without
    /// its brackets.
    ///
    /// ```
    /// use witgate_sdk::Request;
    ///
    /// let request = Request::get("https://[2001:db8::7]:8443/").build();
    /// assert_eq!(request.host(), "2001:db8::7");
    /// ```
    #[must_use]
    pub fn host(&self) -> &str {
        self.uri().host()
    }

    /// The path, percent-encoded, starting with `/`; `*` for `OPTIONS *`. In the normal form that
    /// the upstream gets too, unless the listener says `paths = "as-sent"`.
    ///
    /// ```
    /// use witgate_sdk::Request;
    ///
    /// let request = Request::get("https://shop.example/a%20b?x=1").build();
    /// assert_eq!(request.path(), "/a%20b");
    /// ```
    #[must_use]
    pub fn path(&self) -> &str {
        self.uri().path()
    }

    /// What follows `?`, undecoded; none without `?`, empty when nothing follows it.
    ///
    /// ```
    /// use witgate_sdk::Request;
    ///
    /// let query = |url| Request::get(url).build().query().map(str::to_owned);
    /// assert_eq!(query("https://shop.example/?x=%20").as_deref(), Some("x=%20"));
    /// assert_eq!(query("https://shop.example/?").as_deref(), Some(""));
    /// assert_eq!(query("https://shop.example/"), None);
    /// ```
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.uri().query()
    }

    /// The target URI that the client asked for, whatever plugins made of it since: path and
    /// query as sent, the authority in its normal form.
    ///
    /// ```
    /// use witgate_sdk::{Request, RequestEdit};
    ///
    /// let request = Request::get("https://shop.example/api?x=1").build();
    /// let edited = request.after(&[RequestEdit::path("/v1"), RequestEdit::authority("web.internal")]);
    /// assert_eq!(edited.target_uri(), "https://web.internal/v1?x=1");
    /// assert_eq!(edited.original_uri(), "https://shop.example/api?x=1");
    /// ```
    #[must_use]
    pub fn original_uri(&self) -> &str {
        self.original().as_str()
    }

    /// The authority that the client asked for, whatever plugins made of it since.
    ///
    /// ```
    /// use witgate_sdk::{Request, RequestEdit};
    ///
    /// let request = Request::get("https://shop.example/").build();
    /// let edited = request.after(&[RequestEdit::authority("web.internal")]);
    /// assert_eq!((edited.authority(), edited.original_authority()), ("web.internal", "shop.example"));
    /// ```
    #[must_use]
    pub fn original_authority(&self) -> &str {
        self.original().authority()
    }

    /// Path and query that the client asked for, as sent, whatever became of them since.
    ///
    /// ```
    /// use witgate_sdk::{Request, RequestEdit};
    ///
    /// let request = Request::get("https://shop.example/api?x=1").build();
    /// let edited = request.after(&[RequestEdit::path("/v1"), RequestEdit::Query(None)]);
    /// assert_eq!((edited.path(), edited.original_target()), ("/v1", "/api?x=1"));
    /// ```
    #[must_use]
    pub fn original_target(&self) -> &str {
        self.original().target()
    }

    /// The value of the first field of this name; none when there is none.
    ///
    /// ```
    /// use witgate_sdk::Request;
    ///
    /// let request = Request::get("https://shop.example/").header("X-Key", b"\xff").build();
    /// assert_eq!(request.header("x-key").as_deref(), Some(&b"\xff"[..]));
    /// assert_eq!(request.header("x-other"), None);
    /// ```
    #[must_use]
    pub fn header(&self, name: &str) -> Option<Vec<u8>> {
        self.raw.header(name)
    }

    /// The value of the first field of this name as text; none when there is none or it is
    /// not UTF-8.
    ///
    /// ```
    /// use witgate_sdk::Request;
    ///
    /// let request = Request::get("https://shop.example/").header("x-a", "1").header("x-b", b"\xff").build();
    /// assert_eq!(request.header_str("X-A").as_deref(), Some("1"));
    /// assert_eq!(request.header_str("x-b"), None);
    /// ```
    #[must_use]
    pub fn header_str(&self, name: &str) -> Option<String> {
        self.header(name)
            .and_then(|value| String::from_utf8(value).ok())
    }

    /// The values of all fields of this name, in order; empty when there is none.
    ///
    /// ```
    /// use witgate_sdk::Request;
    ///
    /// let request = Request::get("https://shop.example/").header("accept", "a").header("accept", "b").build();
    /// assert_eq!(request.header_values("accept"), [b"a", b"b"]);
    /// ```
    #[must_use]
    pub fn header_values(&self, name: &str) -> Vec<Vec<u8>> {
        self.raw.header_values(name)
    }

    /// All fields, in the order received, with lower-case names. Copies the whole head.
    ///
    /// ```
    /// use witgate_sdk::{Field, Request};
    ///
    /// let request = Request::get("https://shop.example/").header("X-A", "1").build();
    /// assert_eq!(request.headers(), [Field::new("x-a", "1")]);
    /// ```
    #[must_use]
    pub fn headers(&self) -> Vec<Field> {
        self.raw.headers()
    }

    /// The value of the first cookie of this name (RFC 6265 §5.4), without surrounding
    /// quotes; none when there is none. Names are case-sensitive.
    ///
    /// ```
    /// use witgate_sdk::Request;
    ///
    /// let request = Request::get("https://shop.example/").header("cookie", "a=\"1\"; b=2").build();
    /// assert_eq!(request.cookie("a").as_deref(), Some("1"));
    /// assert_eq!(request.cookie("A"), None);
    /// ```
    #[must_use]
    pub fn cookie(&self, name: &str) -> Option<String> {
        self.raw.cookie(name)
    }

    /// The name of the listener that accepted the connection.
    ///
    /// ```
    /// use witgate_sdk::Request;
    ///
    /// let request = Request::get("https://shop.example/").listener("internal").build();
    /// assert_eq!(request.listener(), "internal");
    /// ```
    #[must_use]
    pub fn listener(&self) -> String {
        self.raw.listener()
    }

    /// The client's side of the connection. An IPv4 client on a socket for both families has
    /// an IPv4 address.
    ///
    /// ```
    /// use witgate_sdk::Request;
    ///
    /// let request = Request::get("https://shop.example/").peer("192.0.2.7:5555").build();
    /// assert_eq!(request.peer().to_string(), "192.0.2.7:5555");
    /// ```
    #[must_use]
    pub fn peer(&self) -> SocketAddr {
        (&self.addresses().peer).into()
    }

    /// The gateway's side of the connection.
    ///
    /// ```
    /// use witgate_sdk::Request;
    ///
    /// let request = Request::get("https://shop.example:8443/").build();
    /// assert_eq!(request.local().port(), 8443);
    /// ```
    #[must_use]
    pub fn local(&self) -> SocketAddr {
        (&self.addresses().local).into()
    }

    /// The TLS session; none on a plain listener.
    ///
    /// ```
    /// use witgate_sdk::Request;
    ///
    /// let tls = Request::get("https://shop.example/").build().tls().expect("a TLS listener");
    /// assert_eq!((tls.version.as_str(), tls.server_name.as_deref()), ("TLSv1.3", Some("shop.example")));
    /// assert!(Request::get("http://shop.example/").build().tls().is_none());
    /// ```
    #[must_use]
    pub fn tls(&self) -> Option<TlsSession> {
        self.raw.tls()
    }

    /// The client's certificate and what the gateway makes of it; none when it presented none,
    /// as when the listener asks for none.
    ///
    /// ```
    /// use witgate_sdk::{ClientCertificate, Request};
    ///
    /// let certificate = ClientCertificate {
    ///     verification: Ok(()),
    ///     subject: "CN=ada".to_owned(),
    ///     issuer: "CN=Example CA".to_owned(),
    ///     serial: "c0ffee".to_owned(),
    ///     fingerprint: format!("sha256:{}", "0".repeat(64)),
    ///     not_before: 0,
    ///     not_after: i64::MAX,
    /// };
    /// let request = Request::get("https://shop.example/").client_certificate(certificate, []).build();
    /// assert_eq!(request.client_certificate().expect("one was presented").subject, "CN=ada");
    /// ```
    #[must_use]
    pub fn client_certificate(&self) -> Option<ClientCertificate> {
        self.raw.client_certificate()
    }

    /// The certificates that the client presented, DER, its own first; empty when there are
    /// none. Copies up to some ten kilobytes.
    ///
    /// ```
    /// use witgate_sdk::Request;
    ///
    /// let request = Request::get("https://shop.example/").build();
    /// assert!(request.client_certificate_chain().is_empty());
    /// ```
    #[must_use]
    pub fn client_certificate_chain(&self) -> Vec<Vec<u8>> {
        self.raw.client_certificate_chain()
    }
}

#[cfg(not(target_arch = "wasm32"))]
impl PartialEq for Request {
    fn eq(&self, other: &Self) -> bool {
        self.raw == other.raw
    }
}

#[cfg(not(target_arch = "wasm32"))]
impl Eq for Request {}
