//! `witgate plugin status`, `promote` and `rollback`: asking a running gateway.

use std::{fmt::Write as _, io::IsTerminal as _, path::PathBuf};

use super::{RunningGateway, describe, say};
use crate::{
    config::Config,
    control::{self, PluginView, TrialView},
};

/// Shows plugins and their versions; one alone with its differences.
pub(super) fn status(
    gateway: &RunningGateway,
    plugin: Option<&str>,
    json: bool,
) -> Result<(), String> {
    let socket = socket(gateway)?;
    let mut plugins = control::status(&socket).map_err(|error| describe(&error))?;
    if let Some(name) = plugin {
        let known: Vec<_> = plugins.iter().map(|plugin| plugin.name.clone()).collect();
        plugins.retain(|plugin| plugin.name == name);
        if plugins.is_empty() {
            let known = known.join(", ");
            return Err(format!(
                "error: there is no plugin {name:?}; there are: {known}"
            ));
        }
    }
    let text = match json {
        true => serde_json::to_string_pretty(&plugins).map_err(|error| describe(&error))? + "\n",
        false => table(&plugins, plugin.is_some()),
    };
    say(&text);
    Ok(())
}

/// Takes the version on trial, or one that was rolled back, into service.
pub(super) fn promote(
    gateway: &RunningGateway,
    plugin: &str,
    version: Option<&str>,
) -> Result<(), String> {
    let socket = socket(gateway)?;
    control::promote(&socket, plugin, version).map_err(|error| describe(&error))?;
    status(gateway, Some(plugin), false)
}

/// Gives up the version on trial, or goes back.
pub(super) fn roll_back(
    gateway: &RunningGateway,
    plugin: &str,
    to: Option<&str>,
) -> Result<(), String> {
    let socket = socket(gateway)?;
    control::roll_back(&socket, plugin, to).map_err(|error| describe(&error))?;
    status(gateway, Some(plugin), false)
}

fn socket(gateway: &RunningGateway) -> Result<PathBuf, String> {
    if let Some(socket) = &gateway.socket {
        return Ok(socket.clone());
    }
    let path = gateway.config.clone().unwrap_or_default();
    let config =
        Config::load(&path).map_err(|error| error.render(std::io::stderr().is_terminal()))?;
    config.control.ok_or_else(|| {
        format!(
            "error: {} has no control socket; add this and start the gateway again:\n\n[control]\nsocket = \"witgate.sock\"",
            path.display()
        )
    })
}

fn table(plugins: &[PluginView], with_differences: bool) -> String {
    let width = |of: fn(&PluginView) -> usize| plugins.iter().map(of).max().unwrap_or(0);
    let (names, states) = (width(|p| p.name.len()), width(|p| p.state.len()));
    let mut text = String::new();
    for plugin in plugins {
        let (name, state) = (&plugin.name, &plugin.state);
        let live = plugin.live.as_deref().unwrap_or("nothing");
        let roles = plugin.roles.join(", ");
        let _ = writeln!(
            text,
            "{name:names$}  {state:states$}  {live} is live ({roles})"
        );
        if let Some(trial) = &plugin.trial {
            add_trial(&mut text, trial, with_differences);
        }
        if let Some(reason) = &plugin.reason {
            let _ = writeln!(text, "    {}: {reason}", plugin.file);
        }
        if !plugin.kept.is_empty() {
            let _ = writeln!(text, "    kept: {}", plugin.kept.join(", "));
        }
        for rolled_back in &plugin.rolled_back {
            let _ = writeln!(text, "    rolled back: {}", rolled_back.reason);
        }
    }
    text
}

fn add_trial(text: &mut String, trial: &TrialView, with_differences: bool) {
    let TrialView {
        version,
        stage,
        share,
        seconds,
        requests,
        errors,
        ..
    } = trial;
    let _ = write!(
        text,
        "    {version} is {stage} ({share} %) for {seconds} s: {requests} requests, {errors} errors"
    );
    if stage == "shadow" {
        let (alike, differing) = (trial.alike, trial.differing);
        let _ = write!(text, ", {alike} decisions alike, {differing} not");
    }
    text.push('\n');
    if let Some(held) = &trial.held {
        let _ = writeln!(text, "    held: {held}; promote it or roll it back");
    }
    let shown = match with_differences {
        true => trial.differences.as_slice(),
        false => &[],
    };
    for difference in shown {
        let _ = writeln!(
            text,
            "    {} of {}\n      live:   {}\n      shadow: {}",
            difference.call, difference.request, difference.live, difference.shadow
        );
    }
}
