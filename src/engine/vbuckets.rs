//! SET_VBUCKET, GET_VBUCKET, DEL_VBUCKET.

use super::{Core, Engine};
use crate::checkpoint::Phase;
use crate::error::{Error, Result};
use crate::host::{BlockedCookie, Cookie, LogLevel};
use crate::store::WindowRecord;
use crate::types::{CheckpointId, VbucketId, VbucketState};
use crate::vbucket::open_windows;

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
    /// It was deleted from memory; the store, which still has it, cannot be written.
    Unwritten,
    /// It cannot join the node's window: the store has reserved no checkpoint ids for that.
    NoIds,
}

/// Who goes on when the store has noted what became of a vbucket.
#[derive(Debug)]
pub(super) enum Unwritten {
    /// A client of DEL_VBUCKET.
    Deletion(BlockedCookie),
    /// A stream whose client is to have the vbucket, which is dead here.
    HandOver(Cookie, VbucketId),
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
        let window = completing || !gate.is_running() && self.is_window_open();
        let vbucket = if let Some(vbucket) = self.vbuckets.get(id) {
            let can_join = vbucket.with_log(|log| log.window().is_some() || log.may_open_window());
            if window && state.takes_commands() && !coming && !can_join {
                return Err(VbucketError::NoIds);
            }
            vbucket.set_state(state);
            Some(vbucket)
        } else {
            // ep-engine: active ones begin with checkpoint 1, others learn their id by TAP.
            let first = u64::from(state == VbucketState::Active);
            self.vbuckets
                .create(id, state, CheckpointId::new(first), self.host.unix_nanos())
        };
        if let Some(vbucket) = vbucket.filter(|_| coming) {
            vbucket.set_coming();
            if vbucket.has_own_window() && vbucket.is_window_untouched() {
                vbucket.dissolve_window();
                let record = self.record_now(WindowRecord::None);
                self.persister.want_window(record);
            }
        }
        if let Some(vbucket) = vbucket.filter(|vb| window && vb.takes_commands()) {
            // It joins the node's window, unless it brings one of its own.
            if open_windows(&[vbucket], self.host.monotonic()) && completing {
                gate.join(vbucket.id());
            }
        }
        drop(gate);
        self.resume_waiting(id);
        self.changed_at_once();
        Ok(())
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

    /// Lets somebody go on when the store has noted it.
    pub(super) fn when_written(&self, waits: Unwritten) {
        self.unwritten.lock().push(waits);
        self.house.wake();
    }

    /// Has the store note which vbuckets were deleted or given up, and lets those go on who wait
    /// for that; on a thread that may wait for the disk.
    pub(super) fn write_states(&self) {
        let waiting = std::mem::take(&mut *self.unwritten.lock());
        if waiting.is_empty() {
            return;
        }
        let error = self
            .persister
            .round_synced()
            .err()
            .map(|error| error.to_string());
        let stopped = || "persistence is stopped".to_owned();
        let unwritten = error
            .clone()
            .or_else(|| self.persister.is_stopped().then(stopped));
        for waits in waiting {
            match waits {
                Unwritten::Deletion(cookie) => {
                    let outcome = match &error {
                        None => Ok(()),
                        Some(error) => {
                            let text = "a vbucket was deleted, but the store still has it";
                            self.host
                                .log(LogLevel::Warning, &format!("{text}: {error}"));
                            Err(VbucketError::Unwritten)
                        }
                    };
                    self.deletions.put(cookie.cookie(), outcome);
                    self.host.notify(cookie);
                }
                // A node that cannot write is one to take vbuckets from: it goes on all the same.
                Unwritten::HandOver(cookie, id) => {
                    if let Some(cause) = &unwritten {
                        let text = format!(
                            "vbucket {id} goes to another node, but the store still has it as \
                             active here ({cause}): before a restart make sure that the store can \
                             be written, or make it dead after it"
                        );
                        self.host.log(LogLevel::Warning, &text);
                    }
                    self.streams.noted_dead(cookie, id);
                }
            }
        }
    }

    fn try_delete(&self, id: u16) -> Outcome {
        let id = VbucketId::new(id).ok_or(VbucketError::Missing)?;
        let gate = self.updates.gate();
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
        let remains = self.vbuckets.delete(vbucket);
        if given {
            let record = self.record_now(WindowRecord::Reverted);
            self.persister.want_window(record);
        }
        drop(gate);
        self.shared.trash.leave_remains(remains);
        self.resume_waiting(id);
        self.changed_at_once();
        Ok(())
    }
}

impl Engine {
    /// Creates a vbucket or changes its state.
    ///
    /// # Errors
    /// `OutOfRange`, `NoIds`.
    pub(crate) fn set_vbucket(&self, id: u16, state: VbucketState) -> Outcome {
        self.core.set_vbucket(id, state)
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
        if let Some(outcome) = self.core.deletions.take(cookie) {
            return Ok(outcome);
        }
        let outcome = self.core.delete_vbucket(id);
        if outcome.is_err() || self.core.persister.is_stopped() {
            return Ok(outcome);
        }
        let waits = Unwritten::Deletion(BlockedCookie::new(cookie));
        self.core.when_written(waits);
        Err(Error::WouldBlock)
    }
}
