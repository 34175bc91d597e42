//! OCSP responses from a file, made by openssl: stapled while they are valid and about the
//! certificate beside them.

use std::{fs, path::Path};

use witgate_tests::{
    eventually,
    gateway::{Gateway, Pool, Setup, command},
    tls::{openssl, s_client},
    upstream::Upstream,
};

/// Makes `FILE.ocsp` for the certificate in `FILE.pem`, issued by the clients' root.
async fn respond(dir: &Path, file: &str, status: &str, arguments: &[&str]) {
    let certificate = format!("{file}.pem");
    let serial = openssl(dir, &["x509", "-in", &certificate, "-noout", "-serial"], "").await;
    let serial = String::from_utf8(serial.stdout).unwrap();
    let serial = serial.trim().strip_prefix("serial=").unwrap();
    let revoked = if status == "R" { "230101000000Z" } else { "" };
    let index = format!("{status}\t491231235959Z\t{revoked}\t{serial}\tunknown\t/CN=x\n");
    fs::write(dir.join("index.txt"), index).unwrap();
    let response = format!("{file}.ocsp.new");
    let mut all = vec![
        "ocsp",
        "-index",
        "index.txt",
        "-CA",
        "root.pem",
        "-rsigner",
        "root.pem",
        "-rkey",
        "root.key",
        "-issuer",
        "root.pem",
        "-cert",
        &certificate,
        "-respout",
        &response,
        "-noverify",
    ];
    all.extend(arguments);
    let output = openssl(dir, &all, "").await;
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{errors}");
    fs::rename(dir.join(&response), dir.join(format!("{file}.ocsp"))).unwrap();
}

/// Moves all times of a response to 2020. openssl makes none of the past; its signature is
/// wrong then, which only clients look at.
fn set_back(file: &Path) {
    const GENERALIZED_TIME: &[u8] = &[0x18, 15];
    let mut bytes = fs::read(file).unwrap();
    let starts: Vec<_> = bytes
        .windows(2)
        .enumerate()
        .filter(|(_, pair)| *pair == GENERALIZED_TIME)
        .map(|(at, _)| at + 2)
        .collect();
    for start in starts {
        bytes[start..start + 4].copy_from_slice(b"2020");
    }
    fs::write(file, bytes).unwrap();
}

/// One listener, with the certificate `gateway` and its staple.
fn setup(upstream: &Upstream) -> Setup {
    Setup::new()
        .certificates(&[])
        .listener(
            "tls.certificates = [{ chain = \"gateway.pem\", key = \"gateway.key\", ocsp = \"gateway.ocsp\" }]",
        )
        .default_pool("web", Pool::pinned(&[upstream]))
}

async fn status(gateway: &Gateway) -> String {
    s_client(gateway.setup().dir(), gateway.address(), &["-status"]).await
}

#[tokio::test]
async fn a_response_is_stapled_and_renewed() {
    let upstream = Upstream::pinned("web-1").await;
    let setup = setup(&upstream);
    respond(setup.dir(), "gateway", "V", &["-ndays", "3"]).await;
    let gateway = setup.start().await;
    let printed = status(&gateway).await;
    assert!(
        printed.contains("OCSP Response Status: successful"),
        "{printed}"
    );
    assert!(printed.contains("Cert Status: good"), "{printed}");
    let file = gateway.setup().dir().join("gateway.ocsp");
    let series = format!(
        "witgate_ocsp_response_expiry_seconds{{listener=\"public\",file=\"{}\"}}",
        file.display()
    );
    let before = gateway.metric(&series).await;
    respond(gateway.setup().dir(), "gateway", "V", &["-ndays", "6"]).await;
    eventually!("the next response", {
        let now = gateway.metric(&series).await;
        (now > before + 100_000.0).then_some(())
    });
}

#[tokio::test]
async fn a_stale_response_is_warned_of_and_not_stapled() {
    let upstream = Upstream::pinned("web-1").await;
    let setup = setup(&upstream);
    respond(setup.dir(), "gateway", "V", &["-ndays", "3"]).await;
    set_back(&setup.dir().join("gateway.ocsp"));
    let gateway = setup.start().await;
    gateway
        .logged(&["WARN", "gateway.ocsp", "is not stapled"])
        .await;
    let printed = status(&gateway).await;
    assert!(
        printed.contains("OCSP response: no response sent"),
        "{printed}"
    );
}

#[tokio::test]
async fn a_response_about_another_certificate_or_a_revoked_one_is_refused() {
    let setup = Setup::new();
    setup
        .authority()
        .issue(&["other.example"])
        .write(setup.dir(), "other");
    let dir = setup.dir().to_owned();
    let pool = Pool::of("endpoints = [\"127.0.0.1:1\"]\nprotocol = \"http\"");
    let setup = setup
        .certificates(&[])
        .listener(
            "tls.certificates = [{ chain = \"gateway.pem\", key = \"gateway.key\", ocsp = \"gateway.ocsp\" }]",
        )
        .default_pool("web", pool);
    setup.write();
    let check = async || {
        let mut check = command(&["check", "--config"]);
        let output = check.arg(setup.file()).output().await.unwrap();
        assert!(!output.status.success());
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(errors.contains("certificates[0].ocsp"), "{errors}");
        errors
    };
    respond(&dir, "other", "V", &["-ndays", "3"]).await;
    fs::rename(dir.join("other.ocsp"), dir.join("gateway.ocsp")).unwrap();
    let errors = check().await;
    assert!(errors.contains("about another certificate"), "{errors}");
    respond(&dir, "gateway", "R", &["-ndays", "3"]).await;
    let errors = check().await;
    assert!(errors.contains("revoked"), "{errors}");
    fs::write(dir.join("gateway.ocsp"), "garbage").unwrap();
    let errors = check().await;
    assert!(errors.contains("not an OCSP response"), "{errors}");
}
