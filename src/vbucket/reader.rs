//! What persistence needs of a vbucket: a reader of its log, and what is to be done when a commit
//! has made a part of it durable.

use super::Vbucket;
use crate::checkpoint::{Change, Checkpoint, Op, ReadEnd, View};
use crate::item::Item;
use crate::types::{CheckpointId, Seqno};

impl Vbucket {
    /// Tells this vbucket from a later one of the same id.
    pub(crate) fn incarnation(&self) -> u64 {
        self.log().incarnation
    }

    /// Starts a read for persistence.
    pub(crate) fn reader(&self) -> Reader<'_> {
        let ordered = self.log();
        Reader {
            vbucket: self,
            incarnation: ordered.incarnation,
            named_from: ordered.log.named_from(),
            upto: ordered.log.persisted(),
            begun: ordered.log.begun_after(ordered.log.persisted()),
        }
    }

    /// Takes the slots of deletions out that are durable and still the latest of their key.
    pub(crate) fn forget_deletions(&self, changes: &[Change]) {
        for change in changes.iter().filter(|change| change.op == Op::Delete) {
            if let Some(item) = &change.item {
                self.forget_deletion(item, change.seqno);
            }
        }
    }

    fn forget_deletion(&self, item: &Item, seqno: Seqno) {
        let _removed = {
            let mut stripe = self.table.lock(item.hash());
            let slot = stripe.find(item.hash(), item.key());
            let same = slot.is_some_and(|slot| slot.is_deleted() && slot.seqno() == seqno);
            if same {
                stripe.remove(item.hash(), item.key())
            } else {
                None
            }
        };
    }

    fn pre_image_saved(&self, item: &Item, seqno: Seqno) {
        let keep = self.shared.keep_pre_images;
        let _full = {
            let mut stripe = self.table.lock(item.hash());
            let latest = stripe
                .find(item.hash(), item.key())
                .map(|slot| slot.seqno());
            latest
                .filter(|&latest| latest > seqno)
                .and_then(|latest| self.log().log.pre_image_saved(latest, seqno, keep))
        };
    }
}

/// Entries looked at under one lock.
const STEP_ENTRIES: usize = 512;

/// A position in one vbucket's log from which the flusher reads. Void once the vbucket was deleted.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'a> {
    vbucket: &'a Vbucket,
    /// The vbucket as it was when the reader was made, and not a later one of the same id.
    incarnation: u64,
    /// The ids that it meets are the log's from here on.
    named_from: Seqno,
    upto: Seqno,
    begun: u32,
}

impl<'a> Reader<'a> {
    /// Whose log.
    pub(crate) fn vbucket(&self) -> &'a Vbucket {
        self.vbucket
    }

    /// Tells the vbucket that is read from a later one of the same id.
    pub(crate) fn incarnation(&self) -> u64 {
        self.incarnation
    }

    /// When the checkpoint began in which it begins to read, in seconds of the clock of ages.
    pub(crate) fn begun(&self) -> u32 {
        self.begun
    }

    /// What was read so far.
    pub(crate) fn upto(&self) -> Seqno {
        self.upto
    }

    /// Goes to another place.
    pub(crate) fn go_to(&mut self, place: Seqno) {
        self.upto = place;
    }

    /// Reads on; `None` when the vbucket was deleted, or its checkpoints are named anew: ids from
    /// before and behind that make no batch. See [`Log::read`].
    pub(crate) fn read(&mut self, limit: usize, out: &mut Vec<Change>) -> Option<ReadEnd> {
        let ordered = self.vbucket.log();
        let same = ordered.incarnation == self.incarnation;
        if !same || ordered.log.named_from() != self.named_from {
            return None;
        }
        let end = ordered.log.read(View::Store, self.upto, limit, out);
        self.upto = end.upto;
        Some(end)
    }

    /// Whether the checkpoint is closed that it goes on in.
    pub(crate) fn is_in_closed(&self) -> bool {
        self.vbucket.with_log(|log| log.is_closed_after(self.upto))
    }

    /// What was read is durable: moves the persistence cursor, forgets deletions, lets go of
    /// pre-images that are on disk now, frees checkpoints.
    pub(crate) fn committed(&self, closed: Option<CheckpointId>, changes: &[Change]) {
        let Some((free, window)) = self.advance(closed) else {
            return;
        };
        drop(free);
        self.saved(changes, window);
    }

    /// The same for what lies behind `begin`, which was too much to be kept.
    pub(crate) fn committed_from(&self, closed: Option<CheckpointId>, mut begin: Self) {
        let Some((free, window)) = self.advance(closed) else {
            return;
        };
        let mut changes = Vec::new();
        for checkpoint in &free {
            let mut from = Some(begin.upto);
            while let Some(after) = from {
                let range = (after, self.upto);
                from = checkpoint.collect(Op::is_change, range, STEP_ENTRIES, &mut changes);
                self.saved(&changes, window);
                changes.clear();
            }
        }
        drop(free);
        // What is still there because a stream has not read it.
        loop {
            let from = begin.upto;
            if begin.read(STEP_ENTRIES, &mut changes).is_none() || begin.upto == from {
                return;
            }
            changes.retain(|change| change.seqno <= self.upto);
            self.saved(&changes, window);
            changes.clear();
            if begin.upto >= self.upto {
                return;
            }
        }
    }

    /// Moves the persistence cursor. Returns the checkpoints that nobody needs now, and whether
    /// there is a window; `None` when the vbucket was deleted.
    fn advance(&self, closed: Option<CheckpointId>) -> Option<(Vec<Checkpoint>, bool)> {
        let (free, window) = {
            let mut ordered = self.vbucket.log();
            if ordered.incarnation != self.incarnation {
                return None;
            }
            let free = ordered.log.advance(self.upto, closed);
            (free, ordered.log.window().is_some())
        };
        self.vbucket.note_released(&free);
        Some((free, window))
    }

    fn saved(&self, changes: &[Change], window: bool) {
        self.vbucket.forget_deletions(changes);
        for change in changes.iter().filter(|_| window) {
            if let Some(item) = &change.item {
                self.vbucket.pre_image_saved(item, change.seqno);
            }
        }
    }
}
