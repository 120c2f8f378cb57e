//! The log of one vbucket: every mutation in order, cut into checkpoints, with the cursors of those
//! who read it and, between START and COMPLETE or REVERT, the window.
//!
//! Purpose: the flusher, TAP and online update all read this one sequence. Positions are sequence
//! numbers and counts are derived from the entries, so that tombstones, removed checkpoints and
//! reverts leave nothing to adjust.
//!
//! Invariants: entries ascend; at most one checkpoint is open, the last; checkpoint ids ascend and
//! are never given twice, but for those that a replica has from its master ([`follow`]); in a
//! window's checkpoint every mutation carries the key's pre-image. A
//! key has one live entry in the open checkpoint, and an older one beside it only when the hash
//! table forgot the key in between: its deletion had become durable, or a flush had made it void
//! and it was swept. That does no harm: readers meet the older one first.
//!
//! Limits: the caller says when a checkpoint is full. A closed one is freed as soon as no cursor is
//! at or before its end; what slow cursors hold back is counted, and the slowest can be dropped.
//!
//! Threads and locks: none here. `vbucket` guards a log by one mutex; no clock and no I/O.

use std::collections::VecDeque;
use std::time::Duration;

use crate::item::Item;
use crate::types::{CheckpointId, Seqno};

mod acquainted;
mod cursor;
mod cursors;
mod due;
mod entry;
mod follow;
mod lease;
mod looked;
mod places;
mod queue;
mod segment;
#[cfg(test)]
pub(crate) mod tests;
mod times;
mod touched;
mod window;

use acquainted::Acquainted;
pub(crate) use cursor::{Begin, Begun, Change, ReadEnd, View};
use cursors::Cursors;
pub(crate) use due::{Clocks, Due};
use entry::Origin;
pub(crate) use entry::{Entry, Op, PreImage};
pub(crate) use follow::Fit;
use follow::{Followed, Numbering};
pub(crate) use looked::{Latest, Looked, Was};
use places::Places;
pub(crate) use queue::Queue;
use segment::Segments;
use times::Times;
use touched::Touches;
pub(crate) use touched::{Tally, Touch, Touched};
pub(crate) use window::{Kept, Phase, Window};

/// When the open checkpoint is closed. A window's checkpoint obeys none of these.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Mutations.
    pub(crate) items_max: usize,
    /// Age in seconds (by any clock that does not go back) of one that holds a mutation.
    pub(crate) period: u32,
    /// With this many checkpoints in memory the open one grows, and neither of the above closes it.
    pub(crate) checkpoints_max: usize,
    /// Bytes of keys and values: closes it in any case, because it bounds one flusher batch.
    pub(crate) bytes_max: usize,
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
    /// Its beginning lies in the part before it, in an earlier process, or in a backfill.
    continues: bool,
    /// Number of its first entry, the checkpoint start.
    first: Seqno,
    /// Number of its last entry, the checkpoint end; none while open.
    last: Option<Seqno>,
    created: u32,
    /// Keys and values of the live mutations.
    bytes: usize,
    /// Those of them that later entries of other checkpoints made void: the table has them no more.
    superseded: usize,
    /// Live mutations.
    mutations: usize,
    /// Flushes.
    flushes: usize,
    /// When a delayed `flush_all` is due as of its end, or as of now while it is open.
    due: Due,
    /// What was done to the keys whose entries carry a pre-image.
    touches: Touches,
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

/// How the open checkpoint stands to its greatest age.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ageing {
    /// It is empty, or a window.
    None,
    /// It grows older.
    Ages,
    /// It was closed.
    Closed,
}

/// The log.
#[derive(Debug)]
pub(crate) struct Log {
    closed: VecDeque<Checkpoint>,
    open: Checkpoint,
    next_id: CheckpointId,
    /// Ids up to here may be given, and so many are reserved ahead.
    reserved: CheckpointId,
    lease: u64,
    last: Seqno,
    /// Entries so far that are about no key.
    marks: u64,
    /// Entries so far that gave a key an item.
    stored: u64,
    /// Events besides entries that may be news for a stream: a cursor that was dropped, a commit of
    /// COMPLETE, whose ids the checkpoints have.
    turns: u64,
    /// The persistence cursor: everything up to here is durable, or reverted and skipped.
    persisted: Seqno,
    /// The latest closed checkpoint that is durable.
    persisted_id: CheckpointId,
    /// The other cursors.
    cursors: Cursors,
    acquainted: Acquainted,
    /// Position of the latest `flush_all`: keys whose latest entry is before it are gone.
    floor: Seqno,
    window: Option<Window>,
    /// Windows that were reverted.
    reverts: u64,
    times: Times,
    /// Of the keys that the window has touched.
    places: Places,
    numbering: Numbering,
    /// The last closed checkpoint as it was told the last time; zero if never.
    told: CheckpointId,
    /// Ids of checkpoints that began before this place say nothing any more.
    named_from: Seqno,
    /// The last entry of a key that was taken out without a trace.
    forgotten: Seqno,
    followed: Option<Followed>,
}

impl Log {
    /// A log whose first checkpoint has the given id. Nothing of it is in the store yet; `lease`
    /// ids are reserved there ahead, `u64::MAX` when nothing outlives the process.
    pub(crate) fn new(id: CheckpointId, lease: u64, now: u32) -> Self {
        let mut log = Self {
            closed: VecDeque::new(),
            open: Checkpoint::new(id, Seqno::new(1), now),
            next_id: id.next(),
            reserved: CheckpointId::new(id.get().saturating_add(lease)),
            lease,
            last: Seqno::ZERO,
            marks: 0,
            stored: 0,
            persisted: Seqno::ZERO,
            persisted_id: CheckpointId::new(id.get().saturating_sub(1)),
            cursors: Cursors::default(),
            acquainted: Acquainted::default(),
            turns: 0,
            floor: Seqno::ZERO,
            window: None,
            reverts: 0,
            times: Times::default(),
            places: Places::default(),
            numbering: Numbering::Own,
            told: CheckpointId::default(),
            named_from: Seqno::ZERO,
            forgotten: Seqno::ZERO,
            followed: None,
        };
        log.push_meta(Op::CheckpointStart);
        log
    }

    fn push_meta(&mut self, op: Op) -> Seqno {
        self.last = self.last.next();
        self.marks += 1;
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

    /// A number that grows whenever there may be news for a stream.
    pub(crate) fn version(&self) -> u64 {
        self.last.get().wrapping_add(self.turns)
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

    /// Mutations of one key that were ever logged, superseded ones included.
    pub(crate) fn logged(&self) -> u64 {
        self.last.get() - self.marks
    }

    /// How many of them gave the key an item.
    pub(crate) fn stored(&self) -> u64 {
        self.stored
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
        self.stored += u64::from(op == Op::Set);
        let (hash, bytes) = (item.hash(), item.memory_bytes());
        let mut entry = Entry::new(self.last, op, Some(item));
        let mut superseded = None;
        match prior {
            Some(prior) if prior.seqno >= self.open.first => {
                superseded = self.open.remove(prior.seqno);
                if let Some(old) = &mut superseded {
                    if old.is_new() && old.seqno() > self.persisted {
                        entry.set_new();
                    }
                    self.open.touches.remove(old, self.floor);
                    if let Some(origin) = old.origin.take() {
                        entry.set_origin(origin, old.is_unsaved());
                    }
                }
            }
            _ => {
                match prior {
                    None => entry.set_new(),
                    Some(prior) => self.note_superseded(prior),
                }
                if let Some((origin, unsaved)) = self.origin(hash, prior) {
                    entry.set_origin(Box::new(origin), unsaved);
                }
            }
        }
        self.open.touches.add(&entry, self.floor);
        self.open.bytes += bytes;
        self.open.mutations += 1;
        self.open.entries.push(entry);
        (self.last, superseded)
    }

    /// Takes the entry of a key out that is being dropped altogether (the memory-only store's
    /// eviction). Streams that have not passed it find a deletion in its place, because their
    /// replicas may have an older version. Nothing is taken from a window.
    pub(crate) fn forget(&mut self, seqno: Seqno) -> Option<Entry> {
        let passed = self.have_passed(seqno);
        let checkpoint = self.find_mut(seqno)?;
        if checkpoint.kind != Kind::Normal {
            return None;
        }
        if !passed {
            return checkpoint.delete(seqno);
        }
        let entry = checkpoint.remove(seqno)?;
        self.forgotten = self.forgotten.max(seqno);
        Some(entry)
    }

    /// Logs a `flush_all`: every key whose latest entry is older is gone from now on. The last one
    /// counts: one that was due later is not any more.
    pub(crate) fn flush(&mut self) -> Seqno {
        // The one before it in the same checkpoint says nothing more.
        if self.floor >= self.open.first && self.open.entries.remove(self.floor).is_some() {
            self.open.flushes -= 1;
        }
        self.floor = self.push_meta(Op::Flush);
        self.open.flushes += 1;
        self.open.due = Due::default();
        self.open.touches.flush();
        self.floor
    }

    /// Closes the open checkpoint when it is full.
    pub(crate) fn close_if_due(&mut self, limits: &Limits, now: impl FnOnce() -> u32) {
        let open = &self.open;
        let full = open.mutations >= limits.items_max && self.may_close(limits);
        let due = full || open.bytes >= limits.bytes_max;
        let may_close = open.kind == Kind::Normal && self.closes_by_itself();
        if due && may_close && self.may_give_id() {
            self.rotate(now());
        }
    }

    /// Closes the open checkpoint when it has reached its age. For a timer: an operation does not
    /// read the clock for this.
    pub(crate) fn close_if_old(&mut self, limits: &Limits, now: u32) -> Ageing {
        if self.open.kind != Kind::Normal || self.open.mutations == 0 {
            return Ageing::None;
        }
        let old = now.saturating_sub(self.open.created) >= limits.period;
        if old && self.may_close(limits) && self.may_give_id() {
            self.rotate(now);
            return Ageing::Closed;
        }
        Ageing::Ages
    }

    fn may_close(&self, limits: &Limits) -> bool {
        self.checkpoints() < limits.checkpoints_max && self.closes_by_itself()
    }

    /// Closes the open checkpoint when every cursor has passed something in it: once all have
    /// passed the rest too, nothing of it holds a value in memory. For when memory is short.
    pub(crate) fn close_for_memory(&mut self, now: u32) -> bool {
        let passed = self.needed();
        let mut first = None;
        self.open.entries.visit_after(Seqno::ZERO, &mut |entry| {
            first = entry.op().is_mutation().then(|| entry.seqno());
            first.is_none()
        });
        let closes = self.open.kind == Kind::Normal && first.is_some_and(|first| first <= passed);
        if closes && !self.closes_by_itself() {
            self.cut(now);
        } else if closes && self.may_give_id() {
            self.rotate(now);
        } else {
            return false;
        }
        true
    }

    /// Closes the open checkpoint and opens the next. Returns the closed one's last number.
    fn rotate(&mut self, now: u32) -> Seqno {
        let id = if self.is_receiving() {
            CheckpointId::default()
        } else {
            let id = self.next_id;
            self.next_id = id.next();
            id
        };
        self.rotate_to(id, now, [Op::CheckpointEnd, Op::CheckpointStart])
    }

    /// Goes on in another part of the open checkpoint, which another owner closes. Returns the last
    /// number of the one before.
    fn cut(&mut self, now: u32) -> Seqno {
        let last = self.rotate_to(self.open.id, now, [Op::Part, Op::Part]);
        self.open.continues = true;
        last
    }

    fn rotate_to(&mut self, id: CheckpointId, now: u32, [end, begin]: [Op; 2]) -> Seqno {
        let last = self.push_meta(end);
        let mut next = Checkpoint::new(id, last.next(), now);
        next.due = self.open.due;
        let mut closed = std::mem::replace(&mut self.open, next);
        closed.last = Some(last);
        self.closed.push_back(closed);
        self.push_meta(begin);
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
}

impl Checkpoint {
    fn new(id: CheckpointId, first: Seqno, created: u32) -> Self {
        Self {
            id,
            kind: Kind::Normal,
            continues: false,
            first,
            last: None,
            created,
            bytes: 0,
            superseded: 0,
            mutations: 0,
            flushes: 0,
            due: Due::default(),
            touches: Touches::default(),
            entries: Segments::default(),
        }
    }

    /// Puts a deletion in the place of a mutation, which is returned.
    fn delete(&mut self, seqno: Seqno) -> Option<Entry> {
        let entry = self.entries.get_mut(seqno)?;
        let item = entry.item.as_ref()?.key_only();
        let bytes = item.memory_bytes();
        let deletion = Entry::new(seqno, Op::Delete, Some(item));
        let entry = std::mem::replace(entry, deletion);
        self.bytes += bytes;
        self.bytes -= entry.item.as_ref().map_or(0, Item::memory_bytes);
        Some(entry)
    }

    /// Drops it; threads that no client waits for let others pass meanwhile. No lock held. `freed`
    /// learns of [`Self::reverted_bytes`], a part at a time, when they are free.
    pub(crate) fn dissolve(self, freed: &mut dyn FnMut(usize)) {
        match self.kind {
            Kind::Reverted => self.entries.dissolve(freed),
            _ => self.entries.dissolve(&mut |_| {}),
        }
    }

    /// Keys and values of a checkpoint that was taken back: nothing else holds them.
    pub(crate) fn reverted_bytes(&self) -> usize {
        match self.kind {
            Kind::Reverted => self.bytes,
            _ => 0,
        }
    }

    /// Takes the changes out. Its marks, which stand at its ends, stay for the streams.
    fn strip(&mut self) -> Self {
        let mut stripped = Self::new(self.id, self.first, self.created);
        stripped.kind = self.kind;
        std::mem::swap(&mut stripped.entries, &mut self.entries);
        for counts in [
            (&mut stripped.bytes, &mut self.bytes),
            (&mut stripped.mutations, &mut self.mutations),
            (&mut stripped.flushes, &mut self.flushes),
        ] {
            std::mem::swap(counts.0, counts.1);
        }
        let (first, last) = (self.first.get(), self.last.unwrap_or(self.first).get());
        for seqno in [first, first + 1, last.saturating_sub(1), last] {
            let seqno = Seqno::new(seqno);
            let entry = stripped.entries.get(seqno);
            if entry.is_some_and(|entry| !entry.op().is_change())
                && let Some(mark) = stripped.entries.remove(seqno)
            {
                self.entries.push(mark);
            }
        }
        stripped
    }

    fn remove(&mut self, seqno: Seqno) -> Option<Entry> {
        let entry = self.entries.remove(seqno)?;
        self.mutations -= 1;
        self.bytes -= entry.item.as_ref().map_or(0, Item::memory_bytes);
        Some(entry)
    }
}

/// Everything about a window, or about several, that a report shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct WindowReport {
    /// Since when, by the clock of ages.
    pub(crate) opened: Duration,
    /// When it reverts by itself, by the same clock; of several, the first that does.
    pub(crate) deadline: Option<Duration>,
    /// Distinct keys touched.
    pub(crate) touched: usize,
    /// What was done to them; while they are taken back, to those that are left.
    pub(crate) keys: Tally,
    /// Whether there was a `flush_all`, which deletes all the other keys as well.
    pub(crate) flushed: bool,
    /// Bytes of keys and values logged in it.
    pub(crate) bytes: usize,
    /// Pre-images that are not on disk yet.
    pub(crate) unsaved: usize,
    /// Keys that COMPLETE or REVERT has dealt with so far.
    pub(crate) done: usize,
}

impl WindowReport {
    /// Adds the window of another vbucket.
    pub(crate) fn add(&mut self, other: &Self) {
        self.opened = self.opened.min(other.opened);
        self.deadline = [self.deadline, other.deadline].into_iter().flatten().min();
        self.touched += other.touched;
        self.keys.add(other.keys);
        self.flushed |= other.flushed;
        self.bytes += other.bytes;
        self.unsaved += other.unsaved;
        self.done += other.done;
    }
}
