//! HTTP listeners: those of one address and port become one listener; their hosts are for the
//! routers.

use super::{
    certificates,
    node::Node,
    report::Report,
    text::{comment, fit, list, quoted},
    translation::{Files, find},
};

/// The suites that there are here, by IANA's names; the first three are of TLS 1.3.
const SUITES: [&str; 9] = [
    "TLS_AES_128_GCM_SHA256",
    "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
];

/// Azure's named policies that have the same name here.
const POLICIES: [&str; 5] = [
    "AppGwSslPolicy20150501",
    "AppGwSslPolicy20170401",
    "AppGwSslPolicy20170401S",
    "AppGwSslPolicy20220101",
    "AppGwSslPolicy20220101S",
];

/// An HTTP listener of the export.
#[derive(Debug)]
pub(super) struct Site<'a> {
    pub(super) node: Node<'a>,
    pub(super) name: String,
    /// Where in [`Sockets`] it is.
    pub(super) socket: usize,
    /// Patterns; empty for all hosts.
    pub(super) hosts: Vec<String>,
    pub(super) is_https: bool,
    pub(super) port: u64,
}

/// An address and port to listen on.
#[derive(Debug)]
pub(super) struct Socket {
    pub(super) name: String,
    address: String,
    is_https: bool,
}

/// The listeners of an export, in the order of the rules that use them.
#[derive(Debug)]
pub(super) struct Listeners<'a> {
    pub(super) sites: Vec<Site<'a>>,
    pub(super) sockets: Vec<Socket>,
}

impl<'a> Listeners<'a> {
    /// Reads all listeners; `order` are those of the rules, the first rule's first.
    pub(super) fn read(gateway: &Node<'a>, order: &[String], report: &mut Report) -> Self {
        let mut nodes = gateway.items("httpListeners");
        let place = |node: &Node<'_>| {
            let name = node.name();
            order.iter().position(|one| one.eq_ignore_ascii_case(&name))
        };
        nodes.sort_by_key(|node| place(node).unwrap_or(usize::MAX));
        let mut all = Self {
            sites: Vec::new(),
            sockets: Vec::new(),
        };
        let frontends = Frontends::of(gateway, &nodes);
        for node in nodes {
            all.add(gateway, &frontends, node, report);
        }
        all
    }

    fn add(
        &mut self,
        gateway: &Node<'a>,
        frontends: &Frontends<'a>,
        node: Node<'a>,
        report: &mut Report,
    ) {
        let https = node.text("protocol");
        let is_https = https.is_some_and(|protocol| protocol.eq_ignore_ascii_case("https"));
        let port = node.reference("frontendPort");
        let port = port.and_then(|name| find(gateway, "frontendPorts", &name)?.number("port"));
        let port = port.unwrap_or_else(|| {
            report.no_equal(
                &node,
                "the export does not tell its port; 443 or 80 is taken",
            );
            if is_https { 443 } else { 80 }
        });
        let (kind, address) = frontends.address(&node, port, report);
        let socket = self.sockets.iter().position(|one| one.address == address);
        let socket = socket.unwrap_or_else(|| {
            self.sockets.push(Socket {
                name: format!("{kind}-{port}"),
                address,
                is_https,
            });
            self.sockets.len() - 1
        });
        if self.sockets[socket].is_https != is_https {
            report.no_equal(
                &node,
                "another listener of the same port speaks another protocol",
            );
        }
        let mut hosts = node.texts("hostNames");
        hosts.extend(node.text("hostName").filter(|_| hosts.is_empty()));
        if let Some(policy) = node.get("firewallPolicy") {
            policy.skip();
            report.no_equal(&policy, NO_FIREWALL);
        }
        self.sites.push(Site {
            name: node.name(),
            socket,
            hosts,
            is_https,
            port,
            node,
        });
    }

    /// The listener of this name.
    pub(super) fn site(&self, name: &str) -> Option<&Site<'a>> {
        let is_it = |site: &&Site<'_>| site.name.eq_ignore_ascii_case(name);
        self.sites.iter().find(is_it)
    }

    /// The tables of the configuration.
    pub(super) fn text(
        &self,
        gateway: &Node<'a>,
        files: &mut Files,
        report: &mut Report,
    ) -> String {
        let mut text = String::new();
        for (at, socket) in self.sockets.iter().enumerate() {
            let sites: Vec<_> = self.sites.iter().filter(|site| site.socket == at).collect();
            let names: Vec<_> = sites.iter().map(|site| comment(&site.name)).collect();
            text.push_str(&format!(
                "# {}\n[[listeners]]\nname = {}\naddress = {}\n",
                names.join(", "),
                quoted(&socket.name),
                quoted(&socket.address)
            ));
            match socket.is_https {
                true => text.push_str(&tls(gateway, &sites, files, report)),
                false => text.push_str("protocol = \"http\"\n"),
            }
            text.push_str(&error_pages(&sites, report));
            text.push('\n');
        }
        text
    }
}

/// Why firewall policies are left out.
pub(super) const NO_FIREWALL: &str = "there is no web application firewall; put one in front, or ask one by the plugin external-auth";

/// The addresses that the gateway has.
struct Frontends<'a> {
    all: Vec<Node<'a>>,
    /// Whether listeners use both public and private ones.
    are_mixed: bool,
}

impl<'a> Frontends<'a> {
    fn of(gateway: &Node<'a>, listeners: &[Node<'a>]) -> Self {
        let all = gateway.items("frontendIPConfigurations");
        let mut kinds: Vec<_> = listeners
            .iter()
            .filter_map(|node| node.reference("frontendIPConfiguration"))
            .filter_map(|name| all.iter().find(|one| one.name() == name).map(is_public))
            .collect();
        kinds.sort_unstable();
        kinds.dedup();
        for node in &all {
            for key in ["publicIPAddress", "subnet", "privateIPAddress"] {
                node.get(key).iter().for_each(Node::skip);
            }
        }
        Self {
            are_mixed: kinds.len() > 1,
            all,
        }
    }

    /// `public` or `private`, and where to listen.
    fn address(&self, node: &Node<'_>, port: u64, report: &mut Report) -> (&'static str, String) {
        let name = node
            .reference("frontendIPConfiguration")
            .unwrap_or_default();
        let found = self
            .all
            .iter()
            .find(|one| one.name().eq_ignore_ascii_case(&name));
        let Some(private) = found.filter(|one| !is_public(one)) else {
            return ("public", format!("0.0.0.0:{port}"));
        };
        let address = match private.text("privateIPAddress") {
            _ if !self.are_mixed => "0.0.0.0".to_owned(),
            Some(address) => address,
            None => {
                let how = "the export does not tell its address; 127.0.0.1 stands for it";
                report.otherwise(private, how);
                "127.0.0.1".to_owned()
            }
        };
        ("private", format!("{address}:{port}"))
    }
}

fn is_public(frontend: &Node<'_>) -> bool {
    frontend.get("publicIPAddress").is_some()
}

/// The lines about TLS of the listeners of one port.
fn tls(gateway: &Node<'_>, sites: &[&Site<'_>], files: &mut Files, report: &mut Report) -> String {
    let mut certificates: Vec<String> = Vec::new();
    for site in sites.iter().filter(|site| site.is_https) {
        let name = site.node.reference("sslCertificate");
        let node = name
            .as_ref()
            .and_then(|name| find(gateway, "sslCertificates", name));
        let name = name.unwrap_or_else(|| site.name.clone());
        let entry = certificates::private(&name, node.as_ref(), report);
        if !certificates.contains(&entry) {
            certificates.push(entry);
        }
    }
    let mut text = format!("tls.certificates = [{}]\n", certificates.join(", "));
    let wants_name = |site: &Site<'_>| site.node.flag("requireServerNameIndication") == Some(true);
    let count = sites
        .iter()
        .map(|site| wants_name(site))
        .filter(|wants| *wants)
        .count();
    if count == sites.len() {
        text.push_str("tls.unknown_names = \"refuse\"\n");
    }
    let profile = |site: &&Site<'_>| site.node.reference("sslProfile");
    let first = sites.first().and_then(profile);
    for site in sites {
        if let Some(node) = site.node.get("sslProfile")
            && profile(site) != first
        {
            let why = "the listeners of one port have one TLS profile, that of the first";
            report.no_equal(&node, why);
        }
    }
    let profile = first.and_then(|name| find(gateway, "sslProfiles", &name));
    let own = profile
        .as_ref()
        .and_then(|profile| profile.get("sslPolicy"));
    match own.or_else(|| gateway.get("sslPolicy")) {
        Some(node) => text.push_str(&policy(&node, report)),
        None => {
            if let Some(name) = gateway.text("defaultPredefinedSslPolicy")
                && POLICIES.contains(&name.as_str())
            {
                text.push_str(&format!("tls.policy = {}\n", quoted(&name)));
            }
        }
    }
    if let Some(profile) = &profile {
        text.push_str(&client_certificates(gateway, profile, files, report));
    }
    text
}

fn policy(node: &Node<'_>, report: &mut Report) -> String {
    // The older kind of custom policy knows no TLS 1.3.
    let is_old = node
        .text("policyType")
        .is_some_and(|kind| kind.eq_ignore_ascii_case("Custom"));
    if let Some(name) = node.text("policyName") {
        if POLICIES.contains(&name.as_str()) {
            return format!("tls.policy = {}\n", quoted(&name));
        }
        report.no_equal(
            node,
            format!("the policy {name} is not known; the default is taken"),
        );
        return String::new();
    }
    let mut text = String::new();
    let lowest = node.text("minProtocolVersion").unwrap_or_default();
    let disabled = node.texts("disabledSslProtocols");
    let is_13 =
        lowest.eq_ignore_ascii_case("TLSv1_3") || disabled.iter().any(|one| one == "TLSv1_2");
    if ["TLSv1_0", "TLSv1_1"].contains(&lowest.as_str()) {
        let why = format!("{lowest} is not spoken; the lowest version is 1.2");
        report.no_equal(node, why);
    }
    let min = if is_13 { "1.3" } else { "1.2" };
    text.push_str(&format!("tls.min_version = \"{min}\"\n"));
    let suites = node.items("cipherSuites");
    let (mut kept, mut lacking) = (Vec::new(), Vec::new());
    for suite in suites.iter().filter_map(Node::as_text) {
        match SUITES.contains(&suite.as_str()) {
            true => kept.push(suite),
            false => lacking.push(suite),
        }
    }
    if let Some(list) = node.get("cipherSuites")
        && !lacking.is_empty()
    {
        let why = format!("these suites are not spoken: {}", lacking.join(", "));
        report.no_equal(&list, why);
    }
    let is_of_13 = |suite: &String| SUITES[..3].contains(&suite.as_str());
    if is_old {
        kept.retain(|suite| !is_of_13(suite));
        text.push_str("tls.max_version = \"1.2\"\n");
    } else if !kept.iter().any(is_of_13) && !kept.is_empty() {
        // Azure always speaks the suites of TLS 1.3.
        kept.splice(0..0, SUITES[..2].iter().map(ToString::to_string));
    }
    if is_13 {
        kept.retain(is_of_13);
    }
    if kept.iter().any(|suite| is_13 || !is_of_13(suite)) {
        text.push_str(&format!("tls.suites = {}\n", list(&kept)));
    }
    text
}

fn client_certificates(
    gateway: &Node<'_>,
    profile: &Node<'_>,
    files: &mut Files,
    report: &mut Report,
) -> String {
    let trusted = profile.items("trustedClientCertificates");
    let nodes = trusted.iter().filter_map(Node::as_reference);
    let nodes = nodes.filter_map(|name| find(gateway, "trustedClientCertificates", &name));
    let ca: Vec<_> = nodes
        .map(|node| certificates::public(&node, files, report))
        .collect();
    let settings = profile.get("clientAuthConfiguration");
    let settings = settings.as_ref();
    let mode = settings.and_then(|node| node.text("verifyClientAuthMode"));
    let passes = mode.is_some_and(|mode| mode.eq_ignore_ascii_case("passthrough"));
    if ca.is_empty() && !passes {
        return String::new();
    }
    if let Some(node) = settings.and_then(|node| node.get("verifyClientRevocation"))
        && node
            .as_text()
            .is_some_and(|how| !how.eq_ignore_ascii_case("none"))
    {
        let why = "revocation is looked up in lists (tls.client_certificates.crl), not by OCSP";
        report.no_equal(&node, why);
    }
    let mode = if passes { "request" } else { "require-or-400" };
    let mut keys = vec![format!("mode = \"{mode}\"")];
    if !ca.is_empty() {
        keys.push(format!("ca = {}", list(&ca)));
    }
    if settings.and_then(|node| node.flag("verifyClientCertIssuerDN")) == Some(true) {
        keys.push("direct_issuer = true".to_owned());
    }
    format!("tls.client_certificates = {{ {} }}\n", keys.join(", "))
}

/// Custom error pages: they are at URLs, and files are wanted here. They stay comments until the
/// files are there.
fn error_pages(sites: &[&Site<'_>], report: &mut Report) -> String {
    let pages = sites.iter().flat_map(|site| pages(&site.node, report));
    let mut entries: Vec<String> = pages.collect();
    entries.dedup();
    match entries.is_empty() {
        true => String::new(),
        false => format!("# error_pages = {{ {} }}\n", entries.join(", ")),
    }
}

/// The entries of a table of error pages.
pub(super) fn pages(of: &Node<'_>, report: &mut Report) -> Vec<String> {
    let mut entries = Vec::new();
    for node in of.items("customErrorConfigurations") {
        let status = node.text("statusCode").unwrap_or_default();
        let status = status.trim_start_matches("HttpStatus");
        let url = node.text("customErrorPageUrl").unwrap_or_default();
        let file = format!("errors/{}.html", fit(&format!("{}-{status}", of.name())));
        let what =
            format!("the page at {url}; then take the # away before error_pages in witgate.toml");
        report.provide(&file, what);
        entries.push(format!("{status} = {{ html = \"{file}\" }}"));
    }
    entries
}
