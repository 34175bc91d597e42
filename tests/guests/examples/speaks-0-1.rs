//! Uses every function and every case of `witgate:plugin@0.1.0`. `tests/frozen` keeps what this
//! was compiled to when the interface was frozen; from then on it must load and decide alike.

use std::time::Duration;

use witgate_sdk::{access_log, clock, kv, log, metrics, prelude::*, random};

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    pool: String,
}

struct Guest(Config);

impl Plugin for Guest {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, ConfigError> {
        match config.pool.as_str() {
            "" => Err(ConfigError::at("pool", "expected a name")),
            _ => Ok(Self(config)),
        }
    }
}

/// All that can be asked of a request, in one line.
fn everything(request: &Request) -> String {
    let tls = request.tls();
    let certificate = request.client_certificate();
    format!(
        "{} {} {:?} {:?} {} {} {} {:?} {} {} {} {:?} {:?} {} {:?} {} {} {} {:?} {:?} {}",
        request.id().len(),
        request.method(),
        request.version(),
        request.scheme(),
        request.authority(),
        request.host(),
        request.path(),
        request.query(),
        request.target_uri(),
        request.original_uri(),
        request.original_target(),
        request.header_str("x-a"),
        request.header_values("x-a"),
        request.headers().len(),
        request.cookie("c"),
        request.listener(),
        request.peer().ip(),
        request.local().ip(),
        tls.map(|tls| (
            tls.version,
            tls.server_name,
            tls.alpn,
            tls.cipher.is_empty()
        )),
        certificate.map(|certificate| certificate.verification),
        request.client_certificate_chain().len(),
    )
}

/// All that can be granted.
fn granted() -> String {
    let minute = Some(Duration::from_mins(1));
    let counted = kv::increment("count", 1, minute).map(|counted| counted.number);
    let set = kv::set("key", b"value", minute);
    let got = kv::get("key");
    kv::delete("key");
    metrics::count("asked", 1);
    metrics::observe("size", 2.5);
    let time = clock::since_1970() > Duration::ZERO && clock::monotonic() > Duration::ZERO;
    let random = random::bytes(8).len() + usize::from(random::number() == 0);
    format!("{counted:?} {set:?} {got:?} {time} {random}")
}

impl Routing for Guest {
    fn route(&self, request: &Request) -> Route {
        log::info!("asked for {}", request.path());
        access_log::set("path", request.path());
        match request.path() {
            "/pass" => Route::Pass,
            "/everything" => Route::respond(200).text(everything(request)).into(),
            "/granted" => Route::respond(200).rule("granted").text(granted()).into(),
            _ => Route::forward(&self.0.pool)
                .rule("all")
                .edit(RequestEdit::path("/edited"))
                .edit(RequestEdit::query("q=1"))
                .edit(RequestEdit::authority("other.example"))
                .into(),
        }
    }
}

impl Affinity for Guest {
    fn prefer(&self, request: &Request, pool: &Pool) -> Preference {
        match request.cookie("endpoint") {
            Some(id) if pool.endpoints().contains(&id) => Preference::Endpoint(id),
            Some(_) => Preference::Hash(pool.generation()),
            None => Preference::None,
        }
    }

    fn stick(&self, _: &Request, pool: &Pool, id: &str, outcome: Outcome) -> Vec<ResponseEdit> {
        let value = format!("{} {id} {outcome:?}", pool.name());
        vec![ResponseEdit::append("x-stuck", value)]
    }
}

impl Rewriting for Guest {
    fn rewrite_request(&self, _: &Request) -> Vec<RequestEdit> {
        vec![
            RequestEdit::set("x-set", "1"),
            RequestEdit::append("x-a", "3"),
            RequestEdit::remove("x-b"),
        ]
    }

    fn rewrite_response(&self, _: &Request, response: &Response) -> Vec<ResponseEdit> {
        let seen = format!(
            "{} {:?} {} {}",
            response.status(),
            response.header_str("content-type"),
            response.header_values("content-type").len(),
            response.headers().is_empty(),
        );
        vec![
            ResponseEdit::set("x-seen", seen),
            ResponseEdit::remove("content-type"),
        ]
    }
}

witgate_sdk::export!(Guest: Routing, Affinity, Rewriting);
