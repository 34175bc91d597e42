//! Faults of TLS on either side that a gateway must survive. After each, other clients are
//! served as before, and a counter or a line says what happened.

use std::{
    fs,
    io::Write as _,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use rustls::ClientConnection;
use rustls_pki_types::ServerName;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use witgate_tests::{
    Http,
    certs::{Authority, Identity, Validity},
    client::trusting,
    eventually,
    gateway::{Gateway, Pool, Setup},
    tls::{Offer, openssl, s_client},
    tls_server::TlsServer,
    upstream::{Manner, Upstream},
    wait::DEADLINE,
};

const URL: &str = "https://shop.example/";

async fn gateway() -> (Upstream, Gateway) {
    let upstream = Upstream::pinned("web-1").await;
    let setup = Setup::new().default_pool("web", Pool::pinned(&[&upstream]));
    (upstream, setup.start().await)
}

/// Others are served as if nothing had happened.
async fn is_well(gateway: &Gateway) {
    for http in [Http::One, Http::Two] {
        assert_eq!(gateway.client(http).get(URL).await.status, 200);
    }
}

async fn failed(gateway: &Gateway, cause: &str) -> f64 {
    let series =
        format!("witgate_handshakes_failed_total{{listener=\"public\",cause=\"{cause}\"}}");
    gateway.metric(&series).await
}

/// The records of a ClientHello for `shop.example`.
fn hello(gateway: &Gateway) -> Vec<u8> {
    let root = gateway.setup().authority().certificate();
    let name = ServerName::try_from("shop.example").unwrap();
    let mut client = ClientConnection::new(trusting(root, &["http/1.1"]), name).unwrap();
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).unwrap();
    bytes
}

/// What comes back before the end or the first pause.
async fn answer(stream: &mut TcpStream) -> Vec<u8> {
    let mut read = vec![0; 64 * 1024];
    let got = tokio::time::timeout(DEADLINE, stream.read(&mut read)).await;
    let got = got.expect("an answer or the end").unwrap_or(0);
    read.truncate(got);
    read
}

async fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

const HANDSHAKE: u8 = 22;
const ALERT: u8 = 21;

#[tokio::test]
async fn fault_14_an_endpoint_that_fails_in_tls_is_told_apart_from_one_that_is_down() {
    let identity = Arc::new(Identity::self_signed(&["web.internal"]));
    let dir = tempfile();
    identity.write(dir.path(), "old");
    let refusing = TlsServer::new(&identity)
        .clients_of(Authority::new("nobody's").certificate())
        .start()
        .await;
    let wrong_alpn = TlsServer::new(&identity).alpn("imap").start().await;
    let silent = Upstream::start("silent", Some(&identity), Manner::Silent).await;
    let plain = Upstream::plain("plain").await;
    let old = OldServer::start(dir.path()).await;
    for (address, cause, status) in [
        (refusing.address(), "tls-failed", 502),
        (wrong_alpn.address(), "protocol-mismatch", 502),
        (silent.address(), "tls-timeout", 504),
        (plain.address(), "tls-failed", 502),
        (old.address, "tls-failed", 502),
        (
            witgate_tests::upstream::refusing().await,
            "connect-refused",
            502,
        ),
    ] {
        let pool = Pool::of(&format!(
            "endpoints = [\"{address}\"]\ntimeouts.tls_handshake = \"500ms\"\n\
             trust.certificates = [\"{}\"]",
            identity.fingerprint()
        ));
        let gateway = Setup::new().default_pool("web", pool).start().await;
        let found = gateway.client(Http::One).get(URL).await;
        assert_eq!(
            (found.cause(), found.status.as_u16()),
            (cause, status),
            "{address}"
        );
        let series = format!(
            "witgate_upstream_errors_total{{pool=\"web\",endpoint=\"{address}\",cause=\"{cause}\"}}"
        );
        assert!(gateway.metric(&series).await >= 1.0, "{address}");
    }
    assert_eq!(plain.requests(), 0);
}

fn tempfile() -> witgate_tests::TempDir {
    witgate_tests::TempDir::new().unwrap()
}

/// `openssl s_server` that speaks TLS 1.0 alone; ends with the test.
struct OldServer {
    address: SocketAddr,
    _process: tokio::process::Child,
}

impl OldServer {
    async fn start(dir: &std::path::Path) -> Self {
        use tokio::io::{AsyncBufReadExt as _, BufReader};
        let mut process = tokio::process::Command::new("openssl")
            .args([
                "s_server",
                "-accept",
                "127.0.0.1:0",
                "-cert",
                "old.pem",
                "-key",
                "old.key",
            ])
            .args(["-tls1", "-cipher", "ALL:@SECLEVEL=0", "-www"])
            .current_dir(dir)
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("openssl is installed");
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let address = loop {
            let line = lines
                .next_line()
                .await
                .unwrap()
                .expect("a line with the address");
            if let Some(address) = line.strip_prefix("ACCEPT ") {
                break address.parse().unwrap();
            }
        };
        Self {
            address,
            _process: process,
        }
    }
}

#[tokio::test]
async fn fault_15_no_byte_of_a_request_reaches_an_endpoint_with_a_wrong_certificate() {
    let name = &["web.internal"];
    let ca = Authority::new("upstreams' root");
    let listed = Identity::self_signed(name);
    let by_ca = |_: &Identity| "roots = [\"ca.pem\"]".to_owned();
    let by_pin = |identity: &Identity| format!("certificates = [\"{}\"]", identity.fingerprint());
    let by_other = |_: &Identity| by_pin(&Identity::self_signed(&["web.internal"]));
    type Trust<'a> = &'a dyn Fn(&Identity) -> String;
    let listed_file = |_: &Identity| "certificates = [\"listed.pem\"]".to_owned();
    let cases: [(Identity, Trust<'_>, &str); 7] = [
        (
            Identity::self_signed(name),
            &by_other,
            "certificate-not-allow-listed",
        ),
        (
            Identity::self_signed_while(name, Validity::Expired),
            &by_pin,
            "certificate-expired",
        ),
        (
            Identity::self_signed_while(name, Validity::NotYet),
            &by_pin,
            "certificate-not-yet-valid",
        ),
        (
            ca.issue(&["mail.internal"]),
            &by_ca,
            "certificate-name-mismatch",
        ),
        (
            Identity::self_signed(name),
            &by_ca,
            "certificate-unknown-issuer",
        ),
        (
            Authority::new("somebody's root").issue(name),
            &by_ca,
            "certificate-unknown-issuer",
        ),
        (
            listed.same_key(),
            &listed_file,
            "certificate-key-listed-only",
        ),
    ];
    for (identity, trust, cause) in cases {
        let upstream = Upstream::tls("web-1", &Arc::new(identity)).await;
        let setup = Setup::new();
        ca.write(setup.dir(), "ca");
        listed.write(setup.dir(), "listed");
        let trust = trust(upstream.identity());
        let pool = Pool::trusting(&[&upstream], &trust).with("server_name = \"web.internal\"");
        let gateway = setup.default_pool("web", pool).start().await;
        for http in [Http::One, Http::Two] {
            let found = gateway.client(http).get(URL).await;
            assert_eq!((found.cause(), found.status.as_u16()), (cause, 502));
        }
        assert_eq!((upstream.bytes(), upstream.requests()), (0, 0), "{cause}");
    }
}

#[tokio::test]
async fn fault_16_connections_whose_certificate_is_not_allowed_any_more_carry_no_request() {
    let upstream = Upstream::pinned("web-1").await;
    let own = upstream.identity().fingerprint();
    let other = Identity::self_signed(&["web.internal"]).fingerprint();
    let listing = |pins: &[&str]| {
        let list = format!("certificates = [\"{}\"]", pins.join("\", \""));
        Pool::trusting(&[&upstream], &list)
    };
    let setup = Setup::new().default_pool("web", listing(&[&own, &other]));
    let mut gateway = setup.start().await;
    let clients: Vec<_> = [Http::One, Http::Two]
        .map(|http| gateway.client(http))
        .into();
    // A request that is on its way when the list changes, and idle connections beside it.
    let held = gateway.client(Http::One);
    let held = tokio::spawn(async move { held.get("https://shop.example/hold").await });
    eventually!("the request", (upstream.requests() == 1).then_some(()));
    for client in &clients {
        for _ in 0..8 {
            assert_eq!(client.get(URL).await.status, 200);
        }
    }
    gateway.configure(|setup| setup.pool("web", listing(&[&other])));
    gateway.reload().await;
    let cause = "certificate-not-allow-listed";
    for client in &clients {
        eventually!(
            "the new list",
            (client.get(URL).await.cause() == cause).then_some(())
        );
    }
    let before = upstream.requests();
    for client in &clients {
        for _ in 0..20 {
            assert_eq!(client.get(URL).await.cause(), cause);
        }
    }
    assert_eq!(upstream.requests(), before);
    // What was on its way ends well, and its connection is not used again either.
    upstream.release(1);
    assert_eq!(held.await.unwrap().status, 200);
    assert_eq!(clients[0].get(URL).await.cause(), cause);
    assert_eq!(upstream.requests(), before);
}

#[tokio::test]
async fn fault_32_a_hello_in_fragments_of_one_byte_is_understood() {
    let (_upstream, gateway) = gateway().await;
    let hello = hello(&gateway);
    // As many segments as bytes.
    let mut stream = connect(gateway.address()).await;
    for byte in &hello {
        stream.write_all(&[*byte]).await.unwrap();
    }
    assert_eq!(answer(&mut stream).await.first(), Some(&HANDSHAKE));
    // As many records as bytes.
    let mut records = Vec::new();
    for byte in &hello[5..] {
        records.extend([HANDSHAKE, 3, 1, 0, 1, *byte]);
    }
    let mut stream = connect(gateway.address()).await;
    stream.write_all(&records).await.unwrap();
    let first = answer(&mut stream).await.first().copied();
    assert_eq!(first, Some(HANDSHAKE));
    is_well(&gateway).await;
}

#[tokio::test]
async fn fault_32_an_oversize_hello_is_cut_off_and_takes_no_memory() {
    let (_upstream, gateway) = gateway().await;
    is_well(&gateway).await;
    let before = gateway.resident();
    for _ in 0..50 {
        let mut stream = connect(gateway.address()).await;
        // A handshake message of 16 MiB is announced, and sent in full records.
        let mut record = vec![HANDSHAKE, 3, 1, 0x40, 0];
        record.extend([1, 0xff, 0xff, 0xff]);
        record.resize(5 + 0x4000, 0);
        let mut sent = 0;
        while sent < 1 << 20 && stream.write_all(&record).await.is_ok() {
            sent += record.len();
        }
        let mut read = Vec::new();
        let ended = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut read)).await;
        assert!(ended.is_ok(), "the gateway ends it");
        assert!(!read.starts_with(&[HANDSHAKE]), "{read:?}");
    }
    is_well(&gateway).await;
    assert!(gateway.resident() < before + (16 << 20));
    assert!(failed(&gateway, "protocol").await + failed(&gateway, "closed").await >= 50.0);
}

#[tokio::test]
async fn fault_32_garbage_is_answered_with_an_alert() {
    let (_upstream, gateway) = gateway().await;
    let mut halves = hello(&gateway);
    let middle = halves.len() / 2;
    halves[middle..].fill(0xff);
    let cases: [&[u8]; 6] = [
        &[0xff; 512],
        &[0; 512],
        b"SSH-2.0-OpenSSH_9.2p1\r\n",
        &[HANDSHAKE, 3, 1, 0, 4, 99, 0, 0, 0],
        &[23, 3, 3, 0, 4, 1, 2, 3, 4],
        &halves,
    ];
    for bytes in cases {
        let mut stream = connect(gateway.address()).await;
        stream.write_all(bytes).await.unwrap();
        let got = answer(&mut stream).await;
        assert!(got.is_empty() || got[0] == ALERT, "{bytes:?}: {got:?}");
    }
    is_well(&gateway).await;
    let counted = failed(&gateway, "protocol").await
        + failed(&gateway, "not-tls").await
        + failed(&gateway, "incompatible").await
        + failed(&gateway, "closed").await;
    assert_eq!(counted, 6.0);
}

#[tokio::test]
async fn fault_32_a_downgrade_is_marked_for_clients_to_notice() {
    let (_upstream, gateway) = gateway().await;
    let root = gateway.setup().authority().certificate();
    let offer = Offer::trusting(root).tls12();
    let name = ServerName::try_from("shop.example").unwrap();
    let mut client = ClientConnection::new(offer.client().config(), name).unwrap();
    let mut hello = Vec::new();
    client.write_tls(&mut hello).unwrap();
    let mut stream = connect(gateway.address()).await;
    stream.write_all(&hello).await.unwrap();
    let got = answer(&mut stream).await;
    // Record, message, version, and the random's last eight bytes (RFC 8446 §4.1.3).
    assert_eq!(&got[5 + 4 + 2 + 24..][..8], b"DOWNGRD\x01");
    is_well(&gateway).await;
}

#[tokio::test]
async fn fault_32_renegotiation_is_refused() {
    let (_upstream, gateway) = gateway().await;
    let address = gateway.address().to_string();
    let arguments = [
        "s_client",
        "-connect",
        &address,
        "-servername",
        "shop.example",
        "-tls1_2",
    ];
    let output = openssl(gateway.setup().dir(), &arguments, "R\n").await;
    let printed = [output.stdout, output.stderr].concat();
    let printed = String::from_utf8_lossy(&printed).into_owned();
    assert!(printed.contains("RENEGOTIATING"), "{printed}");
    assert!(printed.contains("no renegotiation"), "{printed}");
    is_well(&gateway).await;
}

#[tokio::test]
async fn fault_32_early_data_is_never_taken() {
    let (upstream, gateway) = gateway().await;
    let dir = gateway.setup().dir();
    let request = "GET / HTTP/1.1\r\nhost: shop.example\r\nconnection: close\r\n\r\n";
    fs::write(dir.join("early"), request).unwrap();
    let address = gateway.address().to_string();
    let base = [
        "s_client",
        "-connect",
        &address,
        "-servername",
        "shop.example",
        "-tls1_3",
        "-ign_eof",
        "-CAfile",
        "root.pem",
    ];
    let first = [&base[..], &["-sess_out", "session"]].concat();
    openssl(dir, &first, request).await;
    eventually!("the request", (upstream.requests() == 1).then_some(()));
    let second = [&base[..], &["-sess_in", "session", "-early_data", "early"]].concat();
    let output = openssl(dir, &second, request).await;
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(printed.contains("Reused, TLSv1.3"), "{printed}");
    assert!(printed.contains("Early data was not sent"), "{printed}");
    assert_eq!(
        upstream.requests(),
        2,
        "the second was sent once, behind the handshake"
    );
}

#[tokio::test]
async fn fault_32_a_flood_of_key_updates_ends_the_connection() {
    let (_upstream, gateway) = gateway().await;
    let client = Offer::trusting(gateway.setup().authority().certificate()).client();
    let mut stream = client
        .connect(gateway.address(), "shop.example")
        .await
        .unwrap();
    let mut ended = false;
    for _ in 0..100_000 {
        let (_, session) = stream.get_mut();
        session.refresh_traffic_keys().unwrap();
        if stream.flush().await.is_err() {
            ended = true;
            break;
        }
        // The alert that ends it comes in between.
        let mut byte = [0; 1];
        match tokio::time::timeout(Duration::ZERO, stream.read(&mut byte)).await {
            Err(_) => {}
            Ok(Ok(0) | Err(_)) => {
                ended = true;
                break;
            }
            Ok(Ok(_)) => panic!("bytes that nobody asked for"),
        }
    }
    assert!(ended);
    is_well(&gateway).await;
}

#[tokio::test]
async fn fault_32_resets_in_the_handshake_leave_nothing_behind() {
    let (_upstream, gateway) = gateway().await;
    is_well(&gateway).await;
    let hello = hello(&gateway);
    for cut in (0..200).map(|round| round * hello.len() / 200) {
        let mut stream = std::net::TcpStream::connect(gateway.address()).unwrap();
        stream.write_all(&hello[..cut]).unwrap();
        let stream = TcpStream::from_std({
            stream.set_nonblocking(true).unwrap();
            stream
        })
        .unwrap();
        stream.set_zero_linger().unwrap();
        drop(stream);
    }
    // One that the gateway surely looks at first.
    let mut stream = TcpStream::connect(gateway.address()).await.unwrap();
    stream.write_all(&hello[..hello.len() / 2]).await.unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    stream.set_zero_linger().unwrap();
    drop(stream);
    let open = "witgate_connections_open{listener=\"public\"}";
    eventually!(
        "the end of all",
        (gateway.metric(open).await <= 2.0).then_some(())
    );
    is_well(&gateway).await;
    // Some are reset before the gateway has looked at them; those only count as accepted.
    let accepted = gateway
        .metric("witgate_connections_total{listener=\"public\"}")
        .await;
    assert!(accepted >= 200.0, "{accepted}");
    eventually!(
        "a handshake that failed",
        (failed(&gateway, "closed").await >= 1.0).then_some(())
    );
}

#[tokio::test]
async fn fault_32_odd_server_names_get_a_certificate_or_an_alert() {
    let (_upstream, gateway) = gateway().await;
    for name in [
        "shop.example.",
        "127.0.0.1",
        "unknown.example",
        "SHOP.EXAMPLE",
    ] {
        let printed = s_client(
            gateway.setup().dir(),
            gateway.address(),
            &["-servername", name],
        )
        .await;
        assert!(
            printed.contains("subject=CN = shop.example"),
            "{name}: {printed}"
        );
    }
    let printed = s_client(gateway.setup().dir(), gateway.address(), &["-noservername"]).await;
    assert!(printed.contains("subject=CN = shop.example"), "{printed}");
    is_well(&gateway).await;
}

#[tokio::test]
async fn fault_62_a_certificate_is_warned_of_swapped_and_a_bad_one_refused() {
    let upstream = Upstream::pinned("web-1").await;
    let setup = Setup::new().default_pool("web", Pool::pinned(&[&upstream]));
    let dir = setup.dir().to_owned();
    let day = Duration::from_hours(24);
    let until = SystemTime::now() + day;
    setup
        .authority()
        .issue_until(&["shop.example"], until)
        .write(&dir, "gateway");
    let gateway = setup.start().await;
    gateway.logged(&["WARN", "gateway.pem", "expires at"]).await;
    let kept = gateway.client(Http::Two);
    assert_eq!(kept.get(URL).await.status, 200);

    let authority = gateway.setup().authority();
    let presented = async || gateway.raw().await.certificate();
    let next = authority.issue(&["shop.example"]);
    let entries = gateway.log().len();
    next.write(&dir, "gateway");
    eventually!("the new one, without a signal", {
        (presented().await == next.certificate()).then_some(())
    });
    gateway
        .logged_after(entries, &["everything on disk is live"])
        .await;

    let entries = gateway.log().len();
    let wrong = authority.issue(&["shop.example"]);
    fs::write(dir.join("gateway.key"), wrong.key_pem()).unwrap();
    gateway
        .logged_after(
            entries,
            &[
                "ERROR",
                "certificates[0].key",
                "gateway.key",
                "does not fit",
            ],
        )
        .await;
    assert_eq!(gateway.metric("witgate_last_reload_ok").await, 0.0);
    assert_eq!(presented().await, next.certificate());
    assert_eq!(
        kept.get(URL).await.status,
        200,
        "on the connection of the first one"
    );
}

/// Long enough for a gateway to start, short enough to wait for.
const SHORT: Duration = Duration::from_secs(6);

#[tokio::test]
async fn fault_63_validity_follows_the_clock_at_each_handshake() {
    let ca = Authority::new("everybody's root");
    let end = SystemTime::now() + SHORT;
    let identity = Arc::new(ca.issue_until(&["web.internal"], end));
    let endpoint = TlsServer::new(&identity).start().await;
    let setup = Setup::new();
    ca.write(setup.dir(), "ca");
    let pool = Pool::of(&format!(
        "endpoints = [\"{}\"]\nmax_idle = 0\nserver_name = \"web.internal\"\ntrust.roots = [\"ca.pem\"]",
        endpoint.address()
    ));
    let gateway = setup
        .default_pool("web", pool)
        .listener("tls.client_certificates = { mode = \"require\", ca = [\"ca.pem\"] }")
        .start()
        .await;
    let root = gateway.setup().authority().certificate();
    let own = Arc::new(ca.issue_until(&["ada"], end));
    let lasting = Arc::new(ca.issue_client("bob", Validity::Now));
    let ada = Offer::trusting(root.clone()).identity(own, &[]).client();
    let bob = Offer::trusting(root).identity(lasting, &[]).client();
    let address = gateway.address();
    let name = "shop.example";
    // Twice, so that both sides have sessions to resume.
    for _ in 0..2 {
        assert_eq!(ada.get(address, name, name).await.unwrap().status(), 200);
        assert_eq!(bob.get(address, name, name).await.unwrap().status(), 200);
    }
    // No reload, no restart: time passes.
    eventually!("the end of the endpoint's certificate", {
        let found = bob.get(address, name, name).await.unwrap();
        found.answer.contains("certificate-expired").then_some(())
    });
    eventually!(
        "the end of the client's",
        ada.get(address, name, name).await.err()
    );
    eventually!(
        "the count",
        (failed(&gateway, "client-certificate").await >= 1.0).then_some(())
    );
}
