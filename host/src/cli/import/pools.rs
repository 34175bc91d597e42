//! Backend pools and backend HTTP settings: each pair that rules use together becomes a pool.

use std::fmt::Write as _;

use super::{
    certificates,
    node::Node,
    report::Report,
    text::{Names, comment, key, list, quoted},
    translation::{Files, find},
};

/// The cookie that Azure sets when its settings name none.
const AFFINITY_COOKIE: &str = "ApplicationGatewayAffinity";

/// The pools that rules have asked for so far.
#[derive(Debug, Default)]
pub(super) struct Pools {
    made: Vec<Made>,
    names: Names,
    /// Cookie names, each of a plugin file of its own.
    affinities: Vec<String>,
}

/// What of the export a rule sends its requests to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Backend {
    /// A backend pool of this name.
    Pool(String),
    /// The pools of a load distribution policy: one pool here, with weights.
    Policy(String),
}

impl Backend {
    fn find<'a>(&self, gateway: &Node<'a>) -> Option<Node<'a>> {
        match self {
            Self::Pool(name) => find(gateway, "backendAddressPools", name),
            Self::Policy(name) => find(gateway, "loadDistributionPolicies", name),
        }
    }
}

#[derive(Debug)]
struct Made {
    /// Of the backend and the settings in the export.
    of: (Backend, String),
    name: String,
    /// `path` of the settings.
    path: Option<String>,
    text: String,
}

/// A pool as rules use it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chosen {
    pub(super) name: String,
    /// What takes the place of the path that a rule has matched.
    pub(super) path: Option<String>,
}

impl Pools {
    /// The pool of a rule that names a backend pool and settings; none when the export lacks one
    /// of them, which is reported.
    pub(super) fn choose(
        &mut self,
        gateway: &Node<'_>,
        of: (Backend, String),
        by: &Node<'_>,
        files: &mut Files,
        report: &mut Report,
    ) -> Option<Chosen> {
        if let Some(made) = self.made.iter().find(|made| made.of == of) {
            return Some(made.chosen());
        }
        let settings = find(gateway, "backendHttpSettingsCollection", &of.1);
        let Some((pool, settings)) = of.0.find(gateway).zip(settings) else {
            let (Backend::Pool(pool) | Backend::Policy(pool)) = &of.0;
            let why = format!(
                "the export lacks the pool {pool:?} or the settings {:?}",
                of.1
            );
            report.no_equal(by, why);
            return None;
        };
        let is_first = !self.made.iter().any(|made| made.of.0 == of.0);
        let name = match is_first {
            true => self.names.take(&pool.name()),
            false => self
                .names
                .take(&format!("{}-{}", pool.name(), settings.name())),
        };
        let mut writing = Writing {
            gateway,
            pool: &pool,
            settings: &settings,
            text: format!(
                "# {} with {}\n[pools.{}]\n",
                comment(&pool.name()),
                comment(&settings.name()),
                key(&name)
            ),
            files,
            report,
        };
        let is_policy = matches!(of.0, Backend::Policy(_));
        writing.all(&name, is_policy, &mut self.affinities);
        let made = Made {
            of,
            name,
            path: settings.text("path"),
            text: writing.text,
        };
        let chosen = made.chosen();
        self.made.push(made);
        Some(chosen)
    }

    /// The tables of the configuration.
    pub(super) fn text(&self) -> String {
        let tables: Vec<_> = self.made.iter().map(|made| made.text.as_str()).collect();
        tables.join("\n")
    }

    /// The plugins that keep sessions, with their sidecars: name in the folder, text.
    pub(super) fn affinities(&self) -> Vec<(String, String)> {
        let sidecar = |(at, cookie): (usize, &String)| {
            let text = format!(
                "# Azure's cookies. Their values are those of this key; with none they can be computed by who\n\
                 # knows the names of pools and endpoints: make one with `openssl rand -hex 16`.\n\
                 [config]\nname = {}\n# key = \"\"\n",
                quoted(cookie)
            );
            (format!("{}-{}", 50 + at.min(9), plugin(at)), text)
        };
        self.affinities.iter().enumerate().map(sidecar).collect()
    }
}

impl Made {
    fn chosen(&self) -> Chosen {
        Chosen {
            name: self.name.clone(),
            path: self.path.clone(),
        }
    }
}

/// The name of the plugin for the cookie at this place.
fn plugin(at: usize) -> String {
    match at {
        0 => "cookie-affinity".to_owned(),
        _ => format!("cookie-affinity-{}", at + 1),
    }
}

/// A server of a backend pool.
struct Member {
    host: String,
    /// Where a policy gives it one.
    weight: Option<u64>,
}

fn members(pool: &Node<'_>, weight: Option<u64>) -> Vec<Member> {
    let addresses = pool.items("backendAddresses").into_iter();
    let host = |node: Node<'_>| node.text("fqdn").or_else(|| node.text("ipAddress"));
    let hosts = addresses.filter_map(host);
    hosts.map(|host| Member { host, weight }).collect()
}

/// One pool that is being written.
struct Writing<'a, 'b> {
    gateway: &'a Node<'b>,
    pool: &'a Node<'b>,
    settings: &'a Node<'b>,
    text: String,
    files: &'a mut Files,
    report: &'a mut Report,
}

impl Writing<'_, '_> {
    fn line(&mut self, key: &str, value: &str) {
        let _ = writeln!(self.text, "{key} = {value}");
    }

    fn all(&mut self, name: &str, is_policy: bool, affinities: &mut Vec<String>) {
        let protocol = self.settings.text("protocol").unwrap_or_default();
        let is_https = protocol.eq_ignore_ascii_case("https");
        if !is_https {
            self.line("protocol", "\"http\"");
        }
        let members = match is_policy {
            true => self.policy(),
            false => members(self.pool, None),
        };
        let hosts = self.endpoints(name, members, if is_https { 443 } else { 80 });
        self.affinity(affinities);
        self.host(&hosts, is_https);
        if is_https {
            self.trust();
            // The gateway that this comes from speaks nothing else to backends.
            self.line("http", "\"h1\"");
        }
        if let Some(seconds) = self.settings.number("requestTimeout") {
            let value = format!("\"{}s\"", seconds.clamp(1, 86_400));
            self.line("timeouts.first_byte", &value);
        }
        if let Some(draining) = self.settings.get("connectionDraining")
            && let Some(seconds) = draining.number("drainTimeoutInSec")
            && draining.flag("enabled") == Some(true)
        {
            self.line("drain_for", &format!("\"{}s\"", seconds.min(86_400)));
        }
        self.health(is_https);
        for key in ["dedicatedBackendConnection", "enableL4ClientIpPreservation"] {
            if self.settings.flag(key) == Some(true)
                && let Some(node) = self.settings.get(key)
            {
                self.report
                    .no_equal(&node, "connections to endpoints are shared by clients");
            }
        }
    }

    /// Writes how a policy chooses, and returns the members of all its pools.
    fn policy(&mut self) -> Vec<Member> {
        match self.pool.text("loadDistributionAlgorithm").as_deref() {
            Some("LeastConnections") => self.line("balance", "\"least-requests\""),
            Some("IpHash") => {
                self.line("balance", "\"hash\"");
                self.line("hash_on", "\"client-address\"");
            }
            _ => self.line("balance", "\"round-robin\""),
        }
        let mut all = Vec::new();
        for target in self.pool.items("loadDistributionTargets") {
            let pool = target.reference("backendAddressPool");
            let found = pool
                .as_deref()
                .map(|name| find(self.gateway, "backendAddressPools", name));
            let weight = target.number("weightPerServer").unwrap_or(1).min(1000);
            match found.flatten() {
                Some(pool) => all.extend(members(&pool, Some(weight))),
                None => {
                    let why = format!("the export lacks the pool {:?}", pool.unwrap_or_default());
                    self.report.no_equal(&target, why);
                }
            }
        }
        all
    }

    /// Writes the endpoints and returns their hosts.
    fn endpoints(&mut self, name: &str, mut members: Vec<Member>, usual: u64) -> Vec<String> {
        let port = self.settings.number("port").unwrap_or(usual);
        let mut seen = Vec::new();
        members.retain(|member| {
            !seen.contains(&member.host) && {
                seen.push(member.host.clone());
                true
            }
        });
        let hosts = seen;
        if hosts.is_empty() {
            let placeholder = format!("{}.invalid", name.replace(['_', '.'], "-"));
            let _ = writeln!(
                self.text,
                "# The export names no address: a scale set's or a machine's, or none at all."
            );
            self.report.provide(
                &format!("witgate.toml, pools.{}.endpoints", key(name)),
                format!(
                    "the addresses of {}: the export names none ({placeholder} stands for them, and is 502)",
                    self.pool.path
                ),
            );
            self.line("endpoints", &list(&[format!("{placeholder}:{port}")]));
            return hosts;
        }
        let address = |host: &String| match host.contains(':') {
            true => format!("[{host}]:{port}"),
            false => format!("{host}:{port}"),
        };
        let endpoint = |member: &Member| match member.weight {
            None => quoted(&address(&member.host)),
            Some(weight) => format!(
                "{{ address = {}, weight = {weight} }}",
                quoted(&address(&member.host))
            ),
        };
        let all: Vec<_> = members.iter().map(endpoint).collect();
        self.line("endpoints", &format!("[{}]", all.join(", ")));
        hosts
    }

    fn affinity(&mut self, affinities: &mut Vec<String>) {
        if self.settings.flag("cookieBasedAffinity") != Some(true) {
            return;
        }
        let cookie = self.settings.text("affinityCookieName");
        let cookie = cookie.unwrap_or_else(|| AFFINITY_COOKIE.to_owned());
        let at = affinities.iter().position(|one| *one == cookie);
        let at = at.unwrap_or_else(|| {
            affinities.push(cookie);
            affinities.len() - 1
        });
        self.line("affinity", &quoted(&plugin(at)));
    }

    /// The `Host` that endpoints get, and the name that their certificates must have.
    fn host(&mut self, hosts: &[String], is_https: bool) {
        let is_address = |host: &String| host.parse::<std::net::IpAddr>().is_ok();
        let own = self.settings.text("hostName");
        let sni = self.settings.text("sniName");
        let picks = self.settings.flag("pickHostNameFromBackendAddress") == Some(true);
        let mut names = hosts.iter().filter(|host| !is_address(host));
        let authority = match (own, picks) {
            (_, true) => {
                let first = names.next().or(hosts.first()).cloned();
                if let Some(node) = self.settings.get("pickHostNameFromBackendAddress")
                    && hosts.len() > 1
                {
                    let first = first.clone().unwrap_or_default();
                    self.report.no_equal(
                        &node,
                        format!(
                            "a pool sends one Host, here {first}, to all of its endpoints; where each of {} needs \
                             its own, make a pool of each",
                            hosts.join(", ")
                        ),
                    );
                }
                first
            }
            (own, false) => own,
        };
        if let Some(authority) = &authority {
            self.line("authority", &quoted(authority));
        }
        if !is_https {
            return;
        }
        let is_picked = picks && sni.is_none();
        match sni.or(authority.filter(|_| !is_picked)) {
            Some(name) => self.line("server_name", &quoted(&name)),
            // Azure asks addresses for what the client has asked for.
            None if !hosts.is_empty() && hosts.iter().all(is_address) && !picks => {
                self.line("server_name_from", "\"request\"");
            }
            None => {}
        }
    }

    fn trust(&mut self) {
        for key in ["validateCertChainAndExpiry", "validateSNI"] {
            if let Some(node) = self.settings.get(key)
                && self.settings.flag(key) == Some(false)
            {
                self.report.no_equal(
                    &node,
                    "no endpoint is spoken to whose certificate is not accepted; list it in trust.certificates",
                );
            }
        }
        let mut all = |references: &str, list: &str| -> Vec<String> {
            let references = self.settings.items(references);
            let names = references.iter().filter_map(Node::as_reference);
            let nodes = names.filter_map(|name| find(self.gateway, list, &name));
            let mut files = |node| certificates::public(&node, self.files, self.report);
            nodes.map(&mut files).collect()
        };
        let exact = all("authenticationCertificates", "authenticationCertificates");
        let roots = all("trustedRootCertificates", "trustedRootCertificates");
        match (exact.is_empty(), roots.is_empty()) {
            (false, _) => self.line("trust.certificates", &list(&exact)),
            (true, false) => self.line("trust.roots", &list(&roots)),
            (true, true) => self.line("trust.public", "true"),
        }
    }

    fn health(&mut self, is_https: bool) {
        let probe = self.settings.reference("probe");
        let probe = probe.and_then(|name| find(self.gateway, "probes", &name));
        let Some(probe) = probe else {
            // Azure's default: GET / every 30 s, with this Host unless the settings name one.
            let picks = self.settings.flag("pickHostNameFromBackendAddress") == Some(true);
            let value = match picks || self.settings.text("hostName").is_some() {
                true => "{}",
                false => "{ host = \"127.0.0.1\" }",
            };
            return self.line("health", value);
        };
        let mut keys = vec![format!(
            "path = {}",
            quoted(&probe.text("path").unwrap_or_else(|| "/".to_owned()))
        )];
        let picks = probe.flag("pickHostNameFromBackendHttpSettings") == Some(true);
        if let Some(host) = probe.text("host").filter(|_| !picks) {
            keys.push(format!("host = {}", quoted(&host)));
        }
        if let Some(protocol) = probe.get("protocol")
            && let Some(text) = protocol.as_text()
            && text.eq_ignore_ascii_case("https") != is_https
        {
            let why = "probes speak what the pool speaks";
            self.report.no_equal(&protocol, why);
        }
        let times = [("interval", "interval"), ("timeout", "timeout")];
        for (theirs, ours) in times {
            if let Some(seconds) = probe.number(theirs) {
                keys.push(format!("{ours} = \"{}s\"", seconds.clamp(1, 3600)));
            }
        }
        if let Some(count) = probe.number("unhealthyThreshold") {
            keys.push(format!("unhealthy_after = {}", count.clamp(1, 1000)));
        }
        if let Some(port) = probe.number("port") {
            keys.push(format!("port = {port}"));
        }
        if let Some(count) = probe.get("minServers")
            && probe.number("minServers") != Some(0)
        {
            self.report.no_equal(
                &count,
                "there is no number of servers that are always healthy; see panic_threshold",
            );
        }
        if let Some(wanted) = probe.get("match") {
            let codes = wanted.texts("statusCodes");
            if !codes.is_empty() {
                let each = |code: &String| match code.contains('-') {
                    true => quoted(code),
                    false => code.clone(),
                };
                let codes: Vec<_> = codes.iter().map(each).collect();
                keys.push(format!("status = [{}]", codes.join(", ")));
            }
            if let Some(body) = wanted.text("body") {
                keys.push(format!("body = {}", quoted(&body)));
            }
        }
        let value = format!("{{ {} }}", keys.join(", "));
        self.line("health", &value);
    }
}
