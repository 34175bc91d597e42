//! `[plugins]`, and the sidecars of plugins.

use serde::Deserialize;
use witgate_schema::Schema;

use super::{Duration, Size};

tables! {
    /// Which files may be taken into service.
    PluginTrust {
        /// Files with these digests may be taken into service.
        #[schema(range = r#"list of `"sha256:…"`"#, default = "none")]
        digests: Option<Vec<String>>,
        /// So may files that one of these [minisign](https://jedisct1.github.io/minisign/) keys
        /// has signed. A `minisign.pub`, or its second line here.
        #[schema(range = "list of paths and of base64 lines", default = "none")]
        keys: Option<Vec<String>>,
        /// Sidecars need the same. See [Trust in files](#trust-in-files).
        #[schema(default = "false")]
        sidecars: Option<bool>,
    }
    /// The store of a plugin.
    Kv {
        /// Entries that the plugin may keep; only with `"kv"` in `grants`.
        #[schema(least = 1, most = 1000000, default = "10000")]
        entries: Option<i64>,
        /// What they may take: key and value, and 256 bytes for each entry.
        #[schema(range = "size, 64KiB to 1GiB", default = r#""16MiB""#)]
        bytes: Option<Size>,
    }
    /// What a plugin may ask while it decides.
    Callout {
        /// Pools that the plugin may ask while it decides; only with `"callout"` in `grants`.
        /// One that the configuration does not declare is warned of, and cannot be asked.
        #[schema(range = "list of names of pools, not empty", default = r#"required with `"callout"`"#)]
        pools: Vec<String>,
        /// Until an answer has to be whole.
        #[schema(range = "duration, 1ms to 1min", default = r#""1s""#)]
        timeout: Option<Duration>,
        /// The most that an answer's body may have.
        #[schema(range = "size, 0 to 8MiB", default = r#""64KiB""#)]
        bytes: Option<Size>,
        /// Callouts in one call of the plugin.
        #[schema(least = 1, most = 16, default = "4")]
        per_call: Option<i64>,
    }
    /// What a plugin may read of a request's body.
    Body {
        /// The most that the plugin may read of a request's body before it decides; only with
        /// `"body"` in `grants`.
        #[schema(range = "size, 1 to 8MiB", default = r#""64KiB""#)]
        bytes: Option<Size>,
        /// Until the client has to have sent it.
        #[schema(range = "duration, 1ms to 1min", default = r#""5s""#)]
        timeout: Option<Duration>,
    }
    /// What a new version goes through before it is live.
    Rollout {
        /// It is asked as well, on a copy, and its decisions are only compared.
        shadow: Option<Shadow>,
        /// It decides for some clients.
        canary: Option<Stage>,
    }
    /// A version that is asked as well, and whose decisions are only compared.
    Shadow {
        /// Percent: of requests for a shadow; of clients, by IP address, for a canary. A client
        /// keeps its version.
        #[schema(least = 1, most = 100, default = "10")]
        share: Option<i64>,
        /// The stage is passed after so many requests.
        #[schema(default = "none")]
        requests: Option<i64>,
        /// The stage is passed after this time, if there was a request. With both, whichever
        /// comes first; with neither, only by `witgate plugin promote`.
        #[serde(rename = "for")]
        #[schema(range = "duration, 1s to 30d", default = "none")]
        time: Option<Duration>,
        /// Failed calls and refused decisions, percent of the stage's requests (of 100, while
        /// there were fewer). When there are more, the version is rolled back at once.
        #[schema(least = 0, most = 100, default = "1")]
        max_errors: Option<i64>,
        /// Only of a shadow: decisions that are not those of the version in service, percent.
        /// When there are more, the stage is not passed by itself: promote it or roll it back.
        #[schema(least = 0, most = 100, default = "0")]
        max_differences: Option<i64>,
        /// Only of a shadow: what becomes of its callouts. See below.
        #[schema(choice("reuse", "make", "refuse"), default = r#""reuse""#)]
        callouts: Option<String>,
    }
    /// A version that decides for some clients.
    Stage {
        /// Percent: of requests for a shadow; of clients, by IP address, for a canary. A client
        /// keeps its version.
        #[schema(least = 1, most = 100, default = "10")]
        share: Option<i64>,
        /// The stage is passed after so many requests.
        #[schema(default = "none")]
        requests: Option<i64>,
        /// The stage is passed after this time, if there was a request. With both, whichever
        /// comes first; with neither, only by `witgate plugin promote`.
        #[serde(rename = "for")]
        #[schema(range = "duration, 1s to 30d", default = "none")]
        time: Option<Duration>,
        /// Failed calls and refused decisions, percent of the stage's requests (of 100, while
        /// there were fewer). When there are more, the version is rolled back at once.
        #[schema(least = 0, most = 100, default = "1")]
        max_errors: Option<i64>,
    }
    /// One policy for each role.
    OnErrorRoles {
        /// Of routing.
        #[schema(choice("fail-closed", "fail-open"))]
        routing: Option<String>,
        /// Of affinity.
        #[schema(choice("fail-closed", "fail-open"))]
        affinity: Option<String>,
        /// Of rewriting.
        #[schema(choice("fail-closed", "fail-open"))]
        rewriting: Option<String>,
    }
}
