//! The configuration file as it is written: only shapes are checked here, and unknown keys
//! refused. Ranges, names and references are left to `parse`.
//!
//! What is said here of a key, in comments and in `#[schema(…)]`, is what the reference
//! (docs/configuration.md) and `witgate schema` say; `reference` sees to it.

use std::collections::BTreeMap;

use serde::Deserialize;
use witgate_schema::{Anything, Schema};

macro_rules! tables {
    ($($(#[$doc:meta])* $name:ident { $($(#[$attribute:meta])* $field:ident: $type:ty,)* })*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Default, Deserialize, Schema)]
            #[serde(deny_unknown_fields, expecting = "a table")]
            #[schema(crate = witgate_schema)]
            pub(in crate::config) struct $name {
                $($(#[$attribute])* pub(in crate::config) $field: $type,)*
            }
        )*
    };
}

mod gateway;
mod listeners;
mod plugins;
mod pools;
mod values;
mod words;

pub(super) use gateway::*;
pub(super) use listeners::*;
pub(super) use plugins::*;
pub(super) use pools::*;
pub(super) use values::{Duration, Endpoint, OnError, Size, Statuses};
pub(super) use words::{closest, one_of, read};

/// Tables that have the keys of `PluginLimits` beside their own.
macro_rules! plugin_tables {
    ($($(#[$doc:meta])* $name:ident { $($own:tt)* })*) => {
        plugin_tables! { @limits
            /// Wall time of one call of a plugin. A call that an overloaded machine kept from
            /// running gets at least five slices.
            #[schema(range = "duration, 1ms to 60s", default = r#""50ms""#)]
            deadline: Option<Duration>,
            /// How long a call may hold its worker before other requests get their turn, for 1 ms;
            /// rounded up to whole steps of 2 ms.
            #[schema(range = "duration, 2ms to 1s", default = r#""2ms""#)]
            slice: Option<Duration>,
            /// Percent of a worker's time that the plugin's calls may take, all together, after
            /// their first slice. See [Time](#time-of-plugins).
            #[schema(least = 0, most = 100, default = "2")]
            overtime: Option<i64>,
            /// Linear memory of one instance of a plugin.
            #[schema(range = "size, 64KiB to 1GiB", default = r#""32MiB""#)]
            memory: Option<Size>,
            /// Elements of each table of an instance.
            #[schema(least = 1, most = 100000, default = "10000")]
            table: Option<i64>,
            /// Stack of one call, in steps of 64 KiB. At most four sizes other than the default are
            /// in use at a time: see [Instances](#instances-and-stacks).
            #[schema(range = "size, 64KiB to 8MiB", default = r#""512KiB""#)]
            stack: Option<Size>,
            /// What one call may hand over in lists and strings, bytes as laid out in the gateway's
            /// memory.
            #[schema(range = "size, 1KiB to 64MiB", default = r#""1MiB""#)]
            output: Option<Size>,
            /// Lines that one instance may log each second; further ones are counted.
            #[schema(least = 0, most = 100000, default = "100")]
            log_lines: Option<i64>,
            /// Largest file that is read.
            #[schema(range = "size, 1KiB to 256MiB", default = r#""64MiB""#)]
            file_size: Option<Size>,
            /// How long the compiler may take. Compiling happens in a process of its own; about a
            /// second for each 500 kB.
            #[schema(range = "duration, 100ms to 10m", default = r#""2m""#)]
            compile_timeout: Option<Duration>,
            /// What that process may use. A plugin of 200 kB takes some 40 MiB, one of 12 MB, as
            /// the tools for JavaScript make them, some 600 MiB.
            #[schema(range = "size, 64MiB to 64GiB", default = r#""1GiB""#)]
            compile_memory: Option<Size>,
            /// Calls at a time on one worker, and so instances. All plugins together have at most
            /// 2,000 instances in the process: see [Instances](#instances-and-stacks).
            #[schema(least = 1, most = 1000, default = "64")]
            instances: Option<i64>,
            /// `reuse`: an instance serves one call after another, and keeps what it derived.
            /// `request`: each call gets a new instance, which has never seen another request; that
            /// costs some 30 µs a call, and what `configure` takes.
            #[schema(choice("reuse", "request"), default = r#""reuse""#)]
            isolation: Option<String>,
            /// Calls after which an instance is replaced. 0: never. One whose call failed or was
            /// given up is never used again.
            #[schema(least = 0, most = 1000000000, default = "100000")]
            recycle_after: Option<i64>,
            /// Failed calls in a row, on one worker, after which that worker does not call the
            /// plugin for a while: `on_error` says what that means. One call that comes back ends
            /// the row. 0: never, as is better for a plugin that only some requests make fail.
            #[schema(least = 0, most = 1000000, default = "50")]
            suspend_after: Option<i64>,
            /// How long, the first time. Then one call decides: when it fails too, for twice as
            /// long as before.
            #[schema(range = "duration, 1ms to 1d", default = r#""100ms""#)]
            suspend_for: Option<Duration>,
            /// How long at most.
            #[schema(range = "duration, 1ms to 1d", default = r#""10s""#)]
            suspend_at_most: Option<Duration>,
            /// When a call fails or decides what is not allowed: the client gets 500, or the plugin
            /// counts as having had no opinion. `{ rewriting = "fail-open" }` sets it for one role.
            #[schema(range = r#"`"fail-closed"`, `"fail-open"`, or a table with `routing`, `affinity`, `rewriting`"#, default = r#""fail-closed""#)]
            on_error: Option<OnError>,
            => $($(#[$doc])* $name { $($own)* })*
        }
    };
    (@limits $($(#[$attribute:meta])* $limit:ident: $type:ty,)* => $($table:tt)*) => {
        tables! {
            /// What each plugin may use, and what becomes of those that fail.
            PluginLimits { $($(#[$attribute])* $limit: $type,)* }
        }
        plugin_tables! { @tables [$($(#[$attribute])* $limit: $type,)*] $($table)* }
    };
    (@tables [$($(#[$attribute:meta])* $limit:ident: $type:ty,)*]) => {};
    (@tables [$($(#[$attribute:meta])* $limit:ident: $type:ty,)*] $(#[$doc:meta])* $name:ident { $($own:tt)* } $($more:tt)*) => {
        tables! { $(#[$doc])* $name { $($own)* $($(#[$attribute])* $limit: $type,)* } }
        impl $name {
            /// Takes the limits out.
            pub(in crate::config) fn take_limits(&mut self) -> PluginLimits {
                PluginLimits { $($limit: self.$limit.take(),)* }
            }
        }
        plugin_tables! { @tables [$($(#[$attribute])* $limit: $type,)*] $($more)* }
    };
}

/// What a sidecar says of its plugin's grants.
pub(super) struct Grants {
    pub(super) grants: Option<Vec<String>>,
    pub(super) kv: Option<Kv>,
    pub(super) callout: Option<Callout>,
    pub(super) body: Option<Body>,
}

plugin_tables! {
    /// The folder of plugins, and what they may use.
    Plugins {
        /// The watched folder, with files `NN-name.wasm`. It must exist.
        #[schema(range = "path")]
        dir: String,
        /// Memory of all instances of all plugins together.
        #[schema(range = "size, 1MiB to 1024GiB", default = r#""4GiB""#)]
        total_memory: Option<Size>,
        /// What is kept of requests' bodies for plugins that read them (the grant `"body"`),
        /// all together. Room is taken before a body is read, for as many bytes as are asked
        /// for or as there can be, and given back once they are on their way upstream. Without
        /// room the call fails (`plugin-memory`): `on_error` applies. A shadow is told `gone`.
        #[schema(range = "size, 1MiB to 1024GiB", default = r#""256MiB""#)]
        total_bodies: Option<Size>,
        trust: Option<PluginTrust>,
        /// Where compiled code is kept, so that a start or a swap to a version that was there
        /// before need not compile. See [Compiled code](#compiled-code).
        #[schema(range = "path", default = "none")]
        cache: Option<String>,
        /// All of it; what has not been used for longest makes room.
        #[schema(range = "size, 1MiB to 1024GiB", default = r#""256MiB""#)]
        cache_size: Option<Size>,
        /// Where versions of plugins outlive the process: what was rolled back stays so, and
        /// what was in service before can be gone back to. See [Versions on
        /// disk](#versions-on-disk).
        #[schema(range = "path", default = "none")]
        state: Option<String>,
        /// The files of all versions in it. Those in service come first, then of each plugin
        /// the one before.
        #[schema(range = "size, 1MiB to 1024GiB", default = r#""256MiB""#)]
        state_size: Option<Size>,
    }
    /// What an operator says of one plugin: the file `NN-name.toml` beside it.
    Sidecar {
        /// Use only these of its roles.
        #[schema(range = r#"list of `"routing"`, `"affinity"`, `"rewriting"`, not empty"#, default = "all that it has")]
        roles: Option<Vec<String>>,
        /// What the plugin may import beside the facts of a request: see below.
        #[schema(range = r#"list of `"clock"`, `"random"`, `"kv"`, `"metrics"`, `"callout"`, `"body"`"#, default = "nothing")]
        grants: Option<Vec<String>>,
        kv: Option<Kv>,
        callout: Option<Callout>,
        body: Option<Body>,
        /// What a new version goes through before it is live: see
        /// [Rollout](#rollout-of-plugins).
        #[serde(default)]
        #[schema(default = "empty")]
        rollout: Rollout,
        /// Handed to the plugin as JSON. Its keys are in the plugin's README, and in its
        /// [schema](interface.md#the-schema-of-a-configuration). Dates and times become
        /// strings.
        #[serde(default)]
        #[schema(range = "table", as = BTreeMap<String, Anything>, default = "empty")]
        config: toml::Table,
    }
}
