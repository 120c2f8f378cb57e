//! Warm-up: loads vbucket states, keys, metadata and values from the store when the engine starts.
//!
//! States come first. Keys come vbucket by vbucket, those that serve clients before the others:
//! one thread reads the store and makes items of the rows, in chunks; another one puts them into
//! the tables. Values come along while memory is below `mem_low_wat`.
//!
//! Threads: [`Warmup::run`] runs in the thread that starts the engine, or in a worker while other
//! vbuckets serve clients already; it has a second thread of its own. Waits for the disk.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use crate::ffi::alloc::used_bytes;
use crate::item::{Item, Meta};
use crate::keyhash::KeyHash;
use crate::store::{PARTED, Record, Store, StoreError, VbucketRecord};
use crate::types::{VbucketId, VbucketState};
use crate::vbucket::{Shared, Vbucket, VbucketMap};
use crate::worker::{Class, Signal, Worker};

/// Keys, and bytes of keys and values, that the reading thread hands over at once. Many, so that
/// several of them meet in one part of a table; with a small quota fewer, because memory is looked
/// at once a chunk.
const CHUNK_KEYS: usize = 1 << 17;
const CHUNK_BYTES_MAX: usize = 16 << 20;
const CHUNK_BYTES_MIN: usize = 64 << 10;
/// Chunks that fit below `mem_low_wat` at least.
const CHUNKS_IN_QUOTA: usize = 32;
/// Chunks that wait to be put into tables.
const CHUNKS_AHEAD: usize = 2;

/// What is to be loaded.
pub(crate) struct Warmup {
    store: Arc<dyn Store>,
    vbuckets: Arc<VbucketMap>,
    shared: Arc<Shared>,
    key_hash: KeyHash,
    todo: Vec<VbucketId>,
    /// Whether keys that do not fit into the quota are an error.
    must_fit: bool,
}

/// Keys of one vbucket on their way.
struct Chunk {
    vbucket: VbucketId,
    /// With their hashes.
    items: Vec<(u32, Item)>,
    values: u64,
    /// The highest CAS of the vbucket so far.
    cas_max: u64,
    is_last: bool,
}

/// Makes the vbuckets exist whose states the store knows; their keys are to be loaded.
///
/// # Errors
/// When the store cannot be read or is damaged; nothing was changed.
pub(crate) fn prepare(
    store: &dyn Store,
    vbuckets: &VbucketMap,
    shared: &Shared,
) -> Result<Vec<(VbucketId, VbucketRecord)>, StoreError> {
    let records = store.vbuckets()?;
    for &(id, record) in &records {
        let now = shared.host.unix_nanos();
        if let Some(vbucket) = vbuckets.create(id, record.state, record.reserved.next(), now) {
            if record.state == VbucketState::Active {
                // Its ids are its own.
            } else if record.checkpoint == PARTED {
                vbucket.part_from_master(false);
            } else {
                vbucket.resume_behind(record.checkpoint);
            }
            vbucket.resume_due(record.due);
            vbucket.begin_loading();
        }
    }
    Ok(records)
}

/// Whether the store holds a key of any of its vbuckets.
///
/// # Errors
/// When the store cannot be read or is damaged.
pub(crate) fn has_keys(store: &dyn Store) -> Result<bool, StoreError> {
    for (id, _) in store.vbuckets()? {
        let mut found = false;
        store.scan(id, &mut |_, _| {
            found = true;
            false
        })?;
        if found {
            return Ok(true);
        }
    }
    Ok(false)
}

impl Warmup {
    /// Of all vbuckets that are loading; it counts as running from now on.
    pub(crate) fn new(
        store: &Arc<dyn Store>,
        vbuckets: &Arc<VbucketMap>,
        shared: &Arc<Shared>,
        key_hash: KeyHash,
        must_fit: bool,
    ) -> Self {
        let mut todo: Vec<&Vbucket> = vbuckets.iter().filter(|vb| vb.is_loading()).collect();
        todo.sort_by_key(|vbucket| match vbucket.state() {
            Some(VbucketState::Active) => 0,
            Some(VbucketState::Pending) => 1,
            Some(VbucketState::Replica) => 2,
            Some(VbucketState::Dead) | None => 3,
        });
        shared.metrics.warming_up.set(1);
        Self {
            todo: todo.into_iter().map(Vbucket::id).collect(),
            store: Arc::clone(store),
            vbuckets: Arc::clone(vbuckets),
            shared: Arc::clone(shared),
            key_hash,
            must_fit,
        }
    }

    /// Loads everything, unless `signal` says stop before that. Calls `ready` for every vbucket
    /// whose keys are there.
    ///
    /// # Errors
    /// When the store cannot be read or is damaged, or the keys do not fit. Vbuckets that were not
    /// loaded answer with temporary failures from then on.
    pub(crate) fn run(
        self: &Arc<Self>,
        signal: &Signal,
        ready: &mut dyn FnMut(VbucketId),
    ) -> Result<(), StoreError> {
        let (metrics, host) = (&self.shared.metrics, &self.shared.host);
        let start = host.monotonic();
        let result = self.load_all(signal, ready);
        if result.is_err() {
            metrics.warmup_failed.set(1);
            let left = self.vbuckets.iter().filter(|vb| vb.is_loading());
            left.for_each(Vbucket::loading_failed);
            self.todo.iter().for_each(|&id| ready(id));
        }
        let micros = host.monotonic().saturating_sub(start).as_micros();
        let micros = u64::try_from(micros).unwrap_or(u64::MAX);
        metrics.warmup_micros.set(micros);
        metrics.warming_up.set(0);
        result
    }

    fn load_all(
        self: &Arc<Self>,
        signal: &Signal,
        ready: &mut dyn FnMut(VbucketId),
    ) -> Result<(), StoreError> {
        let (send, receive) = sync_channel(CHUNKS_AHEAD);
        let own = Arc::clone(self);
        let scan = Signal::new();
        let mut scanner =
            Worker::spawn("scan", &scan, Class::Serving, move |_| own.scan_all(&send)).map_err(
                |error| StoreError::new(format!("cannot start the thread ce-scan: {error}")),
            )?;
        // When this returns the channel is closed, and with it the scanner's work.
        let result = self.insert_all(receive, signal, ready);
        if !scanner.stop() {
            return Err(StoreError::new("the thread that reads the store panicked"));
        }
        result
    }

    /// Reads every vbucket, until nobody takes the chunks any more.
    fn scan_all(&self, out: &SyncSender<Result<Chunk, StoreError>>) {
        for &id in &self.todo {
            match self.scan(id, out) {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    let _ = out.send(Err(error));
                    return;
                }
            }
        }
    }

    /// Reads one vbucket. Returns whether the chunks are taken.
    fn scan(
        &self,
        id: VbucketId,
        out: &SyncSender<Result<Chunk, StoreError>>,
    ) -> Result<bool, StoreError> {
        let is_wanted = || self.vbuckets.get(id).is_some_and(Vbucket::is_loading);
        let mut values = self.has_room();
        let mut chunk = Chunk::new(id, 0);
        let share = self.shared.settings.mem_low_wat.count() / CHUNKS_IN_QUOTA;
        let bytes_max = share.clamp(CHUNK_BYTES_MIN, CHUNK_BYTES_MAX);
        let mut bytes = 0;
        let mut is_taken = true;
        self.store.scan(id, &mut |key, record| {
            chunk.cas_max = chunk.cas_max.max(record.cas);
            if let Some((hash, item)) = make(key, &record, self.key_hash, values) {
                chunk.items.push((hash, item));
                chunk.values += u64::from(values);
            }
            bytes += key.len() + if values { record.value.len() } else { 0 };
            if chunk.items.len() == CHUNK_KEYS || bytes >= bytes_max {
                bytes = 0;
                let next = Chunk::new(id, chunk.cas_max);
                is_taken = out.send(Ok(std::mem::replace(&mut chunk, next))).is_ok();
                values = self.has_room();
                return is_taken && is_wanted();
            }
            true
        })?;
        chunk.is_last = true;
        Ok(is_taken && out.send(Ok(chunk)).is_ok())
    }

    fn insert_all(
        &self,
        chunks: Receiver<Result<Chunk, StoreError>>,
        signal: &Signal,
        ready: &mut dyn FnMut(VbucketId),
    ) -> Result<(), StoreError> {
        let metrics = &self.shared.metrics;
        let mut may_fit = true;
        for chunk in chunks {
            let mut chunk = chunk?;
            if signal.is_stopped() {
                return Ok(());
            }
            metrics.warmed_up.add(chunk.items.len() as u64);
            metrics.warmed_values.add(chunk.values);
            let vbucket = self.vbuckets.get(chunk.vbucket);
            if let Some(vbucket) = vbucket {
                vbucket.load(&mut chunk.items);
            }
            if may_fit && !self.fits() {
                may_fit = self.drop_values()?;
            }
            if let Some(vbucket) = vbucket.filter(|_| chunk.is_last) {
                vbucket.loaded(chunk.cas_max);
                ready(chunk.vbucket);
            }
        }
        Ok(())
    }

    /// Whether values are to be loaded too.
    fn has_room(&self) -> bool {
        (used_bytes() as u64) < self.shared.settings.mem_low_wat.get()
    }

    fn fits(&self) -> bool {
        used_bytes() as u64 <= self.shared.settings.max_size.get()
    }

    /// The quota is used up: drops the values that were loaded. Returns whether the keys fit.
    fn drop_values(&self) -> Result<bool, StoreError> {
        self.vbuckets.iter().for_each(Vbucket::drop_loaded_values);
        self.shared.metrics.warmed_values.set(0);
        if self.fits() {
            return Ok(true);
        }
        if self.must_fit {
            return Err(self.too_small());
        }
        let text = "warm-up: the keys, with what clients have written meanwhile, need more memory \
                    than max_size; they are loaded all the same (failpartialwarmup=false or \
                    waitforwarmup=false), and writes get temporary failures";
        self.shared.host.log(crate::host::LogLevel::Warning, text);
        Ok(false)
    }

    fn too_small(&self) -> StoreError {
        StoreError::new(format!(
            "the keys in the store do not fit into max_size={}: {} of them are loaded, without \
             values, and take all of it; raise max_size, or give failpartialwarmup=false to start \
             all the same; nothing was changed",
            self.shared.settings.max_size.get(),
            self.shared.metrics.warmed_up.get(),
        ))
    }
}

impl Chunk {
    fn new(vbucket: VbucketId, cas_max: u64) -> Self {
        Self {
            vbucket,
            items: Vec::new(),
            values: 0,
            cas_max,
            is_last: false,
        }
    }
}

/// The item of a row, with its hash.
fn make(key: &[u8], record: &Record<'_>, key_hash: KeyHash, value: bool) -> Option<(u32, Item)> {
    let hash = key_hash.of(key);
    let meta = Meta {
        hash,
        flags: record.flags,
        expiry: record.expiry,
        cas: record.cas,
    };
    let item = if value {
        Item::with_value(key, &[record.value], meta)
    } else {
        Item::key_only_with(key, record.value.len(), meta)
    };
    Some((hash, item?))
}
