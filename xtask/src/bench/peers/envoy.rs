//! Envoy with one Wasm filter: what a decision in Wasm costs there.

use std::{fs, path::Path, process::Command};

use anyhow::{Context as _, Result};

use super::Stage;
use crate::{command, project::Project, toolchain::Toolchain};

/// The folder of Envoy's package and of the filter, in cargo's target folder.
pub(crate) const PACKAGE: &str = "envoy";
const FILTER: &str = "envoy-filter";
/// What it is made of, in the workspace.
pub(crate) const SOURCES: &str = "xtask/src/bench/peers/envoy";

/// As nginx beside it: connections are kept, the upstream's certificate and name are verified, no
/// access log.
const CONFIGURATION: &str = r#"
static_resources:
  listeners:
  - address: { socket_address: { address: 127.0.0.1, port_value: @port@ } }
    filter_chains:
    - transport_socket:
        name: tls
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
          common_tls_context:
            tls_params: { tls_minimum_protocol_version: TLSv1_3 }
            alpn_protocols: [h2, http/1.1]
            tls_certificates:
            - certificate_chain: { filename: @stage@/front.pem }
              private_key: { filename: @stage@/front.key }
      filters:
      - name: http
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: http
          generate_request_id: false
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes: [{ match: { prefix: "/" }, route: { cluster_header: x-cluster } }]
          http_filters:
          - name: wasm
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm
              config:
                name: router
                vm_config:
                  runtime: envoy.wasm.runtime.v8
                  code: { local: { filename: @filter@ } }
          - name: router
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
  clusters:
  - name: web
    load_assignment:
      cluster_name: web
      endpoints: [{ lb_endpoints: [{ endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: @upstream@ } } } }] }]
    transport_socket:
      name: tls
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
        sni: backend.test
        common_tls_context:
          tls_params: { tls_minimum_protocol_version: TLSv1_3, tls_maximum_protocol_version: TLSv1_3 }
          validation_context:
            trusted_ca: { filename: @stage@/ca.pem }
            match_typed_subject_alt_names: [{ san_type: DNS, matcher: { exact: backend.test } }]
"#;

/// Compiles the filter.
pub(crate) fn build(project: &Project) -> Result<()> {
    let dir = project.root().join(SOURCES).join("filter");
    let toolchain = Toolchain::find(&dir)?;
    let mut cargo = toolchain.cargo(&dir, "build");
    cargo
        .args(["--release", "--locked"])
        .args(toolchain.build_flags())
        .env("CARGO_TARGET_DIR", project.target().join(FILTER));
    command::run(&mut cargo)
}

/// Envoy with two threads on a configuration in `dir`.
pub(super) fn peer(stage: &Stage, dir: &Path, port: u16) -> Result<Command> {
    let filter = stage.target.join(FILTER);
    let filter = filter.join("wasm32-unknown-unknown/release/envoy_filter.wasm");
    let text = CONFIGURATION
        .replace("@port@", &port.to_string())
        .replace("@upstream@", &stage.upstream_port().to_string())
        .replace("@stage@", &stage.dir().display().to_string())
        .replace("@filter@", &filter.display().to_string());
    let file = dir.join("envoy.yaml");
    fs::write(&file, text).context("envoy.yaml")?;
    let mut command = Command::new(stage.target.join(PACKAGE).join("bin/envoy"));
    command
        .args(["--concurrency", "2", "--disable-hot-restart", "-l", "error"])
        .arg("-c")
        .arg(file);
    Ok(command)
}
