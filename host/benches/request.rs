//! What parts of a request cost that no plugin takes part in: its fields, the choice of an
//! endpoint, and a handshake with an upstream. Run `cargo bench -p witgate --bench request`.

use std::{fmt::Write as _, hint::black_box, path::Path, sync::Arc, time::Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use http::{HeaderMap, HeaderValue};
use rcgen::{CertificateParams, CertifiedKey, KeyPair};
use rustls::{
    ClientConfig, ClientConnection, ServerConfig, ServerConnection, crypto::aws_lc_rs,
    pki_types::PrivateKeyDer,
};
use witgate::{
    config::{self, Config, PoolTls, Protocol},
    headers,
    metrics::PerWorker,
    pool::{Balancer, Drain, Endpoint, EndpointKey, Member, Pool, Wanted},
    tls::{Fingerprint, upstream},
};

const NAME: &str = "web.internal";

/// A configuration of one pool with these lines.
fn pool(lines: &str) -> config::Pool {
    let text = format!(
        "[[listeners]]\nname = \"public\"\naddress = \"127.0.0.1:0\"\n\
         tls.certificates = [{{ chain = \"a.pem\", key = \"a.key\" }}]\ndefault_pool = \"web\"\n\
         [pools.web]\n{lines}\n"
    );
    let config = Config::parse(&text, Path::new("bench.toml")).expect("a good configuration");
    config.pools.into_iter().next().expect("one pool")
}

fn fields(criterion: &mut Criterion) {
    let mut request = HeaderMap::new();
    for (name, value) in [
        ("host", "shop.example"),
        ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0)"),
        ("accept", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"),
        ("accept-language", "en-GB,en;q=0.5"),
        ("accept-encoding", "gzip, deflate, br"),
        ("connection", "keep-alive"),
        (
            "cookie",
            "theme=dark; session=d02402d1a3fb1fe19acb58557638f9db",
        ),
    ] {
        request.insert(name, HeaderValue::from_static(value));
    }
    criterion.bench_function("fields of a request made fit", |bench| {
        bench.iter(|| {
            let mut fields = request.clone();
            headers::remove_lookalikes(&mut fields);
            headers::join_cookies(&mut fields);
            headers::clean_request(&mut fields);
            fields
        });
    });
    criterion.bench_function("a copy of them, for subtraction", |bench| {
        bench.iter(|| black_box(request.clone()));
    });
}

fn choice(criterion: &mut Criterion) {
    for size in [10, 10_000] {
        for balance in ["round-robin", "least-requests", "random"] {
            let pool = of_endpoints(size, balance);
            let balancer = Balancer::new(&pool.weights, 0);
            let now = Instant::now();
            let mut choose = |name: &str, wanted| {
                criterion.bench_function(&format!("{name}, {size} endpoints"), |bench| {
                    bench.iter(|| black_box(balancer.choose(&pool, wanted, &[], now)));
                });
            };
            choose(balance, Wanted::Any);
            if balance == "round-robin" {
                choose("by affinity", Wanted::Endpoint(Some(size / 2)));
                choose("by a key", Wanted::Key(7));
            }
        }
    }
}

fn of_endpoints(count: usize, balance: &str) -> Pool {
    let mut lines = format!("protocol = \"http\"\nbalance = \"{balance}\"\nendpoints = [");
    for number in 0..count {
        let _ = write!(lines, "\"127.1.{}.{}:80\", ", number / 256, number % 256);
    }
    let config = pool(&(lines + "]"));
    let member = |endpoint: &config::Endpoint| {
        let key = EndpointKey {
            pool: config.name.clone(),
            id: endpoint.id.clone(),
            host: endpoint.host.clone(),
            address: endpoint.id.parse().expect("an address"),
        };
        Member {
            endpoint: Arc::new(Endpoint::new(key, 2, None)),
            weight: 1,
            drain: Drain::No,
        }
    };
    let members = config.endpoints.iter().map(member).collect();
    Pool::new(
        &config,
        None,
        members,
        Vec::new(),
        Arc::new(PerWorker::new(2)),
    )
}

/// A full handshake of TLS 1.3 in memory, both sides: the upstream's side is the same for all.
fn trust(criterion: &mut Criterion) {
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new([NAME.to_owned()]).expect("a name");
    let cert = params.self_signed(&key).expect("a certificate");
    let server = server(&CertifiedKey {
        cert,
        signing_key: key,
    });
    let (fingerprint, server) = server;
    let mut others = String::new();
    for number in 0..1000 {
        let _ = write!(others, "\"sha256:{number:064x}\", ");
    }
    for (name, list) in [
        ("the only one on the list", String::new()),
        ("one of 1,001 on the list", others),
    ] {
        let pool = pool(&format!(
            "endpoints = [\"127.0.0.1:443\"]\nserver_name = \"{NAME}\"\ntrust.certificates = [{list}\"{fingerprint}\"]"
        ));
        let Protocol::Https(trust) = &pool.protocol else {
            panic!("a pool with TLS");
        };
        let context = upstream::Context::load(trust, &PoolTls::default()).expect("a good trust");
        criterion.bench_function(&format!("handshake with an upstream, {name}"), |bench| {
            bench.iter(|| handshake(upstream::with_own_sessions(context.config()), &server));
        });
    }
}

fn server(identity: &CertifiedKey<KeyPair>) -> (Fingerprint, Arc<ServerConfig>) {
    let certificate = identity.cert.der().clone();
    let fingerprint = Fingerprint::of(&certificate);
    let key = PrivateKeyDer::Pkcs8(identity.signing_key.serialize_der().into());
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider has them")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("a key that fits");
    (fingerprint, Arc::new(config))
}

fn handshake(client: Arc<ClientConfig>, server: &Arc<ServerConfig>) {
    let name = NAME.try_into().expect("a name");
    let mut client = ClientConnection::new(client, name).expect("a client");
    let mut server = ServerConnection::new(Arc::clone(server)).expect("a server");
    while client.is_handshaking() || server.is_handshaking() {
        let mut flight = Vec::new();
        client.write_tls(&mut flight).expect("into memory");
        server.read_tls(&mut &flight[..]).expect("from memory");
        server.process_new_packets().expect("a good client");
        flight.clear();
        server.write_tls(&mut flight).expect("into memory");
        client.read_tls(&mut &flight[..]).expect("from memory");
        client.process_new_packets().expect("a trusted server");
    }
}

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

criterion_group!(benches, fields, choice, trust);
criterion_main!(benches);
