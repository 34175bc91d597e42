//! nginx, twice: as the upstream of all, and as the gateway that ours is compared with.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use super::Stage;
use crate::{command::which, project::Project, setup};

const PROCESSES: u32 = 2;

/// One process with the answers: `/128`, `/16k`, `/1m` and, after the whole body, `/upload`.
const UPSTREAM: &str = r#"
    client_body_buffer_size 2m;
    open_file_cache max=16;
    ssl_certificate @stage@/back.pem;
    ssl_certificate_key @stage@/back.key;
    ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;
    server { listen unix:@dir@/sink; location / { return 200 ok; } }
    server {
        listen 127.0.0.1:@port@ ssl http2 backlog=4096;
        root @dir@;
        location / { return 200 "@body@"; }
        location ~ ^/(16k|1m)$ { }
        location = /upload {
            proxy_pass http://unix:@dir@/sink;
            proxy_pass_request_body off;
            proxy_set_header Content-Length 0;
        }
    }
"#;

/// As people write it who want nginx in front of an application over TLS to be fast: connections
/// to the upstream are kept, nothing is spooled to disk, the upstream's certificate is verified.
const PEER: &str = r#"
    sendfile on;
    tcp_nopush on;
    ssl_certificate @stage@/front.pem;
    ssl_certificate_key @stage@/front.key;
    ssl_session_cache shared:tls:10m;
    upstream web { server 127.0.0.1:@upstream@; keepalive 1000; keepalive_requests 1000000000; }
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_set_header Host $host;
    proxy_ssl_protocols TLSv1.3;
    proxy_ssl_verify on;
    proxy_ssl_trusted_certificate @stage@/ca.pem;
    proxy_ssl_server_name on;
    proxy_ssl_name backend.test;
    proxy_buffers 16 16k;
    proxy_max_temp_file_size 0;
    proxy_request_buffering off;
    server {
        listen 127.0.0.1:@port@ ssl http2 backlog=4096;
        location / { proxy_pass https://web; }
    }
"#;

/// Around both. nginx closes connections after a thousand requests unless told otherwise.
const FRAME: &str = r#"
daemon off;
worker_processes @processes@;
worker_rlimit_nofile 20000;
pid @dir@/pid;
error_log stderr error;
events { worker_connections 16384; }
http {
    access_log off;
    client_body_temp_path @dir@/body; proxy_temp_path @dir@/proxy;
    fastcgi_temp_path @dir@/fastcgi; uwsgi_temp_path @dir@/uwsgi; scgi_temp_path @dir@/scgi;
    keepalive_requests 1000000000;
    keepalive_timeout 600s;
    client_max_body_size 0;
    ssl_protocols TLSv1.3;
@rest@}
"#;

/// The machine's, else the one that set-up has unpacked.
pub(super) fn program(project: &Project) -> Result<PathBuf> {
    let places = ["/usr/sbin/nginx", "/usr/local/sbin/nginx"].map(PathBuf::from);
    let unpacked = project.target().join(setup::NGINX);
    let mut places = places.into_iter().chain(which("nginx")).chain([unpacked]);
    places
        .find(|file| file.is_file())
        .context("nginx is missing: run `cargo xtask setup`")
}

pub(super) fn upstream(stage: &Stage, dir: &Path, port: u16) -> Result<Command> {
    for (name, size) in [("16k", 16 << 10), ("1m", 1 << 20)] {
        fs::write(dir.join(name), vec![b'x'; size])?;
    }
    // One process: it takes less than half of what the gateways do.
    command(stage, dir, port, UPSTREAM, 1)
}

pub(super) fn peer(stage: &Stage, dir: &Path, port: u16) -> Result<Command> {
    command(stage, dir, port, PEER, PROCESSES)
}

fn command(stage: &Stage, dir: &Path, port: u16, rest: &str, processes: u32) -> Result<Command> {
    let text = FRAME
        .replace("@rest@", rest)
        .replace("@processes@", &processes.to_string())
        .replace("@stage@", &stage.dir().display().to_string())
        .replace("@dir@", &dir.display().to_string())
        .replace("@port@", &port.to_string())
        .replace("@upstream@", &stage.upstream_port().to_string())
        .replace("@body@", &"x".repeat(128));
    let file = dir.join("nginx.conf");
    fs::write(&file, text)?;
    // Its processes run as another user where it is started by root; they must read the files.
    open_to_all(stage.dir())?;
    let mut command = Command::new(&stage.nginx);
    command
        .arg("-p")
        .arg(dir)
        .args(["-e", "stderr", "-c"])
        .arg(file);
    Ok(command)
}

fn open_to_all(dir: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(dir, fs::Permissions::from_mode(0o755))?;
    Ok(())
}
