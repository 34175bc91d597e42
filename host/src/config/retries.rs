//! `retries` of a pool: how often a request is tried, after which failures, and how many
//! retries there may be for the requests that there are.

use std::ops::RangeInclusive;

use super::{Statuses, check::Check, raw};

/// When a request is tried again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retries {
    /// Tries of one request, the first among them. 1 to 10, default 3.
    pub tries: u32,
    /// Failures after which a request that may have arrived is sent again, if it is idempotent
    /// (RFC 9110 §9.2.2). Default none.
    pub on: Vec<RetryOn>,
    /// Answers after which it is. Default none.
    pub statuses: Statuses,
    /// Retries for each hundred requests of the last 10 s, per worker. 0 to 100, default 20.
    pub budget: u8,
    /// Retries that each worker may make each second whatever the budget says. 0 to 1000,
    /// default 10.
    pub min_per_second: u16,
    /// Bytes of a body that are kept so that it can be sent again. 0 to 1 MiB, default 16 KiB.
    pub buffer: usize,
}

/// A failure of a request that may have arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryOn {
    /// The connection ended before an answer began.
    Closed,
    /// No answer began in time.
    FirstByteTimeout,
}

const TRIES: RangeInclusive<i64> = 1..=10;
const PERCENT: RangeInclusive<i64> = 0..=100;
const PER_SECOND: RangeInclusive<i64> = 0..=1000;
/// Each running request may hold as much.
const BUFFER: RangeInclusive<u64> = 0..=(1 << 20);

impl Check<'_> {
    pub(super) fn retries(&mut self, key: &str, raw: raw::Retries) -> Retries {
        let at = |name: &str| format!("{key}.{name}");
        Retries {
            tries: self.count(&at("tries"), raw.tries, TRIES, 3),
            on: self.retry_on(&at("on"), &raw.on.unwrap_or_default()),
            statuses: match raw.status {
                Some(raw) => self.statuses(&at("status"), raw),
                None => Statuses::none(),
            },
            budget: self.count(&at("budget"), raw.budget, PERCENT, 20),
            min_per_second: self.count(&at("min_per_second"), raw.min_per_second, PER_SECOND, 10),
            buffer: self.size(&at("buffer"), raw.buffer.as_ref(), BUFFER, 16 << 10),
        }
    }

    /// The words are those of the causes that clients would get.
    fn retry_on(&mut self, key: &str, raw: &[String]) -> Vec<RetryOn> {
        let choices = [
            ("connection-closed", RetryOn::Closed),
            ("first-byte-timeout", RetryOn::FirstByteTimeout),
        ];
        let each = raw.iter().enumerate().map(|(index, word)| {
            let key = format!("{key}[{index}]");
            self.choice(&key, Some(word), &choices, RetryOn::Closed)
        });
        each.collect()
    }
}
