//! Rewrite rule sets: the rules of header-rewriter, each under the routes that use its set.

use std::collections::BTreeMap;

use http::HeaderName;

use super::{
    node::Node,
    report::Report,
    routes::RULE_FIELD,
    text::{comment, key, quoted},
    translation::find,
};
use crate::headers;

/// Server variables that the gateway does not tell plugins.
const ABSENT: [&str; 5] = [
    "ciphers_supported",
    "client_tcp_rtt",
    "client_user",
    "received_bytes",
    "sent_bytes",
];
/// Those that header-rewriter has.
const VARIABLES: [&str; 24] = [
    "add_x_forwarded_for_proxy",
    "ciphers_used",
    "client_certificate",
    "client_certificate_end_date",
    "client_certificate_fingerprint",
    "client_certificate_issuer",
    "client_certificate_serial",
    "client_certificate_start_date",
    "client_certificate_subject",
    "client_certificate_verification",
    "client_ip",
    "client_port",
    "host",
    "http_method",
    "http_status",
    "http_version",
    "query_string",
    "request_query",
    "request_scheme",
    "request_uri",
    "server_port",
    "ssl_connection_protocol",
    "ssl_enabled",
    "uri_path",
];

/// How a reference to what a value's matcher has found begins.
const MATCHED: &str = "{capt_header_value_matcher";

/// What a rule changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Request,
    Response,
}

/// A condition as it is written, and what it tests.
struct Condition {
    fact: String,
    text: String,
    is_negated: bool,
}

/// The sidecar of header-rewriter; none when no set is in use. `sets` are the sets in use with
/// the rules that use them, and whether those are all.
pub(super) fn sidecar(
    gateway: &Node<'_>,
    sets: &[(String, Vec<String>, bool)],
    report: &mut Report,
) -> Option<String> {
    let mut text = String::new();
    for (name, routes, is_all) in sets {
        let Some(set) = find(gateway, "rewriteRuleSets", name) else {
            let path = format!("{}.rewriteRuleSets", gateway.path);
            report.no_equal_at(&path, format!("the export lacks the set {name:?}"));
            continue;
        };
        let under = match is_all {
            true => None,
            false => Some(under(routes)),
        };
        let rules = set.items("rewriteRules").into_iter();
        let mut nodes: Vec<_> = rules
            .map(|rule| (rule.number("ruleSequence").unwrap_or(u64::MAX), rule))
            .collect();
        nodes.sort_by_key(|(place, _)| *place);
        for (_, node) in nodes {
            let title = format!("{}: {}", set.name(), node.name());
            text.push_str(&rule(&node, &title, under.as_deref(), report));
        }
    }
    (!text.is_empty()).then_some(text)
}

/// The condition that the request came by one of these rules.
fn under(rules: &[String]) -> String {
    let names: Vec<_> = rules.iter().map(|name| name.replace('.', "\\.")).collect();
    format!(
        "{{ fact = {}, pattern = {} }}",
        quoted(&format!("http_req_{RULE_FIELD}")),
        quoted(&format!("^(?:{})$", names.join("|")))
    )
}

fn rule(node: &Node<'_>, title: &str, under: Option<&str>, report: &mut Report) -> String {
    let mut conditions = Vec::new();
    for condition in node.items("conditions") {
        match self::condition(&condition) {
            Ok(found) => conditions.push(found),
            Err(why) => {
                node.skip();
                report.no_equal(node, format!("the whole rule, as of its condition {why}"));
                return String::new();
            }
        }
    }
    let Some(actions) = node.get("actionSet") else {
        return String::new();
    };
    let mut text = String::new();
    for side in [Side::Request, Side::Response] {
        let body = body(&actions, side, &conditions, report);
        if body.is_empty() {
            continue;
        }
        let of_response =
            |one: &&Condition| one.fact.starts_with("http_resp_") || one.fact == "var_http_status";
        if side == Side::Request
            && let Some(condition) = conditions.iter().find(of_response)
        {
            let why = format!(
                "changes of the request, as its condition {} is about the response",
                condition.fact
            );
            report.no_equal(&actions, why);
            continue;
        }
        let table = match side {
            Side::Request => "request",
            Side::Response => "response",
        };
        text.push_str(&format!("\n# {}\n[[config.{table}]]\n", comment(title)));
        let when: Vec<_> = conditions.iter().map(|one| one.text.as_str()).collect();
        let when: Vec<_> = under.into_iter().chain(when).collect();
        if !when.is_empty() {
            text.push_str(&format!("when = [\n    {},\n]\n", when.join(",\n    ")));
        }
        text.push_str(&body);
    }
    text
}

fn condition(node: &Node<'_>) -> Result<Condition, String> {
    let fact = node.text("variable").unwrap_or_default();
    let pattern = node.text("pattern").unwrap_or_default();
    is_fact(&fact).map_err(|why| format!("on {fact:?}: {why}"))?;
    let mut text = format!(
        "{{ fact = {}, pattern = {}",
        quoted(&fact),
        quoted(&pattern)
    );
    if node.flag("ignoreCase") == Some(true) {
        text.push_str(", ignore_case = true");
    }
    let is_negated = node.flag("negate") == Some(true);
    if is_negated {
        text.push_str(", negate = true");
    }
    text.push_str(" }");
    Ok(Condition {
        fact,
        text,
        is_negated,
    })
}

/// Whether there is such a fact.
fn is_fact(fact: &str) -> Result<(), String> {
    let header = ["http_req_", "http_resp_"]
        .iter()
        .find_map(|start| fact.strip_prefix(start));
    if header.is_some_and(|name| !name.is_empty()) {
        return Ok(());
    }
    match fact.strip_prefix("var_") {
        Some(name) if ABSENT.contains(&name) => {
            Err("the gateway does not tell plugins this server variable".to_owned())
        }
        Some(name) if VARIABLES.contains(&name) || name.starts_with("cookie_") => Ok(()),
        _ => Err("there is no such variable".to_owned()),
    }
}

fn is_protected(name: &str) -> bool {
    HeaderName::from_bytes(name.as_bytes()).is_ok_and(|name| headers::is_protected(&name))
}

/// The keys of a rule that change something; empty when there are none.
fn body(actions: &Node<'_>, side: Side, conditions: &[Condition], report: &mut Report) -> String {
    let mut set = BTreeMap::new();
    let (mut replaced, mut delete) = (Vec::new(), Vec::new());
    let mut lines = Vec::new();
    let headers = match side {
        Side::Request => "requestHeaderConfigurations",
        Side::Response => "responseHeaderConfigurations",
    };
    for node in actions.items(headers) {
        let name = node
            .text("headerName")
            .unwrap_or_default()
            .to_ascii_lowercase();
        if let Some(matcher) = node.get("headerValueMatcher") {
            match replacement(&node, &matcher, (&name, side), conditions, report) {
                Ok(text) => replaced.push(text),
                Err(why) => {
                    matcher.skip();
                    report.no_equal(&node, format!("{name}: {why}"));
                }
            }
            continue;
        }
        // Of these alone `host` can be set, by a key of its own.
        if name != "host" && is_protected(&name) {
            report.no_equal(&node, format!("{name} is the gateway's to set"));
            continue;
        }
        let value = match node.text("headerValue") {
            None => None,
            Some(value) => match self::value(&value, side, conditions, &node, report) {
                Ok(value) => Some(value),
                Err(why) => {
                    report.no_equal(&node, format!("{name}: {why}"));
                    continue;
                }
            },
        };
        match (name.as_str(), value) {
            ("host", Some(value)) if side == Side::Request => {
                lines.push(format!("host = {}", quoted(&value)));
            }
            ("host", _) => report.no_equal(&node, "host can be set in requests, and never deleted"),
            ("set-cookie", Some(_)) if side == Side::Response => report.no_equal(
                &node,
                "setting set-cookie would drop the upstream's other cookies: see `append` and `replace` of header-rewriter",
            ),
            (_, Some(value)) => {
                set.insert(name, value);
            }
            (_, None) => delete.push(name),
        }
    }
    if side == Side::Request
        && let Some(url) = actions.get("urlConfiguration")
    {
        if let Some(node) = url.get("reroute")
            && url.flag("reroute") == Some(true)
        {
            report.no_equal(
                &node,
                "a path map is gone through once; write the rules for the paths as they come in",
            );
        }
        for (theirs, ours) in [("modifiedPath", "path"), ("modifiedQueryString", "query")] {
            let Some(node) = url.get(theirs) else {
                continue;
            };
            let Some(text) = node.as_text() else { continue };
            match value(&text, side, conditions, &node, report) {
                Ok(value) => lines.push(format!("{ours} = {}", quoted(&value))),
                Err(why) => report.no_equal(&node, why),
            }
        }
    }
    if !replaced.is_empty() {
        lines.insert(0, format!("replace = [{}]", replaced.join(", ")));
    }
    if !delete.is_empty() {
        lines.insert(0, format!("delete = {}", super::text::list(&delete)));
    }
    if !set.is_empty() {
        let pairs = set
            .iter()
            .map(|(name, value)| format!("{} = {}", key(name), quoted(value)));
        let pairs: Vec<_> = pairs.collect();
        lines.insert(0, format!("set = {{ {} }}", pairs.join(", ")));
    }
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// Of the cookies in a response those that match, whole: an entry of `replace`. Azure has this for no
/// other header.
fn replacement(
    node: &Node<'_>,
    matcher: &Node<'_>,
    (name, side): (&str, Side),
    conditions: &[Condition],
    report: &mut Report,
) -> Result<String, String> {
    let pattern = matcher.text("pattern").unwrap_or_default();
    let value = node.text("headerValue").unwrap_or_default();
    let problem = match () {
        () if name != "set-cookie" || side == Side::Request => {
            Some("values are matched in set-cookie of responses alone")
        }
        () if matcher.flag("negate") == Some(true) => Some("`replace` has no `negate`"),
        () if value.is_empty() => Some("a cookie is not deleted by its value"),
        () => None,
    };
    if let Some(problem) = problem {
        return Err(format!("{problem}: see `replace` of header-rewriter"));
    }
    // The groups keep their numbers; group 0 is the whole field, as the reference without a number.
    let whole = format!("^.*?(?:{pattern}).*$");
    let mut with = String::new();
    let mut rest = value.as_str();
    while let Some((before, behind)) = rest.split_once(MATCHED) {
        let Some((group, behind)) = behind.split_once('}') else {
            break;
        };
        let number = match group.strip_prefix('_') {
            None if group.is_empty() => "0",
            Some(number) if number.parse::<u8>().is_ok() => number,
            _ => return Err(format!("{MATCHED}{group}}} is no group of its pattern")),
        };
        with.push_str(&self::value(before, side, conditions, node, report)?);
        with.push_str(&format!("{{{number}}}"));
        rest = behind;
    }
    with.push_str(&self::value(rest, side, conditions, node, report)?);
    let ignore_case = match matcher.flag("ignoreCase") {
        Some(true) => ", ignore_case = true",
        _ => "",
    };
    Ok(format!(
        "{{ name = {}, pattern = {}, with = {}{ignore_case} }}",
        quoted(name),
        quoted(&whole),
        quoted(&with)
    ))
}

/// A value with its references, other braces doubled.
fn value(
    text: &str,
    side: Side,
    conditions: &[Condition],
    node: &Node<'_>,
    report: &mut Report,
) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        let (before, brace) = rest.split_at(at);
        out.push_str(before);
        let reference = brace
            .strip_prefix('{')
            .and_then(|inner| inner.split_once('}'));
        match reference {
            Some((name, behind)) if is_reference(name) => {
                let name = referred(name, side, conditions, node, report)?;
                out.push_str(&format!("{{{name}}}"));
                rest = behind;
            }
            _ => {
                let (one, behind) = brace.split_at(1);
                out.push_str(&one.repeat(2));
                rest = behind;
            }
        }
    }
    out.push_str(rest);
    Ok(out)
}

fn is_reference(name: &str) -> bool {
    ["http_req_", "http_resp_", "var_"]
        .iter()
        .any(|start| name.starts_with(start))
}

/// The reference as header-rewriter has it.
fn referred(
    name: &str,
    side: Side,
    conditions: &[Condition],
    node: &Node<'_>,
    report: &mut Report,
) -> Result<String, String> {
    if name == "var_add_x_forwarded_for_proxy" {
        report.otherwise(
            node,
            "{var_add_x_forwarded_for_proxy} became {var_client_ip}, as what clients claim is not believed; see `trusted` \
             of forwarded-headers",
        );
        return Ok("var_client_ip".to_owned());
    }
    let group = name
        .rsplit_once('_')
        .filter(|(_, number)| number.parse::<u8>().is_ok());
    if let Some((fact, _)) = group {
        let captures = |one: &Condition| one.fact == fact && !one.is_negated;
        if conditions.iter().any(captures) {
            return Ok(name.to_owned());
        }
        if fact.starts_with("var_") && is_fact(name).is_err() {
            return Err(format!("{{{name}}} is a group of no condition"));
        }
    }
    is_fact(name).map_err(|why| format!("{{{name}}}: {why}"))?;
    let of_response = name.starts_with("http_resp_") || name == "var_http_status";
    if side == Side::Request && of_response {
        return Err(format!("{{{name}}} is about the response"));
    }
    if name.eq_ignore_ascii_case("http_resp_set-cookie") {
        return Err("joined cookies cannot be taken apart".to_owned());
    }
    Ok(name.to_owned())
}
