//! SET_VBUCKET, GET_VBUCKET, DEL_VBUCKET.

use super::noted::Waiter;
use super::update::GateGuard;
use super::{Core, Engine};
use crate::checkpoint::{Log, Phase};
use crate::error::{Error, Result};
use crate::host::{Cookie, LogLevel};
use crate::store::WindowRecord;
use crate::types::{CheckpointId, VbucketId, VbucketState};
use crate::vbucket::Arrival;

/// Why a vbucket could not be deleted or set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum VbucketError {
    /// There is none with that id.
    Missing,
    /// Only a dead vbucket may be deleted.
    NotDead,
    /// It has a window, which could not be undone then.
    InWindow,
    /// The id is out of range.
    OutOfRange,
    /// It was set or deleted in memory; the store, which has it as it was, cannot be written.
    Unwritten,
    /// It cannot join the node's window for now: the store has reserved no checkpoint ids for that,
    /// or another window of it is being ended.
    CannotJoin,
}

/// How a command on a vbucket went.
pub(crate) type Outcome = std::result::Result<(), VbucketError>;

impl Core {
    /// Creates a vbucket or changes its state, and lets the clients go on that wait for it.
    pub(super) fn set_vbucket(&self, id: u16, state: VbucketState) -> Outcome {
        self.set_vbucket_as(id, state, false)
    }

    /// The same. One that is `coming` from another node has nothing to do with the windows of this
    /// one until it is active: what its stream brings is of before them.
    pub(super) fn set_vbucket_as(&self, id: u16, state: VbucketState, coming: bool) -> Outcome {
        let in_range = id < self.config.max_vbuckets;
        let id = VbucketId::new(id)
            .filter(|_| in_range)
            .ok_or(VbucketError::OutOfRange)?;
        let mut gate = self.updates.gate();
        let completing = gate.is_completing();
        // A REVERT of all leaves none open; one of some, whose deadline has passed, may.
        let window = completing || self.is_window_open();
        let arrival = if coming {
            Arrival::Coming
        } else if window && state.takes_commands() {
            Arrival::Joins {
                opened: self.host.monotonic(),
                deadline: self.deadline_to_join(),
            }
        } else {
            Arrival::Alone
        };
        let opened = self.arrive(id, state, arrival)?;
        if opened {
            gate.join(id);
        }
        // It may have come with a window, or be the last one that takes commands.
        self.note_window(&gate);
        drop(gate);
        self.resume_waiting(id);
        self.changed_at_once();
        // It may have come with a window that has a deadline.
        self.updates.signal().wake();
        // A flush may be due whose vbucket was dead.
        self.house.wake();
        Ok(())
    }

    /// Has the store say what windows there are. The end of what runs says so anew.
    pub(super) fn note_window(&self, gate: &GateGuard<'_>) {
        if !gate.is_running() {
            self.persister.want_window(self.record_now(gate.decided()));
        }
    }

    /// Whether a window was opened for it.
    fn arrive(
        &self,
        id: VbucketId,
        state: VbucketState,
        arrival: Arrival,
    ) -> std::result::Result<bool, VbucketError> {
        let Some(vbucket) = self.vbuckets.get(id) else {
            // ep-engine: active ones begin with checkpoint 1, others learn their id by TAP.
            let first = CheckpointId::new(u64::from(state == VbucketState::Active));
            let (arrives, now) = ((state, arrival), self.host.unix_nanos());
            let vbucket = self.vbuckets.create_as(id, arrives, first, now);
            return Ok(vbucket.is_some_and(|vbucket| vbucket.window_phase().is_some()));
        };
        let was_active = vbucket.state() == Some(VbucketState::Active);
        let promoted = !was_active && state == VbucketState::Active;
        let lacks = vbucket.with_log(Log::lacks).filter(|_| promoted);
        let opened = vbucket.set_state(state, arrival, || {
            // What a stream goes on to bring says nothing of what was written here meanwhile. One
            // that takes the vbucket over begins anew.
            if arrival != Arrival::Coming {
                self.bar_streams(vbucket);
            }
        });
        if let Some(why) = lacks.filter(|_| opened.is_some()) {
            let text = format!("vbucket {id} is active without all that its master had: {why}");
            self.host.log(LogLevel::Warning, &text);
        }
        if arrival == Arrival::Coming && vbucket.has_own_window() && vbucket.is_window_untouched() {
            vbucket.dissolve_window();
        }
        opened.ok_or(VbucketError::CannotJoin)
    }

    /// Deletes a dead vbucket from memory. The flusher tells the store.
    pub(super) fn delete_vbucket(&self, id: u16) -> Outcome {
        let outcome = self.try_delete(id);
        let metrics = &self.shared.metrics;
        match outcome {
            Ok(()) => &metrics.vbuckets_deleted,
            Err(_) => &metrics.vbucket_deletions_refused,
        }
        .add(1);
        outcome
    }

    fn try_delete(&self, id: u16) -> Outcome {
        let id = VbucketId::new(id).ok_or(VbucketError::Missing)?;
        let mut gate = self.updates.gate();
        let vbucket = self.vbuckets.get(id).ok_or(VbucketError::Missing)?;
        if vbucket.state() != Some(VbucketState::Dead) {
            return Err(VbucketError::NotDead);
        }
        let window = vbucket.window_phase();
        // One that was taken over took its window with it, also if its client's answer was lost.
        let given = window == Some(Phase::Open) && vbucket.is_given();
        if window.is_some() && !given {
            return Err(VbucketError::InWindow);
        }
        let left = vbucket.left_window();
        let remains = self.vbuckets.delete(vbucket);
        if given {
            gate.end_followed(self, WindowRecord::Reverted, left);
            self.persister.want_window(self.record_now(gate.decided()));
        }
        drop(gate);
        self.shared.trash.leave_remains(remains);
        self.resume_waiting(id);
        self.changed_at_once();
        Ok(())
    }
}

impl Core {
    /// What the client of a command gets: the outcome, or `WouldBlock` until the store has noted
    /// what became of the vbucket.
    fn answer_when_noted(&self, cookie: Cookie, id: u16, outcome: Outcome) -> Result<Outcome> {
        let Some(id) = VbucketId::new(id).filter(|_| outcome.is_ok() && self.is_noted()) else {
            return Ok(outcome);
        };
        let waits = Waiter::Vbucket(self.noted.vbuckets.expect(cookie), id);
        if self.when_noted(waits) {
            return Err(Error::WouldBlock);
        }
        self.noted.vbuckets.forget(cookie);
        Ok(Err(VbucketError::Unwritten))
    }
}

impl Engine {
    /// Creates a vbucket or changes its state, at once; returns `WouldBlock` until the store has
    /// noted it. While persistence is stopped it follows later.
    ///
    /// # Errors
    /// `WouldBlock`; in the outcome `OutOfRange`, `CannotJoin`, `Unwritten`.
    pub(crate) fn set_vbucket(
        &self,
        cookie: Cookie,
        id: u16,
        state: VbucketState,
    ) -> Result<Outcome> {
        if let Some(outcome) = self.core.noted.vbuckets.take(cookie)? {
            return Ok(outcome);
        }
        let begun = self.core.host.monotonic();
        let outcome = self.core.set_vbucket(id, state);
        let took = self.core.host.monotonic().saturating_sub(begun);
        self.core.shared.metrics.timings.set_vbucket.record(took);
        self.core.answer_when_noted(cookie, id, outcome)
    }

    /// State of a vbucket, `None` when there is none.
    pub(crate) fn vbucket_state(&self, id: u16) -> Option<VbucketState> {
        self.vbucket(id)?.state()
    }

    /// Deletes a dead vbucket, from memory at once; returns `WouldBlock` until the store has noted
    /// it. While persistence is stopped it follows later. (The rows go in the background.)
    ///
    /// # Errors
    /// `WouldBlock`; in the outcome `Missing`, `NotDead`, `InWindow`, `Unwritten`.
    pub(crate) fn delete_vbucket(&self, cookie: Cookie, id: u16) -> Result<Outcome> {
        if let Some(outcome) = self.core.noted.vbuckets.take(cookie)? {
            return Ok(outcome);
        }
        let begun = self.core.host.monotonic();
        let outcome = self.core.delete_vbucket(id);
        if outcome.is_ok() {
            let took = self.core.host.monotonic().saturating_sub(begun);
            self.core.shared.metrics.timings.delete_vbucket.record(took);
        }
        self.core.answer_when_noted(cookie, id, outcome)
    }
}
