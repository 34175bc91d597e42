//! Certificates: public ones are written where the export has them; what only the operator has is
//! asked for by name.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{node::Node, report::Report, text::fit, translation::Files};

/// Writes a root's or a backend's certificate and returns its file's name. When the export does
/// not have it, it is asked for.
pub(super) fn public(node: &Node<'_>, files: &mut Files, report: &mut Report) -> String {
    let file = format!("certs/{}.pem", fit(&node.name()));
    match node.text("data").and_then(|data| pem(&data)) {
        Some(text) => {
            files.insert(file.clone(), text.into_bytes());
        }
        None => {
            let from = match node.text("keyVaultSecretId") {
                Some(id) => format!("; it is in the key vault: {id}"),
                None => String::new(),
            };
            let what = format!("the certificate of {} (PEM){from}", node.path);
            report.provide(&file, what);
        }
    }
    file
}

/// Asks for a listener's certificate and key, which no export has, and returns the entry of
/// `tls.certificates`.
pub(super) fn private(name: &str, node: Option<&Node<'_>>, report: &mut Report) -> String {
    let (chain, key) = (
        format!("certs/{0}.pem", fit(name)),
        format!("certs/{0}.key", fit(name)),
    );
    let from = match node {
        Some(node) if node.text("keyVaultSecretId").is_some() => {
            let id = node.text("keyVaultSecretId").unwrap_or_default();
            format!("it is in the key vault: {id}")
        }
        Some(node) if node.get("data").is_some() => format!(
            "a PFX as base64 in {}.data, or in a parameter; `openssl pkcs12 -in FILE.pfx -nodes` shows both",
            node.path
        ),
        Some(node) => format!("{} has its public half at most", node.path),
        None => "the export does not say which".to_owned(),
    };
    let both = format!("{chain} and {key}");
    report.provide(
        &both,
        format!("the certificate {name}, its issuers behind it, and its key: {from}"),
    );
    format!("{{ chain = \"{chain}\", key = \"{key}\" }}")
}

/// The text of a PEM file from base64 of DER, or of PEM; none when it is no certificate.
fn pem(data: &str) -> Option<String> {
    let plain: String = data.split_whitespace().collect();
    let bytes = STANDARD.decode(plain).ok()?;
    if bytes.starts_with(b"-----BEGIN CERTIFICATE-----") {
        return String::from_utf8(bytes).ok();
    }
    x509_parser::parse_x509_certificate(&bytes).ok()?;
    let body = STANDARD.encode(&bytes);
    let mut text = "-----BEGIN CERTIFICATE-----\n".to_owned();
    let mut rest = body.as_str();
    while !rest.is_empty() {
        let (line, behind) = rest.split_at(rest.len().min(64));
        text.push_str(line);
        text.push('\n');
        rest = behind;
    }
    text.push_str("-----END CERTIFICATE-----\n");
    Some(text)
}
