//! Plugins in C, JavaScript and Python: the examples route real requests, and what goes wrong in
//! them costs its own request and is told in the log.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use witgate_tests::{
    Http, TempDir, eventually,
    gateway::{Gateway, Pool, Setup},
    readme,
    upstream::Upstream,
    wasm::other_language,
};

const API: &str = "https://shop.example/api/carts";
const OTHER: &str = "https://shop.example/apiary";

/// Those with an interpreter have about as much code as a browser's engine; compiled by one thread,
/// beside other tests.
const COMPILED: Duration = Duration::from_secs(150);
/// What a call may take on a loaded machine, other than those that are to end at it.
const DEADLINE: &str = "deadline = \"2s\"\novertime = 100\n";
/// Leaves the other core to the tests that run at the same time.
const ONE_THREAD: (&str, &str) = ("RAYON_NUM_THREADS", "1");

/// A plugin's file, sidecar and cases.
struct Example {
    language: &'static str,
    sidecar: String,
    cases: String,
}

impl Example {
    fn of(language: &'static str) -> Self {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
        let file = |extension| {
            let name = format!("plugin-{language}/20-{language}.{extension}");
            fs::read_to_string(dir.join(name)).unwrap()
        };
        Self {
            language,
            sidecar: file("toml"),
            cases: file("cases.toml"),
        }
    }

    fn name(&self) -> String {
        format!("20-{}", self.language)
    }

    /// Puts it into the folder of a running gateway.
    fn put(&self, gateway: &Gateway) {
        let (setup, name) = (gateway.setup(), self.name());
        setup.put_sidecar(&name, &self.sidecar);
        setup.put_cases(&name, &self.cases);
        setup.put_plugin(&name, &other_language(self.language));
    }
}

async fn gateway() -> ([Upstream; 2], Gateway) {
    let upstreams = [
        Upstream::pinned("web-1").await,
        Upstream::pinned("api-1").await,
    ];
    let [web, api] = &upstreams;
    let (variable, value) = ONE_THREAD;
    let gateway = Setup::new()
        .variable(variable, value)
        .default_pool("web", Pool::pinned(&[web]))
        .pool("api", Pool::pinned(&[api]))
        .start()
        .await;
    (upstreams, gateway)
}

/// Waits until a plugin has been compiled and tried.
async fn is_live(gateway: &Gateway, language: &str) {
    let name = format!("plugin={language}");
    let is_it = |entry: &String| entry.contains("plugin is live") && entry.contains(&name);
    let found = || gateway.log().into_iter().find(is_it);
    eventually!(within COMPILED, format!("a plugin in {language}"), found());
}

/// Asserts that a plugin of this language routes, over both protocols.
async fn routes(gateway: &Gateway, language: &str) {
    for http in [Http::One, Http::Two] {
        let client = gateway.client(http);
        let api = client.get(API).await;
        assert_eq!(api.echo().upstream, "api-1");
        assert_eq!(api.header("x-routed-by"), language);
        let version = match http {
            Http::One => "HTTP/1.1",
            Http::Two => "HTTP/2",
        };
        gateway
            .access_line_where(|line| line["rule"] == language && line["version"] == version)
            .await;
        let other = client.get(OTHER).await;
        assert_eq!(other.echo().upstream, "web-1");
        assert_eq!(other.header("x-routed-by"), language);
    }
}

/// The example in this language, from the file in the folder to requests that it routes.
async fn works(gateway: &Gateway, language: &'static str) {
    let example = Example::of(language);
    example.put(gateway);
    is_live(gateway, language).await;
    routes(gateway, language).await;
    let refused = async |sidecar: &str, cases: &str, reason: &str| {
        let entries = gateway.log().len();
        gateway.setup().put_cases(&example.name(), cases);
        gateway.setup().put_sidecar(&example.name(), sidecar);
        gateway
            .logged_after(entries, &["plugin refused", reason])
            .await;
    };
    let rule = format!("rule = \"{language}\"");
    let renamed = example.cases.replace(&rule, "rule = \"other\"");
    let decides = format!("the plugin decides forward api rule \"{language}\" no edits");
    refused(&example.sidecar, &renamed, &decides).await;
    let no_pool = example.sidecar.replace("pool = \"api\"", "");
    let reason = "`config.pool`: expected the name of a pool";
    refused(&no_pool, &example.cases, reason).await;
    routes(gateway, language).await;
}

#[tokio::test]
async fn examples_in_javascript_and_python_route_requests() {
    let (_upstreams, gateway) = gateway().await;
    works(&gateway, "javascript").await;
    let file = gateway.setup().plugins().join("20-javascript.wasm");
    fs::remove_file(file).unwrap();
    works(&gateway, "python").await;
}

#[tokio::test]
async fn the_example_in_c_routes_requests() {
    let (_upstreams, gateway) = gateway().await;
    works(&gateway, "c").await;
}

/// From the sources to a live plugin by what its README says, from the top of a copy. What its commands
/// install comes from the same registries as what set-up has installed.
async fn commands_work(language: &str) {
    let (_upstreams, gateway) = gateway().await;
    let dir = TempDir::new().unwrap();
    let example = format!("examples/plugin-{language}");
    let folder = readme::copy(&example, &dir.path().join("examples"));
    let page = fs::read_to_string(folder.join("README.md")).unwrap();
    let plugins = gateway.setup().plugins();
    let done = readme::run(&page, dir.path(), &[("PLUGINS", &plugins)]).await;
    let said = String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned();
    assert!(done.status.success(), "{said}");
    is_live(&gateway, language).await;
    routes(&gateway, language).await;
}

#[tokio::test]
async fn the_commands_of_the_example_in_c_work() {
    commands_work("c").await;
}

#[tokio::test]
async fn the_commands_of_the_example_in_javascript_work() {
    commands_work("javascript").await;
}

#[tokio::test]
async fn the_commands_of_the_example_in_python_work() {
    commands_work("python").await;
}

/// Asserts that requests which a plugin fails get this cause, and that the next one does not.
async fn costs_its_own_request(gateway: &Gateway, path: &str, cause: &str) {
    for http in [Http::One, Http::Two] {
        let client = gateway.client(http);
        let answer = client.get(&format!("https://shop.example{path}")).await;
        assert_eq!((answer.status.as_u16(), answer.cause()), (500, cause));
        assert_eq!(client.get(OTHER).await.echo().upstream, "web-1");
    }
}

async fn misbehaves(language: &str, place: &str) {
    let (_upstreams, gateway) = gateway().await;
    let (setup, name) = (gateway.setup(), format!("20-{language}"));
    setup.put_sidecar(&name, DEADLINE);
    setup.put_plugin(&name, &other_language(&format!("{language}-misbehaves")));
    is_live(&gateway, language).await;
    costs_its_own_request(&gateway, "/bad/throw", "plugin-trap").await;
    gateway.logged(&["thrown by", language]).await;
    gateway.logged(&[place, language]).await;
    costs_its_own_request(&gateway, "/bad/recurse", "plugin-trap").await;
    let begin = Instant::now();
    costs_its_own_request(&gateway, "/bad/loop", "plugin-deadline").await;
    let waited = begin.elapsed();
    assert!(waited >= Duration::from_secs(4), "{waited:?}");
}

#[tokio::test]
async fn what_javascript_throws_is_told_in_the_log() {
    misbehaves("javascript", "misbehaves.js:13:").await;
}

#[tokio::test]
async fn what_python_raises_is_told_in_the_log() {
    misbehaves("python", "misbehaves.py\", line 21").await;
}

#[tokio::test]
async fn what_c_asserts_is_told_in_the_log() {
    misbehaves("c", "(plugin.c: ").await;
}

#[tokio::test]
async fn what_c_prints_is_told_in_the_log() {
    let (_upstreams, gateway) = gateway().await;
    gateway
        .setup()
        .put_plugin("20-c", &other_language("c-misbehaves"));
    is_live(&gateway, "c").await;
    gateway
        .client(Http::One)
        .get("https://shop.example/prints")
        .await;
    gateway.logged(&["printed by C, 42", "plugin=\"c\""]).await;
}
