//! Versions, suites and groups: what the default offers, what a listener's keys make of it.

use rustls::{
    CipherSuite, NamedGroup, ProtocolVersion,
    crypto::aws_lc_rs::{cipher_suite as suites, kx_group as groups},
};
use witgate_tests::{
    client::Error,
    eventually,
    gateway::{Gateway, Pool, Setup},
    tls::{Offer, Outcome, s_client},
    upstream::Upstream,
};

async fn gateway(lines: &[&str]) -> (Upstream, Gateway) {
    let upstream = Upstream::pinned("web-1").await;
    let mut setup = Setup::new().default_pool("web", Pool::pinned(&[&upstream]));
    for line in lines {
        setup = setup.listener(line);
    }
    (upstream, setup.start().await)
}

fn offer(gateway: &Gateway) -> Offer {
    Offer::trusting(gateway.setup().authority().certificate())
}

async fn get(gateway: &Gateway, offer: Offer) -> Result<Outcome, Error> {
    let client = offer.client();
    client
        .get(gateway.address(), "shop.example", "shop.example")
        .await
}

#[tokio::test]
async fn the_post_quantum_group_is_agreed_on_by_default() {
    let (_upstream, gateway) = gateway(&[]).await;
    let hybrid = offer(&gateway).groups(&[groups::X25519MLKEM768, groups::X25519]);
    let outcome = get(&gateway, hybrid).await.unwrap();
    assert_eq!(outcome.group, Some(NamedGroup::X25519MLKEM768));
    let alone = offer(&gateway).groups(&[groups::X25519MLKEM768]);
    assert_eq!(get(&gateway, alone).await.unwrap().status(), 200);
    let old = offer(&gateway).groups(&[groups::SECP384R1]);
    let outcome = get(&gateway, old).await.unwrap();
    assert_eq!(outcome.group, Some(NamedGroup::secp384r1));
}

#[tokio::test]
async fn both_versions_are_spoken_and_the_order_of_suites_is_the_gateways() {
    let (_upstream, gateway) = gateway(&[]).await;
    let newest = offer(&gateway).suites(&[
        suites::TLS13_CHACHA20_POLY1305_SHA256,
        suites::TLS13_AES_128_GCM_SHA256,
    ]);
    let outcome = get(&gateway, newest).await.unwrap();
    let (version, suite) = (
        ProtocolVersion::TLSv1_3,
        CipherSuite::TLS13_AES_128_GCM_SHA256,
    );
    assert_eq!((outcome.version, outcome.suite), (version, suite));
    let older = offer(&gateway).tls12().suites(&[
        suites::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        suites::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    ]);
    let outcome = get(&gateway, older).await.unwrap();
    let suite = CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256;
    assert_eq!(
        (outcome.version, outcome.suite),
        (ProtocolVersion::TLSv1_2, suite)
    );
}

#[tokio::test]
async fn nothing_older_than_tls_1_2_and_nothing_weak_is_spoken() {
    let (_upstream, gateway) = gateway(&[]).await;
    let dir = gateway.setup().dir();
    // openssl itself only offers these when it is told to be careless.
    let weak = "ALL:eNULL:@SECLEVEL=0";
    for arguments in [
        &["-tls1", "-cipher", weak][..],
        &["-tls1_1", "-cipher", weak],
        &["-tls1_2", "-cipher", "AES128-GCM-SHA256:@SECLEVEL=0"],
        &[
            "-tls1_2",
            "-cipher",
            "ECDHE-ECDSA-AES128-SHA256:@SECLEVEL=0",
        ],
        &["-tls1_2", "-cipher", "ECDHE-RSA-AES256-SHA384:@SECLEVEL=0"],
        &[
            "-tls1_2",
            "-cipher",
            "DHE-RSA-AES256-GCM-SHA384:@SECLEVEL=0",
        ],
        &["-tls1_2", "-cipher", "aNULL:eNULL:@SECLEVEL=0"],
    ] {
        let printed = s_client(dir, gateway.address(), arguments).await;
        assert!(printed.contains("alert"), "{arguments:?}: {printed}");
        assert!(
            !printed.contains("BEGIN CERTIFICATE"),
            "{arguments:?}: {printed}"
        );
    }
    let printed = s_client(dir, gateway.address(), &["-tls1_2"]).await;
    assert!(printed.contains("Protocol  : TLSv1.2"), "{printed}");
    let incompatible =
        "witgate_handshakes_failed_total{listener=\"public\",cause=\"incompatible\"}";
    eventually!(
        "the count",
        (gateway.metric(incompatible).await >= 7.0).then_some(())
    );
}

#[tokio::test]
async fn a_listener_may_want_tls_1_3() {
    for line in ["tls.policy = \"tls13\"", "tls.min_version = \"1.3\""] {
        let (_upstream, gateway) = gateway(&[line]).await;
        get(&gateway, offer(&gateway).tls12()).await.unwrap_err();
        assert_eq!(get(&gateway, offer(&gateway)).await.unwrap().status(), 200);
    }
}

#[tokio::test]
async fn a_policy_of_azure_keeps_its_versions_and_says_what_is_missing() {
    let (_upstream, gateway) = gateway(&["tls.policy = \"AppGwSslPolicy20170401S\""]).await;
    get(&gateway, offer(&gateway).tls13()).await.unwrap_err();
    let outcome = get(&gateway, offer(&gateway)).await.unwrap();
    let suite = CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384;
    assert_eq!(
        (outcome.version, outcome.suite),
        (ProtocolVersion::TLSv1_2, suite)
    );
    gateway
        .logged(&["WARN", "AppGwSslPolicy20170401S", "CBC"])
        .await;
}

#[tokio::test]
async fn suites_and_groups_are_as_listed_and_reloaded() {
    let lines = [
        "tls.suites = [\"TLS_AES_256_GCM_SHA384\"]",
        "tls.groups = [\"secp256r1\"]",
        "tls.min_version = \"1.3\"",
    ];
    let (_upstream, mut gateway) = gateway(&lines).await;
    let outcome = get(&gateway, offer(&gateway)).await.unwrap();
    let agreed = (outcome.suite, outcome.group);
    let suite = CipherSuite::TLS13_AES_256_GCM_SHA384;
    assert_eq!(agreed, (suite, Some(NamedGroup::secp256r1)));
    get(&gateway, offer(&gateway).groups(&[groups::X25519]))
        .await
        .unwrap_err();
    gateway.configure(Setup::plain_listener);
    eventually!("the defaults", {
        let x25519 = offer(&gateway).groups(&[groups::X25519]);
        get(&gateway, x25519).await.ok()
    });
}
