//! Says ahead of time, and again each day, that a certificate or an OCSP response in service
//! is about to expire or has.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use crate::{snapshot::Snapshot, tls::downstream::CertificateWarning};

/// How often one warning is repeated.
const AGAIN: Duration = Duration::from_hours(24);

/// What has been said, and when.
#[derive(Debug, Default)]
pub(super) struct ExpiryWatch {
    told: HashMap<(Arc<str>, CertificateWarning), Instant>,
}

impl ExpiryWatch {
    /// Looks at what is in service now, by the wall clock.
    pub(super) fn look(&mut self, snapshot: &Snapshot) {
        let (now, at) = (Instant::now(), SystemTime::now());
        self.told
            .retain(|_, told| now.saturating_duration_since(*told) < AGAIN);
        for listener in &snapshot.listeners {
            for warning in listener.tls.iter().flat_map(|tls| tls.warnings(at)) {
                let key = (Arc::clone(&listener.name), warning);
                self.told.entry(key).or_insert_with_key(|(name, warning)| {
                    tracing::warn!(listener = %name, "{warning}");
                    now
                });
            }
        }
    }
}
