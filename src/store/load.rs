//! Loads: commits of more rows than memory has room for.
//!
//! The rows go into tables of their own, past journal and memtables, together with one more that
//! holds the load's number and what it changes in the meta keyspace. fjall puts these tables in
//! force with one atomic switch of the manifest: that is the commit. Then an ordinary batch makes
//! the changes that wait and says of which number they were. A process that dies before that makes
//! them at its next start, before anything is read. (That batch has no row of the items: fjall
//! would make a table of its own of that, at the next load, and merge tables twice as often.)
//!
//! When the switch fails, what stands in the manifest decides. A store that can neither read it
//! nor be opened again is undecided until it can.

use std::time::Duration;

use ::fjall::{PersistMode, Slice};

use super::cause::{Cause, guarded};
use super::codec;
use super::database::{Changes, Db, TakeRow};
use super::fjall::{FjallStore, Writer};
use super::{Fill, Record, Rows, StoreError};
use crate::types::VbucketId;

/// How often, and with which pause, a store is opened to see how a load ended.
pub(super) const ATTEMPTS: usize = 20;
pub(super) const PAUSE: Duration = Duration::from_millis(50);

/// Why rows were not written.
enum Failure {
    /// The database could not.
    Database(::fjall::Error),
    /// Whoever writes them could not.
    Rows(StoreError),
}

impl From<::fjall::Error> for Failure {
    fn from(error: ::fjall::Error) -> Self {
        Self::Database(error)
    }
}

/// What of a load that had failed is there all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FoundLoad {
    Nothing,
    /// What the flusher wrote, and writes again.
    Rows,
    /// It says what became of a window.
    Decision,
}

impl FoundLoad {
    /// Goes by the changes that wait.
    pub(super) fn of(pending: Option<&Changes>) -> Self {
        let Some(changes) = pending else {
            return Self::Nothing;
        };
        let mut keys = changes.meta.iter().map(|(key, _)| &**key);
        if keys.any(|key| key == codec::META_WINDOW) {
            Self::Decision
        } else {
            Self::Rows
        }
    }
}

impl FjallStore {
    /// Commits changes of the meta keyspace together with the rows of `fill`.
    pub(super) fn load(&self, changes: &Changes, fill: &mut Fill<'_>) -> Result<(), StoreError> {
        let mut writer = self.writer.lock();
        if self.failed.load(std::sync::atomic::Ordering::Acquire) {
            return Err(self.unwritable(&Cause::other("an earlier write failed")));
        }
        let undecided = {
            let slot = self.db.read();
            let db = self.opened(&slot)?;
            self.sync_before(db, &mut writer)?;
            match self.ingest(db, changes, fill) {
                Ok(()) => None,
                Err(error) if !db.may_hold_more(&self.home.database()) => return Err(error),
                Err(error) => Some(error),
            }
        };
        if let Some(error) = undecided {
            return self.decide(&mut writer, error);
        }
        for (vbucket, generation) in &changes.generations {
            self.set_generation(*vbucket, *generation);
        }
        let slot = self.db.read();
        match self.opened(&slot)?.make_pending(writer.last) {
            Ok(last) => writer.last = last,
            // It is committed. What waits is done when the database is opened again.
            Err(cause) => drop(self.unwritable(&cause)),
        }
        self.rotate(self.opened(&slot)?);
        Ok(())
    }

    /// Syncs the batches before a load: it takes the rows that they wrote to the disk, where what
    /// else they changed has to be as well.
    fn sync_before(&self, db: &Db, writer: &mut Writer) -> Result<(), StoreError> {
        if writer.last.synced < writer.last.number {
            guarded(|| db.database.persist(PersistMode::SyncData))
                .map_err(|cause| self.unwritable(&cause))?;
            writer.last.synced = writer.last.number;
        }
        Ok(())
    }

    fn ingest(&self, db: &Db, changes: &Changes, fill: &mut Fill<'_>) -> Result<(), StoreError> {
        let number = db.loaded().map_err(|cause| self.unwritable(&cause))? + 1;
        let meta = changes.meta.iter();
        let meta = meta.map(|(key, value)| (&**key, value.as_deref()));
        let load = codec::load_value(number, meta);
        let mut failed = None;
        let written = guarded(|| {
            db.make_room()?;
            let result = db.ingest::<Failure>(&mut |take| {
                let row = Slice::from(load.as_slice());
                take(Slice::from(codec::ITEMS_LOAD), Some(row))?;
                let mut rows = LoadRows {
                    store: self,
                    changes,
                    take,
                    buffer: Vec::new(),
                };
                fill(&mut rows).map_err(Failure::Rows)
            });
            match result {
                Ok(()) => Ok(()),
                Err(Failure::Database(error)) => Err(error),
                Err(Failure::Rows(error)) => {
                    failed = Some(error);
                    Ok(())
                }
            }
        });
        let written = written.map_err(|cause| self.unwritable(&cause));
        match failed {
            // The files that were begun are removed when the database is opened again.
            Some(error) => {
                drop(self.unwritable(&Cause::other("a load was given up")));
                Err(error)
            }
            None => written,
        }
    }

    /// Why nothing can be written after a load that was told to have failed was found.
    pub(super) fn contradiction(&self) -> StoreError {
        StoreError::new(format!(
            "the store at {} holds the update of a COMPLETE that it had reported as failed: \
             nothing can be written any more; restart this node, which will have that update",
            self.path.display()
        ))
    }

    /// Finds out whether a load that failed with `error` is there all the same.
    fn decide(&self, writer: &mut Writer, error: StoreError) -> Result<(), StoreError> {
        for _ in 0..ATTEMPTS {
            match self.reopen_locked(writer) {
                Ok(FoundLoad::Nothing) => return Err(error),
                Ok(_) => return Ok(()),
                Err(_) => std::thread::sleep(PAUSE),
            }
        }
        self.undecided
            .store(true, std::sync::atomic::Ordering::Release);
        Err(StoreError::new(format!(
            "{error}; it cannot be read either, and until it can it may hold what could not be \
             committed"
        )))
    }
}

/// Makes rows of records.
struct LoadRows<'a, 'b> {
    store: &'a FjallStore,
    changes: &'a Changes,
    take: &'a mut TakeRow<'b>,
    buffer: Vec<u8>,
}

impl LoadRows<'_, '_> {
    fn key(&mut self, vbucket: VbucketId, key: &[u8]) -> Slice {
        let generation = self.changes.generation(vbucket);
        let generation = generation.unwrap_or_else(|| self.store.generation(vbucket));
        codec::item_key(&mut self.buffer, vbucket, generation.current, key);
        Slice::from(self.buffer.as_slice())
    }

    fn write(&mut self, key: Slice, value: Option<Slice>) -> Result<(), StoreError> {
        guarded(|| (self.take)(key, value)).map_err(|cause| self.store.unwritable(&cause))
    }
}

impl Rows for LoadRows<'_, '_> {
    fn put(
        &mut self,
        vbucket: VbucketId,
        key: &[u8],
        record: &Record<'_>,
    ) -> Result<(), StoreError> {
        let key = self.key(vbucket, key);
        codec::item_value(&mut self.buffer, record);
        let value = Slice::from(self.buffer.as_slice());
        self.write(key, Some(value))
    }

    fn delete(&mut self, vbucket: VbucketId, key: &[u8]) -> Result<(), StoreError> {
        let key = self.key(vbucket, key);
        self.write(key, None)
    }
}
