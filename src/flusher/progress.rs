//! What the store was told last, and of what it may know something else.

use std::time::Duration;

use super::batch::Part;
use crate::store::{VbucketRecord, WindowRecord};
use crate::types::{Seqno, UnixTime, VbucketId};

/// What the store knows of a vbucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) incarnation: u64,
    pub(super) record: VbucketRecord,
}

#[derive(Debug)]
pub(super) struct Progress {
    /// By vbucket id: what the store was told last.
    pub(super) known: Vec<Option<Known>>,
    pub(super) window: WindowRecord,
    pub(super) wanted_window: WindowRecord,
    /// Of these the store may know something else: what failed may be there all the same.
    pub(super) unsure: Vec<VbucketId>,
    /// What a batch had that went past the journal and failed: its rows may be there all the same.
    /// They are written before anything else, at least as far as then, so that the store never has
    /// rows of a vbucket that lie behind its record.
    pub(super) torn: Vec<Torn>,
    /// Where the next batch begins to collect, so that every vbucket has its turn.
    pub(super) turn: usize,
    pub(super) synced: Duration,
}

/// Rows that may have reached the store although their batch failed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Torn {
    pub(super) id: VbucketId,
    pub(super) incarnation: u64,
    pub(super) upto: Seqno,
}

impl Torn {
    pub(super) fn of(part: &Part<'_>) -> Self {
        Self {
            id: part.reader.vbucket().id(),
            incarnation: part.reader.incarnation(),
            upto: part.reader.upto(),
        }
    }
}

impl Progress {
    /// Of which vbucket of that id the store has rows.
    pub(super) fn incarnation(&self, id: VbucketId) -> Option<u64> {
        self.known.get(id.index())?.map(|known| known.incarnation)
    }

    /// When the store says that a delayed flush of that vbucket is due; 0 none.
    pub(super) fn due(&self, id: VbucketId, incarnation: u64) -> UnixTime {
        let known = self.known.get(id.index()).copied().flatten();
        let known = known.filter(|known| known.incarnation == incarnation);
        known.map_or(0, |known| known.record.due)
    }
}
