//! `[trace]`: whose trace a request belongs to (W3C Trace Context), and whether the access log has
//! the spans of its way.

use std::ops::RangeInclusive;

use super::{check::Check, raw};

const PERCENT: RangeInclusive<i64> = 0..=100;

/// What becomes of traces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tracing {
    /// Where a request's trace comes from.
    pub context: TraceContext,
    /// Percent of the traces begun here that are to be sampled. 0 to 100; default 100.
    pub sampled: u8,
    /// Whether the access log has the spans of a request. Default false.
    pub spans: bool,
}

/// Where a request's trace comes from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TraceContext {
    /// The gateway has no part in it: `traceparent` is a field like any other. The default.
    #[default]
    Off,
    /// From the client where it names one, else it begins here.
    Accept,
    /// It begins here, whatever the client says.
    Start,
}

impl TraceContext {
    const ALL: [(&'static str, Self); 3] = [
        ("off", Self::Off),
        ("accept", Self::Accept),
        ("start", Self::Start),
    ];
}

impl Check<'_> {
    pub(super) fn trace(&mut self, raw: &raw::Tracing) -> Tracing {
        let context = raw.context.as_deref();
        let off = TraceContext::Off;
        Tracing {
            context: self.choice("trace.context", context, &TraceContext::ALL, off),
            sampled: self.count("trace.sampled", raw.sampled, PERCENT, 100),
            spans: raw.spans.unwrap_or(false),
        }
    }
}
