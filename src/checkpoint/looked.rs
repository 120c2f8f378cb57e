//! What an open window did to a key, for who looks before deciding.
//!
//! No clock, lock or I/O.

use super::{Log, PreImage, Touch, Window};
use crate::item::Item;
use crate::types::{CheckpointId, Seqno, UnixTime};

/// What a key was before the window.
#[derive(Clone, Debug)]
pub(crate) enum Was {
    /// There was no such key, or it had expired.
    Absent,
    /// It had this item, perhaps the key-only form.
    Present(Item),
}

/// What a window did to a key.
#[derive(Clone, Debug)]
pub(crate) struct Looked {
    /// In a word.
    pub(crate) touch: Touch,
    /// Its item before the window, if it had one; perhaps the key-only form.
    pub(crate) old: Option<Item>,
    /// Its item now, likewise.
    pub(crate) new: Option<Item>,
    /// Its key, also where it has neither.
    pub(crate) latest: Item,
    /// A client has locked it: its CAS now is the key to that lock.
    pub(crate) locked: bool,
}

/// A key's slot in the table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Latest<'a> {
    pub(crate) item: &'a Item,
    pub(crate) seqno: Seqno,
    pub(crate) deleted: bool,
    pub(crate) locked: bool,
}

impl Window {
    fn was(&self, item: &Item) -> Was {
        if item.expiry() != 0 && item.expiry() <= self.started {
            Was::Absent
        } else {
            Was::Present(item.clone())
        }
    }

    /// What a key was that was not touched one by one.
    fn was_there(&self, latest: Latest<'_>) -> Was {
        if latest.deleted || latest.seqno < self.floor {
            Was::Absent
        } else {
            self.was(latest.item)
        }
    }
}

impl Log {
    /// The open window with that id.
    pub(crate) fn open_window_of(&self, id: CheckpointId) -> Option<&Window> {
        let open = self.is_open_window() && self.window_id() == Some(id);
        self.window.as_ref().filter(|_| open)
    }

    /// The places from one on, each with the hash of its key. Returns how many places there are.
    pub(crate) fn read_places(&self, from: u32, limit: usize, out: &mut Vec<(u32, u32)>) -> u32 {
        self.places.read(from, limit, out);
        self.places.count()
    }

    /// Whether a `flush_all` in the open window has taken keys that it did not touch one by one.
    pub(crate) fn is_flushed_in_window(&self) -> bool {
        self.window
            .is_some_and(|window| self.floor > window.barrier)
    }

    /// The place of a key that the open window touched, by its latest entry.
    pub(crate) fn place_of(&self, seqno: Seqno) -> Option<u32> {
        let entry = self.open.entries.get(seqno)?;
        entry.origin.as_deref().map(|origin| origin.place)
    }

    /// What a key was before the open window, by its slot; `None` if the window did nothing to it.
    pub(crate) fn was(&self, latest: Latest<'_>) -> Option<Was> {
        let window = self.window.filter(|_| self.is_open_window())?;
        if latest.seqno <= window.barrier {
            let taken = self.is_flushed_in_window() && !latest.deleted;
            let was = window.was_there(latest);
            return (taken && matches!(was, Was::Present(_))).then_some(was);
        }
        Some(match self.pre_image_of(latest.seqno)? {
            PreImage::Absent => Was::Absent,
            PreImage::Present { item, .. } => window.was(item),
        })
    }

    /// What the open window did to a key, by its slot; `None` if nothing. `now` are Unix seconds.
    pub(crate) fn looked(&self, latest: Latest<'_>, now: UnixTime) -> Option<Looked> {
        let old = match self.was(latest)? {
            Was::Absent => None,
            Was::Present(item) => Some(item),
        };
        let expiry = latest.item.expiry();
        let exists = !latest.deleted && latest.seqno >= self.floor && (expiry == 0 || expiry > now);
        Some(Looked {
            touch: Touch::of(old.is_some(), exists),
            old,
            new: exists.then(|| latest.item.clone()),
            latest: latest.item.clone(),
            locked: latest.locked,
        })
    }
}
