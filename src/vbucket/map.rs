//! The vbuckets of a node, by id.
//!
//! A vbucket's object is made when its id is first used and stays for the life of the engine, so
//! that an operation finds it with one load and takes no lock and no reference. Deletion empties
//! the object.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use once_cell::sync::OnceCell;

use super::table::{Slot, Stripe};
use super::{Ordered, Shared, Vbucket};
use crate::checkpoint::Log;
use crate::types::{CheckpointId, Seqno, VBUCKETS_MAX, VbucketId, VbucketState};

/// All vbuckets.
pub(crate) struct VbucketMap {
    slots: Box<[OnceCell<Vbucket>]>,
    shared: Arc<Shared>,
}

impl VbucketMap {
    /// Without any vbucket.
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self {
            slots: (0..VBUCKETS_MAX).map(|_| OnceCell::new()).collect(),
            shared,
        }
    }

    /// The vbucket with that id, if it exists.
    pub(crate) fn get(&self, id: VbucketId) -> Option<&Vbucket> {
        let vbucket = self.slots.get(id.index())?.get()?;
        vbucket.state().map(|_| vbucket)
    }

    /// The existing vbuckets in ascending order of id.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Vbucket> {
        self.slots
            .iter()
            .filter_map(OnceCell::get)
            .filter(|vbucket| vbucket.state().is_some())
    }

    /// Makes a vbucket exist. It must not exist already; calls for one id must not overlap.
    pub(crate) fn create(
        &self,
        id: VbucketId,
        state: VbucketState,
        checkpoint: CheckpointId,
        cas_base: u64,
    ) -> Option<&Vbucket> {
        let slot = self.slots.get(id.index())?;
        let vbucket = slot.get_or_init(|| Vbucket::missing(id, Arc::clone(&self.shared)));
        {
            let mut ordered = vbucket.ordered.lock();
            let log = Log::new(checkpoint, self.shared.lease, self.shared.seconds());
            // Also when the wall clock went back since an earlier one of this id was deleted.
            let cas_base = cas_base.max(ordered.cas_base);
            *ordered = Ordered {
                log,
                incarnation: cas_base,
                cas_base,
                swept: Seqno::ZERO,
                flush_at: None,
            };
            vbucket.floor.store(0, Ordering::Release);
            vbucket.revert_floor.store(0, Ordering::Release);
            vbucket.note_due(&mut ordered);
            // Nothing is left of what a defect had touched.
            vbucket.poisoned.store(false, Ordering::Release);
            vbucket.coming.store(false, Ordering::Release);
            vbucket.given.store(false, Ordering::Release);
            vbucket.state.store(state as u8, Ordering::Release);
        }
        Some(vbucket)
    }

    /// Makes a vbucket not exist, at once. What it held is for a background thread to drop. Its
    /// rows in the store are the caller's.
    pub(crate) fn delete(&self, vbucket: &Vbucket) -> Remains {
        let log = {
            let mut ordered = vbucket.ordered.lock();
            vbucket.state.store(0, Ordering::Release);
            let log = Log::new(CheckpointId::new(0), self.shared.lease, 0);
            let metrics = &self.shared.metrics;
            metrics.enqueued_by_deleted.add(ordered.log.logged());
            metrics.stored_by_deleted.add(ordered.log.stored());
            // Above every CAS that was given, and no incarnation again.
            let cas_base = ordered.cas_base + ordered.log.next_seqno().get();
            let empty = Ordered {
                log,
                incarnation: cas_base,
                cas_base,
                swept: Seqno::ZERO,
                flush_at: None,
            };
            let old = std::mem::replace(&mut *ordered, empty);
            vbucket.note_due(&mut ordered);
            old
        };
        let stripes = vbucket
            .table
            .stripes()
            .map(|stripe| std::mem::take(&mut *stripe.lock()));
        Remains {
            _log: log,
            _stripes: stripes.collect(),
        }
    }
}

/// What a deleted vbucket held; dropping it takes as long as there are keys.
#[derive(Debug)]
pub(crate) struct Remains {
    _log: Ordered,
    _stripes: Vec<Stripe>,
}

impl Vbucket {
    /// Takes every slot out for which `keep` returns false, one part of a stripe at a time.
    pub(super) fn sweep(&self, keep: &mut dyn FnMut(&mut Slot) -> bool) -> usize {
        let mut garbage = Vec::new();
        let mut count = 0;
        for stripe in self.table.stripes() {
            let mut part = 0;
            while stripe.lock().sweep(part, keep, &mut garbage) {
                part += 1;
                count += garbage.len();
                garbage.clear();
            }
        }
        count
    }

    /// Takes the slots out that the latest `flush_all` made void, once no window can bring them
    /// back. Once for each flush: what comes later is newer. For a background thread.
    pub(crate) fn sweep_flushed(&self) -> usize {
        let floor = {
            let mut ordered = self.log();
            let floor = ordered.log.floor();
            let may_go = |barrier| floor <= barrier;
            if !ordered
                .log
                .window()
                .is_none_or(|window| may_go(window.barrier))
            {
                return 0;
            }
            if std::mem::replace(&mut ordered.swept, floor) == floor {
                return 0;
            }
            floor
        };
        self.sweep(&mut |slot| slot.seqno() >= floor)
    }
}
