//! The store over fjall, a log-structured database in Rust. `FORMAT.md` says what lies on the disk.
//!
//! Threads: commits are serialised by one lock; reads take none but the one that guards against
//! the database being reopened under them. fjall runs one thread of its own, which moves full
//! memtables into tables and merges tables; it is gone when the store has been dropped.
//!
//! Limits: at most four memtables exist, of which two wait to be written out before a commit waits
//! for them.
//!
//! Failures: after an I/O error fjall refuses every write until the database is opened again. The
//! store does that at its next batch, and removes from the journal what the failed commit may have
//! left there.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use ::fjall::{PersistMode, Slice};
use parking_lot::{Mutex, RwLock, RwLockReadGuard};

use super::batch::FjallBatch;
use super::cause::{Cause, guarded};
use super::check;
use super::codec::{self, BatchMark, Defect, Generation, Seal};
pub(crate) use super::database::Options;
use super::database::{Changes, Db};
use super::dir::{self, Home};
use super::journal::{self, Closed};
use super::load::FoundLoad;
use super::tidy::Tidiness;
use super::{Batch, Live, Record, Store, StoreError, Tidied, VbucketRecord, WindowRecord, upgrade};
use crate::config::Durability;
use crate::types::{VBUCKETS_MAX, VbucketId};

/// Size from which a memtable is written out as a table when no change is waiting: the memory that
/// it takes is then better used for items.
pub(super) const SETTLE_BYTES: u64 = 1 << 20;
/// Keys that one call of [`Store::purge`] deletes.
const PURGE_KEYS_MAX: usize = 10_000;

/// State of the writing side.
#[derive(Debug, Default)]
pub(super) struct Writer {
    /// Number of the last batch that was committed, and of the last that was synced.
    pub(super) last: BatchMark,
}

/// Receives the records of one kind from the meta keyspace.
type MetaVisitor<'a> = dyn FnMut(VbucketId, &[u8]) -> Result<(), Defect> + 'a;

/// A store in a directory.
pub(crate) struct FjallStore {
    pub(super) home: Home,
    pub(super) path: PathBuf,
    pub(super) options: Options,
    /// Guards the order of commits. Lock order: before `db`.
    pub(super) writer: Mutex<Writer>,
    /// Guards the tables against a second merge, and against being reopened in the middle of one.
    /// Lock order: after `writer`, before `db`: whoever wants that for itself has this first, so
    /// that no reader waits behind it for the end of a merge.
    pub(super) merging: Mutex<()>,
    /// Guards the database against being reopened under a reader. Lock order: after `merging`.
    /// `None` while it is being reopened and after that failed.
    pub(super) db: RwLock<Option<Db>>,
    /// A write failed: reopen before the next one.
    pub(super) failed: AtomicBool,
    /// Something was committed and not synced when a write failed: the journal may lack it. Nothing
    /// is written until it stands elsewhere.
    doubtful: AtomicBool,
    /// A load failed, and whether it did is to be seen when the database is open again.
    pub(super) undecided: AtomicBool,
    /// It had not failed.
    contradicted: AtomicBool,
    /// Which rows count, by vbucket id: [`codec::Generation`], packed.
    generations: Box<[AtomicU64]>,
    /// Memtables were handed over for good measure and are to be let go of.
    settling: AtomicBool,
    /// Where the next purge goes on. Lock order: before `writer`.
    purge_from: Mutex<Option<Slice>>,
    /// Guards what is known of the space that it takes. Lock order: before `writer`.
    pub(super) tidiness: Mutex<Tidiness>,
    /// Who reads row after row at present.
    pub(super) readers: AtomicUsize,
    /// Whether it is open with all of its cache. Not at first: warm-up would fill it with blocks
    /// that nobody wants again.
    pub(super) has_cache: AtomicBool,
}

impl fmt::Debug for FjallStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FjallStore")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl FjallStore {
    /// Opens the store in `path`, or creates one when the directory is missing or empty.
    ///
    /// # Errors
    /// When the directory cannot be used. What was in it is as it was.
    pub(crate) fn open(path: &Path, options: Options) -> Result<Self, StoreError> {
        // The process may change its working directory before the store is reopened.
        let path = std::path::absolute(path)
            .map_err(|error| dir::unusable(path, "find", &dir::explain(&error)))?;
        let mut home = Home::enter(&path)?;
        let exists = home.version().is_some();
        let (db, last) = if let Some(version) = home.version() {
            let seal = home.seal();
            let verify_bytes = options.verify_bytes;
            let contents = check::examine(&home.database(), verify_bytes, None, seal.as_ref())
                .and_then(|contents| contents.expect_end(home.closed()))
                .map_err(|refusal| check::refused(&path, refusal))?;
            home.sign()?;
            let format = (version, seal.unwrap_or_else(Seal::random));
            let (db, last) = Db::open(&home.database(), options.without_cache(), &contents, format)
                .map_err(|cause| home.refuse(&cause, cause.is_late))?;
            match db.make_pending(last) {
                Ok(last) => upgrade::upgrade(&mut home, db, last)?,
                Err(cause) => {
                    db.close();
                    return Err(home.refuse(&cause, true));
                }
            }
        } else {
            home.begin_create()?;
            home.sign()?;
            let seal = Seal::random();
            let created = Db::create(&home.database(), &path, options, seal)?;
            home.declare(seal)?;
            created
        };
        let store = Self {
            home,
            path,
            options,
            writer: Mutex::new(Writer { last }),
            merging: Mutex::new(()),
            db: RwLock::new(Some(db)),
            failed: AtomicBool::new(false),
            doubtful: AtomicBool::new(false),
            undecided: AtomicBool::new(false),
            contradicted: AtomicBool::new(false),
            generations: (0..VBUCKETS_MAX).map(|_| AtomicU64::new(0)).collect(),
            settling: AtomicBool::new(false),
            purge_from: Mutex::default(),
            tidiness: Mutex::new(Tidiness::new(exists)),
            readers: AtomicUsize::new(0),
            has_cache: AtomicBool::new(!exists),
        };
        store.read_generations()?;
        store.let_go_of_the_journal();
        Ok(store)
    }

    /// Opens the database again after a failed write.
    fn reopen(&self) -> Result<(), StoreError> {
        let mut writer = self.writer.lock();
        if self.failed.load(Ordering::Acquire) {
            self.open_after_failure(&mut writer)?;
        }
        if self.doubtful.load(Ordering::Acquire) {
            self.leave_journal(&mut writer)?;
            self.doubtful.store(false, Ordering::Release);
        }
        Ok(())
    }

    fn open_after_failure(&self, writer: &mut Writer) -> Result<(), StoreError> {
        let found = self.reopen_locked(writer)?;
        if self.undecided.swap(false, Ordering::AcqRel) && found == FoundLoad::Decision {
            // Its operator was told otherwise, and goes by that since. The flusher writes again.
            self.contradicted.store(true, Ordering::Release);
            self.failed.store(true, Ordering::Release);
            let _merging = self.merging.lock();
            *self.db.write() = None;
            return Err(self.contradiction());
        }
        Ok(())
    }

    /// The same. Returns what of a load that had failed is there all the same.
    pub(super) fn reopen_locked(&self, writer: &mut Writer) -> Result<FoundLoad, StoreError> {
        if writer.last.synced < writer.last.number {
            self.doubtful.store(true, Ordering::Release);
        }
        let found = {
            let _merging = self.merging.lock();
            let mut slot = self.db.write();
            if self.contradicted.load(Ordering::Acquire) {
                return Err(self.contradiction());
            }
            if let Some(db) = slot.take() {
                db.close();
            }
            self.open_again(writer, &mut slot)?
        };
        self.read_generations()?;
        self.failed.store(false, Ordering::Release);
        Ok(found)
    }

    /// Opens the database, which is closed. Returns the same.
    pub(super) fn open_again(
        &self,
        writer: &mut Writer,
        slot: &mut Option<Db>,
    ) -> Result<FoundLoad, StoreError> {
        let folder = self.home.database();
        let seal = self.home.seal();
        // What failed may lie in the journal all the same. Its caller was told otherwise.
        let contents = check::examine(&folder, 0, Some(writer.last.number), seal.as_ref())
            .map_err(|refusal| check::refused(&self.path, refusal))?;
        let format = (codec::FORMAT_VERSION, seal.unwrap_or_else(Seal::random));
        let options = if self.has_cache.load(Ordering::Acquire) {
            self.options
        } else {
            self.options.without_cache()
        };
        let (db, last) = Db::open(&folder, options, &contents, format)
            .map_err(|cause| self.unreadable(&cause))?;
        let pending = db.pending();
        let found = FoundLoad::of(pending.as_ref().ok().and_then(Option::as_ref));
        let made = pending.and_then(|_| {
            // Not before it is known that nobody was told otherwise.
            if found == FoundLoad::Decision && self.undecided.load(Ordering::Acquire) {
                return Ok(last);
            }
            db.make_pending(last)
        });
        match made {
            Ok(last) => writer.last = last,
            Err(cause) => {
                db.close();
                return Err(self.unreadable(&cause));
            }
        }
        *slot = Some(db);
        Ok(found)
    }

    /// Runs `read` on the open database.
    pub(super) fn with_db<T>(
        &self,
        read: impl FnOnce(&Db) -> ::fjall::Result<T>,
    ) -> Result<T, StoreError> {
        let slot = self.db.read();
        let db = self.opened(&slot)?;
        guarded(|| read(db)).map_err(|cause| self.unreadable(&cause))
    }

    pub(super) fn opened<'a>(
        &self,
        slot: &'a RwLockReadGuard<'_, Option<Db>>,
    ) -> Result<&'a Db, StoreError> {
        slot.as_ref().ok_or_else(|| {
            StoreError::new(format!(
                "the store at {} could not be reopened after an error; see the log",
                self.path.display()
            ))
        })
    }

    fn unreadable(&self, cause: &Cause) -> StoreError {
        StoreError::new(format!(
            "cannot read the store at {}: {}",
            self.path.display(),
            cause.explained(&self.path)
        ))
    }

    pub(super) fn unwritable(&self, cause: &Cause) -> StoreError {
        self.failed.store(true, Ordering::Release);
        StoreError::new(format!(
            "cannot write to the store at {}: {}; the write will be tried again",
            self.path.display(),
            cause.explained(&self.path)
        ))
    }

    fn is_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire) || self.doubtful.load(Ordering::Acquire)
    }

    fn defect(&self, defect: Defect) -> StoreError {
        self.unreadable(&Cause::damage(defect.0))
    }

    pub(super) fn commit(
        &self,
        changes: Changes,
        durability: Durability,
    ) -> Result<(), StoreError> {
        let mut writer = self.writer.lock();
        let slot = self.db.read();
        let db = self.opened(&slot)?;
        let mark = BatchMark {
            number: writer.last.number + 1,
            synced: writer.last.synced,
        };
        let mode = match durability {
            Durability::Sync => PersistMode::SyncData,
            Durability::Periodic | Durability::None => PersistMode::Buffer,
        };
        if self.is_failed() {
            return Err(self.unwritable(&Cause::other("an earlier write failed")));
        }
        let mut changes = changes;
        let generations = std::mem::take(&mut changes.generations);
        guarded(|| {
            db.make_room()?;
            db.commit(changes, mark, mode)
        })
        .map_err(|cause| self.unwritable(&cause))?;
        for (vbucket, generation) in generations {
            self.set_generation(vbucket, generation);
        }
        writer.last.number = mark.number;
        if durability == Durability::Sync {
            writer.last.synced = mark.number;
        }
        self.rotate(db);
        Ok(())
    }

    /// Hands over what is full. The batch before is safe: what fails concerns the next one.
    pub(super) fn rotate(&self, db: &Db) {
        if guarded(|| db.rotate(self.options.memtable_bytes)).is_err() {
            self.failed.store(true, Ordering::Release);
        }
    }

    pub(super) fn generation(&self, vbucket: VbucketId) -> Generation {
        let packed = self.generations.get(vbucket.index());
        let packed = packed.map_or(0, |packed| packed.load(Ordering::Acquire));
        let current = u32::try_from(packed >> 1).unwrap_or(u32::MAX);
        Generation {
            current,
            has_old: packed & 1 == 1,
        }
    }

    pub(super) fn set_generation(&self, vbucket: VbucketId, generation: Generation) {
        if let Some(packed) = self.generations.get(vbucket.index()) {
            let new = u64::from(generation.current) << 1 | u64::from(generation.has_old);
            packed.store(new, Ordering::Release);
        }
    }

    fn read_generations(&self) -> Result<(), StoreError> {
        self.read_meta(codec::META_GENERATION, &mut |vbucket, value| {
            self.set_generation(vbucket, codec::parse_generation_value(value)?);
            Ok(())
        })
    }

    /// Reads every record of one kind from the meta keyspace.
    fn read_meta(&self, kind: u8, visit: &mut MetaVisitor<'_>) -> Result<(), StoreError> {
        let _reading = self.reading();
        let iter = self.with_db(|db| Ok(db.meta.prefix([kind])))?;
        for entry in iter {
            let (key, value) =
                guarded(|| entry.into_inner()).map_err(|cause| self.unreadable(&cause))?;
            codec::parse_meta_key(&key)
                .and_then(|vbucket| visit(vbucket, &value))
                .map_err(|defect| self.defect(defect))?;
        }
        Ok(())
    }

    /// Rows of vbuckets in the items keyspace, void ones too.
    #[cfg(test)]
    pub(crate) fn count_rows(&self) -> Result<usize, StoreError> {
        // Shorter keys are not of any.
        self.with_db(|db| Ok(db.items.range([0_u8; 4]..).count()))
    }

    /// The first vbucket that has rows of earlier generations.
    pub(super) fn to_purge(&self) -> Option<(VbucketId, Generation)> {
        let ids = (0..VBUCKETS_MAX).filter_map(|id| VbucketId::new(u16::try_from(id).ok()?));
        ids.map(|id| (id, self.generation(id)))
            .find(|(_, generation)| generation.has_old)
    }

    /// Collects deletions of rows of a vbucket that are not of its current generation, from `first`
    /// on. Returns where to go on.
    fn old_rows(
        &self,
        vbucket: VbucketId,
        current: u32,
        first: Slice,
        changes: &mut Changes,
    ) -> Result<Option<Slice>, StoreError> {
        let mut start = Some(first);
        let _reading = self.reading();
        while let Some(from) = start.take() {
            for entry in self.with_db(|db| Ok(db.items.range(from..)))? {
                let key = guarded(|| entry.key()).map_err(|cause| self.unreadable(&cause))?;
                let (id, generation, _) =
                    codec::parse_item_key(&key).map_err(|defect| self.defect(defect))?;
                if id != vbucket {
                    break;
                }
                if generation == current {
                    // Rows of a generation stand together: go on behind them.
                    let next = (current < codec::GENERATION_MAX).then_some(current + 1);
                    start = next.map(|next| Slice::from(codec::item_prefix(id, next).as_slice()));
                    break;
                }
                changes.items.push((key.clone(), None));
                if changes.items.len() == PURGE_KEYS_MAX {
                    return Ok(Some(key));
                }
            }
        }
        Ok(None)
    }
}

impl Store for FjallStore {
    fn batch(&self) -> Result<Box<dyn Batch + '_>, StoreError> {
        if self.with_db(Db::check_writable).is_err() {
            self.failed.store(true, Ordering::Release);
        }
        if self.is_failed() {
            self.reopen()?;
        }
        Ok(Box::new(FjallBatch::new(self)))
    }

    fn get(
        &self,
        vbucket: VbucketId,
        key: &[u8],
        found: &mut dyn FnMut(Record<'_>),
    ) -> Result<bool, StoreError> {
        let mut bytes = Vec::new();
        codec::item_key(&mut bytes, vbucket, self.generation(vbucket).current, key);
        let Some(value) = self.with_db(|db| db.items.get(&bytes))? else {
            return Ok(false);
        };
        found(codec::parse_item_value(&value).map_err(|defect| self.defect(defect))?);
        Ok(true)
    }

    fn scan(
        &self,
        vbucket: VbucketId,
        visit: &mut dyn FnMut(&[u8], Record<'_>) -> bool,
    ) -> Result<(), StoreError> {
        let prefix = codec::item_prefix(vbucket, self.generation(vbucket).current);
        let _reading = self.reading();
        for entry in self.with_db(|db| Ok(db.items.prefix(prefix)))? {
            let (key, value) =
                guarded(|| entry.into_inner()).map_err(|cause| self.unreadable(&cause))?;
            let (_, _, key) = codec::parse_item_key(&key).map_err(|defect| self.defect(defect))?;
            let record = codec::parse_item_value(&value).map_err(|defect| self.defect(defect))?;
            if !visit(key, record) {
                break;
            }
        }
        Ok(())
    }

    fn vbuckets(&self) -> Result<Vec<(VbucketId, VbucketRecord)>, StoreError> {
        let mut vbuckets = Vec::new();
        self.read_meta(codec::META_VBUCKET, &mut |vbucket, value| {
            vbuckets.push((vbucket, codec::parse_vbucket_value(value)?));
            Ok(())
        })?;
        Ok(vbuckets)
    }

    fn is_new(&self) -> bool {
        // The first batch is that of the format.
        self.writer.lock().last.number <= 1
    }

    fn window(&self) -> Result<WindowRecord, StoreError> {
        match self.with_db(|db| db.meta.get(codec::META_WINDOW))? {
            Some(value) => codec::parse_window_value(&value).map_err(|defect| self.defect(defect)),
            None => Ok(WindowRecord::None),
        }
    }

    fn purge(&self) -> Result<bool, StoreError> {
        let mut from = self.purge_from.lock();
        let Some((vbucket, generation)) = self.to_purge() else {
            return Ok(false);
        };
        let start = Slice::from(codec::item_prefix(vbucket, 0).as_slice());
        // A vbucket that was cleared meanwhile may come before the one of the last call.
        let is_here = |key: &Slice| codec::parse_item_key(key).is_ok_and(|(id, ..)| id == vbucket);
        let first = from.take().filter(is_here).unwrap_or(start);
        let mut changes = Changes::default();
        let next = self.old_rows(vbucket, generation.current, first, &mut changes)?;
        if next.is_none() {
            let clean = Generation {
                has_old: false,
                ..generation
            };
            let key = codec::meta_key(codec::META_GENERATION, vbucket);
            changes.put_meta(&key, &codec::generation_value(clean));
            changes.generations.push((vbucket, clean));
        }
        self.batch()?;
        // Unsynced: what a crash loses of this is purged again.
        self.commit(changes, Durability::None)?;
        *from = next;
        Ok(self.to_purge().is_some())
    }

    fn settle(&self) -> bool {
        // Whoever evicts is not to wait for a load.
        if self.writer.is_locked() {
            return true;
        }
        let settled = self.with_db(|db| {
            if db.database.outstanding_flushes() > 0 {
                return Ok(true);
            }
            db.rotate(SETTLE_BYTES)
        });
        match settled {
            Ok(true) => self.settling.store(true, Ordering::Release),
            // fjall lets go of a written memtable when the next one is rotated.
            Ok(false) if self.settling.swap(false, Ordering::AcqRel) => {
                let released = self.commit(Changes::default(), Durability::None);
                let rotate = |()| self.with_db(|db| db.meta.rotate_memtable());
                let _ = released.and_then(rotate);
            }
            Ok(false) | Err(_) => return false,
        }
        true
    }

    fn tidy(&self, live: &dyn Fn() -> Live) -> Result<Tidied, StoreError> {
        self.tidy_up(live)
    }

    fn sync(&self) -> Result<(), StoreError> {
        // The number is read first: what is committed meanwhile may or may not be synced along.
        let number = self.writer.lock().last.number;
        if self.is_failed() {
            return Err(self.unwritable(&Cause::other("an earlier write failed")));
        }
        {
            let slot = self.db.read();
            let db = self.opened(&slot)?;
            guarded(|| db.database.persist(PersistMode::SyncData))
                .map_err(|cause| self.unwritable(&cause))?;
        }
        let mut writer = self.writer.lock();
        writer.last.synced = writer.last.synced.max(number);
        Ok(())
    }

    fn is_undecided(&self) -> bool {
        self.undecided.load(Ordering::Acquire) || self.contradicted.load(Ordering::Acquire)
    }

    fn keeps_values(&self) -> bool {
        true
    }
}

impl Drop for FjallStore {
    fn drop(&mut self) {
        let last = self.writer.get_mut().last.number;
        let failed = &self.failed;
        let closed = self.db.get_mut().take().is_some_and(|db| {
            if !failed.load(Ordering::Acquire) && guarded(|| db.write_out(SETTLE_BYTES)).is_err() {
                failed.store(true, Ordering::Release);
            }
            db.close()
        });
        if self.is_failed() {
            // As in `reopen`. There is nobody left to tell when this fails.
            let seal = self.home.seal();
            let examined = check::examine(&self.home.database(), 0, Some(last), seal.as_ref());
            let _ = examined.map(|contents| contents.cut_tail());
        } else if let (true, Ok(bytes)) = (closed, journal::size(&self.home.database())) {
            self.home.sign_off(Closed { last, bytes });
        }
    }
}
