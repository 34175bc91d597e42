//! Numbers of the plugin's own on the gateway's metrics page, under the labels `plugin` and
//! `name`; for plugins whose sidecar has `grants = ["metrics"]`. May be used at any moment, in
//! `configure` too.
//!
//! A name has 1 to 64 letters, digits, `_`, `-`, `.` or `:` of ASCII. A plugin may have 100
//! counters and 100 histograms; what is beyond is dropped and told to the log.
//!
//! ```
//! use witgate_sdk::{metrics, testing};
//!
//! metrics::count("refused", 1);
//! metrics::observe("weight", 2.5);
//! assert_eq!(testing::counted("refused"), 1);
//! assert_eq!(testing::observed("weight"), [2.5]);
//! ```

/// Adds to the counter `witgate_plugin_custom_events_total` of this name.
///
/// ```
/// use witgate_sdk::{metrics, testing};
///
/// metrics::count("refused", 2);
/// assert_eq!(testing::counted("refused"), 2);
/// ```
pub fn count(name: &str, by: u64) {
    #[cfg(target_arch = "wasm32")]
    crate::bindings::metrics::count(name, by);
    #[cfg(not(target_arch = "wasm32"))]
    crate::native::world(|world| world.count(name, by));
}

/// Enters one value into the histogram `witgate_plugin_custom_values` of this name. The buckets
/// end at 0.001, 0.0025, 0.005, 0.01 and so on up to 1000, then at 10,000, 100,000 and 1,000,000.
///
/// ```
/// use witgate_sdk::{metrics, testing};
///
/// metrics::observe("age_seconds", 0.5);
/// assert_eq!(testing::observed("age_seconds"), [0.5]);
/// ```
pub fn observe(name: &str, value: f64) {
    #[cfg(target_arch = "wasm32")]
    crate::bindings::metrics::observe(name, value);
    #[cfg(not(target_arch = "wasm32"))]
    crate::native::world(|world| world.observe(name, value));
}
