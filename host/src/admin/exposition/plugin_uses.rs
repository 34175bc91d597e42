//! What plugins keep and what they count themselves.

use std::fmt;

use prometheus_client::{
    encoding::{DescriptorEncoder, NoLabelSet},
    metrics::MetricType,
};

use super::{Scrape, count, counter, family, gauge};
use crate::{
    metrics::PerWorker,
    plugin::{Shared, Total, VALUE_BUCKETS, Values},
};

impl Scrape {
    /// Of the plugins that are granted `kv` or `metrics`.
    pub(super) fn plugin_uses(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let plugins = self.snapshot.plugins.iter();
        let plugins: Vec<(&str, &Shared)> = plugins
            .filter_map(|plugin| Some((&*plugin.live.name, plugin.live.shared.as_deref()?)))
            .collect();
        stores(encoder, &plugins)?;
        let help = "What plugins count themselves, by the name that they give it";
        let mut events = counter(encoder, "plugin_custom_events", help)?;
        for (plugin, shared) in &plugins {
            for (name, parts) in shared.numbers.counters() {
                let labels = [("plugin", *plugin), ("name", &*name)];
                count(&mut events, labels, parts.sum(Total::get))?;
            }
        }
        let help = "Values that plugins enter themselves, by the name that they give them";
        let mut values = family(encoder, "plugin_custom_values", help, MetricType::Histogram)?;
        for (plugin, shared) in &plugins {
            for (name, parts) in shared.numbers.histograms() {
                let (sum, buckets) = added_up(&parts);
                let total = buckets.iter().map(|(_, count)| count).sum();
                values
                    .encode_family(&[("plugin", *plugin), ("name", &*name)])?
                    .encode_histogram::<NoLabelSet>(sum, total, &buckets, None)?;
            }
        }
        let help = "Counts and values of plugins that were not fit, or of too many names";
        let mut dropped = counter(encoder, "plugin_custom_dropped", help)?;
        for (plugin, shared) in &plugins {
            count(&mut dropped, [("plugin", plugin)], shared.numbers.dropped())?;
        }
        Ok(())
    }
}

fn stores(encoder: &mut DescriptorEncoder<'_>, plugins: &[(&str, &Shared)]) -> fmt::Result {
    let mut entries = gauge(
        encoder,
        "plugin_kv_entries",
        "Entries that a plugin keeps, those included whose time is up but that are not swept yet",
    )?;
    for (plugin, shared) in plugins {
        entries
            .encode_family(&[("plugin", *plugin)])?
            .encode_gauge(&shared.figures().0)?;
    }
    let help = "What a plugin's entries take, as its limit counts it";
    let mut bytes = gauge(encoder, "plugin_kv_bytes", help)?;
    for (plugin, shared) in plugins {
        bytes
            .encode_family(&[("plugin", *plugin)])?
            .encode_gauge(&shared.figures().1)?;
    }
    let help = "Writes that a plugin's store refused as it was full";
    let mut refused = counter(encoder, "plugin_kv_refused", help)?;
    for (plugin, shared) in plugins {
        count(&mut refused, [("plugin", plugin)], shared.figures().2)?;
    }
    Ok(())
}

/// The sum of all values, and how many are in each bucket.
fn added_up(parts: &PerWorker<Values>) -> (f64, Vec<(f64, u64)>) {
    let buckets = VALUE_BUCKETS.iter().enumerate();
    let buckets = buckets
        .map(|(index, bound)| (*bound, parts.sum(|each| each.bucket(index))))
        .collect();
    (parts.iter().map(Values::sum).sum(), buckets)
}
