//! Fields of the plugin's own in the access-log line of the request that the running call is
//! about.
//!
//! ```
//! use witgate_sdk::{access_log, testing};
//!
//! access_log::set("subject", "ada");
//! assert_eq!(testing::access_field("subject").as_deref(), Some("ada"));
//! ```

/// Sets a field, in the line under `fields` and the plugin's name; the last value of a name
/// counts.
///
/// A name has 1 to 64 letters, digits, `_`, `-` or `.` of ASCII; a value is cut at 1 KiB. A
/// request has at most 16 of them, from all plugins together; what is not fit or beyond that is
/// left out. Not in `configure`, where there is no request.
///
/// ```
/// use witgate_sdk::{access_log, testing};
///
/// access_log::set("tenant", "shop");
/// assert_eq!(testing::access_field("tenant").as_deref(), Some("shop"));
/// ```
pub fn set(name: &str, value: &str) {
    #[cfg(target_arch = "wasm32")]
    crate::bindings::access_log::set(name, value);
    #[cfg(not(target_arch = "wasm32"))]
    crate::native::world(|world| world.set_access_field(name, value));
}
