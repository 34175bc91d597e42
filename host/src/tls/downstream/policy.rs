//! From the names of a policy to what rustls offers.

use std::sync::Arc;

use rustls::{
    SupportedProtocolVersion,
    crypto::{CryptoProvider, aws_lc_rs},
};

use super::super::provider as default_provider;
use crate::config::TlsPolicy;

/// The provider with the policy's suites and groups alone, in its order.
pub(super) fn provider(policy: &TlsPolicy) -> Arc<CryptoProvider> {
    let suites = policy.suites.iter().filter_map(|wanted| {
        let mut all = aws_lc_rs::ALL_CIPHER_SUITES.iter();
        all.find(|suite| suite.suite() == *wanted).copied()
    });
    let groups = policy.groups.iter().filter_map(|wanted| {
        let mut all = aws_lc_rs::ALL_KX_GROUPS.iter();
        all.find(|group| group.name() == *wanted).copied()
    });
    Arc::new(CryptoProvider {
        cipher_suites: suites.collect(),
        kx_groups: groups.collect(),
        ..(*default_provider()).clone()
    })
}

/// The policy's versions, highest first.
pub(super) fn versions(policy: &TlsPolicy) -> &'static [&'static SupportedProtocolVersion] {
    super::super::versions(policy.min, policy.max)
}
