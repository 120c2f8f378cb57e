//! START, COMPLETE and REVERT over the node (docs/online-update.md).
//!
//! The commands are accepted under one gate, so that two operators get exactly one winner; the work
//! of COMPLETE and REVERT is done by the thread `ce-update`, which then notifies the client.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};

use super::answers::{Answers, Owed};
use super::replica;
use super::{Core, Engine};
use crate::checkpoint::{Op, Phase};
use crate::error::{Error, Result};
use crate::host::{Cookie, LogLevel};
use crate::item::Item;
use crate::store::WindowRecord;
use crate::types::{CheckpointId, Seqno, VbucketId, VbucketState};
use crate::vbucket::{Reverted, Vbucket, complete_failed};
use crate::worker::{Signal, Wake};

mod deadline;
mod end;
mod figures;
mod forecast;
mod record;
mod start;

pub(crate) use figures::{UpdateReport, UpdateState};
use record::Decided;
pub(super) use start::StartNumber;
use start::Starts;

/// Why a command was not carried out, in words for the operator; `Ok` is success.
pub(crate) type Outcome = std::result::Result<(), UpdateError>;

/// A refused or failed command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum UpdateError {
    /// Not in this state.
    Unsupported(&'static str),
    /// The store could not commit.
    Failed(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Complete,
    Revert,
    /// A revert at the deadline.
    Expire,
}

impl Kind {
    /// What becomes of the window when that succeeds.
    const fn record(self) -> WindowRecord {
        match self {
            Self::Complete => WindowRecord::Completed,
            Self::Revert => WindowRecord::Reverted,
            Self::Expire => WindowRecord::Expired,
        }
    }
}

/// What a revert leaves of one vbucket: what nobody needs any more, and keys whose values are on
/// disk only.
type Left = (Reverted, Vec<Item>);

#[derive(Debug)]
struct Job {
    kind: Kind,
    vbuckets: Vec<VbucketId>,
}

/// The same for one vbucket, of which a master's stream said so.
#[derive(Debug)]
struct ReplicaRevert {
    vbucket: VbucketId,
    /// Who waits for it, and what is to be said then.
    waits: Option<(Owed, replica::Reverted)>,
    /// When its window was opened, if that was left behind here and no master's.
    left: Option<Duration>,
}

#[derive(Debug)]
struct Gate {
    running: Option<Kind>,
    queued: Option<Job>,
    /// The vbuckets whose windows it ends, and who waits for that.
    ending: Vec<VbucketId>,
    owed: Option<Owed>,
    starts: Starts,
    /// A thread that it takes has died.
    dead: bool,
    /// The first of them runs.
    replicas: VecDeque<ReplicaRevert>,
    /// Vbuckets that came while COMPLETE ran: part of the window, should it fail.
    joined: Vec<VbucketId>,
    last: WindowRecord,
    /// When that was; none if an earlier process saw it.
    ended_at: Option<Duration>,
}

/// The node's online updates.
#[derive(Debug)]
pub(super) struct Updates {
    // Guards who may begin what; also held while a vbucket is created, changed or deleted. Lock
    // order: outermost.
    gate: Mutex<Gate>,
    results: Answers<Outcome>,
    starts: Answers<Outcome>,
    signal: Arc<Signal>,
}

/// The right to change vbuckets; no window begins or ends meanwhile.
pub(super) struct GateGuard<'a>(MutexGuard<'a, Gate>);

impl Updates {
    /// Whether nothing is begun or ended any more, because a thread has died.
    pub(super) fn is_dead(&self) -> bool {
        self.gate.lock().dead
    }

    pub(super) fn new(last: WindowRecord, signal: Arc<Signal>) -> Self {
        let gate = Gate {
            running: None,
            queued: None,
            ending: Vec::new(),
            owed: None,
            starts: Starts::default(),
            dead: false,
            replicas: VecDeque::new(),
            joined: Vec::new(),
            last,
            ended_at: None,
        };
        Self {
            gate: Mutex::new(gate),
            results: Answers::default(),
            starts: Answers::default(),
            signal,
        }
    }

    /// Wakes the thread of COMPLETE and REVERT.
    pub(super) fn signal(&self) -> &Arc<Signal> {
        &self.signal
    }

    /// Keeps windows from beginning and ending.
    pub(super) fn gate(&self) -> GateGuard<'_> {
        GateGuard(self.gate.lock())
    }

    /// A client has gone.
    pub(super) fn forget(&self, cookie: Cookie) {
        self.results.forget(cookie);
        self.starts.forget(cookie);
    }
}

impl Gate {
    /// COMPLETE or REVERT was accepted for those.
    fn begin(&mut self, kind: Kind, vbuckets: &[&Vbucket]) {
        let vbuckets: Vec<_> = vbuckets.iter().map(|vbucket| vbucket.id()).collect();
        self.running = Some(kind);
        self.starts.decide(&vbuckets);
        self.ending.clone_from(&vbuckets);
        self.queued = Some(Job { kind, vbuckets });
    }

    /// How the last window ended, and when.
    fn decided(&self) -> Decided {
        Decided {
            outcome: self.last,
            at: self.ended_at,
        }
    }

    /// A window ended now.
    fn ended(&mut self, outcome: WindowRecord, now: Duration) {
        self.last = outcome;
        self.ended_at = Some(now);
    }
}

impl GateGuard<'_> {
    /// Whether COMPLETE or REVERT is running.
    pub(super) fn is_running(&self) -> bool {
        self.0.running.is_some()
    }

    /// Whether COMPLETE is running.
    pub(super) fn is_completing(&self) -> bool {
        self.0.running == Some(Kind::Complete)
    }

    /// How the last window ended, and when.
    pub(super) fn decided(&self) -> Decided {
        self.0.decided()
    }

    /// A window has ended that is none of this node's operator.
    pub(super) fn end_followed(
        &mut self,
        core: &Core,
        outcome: WindowRecord,
        left: Option<Duration>,
    ) {
        core.end_followed(&mut self.0, outcome, left);
    }

    /// A vbucket came while windows were open or COMPLETE was running, and its own was opened.
    pub(super) fn join(&mut self, vbucket: VbucketId) {
        if self.is_completing() {
            self.0.joined.push(vbucket);
        } else {
            self.0.starts.join(vbucket);
        }
    }
}

pub(super) const NO_WINDOW: &str =
    "no online update is open on an active vbucket; send START (0x9b) first";
const RUNNING: &str =
    "a COMPLETE or REVERT is still running; wait for its answer (see `stats onlineupdate`)";
const IS_OPEN: &str = "an online update is open already; send COMPLETE (0x9c) or REVERT (0x9d)";
const DEAD: &str = "a thread of the engine that online updates need has died of a defect (see the \
                    log and `stats`): restart this node; a restart comes back to START";
const NO_IDS: &str = "the store has not reserved enough checkpoint ids: persistence is stopped or \
                      failing (see the log); remove the cause and try again";
const RESTORING: &str = "a backup is being restored, and a REVERT would take half of its keys \
                         away; wait until it has ended (see `stats restore`)";
const NO_VBUCKET: &str = "this node has no active vbucket; create one with SET_VBUCKET (0x3d)";

impl Core {
    fn commanded(&self) -> Vec<&Vbucket> {
        let commanded = |vbucket: &&Vbucket| vbucket.takes_commands();
        self.vbuckets.iter().filter(commanded).collect()
    }

    fn open(&self) -> Vec<&Vbucket> {
        let mut vbuckets = self.commanded();
        vbuckets.retain(|vbucket| vbucket.window_phase() == Some(Phase::Open));
        vbuckets
    }

    /// Whether an active vbucket has an open window.
    pub(super) fn is_window_open(&self) -> bool {
        !self.open().is_empty()
    }

    /// COMPLETE or REVERT: the first call begins it and returns `WouldBlock`; the second one, after
    /// the notification, returns how it went.
    fn end_update(&self, kind: Kind, cookie: Cookie) -> Result<Outcome> {
        if let Some(outcome) = self.updates.results.take(cookie)? {
            return Ok(outcome);
        }
        match self.accept_end(kind, Some(cookie)) {
            Ok(()) => Err(Error::WouldBlock),
            refused => Ok(refused),
        }
    }

    /// Begins COMPLETE or REVERT; the client, if it waits for the answer, is notified.
    fn accept_end(&self, kind: Kind, client: Option<Cookie>) -> Outcome {
        let mut gate = self.updates.gate.lock();
        self.at_rest(&mut gate)?;
        let vbuckets = self.open();
        let reverts = kind != Kind::Complete;
        if vbuckets.is_empty() || !self.begin_end(&vbuckets, reverts) {
            return Err(if vbuckets.is_empty() {
                UpdateError::Unsupported(NO_WINDOW)
            } else {
                UpdateError::Failed(NO_IDS.to_owned())
            });
        }
        gate.begin(kind, &vbuckets);
        gate.owed = client.map(|cookie| self.updates.results.expect(cookie));
        drop(gate);
        self.updates.signal.wake();
        // The mark leaves at once.
        self.streams.changed();
        Ok(())
    }

    fn run_job(&self, job: &Job) {
        let vbuckets: Vec<&Vbucket> = job
            .vbuckets
            .iter()
            .filter_map(|&id| self.vbuckets.get(id))
            .collect();
        let mut left = Vec::new();
        let mut last = Some(job.kind.record());
        let outcome = match job.kind {
            Kind::Complete => {
                let record = self.record_after_complete(&job.vbuckets);
                self.persister.complete(&vbuckets, record).map_err(|error| {
                    last = None;
                    self.reopen(&vbuckets, &error.to_string())
                })
            }
            Kind::Revert | Kind::Expire => {
                if job.kind == Kind::Expire {
                    self.host.log(LogLevel::Warning, deadline::PASSED);
                }
                let start = self.host.monotonic();
                left = self.revert_all(&vbuckets);
                {
                    let _gate = self.updates.gate.lock();
                    let reverted = Decided {
                        outcome: job.kind.record(),
                        at: Some(self.host.monotonic()),
                    };
                    self.persister.want_window(self.record_now(reverted));
                }
                let outcome = self.note_revert();
                let took = self.host.monotonic().saturating_sub(start);
                self.shared.metrics.timings.revert.record(took);
                outcome
            }
        };
        let owed = {
            let mut gate = self.updates.gate.lock();
            gate.running = None;
            gate.ending.clear();
            for id in std::mem::take(&mut gate.joined) {
                let vbucket = self.vbuckets.get(id).filter(|_| outcome.is_ok());
                // It may be another one by now, and follow a master.
                if let Some(vbucket) = vbucket.filter(|vb| vb.has_own_window()) {
                    vbucket.dissolve_window();
                }
            }
            if let Some(last) = last {
                gate.ended(last, self.host.monotonic());
            }
            // A master may have opened or ended one while the store was told of this end.
            let record = self.record_now(gate.decided());
            self.persister.want_window(record);
            gate.owed.take()
        };
        // One that was taken over meanwhile.
        let given = vbuckets.iter().filter(|vbucket| vbucket.is_given());
        given.for_each(|vbucket| self.discard_window(vbucket.id()));
        // The cursors may go on.
        self.changed();
        self.look_at_noted();
        self.house.wake();
        // Before the answer: who asks after it is to see that values are still coming back.
        for (vbucket, (left, cold)) in vbuckets.iter().zip(left) {
            self.rewarm.add(vbucket, left, cold);
        }
        if let Some(owed) = owed {
            self.host.notify(self.updates.results.put(owed, outcome));
        }
    }

    /// START or COMPLETE came from the master: its window begins, or stays, and the flusher then
    /// writes it in one batch. False if the vbucket has become active meanwhile.
    pub(super) fn follow_mark(
        &self,
        vbucket: &Vbucket,
        mark: Op,
        id: Option<CheckpointId>,
        deadline: Option<Duration>,
    ) -> bool {
        let mut gate = self.updates.gate.lock();
        if vbucket.state() == Some(VbucketState::Active) {
            return false;
        }
        if mark == Op::UpdateStart {
            vbucket.follow_start(id, self.host.monotonic(), deadline);
        } else {
            vbucket.follow_complete();
            self.end_followed(&mut gate, WindowRecord::Completed, None);
        }
        self.persister.want_window(self.record_now(gate.decided()));
        drop(gate);
        self.changed_at_once();
        true
    }

    /// A window ended that is none of this node's operator: its outcome is told where he has none,
    /// on a node without vbuckets that he commands. One that was `left` behind, when it was opened,
    /// is told of only if nothing was decided since.
    fn end_followed(&self, gate: &mut Gate, outcome: WindowRecord, left: Option<Duration>) {
        let decided = gate.ended_at.zip(left).is_some_and(|(at, left)| left < at);
        if !decided && self.commanded().is_empty() {
            gate.ended(outcome, self.host.monotonic());
        }
    }

    fn reopen(&self, vbuckets: &[&Vbucket], cause: &str) -> UpdateError {
        complete_failed(vbuckets);
        let mut changes = Vec::new();
        for vbucket in vbuckets {
            let mut after = Some(Seqno::ZERO);
            while let Some(from) = after {
                after = vbucket.bury_duplicates(from, &mut changes);
            }
        }
        let now = if self.is_overdue() {
            "its deadline has passed meanwhile, and so the online update is reverted: remove the \
             cause before the next one"
        } else {
            "nothing is lost and the online update is open again: remove the cause and send \
             COMPLETE again, or REVERT"
        };
        let text = format!("COMPLETE could not commit: {cause}; {now}");
        self.host.log(LogLevel::Warning, &text);
        UpdateError::Failed(text)
    }
}

impl Engine {
    /// STOP_PERSISTENCE and START_PERSISTENCE.
    pub(crate) fn set_persistence(&self, running: bool) {
        self.core.persister.set_stopped(!running);
        self.core.streams.changed();
        self.core.shared.flush.call();
    }

    /// START; reverts by itself after so many seconds. Call again after the notification for the
    /// outcome.
    ///
    /// # Errors
    /// `WouldBlock` when the windows are open and the store has still to note it.
    pub(crate) fn start_update(&self, cookie: Cookie, seconds: Option<u32>) -> Result<Outcome> {
        self.core.start_update(cookie, seconds)
    }

    /// COMPLETE. Call again after the notification for the outcome.
    ///
    /// # Errors
    /// `WouldBlock` when it has begun.
    pub(crate) fn complete_update(&self, cookie: Cookie) -> Result<Outcome> {
        self.core.end_update(Kind::Complete, cookie)
    }

    /// REVERT. Call again after the notification for the outcome.
    ///
    /// # Errors
    /// `WouldBlock` when it has begun.
    pub(crate) fn revert_update(&self, cookie: Cookie) -> Result<Outcome> {
        self.core.end_update(Kind::Revert, cookie)
    }

    /// START, for a client that does not wait: what becomes of it is seen in the statistics.
    pub(crate) fn accept_start(&self, seconds: Option<u32>) -> Outcome {
        self.core.accept_start(seconds, None).map(|_| ())
    }

    /// COMPLETE, likewise.
    pub(crate) fn accept_complete(&self) -> Outcome {
        self.core.accept_end(Kind::Complete, None)
    }

    /// REVERT, likewise.
    pub(crate) fn accept_revert(&self) -> Outcome {
        self.core.accept_end(Kind::Revert, None)
    }

    /// Figures for `stats onlineupdate`.
    pub(crate) fn update_report(&self) -> UpdateReport {
        self.core.update_report()
    }
}

/// The thread of COMPLETE and REVERT. A command that was accepted is finished before it stops.
pub(super) fn run(core: &Core, signal: &Signal) {
    loop {
        let wake = signal.wait(core.until_deadline());
        if wake != Wake::Stop {
            core.revert_overdue();
        }
        let job = core.updates.gate.lock().queued.take();
        if let Some(job) = job {
            core.run_job(&job);
        }
        loop {
            let revert = core
                .updates
                .gate
                .lock()
                .replicas
                .front()
                .map(|it| it.vbucket);
            let Some(vbucket) = revert else { break };
            core.run_replica_revert(vbucket);
        }
        if wake == Wake::Stop {
            return;
        }
    }
}
