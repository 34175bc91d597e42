//! Wasm plugins: facts in, decision out. From a file to a checked version, from a version to
//! the instances of each worker, and the bounds of every call. What a decision means for a
//! request is `proxy`'s to say.

mod access_fields;
#[allow(missing_docs, reason = "documented in the WIT")]
mod bindings;
mod body;
mod callout;
mod cases;
mod clock;
pub mod compile;
mod component;
mod decision;
mod engine;
mod error;
mod facts;
pub mod folder;
mod getters;
mod imports;
mod instance;
mod kv;
mod lines;
mod load;
mod local;
mod log;
mod memory;
mod mends;
mod metrics;
mod numbers;
mod overtime;
mod random;
mod recorded;
mod rehearsal;
mod shadow;
mod shared;
mod shares;
mod shown;
mod state;
mod store;
mod suspension;
mod ticker;
mod trial;
mod trust;
mod version;
mod waiting;

pub use access_fields::AccessField;
pub use bindings::{
    exports::witgate::plugin::{
        affinity::{Outcome, Preference},
        interest::Calls,
        routing::{Forward, Respond},
    },
    witgate::plugin::types::{Field, RequestEdit, ResponseEdit},
};
pub use cases::{CaseDecision, CaseDifference, Missing, Replay, Tried};
pub use compile::Compiler;
pub use component::{CheckedComponent, config_schema, encode, schema_section};
pub use decision::Decision;
pub use engine::PluginEngine;
pub use error::{CallError, LoadError};
pub use facts::{
    ClientCertificate, Connection, Lendable, Original, PoolFacts, Request, RequestId, Response,
    TlsSession,
};
pub use imports::Imports;
pub use load::{LoadStep, load};
pub use local::{LocalPlugin, PluginNames};
pub use numbers::{Numbers, Total, VALUE_BUCKETS, Values};
pub use recorded::{Heard, HeardCallout, RecordedCall, RecordedLine};
pub use rehearsal::{MadeCall, Rehearsal, Rehearsed};
pub use shadow::Shadow;
pub use shared::Shared;
pub use shares::{Share, shares};
pub use trial::{Difference, Progress, Stage, Tally, Trial, Verdict};
pub use trust::{
    NoSidecar, Proof, SignatureFile, Signatures, Trust, TrustedKey, Untrusted, signature_of,
};
pub use version::{Digest, InService, Source, Version, grants_line};
pub use waiting::{
    Ask, BodyFailure, BodyStart, Callout, CalloutAnswer, CalloutFailure, NoServices, Services,
};
