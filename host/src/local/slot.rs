//! A plugin on one worker: the version in service and, while there is one, the version on trial.

use std::{net::IpAddr, ops::RangeFrom, rc::Rc, sync::Arc};

use crate::{
    config::Role,
    plugin::{InService, LocalPlugin, Request, Shadow, Trial},
};

/// A plugin on one worker.
pub struct Slot {
    /// The version in service.
    pub live: Rc<LocalPlugin>,
    trial: Option<LocalTrial>,
}

struct LocalTrial {
    plugin: Rc<LocalPlugin>,
    shared: Arc<Trial>,
    /// Its place among all trials.
    place: usize,
}

/// The plugins whose version on trial decides for a request: chosen once, so that no request is
/// decided by two versions. One bit for each trial; where there are more than 64, those behind
/// them are on the heap.
#[derive(Debug, Default)]
pub struct Canaries {
    first: u64,
    others: Vec<u64>,
}

impl Slot {
    /// The plugin as `local` has it on its worker. A version on trial takes the next of the places.
    pub(super) fn new(
        plugin: &InService,
        places: &mut RangeFrom<usize>,
        local: impl Fn(&InService, Option<&Arc<Trial>>) -> Rc<LocalPlugin>,
    ) -> Self {
        let on_trial = |trial: &Arc<Trial>| {
            Some(LocalTrial {
                plugin: local(plugin, Some(trial)),
                shared: Arc::clone(trial),
                place: places.next()?,
            })
        };
        Self {
            live: local(plugin, None),
            trial: plugin.trial.as_ref().and_then(on_trial),
        }
    }

    /// The version on trial on this worker.
    pub(super) fn on_trial(&self) -> Option<&Rc<LocalPlugin>> {
        self.trial.as_ref().map(|trial| &trial.plugin)
    }

    /// The version that decides a request in this role; none when that version does not have it.
    pub fn deciding(&self, canaries: &Canaries, role: Role) -> Option<&Rc<LocalPlugin>> {
        let on_trial = self.trial.as_ref();
        let canary = on_trial.filter(|trial| canaries.have(trial.place));
        let plugin = canary.map_or(&self.live, |trial| &trial.plugin);
        plugin.version.has(role).then_some(plugin)
    }

    /// A call to be compared with that of the version in service, for the requests for which
    /// that is wanted.
    pub fn shadow(&self, role: Role, request: &Request) -> Option<Shadow> {
        let LocalTrial { plugin, shared, .. } = self.trial.as_ref()?;
        let wanted = plugin.version.has(role) && shared.shadows(request.id.0);
        wanted.then(|| plugin.shadow(shared, request))
    }

    /// Counts a request of this client for the version on trial, if that will decide it; its place
    /// then.
    fn choose(&self, client: IpAddr) -> Option<usize> {
        let trial = self.trial.as_ref()?;
        let decides = trial.shared.has_client(client);
        decides.then(|| {
            trial.shared.begin(trial.plugin.worker());
            trial.place
        })
    }

    /// Counts a request for the version on trial, if it will be compared.
    fn begin_shadow(&self, request: u128) {
        if let Some(trial) = &self.trial
            && trial.shared.shadows(request)
        {
            trial.shared.begin(trial.plugin.worker());
        }
    }
}

impl Canaries {
    /// Chooses for a request of this client and id.
    pub(super) fn choose(slots: &[Rc<Slot>], client: IpAddr, request: u128) -> Self {
        let mut chosen = Self::default();
        for slot in slots {
            if let Some(place) = slot.choose(client) {
                chosen.add(place);
            }
            slot.begin_shadow(request);
        }
        chosen
    }

    fn add(&mut self, place: usize) {
        let (word, bit) = at(place);
        match word.checked_sub(1) {
            None => self.first |= bit,
            Some(word) => {
                if self.others.len() <= word {
                    self.others.resize(word + 1, 0);
                }
                if let Some(word) = self.others.get_mut(word) {
                    *word |= bit;
                }
            }
        }
    }

    fn have(&self, place: usize) -> bool {
        let (word, bit) = at(place);
        let word = match word.checked_sub(1) {
            None => Some(&self.first),
            Some(word) => self.others.get(word),
        };
        word.is_some_and(|word| word & bit != 0)
    }
}

/// The word of a place, and its bit there.
fn at(place: usize) -> (usize, u64) {
    (place / 64, 1 << (place % 64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_trial_has_a_bit_of_its_own_however_many_there_are() {
        let chosen = [0, 63, 64, 127, 128, 300];
        let mut canaries = Canaries::default();
        for place in chosen {
            assert!(!canaries.have(place), "{place}");
            canaries.add(place);
        }
        for place in 0..1000 {
            assert_eq!(canaries.have(place), chosen.contains(&place), "{place}");
        }
    }
}
