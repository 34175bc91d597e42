//! How long the certificates of listeners and pools, OCSP responses and CRLs are still valid.

use std::{collections::BTreeMap, fmt, time::SystemTime};

use prometheus_client::encoding::DescriptorEncoder;

use super::{Scrape, gauge};

impl Scrape {
    /// Seconds left at the time of the scrape; below zero once that time is over.
    pub(super) fn certificates(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut certificates = BTreeMap::new();
        let mut staples = BTreeMap::new();
        let mut crls = BTreeMap::new();
        for listener in &self.snapshot.listeners {
            let key =
                |path: &std::path::Path| (listener.name.to_string(), path.display().to_string());
            for (path, until) in listener.tls.iter().flat_map(|tls| tls.crls()) {
                crls.insert(key(&path), until);
            }
            for deadlines in listener.tls.iter().flat_map(|tls| tls.deadlines()) {
                certificates.insert(key(&deadlines.chain), deadlines.not_after);
                if let Some((path, until)) = &deadlines.staple {
                    staples.insert(key(path), *until);
                }
            }
        }
        let now = SystemTime::now();
        for (name, help, all) in [
            (
                "certificate_expiry_seconds",
                "Seconds until a listener's certificate expires",
                certificates,
            ),
            (
                "ocsp_response_expiry_seconds",
                "Seconds until a listener's OCSP response is not stapled any more",
                staples,
            ),
            (
                "crl_expiry_seconds",
                "Seconds until a newer CRL of clients' CAs is due",
                crls,
            ),
        ] {
            let mut family = gauge(encoder, name, help)?;
            for ((listener, file), end) in all {
                family
                    .encode_family(&[("listener", listener.as_str()), ("file", file.as_str())])?
                    .encode_gauge(&seconds_left(now, end))?;
            }
        }
        self.pool_certificates(encoder, now)
    }

    /// Of several in a file the one that ends first.
    fn pool_certificates(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        now: SystemTime,
    ) -> fmt::Result {
        let mut first = BTreeMap::new();
        for pool in &self.snapshot.pools {
            for deadline in pool.deadlines() {
                let file = deadline.file.display().to_string();
                let key = (pool.facts.name.as_str(), deadline.purpose, file);
                let end = first.entry(key).or_insert(deadline.not_after);
                *end = deadline.not_after.min(*end);
            }
        }
        let mut family = gauge(
            encoder,
            "pool_certificate_expiry_seconds",
            "Seconds until a certificate expires that a pool presents or trusts",
        )?;
        for ((pool, purpose, file), end) in first {
            let labels = [
                ("pool", pool),
                ("certificate", purpose.token()),
                ("file", file.as_str()),
            ];
            family
                .encode_family(&labels)?
                .encode_gauge(&seconds_left(now, end))?;
        }
        Ok(())
    }
}

fn seconds_left(now: SystemTime, end: SystemTime) -> f64 {
    match end.duration_since(now) {
        Ok(left) => left.as_secs_f64().floor(),
        Err(over) => -over.duration().as_secs_f64().ceil(),
    }
}
