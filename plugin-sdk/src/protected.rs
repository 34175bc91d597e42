//! Which header fields no plugin may change.

/// Fields that frame a message, belong to one connection, or say where the request goes or who
/// the client is. The gateway has the same list.
pub(crate) const PROTECTED: [&str; 12] = [
    "client-cert",
    "client-cert-chain",
    "connection",
    "content-length",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Whether only the gateway may set this field, in whatever case it is written. A decision that
/// changes one is refused; so a plugin that takes names from its configuration refuses them there.
///
/// ```
/// assert!(witgate_sdk::is_protected_field("Content-Length"));
/// assert!(!witgate_sdk::is_protected_field("x-user"));
/// ```
#[must_use]
pub fn is_protected_field(name: &str) -> bool {
    PROTECTED
        .iter()
        .any(|protected| name.eq_ignore_ascii_case(protected))
}
