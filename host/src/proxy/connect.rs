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
    pool::Endpoint,
    upstream::{self, Connection, Connections, Transport},
};

/// One that is open and free, or has room for another stream.
pub(super) fn open_connection(
    local: &LocalPool,
    index: usize,
    name: &upstream::Name,
    now: Instant,
) -> Option<Connection> {
    let http = local.running.transports.get(index)?.http;
    let connections = local.connections.get(index)?;
    connections.take(name, http, now)
}

/// Where a new connection goes, and where it belongs.
struct Site<'a> {
    endpoint: &'a Endpoint,
    transport: &'a Transport,
    home: &'a Rc<Connections>,
}

impl<'a> Site<'a> {
    fn of(local: &'a LocalPool, index: usize) -> Result<Self, Failed> {
        let parts = (
            local.running.pool.endpoints.get(index),
            local.running.transports.get(index),
            local.connections.get(index),
        );
        let (Some(endpoint), Some(transport), Some(home)) = parts else {
            return Err(no_connection(UpstreamError::Closed));
        };
        Ok(Self {
            endpoint,
            transport,
            home,
        })
    }
}

/// A new connection for a request of this worker, or a place on one that others have opened
/// meanwhile.
pub(super) async fn connect(
    local: &LocalPool,
    index: usize,
    name: &upstream::Name,
    worker: usize,
) -> Result<Connection, Failed> {
    let site = Site::of(local, index)?;
    let (home, http) = (site.home, site.transport.http);
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
    let opened = open((local, index), &site, name, worker, permit).await;
    opened.map_err(|error| {
        opening.failed(&error);
        no_connection(error)
    })
}

impl Exchange<'_> {
    /// A new connection that is to become a tunnel: shared with nobody, and of HTTP/1.1 in every
    /// pool.
    pub(super) async fn connect_tunnel(
        &mut self,
        local: &LocalPool,
        index: usize,
        name: &upstream::Name,
    ) -> Result<Connection, Failed> {
        let site = Site::of(local, index)?;
        let permit = Rc::new(permit(local, index).await.map_err(no_room)?);
        self.record.hold(Rc::clone(&permit));
        let transport = Transport {
            http: PoolHttp::H1,
            ..site.transport.clone()
        };
        let site = Site {
            transport: &transport,
            ..site
        };
        let worker = self.record.worker();
        let opened = open((local, index), &site, name, worker, permit).await;
        opened.map_err(no_connection)
    }
}

async fn open(
    (local, index): (&LocalPool, usize),
    site: &Site<'_>,
    name: &upstream::Name,
    worker: usize,
    permit: impl Sized + 'static,
) -> Result<Connection, UpstreamError> {
    let pool = &local.running.pool;
    site.endpoint.counters.of(worker).connections.add(1);
    let address = site.endpoint.key.address;
    let (transport, timeouts) = (site.transport, &pool.timeouts);
    let connection =
        upstream::connect(address, transport, name, timeouts, site.home, permit).await?;
    pool.reached(index);
    Ok(connection)
}

/// Another endpoint may do, unless it is the gateway that can open no more.
fn no_connection(error: UpstreamError) -> Failed {
    let next = match error {
        UpstreamError::Exhausted(_) => Next::GiveUp,
        _ => Next::OtherEndpoint,
    };
    Failed { error, next }
}
