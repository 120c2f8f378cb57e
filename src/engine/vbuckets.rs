//! SET_VBUCKET, GET_VBUCKET, DEL_VBUCKET.

use super::{Core, Engine};
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
    /// It cannot join the node's window: the store has reserved no checkpoint ids for that.
    NoIds,
}

impl Core {
    /// Creates a vbucket or changes its state, and lets the clients go on that wait for it.
    pub(super) fn set_vbucket(&self, id: u16, state: VbucketState) -> Result<(), VbucketError> {
        let in_range = id < self.config.max_vbuckets;
        let id = VbucketId::new(id)
            .filter(|_| in_range)
            .ok_or(VbucketError::OutOfRange)?;
        let mut gate = self.updates.gate();
        let completing = gate.is_completing();
        let window = completing || !gate.is_running() && self.is_window_open();
        let vbucket = if let Some(vbucket) = self.vbuckets.get(id) {
            let can_join = vbucket.with_log(|log| log.window().is_some() || log.may_open_window());
            if window && state.takes_commands() && !can_join {
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
        if let Some(vbucket) = vbucket.filter(|_| window && state.takes_commands()) {
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

    fn delete_vbucket(&self, id: u16) -> Result<(), VbucketError> {
        let id = VbucketId::new(id).ok_or(VbucketError::Missing)?;
        let gate = self.updates.gate();
        let vbucket = self.vbuckets.get(id).ok_or(VbucketError::Missing)?;
        if vbucket.state() != Some(VbucketState::Dead) {
            return Err(VbucketError::NotDead);
        }
        if vbucket.window_phase().is_some() {
            return Err(VbucketError::InWindow);
        }
        let remains = self.vbuckets.delete(vbucket);
        drop(gate);
        self.trash.lock().push(remains);
        self.house.wake();
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
    pub(crate) fn set_vbucket(&self, id: u16, state: VbucketState) -> Result<(), VbucketError> {
        self.core.set_vbucket(id, state)
    }

    /// State of a vbucket, `None` when there is none.
    pub(crate) fn vbucket_state(&self, id: u16) -> Option<VbucketState> {
        self.vbucket(id)?.state()
    }

    /// Deletes a dead vbucket: from memory now, from the store soon.
    ///
    /// # Errors
    /// `Missing`, `NotDead`, `InWindow`.
    pub(crate) fn delete_vbucket(&self, id: u16) -> Result<(), VbucketError> {
        let result = self.core.delete_vbucket(id);
        let metrics = &self.shared().metrics;
        match result {
            Ok(()) => &metrics.vbuckets_deleted,
            Err(_) => &metrics.vbucket_deletions_refused,
        }
        .add(1);
        result
    }
}
