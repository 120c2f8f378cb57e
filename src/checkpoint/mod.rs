//! The log of one vbucket: every mutation in order, cut into checkpoints, with the position up to
//! which it was persisted and, between START and COMPLETE or REVERT, the window.
//!
//! Purpose: the flusher, TAP and online update all read this one sequence. Positions are sequence
//! numbers and counts are derived from the entries, so that tombstones, removed checkpoints and
//! reverts leave nothing to adjust.
//!
//! Invariants: entries ascend; at most one checkpoint is open, the last; checkpoint ids ascend and
//! are never given twice; a key has at most one live entry in the open checkpoint; in a window's
//! checkpoint every mutation carries the key's pre-image.
//!
//! Threads and locks: none here. `vbucket` guards a log by one mutex; no clock and no I/O.

use std::collections::VecDeque;
use std::time::Duration;

use crate::item::Item;
use crate::types::{CheckpointId, Seqno};

mod entry;
mod lease;
mod segment;
#[cfg(test)]
mod tests;
mod window;

pub(crate) use entry::{Entry, Op, PreImage};
use segment::Segments;
pub(crate) use window::{Phase, Window};

/// When the open checkpoint is closed. A window's checkpoint obeys none of these.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Mutations.
    pub(crate) items_max: usize,
    /// Bytes of keys and values: bounds one flusher batch.
    pub(crate) bytes_max: usize,
    /// Age in seconds (by any clock that does not go back) of one that holds a mutation.
    pub(crate) period: u32,
    /// Ids that are reserved ahead in the store; `u64::MAX` when nothing outlives the process.
    pub(crate) lease: u64,
}

/// What a checkpoint is to the flusher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// To be persisted.
    Normal,
    /// The open window: held back.
    Window,
    /// The window that COMPLETE is making durable: held back from the flusher.
    Completing,
    /// A window that was taken back: skipped.
    Reverted,
}

/// A checkpoint. Dropping a large one takes time: do it with no lock held.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    id: CheckpointId,
    kind: Kind,
    /// Number of its first entry, the checkpoint start.
    first: Seqno,
    /// Number of its last entry, the checkpoint end; none while open.
    last: Option<Seqno>,
    created: u32,
    /// Keys and values of the live mutations.
    bytes: usize,
    /// Live mutations.
    mutations: usize,
    /// Flushes.
    flushes: usize,
    entries: Segments,
}

/// What the hash table holds for a key at the moment of a mutation.
#[derive(Debug)]
pub(crate) struct Prior<'a> {
    /// Its item, perhaps the key-only form.
    pub(crate) item: &'a Item,
    /// The number of its latest log entry.
    pub(crate) seqno: Seqno,
    /// Whether that entry is a deletion.
    pub(crate) deleted: bool,
    /// Whether a pre-image has to keep the value (it is not on disk, or is wanted in memory).
    pub(crate) keep_value: bool,
}

/// One entry as a reader gets it.
#[derive(Debug)]
pub(crate) struct Change {
    /// Position.
    pub(crate) seqno: Seqno,
    /// Set, delete or flush.
    pub(crate) op: Op,
    /// The item of a set or delete.
    pub(crate) item: Option<Item>,
}

/// Where a read for persistence ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ReadEnd {
    /// Everything up to here was read.
    pub(crate) upto: Seqno,
    /// The changes up to here make a state that the vbucket really was in: a batch may end here.
    pub(crate) consistent: bool,
    /// Nothing more can be read at present.
    pub(crate) exhausted: bool,
    /// The last checkpoint that was read to its end.
    pub(crate) closed: Option<CheckpointId>,
}

/// The log.
#[derive(Debug)]
pub(crate) struct Log {
    closed: VecDeque<Checkpoint>,
    open: Checkpoint,
    next_id: CheckpointId,
    /// Ids up to here may be given.
    reserved: CheckpointId,
    last: Seqno,
    /// The persistence cursor: everything up to here is durable, or reverted and skipped.
    persisted: Seqno,
    /// The latest closed checkpoint that is durable.
    persisted_id: CheckpointId,
    /// Position of the latest `flush_all`: keys whose latest entry is before it are gone.
    floor: Seqno,
    window: Option<Window>,
    limits: Limits,
}

impl Log {
    /// A log whose first checkpoint has the given id. Nothing of it is in the store yet.
    pub(crate) fn new(id: CheckpointId, limits: Limits, now: u32) -> Self {
        let mut log = Self {
            closed: VecDeque::new(),
            open: Checkpoint::new(id, Seqno::new(1), now),
            next_id: id.next(),
            reserved: CheckpointId::new(id.get().saturating_add(limits.lease)),
            last: Seqno::ZERO,
            persisted: Seqno::ZERO,
            persisted_id: CheckpointId::new(id.get().saturating_sub(1)),
            floor: Seqno::ZERO,
            window: None,
            limits,
        };
        log.push_meta(Op::CheckpointStart);
        log
    }

    fn push_meta(&mut self, op: Op) -> Seqno {
        self.last = self.last.next();
        self.open.entries.push(Entry::new(self.last, op, None));
        self.last
    }

    /// Number that the next mutation gets: the caller derives the item's CAS from it.
    pub(crate) fn next_seqno(&self) -> Seqno {
        self.last.next()
    }

    /// Position of the latest `flush_all`, or zero.
    pub(crate) fn floor(&self) -> Seqno {
        self.floor
    }

    /// Id of the open checkpoint.
    pub(crate) fn open_id(&self) -> CheckpointId {
        self.open.id
    }

    /// Id of the latest checkpoint that is durable to its end.
    pub(crate) fn persisted_id(&self) -> CheckpointId {
        self.persisted_id
    }

    /// Number of checkpoints in memory.
    pub(crate) fn checkpoints(&self) -> usize {
        self.closed.len() + 1
    }

    /// Live entries in memory, checkpoint starts and ends included.
    pub(crate) fn entries(&self) -> usize {
        self.all().map(|checkpoint| checkpoint.entries.live()).sum()
    }

    /// Live entries ahead of the persistence cursor that will be written at some time: those of a
    /// reverted window never will.
    pub(crate) fn unpersisted(&self) -> usize {
        let ahead = self
            .all()
            .filter(|checkpoint| checkpoint.kind != Kind::Reverted);
        ahead
            .map(|checkpoint| checkpoint.mutations_after(self.persisted))
            .sum()
    }

    fn all(&self) -> impl DoubleEndedIterator<Item = &Checkpoint> {
        self.closed.iter().chain(std::iter::once(&self.open))
    }

    /// Logs a mutation of one key. `prior` is what the hash table holds for it, if anything.
    /// Returns its number and what it superseded, to be dropped with no lock held.
    pub(crate) fn append(
        &mut self,
        op: Op,
        item: Item,
        prior: Option<&Prior<'_>>,
    ) -> (Seqno, Option<Entry>) {
        self.last = self.last.next();
        let bytes = item.memory_bytes();
        let mut entry = Entry::new(self.last, op, Some(item));
        let mut superseded = None;
        match prior {
            Some(prior) if prior.seqno >= self.open.first => {
                superseded = self.open.remove(prior.seqno);
                let pre_image = superseded.as_mut().and_then(|old| old.pre_image.take());
                entry.pre_image = pre_image;
            }
            _ => entry.pre_image = self.pre_image(prior).map(Box::new),
        }
        self.open.bytes += bytes;
        self.open.mutations += 1;
        self.open.entries.push(entry);
        (self.last, superseded)
    }

    /// Takes the entry of a key out that is being dropped altogether (the memory-only store's
    /// eviction). Nothing is taken from a window.
    pub(crate) fn forget(&mut self, seqno: Seqno) -> Option<Entry> {
        let checkpoint = self.find_mut(seqno)?;
        if checkpoint.kind == Kind::Normal {
            checkpoint.remove(seqno)
        } else {
            None
        }
    }

    /// Logs a `flush_all`: every key whose latest entry is older is gone from now on.
    pub(crate) fn flush(&mut self) -> Seqno {
        // The one before it in the same checkpoint says nothing more.
        if self.floor >= self.open.first && self.open.entries.remove(self.floor).is_some() {
            self.open.flushes -= 1;
        }
        self.floor = self.push_meta(Op::Flush);
        self.open.flushes += 1;
        self.floor
    }

    /// Closes the open checkpoint when one of the limits is reached.
    pub(crate) fn close_if_due(&mut self, now: impl FnOnce() -> u32) {
        let open = &self.open;
        let full = open.mutations >= self.limits.items_max || open.bytes >= self.limits.bytes_max;
        if full && open.kind == Kind::Normal && self.may_close() {
            self.rotate(now());
        }
    }

    /// Closes the open checkpoint when it has reached its age. For a timer: an operation does not
    /// read the clock for this.
    /// Returns whether the open checkpoint is one that ages.
    pub(crate) fn close_if_old(&mut self, now: u32) -> bool {
        let ages = self.open.kind == Kind::Normal && self.open.mutations > 0;
        let due = now.saturating_sub(self.open.created) >= self.limits.period;
        if ages && due && self.may_close() {
            self.rotate(now);
            return false;
        }
        ages
    }

    /// Closes the open checkpoint and opens the next. Returns the closed one's last number.
    fn rotate(&mut self, now: u32) -> Seqno {
        let last = self.push_meta(Op::CheckpointEnd);
        let next = Checkpoint::new(self.next_id, last.next(), now);
        self.next_id = self.next_id.next();
        let mut closed = std::mem::replace(&mut self.open, next);
        closed.last = Some(last);
        self.closed.push_back(closed);
        self.push_meta(Op::CheckpointStart);
        last
    }

    fn find_mut(&mut self, seqno: Seqno) -> Option<&mut Checkpoint> {
        if seqno >= self.open.first {
            return Some(&mut self.open);
        }
        let index = self
            .closed
            .partition_point(|checkpoint| checkpoint.first <= seqno);
        self.closed.get_mut(index.checked_sub(1)?)
    }

    /// Reads changes behind `after` that may be persisted, oldest first, about `limit` at most (one
    /// call; call again with the end of the last until `consistent`). Windows that are open or
    /// completing stop the read; reverted ones are skipped.
    pub(crate) fn read(&self, after: Seqno, limit: usize, out: &mut Vec<Change>) -> ReadEnd {
        let mut end = ReadEnd {
            upto: after,
            consistent: true,
            exhausted: true,
            closed: None,
        };
        let full = out.len().saturating_add(limit);
        for checkpoint in self
            .all()
            .filter(|c| c.last.is_none_or(|last| last > after))
        {
            match checkpoint.kind {
                Kind::Window | Kind::Completing => return end,
                Kind::Reverted => {}
                Kind::Normal => {
                    let whole = checkpoint.entries.visit_after(end.upto, &mut |entry| {
                        end.upto = entry.seqno();
                        out.extend(change(entry));
                        out.len() < full
                    });
                    let at_end = end.upto >= checkpoint.last.unwrap_or(self.last);
                    if !whole && !at_end {
                        return ReadEnd {
                            consistent: false,
                            exhausted: false,
                            ..end
                        };
                    }
                }
            }
            end.upto = checkpoint.last.unwrap_or(self.last);
            end.closed = checkpoint.last.map(|_| checkpoint.id).or(end.closed);
            if out.len() >= full && checkpoint.last.is_some() {
                return ReadEnd {
                    exhausted: false,
                    ..end
                };
            }
        }
        end
    }

    /// The persistence cursor.
    pub(crate) fn persisted(&self) -> Seqno {
        self.persisted
    }

    /// Moves the persistence cursor after a durable commit, and returns the checkpoints that nobody
    /// needs any more.
    pub(crate) fn advance(&mut self, upto: Seqno, closed: Option<CheckpointId>) -> Vec<Checkpoint> {
        self.persisted = self.persisted.max(upto);
        if let Some(id) = closed {
            self.persisted_id = self.persisted_id.max(id);
        }
        let reverting = self
            .window
            .as_ref()
            .map_or(Seqno::new(u64::MAX), |window| window.barrier);
        let needed = self.persisted.min(reverting);
        let free = self
            .closed
            .partition_point(|c| c.last.is_some_and(|last| last <= needed));
        self.closed.drain(..free).collect()
    }
}

fn change(entry: &Entry) -> Option<Change> {
    let op = entry.op();
    (op.is_mutation() || op == Op::Flush).then(|| Change {
        seqno: entry.seqno(),
        op,
        item: entry.item.clone(),
    })
}

impl Checkpoint {
    fn new(id: CheckpointId, first: Seqno, created: u32) -> Self {
        Self {
            id,
            kind: Kind::Normal,
            first,
            last: None,
            created,
            bytes: 0,
            mutations: 0,
            flushes: 0,
            entries: Segments::default(),
        }
    }

    fn remove(&mut self, seqno: Seqno) -> Option<Entry> {
        let entry = self.entries.remove(seqno)?;
        self.mutations -= 1;
        self.bytes -= entry.item.as_ref().map_or(0, Item::memory_bytes);
        Some(entry)
    }

    /// Live mutations behind a position. A whole checkpoint knows its number; a part is counted.
    fn mutations_after(&self, after: Seqno) -> usize {
        if self.last.is_some_and(|last| last <= after) {
            return 0;
        }
        if after < self.first {
            return self.mutations + self.flushes;
        }
        let mut count = 0;
        self.entries.visit_after(after, &mut |entry| {
            count += usize::from(entry.op().is_mutation() || entry.op() == Op::Flush);
            true
        });
        count
    }
}

/// Everything about a window that a report shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct WindowReport {
    /// Since when, by the monotonic clock.
    pub(crate) opened: Duration,
    /// Distinct keys touched.
    pub(crate) touched: usize,
    /// Bytes of keys and values logged in it.
    pub(crate) bytes: usize,
}
