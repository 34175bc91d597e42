//! The reference plugin `canary-split`: pools by weights, and the same client always alike.

use std::collections::BTreeSet;

use witgate_tests::{
    gateway::{Gateway, Pool, Setup},
    over_h1_and_h2,
    upstream::Upstream,
    wasm::reference,
};

const URL: &str = "https://shop.example/";
const CONFIG: &str = r#"
grants = ["random"]
[config]
pools = [{ pool = "next", weight = 1 }, { pool = "web", weight = 1 }]
sticky.cookie = "session"
"#;

async fn split() -> ([Upstream; 2], Gateway) {
    let web = Upstream::pinned("web-1").await;
    let next = Upstream::pinned("next-1").await;
    let gateway = Setup::new()
        .pool("web", Pool::pinned(&[&web]))
        .pool("next", Pool::pinned(&[&next]))
        .plugin("90-canary-split", &reference("canary-split"))
        .sidecar("90-canary-split", CONFIG)
        .start()
        .await;
    ([web, next], gateway)
}

over_h1_and_h2! {
    async fn a_session_stays_with_its_pool(http) {
        let (_upstreams, gateway) = split().await;
        let mut pools = BTreeSet::new();
        for session in 0..20 {
            let cookie = format!("session={session}");
            let mut seen = BTreeSet::new();
            for _ in 0..4 {
                // Any worker says the same.
                let client = gateway.client(http);
                let answer = client.get_with(URL, &[("cookie", &cookie)]).await;
                seen.insert(answer.echo().upstream);
            }
            assert_eq!(seen.len(), 1, "session {session}");
            pools.extend(seen);
        }
        assert_eq!(pools.len(), 2, "both pools have sessions");
    }

    async fn who_has_no_session_is_split_at_random(http) {
        let (_upstreams, gateway) = split().await;
        let client = gateway.client(http);
        let mut seen = BTreeSet::new();
        for _ in 0..60 {
            let answer = client.get(URL).await;
            seen.insert(answer.echo().upstream);
        }
        assert_eq!(seen.len(), 2);
        let line = gateway.access_line_where(|line| line["pool"] == "next").await;
        assert_eq!(line["rule"], "random");
    }
}
