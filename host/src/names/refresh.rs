//! One name: looked up again when its answer's time is up, the last good answer kept.

use std::{net::IpAddr, sync::Arc, time::Duration};

use tokio::{sync::watch, time::sleep};

use super::{
    Known, LookupStatus,
    lookup::{Answer, LookupError, Resolver},
};

/// The pause after failures doubles up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Runs until it is aborted.
pub(super) async fn run(
    name: String,
    resolver: Arc<Resolver>,
    known: watch::Sender<Known>,
    status: Arc<LookupStatus>,
) {
    let mut pause = resolver.min_ttl();
    let mut failing = None;
    loop {
        let looked_up = resolver.lookup(&name).await;
        status.count(looked_up.is_ok());
        let wait = match looked_up {
            Ok(answer) => {
                if failing.take().is_some() {
                    tracing::info!(name, "name lookup works again");
                }
                pause = resolver.min_ttl();
                let time = answer.time;
                take(&name, answer, &known);
                time
            }
            Err(error) => {
                report(&name, &error, &known, &mut failing);
                pause =
                    (pause * 2).clamp(resolver.min_ttl(), LONGEST_PAUSE.max(resolver.min_ttl()));
                pause
            }
        };
        known.send_if_modified(|known| known.tried.insert(name.clone()));
        sleep(wait).await;
    }
}

fn take(name: &str, answer: Answer, known: &watch::Sender<Known>) {
    if answer.left_out > 0 {
        tracing::warn!(
            name,
            used = answer.addresses.len(),
            left_out = answer.left_out,
            "the name has more addresses than `dns.max_addresses`"
        );
    }
    let addresses: Arc<[IpAddr]> = answer.addresses.into();
    known.send_if_modified(|known| {
        let before = known
            .addresses
            .insert(name.to_owned(), Arc::clone(&addresses));
        let changed = before.as_ref() != Some(&addresses);
        if changed {
            tracing::info!(
                name,
                addresses = addresses.len(),
                "name has other addresses"
            );
        }
        changed
    });
}

/// Once for each kind of failure in a row.
fn report(
    name: &str,
    error: &LookupError,
    known: &watch::Sender<Known>,
    failing: &mut Option<std::mem::Discriminant<LookupError>>,
) {
    let kind = std::mem::discriminant(error);
    if failing.replace(kind) == Some(kind) {
        return;
    }
    match known.borrow().addresses.contains_key(name) {
        true => tracing::warn!(
            name,
            "name lookup failed, the last good answer is kept: {error}"
        ),
        false => tracing::warn!(name, "name lookup failed, there is no answer yet: {error}"),
    }
}
