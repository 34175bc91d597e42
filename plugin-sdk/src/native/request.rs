//! A built request.

use std::net::SocketAddr;

use super::fields::Fields;
use crate::{
    BodyFailure, BodyStart, ClientCertificate, Field, HttpVersion, Request, Scheme, TlsSession,
    bindings::Addresses, target_uri::TargetUri,
};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RawRequest {
    id: String,
    method: String,
    scheme: Scheme,
    version: HttpVersion,
    pub(super) authority: String,
    pub(super) path: String,
    pub(super) query: Option<String>,
    original_uri: String,
    pub(super) fields: Fields,
    listener: String,
    peer: SocketAddr,
    local: SocketAddr,
    tls: Option<TlsSession>,
    client_certificate: Option<ClientCertificate>,
    client_certificate_chain: Vec<Vec<u8>>,
    body: Vec<u8>,
}

/// Of the sidecar, unless it says otherwise.
const MOST_OF_BODY: u64 = 64 << 10;

impl RawRequest {
    pub(crate) async fn body_start(&self, most: u64) -> Result<BodyStart, BodyFailure> {
        if most > MOST_OF_BODY {
            return Err(BodyFailure::TooMuch(MOST_OF_BODY));
        }
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let bytes = self.body.get(..most).unwrap_or(&self.body);
        Ok(BodyStart {
            bytes: bytes.to_vec(),
            complete: bytes.len() == self.body.len(),
        })
    }

    pub(crate) fn id(&self) -> String {
        self.id.clone()
    }

    pub(crate) fn method(&self) -> String {
        self.method.clone()
    }

    pub(crate) fn scheme(&self) -> Scheme {
        self.scheme
    }

    pub(crate) fn version(&self) -> HttpVersion {
        self.version
    }

    pub(crate) fn target_uri(&self) -> String {
        let mut uri = [self.scheme_text(), &self.authority, &self.path].concat();
        if let Some(query) = &self.query {
            uri.push('?');
            uri.push_str(query);
        }
        uri
    }

    pub(crate) fn original_uri(&self) -> String {
        self.original_uri.clone()
    }

    fn scheme_text(&self) -> &'static str {
        match self.scheme {
            Scheme::Http => "http://",
            Scheme::Https => "https://",
        }
    }

    pub(crate) fn header(&self, name: &str) -> Option<Vec<u8>> {
        self.fields.first(name)
    }

    pub(crate) fn header_values(&self, name: &str) -> Vec<Vec<u8>> {
        self.fields.values(name)
    }

    pub(crate) fn headers(&self) -> Vec<Field> {
        self.fields.all()
    }

    pub(crate) fn cookie(&self, name: &str) -> Option<String> {
        self.fields.cookie(name)
    }

    pub(crate) fn listener(&self) -> String {
        self.listener.clone()
    }

    pub(crate) fn addresses(&self) -> Addresses {
        Addresses {
            peer: self.peer.into(),
            local: self.local.into(),
        }
    }

    pub(crate) fn tls(&self) -> Option<TlsSession> {
        self.tls.clone()
    }

    pub(crate) fn client_certificate(&self) -> Option<ClientCertificate> {
        self.client_certificate.clone()
    }

    pub(crate) fn client_certificate_chain(&self) -> Vec<Vec<u8>> {
        self.client_certificate_chain.clone()
    }
}

/// Builds a [`Request`] for a test.
///
/// What is not said is: a client at `192.0.2.1:50000`, a gateway at `198.51.100.1` with the
/// port of the URL, a listener `public`, HTTP/1.1, TLS 1.3 when the URL is `https`, and no
/// certificate of the client.
///
/// ```
/// use witgate_sdk::Request;
///
/// let request = Request::post("https://shop.example/carts").header("x-beta", "1").build();
/// assert_eq!((request.method().as_str(), request.path()), ("POST", "/carts"));
/// ```
#[derive(Debug, Clone)]
pub struct RequestBuilder(RawRequest);

impl Request {
    /// Starts to build a `GET` of this URL.
    ///
    /// # Panics
    /// When it is not an absolute URL of `http` or `https`.
    ///
    /// ```
    /// use witgate_sdk::Request;
    ///
    /// let request = Request::get("https://shop.example/api?x=1").build();
    /// assert_eq!((request.method().as_str(), request.path()), ("GET", "/api"));
    /// ```
    #[must_use]
    pub fn get(url: &str) -> RequestBuilder {
        Self::with_method("GET", url)
    }

    /// Starts to build a `POST` to this URL.
    ///
    /// # Panics
    /// As [`Request::get`].
    ///
    /// ```
    /// use witgate_sdk::Request;
    ///
    /// assert_eq!(Request::post("https://shop.example/").build().method(), "POST");
    /// ```
    #[must_use]
    pub fn post(url: &str) -> RequestBuilder {
        Self::with_method("POST", url)
    }

    /// Starts to build a request of another method.
    ///
    /// # Panics
    /// As [`Request::get`].
    ///
    /// ```
    /// use witgate_sdk::Request;
    ///
    /// assert_eq!(Request::with_method("PURGE", "https://shop.example/").build().method(), "PURGE");
    /// ```
    pub fn with_method(method: impl Into<String>, url: &str) -> RequestBuilder {
        let (scheme, rest) = match url.split_once("://") {
            Some(("https", rest)) => (Scheme::Https, rest),
            Some(("http", rest)) => (Scheme::Http, rest),
            _ => panic!("expected a URL that starts with http:// or https://, found {url:?}"),
        };
        let start = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(start);
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (target, None),
        };
        let path = if path.is_empty() { "/" } else { path };
        let authority = authority.to_ascii_lowercase();
        let mut raw = RawRequest {
            id: "0123456789abcdef0123456789abcdef".to_owned(),
            method: method.into(),
            scheme,
            version: HttpVersion::Http11,
            path: path.to_owned(),
            original_uri: String::new(),
            query,
            fields: Fields::default(),
            listener: "public".to_owned(),
            peer: ([192, 0, 2, 1], 50_000).into(),
            local: ([198, 51, 100, 1], port(&authority, scheme)).into(),
            tls: None,
            client_certificate: None,
            client_certificate_chain: Vec::new(),
            body: Vec::new(),
            authority,
        };
        raw.original_uri = raw.target_uri();
        raw.tls = (scheme == Scheme::Https).then(|| tls(&raw));
        RequestBuilder(raw)
    }
}

fn port(authority: &str, scheme: Scheme) -> u16 {
    let usual = if scheme == Scheme::Https { 443 } else { 80 };
    authority
        .rsplit_once(':')
        .and_then(|(_, port)| port.parse().ok())
        .unwrap_or(usual)
}

fn tls(request: &RawRequest) -> TlsSession {
    TlsSession {
        version: "TLSv1.3".to_owned(),
        cipher: "TLS_AES_128_GCM_SHA256".to_owned(),
        server_name: Some(TargetUri::new(request.target_uri()).host().to_owned()),
        alpn: Some("http/1.1".to_owned()),
    }
}

impl RequestBuilder {
    /// Adds a field, behind those of the same name.
    ///
    /// ```
    /// use witgate_sdk::Request;
    ///
    /// let request = Request::get("https://shop.example/").header("x-a", "1").header("x-a", "2").build();
    /// assert_eq!(request.header_values("x-a"), [b"1", b"2"]);
    /// ```
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<Vec<u8>>) -> Self {
        self.0.fields.append(name, value);
        self
    }

    /// The body, for [`Request::body_start`]. No field is added for it.
    ///
    /// ```
    /// use witgate_sdk::{Request, testing};
    ///
    /// let request = Request::post("https://shop.example/").body("a=1").build();
    /// let start = testing::wait_for(request.body_start(1024)).unwrap();
    /// assert!(start.complete && start.bytes == b"a=1");
    /// ```
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.0.body = body.into();
        self
    }

    /// Adds a cookie, in a field of its own.
    ///
    /// ```
    /// use witgate_sdk::Request;
    ///
    /// let request = Request::get("https://shop.example/").cookie("a", "1").cookie("b", "2").build();
    /// assert_eq!(request.header_values("cookie"), [b"a=1", b"b=2"]);
    /// ```
    #[must_use]
    pub fn cookie(self, name: &str, value: &str) -> Self {
        self.header("cookie", format!("{name}={value}"))
    }

    /// The client's address and port.
    ///
    /// # Panics
    /// When it is not both, as in `192.0.2.7:5555` or `[2001:db8::7]:5555`.
    ///
    /// ```
    /// use witgate_sdk::Request;
    ///
    /// let request = Request::get("https://shop.example/").peer("[2001:db8::7]:5555").build();
    /// assert!(request.peer().is_ipv6());
    /// ```
    #[must_use]
    pub fn peer(mut self, peer: &str) -> Self {
        self.0.peer = peer
            .parse()
            .unwrap_or_else(|_| panic!("expected an address and port, found {peer:?}"));
        self
    }

    /// The gateway's address and port.
    ///
    /// # Panics
    /// As [`RequestBuilder::peer`].
    ///
    /// ```
    /// use witgate_sdk::Request;
    ///
    /// let request = Request::get("https://shop.example/").local("10.0.0.1:8443").build();
    /// assert_eq!(request.local().to_string(), "10.0.0.1:8443");
    /// ```
    #[must_use]
    pub fn local(mut self, local: &str) -> Self {
        self.0.local = local
            .parse()
            .unwrap_or_else(|_| panic!("expected an address and port, found {local:?}"));
        self
    }

    /// The name of the listener.
    ///
    /// ```
    /// use witgate_sdk::Request;
    ///
    /// let request = Request::get("https://shop.example/").listener("internal").build();
    /// assert_eq!(request.listener(), "internal");
    /// ```
    #[must_use]
    pub fn listener(mut self, name: impl Into<String>) -> Self {
        self.0.listener = name.into();
        self
    }

    /// The protocol between client and gateway.
    ///
    /// ```
    /// use witgate_sdk::{HttpVersion, Request};
    ///
    /// let request = Request::get("https://shop.example/").version(HttpVersion::Http10).build();
    /// assert_eq!(request.version(), HttpVersion::Http10);
    /// ```
    #[must_use]
    pub fn version(mut self, version: HttpVersion) -> Self {
        self.0.version = version;
        self
    }

    /// The TLS session, or that there is none.
    ///
    /// ```
    /// use witgate_sdk::Request;
    ///
    /// let request = Request::get("https://shop.example/").tls(None).build();
    /// assert_eq!(request.tls(), None);
    /// ```
    #[must_use]
    pub fn tls(mut self, tls: Option<TlsSession>) -> Self {
        self.0.tls = tls;
        self
    }

    /// The client's certificate, and the DER of all that it presented, its own first.
    ///
    /// ```
    /// use witgate_sdk::{ClientCertificate, Request};
    ///
    /// let certificate = ClientCertificate {
    ///     verification: Err("expired".to_owned()),
    ///     subject: "CN=ada".to_owned(),
    ///     issuer: "CN=Example CA".to_owned(),
    ///     serial: "c0ffee".to_owned(),
    ///     fingerprint: format!("sha256:{}", "0".repeat(64)),
    ///     not_before: 0,
    ///     not_after: 1,
    /// };
    /// let chain = [b"its DER".to_vec(), b"that of its issuer".to_vec()];
    /// let request = Request::get("https://shop.example/").client_certificate(certificate, chain).build();
    /// assert_eq!(request.client_certificate_chain().len(), 2);
    /// ```
    #[must_use]
    pub fn client_certificate(
        mut self,
        certificate: ClientCertificate,
        chain: impl IntoIterator<Item = Vec<u8>>,
    ) -> Self {
        self.0.client_certificate = Some(certificate);
        self.0.client_certificate_chain = chain.into_iter().collect();
        self
    }

    /// The gateway's id of the request.
    ///
    /// ```
    /// use witgate_sdk::Request;
    ///
    /// let request = Request::get("https://shop.example/").id("0f").build();
    /// assert_eq!(request.id(), "0f");
    /// ```
    #[must_use]
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.0.id = id.into();
        self
    }

    /// The request.
    ///
    /// ```
    /// use witgate_sdk::Request;
    ///
    /// let request = Request::get("https://shop.example/").build();
    /// assert_eq!(request.listener(), "public");
    /// ```
    #[must_use]
    pub fn build(self) -> Request {
        Request::new(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart() {
        let request = Request::get("https://Shop.Example.:8443").build();
        assert_eq!(request.host(), "shop.example");
        assert_eq!(request.path(), "/");
        assert_eq!(request.query(), None);
        assert_eq!(request.local().port(), 8443);
        assert_eq!(
            request.tls().and_then(|tls| tls.server_name).as_deref(),
            Some("shop.example")
        );
        let request = Request::get("http://[2001:db8::7]:81?").build();
        assert_eq!(request.host(), "2001:db8::7");
        assert_eq!(request.query(), Some(""));
        assert_eq!((request.path(), request.local().port()), ("/", 81));
    }

    #[test]
    fn fields_of_one_name_are_kept_apart() {
        let request = Request::get("https://a/")
            .header("A", "1")
            .header("b", "2")
            .header("a", b"\xff")
            .build();
        assert_eq!(request.header_values("A"), [b"1", b"\xff"]);
        assert_eq!(request.header_str("a").as_deref(), Some("1"));
        assert_eq!(request.headers().len(), 3);
    }

    #[test]
    fn what_is_not_utf8_is_no_text() {
        let request = Request::get("https://a/").header("a", b"\xff").build();
        assert_eq!(request.header("a").as_deref(), Some(&b"\xff"[..]));
        assert_eq!(request.header_str("a"), None);
    }

    #[test]
    fn a_cookie_is_found_on_any_line() {
        let request = Request::get("https://a/")
            .header("cookie", "a=1; b=2")
            .cookie("c", "\"3\"")
            .build();
        assert_eq!(request.cookie("b").as_deref(), Some("2"));
        assert_eq!(request.cookie("c").as_deref(), Some("3"));
        assert_eq!(request.cookie("B"), None);
    }
}
