//! What an operator wants of a plugin's versions.

use super::{
    super::{Chain, CommandError},
    Entry, read,
};
use crate::plugin::{self, PluginEngine, Source, folder};

impl Entry {
    /// Takes a version into service at once: the one on trial, or one that was rolled back and is
    /// what the files say. Which one it is `version` says, by its first digits; without it, the one
    /// on trial.
    pub(in super::super) async fn promote(
        &mut self,
        engine: &PluginEngine,
        version: Option<&str>,
    ) -> Result<(), CommandError> {
        let is_meant = |source: &Source| version.is_none_or(|it| source.label().starts_with(it));
        let trial = self.trial.take_if(|trial| is_meant(&trial.version.source));
        match (trial, version) {
            (Some(trial), _) => self.pass(&trial, "by command"),
            (None, Some(version)) => self.promote_rolled_back(engine, version).await?,
            (None, None) => {
                let name = self.name.to_string();
                return Err(match self.rolled_back.is_empty() {
                    true => CommandError::NoTrial(name),
                    false => CommandError::NoTrialButRolledBack(name, self.labels()),
                });
            }
        }
        Ok(())
    }

    async fn promote_rolled_back(
        &mut self,
        engine: &PluginEngine,
        wanted: &str,
    ) -> Result<(), CommandError> {
        let on_disk = match folder::Found::at(self.path.clone()) {
            Some(found) => read(found, self.defaults.clone(), self.trust.clone()).await,
            None => Err(folder::RejectReason::Missing),
        };
        let source = on_disk.map_err(|reason| CommandError::Unfit {
            file: self.path.clone(),
            reason: Box::new(reason),
        })?;
        let label = source.label();
        if !label.starts_with(wanted) || self.rolled_back.reason(&source).is_none() {
            return Err(CommandError::NotMeant {
                plugin: self.name.to_string(),
                wanted: wanted.to_owned(),
                file: self.path.clone(),
                label,
                rolled_back: self.labels(),
            });
        }
        let (live, workers) = (self.live.as_ref(), self.workers);
        let loaded = plugin::load(engine, source, live, workers, |_| {}).await;
        let version = loaded.map_err(|error| CommandError::Load(Chain(&error).to_string()))?;
        tracing::warn!(plugin = %self.name, version = %label, "plugin is promoted by command although it was rolled back");
        self.on_disk = Some(version.source.without_bytes());
        self.forgive(&version.source);
        self.go_live(version, "by command");
        Ok(())
    }

    /// Gives up the version on trial; without one, or with `to`, goes back to a version that was in
    /// service before: the one whose digits start like this, or the last one that was not rolled
    /// back itself.
    pub(in super::super) async fn go_back(
        &mut self,
        engine: &PluginEngine,
        to: Option<&str>,
    ) -> Result<(), CommandError> {
        if self.trial.is_some() && to.is_none() {
            self.give_up_trial("by command");
            return Ok(());
        }
        let chosen = |kept: &Source| match to {
            Some(to) => kept.label().starts_with(to),
            None => self.rolled_back.reason(kept).is_none(),
        };
        let place = self.kept.iter().rposition(chosen);
        let place = place.ok_or_else(|| {
            let (name, kept) = (self.name.to_string(), list(self.kept.iter()));
            match to.is_none() && !self.kept.is_empty() {
                true => CommandError::AllRolledBack(name, kept),
                false => CommandError::NotKept(name, kept),
            }
        })?;
        if let (Some(trust), Some(kept)) = (&self.trust, self.kept.get(place)) {
            let label = kept.digest.to_string();
            trust
                .vet(kept)
                .map_err(|reason| CommandError::Untrusted(label, Box::new(reason)))?;
        }
        let source = self.kept.remove(place);
        let (live, workers) = (self.live.as_ref(), self.workers);
        let loaded = plugin::load(engine, source, live, workers, |_| {}).await;
        let version = loaded.map_err(|error| CommandError::Load(Chain(&error).to_string()))?;
        self.give_up_trial("by command");
        if let Some(live) = self.live.clone() {
            let (from, to) = (live.source.label(), version.source.label());
            tracing::warn!(plugin = %self.name, version = %to, replaces = %from, "plugin is rolled back by command; what was in service is not taken again by itself (without `plugins.state`, until the next start)");
            // Who goes back to what was rolled back has nothing against what came instead.
            if !self.forgive(&version.source) {
                self.roll_back(&live.source, format!("{from} by command"));
            }
        }
        self.go_live(version, "rolled back");
        Ok(())
    }

    /// Those that were rolled back.
    fn labels(&self) -> String {
        list(self.rolled_back.iter().map(|(source, _)| source))
    }
}

fn list<'a>(versions: impl Iterator<Item = &'a Source>) -> String {
    versions.map(Source::label).collect::<Vec<_>>().join(", ")
}
