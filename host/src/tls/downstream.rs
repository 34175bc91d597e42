//! TLS towards clients: what a listener's configuration and files become. One [`Context`] holds
//! it all: versions and suites, certificates by name, ticket keys, the rule for clients'
//! certificates.

mod clients;
mod failure;
mod policy;
mod resolver;
mod revocation;
mod staple;
mod tickets;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use rustls::{
    ServerConfig, ServerConnection,
    server::{NoServerSessionStorage, WebPkiClientVerifier},
};

pub use clients::{ClientCertificate, ClientLeaf, Verdict};
pub use failure::HandshakeCause;
#[cfg(test)]
pub(super) use resolver::Resolver;
#[cfg(not(test))]
use resolver::Resolver;

use self::{clients::Clients, tickets::TicketKeys};
use super::{Alpn, CertificateWarning, Deadlines, FileProblem, Session};
use crate::config::{CertificateFiles, ClientMode, Hosts, ListenerTls};

/// A file of a listener's TLS cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}", .path.display())]
pub struct TlsFileError {
    /// Where it stands below `tls`: `certificates[1].key`.
    pub key: String,
    /// That file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub problem: FileProblem,
}

impl TlsFileError {
    fn at(key: impl Into<String>, path: &Path) -> impl FnOnce(FileProblem) -> Self {
        let (key, path) = (key.into(), path.to_owned());
        move |problem| Self { key, path, problem }
    }
}

/// The files that this configuration names.
pub fn files(tls: &ListenerTls) -> Vec<&Path> {
    let certificates = tls.certificates.iter().flat_map(|files| {
        let CertificateFiles { chain, key, ocsp } = files;
        [Some(chain), Some(key), ocsp.as_ref()]
            .into_iter()
            .flatten()
    });
    let clients = tls.client_certificates.iter();
    let clients = clients.flat_map(|rule| rule.ca.iter().chain(&rule.crl));
    certificates
        .chain(tickets::file(&tls.tickets))
        .chain(clients)
        .map(PathBuf::as_path)
        .collect()
}

/// All that a listener's handshakes need.
#[derive(Debug)]
pub struct Context {
    config: Arc<ServerConfig>,
    resolver: Arc<Resolver>,
    tickets: Option<Arc<TicketKeys>>,
    clients: Option<Arc<Clients>>,
    hosts: Hosts,
}

impl Context {
    /// Reads the files and builds it: ALPN `h2` then `http/1.1`, no early data. Sessions of
    /// `before` can be resumed when nothing that they were agreed under has changed. Blocks on
    /// files.
    ///
    /// # Errors
    /// The first file that cannot be used; a key that does not fit its chain; an OCSP response
    /// of another certificate.
    pub fn load(tls: &ListenerTls, before: Option<&Self>) -> Result<Self, TlsFileError> {
        let resolver = Arc::new(Resolver::load(&tls.certificates, tls.unknown_names)?);
        let clients = tls.client_certificates.as_ref();
        let clients = clients.map(Clients::load).transpose()?.map(Arc::new);
        let rules = tickets::Rules::of(&tls.policy, clients.as_deref());
        let known = before.and_then(|before| before.tickets.as_ref());
        let tickets = TicketKeys::load(&tls.tickets, rules, known)?;
        let verifier = match &clients {
            Some(clients) => Arc::clone(clients) as _,
            None => WebPkiClientVerifier::no_client_auth(),
        };
        let mut config = ServerConfig::builder_with_provider(policy::provider(&tls.policy))
            .with_protocol_versions(policy::versions(&tls.policy))
            .expect("each version of a policy has a suite and a group")
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::clone(&resolver) as _);
        config.alpn_protocols = [Alpn::H2, Alpn::H1].map(|alpn| alpn.as_str().into()).into();
        config.ignore_client_order = true;
        // Tickets carry the sessions; a store would be a lock that all workers share.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        match &tickets {
            Some(tickets) => config.ticketer = Arc::clone(tickets) as _,
            None => config.send_tls13_tickets = 0,
        }
        Ok(Self {
            config: Arc::new(config),
            resolver,
            tickets,
            clients,
            hosts: tls.hosts,
        })
    }

    /// For the handshakes themselves.
    pub fn config(&self) -> &Arc<ServerConfig> {
        &self.config
    }

    /// What a finished handshake has agreed on. A resumed session shows no certificate again:
    /// the one that it began with is judged anew.
    pub fn session(&self, connection: &ServerConnection) -> Session {
        let client = self.clients.as_ref().map(|clients| {
            let chain = connection.peer_certificates().unwrap_or_default();
            Arc::new(clients.judge(chain))
        });
        Session {
            client,
            ..Session::of(connection)
        }
    }

    /// Whether a session may go on: under `require`, a resumed one may have outlived its
    /// client's certificate.
    ///
    /// # Errors
    /// What its handshake has failed of.
    pub fn admit(&self, session: &Session) -> Result<(), HandshakeCause> {
        let clients = self.clients.as_ref();
        if clients.is_none_or(|clients| clients.mode() != ClientMode::Require) {
            return Ok(());
        }
        match session.client.as_deref().map(|client| &client.verdict) {
            Some(Verdict::Verified) => Ok(()),
            Some(Verdict::Revoked) => Err(HandshakeCause::ClientCertificateRevoked),
            Some(Verdict::Absent | Verdict::Failed(_)) | None => {
                Err(HandshakeCause::ClientCertificate)
            }
        }
    }

    /// Whether clients' certificates must be good for each request, and this one is not: why.
    pub fn refuses(&self, session: &Session) -> Option<Verdict> {
        let clients = self.clients.as_ref()?;
        let verdict = &session.client.as_deref()?.verdict;
        let refused = clients.mode() == ClientMode::RequireOr400 && *verdict != Verdict::Verified;
        refused.then(|| verdict.clone())
    }

    /// Whether `host`, lower case and without port and final dot, may be asked for in this
    /// session: by `hosts = "certificate"`, when the certificate that it was begun with names
    /// it.
    pub fn serves(&self, session: &Session, host: &str) -> bool {
        self.hosts == Hosts::Any
            || self
                .resolver
                .share_certificate(session.server_name.as_deref(), host)
    }

    /// Until when each certificate and its staple are valid, in the configuration's order.
    pub fn deadlines(&self) -> &[Deadlines] {
        self.resolver.deadlines()
    }

    /// Until when no newer CRLs are due, by file.
    pub fn crls(&self) -> Vec<(PathBuf, SystemTime)> {
        let clients = self.clients.as_ref();
        clients.map_or_else(Vec::new, |clients| clients.crl_deadlines())
    }

    /// Certificates that have expired at `now` or soon will, and staples and CRLs that have.
    pub fn warnings(&self, now: SystemTime) -> Vec<CertificateWarning> {
        let all = self.deadlines().iter();
        let certificates = all.flat_map(|deadlines| deadlines.warnings(now));
        let overdue = self.crls().into_iter().filter(|(_, until)| *until < now);
        let overdue = overdue.map(|(path, until)| CertificateWarning::CrlOverdue { path, until });
        certificates.chain(overdue).collect()
    }
}
