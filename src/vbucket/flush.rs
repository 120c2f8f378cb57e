//! `flush_all` on one vbucket, now or at a time.
//!
//! A delayed flush belongs to the vbuckets that were active when it was asked for. It is carried
//! out while its vbucket is active, under the lock of the log, so it falls before a REVERT, which
//! takes it back, or finds what the REVERT left due. A vbucket that becomes a replica or pending
//! forgets it: its master's flushes come by the stream. A dead one keeps it, as it keeps its keys.
//!
//! Threads: any.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{Ordered, Shared, Vbucket};
use crate::checkpoint::{Clocks, Due};
use crate::types::{Seqno, UnixTime, VbucketState};

impl Shared {
    /// What the clocks show by which a delayed flush waits.
    pub(super) fn clocks(&self) -> Clocks {
        Clocks {
            unix: self.unix_now(),
            lasting: self.host.lasting(),
        }
    }
}

impl Vbucket {
    /// `flush_all` of a client: every key is gone from now on, and a delayed flush is none any
    /// more. Takes no time; the slots go later. Does nothing, and returns false, if the vbucket
    /// is not active any more: its keys are another node's by then.
    pub(crate) fn flush_all(&self) -> bool {
        self.flush_if(is_active)
    }

    /// The same of a master, for whatever one may write.
    pub(crate) fn receive_flush(&self) -> bool {
        self.flush_if(|state| state != VbucketState::Dead)
    }

    fn flush_if(&self, may: fn(VbucketState) -> bool) -> bool {
        let mut ordered = self.log();
        // The state changes with the log locked: who looks before may flush the next state's keys.
        let Some(state) = self.state().filter(|state| may(*state)) else {
            return false;
        };
        // A master's flush says nothing of what a backup has, like its deletions.
        if is_active(state) {
            self.note_all_gone(&ordered.log);
        }
        let floor = ordered.log.flush();
        self.set_floor(floor);
        self.note_due(&ordered);
        true
    }

    /// A `flush_all` of a client that is due later, in Unix seconds; or, if the wall clock is set
    /// back, at `end` by the clock of [`Host::lasting`](crate::host::Host::lasting).
    /// One that is due by now comes before it. Does nothing if the vbucket is not active any more.
    pub(crate) fn delay_flush(&self, due: UnixTime, end: Option<Duration>) {
        self.delay_flush_if(is_active, Due { at: due, end });
    }

    fn delay_flush_if(&self, may: fn(VbucketState) -> bool, due: Due) {
        let clocks = self.shared.clocks();
        let mut ordered = self.log();
        if !self.state().is_some_and(may) {
            return;
        }
        self.flush_due(&mut ordered, clocks);
        ordered.log.delay_flush(due);
        self.note_due(&ordered);
    }

    /// Whether a delayed flush waits.
    pub(crate) fn awaits_flush(&self) -> bool {
        self.flush_due.load(Ordering::Relaxed) != 0
    }

    /// Whether one waits for its time alone.
    pub(crate) fn flushes_soon(&self) -> bool {
        self.awaits_flush() && self.state().is_some_and(is_active)
    }

    /// Carries a delayed flush out when its time has come. Returns whether it had.
    pub(crate) fn flush_if_due(&self) -> bool {
        if !self.awaits_flush() {
            return false;
        }
        let clocks = self.shared.clocks();
        let mut ordered = self.log();
        self.state().is_some_and(is_active) && self.flush_due(&mut ordered, clocks)
    }

    /// The same with the log locked, of one that is active or is to be.
    pub(super) fn flush_due(&self, ordered: &mut Ordered, clocks: Clocks) -> bool {
        let Some(floor) = ordered.log.flush_if_due(clocks) else {
            return false;
        };
        self.note_all_gone(&ordered.log);
        self.set_floor(floor);
        self.note_due(ordered);
        true
    }

    /// After a restart: what the store says is due.
    pub(crate) fn resume_due(&self, due: UnixTime) {
        let due = Due { at: due, end: None };
        self.delay_flush_if(keeps_due, due);
    }

    /// To be called with the log locked, when the state has changed.
    pub(super) fn due_in_state(&self, ordered: &mut Ordered, state: VbucketState) {
        if !keeps_due(state) {
            ordered.log.forget_due();
            self.note_due(ordered);
        }
    }

    /// To be called with the log locked.
    pub(super) fn set_floor(&self, floor: Seqno) {
        self.floor.store(floor.get(), Ordering::Release);
        self.revert_floor.store(floor.get(), Ordering::Release);
    }

    /// To be called with the log locked, when what is due may have changed.
    pub(super) fn note_due(&self, ordered: &Ordered) {
        self.flush_due.store(ordered.log.due(), Ordering::Release);
    }
}

fn is_active(state: VbucketState) -> bool {
    state == VbucketState::Active
}

/// Whether what is due stays so in that state: nobody else writes the vbucket.
fn keeps_due(state: VbucketState) -> bool {
    matches!(state, VbucketState::Active | VbucketState::Dead)
}
