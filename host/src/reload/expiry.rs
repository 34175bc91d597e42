//! Says ahead of time, and again each day, that a certificate, an OCSP response or a CRL in
//! service is about to expire or has.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use crate::{snapshot::Snapshot, tls::CertificateWarning};

/// How often one warning is repeated.
const AGAIN: Duration = Duration::from_hours(24);

/// What has been said, and when.
#[derive(Debug, Default)]
pub(super) struct ExpiryWatch {
    told: HashMap<(Owner, CertificateWarning), Instant>,
}

/// Whose certificate it is.
#[derive(Debug, PartialEq, Eq, Hash)]
enum Owner {
    Listener(Arc<str>),
    Pool(String, &'static str),
}

impl ExpiryWatch {
    /// Looks at what is in service now, by the wall clock.
    pub(super) fn look(&mut self, snapshot: &Snapshot) {
        let (now, at) = (Instant::now(), SystemTime::now());
        self.told
            .retain(|_, told| now.saturating_duration_since(*told) < AGAIN);
        for listener in &snapshot.listeners {
            for warning in listener.tls.iter().flat_map(|tls| tls.warnings(at)) {
                self.tell(Owner::Listener(Arc::clone(&listener.name)), warning, now);
            }
        }
        for pool in &snapshot.pools {
            for deadline in pool.deadlines() {
                if let Some(warning) = deadline.warning(at) {
                    let name = pool.facts.name.clone();
                    let owner = Owner::Pool(name, deadline.purpose.token());
                    self.tell(owner, warning, now);
                }
            }
        }
    }

    fn tell(&mut self, owner: Owner, warning: CertificateWarning, now: Instant) {
        let told = self.told.entry((owner, warning));
        told.or_insert_with_key(|(owner, warning)| {
            match owner {
                Owner::Listener(name) => tracing::warn!(listener = %name, "{warning}"),
                Owner::Pool(name, purpose) => {
                    tracing::warn!(pool = name, certificate = purpose, "{warning}");
                }
            }
            now
        });
    }
}
