//! Connections for requests: one that is open, or a new one, within what the endpoint may have.

use std::{rc::Rc, time::Instant};

use super::{
    Exchange,
    admit::permit,
    attempt::{Failed, Next},
    forward::no_room,
};
use crate::{
    config::PoolHttp,
    error::UpstreamError,
    local::LocalPool,
    upstream::{self, Connection, Transport},
};

/// One that is open and free, or has room for another stream.
pub(super) fn open_connection(
    local: &LocalPool,
    index: usize,
    name: &upstream::Name,
) -> Option<Connection> {
    let http = local.running.transports.get(index)?.http;
    let connections = local.connections.get(index)?;
    connections.take(name, http, Instant::now())
}

impl Exchange<'_> {
    /// A new connection, or a place on one that others have opened meanwhile.
    pub(super) async fn connect(
        &mut self,
        local: &LocalPool,
        index: usize,
        name: &upstream::Name,
    ) -> Result<Connection, Failed> {
        let pool = &local.running.pool;
        let parts = (
            pool.endpoints.get(index),
            local.running.transports.get(index),
            local.connections.get(index),
        );
        let (Some(endpoint), Some(transport), Some(home)) = parts else {
            return Err(no_connection(UpstreamError::Closed));
        };
        let http = transport.http;
        let (permit, opening) = loop {
            if let Some(joined) = home.join(name, http).await {
                return joined.map_err(no_connection);
            }
            let permit = tokio::select! {
                biased;
                permit = permit(local, index) => permit.map_err(no_room)?,
                freed = home.freed(name, http) => return Ok(freed),
            };
            // Others may have begun during the wait.
            if let Some(opening) = home.begin(name, http) {
                break (permit, opening);
            }
        };
        let counters = endpoint.counters.of(self.record.worker());
        counters.connections.add(1);
        let address = endpoint.key.address;
        let opened = upstream::connect(address, transport, name, &pool.timeouts, home, permit);
        match opened.await {
            Ok(connection) => {
                pool.reached(index);
                Ok(connection)
            }
            Err(error) => {
                opening.failed(&error);
                Err(no_connection(error))
            }
        }
    }

    /// A new connection that is to become a tunnel: shared with nobody, and of HTTP/1.1 in every
    /// pool.
    pub(super) async fn connect_tunnel(
        &mut self,
        local: &LocalPool,
        index: usize,
        name: &upstream::Name,
    ) -> Result<Connection, Failed> {
        let pool = &local.running.pool;
        let parts = (
            pool.endpoints.get(index),
            local.running.transports.get(index),
            local.connections.get(index),
        );
        let (Some(endpoint), Some(transport), Some(home)) = parts else {
            return Err(no_connection(UpstreamError::Closed));
        };
        let permit = Rc::new(permit(local, index).await.map_err(no_room)?);
        self.record.hold(Rc::clone(&permit));
        let counters = endpoint.counters.of(self.record.worker());
        counters.connections.add(1);
        let transport = Transport {
            http: PoolHttp::H1,
            ..transport.clone()
        };
        let address = endpoint.key.address;
        let opened = upstream::connect(address, &transport, name, &pool.timeouts, home, permit);
        let connection = opened.await.map_err(no_connection)?;
        pool.reached(index);
        Ok(connection)
    }
}

/// Another endpoint may do, unless it is the gateway that can open no more.
fn no_connection(error: UpstreamError) -> Failed {
    let next = match error {
        UpstreamError::Exhausted(_) => Next::GiveUp,
        _ => Next::OtherEndpoint,
    };
    Failed { error, next }
}
