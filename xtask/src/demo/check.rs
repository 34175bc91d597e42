//! Checks the demo by itself: the walk along its tour, the commands of the pages that show it, then
//! plugins swapped under load. Says what broke.

use anyhow::Result;

use super::{curl::Http, pages, stage::Stage, swap, walk::Walk};
use crate::{project::Project, step::step};

/// Starts everything on a copy of the quickstart and looks at all of it.
pub(super) fn run(project: &Project) -> Result<()> {
    let stage = step("Set up a copy of the quickstart on free ports", || {
        Stage::copy(project)
    })?;
    let walk = Walk::on(stage);
    let result = all(project, &walk);
    if result.is_err() {
        walk.show_log();
    }
    result
}

fn all(project: &Project, walk: &Walk) -> Result<()> {
    let plugins = swap::prepare(project, &walk.stage)?;
    let mut servers = step("Start upstreams and gateway", || {
        walk.stage.start(project, Some(&walk.logs))
    })?;
    step("Walk the tour over HTTP/1.1 and HTTP/2", || {
        Http::BOTH
            .into_iter()
            .try_for_each(|http| walk.tour(http))?;
        walk.admin()
    })?;
    step("Follow the quick start and the example's README", || {
        pages::follow(project, walk)
    })?;
    step("Swap plugins under load", || {
        swap::under_load(walk, &plugins)
    })?;
    servers.check()?;
    step("End everything", || servers.end())
}
