//! The reference routers: which pool serves a request, by site and by path.

use witgate_tests::{
    Http,
    gateway::{Gateway, Pool, Setup},
    over_h1_and_h2,
    upstream::Upstream,
    wasm::{self, reference},
};

const SITES: &str = r#"
[[config.sites]]
hosts = ["api.example"]
pool = "api"

[[config.sites]]
hosts = ["*.shop.example"]
pool = "tenants"
"#;

const PATHS: &str = r#"
[[config.rules]]
name = "images"
paths = ["/images/*"]
pool = "api"
override_path = "/static/"

[[config.rules]]
paths = ["/api/v2/*"]
pool = "tenants"

[[config.rules]]
name = "api"
paths = ["/api/*"]
pool = "api"

[[config.rules]]
name = "moved"
paths = ["/old/*"]
redirect = { status = 301, to = "https://new.example", include_path = true, include_query = true }
"#;

/// Three pools of one upstream each, by the pool's name; `web` is the default.
struct World {
    gateway: Gateway,
    _upstreams: [Upstream; 3],
}

impl World {
    async fn with(change: impl FnOnce(Setup) -> Setup) -> Self {
        let web = Upstream::pinned("web").await;
        let api = Upstream::pinned("api").await;
        let tenants = Upstream::pinned("tenants").await;
        let setup = Setup::new()
            .default_pool("web", Pool::pinned(&[&web]))
            .pool("api", Pool::pinned(&[&api]))
            .pool("tenants", Pool::pinned(&[&tenants]));
        let gateway = change(setup).start().await;
        Self {
            gateway,
            _upstreams: [web, api, tenants],
        }
    }

    /// With both reference routers, sites first.
    async fn of_both() -> Self {
        let routers = |setup: Setup| {
            setup
                .plugin("10-site-router", &reference("site-router"))
                .sidecar("10-site-router", SITES)
                .plugin("20-path-router", &reference("path-router"))
                .sidecar("20-path-router", PATHS)
        };
        Self::with(routers).await
    }

    async fn of_paths() -> Self {
        let router = |setup: Setup| {
            let setup = setup.plugin("20-path-router", &reference("path-router"));
            setup.sidecar("20-path-router", PATHS)
        };
        Self::with(router).await
    }
}

/// Asserts which upstream serves each URL.
async fn serve(world: &World, http: Http, expected: &[(&str, &str)]) {
    for (url, upstream) in expected {
        let host = url.split('/').nth(2).unwrap();
        let answer = world.gateway.client_of(host, http).get(url).await;
        assert_eq!(answer.echo().upstream, *upstream, "{url}");
    }
}

over_h1_and_h2! {
    async fn a_site_leads_to_its_pool(http) {
        let world = World::of_both().await;
        serve(&world, http, &[
            ("https://api.example/", "api"),
            ("https://API.example/", "api"),
            ("https://anna.shop.example/api/", "tenants"),
            ("https://shop.example/", "web"),
        ])
        .await;
    }

    async fn the_first_path_that_fits_leads_to_its_pool(http) {
        let world = World::of_paths().await;
        serve(&world, http, &[
            ("https://shop.example/api/v2/orders", "tenants"),
            ("https://shop.example/api/orders?page=2", "api"),
            ("https://shop.example/API/orders", "api"),
            ("https://shop.example/apiary", "web"),
            ("https://shop.example/", "web"),
        ])
        .await;
    }

    async fn a_path_is_overridden_and_its_query_kept(http) {
        let world = World::of_paths().await;
        let answer = world.gateway.client(http).get("https://shop.example/images/a.png?v=1").await;
        assert_eq!(answer.echo().target, "/static/a.png?v=1");
    }

    async fn a_redirect_is_answered_without_an_upstream(http) {
        let world = World::of_paths().await;
        let answer = world.gateway.client(http).get("https://shop.example/old/shoes?v=1").await;
        assert_eq!(answer.status, 301);
        assert_eq!(answer.header("location"), "https://new.example/old/shoes?v=1");
        let line = world.gateway.access_line_where(|line| line["path"] == "/old/shoes").await;
        assert_eq!((&line["status"], &line["rule"]), (&301.into(), &"moved".into()), "{line}");
        assert!(line.get("endpoint").is_none() && line.get("cause").is_none(), "{line}");
    }

    async fn the_access_log_tells_who_decided(http) {
        let world = World::of_both().await;
        world.gateway.client(http).get("https://shop.example/api/orders").await;
        let line = world.gateway.access_line_where(|line| line["path"] == "/api/orders").await;
        assert_eq!([&line["pool"], &line["rule"]], ["api", "api"], "{line}");
        let asked: Vec<_> = line["plugins"].as_array().unwrap().iter().collect();
        let names: Vec<_> = asked.iter().map(|plugin| &plugin["name"]).collect();
        assert_eq!(names, ["site-router", "path-router"], "{line}");
        let version = wasm::version(&reference("path-router"));
        assert_eq!([&asked[1]["role"], &asked[1]["version"]], ["routing", version.as_str()]);
        assert!(asked[1]["us"].is_number(), "{line}");
    }
}

#[tokio::test]
async fn the_first_router_that_does_not_pass_decides() {
    let both = |setup: Setup| {
        let setup = setup.plugin("10-first", &wasm::forwarding("api"));
        setup.plugin("20-second", &wasm::forwarding("tenants"))
    };
    let world = World::with(both).await;
    serve(&world, Http::One, &[("https://shop.example/", "api")]).await;
}

#[tokio::test]
async fn a_sidecar_can_take_a_role_away() {
    let both = |setup: Setup| {
        let setup = setup.plugin("10-versioned", &wasm::guest("version-a"));
        setup.sidecar("10-versioned", "roles = [\"routing\"]")
    };
    let world = World::with(both).await;
    let answer = world
        .gateway
        .client(Http::Two)
        .get("https://shop.example/")
        .await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("x-version")),
        (200, "")
    );
    assert_eq!(answer.echo().header("x-version"), None);
}
