//! Windows that revert by themselves.
//!
//! The deadline is the window's: it goes with it wherever the vbucket goes, and ends with it. Who
//! asks for anything else first has what is overdue reverted, so nothing is accepted after the
//! deadline, however late the thread comes that waits for it.

use std::time::Duration;

use super::{Core, DEAD, Engine, Gate, GateGuard, Kind, NO_WINDOW, Outcome, RUNNING, UpdateError};
use crate::checkpoint::Phase;
use crate::types::CheckpointId;
use crate::vbucket::Vbucket;

/// What the log says, and the end of it.
pub(super) const PASSED: &str = "the deadline of the online update has passed, and nobody decided \
                                 about it: it is reverted";
const EXPIRING: &str = "the deadline of the online update has passed, and it is being reverted; \
                        see `stats onlineupdate`";

/// The thread that reverts does not look again sooner than that.
const LOOK_MIN: Duration = Duration::from_millis(1);

impl Core {
    /// The time that lies so many seconds ahead; none for 0 seconds.
    pub(super) fn deadline_in(&self, seconds: Option<u32>) -> Option<Duration> {
        let seconds = seconds.filter(|seconds| *seconds != 0)?;
        Some(self.host.monotonic() + Duration::from_secs(seconds.into()))
    }

    /// Those with an open window that is their operator's. What a master has opened here, the
    /// master's mark decides about.
    fn own_windows(&self) -> Vec<&Vbucket> {
        let mut vbuckets = self.open();
        vbuckets.retain(|vbucket| vbucket.has_own_window());
        vbuckets
    }

    fn overdue(&self) -> Vec<&Vbucket> {
        let now = self.host.monotonic();
        let mut vbuckets = self.own_windows();
        vbuckets.retain(|vbucket| vbucket.deadline().is_some_and(|deadline| deadline <= now));
        vbuckets
    }

    /// Whether an open window is past its deadline.
    pub(super) fn is_overdue(&self) -> bool {
        !self.overdue().is_empty()
    }

    /// How long the thread may sleep.
    pub(super) fn until_deadline(&self) -> Option<Duration> {
        let vbuckets = self.own_windows();
        let first = vbuckets.iter().filter_map(|vbucket| vbucket.deadline());
        let left = first.min()?.saturating_sub(self.host.monotonic());
        Some(left.max(LOOK_MIN))
    }

    /// Begins to revert what is overdue, if nothing else runs.
    pub(super) fn revert_overdue(&self) {
        self.revert_overdue_under(&mut self.updates.gate.lock());
    }

    fn revert_overdue_under(&self, gate: &mut Gate) {
        if gate.dead || gate.running.is_some() {
            return;
        }
        let vbuckets = self.overdue();
        if !vbuckets.is_empty() && self.begin_end(&vbuckets, true) {
            gate.begin(Kind::Expire, &vbuckets);
            self.updates.signal.wake();
            self.streams.changed();
        }
    }

    /// Whether something new may begin, now that what is overdue has gone.
    pub(super) fn at_rest(&self, gate: &mut Gate) -> Outcome {
        if gate.dead {
            return Err(UpdateError::Failed(DEAD.to_owned()));
        }
        self.revert_overdue_under(gate);
        nothing_runs(gate)
    }

    /// The vbuckets with an open window, when nothing is being ended.
    pub(in crate::engine) fn open_at_rest(
        &self,
        gate: &mut GateGuard<'_>,
    ) -> Result<Vec<&Vbucket>, UpdateError> {
        self.at_rest(&mut gate.0)?;
        let open = self.open();
        let some = !open.is_empty();
        some.then_some(open)
            .ok_or(UpdateError::Unsupported(NO_WINDOW))
    }

    /// The same about one vbucket, in a time that does not depend on how many there are.
    pub(in crate::engine) fn open_at_rest_of(
        &self,
        gate: &mut GateGuard<'_>,
        vbucket: &Vbucket,
    ) -> Outcome {
        let now = self.host.monotonic();
        if vbucket.deadline().is_some_and(|deadline| deadline <= now) {
            self.at_rest(&mut gate.0)?;
        }
        nothing_runs(&gate.0)?;
        let open = vbucket.takes_commands() && vbucket.window_phase() == Some(Phase::Open);
        open.then_some(())
            .ok_or(UpdateError::Unsupported(NO_WINDOW))
    }

    /// The deadline of a window that joins those of the node: that of the last of them, because
    /// until then one of them is open. To be called under the gate.
    pub(in crate::engine) fn deadline_to_join(&self) -> Option<Duration> {
        let windows = self.commanded().into_iter();
        let windows = windows.filter_map(|vbucket| vbucket.with_log(|log| log.window().copied()));
        let last = windows.map(|window| window.deadline.unwrap_or(Duration::MAX));
        last.max().filter(|last| *last != Duration::MAX)
    }

    /// A master has told how long its window has left. It counts here when the vbucket is active.
    pub(in crate::engine) fn follow_deadline(
        &self,
        vbucket: &Vbucket,
        window: CheckpointId,
        deadline: Option<Duration>,
    ) {
        let _gate = self.updates.gate.lock();
        vbucket.follow_deadline(window, deadline);
    }

    fn move_deadline(&self, seconds: u32) -> Outcome {
        let mut gate = self.updates.gate.lock();
        self.at_rest(&mut gate)?;
        let vbuckets = self.open();
        if vbuckets.is_empty() {
            return Err(UpdateError::Unsupported(NO_WINDOW));
        }
        let deadline = self.deadline_in(Some(seconds));
        for vbucket in vbuckets {
            vbucket.set_deadline(deadline);
        }
        drop(gate);
        self.updates.signal.wake();
        self.streams.changed();
        Ok(())
    }
}

fn nothing_runs(gate: &Gate) -> Outcome {
    match gate.running {
        None => Ok(()),
        Some(Kind::Expire) => Err(UpdateError::Unsupported(EXPIRING)),
        Some(Kind::Complete | Kind::Revert) => Err(UpdateError::Unsupported(RUNNING)),
    }
}

impl Engine {
    /// Has the open windows revert by themselves after so many seconds; 0 never.
    pub(crate) fn move_deadline(&self, seconds: u32) -> Outcome {
        self.core.move_deadline(seconds)
    }
}
