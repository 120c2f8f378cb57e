//! What the store is to say of windows, so that the next process knows of one that is lost.

use std::time::Duration;

use crate::engine::Core;
use crate::store::WindowRecord;
use crate::types::VbucketId;

/// How the last window ended.
#[derive(Clone, Copy, Debug)]
pub(in crate::engine) struct Decided {
    pub(super) outcome: WindowRecord,
    /// By the monotonic clock; none if an earlier process saw it.
    pub(super) at: Option<Duration>,
}

impl Core {
    /// The record: of the operator's window, or where he has no vbucket of any. To be asked with
    /// the gate locked, which knows what was `decided`.
    pub(in crate::engine) fn record_now(&self, decided: Decided) -> WindowRecord {
        self.record_without(&[], decided)
    }

    /// The same for the batch that ends these windows.
    pub(super) fn record_after_complete(&self, ends: &[VbucketId]) -> WindowRecord {
        let gate = self.updates.gate.lock();
        let mut ends = ends.to_vec();
        ends.extend(&gate.joined);
        let completed = Decided {
            outcome: WindowRecord::Completed,
            at: Some(self.host.monotonic()),
        };
        self.record_without(&ends, completed)
    }

    fn record_without(&self, ends: &[VbucketId], decided: Decided) -> WindowRecord {
        let has_none = self.commanded().is_empty();
        let mut outcome = decided.outcome;
        for vbucket in self.vbuckets.iter() {
            let opened = vbucket.window_opened();
            // Of one that another node has, that node has the window.
            let ended = ends.contains(&vbucket.id()) || vbucket.is_given();
            let Some(opened) = opened.filter(|_| !ended) else {
                continue;
            };
            let commanded = vbucket.takes_commands();
            // One that is dead now keeps its own.
            if commanded || has_none || vbucket.has_own_window() {
                if commanded || decided.at.is_none_or(|at| opened > at) {
                    return WindowRecord::Open;
                }
                // What was decided since must not be told as lost with it. A REVERT says the same.
                if outcome == WindowRecord::Completed {
                    outcome = WindowRecord::PartlyCompleted;
                }
            }
        }
        outcome
    }
}
