//! What the store did for a vbucket, and what waits for it: figures for reports.
//!
//! Threads: any; relaxed atomics.

use super::Vbucket;
use crate::checkpoint::Queue;
use crate::item::Item;
use crate::metrics::Counter;
use crate::types::{Seqno, UnixTime};

/// What has become of its changes since the process began, or since it was made.
#[derive(Debug, Default)]
pub(crate) struct Writes {
    /// Rows that were new.
    pub(crate) created: Counter,
    /// Rows that took the place of another.
    pub(crate) updated: Counter,
    /// Rows deleted.
    pub(crate) deleted: Counter,
    /// Changes in commits that failed.
    pub(crate) rejected: Counter,
    /// Values that left memory.
    pub(crate) ejected: Counter,
}

impl Writes {
    /// Nothing of that was this vbucket's.
    pub(super) fn reset(&self) {
        for counter in [
            &self.created,
            &self.updated,
            &self.deleted,
            &self.rejected,
            &self.ejected,
        ] {
            counter.set(0);
        }
    }
}

/// When a key was changed last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Changed {
    /// Unix seconds, to within 4; 0 if that was before the process began.
    pub(crate) at: UnixTime,
    /// Whether that is not durable yet.
    pub(crate) dirty: bool,
}

impl Vbucket {
    /// What the store did for it.
    pub(crate) fn writes(&self) -> &Writes {
        &self.writes
    }

    /// What waits to be written.
    pub(crate) fn queue(&self) -> Queue {
        let now = self.shared.unix_now();
        self.with_log(|log| log.queue(now))
    }

    /// Notes the time for what was changed until now; for the thread that every change wakes.
    pub(crate) fn note_time(&self, now: UnixTime) {
        self.log().log.note_time(now);
    }

    /// When the present version of a key was written.
    pub(crate) fn changed(&self, item: &Item) -> Changed {
        let now = self.shared.unix_now();
        let mut stripe = self.table.lock(item.hash());
        let slot = stripe.find(item.hash(), item.key());
        let seqno = slot.map_or(Seqno::ZERO, |slot| slot.seqno());
        self.with_log(|log| Changed {
            at: match seqno {
                Seqno::ZERO => 0,
                seqno => log.written_at(seqno).unwrap_or(now),
            },
            dirty: seqno > log.persisted(),
        })
    }
}
