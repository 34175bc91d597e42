//! The process's numbers in the OpenMetrics text format, collected from the snapshot in
//! service at the time of a scrape.

mod certificates;
mod plugin_uses;
mod plugins;

use std::{
    fmt,
    sync::{Arc, atomic::Ordering},
    time::Instant,
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, text::encode},
    metrics::MetricType,
    registry::Registry,
};

use super::State;
use crate::{
    error::{Cause, ConnectionFault},
    metrics::{BUCKETS, Counter, ListenerCounters, PerWorker},
    plugin::Version,
    pool::{Endpoint, EndpointState},
    snapshot::Snapshot,
    tls::downstream::HandshakeCause,
};

/// All numbers as text.
pub(super) fn text(snapshot: &Arc<Snapshot>, state: &State) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("witgate");
    registry.register_collector(Box::new(Scrape {
        snapshot: Arc::clone(snapshot),
        state: state.clone(),
    }));
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

struct Scrape {
    snapshot: Arc<Snapshot>,
    state: State,
}

impl fmt::Debug for Scrape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scrape")
    }
}

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.process(&mut encoder)?;
        self.listeners(&mut encoder)?;
        self.certificates(&mut encoder)?;
        self.endpoints(&mut encoder)?;
        self.plugins(&mut encoder)?;
        self.plugin_uses(&mut encoder)
    }
}

type Labels<'a, const N: usize> = [(&'a str, &'a str); N];
impl Scrape {
    fn process(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let reloads = &self.state.reloads;
        let mut results = counter(encoder, "reloads", "Changes of configuration or plugins")?;
        count(
            &mut results,
            [("result", "applied")],
            reloads.applied.load(Ordering::Relaxed),
        )?;
        count(
            &mut results,
            [("result", "refused")],
            reloads.refused.load(Ordering::Relaxed),
        )?;
        let last_ok = u64::from(!reloads.last_refused.load(Ordering::Relaxed));
        gauge(
            encoder,
            "last_reload_ok",
            "1 when the last change was applied, 0 when it was refused",
        )?
        .encode_gauge(&last_ok)?;
        let mut lookups = counter(encoder, "dns_lookups", "Lookups of endpoints' names")?;
        let status = &self.state.lookups;
        for (result, counter) in [("ok", &status.ok), ("failed", &status.failed)] {
            count(
                &mut lookups,
                [("result", result)],
                counter.load(Ordering::Relaxed),
            )?;
        }
        counter(
            encoder,
            "plugins_rejected",
            "Plugin files that were not taken into service",
        )?
        .encode_counter::<NoLabelSet, _, u64>(
            &reloads.plugins_rejected.load(Ordering::Relaxed),
            None,
        )?;
        gauge(
            encoder,
            "plugin_versions_alive",
            "Plugin versions that are held in memory",
        )?
        .encode_gauge(&(Version::alive() as u64))?;
        gauge(
            encoder,
            "plugins_memory_bytes",
            "Linear memory of all instances of all plugins",
        )?
        .encode_gauge(&(self.state.engine.memory() as u64))?;
        gauge(
            encoder,
            "plugins_bodies_bytes",
            "What is kept of requests' bodies for plugins",
        )?
        .encode_gauge(&(self.state.engine.bodies() as u64))?;
        counter(
            encoder,
            "access_log_lost_lines",
            "Access-log lines that could not be written",
        )?
        .encode_counter::<NoLabelSet, _, u64>(&self.state.lost_lines.get(), None)?;
        let lost = self.snapshot.recorder.as_ref();
        counter(
            encoder,
            "record_lost_lines",
            "Decisions that were to be recorded and could not be",
        )?
        .encode_counter::<NoLabelSet, _, u64>(&lost.map_or(0, |lost| lost.lost()), None)?;
        counter(
            encoder,
            "log_lost_lines",
            "Lines of the gateway's own log that could not be written",
        )?
        .encode_counter::<NoLabelSet, _, u64>(&self.state.lost_log_lines.get(), None)
    }

    fn listeners(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let listeners = &self.snapshot.listeners;
        let mut accepted = counter(encoder, "connections", "Client connections accepted")?;
        for listener in listeners {
            count(
                &mut accepted,
                [("listener", &listener.name)],
                listener.counters.sum(|each| each.accepted.get()),
            )?;
        }
        let mut open = gauge(encoder, "connections_open", "Client connections open now")?;
        for listener in listeners {
            let value = listener.counters.sum(|each| each.open.get());
            open.encode_family(&[("listener", &*listener.name)])?
                .encode_gauge(&value)?;
        }
        let help = "Connections and streams of clients that are tunnels now";
        let mut tunnels = gauge(encoder, "tunnels_open", help)?;
        for listener in listeners {
            let value = listener.counters.sum(|each| each.tunnels.get());
            tunnels
                .encode_family(&[("listener", &*listener.name)])?
                .encode_gauge(&value)?;
        }
        let mut failed = counter(
            encoder,
            "handshakes_failed",
            "TLS handshakes of clients that failed or took too long",
        )?;
        for listener in listeners {
            for cause in HandshakeCause::ALL {
                let value = listener.counters.sum(|each| each.failed_handshakes(cause));
                let labels = [("listener", &*listener.name), ("cause", cause.token())];
                count(&mut failed, labels, value)?;
            }
        }
        let mut requests = counter(
            encoder,
            "requests",
            "Requests by the class of their status; none: the client left",
        )?;
        for listener in listeners {
            for (class, label) in ["none", "1xx", "2xx", "3xx", "4xx", "5xx"]
                .into_iter()
                .enumerate()
            {
                let of_class =
                    |each: &ListenerCounters| each.responses.get(class).map_or(0, Counter::get);
                let value = listener.counters.sum(of_class);
                count(
                    &mut requests,
                    [("listener", &listener.name), ("class", label)],
                    value,
                )?;
            }
        }
        let help = "Client connections that the gateway ended, by cause";
        let mut ended = counter(encoder, "connections_ended", help)?;
        for listener in listeners {
            for fault in ConnectionFault::ALL {
                let value = listener.counters.sum(|each| each.endings(fault));
                let labels = [("listener", &*listener.name), ("cause", fault.token())];
                count(&mut ended, labels, value)?;
            }
        }
        let help = "Time from a request's head to the last byte of its answer";
        let mut durations = family(
            encoder,
            "request_duration_seconds",
            help,
            MetricType::Histogram,
        )?;
        for listener in listeners {
            histogram(&mut durations, &listener.name, &listener.counters)?;
        }
        Ok(())
    }

    fn endpoints(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let endpoints: Vec<&Endpoint> = self
            .snapshot
            .pools
            .iter()
            .flat_map(|pool| &pool.pool.endpoints)
            .map(Arc::as_ref)
            .collect();
        let mut requests = counter(encoder, "upstream_requests", "Requests sent to an endpoint")?;
        for endpoint in &endpoints {
            count(
                &mut requests,
                labels(endpoint),
                endpoint.counters.sum(|each| each.requests.get()),
            )?;
        }
        let mut connections = counter(
            encoder,
            "upstream_connections",
            "Connections opened to an endpoint",
        )?;
        for endpoint in &endpoints {
            count(
                &mut connections,
                labels(endpoint),
                endpoint.counters.sum(|each| each.connections.get()),
            )?;
        }
        let mut running = gauge(
            encoder,
            "upstream_requests_running",
            "Requests that an endpoint has and that have not ended",
        )?;
        for endpoint in &endpoints {
            running
                .encode_family(&labels(endpoint))?
                .encode_gauge(&endpoint.running())?;
        }
        self.slots(encoder, &endpoints)?;
        self.retries(encoder)?;
        self.states(encoder)?;
        let mut probes = counter(encoder, "upstream_probes", "Probes, by what they came to")?;
        for endpoint in &endpoints {
            let [pool, id] = labels(endpoint);
            for (result, counter) in [
                ("ok", &endpoint.probes.good),
                ("failed", &endpoint.probes.bad),
            ] {
                count(&mut probes, [pool, id, ("result", result)], counter.get())?;
            }
        }
        let mut ejections = counter(
            encoder,
            "upstream_ejections",
            "Times that an endpoint was passed over for its failures",
        )?;
        for endpoint in &endpoints {
            count(
                &mut ejections,
                labels(endpoint),
                endpoint.health.ejections(),
            )?;
        }
        let mut errors = counter(encoder, "upstream_errors", "Failed attempts, by cause")?;
        for endpoint in &endpoints {
            for cause in Cause::ALL {
                let value = endpoint.counters.sum(|each| each.failures(cause));
                let [pool, id] = labels(endpoint);
                if value > 0 {
                    count(&mut errors, [pool, id, ("cause", cause.token())], value)?;
                }
            }
        }
        Ok(())
    }

    fn slots(&self, encoder: &mut DescriptorEncoder<'_>, endpoints: &[&Endpoint]) -> fmt::Result {
        let waiting = |endpoint: &Endpoint| {
            u64::from(endpoint.requests.waiting()) + u64::from(endpoint.connections.waiting())
        };
        let mut gauges = gauge(
            encoder,
            "upstream_requests_waiting",
            "Requests that wait for an endpoint's limits",
        )?;
        for endpoint in endpoints {
            gauges
                .encode_family(&labels(endpoint))?
                .encode_gauge(&waiting(endpoint))?;
        }
        let mut gauges = gauge(
            encoder,
            "upstream_connections_open",
            "Connections to an endpoint whose pool limits them",
        )?;
        for endpoint in endpoints {
            gauges
                .encode_family(&labels(endpoint))?
                .encode_gauge(&u64::from(endpoint.connections.taken()))?;
        }
        Ok(())
    }

    fn retries(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Requests that were tried again, and those that the budget did not allow";
        let mut retries = counter(encoder, "upstream_retries", help)?;
        for pool in self.snapshot.pools.iter().map(|running| &running.pool) {
            let made = pool.retried.sum(|each| each.made.get());
            let refused = pool.retried.sum(|each| each.refused.get());
            for (result, value) in [("made", made), ("over-budget", refused)] {
                count(
                    &mut retries,
                    [("pool", &pool.name), ("result", result)],
                    value,
                )?;
            }
        }
        Ok(())
    }

    fn states(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let now = Instant::now();
        let endpoints = self.snapshot.pools.iter().flat_map(|running| {
            let pool = &running.pool;
            let all = pool.endpoints.iter().enumerate();
            all.map(move |(index, endpoint)| (pool, index, endpoint))
        });
        let endpoints: Vec<_> = endpoints.collect();
        let mut available = gauge(
            encoder,
            "upstream_available",
            "1 while an endpoint may be chosen, 0 while it is passed over",
        )?;
        for (pool, index, endpoint) in &endpoints {
            let value = u64::from(pool.is_available(*index, now));
            available
                .encode_family(&labels(endpoint))?
                .encode_gauge(&value)?;
        }
        let mut states = gauge(
            encoder,
            "upstream_state",
            "1 for the state that an endpoint is in, 0 for all others",
        )?;
        for (pool, index, endpoint) in &endpoints {
            let current = pool.state(*index, now);
            for state in EndpointState::ALL {
                let [name, id] = labels(endpoint);
                states
                    .encode_family(&[name, id, ("state", state.token())])?
                    .encode_gauge(&u64::from(state == current))?;
            }
        }
        Ok(())
    }
}

fn labels(endpoint: &Endpoint) -> Labels<'_, 2> {
    [("pool", &endpoint.key.pool), ("endpoint", &endpoint.key.id)]
}

fn family<'s>(
    encoder: &'s mut DescriptorEncoder<'_>,
    name: &'s str,
    help: &str,
    kind: MetricType,
) -> Result<MetricEncoder<'s>, fmt::Error> {
    encoder.encode_descriptor(name, help, None, kind)
}

fn counter<'s>(
    encoder: &'s mut DescriptorEncoder<'_>,
    name: &'s str,
    help: &str,
) -> Result<MetricEncoder<'s>, fmt::Error> {
    family(encoder, name, help, MetricType::Counter)
}

fn gauge<'s>(
    encoder: &'s mut DescriptorEncoder<'_>,
    name: &'s str,
    help: &str,
) -> Result<MetricEncoder<'s>, fmt::Error> {
    family(encoder, name, help, MetricType::Gauge)
}

fn count<const N: usize>(
    family: &mut MetricEncoder<'_>,
    labels: Labels<'_, N>,
    value: u64,
) -> fmt::Result {
    family
        .encode_family(&labels)?
        .encode_counter::<NoLabelSet, _, u64>(&value, None)
}

fn histogram(
    family: &mut MetricEncoder<'_>,
    listener: &str,
    counters: &PerWorker<ListenerCounters>,
) -> fmt::Result {
    let bucket = |index: usize| counters.sum(|each| each.durations.bucket(index));
    let buckets: Vec<_> = BUCKETS
        .iter()
        .enumerate()
        .map(|(index, bound)| (*bound, bucket(index)))
        .collect();
    let total = buckets.iter().map(|(_, count)| count).sum();
    let seconds = counters.sum(|each| each.durations.microseconds()) as f64 / 1e6;
    family
        .encode_family(&[("listener", listener)])?
        .encode_histogram::<NoLabelSet>(seconds, total, &buckets, None)
}
