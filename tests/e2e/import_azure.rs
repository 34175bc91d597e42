//! `witgate import azure`: exports of three shapes become configurations that are accepted and that
//! send requests where the original says.

use std::{fs, path::Path, process::Output, sync::Arc};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use witgate_tests::{
    Http, TempDir,
    certs::{Authority, Identity},
    gateway::{Gateway, Setup, output},
    over_h1_and_h2, readme,
    upstream::Upstream,
    wait, wasm,
};

const FOLDER: &str = "examples/azure-migration";

/// What became of an export of the example's folder.
struct Imported {
    dir: TempDir,
    output: Output,
}

impl Imported {
    async fn of(file: &str) -> Self {
        let file = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("..")
            .join(FOLDER)
            .join(file);
        Self::of_file(&file).await
    }

    async fn of_file(file: &Path) -> Self {
        let dir = TempDir::new().unwrap();
        let into = dir.path().join("out");
        let plugins = wasm::references();
        let arguments = ["import", "azure", path(file), "--into", path(&into)];
        let output = output(&[&arguments[..], &["--plugins", path(&plugins)]].concat()).await;
        Self { dir, output }
    }

    fn text(&self) -> String {
        let (out, err) = (&self.output.stdout, &self.output.stderr);
        String::from_utf8_lossy(&[&out[..], &err[..]].concat()).into_owned()
    }

    fn code(&self) -> Option<i32> {
        self.output.status.code()
    }

    fn file(&self, name: &str) -> String {
        fs::read_to_string(self.dir.path().join("out").join(name)).unwrap()
    }

    /// Provides these certificates, asserts that `check` accepts all of it, and makes a gateway of
    /// it, with each text of the configuration replaced by the other.
    async fn gateway(
        &self,
        certificates: &[(&str, &[&str])],
        replaced: &[(&str, String)],
        change: impl FnOnce(&Setup),
    ) -> Gateway {
        let out = self.dir.path().join("out");
        let setup = Setup::new();
        for (name, names) in certificates {
            let identity = setup.authority().issue(names);
            identity.write(&out.join("certs"), name);
        }
        let check = output(&["check", "--config", path(&out.join("witgate.toml"))]).await;
        let said = String::from_utf8_lossy(&[check.stdout, check.stderr].concat()).into_owned();
        assert!(check.status.success(), "{said}");
        for folder in ["plugins", "certs"] {
            fs::create_dir_all(setup.dir().join(folder)).unwrap();
            for entry in fs::read_dir(out.join(folder)).unwrap() {
                let entry = entry.unwrap();
                fs::copy(
                    entry.path(),
                    setup.dir().join(folder).join(entry.file_name()),
                )
                .unwrap();
            }
        }
        change(&setup);
        let mut text = self.file("witgate.toml");
        let fixed = [("127.0.0.1:9901", "127.0.0.1:0".to_owned())];
        for (old, new) in fixed.iter().chain(replaced) {
            assert!(text.contains(old), "{old} in {text}");
            text = text.replace(old, new);
        }
        setup.configuration(&text).start().await
    }
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn to(upstream: &Upstream) -> String {
    format!("\"{}\"", upstream.address())
}

fn free(address: &str) -> String {
    format!("\"{address}:0\"")
}

/// `GET` over HTTP/1.1 without TLS; all that comes back.
async fn plain(gateway: &Gateway, listener: &str, host: &str, target: &str) -> String {
    let address = gateway.address_of(listener);
    let mut socket = TcpStream::connect(address).await.unwrap();
    let head = format!("GET {target} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut read = String::new();
    tokio::time::timeout(wait::DEADLINE, socket.read_to_string(&mut read))
        .await
        .expect("the end of the connection")
        .unwrap();
    read
}

/// The gateway of `template.json` with upstreams of the names of its pools.
struct Shop {
    gateway: Gateway,
    _upstreams: Vec<Upstream>,
}

impl Shop {
    async fn start() -> Self {
        let imported = Imported::of("template.json").await;
        assert_eq!(imported.code(), Some(3), "{}", imported.text());
        let root = Authority::new("the shop's root");
        let web = Arc::new(root.issue(&["web.internal"]));
        let upstreams = vec![
            Upstream::tls("web-1", &web).await,
            Upstream::tls("web-2", &web).await,
            Upstream::plain("api").await,
            Upstream::plain("api-media").await,
            Upstream::plain("media").await,
            Upstream::plain("next").await,
        ];
        let replaced = [
            ("\"0.0.0.0:80\"", free("127.0.0.1")),
            ("\"0.0.0.0:443\"", free("127.0.0.2")),
            ("\"10.20.1.4:8443\"", to(&upstreams[0])),
            ("\"10.20.1.5:8443\"", to(&upstreams[1])),
            ("\"api.internal:8080\"", to(&upstreams[2])),
            ("\"api.internal:80\"", to(&upstreams[3])),
            ("\"media.internal:80\"", to(&upstreams[4])),
            ("\"next.invalid:80\"", to(&upstreams[5])),
        ];
        let certificates: [(&str, &[&str]); 2] = [
            ("shop-tls", &["shop.example", "*.shop.example"]),
            ("api-tls", &["api.example"]),
        ];
        let own_root = |setup: &Setup| {
            root.write(&setup.dir().join("certs"), "internal-root");
        };
        let gateway = imported.gateway(&certificates, &replaced, own_root).await;
        Self {
            gateway,
            _upstreams: upstreams,
        }
    }

    fn client(&self, host: &str, http: Http) -> witgate_tests::client::Client {
        self.gateway.client_at("public-443", host, http)
    }
}

over_h1_and_h2! {
    async fn a_template_routes_as_the_original_says(http) {
        let shop = Shop::start().await;
        for (url, upstream, target) in [
            ("https://shop.example/api/orders?x=1", "api", "/v1/orders?x=1"),
            ("https://www.shop.example/API/orders", "api", "/v1/orders"),
            ("https://shop.example/images/a.png", "media", "/images/a.png"),
            ("https://shop.example/Video1", "media", "/Video1"),
            ("https://api.example/", "api-media", "/"),
            ("https://api.example/api/orders", "api-media", "/api/orders"),
            ("https://anna.shop.example/api/x", "next", "/api/x"),
        ] {
            let host = url.split('/').nth(2).unwrap();
            let echo = shop.client(host, http).get(url).await.echo();
            assert_eq!((echo.upstream.as_str(), echo.target.as_str()), (upstream, target), "{url}");
        }
        let client = shop.client("shop.example", http);
        let api = client.get("https://shop.example/api/orders").await.echo();
        assert_eq!(api.authority, "api.internal");
        let blog = client.get("https://shop.example/blog/7").await;
        assert_eq!((blog.status.as_u16(), blog.header("location")), (302, "https://blog.example/"));
        let other = client.get("https://other.example/").await;
        assert_eq!((other.status.as_u16(), other.cause()), (404, "no-route"));
    }

    async fn a_template_rewrites_and_sticks_as_the_original_says(http) {
        let shop = Shop::start().await;
        let client = shop.client("shop.example", http);
        let web = client.get("https://shop.example/cart").await;
        assert_eq!(web.header("strict-transport-security"), "max-age=31536000");
        let echo = web.echo();
        assert_eq!(echo.authority, "web.internal");
        assert_eq!(echo.all("x-forwarded-for"), ["127.0.0.1"]);
        assert_eq!(echo.all("x-original-host"), ["shop.example"]);
        assert!(echo.header("x-client-port").unwrap().parse::<u16>().is_ok());
        let moved = client.get("https://shop.example/P/17").await.echo();
        assert_eq!(moved.target, "/products?id=17");
        let cookies = web.all("set-cookie");
        assert!(cookies[0].starts_with("ShopAffinity="), "{cookies:?}");
        let cookie = cookies[0].split(';').next().unwrap();
        for _ in 0..4 {
            let again = client.get_with("https://shop.example/", &[("cookie", cookie)]).await;
            assert_eq!(again.echo().upstream, echo.upstream);
        }
        let claims = [("x-witgate-rule", "shop")];
        let api = client.get_with("https://shop.example/api/orders", &claims).await;
        assert_eq!(api.header("strict-transport-security"), "");
        assert!(api.echo().header("x-forwarded-for").unwrap().starts_with("127.0.0.1:"));
    }
}

#[tokio::test]
async fn a_template_leads_from_http_to_https() {
    let shop = Shop::start().await;
    let answer = plain(&shop.gateway, "public-80", "www.shop.example", "/a?b=c").await;
    assert!(answer.starts_with("HTTP/1.1 301 "), "{answer}");
    assert!(
        answer.contains("location: https://www.shop.example/a?b=c\r\n"),
        "{answer}"
    );
    let answer = plain(&shop.gateway, "public-80", "other.example", "/").await;
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
}

#[tokio::test]
async fn what_has_no_equal_is_listed_with_its_place() {
    let imported = Imported::of("template.json").await;
    let report = imported.file("import.txt");
    for (section, place, why) in [
        (
            "to be provided",
            "certs/shop-tls.pem and certs/shop-tls.key",
            "https://kv-shop.vault.azure.net/secrets/shop-tls",
        ),
        (
            "to be provided",
            "witgate.toml, pools.next.endpoints",
            "next.invalid",
        ),
        (
            "otherwise",
            "$.resources[1].properties.rewriteRuleSets[0].properties.rewriteRules[0].actionSet.requestHeaderConfigurations[0]",
            "{var_client_ip}",
        ),
        (
            "no equal",
            "$.resources[1].properties.rewriteRuleSets[0].properties.rewriteRules[2]",
            "var_client_tcp_rtt",
        ),
        (
            "no equal",
            "$.resources[1].properties.webApplicationFirewallConfiguration",
            "no web application firewall",
        ),
        (
            "no equal",
            "$.resources[1].properties.autoscaleConfiguration",
            "cores",
        ),
        ("no equal", "$.resources[1].zones", "process runs"),
    ] {
        let found = report.split("\n\n").find(|part| part.starts_with(section));
        let entry = format!("  {place}\n      ");
        let what = found
            .and_then(|part| part.split(&entry).nth(1))
            .unwrap_or_default();
        let what = what.lines().next().unwrap_or_default();
        assert!(what.contains(why), "{place}: {why}\n{report}");
    }
    let left_out = report.split("\nno equal; left out:\n").nth(1).unwrap();
    assert_eq!(left_out.lines().count(), 8, "{report}");
    assert!(
        imported.text().contains("4 places left out (exit code 3)"),
        "{}",
        imported.text()
    );
}

#[tokio::test]
async fn what_az_prints_routes_as_the_original_says() {
    let imported = Imported::of("show.json").await;
    assert_eq!(imported.code(), Some(3), "{}", imported.text());
    let wiki = Upstream::plain("wiki").await;
    let other = Upstream::plain("wiki-2").await;
    let everyone = Upstream::plain("everyone").await;
    let replaced = [
        ("\"0.0.0.0:8080\"", free("127.0.0.1")),
        ("\"0.0.0.0:8443\"", free("127.0.0.2")),
        ("\"10.0.5.4:80\"", to(&wiki)),
        ("\"10.0.5.5:80\"", to(&other)),
        ("\"portal.corp.example:80\"", to(&everyone)),
        ("\"git.corp.example:443\"", "\"127.0.0.1:1\"".to_owned()),
    ];
    let certificates: [(&str, &[&str]); 1] = [("git", &["git.corp.example"])];
    let gateway = imported.gateway(&certificates, &replaced, |_| {}).await;
    for (host, upstream) in [
        ("wiki.corp.example", "\"upstream\":\"wiki"),
        ("docs7.corp.example", "\"upstream\":\"wiki"),
        ("docs77.corp.example", "\"upstream\":\"everyone\""),
        ("portal.corp.example", "\"upstream\":\"everyone\""),
    ] {
        let answer = plain(&gateway, "private-8080", host, "/").await;
        assert!(answer.contains(upstream), "{host}: {answer}");
    }
    let client = gateway.client_at("private-8443", "git.corp.example", Http::Two);
    let answer = client.get("https://git.corp.example/").await;
    assert_eq!(
        (answer.status.as_u16(), answer.cause()),
        (400, "client-certificate-missing")
    );
}

#[tokio::test]
async fn an_answer_of_rest_about_v1_routes_as_the_original_says() {
    let imported = Imported::of("v1.json").await;
    assert_eq!(imported.code(), Some(3), "{}", imported.text());
    let backend = Arc::new(Identity::self_signed(&["orders.internal"]));
    let orders = Upstream::tls("orders-1", &backend).await;
    let stranger = Upstream::pinned("orders-2").await;
    let fixed = Upstream::plain("static").await;
    let replaced = [
        ("\"0.0.0.0:443\"", free("127.0.0.1")),
        ("\"127.0.0.2:80\"", free("127.0.0.2")),
        ("\"10.9.0.4:443\", \"10.9.0.5:443\"", to(&orders)),
        ("\"static.internal:80\"", to(&fixed)),
        ("\"scale-set.invalid:80\"", to(&stranger)),
    ];
    let listed = |setup: &Setup| {
        backend.write(&setup.dir().join("certs"), "orders-backend");
    };
    let certificates: [(&str, &[&str]); 1] = [("orders", &["shop.example"])];
    let gateway = imported.gateway(&certificates, &replaced, listed).await;
    let client = gateway.client_at("public-443", "shop.example", Http::Two);
    for (path, upstream) in [
        ("/orders/7", "orders-1"),
        ("/export/all", "orders-1"),
        ("/static/a.css", "static"),
    ] {
        let answer = client.get(&format!("https://shop.example{path}")).await;
        assert_eq!(answer.echo().upstream, upstream, "{path}");
    }
    let sticks = client.get("https://shop.example/orders/").await;
    assert_eq!(sticks.all("set-cookie").len(), 2);
    let home = client.get("https://shop.example/?x=1").await;
    let location = "https://www.shop.example/welcome?x=1";
    assert_eq!(
        (home.status.as_u16(), home.header("location")),
        (307, location)
    );
    let answer = plain(&gateway, "private-80", "anything.example", "/").await;
    assert!(answer.contains("\"upstream\":\"static\""), "{answer}");
    // The listener that is for one host comes before the one for all, although it is listed later.
    let answer = plain(&gateway, "private-80", "reports.shop.example", "/").await;
    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
}

#[tokio::test]
async fn an_export_without_anything_odd_is_translated_whole() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("small.json");
    let export = r#"{ "name": "small", "enableHttp2": true,
        "frontendIPConfigurations": [{ "name": "f", "publicIPAddress": { "id": "/x/ip" } }],
        "frontendPorts": [{ "name": "p", "port": 80 }],
        "backendAddressPools": [{ "name": "b", "backendAddresses": [{ "ipAddress": "10.0.0.4" }] }],
        "backendHttpSettingsCollection": [{ "name": "s", "port": 8080, "protocol": "Http" }],
        "httpListeners": [{ "name": "l", "protocol": "Http",
            "frontendIPConfiguration": { "id": "/x/f" }, "frontendPort": { "id": "/x/p" } }],
        "requestRoutingRules": [{ "name": "r", "priority": 1, "httpListener": { "id": "/x/l" },
            "backendAddressPool": { "id": "/x/b" }, "backendHttpSettings": { "id": "/x/s" } }] }"#;
    fs::write(&file, export).unwrap();
    let imported = Imported::of_file(&file).await;
    assert_eq!(imported.code(), Some(0), "{}", imported.text());
    assert!(imported.text().contains("all of it was translated"));
    let upstream = Upstream::plain("b").await;
    let replaced = [
        ("\"0.0.0.0:80\"", free("127.0.0.1")),
        ("\"10.0.0.4:8080\"", to(&upstream)),
    ];
    let gateway = imported.gateway(&[], &replaced, |_| {}).await;
    let answer = plain(&gateway, "public-80", "any.example", "/").await;
    assert!(answer.contains("\"upstream\":\"b\""), "{answer}");
}

/// A rewrite set of one rule, whose only change of a response's `Set-Cookie` has this matcher.
fn matching(matcher: &str, value: &str) -> String {
    format!(
        r#"{{ "name": "small",
        "frontendIPConfigurations": [{{ "name": "f", "publicIPAddress": {{ "id": "/x/ip" }} }}],
        "frontendPorts": [{{ "name": "p", "port": 80 }}],
        "backendAddressPools": [{{ "name": "b", "backendAddresses": [{{ "ipAddress": "10.0.0.4" }}] }}],
        "backendHttpSettingsCollection": [{{ "name": "s", "port": 8080, "protocol": "Http" }}],
        "httpListeners": [{{ "name": "l", "protocol": "Http",
            "frontendIPConfiguration": {{ "id": "/x/f" }}, "frontendPort": {{ "id": "/x/p" }} }}],
        "rewriteRuleSets": [{{ "name": "cookies", "rewriteRules": [{{ "name": "one", "ruleSequence": 1,
            "actionSet": {{ "responseHeaderConfigurations": [{{ "headerName": "Set-Cookie",
                "headerValue": "{value}", "headerValueMatcher": {matcher} }}] }} }}] }}],
        "requestRoutingRules": [{{ "name": "r", "priority": 1, "httpListener": {{ "id": "/x/l" }},
            "rewriteRuleSet": {{ "id": "/x/cookies" }},
            "backendAddressPool": {{ "id": "/x/b" }}, "backendHttpSettings": {{ "id": "/x/s" }} }}] }}"#
    )
}

#[tokio::test]
async fn one_of_several_cookies_is_rewritten() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("cookies.json");
    let matcher = r#"{ "pattern": "B=(\\d)", "ignoreCase": true, "negate": false }"#;
    let value = "b={capt_header_value_matcher_1}{http_resp_x-none}; Secure; was={{capt_header_value_matcher}";
    fs::write(&file, matching(matcher, value)).unwrap();
    let imported = Imported::of_file(&file).await;
    assert!(
        imported.text().contains("all of it was translated"),
        "{}",
        imported.text()
    );
    let upstream = Upstream::plain("b").await;
    let replaced = [
        ("\"0.0.0.0:80\"", free("127.0.0.1")),
        ("\"10.0.0.4:8080\"", to(&upstream)),
    ];
    let gateway = imported.gateway(&[], &replaced, |_| {}).await;
    let answer = plain(&gateway, "public-80", "any.example", "/cookies").await;
    let mut cookies: Vec<_> = answer
        .lines()
        .filter_map(|line| line.strip_prefix("set-cookie: "))
        .collect();
    cookies.sort_unstable();
    assert_eq!(cookies, ["a=1; Path=/", "b=2; Secure; was={b=2; Path=/"]);
}

#[tokio::test]
async fn a_matcher_that_has_no_equal_is_listed() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("cookies.json");
    for (matcher, value, why) in [
        (
            r#"{ "pattern": "a", "negate": true }"#,
            "b=1",
            "`replace` has no `negate`",
        ),
        (
            r#"{ "pattern": "a" }"#,
            "",
            "a cookie is not deleted by its value",
        ),
        (
            r#"{ "pattern": "a" }"#,
            "{capt_header_value_matcher_x}",
            "is no group of its pattern",
        ),
    ] {
        fs::write(&file, matching(matcher, value)).unwrap();
        let imported = Imported::of_file(&file).await;
        assert_eq!(imported.code(), Some(3), "{}", imported.text());
        let text = imported.text();
        assert!(
            text.contains("set-cookie: ") && text.contains(why),
            "{text}"
        );
    }
    let other = matching(r#"{ "pattern": "a" }"#, "b").replace("Set-Cookie", "Location");
    fs::write(&file, other).unwrap();
    let text = Imported::of_file(&file).await.text();
    assert!(
        text.contains("location: values are matched in set-cookie"),
        "{text}"
    );
}

#[tokio::test]
async fn a_load_distribution_policy_is_a_pool_with_weights() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("shares.json");
    let export = |algorithm: &str, second: &str| {
        format!(
            r#"{{ "name": "shares",
        "frontendIPConfigurations": [{{ "name": "f", "publicIPAddress": {{ "id": "/x/ip" }} }}],
        "frontendPorts": [{{ "name": "p", "port": 80 }}],
        "backendAddressPools": [
            {{ "name": "blue", "backendAddresses": [{{ "ipAddress": "10.0.0.4" }}] }},
            {{ "name": "green", "backendAddresses": [{{ "ipAddress": "10.0.0.5" }}] }}],
        "backendHttpSettingsCollection": [{{ "name": "s", "port": 8080, "protocol": "Http" }}],
        "httpListeners": [{{ "name": "l", "protocol": "Http",
            "frontendIPConfiguration": {{ "id": "/x/f" }}, "frontendPort": {{ "id": "/x/p" }} }}],
        "loadDistributionPolicies": [{{ "name": "split", "loadDistributionAlgorithm": "{algorithm}",
            "loadDistributionTargets": [
                {{ "name": "one", "weightPerServer": 3, "backendAddressPool": {{ "id": "/x/blue" }} }},
                {{ "name": "two", "weightPerServer": 1, "backendAddressPool": {{ "id": "/x/{second}" }} }}] }}],
        "requestRoutingRules": [{{ "name": "r", "priority": 1, "httpListener": {{ "id": "/x/l" }},
            "loadDistributionPolicy": {{ "id": "/x/split" }}, "backendHttpSettings": {{ "id": "/x/s" }} }}] }}"#
        )
    };
    fs::write(&file, export("RoundRobin", "green")).unwrap();
    let imported = Imported::of_file(&file).await;
    assert_eq!(imported.code(), Some(0), "{}", imported.text());
    let upstreams = [
        Upstream::plain("blue").await,
        Upstream::plain("green").await,
    ];
    let replaced = [
        ("\"0.0.0.0:80\"", free("127.0.0.1")),
        ("\"10.0.0.4:8080\"", to(&upstreams[0])),
        ("\"10.0.0.5:8080\"", to(&upstreams[1])),
    ];
    let gateway = imported.gateway(&[], &replaced, |_| {}).await;
    for _ in 0..40 {
        let answer = plain(&gateway, "public-80", "any.example", "/").await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    // Each worker goes round by itself.
    let shares = upstreams.each_ref().map(|upstream| upstream.requests());
    assert!((26..=34).contains(&shares[0]), "{shares:?}");
    assert_eq!(shares.iter().sum::<u64>(), 40);

    for (algorithm, balance) in [
        ("LeastConnections", "balance = \"least-requests\"\n"),
        (
            "IpHash",
            "balance = \"hash\"\nhash_on = \"client-address\"\n",
        ),
    ] {
        fs::write(&file, export(algorithm, "green")).unwrap();
        let imported = Imported::of_file(&file).await;
        let text = imported.file("witgate.toml");
        assert!(text.contains(balance), "{text}");
        imported.gateway(&[], &replaced, |_| {}).await;
    }
    fs::write(&file, export("RoundRobin", "gone")).unwrap();
    let text = Imported::of_file(&file).await.text();
    assert!(
        text.contains("the export lacks the pool \"gone\""),
        "{text}"
    );
}

#[tokio::test]
async fn what_is_no_export_writes_nothing() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("export.json");
    for (text, why) in [
        ("{", "export.json: it is not JSON"),
        ("{}", "export.json: it has no application gateway"),
        ("[]", "export.json: it has no application gateway"),
    ] {
        fs::write(&file, text).unwrap();
        let imported = Imported::of_file(&file).await;
        assert_eq!(imported.code(), Some(1));
        assert!(imported.text().contains(why), "{why}: {}", imported.text());
        assert!(!imported.dir.path().join("out").exists());
    }
    let taken = dir.path().join("taken");
    fs::create_dir(&taken).unwrap();
    fs::write(taken.join("mine"), "").unwrap();
    fs::write(&file, r#"{ "name": "a", "httpListeners": [] }"#).unwrap();
    let refused = output(&["import", "azure", path(&file), "--into", path(&taken)]).await;
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("not an empty folder"), "{said}");
    assert_eq!(fs::read_dir(&taken).unwrap().count(), 1);
}

#[tokio::test]
async fn the_commands_of_the_example_work() {
    let dir = TempDir::new().unwrap();
    let folder = readme::copy(FOLDER, dir.path());
    let page = fs::read_to_string(folder.join("README.md")).unwrap();
    let plugins = wasm::references();
    let done = readme::run(&page, &folder, &[("PLUGINS", &plugins)]).await;
    let text = String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned();
    assert!(done.status.success(), "{text}");
    assert!(
        text.contains("migrated/witgate.toml: ok: 2 listeners, 5 pools, 4 plugins"),
        "{text}"
    );
    assert!(text.contains("forward web rule \"shop\""), "{text}");
}
