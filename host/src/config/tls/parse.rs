//! `listeners[].tls`, from raw to typed: names become suites and groups, and what cannot work
//! together is refused.

use std::{ops::RangeInclusive, path::PathBuf, time::Duration};

use super::{
    CertificateFiles, ClientCertificates, ClientIdentity, ClientMode, GROUPS, Hosts, ListenerTls,
    POLICIES, PoolTls, SUITES, ServerNameFrom, Tickets, TlsPolicy, TlsVersion, UnknownNames,
    UnknownStatus,
};
use crate::config::{check::Check, raw};

/// A session cannot be resumed after seven days (RFC 8446 §4.6.1).
const TICKET_LIFETIMES: RangeInclusive<Duration> =
    Duration::from_mins(1)..=Duration::from_hours(7 * 24);
const TICKET_LIFETIME: Duration = Duration::from_hours(12);

/// Certificates between the client's and the CA: the verifier follows no longer chains.
const DEPTHS: RangeInclusive<i64> = 0..=6;
const DEPTH: usize = 3;

impl Check<'_> {
    /// What stands below `key`, which is `listeners[0].tls`.
    pub(in crate::config) fn listener_tls(&mut self, key: &str, raw: raw::Tls) -> ListenerTls {
        let at = |name: &str| format!("{key}.{name}");
        ListenerTls {
            policy: self.policy(key, &raw),
            unknown_names: self.choice(
                &at("unknown_names"),
                raw.unknown_names.as_deref(),
                &[
                    ("default", UnknownNames::Default),
                    ("refuse", UnknownNames::Refuse),
                ],
                UnknownNames::Default,
            ),
            hosts: self.choice(
                &at("hosts"),
                raw.hosts.as_deref(),
                &[("any", Hosts::Any), ("certificate", Hosts::Certificate)],
                Hosts::Any,
            ),
            tickets: self.tickets(&at("tickets"), raw.tickets),
            client_certificates: raw
                .client_certificates
                .map(|raw| self.client_certificates(&at("client_certificates"), raw)),
            certificates: self.certificates(&at("certificates"), raw.certificates),
        }
    }

    fn certificates(&mut self, key: &str, raw: Vec<raw::Certificate>) -> Vec<CertificateFiles> {
        if raw.is_empty() {
            self.problems.add(
                key,
                "the list is empty, expected at least one `{ chain = \"…\", key = \"…\" }`",
            );
        }
        let raw = raw.into_iter().enumerate();
        let certificates = raw.map(|(index, raw)| CertificateFiles {
            chain: self.file(&format!("{key}[{index}].chain"), &raw.chain),
            key: self.file(&format!("{key}[{index}].key"), &raw.key),
            ocsp: raw
                .ocsp
                .map(|path| self.file(&format!("{key}[{index}].ocsp"), &path)),
        });
        certificates.collect()
    }

    fn policy(&mut self, key: &str, raw: &raw::Tls) -> TlsPolicy {
        let at = |name: &str| format!("{key}.{name}");
        let names: Vec<_> = POLICIES
            .iter()
            .map(|policy| (policy.name, policy))
            .collect();
        let named = self.choice(&at("policy"), raw.policy.as_deref(), &names, &POLICIES[0]);
        let mut policy = TlsPolicy::of(named);
        let (min, max) = (&raw.min_version, &raw.max_version);
        policy.min = self.version(&at("min_version"), min.as_deref(), policy.min);
        policy.max = self.version(&at("max_version"), max.as_deref(), policy.max);
        if let Some(suites) = &raw.suites {
            policy.suites = self.names(&at("suites"), suites, &SUITES, |(suite, _)| suite);
        }
        if let Some(groups) = &raw.groups {
            policy.groups = self.names(&at("groups"), groups, &GROUPS, |(group, _)| group);
        }
        self.policy_works(key, raw, &policy);
        policy
    }

    pub(in crate::config) fn version(
        &mut self,
        key: &str,
        raw: Option<&str>,
        default: TlsVersion,
    ) -> TlsVersion {
        if let Some(old @ ("1.0" | "1.1")) = raw {
            self.problems.add(
                key,
                format!("found {old:?}, expected `1.2` or `1.3`: nothing older is spoken"),
            );
            return default;
        }
        self.choice(key, raw, &TlsVersion::NAMES, default)
    }

    fn names<T: Copy, V>(
        &mut self,
        key: &str,
        raw: &[String],
        known: &[(&str, T)],
        value: impl Fn(T) -> V,
    ) -> Vec<V> {
        self.list(key, raw.to_vec(), |check, key, name| {
            let choices: Vec<_> = known
                .iter()
                .map(|(name, known)| (*name, Some(*known)))
                .collect();
            check.choice(key, Some(&name), &choices, None).map(&value)
        })
    }

    /// Each version needs a suite and a group.
    fn policy_works(&mut self, key: &str, raw: &raw::Tls, policy: &TlsPolicy) {
        if policy.min > policy.max {
            let written = if raw.min_version.is_some() {
                "min_version"
            } else {
                "max_version"
            };
            self.problems.add(
                &format!("{key}.{written}"),
                format!(
                    "the lowest version is {}, the highest {}, expected at least one in between",
                    policy.min.name(),
                    policy.max.name()
                ),
            );
            return;
        }
        for version in [TlsVersion::V12, TlsVersion::V13] {
            if !(policy.min..=policy.max).contains(&version) {
                continue;
            }
            let hint = format!(
                "expected one, or another `min_version` or `max_version` than {}",
                version.name()
            );
            let mut known = SUITES.iter().map(|(_, known)| *known);
            let has_suite =
                known.any(|(suite, of)| of == version && policy.suites.contains(&suite));
            if !has_suite && !policy.suites.is_empty() {
                let message = format!("none of the suites is for TLS {}, {hint}", version.name());
                let written = if raw.suites.is_some() {
                    "suites"
                } else {
                    "min_version"
                };
                self.problems.add(&format!("{key}.{written}"), message);
            }
            let mut known = GROUPS.iter().map(|(_, known)| *known);
            let has_group =
                known.any(|(group, from)| from <= version && policy.groups.contains(&group));
            if !has_group && !policy.groups.is_empty() {
                let message = format!("none of the groups is for TLS {}, {hint}", version.name());
                self.problems.add(&format!("{key}.groups"), message);
            }
        }
    }

    fn tickets(&mut self, key: &str, raw: Option<raw::Tickets>) -> Tickets {
        let raw = raw.unwrap_or_default();
        let at = |name: &str| format!("{key}.{name}");
        let keys = raw.keys.map(|path| self.file(&at("keys"), &path));
        let lifetime = self.duration(
            &at("lifetime"),
            raw.lifetime.as_ref(),
            TICKET_LIFETIMES,
            TICKET_LIFETIME,
        );
        if raw.enabled.unwrap_or(true) {
            return Tickets::On { keys, lifetime };
        }
        if keys.is_some() {
            self.problems.add_unwanted(
                &at("keys"),
                "found `keys`, expected none with enabled = false: there are no tickets",
            );
        }
        Tickets::Off
    }

    fn client_certificates(
        &mut self,
        key: &str,
        raw: raw::ClientCertificates,
    ) -> ClientCertificates {
        let at = |name: &str| format!("{key}.{name}");
        let modes = [
            ("require", ClientMode::Require),
            ("require-or-400", ClientMode::RequireOr400),
            ("request", ClientMode::Request),
        ];
        let mode = self.choice(&at("mode"), Some(&raw.mode), &modes, ClientMode::Request);
        let ca_given = raw.ca.is_some();
        let ca = match raw.ca {
            Some(list) => self.list(&at("ca"), list, |check, key, path| {
                Some(check.file(key, &path))
            }),
            None => Vec::new(),
        };
        if !ca_given && mode != ClientMode::Request {
            self.problems.add(
                &at("ca"),
                "the key `ca` is missing, expected files of the CAs that issue the clients' \
                 certificates; without any, none is good",
            );
        }
        let direct_issuer = raw.direct_issuer.unwrap_or(false);
        if direct_issuer && !ca_given {
            self.problems.add_unwanted(
                &at("direct_issuer"),
                "found `direct_issuer`, expected `ca` beside it: the issuer is looked for there",
            );
        }
        let (crl, crl_unknown) = self.crl(key, raw.crl, raw.crl_unknown.as_deref(), ca_given);
        ClientCertificates {
            mode,
            ca,
            crl,
            crl_unknown,
            depth: self.count(&at("depth"), raw.depth, DEPTHS, DEPTH),
            direct_issuer,
            headers: raw.headers.unwrap_or(false),
        }
    }
}

impl Check<'_> {
    fn crl(
        &mut self,
        key: &str,
        files: Option<Vec<String>>,
        unknown: Option<&str>,
        ca_given: bool,
    ) -> (Vec<PathBuf>, UnknownStatus) {
        let (crl, crl_unknown) = (format!("{key}.crl"), format!("{key}.crl_unknown"));
        if unknown.is_some() && files.is_none() {
            self.problems.add_unwanted(
                &crl_unknown,
                "found `crl_unknown`, expected `crl` beside it: without any CRL nothing is known",
            );
        }
        if files.is_some() && !ca_given {
            self.problems.add_unwanted(
                &crl,
                "found `crl`, expected `ca` beside it: CRLs are verified with the CAs",
            );
        }
        let files = match files {
            Some(list) => self.list(&crl, list, |check, key, path| Some(check.file(key, &path))),
            None => Vec::new(),
        };
        let choices = [
            ("refuse", UnknownStatus::Refuse),
            ("allow", UnknownStatus::Allow),
        ];
        let unknown = self.choice(&crl_unknown, unknown, &choices, UnknownStatus::Refuse);
        (files, unknown)
    }
}

impl Check<'_> {
    /// `tls` of the pool at `key`.
    pub(in crate::config) fn pool_tls(&mut self, key: &str, raw: raw::PoolTls) -> PoolTls {
        let at = |name: &str| format!("{key}.tls.{name}");
        let min = raw.min_version.as_deref();
        PoolTls {
            min_version: self.version(&at("min_version"), min, TlsVersion::V12),
            client_certificate: raw.client_certificate.map(|files| ClientIdentity {
                chain: self.file(&at("client_certificate.chain"), &files.chain),
                key: self.file(&at("client_certificate.key"), &files.key),
            }),
        }
    }

    /// `server_name_from` of the pool at `key`.
    pub(in crate::config) fn server_name_from(
        &mut self,
        key: &str,
        raw: Option<&str>,
        has_server_name: bool,
    ) -> ServerNameFrom {
        let choices = [
            ("configuration", ServerNameFrom::Configuration),
            ("request", ServerNameFrom::Request),
        ];
        let at = format!("{key}.server_name_from");
        let from = self.choice(&at, raw, &choices, ServerNameFrom::Configuration);
        if from == ServerNameFrom::Request && has_server_name {
            self.problems.add_unwanted(
                &format!("{key}.server_name"),
                "found `server_name`, expected none with server_name_from = \"request\"",
            );
        }
        from
    }
}

impl TlsVersion {
    fn name(self) -> &'static str {
        match self {
            Self::V12 => "1.2",
            Self::V13 => "1.3",
        }
    }
}
