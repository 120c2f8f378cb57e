//! What a window did to the keys that it touched, counted while it is logged.
//!
//! A key counts by whether it existed before START and by what its latest entry says; a `flush_all`
//! behind that entry says that the key is gone. Entries before the latest flush of their checkpoint
//! have counts of their own, so that a flush moves two sums and looks at no entry.
//!
//! No clock, lock or I/O.

use super::entry::{Entry, Op, PreImage};
use super::{Log, Phase};
use crate::item::Item;
use crate::types::{STRIPES, Seqno, stripe};

/// What a window did to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Touch {
    /// It did not exist before.
    Added,
    /// It existed before, and does now.
    Updated,
    /// It existed before.
    Deleted,
    /// It was added and is gone again: COMPLETE and REVERT come to the same.
    Vanished,
}

impl Touch {
    pub(super) const fn of(existed: bool, exists: bool) -> Self {
        match (existed, exists) {
            (false, true) => Self::Added,
            (true, true) => Self::Updated,
            (true, false) => Self::Deleted,
            (false, false) => Self::Vanished,
        }
    }

    /// How many keys more there are when it has been taken back.
    const fn undone(self) -> i32 {
        match self {
            Self::Added => -1,
            Self::Deleted => 1,
            Self::Updated | Self::Vanished => 0,
        }
    }

    /// The word that statistics print.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Updated => "updated",
            Self::Deleted => "deleted",
            Self::Vanished => "vanished",
        }
    }
}

/// Keys by what was done to them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// [`Touch::Added`].
    pub(crate) added: usize,
    /// [`Touch::Updated`].
    pub(crate) updated: usize,
    /// [`Touch::Deleted`].
    pub(crate) deleted: usize,
    /// [`Touch::Vanished`].
    pub(crate) vanished: usize,
}

impl Tally {
    fn of(&mut self, touch: Touch) -> &mut usize {
        match touch {
            Touch::Added => &mut self.added,
            Touch::Updated => &mut self.updated,
            Touch::Deleted => &mut self.deleted,
            Touch::Vanished => &mut self.vanished,
        }
    }

    /// All of them.
    pub(crate) const fn sum(&self) -> usize {
        self.added + self.updated + self.deleted + self.vanished
    }

    /// Adds others.
    pub(crate) fn add(&mut self, other: Self) {
        self.added += other.added;
        self.updated += other.updated;
        self.deleted += other.deleted;
        self.vanished += other.vanished;
    }
}

/// The counts of one checkpoint's entries that carry a pre-image.
#[derive(Clone, Debug, Default)]
pub(super) struct Touches {
    /// Behind the latest flush, by operation.
    since: Tally,
    /// Before it, by operation.
    before: Tally,
    /// How many keys more each stripe has when they have been taken back, as if there had been no
    /// flush; none while that is zero for all.
    undone: Option<Box<[i32; STRIPES]>>,
    /// Entries whose pre-image is not on disk yet.
    pub(super) unsaved: usize,
}

impl Touches {
    /// Counts an entry; `floor` is the position of the latest flush.
    pub(super) fn add(&mut self, entry: &Entry, floor: Seqno) {
        if let Some(touch) = entry.touch() {
            *self.side(entry, floor).of(touch) += 1;
            self.undo(entry, touch.undone());
            self.unsaved += usize::from(entry.is_unsaved());
        }
    }

    /// Counts it no longer.
    pub(super) fn remove(&mut self, entry: &Entry, floor: Seqno) {
        if let Some(touch) = entry.touch() {
            *self.side(entry, floor).of(touch) -= 1;
            self.undo(entry, -touch.undone());
            self.unsaved -= usize::from(entry.is_unsaved());
        }
    }

    fn undo(&mut self, entry: &Entry, by: i32) {
        let Some(item) = entry.item.as_ref().filter(|_| by != 0) else {
            return;
        };
        let undone = self.undone.get_or_insert_with(|| Box::new([0; STRIPES]));
        if let Some(keys) = undone.get_mut(stripe(item.hash())) {
            *keys += by;
        }
    }

    fn side(&mut self, entry: &Entry, floor: Seqno) -> &mut Tally {
        if entry.seqno() < floor {
            &mut self.before
        } else {
            &mut self.since
        }
    }

    /// A flush comes behind all entries.
    pub(super) fn flush(&mut self) {
        self.before.add(std::mem::take(&mut self.since));
    }

    /// The counts of a checkpoint that follows come to these.
    pub(super) fn append(&mut self, later: Self) {
        self.since.add(later.since);
        self.before.add(later.before);
        self.unsaved += later.unsaved;
        for (index, keys) in later
            .undone
            .into_iter()
            .flat_map(|undone| *undone)
            .enumerate()
        {
            let undone = self.undone.get_or_insert_with(|| Box::new([0; STRIPES]));
            if let Some(sum) = undone.get_mut(index) {
                *sum += keys;
            }
        }
    }

    /// What was done to the keys.
    pub(super) fn tally(&self) -> Tally {
        let Self { since, before, .. } = self;
        Tally {
            added: since.added,
            updated: since.updated,
            deleted: since.deleted + before.deleted + before.updated,
            vanished: since.vanished + before.vanished + before.added,
        }
    }
}

/// A key that a window touched.
#[derive(Clone, Debug)]
pub(crate) struct Touched {
    /// Its latest item.
    pub(crate) item: Item,
    /// What was done to it.
    pub(crate) touch: Touch,
    /// Length of its value before START, if it had one.
    pub(crate) old: Option<usize>,
}

impl Touched {
    /// Length of its value now, if it has one.
    pub(crate) fn length(&self) -> Option<usize> {
        let exists = matches!(self.touch, Touch::Added | Touch::Updated);
        exists.then(|| self.item.nbytes())
    }
}

impl Entry {
    /// What the window did to the key by this operation.
    fn touch(&self) -> Option<Touch> {
        let existed = matches!(self.pre_image()?, PreImage::Present { .. });
        Some(Touch::of(existed, self.op() == Op::Set))
    }

    fn touched(&self, floor: Seqno) -> Option<Touched> {
        let old = match self.pre_image()? {
            PreImage::Present { item, .. } => Some(item.nbytes()),
            PreImage::Absent => None,
        };
        let exists = self.op() == Op::Set && self.seqno() >= floor;
        Some(Touched {
            item: self.item.clone()?,
            touch: Touch::of(old.is_some(), exists),
            old,
        })
    }
}

impl Log {
    /// The latest flush that counts for the window's entries.
    pub(super) fn window_floor(&self) -> Seqno {
        match self.window {
            Some(window) if window.phase != Phase::Open => window.flushed,
            _ => self.floor,
        }
    }

    /// Reads some of the keys that the window touched and did not take back yet, behind `after`;
    /// looks at `limit` entries. Returns where to go on, or `None` at the end.
    pub(crate) fn read_touched(
        &self,
        after: Seqno,
        limit: usize,
        out: &mut Vec<Touched>,
    ) -> Option<Seqno> {
        let barrier = self.window?.barrier;
        let window = self.all().find(|c| c.first > barrier)?;
        let floor = self.window_floor();
        let mut upto = after;
        let mut left = limit;
        let ended = window.entries.visit_after(after, &mut |entry| {
            let looks = left > 0;
            if looks {
                left -= 1;
                upto = entry.seqno();
                out.extend(entry.touched(floor));
            }
            looks
        });
        (!ended).then_some(upto)
    }

    /// The latest flush, and the one that a revert would come back to.
    pub(crate) fn floors(&self) -> (Seqno, Seqno) {
        (
            self.floor,
            self.window.map_or(self.floor, |window| window.floor),
        )
    }

    /// The latest flush before the state that an undecided window left; once it is taken back, the
    /// latest one of all.
    pub(crate) fn floor_of_state(&self) -> Seqno {
        let undecided = |window: &super::Window| !matches!(window.phase, Phase::Reverting { .. });
        let window = self.window.filter(undecided);
        window.map_or(self.floor, |window| window.floor)
    }

    /// How many keys more a stripe has when a revert under way has taken all of it back. A
    /// `flush_all` since then deletes them.
    pub(crate) fn unreverted(&self, stripe: usize) -> isize {
        let reverting = self.window.filter(|window| {
            matches!(window.phase, Phase::Reverting { .. }) && window.floor == self.floor
        });
        let window = reverting.and_then(|w| self.all().find(|c| c.first > w.barrier));
        let undone = window.and_then(|window| window.touches.undone.as_ref());
        let keys = undone.and_then(|undone| undone.get(stripe).copied());
        keys.map_or(0, |keys| isize::try_from(keys).unwrap_or_default())
    }
}
