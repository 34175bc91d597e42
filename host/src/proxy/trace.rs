//! The trace that a request is part of (W3C Trace Context): taken from the client or begun, and
//! named to the endpoint with the gateway's own span. And the spans of its way through the
//! gateway, for the access log.

use std::{
    cell::{Cell, RefCell},
    time::{Duration, Instant},
};

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::{
    access_log::{SpanEntry, TraceEntry},
    config::{TraceContext, Tracing},
    plugin::RequestId,
    pool::Pool,
};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
/// Version, trace, parent and flags of version 00, with what stands between them.
const LENGTH: usize = 55;
/// The one flag that means the same in all versions.
const SAMPLED: u8 = 1;
/// More are not kept of one request, which is tried and asks at most so often.
const MAX_SPANS: usize = 128;

/// A request's place in its trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Context {
    trace: u128,
    /// The gateway's own span.
    span: u64,
    /// The client's; none where the trace begins here.
    parent: Option<u64>,
    is_sampled: bool,
}

impl Context {
    /// The place of a request with these fields, which name it to the endpoint from now on; none
    /// where the gateway has no part in traces.
    pub(super) fn enter(rules: &Tracing, id: RequestId, headers: &mut HeaderMap) -> Option<Self> {
        let given = match rules.context {
            TraceContext::Off => return None,
            TraceContext::Accept => given(headers),
            TraceContext::Start => None,
        };
        let span = span_of(id);
        let context = match given {
            Some((trace, parent, flags)) => Self {
                trace,
                span,
                parent: Some(parent),
                is_sampled: flags & SAMPLED != 0,
            },
            None => {
                // It belongs to the trace that is not continued (§3.4 of the specification).
                headers.remove(TRACESTATE);
                Self {
                    trace: id.0.max(1),
                    span,
                    parent: None,
                    // Other bits than those that choose for `record` and rollouts.
                    is_sampled: (span >> 32) % 100 < u64::from(rules.sampled),
                }
            }
        };
        if let Some(value) = context.to_value(span) {
            headers.insert(TRACEPARENT, value);
        }
        Some(context)
    }

    /// Names it in the fields of a request of the gateway's own, unless they name another; `span` is
    /// that request's, where the log has spans.
    pub(super) fn tell(&self, headers: &mut HeaderMap, span: Option<u32>) {
        let span = span.map_or(self.span, |number| self.span_within(number));
        if let Some(value) = self.to_value(span) {
            headers.entry(TRACEPARENT).or_insert(value);
        }
    }

    pub(super) fn entry(&self) -> TraceEntry {
        TraceEntry {
            id: format!("{:032x}", self.trace),
            span: format!("{:016x}", self.span),
            parent: self.parent.map(|parent| format!("{parent:016x}")),
            sampled: self.is_sampled,
        }
    }

    fn to_value(self, span: u64) -> Option<HeaderValue> {
        let flags = u8::from(self.is_sampled);
        let text = format!("00-{:032x}-{span:016x}-{flags:02x}", self.trace);
        HeaderValue::try_from(text).ok()
    }

    /// The id of the span of this number on the request's way: a step of splitmix64, so that those
    /// of one request differ, and those of different requests as random ones do.
    fn span_within(&self, number: u32) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut id = (u64::from(number) + 1)
            .wrapping_mul(STEP)
            .wrapping_add(self.span);
        id = (id ^ (id >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        id = (id ^ (id >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (id ^ (id >> 31)).max(1)
    }
}

/// Requests have ids of their own, and one span each.
fn span_of(id: RequestId) -> u64 {
    let [low, high] = [id.0, id.0 >> 64].map(|half| u64::try_from(half & u128::from(u64::MAX)));
    (low.unwrap_or(1) ^ high.unwrap_or(0)).max(1)
}

/// Trace, parent and flags of the one field that says so; none when it is not as it must be.
fn given(headers: &HeaderMap) -> Option<(u128, u64, u8)> {
    let mut fields = headers.get_all(TRACEPARENT).iter();
    let (Some(field), None) = (fields.next(), fields.next()) else {
        return None;
    };
    let text = field.to_str().ok()?;
    let known = text.get(..LENGTH)?;
    let mut parts = known.split('-');
    let mut hex = |digits: usize| {
        let part = parts.next().filter(|part| part.len() == digits)?;
        let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        part.bytes()
            .all(is_hex)
            .then(|| u128::from_str_radix(part, 16).ok())?
    };
    let (version, trace, parent, flags) = (hex(2)?, hex(32)?, hex(16)?, hex(2)?);
    let rest = text.get(LENGTH..)?;
    let fits = match version {
        0 => rest.is_empty(),
        0xff => false,
        // A later version may say more.
        _ => rest.is_empty() || rest.starts_with('-'),
    };
    let parent = u64::try_from(parent).ok()?;
    let flags = u8::try_from(flags).ok()?;
    (fits && trace != 0 && parent != 0).then_some((trace, parent, flags))
}

/// What the endpoint at a place is called.
pub(super) fn endpoint(pool: &Pool, place: usize) -> String {
    let endpoint = pool.endpoints.get(place);
    endpoint.map_or_else(String::new, |endpoint| endpoint.key.id.clone())
}

/// What has taken time on a request's way, in the order of its ends.
#[derive(Debug)]
pub(super) struct Spans {
    began: Instant,
    all: RefCell<Vec<Span>>,
    numbers: Cell<u32>,
}

/// A part of a request's way.
#[derive(Debug)]
pub(super) struct Span {
    /// What tells it from the others of the request.
    pub(super) number: u32,
    /// What it was.
    pub(super) what: What,
    /// From when.
    pub(super) since: Instant,
    /// For how long.
    pub(super) took: Duration,
    /// What came of it: `ok`, a status, a decision, or a cause.
    pub(super) outcome: Outcome,
}

/// What takes time.
#[derive(Debug)]
pub(super) enum What {
    /// A call of the plugin at this place of those that were called.
    Plugin(usize),
    /// A request of a plugin's own, to a pool.
    Callout(String),
    /// A new connection to an endpoint.
    Connect(String),
    /// From sending the request to the head of the answer.
    FirstByte(String),
}

/// What came of it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Outcome {
    /// What was wanted, or why it was not; a cause of `Proxy-Status`.
    Word(&'static str),
    /// An answer.
    Status(u16),
}

impl Spans {
    /// None so far.
    pub(super) fn new(began: Instant) -> Self {
        Self {
            began,
            all: RefCell::default(),
            numbers: Cell::default(),
        }
    }

    /// The number of another one.
    pub(super) fn number(&self) -> u32 {
        self.numbers.replace(self.numbers.get().wrapping_add(1))
    }

    /// Adds one that ends now.
    pub(super) fn ended(&self, number: u32, what: What, since: Instant, outcome: Outcome) {
        self.add(Span {
            number,
            what,
            since,
            took: since.elapsed(),
            outcome,
        });
    }

    /// Adds one.
    pub(super) fn add(&self, span: Span) {
        let mut all = self.all.borrow_mut();
        if all.len() < MAX_SPANS {
            all.push(span);
        }
    }

    /// The last one came to something else after all.
    pub(super) fn last_came_to(&self, outcome: Outcome) {
        if let Some(last) = self.all.borrow_mut().last_mut() {
            last.outcome = outcome;
        }
    }

    /// As the log has them, in the order of their beginnings, with ids where there is a trace;
    /// `plugin` has name, version and role of the one at a place.
    pub(super) fn entries<'a>(
        &self,
        trace: Option<&Context>,
        plugin: impl Fn(usize) -> Option<(&'a str, &'a str, &'a str)>,
    ) -> Vec<SpanEntry<'a>> {
        let mut all = self.all.borrow_mut();
        all.sort_by_key(|span| span.since);
        let hex = |id: u64| format!("{id:016x}");
        let entries = all.iter().map(|span| {
            let parent = |trace: &Context| match around(&all, span) {
                Some(around) => trace.span_within(around.number),
                None => trace.span,
            };
            let mut entry = SpanEntry {
                id: trace.map(|trace| hex(trace.span_within(span.number))),
                parent: trace.map(parent).map(hex),
                start_us: micros(span.since.saturating_duration_since(self.began)),
                us: micros(span.took),
                ..SpanEntry::default()
            };
            match span.outcome {
                Outcome::Word(word) => entry.outcome = word.to_owned(),
                Outcome::Status(status) => entry.outcome = status.to_string(),
            }
            match &span.what {
                What::Plugin(place) => {
                    entry.span = "plugin";
                    let names = plugin(*place);
                    entry.plugin = names.map(|(name, _, _)| name);
                    entry.version = names.map(|(_, version, _)| version);
                    entry.role = names.map(|(_, _, role)| role);
                }
                What::Callout(pool) => {
                    entry.span = "callout";
                    entry.pool = Some(pool.clone());
                }
                What::Connect(endpoint) => {
                    entry.span = "connect";
                    entry.endpoint = Some(endpoint.clone());
                }
                What::FirstByte(endpoint) => {
                    entry.span = "first-byte";
                    entry.endpoint = Some(endpoint.clone());
                }
            }
            entry
        });
        entries.collect()
    }
}

/// The call of a plugin that a callout was made in; a request's calls come one after the other.
fn around<'a>(all: &'a [Span], span: &Span) -> Option<&'a Span> {
    let is_around = |other: &&Span| {
        matches!(other.what, What::Plugin(_))
            && (other.since..=other.since + other.took).contains(&span.since)
    };
    match span.what {
        What::Callout(_) => all.iter().rfind(is_around),
        _ => None,
    }
}

/// Rounded to tenths.
fn micros(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e7).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIVEN: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn enter(
        context: TraceContext,
        fields: &[(&'static str, &str)],
    ) -> (Option<Context>, HeaderMap) {
        let rules = Tracing {
            context,
            sampled: 100,
            spans: false,
        };
        let fields = fields.iter().map(|(name, value)| {
            let value = HeaderValue::from_str(value).expect("a value");
            (HeaderName::from_static(name), value)
        });
        let mut headers = HeaderMap::from_iter(fields);
        let id = RequestId(0x0102_0304_0506_0708_1112_1314_1516_1718);
        (Context::enter(&rules, id, &mut headers), headers)
    }

    fn named(headers: &HeaderMap) -> Vec<&str> {
        let all = headers.get_all(TRACEPARENT).iter();
        all.map(|value| value.to_str().expect("text")).collect()
    }

    #[test]
    fn a_trace_is_continued_with_the_gateways_own_span() {
        let fields = [("traceparent", GIVEN), ("tracestate", "a=1")];
        let (context, headers) = enter(TraceContext::Accept, &fields);
        let context = context.expect("a context");
        assert_eq!(context.parent, Some(0x00f0_67aa_0ba9_02b7));
        let own = "00-4bf92f3577b34da6a3ce929d0e0e4736-1010101010101010-01";
        assert_eq!(named(&headers), [own]);
        assert_eq!(headers[TRACESTATE], "a=1");
        let unsampled = GIVEN.replace("-01", "-00");
        let (_, headers) = enter(TraceContext::Accept, &[("traceparent", &unsampled)]);
        assert_eq!(named(&headers), [own.replace("-01", "-00")]);
    }

    #[test]
    fn a_later_version_is_read_as_far_as_it_is_known() {
        for (later, is_known) in [
            (GIVEN.replacen("00", "01", 1), true),
            (GIVEN.replacen("00", "01", 1) + "-more", true),
            (GIVEN.replacen("00", "01", 1) + "more", false),
            (GIVEN.replacen("00", "ff", 1), false),
            (GIVEN.to_owned() + "-more", false),
        ] {
            let (context, _) = enter(TraceContext::Accept, &[("traceparent", &later)]);
            assert_eq!(
                context.expect("a context").parent.is_some(),
                is_known,
                "{later}"
            );
        }
    }

    #[test]
    fn what_is_not_as_it_must_be_begins_another_trace() {
        for wrong in [
            "",
            "00",
            &GIVEN.to_uppercase(),
            &GIVEN.replace('-', "_"),
            &GIVEN.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            &GIVEN.replace("00f067aa0ba902b7", &"0".repeat(16)),
            &GIVEN.replace("4bf9", "+bf9"),
            &GIVEN[1..],
        ] {
            let fields = [("traceparent", wrong), ("tracestate", "a=1")];
            let (context, headers) = enter(TraceContext::Accept, &fields);
            assert_eq!(context.expect("a context").parent, None, "{wrong}");
            let own = "00-01020304050607081112131415161718-1010101010101010-01";
            assert_eq!(named(&headers), [own], "{wrong}");
            assert!(!headers.contains_key(TRACESTATE));
        }
        let two = [("traceparent", GIVEN), ("traceparent", GIVEN)];
        let (context, headers) = enter(TraceContext::Accept, &two);
        assert_eq!(context.expect("a context").parent, None);
        assert_eq!(named(&headers).len(), 1);
    }

    #[test]
    fn a_client_that_is_not_trusted_names_no_trace() {
        let (context, headers) = enter(TraceContext::Start, &[("traceparent", GIVEN)]);
        assert_eq!(context.expect("a context").parent, None);
        assert!(!named(&headers)[0].contains("4bf92f"));
        let (context, headers) = enter(TraceContext::Off, &[("traceparent", GIVEN)]);
        assert_eq!((context, named(&headers)), (None, vec![GIVEN]));
    }

    #[test]
    fn no_more_spans_are_kept_than_there_is_room_for() {
        let spans = Spans::new(Instant::now());
        for _ in 0..MAX_SPANS + 5 {
            let what = What::Connect("a".to_owned());
            spans.ended(spans.number(), what, Instant::now(), Outcome::Word("ok"));
        }
        assert_eq!(spans.entries(None, |_| None).len(), MAX_SPANS);
    }

    #[test]
    fn each_span_has_an_id_and_callouts_are_within_their_plugins_call() {
        let (context, _) = enter(TraceContext::Start, &[]);
        let context = context.expect("a context");
        let began = Instant::now();
        let spans = Spans::new(began);
        let add = |what, since: u64, took: u64| {
            let number = spans.number();
            spans.add(Span {
                number,
                what,
                since: began + Duration::from_micros(since),
                took: Duration::from_micros(took),
                outcome: Outcome::Word("ok"),
            });
        };
        add(What::Plugin(0), 0, 10);
        add(What::Callout("auth".to_owned()), 12, 5);
        add(What::Plugin(1), 10, 10);
        add(What::Connect("a".to_owned()), 15, 10);
        let entries = spans.entries(Some(&context), |_| None);
        let mut ids: Vec<_> = entries.iter().filter_map(|it| it.id.clone()).collect();
        let parents = entries.iter().filter_map(|it| it.parent.clone());
        let own = format!("{:016x}", context.span);
        let expected = [own.clone(), own.clone(), ids[1].clone(), own.clone()];
        assert_eq!(parents.collect::<Vec<_>>(), expected);
        ids.push(own);
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 5, "{ids:?}");
        assert!(
            spans
                .entries(None, |_| None)
                .iter()
                .all(|it| it.id.is_none())
        );
    }
}
