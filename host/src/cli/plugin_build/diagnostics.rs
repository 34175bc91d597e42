//! What the compiler says, which cargo passes on as JSON: shown as it is, and known where it is about
//! what no plugin has.

use std::io::{self, IsTerminal as _, Write as _};

use serde::Deserialize;

/// What getrandom's refusal to be compiled has in all its versions.
const NO_RANDOM: [&str; 2] = ["are not supported by default", "getrandom"];
/// What mends that.
const RANDOM: &str = "getrandom, which some crate needs, has no random numbers in a plugin: use witgate_sdk::random, with \
    `grants = [\"random\"]` in the sidecar, and do without that crate or its feature (`cargo tree -i getrandom` says which)";
/// Goes to the begin of the line and clears it, where cargo draws its progress.
const CLEAR: &str = "\r\x1b[K";

/// A message of the compiler.
#[derive(Debug, Deserialize)]
pub(super) struct Diagnostic {
    /// As people read it, with colours when cargo was asked for them.
    rendered: Option<String>,
}

impl Diagnostic {
    /// Shows it on stderr.
    pub(super) fn show(&self) {
        let Some(text) = &self.rendered else {
            return;
        };
        let mut stderr = io::stderr().lock();
        let clear = if stderr.is_terminal() { CLEAR } else { "" };
        let _ = write!(stderr, "{clear}{text}");
    }

    /// What mends it, where that is known.
    pub(super) fn mend(&self) -> Option<&'static str> {
        let text = self.rendered.as_deref()?;
        let is_refusal = NO_RANDOM.iter().all(|words| text.contains(words));
        is_refusal.then_some(RANDOM)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mend(rendered: &str) -> Option<&'static str> {
        let rendered = Some(rendered.to_owned());
        Diagnostic { rendered }.mend()
    }

    #[test]
    fn all_versions_of_getrandom_are_known() {
        // 0.2, 0.3 and 0.4.
        for words in [
            "the wasm*-unknown-unknown targets are not supported by default, you may need to enable the \"js\"",
            "The wasm32-unknown-unknown targets are not supported by default; you may need to enable the \"wasm_js\"",
            "The wasm32/64-unknown-unknown are not supported by default; you may need to enable the \"wasm_js\"",
        ] {
            let rendered =
                format!("error: {words}: https://docs.rs/getrandom/#webassembly-support");
            assert!(mend(&rendered).is_some_and(|mend| mend.contains("witgate_sdk::random")));
        }
        assert_eq!(mend("error: expected `;`"), None);
    }
}
