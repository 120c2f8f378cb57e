//! Warm-up of one vbucket: its keys come from the store while other vbuckets serve clients.
//!
//! A vbucket that is *loading* has a state like any other, but no operation touches its keys, so
//! what the store holds of it stays as it is. Its log works: START, COMPLETE, REVERT and
//! `flush_all` act on it, and loaded keys count as older than all of them. Only the vbucket that
//! the store named at the start is ever loading; one that is made under its id later never is, and
//! so never gets its keys.

use std::sync::atomic::Ordering;

use super::Vbucket;
use super::table::{Slot, Stripe};
use crate::item::Item;
use crate::types::{CheckpointId, Seqno, VbucketState};

/// Stands beside the state while keys are being loaded.
pub(super) const LOADING: u8 = 0x80;

const ACTIVE: u8 = VbucketState::Active as u8;
const ACTIVE_LOADING: u8 = ACTIVE | LOADING;
const PENDING: u8 = VbucketState::Pending as u8;
const PENDING_LOADING: u8 = PENDING | LOADING;

/// What a client's operation may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Go on.
    Serves,
    /// Wait until the state changes or the keys are loaded.
    Waits,
    /// Another node serves this vbucket.
    Refuses,
}

impl Vbucket {
    /// What a client's operation may do now.
    pub(crate) fn access(&self) -> Access {
        match self.state.load(Ordering::Acquire) {
            ACTIVE => Access::Serves,
            ACTIVE_LOADING | PENDING | PENDING_LOADING => Access::Waits,
            _ => Access::Refuses,
        }
    }

    /// Whether its keys are still to be loaded.
    pub(crate) fn is_loading(&self) -> bool {
        self.state.load(Ordering::Acquire) & LOADING != 0
    }

    /// Begins the loading, before any client or thread knows the vbucket.
    pub(crate) fn begin_loading(&self) {
        let _log = self.log();
        self.state.fetch_or(LOADING, Ordering::AcqRel);
    }

    /// After a restart of a replica: its master's checkpoints go on behind this one.
    pub(crate) fn resume_behind(&self, checkpoint: CheckpointId) {
        self.log().log.resume_behind(checkpoint);
    }

    /// Adds keys that are not in the table, in any order; leaves nothing in `items`. Those of a
    /// vbucket that was deleted meanwhile are dropped.
    pub(crate) fn load(&self, items: &mut Vec<(u32, Item)>) {
        // Stripe by stripe and, in a stripe, part by part: neighbours find a warm cache.
        items.sort_unstable_by_key(|(hash, _)| hash.reverse_bits());
        let mut left = items.drain(..).peekable();
        while let Some(&(first, _)) = left.peek() {
            let mut stripe = self.table.lock(first);
            // Deletion clears the state first and then empties every stripe.
            if !self.is_loading() {
                return;
            }
            while let Some((_, item)) = left.next_if(|(hash, _)| Stripe::same(*hash, first)) {
                stripe.insert(Slot::new(item, Seqno::ZERO, false));
            }
        }
    }

    /// All keys are there: operations may begin. No CAS at or below `cas_max` is given.
    pub(crate) fn loaded(&self, cas_max: u64) {
        let mut ordered = self.log();
        if self.is_loading() {
            ordered.cas_base = ordered.cas_base.max(cas_max + 1);
            // A flush of meanwhile may have been swept before its last keys came.
            ordered.swept = Seqno::ZERO;
            self.state.fetch_and(!LOADING, Ordering::AcqRel);
        }
    }

    /// The keys cannot be had: operations get a temporary failure until the next start.
    pub(crate) fn loading_failed(&self) {
        // A later vbucket of this id would not be the one that is loading.
        let _ordered = self.log();
        if self.is_loading() {
            self.poisoned.store(true, Ordering::Release);
        }
    }

    /// Drops the values that were loaded: the store has them.
    pub(crate) fn drop_loaded_values(&self) {
        let mut garbage = Vec::new();
        for stripe in self.table.stripes() {
            let mut part = 0;
            let drop_value = &mut |slot: &mut Slot| {
                let loaded = slot.seqno() == Seqno::ZERO && slot.item().is_resident();
                loaded.then(|| slot.item().key_only())
            };
            while stripe.lock().reform(part, drop_value, &mut garbage) {
                part += 1;
                garbage.clear();
            }
        }
    }
}
