//! Waiting for what becomes true soon, with a deadline instead of a guess.

use std::time::Duration;

/// How long [`eventually!`](crate::eventually) waits unless told: far above what any step
/// takes on a loaded machine.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// Between two looks; short, as most things are true at the second one.
pub const PAUSE: Duration = Duration::from_millis(5);

/// Evaluates an expression until it is `Some`, and returns what is in it.
///
/// `eventually!("what is awaited", expression)` panics after [`DEADLINE`];
/// `eventually!(within duration, "what", expression)` after that duration.
#[macro_export]
macro_rules! eventually {
    (within $limit:expr, $what:expr, $look:expr $(,)?) => {{
        let begin = ::std::time::Instant::now();
        loop {
            if let Some(found) = $look {
                break found;
            }
            let waited = begin.elapsed();
            assert!(waited < $limit, "not within {:?}: {}", $limit, $what);
            ::tokio::time::sleep($crate::wait::PAUSE).await;
        }
    }};
    ($what:expr, $look:expr $(,)?) => {
        $crate::eventually!(within $crate::wait::DEADLINE, $what, $look)
    };
}
