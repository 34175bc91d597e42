//! `[[listeners]]`: addresses, certificates, and which requests are taken.

use std::collections::BTreeMap;

use serde::Deserialize;
use witgate_schema::Schema;

use super::{Duration, Size};

tables! {
    /// Where clients connect.
    Listener {
        /// For logs, metrics and plugins.
        #[schema(range = "name, unique")]
        name: String,
        /// Port 0 takes any free port; the log tells which.
        #[schema(range = "address, unique")]
        address: String,
        /// What its clients speak. With `"http"` there is no `tls` table; HTTP/2 is spoken with
        /// clients that start with its preface.
        #[schema(choice("https", "http"), default = r#""https""#)]
        protocol: Option<String>,
        tls: Option<Tls>,
        /// Gets the requests that no routing plugin claims. Without it they are answered with
        /// 404.
        #[schema(range = "name of a pool", default = "none")]
        default_pool: Option<String>,
        /// Only with `protocol = "http"`: all requests are answered with a redirect. No plugin
        /// is asked. `{}` takes all defaults: the same host, path and query under HTTPS.
        #[schema(default = "none")]
        https_redirect: Option<HttpsRedirect>,
        proxy_protocol: Option<ProxyProtocol>,
        #[serde(default)]
        requests: Requests,
        /// The listener's own [pages](#error_pages); none of the file's is used then. With `{}`
        /// it has none.
        #[schema(default = "those of the file")]
        error_pages: Option<BTreeMap<String, ErrorPage>>,
    }
    /// Files of one page, by form.
    ErrorPage {
        /// A file of UTF-8 text, 1 byte to 1 MiB. At least one.
        #[schema(range = "path", default = "the gateway's own words")]
        html: Option<String>,
        /// A file of UTF-8 text, 1 byte to 1 MiB. At least one.
        #[schema(range = "path", default = "the gateway's own words")]
        json: Option<String>,
        /// A file of UTF-8 text, 1 byte to 1 MiB. At least one.
        #[schema(range = "path", default = "the gateway's own words")]
        text: Option<String>,
    }
    /// Where requests without TLS are sent.
    HttpsRedirect {
        /// The answer's.
        #[schema(range = "301, 302, 303, 307, 308", default = "308")]
        status: Option<i64>,
        /// Where HTTPS is, as clients see it.
        #[schema(least = 1, most = 65535, default = "443")]
        port: Option<i64>,
        /// Another place: `"https://www.shop.example:8443/moved"`. May have a query when
        /// nothing of the request's target is kept.
        #[schema(range = "URL of HTTPS", default = "the request's host")]
        to: Option<String>,
        /// Whether the request's path stands behind that of `to`, and its query behind that.
        #[schema(choice("keep", "drop"), default = r#""keep""#)]
        path: Option<String>,
        /// Whether the request's path stands behind that of `to`, and its query behind that.
        #[schema(choice("keep", "drop"), default = r#""keep""#)]
        query: Option<String>,
    }
    /// Who speaks the PROXY protocol.
    ProxyProtocol {
        /// Each connection must come from one of these and start with a header of the PROXY
        /// protocol, version 1 or 2; others are closed. The addresses in it are then those of
        /// the connection, for plugins, the access log and limits. `["10.0.0.0/8"]`
        #[schema(range = "list of addresses and networks", default = "required in the table")]
        trusted: Vec<String>,
        /// For that header to arrive.
        #[schema(range = "duration, 1ms to 1m", default = r#""5s""#)]
        timeout: Option<Duration>,
    }
    /// Which requests a listener takes, and in which form they are passed on.
    Requests {
        /// Which form of the path decides the route and reaches the upstream: see below.
        #[schema(choice("normalize", "as-sent"), default = r#""normalize""#)]
        paths: Option<String>,
        /// Whether `//` becomes `/`.
        #[schema(choice("merge", "keep"), default = r#""merge""#)]
        slashes: Option<String>,
        /// Whether a path with `%2F`, `%5C` or `\` is answered with 400, or goes on with these
        /// three encoded.
        #[schema(choice("refuse", "keep"), default = r#""refuse""#)]
        encoded_slashes: Option<String>,
        /// Whether fields whose name has `_` are passed on. Many upstreams take
        /// `x_forwarded_for` for `x-forwarded-for`: keep them only where none does.
        #[schema(choice("drop", "keep"), default = r#""drop""#)]
        underscores: Option<String>,
        /// Whether TRACE is answered with 405 or passed on. CONNECT is always answered with
        /// 405: see below.
        #[schema(choice("refuse", "forward"), default = r#""refuse""#)]
        trace: Option<String>,
        /// Body of one request. More is answered with 413: before the upstream sees anything
        /// when the length is declared, else when so much has come.
        #[schema(range = "size, 0 to 1024GiB", default = r#""4GiB""#)]
        body_bytes: Option<Size>,
        /// Which protocols clients may switch to: see [Tunnels](#tunnels). `["*"]` stands for
        /// all, `[]` for none; a name stands for all versions of it. Versions of HTTP (`h2c`)
        /// are never among them, since their requests would pass the plugins by.
        #[schema(range = r#"list of protocols, or `["*"]`"#, default = r#"["websocket"]"#)]
        upgrades: Option<Vec<String>>,
    }
    /// TLS towards clients.
    Tls {
        /// See below.
        #[schema(range = "list of `{ chain, key, ocsp }`, not empty")]
        certificates: Vec<Certificate>,
        /// Versions and suites: see [tls.md](tls.md#choose-a-policy).
        #[schema(range = r#"`"modern"`, `"tls13"`, or a name of Azure's"#, default = r#""modern""#)]
        policy: Option<String>,
        /// The lowest and highest version.
        #[schema(choice("1.2", "1.3"), default = "the policy's")]
        min_version: Option<String>,
        /// The lowest and highest version.
        #[schema(choice("1.2", "1.3"), default = "the policy's")]
        max_version: Option<String>,
        /// In order of preference, by IANA's names. Each version needs one.
        #[schema(range = "list of suites, not empty", default = "the policy's")]
        suites: Option<Vec<String>>,
        /// Groups of the key exchange. TLS 1.2 needs one of the last three.
        #[schema(range = r#"list of `"X25519MLKEM768"`, `"SecP256r1MLKEM768"`, `"x25519"`, `"secp256r1"`, `"secp384r1"`"#, default = "the first and the last three")]
        groups: Option<Vec<String>>,
        /// What clients get that ask for a name of no certificate, or for none: the first
        /// certificate, or an alert.
        #[schema(choice("default", "refuse"), default = r#""default""#)]
        unknown_names: Option<String>,
        /// Which hosts may be asked for on a connection: all, or those that its certificate
        /// names (else 421).
        #[schema(choice("any", "certificate"), default = r#""any""#)]
        hosts: Option<String>,
        tickets: Option<Tickets>,
        /// See [tls.md](tls.md#certificates-of-clients).
        #[schema(default = "none are asked for")]
        client_certificates: Option<ClientCertificates>,
    }
    /// A certificate and its key.
    Certificate {
        /// A PEM file with the certificate first and its issuers after it.
        #[schema(range = "path")]
        chain: String,
        /// A PEM file with its private key, not encrypted.
        #[schema(range = "path")]
        key: String,
        /// An OCSP response in DER that is stapled.
        #[schema(range = "path", default = "none")]
        ocsp: Option<String>,
    }
    /// Resumption of sessions.
    Tickets {
        /// Whether sessions are resumed.
        #[schema(default = "true")]
        enabled: Option<bool>,
        /// Keys that several gateways share: see [tls.md](tls.md#session-tickets).
        #[schema(range = "path", default = "random keys")]
        keys: Option<String>,
        /// How long a ticket is accepted.
        #[schema(range = "duration, 1m to 7d", default = r#""12h""#)]
        lifetime: Option<Duration>,
    }
    /// Certificates of clients.
    ClientCertificates {
        /// What happens to clients without a good certificate: the handshake fails, requests
        /// get 400, nothing.
        #[schema(choice("require", "require-or-400", "request"))]
        mode: String,
        /// PEM files of the CAs whose certificates are good.
        #[schema(range = "list of paths, not empty", default = r#"required but with `"request"`"#)]
        ca: Option<Vec<String>>,
        /// Lists of revoked certificates, DER or PEM (one or more in a file), each signed by a
        /// CA of `ca`: see [tls.md](tls.md#revoked-certificates).
        #[schema(range = "list of paths, not empty", default = "revocation is not looked at")]
        crl: Option<Vec<String>>,
        /// What a certificate counts as that no list speaks of: not good, or not revoked. Only
        /// with `crl`.
        #[schema(choice("refuse", "allow"), default = r#""refuse""#)]
        crl_unknown: Option<String>,
        /// Certificates between a client's and a CA of the list.
        #[schema(least = 0, most = 6, default = "3")]
        depth: Option<i64>,
        /// Whether the issuer of a client's certificate must be on the list itself.
        #[schema(default = "false")]
        direct_issuer: Option<bool>,
        /// Whether upstreams get `Client-Cert` and `Client-Cert-Chain` (RFC 9440).
        #[schema(default = "false")]
        headers: Option<bool>,
    }
}
