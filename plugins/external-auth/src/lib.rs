//! Asks a service whether a request may pass: 2xx lets it through and may tell the upstream who
//! it is; a refusal or a redirect of the service is the client's answer.

#![forbid(unsafe_code)]

mod config;
#[cfg(test)]
mod tests;

use witgate_sdk::{
    callout::{self, Answer, Callout, Failure},
    is_plain_path,
    prelude::*,
};

pub use config::Config;
use config::OnError;

/// Fields of a refusal that the client gets.
const REFUSAL: [&str; 5] = [
    "www-authenticate",
    "location",
    "set-cookie",
    "content-type",
    "cache-control",
];

/// The plugin.
#[derive(Debug)]
pub struct ExternalAuth {
    config: Config,
}

impl Plugin for ExternalAuth {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, ConfigError> {
        config.check()?;
        Ok(Self { config })
    }
}

impl AsyncRouting for ExternalAuth {
    async fn route(&self, request: &Request) -> Decision {
        if !self.covers(request.path()) {
            return self.pass(None);
        }
        match self.question(request).send().await {
            Ok(answer) if (200..300).contains(&answer.status) => self.pass(Some(&answer)),
            Ok(answer) if is_refusal(answer.status) => refuse(answer),
            Ok(answer) => self.without_answer(&format!("status {}", answer.status)),
            Err(failure @ (Failure::Timeout | Failure::Unavailable(_))) => {
                self.without_answer(&format!("{failure:?}"))
            }
            // What is wrong with the question may be the client's doing.
            Err(failure) => unasked(&failure),
        }
    }
}

impl ExternalAuth {
    /// As jwt-auth has it: what can be read in two ways gets no exception.
    fn covers(&self, path: &str) -> bool {
        let Config { paths, except, .. } = &self.config;
        let is_covered = paths.is_empty() || paths.iter().any(|p| p.matches_any_case(path));
        let is_excepted = except.iter().any(|pattern| pattern.matches(path));
        !is_plain_path(path) || is_covered && !is_excepted
    }

    fn question(&self, request: &Request) -> Callout {
        let mut question = callout::get(&self.config.pool, &self.config.path)
            .header("x-original-method", request.method())
            .header("x-original-url", request.target_uri())
            .header("x-client-ip", request.peer().ip().to_string());
        for name in &self.config.ask_with {
            for value in request.header_values(name) {
                question = question.header(name, value);
            }
        }
        question
    }

    /// Passes the request on with what the service has said, and with nothing that the client
    /// has said in its place.
    fn pass(&self, answer: Option<&Answer>) -> Decision {
        let mut edits = Vec::new();
        for name in &self.config.tell {
            edits.push(RequestEdit::remove(name));
            let fields = answer.iter().flat_map(|answer| &answer.headers);
            for field in fields.filter(|field| field.name.eq_ignore_ascii_case(name)) {
                edits.push(RequestEdit::append(name, field.value.clone()));
            }
        }
        Decision::pass_with(edits)
    }

    fn without_answer(&self, why: &str) -> Decision {
        log::warn!("no answer that decides: {why}");
        match self.config.on_error {
            OnError::Pass => self.pass(None),
            OnError::Refuse => unavailable(),
        }
    }
}

fn unasked(failure: &Failure) -> Decision {
    log::warn!("the service cannot be asked: {failure:?}");
    unavailable()
}

fn unavailable() -> Decision {
    Route::respond(503)
        .text("authorization is not available\n")
        .rule("external-auth")
        .into()
}

/// All of 4xx: a client that makes the service answer 431 must not pass as if it were not there.
fn is_refusal(status: u16) -> bool {
    matches!(status, 400..=499 | 301 | 302 | 303 | 307 | 308)
}

/// The service's own refusal, as the client gets it.
fn refuse(answer: Answer) -> Decision {
    let mut response = Route::respond(answer.status).rule("external-auth");
    for field in answer.headers {
        if REFUSAL.contains(&field.name.as_str()) {
            response = response.header(field.name, field.value);
        }
    }
    response.body(answer.body).into()
}

witgate_sdk::export!(ExternalAuth: AsyncRouting);
