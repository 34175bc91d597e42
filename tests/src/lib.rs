//! What the end-to-end tests are built from: certificates, upstreams, clients, raw sockets,
//! Wasm files and the gateway binary itself.
//!
//! Every builder takes port 0 and a temporary folder of its own, so that tests run side by
//! side; what a test started ends with it.
#![allow(
    clippy::unwrap_used,
    reason = "a test ends at the first thing that is not as it must be"
)]

pub mod body;
pub mod certs;
pub mod client;
pub mod curl;
pub mod dns;
pub mod gateway;
pub mod load;
pub mod nginx;
pub mod peers;
pub mod raw;
pub mod raw_h2;
pub mod readme;
pub mod scripted;
pub mod signer;
pub mod tls;
pub mod tls_server;
pub mod tunnel;
pub mod upstream;
pub mod wait;
pub mod wasm;

pub use tempfile::TempDir;

/// The protocol between a test's client and the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Http {
    /// HTTP/1.1.
    One,
    /// HTTP/2.
    Two,
}

/// Makes two tests of one: over HTTP/1.1 and over HTTP/2.
///
/// The body is an `async fn` that takes the [`Http`] to speak.
#[macro_export]
macro_rules! over_h1_and_h2 {
    ($(async fn $name:ident($http:ident) $body:block)+) => {$(
        mod $name {
            use super::*;

            async fn run($http: $crate::Http) $body

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn over_h1() {
                run($crate::Http::One).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn over_h2() {
                run($crate::Http::Two).await;
            }
        }
    )+};
}
