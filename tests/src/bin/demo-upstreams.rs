//! The upstreams of `cargo xtask demo` and of the examples: some on the allow-list, one impostor,
//! and the certificates of all and of the gateway. Prints `ready` once they listen.
#![allow(
    clippy::unwrap_used,
    reason = "a tool for one machine: it may stop at any surprise"
)]

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::Parser;
use witgate_tests::{
    certs::{Authority, Identity},
    upstream::{Manner, Upstream},
};

/// What the upstreams call themselves in their certificates.
const UPSTREAM_NAME: &str = "web.internal";

/// Serves upstreams, which answer with what they were asked, until it is ended.
#[derive(Debug, Parser)]
struct Arguments {
    /// Folder of the certificates; what is missing is made.
    #[arg(long)]
    certs: PathBuf,
    /// Addresses of the upstreams, each with its name, as in `shop=127.0.0.1:9001`, or with the
    /// name `web-1`, `web-2` and so on. Its certificate is `NAME.pem`.
    #[arg(long, value_delimiter = ',', value_parser = named)]
    web: Vec<(Option<String>, SocketAddr)>,
    /// Address of the upstream whose certificate, `impostor.pem`, is on no list; without it there is none.
    #[arg(long)]
    impostor: Option<SocketAddr>,
    /// Names in the gateway's certificate, `gateway.pem`, which `ca.pem` signs.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "shop.example,*.shop.example,api.example,localhost"
    )]
    gateway_name: Vec<String>,
    /// Answers with a line of text instead of JSON: `shop: GET /cart`; when the query is `fields`,
    /// also with the fields of the request.
    #[arg(long)]
    words: bool,
    /// Writes the certificates and ends.
    #[arg(long)]
    only_certs: bool,
}

fn named(text: &str) -> Result<(Option<String>, SocketAddr), String> {
    let (name, address) = match text.split_once('=') {
        Some((name, address)) => (Some(name.to_owned()), address),
        None => (None, text),
    };
    let address = address.parse().map_err(|error| format!("{error}"))?;
    Ok((name, address))
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments = Arguments::parse();
    fs::create_dir_all(&arguments.certs).unwrap();
    gateway_certificate(&arguments);
    let manner = match arguments.words {
        true => Manner::Words,
        false => Manner::Http,
    };
    let web = (1..).zip(&arguments.web).map(|(number, (name, address))| {
        let name = name.clone().unwrap_or_else(|| format!("web-{number}"));
        (name, *address)
    });
    let impostor = arguments
        .impostor
        .map(|address| ("impostor".to_owned(), address));
    let mut servers = Vec::new();
    for (name, address) in web.chain(impostor) {
        let identity = Arc::new(identity(&arguments.certs, &name));
        if !arguments.only_certs {
            servers.push(Upstream::bind(address, &name, Some(&identity), manner.clone()).await);
        }
    }
    if !arguments.only_certs {
        println!("ready");
        std::future::pending::<()>().await;
    }
}

fn gateway_certificate(arguments: &Arguments) {
    let dir = &arguments.certs;
    let all = ["ca.pem", "gateway.pem", "gateway.key"];
    if all.iter().all(|file| dir.join(file).exists()) {
        return;
    }
    let names: Vec<_> = arguments.gateway_name.iter().map(String::as_str).collect();
    let authority = Authority::new("Witgate demo");
    authority.write(dir, "ca");
    authority.issue(&names).write(dir, "gateway");
}

/// The identity in `NAME.pem` and `NAME.key`, made when it is not there.
fn identity(dir: &Path, name: &str) -> Identity {
    if let Some(identity) = Identity::read(dir, name) {
        return identity;
    }
    let identity = Identity::self_signed(&[UPSTREAM_NAME]);
    identity.write(dir, name);
    identity
}
