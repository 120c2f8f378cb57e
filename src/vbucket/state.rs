//! The state of a vbucket, and where it stands in a takeover.
//!
//! Threads: any.

use std::sync::atomic::Ordering;

use super::{Vbucket, load};
use crate::types::VbucketState;

impl Vbucket {
    /// Its state, `None` when it does not exist.
    pub(crate) fn state(&self) -> Option<VbucketState> {
        let state = self.state.load(Ordering::Acquire) & !load::LOADING;
        VbucketState::from_wire(u32::from(state))
    }

    /// Changes the state of an existing vbucket.
    pub(crate) fn set_state(&self, state: VbucketState) {
        let mut ordered = self.ordered.lock();
        if state == VbucketState::Active {
            ordered.log.name_first();
        }
        let loading = self.state.load(Ordering::Acquire) & load::LOADING;
        self.state.store(state as u8 | loading, Ordering::Release);
        self.due_in_state(&mut ordered, state);
        self.coming.store(false, Ordering::Release);
        if state != VbucketState::Dead {
            self.given.store(false, Ordering::Release);
        }
    }

    /// Whether the operator's online-update commands act on it.
    pub(crate) fn takes_commands(&self) -> bool {
        let takes = self.state().is_some_and(VbucketState::takes_commands);
        takes && !self.coming.load(Ordering::Acquire)
    }

    /// A stream hands it over to this node. Until the next change of its state.
    pub(crate) fn set_coming(&self) {
        self.coming.store(true, Ordering::Release);
    }

    /// Whether the client of a takeover was told, since it became dead, that it has the vbucket.
    pub(crate) fn is_given(&self) -> bool {
        self.given.load(Ordering::Acquire)
    }

    /// The client of a takeover is told that it has it, until it is something but dead. False when
    /// it is not dead any more.
    pub(crate) fn give(&self) -> bool {
        let _ordered = self.ordered.lock();
        let dead = self.state() == Some(VbucketState::Dead);
        self.given.store(dead, Ordering::Release);
        dead
    }
}
