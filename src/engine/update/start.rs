//! START, whose windows open at once and whose answer waits until the store has noted it; and what
//! becomes of who waits when a thread dies.

use std::collections::BTreeMap;

use super::{
    Core, DEAD, IS_OPEN, NO_IDS, NO_VBUCKET, Outcome, RESTORING, RUNNING, UpdateError,
    replica::Reverted,
};
use crate::checkpoint::{Log, Phase};
use crate::engine::answers::Owed;
use crate::engine::noted::{DIED, Waiter};
use crate::error::{Error, Result};
use crate::host::{Cookie, LogLevel};
use crate::store::WindowRecord;
use crate::types::VbucketId;
use crate::vbucket::{Vbucket, open_windows};

/// Tells one START from another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::engine) struct StartNumber(u64);

/// The windows of each START that the store has still to note. One that a COMPLETE or REVERT was
/// accepted for is not of them: that decides, also when it fails.
#[derive(Debug, Default)]
pub(super) struct Starts {
    last: StartNumber,
    windows: BTreeMap<VbucketId, StartNumber>,
}

impl Starts {
    fn open(&mut self, vbuckets: &[&Vbucket]) -> StartNumber {
        self.last = StartNumber(self.last.0 + 1);
        let windows = vbuckets.iter().map(|vbucket| (vbucket.id(), self.last));
        self.windows.extend(windows);
        self.last
    }

    /// A vbucket came since, and its window was opened too.
    pub(super) fn join(&mut self, vbucket: VbucketId) {
        if self.windows.values().any(|number| *number == self.last) {
            self.windows.insert(vbucket, self.last);
        }
    }

    /// A COMPLETE or REVERT was accepted for those.
    pub(super) fn decide(&mut self, vbuckets: &[VbucketId]) {
        self.windows.retain(|id, _| !vbuckets.contains(id));
    }

    /// The store has noted it, or cannot. Returns its windows.
    fn end(&mut self, number: StartNumber) -> Vec<VbucketId> {
        let windows = self.windows.extract_if(.., |_, of| *of == number);
        windows.map(|(id, _)| id).collect()
    }
}

impl Core {
    /// START: the first call opens the windows and, if the store is to note that, returns
    /// `WouldBlock`; the second one, after the notification, returns how it went.
    pub(super) fn start_update(&self, cookie: Cookie, seconds: Option<u32>) -> Result<Outcome> {
        if let Some(outcome) = self.updates.starts.take(cookie)? {
            return Ok(outcome);
        }
        match self.accept_start(seconds, Some(cookie)) {
            Ok(true) => Err(Error::WouldBlock),
            Ok(false) => Ok(Ok(())),
            Err(error) => Ok(Err(error)),
        }
    }

    /// Opens the windows. Returns whether the store has still to note that; then the client, if it
    /// waits for the answer, is notified.
    pub(super) fn accept_start(
        &self,
        seconds: Option<u32>,
        client: Option<Cookie>,
    ) -> std::result::Result<bool, UpdateError> {
        let number = self.open_update(seconds)?;
        // What lies before the barrier does not wait for its age.
        if !self.is_noted() {
            self.updates.gate.lock().starts.end(number);
            self.changed_at_once();
            return Ok(false);
        }
        self.changed();
        let owed = client.map(|cookie| self.updates.starts.expect(cookie));
        if self.when_noted(Waiter::Start(owed, number)) {
            return Ok(true);
        }
        if let Some(cookie) = client {
            self.updates.starts.forget(cookie);
        }
        Err(self.start_failed(number, DIED))
    }

    fn open_update(&self, seconds: Option<u32>) -> std::result::Result<StartNumber, UpdateError> {
        let mut gate = self.updates.gate.lock();
        if self.noted.is_dead() || self.persister.is_dead() {
            return Err(UpdateError::Failed(DEAD.to_owned()));
        }
        self.at_rest(&mut gate)?;
        if self.is_restoring() {
            return Err(UpdateError::Unsupported(RESTORING));
        }
        let vbuckets = self.commanded();
        if vbuckets.is_empty() {
            return Err(UpdateError::Unsupported(NO_VBUCKET));
        }
        let deadline = self.deadline_in(seconds);
        if !open_windows(&vbuckets, self.host.monotonic(), deadline) {
            let mut phases = vbuckets.iter().filter_map(|vbucket| vbucket.window_phase());
            return Err(if let Some(phase) = phases.next() {
                // One that was a replica a moment ago may still be taken back.
                UpdateError::Unsupported(match phase {
                    Phase::Open => IS_OPEN,
                    Phase::Completing { .. } | Phase::Reverting { .. } => RUNNING,
                })
            } else {
                UpdateError::Failed(NO_IDS.to_owned())
            });
        }
        self.persister.want_window(WindowRecord::Open);
        self.updates.signal.wake();
        Ok(gate.starts.open(&vbuckets))
    }

    /// The store has noted a START, or cannot.
    pub(in crate::engine) fn answer_start(
        &self,
        owed: Option<Owed>,
        number: StartNumber,
        error: Option<&str>,
    ) {
        if error.is_none() {
            self.updates.gate.lock().starts.end(number);
        }
        let outcome = error.map_or(Ok(()), |cause| Err(self.start_failed(number, cause)));
        if let Some(owed) = owed {
            self.host.notify(self.updates.starts.put(owed, outcome));
        }
    }

    /// A window that a crash would not tell of is not to stay open: what was written in it becomes
    /// ordinary changes, unless a COMPLETE or REVERT of meanwhile decides, also one that failed.
    fn start_failed(&self, number: StartNumber, cause: &str) -> UpdateError {
        let now = {
            let mut gate = self.updates.gate.lock();
            let windows = gate.starts.end(number);
            // Also those of vbuckets that have another state by now; but not one of a master.
            let vbuckets = windows.iter().filter_map(|&id| self.vbuckets.get(id));
            for vbucket in vbuckets.filter(|vbucket| vbucket.with_log(Log::has_own_window)) {
                vbucket.dissolve_window();
            }
            if !windows.is_empty() {
                self.persister.want_window(self.record_now(gate.decided()));
            }
            if windows.is_empty() {
                "but a COMPLETE or REVERT has been sent since, which has an answer of its own"
            } else if self.is_window_open() {
                "its windows are closed, and what was written since is kept; a vbucket that has \
                 become active since came with an online update of its own, which is open: send \
                 COMPLETE (0x9c) or REVERT (0x9d) for that"
            } else {
                "no online update is open, and what was written since is kept: remove the cause \
                 and send START again"
            }
        };
        let text = format!("START could not be recorded in the store: {cause}; {now}");
        self.host.log(LogLevel::Warning, &text);
        // The marks leave, and the cursors go on.
        self.changed();
        UpdateError::Failed(text)
    }

    /// The thread of COMPLETE and REVERT has died: who waits for it is told, and nothing is begun
    /// any more.
    pub(in crate::engine) fn updates_died(&self) {
        let (owed, replicas) = {
            let mut gate = self.updates.gate.lock();
            gate.dead = true;
            gate.queued = None;
            (gate.owed.take(), std::mem::take(&mut gate.replicas))
        };
        if let Some(owed) = owed {
            let outcome = Err(UpdateError::Failed(DEAD.to_owned()));
            self.host.notify(self.updates.results.put(owed, outcome));
        }
        for (owed, _) in replicas.into_iter().filter_map(|revert| revert.waits) {
            // The message comes again, and finds that it cannot be done.
            let answers = &self.replication.reverted;
            self.host.notify(answers.put(owed, Reverted::GoOn));
        }
    }
}
