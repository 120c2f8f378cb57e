//! Counters of an engine. Knows no groups and no names: `report` renders them.
//!
//! Threads: any; relaxed atomics, none of them on the path of a resident get.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::latch::Latch;

mod histogram;
mod jobs;

pub(crate) use histogram::Histogram;
pub(crate) use jobs::{Job, Jobs, Queue};

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

    /// Sets it to `n` if that is more.
    pub(crate) fn raise(&self, n: u64) {
        self.0.fetch_max(n, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A figure that is measured again and again.
#[derive(Debug, Default)]
pub(crate) struct Gauge {
    /// The latest.
    pub(crate) last: Counter,
    /// Their sum.
    pub(crate) total: Counter,
    /// The largest.
    pub(crate) max: Counter,
}

impl Gauge {
    pub(crate) fn note(&self, value: impl TryInto<u64>) {
        let value = value.try_into().unwrap_or(u64::MAX);
        self.last.set(value);
        self.total.add(value);
        self.max.raise(value);
    }

    /// Forgets the latest and the largest; the sum stays.
    fn reset(&self) {
        self.last.set(0);
        self.max.set(0);
    }
}

/// A sentence that is replaced as a whole; empty when there is nothing to say.
#[derive(Debug, Default)]
pub(crate) struct Text(
    // Guards the sentence. Lock order: last.
    Latch<String>,
);

impl Text {
    pub(crate) fn set(&self, text: String) {
        *self.0.lock() = text;
    }

    pub(crate) fn get(&self) -> String {
        self.0.lock().clone()
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
    /// Reverted values that were read back in the background.
    pub(crate) rewarmed: Counter,
    /// Messages of TAP peers that were refused for now.
    pub(crate) tap_throttled: Counter,
    /// Changes committed to the store.
    pub(crate) persisted: Counter,
    /// Rows that commits deleted.
    pub(crate) rows_deleted: Counter,
    /// Rows that they wrote of keys that had none.
    pub(crate) rows_created: Counter,
    /// 1 while void rows are being deleted.
    pub(crate) purging: Counter,
    /// How long the store took to open, in seconds.
    pub(crate) open_seconds: Counter,
    /// Commits.
    pub(crate) commits: Counter,
    /// Times that the store gave space on the disk back.
    pub(crate) tidied: Counter,
    /// How long one takes, in microseconds.
    pub(crate) commit_micros: Gauge,
    /// How long it takes until nothing is left to write, in microseconds.
    pub(crate) flush_micros: Gauge,
    /// How long the oldest change of a batch had waited when it was durable, in seconds.
    pub(crate) age_seconds: Gauge,
    /// Times that the flusher waited because changes were younger than `min_data_age`.
    pub(crate) too_young: Counter,
    /// Times that it wrote because of `queue_age_cap`, which was shorter.
    pub(crate) too_old: Counter,
    /// Commits that failed and were tried again.
    pub(crate) commit_failures: Counter,
    /// Changes in them.
    pub(crate) flush_failures: Counter,
    /// Batches that the store did not begin.
    pub(crate) begin_failures: Counter,
    /// Why the store could not be written the last time it was tried.
    pub(crate) store_error: Text,
    /// The threads that have died of a defect.
    pub(crate) dead_threads: Text,
    /// Pause before the next attempt, in milliseconds; 0 when all is well.
    pub(crate) retry_millis: Counter,
    /// Changes read from the logs and not committed yet.
    pub(crate) flusher_todo: Counter,
    /// Mutations that vbuckets had logged which were deleted since.
    pub(crate) enqueued_by_deleted: Counter,
    /// How many of these gave a key an item.
    pub(crate) stored_by_deleted: Counter,
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
    /// Values evicted from memory.
    pub(crate) value_ejects: Counter,
    /// Those of them that were in replica vbuckets.
    pub(crate) replica_ejects: Counter,
    /// EVICT_KEY for values that had to stay.
    pub(crate) eject_failures: Counter,
    /// Times that eviction began.
    pub(crate) pager_runs: Counter,
    /// Times that all expired keys were looked for.
    pub(crate) expiry_pager_runs: Counter,
    /// Writes refused until memory is freed.
    pub(crate) memory_refusals: Counter,
    /// Writes refused because nothing in memory can be freed.
    pub(crate) memory_exhausted: Counter,
    /// Values refused because they would never fit into the quota.
    pub(crate) too_big: Counter,
    /// Values refused because clients had announced too much that they had not sent.
    pub(crate) announcements_refused: Counter,
    /// Values of masters that can never be kept here.
    pub(crate) tap_too_big: Counter,
    /// Operations for a vbucket that this node does not serve.
    pub(crate) not_my_vbucket: Counter,
    /// Keys loaded from the store so far.
    pub(crate) warmed_up: Counter,
    /// How many of them with their value.
    pub(crate) warmed_values: Counter,
    /// 1 while keys are being loaded.
    pub(crate) warming_up: Counter,
    /// 1 when vbuckets were left whose keys could not be loaded.
    pub(crate) warmup_failed: Counter,
    /// How long it took, in microseconds, once it has ended.
    pub(crate) warmup_micros: Counter,
    /// `flush_all` calls.
    pub(crate) flush_alls: Counter,
    /// Clients that had to wait for a pending vbucket.
    pub(crate) pending_ops_total: Counter,
    /// How many of them waited at a time, at most.
    pub(crate) pending_ops_max: Counter,
    /// Vbuckets deleted.
    pub(crate) vbuckets_deleted: Counter,
    /// Deletions of vbuckets that were refused.
    pub(crate) vbucket_deletions_refused: Counter,
    /// Reads of the store for one key.
    pub(crate) reads: Counter,
    /// Keys and values that they read.
    pub(crate) read_bytes: Counter,
    /// Changes written to the store.
    pub(crate) writes: Counter,
    /// Keys and values in them.
    pub(crate) written_bytes: Counter,
    /// Things that cannot be; each is logged or counted here instead of crashing the host.
    pub(crate) defects: Counter,
    /// Where the time goes.
    pub(crate) timings: Timings,
    /// What the threads do that work on their own.
    pub(crate) jobs: Jobs,
}

/// What is measured, none of it on the path of a get or a store.
#[derive(Debug, Default)]
pub(crate) struct Timings {
    /// One commit to the store.
    pub(crate) commit: Histogram<true>,
    /// How long the oldest change of a batch had waited.
    pub(crate) age: Histogram<true>,
    /// From the wish for a value to a stream's read of it.
    pub(crate) tap_wait: Histogram,
    /// One such read.
    pub(crate) tap_load: Histogram,
    /// A change that a master sent.
    pub(crate) tap_mutation: Histogram,
    /// A state that another node sent.
    pub(crate) tap_state: Histogram,
    /// The begin of a backfill that a master sent.
    pub(crate) tap_reset: Histogram,
    /// From the wish for a value to the beginning of its read.
    pub(crate) fetch_wait: Histogram,
    /// One read of a value.
    pub(crate) fetch_load: Histogram,
    /// How long a client waited for a pending vbucket.
    pub(crate) pending_ops: Histogram,
    /// `GET_VBUCKET`.
    pub(crate) get_vbucket: Histogram,
    /// `SET_VBUCKET`.
    pub(crate) set_vbucket: Histogram,
    /// `DEL_VBUCKET`.
    pub(crate) delete_vbucket: Histogram,
    /// From REVERT to the end of its work.
    pub(crate) revert: Histogram,
}

impl Metrics {
    /// What `stats reset` sets to zero; totals and everything of online
    /// update stay.
    pub(crate) fn reset(&self) {
        for counter in [
            &self.fetched,
            &self.fetch_failures,
            &self.evictions,
            &self.value_ejects,
            &self.replica_ejects,
            &self.eject_failures,
            &self.pager_runs,
            &self.expiry_pager_runs,
            &self.too_young,
            &self.too_old,
            &self.remover_runs,
            &self.checkpoint_items_removed,
            &self.pending_ops_total,
            &self.pending_ops_max,
            &self.tap_throttled,
            &self.reads,
            &self.read_bytes,
            &self.writes,
            &self.written_bytes,
        ] {
            counter.set(0);
        }
        for gauge in [&self.commit_micros, &self.flush_micros, &self.age_seconds] {
            gauge.reset();
        }
        let timings = &self.timings;
        for histogram in [
            &timings.fetch_wait,
            &timings.fetch_load,
            &timings.pending_ops,
            &timings.get_vbucket,
            &timings.set_vbucket,
            &timings.delete_vbucket,
            &timings.tap_wait,
            &timings.tap_load,
            &timings.tap_mutation,
            &timings.tap_state,
            &timings.tap_reset,
        ] {
            histogram.reset();
        }
        timings.commit.reset();
        timings.age.reset();
    }
}
