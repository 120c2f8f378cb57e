//! What a restore has to know: the keys that are gone for good since it began. It puts a key in
//! place only where there is none, and a key that was deleted meanwhile is to stay away. And the
//! vbuckets that were something else meanwhile, whose keys have gone or changed without clients.
//!
//! Threads: any. Nothing here waits for the disk or calls the host.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use super::replica::keeps_cas;
use super::{LockRule, Trash, Vbucket, Verdict};
use crate::error::{Error, Result};
use crate::item::Item;
use crate::types::{VbucketId, VbucketState};

/// About what is kept of a key besides the key.
pub(crate) const NOTE_BYTES: usize = 64;
/// Share of the quota that notes of what clients deleted may take: one in so many. With more of
/// them clients make no new keys, which is all that more notes could come from.
const NOTES_SHARE: u64 = 8;

/// What is gone of one vbucket.
#[derive(Debug)]
pub(super) enum Gone {
    /// These keys. A tree, because one key more never takes the time of many.
    Keys(BTreeSet<Box<[u8]>>),
    /// Every key: `flush_all`.
    All,
}

/// What a restore has to know.
#[derive(Debug, Default)]
struct Notes {
    gone: BTreeMap<VbucketId, Gone>,
    /// Keys of clients among them, and about how many bytes those take.
    noted: (u64, u64),
    /// Vbuckets whose state has changed since the restore began: what newer backups have of them
    /// may have gone with it, so older ones have nothing to say either.
    moved: BTreeSet<VbucketId>,
}

/// Restore mode: a miss says nothing, and what goes is remembered.
#[derive(Debug, Default)]
pub(crate) struct Restoring {
    /// Written with the lock below held; read with the key's stripe locked by who deletes.
    on: AtomicBool,
    // Guards what a restore has to know. Lock order: with the key's stripe and the log held, and
    // before nothing but that of the trash.
    notes: Mutex<Notes>,
}

impl Restoring {
    /// From now on misses say nothing, and every active vbucket takes keys.
    pub(crate) fn begin(&self) {
        let mut notes = self.notes.lock();
        notes.moved.clear();
        self.on.store(true, Ordering::Release);
    }

    /// All is there that will come.
    pub(crate) fn end(&self, trash: &Trash) {
        let notes = {
            let mut notes = self.notes.lock();
            self.on.store(false, Ordering::Release);
            std::mem::take(&mut *notes)
        };
        trash.leave_notes(notes.gone.into_values());
    }

    /// Whether it is so.
    pub(crate) fn is_on(&self) -> bool {
        self.on.load(Ordering::Acquire)
    }

    /// Keys that clients have deleted, and about how many bytes the notes of them take.
    pub(crate) fn noted(&self) -> (u64, u64) {
        self.notes.lock().noted
    }

    /// A key is gone for good; `by_client` if no backup says so.
    fn note(&self, vbucket: VbucketId, key: &[u8], by_client: bool) {
        let mut notes = self.notes.lock();
        if !self.is_on() {
            return;
        }
        let gone = notes.gone.entry(vbucket);
        let gone = gone.or_insert_with(|| Gone::Keys(BTreeSet::new()));
        if let Gone::Keys(keys) = gone
            && keys.insert(key.into())
            && by_client
        {
            notes.noted.0 += 1;
            notes.noted.1 += (NOTE_BYTES + key.len()) as u64;
        }
    }

    /// Every key of the vbucket is.
    fn note_all(&self, vbucket: VbucketId, trash: &Trash) {
        let mut notes = self.notes.lock();
        if self.is_on() {
            trash.leave_notes(notes.gone.insert(vbucket, Gone::All));
        }
    }

    /// The vbucket has another state.
    fn note_moved(&self, vbucket: VbucketId) {
        let mut notes = self.notes.lock();
        if self.is_on() {
            notes.moved.insert(vbucket);
        }
    }

    /// The vbucket is a new one, or gets the whole state of another node: what has gone of the one
    /// before says nothing.
    fn forget(&self, vbucket: VbucketId, trash: &Trash) {
        trash.leave_notes(self.notes.lock().gone.remove(&vbucket));
    }

    fn has_moved(&self, vbucket: VbucketId) -> bool {
        self.notes.lock().moved.contains(&vbucket)
    }

    /// Also when restore mode has just ended: nothing is known then.
    fn is_gone(&self, vbucket: VbucketId, key: &[u8]) -> bool {
        let notes = self.notes.lock();
        if !self.is_on() {
            return true;
        }
        match notes.gone.get(&vbucket) {
            None => false,
            Some(Gone::All) => true,
            Some(Gone::Keys(keys)) => keys.contains(key),
        }
    }
}

impl Vbucket {
    /// Whether a key that is not here may still come out of a backup: nobody can be told that it
    /// does not exist.
    pub(crate) fn may_come(&self, key: &[u8]) -> bool {
        let restoring = &self.shared.restoring;
        restoring.is_on() && !restoring.is_gone(self.id, key)
    }

    /// Whether no client may make that key, which is not here: more would have to be noted than may
    /// be, should it be deleted again.
    pub(crate) fn is_noted_to_the_full(&self, key: &[u8]) -> bool {
        let restoring = &self.shared.restoring;
        if !restoring.is_on() {
            return false;
        }
        let most = self.shared.settings.max_size.get() / NOTES_SHARE;
        restoring.noted().1 >= most && !restoring.is_gone(self.id, key)
    }

    /// To be called when a key was removed, with its stripe locked. What a master removes is not
    /// noted: a vbucket that it writes takes no keys of the restore that runs.
    pub(super) fn note_gone(&self, key: &[u8]) {
        if self.shared.restoring.is_on() && self.state() == Some(VbucketState::Active) {
            self.shared.restoring.note(self.id, key, true);
        }
    }

    /// The same for all keys, with the log locked.
    pub(super) fn note_all_gone(&self) {
        if self.shared.restoring.is_on() {
            self.shared.restoring.note_all(self.id, &self.shared.trash);
        }
    }

    /// To be called with the log locked when the state has changed.
    pub(super) fn note_moved(&self) {
        if self.shared.restoring.is_on() {
            self.shared.restoring.note_moved(self.id);
        }
    }

    /// To be called with the log locked when the vbucket has nothing to do with what it was.
    pub(super) fn note_anew(&self) {
        if self.shared.restoring.is_on() {
            self.shared.restoring.forget(self.id, &self.shared.trash);
        }
    }

    /// Whether the key may be put in place, or be kept away.
    fn may_take(&self, present: Option<&Item>, key: &[u8]) -> Result<()> {
        if self.shared.restoring.has_moved(self.id) {
            return Err(Error::NotMyVbucket);
        }
        if present.is_some() || !self.may_come(key) {
            return Err(Error::Exists);
        }
        Ok(())
    }

    /// Puts a key of a backup in place, with the CAS that it has there. One that has expired by
    /// now is gone, also for older backups. Returns whether it is there now.
    ///
    /// # Errors
    /// `Exists` where the key is there, or has gone since the restore began; `NotMyVbucket` when
    /// the vbucket is not active, or was not all the time since the restore began.
    pub(crate) fn restore_key(&self, item: &Item) -> Result<bool> {
        if self.shared.is_expired(item) {
            self.bar_key(item.hash(), item.key())?;
            return Ok(false);
        }
        let keeps = keeps_cas(item);
        self.change(item.hash(), item.key(), LockRule::Keep, &mut |present| {
            self.may_take(present, item.key())?;
            Ok(if keeps {
                Verdict::Copy(item.clone())
            } else {
                Verdict::Put(item.clone())
            })
        })?;
        Ok(true)
    }

    /// A key that a backup says was deleted: no older backup brings it back.
    ///
    /// # Errors
    /// Those of [`Self::restore_key`].
    pub(crate) fn bar_key(&self, hash: u32, key: &[u8]) -> Result<()> {
        let mut barred = false;
        let result = self.change(hash, key, LockRule::Keep, &mut |present| {
            self.may_take(present, key)?;
            self.shared.restoring.note(self.id, key, false);
            barred = true;
            // Nothing is changed.
            Err(Error::NotFound)
        });
        match result {
            Err(Error::NotFound) if barred => Ok(()),
            Err(error) => Err(error),
            Ok(_) => Err(Error::Internal),
        }
    }
}
