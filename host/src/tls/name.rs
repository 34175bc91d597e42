//! Names in certificates as text by RFC 4514, in which no value can be taken for another part of
//! the name: what clients chose themselves goes to logs, plugins and, through these, upstreams.

use std::fmt::Write as _;

use x509_parser::{
    asn1_rs::ToDer as _,
    objects::{oid_registry, oid2abbrev},
    x509::{AttributeTypeAndValue, RelativeDistinguishedName, X509Name},
};

/// `CN=ada,O=Example`: the most specific part first (RFC 4514 §2.1).
pub(super) fn distinguished(name: &X509Name<'_>) -> String {
    let mut parts: Vec<_> = name.iter_rdn().map(relative).collect();
    parts.reverse();
    parts.join(",")
}

fn relative(part: &RelativeDistinguishedName<'_>) -> String {
    let attributes: Vec<_> = part.iter().map(attribute).collect();
    attributes.join("+")
}

/// A type that has no short name stands as its number; a value that is no text as its BER, in
/// hexadecimal digits (§2.3, §2.4).
fn attribute(attribute: &AttributeTypeAndValue<'_>) -> String {
    let mut text = match oid2abbrev(attribute.attr_type(), oid_registry()) {
        Ok(short) => short.to_owned(),
        Err(_) => attribute.attr_type().to_id_string(),
    };
    text.push('=');
    match attribute.as_str() {
        Ok(value) => escape(value, &mut text),
        Err(_) => {
            text.push('#');
            for byte in attribute.attr_value().to_der_vec().unwrap_or_default() {
                let _ = write!(text, "{byte:02x}");
            }
        }
    }
    text
}

fn escape(value: &str, into: &mut String) {
    let last = value.chars().count().saturating_sub(1);
    for (place, letter) in value.chars().enumerate() {
        match letter {
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' => into.extend(['\\', letter]),
            ' ' if place == 0 || place == last => into.push_str("\\ "),
            '#' if place == 0 => into.push_str("\\#"),
            control if control.is_control() => {
                for byte in control.encode_utf8(&mut [0; 4]).bytes() {
                    let _ = write!(into, "\\{byte:02x}");
                }
            }
            other => into.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DistinguishedName, DnType, DnValue, KeyPair};

    use super::*;

    fn subject(parts: &[(DnType, DnValue)]) -> String {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        for (kind, value) in parts {
            params.distinguished_name.push(kind.clone(), value.clone());
        }
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        let (_, parsed) =
            x509_parser::parse_x509_certificate(certificate.der()).expect("what was made");
        distinguished(parsed.subject())
    }

    #[test]
    fn the_most_specific_part_stands_first() {
        let name = subject(&[
            (DnType::CountryName, "DE".into()),
            (DnType::OrganizationName, "Example".into()),
            (DnType::CommonName, "ada".into()),
        ]);
        assert_eq!(name, "CN=ada,O=Example,C=DE");
    }

    #[test]
    fn no_value_can_be_taken_for_a_part() {
        let common = |value: &str| subject(&[(DnType::CommonName, value.into())]);
        assert_eq!(common("ada,O=Admins"), "CN=ada\\,O=Admins");
        assert_eq!(common("a+b=\"c\"\\;<>"), "CN=a\\+b=\\\"c\\\"\\\\\\;\\<\\>");
        assert_eq!(common(" #a "), "CN=\\ #a\\ ");
        assert_eq!(common("#a"), "CN=\\#a");
        assert_eq!(common("a\r\nx: y\0"), "CN=a\\0d\\0ax: y\\00");
        assert_eq!(common("Zoë"), "CN=Zoë");
    }

    #[test]
    fn what_is_no_text_stands_in_digits() {
        let value = DnValue::BmpString("ab".try_into().expect("two letters"));
        let name = subject(&[(DnType::CustomDnType(vec![1, 2, 3, 4]), value)]);
        assert_eq!(name, "1.2.3.4=#1e0400610062");
    }
}
