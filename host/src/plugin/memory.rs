//! How much memory an instance may have, and all instances of all plugins together.

use std::sync::Arc;

use wasmtime::ResourceLimiter;

use crate::total::Total;

/// Core instances, tables and memories of one component instance: a Rust plugin has about three
/// instances, one table and one memory; those made with other languages' tools a few more.
const MAX_CORE_INSTANCES: usize = 64;
const MAX_TABLES: usize = 16;
const MAX_MEMORIES: usize = 8;

/// Which limit was in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Denied {
    /// The instance's own.
    Own,
    /// That of all plugins together.
    Total,
}

/// Refuses growth above the limits, all memories of the instance together, and remembers that
/// it did, so that the trap that usually follows can be told from others.
#[derive(Debug)]
pub(super) struct MemoryLimit {
    pub(super) limit: usize,
    pub(super) used: usize,
    pub(super) denied: Option<Denied>,
    pub(super) total: Arc<Total>,
    table: usize,
}

impl MemoryLimit {
    /// Bytes of memory, and elements of each table.
    pub(super) fn new(limit: usize, table: u32, total: Arc<Total>) -> Self {
        Self {
            limit,
            used: 0,
            denied: None,
            total,
            table: usize::try_from(table).unwrap_or(usize::MAX),
        }
    }
}

impl Drop for MemoryLimit {
    fn drop(&mut self) {
        self.total.give_back(self.used);
    }
}

impl ResourceLimiter for MemoryLimit {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let more = desired.saturating_sub(current);
        let used = self.used.saturating_add(more);
        let denied = if used > self.limit {
            Some(Denied::Own)
        } else if !self.total.take(more) {
            Some(Denied::Total)
        } else {
            self.used = used;
            None
        };
        self.denied = denied.or(self.denied);
        Ok(denied.is_none())
    }

    fn table_growing(
        &mut self,
        _: usize,
        desired: usize,
        _: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(desired <= self.table)
    }

    fn instances(&self) -> usize {
        MAX_CORE_INSTANCES
    }

    fn tables(&self) -> usize {
        MAX_TABLES
    }

    fn memories(&self) -> usize {
        MAX_MEMORIES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(total: &Arc<Total>) -> MemoryLimit {
        MemoryLimit::new(80, 10, Arc::clone(total))
    }

    fn grows(one: &mut MemoryLimit, from: usize, to: usize) -> bool {
        one.memory_growing(from, to, None).expect("no trap")
    }

    #[test]
    fn the_total_counts_over_instances_and_comes_back() {
        let total = Arc::new(Total::new(100));
        let (mut one, mut other) = (limits(&total), limits(&total));
        assert!(grows(&mut one, 0, 60));
        assert!(!grows(&mut one, 60, 90));
        assert_eq!(one.denied, Some(Denied::Own));
        assert!(!grows(&mut other, 0, 50));
        assert_eq!(other.denied, Some(Denied::Total));
        drop(one);
        assert!(grows(&mut other, 0, 50));
        assert_eq!(total.used(), 50);
    }

    #[test]
    fn a_lower_limit_takes_nothing_away() {
        let total = Arc::new(Total::new(100));
        let mut one = limits(&total);
        assert!(grows(&mut one, 0, 60));
        total.set_limit(10);
        assert!(!grows(&mut one, 60, 61));
        assert_eq!(total.used(), 60);
    }
}
