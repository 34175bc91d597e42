//! Bodies go through without being gathered: memory stays flat, and many requests all succeed.

use http_body_util::BodyExt as _;
use tokio::sync::Mutex;
use witgate_tests::{
    Http, body,
    client::{Client, get},
    gateway::{Gateway, Pool, Setup},
    over_h1_and_h2,
    upstream::Upstream,
};

const GIB: u64 = 1 << 30;

/// What the gateway's memory may grow by while a body of 1 GiB goes through: buffers of two
/// connections and what the allocator keeps, far below the body.
const GROWTH: u64 = 24 << 20;

/// Held by the tests that measure memory: beside another GiB they measure the machine.
static ALONE: Mutex<()> = Mutex::const_new(());

async fn gateway() -> (Upstream, Gateway) {
    let upstream = Upstream::pinned("web-1").await;
    let pool = Pool::pinned(&[&upstream]);
    let gateway = Setup::new().default_pool("web", pool).start().await;
    (upstream, gateway)
}

/// Reads a body without keeping it.
async fn download(client: &Client, bytes: u64) -> u64 {
    let url = format!("https://shop.example/bytes/{bytes}");
    let mut body = client.send(get(&url)).await.unwrap().into_body();
    let mut read = 0;
    while let Some(frame) = body.frame().await {
        read += frame
            .unwrap()
            .data_ref()
            .map_or(0, |data| data.len() as u64);
    }
    read
}

async fn upload(client: &Client, bytes: u64) -> String {
    let request = http::Request::put("https://shop.example/count");
    let answer = client
        .fetch(request.body(body::zeros(bytes)).unwrap())
        .await
        .unwrap();
    answer.text().to_owned()
}

fn is_flat(gateway: &Gateway, before: u64) {
    let grown = gateway.peak().saturating_sub(before);
    assert!(grown < GROWTH, "{} MiB more at the peak", grown >> 20);
}

over_h1_and_h2! {
    async fn one_gib_down_takes_no_memory(http) {
        let _alone = ALONE.lock().await;
        let (_upstream, gateway) = gateway().await;
        let client = gateway.client(http);
        download(&client, 1 << 20).await;
        let before = gateway.peak();
        assert_eq!(download(&client, GIB).await, GIB);
        is_flat(&gateway, before);
    }

    async fn one_gib_up_takes_no_memory(http) {
        let _alone = ALONE.lock().await;
        let (_upstream, gateway) = gateway().await;
        let client = gateway.client(http);
        upload(&client, 1 << 20).await;
        let before = gateway.peak();
        assert_eq!(upload(&client, GIB).await, format!("{{\"bytes\":{GIB}}}"));
        is_flat(&gateway, before);
    }

    async fn a_client_that_does_not_read_holds_no_body_in_the_gateway(http) {
        let _alone = ALONE.lock().await;
        let (_upstream, gateway) = gateway().await;
        let client = gateway.client(http);
        download(&client, 1 << 20).await;
        let before = gateway.peak();
        let url = format!("https://shop.example/bytes/{GIB}");
        let stalled = client.send(get(&url)).await.unwrap();
        download(&gateway.client(http), 64 << 20).await;
        is_flat(&gateway, before);
        drop(stalled);
    }

    async fn ten_thousand_requests_succeed(http) {
        let (upstream, gateway) = gateway().await;
        let clients = (0..16).map(|_| gateway.client(http));
        let tasks = clients.map(|client| tokio::spawn(async move {
            for _ in 0..625 {
                let answer = client.get("https://shop.example/bytes/100").await;
                assert_eq!((answer.status.as_u16(), answer.body.len()), (200, 100));
            }
        }));
        for task in tasks.collect::<Vec<_>>() {
            task.await.unwrap();
        }
        assert_eq!(upstream.requests(), 10_000);
        assert!(upstream.connections() <= 32, "{} connections", upstream.connections());
    }
}

#[tokio::test]
async fn fifty_streams_of_one_connection_run_side_by_side() {
    let (upstream, gateway) = gateway().await;
    let client = std::sync::Arc::new(gateway.client(Http::Two));
    client.get("https://shop.example/").await;
    let get = |client: std::sync::Arc<Client>| async move {
        client.get("https://shop.example/hold").await.status
    };
    let held: Vec<_> = (0..50).map(|_| tokio::spawn(get(client.clone()))).collect();
    witgate_tests::eventually!("all of them", (upstream.requests() == 51).then_some(()));
    upstream.release(50);
    for task in held {
        assert_eq!(task.await.unwrap(), 200);
    }
}
