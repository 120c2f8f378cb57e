//! What a restore has to know: the keys that are gone for good since it began. It puts a key in
//! place only where there is none, and a key that was deleted meanwhile is to stay away. And the
//! vbuckets that were something else meanwhile, whose keys have gone or changed without clients.
//!
//! Threads: any. Nothing here waits for the disk or calls the host.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use super::replica::keeps_cas;
use super::{LockRule, Shared, Trash, Vbucket, Verdict};
use crate::checkpoint::{Log, Phase};
use crate::error::{Error, Result};
use crate::item::Item;
use crate::types::{Seqno, VbucketId, VbucketState};

/// About what is kept of a key besides the key.
pub(crate) const NOTE_BYTES: usize = 64;
/// Share of the quota that notes of what clients deleted and of what was evicted may take: one in
/// so many.
const NOTES_SHARE: u64 = 8;

/// Why a key is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    /// A client deleted it, or it has expired.
    Client,
    /// It was evicted, and no store has it.
    Evicted,
    /// A backup says so.
    Backup,
}

/// Notes that have a bound.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    /// Those of what clients deleted.
    deleted: u64,
    /// About how many bytes those take.
    deleted_bytes: u64,
    /// The same of what was evicted.
    evicted_bytes: u64,
}

impl Counts {
    fn add(&mut self, cause: Cause, key: &[u8]) {
        let bytes = (NOTE_BYTES + key.len()) as u64;
        match cause {
            Cause::Client => {
                self.deleted += 1;
                self.deleted_bytes += bytes;
            }
            Cause::Evicted => self.evicted_bytes += bytes,
            Cause::Backup => {}
        }
    }

    fn less(&mut self, other: Self) {
        self.deleted -= other.deleted;
        self.deleted_bytes -= other.deleted_bytes;
        self.evicted_bytes -= other.evicted_bytes;
    }

    fn bytes(self) -> u64 {
        self.deleted_bytes + self.evicted_bytes
    }
}

/// What is gone of one vbucket.
#[derive(Debug, Default)]
pub(super) struct Gone {
    /// These keys. A tree, because one key more never takes the time of many.
    keys: BTreeSet<Box<[u8]>>,
    /// Every key: `flush_all`.
    all: bool,
    counts: Counts,
}

impl Gone {
    fn everything() -> Self {
        Self {
            all: true,
            ..Self::default()
        }
    }
}

/// By the window in which it went, which a REVERT undoes; `None` for outside of one. A window is
/// named by the last number before it.
type Layers = BTreeMap<Option<Seqno>, Gone>;

/// What a restore has to know.
#[derive(Debug, Default)]
struct Notes {
    gone: BTreeMap<VbucketId, Layers>,
    /// Sum of all in it.
    counts: Counts,
    /// Vbuckets whose state has changed since the restore began: what newer backups have of them
    /// may have gone with it, so older ones have nothing to say either.
    moved: BTreeSet<VbucketId>,
    /// Vbuckets that take no more keys, because notes of evicted ones took too much.
    overrun: BTreeSet<VbucketId>,
}

impl Notes {
    /// Whether it was not known yet.
    fn add(
        &mut self,
        vbucket: VbucketId,
        (window, key): (Option<Seqno>, &[u8]),
        cause: Cause,
    ) -> bool {
        let layers = self.gone.entry(vbucket).or_default();
        let outside = layers.get(&None).is_some_and(|gone| gone.all);
        let gone = layers.entry(window).or_default();
        let is_news = !outside && !gone.all && gone.keys.insert(key.into());
        if is_news {
            gone.counts.add(cause, key);
            self.counts.add(cause, key);
        }
        is_news
    }

    /// Puts `gone` in the place of what it returns.
    fn replace(&mut self, vbucket: VbucketId, window: Option<Seqno>, gone: Gone) -> Option<Gone> {
        let before = self.gone.entry(vbucket).or_default().insert(window, gone)?;
        self.counts.less(before.counts);
        Some(before)
    }

    fn has(&self, vbucket: VbucketId, key: &[u8]) -> bool {
        let mut layers = self.gone.get(&vbucket).into_iter().flatten();
        layers.any(|(_, gone)| gone.all || gone.keys.contains(key))
    }
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
        trash.leave_notes(notes.gone.into_values().flat_map(Layers::into_values));
    }

    /// Whether it is so.
    pub(crate) fn is_on(&self) -> bool {
        self.on.load(Ordering::Acquire)
    }

    /// Keys that clients have deleted, and about how many bytes the notes of them and of evicted
    /// keys take.
    pub(crate) fn noted(&self) -> (u64, u64) {
        let counts = self.notes.lock().counts;
        (counts.deleted, counts.bytes())
    }

    /// Whether no more may be noted of what clients delete.
    fn is_full(&self, most: u64) -> bool {
        self.notes.lock().counts.deleted_bytes >= most
    }

    /// Whether the vbucket takes no more keys because so many were evicted.
    fn is_overrun(&self, vbucket: VbucketId) -> bool {
        self.notes.lock().overrun.contains(&vbucket)
    }

    /// A key is gone for good, unless a REVERT takes that back. With notes above `most` of which
    /// evicted keys have a part, the vbucket takes no more keys at all: that needs no notes, and an
    /// older version of a key would be worse than none.
    fn note(
        &self,
        vbucket: VbucketId,
        gone: (Option<Seqno>, &[u8]),
        (cause, most): (Cause, u64),
        trash: &Trash,
    ) {
        let mut notes = self.notes.lock();
        if !self.is_on() || !notes.add(vbucket, gone, cause) {
            return;
        }
        let counts = notes.counts;
        if cause != Cause::Backup && counts.bytes() > most && counts.evicted_bytes > 0 {
            trash.leave_notes(notes.replace(vbucket, None, Gone::everything()));
            notes.overrun.insert(vbucket);
        }
    }

    /// Every key of the vbucket is.
    fn note_all(&self, vbucket: VbucketId, window: Option<Seqno>, trash: &Trash) {
        let mut notes = self.notes.lock();
        if self.is_on() {
            trash.leave_notes(notes.replace(vbucket, window, Gone::everything()));
        }
    }

    /// A REVERT of that window has taken back what went in it.
    fn forget_window(&self, vbucket: VbucketId, window: Seqno, trash: &Trash) {
        let mut notes = self.notes.lock();
        let layers = notes.gone.get_mut(&vbucket);
        if let Some(gone) = layers.and_then(|layers| layers.remove(&Some(window))) {
            notes.counts.less(gone.counts);
            trash.leave_notes([gone]);
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
        let mut notes = self.notes.lock();
        notes.overrun.remove(&vbucket);
        let layers = notes.gone.remove(&vbucket).unwrap_or_default();
        for gone in layers.into_values() {
            notes.counts.less(gone.counts);
            trash.leave_notes([gone]);
        }
    }

    fn has_moved(&self, vbucket: VbucketId) -> bool {
        self.notes.lock().moved.contains(&vbucket)
    }

    /// Also when restore mode has just ended: nothing is known then.
    fn is_gone(&self, vbucket: VbucketId, key: &[u8]) -> bool {
        let notes = self.notes.lock();
        !self.is_on() || notes.has(vbucket, key)
    }
}

/// The window in which a change falls that a REVERT would take back.
fn window_of(log: &Log) -> Option<Seqno> {
    let window = log.window()?;
    let undecided = matches!(window.phase, Phase::Open | Phase::Completing { .. });
    undecided.then_some(window.barrier)
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
        restoring.is_on() && restoring.is_full(self.notes_max()) && !restoring.is_gone(self.id, key)
    }

    /// Bytes that notes may take.
    fn notes_max(&self) -> u64 {
        self.shared.settings.max_size.get() / NOTES_SHARE
    }

    /// To be called when a key was removed, with its stripe and the log locked. What a master
    /// removes is not noted: a vbucket that it writes takes no keys of the restore that runs.
    pub(super) fn note_gone(&self, log: &Log, key: &[u8]) {
        if self.is_noting() {
            self.note(window_of(log), key, Cause::Client);
        }
    }

    /// The same of a key that was evicted, which no REVERT takes back; with its stripe locked.
    pub(super) fn note_evicted(&self, key: &[u8]) {
        if self.is_noting() {
            self.note(None, key, Cause::Evicted);
        }
    }

    fn is_noting(&self) -> bool {
        self.shared.restoring.is_on() && self.state() == Some(VbucketState::Active)
    }

    fn note(&self, window: Option<Seqno>, key: &[u8], cause: Cause) {
        let bound = (cause, self.notes_max());
        let Shared {
            restoring, trash, ..
        } = &*self.shared;
        restoring.note(self.id, (window, key), bound, trash);
    }

    /// A flush that clients asked for takes all keys; with the log locked.
    pub(super) fn note_all_gone(&self, log: &Log) {
        if self.shared.restoring.is_on() {
            let window = window_of(log);
            (self.shared.restoring).note_all(self.id, window, &self.shared.trash);
        }
    }

    /// To be called with the log locked when a REVERT of the window begins.
    pub(super) fn note_reverted(&self, window: Seqno) {
        if self.shared.restoring.is_on() {
            (self.shared.restoring).forget_window(self.id, window, &self.shared.trash);
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
        if present.is_none() && self.may_come(key) {
            return Ok(());
        }
        let full = present.is_none() && self.shared.restoring.is_overrun(self.id);
        Err(if full {
            Error::NotStored
        } else {
            Error::Exists
        })
    }

    /// Puts a key of a backup in place, with the CAS that it has there. One that has expired by
    /// now is gone, also for older backups. Returns whether it is there now.
    ///
    /// # Errors
    /// `Exists` where the key is there, or has gone since the restore began; `NotStored` where so
    /// many have been evicted that the vbucket takes no more; `NotMyVbucket` when
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
            self.note(None, key, Cause::Backup);
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
