//! What a supervisor is told (sd_notify(3)): that the gateway is ready, reloads, stops, or has
//! handed over to another process. Without `NOTIFY_SOCKET` in the environment nobody is told.

use sd_notify::NotifyState;

/// The gateway serves.
pub fn ready() {
    tell(&[NotifyState::Ready, NotifyState::Status("serving")]);
}

/// A reload that was asked for begins.
pub fn reloading() {
    let mut states = vec![NotifyState::Reloading];
    states.extend(NotifyState::monotonic_usec_now());
    states.push(NotifyState::Status("reloading"));
    tell(&states);
}

/// It has ended.
pub fn reloaded(refused: bool) {
    let status = match refused {
        true => "serving; the last reload was refused, the log says why",
        false => "serving",
    };
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// The gateway is on its way to its end.
pub fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("draining")]);
}

/// Another process is the gateway now, and ready.
pub fn handed_over(process: u32) {
    tell(&[
        NotifyState::MainPid(process),
        NotifyState::Ready,
        NotifyState::Status("serving"),
    ]);
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "the supervisor cannot be told");
    }
}
