//! Request routing rules, URL path maps and redirects: what site-router and path-router decide.
//!
//! A listener is taken by the first rule that has it, and what a rule's path map does not name
//! goes to the map's default. So the rules become one list, each rule's default behind its paths;
//! what needs no path may stand in site-router, which is asked before, as long as nothing in the
//! list would have come first.

use super::{
    hosts,
    listeners::{Listeners, NO_FIREWALL, Site},
    node::Node,
    pools::{Backend, Chosen, Pools},
    report::Report,
    text::{Names, key, list, quoted},
    translation::{Files, find},
};

/// The request's field that tells rewriters which rule it was.
pub(super) const RULE_FIELD: &str = "x-witgate-rule";
/// A pool that is not declared: what cannot be served is 500 and tells the rule in the log,
/// rather than going where the next rule sends it.
const NOWHERE: &str = "no-equal";

/// What a request's path leads to.
#[derive(Debug)]
struct Entry {
    /// Unique, for the access log and for rewriters.
    name: String,
    paths: Vec<String>,
    action: Action,
    rewrite_set: Option<String>,
}

#[derive(Debug)]
enum Action {
    Forward(Chosen),
    /// The inline table `redirect`.
    Redirect(String),
}

/// One request routing rule.
#[derive(Debug)]
struct Route {
    socket: usize,
    hosts: Vec<String>,
    /// The last one is for all paths.
    entries: Vec<Entry>,
    /// Whether site-router serves it.
    is_site: bool,
}

/// All rules, the first one first.
#[derive(Debug)]
pub(super) struct Routes {
    routes: Vec<Route>,
    /// The names of the listeners, by their places.
    sockets: Vec<String>,
}

/// The rules in the order in which Azure goes through them: by priority; without, as listed,
/// listeners for all hosts last.
pub(super) fn ordered<'a>(gateway: &Node<'a>) -> Vec<Node<'a>> {
    let is_basic = |rule: &Node<'a>| {
        let listener = rule.reference("httpListener");
        let listener = listener.and_then(|name| find(gateway, "httpListeners", &name));
        listener.is_some_and(|node| {
            node.text("hostName").is_none() && node.texts("hostNames").is_empty()
        })
    };
    let place = |rule: Node<'a>| match rule.number("priority") {
        Some(priority) => ((priority, false), rule),
        None => ((u64::MAX, is_basic(&rule)), rule),
    };
    let rules = gateway.items("requestRoutingRules").into_iter();
    let mut rules: Vec<_> = rules.map(place).collect();
    rules.sort_by_key(|(place, _)| *place);
    rules.into_iter().map(|(_, rule)| rule).collect()
}

/// What reading rules needs besides the rules.
pub(super) struct Reading<'a, 'b> {
    pub(super) gateway: &'b Node<'a>,
    pub(super) listeners: &'b Listeners<'a>,
    pub(super) pools: &'b mut Pools,
    pub(super) files: &'b mut Files,
    pub(super) report: &'b mut Report,
    pub(super) names: Names,
}

impl Routes {
    pub(super) fn read(rules: &[Node<'_>], mut reading: Reading<'_, '_>) -> Self {
        let mut routes = Vec::new();
        for rule in rules {
            let listener = rule.reference("httpListener");
            let site = listener.and_then(|name| reading.listeners.site(&name));
            let Some(site) = site else {
                reading
                    .report
                    .no_equal(rule, "the export lacks its listener");
                continue;
            };
            routes.push(Route {
                socket: site.socket,
                hosts: site.hosts.clone(),
                entries: reading.rule(rule, site),
                is_site: false,
            });
        }
        let sockets = reading.listeners.sockets.iter();
        let mut all = Self {
            routes,
            sockets: sockets.map(|socket| socket.name.clone()).collect(),
        };
        if all.rewrite_sets().is_empty() {
            all.find_sites();
        }
        all
    }

    /// Marks the rules that site-router can serve.
    fn find_sites(&mut self) {
        for at in 0..self.routes.len() {
            let (before, rest) = self.routes.split_at_mut(at);
            let Some(route) = rest.first_mut() else {
                return;
            };
            let is_plain = match route.entries.as_slice() {
                [one] => matches!(&one.action, Action::Forward(Chosen { path: None, .. })),
                _ => false,
            };
            let comes_first = |other: &&mut Route| {
                !other.is_site
                    && other.socket == route.socket
                    && hosts::meet(&other.hosts, &route.hosts)
            };
            route.is_site = is_plain
                && !route.hosts.is_empty()
                && !before.iter_mut().any(|one| comes_first(&one));
        }
    }

    /// The rewrite rule sets in use, each with the names of the rules that use it, and whether
    /// those are all that forward.
    pub(super) fn rewrite_sets(&self) -> Vec<(String, Vec<String>, bool)> {
        let forwards = |entry: &&Entry| matches!(entry.action, Action::Forward(_));
        let entries = self.routes.iter().flat_map(|route| &route.entries);
        let entries: Vec<_> = entries.filter(forwards).collect();
        let mut sets: Vec<(String, Vec<String>, bool)> = Vec::new();
        for entry in &entries {
            let Some(set) = &entry.rewrite_set else {
                continue;
            };
            match sets
                .iter_mut()
                .find(|(name, ..)| name.eq_ignore_ascii_case(set))
            {
                Some((_, rules, _)) => rules.push(entry.name.clone()),
                None => sets.push((set.clone(), vec![entry.name.clone()], false)),
            }
        }
        for (_, rules, is_all) in &mut sets {
            *is_all = rules.len() == entries.len();
        }
        sets
    }

    /// The sidecar of site-router; none when there is nothing for it.
    pub(super) fn sites(&self) -> Option<String> {
        let mut text = String::new();
        for route in self.routes.iter().filter(|route| route.is_site) {
            for entry in &route.entries {
                if let Action::Forward(chosen) = &entry.action {
                    text.push_str(&format!(
                        "\n[[config.sites]]\nname = {}\nhosts = {}\n{}pool = {}\n",
                        quoted(&entry.name),
                        list(&route.hosts),
                        self.listener(route),
                        quoted(&chosen.name)
                    ));
                }
            }
        }
        (!text.is_empty()).then(|| format!("# Which pool serves which host.\n{text}"))
    }

    /// The sidecar of path-router; none when there is nothing for it.
    pub(super) fn paths(&self, tells_rule: bool) -> Option<String> {
        let mut text = String::new();
        for route in self.routes.iter().filter(|route| !route.is_site) {
            for entry in &route.entries {
                text.push_str(&format!(
                    "\n[[config.rules]]\nname = {}\n",
                    quoted(&entry.name)
                ));
                text.push_str(&format!("paths = {}\n", list(&entry.paths)));
                if !route.hosts.is_empty() {
                    text.push_str(&format!("hosts = {}\n", list(&route.hosts)));
                }
                text.push_str(&self.listener(route));
                match &entry.action {
                    Action::Forward(chosen) => {
                        text.push_str(&format!("pool = {}\n", quoted(&chosen.name)));
                        if let Some(path) = &chosen.path {
                            text.push_str(&format!("override_path = {}\n", quoted(path)));
                        }
                    }
                    Action::Redirect(redirect) => {
                        text.push_str(&format!("redirect = {redirect}\n"));
                    }
                }
            }
        }
        let head = "# Rules in the order in which they count; the first that fits decides.\n";
        let field = match tells_rule {
            true => format!("[config]\n{} = {}\n", key("rule_field"), quoted(RULE_FIELD)),
            false => String::new(),
        };
        (!text.is_empty()).then(|| format!("{head}{field}{text}"))
    }

    /// The line that binds a rule to its listener, where there are several.
    fn listener(&self, route: &Route) -> String {
        match self.sockets.get(route.socket) {
            Some(name) if self.sockets.len() > 1 => format!("listeners = {}\n", list(&[name])),
            _ => String::new(),
        }
    }
}

/// What says where the requests of a rule go.
struct Keys {
    pool: &'static str,
    policy: &'static str,
    settings: &'static str,
    redirect: &'static str,
    rewrites: &'static str,
}

/// Of a rule, or a path of a map.
const KEYS: Keys = Keys {
    pool: "backendAddressPool",
    policy: "loadDistributionPolicy",
    settings: "backendHttpSettings",
    redirect: "redirectConfiguration",
    rewrites: "rewriteRuleSet",
};
/// Of a map, for all other paths.
const DEFAULT_KEYS: Keys = Keys {
    pool: "defaultBackendAddressPool",
    policy: "defaultLoadDistributionPolicy",
    settings: "defaultBackendHttpSettings",
    redirect: "defaultRedirectConfiguration",
    rewrites: "defaultRewriteRuleSet",
};

impl Reading<'_, '_> {
    fn rule(&mut self, rule: &Node<'_>, site: &Site<'_>) -> Vec<Entry> {
        let name = self.names.take(&rule.name());
        let Some(map) = rule.reference("urlPathMap") else {
            let entry = self.entry(rule, site, name, vec!["/*".to_owned()], &KEYS);
            return vec![entry];
        };
        let Some(map) = find(self.gateway, "urlPathMaps", &map) else {
            self.report
                .no_equal(rule, format!("the export lacks its URL path map {map:?}"));
            return Vec::new();
        };
        let mut entries = Vec::new();
        for node in map.items("pathRules") {
            let name = self.names.take(&format!("{name}.{}", node.name()));
            if let Some(policy) = node.get("firewallPolicy") {
                policy.skip();
                self.report.no_equal(&policy, NO_FIREWALL);
            }
            let paths = self.paths(&node);
            if !paths.is_empty() {
                let entry = self.entry(&node, site, name, paths, &KEYS);
                entries.push(entry);
            }
        }
        let all = vec!["/*".to_owned()];
        entries.push(self.entry(&map, site, name, all, &DEFAULT_KEYS));
        entries
    }

    /// The paths of a path rule, without what path-router does not take.
    fn paths(&mut self, node: &Node<'_>) -> Vec<String> {
        let mut paths = Vec::new();
        for item in node.items("paths") {
            let Some(path) = item.as_text() else { continue };
            let body = path.strip_suffix('*').unwrap_or(&path);
            let is_good = body.starts_with('/')
                && !body.contains(['*', '?', '#'])
                && body.bytes().all(|byte| byte.is_ascii_graphic());
            match is_good {
                true => paths.push(path),
                false => self.report.no_equal(
                    &item,
                    format!("{path:?}: a path starts with /, and has * only at its end"),
                ),
            }
        }
        paths
    }

    fn entry(
        &mut self,
        node: &Node<'_>,
        site: &Site<'_>,
        name: String,
        paths: Vec<String>,
        keys: &Keys,
    ) -> Entry {
        let redirect = node.reference(keys.redirect);
        let action = match redirect {
            Some(redirect) => self.redirect(node, site, &redirect).map(Action::Redirect),
            None => {
                let policy = node.reference(keys.policy).map(Backend::Policy);
                let backend = policy.or_else(|| node.reference(keys.pool).map(Backend::Pool));
                let both = backend.zip(node.reference(keys.settings));
                if both.is_none() {
                    let why =
                        "it names neither a pool with settings nor a redirect; it is 500 here";
                    self.report.no_equal(node, why);
                }
                both.and_then(|of| {
                    self.pools
                        .choose(self.gateway, of, node, self.files, self.report)
                })
                .map(Action::Forward)
            }
        };
        let nowhere = || {
            Action::Forward(Chosen {
                name: NOWHERE.to_owned(),
                path: None,
            })
        };
        Entry {
            name,
            paths,
            action: action.unwrap_or_else(nowhere),
            rewrite_set: node.reference(keys.rewrites),
        }
    }

    /// The inline table of a redirect; none when there is no equal, which is reported.
    fn redirect(&mut self, by: &Node<'_>, site: &Site<'_>, name: &str) -> Option<String> {
        let Some(node) = find(self.gateway, "redirectConfigurations", name) else {
            let why = format!("the export lacks the redirect {name:?}; it is 500 here");
            self.report.no_equal(by, why);
            return None;
        };
        let status = match node.text("redirectType").unwrap_or_default().as_str() {
            "Permanent" => 301,
            "SeeOther" => 303,
            "Temporary" => 307,
            _ => 302,
        };
        let include_path = node.flag("includePath") == Some(true);
        let include_query = node.flag("includeQueryString") == Some(true);
        let to = match node.reference("targetListener") {
            Some(target) => self.listener_url(&node, site, &target)?,
            None => node.text("targetUrl").unwrap_or_default(),
        };
        let has_host = ["https://", "http://"].iter().any(|scheme| {
            to.strip_prefix(scheme)
                .is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'))
        });
        let is_plain = to
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'#');
        let is_known = !to.replace("{host}", "").contains(['{', '}']);
        if !has_host || !is_plain || !is_known || (include_path && to.contains('?')) {
            self.report.no_equal(
                &node,
                format!(
                    "the redirect to {to:?}: a URL with a host is needed, without fragment or variables, and without a \
                     query when the path is kept; it is 500 here"
                ),
            );
            return None;
        }
        Some(format!(
            "{{ status = {status}, to = {}, include_path = {include_path}, include_query = {include_query} }}",
            quoted(&to)
        ))
    }

    /// The URL of a listener: its one host, else the one that the client has asked for.
    fn listener_url(&mut self, node: &Node<'_>, from: &Site<'_>, name: &str) -> Option<String> {
        let Some(target) = self.listeners.site(name) else {
            let why = format!("the export lacks the listener {name:?}; it is 500 here");
            self.report.no_equal(node, why);
            return None;
        };
        let scheme = if target.is_https { "https" } else { "http" };
        let usual = if target.is_https { 443 } else { 80 };
        let host = match target.hosts.as_slice() {
            [one] if !one.contains(['*', '?']) && from.hosts != target.hosts => one.as_str(),
            _ => "{host}",
        };
        Some(match target.port == usual {
            true => format!("{scheme}://{host}/"),
            false => format!("{scheme}://{host}:{}/", target.port),
        })
    }
}
