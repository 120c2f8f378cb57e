//! One open fjall database: what `fjall` (the store) needs of the library, with its dangers fenced
//! in.
//!
//! Three habits of fjall 3.1 are kept away from the engine here:
//! - its commit waits without end when the thread that makes room has died of an I/O error, and
//!   that thread waits without end for itself when small commits fill its queue: so this file
//!   rotates memtables and waits for room itself ([`Db::rotate`], [`Db::make_room`]);
//! - it panics on some damaged files: everything is called through [`guarded`];
//! - dropping a database does not wait until its thread is gone, only until it is about to go:
//!   [`Db::close`] does.
//!
//! This uses functions of fjall that its documentation hides (sizes and counts of memtables and
//! tables). The version in `Cargo.toml` is exact for that reason.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ::fjall::compaction::Leveled;
use ::fjall::config::BlockSizePolicy;
use ::fjall::{
    AbstractTree, Database, Keyspace, KeyspaceCreateOptions, OwnedWriteBatch, PersistMode, SeqNo,
    Slice,
};
use parking_lot::Mutex;

use super::StoreError;
use super::cause::{Cause, guarded};
use super::check;
use super::codec::{self, BatchMark, Defect, Generation, Seal};
use super::dir;
use super::journal::Contents;
use crate::types::VbucketId;

/// Folder of the folders of keyspaces.
const KEYSPACES: &str = "keyspaces";
/// Keyspace of the items.
const ITEMS: &str = "items";
/// Keyspace of everything else.
const META: &str = "meta";
/// Memtables that may wait to become tables.
const SEALED_MAX: usize = 2;
/// Unmerged tables above which a commit waits.
const UNMERGED_MAX: usize = 18;
/// What may be written to a journal before memtables become tables, whatever they hold: only then
/// fjall begins another journal. A load empties the memtable of the items.
const JOURNAL_BYTES: u64 = 64 << 20;
/// Memory for blocks while the store is read once, from the first to the last.
const LOADING_CACHE_BYTES: u64 = 1 << 20;
/// Name that fjall gives its thread.
const WORKER_NAME: &str = "fjall:worker";

/// What can be chosen.
#[derive(Clone, Copy, Debug)]
#[expect(
    clippy::struct_field_names,
    reason = "units come last, and all of them are bytes"
)]
pub(crate) struct Options {
    /// Memory for blocks of tables that were read.
    pub(crate) cache_bytes: u64,
    /// Size at which a memtable is written out as a table. Up to `SEALED_MAX + 2` of them exist.
    pub(crate) memtable_bytes: u64,
    /// Tables of items are verified when the store is opened if they have at most so many bytes
    /// together. Damage in others is found when they are read.
    pub(crate) verify_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            cache_bytes: 32 << 20,
            memtable_bytes: 64 << 20,
            verify_bytes: 1 << 30,
        }
    }
}

impl Options {
    /// With next to no memory for blocks.
    pub(crate) fn without_cache(self) -> Self {
        Self {
            cache_bytes: self.cache_bytes.min(LOADING_CACHE_BYTES),
            ..self
        }
    }
}

/// An open database.
pub(crate) struct Db {
    pub(crate) database: Database,
    pub(crate) items: Keyspace,
    pub(crate) meta: Keyspace,
    /// Version of the format of its records.
    pub(crate) format: u32,
    /// Seals its batches.
    pub(crate) seal: Seal,
    /// Keys and values in the journal since memtables were handed over.
    journalled: AtomicU64,
    /// Threads that appeared while it was opened; fjall's is among them.
    threads: Vec<u32>,
}

/// Takes the key of a row and its value, or `None` for a deletion.
pub(crate) type TakeRow<'a> = dyn FnMut(Slice, Option<Slice>) -> ::fjall::Result<()> + 'a;

/// What a batch is going to change.
#[derive(Default)]
pub(crate) struct Changes {
    /// Key and new value, or `None` to delete, of items.
    pub(crate) items: Vec<(Slice, Option<Slice>)>,
    /// The same of the meta keyspace.
    pub(crate) meta: Vec<(Slice, Option<Slice>)>,
    /// Generations that the commit begins or cleans; their records are in `meta` as well.
    pub(crate) generations: Vec<(VbucketId, Generation)>,
}

impl Changes {
    /// Writes a record of the meta keyspace.
    pub(crate) fn put_meta(&mut self, key: &[u8], value: &[u8]) {
        self.meta.push((Slice::from(key), Some(Slice::from(value))));
    }

    /// The generation that it begins or cleans last for a vbucket.
    pub(crate) fn generation(&self, vbucket: VbucketId) -> Option<Generation> {
        let mut own = self.generations.iter();
        let found = own.rfind(|(id, _)| *id == vbucket);
        found.map(|(_, generation)| *generation)
    }

    /// Removes one.
    pub(crate) fn remove_meta(&mut self, key: &[u8]) {
        self.meta.push((Slice::from(key), None));
    }
}

impl Db {
    /// Creates the database in `folder`, which belongs to the store at `path`.
    pub(crate) fn create(
        folder: &Path,
        path: &Path,
        options: Options,
        seal: Seal,
    ) -> Result<(Self, BatchMark), StoreError> {
        let db = Self::start(folder, options, seal, true)
            .map_err(|cause| dir::unusable(path, "create files in", &cause.explained(path)))?;
        let mut changes = Changes::default();
        changes.put_meta(
            codec::META_FORMAT,
            &codec::format_value(codec::FORMAT_VERSION),
        );
        let mark = BatchMark {
            number: 1,
            synced: 0,
        };
        let committed = guarded(|| {
            // fjall syncs what is in the folders of keyspaces, and not their names.
            dir::sync_folder(&folder.join(KEYSPACES))?;
            db.commit(changes, mark, PersistMode::SyncAll)
        });
        match committed {
            Ok(()) => Ok((
                db,
                BatchMark {
                    number: 1,
                    synced: 1,
                },
            )),
            Err(cause) => {
                db.close();
                Err(dir::unusable(
                    path,
                    "create files in",
                    &cause.explained(path),
                ))
            }
        }
    }

    /// Opens the database in `folder`, which was examined and has at most this format version.
    pub(crate) fn open(
        folder: &Path,
        options: Options,
        contents: &Contents,
        (version, seal): (u32, Seal),
    ) -> Result<(Self, BatchMark), Cause> {
        guarded(|| Ok(contents.cut_tail()?))?;
        guarded(|| Ok(sync_names(folder)?))?;
        let mut db = Self::start(folder, options, seal, false)?;
        match db.read_marks(contents, version) {
            Ok((format, last)) => {
                db.format = format;
                Ok((db, last))
            }
            Err(cause) => {
                db.close();
                Err(cause.late())
            }
        }
    }

    fn start(folder: &Path, options: Options, seal: Seal, create: bool) -> Result<Self, Cause> {
        // Guards the list of threads: one database is opened at a time, so that the threads that
        // appear meanwhile are its own. Lock order: last.
        static OPENING: Mutex<()> = Mutex::new(());
        let _opening = OPENING.lock();
        let before = threads();
        guarded(|| {
            let database = Database::builder(folder)
                .worker_threads(1)
                .cache_size(options.cache_bytes)
                .manual_journal_persist(true)
                .open()?;
            let exists = [ITEMS, META]
                .into_iter()
                .all(|name| database.keyspace_exists(name));
            if !create && !exists {
                return Err(::fjall::Error::Unrecoverable);
            }
            Ok(Self {
                items: database.keyspace(ITEMS, keyspace_options)?,
                meta: database.keyspace(META, keyspace_options)?,
                format: codec::FORMAT_VERSION,
                seal,
                journalled: AtomicU64::new(0),
                database,
                threads: threads()
                    .into_iter()
                    .filter(|id| !before.contains(id))
                    .collect(),
            })
        })
    }

    /// Checks the format version and that no batch is missing. Returns the version and the last
    /// batch.
    fn read_marks(&self, contents: &Contents, version: u32) -> Result<(u32, BatchMark), Cause> {
        // First of all, before the thread of fjall has written out what it found in the journal.
        let in_tables = match self.meta.tree.get_highest_persisted_seqno() {
            Some(sequence) => self.mark_at(sequence + 1)?,
            None => 0,
        };
        // Memtables of the meta keyspace are written out after those of the items. So what the
        // tables of this one hold, those of the other hold too, and the journal has the rest.
        // (`settle` may write one out alone: then less is noticed, and nothing is wrongly refused.)
        if let Some(first) = contents.first.filter(|first| *first > in_tables + 1) {
            return Err(Cause::damage(&format!(
                "batches {} to {} are missing before its journal",
                in_tables + 1,
                first - 1
            )));
        }
        let format = guarded(|| self.meta.get(codec::META_FORMAT))?
            .ok_or(Defect("the format version is missing"))
            .and_then(|format| codec::parse_format_value(&format))?;
        // Lower for a moment: an upgrade rewrites the STORE file first.
        if format == 0 || format > version {
            return Err(Cause::damage(
                "its format version is not that of its STORE file",
            ));
        }
        let last = self.mark_at(SeqNo::MAX)?;
        let expected = contents.last.or(contents.closed.map(|closed| closed.last));
        if expected.is_some_and(|number| number != last) {
            return Err(Cause::damage(
                "its journal and its tables do not fit together",
            ));
        }
        // Opening synced everything that was found.
        let last = BatchMark {
            number: last,
            synced: last,
        };
        Ok((format, last))
    }

    /// Number of the newest batch that a reader at a point in fjall's history sees.
    fn mark_at(&self, sequence: SeqNo) -> Result<u64, Cause> {
        let mark = guarded(|| Ok(self.meta.tree.get(codec::META_BATCH, sequence)?))?
            .ok_or(Defect("the batch number is missing"))
            .and_then(|mark| codec::parse_batch_value(&mark))?;
        Ok(mark.number)
    }

    /// An error when the database refuses writes.
    pub(crate) fn check_writable(&self) -> ::fjall::Result<()> {
        self.database.persist(PersistMode::Buffer)
    }

    /// Waits until the thread of fjall has caught up.
    pub(crate) fn make_room(&self) -> ::fjall::Result<()> {
        loop {
            self.check_writable()?;
            let sealed = [&self.items, &self.meta]
                .into_iter()
                .any(|keyspace| keyspace.tree.sealed_memtable_count() > SEALED_MAX);
            let unmerged = [&self.items, &self.meta]
                .into_iter()
                .any(|keyspace| keyspace.tree.l0_run_count() > UNMERGED_MAX);
            let busy =
                self.database.outstanding_flushes() > 0 || self.database.active_compactions() > 0;
            if !sealed && (!unmerged || !busy) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Makes changes durable, all or none of them.
    pub(crate) fn commit(
        &self,
        changes: Changes,
        mark: BatchMark,
        mode: PersistMode,
    ) -> ::fjall::Result<()> {
        let Changes {
            mut items, meta, ..
        } = changes;
        // In order, neighbours find their places in a warm part of the memtable: a third faster.
        // The sort is stable: of two changes of one key the later one wins.
        items.sort_by(|left, right| left.0.cmp(&right.0));
        let count = items.len() + meta.len() + 1;
        let mut batch =
            OwnedWriteBatch::with_capacity(self.database.clone(), count).durability(Some(mode));
        let mut bytes = 0;
        for (keyspace, changes) in [(&self.meta, meta), (&self.items, items)] {
            for (key, value) in changes {
                bytes += key.len() + value.as_ref().map_or(0, |value| value.len());
                match value {
                    Some(value) => batch.insert(keyspace, key, value),
                    None => batch.remove(keyspace, key),
                }
            }
        }
        // Last, so that a batch with a mark was written to its end (`journal`).
        let value = codec::batch_value(mark, &self.seal);
        batch.insert(&self.meta, codec::META_BATCH, value);
        self.journalled.fetch_add(bytes as u64, Ordering::Relaxed);
        batch.commit()
    }

    /// Writes rows into tables of items, past the journal and the memtables: `fill` is given what
    /// takes them, in ascending order of their keys. When this returns all of them are there, and
    /// on the disk; after an error see [`Db::may_hold_more`].
    pub(crate) fn ingest<E: From<::fjall::Error>>(
        &self,
        fill: &mut dyn FnMut(&mut TakeRow<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut ingestion = self.items.start_ingestion()?;
        fill(&mut |key, value| match value {
            Some(value) => ingestion.write(key, value),
            None => ingestion.write_tombstone(key),
        })?;
        Ok(ingestion.finish()?)
    }

    /// Whether tables of items may be in force in `folder` of which this open database knows
    /// nothing: it was told that they could not be put in force.
    pub(crate) fn may_hold_more(&self, folder: &Path) -> bool {
        let Ok(found) = check::item_tables(folder) else {
            return true;
        };
        // Read behind the file: what merging takes away meanwhile makes this answer yes, no more.
        let version = self.items.tree.current_version();
        let is_known = |number| version.iter_tables().any(|table| table.id() == number);
        found.iter().any(|number| !is_known(*number))
    }

    /// Number of the last load whose changes were made.
    pub(crate) fn loaded(&self) -> Result<u64, Cause> {
        match guarded(|| self.meta.get(codec::META_LOADED))? {
            Some(value) => Ok(codec::parse_loaded_value(&value)?),
            None => Ok(0),
        }
    }

    /// Changes of the meta keyspace that came with the latest load and wait to be made.
    pub(crate) fn pending(&self) -> Result<Option<Changes>, Cause> {
        let Some(bytes) = guarded(|| self.items.get(codec::ITEMS_LOAD))? else {
            return Ok(None);
        };
        let mut changes = Changes::default();
        let number = codec::parse_load_value(&bytes, |key, value| match value {
            Some(value) => changes.put_meta(key, value),
            None => changes.remove_meta(key),
        })?;
        match number {
            Some(number) if number <= self.loaded()? => return Ok(None),
            Some(number) => changes.put_meta(codec::META_LOADED, &codec::loaded_value(number)),
            None => changes.items.push((Slice::from(codec::ITEMS_LOAD), None)),
        }
        Ok(Some(changes))
    }

    /// Makes the changes that wait, if there are any, behind the batch `last`.
    pub(crate) fn make_pending(&self, last: BatchMark) -> Result<BatchMark, Cause> {
        let Some(changes) = self.pending()? else {
            return Ok(last);
        };
        let number = last.number + 1;
        let mark = BatchMark { number, ..last };
        // The tables came into force when the folder named them; that may not have been synced.
        guarded(|| Ok(dir::sync_folder(self.items.path())?))?;
        guarded(|| self.commit(changes, mark, PersistMode::SyncData))?;
        let synced = number;
        Ok(BatchMark { number, synced })
    }

    /// Hands full memtables to the thread of fjall. Both keyspaces go together, because a journal
    /// file is removed only when everything in it has reached tables, and in this order, on which
    /// `read_marks` relies. Returns whether there were any.
    pub(crate) fn rotate(&self, memtable_bytes: u64) -> ::fjall::Result<bool> {
        let size = |keyspace: &Keyspace| keyspace.tree.active_memtable().size();
        let full = size(&self.items) + size(&self.meta) >= memtable_bytes
            || self.journalled.load(Ordering::Relaxed) >= JOURNAL_BYTES;
        if full {
            self.journalled.store(0, Ordering::Relaxed);
            self.items.rotate_memtable()?;
            self.meta.rotate_memtable()?;
        }
        Ok(full)
    }

    /// Writes memtables of at least so many bytes out as tables and waits for it: the next start
    /// reads a table several times faster than it repeats a journal.
    pub(crate) fn write_out(&self, memtable_bytes: u64) -> ::fjall::Result<()> {
        if self.rotate(memtable_bytes)? {
            while self.is_writing_out() {
                self.check_writable()?;
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        Ok(())
    }

    fn is_writing_out(&self) -> bool {
        let mut keyspaces = [&self.items, &self.meta].into_iter();
        keyspaces.any(|keyspace| keyspace.tree.sealed_memtable_count() > 0)
            || self.database.outstanding_flushes() > 0
    }

    /// Waits until the thread of fjall merges nothing, for `time` at most. Returns whether it came.
    pub(crate) fn rests(&self, time: Duration) -> bool {
        const PAUSE: Duration = Duration::from_millis(1);
        let mut left = time;
        while self.database.active_compactions() > 0 {
            left = left.saturating_sub(PAUSE);
            if left.is_zero() {
                return false;
            }
            std::thread::sleep(PAUSE);
        }
        true
    }

    /// Whether tables hold everything.
    pub(crate) fn is_written_out(&self) -> bool {
        let mut keyspaces = [&self.items, &self.meta].into_iter();
        let is_empty = |keyspace: &Keyspace| keyspace.tree.active_memtable().size() == 0;
        !self.is_writing_out() && keyspaces.all(is_empty)
    }

    /// Closes the database and waits until its thread is gone: the library that holds its code may
    /// be unloaded next.
    /// Returns whether it was closed as it should be.
    pub(crate) fn close(self) -> bool {
        const ROUNDS_MAX: u32 = 20_000;
        let Self {
            database,
            items,
            meta,
            threads,
            ..
        } = self;
        let closed = guarded(|| {
            let synced = database.persist(PersistMode::SyncAll);
            drop((items, meta, database));
            synced
        });
        let mut round = 0;
        while round < ROUNDS_MAX && threads.iter().any(|id| is_worker(*id)) {
            std::thread::sleep(Duration::from_micros(100));
            round += 1;
        }
        closed.is_ok()
    }
}

/// Has every name in the folders of a database on the disk. A process may have been killed, or have
/// failed, between a change of a name and its being synced; fjall goes by what it finds, and
/// removes what that makes useless.
fn sync_names(folder: &Path) -> std::io::Result<()> {
    let keyspaces = folder.join(KEYSPACES);
    for entry in std::fs::read_dir(&keyspaces)? {
        let keyspace = entry?.path();
        dir::sync_folder(&keyspace)?;
    }
    dir::sync_folder(&keyspaces)?;
    dir::sync_folder(folder)
}

fn keyspace_options() -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default()
        .manual_journal_persist(true)
        // `Db::rotate` decides.
        .max_memtable_size(u64::MAX)
        // Reads are for values of keys that are known to exist.
        .expect_point_read_hits(true)
        // Measured: merging half as often as by default and larger blocks give a fifth more writes
        // and scan speed, and cost single reads a tenth.
        .compaction_strategy(Arc::new(Leveled::default().with_l0_threshold(14)))
        .data_block_size_policy(BlockSizePolicy::all(16 << 10))
}

/// Ids of the threads of this process.
fn threads() -> Vec<u32> {
    let Ok(entries) = std::fs::read_dir("/proc/self/task") else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect()
}

/// Whether a thread exists and is fjall's.
fn is_worker(id: u32) -> bool {
    std::fs::read_to_string(format!("/proc/self/task/{id}/comm"))
        .is_ok_and(|name| name.trim_end() == WORKER_NAME)
}
