//! How the instances that an engine has room for are shared out: when the plugins that run on it
//! could have more of them together, each has an equal part, so that none can take another's.

use std::sync::Arc;

use super::version::{InService, Version};

/// What is left, of a hundred, for versions that are on their way out with their last requests,
/// and for those that are only tried.
const SPARE: u32 = 20;

/// The most instances that a plugin may have on one worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// Of the version in service.
    pub live: u32,
    /// Of the one on trial; 0 without one.
    pub trial: u32,
}

/// The part of each of these plugins: its `instances`, or less.
pub fn shares(plugins: &[InService], workers: usize) -> Vec<Share> {
    let versions = plugins.iter().flat_map(InService::versions);
    let versions: Vec<_> = versions.collect();
    let share = |version: &Arc<Version>| {
        let beside = versions
            .iter()
            .filter(|other| Arc::ptr_eq(&other.component.runtime, &version.component.runtime));
        let wanted: Vec<_> = beside.map(|version| version.limits.instances).collect();
        let room = version.component.runtime.capacity() / 100 * (100 - SPARE);
        let workers = u32::try_from(workers).unwrap_or(u32::MAX).max(1);
        version.limits.instances.min(level(wanted, room / workers))
    };
    let shares = plugins.iter().map(|plugin| Share {
        live: share(&plugin.live),
        trial: plugin
            .trial
            .as_ref()
            .map_or(0, |trial| share(&trial.version)),
    });
    shares.collect()
}

/// The most that each may have so that all have enough room: who wants less leaves the rest to the
/// others. At least one.
fn level(mut wanted: Vec<u32>, mut room: u32) -> u32 {
    wanted.sort_unstable();
    let mut left = u32::try_from(wanted.len()).unwrap_or(u32::MAX);
    for wants in wanted {
        if wants.saturating_mul(left) > room {
            return (room / left).max(1);
        }
        room -= wants;
        left -= 1;
    }
    u32::MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_have_what_they_want_while_there_is_room() {
        assert_eq!(level(vec![64, 64, 272], 400), u32::MAX);
        assert_eq!(level(vec![], 400), u32::MAX);
    }

    #[test]
    fn who_wants_more_than_a_part_gets_a_part_of_what_others_leave() {
        assert_eq!(level(vec![1000, 1000], 400), 200);
        assert_eq!(level(vec![10, 1000, 1000], 400), 195);
        assert_eq!(level(vec![1000], 400), 400);
        assert_eq!(level(vec![64; 10], 400), 40);
        assert_eq!(level(vec![64; 1000], 400), 1, "every plugin works");
    }
}
