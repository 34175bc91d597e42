//! A plugin on the bindings that wit-bindgen makes of the interface, without the SDK: sends
//! `/api/*` to the pool that its configuration names, and marks the answers.

use std::sync::OnceLock;

use exports::witgate::plugin::{
    lifecycle, rewriting,
    routing::{self, Decision, Forward},
};
use witgate::plugin::{
    request,
    types::{Field, RequestEdit, ResponseEdit},
};

wit_bindgen::generate!({
    path: "../../wit/0.1",
    inline: "
        package local:plugin;

        world plugin {
            import witgate:plugin/request@0.1.0;

            export witgate:plugin/lifecycle@0.1.0;
            export witgate:plugin/routing@0.1.0;
            export witgate:plugin/rewriting@0.1.0;
        }
    ",
    world: "local:plugin/plugin",
    generate_all,
});

/// The `[config]` table of the sidecar.
#[derive(serde::Deserialize)]
struct Config {
    pool: String,
}

static CONFIG: OnceLock<Config> = OnceLock::new();

struct Plugin;

impl lifecycle::Guest for Plugin {
    fn configure(config: String) -> Result<(), String> {
        let config = serde_json::from_str(&config).map_err(|error| error.to_string())?;
        CONFIG
            .set(config)
            .map_err(|_| "configured twice".to_owned())
    }
}

impl routing::Guest for Plugin {
    fn route() -> Decision {
        match CONFIG.get() {
            Some(config) if request::path().starts_with("/api/") => Decision::Forward(Forward {
                pool: config.pool.clone(),
                rule: Some("bindings".to_owned()),
                edits: Vec::new(),
            }),
            _ => Decision::Pass,
        }
    }
}

impl rewriting::Guest for Plugin {
    fn rewrite_request() -> Vec<RequestEdit> {
        Vec::new()
    }

    fn rewrite_response() -> Vec<ResponseEdit> {
        vec![ResponseEdit::Set(Field {
            name: "x-routed-by".to_owned(),
            value: b"bindings".to_vec(),
        })]
    }
}

export!(Plugin);
