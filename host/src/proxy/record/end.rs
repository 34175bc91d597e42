//! The end of a request: why it came, if nobody has said so, and what counts it.

use std::time::Instant;

use http::StatusCode;

use super::{super::tunnel::Side, Record};
use crate::{
    error::{Cause, ConnectionFault},
    local::Cut,
};

impl Drop for Record {
    fn drop(&mut self) {
        let now = Instant::now();
        if self.client_left() {
            self.cause = Some(self.cut_by());
            let most = self.open.local.snapshot().shared.config.limits.h2_resets;
            if !self.is_http1() && self.open.requests.cancel(now, most) {
                self.open.end(ConnectionFault::H2Resets);
            }
        }
        self.open.requests.end(now);
        self.leave();
        self.count(now);
        if self.open.local.access_log.is_on() {
            self.open.local.access_log.write(&self.entry(now));
        }
    }
}

impl Record {
    /// Ended neither by the last byte nor by an error of the gateway's: the client went away.
    fn client_left(&self) -> bool {
        let bodyless = self.method == http::Method::HEAD
            || matches!(
                self.status,
                Some(StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
            );
        self.cause.is_none() && (self.status.is_none() || (!self.complete && !bodyless))
    }

    /// Why it ended without a word.
    fn cut_by(&self) -> Cause {
        let cut = self.watch.cut();
        match &self.passage {
            // Nothing but the end of the process drops a tunnel that says nothing.
            Some(passage) if self.detail.is_none() && self.open.local.drain.started() => {
                passage.ended_by.set(Some(Side::Gateway));
                Cause::Shutdown
            }
            Some(_) => Cause::ClientClosed,
            None => match cut {
                Some(Cut::Stalled) => Cause::ClientStalled,
                Some(Cut::TimeOver) => Cause::RequestTimeout,
                None => Cause::ClientClosed,
            },
        }
    }

    fn count(&self, now: Instant) {
        let counters = self.open.listener.counters.of(self.worker());
        let class = self
            .status
            .map_or(0, |status| usize::from(status.as_u16() / 100));
        if let Some(counter) = counters.responses.get(class) {
            counter.add(1);
        }
        // A tunnel's life says nothing about how fast requests are answered.
        let duration = match &self.passage {
            Some(passage) => {
                counters.tunnels.sub(1);
                passage.opened_after
            }
            None => now.saturating_duration_since(self.started),
        };
        counters.durations.observe(duration);
    }
}
