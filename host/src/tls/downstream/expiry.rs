//! Until when a listener's certificates and OCSP responses are valid, and when people should
//! hear of it.

use std::{
    path::PathBuf,
    time::{Duration, SystemTime},
};

/// Time enough for people to renew a certificate, and past the usual automatic renewal at a
/// third of 90 days' life.
const EXPIRES_SOON: Duration = Duration::from_hours(14 * 24);

/// Until when one certificate and its staple are valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deadlines {
    /// The certificate's file.
    pub chain: PathBuf,
    /// The last second of the certificate.
    pub not_after: SystemTime,
    /// The OCSP response's file, and the last second that it may be stapled.
    pub staple: Option<(PathBuf, SystemTime)>,
}

/// Something that works, but not for everybody or not for long.
#[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error)]
pub enum CertificateWarning {
    /// Clients will refuse it.
    #[error("{}: expired at {}", .path.display(), humantime::format_rfc3339_seconds(*.not_after))]
    Expired {
        /// Its chain.
        path: PathBuf,
        /// The last second of its validity.
        not_after: SystemTime,
    },
    /// Clients will refuse it soon.
    #[error("{}: expires at {}", .path.display(), humantime::format_rfc3339_seconds(*.not_after))]
    ExpiresSoon {
        /// Its chain.
        path: PathBuf,
        /// The last second of its validity.
        not_after: SystemTime,
    },
    /// It is not stapled any more.
    #[error(
        "{}: this OCSP response was valid until {} and is not stapled",
        .path.display(), humantime::format_rfc3339_seconds(*.until)
    )]
    StapleExpired {
        /// The response.
        path: PathBuf,
        /// The last second of its validity.
        until: SystemTime,
    },
    /// What has been revoked since is not known.
    #[error(
        "{}: a newer CRL has been due since {}, this one stays in use",
        .path.display(), humantime::format_rfc3339_seconds(*.until)
    )]
    CrlOverdue {
        /// The CRL's file.
        path: PathBuf,
        /// When the next one was to be there.
        until: SystemTime,
    },
}

impl Deadlines {
    /// What there is to say at `now`.
    pub fn warnings(&self, now: SystemTime) -> Vec<CertificateWarning> {
        let (path, not_after) = (self.chain.clone(), self.not_after);
        let certificate = if not_after < now {
            Some(CertificateWarning::Expired { path, not_after })
        } else if not_after < now + EXPIRES_SOON {
            Some(CertificateWarning::ExpiresSoon { path, not_after })
        } else {
            None
        };
        let staple = self.staple.clone().filter(|(_, until)| *until < now);
        let staple = staple.map(|(path, until)| CertificateWarning::StapleExpired { path, until });
        certificate.into_iter().chain(staple).collect()
    }
}
