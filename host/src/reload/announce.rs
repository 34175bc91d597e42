//! What an operator is told of a change of what is served.

use std::sync::Arc;

use crate::{plugin, snapshot::Snapshot};

/// Says what a change comes to.
pub(super) fn announce(before: &Snapshot, after: &Snapshot) {
    let find = |snapshot: &Snapshot, name: &str| {
        let mut plugins = snapshot.plugins.iter().map(|plugin| &plugin.live);
        plugins.find(|plugin| *plugin.name == *name).cloned()
    };
    for plugin in after.plugins.iter().map(|plugin| &plugin.live) {
        match find(before, &plugin.name) {
            Some(old) if Arc::ptr_eq(&old, plugin) => {}
            Some(old) if old.source.digest == plugin.source.digest => {
                tracing::info!(plugin = %plugin.name, version = %plugin.label, "plugin has a new configuration");
            }
            Some(old) => tracing::info!(
                plugin = %plugin.name, version = %plugin.label, replaces = %old.label, "plugin is live"
            ),
            None => {
                tracing::info!(plugin = %plugin.name, version = %plugin.label, "plugin is live")
            }
        }
    }
    warn_of_undeclared_pools(Some(before), after);
    warn_of_shares(Some(before), after);
    for old in before.plugins.iter().map(|plugin| &plugin.live) {
        if find(after, &old.name).is_none() {
            tracing::info!(plugin = %old.name, version = %old.label, "plugin is gone");
        }
    }
    for listener in &after.listeners {
        if !before
            .listeners
            .iter()
            .any(|old| Arc::ptr_eq(&old.socket, &listener.socket))
        {
            tracing::info!(listener = %listener.name, address = %listener.socket.address, "listening");
        }
    }
}

/// Tells of pools that plugins may ask and that are not there, once for each that has become so.
pub(super) fn warn_of_undeclared_pools(before: Option<&Snapshot>, after: &Snapshot) {
    let undeclared = |snapshot: &Snapshot| -> Vec<(Arc<str>, String)> {
        let plugins = snapshot.plugins.iter().map(|plugin| &plugin.live);
        let named = plugins.flat_map(|plugin| {
            let pools = plugin.source.sidecar.grants.callout.pools.iter();
            pools.map(|pool| (Arc::clone(&plugin.name), pool.clone()))
        });
        named
            .filter(|(_, pool)| snapshot.pool(pool).is_none())
            .collect()
    };
    let known = before.map(undeclared).unwrap_or_default();
    for (plugin, pool) in undeclared(after) {
        if !known.contains(&(Arc::clone(&plugin), pool.clone())) {
            tracing::warn!(%plugin, pool, "`callout.pools` of the plugin's sidecar names a pool that the configuration does not declare; it cannot be asked");
        }
    }
}

/// Tells of plugins that may not have as many instances as they are configured with, since others
/// need theirs; once for each that it has become so of, or more so.
pub(super) fn warn_of_shares(before: Option<&Snapshot>, after: &Snapshot) {
    let short = |snapshot: &Snapshot| -> Vec<(Arc<str>, u32, u32)> {
        let shares = plugin::shares(&snapshot.plugins, snapshot.config.workers.get());
        let live = snapshot
            .plugins
            .iter()
            .map(|plugin| &plugin.live)
            .zip(shares);
        live.map(|(live, share)| (Arc::clone(&live.name), share.live, live.limits.instances))
            .filter(|(_, share, wanted)| share < wanted)
            .collect()
    };
    let known = before.map(short).unwrap_or_default();
    for found in short(after)
        .into_iter()
        .filter(|found| !known.contains(found))
    {
        let (plugin, share, wanted) = found;
        tracing::warn!(%plugin, "a worker has room for {share} of the {wanted} instances of the plugin, as others need theirs");
    }
}
