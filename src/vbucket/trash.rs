//! What is taken out of vbuckets and takes as long to drop as it has keys: a host thread leaves it
//! to the housekeeper.
//!
//! Threads: any.

use std::sync::Arc;

use super::locks::Times;
use super::map::Remains;
use super::restoring::Gone;
use crate::checkpoint::Checkpoint;
use crate::latch::Latch;
use crate::worker::Signal;

/// Changes that are dropped where they are: waking the housekeeper would cost more.
const FEW_CHANGES: usize = 256;

/// What is to be dropped.
#[derive(Debug, Default)]
struct Pile {
    checkpoints: Vec<Checkpoint>,
    remains: Vec<Remains>,
    locks: Vec<Times>,
    notes: Vec<Gone>,
}

/// The pile.
#[derive(Debug)]
pub(crate) struct Trash {
    // Guards what is to be dropped. Lock order: last.
    pile: Latch<Pile>,
    house: Arc<Signal>,
}

impl Trash {
    /// Emptied by whom `house` wakes.
    pub(crate) fn new(house: Arc<Signal>) -> Self {
        Self {
            pile: Latch::default(),
            house,
        }
    }

    /// Wakes the housekeeper.
    pub(crate) fn house(&self) -> &Arc<Signal> {
        &self.house
    }

    /// Leaves checkpoints that nobody needs any more.
    pub(crate) fn leave(&self, checkpoints: Vec<Checkpoint>) {
        let changes: usize = checkpoints.iter().map(Checkpoint::changes).sum();
        if changes > FEW_CHANGES {
            self.pile.lock().checkpoints.extend(checkpoints);
            self.house.wake();
        }
    }

    /// Leaves what a deleted vbucket held.
    pub(crate) fn leave_remains(&self, remains: Remains) {
        self.pile.lock().remains.push(remains);
        self.house.wake();
    }

    /// Leaves the locks of clients of a vbucket that is not active any more.
    pub(super) fn leave_locks(&self, locks: Times) {
        if !locks.is_empty() {
            self.pile.lock().locks.push(locks);
            self.house.wake();
        }
    }

    /// Leaves what a restore had to know. Any lock held.
    pub(super) fn leave_notes(&self, notes: impl IntoIterator<Item = Gone>) {
        let mut notes = notes.into_iter().peekable();
        if notes.peek().is_some() {
            self.pile.lock().notes.extend(notes);
            self.house.wake();
        }
    }

    /// Drops all of it; for the housekeeper. Returns whether there was any.
    pub(crate) fn empty(&self) -> bool {
        let pile = std::mem::take(&mut *self.pile.lock());
        let Pile {
            checkpoints,
            remains,
            locks,
            notes,
        } = &pile;
        !checkpoints.is_empty() || !remains.is_empty() || !locks.is_empty() || !notes.is_empty()
    }
}
