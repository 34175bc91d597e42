//! Endpoints by name: looked up, followed, and kept when name servers fail (fault 19).

use std::{
    collections::HashSet,
    net::SocketAddr,
    time::{Duration, Instant},
};

use witgate_tests::{
    Http,
    client::Client,
    dns::{NameServer, Zone},
    eventually,
    gateway::{Gateway, Pool, Setup},
    upstream::{Manner, Upstream},
};

const URL: &str = "https://shop.example/cart";

/// Upstreams on one port of several addresses of the loopback's network.
async fn upstreams<const N: usize>(last: [u8; N]) -> (u16, Vec<Upstream>) {
    'port: loop {
        let mut upstreams: Vec<Upstream> = Vec::new();
        for last in last {
            let port = upstreams.first().map_or(0, |first| first.address().port());
            let address = SocketAddr::from(([127, 0, 0, last], port));
            // The port may be taken on one of the others.
            if port != 0 && std::net::TcpListener::bind(address).is_err() {
                continue 'port;
            }
            upstreams
                .push(Upstream::bind(address, &format!("at-{last}"), None, Manner::Http).await);
        }
        return (upstreams[0].address().port(), upstreams);
    }
}

fn rules(server: &NameServer, more: &str) -> String {
    format!(
        "[dns]\nservers = [\"{}\"]\ntimeout = \"200ms\"\nattempts = 1\nmin_ttl = \"100ms\"\n\
         allow_loopback = true\n{more}",
        server.address()
    )
}

fn named(port: u16) -> Pool {
    Pool::of(&format!(
        "endpoints = [{{ id = \"web\", address = \"web.internal:{port}\" }}]\nprotocol = \"http\"\ndrain_for = \"0s\""
    ))
}

async fn gateway(server: &NameServer, port: u16) -> Gateway {
    let setup = Setup::new().table(&rules(server, ""));
    setup.default_pool("web", named(port)).start().await
}

async fn serving(client: &Client, requests: usize) -> HashSet<String> {
    let mut serving = HashSet::new();
    for _ in 0..requests {
        serving.insert(client.get(URL).await.echo().upstream);
    }
    serving
}

async fn ids(gateway: &Gateway) -> Vec<String> {
    let (_, text) = gateway.admin("/pools").await;
    let pools: serde_json::Value = serde_json::from_str(&text).unwrap();
    let endpoints = pools["web"]["endpoints"].as_array().cloned();
    let id = |endpoint: serde_json::Value| endpoint["id"].as_str().unwrap().to_owned();
    endpoints.unwrap_or_default().into_iter().map(id).collect()
}

/// Waits until the name server was asked so many times more.
async fn asked(server: &NameServer, more: u64) {
    let now = server.queries();
    eventually!(
        "more questions",
        (server.queries() >= now + more).then_some(())
    );
}

#[tokio::test]
async fn fault_19_all_addresses_of_a_name_are_endpoints_and_follow_its_changes() {
    let (port, _upstreams) = upstreams([2, 3, 4]).await;
    // TTL 0: the floor keeps the gateway from asking without end.
    let server = NameServer::start(Zone::loopback(&[2, 3], 0)).await;
    let gateway = gateway(&server, port).await;
    assert_eq!(ids(&gateway).await, ["web/127.0.0.2", "web/127.0.0.3"]);
    let client = gateway.client(Http::One);
    assert_eq!(serving(&client, 4).await.len(), 2);
    // Another order is no change.
    server.say(Zone::loopback(&[3, 2], 0));
    asked(&server, 6).await;
    assert_eq!(ids(&gateway).await, ["web/127.0.0.2", "web/127.0.0.3"]);
    server.say(Zone::loopback(&[3, 4], 0));
    eventually!(
        "the change",
        (ids(&gateway).await == ["web/127.0.0.3", "web/127.0.0.4"]).then_some(())
    );
    let served = serving(&client, 4).await;
    assert_eq!(served, ["at-3", "at-4"].map(str::to_owned).into());
}

#[tokio::test]
async fn fault_19_ttl_0_is_asked_for_no_more_often_than_the_floor() {
    let (port, _upstreams) = upstreams([2]).await;
    let server = NameServer::start(Zone::loopback(&[2], 0)).await;
    let _gateway = gateway(&server, port).await;
    asked(&server, 2).await;
    let (begun, before) = (Instant::now(), server.queries());
    asked(&server, 10).await;
    let rounds = (server.queries() - before) / 2;
    let least = Duration::from_millis(100) * u32::try_from(rounds - 1).unwrap();
    assert!(
        begun.elapsed() >= least,
        "{rounds} rounds in {:?}",
        begun.elapsed()
    );
}

#[tokio::test]
async fn fault_19_the_last_good_answer_outlives_every_failure() {
    let (port, _upstreams) = upstreams([2]).await;
    let server = NameServer::start(Zone::loopback(&[2], 0)).await;
    let gateway = gateway(&server, port).await;
    let client = gateway.client(Http::Two);
    let mut entries = 0;
    for (zone, told) in [
        (Zone::NoName, "does not exist"),
        (Zone::Failure, "the last good answer is kept"),
        (Zone::Silence, "the last good answer is kept"),
        (Zone::NoAddress, "has no address"),
    ] {
        entries = gateway.log().len().max(entries);
        server.say(zone.clone());
        gateway
            .logged_after(entries, &["name lookup failed", told])
            .await;
        let begun = Instant::now();
        assert_eq!(
            serving(&client, 4).await,
            HashSet::from(["at-2".to_owned()]),
            "{zone:?}"
        );
        assert!(
            begun.elapsed() < Duration::from_secs(2),
            "{:?}",
            begun.elapsed()
        );
        server.say(Zone::loopback(&[2], 0));
        gateway
            .logged_after(entries, &["name lookup works again"])
            .await;
    }
    assert!(
        gateway
            .metric("witgate_dns_lookups_total{result=\"failed\"}")
            .await
            >= 4.0
    );
}

#[tokio::test]
async fn fault_19_a_name_without_an_answer_costs_its_own_pool_only() {
    let (port, upstreams) = upstreams([2]).await;
    let server = NameServer::start(Zone::Silence).await;
    let begun = Instant::now();
    let setup = Setup::new()
        .table(&rules(&server, ""))
        .pool("named", named(port));
    let gateway = setup
        .default_pool("web", Pool::plain(&[&upstreams[0]]))
        .start()
        .await;
    assert!(
        begun.elapsed() < Duration::from_secs(30),
        "a start waits for one lookup"
    );
    assert_eq!(serving(&gateway.client(Http::One), 2).await.len(), 1);

    let mut gateway = gateway;
    gateway.configure(|setup| setup.default_pool("named", named(port)));
    gateway.reload().await;
    let client = gateway.client(Http::One);
    let begun = Instant::now();
    let answer = client.get(URL).await;
    assert_eq!(
        (answer.status.as_u16(), answer.cause()),
        (502, "dns-failed")
    );
    assert!(
        begun.elapsed() < Duration::from_secs(2),
        "it is not waited for"
    );
    server.say(Zone::loopback(&[2], 60));
    eventually!(
        "an answer from the name's address",
        (client.get(URL).await.status == 200).then_some(())
    );
}

#[tokio::test]
async fn fault_19_of_a_thousand_addresses_so_many_are_used_as_are_allowed() {
    let (port, _upstreams) = upstreams([1]).await;
    let addresses = (0..1000_u16).map(|n| [127, 0, (n / 250) as u8, (n % 250) as u8 + 1].into());
    let server = NameServer::start(Zone::Addresses(addresses.collect(), 60)).await;
    let setup = Setup::new().table(&rules(&server, "max_addresses = 10"));
    let gateway = setup.default_pool("web", named(port)).start().await;
    let ids = ids(&gateway).await;
    assert_eq!(
        (ids.len(), ids[0].as_str()),
        (10, "web/127.0.0.1"),
        "{ids:?}"
    );
    gateway.logged(&["dns.max_addresses", "left_out=990"]).await;
    let answer = eventually!(
        "an answer of the one that is there",
        Some(gateway.client(Http::One).get(URL).await).filter(|answer| answer.status == 200)
    );
    assert_eq!(answer.echo().upstream, "at-1");
}

#[tokio::test]
async fn fault_19_a_name_server_cannot_point_at_this_machine_unless_allowed() {
    let (port, upstreams) = upstreams([2]).await;
    let server = NameServer::start(Zone::loopback(&[2], 0)).await;
    let rules = rules(&server, "").replace("allow_loopback = true\n", "");
    let setup = Setup::new().table(&rules);
    let gateway = setup.default_pool("web", named(port)).start().await;
    let answer = gateway.client(Http::One).get(URL).await;
    assert_eq!(
        (answer.status.as_u16(), answer.cause()),
        (502, "dns-failed")
    );
    assert_eq!(upstreams[0].connections(), 0);
    gateway.logged(&["dns.allow_loopback"]).await;
}

#[tokio::test]
async fn localhost_is_this_machine_without_a_name_server() {
    let upstream = Upstream::plain("web-1").await;
    let server = NameServer::start(Zone::Failure).await;
    let pool = Pool::of(&format!(
        "endpoints = [\"localhost:{}\"]\nprotocol = \"http\"",
        upstream.address().port()
    ));
    let rules = rules(&server, "family = \"ipv4\"").replace("allow_loopback = true\n", "");
    let gateway = Setup::new()
        .table(&rules)
        .default_pool("web", pool)
        .start()
        .await;
    assert_eq!(serving(&gateway.client(Http::One), 2).await.len(), 1);
    assert_eq!(server.queries(), 0);
}
