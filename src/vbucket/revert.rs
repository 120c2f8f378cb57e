//! REVERT on one vbucket: every touched key goes back to what it was before the window.
//!
//! A client that meets a key takes that one back ([`Vbucket::restore`]). The rest is the background
//! thread's, in the order of the log. What it needs of a key lies in five places of memory, and
//! waiting for them is most of the work: so it looks at a group of keys of one stripe together,
//! before it locks the log and while it does nothing that orders its reads.

use std::sync::atomic::Ordering;

use super::{Garbage, Ordered, Stripe, Vbucket, floors};
use crate::aside::step_aside;
use crate::checkpoint::{Change, Checkpoint, Log, PreImage};
use crate::item::Item;
use crate::leaving::Leaving;
use crate::types::{Seqno, stripe};

/// How a step of the background revert went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RevertStep {
    /// Go on from here.
    More(Seqno),
    /// Every key has been taken back.
    Done,
}

/// What a revert leaves to be dropped, and the note that it leaves; dropped in this order.
#[derive(Debug)]
pub(crate) struct Reverted {
    checkpoints: Vec<Checkpoint>,
    leaving: Leaving,
}

impl Reverted {
    /// Drops it.
    pub(crate) fn dissolve(self) {
        let Self {
            checkpoints,
            mut leaving,
        } = self;
        for checkpoint in checkpoints {
            checkpoint.dissolve(&mut |bytes| leaving.less(bytes));
        }
    }
}

/// Keys that are read from the log under one lock.
const READ_KEYS: usize = 1_024;
/// Keys of one stripe that are taken back under one lock: some microseconds.
const GROUP_KEYS: usize = 16;

impl Vbucket {
    /// Takes some keys of the reverting window back, from `after` on. No lock is held for more than
    /// a few keys or one read of the log. Keys that are left without a value are put into `cold`.
    pub(crate) fn revert_some(
        &self,
        after: Seqno,
        changes: &mut Vec<Change>,
        cold: &mut Vec<Item>,
    ) -> RevertStep {
        let of = |change: &Change| change.item.as_ref().map(|item| stripe(item.hash()));
        changes.clear();
        let next = self.log().log.read_window(after, READ_KEYS, changes);
        changes.sort_unstable_by_key(of);
        for keys in changes.chunk_by(|left, right| of(left) == of(right)) {
            for group in keys.chunks(GROUP_KEYS) {
                self.revert_group(group, cold);
                step_aside();
            }
        }
        next.map_or(RevertStep::Done, RevertStep::More)
    }

    /// Takes keys of one stripe back that no client has taken back yet.
    fn revert_group(&self, group: &[Change], cold: &mut Vec<Item>) {
        let mut garbage: [Garbage; GROUP_KEYS] = Default::default();
        let items = || {
            let changes = group.iter();
            changes.filter_map(|change| Some((change.item.as_ref()?, change.seqno)))
        };
        let Some((first, _)) = items().next() else {
            return;
        };
        let mut stripe = self.table.lock(first.hash());
        items().for_each(|(item, _)| stripe.prefetch(item.hash()));
        let mut due = [false; GROUP_KEYS];
        for ((item, seqno), due) in items().zip(&mut due) {
            let slot = stripe.find(item.hash(), item.key());
            *due = slot.is_some_and(|slot| slot.seqno() == seqno);
        }
        if due.contains(&true) {
            let mut pre_images = [const { None }; GROUP_KEYS];
            let mut ordered = self.log();
            stripe.sync(floors(&ordered.log));
            let keys = || items().zip(due).filter_map(|(key, due)| due.then_some(key));
            for ((_, seqno), pre_image) in keys().zip(&mut pre_images) {
                *pre_image = ordered.log.take_pre_image(seqno);
                if let Some(PreImage::Present { item, .. }) = pre_image {
                    item.prefetch();
                }
            }
            for (((item, _), pre_image), garbage) in keys().zip(pre_images).zip(&mut garbage) {
                let (hash, key) = (item.hash(), item.key());
                self.put_back(&mut stripe, &ordered.log, (hash, key), pre_image, garbage);
            }
        }
        for (item, _) in items() {
            let slot = stripe.find(item.hash(), item.key());
            let item = slot.filter(|slot| !slot.is_deleted());
            let item = item.map(|slot| slot.item());
            cold.extend(item.filter(|item| !item.is_resident()).cloned());
        }
    }

    /// Puts a key back to what it was before a window that is being reverted.
    pub(super) fn restore(
        &self,
        stripe: &mut Stripe,
        ordered: &mut Ordered,
        (hash, key): (u32, &[u8]),
        garbage: &mut Garbage,
    ) {
        if let Some(slot) = stripe.find(hash, key) {
            let pre_image = ordered.log.take_pre_image(slot.seqno());
            self.put_back(stripe, &ordered.log, (hash, key), pre_image, garbage);
        }
    }

    fn put_back(
        &self,
        stripe: &mut Stripe,
        log: &Log,
        (hash, key): (u32, &[u8]),
        pre_image: Option<PreImage>,
        garbage: &mut Garbage,
    ) {
        let counters = &self.shared.metrics;
        let before = match pre_image {
            Some(PreImage::Absent) => {
                counters.revert_add.add(1);
                garbage.slot = stripe.remove(hash, key);
                return;
            }
            Some(PreImage::Present { item, seqno }) => Some((item, seqno)),
            None => None,
        };
        let (Some(slot), counts) = stripe.find_with_counts(hash, key) else {
            return;
        };
        let (item, seqno) = if let Some((item, seqno)) = before {
            let counter = if slot.is_deleted() {
                &counters.revert_delete
            } else {
                &counters.revert_update
            };
            counter.add(1);
            let on_disk = seqno <= log.persisted() && !self.shared.keep_pre_images;
            let leaves = on_disk && item.is_resident();
            (if leaves { item.key_only() } else { item }, seqno)
        } else {
            // Cannot be. The store still has the old value: let it be read from there.
            counters.defects.add(1);
            (slot.item().key_only(), Seqno::ZERO)
        };
        garbage.item = Some(slot.set(item, seqno, false, counts));
    }

    /// The background revert is through: the window ends. What is returned takes time to drop.
    pub(crate) fn reverted(&self) -> Reverted {
        let reverted = {
            let mut ordered = self.log();
            let checkpoints = ordered.log.reverted();
            let bytes = checkpoints.iter().map(Checkpoint::reverted_bytes).sum();
            // With the log locked: who finds no window there knows of them.
            let leaving = Leaving::new(bytes);
            self.revert_mark.store(0, Ordering::Release);
            self.revert_high.store(0, Ordering::Release);
            self.revert_low.store(0, Ordering::Release);
            Reverted {
                checkpoints,
                leaving,
            }
        };
        self.note_released(&reverted.checkpoints);
        reverted
    }
}
