//! What is known of a request as a line of the access log.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant, SystemTime},
};

use http::Version;

use super::{
    super::{trace::Context, tunnel::Side},
    PluginCall, Record,
};
use crate::{
    access_log::{Entry, PluginEntry, TlsEntry, TunnelEntry},
    error::Cause,
    plugin::{AccessField, Outcome, PluginNames},
};

impl Record {
    pub(super) fn entry(&self, now: Instant) -> Entry<'_> {
        let duration = now.saturating_duration_since(self.started);
        // The log may have been turned on since.
        let began = || SystemTime::now().checked_sub(duration);
        let time = self.time.or_else(began).unwrap_or(SystemTime::UNIX_EPOCH);
        let running = self.running_pool();
        let passage = self.passage.as_deref();
        let (bytes_in, bytes_out) = self.bytes();
        let endpoint = self.tried();
        Entry {
            time: humantime::format_rfc3339_millis(time),
            id: self.id,
            listener: &self.open.listener.name,
            peer: self.peer,
            tls: self.open.session.as_ref().map(TlsEntry::of),
            method: self.method.as_str(),
            authority: self.authority(),
            path: self.uri.path(),
            query: self.uri.query(),
            version: version(self.version),
            trace: self.trace.as_ref().map(Context::entry),
            status: self.status.map(|status| status.as_u16()),
            pool: running.map(|running| running.pool.name.as_str()),
            rule: self.rule.as_deref(),
            endpoint: endpoint.map(|endpoint| endpoint.key.id.as_str()),
            affinity: self.outcome.map(outcome),
            upstream_version: self.upstream_version.map(version),
            attempts: self.attempts,
            plugins: self.plugins.iter().map(PluginCall::entry).collect(),
            spans: self
                .spans
                .as_ref()
                .map(|spans| spans.entries(self.trace.as_ref(), |place| self.called_at(place))),
            fields: fields(&self.access_fields),
            duration_us: microseconds(duration),
            upstream_us: self.upstream.map(microseconds),
            bytes_in,
            bytes_out,
            tunnel: passage.map(|passage| TunnelEntry {
                protocol: &passage.protocol,
                ended_by: passage.ended_by.get().map_or("client", Side::token),
            }),
            cause: self.cause.map(Cause::token),
            detail: self.detail.as_deref(),
        }
    }

    /// Name, version and role of a call.
    fn called_at(&self, place: usize) -> Option<(&str, &str, &str)> {
        let call = self.plugins.get(place)?;
        let PluginNames { name, label } = &*call.plugin;
        Some((name, label, call.role.as_str()))
    }

    /// From the client, and to it.
    fn bytes(&self) -> (u64, u64) {
        match (&self.passage, &self.upload) {
            (Some(passage), _) => (passage.bytes_in.get(), passage.bytes_out.get()),
            (None, Some(upload)) => (upload.bytes.get(), self.bytes_out),
            (None, None) => (0, self.bytes_out),
        }
    }

    /// As the client sent it; plugins may have told the upstream another.
    fn authority(&self) -> &str {
        match (self.uri.authority(), &self.host) {
            (Some(authority), _) => authority.as_str(),
            (None, Some(host)) => host.to_str().unwrap_or_default(),
            (None, None) => "",
        }
    }
}

/// By plugin and name.
fn fields(fields: &[AccessField]) -> BTreeMap<&str, BTreeMap<&str, &str>> {
    let mut plugins = BTreeMap::<_, BTreeMap<_, _>>::new();
    for field in fields {
        let of_plugin = plugins.entry(&*field.plugin).or_default();
        of_plugin.insert(field.name.as_str(), field.value.as_str());
    }
    plugins
}

impl PluginCall {
    fn entry(&self) -> PluginEntry<'_> {
        PluginEntry {
            name: &self.plugin.name,
            version: &self.plugin.label,
            role: self.role.as_str(),
            us: (self.took.as_secs_f64() * 1e7).round() / 10.0,
        }
    }
}

fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2",
        _ => "HTTP/1.1",
    }
}

fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Balanced => "balanced",
        Outcome::Honoured => "honoured",
        Outcome::Moved => "moved",
    }
}

fn microseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
