//! Readers of the log: the cursor of persistence and the named ones of streams to replicas.
//!
//! A cursor is a name and a position. One function reads on from a position, [`Log::read`], for
//! whoever it is; what was read is behind a cursor only when the cursor is moved there, so a reader
//! that fails half way reads again. What lies ahead is counted from the entries.

use std::sync::Arc;

use super::{Checkpoint, Entry, Kind, Log, Op};
use crate::item::Item;
use crate::types::{CheckpointId, Seqno, UnixTime};

/// Whom a read is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum View {
    /// Persistence: the changes that may be written. A window that is open or completing stops it,
    /// one that was reverted is skipped.
    Store,
    /// A stream to a replica: changes and marks in their order, also of the open window and of one
    /// that was reverted. Before the mark of a COMPLETE it waits until that is committed.
    Stream,
}

/// One entry as a reader gets it.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    /// Position.
    pub(crate) seqno: Seqno,
    /// What happened; marks for streams only.
    pub(crate) op: Op,
    /// The item of a set or delete.
    pub(crate) item: Option<Item>,
    /// The checkpoint it stands in.
    pub(crate) checkpoint: CheckpointId,
    /// The store had no row of the key before, as far as the table knew.
    pub(crate) is_new: bool,
}

/// Where a read ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ReadEnd {
    /// Everything up to here was read.
    pub(crate) upto: Seqno,
    /// The changes up to here make a state that the vbucket really was in: a batch may end here.
    pub(crate) consistent: bool,
    /// Nothing more can be read at present.
    pub(crate) exhausted: bool,
    /// The checkpoint that was read to its end; none if its id says nothing any more.
    pub(crate) closed: Option<CheckpointId>,
    /// When a delayed `flush_all` is due as of a consistent end; none if nothing was read.
    pub(crate) due: Option<UnixTime>,
}

/// Where a stream wants to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Begin {
    /// Where its cursor stands.
    Resume,
    /// With this checkpoint, from its start: a client that names it may have lost what it
    /// acknowledged of it. Not found if something from there on was taken out.
    Checkpoint(CheckpointId),
    /// The same. Not found either if the client may mean one of another history by that id.
    IfBelieved(CheckpointId),
    /// With the first checkpoint of all: the client has nothing.
    First,
    /// With the oldest checkpoint in memory.
    #[cfg(test)]
    Oldest,
    /// With the open checkpoint. While a window is open or completing, with the window's: a replica
    /// has to know it to be able to take it back.
    Open,
}

/// Where a stream begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Begun {
    /// Its cursor.
    pub(crate) at: Seqno,
    /// The checkpoint from which it reads next.
    pub(crate) checkpoint: CheckpointId,
    /// Whether that is what was wanted. If not, it begins as with [`Begin::Open`], and has to be
    /// given the state before that checkpoint first.
    pub(crate) found: bool,
}

impl Log {
    /// Reads on behind `after` in one checkpoint, oldest entry first. Looks at `limit` entries at
    /// most: call again with the end of the last call, until it is consistent or exhausted.
    pub(crate) fn read(
        &self,
        view: View,
        after: Seqno,
        limit: usize,
        out: &mut Vec<Change>,
    ) -> ReadEnd {
        let mut end = ReadEnd {
            upto: after,
            consistent: true,
            exhausted: true,
            closed: None,
            due: None,
        };
        let mut ahead = self.ahead(after);
        let Some((checkpoint, readable)) = ahead
            .next()
            .map(|checkpoint| (checkpoint, checkpoint.readable(view, self.last)))
            .filter(|(_, readable)| *readable > after)
        else {
            return end;
        };
        let stopped = checkpoint
            .wanted(view)
            .and_then(|wanted| checkpoint.collect(wanted, (after, readable), limit, out));
        if let Some(upto) = stopped {
            return ReadEnd {
                upto,
                consistent: false,
                exhausted: false,
                closed: None,
                due: None,
            };
        }
        end.upto = readable;
        end.due = Some(checkpoint.due.at);
        if checkpoint.last == Some(readable) {
            let next = ahead.next();
            let whole = next.is_none_or(|next| !next.continues);
            let named = whole && checkpoint.first >= self.named_from && self.is_named();
            end.closed = Some(checkpoint.id).filter(|_| named);
            end.exhausted = next.is_none_or(|next| next.readable(view, self.last) <= readable);
        }
        end
    }

    /// The checkpoints that are not wholly before or at a position.
    pub(super) fn ahead(&self, after: Seqno) -> impl Iterator<Item = &Checkpoint> {
        let from = self
            .closed
            .partition_point(|c| c.last.is_some_and(|last| last <= after));
        let open = std::iter::once(&self.open);
        self.closed.range(from..).chain(open)
    }

    /// Whether the checkpoint is closed that a reader at a position goes on in: what it has to give
    /// does not change any more.
    pub(crate) fn is_closed_after(&self, after: Seqno) -> bool {
        self.ahead(after)
            .next()
            .is_some_and(|checkpoint| checkpoint.last.is_some())
    }

    /// When the checkpoint began that a reader at a position goes on in.
    pub(crate) fn begun_after(&self, after: Seqno) -> u32 {
        self.ahead(after).next().unwrap_or(&self.open).created
    }

    /// Live changes behind a position that a stream there will be given at some time.
    pub(crate) fn remaining(&self, after: Seqno) -> usize {
        self.remaining_to(after, usize::MAX)
    }

    /// The same, or `most` if there are more.
    pub(crate) fn remaining_to(&self, after: Seqno, most: usize) -> usize {
        let mut count = 0;
        for checkpoint in self.ahead(after) {
            count += checkpoint.changes_after(after);
            if count >= most {
                return most;
            }
        }
        count
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
            self.checkpoint_persisted(upto, id);
        }
        self.free()
    }

    /// Takes out the checkpoints that nobody needs any more.
    pub(crate) fn free(&mut self) -> Vec<Checkpoint> {
        let needed = self.needed();
        let free = self
            .closed
            .partition_point(|c| c.last.is_some_and(|last| last <= needed));
        self.closed.drain(..free).collect()
    }

    /// Neither persistence nor a revert needs anything up to here.
    fn settled(&self) -> Seqno {
        let window = self.window.map(|window| window.barrier);
        self.persisted.min(window.unwrap_or(self.persisted))
    }

    /// Nobody needs anything up to here.
    pub(super) fn needed(&self) -> Seqno {
        let settled = self.settled();
        settled.min(self.cursors.slowest().unwrap_or(settled))
    }

    /// Whether no stream will read that place again.
    pub(super) fn have_passed(&self, seqno: Seqno) -> bool {
        self.cursors.slowest().is_none_or(|at| at >= seqno)
    }

    /// Where the slowest named cursor stands.
    pub(crate) fn slowest_cursor(&self) -> Option<Seqno> {
        self.cursors.slowest()
    }

    /// Number of named cursors.
    pub(crate) fn cursors(&self) -> usize {
        self.cursors.len()
    }

    /// Position of a named cursor; none when it was dropped: its stream has to begin anew.
    pub(crate) fn cursor(&self, name: &[u8]) -> Option<Seqno> {
        self.cursors.get(name)
    }

    /// Whether a place lies in a window that was reverted.
    pub(crate) fn is_reverted(&self, seqno: Seqno) -> bool {
        let checkpoint = self.all().rfind(|checkpoint| checkpoint.first <= seqno);
        checkpoint.is_some_and(|checkpoint| checkpoint.kind == Kind::Reverted)
    }

    /// Makes a cursor, or moves the one of that name.
    pub(crate) fn register(&mut self, name: impl Into<Arc<[u8]>>, from: Begin) -> Begun {
        let name = name.into();
        let present = self.cursor(&name);
        let found = match from {
            Begin::Resume => present,
            Begin::Checkpoint(id) => self.before_checkpoint(id),
            Begin::IfBelieved(id) if self.believes(&name, id) => self.before_checkpoint(id),
            Begin::IfBelieved(_) => None,
            Begin::First => {
                let first = CheckpointId::new(1);
                self.believes(&name, first);
                self.before_checkpoint(first)
            }
            #[cfg(test)]
            Begin::Oldest => self.all().next().map(Checkpoint::before),
            Begin::Open => Some(self.base().before()),
        };
        let at = found.unwrap_or(self.base().before());
        self.cursors.put(name, at);
        let next = self.ahead(at).next().unwrap_or(&self.open);
        Begun {
            at,
            checkpoint: next.id,
            found: found.is_some(),
        }
    }

    /// Where a checkpoint begins, if all of it and of what follows is here.
    fn before_checkpoint(&self, id: CheckpointId) -> Option<Seqno> {
        let parts = self.all().rev().skip_while(|part| part.id != id);
        let begin = { parts }.find(|part| !part.continues)?;
        let decided = begin.first <= self.base().first;
        let whole = begin.id == id && decided && begin.first > self.forgotten;
        whole.then(|| begin.before())
    }

    /// The end of the last window behind a place that was completed; the place if there is none.
    pub(crate) fn completed_behind(&self, at: Seqno) -> Seqno {
        let is_window = |part: &Checkpoint| {
            let second = part.entries.get(part.first.next());
            second.is_some_and(|entry| entry.op() == Op::UpdateStart)
        };
        let mut later = { self.closed.iter().rev() }.take_while(|part| part.first > at);
        let window = later.find(|part| part.kind == Kind::Normal && is_window(part));
        window.and_then(|window| window.last).unwrap_or(at)
    }

    /// The checkpoint with which a stream begins that has the state before it: none behind a window
    /// whose fate is open.
    fn base(&self) -> &Checkpoint {
        let undecided = |c: &&Checkpoint| matches!(c.kind, Kind::Window | Kind::Completing);
        self.all().find(undecided).unwrap_or(&self.open)
    }

    /// Moves a cursor forward to what its stream was given for good, and returns the checkpoints
    /// that nobody needs any more.
    pub(crate) fn move_cursor(&mut self, name: &[u8], to: Seqno) -> Vec<Checkpoint> {
        self.cursors.advance(name, to.min(self.last));
        self.free()
    }

    /// Drops a cursor, and returns the checkpoints that nobody needs any more.
    pub(crate) fn drop_cursor(&mut self, name: &[u8]) -> Vec<Checkpoint> {
        if self.cursors.remove(name) {
            self.turns += 1;
        }
        self.free()
    }

    /// Bytes of keys and values in closed checkpoints that only named cursors hold back.
    pub(crate) fn held_back(&self) -> usize {
        let settled = self.settled();
        let held = self
            .closed
            .iter()
            .take_while(|c| c.last.is_some_and(|last| last <= settled));
        held.map(|checkpoint| checkpoint.bytes).sum()
    }

    /// Drops the cursor that is furthest behind. Returns its name and what nobody needs any more.
    pub(crate) fn drop_slowest(&mut self) -> Option<(Arc<[u8]>, Vec<Checkpoint>)> {
        let name = self.cursors.at(self.cursors.slowest()?)?;
        let free = self.drop_cursor(&name);
        Some((name, free))
    }
}

impl Checkpoint {
    /// Position just before it.
    fn before(&self) -> Seqno {
        Seqno::new(self.first.get() - 1)
    }

    /// The last position that may be read at present; `last` is the log's.
    fn readable(&self, view: View, last: Seqno) -> Seqno {
        let end = self.last.unwrap_or(last);
        match (view, self.kind) {
            (View::Store, Kind::Window | Kind::Completing) => self.before(),
            // Its last two entries are the mark of COMPLETE and the checkpoint end.
            (View::Stream, Kind::Completing) => Seqno::new(end.get() - 2),
            _ => end,
        }
    }

    /// Which of its entries a reader gets; none when it need not be looked into.
    fn wanted(&self, view: View) -> Option<fn(Op) -> bool> {
        match (view, self.kind) {
            (View::Store, Kind::Reverted) => None,
            (View::Store, _) => Some(Op::is_change),
            (View::Stream, _) => Some(|_| true),
        }
    }

    /// Reads what is wanted behind the first up to the second position, and looks at `limit`
    /// entries at most. Returns where to go on, or `None` at the end.
    pub(crate) fn collect(
        &self,
        wanted: fn(Op) -> bool,
        (after, end): (Seqno, Seqno),
        limit: usize,
        out: &mut Vec<Change>,
    ) -> Option<Seqno> {
        let mut upto = after;
        let mut left = limit;
        self.entries.visit_whole_after(after, &mut |entry| {
            let looks = left > 0 && entry.seqno() <= end;
            if looks {
                left -= 1;
                upto = entry.seqno();
                out.extend(wanted(entry.op()).then(|| self.change(entry)));
            }
            looks
        });
        (left == 0 && upto < end).then_some(upto)
    }

    fn change(&self, entry: &Entry) -> Change {
        Change {
            seqno: entry.seqno(),
            op: entry.op(),
            item: entry.item.clone(),
            checkpoint: self.id,
            is_new: entry.is_new(),
        }
    }

    /// Live changes behind a position.
    pub(super) fn changes_after(&self, after: Seqno) -> usize {
        if self.last.is_some_and(|last| last <= after) {
            return 0;
        }
        if after < self.first {
            return self.mutations + self.flushes;
        }
        self.entries.changes_after(after)
    }

    /// Live changes.
    pub(crate) fn changes(&self) -> usize {
        self.mutations + self.flushes
    }
}
