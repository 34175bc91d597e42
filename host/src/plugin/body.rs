//! The host's side of the WIT interface `body`: how much a plugin may read is checked here;
//! `proxy` reads it.

use std::sync::Arc;

use wasmtime::{
    Result,
    component::{Accessor, HasSelf},
};

use super::{
    bindings::v0_2::witgate::plugin0_2_0::body::{Failure, Host, HostWithStore, Start},
    error::NoRoomForBodies,
    state::State,
    waiting::{Ask, BodyFailure},
};

impl Host for State {}

impl<T: Send + 'static> HostWithStore<T> for HasSelf<State> {
    async fn read(
        accessor: &Accessor<T, Self>,
        most: u64,
    ) -> Result<std::result::Result<Start, Failure>> {
        let asked = accessor.with(|mut access| {
            let state = access.get();
            let granted = state.asking.as_mut();
            let Some((limits, asking)) = granted.and_then(|asking| Some((asking.body?, asking)))
            else {
                return Err(wasmtime::Error::msg("the sidecar does not grant `body`"));
            };
            let fits = usize::try_from(most).ok();
            let Some(most) = fits.filter(|most| *most <= limits.bytes) else {
                return Ok(Err(Failure::TooMuch(limits.bytes as u64)));
            };
            let bodies = Arc::clone(&state.bodies);
            let asked = asking.ask(move |answer| Ask::Body(most, limits.timeout, bodies, answer));
            Ok(Ok((asked, asking.waits.begin())))
        });
        let answered = match asked? {
            Ok((asked, _wait)) => asked.await,
            Err(failure) => return Ok(Err(failure)),
        };
        Ok(match answered {
            Ok(Ok(start)) => Ok(Start {
                bytes: start.bytes,
                complete: start.complete,
            }),
            Ok(Err(BodyFailure::Timeout)) => Err(Failure::Timeout),
            Ok(Err(BodyFailure::NoRoom)) => return Err(wasmtime::Error::new(NoRoomForBodies)),
            Ok(Err(BodyFailure::Gone)) | Err(_) => Err(Failure::Gone),
        })
    }
}
