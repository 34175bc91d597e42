//! A plugin on one worker: the version in service and, while there is one, the version on trial.

use std::{net::IpAddr, rc::Rc, sync::Arc};

use crate::{
    config::Role,
    plugin::{InService, LocalPlugin, Request, Shadow, Trial},
};

/// Versions on trial that may decide at a time: one bit each.
const MAX_CANARIES: u32 = u64::BITS;

/// A plugin on one worker.
pub struct Slot {
    /// The version in service.
    pub live: Rc<LocalPlugin>,
    trial: Option<LocalTrial>,
}

struct LocalTrial {
    plugin: Rc<LocalPlugin>,
    shared: Arc<Trial>,
    /// Its bit among [`Canaries`].
    bit: u64,
}

/// The plugins whose version on trial decides for a request: chosen once, so that no request is
/// decided by two versions.
#[derive(Debug, Clone, Copy, Default)]
pub struct Canaries(u64);

impl Slot {
    /// The plugin on the worker of this number, as the `index`th of all.
    pub(super) fn new(
        plugin: &InService,
        index: usize,
        local: impl Fn(&InService, Option<&Arc<Trial>>) -> Rc<LocalPlugin>,
    ) -> Self {
        let bit = u32::try_from(index)
            .ok()
            .filter(|index| *index < MAX_CANARIES);
        Self {
            live: local(plugin, None),
            trial: plugin.trial.as_ref().map(|trial| LocalTrial {
                plugin: local(plugin, Some(trial)),
                shared: Arc::clone(trial),
                bit: bit.map_or(0, |bit| 1 << bit),
            }),
        }
    }

    /// The version on trial on this worker.
    pub(super) fn on_trial(&self) -> Option<&Rc<LocalPlugin>> {
        self.trial.as_ref().map(|trial| &trial.plugin)
    }

    /// The version that decides a request in this role; none when that version does not have it.
    pub fn deciding(&self, canaries: Canaries, role: Role) -> Option<&Rc<LocalPlugin>> {
        let on_trial = self.trial.as_ref();
        let canary = on_trial.filter(|trial| canaries.0 & trial.bit != 0);
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

    /// Counts a request of this client for the version on trial, if that will decide it.
    fn choose(&self, client: IpAddr) -> u64 {
        match &self.trial {
            Some(trial) if trial.bit != 0 && trial.shared.has_client(client) => {
                trial.shared.begin(trial.plugin.worker());
                trial.bit
            }
            _ => 0,
        }
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
        let mut chosen = 0;
        for slot in slots {
            chosen |= slot.choose(client);
            slot.begin_shadow(request);
        }
        Self(chosen)
    }
}
