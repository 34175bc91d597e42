//! Which certificates of clients count as revoked, and which CRLs are refused.

use rcgen::{
    CertificateRevocationList, CertificateRevocationListParams, CrlDistributionPoint,
    CrlIssuingDistributionPoint, CrlScope, KeyIdMethod, KeyUsagePurpose, RevokedCertParams,
    date_time_ymd,
};

use super::*;
use crate::{
    config::{
        ClientCertificates, ClientIdentity, ClientMode, Hosts, ListenerTls, PinnedCertificate,
        PoolTls, Tickets, TlsPolicy, Trust, UnknownNames, UnknownStatus,
    },
    tls::downstream::{Context, TlsFileError, Verdict},
};

const SERIAL: u64 = 0x00c0_ffee;

/// A listener that asks for certificates of these CAs, and what it has been told of them.
struct Asking {
    files: Files,
    own: Identity,
    ca: Vec<PathBuf>,
    crl: Vec<PathBuf>,
    unknown: UnknownStatus,
}

impl Asking {
    fn for_clients_of(cas: &[&Identity], unknown: UnknownStatus) -> Self {
        let files = Files::new();
        let write = |(index, ca): (usize, &&Identity)| {
            files.write(&format!("ca-{index}.pem"), &ca.certificate.pem())
        };
        Self {
            ca: cas.iter().enumerate().map(write).collect(),
            files,
            own: Identity::self_signed(&["shop.example"]),
            crl: Vec::new(),
            unknown,
        }
    }

    /// One file for these lists.
    fn crl(mut self, lists: &[CertificateRevocationList]) -> Self {
        let pem: String = lists.iter().map(|list| list.pem().unwrap()).collect();
        let name = format!("{}.crl", self.crl.len());
        self.crl.push(self.files.write(&name, &pem));
        self
    }

    /// One file with this text.
    fn crl_text(mut self, text: &str) -> Self {
        self.crl.push(self.files.write("bad.crl", text));
        self
    }

    fn load(&self) -> Result<Context, TlsFileError> {
        let tls = ListenerTls {
            certificates: vec![self.files.identity("own", &self.own)],
            policy: TlsPolicy::default(),
            unknown_names: UnknownNames::Default,
            hosts: Hosts::Any,
            tickets: Tickets::Off,
            client_certificates: Some(ClientCertificates {
                mode: ClientMode::Request,
                ca: self.ca.clone(),
                crl: self.crl.clone(),
                crl_unknown: self.unknown,
                depth: 3,
                direct_issuer: false,
                headers: false,
            }),
        };
        Context::load(&tls, None)
    }

    fn refused(&self) -> String {
        let error = self.load().unwrap_err();
        assert_eq!(error.key, "client_certificates.crl[0]");
        error.to_string()
    }

    /// What becomes of a client, in a handshake of its own.
    async fn verdict(&self, client: &Identity, issuers: &[&Identity]) -> Verdict {
        let context = self.load().unwrap();
        let all = std::iter::once(client).chain(issuers.iter().copied());
        let chain: String = all.map(|identity| identity.certificate.pem()).collect();
        let trust = Trust::Certificates(vec![PinnedCertificate::Fingerprint(
            self.own.fingerprint().0,
        )]);
        let tls = PoolTls {
            client_certificate: Some(ClientIdentity {
                chain: self.files.write("client.pem", &chain),
                key: self.files.write("client.key", &client.key.serialize_pem()),
            }),
            ..PoolTls::default()
        };
        let trusting = crate::tls::upstream::Context::load(&trust, &tls).unwrap();
        let config = trusting.config();
        let (_client, accepted) = handshake(config, "shop.example", context.config()).await;
        let session = context.session(accepted.unwrap().get_ref().1);
        session.client.unwrap().verdict.clone()
    }
}

/// A list that this CA has made at the start of this year.
fn list(ca: &Identity, year: i32, serials: &[u64]) -> CertificateRevocationList {
    list_about(ca, year, serials, None)
}

fn list_about(
    ca: &Identity,
    year: i32,
    serials: &[u64],
    point: Option<CrlIssuingDistributionPoint>,
) -> CertificateRevocationList {
    let revoked = |serial: &u64| RevokedCertParams {
        serial_number: (*serial).into(),
        revocation_time: date_time_ymd(2020, 1, 1),
        reason_code: None,
        invalidity_date: None,
    };
    let list = CertificateRevocationListParams {
        this_update: date_time_ymd(year, 1, 1),
        next_update: date_time_ymd(year + 1, 1, 1),
        crl_number: 1.into(),
        issuing_distribution_point: point,
        revoked_certs: serials.iter().map(revoked).collect(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    let issuer = Issuer::from_params(&ca.params, &ca.key);
    list.signed_by(&issuer).unwrap()
}

fn about(place: &str, scope: Option<CrlScope>) -> Option<CrlIssuingDistributionPoint> {
    Some(CrlIssuingDistributionPoint {
        distribution_point: point(place),
        scope,
    })
}

fn point(place: &str) -> CrlDistributionPoint {
    CrlDistributionPoint {
        uris: vec![place.to_owned()],
    }
}

fn client(ca: &Identity, serial: u64) -> Identity {
    ca.issue(&[], |params| params.serial_number = Some(serial.into()))
}

fn intermediate(ca: &Identity, name: &str, serial: u64) -> Identity {
    ca.issue(&[], |params| {
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.serial_number = Some(serial.into());
    })
}

fn unknown() -> Verdict {
    Verdict::Failed("no CRL says whether it has been revoked".to_owned())
}

#[tokio::test]
async fn what_a_list_has_is_revoked_and_nothing_else() {
    let ca = Identity::ca();
    // The last has a first bit that is set, and a zero before it therefore.
    let revoked = [SERIAL, 0x7f, 0xc0ff_ee00];
    let asking =
        Asking::for_clients_of(&[&ca], UnknownStatus::Refuse).crl(&[list(&ca, 2020, &revoked)]);
    for serial in revoked {
        let verdict = asking.verdict(&client(&ca, serial), &[]).await;
        assert_eq!(verdict, Verdict::Revoked, "{serial:x}");
    }
    let verdict = asking.verdict(&client(&ca, SERIAL + 1), &[]).await;
    assert_eq!(verdict, Verdict::Verified);
}

#[tokio::test]
async fn a_ca_speaks_for_itself_alone() {
    // As after a renewal with a new key under the old name.
    let (old, new) = (Identity::ca(), Identity::ca());
    let asking = |unknown| {
        Asking::for_clients_of(&[&old, &new], unknown).crl(&[list(&new, 2020, &[SERIAL])])
    };
    let (of_old, of_new) = (client(&old, SERIAL), client(&new, SERIAL));
    let lenient = asking(UnknownStatus::Allow);
    assert_eq!(lenient.verdict(&of_old, &[]).await, Verdict::Verified);
    assert_eq!(lenient.verdict(&of_new, &[]).await, Verdict::Revoked);
    let strict = asking(UnknownStatus::Refuse);
    assert_eq!(strict.verdict(&of_old, &[]).await, unknown());
    assert_eq!(strict.verdict(&of_new, &[]).await, Verdict::Revoked);
    let both = strict.crl(&[list(&old, 2020, &[])]);
    assert_eq!(both.verdict(&of_old, &[]).await, Verdict::Verified);
}

#[tokio::test]
async fn of_two_lists_the_newer_one_counts() {
    let ca = Identity::ca();
    let on_hold = || list(&ca, 2020, &[SERIAL]);
    let released = || list(&ca, 2021, &[]);
    let ada = client(&ca, SERIAL);
    for lists in [[on_hold(), released()], [released(), on_hold()]] {
        let asking = Asking::for_clients_of(&[&ca], UnknownStatus::Refuse).crl(&lists);
        assert_eq!(asking.verdict(&ada, &[]).await, Verdict::Verified);
    }
    let [first, second] = [list(&ca, 2020, &[]), list(&ca, 2021, &[SERIAL])];
    let asking = Asking::for_clients_of(&[&ca], UnknownStatus::Refuse)
        .crl(&[second])
        .crl(&[first]);
    assert_eq!(asking.verdict(&ada, &[]).await, Verdict::Revoked);
}

#[tokio::test]
async fn a_revoked_ca_between_takes_its_clients_with_it() {
    let root = Identity::ca();
    let (good, bad) = (
        intermediate(&root, "good", 2),
        intermediate(&root, "bad", 3),
    );
    let asking =
        |unknown| Asking::for_clients_of(&[&root], unknown).crl(&[list(&root, 2020, &[3])]);
    let lenient = asking(UnknownStatus::Allow);
    // Their numbers are not the root's.
    let (of_good, of_bad) = (client(&good, 3), client(&bad, SERIAL));
    assert_eq!(lenient.verdict(&of_good, &[&good]).await, Verdict::Verified);
    assert_eq!(lenient.verdict(&of_bad, &[&bad]).await, Verdict::Revoked);
    let strict = asking(UnknownStatus::Refuse);
    assert_eq!(strict.verdict(&of_good, &[&good]).await, unknown());
    // Listed itself, it may have a list.
    let listed = Asking::for_clients_of(&[&root, &good], UnknownStatus::Refuse)
        .crl(&[list(&root, 2020, &[]), list(&good, 2020, &[SERIAL])]);
    assert_eq!(listed.verdict(&of_good, &[&good]).await, Verdict::Verified);
    let revoked = client(&good, SERIAL);
    assert_eq!(listed.verdict(&revoked, &[&good]).await, Verdict::Revoked);
}

#[tokio::test]
async fn a_list_of_some_certificates_says_nothing_of_the_others() {
    let ca = Identity::ca();
    let (here, there) = ("http://ca.example/1.crl", "http://ca.example/2.crl");
    let naming = |place: Option<&str>| {
        ca.issue(&[], |params| {
            params.crl_distribution_points = place.map(point).into_iter().collect();
        })
    };
    let asking = |scope| {
        Asking::for_clients_of(&[&ca], UnknownStatus::Refuse).crl(&[list_about(
            &ca,
            2020,
            &[SERIAL],
            about(here, scope),
        )])
    };
    let all = asking(None);
    assert_eq!(
        all.verdict(&naming(Some(here)), &[]).await,
        Verdict::Verified
    );
    assert_eq!(all.verdict(&naming(None), &[]).await, Verdict::Verified);
    assert_eq!(all.verdict(&naming(Some(there)), &[]).await, unknown());
    let clients = asking(Some(CrlScope::UserCertsOnly));
    assert_eq!(clients.verdict(&naming(None), &[]).await, Verdict::Verified);
    let cas = asking(Some(CrlScope::CaCertsOnly));
    assert_eq!(cas.verdict(&naming(None), &[]).await, unknown());
    // Two lists about different certificates both count.
    let two = asking(None).crl(&[list_about(&ca, 2019, &[], about(there, None))]);
    assert_eq!(
        two.verdict(&naming(Some(there)), &[]).await,
        Verdict::Verified
    );
    let revoked = two.verdict(&client(&ca, SERIAL), &[]).await;
    assert_eq!(revoked, Verdict::Revoked);
}

#[test]
fn a_list_of_none_of_the_cas_is_refused() {
    let (ca, twin, other) = (
        Identity::ca(),
        Identity::ca(),
        Identity::ca_named("Other CA"),
    );
    let asking = || Asking::for_clients_of(&[&ca], UnknownStatus::Refuse);
    let good = list(&ca, 2020, &[]);
    let refused = asking().crl(&[good, list(&other, 2020, &[])]).refused();
    assert!(
        refused.contains("CRL 2 of the file cannot be used: it is of CN=Other CA")
            && refused.contains("no CA of `ca`"),
        "{refused}"
    );
    let refused = asking().crl(&[list(&twin, 2020, &[])]).refused();
    assert!(refused.contains("not signed by the CA"), "{refused}");
    let may_not = Identity::over(
        KeyPair::from_pem(&ca.key.serialize_pem()).unwrap(),
        &[],
        |params| {
            *params = ca.params.clone();
            params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        },
    );
    let asking = Asking::for_clients_of(&[&may_not], UnknownStatus::Refuse);
    let refused = asking.crl(&[list(&ca, 2020, &[])]).refused();
    assert!(refused.contains("does not allow"), "{refused}");
}

#[test]
fn what_is_no_list_is_refused_with_what_it_is() {
    let ca = Identity::ca();
    let asking = || Asking::for_clients_of(&[&ca], UnknownStatus::Refuse);
    let pem = list(&ca, 2020, &[SERIAL]).pem().unwrap();
    for (text, reason) in [
        (String::new(), "; the file is empty"),
        (ca.certificate.pem(), "; the file holds a certificate"),
        ("garbage".to_owned(), "expected DER, or PEM with"),
        (
            "0garbage".to_owned(),
            "CRL 1 of the file cannot be used: it is not a CRL",
        ),
        (pem.replace("-----END X509 CRL-----", ""), "no end line"),
    ] {
        let refused = asking().crl_text(&text).refused();
        assert!(refused.contains(reason), "{refused}");
    }
    let missing = Asking {
        crl: vec![asking().files.path("missing.crl")],
        ..asking()
    };
    assert!(missing.refused().contains("cannot read the file"));
}
