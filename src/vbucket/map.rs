//! The vbuckets of a node, by id.
//!
//! A vbucket's object is made when its id is first used and stays for the life of the engine, so
//! that an operation finds it with one load and takes no lock and no reference. Deletion empties
//! the object.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use once_cell::sync::OnceCell;

use super::table::Stripe;
use super::{Arrival, Ordered, Shared, Vbucket, Walk, floors};
use crate::checkpoint::Log;
use crate::types::{CheckpointId, Seqno, VBUCKETS_MAX, VbucketId, VbucketState};

/// All vbuckets.
pub(crate) struct VbucketMap {
    /// Boxed, because few nodes use many ids.
    slots: Box<[OnceCell<Box<Vbucket>>]>,
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
        let vbucket = &**self.slots.get(id.index())?.get()?;
        vbucket.state().map(|_| vbucket)
    }

    /// The existing vbuckets in ascending order of id.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Vbucket> {
        self.slots
            .iter()
            .filter_map(|slot| Some(&**slot.get()?))
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
        self.create_as(id, (state, Arrival::Alone), checkpoint, cas_base)
    }

    /// The same, into a node whose windows it may have to do with. Until its own is open nobody
    /// knows it.
    pub(crate) fn create_as(
        &self,
        id: VbucketId,
        (state, arrival): (VbucketState, Arrival),
        checkpoint: CheckpointId,
        cas_base: u64,
    ) -> Option<&Vbucket> {
        let slot = self.slots.get(id.index())?;
        let vbucket = slot.get_or_init(|| Box::new(Vbucket::missing(id, Arc::clone(&self.shared))));
        {
            let mut ordered = vbucket.log();
            let mut log = Log::new(checkpoint, self.shared.lease, self.shared.seconds());
            if state != VbucketState::Active {
                log.begin_alone();
            }
            // Also when the wall clock went back since an earlier one of this id was deleted.
            let cas_base = cas_base.max(ordered.cas_base);
            *ordered = Ordered {
                log,
                incarnation: cas_base,
                cas_base,
                swept: Seqno::ZERO,
                told: None,
            };
            vbucket.floor.store(0, Ordering::Release);
            vbucket.revert_floor.store(0, Ordering::Release);
            vbucket.note_due(&ordered);
            // Nothing is left of what a defect had touched.
            vbucket.poisoned.store(false, Ordering::Release);
            vbucket.given.store(false, Ordering::Release);
            vbucket.fed.store(false, Ordering::Relaxed);
            vbucket.writes.reset();
            vbucket.note_anew();
            vbucket.arrive(&mut ordered, state, arrival);
        }
        Some(vbucket)
    }

    /// Makes a vbucket not exist, at once. What it held is for a background thread to drop. Its
    /// rows in the store are the caller's.
    pub(crate) fn delete(&self, vbucket: &Vbucket) -> Remains {
        let log = {
            let mut ordered = vbucket.log();
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
                told: None,
            };
            let old = std::mem::replace(&mut *ordered, empty);
            vbucket.note_due(&ordered);
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
    /// Whether a `flush_all` has left slots that no window can bring back, and that no sweep has
    /// begun to look for.
    pub(super) fn begin_sweep(&self) -> bool {
        let mut ordered = self.log();
        let (now, base) = ordered.log.floors();
        // Within a window a revert may still come back to what was flushed.
        now == base && std::mem::replace(&mut ordered.swept, now) != now
    }

    /// One step of a sweep: takes out what the latest `flush_all` made void. Returns the number of
    /// slots; `None` at the end of the table.
    pub(super) fn sweep_part(&self, walk: &mut Walk) -> Option<usize> {
        let mut garbage = Vec::new();
        self.step(walk, |stripe, part| {
            // Under the stripe's lock, and each time: the vbucket may have been deleted and made
            // again meanwhile, and the keys of the new one have low numbers again.
            let floor = floors(&self.log().log).base;
            stripe.sweep(part, &mut |slot| slot.seqno() >= floor, &mut garbage)
        })?;
        Some(garbage.len())
    }

    /// Takes the slots out that the latest `flush_all` made void, once no window can bring them
    /// back. Once for each flush: what comes later is newer. For a background thread; `between` is
    /// called after each part, with nothing locked.
    pub(crate) fn sweep_flushed(&self, between: &dyn Fn()) -> usize {
        if !self.begin_sweep() {
            return 0;
        }
        let mut walk = Walk::default();
        let parts = std::iter::from_fn(|| self.sweep_part(&mut walk));
        parts.inspect(|_| between()).sum()
    }
}
