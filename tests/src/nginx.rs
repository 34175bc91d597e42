//! nginx itself, as the other gateway that ours is compared with: TLS and HTTP/2 on one port,
//! in front of upstreams whose certificate it verifies.

use std::{fmt::Write as _, fs, net::SocketAddr, path::Path, process::Stdio};

use tempfile::TempDir;
use tokio::{
    net::TcpStream,
    process::{Child, Command},
};

use crate::{certs::Identity, eventually, peers, upstream};

/// A running nginx; killed when dropped.
#[derive(Debug)]
pub struct Nginx {
    address: SocketAddr,
    process: Child,
    _dir: TempDir,
}

impl Nginx {
    /// One process that presents this certificate and sends requests for these paths, or for
    /// all that begin with them when they end in `/`, to TLS upstreams of one identity.
    pub async fn start(
        identity: &Identity,
        upstreams: &Identity,
        routes: &[(String, SocketAddr)],
    ) -> Self {
        let dir = tempfile::tempdir().unwrap();
        identity.write(dir.path(), "nginx");
        upstreams.write(dir.path(), "upstream");
        for folder in ["body", "proxy", "fastcgi", "uwsgi", "scgi"] {
            fs::create_dir(dir.path().join(folder)).unwrap();
        }
        // Free a moment ago; nginx cannot tell which port it got.
        let address = upstream::refusing().await;
        let file = dir.path().join("nginx.conf");
        fs::write(&file, configuration(address, dir.path(), routes)).unwrap();
        let mut process = Command::new(peers::nginx())
            .arg("-p")
            .arg(dir.path())
            .arg("-c")
            .arg(&file)
            .args(["-e", "error.log"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let log = dir.path().join("error.log");
        eventually!("nginx listening", {
            let told = || fs::read_to_string(&log).unwrap_or_default();
            assert!(process.try_wait().unwrap().is_none(), "{}", told());
            TcpStream::connect(address).await.ok()
        });
        Self {
            address,
            process,
            _dir: dir,
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process.
    pub fn pid(&self) -> Option<u32> {
        self.process.id()
    }
}

/// What people write who put nginx in front of an application over TLS, with limits and
/// timeouts as the comparison needs them.
fn configuration(address: SocketAddr, dir: &Path, routes: &[(String, SocketAddr)]) -> String {
    let mut locations = String::new();
    for (path, to) in routes {
        let exact = if path.ends_with('/') { "" } else { "= " };
        let _ = writeln!(
            locations,
            "location {exact}{path} {{ proxy_pass https://{to}; }}"
        );
    }
    let dir = dir.display();
    format!(
        "daemon off; master_process off; pid nginx.pid;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy;
    fastcgi_temp_path {dir}/fastcgi; uwsgi_temp_path {dir}/uwsgi; scgi_temp_path {dir}/scgi;
    server {{
        listen {address} ssl http2;
        ssl_certificate {dir}/nginx.pem; ssl_certificate_key {dir}/nginx.key;
        large_client_header_buffers 4 8k; client_max_body_size 1m;
        proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_set_header Host $http_host;
        proxy_request_buffering off; proxy_read_timeout 2s;
        proxy_ssl_verify on; proxy_ssl_trusted_certificate {dir}/upstream.pem;
        proxy_ssl_name web.internal; proxy_ssl_server_name on;
{locations}    }}
}}
"
    )
}
