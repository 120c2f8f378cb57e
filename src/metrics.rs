//! Counters of an engine. Knows no groups and no names: `report` renders them.
//!
//! Threads: any; relaxed atomics, none of them on the path of a resident get.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that grows, or that is set.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    pub(crate) fn set(&self, n: u64) {
        self.0.store(n, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    /// Keys found expired and deleted.
    pub(crate) expired: Counter,
    /// Keys that REVERT removed because the window had added them.
    pub(crate) revert_add: Counter,
    /// Keys that REVERT brought back because the window had deleted them.
    pub(crate) revert_delete: Counter,
    /// Keys that REVERT put back to their old value.
    pub(crate) revert_update: Counter,
    /// Changes committed to the store.
    pub(crate) persisted: Counter,
    /// Commits.
    pub(crate) commits: Counter,
    /// Commits that failed and were tried again.
    pub(crate) commit_failures: Counter,
    /// Changes read from the logs and not committed yet.
    pub(crate) flusher_todo: Counter,
    /// Mutations that vbuckets had logged which were deleted since.
    pub(crate) enqueued_by_deleted: Counter,
    /// Cursors of streams that were dropped because they held back too much memory.
    pub(crate) cursors_dropped: Counter,
    /// Times that the housekeeper looked for checkpoints to close and cursors to drop.
    pub(crate) remover_runs: Counter,
    /// Changes in checkpoints that were freed.
    pub(crate) checkpoint_items_removed: Counter,
    /// Values read from the store for a waiting client.
    pub(crate) fetched: Counter,
    /// Reads of the store that failed.
    pub(crate) fetch_failures: Counter,
    /// Whole keys evicted (memory-only store).
    pub(crate) evictions: Counter,
    /// Writes refused because of memory.
    pub(crate) memory_refusals: Counter,
    /// Operations for a vbucket that this node does not serve.
    pub(crate) not_my_vbucket: Counter,
    /// Keys loaded from the store at the start.
    pub(crate) warmed_up: Counter,
    /// How long that took, in microseconds.
    pub(crate) warmup_micros: Counter,
    /// `flush_all` calls.
    pub(crate) flush_alls: Counter,
    /// Things that cannot be; each is logged or counted here instead of crashing the host.
    pub(crate) defects: Counter,
}

impl Metrics {
    /// What `stats reset` sets to zero (ep-engine-1.7.md, 7.3); totals and online-update counters
    /// stay.
    pub(crate) fn reset(&self) {
        for counter in [&self.fetched, &self.fetch_failures, &self.evictions] {
            counter.set(0);
        }
    }
}
