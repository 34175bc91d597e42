//! What a plugin's decision costs: one routing call, and a chain of the three roles, with the
//! reference plugins as `cargo xtask plugins` builds them. Run `cargo bench -p witgate`.

#[path = "plugin/tokens.rs"]
mod tokens;

use std::{hint::black_box, path::PathBuf, sync::Arc, time::Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use http::uri::Authority;
use witgate::{
    config::{PluginLimits, Sidecar},
    plugin::{
        self, CallError, Compiler, Connection, Digest, Lendable, LocalPlugin, NoServices,
        PluginEngine, PoolFacts, Request, RequestId, Response, Signatures, Source, TlsSession,
    },
};

const ROUTES: &str = r#"
[config]
rules = [
  { paths = ["/images/*"], pool = "images" },
  { paths = ["/api/*"], hosts = ["shop.example"], pool = "api" },
]
"#;

const LIMIT: &str = r#"
grants = ["kv"]
[config]
requests = 1_000_000_000
seconds = 3600
"#;

fn plugin_file(name: &str) -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| PathBuf::from("../target"), PathBuf::from);
    target.join("plugins").join(name).with_extension("wasm")
}

async fn load(engine: &PluginEngine, name: &str, sidecar: &str) -> LocalPlugin {
    let path = plugin_file(name);
    let bytes = std::fs::read(&path).unwrap_or_else(|error| {
        panic!(
            "{}: {error}; run `cargo xtask plugins` first",
            path.display()
        )
    });
    let source = Source {
        name: name.into(),
        path,
        digest: Digest::of(&bytes),
        bytes: bytes.into(),
        cases: None,
        signatures: Signatures::default(),
        sidecar: Sidecar::parse(sidecar, "bench.toml".as_ref(), &PluginLimits::DEFAULT)
            .expect("a good sidecar"),
    };
    let version = plugin::load(engine, source, None, 1, |_| {})
        .await
        .expect("a good plugin");
    LocalPlugin::alone(version)
}

fn request() -> Lendable<Request> {
    let (head, ()) = http::Request::get("/api/v1/carts/7?expand=items")
        .header("user-agent", "bench")
        .header("accept", "*/*")
        .header(
            "cookie",
            "theme=dark; ApplicationGatewayAffinity=d02402d1a3fb1fe19acb58557638f9db",
        )
        .body(())
        .expect("a legal request")
        .into_parts();
    let session = TlsSession {
        version: "TLSv1.3".into(),
        cipher: "TLS_AES_128_GCM_SHA256".into(),
        server_name: Some("shop.example".into()),
        alpn: Some("h2".into()),
        client: None,
    };
    let connection = Connection {
        listener: "public".into(),
        peer: ([192, 0, 2, 7], 50000).into(),
        local: ([192, 0, 2, 1], 443).into(),
        tls: Some(session),
    };
    let authority = Authority::from_static("shop.example");
    Lendable::new(Request {
        id: RequestId(7),
        head,
        authority,
        connection: Arc::new(connection),
        original: None,
        access_fields: Vec::new(),
        imports: None,
    })
}

fn response() -> Lendable<Response> {
    let (head, ()) = http::Response::builder()
        .header("content-type", "text/html")
        .body(())
        .expect("legal")
        .into_parts();
    Lendable::new(Response { head })
}

/// Clock and counters, as the gateway has them. Returns when the call ended.
fn counted<R>(plugin: &LocalPlugin, since: Instant, called: Result<R, CallError>) -> Instant {
    let now = Instant::now();
    plugin.called(now.duration_since(since), called.as_ref().err());
    let _ = black_box(called);
    now
}

fn calls(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let engine = PluginEngine::new(Compiler::Here).expect("an engine");
    let (router, sticky, rewriter, limiter) = runtime.block_on(async {
        (
            load(&engine, "path-router", ROUTES).await,
            load(&engine, "cookie-affinity", "").await,
            load(&engine, "forwarded-headers", "").await,
            load(&engine, "rate-limiter", LIMIT).await,
        )
    });
    let pool = Arc::new(PoolFacts {
        name: "api".into(),
        generation: 1,
        endpoints: vec!["a".into(), "b".into()],
    });
    let mut request = request();
    let mut response = response();
    criterion.bench_function("route", |bench| {
        bench.iter(|| {
            runtime.block_on(async {
                let lap = Instant::now();
                counted(
                    &router,
                    lap,
                    router.route(&mut request, &NoServices, lap).await,
                )
            })
        });
    });
    criterion.bench_function("route, prefer, rewrite-request", |bench| {
        bench.iter(|| {
            runtime.block_on(async {
                let lap = Instant::now();
                let lap = counted(
                    &router,
                    lap,
                    router.route(&mut request, &NoServices, lap).await,
                );
                let prefers = sticky.prefer(&mut request, &pool, lap).await;
                let lap = counted(&sticky, lap, prefers);
                let edits = rewriter
                    .rewrite_request(&mut request, &NoServices, lap)
                    .await;
                counted(&rewriter, lap, edits)
            })
        });
    });
    criterion.bench_function("prefer", |bench| {
        bench.iter(|| {
            runtime.block_on(async {
                black_box(sticky.prefer(&mut request, &pool, Instant::now()).await)
            })
        });
    });
    criterion.bench_function("rewrite-request", |bench| {
        bench.iter(|| {
            runtime.block_on(async {
                black_box(
                    rewriter
                        .rewrite_request(&mut request, &NoServices, Instant::now())
                        .await,
                )
            })
        });
    });
    criterion.bench_function("rewrite-response, which does nothing", |bench| {
        bench.iter(|| {
            runtime.block_on(async {
                black_box(
                    rewriter
                        .rewrite_response(&mut request, &mut response, &NoServices, Instant::now())
                        .await,
                )
            })
        });
    });
    criterion.bench_function("count in the store of a rate limit", |bench| {
        bench.iter(|| {
            runtime.block_on(async {
                black_box(
                    limiter
                        .route(&mut request, &NoServices, Instant::now())
                        .await,
                )
            })
        });
    });
    criterion.bench_function("an empty block_on, for subtraction", |bench| {
        bench.iter(|| runtime.block_on(async { black_box(&mut request) }).id);
    });
}

/// Decisions about tokens: one whose signature has to be checked each time, since it lacks a scope
/// and so is never remembered; then one that is good, and known after the first time.
fn authentication(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let engine = PluginEngine::new(Compiler::Here).expect("an engine");
    for token in tokens::all() {
        let mut request = request();
        let value = format!("Bearer {}", token.text);
        let value = value.parse().expect("a legal value");
        request.head.headers.insert("authorization", value);
        for (name, more) in [("checked", "scopes = [\"other\"]"), ("known", "")] {
            let sidecar = token.sidecar(more);
            let plugin = runtime.block_on(load(&engine, "jwt-auth", &sidecar));
            criterion.bench_function(&format!("jwt {}, {name}", token.alg), |bench| {
                bench.iter(|| {
                    runtime.block_on(async {
                        black_box(
                            plugin
                                .route(&mut request, &NoServices, Instant::now())
                                .await,
                        )
                    })
                });
            });
        }
    }
}

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

criterion_group!(benches, calls, authentication);
criterion_main!(benches);
