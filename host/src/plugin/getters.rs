//! The host's side of the WIT interfaces `request`, `response` and `pool`: what a call lends,
//! one fact at a time.

use std::net::IpAddr;

use http::HeaderMap;
use wasmtime::Result;

use super::{
    bindings::witgate::plugin::{
        pool, request, response,
        types::{
            self, Addresses, ClientCertificate, Field, HttpVersion, IpAddress, Scheme,
            SocketAddress, TlsSession,
        },
    },
    facts,
    state::State,
};

/// A fact of something that the running call is not about is a trap.
fn lent<'a, T>(value: Option<&'a T>, name: &str) -> Result<&'a T> {
    value.ok_or_else(|| wasmtime::Error::msg(format!("there is no {name} in this call")))
}

impl State {
    fn lent_request(&self) -> Result<&facts::Request> {
        lent(self.request.as_deref(), "request")
    }

    fn lent_headers(&self) -> Result<&HeaderMap> {
        Ok(&self.lent_request()?.head.headers)
    }

    fn lent_client(&self) -> Result<Option<&facts::ClientCertificate>> {
        let tls = self.lent_request()?.connection.tls.as_ref();
        Ok(tls.and_then(|session| session.client.as_ref()))
    }

    fn lent_response(&self) -> Result<&http::response::Parts> {
        Ok(&lent(self.response.as_deref(), "response")?.head)
    }

    fn lent_pool(&self) -> Result<&facts::PoolFacts> {
        lent(self.pool.as_deref(), "pool")
    }
}

impl types::Host for State {}

impl request::Host for State {
    fn id(&mut self) -> Result<String> {
        Ok(self.lent_request()?.id.to_string())
    }

    fn method(&mut self) -> Result<String> {
        Ok(self.lent_request()?.head.method.as_str().to_owned())
    }

    fn scheme(&mut self) -> Result<Scheme> {
        Ok(match self.lent_request()?.connection.tls {
            Some(_) => Scheme::Https,
            None => Scheme::Http,
        })
    }

    fn version(&mut self) -> Result<HttpVersion> {
        Ok(match self.lent_request()?.head.version {
            http::Version::HTTP_2 => HttpVersion::Http2,
            http::Version::HTTP_10 => HttpVersion::Http10,
            _ => HttpVersion::Http11,
        })
    }

    fn authority(&mut self) -> Result<String> {
        Ok(self.lent_request()?.authority.as_str().to_owned())
    }

    fn host(&mut self) -> Result<String> {
        Ok(self.lent_request()?.host().to_owned())
    }

    fn path(&mut self) -> Result<String> {
        Ok(self.lent_request()?.head.uri.path().to_owned())
    }

    fn query(&mut self) -> Result<Option<String>> {
        Ok(self.lent_request()?.head.uri.query().map(str::to_owned))
    }

    fn target_uri(&mut self) -> Result<String> {
        Ok(self.lent_request()?.target_uri())
    }

    fn original_uri(&mut self) -> Result<String> {
        Ok(self.lent_request()?.original_uri())
    }

    fn header(&mut self, name: String) -> Result<Option<Vec<u8>>> {
        Ok(self
            .lent_headers()?
            .get(name)
            .map(|value| value.as_bytes().to_vec()))
    }

    fn header_values(&mut self, name: String) -> Result<Vec<Vec<u8>>> {
        Ok(facts::values(self.lent_headers()?, &name))
    }

    fn headers(&mut self) -> Result<Vec<Field>> {
        Ok(fields(self.lent_headers()?))
    }

    fn cookie(&mut self, name: String) -> Result<Option<String>> {
        Ok(facts::cookie(self.lent_headers()?, &name))
    }

    fn listener(&mut self) -> Result<String> {
        Ok(self.lent_request()?.connection.listener.as_ref().to_owned())
    }

    fn addresses(&mut self) -> Result<Addresses> {
        let connection = &self.lent_request()?.connection;
        Ok(Addresses {
            peer: socket_address(connection.peer),
            local: socket_address(connection.local),
        })
    }

    fn tls(&mut self) -> Result<Option<TlsSession>> {
        Ok(self
            .lent_request()?
            .connection
            .tls
            .as_ref()
            .map(|session| TlsSession {
                version: session.version.to_string(),
                cipher: session.cipher.to_string(),
                server_name: session.server_name.as_deref().map(str::to_owned),
                alpn: session.alpn.as_deref().map(str::to_owned),
            }))
    }

    fn client_certificate(&mut self) -> Result<Option<ClientCertificate>> {
        Ok(self.lent_client()?.map(|client| ClientCertificate {
            verification: client.verification.clone(),
            subject: client.subject.clone(),
            issuer: client.issuer.clone(),
            serial: client.serial.clone(),
            fingerprint: client.fingerprint.clone(),
            not_before: client.validity.0,
            not_after: client.validity.1,
        }))
    }

    fn client_certificate_chain(&mut self) -> Result<Vec<Vec<u8>>> {
        let client = self.lent_client()?;
        Ok(client.map_or_else(Vec::new, |client| client.chain.clone()))
    }
}

impl response::Host for State {
    fn status(&mut self) -> Result<u16> {
        Ok(self.lent_response()?.status.as_u16())
    }

    fn header(&mut self, name: String) -> Result<Option<Vec<u8>>> {
        Ok(self
            .lent_response()?
            .headers
            .get(name)
            .map(|value| value.as_bytes().to_vec()))
    }

    fn header_values(&mut self, name: String) -> Result<Vec<Vec<u8>>> {
        Ok(facts::values(&self.lent_response()?.headers, &name))
    }

    fn headers(&mut self) -> Result<Vec<Field>> {
        Ok(fields(&self.lent_response()?.headers))
    }
}

impl pool::Host for State {
    fn name(&mut self) -> Result<String> {
        Ok(self.lent_pool()?.name.clone())
    }

    fn endpoints(&mut self) -> Result<Vec<String>> {
        Ok(self.lent_pool()?.endpoints.clone())
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
    let ip = match address.ip().to_canonical() {
        IpAddr::V4(ip) => IpAddress::Ipv4(ip.octets().into()),
        IpAddr::V6(ip) => IpAddress::Ipv6(ip.segments().into()),
    };
    SocketAddress {
        ip,
        port: address.port(),
    }
}
