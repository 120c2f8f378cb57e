//! Which ids a log may give to checkpoints: so that none is given twice, whenever the process dies.
//!
//! The store's record of a vbucket says which ids are *reserved*: the next process begins behind
//! them. An id that is not reserved is not given: the open checkpoint grows, and no window begins.
//! A vbucket that has no record yet gives ids freely, because after a crash it never was; its first
//! record has them. The flusher extends the reservation long before it is used up.

use super::{Kind, Log, Numbering};
use crate::types::CheckpointId;

/// Ids that a window needs at most, after an attempt of COMPLETE that failed: its own, and those of
/// the checkpoints that COMPLETE and REVERT open.
const WINDOW_IDS: u64 = 3;

impl Log {
    /// How many more ids may be given.
    fn spare(&self) -> u64 {
        let end = self.reserved.get().saturating_add(1);
        end.saturating_sub(self.next_id.get())
    }

    /// Whether a limit may close the open checkpoint: what a window still needs is left alone.
    pub(super) fn may_give_id(&self) -> bool {
        self.spare() > u64::from(self.window.is_some())
    }

    /// Whether the ids of a window are reserved.
    pub(crate) fn may_open_window(&self) -> bool {
        self.spare() >= WINDOW_IDS
    }

    /// The same for a vbucket that becomes active with it: it may begin with a checkpoint of its
    /// own.
    pub(crate) fn may_join(&self) -> bool {
        self.spare() > WINDOW_IDS
    }

    /// Whether COMPLETE leaves an id to REVERT, should it fail.
    pub(crate) fn may_complete(&self) -> bool {
        self.spare() > 1
    }

    /// A vbucket that becomes active and never learned an id from a master begins with 1; 0 stands
    /// for "unknown".
    pub(crate) fn name_first(&mut self) {
        self.lead();
        if self.open.continues && self.open.kind == Kind::Normal {
            // From here on it is this node's own, and its master may have gone on in that one. (A
            // window is known to replicas by its id.)
            self.open.id = self.next_id;
            self.next_id = self.next_id.next();
        }
        let first = CheckpointId::new(1);
        if self.open.id < first {
            self.open.id = first;
            self.next_id = self.next_id.max(first.next());
            self.reserved = self.reserved.max(first);
        }
    }

    /// After a restart of a replica: its master's ids go on behind the last checkpoint that is
    /// whole, and not behind those that are reserved, which say what it may give as a master.
    pub(crate) fn resume_behind(&mut self, checkpoint: CheckpointId) {
        self.open.id = checkpoint.next();
        self.persisted_id = checkpoint;
        self.open.continues = true;
        self.numbering = Numbering::Master;
    }

    /// Up to which id the next record of the vbucket is to reserve.
    pub(crate) fn to_reserve(&self) -> CheckpointId {
        if self.spare() < self.lease / 2 {
            CheckpointId::new(self.next_id.get().saturating_add(self.lease))
        } else {
            self.reserved
        }
    }

    /// Ids up to here are reserved in the store now.
    pub(crate) fn reserve(&mut self, upto: CheckpointId) {
        self.reserved = self.reserved.max(upto);
    }

    /// Closes the open checkpoint for a shutdown, unless it is empty or a window. From now on the
    /// record reserves the ids that were given and no more.
    pub(crate) fn finish(&mut self, now: u32) {
        let is_normal = self.open.kind == Kind::Normal;
        let ends = self.closes_by_itself();
        if is_normal && ends && self.open.mutations + self.open.flushes > 0 {
            self.rotate(now);
        }
        // What is open now and empty goes on after the restart.
        let unused = 1 + u64::from(is_normal && ends);
        self.reserved = CheckpointId::new(self.next_id.get().saturating_sub(unused));
        self.lease = 0;
    }
}
