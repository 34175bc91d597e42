//! End-to-end tests: the real gateway between real clients and real upstreams. One module for
//! each topic; the builders are in `src/`.
#![allow(
    clippy::unwrap_used,
    reason = "a test ends at the first thing that is not as it must be"
)]

mod affinity;
mod body_inspection;
mod callout;
mod canary_split;
mod cases;
mod cli;
mod client_certificates;
mod compared_with_nginx;
mod compiled_code;
mod cors;
mod dns;
mod early_answers;
mod error_pages;
mod errors;
mod faults_clients;
mod faults_clients_h2;
mod faults_floods_h2;
mod faults_lifecycle;
mod faults_page;
mod faults_plugins;
mod faults_pools;
mod faults_resources;
mod faults_tls;
mod faults_upgrade;
mod faults_upstream;
mod faults_upstream_bytes;
mod faults_upstream_h2;
mod faults_upstream_time;
mod frozen;
mod grants;
mod grpc;
mod guests;
mod headers;
mod hot_reload;
mod interim;
mod interim_h2;
mod ip_filter;
mod jwt_auth;
mod lifecycle;
mod listeners;
mod other_languages;
mod plugin_faults;
mod plugin_faults_together;
mod pools;
mod probes;
mod rate_limiter;
mod real_clients;
mod record;
mod request_deadline;
mod retries;
mod revocation;
mod rfc9112;
mod rfc9113;
mod rollout;
mod routing;
mod signed_plugins;
mod soak;
mod streaming;
mod swaps;
mod targets;
mod tls;
mod tls_names;
mod tls_policy;
mod tls_staple;
mod tls_tickets;
mod trust;
mod tunnels;
mod tunnels_h2;
mod upstream_h2;
mod upstream_h2_connections;
mod upstream_tls;
