//! A token taken apart (RFC 7515 §3.1, RFC 7519 §7.2): what is signed, the signature, and the
//! header, which says how. Nothing here is trusted yet.

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use serde::{Deserialize, de::IgnoredAny};

use crate::{keys::Algorithm, refusal::Refusal};

/// The three parts of a token.
pub(crate) struct Token<'a> {
    pub(crate) algorithm: Algorithm,
    pub(crate) kid: Option<String>,
    pub(crate) typ: Option<String>,
    /// Header and payload with the dot between them.
    pub(crate) signed: &'a [u8],
    pub(crate) payload: Vec<u8>,
    pub(crate) signature: Vec<u8>,
}

/// What of the JOSE header counts; a name that is there twice is refused (RFC 7515 §4). Keys
/// that a token brings along (`jwk`, `jku`, `x5c`, `x5u`) are never looked at.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    crit: Option<IgnoredAny>,
    b64: Option<bool>,
}

/// Longest `kid`, bytes: it goes to the access log.
const LONGEST_KID: usize = 256;

const MALFORMED: Refusal = Refusal::Token("it is no JWT in the compact form of JWS");

impl<'a> Token<'a> {
    /// Takes a token apart.
    pub(crate) fn parse(text: &'a str) -> Result<Self, Refusal> {
        let (signed, signature) = text.rsplit_once('.').ok_or(MALFORMED)?;
        let (header, payload) = signed.split_once('.').ok_or(MALFORMED)?;
        let header: Header = serde_json::from_slice(&decode(header)?).map_err(|_| MALFORMED)?;
        // No extension is understood, so none that has to be (RFC 7515 §4.1.11); a payload that
        // is not encoded (RFC 7797) is one of them.
        if header.crit.is_some() || header.b64 == Some(false) {
            return Err(Refusal::Token("its crit or b64 asks for an extension"));
        }
        if header
            .kid
            .as_ref()
            .is_some_and(|kid| kid.len() > LONGEST_KID)
        {
            return Err(Refusal::Token("its kid is too long"));
        }
        let algorithm = header.alg.parse();
        Ok(Self {
            algorithm: algorithm.map_err(|_| Refusal::Token("its alg is not accepted"))?,
            kid: header.kid,
            typ: header.typ,
            signed: signed.as_bytes(),
            payload: decode(payload)?,
            signature: decode(signature)?,
        })
    }
}

/// Strict: no padding, no other alphabet, no bits left over. A further dot is none of it.
fn decode(part: &str) -> Result<Vec<u8>, Refusal> {
    BASE64_URL_SAFE_NO_PAD.decode(part).map_err(|_| MALFORMED)
}
