//! The same requests through Witgate and through nginx in front of the same upstreams: equal
//! statuses, bodies and fields, but for the differences of a list that gives the reason of each.
//! `docs/compared-with-nginx.md` shows that list.

mod ask;
mod cases;
mod differences;
mod outcome;

use std::{
    collections::{BTreeMap, HashSet},
    fmt::Write as _,
    net::SocketAddr,
    path::Path,
    sync::Arc,
};

use tokio::{sync::Semaphore, task::JoinSet};
use witgate_tests::{
    Http,
    certs::{GATEWAY_NAMES, Identity},
    gateway::{Gateway, Pool, Setup},
    nginx::Nginx,
    upstream::{Upstream, refusing},
    wasm,
};

use ask::{Ask, Proxy, message};
use cases::Case;
use differences::{DIFFERENCES, Difference};

/// Requests at a time; one core has two proxies and the upstreams to run.
const AT_ONCE: usize = 4;

/// The two proxies and what is behind them; upstreams answer as long as this lives.
struct Bench {
    nginx: Nginx,
    gateway: Gateway,
    _upstreams: Vec<Upstream>,
}

impl Bench {
    async fn start() -> Self {
        let identity = Arc::new(Identity::self_signed(&["web.internal"]));
        let good = Upstream::tls("web-1", &identity).await;
        let limits = "[limits]\ntarget_bytes = \"8KiB\"\nhead_fields = 1000\n\
            [timeouts]\nbody_idle = \"2s\"";
        let pool = |upstream: &Upstream| {
            Pool::pinned(&[upstream]).with("timeouts = { first_byte = \"2s\" }")
        };
        let mut setup = Setup::new()
            .table(limits)
            .listener("requests.body_bytes = \"1MiB\"")
            .default_pool("web", pool(&good))
            .plugin("10-path-router", &wasm::reference("path-router"));
        let mut routes: Vec<(String, SocketAddr)> = vec![("/".to_owned(), good.address())];
        let mut rules = String::new();
        let mut upstreams = vec![good];
        for (name, manner, bytes) in cases::faults() {
            let upstream = Upstream::start(name, Some(&identity), manner(bytes)).await;
            setup = setup.pool(name, pool(&upstream));
            routes.push((format!("/bad/{name}"), upstream.address()));
            upstreams.push(upstream);
        }
        let refused = refusing().await;
        setup = setup.pool("refused", Pool::of(&refused_pool(refused, &identity)));
        routes.push(("/bad/refused".to_owned(), refused));
        for (path, _) in &routes[1..] {
            let pool = path.trim_start_matches("/bad/");
            let _ = writeln!(
                rules,
                "[[config.rules]]\npaths = ['{path}']\npool = '{pool}'"
            );
        }
        let certificate = setup.authority().issue(&GATEWAY_NAMES);
        Self {
            nginx: Nginx::start(&certificate, &identity, &routes).await,
            gateway: setup.sidecar("10-path-router", &rules).start().await,
            _upstreams: upstreams,
        }
    }

    /// nginx and Witgate.
    fn proxies(&self) -> [Proxy; 2] {
        let root = self.gateway.setup().authority().certificate();
        [self.nginx.address(), self.gateway.address()].map(|address| Proxy {
            address,
            root: root.clone(),
        })
    }
}

fn refused_pool(address: SocketAddr, identity: &Identity) -> String {
    let pin = identity.fingerprint();
    format!("endpoints = [\"{address}\"]\ntrust.certificates = [\"{pin}\"]")
}

/// A difference as found: over what, and both sides of it.
type Found = (String, String, String);

/// Compares one case over both versions.
async fn compare(case: &Case, [nginx, witgate]: [Proxy; 2]) -> Vec<Found> {
    let mut found: Vec<Found> = Vec::new();
    for (http, over) in [(Http::One, "h1"), (Http::Two, "h2")] {
        let (theirs, ours) = tokio::join!(nginx.ask(&case.1, http), witgate.ask(&case.1, http));
        let (Some(theirs), Some(ours)) = (theirs, ours) else {
            continue;
        };
        let (theirs, ours) = theirs.differences(&ours);
        match found
            .iter_mut()
            .find(|(_, a, b)| (a, b) == (&theirs, &ours))
        {
            _ if theirs == ours => {}
            Some((both, _, _)) => *both = "h1, h2".to_owned(),
            None => found.push((over.to_owned(), theirs, ours)),
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn equal_but_for_a_list_of_differences() {
    let bench = Bench::start().await;
    let mut cases = cases::all();
    let refused = message("GET", "/bad/refused");
    cases.push(("upstream: refused".to_owned(), Ask::Message(refused)));
    assert!(cases.len() >= 60);
    let names: HashSet<_> = cases.iter().map(|(name, _)| name.clone()).collect();
    assert_eq!(names.len(), cases.len(), "two cases of one name");

    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut running = JoinSet::new();
    for case in cases.clone() {
        let (proxies, places) = (bench.proxies(), Arc::clone(&places));
        running.spawn(async move {
            let _place = places.acquire().await;
            (case.0.clone(), compare(&case, proxies).await)
        });
    }
    let mut found: BTreeMap<String, Vec<Found>> = running.join_all().await.into_iter().collect();
    let mut wrong = String::new();
    for (name, _) in &cases {
        let found = found.remove(name).unwrap_or_default();
        let listed = DIFFERENCES.iter().filter(|row| row.case == name);
        let listed: Vec<Found> = listed.map(Difference::found).collect();
        for (over, nginx, witgate) in found.iter().filter(|row| !listed.contains(row)) {
            let _ = writeln!(
                wrong,
                "not on the list: Difference {{ case: {name:?}, over: {over:?}, nginx: {nginx:?}, witgate: {witgate:?}, why: \"\" }},"
            );
        }
        for row in listed.iter().filter(|row| !found.contains(row)) {
            let _ = writeln!(wrong, "on the list and not found: {name:?}: {row:?}");
        }
    }
    for row in DIFFERENCES.iter().filter(|row| !names.contains(row.case)) {
        let _ = writeln!(wrong, "on the list and no case: {:?}", row.case);
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// `WRITE_DOCS=1` writes it.
#[test]
fn the_page_shows_the_list() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/compared-with-nginx.md");
    let text = std::fs::read_to_string(&page).unwrap();
    let (before, rest) = text.split_once(differences::BEGIN).unwrap();
    let (shown, after) = rest.split_once(differences::END).unwrap();
    let table = differences::table();
    if std::env::var_os("WRITE_DOCS").is_some() {
        let (begin, end) = (differences::BEGIN, differences::END);
        std::fs::write(&page, format!("{before}{begin}{table}{end}{after}")).unwrap();
        return;
    }
    assert_eq!(shown, table, "run this test with WRITE_DOCS=1");
    let count = cases::all().len() + 1;
    assert!(
        text.contains(&format!("{count} requests")),
        "{count} requests"
    );
}
