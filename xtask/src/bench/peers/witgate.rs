//! Configurations of the gateway, and what is in its plugin folder.

use std::{fmt::Write as _, fs, path::Path, process::Command};

use anyhow::{Context as _, Result};

use super::{Plugins, Setup, Stage, Upstream};

/// cookie-affinity's own.
pub(super) const COOKIE: &str = "ApplicationGatewayAffinity";

/// More endpoints than a plugin can look at within its usual deadline.
const MANY: u32 = 1000;

/// What takes part in no decision, but is compared: no request of a load is for it.
const ELSEWHERE: &str = "/elsewhere";

/// The gateway on a configuration in `dir`.
pub(super) fn command(stage: &Stage, dir: &Path, port: u16, setup: Setup) -> Result<Command> {
    if setup.plugins != Plugins::None {
        fs::create_dir(dir.join("plugins"))?;
        fill(stage, dir, setup.plugins)?;
    }
    let file = dir.join("witgate.toml");
    fs::write(&file, configuration(stage, port, setup)).context("witgate.toml")?;
    let mut command = Command::new(&stage.gateway);
    command.args(["run", "--config"]).arg(file);
    Ok(command)
}

fn configuration(stage: &Stage, port: u16, setup: Setup) -> String {
    let at = stage.dir().display();
    let mut text = format!("workers = {}\n", setup.workers);
    if setup.plugins != Plugins::None {
        text += "[plugins]\ndir = \"plugins\"\ncache = \"cache\"\n";
        if setup.endpoints > MANY {
            // The first question to an instance of cookie-affinity has it read the whole pool.
            text += "deadline = \"2s\"\novertime = 100\n";
        }
    }
    let _ = write!(
        text,
        "[access_log]
path = \"off\"
[timeouts]
request_head = \"10m\"
shutdown_grace = \"1s\"
[limits]
connections_per_client = 100000
[[listeners]]
name = \"public\"
address = \"127.0.0.1:{port}\"
tls.certificates = [{{ chain = \"{at}/front.pem\", key = \"{at}/front.key\" }}]
default_pool = \"web\"
[pools.web]
server_name = \"backend.test\"
trust.roots = [\"{at}/ca.pem\"]
max_idle = 1000
http = \"{}\"
endpoints = [{}]
",
        match setup.upstream {
            Upstream::H1 => "h1",
            Upstream::H2 => "h2",
        },
        endpoints(stage.upstream_port(), setup.endpoints),
    );
    if matches!(setup.plugins, Plugins::Roles | Plugins::Six) {
        text += "affinity = \"cookie-affinity\"\n";
    }
    text
}

/// The first is the upstream; nothing listens at the others, which no session has as its own.
fn endpoints(upstream: u16, count: u32) -> String {
    let mut text = format!("{{ id = \"upstream\", address = \"127.0.0.1:{upstream}\" }}");
    for number in 1..count {
        let [_, _, high, low] = number.to_be_bytes();
        let _ = write!(text, ", \"127.1.{high}.{low}:1\"");
    }
    text
}

fn fill(stage: &Stage, dir: &Path, plugins: Plugins) -> Result<()> {
    let put = |name: &str, plugin: &str, sidecar: &str| -> Result<()> {
        let from = stage.target.join(plugin).with_extension("wasm");
        let to = dir.join("plugins").join(name);
        fs::copy(&from, to.with_extension("wasm")).with_context(|| from.display().to_string())?;
        fs::write(to.with_extension("toml"), sidecar)?;
        Ok(())
    };
    let router = |name: &str, rules: u32| put(name, "plugins/path-router", &routes(rules, "/*"));
    let roles = || -> Result<()> {
        router("20-path-router", 2)?;
        put("50-cookie-affinity", "plugins/cookie-affinity", "")?;
        put("60-forwarded-headers", "plugins/forwarded-headers", "")
    };
    match plugins {
        Plugins::None => Ok(()),
        Plugins::Roles => roles(),
        Plugins::Chain(count) => (0..count).try_for_each(|number| {
            let name = format!("{number:03}-router-{number}");
            put(&name, "plugins/path-router", &routes(2, ELSEWHERE))
        }),
        Plugins::Routes(rules) => router("20-path-router", rules),
        Plugins::Sites(count) => put("10-site-router", "plugins/site-router", &sites(count)),
        Plugins::Six => {
            roles()?;
            put("10-site-router", "plugins/site-router", &sites(2))?;
            let limit = "grants = [\"kv\"]\n[config]\nrequests = 1_000_000_000\nseconds = 3600\n";
            put("05-rate-limiter", "plugins/rate-limiter", limit)?;
            let rewrite = "[[config.response]]\nset = { x-served-by = \"witgate\" }\n";
            put("70-header-rewriter", "plugins/header-rewriter", rewrite)
        }
        Plugins::Version => put("10-version", "guests/version-a", ""),
    }
}

/// So many rules of the path-router; the last one has the path `last`.
fn routes(count: u32, last: &str) -> String {
    let mut text = String::new();
    for number in 1..count {
        let _ = writeln!(
            text,
            "[[config.rules]]\npaths = [\"{ELSEWHERE}/{number}/*\"]\npool = \"web\""
        );
    }
    let _ = writeln!(
        text,
        "[[config.rules]]\npaths = [\"{last}\"]\npool = \"web\""
    );
    text
}

/// So many sites of the site-router; the last one is that of the load.
fn sites(count: u32) -> String {
    let mut text = String::new();
    for number in 1..count {
        let _ = writeln!(
            text,
            "[[config.sites]]\nhosts = [\"site-{number}.example\"]\npool = \"web\""
        );
    }
    text + "[[config.sites]]\nhosts = [\"localhost\"]\npool = \"web\"\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_have_the_size_that_was_asked_for() {
        assert_eq!(
            routes(10_000, "/*").matches("[[config.rules]]").count(),
            10_000
        );
        assert_eq!(sites(10).matches("[[config.sites]]").count(), 10);
        let all = endpoints(443, 10_000);
        assert_eq!(all.matches("127.").count(), 10_000);
        assert!(all.ends_with("127.1.39.15:1\""), "{all}");
    }
}
