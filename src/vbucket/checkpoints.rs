//! When the checkpoints of a vbucket are closed and freed, and how slow cursors are kept from
//! holding memory for ever.
//!
//! Threads: any. What is freed is dropped with no lock held, and by a background thread.

use std::sync::Arc;

use super::{Shared, Vbucket};
use crate::checkpoint::{Ageing, Checkpoint, Limits, Log};

/// Keys and values that a checkpoint holds at most: a share of the quota, one part in so many,
/// within bounds. It also bounds a flusher batch, which is copied for the store.
const CHECKPOINT_BYTES_MAX: usize = 32 << 20;
const CHECKPOINT_BYTES_MIN: usize = 64 << 10;
const CHECKPOINT_SHARE: usize = 32;

impl Shared {
    /// When a checkpoint is closed, as of now.
    pub(super) fn limits(&self) -> Limits {
        Limits {
            items_max: self.settings.chk_max_items.count(),
            period: self.settings.chk_period.seconds(),
            checkpoints_max: self.settings.max_checkpoints.count(),
            bytes_max: self.checkpoint_bytes_max(),
        }
    }

    /// Bytes of items at which a checkpoint is closed in any case, and at which a batch for the
    /// store is full.
    pub(crate) fn checkpoint_bytes_max(&self) -> usize {
        let share = self.settings.max_size.count() / CHECKPOINT_SHARE;
        share.clamp(CHECKPOINT_BYTES_MIN, CHECKPOINT_BYTES_MAX)
    }
}

impl Vbucket {
    /// Closes the open checkpoint if it is old. Returns whether there is one that ages.
    pub(crate) fn close_if_old(&self) -> bool {
        let now = self.shared.seconds();
        let ageing = self.log().log.close_if_old(&self.shared.limits(), now);
        if ageing == Ageing::Closed {
            // The persistence cursor has to pass its end.
            self.shared.flush.wake();
        }
        ageing == Ageing::Ages
    }

    /// Closes the open checkpoint when every cursor has passed something in it: for when memory is
    /// short, because what a closed one holds is let go as soon as all cursors have passed it.
    pub(crate) fn close_for_memory(&self) -> bool {
        let now = self.shared.seconds();
        let closed = self.log().log.close_for_memory(now);
        if closed {
            self.shared.flush.wake();
        }
        closed
    }

    /// Bytes that are in memory only because a stream has not read them yet.
    pub(crate) fn held_back(&self) -> usize {
        self.with_log(Log::held_back)
    }

    /// Drops the cursor of the stream that is furthest behind, which then has to begin anew.
    /// Returns its name; `None` when there is no cursor.
    pub(crate) fn drop_slowest_cursor(&self) -> Option<Arc<[u8]>> {
        let (name, free) = self.log().log.drop_slowest()?;
        self.release(free);
        self.shared.metrics.cursors_dropped.add(1);
        Some(name)
    }

    /// Lets go of checkpoints that nobody needs any more, on a thread that must not take long.
    pub(super) fn release(&self, free: Vec<Checkpoint>) {
        self.note_released(&free);
        self.shared.trash.leave(free);
    }

    /// Notes that checkpoints are being dropped.
    pub(super) fn note_released(&self, free: &[Checkpoint]) {
        let items = free.iter().map(Checkpoint::changes).sum::<usize>();
        let counter = &self.shared.metrics.checkpoint_items_removed;
        counter.add(items as u64);
    }
}
