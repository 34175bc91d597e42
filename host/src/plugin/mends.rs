//! What mends a panic of the standard library. It compiles for `wasm32-unknown-unknown` as a whole,
//! and some of it has nothing there to stand on: that panics when it is called, in words that say
//! nothing of plugins.

/// How the SDK begins the line about a panic.
const PANIC: &str = "panicked at ";

/// Words of the standard library, and what mends it; the first that is found counts.
const MENDS: [(&str, &str); 3] = [
    (
        "time not implemented on this platform",
        "std::time has no clock in a plugin: use witgate_sdk::clock, with `grants = [\"clock\"]` in the sidecar",
    ),
    (
        "failed to spawn thread",
        "there are no threads in a plugin: do the work in the call, or wait for several callouts at once",
    ),
    (
        "operation not supported on this platform",
        "std::fs, std::net and std::process have no system in a plugin: put what a file would say into `[config]`, \
         and ask services with witgate_sdk::callout",
    ),
];

/// What mends the panic that a plugin's line of the log tells of, if it is one of those.
pub(super) fn of_panic(line: &str) -> Option<&'static str> {
    let panic = line.strip_prefix(PANIC)?;
    let known = MENDS.iter().find(|(words, _)| panic.contains(words));
    known.map(|(_, mend)| *mend)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_told_from_a_file() {
        let unsupported =
            "Error { kind: Unsupported, message: \"operation not supported on this platform\" }";
        let thread = format!("panicked at a.rs:1: failed to spawn thread: {unsupported}");
        assert!(of_panic(&thread).is_some_and(|mend| mend.contains("no threads")));
        let file = format!("panicked at a.rs:1: called `Result::unwrap()` on {unsupported}");
        assert!(of_panic(&file).is_some_and(|mend| mend.contains("[config]")));
    }

    #[test]
    fn only_panics_are_mended() {
        let time = "time not implemented on this platform";
        assert_eq!(of_panic(time), None);
        assert_eq!(of_panic("panicked at a.rs:1: out of range"), None);
        assert!(of_panic(&format!("panicked at a.rs:1: {time}")).is_some());
    }
}
