//! Asks a pool before it routes, and looks at the start of bodies: what the tests of waiting
//! plugins need, chosen by the path.

use std::time::Duration;

use witgate_sdk::{callout, prelude::*};

struct Waits;

impl Plugin for Waits {
    type Config = NoConfig;

    fn configure(_: NoConfig) -> Result<Self, ConfigError> {
        Ok(Self)
    }
}

impl AsyncRouting for Waits {
    async fn route(&self, request: &Request) -> Decision {
        let path = request.path();
        match path.split('/').nth(1).unwrap_or_default() {
            "ask" => {
                let query = request.query().map(|query| format!("?{query}"));
                let path = path.replacen("/ask", "", 1) + &query.unwrap_or_default();
                asked(callout::get("auth", path)).await
            }
            "ask-another" => asked(callout::get("web", "/")).await,
            "ask-post" => {
                asked(callout::post("auth", "/echo", "a question").header("x-asked", "1")).await
            }
            "ask-badly" => asked(callout::get("auth", "no path")).await,
            "ask-framing" => asked(callout::get("auth", "/").header("content-length", "5")).await,
            "ask-briefly" => {
                asked(callout::get("auth", "/hang").timeout(Duration::from_millis(50))).await
            }
            "ask-often" => {
                let mut last = String::new();
                for _ in 0..10 {
                    last = said(callout::get("auth", "/").send().await);
                }
                Route::respond(200).body(last).into()
            }
            "body" => {
                let most = request.query().and_then(|most| most.parse().ok());
                match request.body_start(most.unwrap_or(16)).await {
                    Ok(start) if start.bytes.starts_with(b"bad") => Route::respond(403).into(),
                    Ok(start) => {
                        let text: String = start
                            .bytes
                            .iter()
                            .take(32)
                            .map(|byte| *byte as char)
                            .collect();
                        let seen = format!("{}|{}", text.replace('\0', ""), start.complete);
                        Route::forward("web")
                            .edit(RequestEdit::set("x-seen", seen))
                            .into()
                    }
                    Err(failure) => Route::respond(400).body(format!("{failure:?}")).into(),
                }
            }
            "loop" => {
                let asked = callout::get("auth", "/").send().await;
                let mut turns = u64::from(asked.is_ok());
                loop {
                    turns = std::hint::black_box(turns + 1);
                }
            }
            "never" => std::future::pending().await,
            "panic" => {
                let asked = callout::get("auth", "/").send().await;
                panic!("after {}", said(asked));
            }
            _ => Decision::pass(),
        }
    }
}

async fn asked(callout: callout::Callout) -> Decision {
    Route::respond(200).body(said(callout.send().await)).into()
}

fn said(answer: Result<callout::Answer, callout::Failure>) -> String {
    match answer {
        Ok(answer) => format!("{} {}", answer.status, answer.text().unwrap_or_default()),
        Err(failure) => format!("{failure:?}"),
    }
}

impl AsyncRewriting for Waits {
    async fn rewrite_response(&self, request: &Request, _: &Response) -> Vec<ResponseEdit> {
        match request.header_str("x-stamp").as_deref() {
            None => Vec::new(),
            Some("body") => {
                let stamp = match request.body_start(4).await {
                    Ok(start) => format!("{} bytes", start.bytes.len()),
                    Err(failure) => format!("{failure:?}"),
                };
                vec![ResponseEdit::set("x-stamp", stamp)]
            }
            Some(_) => {
                let stamp = said(callout::get("auth", "/status/204").send().await);
                vec![ResponseEdit::set("x-stamp", stamp)]
            }
        }
    }
}

witgate_sdk::export!(Waits: AsyncRouting, AsyncRewriting);
