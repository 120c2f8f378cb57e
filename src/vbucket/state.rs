//! The state of a vbucket, and where it stands in a takeover.
//!
//! Threads: any.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{Ordered, Vbucket, load};
use crate::types::VbucketState;

/// How a vbucket comes into a state while windows may be open on the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// They are none of its business.
    Alone,
    /// A stream hands it over to this node: until its state changes again, it is none of its
    /// operator's.
    Coming,
    /// It joins them, unless it has a window already. Both times are of the monotonic clock.
    Joins {
        /// When its window is opened.
        opened: Duration,
        /// When that reverts by itself.
        deadline: Option<Duration>,
    },
}

impl Vbucket {
    /// Its state, `None` when it does not exist.
    pub(crate) fn state(&self) -> Option<VbucketState> {
        let state = self.state.load(Ordering::Acquire) & !load::LOADING;
        VbucketState::from_wire(u32::from(state))
    }

    /// Changes the state of an existing vbucket. Returns whether a window was opened for that;
    /// `None`, and nothing is changed, if it would have to be and the ids for it are not reserved
    /// or another window of it is being ended, or if it comes from another node and its operator's
    /// window has changes. `gives_way` is called with the log locked if it stops to be active.
    pub(crate) fn set_state(
        &self,
        state: VbucketState,
        arrival: Arrival,
        gives_way: impl FnOnce(),
    ) -> Option<bool> {
        let clocks = self.shared.clocks();
        let given_by_now = self.shared.host.unix_nanos();
        let mut ordered = self.log();
        if matches!(arrival, Arrival::Joins { .. }) {
            let joins = ordered.log.window().is_none();
            // What it would take until the end would be in no window.
            let ends = !self.takes_commands() && ordered.log.is_ending();
            if ends || joins && !ordered.log.may_join() {
                return None;
            }
        }
        // Somebody has opened it since the stream was told that there is none.
        if arrival == Arrival::Coming && self.takes_commands() && ordered.log.has_own_change() {
            return None;
        }
        if state == VbucketState::Active {
            self.fed.store(false, Ordering::Relaxed);
            ordered.log.name_first();
            if self.state() != Some(VbucketState::Active) {
                // Of versions that were replaced or deleted before they were sent nothing has come:
                // the owner before may have given higher numbers than any that is known here.
                ordered.cas_base = ordered.cas_base.max(given_by_now);
            }
        } else if self.state() == Some(VbucketState::Active) {
            ordered.log.give_way();
            gives_way();
        }
        if [self.state(), Some(state)].contains(&Some(VbucketState::Active)) {
            // What is due by now belongs to the state before, and to that before its window.
            self.flush_due(&mut ordered, clocks);
        }
        self.due_in_state(&mut ordered, state);
        if state != VbucketState::Dead {
            self.given.store(false, Ordering::Release);
        }
        let opened = self.arrive(&mut ordered, state, arrival);
        // With the log locked no change takes another one.
        let locks = (state != VbucketState::Active).then(|| self.locks.end_all());
        drop(ordered);
        if let Some(locks) = locks {
            self.shared.trash.leave_locks(locks);
        }
        Some(opened)
    }

    /// The state comes last: who finds the vbucket writable finds its window open. Returns whether
    /// that was opened.
    pub(super) fn arrive(
        &self,
        ordered: &mut Ordered,
        state: VbucketState,
        arrival: Arrival,
    ) -> bool {
        let coming = arrival == Arrival::Coming;
        self.coming.store(coming, Ordering::Release);
        let opened = match arrival {
            Arrival::Joins { opened, deadline } => {
                let opens = ordered.log.open_window(self.shared.seconds(), opened);
                if opens {
                    ordered.log.set_deadline(deadline);
                    ordered.log.note_start(self.shared.unix_now());
                }
                opens
            }
            Arrival::Alone | Arrival::Coming => false,
        };
        let loading = self.state.load(Ordering::Acquire) & load::LOADING;
        if self.state() != Some(state) {
            self.note_moved();
        }
        self.state.store(state as u8 | loading, Ordering::Release);
        opened
    }

    /// Whether the operator's online-update commands act on it.
    pub(crate) fn takes_commands(&self) -> bool {
        let takes = self.state().is_some_and(VbucketState::takes_commands);
        takes && !self.coming.load(Ordering::Acquire)
    }

    /// Whether the client of a takeover was told, since it became dead, that it has the vbucket.
    pub(crate) fn is_given(&self) -> bool {
        self.given.load(Ordering::Acquire)
    }

    /// The client of a takeover is told that it has it, until it is something but dead. False when
    /// it is not dead any more.
    pub(crate) fn give(&self) -> bool {
        let _ordered = self.log();
        let dead = self.state() == Some(VbucketState::Dead);
        self.given.store(dead, Ordering::Release);
        dead
    }
}
