//! The gateway's own certificates and protocols, and clients that do not get to speak.

use tokio::{io::AsyncReadExt as _, net::TcpStream};
use witgate_tests::{
    Http, eventually,
    gateway::{Gateway, Pool, Setup},
    raw::RawSocket,
    upstream::Upstream,
    wait::DEADLINE,
};

const URL: &str = "https://shop.example/cart";

/// A gateway with certificates for `shop.example`, `*.shop.example` and `other.example`.
async fn gateway() -> (Upstream, Gateway) {
    let upstream = Upstream::pinned("web-1").await;
    let setup = Setup::new();
    let names = [
        ("first", "shop.example"),
        ("second", "*.shop.example"),
        ("third", "other.example"),
    ];
    for (file, name) in names {
        setup.authority().issue(&[name]).write(setup.dir(), file);
    }
    let setup = setup.certificates(&["first", "second", "third"]);
    let gateway = setup
        .default_pool("web", Pool::pinned(&[&upstream]))
        .start()
        .await;
    (upstream, gateway)
}

async fn socket(gateway: &Gateway, name: &str, alpn: &[&str]) -> RawSocket {
    let root = gateway.setup().authority().certificate();
    RawSocket::connect(gateway.address(), name, root, alpn)
        .await
        .unwrap()
}

#[tokio::test]
async fn the_server_name_chooses_the_certificate() {
    let (_upstream, gateway) = gateway().await;
    for name in [
        "shop.example",
        "deep.shop.example",
        "other.example",
        "OTHER.example",
    ] {
        socket(&gateway, name, &["http/1.1"]).await;
    }
}

#[tokio::test]
async fn alpn_chooses_the_protocol() {
    let (_upstream, gateway) = gateway().await;
    for (offered, chosen) in [
        (&["h2", "http/1.1"][..], "h2"),
        (&["http/1.1"][..], "http/1.1"),
        (&[][..], ""),
    ] {
        assert_eq!(
            socket(&gateway, "shop.example", offered).await.alpn(),
            chosen
        );
    }
}

#[tokio::test]
async fn a_renewed_certificate_is_taken_up() {
    let (_upstream, gateway) = gateway().await;
    let before = socket(&gateway, "shop.example", &["h2"])
        .await
        .certificate();
    let setup = gateway.setup();
    let renewed = setup.authority().issue(&["shop.example"]);
    renewed.write(setup.dir(), "first");
    gateway.hang_up().await;
    let after = eventually!("another certificate", {
        let now = socket(&gateway, "shop.example", &["h2"])
            .await
            .certificate();
        (now != before).then_some(now)
    });
    assert_eq!(after, renewed.certificate());
}

#[tokio::test]
async fn a_renewed_certificate_with_a_wrong_key_changes_nothing() {
    let (_upstream, gateway) = gateway().await;
    let before = socket(&gateway, "shop.example", &["h2"])
        .await
        .certificate();
    let setup = gateway.setup();
    let renewed = setup.authority().issue(&["shop.example"]);
    std::fs::write(setup.dir().join("first.pem"), renewed.certificate_pem()).unwrap();
    let entries = gateway.log().len();
    gateway.hang_up().await;
    gateway.logged_after(entries, &["ERROR", "first"]).await;
    assert_eq!(
        socket(&gateway, "shop.example", &["h2"])
            .await
            .certificate(),
        before
    );
    assert_eq!(gateway.client(Http::Two).get(URL).await.status, 200);
}

#[tokio::test]
async fn silent_clients_do_not_keep_others_out() {
    let upstream = Upstream::pinned("web-1").await;
    let setup = Setup::new()
        .workers(1)
        .default_pool("web", Pool::pinned(&[&upstream]));
    let gateway = setup
        .table("[timeouts]\ntls_handshake = \"1s\"")
        .start()
        .await;
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(TcpStream::connect(gateway.address()).await.unwrap());
    }
    assert_eq!(gateway.client(Http::One).get(URL).await.status, 200);
    for mut stream in silent {
        let mut byte = [0; 1];
        let ended = tokio::time::timeout(DEADLINE, stream.read(&mut byte)).await;
        assert!(matches!(ended, Ok(Ok(0) | Err(_))), "it is shed");
    }
}

#[tokio::test]
async fn curl_is_served_over_both_protocols() {
    let (_upstream, gateway) = gateway().await;
    for (http, version) in [(Http::One, "HTTP/1.1"), (Http::Two, "HTTP/2")] {
        let answer = gateway.curl(http, URL, &[]).await;
        assert_eq!((answer.version.as_str(), answer.status), (version, 200));
        assert!(answer.body.contains("web-1"), "{answer:?}");
    }
}
