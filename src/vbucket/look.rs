//! Looking into an open window: its keys a page at a time, one key's pre-image, and the way back.
//!
//! A page goes by an order that no change moves: first the keys that were touched one by one, as
//! they were touched first; then, behind a `flush_all`, those that only it took, by the turns of
//! the table. A key that is touched while the latter are read has a place behind `upto` and is met
//! by its turn, if it was taken before.
//!
//! Threads: any. A stripe and the log are locked for one key or one part.

use super::table::{Slot, turn};
use super::{LockRule, Vbucket, Verdict};
use crate::checkpoint::{Latest, Log, Looked, Was};
use crate::error::{Error, Result};
use crate::item::{Item, Meta};
use crate::types::CheckpointId;

/// Places that are looked up in one go.
const STEP_PLACES: usize = 128;

/// Where a walk through the keys of a window stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Among those that were touched one by one.
    Touched(u32),
    /// Among those that a `flush_all` took.
    Taken {
        /// So many had been touched one by one when these began.
        upto: u32,
        /// The stripe.
        stripe: u16,
        /// The turn within it.
        turn: u32,
        /// Tells keys of one turn from each other.
        tie: u64,
    },
}

impl Place {
    /// Before the first key.
    pub(crate) const FIRST: Self = Self::Touched(0);
}

/// No window is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotOpen;

/// What one step found.
#[derive(Debug)]
pub(crate) struct LookStep {
    /// Keys, each with the place behind it.
    pub(crate) found: Vec<(Looked, Place)>,
    /// How many keys it looked at.
    pub(crate) looks: usize,
    /// Where to go on behind all of them; none at the end.
    pub(crate) next: Option<Place>,
}

fn latest(slot: &Slot) -> Latest<'_> {
    Latest {
        item: slot.item(),
        seqno: slot.seqno(),
        deleted: slot.is_deleted(),
        locked: slot.is_locked(),
    }
}

/// A number of a key that has nothing to do with its hash (FNV-1a).
fn tie(key: &[u8]) -> u64 {
    key.iter().fold(0xcbf2_9ce4_8422_2325, |sum, &byte| {
        (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

impl Vbucket {
    /// The id of the open window.
    pub(crate) fn open_window(&self) -> Option<CheckpointId> {
        self.with_log(|log| log.window_id().filter(|_| log.is_open_window()))
    }

    /// A bounded step of a walk through the keys with that prefix which the window `id` changed.
    /// `None` when that window is not open any more.
    pub(crate) fn look(&self, id: CheckpointId, from: Place, prefix: &[u8]) -> Option<LookStep> {
        match from {
            Place::Touched(from) => self.look_at_touched(id, from, prefix),
            Place::Taken {
                upto,
                stripe,
                turn,
                tie,
            } => self.look_at_taken(id, (upto, stripe), (turn, tie), prefix),
        }
    }

    fn look_at_touched(&self, id: CheckpointId, from: u32, prefix: &[u8]) -> Option<LookStep> {
        let mut places = Vec::new();
        let (count, flushed) = self.with_log(|log| {
            log.open_window_of(id)?;
            let count = log.read_places(from, STEP_PLACES, &mut places);
            Some((count, log.is_flushed_in_window()))
        })?;
        let mut found = Vec::new();
        for &(place, hash) in &places {
            let stripe = self.table.lock(hash);
            let ordered = self.log();
            ordered.log.open_window_of(id)?;
            let now = self.shared.unix_now();
            stripe.visit_hash(hash, &mut |slot| {
                let wanted = slot.item().key().starts_with(prefix);
                if wanted && ordered.log.place_of(slot.seqno()) == Some(place) {
                    let looked = ordered.log.looked(latest(slot), now);
                    found.extend(looked.map(|looked| (looked, Place::Touched(place + 1))));
                }
            });
        }
        let upto = from.saturating_add(u32::try_from(places.len()).unwrap_or(u32::MAX));
        let taken = Place::Taken {
            upto,
            stripe: 0,
            turn: 0,
            tie: 0,
        };
        let next = if upto < count {
            Some(Place::Touched(upto))
        } else {
            flushed.then_some(taken)
        };
        Some(LookStep {
            found,
            looks: places.len(),
            next,
        })
    }

    fn look_at_taken(
        &self,
        id: CheckpointId,
        (upto, index): (u32, u16),
        from: (u32, u64),
        prefix: &[u8],
    ) -> Option<LookStep> {
        let place = |turn, tie| Place::Taken {
            upto,
            stripe: index,
            turn,
            tie,
        };
        let Some(stripe) = self.table.stripe(index.into()) else {
            return Some(LookStep {
                found: Vec::new(),
                looks: 0,
                next: None,
            });
        };
        let (mut keys, mut looks) = (Vec::new(), 0);
        let end = {
            let stripe = stripe.lock();
            let ordered = self.log();
            ordered.log.open_window_of(id)?;
            let now = self.shared.unix_now();
            stripe.visit_turns(from.0, &mut |slot| {
                looks += 1;
                let key = slot.item().key();
                let at = (turn(slot.item().hash()), tie(key));
                let seen = || {
                    ordered
                        .log
                        .place_of(slot.seqno())
                        .is_some_and(|at| at < upto)
                };
                if at >= from && key.starts_with(prefix) && !seen() {
                    let looked = ordered.log.looked(latest(slot), now);
                    // One that was added since the walk came here was not there to be taken.
                    let taken = looked.filter(|looked| looked.old.is_some());
                    keys.extend(taken.map(|looked| (at, looked)));
                }
            })
        };
        keys.sort_unstable_by_key(|(at, _)| *at);
        let found = keys.into_iter();
        let found = found.map(|((turn, tie), looked)| (looked, place(turn, tie.saturating_add(1))));
        let next = match end {
            Some(turn) => place(turn, 0),
            None => Place::Taken {
                upto,
                stripe: index + 1,
                turn: 0,
                tie: 0,
            },
        };
        Some(LookStep {
            found: found.collect(),
            looks,
            next: Some(next),
        })
    }

    /// What a key was before the open window: `None` if that did nothing to it.
    ///
    /// # Errors
    /// [`NotOpen`] without an open window, also while it is completing: that may still be undone.
    pub(crate) fn was(&self, hash: u32, key: &[u8]) -> std::result::Result<Option<Was>, NotOpen> {
        let mut stripe = self.table.lock(hash);
        let slot = stripe.find(hash, key);
        self.with_log(|log: &Log| {
            let was = || slot.and_then(|slot| log.was(latest(slot)));
            log.is_open_window().then(was).ok_or(NotOpen)
        })
    }

    /// Gives a key back what it was before the window, as an ordinary change: `old` with its value,
    /// or nothing. `cas` is that of its present version, 0 for any. Returns the new CAS, 0 if the
    /// key is gone then.
    ///
    /// # Errors
    /// `Exists` when the CAS differs or the key is locked; those of [`Self::change`].
    pub(crate) fn undo(&self, hash: u32, key: &[u8], cas: u64, old: Option<&Item>) -> Result<u64> {
        let old = old.filter(|old| !self.shared.is_expired(old));
        let new = match old {
            None => None,
            Some(old) => {
                let meta = Meta {
                    hash,
                    cas: 0,
                    ..old.meta()
                };
                Some(Item::with_value(key, &[old.value()], meta).ok_or(Error::TooBig)?)
            }
        };
        let changed = self.change(hash, key, LockRule::Match(cas), &mut |present| {
            if cas != 0 && present.is_none_or(|present| present.cas() != cas) {
                return Err(Error::Exists);
            }
            match (&new, present) {
                (Some(new), _) => Ok(Verdict::Put(new.clone())),
                (None, Some(_)) => Ok(Verdict::Remove),
                (None, None) => Err(Error::NotFound),
            }
        });
        match changed {
            Ok(cas) if new.is_some() => Ok(cas),
            Ok(_) | Err(Error::NotFound) => Ok(0),
            Err(error) => Err(error),
        }
    }
}
