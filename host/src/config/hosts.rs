//! Names and addresses as people write them: listeners' addresses, endpoints, server names.
//! An error says what was found and what was expected.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use rustls_pki_types::ServerName;

/// `127.0.0.1:8443` or `[::1]:8443`: an address to listen on.
pub(super) fn socket_address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        let why = if text.contains("://") {
            ", not a URL"
        } else if text.parse::<IpAddr>().is_ok() {
            "; the port is missing"
        } else if text.starts_with("localhost:") {
            "; names are not looked up here"
        } else {
            ""
        };
        format!(
            "found {text:?}, expected an IP address and a port such as \
             \"127.0.0.1:8443\" or \"[::1]:8443\"{why}"
        )
    })
}

/// `host:port` of an endpoint: the host, without the brackets of IPv6, and the port.
pub(super) fn endpoint(text: &str) -> Result<(String, u16), String> {
    let wrong = |why: &str| {
        format!(
            "found {text:?}, expected a host and a port such as \"10.0.0.4:443\", \
             \"web.internal:443\" or \"[2001:db8::1]:443\"{why}"
        )
    };
    if let Some((scheme, rest)) = text.split_once("://") {
        let authority = rest.split('/').next().unwrap_or(rest);
        let port = if scheme == "http" { 80 } else { 443 };
        let suggestion = match endpoint(authority) {
            Ok(_) => authority.to_owned(),
            Err(_) => format!("{authority}:{port}"),
        };
        return Err(wrong(&format!("; it is not a URL: write {suggestion:?}")));
    }
    if text.contains('/') {
        return Err(wrong("; paths are for routing plugins"));
    }
    if text.parse::<Ipv6Addr>().is_ok() {
        return Err(wrong("; put the IPv6 address in brackets and add the port"));
    }
    let Some((host, port)) = text.rsplit_once(':') else {
        return Err(wrong("; the port is missing"));
    };
    let port = match port.parse::<u16>() {
        Ok(0) => return Err(wrong("; port 0 cannot be connected to")),
        Ok(port) => port,
        Err(_) => return Err(wrong("; the port is a number from 1 to 65535")),
    };
    host_name(host)
        .map(|host| (host, port))
        .ok_or_else(|| wrong(""))
}

/// A DNS name, an IPv4 address or an IPv6 address in brackets.
fn host_name(host: &str) -> Option<String> {
    if let Some(v6) = host.strip_prefix('[') {
        let v6 = v6.strip_suffix(']')?;
        return v6.parse::<Ipv6Addr>().ok().map(|_| v6.to_owned());
    }
    is_server_name(host)
        .then(|| host.to_owned())
        .filter(|host| !host.contains(':'))
}

/// What rustls can send and verify. A name that ends in a number is a mistyped IP address.
fn is_server_name(text: &str) -> bool {
    let name = text.strip_suffix('.').unwrap_or(text);
    let last = name.rsplit('.').next().unwrap_or(name);
    match ServerName::try_from(text) {
        Ok(ServerName::DnsName(_)) => !last.bytes().all(|byte| byte.is_ascii_digit()),
        Ok(_) => true,
        Err(_) => false,
    }
}

/// The name that is sent as SNI and verified.
pub(super) fn server_name(text: String) -> Result<String, String> {
    if is_server_name(&text) {
        return Ok(text);
    }
    let why = if text.contains("://") {
        "; it is not a URL"
    } else if text.contains(':') {
        "; it has no port"
    } else if text.contains('*') {
        "; wildcards belong into certificates"
    } else {
        ""
    };
    Err(format!(
        "found {text:?}, expected a DNS name such as \"web.internal\" or an IP address{why}"
    ))
}

/// What is sent as `Host`: a host with or without a port.
pub(super) fn authority(text: String) -> Result<String, String> {
    let with_port = endpoint(&text).is_ok();
    if with_port || host_name(&text).is_some() {
        return Ok(text);
    }
    Err(format!(
        "found {text:?}, expected a host with or without a port such as \"web.internal\" or \
         \"web.internal:8443\""
    ))
}

/// Longest name of a listener, pool or plugin: they stand in metrics and in every log line.
const NAME_LENGTH: usize = 64;

/// The name of a listener or pool.
pub(super) fn name(text: &str) -> Result<(), String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if (1..=NAME_LENGTH).contains(&text.len()) && text.bytes().all(allowed) {
        return Ok(());
    }
    Err(format!(
        "found {text:?}, expected a name of 1 to {NAME_LENGTH} letters, digits, `-`, `_` and `.`"
    ))
}

/// Longest id of an endpoint: a DNS name has up to 253 characters, a port 5.
const ID_LENGTH: usize = 260;

/// The id of an endpoint, which plugins hand back and log lines show.
pub(super) fn id(text: String) -> Result<String, String> {
    let allowed = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\' | b',' | b';');
    if (1..=ID_LENGTH).contains(&text.len()) && text.bytes().all(allowed) {
        return Ok(text);
    }
    Err(format!(
        "found {text:?}, expected an id of 1 to {ID_LENGTH} visible ASCII characters \
         without quotes, `\\`, `,` and `;`"
    ))
}

/// The name of a plugin: its file's name without number and extension.
pub(super) fn plugin(text: String) -> Result<String, String> {
    let stem = text.strip_suffix(".wasm").unwrap_or(&text);
    let bare = match stem.split_once('-') {
        Some((number, rest)) if number.bytes().all(|byte| byte.is_ascii_digit()) => rest,
        _ => stem,
    };
    if bare != text && name(bare).is_ok() {
        return Err(format!(
            "found {text:?}, expected a plugin's name, without number and extension: {bare:?}"
        ));
    }
    name(&text).map(|()| text)
}
