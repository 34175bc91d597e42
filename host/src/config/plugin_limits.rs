//! What a plugin may use, and what becomes of a request when it wants more: the same keys in
//! `[plugins]`, for all, and in a sidecar, for one.

use std::{ops::RangeInclusive, time::Duration};

use super::{
    check::{Check, TIMEOUTS},
    raw,
    sidecar::Role,
};

/// How long a call may hold a worker before the epoch of the engine moves on: slices are whole
/// numbers of it.
pub const TICK: Duration = Duration::from_millis(2);

const DEADLINES: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(60);
/// The most that a slice can be.
pub const LONGEST_SLICE: Duration = Duration::from_secs(1);
const SLICES: RangeInclusive<Duration> = TICK..=LONGEST_SLICE;
const PERCENT: RangeInclusive<i64> = 0..=100;
const MEMORY: RangeInclusive<u64> = (64 << 10)..=(1 << 30);
/// Most elements that the pooling allocator has room for.
pub const MAX_TABLE: u32 = 100_000;
const TABLE: RangeInclusive<i64> = 1..=MAX_TABLE as i64;
const STACK: RangeInclusive<u64> = (64 << 10)..=(8 << 20);
/// Stacks are whole numbers of this, as each size needs an engine of its own.
const STACK_STEP: usize = 64 << 10;
const OUTPUT: RangeInclusive<u64> = (1 << 10)..=(64 << 20);
const LOG_LINES: RangeInclusive<i64> = 0..=100_000;
const FILE_SIZE: RangeInclusive<u64> = (1 << 10)..=(256 << 20);
const COMPILE: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_mins(10);
const COMPILE_MEMORY: RangeInclusive<u64> = (64 << 20)..=(64 << 30);
const INSTANCES: RangeInclusive<i64> = 1..=1000;
const CALLS: RangeInclusive<i64> = 0..=1_000_000_000;
const FAILURES: RangeInclusive<i64> = 0..=1_000_000;

/// What one plugin may use, and what happens when it wants more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginLimits {
    /// Wall time of one call. 1 ms to 60 s; default 50 ms. A call that the machine kept from
    /// running gets at least five slices.
    pub deadline: Duration,
    /// How long a call may hold its worker before other requests get their turn. 2 ms to 1 s, in
    /// steps of 2 ms; default 2 ms.
    pub slice: Duration,
    /// Percent of a worker's time that calls may take, all together, after their first slice.
    /// 0 to 100; default 2.
    pub overtime: u8,
    /// Linear memory of one instance, bytes. 64 KiB to 1 GiB; default 32 MiB.
    pub memory: usize,
    /// Elements of each of an instance's tables. 1 to 100,000; default 10,000.
    pub table: u32,
    /// Stack of one call, bytes. 64 KiB to 8 MiB, in steps of 64 KiB; default 512 KiB.
    pub stack: usize,
    /// What one call may hand over in lists and strings, bytes as laid out in the gateway's
    /// memory. 1 KiB to 64 MiB; default 1 MiB.
    pub output: usize,
    /// Lines that one instance may log each second. 0 to 100,000; default 100.
    pub log_lines: u32,
    /// Largest file, bytes. 1 KiB to 256 MiB; default 64 MiB.
    pub file_size: u64,
    /// How long the compiler may take. 100 ms to 10 min; default 2 min.
    pub compile_timeout: Duration,
    /// What the compiler's process may use, bytes. 64 MiB to 64 GiB; default 1 GiB.
    pub compile_memory: u64,
    /// Calls, and so instances, at a time on one worker. 1 to 1,000; default 64.
    pub instances: u32,
    /// Whether instances serve one call after another.
    pub isolation: Isolation,
    /// When calls are not even tried any more.
    pub suspension: Suspension,
    /// What a failed call means for the request, role by role.
    pub on_error: OnErrors,
}

/// Whether instances serve one call after another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// They do, up to this many calls; none: without end. The default, with 100,000 calls.
    Reuse(Option<u32>),
    /// Each call gets an instance of its own, which has never seen another request.
    Request,
}

/// When calls of a plugin that keeps failing are not even tried any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Suspension {
    /// Failures in a row, on one worker. 0: never; default 50.
    pub after: u32,
    /// How long the first time. 1 ms to 1 d; default 100 ms. Doubled each time that the call after
    /// it fails too.
    pub first: Duration,
    /// How long at most. Default 10 s.
    pub longest: Duration,
}

/// What a failed call means for the request, role by role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OnErrors {
    /// Of the role routing.
    pub routing: OnError,
    /// Of the role affinity.
    pub affinity: OnError,
    /// Of the role rewriting.
    pub rewriting: OnError,
}

/// What a failed call means for the request. Default fail-closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnError {
    /// The client gets 500 with a cause.
    FailClosed,
    /// The plugin counts as having had no opinion.
    FailOpen,
}

impl OnError {
    const ALL: [(&'static str, Self); 2] = [
        ("fail-closed", Self::FailClosed),
        ("fail-open", Self::FailOpen),
    ];

    /// As in `on_error`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FailClosed => "fail-closed",
            Self::FailOpen => "fail-open",
        }
    }
}

impl OnErrors {
    /// The same for all roles.
    pub const fn all(on_error: OnError) -> Self {
        Self {
            routing: on_error,
            affinity: on_error,
            rewriting: on_error,
        }
    }

    /// What it is for one role.
    pub fn of(&self, role: Role) -> OnError {
        match role {
            Role::Routing => self.routing,
            Role::Affinity => self.affinity,
            Role::Rewriting => self.rewriting,
        }
    }
}

impl PluginLimits {
    /// What applies to plugins of which nothing is said.
    pub const DEFAULT: Self = Self {
        deadline: Duration::from_millis(50),
        slice: TICK,
        overtime: 2,
        memory: 32 << 20,
        table: 10_000,
        stack: 512 << 10,
        output: 1 << 20,
        log_lines: 100,
        file_size: 64 << 20,
        compile_timeout: Duration::from_mins(2),
        compile_memory: 1 << 30,
        instances: 64,
        isolation: Isolation::Reuse(Some(100_000)),
        suspension: Suspension {
            after: 50,
            first: Duration::from_millis(100),
            longest: Duration::from_secs(10),
        },
        on_error: OnErrors::all(OnError::FailClosed),
    };

    /// The slice in ticks of the engine.
    pub fn slice_ticks(&self) -> u64 {
        let ticks = self.slice.as_millis().div_ceil(TICK.as_millis());
        u64::try_from(ticks).unwrap_or(1).max(1)
    }
}

impl Check<'_> {
    /// `prefix` stands before each key: `plugins.`, or nothing in a sidecar.
    pub(super) fn plugin_limits(
        &mut self,
        prefix: &str,
        raw: &raw::PluginLimits,
        default: &PluginLimits,
    ) -> PluginLimits {
        let key = |name: &str| format!("{prefix}{name}");
        let (file_size, compile_memory) = (raw.file_size.as_ref(), raw.compile_memory.as_ref());
        let (file_size_key, memory_key) = (key("file_size"), key("compile_memory"));
        let (deadline, slice) = (raw.deadline.as_ref(), raw.slice.as_ref());
        let compiling = raw.compile_timeout.as_ref();
        PluginLimits {
            deadline: self.duration(&key("deadline"), deadline, DEADLINES, default.deadline),
            slice: self.duration(&key("slice"), slice, SLICES, default.slice),
            overtime: self.count(&key("overtime"), raw.overtime, PERCENT, default.overtime),
            memory: self.size(&key("memory"), raw.memory.as_ref(), MEMORY, default.memory),
            table: self.count(&key("table"), raw.table, TABLE, default.table),
            stack: self
                .size(&key("stack"), raw.stack.as_ref(), STACK, default.stack)
                .next_multiple_of(STACK_STEP),
            output: self.size(&key("output"), raw.output.as_ref(), OUTPUT, default.output),
            log_lines: self.count(
                &key("log_lines"),
                raw.log_lines,
                LOG_LINES,
                default.log_lines,
            ),
            file_size: self.size(&file_size_key, file_size, FILE_SIZE, default.file_size),
            compile_timeout: self.duration(
                &key("compile_timeout"),
                compiling,
                COMPILE,
                default.compile_timeout,
            ),
            compile_memory: self.size(
                &memory_key,
                compile_memory,
                COMPILE_MEMORY,
                default.compile_memory,
            ),
            instances: self.count(
                &key("instances"),
                raw.instances,
                INSTANCES,
                default.instances,
            ),
            isolation: self.isolation(prefix, raw, default.isolation),
            suspension: self.suspension(prefix, raw, default.suspension),
            on_error: self.on_errors(&key("on_error"), raw.on_error.as_ref(), default.on_error),
        }
    }

    fn isolation(
        &mut self,
        prefix: &str,
        raw: &raw::PluginLimits,
        default: Isolation,
    ) -> Isolation {
        let (key, calls_key) = (
            format!("{prefix}isolation"),
            format!("{prefix}recycle_after"),
        );
        let default_calls = match default {
            Isolation::Reuse(calls) => calls.unwrap_or(0),
            Isolation::Request => 100_000,
        };
        let calls = self.count(&calls_key, raw.recycle_after, CALLS, default_calls);
        let reuse = Isolation::Reuse((calls > 0).then_some(calls));
        let default = match (default, raw.recycle_after) {
            (Isolation::Reuse(_), _) => reuse,
            (Isolation::Request, _) => Isolation::Request,
        };
        let choices = [("reuse", reuse), ("request", Isolation::Request)];
        let isolation = self.choice(&key, raw.isolation.as_deref(), &choices, default);
        if isolation == Isolation::Request && raw.recycle_after.is_some() {
            let message = "has no meaning with `isolation = \"request\"`: no instance serves twice";
            self.problems.add(&calls_key, message);
        }
        isolation
    }

    fn suspension(
        &mut self,
        prefix: &str,
        raw: &raw::PluginLimits,
        default: Suspension,
    ) -> Suspension {
        let key = |name: &str| format!("{prefix}{name}");
        let (first, longest) = (raw.suspend_for.as_ref(), raw.suspend_at_most.as_ref());
        let (first_key, longest_key) = (key("suspend_for"), key("suspend_at_most"));
        let first = self.duration(&first_key, first, TIMEOUTS, default.first);
        let usual = default.longest.max(first);
        let suspension = Suspension {
            after: self.count(
                &key("suspend_after"),
                raw.suspend_after,
                FAILURES,
                default.after,
            ),
            first,
            longest: self.duration(&longest_key, longest, TIMEOUTS, usual),
        };
        if suspension.longest < suspension.first {
            let message = "is shorter than `suspend_for`, which is the shortest time";
            self.problems.add(&longest_key, message);
        }
        suspension
    }

    fn on_errors(&mut self, key: &str, raw: Option<&raw::OnError>, default: OnErrors) -> OnErrors {
        match raw {
            None => default,
            Some(raw::OnError::All(text)) => {
                OnErrors::all(self.on_error(key, Some(text), OnError::FailClosed))
            }
            Some(raw::OnError::Roles(roles)) => {
                let key = |role: &str| format!("{key}.{role}");
                OnErrors {
                    routing: self.on_error(
                        &key("routing"),
                        roles.routing.as_deref(),
                        default.routing,
                    ),
                    affinity: self.on_error(
                        &key("affinity"),
                        roles.affinity.as_deref(),
                        default.affinity,
                    ),
                    rewriting: self.on_error(
                        &key("rewriting"),
                        roles.rewriting.as_deref(),
                        default.rewriting,
                    ),
                }
            }
        }
    }

    fn on_error(&mut self, key: &str, raw: Option<&str>, default: OnError) -> OnError {
        self.choice(key, raw, &OnError::ALL, default)
    }
}
