//! Start and shutdown.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::answers::Answers;
use super::scrub::Scrub;
use super::{
    Core, Engine, Noted, Replication, Restores, Syncs, Updates, Waiting, house, noted, sync, update,
};
use crate::bgfetch::{self, Fetcher};
use crate::config::{Config, OnlineUpdateUndo};
use crate::ffi::signals::survive_file_limit;
use crate::flusher::{self, Persister, Round};
use crate::host::{Host, LogLevel};
use crate::keyhash::KeyHash;
use crate::metrics::Metrics;
use crate::pager::{self, Evictor};
use crate::rewarm::{self, Rewarm};
use crate::settings::Settings;
use crate::store::fjall::{FjallStore, Options};
use crate::store::memory::MemoryStore;
use crate::store::{Store, WindowRecord, plain};
use crate::tap::{self, Streams};
use crate::types::{CheckpointId, VbucketId, VbucketState};
use crate::vbucket::{Awaited, ReadersSwitch, Restoring, Shared, Trash, Vbucket, VbucketMap};
use crate::warmup::{self, Warmup};
use crate::worker::{Class, Signal, Worker};

/// Ids of checkpoints that are reserved ahead in the store.
const LEASE_IDS: u64 = 1024;
/// Threads that read values from the store.
const FETCH_THREADS: usize = 2;
/// Smaller memtables would make more tables than can be merged.
const MEMTABLE_BYTES_MIN: u64 = 1 << 20;
/// Why a start with `warmup=false` is refused.
const NO_WARMUP: &str = "warmup=false, but the store holds keys, and without them in memory they \
                         could not be served; remove warmup=false to load them, or give another \
                         dbname or remove that directory to start empty; nothing was changed";
/// Pause between attempts to write during shutdown.
const RETRY: Duration = Duration::from_millis(100);

impl Engine {
    /// Opens the store, loads it, starts the threads.
    ///
    /// # Errors
    /// A sentence for the operator; nothing was changed on disk.
    pub(crate) fn start(host: Arc<dyn Host>, config: Config) -> Result<Self, String> {
        let begun = host.monotonic();
        let store = open_store(&*host, &config)?;
        let took = host.monotonic().saturating_sub(begun);
        let engine = Self::start_with(host, config, &store)?;
        engine.shared().metrics.open_seconds.set(took.as_secs());
        Ok(engine)
    }

    /// The same over a given store.
    pub(crate) fn start_with(
        host: Arc<dyn Host>,
        config: Config,
        store: &Arc<dyn Store>,
    ) -> Result<Self, String> {
        tell(&*host, &config);
        if !config.warmup && warmup::has_keys(&**store).map_err(|error| error.to_string())? {
            return Err(NO_WARMUP.to_owned());
        }
        let core = build(host, config, store)?;
        if core.config.restore_mode {
            core.begin_in_restore_mode();
        }
        let warmup = Warmup::new(
            store,
            &core.vbuckets,
            &core.shared,
            core.key_hash,
            // A node that serves clients goes on: what fills its memory may be theirs.
            core.config.failpartialwarmup && core.config.waitforwarmup,
        );
        let mut warmup = Some(Arc::new(warmup));
        if core.config.waitforwarmup {
            let load = |warmup: Arc<Warmup>| warmup.run(&Signal::new(), &mut |_| {});
            let result = warmup.take().map_or(Ok(()), load);
            result.map_err(|error| error.to_string())?;
        }
        // The window's fate, vbucket 0 and the ids that this process may give are on record before
        // anything happens.
        core.persister.round().map_err(|error| error.to_string())?;
        let workers = spawn(&core, warmup)?;
        Ok(Self {
            core,
            workers: Mutex::new(workers),
            is_down: AtomicBool::new(false),
        })
    }

    /// Stops the threads, writes what may be written, closes the store. Idempotent.
    pub(crate) fn shutdown(&self) {
        if self.is_down.swap(true, Ordering::AcqRel) {
            return;
        }
        let core = &self.core;
        // The fetchers, which are stopped last, notify them.
        core.resume_all();
        let mut workers = std::mem::take(&mut *self.workers.lock());
        for worker in &mut workers {
            if !worker.stop() {
                core.host
                    .log(LogLevel::Warning, "a thread of the engine had panicked");
            }
        }
        core.write_the_rest();
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.shutdown();
    }
}

impl Core {
    /// Flushes up to the barriers and closes the checkpoints, for as long as the configuration
    /// allows. In this order: a record that gives back the ids that were not used says that what
    /// was given of the others is durable.
    fn write_the_rest(&self) {
        self.persister.set_stopped(false);
        let timeout = Duration::from_secs(u64::from(self.config.shutdown_timeout));
        let end = self.host.monotonic() + timeout;
        if self.write_until(end, timeout) {
            self.vbuckets.iter().for_each(Vbucket::finish);
            self.write_until(end, timeout);
        }
    }

    /// Writes everything that may be written. False if that took too long.
    fn write_until(&self, end: Duration, timeout: Duration) -> bool {
        loop {
            let failure = match self.persister.round() {
                Ok(Round::Idle) => return true,
                Ok(Round::More) => None,
                Err(error) => Some(error.to_string()),
            };
            if self.host.monotonic() >= end {
                let cause = failure.unwrap_or_else(|| "too much to write".to_owned());
                let text = format!(
                    "shutdown: gave up writing after {} s (shutdown_timeout): {cause}; the latest \
                     mutations are lost",
                    timeout.as_secs()
                );
                self.host.log(LogLevel::Warning, &text);
                return false;
            }
            if failure.is_some() {
                std::thread::sleep(RETRY);
            }
        }
    }
}

impl Core {
    /// A thread has died of a defect. The operator sees it, and nobody waits for it.
    pub(super) fn thread_died(&self, name: &str, panic: &(dyn Any + Send)) {
        let words = panic.downcast_ref::<String>().map(String::as_str);
        let words = words.or_else(|| panic.downcast_ref::<&str>().copied());
        let words = words.unwrap_or("no message");
        let text = format!(
            "the thread ce-{name} has died of a defect ({words}): restart this node, and report \
             this line; what was durable is safe"
        );
        self.host.log(LogLevel::Warning, &text);
        let dead = &self.shared.metrics.dead_threads;
        dead.set(format!("{} ce-{name}", dead.get()).trim().to_owned());
        match name {
            "update" => self.updates_died(),
            "flush" => self.persister.died(),
            "note" => self.noted_died(noted::DIED),
            "sync" => self.syncs_ended(),
            "warmup" => self.loading_died(),
            _ => {}
        }
    }

    /// The thread that loads keys has died: who waits for those that are lacking is told.
    fn loading_died(&self) {
        for vbucket in self.vbuckets.iter().filter(|vbucket| vbucket.is_loading()) {
            vbucket.loading_failed();
            self.resume_waiting(vbucket.id());
        }
        let metrics = &self.shared.metrics;
        metrics.warmup_failed.set(1);
        metrics.warming_up.set(0);
    }

    /// The thread that loads keys while clients are served.
    fn warm_up(&self, warmup: &Arc<Warmup>, signal: &Signal) {
        let result = warmup.run(signal, &mut |vbucket| self.resume_waiting(vbucket));
        if let Err(error) = result {
            let text = format!(
                "warm-up failed: {error}; vbuckets that are not loaded answer with temporary \
                 failures until the next start"
            );
            self.host.log(LogLevel::Warning, &text);
        }
        // What a flush_all made void while it was being loaded.
        self.house.wake();
    }
}

fn open_store(host: &dyn Host, config: &Config) -> Result<Arc<dyn Store>, String> {
    let Some(path) = &config.dbname else {
        return Ok(Arc::new(MemoryStore));
    };
    survive_file_limit();
    let store = FjallStore::open(path, options(config)).map_err(|error| error.to_string())?;
    if let Some(warning) = plain::exposed(path) {
        host.log(LogLevel::Warning, &warning);
    }
    Ok(Arc::new(store))
}

/// What the store may take of the memory, which all counts in the quota: a sixteenth for its cache,
/// and for its memtables, of which there are up to four, an eighth.
fn options(config: &Config) -> Options {
    let Options {
        memtable_bytes,
        verify_bytes,
        ..
    } = Options::default();
    Options {
        cache_bytes: config.store_cache_size.min(config.max_size / 16),
        memtable_bytes: memtable_bytes
            .min(config.max_size / 32)
            .max(MEMTABLE_BYTES_MIN),
        verify_bytes,
    }
}

/// Tells the operator what is remarkable about the configuration.
fn tell(host: &dyn Host, config: &Config) {
    for warning in &config.warnings {
        host.log(LogLevel::Warning, warning);
    }
    if !config.ignored.is_empty() {
        let key = |(key, reason): &(&str, &str)| format!("{key} ({reason})");
        let keys: Vec<String> = config.ignored.iter().map(key).collect();
        let text = format!(
            "configuration keys without effect here: {}",
            keys.join("; ")
        );
        host.log(LogLevel::Warning, &text);
    }
    if config.dbname.is_none() {
        let text = "no dbname is configured: everything is kept in memory only and is gone when \
                    this process ends; give -e dbname=DIRECTORY to keep it";
        host.log(LogLevel::Warning, text);
    }
}

fn share(host: &Arc<dyn Host>, config: &Config, store: &dyn Store) -> Shared {
    let in_memory = config.online_update_undo == OnlineUpdateUndo::Memory;
    Shared {
        host: Arc::clone(host),
        metrics: Metrics::default(),
        switch: ReadersSwitch::default(),
        restoring: Restoring::default(),
        settings: Settings::new(config),
        lease: if store.keeps_values() {
            LEASE_IDS
        } else {
            u64::MAX
        },
        flush: Signal::new(),
        trash: Trash::new(Signal::new()),
        awaited: Awaited::default(),
        keep_pre_images: in_memory || !store.keeps_values(),
    }
}

const LOST: &str = "the last process ended inside an online update: its writes since START are \
                    gone and the data is as it was at START";
const PARTLY_LOST: &str = "the last online update was completed, but for vbuckets that were dead \
                           or replicas by then: they had their windows still when the last process \
                           ended, and are as they were at START";

fn build(host: Arc<dyn Host>, config: Config, store: &Arc<dyn Store>) -> Result<Arc<Core>, String> {
    let shared = Arc::new(share(&host, &config, &**store));
    let vbuckets = Arc::new(VbucketMap::new(Arc::clone(&shared)));
    let key_hash = KeyHash::new();
    let window = store.window().map_err(|error| error.to_string())?;
    let (fate, lost) = match window {
        WindowRecord::Open => (WindowRecord::Lost, LOST),
        WindowRecord::PartlyCompleted => (WindowRecord::Completed, PARTLY_LOST),
        ended => (ended, ""),
    };
    let records =
        warmup::prepare(&**store, &vbuckets, &shared).map_err(|error| error.to_string())?;
    // Who deleted all of them wants none back.
    let is_new = records.is_empty() && store.is_new();
    let persister = Persister::new(
        Arc::clone(store),
        Arc::clone(&vbuckets),
        Arc::clone(&shared),
        config.durability,
        window,
    );
    if fate != window {
        persister.want_window(fate);
        host.log(LogLevel::Warning, lost);
    }
    let previous = records.iter().map(|(id, it)| (*id, it.state)).collect();
    for (id, record) in records {
        if let Some(vbucket) = vbuckets.get(id) {
            persister.loaded(vbucket, record);
        }
    }
    if config.vb0 && is_new {
        make_first(&vbuckets, &*host);
    }
    let evictor = Arc::new(Evictor::new(
        Arc::clone(&vbuckets),
        Arc::clone(&shared),
        Arc::clone(store),
        &config,
    ));
    let (fetcher, rewarm) = readers(store, &vbuckets, &shared, &evictor);
    let house = Arc::clone(shared.trash.house());
    let streams = Streams::new(&config, &vbuckets, &shared, store, &evictor);
    Ok(Arc::new(Core {
        host,
        shared,
        vbuckets,
        persister: Arc::new(persister),
        fetcher: Arc::new(fetcher),
        evictor,
        rewarm: Arc::new(rewarm),
        updates: Updates::new(fate, Signal::new()),
        streams: Arc::new(streams),
        replication: Replication::default(),
        restores: Restores::default(),
        scrub: Scrub::default(),
        key_hash,
        house,
        waiting: Waiting::default(),
        verified: Answers::default(),
        pre_images: Answers::default(),
        noted: Noted::default(),
        syncs: Syncs::default(),
        previous,
        config,
    }))
}

/// What brings values in from the store.
fn readers(
    store: &Arc<dyn Store>,
    vbuckets: &Arc<VbucketMap>,
    shared: &Arc<Shared>,
    evictor: &Arc<Evictor>,
) -> (Fetcher, Rewarm) {
    let fetcher = Fetcher::new(
        Arc::clone(store),
        Arc::clone(vbuckets),
        Arc::clone(shared),
        Arc::clone(evictor),
    );
    let rewarm = Rewarm::new(
        Arc::clone(store),
        Arc::clone(vbuckets),
        Arc::clone(shared),
        Arc::clone(evictor),
    );
    (fetcher, rewarm)
}

/// Makes vbucket 0 of a node whose store is new.
fn make_first(vbuckets: &VbucketMap, host: &dyn Host) {
    if let Some(id) = VbucketId::new(0) {
        let first = CheckpointId::new(1);
        vbuckets.create(id, VbucketState::Active, first, host.unix_nanos());
    }
}

/// Threads that no client waits for, or that get on however little they are given. Not the flusher
/// and the pager: writes end when those do not keep up.
const BACKGROUND: [&str; 4] = ["update", "house", "rewarm", "backfill"];

fn class_of(name: &str) -> Class {
    if BACKGROUND.contains(&name) {
        Class::Background
    } else {
        Class::Serving
    }
}

/// Starts the threads, in the order in which they are stopped: a COMPLETE that was accepted is
/// finished before the flusher goes, and the fetchers, which notify clients, go last.
fn spawn(core: &Arc<Core>, warmup: Option<Arc<Warmup>>) -> Result<Vec<Worker>, String> {
    let mut workers = Vec::new();
    let mut start = |name: &str, signal: &Arc<Signal>, body: Box<dyn FnOnce(&Signal) + Send>| {
        let (of, own) = (name.to_owned(), Arc::clone(core));
        let worker = Worker::spawn(name, signal, class_of(name), move |signal| {
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| body(signal))) {
                own.thread_died(&of, &*panic);
                resume_unwind(panic);
            }
        });
        worker
            .map(|worker| workers.push(worker))
            .map_err(|error| format!("cannot start the thread ce-{name}: {error}"))
    };
    if let Some(warmup) = warmup {
        let own = Arc::clone(core);
        let body = move |signal: &Signal| own.warm_up(&warmup, signal);
        start("warmup", &Signal::new(), Box::new(body))?;
    }
    let run = |body: fn(&Core, &Signal)| -> Box<dyn FnOnce(&Signal) + Send> {
        let own = Arc::clone(core);
        Box::new(move |signal| body(&own, signal))
    };
    start("update", core.updates.signal(), run(update::run))?;
    start("note", core.noted.signal(), run(noted::run))?;
    start("sync", core.shared.awaited.signal(), run(sync::run))?;
    let own = Arc::clone(core);
    let flush = move |signal: &Signal| {
        flusher::run(&own.persister, &own.house, signal);
    };
    start("flush", &core.shared.flush, Box::new(flush))?;
    let own = Arc::clone(core);
    let tidy = move |signal: &Signal| flusher::run_tidy(&own.persister, signal);
    if core.persister.keeps_values() {
        start("tidy", core.persister.tidy_signal(), Box::new(tidy))?;
    }
    start("house", &core.house, run(house::run))?;
    let own = Arc::clone(core);
    let warm = move |signal: &Signal| rewarm::run(&own.rewarm, signal);
    start("rewarm", core.rewarm.signal(), Box::new(warm))?;
    let own = Arc::clone(core);
    let fill = Arc::clone(&core.streams);
    let body = move |signal: &Signal| tap::fill(&fill, signal);
    start("backfill", core.streams.fill_signal(), Box::new(body))?;
    let wake = Arc::clone(&core.streams);
    let body = move |signal: &Signal| tap::run(&wake, signal);
    start("tap", core.streams.signal(), Box::new(body))?;
    let evict = move |signal: &Signal| pager::run(&own.evictor, signal);
    start("pager", core.evictor.signal(), Box::new(evict))?;
    for number in 0..FETCH_THREADS {
        let own = Arc::clone(core);
        let body = move |signal: &Signal| {
            bgfetch::run(&own.fetcher, signal);
        };
        start(
            &format!("fetch-{number}"),
            core.fetcher.signal(),
            Box::new(body),
        )?;
    }
    Ok(workers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_quota_leaves_the_store_a_share_of_it() {
        for (quota, cache, memtable) in [
            (0, 64 << 20, 64 << 20),
            (4 << 30, 64 << 20, 64 << 20),
            (64 << 20, 4 << 20, 2 << 20),
            (1 << 20, 64 << 10, 1 << 20),
        ] {
            let config = Config::parse(&format!("max_size={quota}")).unwrap();
            let options = options(&config);
            let found = (options.cache_bytes, options.memtable_bytes);
            assert_eq!(found, (cache, memtable), "{quota}");
        }
        let config = Config::parse("max_size=1048576;store_cache_size=100").unwrap();
        assert_eq!(options(&config).cache_bytes, 100);
    }
}
