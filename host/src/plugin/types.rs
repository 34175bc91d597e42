//! The host's side of the WIT interface `types`: getters on what a call lends.

use http::{HeaderMap, uri::PathAndQuery};
use wasmtime::{Result, component::Resource};

use super::{
    bindings::witgate::plugin::types::{
        Field, Host, HostPool, HostRequest, HostResponse, HttpVersion, Scheme, SocketAddress,
        TlsSession,
    },
    facts::{self, PoolHandle, RequestHandle, ResponseHandle},
    state::State,
};

/// Handles are lent for one call and the component model takes them back at its end, so that
/// a getter always finds what was lent; if it ever did not, the plugin would trap.
fn lent<T>(value: Option<&T>) -> Result<&T> {
    value.ok_or_else(|| wasmtime::Error::msg("a handle was used outside the call that lent it"))
}

impl State {
    fn lent_request(&self) -> Result<&facts::Request> {
        lent(self.request.as_deref())
    }

    fn lent_headers(&self) -> Result<&HeaderMap> {
        Ok(&self.lent_request()?.head.headers)
    }

    fn lent_response(&self) -> Result<&http::response::Parts> {
        Ok(&lent(self.response.as_deref())?.head)
    }

    fn lent_pool(&self) -> Result<&facts::PoolFacts> {
        lent(self.pool.as_deref())
    }
}

impl Host for State {}

impl HostRequest for State {
    fn id(&mut self, _: Resource<RequestHandle>) -> Result<String> {
        Ok(self.lent_request()?.id.to_string())
    }

    fn method(&mut self, _: Resource<RequestHandle>) -> Result<String> {
        Ok(self.lent_request()?.head.method.as_str().to_owned())
    }

    fn scheme(&mut self, _: Resource<RequestHandle>) -> Result<Scheme> {
        Ok(match self.lent_request()?.connection.tls {
            Some(_) => Scheme::Https,
            None => Scheme::Http,
        })
    }

    fn version(&mut self, _: Resource<RequestHandle>) -> Result<HttpVersion> {
        Ok(match self.lent_request()?.head.version {
            http::Version::HTTP_2 => HttpVersion::Http2,
            http::Version::HTTP_10 => HttpVersion::Http10,
            _ => HttpVersion::Http11,
        })
    }

    fn authority(&mut self, _: Resource<RequestHandle>) -> Result<String> {
        Ok(self.lent_request()?.authority.as_str().to_owned())
    }

    fn host(&mut self, _: Resource<RequestHandle>) -> Result<String> {
        Ok(self.lent_request()?.host().to_owned())
    }

    fn path(&mut self, _: Resource<RequestHandle>) -> Result<String> {
        Ok(self.lent_request()?.head.uri.path().to_owned())
    }

    fn query(&mut self, _: Resource<RequestHandle>) -> Result<Option<String>> {
        Ok(self.lent_request()?.head.uri.query().map(str::to_owned))
    }

    fn original_authority(&mut self, _: Resource<RequestHandle>) -> Result<String> {
        Ok(self.lent_request()?.original().0.as_str().to_owned())
    }

    fn original_target(&mut self, _: Resource<RequestHandle>) -> Result<String> {
        let target = self.lent_request()?.original().1.path_and_query();
        Ok(target.map_or("/", PathAndQuery::as_str).to_owned())
    }

    fn header(&mut self, _: Resource<RequestHandle>, name: String) -> Result<Option<Vec<u8>>> {
        Ok(self
            .lent_headers()?
            .get(name)
            .map(|value| value.as_bytes().to_vec()))
    }

    fn header_values(&mut self, _: Resource<RequestHandle>, name: String) -> Result<Vec<Vec<u8>>> {
        Ok(facts::values(self.lent_headers()?, &name))
    }

    fn headers(&mut self, _: Resource<RequestHandle>) -> Result<Vec<Field>> {
        Ok(fields(self.lent_headers()?))
    }

    fn cookie(&mut self, _: Resource<RequestHandle>, name: String) -> Result<Option<String>> {
        Ok(facts::cookie(self.lent_headers()?, &name))
    }

    fn listener(&mut self, _: Resource<RequestHandle>) -> Result<String> {
        Ok(self.lent_request()?.connection.listener.as_ref().to_owned())
    }

    fn peer(&mut self, _: Resource<RequestHandle>) -> Result<SocketAddress> {
        Ok(socket_address(self.lent_request()?.connection.peer))
    }

    fn local(&mut self, _: Resource<RequestHandle>) -> Result<SocketAddress> {
        Ok(socket_address(self.lent_request()?.connection.local))
    }

    fn tls(&mut self, _: Resource<RequestHandle>) -> Result<Option<TlsSession>> {
        Ok(self
            .lent_request()?
            .connection
            .tls
            .as_ref()
            .map(|session| TlsSession {
                version: session.version.to_owned(),
                cipher: session.cipher.to_owned(),
                server_name: session.server_name.as_deref().map(str::to_owned),
                alpn: session.alpn.map(str::to_owned),
            }))
    }

    fn drop(&mut self, _: Resource<RequestHandle>) -> Result<()> {
        Ok(())
    }
}

impl HostResponse for State {
    fn status(&mut self, _: Resource<ResponseHandle>) -> Result<u16> {
        Ok(self.lent_response()?.status.as_u16())
    }

    fn header(&mut self, _: Resource<ResponseHandle>, name: String) -> Result<Option<Vec<u8>>> {
        Ok(self
            .lent_response()?
            .headers
            .get(name)
            .map(|value| value.as_bytes().to_vec()))
    }

    fn header_values(&mut self, _: Resource<ResponseHandle>, name: String) -> Result<Vec<Vec<u8>>> {
        Ok(facts::values(&self.lent_response()?.headers, &name))
    }

    fn headers(&mut self, _: Resource<ResponseHandle>) -> Result<Vec<Field>> {
        Ok(fields(&self.lent_response()?.headers))
    }

    fn drop(&mut self, _: Resource<ResponseHandle>) -> Result<()> {
        Ok(())
    }
}

impl HostPool for State {
    fn name(&mut self, _: Resource<PoolHandle>) -> Result<String> {
        Ok(self.lent_pool()?.name.clone())
    }

    fn generation(&mut self, _: Resource<PoolHandle>) -> Result<u64> {
        Ok(self.lent_pool()?.generation)
    }

    fn endpoints(&mut self, _: Resource<PoolHandle>) -> Result<Vec<String>> {
        Ok(self.lent_pool()?.endpoints.clone())
    }

    fn drop(&mut self, _: Resource<PoolHandle>) -> Result<()> {
        Ok(())
    }
}

fn fields(headers: &HeaderMap) -> Vec<Field> {
    headers
        .iter()
        .map(|(name, value)| Field {
            name: name.as_str().to_owned(),
            value: value.as_bytes().to_vec(),
        })
        .collect()
}

/// IPv4 addresses that arrive on an IPv6 socket are shown as IPv4.
fn socket_address(address: std::net::SocketAddr) -> SocketAddress {
    SocketAddress {
        ip: address.ip().to_canonical().to_string(),
        port: address.port(),
    }
}
