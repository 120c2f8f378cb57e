//! Background reads: brings a value back from the store for the clients that wait for it.
//!
//! Requests for one version of one key are joined. A client is notified when its value is in
//! place, or when it cannot be had; it then repeats its call. A fetched value never overwrites a
//! newer one: the table takes it only for the version it was read for. What has queued up is read
//! in the order of the store, a batch at a time.
//!
//! A read that meets a defect is one that failed: its clients are told, and the thread goes on with
//! the others.
//!
//! Threads: a small pool runs [`run`]. Host threads only queue.

use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::host::{BlockedCookie, Cookie, LogLevel};
use crate::item::Item;
use crate::latch::Latch;
use crate::pager::Evictor;
use crate::served::Version;
use crate::store::Store;
use crate::types::VbucketId;
use crate::vbucket::{Shared, VbucketMap};
use crate::worker::{Signal, Wake};

/// Values that a thread reads before it looks at the queue again.
const BATCH_MAX: usize = 32;

/// What the operator is told of a defect.
const DEFECT: &str = "a value could not be read because of a defect (stderr says where): the \
                      connections of those who wait for it are closed; please report this";

/// A value to be fetched.
#[derive(Debug)]
struct Wanted {
    version: Version,
    /// The key-only item that stands for it.
    item: Item,
    since: Duration,
}

/// Another read of the store. Whoever waits for it is notified by the job itself.
pub(crate) type Job = Box<dyn FnOnce(&dyn Store) + Send>;

#[derive(Default)]
struct Queue {
    /// Oldest first.
    wanted: VecDeque<Wanted>,
    /// Oldest first; one goes with each batch of fetches.
    jobs: VecDeque<Job>,
    /// Who waits for what. A version under way stays here until it is in place.
    waiting: HashMap<Version, HashMap<Cookie, BlockedCookie>>,
    /// Clients whose last fetch failed, and what it was for.
    failed: HashMap<Cookie, Version>,
    /// Cookies to be notified for another reason than a fetch.
    resume: Vec<BlockedCookie>,
}

/// The queue of background reads.
pub(crate) struct Fetcher {
    store: Arc<dyn Store>,
    vbuckets: Arc<VbucketMap>,
    shared: Arc<Shared>,
    evictor: Arc<Evictor>,
    // Guards the queue. Lock order: last; nothing is locked or called under it.
    queue: Latch<Queue>,
    signal: Arc<Signal>,
}

impl Fetcher {
    /// Reads from `store` into `vbuckets`, where `evictor` makes room.
    pub(crate) fn new(
        store: Arc<dyn Store>,
        vbuckets: Arc<VbucketMap>,
        shared: Arc<Shared>,
        evictor: Arc<Evictor>,
    ) -> Self {
        Self {
            store,
            vbuckets,
            shared,
            evictor,
            queue: Latch::default(),
            signal: Signal::new(),
        }
    }

    /// Wakes the pool.
    pub(crate) fn signal(&self) -> &Arc<Signal> {
        &self.signal
    }

    /// The item with its value that a key-only one stands for, if it was brought in just now.
    ///
    /// # Errors
    /// `WouldBlock` when a read was queued; `Disconnect` when this client has waited for one that
    /// failed.
    pub(crate) fn fetch(&self, vbucket: VbucketId, item: Item, cookie: Cookie) -> Result<Item> {
        let version = Version {
            vbucket,
            cas: item.cas(),
            key: item.key().into(),
        };
        let since = self.shared.host.monotonic();
        let mut queue = self.queue.lock();
        let failed = queue.failed.remove(&cookie);
        if failed.is_some_and(|failed| failed == version) {
            return Err(Error::Disconnect);
        }
        drop(queue);
        let served = self.evictor.served().take(&version);
        if let Some(full) = served.filter(|full| full.meta() == item.meta()) {
            return Ok(full);
        }
        let mut queue = self.queue.lock();
        if let Some(waiting) = queue.waiting.get_mut(&version) {
            // A host may repeat a call before it is notified: a client waits once.
            let blocked = || BlockedCookie::new(cookie);
            waiting.entry(cookie).or_insert_with(blocked);
            return Err(Error::WouldBlock);
        }
        let waiting = HashMap::from([(cookie, BlockedCookie::new(cookie))]);
        queue.waiting.insert(version.clone(), waiting);
        queue.wanted.push_back(Wanted {
            version,
            item,
            since,
        });
        drop(queue);
        self.signal.wake();
        Err(Error::WouldBlock)
    }

    /// Has a thread of the pool do a job.
    pub(crate) fn submit(&self, job: Job) {
        self.queue.lock().jobs.push_back(job);
        self.signal.wake();
    }

    /// Has an engine thread notify these cookies.
    pub(crate) fn resume(&self, cookies: Vec<BlockedCookie>) {
        self.queue.lock().resume.extend(cookies);
        self.signal.wake();
    }

    /// A client is gone. Where the host calls again it is owed its notification all the same. Where
    /// it does not, the next client may have its cookie before the read ends, and is not to be told
    /// of that.
    pub(crate) fn forget(&self, cookie: Cookie) {
        let is_owed = self.shared.host.calls_again();
        let mut queue = self.queue.lock();
        queue.failed.remove(&cookie);
        if !is_owed {
            for waiting in queue.waiting.values_mut() {
                waiting.remove(&cookie);
            }
        }
    }

    /// The thread's work: reads until nothing is wanted.
    pub(crate) fn work(&self) {
        loop {
            let (mut batch, job, resume, more) = {
                let mut queue = self.queue.lock();
                // The other threads of the pool have their share.
                let share = queue.wanted.len().div_ceil(2).min(BATCH_MAX);
                let batch: Vec<_> = queue.wanted.drain(..share).collect();
                // Fetches may never end.
                let job = queue.jobs.pop_front();
                let resume = std::mem::take(&mut queue.resume);
                let more = !queue.wanted.is_empty() || !queue.jobs.is_empty();
                (batch, job, resume, more)
            };
            let idle = batch.is_empty() && job.is_none() && resume.is_empty();
            if more {
                self.signal.wake();
            }
            for cookie in resume {
                self.shared.host.notify(cookie);
            }
            let (jobs, host) = (&self.shared.metrics.jobs.reads, &self.shared.host);
            let reads = batch.len() + usize::from(job.is_some());
            let running = (reads > 0).then(|| jobs.begin("read values", host.monotonic()));
            self.delay(reads);
            batch.sort_unstable_by(|one, other| one.version.cmp(&other.version));
            for wanted in &batch {
                self.serve(wanted);
            }
            if let Some(job) = job {
                job(&*self.store);
            }
            if let Some(running) = running {
                jobs.end(running, host.monotonic());
            }
            if idle {
                return;
            }
        }
    }

    /// `bg_fetch_delay`, a test aid. A shutdown does not wait for it.
    fn delay(&self, reads: usize) {
        let seconds = self.shared.settings.bg_fetch_delay.get();
        if seconds != 0 && reads != 0 {
            self.signal.nap(Duration::from_secs(seconds));
        }
    }

    fn serve(&self, wanted: &Wanted) {
        let timings = &self.shared.metrics.timings;
        let start = self.shared.host.monotonic();
        timings
            .fetch_wait
            .record(start.saturating_sub(wanted.since));
        let read = || {
            self.evictor.relieve();
            self.read(&wanted.version, &wanted.item)
        };
        let found = catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| {
            self.shared.metrics.fetch_failures.add(1);
            self.shared.host.log(LogLevel::Warning, DEFECT);
            false
        });
        let took = self.shared.host.monotonic().saturating_sub(start);
        timings.fetch_load.record(took);
        self.finish(&wanted.version, found);
    }

    fn read(&self, version: &Version, wanted: &Item) -> bool {
        let metrics = &self.shared.metrics;
        let mut full = None;
        let read = self
            .store
            .get(version.vbucket, &version.key, &mut |record| {
                let bytes = version.key.len() + record.value.len();
                metrics.read_bytes.add(bytes as u64);
                // Metadata in memory is what counts; a touch may not be on disk yet.
                if record.cas == version.cas && record.value.len() == wanted.nbytes() {
                    full = Item::with_value(&version.key, &[record.value], wanted.meta());
                }
            });
        metrics.fetched.add(1);
        metrics.reads.add(1);
        match (read, full) {
            (Ok(_), Some(item)) => {
                if let Some(vbucket) = self.vbuckets.get(version.vbucket) {
                    vbucket.fill(&item);
                }
                let quota = self.shared.settings.max_size.get();
                if quota != u64::MAX {
                    let now = self.shared.host.monotonic();
                    self.evictor.served().put(version, item, quota, now);
                }
                return true;
            }
            (Ok(_), None) if self.is_superseded(version, wanted) => return true,
            (Ok(_), None) => {
                let text = format!(
                    "vbucket {}: the store does not hold the evicted value of a key of {} bytes",
                    version.vbucket,
                    version.key.len()
                );
                self.shared.host.log(LogLevel::Warning, &text);
            }
            (Err(error), _) => {
                self.shared
                    .host
                    .log(LogLevel::Warning, &format!("cannot read a value: {error}"));
            }
        }
        metrics.fetch_failures.add(1);
        false
    }

    /// Whether the key has another version now, or its value, so that the fetch is void.
    fn is_superseded(&self, version: &Version, wanted: &Item) -> bool {
        self.vbuckets
            .get(version.vbucket)
            .is_none_or(|vbucket| !vbucket.lacks_value(wanted))
    }

    fn finish(&self, version: &Version, found: bool) {
        let waiting = {
            let mut queue = self.queue.lock();
            let waiting = queue.waiting.remove(version).unwrap_or_default();
            if found {
                // Also for who waited in vain and has not come back yet.
                queue.failed.retain(|_, failed| failed != version);
            } else {
                let failed = waiting.keys().map(|cookie| (*cookie, version.clone()));
                queue.failed.extend(failed);
            }
            waiting
        };
        for cookie in waiting.into_values() {
            self.shared.host.notify(cookie);
        }
    }
}

/// A fetcher's thread. On stop it serves what is queued first, so that no client stays blocked.
pub(crate) fn run(fetcher: &Fetcher, signal: &Signal) {
    loop {
        let wake = signal.wait(None);
        fetcher.work();
        if wake == Wake::Stop {
            return;
        }
    }
}
