//! Server names: which certificate a client gets, what unknown names and other hosts come to,
//! and what people are told of certificates ahead of their end.

use std::time::{Duration, SystemTime};

use witgate_tests::{
    eventually,
    gateway::{Gateway, Pool, Setup, command},
    tls::{Offer, TlsClient, s_client},
    upstream::Upstream,
};

/// Two weeks before a certificate's end the log begins to warn.
const FORTNIGHT: Duration = Duration::from_hours(14 * 24);

/// A gateway with certificates for `shop.example`, for `*.shop.example` and for two other
/// names, in this order.
async fn gateway(lines: &[&str]) -> (Upstream, Gateway) {
    let upstream = Upstream::pinned("web-1").await;
    let mut setup = Setup::new()
        .certificates(&["first", "second", "third"])
        .default_pool("web", Pool::pinned(&[&upstream]));
    for (file, names) in [
        ("first", &["shop.example"][..]),
        ("second", &["*.shop.example"]),
        ("third", &["other.example", "also.example"]),
    ] {
        setup.authority().issue(names).write(setup.dir(), file);
    }
    for line in lines {
        setup = setup.listener(line);
    }
    (upstream, setup.start().await)
}

fn client(gateway: &Gateway) -> TlsClient {
    Offer::trusting(gateway.setup().authority().certificate()).client()
}

async fn subject(gateway: &Gateway, arguments: &[&str]) -> String {
    let printed = s_client(gateway.setup().dir(), gateway.address(), arguments).await;
    let subject = printed.lines().find(|line| line.starts_with("subject="));
    subject.unwrap_or_else(|| panic!("{printed}")).to_owned()
}

#[tokio::test]
async fn exact_beats_wildcard_and_a_wildcard_is_for_one_label() {
    let (_upstream, gateway) = gateway(&[]).await;
    for (asked, expected) in [
        ("shop.example", "shop.example"),
        ("SHOP.example", "shop.example"),
        ("a.shop.example", "*.shop.example"),
        ("a.b.shop.example", "shop.example"),
        ("also.example", "other.example"),
        ("unknown.example", "shop.example"),
    ] {
        let subject = subject(&gateway, &["-servername", asked]).await;
        assert!(
            subject.ends_with(&format!("CN = {expected}")),
            "{asked}: {subject}"
        );
    }
    let subject = subject(&gateway, &["-noservername"]).await;
    assert!(subject.ends_with("CN = shop.example"), "{subject}");
}

#[tokio::test]
async fn unknown_and_missing_names_can_be_refused() {
    let (_upstream, gateway) = gateway(&["tls.unknown_names = \"refuse\""]).await;
    for arguments in [
        &["-servername", "unknown.example"][..],
        &["-servername", "a.b.shop.example"],
        &["-noservername"],
    ] {
        let printed = s_client(gateway.setup().dir(), gateway.address(), arguments).await;
        assert!(
            printed.contains("alert access denied"),
            "{arguments:?}: {printed}"
        );
    }
    let series = "witgate_handshakes_failed_total{listener=\"public\",cause=\"unknown-name\"}";
    eventually!(
        "the count",
        (gateway.metric(series).await == 3.0).then_some(())
    );
    client(&gateway)
        .connect(gateway.address(), "a.shop.example")
        .await
        .unwrap();
}

#[tokio::test]
async fn any_host_may_be_asked_for_on_a_connection_by_default() {
    let (_upstream, gateway) = gateway(&[]).await;
    let outcome = client(&gateway)
        .get(gateway.address(), "shop.example", "other.example")
        .await
        .unwrap();
    assert_eq!(outcome.status(), 200);
}

#[tokio::test]
async fn hosts_can_be_held_to_the_certificate_of_the_connection() {
    let (_upstream, gateway) = gateway(&["tls.hosts = \"certificate\""]).await;
    for (name, host, status) in [
        ("shop.example", "shop.example", 200),
        ("shop.example", "SHOP.example:8443", 200),
        ("shop.example", "shop.example.", 200),
        ("shop.example", "other.example", 421),
        ("shop.example", "a.shop.example", 421),
        ("a.shop.example", "b.shop.example", 200),
        ("a.shop.example", "a.b.shop.example", 421),
        ("a.shop.example", "shop.example", 421),
        ("other.example", "also.example", 200),
    ] {
        let outcome = client(&gateway)
            .get(gateway.address(), name, host)
            .await
            .unwrap();
        assert_eq!(
            outcome.status(),
            status,
            "{name} {host}: {}",
            outcome.answer
        );
        if status == 421 {
            assert!(
                outcome.answer.contains("misdirected-request"),
                "{}",
                outcome.answer
            );
        }
    }
}

#[tokio::test]
async fn the_end_of_a_certificate_is_told_ahead_in_log_and_metric() {
    let upstream = Upstream::pinned("web-1").await;
    let setup = Setup::new().default_pool("web", Pool::pinned(&[&upstream]));
    let (soon, moment) = (FORTNIGHT / 2, Duration::from_secs(5));
    let authority = setup.authority();
    let until = |left| SystemTime::now() + left;
    authority
        .issue_until(&["shop.example"], until(soon))
        .write(setup.dir(), "soon");
    // Not a word of this one at the start.
    authority
        .issue_until(&["later.example"], until(FORTNIGHT + moment))
        .write(setup.dir(), "later");
    let gateway = setup.certificates(&["soon", "later"]).start().await;
    gateway.logged(&["WARN", "soon.pem", "expires at"]).await;
    gateway.logged(&["WARN", "later.pem", "expires at"]).await;
    let warnings = |log: Vec<String>| {
        let of_soon = |line: &&String| line.contains("soon.pem");
        log.iter().filter(of_soon).count()
    };
    assert_eq!(warnings(gateway.log()), 1, "once a day is enough");
    let file = gateway.setup().dir().join("soon.pem");
    let series = format!(
        "witgate_certificate_expiry_seconds{{listener=\"public\",file=\"{}\"}}",
        file.display()
    );
    let left = gateway.metric(&series).await;
    assert!(left > (soon - 10 * moment).as_secs_f64(), "{left}");
    assert!(left <= soon.as_secs_f64(), "{left}");
}

#[tokio::test]
async fn a_key_that_does_not_fit_stops_the_start_by_the_files_names() {
    let setup = Setup::new();
    let authority = setup.authority();
    authority.issue(&["a.example"]).write(setup.dir(), "good");
    let (_, key) = authority.issue(&["b.example"]).write(setup.dir(), "other");
    std::fs::copy(key, setup.dir().join("good.key")).unwrap();
    let pool = Pool::of("endpoints = [\"127.0.0.1:1\"]\nprotocol = \"http\"");
    let setup = setup.certificates(&["good"]).default_pool("web", pool);
    setup.write();
    let mut check = command(&["check", "--config"]);
    let output = check.arg(setup.file()).output().await.unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{errors}");
    for words in [
        "certificates[0].key",
        "good.key",
        "does not fit",
        "a.example",
    ] {
        assert!(errors.contains(words), "{words}: {errors}");
    }
}
