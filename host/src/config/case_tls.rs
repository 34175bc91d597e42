//! The TLS session of a case's request, as far as it is not the usual one.

use http::Uri;
use serde::{Deserialize, Serialize};

use super::{
    check::Check,
    texts::{bytes_of_base64, text_of},
};

/// What the client's connection was negotiated to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseTls {
    /// `TLSv1.3`, unless it says otherwise.
    pub version: String,
    /// IANA suite name.
    pub cipher: String,
    /// The name the client asked for; that of the URL, unless it says otherwise.
    pub server_name: Option<String>,
    /// `http/1.1`, unless it says otherwise.
    pub alpn: Option<String>,
    /// What the client presented.
    pub client: Option<CaseClient>,
}

/// A client's certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseClient {
    /// Whether it is good, as it is unless it says otherwise; else why not.
    pub verification: Result<(), String>,
    /// RFC 4514.
    pub subject: String,
    /// RFC 4514.
    pub issuer: String,
    /// Hexadecimal digits.
    pub serial: String,
    /// `sha256:` and digits.
    pub fingerprint: String,
    /// First and last second, since 1970.
    pub validity: (i64, i64),
    /// DER, the client's own first.
    pub chain: Vec<Vec<u8>>,
}

/// As written; part of a `RawCase`.
#[allow(missing_docs, reason = "those of `CaseTls`; empty names for none")]
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a table")]
pub struct RawTls {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cipher: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alpn: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<RawClient>,
}

/// As written; part of a [`RawTls`].
#[allow(missing_docs, reason = "those of `CaseClient`")]
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a table")]
pub struct RawClient {
    /// Why it is not good; nothing when it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
    pub subject: String,
    pub issuer: String,
    pub serial: String,
    pub fingerprint: String,
    pub not_before: i64,
    pub not_after: i64,
    /// Base64 of DER.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub chain: Vec<String>,
}

impl RawClient {
    /// As it is written.
    pub fn of(client: &CaseClient) -> Self {
        Self {
            failed: client.verification.clone().err(),
            subject: client.subject.clone(),
            issuer: client.issuer.clone(),
            serial: client.serial.clone(),
            fingerprint: client.fingerprint.clone(),
            not_before: client.validity.0,
            not_after: client.validity.1,
            chain: client.chain.iter().map(|der| text_of(der)).collect(),
        }
    }
}

impl Check<'_> {
    /// None for a request of plain HTTP, which must say nothing of TLS.
    pub(super) fn case_tls(
        &mut self,
        key: &str,
        uri: &Uri,
        raw: Option<RawTls>,
    ) -> Option<CaseTls> {
        let is_plain = uri.scheme_str() != Some("https");
        if is_plain {
            if raw.is_some() {
                let message = "the request is one of http, without TLS";
                self.problems.add(key, message);
            }
            return None;
        }
        let raw = raw.unwrap_or_default();
        let given = |text: Option<String>, default: Option<&str>| {
            let text = text.or_else(|| default.map(str::to_owned));
            text.filter(|text| !text.is_empty())
        };
        let host = uri.host().map(str::to_ascii_lowercase);
        let client = raw.client;
        Some(CaseTls {
            version: raw.version.unwrap_or_else(|| "TLSv1.3".to_owned()),
            cipher: raw
                .cipher
                .unwrap_or_else(|| "TLS_AES_128_GCM_SHA256".to_owned()),
            server_name: given(raw.server_name, host.as_deref()),
            alpn: given(raw.alpn, Some("http/1.1")),
            client: client.map(|client| self.case_client(&format!("{key}.client"), client)),
        })
    }

    fn case_client(&mut self, key: &str, raw: RawClient) -> CaseClient {
        let chain = raw.chain.iter().enumerate();
        let chain = chain.filter_map(|(index, text)| {
            let key = format!("{key}.chain[{index}]");
            self.problems.take(&key, bytes_of_base64(text))
        });
        CaseClient {
            chain: chain.collect(),
            verification: raw.failed.map_or(Ok(()), Err),
            subject: raw.subject,
            issuer: raw.issuer,
            serial: raw.serial,
            fingerprint: raw.fingerprint,
            validity: (raw.not_before, raw.not_after),
        }
    }
}
