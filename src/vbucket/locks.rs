//! Locks that clients take on keys (GET_LOCKED, UNLOCK_KEY): docs/compatibility.md, "Locks".
//!
//! A lock belongs to a version: taking it makes a new version, whose CAS is the key to the lock,
//! and whatever replaces that version ends it, a REVERT among them. It lasts by a clock that is not
//! set back. It belongs to the active vbucket: all of them end when that becomes something else,
//! because the master that it follows then knows nothing of them.

use std::collections::BTreeMap;
use std::time::Duration;

use super::table::Stripe;
use super::{Found, Vbucket};
use crate::error::{Error, Result};
use crate::latch::Latch;
use crate::types::Seqno;

/// Locks that a sweep looks at in one go.
const SWEEP_KEYS: usize = 256;

/// Until when keys are locked. A tree, because one key more never takes the time of many.
pub(super) type Times = BTreeMap<Box<[u8]>, Duration>;

/// Until when the keys are locked whose slots say that they are; others may stand here for a
/// while.
#[derive(Debug, Default)]
pub(super) struct Locks(
    // Guards the times. Lock order: last, with the key's stripe held.
    Latch<Times>,
);

impl Locks {
    fn take(&self, key: &[u8], until: Duration) {
        self.0.lock().insert(key.into(), until);
    }

    fn end(&self, key: &[u8]) {
        self.0.lock().remove(key);
    }

    /// Takes all of them out; the slots that say otherwise are put right when they are met.
    pub(super) fn end_all(&self) -> Times {
        std::mem::take(&mut *self.0.lock())
    }

    fn until(&self, key: &[u8]) -> Duration {
        self.0.lock().get(key).copied().unwrap_or_default()
    }

    /// Drops those that have run out, a few at a time. Returns whether there are others.
    fn sweep(&self, now: Duration) -> bool {
        let mut next = Some(Box::<[u8]>::default());
        while let Some(from) = next {
            let mut locks = self.0.lock();
            let mut part = locks.range(from..);
            let seen = part.by_ref().take(SWEEP_KEYS);
            let over = seen.filter(|(_, until)| **until <= now);
            let over: Vec<_> = over.map(|(key, _)| key.clone()).collect();
            next = part.next().map(|(key, _)| key.clone());
            for key in over {
                locks.remove(&key);
            }
        }
        self.count() > 0
    }

    fn count(&self) -> usize {
        self.0.lock().len()
    }
}

/// What a change does when its key is locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LockRule {
    /// Fails with `Temporary`.
    Refuse,
    /// Goes on with the CAS of the lock, which ends it; fails with `Exists` otherwise.
    Match(u64),
    /// Goes on, and the key stays locked.
    Keep,
    /// Locks the key until then, by [`Host::lasting`](crate::host::Host::lasting); fails with
    /// `Temporary` if it is locked.
    Take(Duration),
}

impl LockRule {
    /// Of a change that may carry the CAS of a lock; 0 none.
    pub(crate) fn with_cas(cas: u64) -> Self {
        match cas {
            0 => Self::Refuse,
            cas => Self::Match(cas),
        }
    }

    /// The lock that the new version of a free key has.
    pub(super) fn lock(self) -> Option<Duration> {
        match self {
            Self::Take(until) => Some(until),
            _ => None,
        }
    }
}

impl Vbucket {
    /// Locks a key that has a slot.
    pub(super) fn take_lock(&self, stripe: &mut Stripe, hash: u32, key: &[u8], until: Duration) {
        if let Some(slot) = stripe.find(hash, key) {
            slot.lock();
            self.locks.take(key, until);
        }
    }

    /// Until when a key is locked whose slot says that it is, unless that time is over.
    fn locked_until(&self, key: &[u8]) -> Option<Duration> {
        let until = self.locks.until(key);
        (until > self.shared.host.lasting()).then_some(until)
    }

    /// Whether the rule lets a change of this key go on, whose slot says that it is locked. Returns
    /// the lock of the new version.
    pub(super) fn obey_lock(
        &self,
        stripe: &mut Stripe,
        hash: u32,
        key: &[u8],
        floor: Seqno,
        rule: LockRule,
    ) -> Result<Option<Duration>> {
        let Some(slot) = stripe.find(hash, key) else {
            return Ok(rule.lock());
        };
        let gone = slot.is_deleted() || slot.seqno() < floor;
        if gone {
            // A REVERT may bring it back, locked.
            return Ok(rule.lock());
        }
        let Some(until) = self.locked_until(key) else {
            slot.unlock();
            return Ok(rule.lock());
        };
        match rule {
            LockRule::Refuse | LockRule::Take(_) => Err(Error::Temporary),
            LockRule::Match(cas) if cas != slot.item().cas() => Err(Error::Exists),
            LockRule::Match(_) => Ok(None),
            LockRule::Keep => Ok(Some(until)),
        }
    }

    /// What a read of a key found whose slot says that it is locked.
    pub(super) fn found_locked(&self, found: Found) -> Found {
        match found {
            Found::Hit(item) if self.locked_until(item.key()).is_some() => Found::Locked(item),
            found => found,
        }
    }

    /// Whether a key is locked now, wherever its value is.
    pub(crate) fn is_locked(&self, hash: u32, key: &[u8]) -> bool {
        let mut stripe = self.table.lock(hash);
        let held = self.locked_until(key).is_some();
        held && stripe.find(hash, key).is_some_and(|slot| slot.is_locked())
    }

    /// Ends the lock of a key.
    ///
    /// # Errors
    /// `NotFound` without such a key, `Temporary` when it is not locked or `opens` says no to the
    /// CAS of the lock.
    pub(crate) fn unlock(&self, hash: u32, key: &[u8], opens: &dyn Fn(u64) -> bool) -> Result<()> {
        if matches!(self.get(hash, key), Found::Miss) {
            return Err(Error::NotFound);
        }
        let mut stripe = self.table.lock(hash);
        let held = self.locked_until(key).is_some();
        let slot = stripe.find(hash, key).ok_or(Error::NotFound)?;
        if !(held && slot.is_locked() && opens(slot.item().cas())) {
            return Err(Error::Temporary);
        }
        slot.unlock();
        self.locks.end(key);
        Ok(())
    }

    /// Forgets locks that have run out; for the housekeeper. Returns whether there are others.
    pub(crate) fn sweep_locks(&self) -> bool {
        self.locks.sweep(self.shared.host.lasting())
    }

    /// How many locks are kept.
    #[cfg(test)]
    pub(crate) fn locks_kept(&self) -> usize {
        self.locks.count()
    }
}
