//! The upstreams of `cargo xtask demo`: two on the allow-list, one impostor, and the
//! certificates of all and of the gateway. Prints `ready` once they listen.
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

/// Serves the demo's upstreams until it is ended.
#[derive(Debug, Parser)]
struct Arguments {
    /// Folder of the certificates; what is missing is made.
    #[arg(long)]
    certs: PathBuf,
    /// Addresses of the upstreams with `web-1.pem`, `web-2.pem` and so on.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "127.0.0.1:9001,127.0.0.1:9002"
    )]
    web: Vec<SocketAddr>,
    /// Address of the upstream whose certificate, `impostor.pem`, is on no list.
    #[arg(long, default_value = "127.0.0.1:9003")]
    impostor: SocketAddr,
    /// Names in the gateway's certificate, `gateway.pem`, which `ca.pem` signs.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "shop.example,*.shop.example,api.example,localhost"
    )]
    gateway_name: Vec<String>,
    /// Writes the certificates and ends.
    #[arg(long)]
    only_certs: bool,
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments = Arguments::parse();
    fs::create_dir_all(&arguments.certs).unwrap();
    gateway_certificate(&arguments);
    let web = (1..)
        .zip(&arguments.web)
        .map(|(number, address)| (format!("web-{number}"), *address));
    let mut servers = Vec::new();
    for (name, address) in web.chain([("impostor".to_owned(), arguments.impostor)]) {
        let identity = Arc::new(identity(&arguments.certs, &name));
        if !arguments.only_certs {
            servers.push(Upstream::bind(address, &name, Some(&identity), Manner::Http).await);
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
