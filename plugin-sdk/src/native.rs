//! The gateway's side of the facts, for native tests: values that are built, answer the same
//! getters as the resources of the WIT, and take edits as the gateway does; and a world that grants all.

mod edit;
mod fields;
mod pool;
mod request;
mod response;
mod world;

pub use pool::PoolBuilder;
pub use request::RequestBuilder;
pub use response::ResponseBuilder;

pub(crate) use pool::RawPool;
pub(crate) use request::RawRequest;
pub(crate) use response::RawResponse;
pub(crate) use world::{World, world};
