//! Gives space on the disk back that nothing needs any more.
//!
//! fjall merges tables when there are many of them and begins another journal when one is full. A
//! node that rests after its keys were deleted would keep all of them. So while little is written
//! the store compares what it takes with what lives. If that is too much it writes its memtables
//! out and merges all tables into one level. Then everything is in tables, and the journals can be
//! emptied: only with the database closed, so it is opened again.
//!
//! Commits go on beside a merge; for the moment of reopening commits and reads wait. Nothing can
//! be lost: tables change with an atomic switch, and a journal is emptied when they have all of it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ::fjall::PersistMode;

use super::cause::{Cause, guarded};
use super::codec::BatchMark;
use super::database::{Changes, Db};
use super::fjall::{FjallStore, Writer};
use super::load::{ATTEMPTS, PAUSE};
use super::{Live, StoreError, Tidied, dir, journal};

/// What a row takes beyond the client's key and value, about.
const ROW_BYTES: u64 = 40;
/// Bytes that may lie there in vain.
const SPARE_BYTES: u64 = 4 << 20;

/// How long commits wait for the thread of fjall to end what it does.
const REST: Duration = Duration::from_secs(1);

/// How tidy the store is.
#[derive(Debug)]
pub(super) struct Tidiness {
    /// Bytes that did not live when that was found out last: it is no use to try again before
    /// there are more.
    dead: u64,
    /// Reopening is due.
    reopen: bool,
}

impl Tidiness {
    /// Of a store that was just opened. `reopen`: it is to be opened anew when it has been read.
    pub(super) fn new(reopen: bool) -> Self {
        Self { dead: 0, reopen }
    }
}

/// Counts one who reads while it lives.
pub(super) struct Reading<'a>(&'a AtomicUsize);

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl FjallStore {
    /// Goes before everything that reads row after row: it could not go on if the files under it
    /// went.
    pub(super) fn reading(&self) -> Reading<'_> {
        self.readers.fetch_add(1, Ordering::AcqRel);
        Reading(&self.readers)
    }

    /// [`super::Store::tidy`].
    pub(super) fn tidy_up(&self, live: &dyn Fn() -> Live) -> Result<Tidied, StoreError> {
        // Void rows that are still there, and what readers want, would only be moved about.
        if self.to_purge().is_some() || self.readers.load(Ordering::Acquire) > 0 {
            return Ok(Tidied::Later);
        }
        let mut tidiness = self.tidiness.lock();
        let mut due = false;
        if self.disk_bytes()? > SPARE_BYTES {
            let live = live();
            let live = live.bytes + live.rows * ROW_BYTES;
            let dead = || Ok(self.disk_bytes()?.saturating_sub(live));
            let found = dead()?;
            tidiness.dead = tidiness.dead.min(found);
            due = found > live + SPARE_BYTES && found > tidiness.dead + SPARE_BYTES;
            if due {
                self.merge_all()?;
                tidiness.dead = dead()?;
                tidiness.reopen = true;
            }
        }
        if tidiness.reopen {
            if !self.renew()? {
                return Ok(Tidied::Later);
            }
            tidiness.reopen = false;
        }
        Ok(if due { Tidied::Done } else { Tidied::Nothing })
    }

    /// Bytes that the directory takes on the disk.
    fn disk_bytes(&self) -> Result<u64, StoreError> {
        disk_bytes(&self.path)
            .map_err(|error| dir::unusable(&self.path, "measure", &dir::explain(&error)))
    }

    /// Merges everything that was committed into tables without void rows.
    pub(super) fn merge_all(&self) -> Result<(), StoreError> {
        let _merging = self.merging.lock();
        self.with_db(|db| {
            db.write_out(0)?;
            db.items.major_compact()?;
            db.meta.major_compact()
        })
    }

    /// Opens the database anew, with its journals emptied. Returns false when something reads it.
    pub(super) fn renew(&self) -> Result<bool, StoreError> {
        let mut writer = self.writer.lock();
        if self.failed.load(Ordering::Acquire) {
            return Ok(false);
        }
        // What was committed since the merge. Nothing is committed from here on.
        self.with_db(|db| db.write_out(0))?;
        if !self.with_db(|db| Ok(db.rests(REST)))? {
            return Ok(false);
        }
        {
            let _merging = self.merging.lock();
            let mut slot = self.db.write();
            let is_written_out = slot.as_ref().is_some_and(Db::is_written_out);
            if self.readers.load(Ordering::Acquire) > 0 || !is_written_out {
                return Ok(false);
            }
            self.has_cache.store(true, Ordering::Release);
            self.empty_journals(&mut writer, &mut slot)?;
        }
        self.begin_journal(&mut writer.last)?;
        Ok(true)
    }

    /// Closes the database, which has everything in tables, empties its journals, opens it again.
    /// Returns whether they were emptied.
    fn empty_journals(
        &self,
        writer: &mut Writer,
        slot: &mut Option<Db>,
    ) -> Result<bool, StoreError> {
        let folder = self.home.database();
        let closed = slot.take().is_some_and(Db::close);
        let emptied = if closed {
            journal::empty(&folder)
        } else {
            Ok(())
        };
        self.open_once_more(writer, slot)?;
        emptied.map_err(|error| dir::unusable(&folder, "empty", &dir::explain(&error)))?;
        Ok(closed)
    }

    /// Has everything in tables and begins another journal: what the system could not sync once it
    /// may have forgotten, whatever it says to the next who asks for it.
    pub(super) fn leave_journal(&self, writer: &mut Writer) -> Result<(), StoreError> {
        self.with_db(|db| db.write_out(0))?;
        let left = {
            let _merging = self.merging.lock();
            let mut slot = self.db.write();
            let is_written_out = slot.as_ref().is_some_and(Db::is_written_out);
            is_written_out && self.empty_journals(writer, &mut slot)?
        };
        if !left {
            return Err(self.unwritable(&Cause::other("its journal cannot be replaced")));
        }
        self.begin_journal(&mut writer.last)
    }

    /// Opens the database, which is closed. Clients wait for it.
    fn open_once_more(&self, writer: &mut Writer, slot: &mut Option<Db>) -> Result<(), StoreError> {
        let mut opened = self.open_again(writer, slot);
        for _ in 1..ATTEMPTS {
            if opened.is_ok() {
                break;
            }
            std::thread::sleep(PAUSE);
            opened = self.open_again(writer, slot);
        }
        // The next batch tries it again.
        self.failed.store(opened.is_err(), Ordering::Release);
        opened.map(drop)
    }

    /// Writes an empty batch: a journal that was lost, or cut off at its very first batch, is told
    /// from one that had none.
    fn begin_journal(&self, last: &mut BatchMark) -> Result<(), StoreError> {
        let number = last.number + 1;
        let mark = BatchMark { number, ..*last };
        let slot = self.db.read();
        let db = self.opened(&slot)?;
        guarded(|| db.commit(Changes::default(), mark, PersistMode::SyncData))
            .map_err(|cause: Cause| self.unwritable(&cause))?;
        *last = BatchMark {
            number,
            synced: number,
        };
        Ok(())
    }
}

/// Bytes that everything below `folder` takes on the disk.
fn disk_bytes(folder: &Path) -> std::io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => bytes += disk_bytes(&entry.path())?,
            Ok(metadata) => bytes += metadata.blocks() * 512,
            // Merged away meanwhile.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(bytes)
}
