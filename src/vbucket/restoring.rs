//! What a restore has to know of clients: the keys that are gone for good since it began. It puts a
//! key in place only where there is none, and a key that was deleted meanwhile is to stay away.
//!
//! Threads: any. Nothing here waits for the disk or calls the host.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use super::replica::keeps_cas;
use super::{LockRule, Vbucket, Verdict};
use crate::error::{Error, Result};
use crate::item::Item;
use crate::types::VbucketId;

/// What is gone of one vbucket.
#[derive(Debug)]
enum Gone {
    /// These keys. A tree, because one key more never takes the time of many.
    Keys(BTreeSet<Box<[u8]>>),
    /// Every key: `flush_all`.
    All,
}

/// Restore mode: a miss says nothing, and what goes is remembered.
#[derive(Debug, Default)]
pub(crate) struct Restoring {
    /// Written with the lock below held; read with the key's stripe locked by who deletes.
    on: AtomicBool,
    // Guards what is gone. Lock order: last, with the key's stripe and the log held.
    gone: Mutex<BTreeMap<VbucketId, Gone>>,
}

impl Restoring {
    /// From now on misses say nothing.
    pub(crate) fn begin(&self) {
        let _gone = self.gone.lock();
        self.on.store(true, Ordering::Release);
    }

    /// All is there that will come.
    pub(crate) fn end(&self) {
        let _free = {
            let mut gone = self.gone.lock();
            self.on.store(false, Ordering::Release);
            std::mem::take(&mut *gone)
        };
    }

    /// Whether it is so.
    pub(crate) fn is_on(&self) -> bool {
        self.on.load(Ordering::Acquire)
    }

    /// A key is gone for good.
    fn note(&self, vbucket: VbucketId, key: &[u8]) {
        let mut gone = self.gone.lock();
        if !self.is_on() {
            return;
        }
        let keys = gone.entry(vbucket);
        if let Gone::Keys(keys) = keys.or_insert_with(|| Gone::Keys(BTreeSet::new())) {
            keys.insert(key.into());
        }
    }

    /// Every key of the vbucket is.
    fn note_all(&self, vbucket: VbucketId) {
        let _free = {
            let mut gone = self.gone.lock();
            if self.is_on() {
                gone.insert(vbucket, Gone::All)
            } else {
                None
            }
        };
    }

    /// Also when restore mode has just ended: nothing is known then.
    fn is_gone(&self, vbucket: VbucketId, key: &[u8]) -> bool {
        let gone = self.gone.lock();
        if !self.is_on() {
            return true;
        }
        match gone.get(&vbucket) {
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

    /// To be called when a key was removed, with its stripe locked.
    pub(super) fn note_gone(&self, key: &[u8]) {
        if self.shared.restoring.is_on() {
            self.shared.restoring.note(self.id, key);
        }
    }

    /// The same for all keys, with the log locked.
    pub(super) fn note_all_gone(&self) {
        if self.shared.restoring.is_on() {
            self.shared.restoring.note_all(self.id);
        }
    }

    /// Puts a key of a backup in place, with the CAS that it has there. One that has expired by
    /// now is gone, also for older backups. Returns whether it is there now.
    ///
    /// # Errors
    /// `Exists` where the key is there, or has gone since the restore began; `NotMyVbucket` when
    /// the vbucket is not active.
    pub(crate) fn restore_key(&self, item: &Item) -> Result<bool> {
        if self.shared.is_expired(item) {
            self.bar_key(item.hash(), item.key())?;
            return Ok(false);
        }
        let keeps = keeps_cas(item);
        self.change(item.hash(), item.key(), LockRule::Keep, &mut |present| {
            if present.is_some() || !self.may_come(item.key()) {
                return Err(Error::Exists);
            }
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
            if present.is_some() || !self.may_come(key) {
                return Err(Error::Exists);
            }
            self.shared.restoring.note(self.id, key);
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
