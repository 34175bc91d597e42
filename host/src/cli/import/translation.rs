//! From an export to the files of a configuration.

use std::collections::BTreeMap;

use super::{
    export::Export,
    listeners::{self, Listeners, NO_FIREWALL},
    node::{Node, Reader},
    pools::Pools,
    report::Report,
    rewrites,
    routes::{self, Reading, Routes},
    text::Names,
};

/// Files by their paths in the folder.
pub(super) type Files = BTreeMap<String, Vec<u8>>;

/// Parts of a gateway that have no equal, and why.
const NO_EQUAL: [(&str, &str); 11] = [
    ("webApplicationFirewallConfiguration", NO_FIREWALL),
    ("firewallPolicy", NO_FIREWALL),
    (
        "autoscaleConfiguration",
        "one process uses the cores that it finds; start more behind a load balancer",
    ),
    ("zones", "where the process runs is for whoever starts it"),
    ("privateLinkConfigurations", "private links are Azure's"),
    (
        "globalConfiguration",
        "bodies are streamed, never buffered, in either direction",
    ),
    ("listeners", "only HTTP is spoken, no plain TCP or TLS"),
    (
        "backendSettingsCollection",
        "only HTTP is spoken, no plain TCP or TLS",
    ),
    ("routingRules", "only HTTP is spoken, no plain TCP or TLS"),
    (
        "entraJWTValidationConfigs",
        "tokens are validated by the plugin jwt-auth, which wants the keys",
    ),
    (
        "enableFips",
        "the cryptography is that of aws-lc, without a mode for FIPS",
    ),
];

/// Parts of a gateway that need no words.
const TAKEN: [&str; 5] = [
    "defaultPredefinedSslPolicy",
    "forceFirewallPolicyAssociation",
    "identity",
    "sku",
    "privateEndpointConnections",
];

/// What an import has made.
#[derive(Debug)]
pub(super) struct Translated {
    pub(super) files: Files,
    pub(super) report: Report,
    /// The plugins that it needs: the file in the folder, the reference plugin.
    pub(super) plugins: Vec<(String, &'static str)>,
}

/// The item of a list that has this name.
pub(super) fn find<'a>(gateway: &Node<'a>, list: &str, name: &str) -> Option<Node<'a>> {
    let mut items = gateway.items(list).into_iter();
    let found = items.find(|item| item.name().eq_ignore_ascii_case(name))?;
    found.is_referred_to();
    Some(found)
}

/// Translates all of it; `source` is the file's name, for comments.
pub(super) fn translate(export: &Export, source: &str) -> Translated {
    let reader = Reader::new(export.unknown.clone());
    let gateway = reader.node(&export.gateway, &export.path);
    let mut report = Report::default();
    let mut files = Files::new();
    let rules = routes::ordered(&gateway);
    let order = rules
        .iter()
        .filter_map(|rule| rule.reference("httpListener"));
    let listeners = Listeners::read(&gateway, &order.collect::<Vec<_>>(), &mut report);
    let mut pools = Pools::default();
    let routes = Routes::read(
        &rules,
        Reading {
            gateway: &gateway,
            listeners: &listeners,
            pools: &mut pools,
            files: &mut files,
            report: &mut report,
            names: Names::default(),
        },
    );
    let plugins = sidecars(&gateway, &routes, &pools, &mut files, &mut report);
    let text = [
        format!(
            "# {} as it was in {source}, translated by `witgate import azure`.\n",
            export.name()
        ),
        format!("# What else there is to know is in {REPORT_FILE}.\n\n"),
        "[plugins]\ndir = \"plugins\"\n\n[admin]\naddress = \"127.0.0.1:9901\"\n\n[control]\nsocket = \"control.sock\"\n\n"
            .to_owned(),
        error_pages(&gateway, &mut report),
        listeners.text(&gateway, &mut files, &mut report),
        pools.text(),
    ];
    files.insert("witgate.toml".to_owned(), text.concat().into_bytes());
    differences(&gateway, &mut report);
    left_over(&gateway, &reader, &mut report);
    Translated {
        files,
        report,
        plugins,
    }
}

/// Where the report stands in the folder.
pub(super) const REPORT_FILE: &str = "import.txt";

/// Writes the sidecars; returns the plugins that they are for.
fn sidecars(
    gateway: &Node<'_>,
    routes: &Routes,
    pools: &Pools,
    files: &mut Files,
    report: &mut Report,
) -> Vec<(String, &'static str)> {
    let mut plugins = Vec::new();
    let mut add = |name: &str, plugin, text: String| {
        files.insert(format!("plugins/{name}.toml"), text.into_bytes());
        plugins.push((name.to_owned(), plugin));
    };
    let sets = routes.rewrite_sets();
    let rewrites = rewrites::sidecar(gateway, &sets, report);
    let tells_rule = rewrites.is_some() && sets.iter().any(|(.., is_all)| !is_all);
    if let Some(text) = routes.sites() {
        add("10-site-router", "site-router", text);
    }
    if let Some(text) = routes.paths(tells_rule) {
        add("20-path-router", "path-router", text);
    }
    for (name, text) in pools.affinities() {
        add(&name, "cookie-affinity", text);
    }
    add(
        "60-forwarded-headers",
        "forwarded-headers",
        FORWARDED.to_owned(),
    );
    if let Some(text) = rewrites {
        let head = "# The rewrite rule sets, each under the rules that use it.\n";
        add(
            "70-header-rewriter",
            "header-rewriter",
            format!("{head}{text}"),
        );
    }
    plugins
}

/// What Azure adds to each request.
const FORWARDED: &str = "\
# The fields that Azure adds, as it writes them. Many upstreams read format = \"ip\" more easily.
[config]
format = \"ip:port\"
x_forwarded_host = false
";

fn error_pages(gateway: &Node<'_>, report: &mut Report) -> String {
    let pages = listeners::pages(gateway, report);
    match pages.is_empty() {
        true => String::new(),
        false => format!("# [error_pages]\n# {}\n\n", pages.join("\n# ")),
    }
}

/// What is otherwise whatever the export says.
fn differences(gateway: &Node<'_>, report: &mut Report) {
    report.otherwise(
        gateway,
        "clients cannot claim to be others: X-Forwarded-For is replaced, not added to; see `trusted` of forwarded-headers",
    );
    report.otherwise(
        gateway,
        "requests are known by X-Request-Id, which is in the access log, not by X-AppGW-Trace-Id",
    );
    if gateway.flag("enableHttp2") != Some(true) {
        report.otherwise(gateway, "clients may also speak HTTP/2");
    }
}

/// Tells all that was left out: what is known to have no equal, and what was never read.
fn left_over(gateway: &Node<'_>, reader: &Reader, report: &mut Report) {
    for (key, why) in NO_EQUAL {
        if let Some(node) = gateway.get(key) {
            let says_something = !node.unread_within().is_empty();
            node.skip();
            if says_something {
                report.no_equal(&node, why);
            }
        }
    }
    for key in TAKEN {
        gateway.get(key).iter().for_each(Node::skip);
    }
    // Lists that rules have not led to are of no effect; they are told by name.
    for (list, what) in [
        ("backendAddressPools", "pool"),
        ("backendHttpSettingsCollection", "settings"),
        ("probes", "probe"),
        ("redirectConfigurations", "redirect"),
        ("rewriteRuleSets", "rewrite rule set"),
        ("urlPathMaps", "URL path map"),
        ("sslProfiles", "TLS profile"),
        ("sslCertificates", "certificate"),
        ("trustedRootCertificates", "root certificate"),
        ("trustedClientCertificates", "client certificate"),
        ("authenticationCertificates", "certificate"),
        ("frontendPorts", "port"),
    ] {
        for item in gateway.items(list) {
            if !item.is_used() {
                item.skip();
                let why = format!("no rule uses this {what} ({})", item.name());
                report.otherwise(&item, why);
            }
        }
    }
    for node in gateway.unread() {
        report.no_equal(&node, "not known to this program, or of no use here");
    }
    for (path, needed) in reader.missed() {
        report.no_equal_at(
            &path,
            format!("its value needs {needed}: give it in --parameters, or fill it in by hand"),
        );
    }
}
