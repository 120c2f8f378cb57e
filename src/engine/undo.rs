//! BEFORE and UNDO: what a key was before the open window, and the way back for one key.
//!
//! A pre-image whose value is on disk only is read by a thread of the fetch pool: the first call
//! returns `WouldBlock`, and the second one, after the notification, finds it here. UNDO decides
//! under the gate of online update, so that no window begins or ends between its look and its
//! change; within a window a pre-image stays what it is.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::answers::{Answers, Owed};
use super::update::NO_WINDOW;
use super::{Core, Engine, UpdateError};
use crate::checkpoint::Was;
use crate::error::{Error, Result};
use crate::host::{Cookie, LogLevel};
use crate::item::Item;
use crate::store::Store;
use crate::types::{CheckpointId, VbucketId};
use crate::vbucket::{NotOpen, Vbucket};

/// Why nothing could be said of a key, or done to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum UndoError {
    /// No window is open, or it is being ended.
    Refused(UpdateError),
    /// The vbucket is not served here.
    NotMyVbucket,
    /// The window did nothing to the key.
    Untouched,
    /// The key has another CAS, or is locked.
    Exists,
    /// No room for the value.
    NoRoom,
    /// The value could not be read.
    Unreadable,
    /// The cursor belongs to a window that has ended.
    OtherWindow,
}

impl From<UpdateError> for UndoError {
    fn from(error: UpdateError) -> Self {
        Self::Refused(error)
    }
}

impl UndoError {
    /// There is no open window there.
    const fn no_window() -> Self {
        Self::Refused(UpdateError::Unsupported(NO_WINDOW))
    }

    /// The window has ended meanwhile.
    pub(super) const fn ended() -> Self {
        Self::Refused(UpdateError::Unsupported(
            "the online update has been completed or reverted meanwhile; see `stats onlineupdate`",
        ))
    }
}

/// What a client gets.
pub(crate) type Answer<T> = std::result::Result<T, UndoError>;

/// A read of the store.
#[derive(Debug)]
pub(super) struct Fetched {
    /// The key-only form of what was to be read.
    wanted: Item,
    full: Option<Item>,
}

/// Those that clients wait for.
pub(super) type PreImages = Answers<Fetched>;

fn is_same(one: &Item, other: &Item) -> bool {
    one.key() == other.key() && one.meta() == other.meta() && one.nbytes() == other.nbytes()
}

impl Core {
    /// The vbucket if the commands act on it.
    fn commanded_vbucket(&self, vbucket: u16) -> Answer<&Vbucket> {
        let vbucket = VbucketId::new(vbucket).and_then(|id| self.vbuckets.get(id));
        let vbucket = vbucket.filter(|vb| vb.takes_commands() && !vb.is_poisoned());
        let vbucket = vbucket.ok_or(UndoError::NotMyVbucket)?;
        self.flush_if_due(vbucket);
        Ok(vbucket)
    }

    /// The open windows that a client wants to see, in ascending order of their vbuckets.
    pub(super) fn windows_to_look_at(
        &self,
        vbucket: Option<u16>,
    ) -> Answer<Vec<(&Vbucket, CheckpointId)>> {
        let one = vbucket.map(|id| self.commanded_vbucket(id)).transpose()?;
        let open = self.open_at_rest(&mut self.updates.gate())?;
        for vbucket in &open {
            self.flush_if_due(vbucket);
        }
        let wanted = open
            .into_iter()
            .filter(|vb| one.is_none_or(|one| one.id() == vb.id()));
        let windows = wanted.filter_map(|vb| Some((vb, vb.open_window()?)));
        let windows: Vec<_> = windows.collect();
        if windows.is_empty() {
            return Err(UndoError::no_window());
        }
        Ok(windows)
    }

    /// Has a client wait for the keys of a vbucket: one that is not here yet looks as if nothing
    /// had been done to it.
    pub(super) fn loaded(&self, cookie: Cookie, vbucket: &Vbucket) -> Result<Answer<()>> {
        if !vbucket.is_loading() {
            return Ok(Ok(()));
        }
        if vbucket.is_poisoned() {
            return Ok(Err(UndoError::Unreadable));
        }
        Err(self.wait_until_loaded(vbucket, cookie))
    }

    /// What a key was, with its value; `fetched` is what this client had read.
    fn pre_image(
        self: &Arc<Self>,
        cookie: Cookie,
        vbucket: &Vbucket,
        key: &[u8],
        fetched: Option<Fetched>,
    ) -> Result<Answer<Option<Item>>> {
        let item = match vbucket.was(self.hash(key), key) {
            // What was found without it may be of any time.
            Err(NotOpen) => return Ok(Err(UndoError::ended())),
            Ok(None) => return Ok(Err(UndoError::Untouched)),
            Ok(Some(Was::Absent)) => return Ok(Ok(None)),
            Ok(Some(Was::Present(item))) => item,
        };
        if item.is_resident() {
            return Ok(Ok(Some(item)));
        }
        match fetched.filter(|fetched| is_same(&fetched.wanted, &item)) {
            Some(fetched) => Ok(fetched.full.ok_or(UndoError::Unreadable).map(Some)),
            None => Err(self.fetch_pre_image(cookie, vbucket.id(), item)),
        }
    }

    fn fetch_pre_image(self: &Arc<Self>, cookie: Cookie, vbucket: VbucketId, item: Item) -> Error {
        let core = Arc::clone(self);
        let owed = self.pre_images.expect(cookie);
        self.fetcher.submit(Box::new(move |store| {
            core.read_pre_image(vbucket, item, owed, store);
        }));
        Error::WouldBlock
    }

    /// Whether a client waits for that still: the window may have ended while it was read.
    fn is_wanted(&self, vbucket: VbucketId, wanted: &Item) -> bool {
        let vbucket = self.vbuckets.get(vbucket);
        let was = vbucket.and_then(|vbucket| vbucket.was(wanted.hash(), wanted.key()).ok());
        matches!(was, Some(Some(Was::Present(item)))
            if !item.is_resident() && is_same(&item, wanted))
    }

    fn read_pre_image(&self, vbucket: VbucketId, wanted: Item, owed: Owed, store: &dyn Store) {
        let mut full = None;
        let read = catch_unwind(AssertUnwindSafe(|| {
            self.evictor.relieve();
            let read = store.get(vbucket, wanted.key(), &mut |record| {
                if record.cas == wanted.cas() && record.value.len() == wanted.nbytes() {
                    full = Item::with_value(wanted.key(), &[record.value], wanted.meta());
                }
            });
            read.map(|_| full.is_none() && self.is_wanted(vbucket, &wanted))
        }));
        let failed = match read {
            Ok(Ok(false)) => None,
            Ok(Ok(true)) => Some(format!(
                "vbucket {vbucket}: the store does not hold what a key of {} bytes was before the \
                 online update",
                wanted.key().len()
            )),
            _ => Some("cannot read what a key was before the online update".to_owned()),
        };
        if let Some(text) = failed {
            self.host.log(LogLevel::Warning, &text);
        }
        let fetched = Fetched { wanted, full };
        self.host.notify(self.pre_images.put(owed, fetched));
    }

    fn before(
        self: &Arc<Self>,
        cookie: Cookie,
        key: &[u8],
        vbucket: u16,
    ) -> Result<Answer<Option<Item>>> {
        let fetched = self.pre_images.take(cookie)?;
        let vbucket = match self.commanded_vbucket(vbucket) {
            Ok(vbucket) => vbucket,
            Err(error) => return Ok(Err(error)),
        };
        let open = self.open_at_rest_of(&mut self.updates.gate(), vbucket);
        if let Err(error) = open {
            return Ok(Err(error.into()));
        }
        if let Err(error) = self.loaded(cookie, vbucket)? {
            return Ok(Err(error));
        }
        self.pre_image(cookie, vbucket, key, fetched)
    }

    fn undo(
        self: &Arc<Self>,
        cookie: Cookie,
        key: &[u8],
        cas: u64,
        vbucket: u16,
    ) -> Result<Answer<u64>> {
        let fetched = self.pre_images.take(cookie)?;
        let vbucket = match self.serving(cookie, vbucket) {
            Err(Error::NotMyVbucket) => return Ok(Err(UndoError::NotMyVbucket)),
            other => other?,
        };
        let mut gate = self.updates.gate();
        if let Err(error) = self.open_at_rest_of(&mut gate, vbucket) {
            return Ok(Err(error.into()));
        }
        let old = match self.pre_image(cookie, vbucket, key, fetched)? {
            Ok(old) => old,
            Err(error) => return Ok(Err(error)),
        };
        let room = old
            .as_ref()
            .map_or(Ok(()), |old| self.admit(old.memory_bytes()));
        if room.is_err() {
            return Ok(Err(UndoError::NoRoom));
        }
        let undone = vbucket.undo(self.hash(key), key, cas, old.as_ref());
        drop(gate);
        Ok(match undone {
            Ok(cas) => {
                self.changed();
                Ok(cas)
            }
            Err(Error::NotMyVbucket) => Err(UndoError::NotMyVbucket),
            Err(Error::TooBig | Error::NoMemory) => Err(UndoError::NoRoom),
            Err(_) => Err(UndoError::Exists),
        })
    }
}

impl Engine {
    /// What a key was before the open window; none if it did not exist. Call again after the
    /// notification.
    ///
    /// # Errors
    /// `WouldBlock` when a read was queued, or the keys are being loaded.
    pub(crate) fn before(
        &self,
        cookie: Cookie,
        key: &[u8],
        vbucket: u16,
    ) -> Result<Answer<Option<Item>>> {
        self.core.before(cookie, key, vbucket)
    }

    /// Gives a key back what it was before the open window, as an ordinary change. Returns its new
    /// CAS, 0 if it does not exist then. `cas` is that of its present version, 0 for any.
    ///
    /// # Errors
    /// `WouldBlock` when a read was queued, or the vbucket is pending.
    pub(crate) fn undo(
        &self,
        cookie: Cookie,
        key: &[u8],
        cas: u64,
        vbucket: u16,
    ) -> Result<Answer<u64>> {
        self.core.undo(cookie, key, cas, vbucket)
    }
}
