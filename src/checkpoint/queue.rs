//! What of a log waits to be written, in figures.

use super::{Checkpoint, Entry, Kind, Log, Prior};
use crate::types::{Seqno, UnixTime};

/// The write queue of a vbucket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Queue {
    /// Changes.
    pub(crate) changes: usize,
    /// Keys, values and headers of their items; of a checkpoint that is durable in part, the same
    /// share as of its changes.
    pub(crate) bytes: usize,
    /// How long they have waited, all together, in seconds: to within 4 each.
    pub(crate) age: u64,
}

impl Queue {
    /// Adds another one.
    pub(crate) fn add(&mut self, other: Self) {
        self.changes += other.changes;
        self.bytes += other.bytes;
        self.age += other.age;
    }

    /// Memory of the log's entries and of their items.
    pub(crate) fn memory(&self) -> usize {
        self.changes * size_of::<Entry>() + self.bytes
    }
}

impl Log {
    /// Checkpoints with something that will be written at some time: what lies in a reverted window
    /// never will.
    fn unwritten(&self, after: Seqno) -> impl Iterator<Item = &Checkpoint> {
        let ahead = self.ahead(after);
        ahead.filter(|checkpoint| checkpoint.kind != Kind::Reverted)
    }

    fn unwritten_changes(&self, after: Seqno) -> usize {
        let unwritten = self.unwritten(after);
        unwritten
            .map(|checkpoint| checkpoint.changes_after(after))
            .sum()
    }

    /// Live changes behind the persistence cursor that will be written at some time.
    pub(crate) fn unpersisted(&self) -> usize {
        self.unwritten_changes(self.persisted)
    }

    /// Those of them up to a number.
    pub(crate) fn unpersisted_before(&self, upto: Seqno) -> usize {
        let behind = self.unwritten_changes(upto.max(self.persisted));
        self.unpersisted().saturating_sub(behind)
    }

    /// The write queue; `now` in Unix seconds.
    pub(crate) fn queue(&self, now: UnixTime) -> Queue {
        let changes = self.unpersisted();
        let share = |checkpoint: &Checkpoint| {
            let left = checkpoint.changes_after(self.persisted);
            (checkpoint.bytes * left)
                .checked_div(checkpoint.changes())
                .unwrap_or(0)
        };
        let bytes = self.unwritten(self.persisted).map(share).sum();
        let mut age = 0;
        let mut left = changes;
        for (end, at) in self.times.behind(self.persisted) {
            let behind = self.unwritten_changes(end);
            age += (left.saturating_sub(behind) as u64) * u64::from(now.saturating_sub(at));
            left = behind;
        }
        Queue {
            changes,
            bytes,
            age,
        }
    }

    /// Notes the time, in Unix seconds, for what was written until now.
    pub(crate) fn note_time(&mut self, now: UnixTime) {
        let end = self.last;
        self.times.note(end, now);
    }

    /// When an entry was written, in Unix seconds; none if that was since the last note, or before
    /// the process began.
    pub(crate) fn written_at(&self, seqno: Seqno) -> Option<UnixTime> {
        self.times.of(seqno).filter(|_| seqno > Seqno::ZERO)
    }

    /// Takes note that the version before is void that an earlier checkpoint has.
    pub(super) fn note_superseded(&mut self, prior: &Prior<'_>) {
        let bytes = prior.item.memory_bytes();
        if let Some(checkpoint) = self.find_mut(prior.seqno) {
            checkpoint.superseded += bytes;
        }
    }

    /// Bytes that the checkpoints take besides what the table refers to: their entries, and the
    /// versions of keys that are void.
    pub(crate) fn own_bytes(&self) -> usize {
        let own = |checkpoint: &Checkpoint| {
            checkpoint.changes() * size_of::<Entry>() + checkpoint.superseded
        };
        self.all().map(own).sum()
    }
}
