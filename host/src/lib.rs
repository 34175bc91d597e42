//! Witgate: a TLS gateway whose decisions are Wasm plugins.
//!
//! The life of a request, in the order of the modules below: a [`worker`]'s [`listener`] accepts
//! its connection as far as [`admission`] allows, [`downstream`] does the [`tls`] handshake and speaks HTTP/1.1 or HTTP/2, and
//! [`proxy`] takes each request through: routing by each [`plugin`] in turn, an endpoint of a
//! [`pool`] by affinity or balance, edits by rewriting plugins, an [`upstream`] connection whose
//! certificate the pool trusts, and the answer back the same way. [`headers`] says which fields
//! may cross, [`error`] what a client gets instead of an answer, and [`access_log`],
//! [`metrics`] and [`record`] keep the books, [`total`] what many share.
//!
//! What a request is served with is one immutable [`snapshot`], made from a [`config`] and the
//! plugin folder, and replaced by [`reload`] when they change; what its worker adds to that is
//! [`local`]. [`names`] looks up endpoints, [`probe`] asks them how
//! they are. [`run`] puts the process together,
//! [`admin`] and [`log`] tell how it is, [`control`] is told what to do with plugins, [`supervisor`] is told, [`upgrade`] hands its [`sockets`]
//! to a new one, [`shutdown`] ends it, [`cli`] is the command line.

pub mod cli;
pub mod config;
pub mod run;

pub mod reload;
pub mod snapshot;

pub mod worker;

pub mod local;

pub mod admission;
pub mod listener;
pub mod sockets;

pub mod downstream;
pub mod tls;

pub mod proxy;

pub mod plugin;

pub mod names;
pub mod pool;
pub mod probe;

pub mod upstream;

pub mod client_body;
pub mod h2_body;
pub mod keepalive;

pub mod error;
pub mod headers;

pub mod access_log;
pub mod admin;
pub mod control;
pub mod log;
pub mod metrics;
pub mod record;
pub mod shutdown;
pub mod supervisor;
pub mod total;
pub mod upgrade;
