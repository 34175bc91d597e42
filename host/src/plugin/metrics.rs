//! The host's side of the WIT interface `metrics`: `numbers` keeps the series.

use wasmtime::Result;

use super::{
    bindings::witgate::plugin::{log::Level, metrics::Host},
    lines::write_line,
    shared::Uses,
    state::State,
};

impl State {
    /// As for `kv`: a second lock.
    fn uses(&mut self) -> Result<&mut Uses> {
        let uses = self.shared.as_mut().filter(|uses| uses.counts);
        uses.map(AsMut::as_mut)
            .ok_or_else(|| wasmtime::Error::msg("the sidecar does not grant `metrics`"))
    }

    /// One that is not fit, or has no place.
    fn drop_metric(&mut self, name: &str) -> Result<()> {
        let uses = self.uses()?;
        uses.shared.numbers.drop_one();
        if !std::mem::replace(&mut uses.told, true) && self.lines.take(&self.plugin) {
            let message = format!(
                "metric {name:?} is dropped: more names than a plugin may have, or a name or value that is not fit"
            );
            write_line(&self.plugin, Level::Warn, &message);
        }
        Ok(())
    }
}

impl Host for State {
    fn count(&mut self, name: String, by: u64) -> Result<()> {
        let uses = self.uses()?;
        let worker = uses.worker;
        match uses.counter(&name) {
            Some(counter) => counter.of(worker).add(by),
            None => self.drop_metric(&name)?,
        }
        Ok(())
    }

    fn observe(&mut self, name: String, value: f64) -> Result<()> {
        let uses = self.uses()?;
        let worker = uses.worker;
        match uses.histogram(&name).filter(|_| value.is_finite()) {
            Some(histogram) => histogram.of(worker).enter(value),
            None => self.drop_metric(&name)?,
        }
        Ok(())
    }
}
