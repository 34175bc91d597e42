//! Keeping to what an endpoint may have at a time: a request, or a connection to it, waits its
//! turn within bounds or goes elsewhere.

use super::Exchange;
use crate::{
    error::UpstreamError,
    local::LocalPool,
    pool::{ConnectionPermit, Endpoint},
};

impl Exchange<'_> {
    /// Enters the request among those that the endpoint may have; it leaves when it ends, or
    /// when another endpoint is tried.
    pub(super) async fn admit(
        &mut self,
        local: &LocalPool,
        index: usize,
    ) -> Result<(), UpstreamError> {
        let pool = &local.running.pool;
        if let (Some(limit), Some(endpoint)) = (pool.limits.requests, pool.endpoints.get(index)) {
            let (queue, time) = (pool.limits.queue, pool.limits.queue_timeout);
            endpoint.requests.take(limit, queue, time).await?;
            self.record.admitted();
        }
        Ok(())
    }
}

/// Enters a request among those that the endpoint may have, for as long as the slot lives.
pub(super) async fn permit_request(
    local: &LocalPool,
    index: usize,
) -> Result<Option<Slot<'_>>, UpstreamError> {
    let pool = &local.running.pool;
    let (Some(limit), Some(endpoint)) = (pool.limits.requests, pool.endpoints.get(index)) else {
        return Ok(None);
    };
    let (queue, time) = (pool.limits.queue, pool.limits.queue_timeout);
    endpoint.requests.take(limit, queue, time).await?;
    Ok(Some(Slot(endpoint)))
}

/// A request's place among those of its endpoint.
pub(super) struct Slot<'a>(&'a Endpoint);

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.0.requests.give_back();
    }
}

/// Enters a connection among those that the endpoint may have, for as long as the permit
/// lives; none where there is no limit.
pub(super) async fn permit(
    local: &LocalPool,
    index: usize,
) -> Result<Option<ConnectionPermit>, UpstreamError> {
    let pool = &local.running.pool;
    let (Some(limit), Some(endpoint)) = (pool.limits.connections, pool.endpoints.get(index)) else {
        return Ok(None);
    };
    let (queue, time) = (pool.limits.queue, pool.limits.queue_timeout);
    let permit = ConnectionPermit::take(endpoint, limit, queue, time).await?;
    Ok(Some(permit))
}
