//! `[limits]`: what clients must keep to.

use std::ops::RangeInclusive;

use super::{Limits, check::Check, raw};

const HEAD_BYTES: RangeInclusive<u64> = (8 << 10)..=(1 << 20);
/// The largest is what the HTTP/1.1 parser reads of a request line.
const TARGET_BYTES: RangeInclusive<u64> = 256..=(63 << 10);
/// HTTP/2 has no smaller window to start with (RFC 9113 §6.9.2).
const STREAM_WINDOW: RangeInclusive<u64> = (64 << 10)..=(16 << 20);
const CONNECTION_WINDOW: RangeInclusive<u64> = (64 << 10)..=(64 << 20);

impl Check<'_> {
    pub(super) fn limits(&mut self, raw: &raw::Limits) -> Limits {
        Limits {
            head_bytes: self.bytes("head_bytes", &raw.head_bytes, HEAD_BYTES, 64 << 10),
            head_fields: self.number("head_fields", raw.head_fields, 1..=1000, 100),
            target_bytes: self.bytes("target_bytes", &raw.target_bytes, TARGET_BYTES, 16 << 10),
            h2_streams: self.number("h2_streams", raw.h2_streams, 1..=10_000, 100),
            h2_resets: self.number("h2_resets", raw.h2_resets, 1..=100_000, 100),
            h2_idle_frames: self.number(
                "h2_idle_frames",
                raw.h2_idle_frames,
                100..=10_000_000,
                10_000,
            ),
            h2_stream_window: self.window(
                "h2_stream_window",
                &raw.h2_stream_window,
                STREAM_WINDOW,
                256 << 10,
            ),
            h2_connection_window: self.window(
                "h2_connection_window",
                &raw.h2_connection_window,
                CONNECTION_WINDOW,
                1 << 20,
            ),
            connections: self.number("connections", raw.connections, 1..=10_000_000, 100_000),
            connections_per_client: self.number(
                "connections_per_client",
                raw.connections_per_client,
                1..=1_000_000,
                10_000,
            ),
            connections_per_worker: self.number(
                "connections_per_worker",
                raw.connections_per_worker,
                1..=1_000_000,
                10_000,
            ),
        }
    }

    fn number<N: TryFrom<i64>>(
        &mut self,
        name: &str,
        raw: Option<i64>,
        range: RangeInclusive<i64>,
        default: N,
    ) -> N {
        self.count(&format!("limits.{name}"), raw, range, default)
    }

    fn bytes(
        &mut self,
        name: &str,
        raw: &Option<raw::Size>,
        range: RangeInclusive<u64>,
        default: usize,
    ) -> usize {
        self.size(&format!("limits.{name}"), raw.as_ref(), range, default)
    }

    fn window(
        &mut self,
        name: &str,
        raw: &Option<raw::Size>,
        range: RangeInclusive<u64>,
        default: usize,
    ) -> u32 {
        u32::try_from(self.bytes(name, raw, range, default)).unwrap_or(u32::MAX)
    }
}
