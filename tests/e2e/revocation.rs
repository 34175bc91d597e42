//! Certificates of clients that their CA has revoked: who is told, and from when on.

use std::{fs, path::Path, sync::Arc};

use rustls::HandshakeKind::{Full, Resumed};
use witgate_tests::{
    certs::{Authority, Identity, Validity},
    eventually,
    gateway::{Setup, command},
    tls::{Offer, TlsClient, openssl},
    wasm,
};

use super::client_certificates::{Asking, echo};

const REVOKED: u64 = 0x00bad;
const RULE: &str = "ca = [\"clients.pem\"], crl = [\"clients.crl\"]";

/// A gateway whose list has these.
async fn asking(mode: &str, revoked: &[u64], setup: Setup) -> Asking {
    let rule = format!("mode = \"{mode}\", {RULE}");
    Asking::prepared(&rule, setup, |clients, dir| {
        let list = clients.crl(revoked, Validity::Now);
        fs::write(dir.join("clients.crl"), list.pem().unwrap()).unwrap();
    })
    .await
}

fn with(asking: &Asking, identity: Identity) -> Offer {
    asking.offer().identity(Arc::new(identity), &[])
}

async fn refused(asking: &Asking) -> f64 {
    let series =
        "witgate_handshakes_failed_total{listener=\"public\",cause=\"client-certificate-revoked\"}";
    asking.gateway.metric(series).await
}

#[tokio::test]
async fn a_revoked_certificate_is_refused_under_its_own_cause() {
    let asking = asking("require", &[REVOKED], Setup::new()).await;
    let good = asking.clients.issue_client_numbered("ada", REVOKED + 1);
    let good = asking.get(with(&asking, good)).await.unwrap();
    assert_eq!(good.status(), 200);
    let eve = asking.clients.issue_client_numbered("eve", REVOKED);
    let eve = with(&asking, eve);
    for offer in [eve.clone(), eve.tls12()] {
        let error = asking.get(offer).await.unwrap_err();
        let error = format!("{error:?}");
        assert!(error.contains("CertificateRevoked"), "{error}");
    }
    eventually!("the count", (refused(&asking).await == 2.0).then_some(()));
}

#[tokio::test]
async fn a_revocation_is_told_to_plugins_log_and_client() {
    let rules = "[[config.request]]\n[config.request.set]\n\
        x-verification = \"{var_client_certificate_verification}\"\n";
    let setup = Setup::new()
        .plugin("70-header-rewriter", &wasm::reference("header-rewriter"))
        .sidecar("70-header-rewriter", rules);
    let requested = asking("request", &[REVOKED], setup).await;
    let eve = requested.clients.issue_client_numbered("eve", REVOKED);
    let outcome = requested.get(with(&requested, eve)).await.unwrap();
    assert_eq!(outcome.status(), 200);
    let told = echo(&outcome).all("x-verification").concat();
    assert_eq!(told, "FAILED:the certificate has been revoked");
    let verify = "failed: the certificate has been revoked";
    assert_eq!(requested.logged(verify).await["subject"], "CN=eve");

    let required = asking("require-or-400", &[REVOKED], Setup::new()).await;
    let eve = required.clients.issue_client_numbered("eve", REVOKED);
    let outcome = required.get(with(&required, eve)).await.unwrap();
    assert_eq!(outcome.status(), 400);
    assert!(outcome.answer.contains("client-certificate-refused"));
    required.logged(verify).await;
}

#[tokio::test]
async fn a_list_is_followed_and_sessions_of_those_on_it_are_not_resumed() {
    let asking = asking("require", &[], Setup::new()).await;
    let client = |name, serial, tls12| {
        let identity = asking.clients.issue_client_numbered(name, serial);
        let offer = with(&asking, identity);
        if tls12 { offer.tls12() } else { offer }.client()
    };
    let ada = client("ada", REVOKED + 1, false);
    let eves = [client("eve", REVOKED, false), client("eve", REVOKED, true)];
    let get = async |client: &TlsClient| {
        let address = asking.gateway.address();
        client.get(address, "shop.example", "shop.example").await
    };
    for client in eves.iter().chain([&ada]) {
        assert_eq!(get(client).await.unwrap().kind, Full);
        assert_eq!(get(client).await.unwrap().kind, Resumed);
    }
    let list = asking.clients.crl(&[REVOKED], Validity::Now);
    let file = asking.gateway.setup().dir().join("clients.crl");
    // DER this time.
    fs::write(&file, list.der()).unwrap();
    asking.gateway.reload().await;
    let before = refused(&asking).await;
    for eve in &eves {
        // With its session, and with none.
        get(eve).await.unwrap_err();
        get(eve).await.unwrap_err();
    }
    eventually!(
        "the count",
        (refused(&asking).await >= before + 4.0).then_some(())
    );
    let outcome = get(&ada).await.unwrap();
    assert_eq!((outcome.status(), outcome.kind), (200, Resumed));
}

#[tokio::test]
async fn a_list_that_is_overdue_is_warned_of_and_stays_in_use() {
    let rule = format!("mode = \"require\", {RULE}");
    let asking = Asking::prepared(&rule, Setup::new(), |clients, dir| {
        let list = clients.crl(&[REVOKED], Validity::Expired);
        fs::write(dir.join("clients.crl"), list.der()).unwrap();
    })
    .await;
    let gateway = &asking.gateway;
    let due = ["WARN", "clients.crl", "a newer CRL has been due since 2001"];
    gateway.logged(&due).await;
    let file = gateway.setup().dir().join("clients.crl");
    let series = format!(
        "witgate_crl_expiry_seconds{{listener=\"public\",file=\"{}\"}}",
        file.display()
    );
    assert!(gateway.metric(&series).await < 0.0);
    let ada = asking.clients.issue_client_numbered("ada", REVOKED + 1);
    let ada = asking.get(with(&asking, ada)).await.unwrap();
    assert_eq!(ada.status(), 200);
    let eve = asking.clients.issue_client_numbered("eve", REVOKED);
    asking.get(with(&asking, eve)).await.unwrap_err();
    // The next one is there.
    let next = asking.clients.crl(&[], Validity::Now);
    fs::write(&file, next.pem().unwrap()).unwrap();
    eventually!(
        "the next list",
        (gateway.metric(&series).await > 0.0).then_some(())
    );
}

#[tokio::test]
async fn a_bad_list_changes_nothing_and_is_told_with_file_and_line() {
    let asking = asking("require", &[REVOKED], Setup::new()).await;
    let gateway = &asking.gateway;
    let file = gateway.setup().dir().join("clients.crl");
    let other = Authority::new("strangers");
    let entries = gateway.log().len();
    fs::write(&file, other.crl(&[], Validity::Now).der()).unwrap();
    let refusal = ["reload refused", "tls.client_certificates.crl[0]"];
    gateway.logged_after(entries, &refusal).await;
    let eve = asking.clients.issue_client_numbered("eve", REVOKED);
    let error = asking.get(with(&asking, eve)).await.unwrap_err();
    assert!(format!("{error:?}").contains("CertificateRevoked"));

    let output = command(&["check", "--config"])
        .arg(gateway.setup().file())
        .output()
        .await
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let errors = String::from_utf8_lossy(&output.stderr);
    for part in [
        "`listeners[0].tls.client_certificates.crl[0]`",
        "clients.crl: CRL 1 of the file cannot be used",
        "it is of CN=strangers, which is no CA of `ca`",
        "crl = [\"clients.crl\"]",
    ] {
        assert!(errors.contains(part), "{part}: {errors}");
    }
}

/// Has openssl make a list with one entry, of version 1 or 2.
async fn made_by_openssl(dir: &Path, version: u8, form: &str) {
    let extensions = if version == 2 {
        "crl_extensions = v2\n"
    } else {
        ""
    };
    let rules = format!(
        "[ca]\ndefault_ca = own\n[own]\ndatabase = index.txt\ndefault_md = sha256\n\
         default_crl_days = 30\n{extensions}[v2]\nauthorityKeyIdentifier = keyid\n"
    );
    fs::write(dir.join("ca.cnf"), rules).unwrap();
    let entry = format!("R\t491231235959Z\t230101000000Z\t{REVOKED:04X}\tunknown\t/CN=eve\n");
    fs::write(dir.join("index.txt"), entry).unwrap();
    let make = [
        "ca",
        "-gencrl",
        "-config",
        "ca.cnf",
        "-keyfile",
        "clients.key",
        "-cert",
        "clients.pem",
        "-out",
        "made.pem",
    ];
    let convert = [
        "crl", "-in", "made.pem", "-outform", form, "-out", "made.crl",
    ];
    for arguments in [&make[..], &convert] {
        let output = openssl(dir, arguments, "").await;
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{errors}");
    }
    let text = openssl(dir, &["crl", "-in", "made.pem", "-noout", "-text"], "").await;
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    assert!(text.contains(&format!("Version {version}")), "{text}");
    fs::rename(dir.join("made.crl"), dir.join("clients.crl")).unwrap();
}

#[tokio::test]
async fn lists_that_openssl_makes_are_understood() {
    for (version, form) in [(1, "PEM"), (2, "DER")] {
        let asking = asking("require", &[], Setup::new()).await;
        let gateway = &asking.gateway;
        made_by_openssl(gateway.setup().dir(), version, form).await;
        gateway.reload().await;
        let ada = asking.clients.issue_client_numbered("ada", REVOKED + 1);
        let ada = asking.get(with(&asking, ada)).await.unwrap();
        assert_eq!(ada.status(), 200);
        let eve = asking.clients.issue_client_numbered("eve", REVOKED);
        let error = asking.get(with(&asking, eve)).await.unwrap_err();
        assert!(format!("{error:?}").contains("CertificateRevoked"));
    }
}
