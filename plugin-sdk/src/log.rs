//! Lines for the gateway's log, under the plugin's name; on stderr in native tests.
//!
//! `log::trace!`, `log::debug!`, `log::info!`, `log::warn!` and `log::error!` take what
//! `format!` takes. They cost one call into the gateway when their level is off; the line is
//! then not made at all.
//!
//! ```
//! use witgate_sdk::log;
//!
//! log::warn!("no rule for {}", "/api");
//! if log::enabled(log::Level::Debug) {
//!     // something costly, only for the log
//! }
//! ```

/// How much a line matters.
///
/// ```
/// use witgate_sdk::log::Level;
///
/// assert!(Level::Trace < Level::Debug && Level::Warn < Level::Error);
/// ```
#[doc(inline)]
pub use crate::bindings::log::Level;

/// What only matters step by step, in a line of level trace; takes what `format!` takes.
///
/// ```
/// use witgate_sdk::log;
///
/// log::trace!("rule {} does not match", 7);
/// ```
#[doc(inline)]
pub use crate::__trace as trace;

/// What helps to find a fault, in a line of level debug; takes what `format!` takes.
///
/// ```
/// use witgate_sdk::log;
///
/// let path = "/api";
/// log::debug!("{path} falls under rule {}", 7);
/// ```
#[doc(inline)]
pub use crate::__debug as debug;

/// What an operator may like to know, in a line of level info; takes what `format!` takes.
///
/// ```
/// use witgate_sdk::log;
///
/// log::info!("{} rules", 12);
/// ```
#[doc(inline)]
pub use crate::__info as info;

/// What an operator should look at, in a line of level warn; takes what `format!` takes.
///
/// ```
/// use witgate_sdk::log;
///
/// let path = "/api";
/// log::warn!("no rule for {path:?}");
/// ```
#[doc(inline)]
pub use crate::__warn as warn;

/// What has gone wrong, in a line of level error; takes what `format!` takes.
///
/// ```
/// use witgate_sdk::log;
///
/// log::error!("rule {} cannot hold", 7);
/// ```
#[doc(inline)]
pub use crate::__error as error;

/// Whether a line of this level would be kept.
///
/// ```
/// use witgate_sdk::log;
///
/// if log::enabled(log::Level::Debug) {
///     log::debug!("{}", "what takes long to say");
/// }
/// ```
#[must_use]
pub fn enabled(level: Level) -> bool {
    #[cfg(target_arch = "wasm32")]
    return crate::bindings::log::enabled(level);
    #[cfg(not(target_arch = "wasm32"))]
    return level >= Level::Debug;
}

/// Writes one line. Cut at 4 KiB; control characters are escaped; more than 100 lines a second
/// from one instance are counted instead of written.
///
/// ```
/// use witgate_sdk::log;
///
/// log::write(log::Level::Info, "ready");
/// ```
pub fn write(level: Level, message: &str) {
    #[cfg(target_arch = "wasm32")]
    crate::bindings::log::write(level, message);
    #[cfg(not(target_arch = "wasm32"))]
    eprintln!("{} {message}", name(level));
}

#[cfg(not(target_arch = "wasm32"))]
fn name(level: Level) -> &'static str {
    match level {
        Level::Trace => "TRACE",
        Level::Debug => "DEBUG",
        Level::Info => " INFO",
        Level::Warn => " WARN",
        Level::Error => "ERROR",
    }
}

/// Tells the log of a panic, with file and line, before it becomes a trap.
#[cfg(target_arch = "wasm32")]
pub(crate) fn report_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let message = panic.payload_as_str().unwrap_or("(no message)");
        let line = match panic.location() {
            Some(place) => format!("panicked at {}:{}: {message}", place.file(), place.line()),
            None => format!("panicked: {message}"),
        };
        write(Level::Error, &line);
    }));
}

#[doc(hidden)]
#[macro_export]
macro_rules! __log {
    ($level:ident, $($line:tt)+) => {
        if $crate::log::enabled($crate::log::Level::$level) {
            $crate::log::write($crate::log::Level::$level, &::std::format!($($line)+));
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __trace {
    ($($line:tt)+) => { $crate::__log!(Trace, $($line)+) };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __debug {
    ($($line:tt)+) => { $crate::__log!(Debug, $($line)+) };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __info {
    ($($line:tt)+) => { $crate::__log!(Info, $($line)+) };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __warn {
    ($($line:tt)+) => { $crate::__log!(Warn, $($line)+) };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __error {
    ($($line:tt)+) => { $crate::__log!(Error, $($line)+) };
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    #[test]
    fn a_line_is_not_made_when_its_level_is_off() {
        let made = Cell::new(0);
        let count = || made.set(made.get() + 1);
        crate::log::trace!("{:?}", count());
        assert_eq!(made.get(), 0);
        crate::log::debug!("{:?}", count());
        assert_eq!(made.get(), 1);
    }
}
