//! Which values are in memory: warm-up and fetches put them there, eviction takes them out.
//!
//! Eviction walks the table a part at a time, in turns ("second chance"): what was read since the
//! last time round stays. A value that the store does not have yet is never taken.
//!
//! Where no store has any value, whole keys go: those that were neither read since the last time
//! round nor are among the half of the keys that was written last, by their numbers in the log. So
//! a new key stays long enough to be read. While a window is open none goes: a REVERT is to find
//! what it did not touch as well. While a COMPLETE runs, or where the window is a master's, what it
//! touched stays.
//!
//! Threads: background threads, but for [`Vbucket::eject`].

use super::{Found, Garbage, PoisonOnPanic, Slot, Stripe, Vbucket, floors};
use crate::checkpoint::{Kept, Log};
use crate::item::Item;
use crate::store::Live;
use crate::types::{Seqno, VbucketState};

/// What became of one value that an operator wants out of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ejection {
    /// There is no such key.
    Absent,
    /// It was not in memory.
    Already,
    /// It has to stay: the store does not have it yet.
    Kept,
    /// It went.
    Ejected,
}

/// A place in a table, for a walk that takes one part at a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Walk {
    stripe: usize,
    part: usize,
    /// Keys with higher numbers were written lately, as of the beginning of the walk.
    old: Seqno,
    /// In a small table: the number of the last key that was looked at.
    from: Seqno,
}

impl Walk {
    /// Whether it goes through the table as it lies.
    pub(crate) fn is_in_parts(&self) -> bool {
        (self.stripe, self.part) != (0, 0)
    }
}

/// What one step of a walk found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Swept {
    /// Values or keys that went, or keys that had expired.
    pub(crate) taken: usize,
    /// Those that stay until a later round because they were used, or had not expired.
    pub(crate) spared: usize,
    /// Those that stay until they are durable, or until their window has ended.
    pub(crate) dirty: usize,
}

impl Swept {
    /// Adds what another step found.
    pub(crate) fn add(&mut self, other: Self) {
        self.taken += other.taken;
        self.spared += other.spared;
        self.dirty += other.dirty;
    }

    /// What it looked at, but for what does not count.
    pub(crate) fn sum(&self) -> usize {
        self.taken + self.spared + self.dirty
    }
}

/// Values up to this length stay where room is wanted: the key-only form would not be smaller.
const SMALL_VALUE_BYTES: usize = 8;
/// Up to so many keys eviction looks at all of them for each that it takes, and so takes them in
/// their order.
const SMALL_TABLE_KEYS: u64 = 512;

impl Vbucket {
    /// Puts a fetched value in place, if the key still is the version that was fetched and has no
    /// value. All metadata count, because a touch changes the expiry and keeps the CAS. Returns
    /// whether it did.
    pub(crate) fn fill(&self, item: &Item) -> bool {
        let hash = item.hash();
        let key_only;
        {
            let mut stripe = self.table.lock(hash);
            let wanted = stripe.find(hash, item.key()).is_some_and(|slot| {
                let now = slot.item();
                let same = now.meta() == item.meta() && now.nbytes() == item.nbytes();
                same && !slot.is_deleted() && !slot.item().is_resident()
            });
            let full = item.clone();
            key_only = if wanted {
                stripe.swap(hash, item.key(), full)
            } else {
                None
            };
        }
        key_only.is_some()
    }

    /// Whether the key still exists in the version of this key-only item, and has no value.
    pub(crate) fn lacks_value(&self, item: &Item) -> bool {
        let now = self.get(item.hash(), item.key());
        matches!(now, Found::NotResident(now) if now.cas() == item.cas())
    }

    /// What it holds, as the store is to hold it: also what a flush in a window made void. For a
    /// background thread.
    pub(crate) fn live(&self) -> Live {
        let mut live = Live::default();
        let mut walk = Walk::default();
        loop {
            let step = self.step(&mut walk, |stripe, part| {
                let floor = floors(&self.log().log).base;
                stripe.visit(part, &mut |slot| {
                    if !slot.is_deleted() && slot.seqno() >= floor {
                        live.rows += 1;
                        live.bytes += (slot.item().key().len() + slot.item().nbytes()) as u64;
                    }
                })
            });
            if step.is_none() {
                return live;
            }
        }
    }

    /// One step of eviction: `walk` is where the last one ended. `None` at the end of the table.
    pub(crate) fn evict_part(&self, walk: &mut Walk) -> Option<Swept> {
        let mut swept = Swept::default();
        let mut garbage = Vec::new();
        self.step(walk, |stripe, part| {
            // Under the stripe's lock: that of another vbucket of this id would be too high.
            let persisted = self.log().log.persisted();
            let evict = &mut |slot: &mut Slot| {
                let item = slot.item();
                if slot.is_deleted() || !item.is_resident() || item.nbytes() <= SMALL_VALUE_BYTES {
                    return None;
                }
                if slot.seqno() > persisted {
                    swept.dirty += 1;
                    return None;
                }
                if slot.take_recent() {
                    swept.spared += 1;
                    return None;
                }
                swept.taken += 1;
                Some(slot.item().key_only())
            };
            stripe.reform(part, evict, &mut garbage)
        })?;
        Some(swept)
    }

    /// The same where no store has any value: keys go altogether, and their log entries with them;
    /// those that a stream has still to give become deletions. `needed` says whether room is still
    /// wanted; it is asked when what a window keeps is known, because the end of a REVERT makes
    /// room and lets its keys go.
    pub(crate) fn evict_keys_part(
        &self,
        walk: &mut Walk,
        needed: &dyn Fn() -> bool,
    ) -> Option<Swept> {
        let mut swept = Swept::default();
        let mut garbage = Vec::new();
        let mut entries = Vec::new();
        if !walk.is_in_parts() {
            walk.old = self.not_lately();
        }
        let old = walk.old;
        self.step(walk, |stripe, part| {
            let is_kept = |log: &Log, seqno| self.kept(log).is_some_and(|kept| kept.has(seqno));
            // What a window keeps that is there is known before `needed` is asked.
            let kept = self.with_log(|log| self.kept(log));
            if !needed() {
                return true;
            }
            let keep = &mut |slot: &mut Slot| {
                let seqno = slot.seqno();
                if slot.is_deleted() {
                    return true;
                }
                if kept.is_some_and(|kept| kept.has(seqno)) {
                    swept.dirty += 1;
                    return true;
                }
                if slot.take_recent() || seqno > old {
                    swept.spared += 1;
                    return true;
                }
                let mut ordered = self.log();
                // One may have begun meanwhile.
                if is_kept(&ordered.log, seqno) {
                    swept.dirty += 1;
                    return true;
                }
                swept.taken += 1;
                // An older version out of a backup is not to take its place.
                self.note_evicted(slot.item().key());
                entries.extend(ordered.log.forget(seqno));
                false
            };
            stripe.sweep(part, keep, &mut garbage)
        })?;
        Some(swept)
    }

    /// Whether so few keys are in it that a walk may take them in their order.
    pub(crate) fn is_small(&self) -> bool {
        self.table.slots() <= SMALL_TABLE_KEYS
    }

    /// The same where the table is small: the keys in the order in which they were written, up to
    /// the first that goes. `None` when the walk is through.
    pub(crate) fn evict_oldest_key(
        &self,
        walk: &mut Walk,
        needed: &dyn Fn() -> bool,
    ) -> Option<Swept> {
        if walk.from == Seqno::ZERO {
            walk.old = self.not_lately();
        }
        let mut keys = Vec::new();
        for stripe in self.table.stripes() {
            let stripe = stripe.lock();
            let mut part = 0;
            let look = &mut |slot: &Slot| {
                let is_next = slot.seqno() > walk.from && slot.seqno() <= walk.old;
                if is_next && !slot.is_deleted() {
                    keys.push((slot.seqno(), slot.item().clone()));
                }
            };
            while stripe.visit(part, look) {
                part += 1;
            }
        }
        keys.sort_unstable_by_key(|(seqno, _)| *seqno);
        let mut swept = Swept::default();
        for (seqno, item) in &keys {
            if !self.evict_key(item, needed, &mut swept) {
                break;
            }
            walk.from = *seqno;
            if swept.taken > 0 {
                break;
            }
        }
        (!keys.is_empty()).then_some(swept)
    }

    /// Whether a window keeps every key where no store has any.
    pub(crate) fn keeps_all_keys(&self) -> bool {
        self.with_log(|log| self.kept(log).is_some_and(|kept| kept.has_all()))
    }

    fn kept(&self, log: &Log) -> Option<Kept> {
        log.kept(self.state() == Some(VbucketState::Replica))
    }

    /// The half of the keys that was written last lies behind this number.
    fn not_lately(&self) -> Seqno {
        let last = self.with_log(|log| log.next_seqno().get() - 1);
        Seqno::new(last.saturating_sub(self.table.slots() / 2))
    }

    /// Takes a version out of memory altogether, unless it was read or belongs to a window.
    /// False, and nothing is done, when room is not needed any more.
    fn evict_key(&self, item: &Item, needed: &dyn Fn() -> bool, swept: &mut Swept) -> bool {
        let mut garbage = Garbage::default();
        let (hash, key) = (item.hash(), item.key());
        let mut stripe = self.table.lock(hash);
        let same = |slot: &&mut Slot| !slot.is_deleted() && slot.item().is(item);
        let Some(slot) = stripe.find(hash, key).filter(same) else {
            return true;
        };
        if slot.take_recent() {
            swept.spared += 1;
            return true;
        }
        let seqno = slot.seqno();
        let mut ordered = self.log();
        if self.kept(&ordered.log).is_some_and(|kept| kept.has(seqno)) {
            swept.dirty += 1;
            return true;
        }
        if !needed() {
            return false;
        }
        swept.taken += 1;
        self.note_evicted(key);
        garbage.entry = ordered.log.forget(seqno);
        garbage.slot = stripe.remove(hash, key);
        true
    }

    /// One step of the expiry pager, likewise: logs the deletion of keys that have expired.
    pub(crate) fn expire_part(&self, walk: &mut Walk) -> Option<Swept> {
        let mut expired = Vec::new();
        let mut spared = 0;
        self.step(walk, |stripe, part| {
            let floor = self.floor();
            let look = &mut |slot: &Slot| {
                let gone = slot.is_deleted() || slot.seqno() < floor;
                if gone {
                    return;
                }
                if self.shared.is_expired(slot.item()) {
                    expired.push(slot.item().clone());
                } else {
                    spared += 1;
                }
            };
            stripe.visit(part, look)
        })?;
        for item in &expired {
            self.expire_now(item.hash(), item.key());
        }
        Some(Swept {
            taken: expired.len(),
            spared,
            ..Swept::default()
        })
    }

    /// One step of a walk over the keys: those for which `wanted` is true, as they are in memory;
    /// also some that are gone, if they may come back by a revert under way. `None` at the end.
    pub(crate) fn keys_part(
        &self,
        walk: &mut Walk,
        wanted: &dyn Fn(&[u8]) -> bool,
        out: &mut Vec<Item>,
    ) -> Option<()> {
        self.step(walk, |stripe, part| {
            let floor = self.floor();
            stripe.visit(part, &mut |slot: &Slot| {
                let gone = slot.is_deleted() || slot.seqno() < floor;
                let stays = !gone || self.is_reverting(slot.seqno());
                if stays && wanted(slot.item().key()) {
                    out.push(slot.item().clone());
                }
            })
        })
    }

    /// Locks the stripe of the walk's place for `work` on one part, which says whether there was
    /// such a part. `None` when there is no such stripe.
    pub(super) fn step(
        &self,
        walk: &mut Walk,
        work: impl FnOnce(&mut Stripe, usize) -> bool,
    ) -> Option<()> {
        let stripe = self.table.stripe(walk.stripe)?;
        if work(&mut stripe.lock(), walk.part) {
            walk.part += 1;
        } else {
            *walk = Walk {
                stripe: walk.stripe + 1,
                part: 0,
                ..*walk
            };
        }
        Some(())
    }

    fn expire_now(&self, hash: u32, key: &[u8]) {
        let mut garbage = Garbage::default();
        let _poison = PoisonOnPanic(self);
        let mut stripe = self.table.lock(hash);
        let mut ordered = self.log();
        if self.state().is_some() {
            self.settle(&mut stripe, &mut ordered, hash, key, &mut garbage);
            ordered
                .log
                .close_if_due(&self.shared.limits(), || self.shared.seconds());
        }
    }

    /// [`Self::eject`] where no store has any value.
    pub(crate) fn could_eject(&self, hash: u32, key: &[u8]) -> Ejection {
        match self.get(hash, key) {
            Found::Miss => Ejection::Absent,
            _ => Ejection::Kept,
        }
    }

    /// Takes the value of one key out of memory (EVICT_KEY), however small it is.
    pub(crate) fn eject(&self, hash: u32, key: &[u8]) -> Ejection {
        if matches!(self.get(hash, key), Found::Miss) {
            return Ejection::Absent;
        }
        let _full = {
            let mut stripe = self.table.lock(hash);
            let persisted = self.log().log.persisted();
            let Some(slot) = stripe.find(hash, key).filter(|slot| !slot.is_deleted()) else {
                return Ejection::Absent;
            };
            let item = slot.item();
            if !item.is_resident() {
                return Ejection::Already;
            }
            if slot.seqno() > persisted {
                return Ejection::Kept;
            }
            let key_only = item.key_only();
            stripe.swap(hash, key, key_only)
        };
        Ejection::Ejected
    }
}
