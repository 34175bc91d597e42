//! What of a plugin's versions outlives the process, and how the next one begins with it.

use std::{path::Path, sync::Arc, time::Instant};

use super::{
    super::{
        super::state::{self, Memory, Unfinished},
        Chain, LoadContext,
    },
    Entry, read, with_signatures,
};
use crate::plugin::{self, Source, folder};

impl Entry {
    /// Begins with what the process before has left in its folder: the version that was in
    /// service, those that can be gone back to, those that were rolled back, and how far a trial
    /// was. What cannot be used any more is told of, and the plugin's file goes on without it.
    pub(in super::super) async fn recall(
        &mut self,
        context: &LoadContext<'_>,
        dir: &Path,
        found: &folder::Found,
    ) {
        let plugins = self.path.parent().map(Path::to_owned).unwrap_or_default();
        let recalled = state::recall(dir, &plugins, &self.name, &self.defaults).await;
        let Some(memory) = recalled else {
            return;
        };
        self.kept = memory.kept;
        self.rolled_back = memory.rolled_back;
        if let Some(source) = memory.live {
            self.serve_again(context, source).await;
        }
        // Beside another version it would be another trial.
        self.unfinished = memory.trial.filter(|_| self.live.is_some());
        if self.live.is_some() || self.rolled_back.is_empty() {
            return;
        }
        let file = read(found.clone(), self.defaults.clone(), self.trust.clone()).await;
        if file.is_ok_and(|file| self.rolled_back.reason(&file).is_none()) {
            return;
        }
        // The file was rolled back, or cannot be read: better any version from before.
        while self.live.is_none() {
            let was_good = |source: &Source| self.rolled_back.reason(source).is_none();
            let last = self.kept.len().checked_sub(1);
            let Some(place) = self.kept.iter().rposition(was_good).or(last) else {
                return;
            };
            let source = self.kept.remove(place);
            self.serve_again(context, source).await;
        }
    }

    /// Serves with a version of the process before, if it is still fit.
    async fn serve_again(&mut self, context: &LoadContext<'_>, source: Source) {
        let label = source.label();
        let vetted = self
            .trust
            .as_ref()
            .map_or(Ok(()), |trust| trust.vet(&source));
        let loaded = match vetted {
            Ok(()) => {
                let step = |step| context.board.step(&self.name, step);
                plugin::load(context.engine, source, None, self.workers, step)
                    .await
                    .map_err(folder::RejectReason::from)
            }
            Err(reason) => Err(reason),
        };
        match loaded {
            Ok(version) => self.live = Some(version),
            Err(reason) => {
                tracing::warn!(plugin = %self.name, version = %label, "the version that was in service before cannot be served again: it {}", Chain(&reason));
            }
        }
    }

    /// What is to outlive the process.
    pub(in super::super) fn memory(&self) -> Memory {
        let live = self.live.as_ref();
        Memory {
            name: Arc::clone(&self.name),
            live: live.map(|live| with_signatures(&live.source, self.signed_anew.clone())),
            kept: self.kept.clone(),
            rolled_back: self.rolled_back.clone(),
            trial: self.unfinished(),
        }
    }

    fn unfinished(&self) -> Option<Unfinished> {
        let Some(trial) = &self.trial else {
            return self.unfinished.clone();
        };
        Some(Unfinished {
            version: trial.version.source.clone(),
            stage: trial.stage,
            progress: trial.progress(Instant::now()),
        })
    }
}
