//! Who waits until the store has noted something: that a vbucket has another state or is gone, that
//! an online update is open, or a change.
//!
//! What is asked for takes effect at once; only its answer waits. A thread of its own writes it,
//! because a COMPLETE may have the right to commit for long, and nothing else is to wait for that.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::Core;
use super::answers::{Answers, Owed};
use super::durable::Place;
use super::replica::Reverted;
use super::update::StartNumber;
use super::vbuckets::{Outcome, VbucketError};
use crate::flusher::Round;
use crate::host::{BlockedCookie, LogLevel};
use crate::tap::StreamId;
use crate::types::VbucketId;
use crate::worker::{Signal, Wake};

/// Why nothing is noted any more.
pub(super) const DIED: &str = "the thread that writes it has died of a defect";
const ENDS: &str = "the engine stops before an online update is written";

/// One of them.
#[derive(Debug)]
pub(super) enum Waiter {
    /// START, and its client if that waits for the answer.
    Start(Option<Owed>, StartNumber),
    /// A client whose change is to be durable before it has its answer.
    Written(BlockedCookie, Place),
    /// A client of SET_VBUCKET or DEL_VBUCKET.
    Vbucket(Owed, VbucketId),
    /// A stream that has made a vbucket active here.
    Taken(Owed, u16),
    /// A stream whose client is to have the vbucket, which is dead here.
    HandOver(StreamId, VbucketId),
}

impl Waiter {
    /// What has to be durable for it; none where one commit does.
    fn place(&self) -> Option<Place> {
        match self {
            Self::Written(_, place) => Some(*place),
            _ => None,
        }
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Noted {
    // Guards who waits. Lock order: last.
    waiting: Mutex<Vec<Waiter>>,
    signal: Arc<Signal>,
    /// The thread has died: nobody is to wait for it any more.
    dead: AtomicBool,
    /// Results of SET_VBUCKET and DEL_VBUCKET.
    pub(super) vbuckets: Answers<Outcome>,
}

impl Noted {
    /// Wakes the thread.
    pub(super) fn signal(&self) -> &Arc<Signal> {
        &self.signal
    }

    /// Whether the thread has died.
    pub(super) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Acquire)
    }
}

impl Core {
    /// Whether an answer has to wait for the store: there is one, and it is written at present.
    pub(super) fn is_noted(&self) -> bool {
        self.persister.keeps_values() && !self.persister.is_stopped()
    }

    /// Lets somebody go on when the store has noted what has been asked for by now. False, and
    /// there is nothing to wait for, when the thread has died.
    pub(super) fn when_noted(&self, waits: Waiter) -> bool {
        {
            let mut waiting = self.noted.waiting.lock();
            if self.noted.is_dead() {
                return false;
            }
            waiting.push(waits);
        }
        self.noted.signal.wake();
        true
    }

    /// Has the store note what those wait for who wait now, and lets them go on.
    fn note(&self) -> Left {
        let waiting = self.noted.waiting.lock();
        if waiting.is_empty() {
            return Left::Nobody;
        }
        // They are taken out when they have their answers: should this thread die, they get one.
        let count = waiting.len();
        drop(waiting);
        let result = self.persister.round_synced();
        let is_more = result.as_ref().is_ok_and(|round| *round == Round::More);
        if is_more {
            // What they asked for is written; what there is besides is the flusher's.
            self.changed_at_once();
        }
        let error = result.err().map(|error| error.to_string());
        // Changes may take more than one commit; the rest is written with every one.
        let places: Vec<_> = {
            let waiting = self.noted.waiting.lock();
            waiting.iter().take(count).map(Waiter::place).collect()
        };
        let reached = |place: Option<Place>| place.is_none_or(|place| self.is_reached(place));
        let over: Vec<bool> = places
            .into_iter()
            .map(|place| error.is_some() || reached(place))
            .collect();
        let (over, left) = {
            let mut over = over.into_iter();
            let mut waiting = self.noted.waiting.lock();
            let goes_on = |_: &mut Waiter| over.next().unwrap_or(true);
            let over: Vec<Waiter> = waiting.extract_if(..count, goes_on).collect();
            let left = match waiting.len() {
                0 => Left::Nobody,
                waiting if is_more || waiting > count - over.len() => Left::Some,
                _ => Left::Others,
            };
            (over, left)
        };
        for waits in over {
            self.let_go_on(waits, error.as_deref());
        }
        self.house.wake();
        left
    }

    fn let_go_on(&self, waits: Waiter, error: Option<&str>) {
        match waits {
            Waiter::Start(owed, number) => self.answer_start(owed, number, error),
            Waiter::Written(cookie, _) => self.host.answer_held(cookie, error.is_none()),
            Waiter::Vbucket(owed, id) => {
                let outcome = error.map_or(Ok(()), |error| {
                    let text = format!(
                        "vbucket {id} was set or deleted, but the store has it as it was before: \
                         {error}"
                    );
                    self.host.log(LogLevel::Warning, &text);
                    Err(VbucketError::Unwritten)
                });
                self.host.notify(self.noted.vbuckets.put(owed, outcome));
            }
            Waiter::Taken(owed, id) => {
                if let Some(error) = error {
                    let text = format!(
                        "vbucket {id} was taken over from another node, but the store cannot note \
                         that it is active here: {error}"
                    );
                    self.host.log(LogLevel::Warning, &text);
                }
                let answers = &self.replication.reverted;
                self.host.notify(answers.put(owed, Reverted::Done));
            }
            Waiter::HandOver(stream, id) => self.let_hand_over(stream, id, error),
        }
    }

    /// A stream's client is to have a vbucket that is dead here. A node that cannot write is one to
    /// take vbuckets from: it goes on all the same.
    pub(super) fn let_hand_over(&self, stream: StreamId, id: VbucketId, error: Option<&str>) {
        let stopped = self
            .persister
            .is_stopped()
            .then_some("persistence is stopped");
        if let Some(cause) = error.or(stopped) {
            let text = format!(
                "vbucket {id} goes to another node, but the store still has it as active here \
                 ({cause}): before a restart make sure that the store can be written, or make it \
                 dead after it"
            );
            self.host.log(LogLevel::Warning, &text);
        }
        self.streams.noted_dead(stream, id);
    }

    /// Somebody may have written what some wait for.
    pub(super) fn look_at_noted(&self) {
        self.noted.signal.wake();
    }

    /// The thread has died: those who wait are told, and nobody waits for it from now on.
    pub(super) fn noted_died(&self, cause: &str) {
        let waiting = {
            // Nobody comes behind those that are found here.
            let mut waiting = self.noted.waiting.lock();
            self.noted.dead.store(true, Ordering::Release);
            std::mem::take(&mut *waiting)
        };
        for waits in waiting {
            self.let_go_on(waits, Some(cause));
        }
    }
}

/// Who waits on after a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    Nobody,
    /// Those for whom another commit is needed.
    Some,
    /// Those who wait for what another thread writes: COMPLETE.
    Others,
}

/// How soon that is looked at again, should nobody say that it is through.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// The thread. Who waits when it is to stop still gets an answer.
pub(super) fn run(core: &Core, signal: &Signal) {
    let mut time = None;
    loop {
        let wake = signal.wait(time);
        let left = loop {
            let left = core.note();
            if left != Left::Some {
                break left;
            }
        };
        time = (left == Left::Others).then_some(LOOK_AGAIN);
        if wake == Wake::Stop {
            let waiting = std::mem::take(&mut *core.noted.waiting.lock());
            for waits in waiting {
                core.let_go_on(waits, Some(ENDS));
            }
            return;
        }
    }
}
