//! What a master's stream does to a vbucket, and what a stream to a replica begins with.
//!
//! Threads: host threads for the former, the backfill's thread for the latter. Nothing here waits
//! for the disk or calls the host.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{LockRule, Slot, Vbucket, Verdict, Walk};
use crate::checkpoint::{Fit, Log, Op, PreImage};
use crate::error::{Error, Result};
use crate::item::Item;
use crate::types::{CheckpointId, Seqno, VbucketState};

/// Versions with a higher CAS get one of our own: what a peer sends must not exhaust the numbers.
const CAS_MAX: u64 = 1 << 62;

/// Whether a version that comes from elsewhere keeps its CAS.
pub(super) fn keeps_cas(item: &Item) -> bool {
    (1..CAS_MAX).contains(&item.cas())
}

/// Whether a master may write a vbucket in that state.
fn follows(state: VbucketState) -> bool {
    state != VbucketState::Dead
}

impl Vbucket {
    /// Puts a master's version of a key in place. It keeps its CAS, so that a client's CAS still
    /// holds when this replica is promoted.
    ///
    /// # Errors
    /// `Exists` when a client has locked the key, `NotMyVbucket` when the vbucket is dead or gone.
    pub(crate) fn replicate(&self, item: &Item) -> Result<()> {
        let keeps = keeps_cas(item);
        let rule = LockRule::Match(0);
        self.change_if(follows, item.hash(), item.key(), rule, &mut |_| {
            Ok(if keeps {
                Verdict::Copy(item.clone())
            } else {
                Verdict::Put(item.clone())
            })
        })?;
        Ok(())
    }

    /// Deletes a key as its master did. That it does not exist is no error.
    ///
    /// # Errors
    /// Those of [`Self::replicate`].
    pub(crate) fn replicate_deletion(&self, hash: u32, key: &[u8]) -> Result<()> {
        let rule = LockRule::Match(0);
        match self.change_if(follows, hash, key, rule, &mut |_| Ok(Verdict::Remove)) {
            Err(Error::NotFound) | Ok(_) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// A master is about to send the whole state: what is here goes. False while there is a window,
    /// and when it is active.
    pub(crate) fn begin_backfill(&self) -> bool {
        let now = self.shared.seconds();
        let mut ordered = self.log();
        if ordered.log.window().is_some() || self.state() == Some(VbucketState::Active) {
            return false;
        }
        ordered.log.begin_backfill(now);
        let floor = ordered.log.flush();
        self.set_floor(floor);
        self.note_due(&ordered);
        self.note_anew();
        let free = ordered.log.free();
        drop(ordered);
        self.release(free);
        true
    }

    /// The whole state is here.
    pub(crate) fn end_backfill(&self, checkpoints_follow: bool) {
        let now = self.shared.seconds();
        self.log().log.end_backfill(checkpoints_follow, now);
    }

    /// LAST_CLOSED_CHECKPOINT, for who is going to ask another node for what comes behind it.
    pub(crate) fn tell_last_closed(&self) -> u64 {
        let mut ordered = self.log();
        // Nobody's stream begins at one that is active.
        let tells = self.state() != Some(VbucketState::Active);
        ordered.log.tell_last_closed(tells)
    }

    /// Whether it follows nothing but the whole state.
    pub(crate) fn is_parted(&self) -> bool {
        self.with_log(Log::is_parted)
    }

    /// A stream writes it.
    pub(crate) fn note_fed(&self) {
        if self.state() != Some(VbucketState::Active) && !self.fed.load(Ordering::Relaxed) {
            self.fed.store(true, Ordering::Relaxed);
        }
    }

    /// Whether a stream's messages about checkpoints have come since it was active.
    pub(crate) fn has_master(&self) -> bool {
        self.with_log(Log::has_master)
    }

    /// With the log locked, before its window is reverted: what a stream has brought in one of this
    /// node's own goes with it, and it does not know that.
    pub(super) fn part_with_window(&self, log: &mut Log) {
        let follows = self.state() != Some(VbucketState::Active);
        let fed = self.fed.load(Ordering::Relaxed) || log.has_master();
        if follows && fed && log.has_own_change() {
            log.part_with_window();
        }
    }

    /// Whether a master is sending the whole state.
    pub(crate) fn is_receiving(&self) -> bool {
        self.log().log.is_receiving()
    }

    /// The operator ends the window that its master opened here.
    pub(crate) fn part_from_master(&self, reverts: bool) {
        self.log().log.part_from_master(reverts);
    }

    /// Follows the master into a checkpoint if that fits. One that is active follows nobody.
    /// `is_current` says whether its stream is still the one to be followed.
    pub(crate) fn follow_checkpoint(
        &self,
        id: CheckpointId,
        is_current: impl FnOnce() -> bool,
    ) -> Fit {
        let now = self.shared.seconds();
        let mut ordered = self.log();
        if self.state() == Some(VbucketState::Active) {
            return Fit::Known;
        }
        if !is_current() {
            return Fit::Behind;
        }
        let fit = ordered.log.fit_checkpoint(id);
        if fit == Fit::Fits {
            ordered.log.follow_checkpoint(id, now);
        }
        fit
    }

    /// Whether it has an open window that is its operator's: one that no master opened, or that
    /// came with a replica which is active now.
    pub(crate) fn has_own_window(&self) -> bool {
        let active = self.state() == Some(VbucketState::Active);
        self.with_log(|log| log.has_own_window() || active && log.is_open_window())
    }

    /// Whether its window, if there is one, has no change.
    pub(crate) fn is_window_untouched(&self) -> bool {
        let report = self.window_report();
        report.is_none_or(|window| window.touched == 0 && !window.flushed)
    }

    /// How a mark of the master fits.
    pub(crate) fn fit_mark(&self, mark: Op, id: Option<CheckpointId>) -> Fit {
        self.log().log.fit_mark(mark, id)
    }

    /// START came from the master.
    pub(crate) fn follow_start(
        &self,
        id: Option<CheckpointId>,
        now: Duration,
        deadline: Option<Duration>,
    ) {
        let (seconds, unix) = (self.shared.seconds(), self.shared.unix_now());
        let mut ordered = self.log();
        if ordered.log.window().is_none() {
            ordered.log.follow_start(id, seconds, now);
            ordered.log.set_deadline(deadline);
            ordered.log.note_start(unix);
        }
    }

    /// The master has moved the deadline of the window that it knows by that id.
    pub(crate) fn follow_deadline(&self, id: CheckpointId, deadline: Option<Duration>) {
        let mut ordered = self.log();
        let active = self.state() == Some(VbucketState::Active);
        if !active && ordered.log.follows_window(id) {
            ordered.log.set_deadline(deadline);
        }
    }

    /// COMPLETE came from the master.
    pub(crate) fn follow_complete(&self) {
        let seconds = self.shared.seconds();
        self.log().log.follow_complete(seconds);
    }

    /// Whether nobody gets that version of a key any more.
    pub(crate) fn has_expired(&self, item: &Item) -> bool {
        self.shared.is_expired(item)
    }

    /// Some of the keys as they were at `at`, for a stream that reads the log from there on: what
    /// has a later entry there is left out, and a key that an undecided window touched is given as
    /// it was before. Items may be key-only. `None` at the end.
    pub(crate) fn state_part(&self, walk: &mut Walk, at: Seqno, out: &mut Vec<Item>) -> Option<()> {
        self.step(walk, |stripe, part| {
            let ordered = self.log();
            let give = &mut |slot: &Slot| out.extend(self.in_state(&ordered.log, slot, at));
            stripe.visit(part, give)
        })
    }

    /// The same of one key.
    pub(crate) fn state_of(&self, hash: u32, key: &[u8], at: Seqno) -> Option<Item> {
        let mut stripe = self.table.lock(hash);
        let slot = stripe.find(hash, key)?;
        self.in_state(&self.log().log, slot, at)
    }

    fn in_state(&self, log: &Log, slot: &Slot, at: Seqno) -> Option<Item> {
        let (item, seqno) = match log.pre_image_of(slot.seqno()) {
            Some(PreImage::Present { item, seqno }) => (item, *seqno),
            Some(PreImage::Absent) => return None,
            None if slot.is_deleted() => return None,
            None => (slot.item(), slot.seqno()),
        };
        let counts = seqno >= log.floor_of_state() && seqno <= at;
        (counts && !self.shared.is_expired(item)).then(|| item.clone())
    }
}
