//! The host's side of the WIT interface `clock`.

use std::{
    sync::LazyLock,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use wasmtime::Result;

use super::{
    bindings::witgate::plugin::clock::{Host, WallTime},
    imports::Known,
    state::State,
};

/// What monotonic times are counted from, in the whole process.
static ORIGIN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// From now on monotonic times are counted, if they are not yet.
pub(super) fn start() {
    LazyLock::force(&ORIGIN);
}

impl Host for State {
    fn wall(&mut self) -> Result<WallTime> {
        if let Some(time) = self.known().and_then(Known::wall) {
            return Ok(wall_time(time));
        }
        // A machine that believes to be before 1970 is as wrong at 0.
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
        let since_1970 = since_1970.unwrap_or_default();
        if let Some(noted) = self.noted() {
            noted.wall(since_1970);
        }
        Ok(wall_time(since_1970))
    }

    fn monotonic(&mut self) -> Result<u64> {
        if let Some(time) = self.known().and_then(Known::monotonic) {
            return Ok(time);
        }
        let time = u64::try_from(ORIGIN.elapsed().as_nanos()).unwrap_or(u64::MAX);
        if let Some(noted) = self.noted() {
            noted.monotonic(time);
        }
        Ok(time)
    }
}

fn wall_time(since_1970: Duration) -> WallTime {
    WallTime {
        seconds: since_1970.as_secs(),
        nanoseconds: since_1970.subsec_nanos(),
    }
}
