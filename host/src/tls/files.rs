//! Reads PEM files: certificates, private keys and CRLs. What goes in is a path, what comes out
//! is DER or the exact reason why not; what it means is left to others.

use std::{fs, io, path::Path};

use rustls_pki_types::{
    CertificateDer, CertificateRevocationListDer, PrivateKeyDer, pem, pem::PemObject,
};

/// A PEM file larger than this is not a certificate: the CA bundles of systems have 250 KB.
const PEM_SIZE_LIMIT: u64 = 8 * 1024 * 1024;

/// Why a file could not be used as certificate or key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileProblem {
    /// The file is missing, not a file or may not be read.
    #[error("cannot read the file: {0}")]
    Unreadable(#[source] io::Error),
    /// Begin and end lines or base64 are broken.
    #[error("the PEM in the file is broken: {0}")]
    BrokenPem(String),
    /// Nothing between `BEGIN CERTIFICATE` and `END CERTIFICATE`.
    #[error("no certificate in the file, expected PEM with `-----BEGIN CERTIFICATE-----`{}", .found.hint())]
    NoCertificate {
        /// What the file seems to hold instead.
        found: Found,
    },
    /// No private key in any of the known forms.
    #[error("no private key in the file, expected PEM with `-----BEGIN PRIVATE KEY-----`{}", .found.hint())]
    NoKey {
        /// What the file seems to hold instead.
        found: Found,
    },
    /// The key can only be read with a password.
    #[error(
        "the private key is encrypted, and there is nobody to ask for the password; \
         decrypt it with `openssl pkey -in FILE -out FILE.plain`"
    )]
    EncryptedKey,
    /// Not a key that TLS can use here: RSA of 2048 to 8192 bits, ECDSA P-256, P-384 or P-521,
    /// Ed25519.
    #[error("the private key is of no kind that can be used: {0}")]
    UnusableKey(String),
    /// Between the PEM lines is no X.509 version 3 certificate.
    #[error("certificate {} of the file cannot be used: {reason}", .position + 1)]
    UnusableCertificate {
        /// Counted from 0.
        position: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// The key belongs to none of the chain's certificates.
    #[error("the private key does not fit the chain's certificate, {subject}")]
    KeyMismatch {
        /// Names of the first certificate.
        subject: String,
    },
    /// The key belongs to a later certificate of the chain.
    #[error(
        "the chain is out of order: the private key fits certificate {} of the file, and \
         that one must come first", .position + 1
    )]
    LeafNotFirst {
        /// Where the right one is, counted from 0.
        position: usize,
    },
    /// Nothing between `BEGIN X509 CRL` and `END X509 CRL`.
    #[error("no CRL in the file, expected DER, or PEM with `-----BEGIN X509 CRL-----`{}", .found.hint())]
    NoCrl {
        /// What the file seems to hold instead.
        found: Found,
    },
    /// Not a CRL of one of the CAs, or of a kind that is not understood.
    #[error("CRL {} of the file cannot be used: {reason}", .position + 1)]
    UnusableCrl {
        /// Counted from 0.
        position: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// Not an OCSP response that can be stapled to the certificate beside it.
    #[error("the OCSP response cannot be stapled: {0}")]
    UnusableStaple(String),
    /// Not a list of ticket keys.
    #[error(
        "the file of ticket keys cannot be used: {0}; make a key with `openssl rand -base64 32`"
    )]
    UnusableTicketKeys(String),
    /// The platform has no certificate authorities.
    #[error("the platform's certificate authorities cannot be used: {0}")]
    Platform(String),
}

/// What a file without the wanted PEM section holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// Nothing at all.
    Nothing,
    /// One or more certificates.
    Certificate,
    /// One or more private keys.
    Key,
    /// Bytes that are DER rather than PEM.
    Der,
    /// Something else.
    Other,
}

impl Found {
    fn of(bytes: &[u8]) -> Self {
        if bytes.iter().all(u8::is_ascii_whitespace) {
            Self::Nothing
        } else if contains(bytes, b"PRIVATE KEY-----") {
            Self::Key
        } else if contains(bytes, b"-----BEGIN CERTIFICATE-----") {
            Self::Certificate
        } else if bytes.starts_with(&[0x30, 0x82]) {
            Self::Der
        } else {
            Self::Other
        }
    }

    fn hint(self) -> &'static str {
        match self {
            Self::Nothing => "; the file is empty",
            Self::Certificate => "; the file holds a certificate",
            Self::Key => "; the file holds a private key",
            Self::Der => "; the file is DER, convert it with `openssl x509 -inform DER`",
            Self::Other => "",
        }
    }
}

/// All certificates of a PEM file, in its order; at least one.
pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, FileProblem> {
    let bytes = read(path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let found = found.map_err(broken)?;
    if found.is_empty() {
        let found = Found::of(&bytes);
        return Err(FileProblem::NoCertificate { found });
    }
    Ok(found)
}

/// All CRLs of a PEM file, in its order, or the one of a DER file; at least one.
pub(super) fn crls(path: &Path) -> Result<Vec<CertificateRevocationListDer<'static>>, FileProblem> {
    const SEQUENCE: u8 = 0x30;
    let bytes = read(path)?;
    if bytes.first() == Some(&SEQUENCE) {
        return Ok(vec![bytes.into()]);
    }
    let found: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(&bytes).collect();
    let found = found.map_err(broken)?;
    if found.is_empty() {
        let found = Found::of(&bytes);
        return Err(FileProblem::NoCrl { found });
    }
    Ok(found)
}

/// The first private key of a PEM file: PKCS#8, PKCS#1 or SEC1.
pub(super) fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, FileProblem> {
    let bytes = read(path)?;
    if contains(&bytes, b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
        || contains(&bytes, b"Proc-Type: 4,ENCRYPTED")
    {
        return Err(FileProblem::EncryptedKey);
    }
    PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| match error {
        pem::Error::NoItemsFound => FileProblem::NoKey {
            found: Found::of(&bytes),
        },
        other => broken(other),
    })
}

/// The whole of a regular file.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, FileProblem> {
    let metadata = fs::metadata(path).map_err(FileProblem::Unreadable)?;
    let problem = if metadata.is_dir() {
        "it is a folder"
    } else if !metadata.is_file() {
        "it is not a regular file"
    } else if metadata.len() > PEM_SIZE_LIMIT {
        "it is larger than 8 MiB"
    } else {
        return fs::read(path).map_err(FileProblem::Unreadable);
    };
    Err(FileProblem::Unreadable(io::Error::other(problem)))
}

fn broken(error: pem::Error) -> FileProblem {
    FileProblem::BrokenPem(match error {
        pem::Error::MissingSectionEnd { .. } => {
            "a section has no end line (`-----END …-----`)".to_owned()
        }
        pem::Error::IllegalSectionStart { .. } => "a begin line is malformed".to_owned(),
        pem::Error::Base64Decode(problem) => format!("base64: {problem}"),
        other => other.to_string(),
    })
}

fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle)
}
