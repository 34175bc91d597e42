//! Until when certificates of files, OCSP responses and CRLs are valid, and when people should
//! hear of it.

use std::{
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

/// Time enough for people to renew a certificate, and past the usual automatic renewal at a
/// third of 90 days' life.
const EXPIRES_SOON: Duration = Duration::from_hours(14 * 24);

/// Until when one certificate of a listener and its staple are valid.
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
    /// The other side refuses it; or, of a pool's trust, the gateway does.
    #[error("{}: expired at {}", .path.display(), humantime::format_rfc3339_seconds(*.not_after))]
    Expired {
        /// The file.
        path: PathBuf,
        /// The last second of its validity.
        not_after: SystemTime,
    },
    /// It will be refused soon.
    #[error("{}: expires at {}", .path.display(), humantime::format_rfc3339_seconds(*.not_after))]
    ExpiresSoon {
        /// The file.
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

impl CertificateWarning {
    /// What there is to say at `now` of a certificate.
    fn of(path: &Path, not_after: SystemTime, now: SystemTime) -> Option<Self> {
        let path = path.to_owned();
        if not_after < now {
            Some(Self::Expired { path, not_after })
        } else if not_after < now + EXPIRES_SOON {
            Some(Self::ExpiresSoon { path, not_after })
        } else {
            None
        }
    }
}

/// What a pool has a certificate for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Use {
    /// The gateway's own towards endpoints.
    Own,
    /// `trust.certificates`.
    Pinned,
    /// `trust.roots`.
    Root,
}

impl Use {
    /// For logs and metrics.
    pub fn token(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Pinned => "pinned",
            Self::Root => "root",
        }
    }
}

/// Until when one certificate of a pool is valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolDeadline {
    /// What it is there for.
    pub purpose: Use,
    /// Its file; there may be others in it.
    pub file: PathBuf,
    /// Its last second.
    pub not_after: SystemTime,
}

impl PoolDeadline {
    /// What there is to say at `now`.
    pub fn warning(&self, now: SystemTime) -> Option<CertificateWarning> {
        CertificateWarning::of(&self.file, self.not_after, now)
    }
}

impl Deadlines {
    /// What there is to say at `now`.
    pub fn warnings(&self, now: SystemTime) -> Vec<CertificateWarning> {
        let certificate = CertificateWarning::of(&self.chain, self.not_after, now);
        let staple = self.staple.clone().filter(|(_, until)| *until < now);
        let staple = staple.map(|(path, until)| CertificateWarning::StapleExpired { path, until });
        certificate.into_iter().chain(staple).collect()
    }
}
