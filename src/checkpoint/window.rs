//! The window of one vbucket: from START to the end of COMPLETE or REVERT.
//!
//! States: none -> open -> completing -> none (or open again, when the store failed), and
//! open -> reverting -> none. The caller checks the state before each step; a step in the wrong
//! state changes nothing and says so.

use std::time::Duration;

use super::{
    Change, Checkpoint, Clocks, Due, Kind, Log, Op, Origin, Places, PreImage, Prior, WindowReport,
};
use crate::item::Item;
use crate::types::{CheckpointId, Seqno, UnixTime};

/// Behind every position.
const LAST: Seqno = Seqno::new(u64::MAX);

/// Where a window stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Mutations collect pre-images.
    Open,
    /// The entries up to `end` are being made durable. Mutations behind it still collect
    /// pre-images, for the case that the store fails.
    Completing {
        /// Last entry of the window.
        end: Seqno,
    },
    /// Keys whose latest entry lies between barrier and `end` are taken back.
    Reverting {
        /// Last entry of the window.
        end: Seqno,
    },
}

impl Phase {
    /// The word that statistics print.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Completing { .. } => "completing",
            Self::Reverting { .. } => "reverting",
        }
    }
}

/// A window.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    /// The last entry before the window.
    pub(crate) barrier: Seqno,
    /// Its state.
    pub(crate) phase: Phase,
    /// When it was opened, by the monotonic clock.
    pub(crate) opened: Duration,
    /// When it reverts by itself, by the same clock; none if it never does.
    pub(crate) deadline: Option<Duration>,
    /// Unix seconds then: what had expired by that time did not exist before.
    pub(super) started: UnixTime,
    /// The latest `flush_all` before START.
    pub(super) floor: Seqno,
    /// The latest one when the window's end was accepted.
    pub(super) flushed: Seqno,
    /// When a delayed one was due at START.
    pub(super) due: Due,
    /// Keys that COMPLETE has written.
    done: usize,
}

/// Versions that a window needs where no store has any.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kept {
    /// Those behind this number, what the window touched; or all of them: a REVERT is to find what
    /// it did not touch too, and what one has brought back already is any.
    behind: Option<Seqno>,
    /// From one number to before the other: what a `flush_all` of the window deleted.
    flushed: (Seqno, Seqno),
}

impl Kept {
    /// Whether all of them are.
    pub(crate) fn has_all(&self) -> bool {
        self.behind.is_none()
    }

    /// Whether a version is one of them.
    pub(crate) fn has(&self, seqno: Seqno) -> bool {
        let (from, before) = self.flushed;
        self.behind.is_none_or(|behind| seqno > behind) || (seqno >= from && seqno < before)
    }
}

impl Log {
    /// The window, if there is one.
    pub(crate) fn window(&self) -> Option<&Window> {
        self.window.as_ref()
    }

    /// What has to stay in memory for the window, if there is one and no store has any value.
    /// `follows` says that the vbucket is a replica: the mark that ends a master's window comes
    /// behind all that the master writes, for which there has to be room. A COMPLETE may fail, and
    /// then a REVERT finds what there was.
    pub(crate) fn kept(&self, follows: bool) -> Option<Kept> {
        let window = self.window?;
        let makes_room = follows && self.is_open_window() && self.window_of_master().0;
        Some(Kept {
            behind: makes_room.then_some(window.barrier),
            flushed: (window.floor, self.floor),
        })
    }

    /// Id of the window's checkpoint.
    pub(crate) fn window_id(&self) -> Option<CheckpointId> {
        let barrier = self.window?.barrier;
        self.all()
            .find(|checkpoint| checkpoint.first > barrier)
            .map(|checkpoint| checkpoint.id)
    }

    /// START: a new checkpoint begins that is held back from the store. False when a window exists
    /// or its ids are not reserved.
    pub(crate) fn open_window(&mut self, now: u32, opened: Duration) -> bool {
        if self.window.is_some() || !self.may_open_window() {
            return false;
        }
        let barrier = if self.closes_by_itself() {
            self.rotate(now)
        } else {
            // Another owner goes on in it: who asked for what is behind it would lack the rest.
            self.cut(now)
        };
        self.followed = None;
        self.begin_window(barrier, opened);
        true
    }

    /// Makes the open checkpoint the window's.
    pub(super) fn begin_window(&mut self, barrier: Seqno, opened: Duration) {
        self.open.kind = Kind::Window;
        self.push_meta(Op::UpdateStart);
        self.window = Some(Window {
            barrier,
            phase: Phase::Open,
            opened,
            deadline: None,
            started: 0,
            floor: self.floor,
            flushed: self.floor,
            due: self.open.due,
            done: 0,
        });
    }

    /// Tells a new window what the wall clock shows.
    pub(crate) fn note_start(&mut self, now: UnixTime) {
        if let Some(window) = &mut self.window {
            window.started = now;
        }
    }

    /// Sets when the window reverts by itself.
    pub(crate) fn set_deadline(&mut self, deadline: Option<Duration>) {
        if let Some(window) = &mut self.window
            && window.deadline != deadline
        {
            window.deadline = deadline;
            // Streams tell their replicas.
            self.turns += 1;
        }
    }

    /// What a key was before the window, by its latest entry, and at which place; none if that
    /// entry is not one of the window.
    pub(crate) fn pre_image_of(&self, seqno: Seqno) -> Option<&PreImage> {
        let window = self.window?;
        if seqno <= window.barrier {
            return None;
        }
        let mut checkpoints = self.all().rev();
        let checkpoint = checkpoints.find(|checkpoint| checkpoint.first <= seqno)?;
        checkpoint.entries.get(seqno)?.pre_image()
    }

    /// The pre-image that a first touch has to record now, and whether it is still to be saved;
    /// none without a window.
    pub(super) fn origin(
        &mut self,
        hash: u32,
        prior: Option<&Prior<'_>>,
    ) -> Option<(Origin, bool)> {
        let window = self.window?;
        if matches!(window.phase, Phase::Reverting { .. }) {
            return None;
        }
        if let Some(prior) = prior.filter(|prior| prior.seqno > window.barrier) {
            // Touched in the window that is completing: the same pre-image, should that fail.
            let entry = self.find_mut(prior.seqno)?.entries.get_mut(prior.seqno)?;
            let origin = entry.origin.as_deref().cloned()?;
            return Some((origin, entry.is_unsaved()));
        }
        let place = self.places.push(hash);
        let existed = |prior: &&Prior<'_>| !prior.deleted && prior.seqno >= window.floor;
        let Some(prior) = prior.filter(existed) else {
            let was = PreImage::Absent;
            return Some((Origin { was, place }, false));
        };
        let resident = prior.keep_value && prior.item.is_resident();
        let item = if resident {
            prior.item.clone()
        } else {
            prior.item.key_only()
        };
        let seqno = prior.seqno;
        let was = PreImage::Present { item, seqno };
        Some((Origin { was, place }, seqno > self.persisted))
    }

    /// COMPLETE accepted: the window's checkpoint is closed and a normal one opened. False unless
    /// the window is open and enough ids are reserved.
    pub(crate) fn begin_complete(&mut self, now: u32) -> bool {
        self.may_complete()
            && self.end_window(Op::UpdateEnd, Kind::Completing, now, |end| {
                Phase::Completing { end }
            })
    }

    /// REVERT accepted: as above, and a `flush_all` of the window counts no longer, nor does a
    /// delayed one that was told in it or came due in it, by what the `clocks` show.
    pub(crate) fn begin_revert(&mut self, now: u32, clocks: Clocks) -> bool {
        let done = self.end_window(Op::UpdateRevert, Kind::Reverted, now, |end| {
            Phase::Reverting { end }
        });
        self.reverts += u64::from(done);
        if let Some(window) = self.window.filter(|_| done) {
            self.floor = window.floor;
            self.restore_due(window.due, clocks);
        }
        done
    }

    fn end_window(
        &mut self,
        marker: Op,
        kind: Kind,
        now: u32,
        phase: impl FnOnce(Seqno) -> Phase,
    ) -> bool {
        if self.window.is_none_or(|window| window.phase != Phase::Open) {
            return false;
        }
        self.push_meta(marker);
        self.open.kind = kind;
        let id = self.open.id;
        let end = self.rotate(now);
        self.await_next(id);
        if let Some(window) = self.window.as_mut() {
            window.phase = phase(end);
            window.flushed = self.floor;
            window.done = 0;
        }
        true
    }

    /// Windows that were reverted so far.
    pub(crate) fn reverts(&self) -> u64 {
        self.reverts
    }

    /// The changes of the window that is completing or reverting, behind `after`; looks at `limit`
    /// entries at most. Returns the position to go on from, or `None` at the end.
    pub(crate) fn read_window(
        &self,
        after: Seqno,
        limit: usize,
        out: &mut Vec<Change>,
    ) -> Option<Seqno> {
        let window = self.window.as_ref()?;
        let mut closed = self.closed.iter();
        let checkpoint = closed.find(|checkpoint| checkpoint.first > window.barrier)?;
        checkpoint.collect(Op::is_change, (after, LAST), limit, out)
    }

    /// So many more keys of the completing window were written.
    pub(crate) fn note_completed(&mut self, keys: usize) {
        if let Some(window) = self.window.as_mut() {
            window.done += keys;
        }
    }

    /// Whether something that lies before its window is not durable yet.
    pub(crate) fn is_behind_window(&self) -> bool {
        self.window
            .is_some_and(|window| self.persisted < window.barrier)
    }

    /// Where the latest `flush_all` of the ending window stands, if there was one.
    pub(crate) fn window_flush(&self) -> Option<Seqno> {
        let window = self.window?;
        (window.flushed > window.barrier).then_some(window.flushed)
    }

    /// The same for the open checkpoint.
    pub(crate) fn read_open(
        &self,
        after: Seqno,
        limit: usize,
        out: &mut Vec<Change>,
    ) -> Option<Seqno> {
        self.open.collect(Op::is_change, (after, LAST), limit, out)
    }

    /// The commit of a completing window succeeded: it is an ordinary, durable checkpoint now.
    pub(crate) fn completed(&mut self) -> Vec<Checkpoint> {
        let Some(Window {
            phase: Phase::Completing { end },
            ..
        }) = self.window
        else {
            return Vec::new();
        };
        self.forget_window();
        self.turns += 1;
        let window = self.closed.iter_mut().find(|c| c.kind == Kind::Completing);
        let id = window.map(|checkpoint| {
            checkpoint.kind = Kind::Normal;
            checkpoint.id
        });
        self.advance(end, id.filter(|_| self.owns_ids()))
    }

    /// Id of the window's checkpoint if COMPLETE makes it durable to its end, else 0: it may be
    /// that of another owner, which goes on in it.
    pub(crate) fn completes(&self) -> Option<CheckpointId> {
        let id = self.window_id()?;
        let whole = self.owns_ids();
        Some(if whole { id } else { CheckpointId::default() })
    }

    /// The commit failed: the window is open again, with what was written since as part of it.
    pub(crate) fn complete_failed(&mut self) {
        let Some(index) = self.closed.iter().position(|c| c.kind == Kind::Completing) else {
            return;
        };
        let later: Vec<Checkpoint> = self.closed.drain(index + 1..).collect();
        let Some(mut merged) = self.closed.pop_back() else {
            return;
        };
        let placeholder = Checkpoint::new(self.open.id, self.last, 0);
        let open = std::mem::replace(&mut self.open, placeholder);
        // The window's own end: the marker and, behind it, the checkpoint end.
        if let Some(last) = merged.last.take() {
            merged.entries.remove(last);
            merged.entries.remove(Seqno::new(last.get() - 1));
        }
        for mut checkpoint in later.into_iter().chain(std::iter::once(open)) {
            checkpoint.entries.remove(checkpoint.first);
            if let Some(last) = checkpoint.last {
                checkpoint.entries.remove(last);
            }
            merged.mutations += checkpoint.mutations;
            merged.flushes += checkpoint.flushes;
            merged.bytes += checkpoint.bytes;
            merged.superseded += checkpoint.superseded;
            merged.due = checkpoint.due;
            if checkpoint.flushes > 0 {
                merged.touches.flush();
            }
            merged.touches.append(checkpoint.touches);
            merged.entries.append(checkpoint.entries);
        }
        merged.kind = Kind::Window;
        self.turns += 1;
        self.open = merged;
        if let Some(window) = self.window.as_mut() {
            window.phase = Phase::Open;
        }
    }

    /// Drops the entry of the open window that a later one of the same key made void: after a
    /// failed COMPLETE a key may stand in it twice. `latest` is what the hash table says.
    pub(crate) fn bury_duplicate(&mut self, seqno: Seqno, latest: Seqno) -> bool {
        let window = self.open.kind == Kind::Window && seqno >= self.open.first;
        let buried = if window && latest > seqno {
            self.open.remove(seqno)
        } else {
            None
        };
        if let Some(entry) = &buried {
            self.open.touches.remove(entry, self.floor);
            let bytes = entry.item.as_ref().map_or(0, Item::memory_bytes);
            self.open.superseded = self.open.superseded.saturating_sub(bytes);
        }
        buried.is_some()
    }

    /// The window was opened in vain: its changes are ordinary ones. Streams are told that it ends
    /// and stays.
    pub(crate) fn dissolve_window(&mut self, now: u32) {
        if self.end_window(Op::UpdateEnd, Kind::Normal, now, |end| Phase::Completing {
            end,
        }) {
            self.forget_window();
        }
    }

    fn forget_window(&mut self) -> Option<Window> {
        self.places = Places::default();
        self.window.take()
    }

    /// Takes the pre-image of a window entry that is being reverted.
    pub(crate) fn take_pre_image(&mut self, seqno: Seqno) -> Option<PreImage> {
        let floor = self.window_floor();
        let Checkpoint {
            entries, touches, ..
        } = self.find_mut(seqno)?;
        let entry = entries.get_mut(seqno)?;
        touches.remove(entry, floor);
        entry.save();
        entry.origin.take().map(|origin| origin.was)
    }

    /// A pre-image has become durable. Unless its value is to be kept, its key-only form will do:
    /// returns the item to drop with no lock held. `latest` is the key's window entry, `seqno` the
    /// durable version.
    pub(crate) fn pre_image_saved(
        &mut self,
        latest: Seqno,
        seqno: Seqno,
        keep: bool,
    ) -> Option<Item> {
        let Checkpoint {
            entries, touches, ..
        } = self.find_mut(latest)?;
        let entry = entries.get_mut(latest)?;
        let unsaved = entry.is_unsaved();
        match entry.pre_image_mut()? {
            PreImage::Present { item, seqno: at } if *at == seqno => {
                let full = (!keep).then(|| evict(item)).flatten();
                touches.unsaved -= usize::from(unsaved);
                entry.save();
                full
            }
            _ => None,
        }
    }

    /// Lets go of values of pre-images that are on disk, behind `after`; looks at `limit` entries.
    /// Returns where to go on, or `None` at the end. What is in `out` is to be dropped with no lock
    /// held.
    pub(crate) fn evict_pre_images(
        &mut self,
        after: Seqno,
        limit: usize,
        out: &mut Vec<Item>,
    ) -> Option<Seqno> {
        let barrier = self.window?.barrier;
        let persisted = self.persisted;
        let mut checkpoints = self
            .closed
            .iter_mut()
            .chain(std::iter::once(&mut self.open));
        let window = checkpoints.find(|checkpoint| checkpoint.first > barrier)?;
        let mut seqnos = Vec::new();
        let ended = window.entries.visit_after(after, &mut |entry| {
            seqnos.push(entry.seqno());
            seqnos.len() < limit
        });
        for &seqno in &seqnos {
            let entry = window.entries.get_mut(seqno);
            let pre_image = entry.and_then(|entry| entry.pre_image_mut());
            if let Some(PreImage::Present { item, seqno }) = pre_image
                && *seqno <= persisted
            {
                out.extend(evict(item));
            }
        }
        seqnos.pop().filter(|_| !ended)
    }

    /// Every key of a reverting window has been taken back. Returns what nobody needs any more: the
    /// window's changes, whoever still has to pass its place, and checkpoints.
    pub(crate) fn reverted(&mut self) -> Vec<Checkpoint> {
        let reverting = |window: &Window| matches!(window.phase, Phase::Reverting { .. });
        let window = self.window.filter(reverting);
        if window.is_some() {
            self.forget_window();
            self.followed_to(Op::UpdateRevert);
        }
        let taken = window.and_then(|window| {
            let first = |c: &&mut Checkpoint| c.first > window.barrier;
            self.closed.iter_mut().find(first).map(Checkpoint::strip)
        });
        let mut free = self.advance(self.persisted, None);
        free.extend(taken);
        free
    }

    /// Figures of the window.
    pub(crate) fn window_report(&self) -> Option<WindowReport> {
        let window = self.window?;
        let checkpoint = self.all().find(|c| c.first > window.barrier)?;
        let keys = checkpoint.touches.tally();
        Some(WindowReport {
            opened: window.opened,
            deadline: window.deadline,
            touched: checkpoint.mutations,
            keys,
            flushed: checkpoint.flushes > 0,
            bytes: checkpoint.bytes,
            unsaved: checkpoint.touches.unsaved,
            done: match window.phase {
                Phase::Open => 0,
                Phase::Completing { .. } => window.done,
                Phase::Reverting { .. } => checkpoint.mutations - keys.sum(),
            },
        })
    }
}

/// Leaves the key-only form of a value and returns the full one.
fn evict(item: &mut Item) -> Option<Item> {
    let key_only = item.is_resident().then(|| item.key_only())?;
    Some(std::mem::replace(item, key_only))
}
