//! Mutual TLS towards clients: who gets in, and what log, upstreams and clients are told.

use std::{fs, path::Path, sync::Arc};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use rustls_pki_types::CertificateDer;
use serde_json::Value;
use witgate_tests::{
    certs::{Authority, Identity, Validity},
    client::Error,
    eventually,
    gateway::{Gateway, Pool, Setup},
    tls::{Offer, Outcome},
    upstream::{Echo, Upstream},
    wasm,
};

/// A gateway that asks for certificates of `clients.pem`, by this rule.
pub(super) struct Asking {
    _upstream: Upstream,
    pub(super) gateway: Gateway,
    pub(super) clients: Authority,
}

impl Asking {
    async fn by(rule: &str) -> Self {
        Self::with_setup(rule, Setup::new()).await
    }

    async fn with_setup(rule: &str, setup: Setup) -> Self {
        Self::prepared(rule, setup, |_, _| {}).await
    }

    /// With what is done before the start with the clients' CA and the folder.
    pub(super) async fn prepared(
        rule: &str,
        setup: Setup,
        prepare: impl FnOnce(&Authority, &Path),
    ) -> Self {
        let upstream = Upstream::pinned("web-1").await;
        let clients = Authority::new("clients' root");
        let setup = setup.default_pool("web", Pool::pinned(&[&upstream]));
        clients.write(setup.dir(), "clients");
        prepare(&clients, setup.dir());
        let setup = setup.listener(&format!("tls.client_certificates = {{ {rule} }}"));
        Self {
            _upstream: upstream,
            gateway: setup.start().await,
            clients,
        }
    }

    pub(super) fn offer(&self) -> Offer {
        Offer::trusting(self.gateway.setup().authority().certificate())
    }

    pub(super) async fn get(&self, offer: Offer) -> Result<Outcome, Error> {
        let client = offer.client();
        client
            .get(self.gateway.address(), "shop.example", "shop.example")
            .await
    }

    async fn with(
        &self,
        identity: Identity,
        issuers: &[CertificateDer<'static>],
    ) -> Result<Outcome, Error> {
        self.get(self.offer().identity(Arc::new(identity), issuers))
            .await
    }

    /// What the access log has on the client that was judged like this.
    pub(super) async fn logged(&self, verify: &str) -> Value {
        let fits = |line: &Value| line["tls"]["client"]["verify"] == verify;
        let line = self.gateway.access_line_where(fits).await;
        line["tls"]["client"].clone()
    }

    async fn refused(&self) -> f64 {
        let series =
            "witgate_handshakes_failed_total{listener=\"public\",cause=\"client-certificate\"}";
        self.gateway.metric(series).await
    }
}

pub(super) fn echo(outcome: &Outcome) -> Echo {
    let (_, body) = outcome.answer.split_once("\r\n\r\n").unwrap();
    let body = &body[body.find('{').unwrap()..=body.rfind('}').unwrap()];
    serde_json::from_str(body).unwrap()
}

const REQUIRE: &str = "mode = \"require\", ca = [\"clients.pem\"]";

#[tokio::test]
async fn a_good_certificate_is_let_in_and_told_to_log_and_not_to_upstreams() {
    let asking = Asking::by(REQUIRE).await;
    let identity = asking.clients.issue_client("ada", Validity::Now);
    let fingerprint = identity.fingerprint();
    let outcome = asking.with(identity, &[]).await.unwrap();
    assert_eq!(outcome.status(), 200);
    assert!(echo(&outcome).all("client-cert").is_empty());
    let client = asking.logged("success").await;
    assert!(
        client["subject"].as_str().unwrap().contains("CN=ada"),
        "{client}"
    );
    assert!(
        client["issuer"].as_str().unwrap().contains("clients' root"),
        "{client}"
    );
    assert_eq!(client["serial"], "c0ffee");
    assert_eq!(client["fingerprint"], fingerprint);
}

#[tokio::test]
async fn without_a_good_certificate_the_handshake_fails() {
    let asking = Asking::by(REQUIRE).await;
    let other = Authority::new("clients' root");
    let twin = other.issue_client("ada", Validity::Now);
    let expired = asking.clients.issue_client("ada", Validity::Expired);
    let early = asking.clients.issue_client("ada", Validity::NotYet);
    let server = asking.clients.issue(&["shop.example"]);
    assert_eq!(
        asking.with(server, &[]).await.unwrap().status(),
        200,
        "no purpose is all"
    );
    for (offer, alert) in [
        (asking.offer(), "CertificateRequired"),
        (asking.offer().tls12(), "CertificateRequired"),
        (asking.offer().identity(Arc::new(twin), &[]), "UnknownCA"),
        (
            asking.offer().identity(Arc::new(expired), &[]),
            "CertificateExpired",
        ),
        (
            asking.offer().identity(Arc::new(early), &[]),
            "CertificateExpired",
        ),
    ] {
        let error = asking.get(offer).await.unwrap_err();
        let error = format!("{error:?}");
        assert!(error.contains(alert), "{alert}: {error}");
    }
    eventually!("the count", (asking.refused().await == 5.0).then_some(()));
    asking.logged("success").await;
    assert_eq!(asking.gateway.access_lines().len(), 1);
}

#[tokio::test]
async fn a_refusal_can_be_an_answer_instead() {
    let rule = "mode = \"require-or-400\", ca = [\"clients.pem\"]";
    let asking = Asking::by(rule).await;
    let good = asking.clients.issue_client("ada", Validity::Now);
    assert_eq!(asking.with(good, &[]).await.unwrap().status(), 200);
    let none = asking.get(asking.offer()).await.unwrap();
    assert_eq!(none.status(), 400);
    assert!(
        none.answer.contains("client-certificate-missing"),
        "{}",
        none.answer
    );
    asking.logged("none").await;
    let expired = asking.clients.issue_client("ada", Validity::Expired);
    let refused = asking.with(expired, &[]).await.unwrap();
    assert_eq!(refused.status(), 400);
    assert!(
        refused.answer.contains("client-certificate-refused"),
        "{}",
        refused.answer
    );
    asking.logged("failed: the certificate has expired").await;
}

#[tokio::test]
async fn a_requested_certificate_is_judged_and_never_refused() {
    let asking = Asking::by("mode = \"request\", ca = [\"clients.pem\"], headers = true").await;
    let none = asking.get(asking.offer()).await.unwrap();
    assert_eq!(none.status(), 200);
    asking.logged("none").await;
    let stranger = Authority::new("strangers").issue_client("eve", Validity::Now);
    let outcome = asking.with(stranger, &[]).await.unwrap();
    assert_eq!(outcome.status(), 200);
    assert!(
        echo(&outcome).all("client-cert").is_empty(),
        "only good ones are passed on"
    );
    let client = asking
        .logged("failed: no CA of the list has issued it")
        .await;
    assert!(client["subject"].as_str().unwrap().contains("CN=eve"));
}

#[tokio::test]
async fn upstreams_get_the_certificate_and_its_chain_when_told_so() {
    let asking = Asking::by(&format!("{REQUIRE}, headers = true")).await;
    let team = asking.clients.intermediate("team");
    let identity = team.issue_client("ada", Validity::Now);
    let leaf = identity.certificate();
    let outcome = asking.with(identity, &[team.certificate()]).await.unwrap();
    let echo = echo(&outcome);
    let item = |der: &[u8]| format!(":{}:", BASE64_STANDARD.encode(der));
    assert_eq!(echo.all("client-cert"), [item(&leaf)]);
    assert_eq!(echo.all("client-cert-chain"), [item(&team.certificate())]);
}

#[tokio::test]
async fn plugins_are_told_of_the_certificate() {
    let rules = "[[config.request]]\n[config.request.set]\n\
        x-pem = \"{var_client_certificate}\"\n\
        x-subject = \"{var_client_certificate_subject}\"\n\
        x-issuer = \"{var_client_certificate_issuer}\"\n\
        x-serial = \"{var_client_certificate_serial}\"\n\
        x-sha1 = \"{var_client_certificate_fingerprint}\"\n\
        x-sha256 = \"{var_client_certificate_fingerprint_sha256}\"\n\
        x-start = \"{var_client_certificate_start_date}\"\n\
        x-end = \"{var_client_certificate_end_date}\"\n\
        x-verification = \"{var_client_certificate_verification}\"\n";
    let setup = Setup::new()
        .plugin("70-header-rewriter", &wasm::reference("header-rewriter"))
        .sidecar("70-header-rewriter", rules);
    let rule = "mode = \"request\", ca = [\"clients.pem\"]";
    let asking = Asking::with_setup(rule, setup).await;
    let one = |echo: &Echo, name: &str| echo.all(name).concat();

    let none = echo(&asking.get(asking.offer()).await.unwrap());
    assert_eq!(one(&none, "x-verification"), "NONE");
    assert_eq!(one(&none, "x-subject") + &one(&none, "x-pem"), "");

    let identity = asking.clients.issue_client("ada", Validity::Now);
    let (fingerprint, leaf) = (identity.fingerprint(), identity.certificate());
    let good = echo(&asking.with(identity, &[]).await.unwrap());
    assert_eq!(one(&good, "x-verification"), "SUCCESS");
    assert_eq!(one(&good, "x-subject"), "CN=ada");
    assert_eq!(one(&good, "x-issuer"), "CN=clients' root");
    assert_eq!(one(&good, "x-serial"), "C0FFEE");
    assert_eq!(one(&good, "x-sha256"), fingerprint);
    assert_eq!(one(&good, "x-sha1").len(), 40);
    for date in ["x-start", "x-end"] {
        assert!(one(&good, date).ends_with(" GMT"), "{good:?}");
    }
    let pem = one(&good, "x-pem");
    let inner = pem
        .strip_prefix("-----BEGIN%20CERTIFICATE-----")
        .and_then(|rest| rest.strip_suffix("-----END%20CERTIFICATE-----%0A"))
        .unwrap();
    let base64 = [("%0A", ""), ("%2B", "+"), ("%2F", "/"), ("%3D", "=")]
        .iter()
        .fold(inner.to_owned(), |text, (from, to)| text.replace(from, to));
    assert_eq!(BASE64_STANDARD.decode(base64).unwrap(), leaf.as_ref());

    let stranger = Authority::new("strangers").issue_client("eve", Validity::Now);
    let bad = echo(&asking.with(stranger, &[]).await.unwrap());
    assert_eq!(
        one(&bad, "x-verification"),
        "FAILED:no CA of the list has issued it"
    );
    assert_eq!(one(&bad, "x-subject"), "CN=eve");
}

#[tokio::test]
async fn what_clients_say_of_their_certificates_is_removed() {
    let upstream = Upstream::pinned("web-1").await;
    let setup = Setup::new().default_pool("web", Pool::pinned(&[&upstream]));
    let gateway = setup.start().await;
    let fields = [
        ("client-cert", ":AAAA:"),
        ("Client-Cert", ":BBBB:"),
        ("client-cert-chain", ":AAAA:, :BBBB:"),
        ("client_cert", ":AAAA:"),
        ("x-other", "stays"),
    ];
    for http in [witgate_tests::Http::One, witgate_tests::Http::Two] {
        let lower = fields.map(|(name, value)| (name.to_ascii_lowercase(), value));
        let lower: Vec<_> = lower
            .iter()
            .map(|(name, value)| (name.as_str(), *value))
            .collect();
        let answer = gateway
            .client(http)
            .get_with("https://shop.example/", &lower)
            .await;
        let echo = answer.echo();
        assert_eq!(echo.all("x-other"), ["stays"]);
        for name in ["client-cert", "client-cert-chain", "client_cert"] {
            assert!(echo.all(name).is_empty(), "{name}");
        }
    }
}

#[tokio::test]
async fn the_depth_of_chains_is_limited() {
    let asking = Asking::by(&format!("{REQUIRE}, depth = 1")).await;
    let (team, group) = {
        let team = asking.clients.intermediate("team");
        let group = team.intermediate("group");
        (team, group)
    };
    let near = team.issue_client("ada", Validity::Now);
    assert_eq!(
        asking
            .with(near, &[team.certificate()])
            .await
            .unwrap()
            .status(),
        200
    );
    let far = group.issue_client("ada", Validity::Now);
    let chain = [group.certificate(), team.certificate()];
    asking.with(far, &chain).await.unwrap_err();
}

#[tokio::test]
async fn only_direct_issuers_can_be_let_in() {
    let asking = Asking::by(&format!("{REQUIRE}, direct_issuer = true")).await;
    let team = asking.clients.intermediate("team");
    let far = team.issue_client("ada", Validity::Now);
    asking.with(far, &[team.certificate()]).await.unwrap_err();
    let near = asking.clients.issue_client("ada", Validity::Now);
    assert_eq!(asking.with(near, &[]).await.unwrap().status(), 200);
    // Listed itself, the team may issue.
    let listed = asking.gateway.setup().dir().join("clients.pem");
    let both = fs::read_to_string(&listed).unwrap() + &team.certificate_pem();
    fs::write(&listed, both).unwrap();
    asking.gateway.reload().await;
    let far = team.issue_client("ada", Validity::Now);
    assert_eq!(
        asking
            .with(far, &[team.certificate()])
            .await
            .unwrap()
            .status(),
        200
    );
}

#[tokio::test]
async fn the_list_of_cas_is_followed() {
    let asking = Asking::by(REQUIRE).await;
    let next = Authority::new("the next root");
    let identity = next.issue_client("ada", Validity::Now);
    let offer = asking.offer().identity(Arc::new(identity), &[]);
    asking.get(offer.clone()).await.unwrap_err();
    next.write(asking.gateway.setup().dir(), "clients");
    eventually!("trust", asking.get(offer.clone()).await.ok());
}
