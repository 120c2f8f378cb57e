//! Background reads: brings a value back from the store for the clients that wait for it.
//!
//! Requests for one version of one key are joined. A client is notified when its value is in
//! place, or when it cannot be had; it then repeats its call. A fetched value never overwrites a
//! newer one: the table takes it only for the version it was read for. What has queued up is read
//! in the order of the store, a batch at a time.
//!
//! Threads: a small pool runs [`run`]. Host threads only queue.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::host::{BlockedCookie, Cookie, LogLevel};
use crate::item::Item;
use crate::pager::Evictor;
use crate::store::Store;
use crate::types::VbucketId;
use crate::vbucket::{Shared, VbucketMap};
use crate::worker::{Signal, Wake};

/// Values that a thread reads before it looks at the queue again.
const BATCH_MAX: usize = 32;

/// A version of a key: the vbucket and the CAS say which. In the order of the store.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Version {
    vbucket: VbucketId,
    key: Box<[u8]>,
    cas: u64,
}

#[derive(Debug, Default)]
struct Queue {
    /// Key-only items to be fetched, oldest first.
    wanted: VecDeque<(Version, Item)>,
    /// Who waits for what. A version under way stays here until it is in place.
    waiting: HashMap<Version, Vec<BlockedCookie>>,
    /// Clients whose fetch failed and who have not called again yet.
    failed: HashSet<Cookie>,
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
    queue: Mutex<Queue>,
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
            queue: Mutex::default(),
            signal: Signal::new(),
        }
    }

    /// Wakes the pool.
    pub(crate) fn signal(&self) -> &Arc<Signal> {
        &self.signal
    }

    /// Queues a read of the value that a key-only item stands for. The caller returns `WouldBlock`.
    pub(crate) fn fetch(&self, vbucket: VbucketId, item: Item, cookie: BlockedCookie) {
        let version = Version {
            vbucket,
            cas: item.cas(),
            key: item.key().into(),
        };
        let mut queue = self.queue.lock();
        if let Some(waiting) = queue.waiting.get_mut(&version) {
            waiting.push(cookie);
            return;
        }
        queue.waiting.insert(version.clone(), vec![cookie]);
        queue.wanted.push_back((version, item));
        drop(queue);
        self.signal.wake();
    }

    /// Has an engine thread notify these cookies.
    pub(crate) fn resume(&self, cookies: Vec<BlockedCookie>) {
        self.queue.lock().resume.extend(cookies);
        self.signal.wake();
    }

    /// Whether the last fetch for this client failed; asking clears it.
    pub(crate) fn take_failure(&self, cookie: Cookie) -> bool {
        self.queue.lock().failed.remove(&cookie)
    }

    /// The thread's work: reads until nothing is wanted.
    pub(crate) fn work(&self) {
        loop {
            let (mut batch, resume, more) = {
                let mut queue = self.queue.lock();
                // The other threads of the pool have their share.
                let share = queue.wanted.len().div_ceil(2).min(BATCH_MAX);
                let batch: Vec<_> = queue.wanted.drain(..share).collect();
                let resume = std::mem::take(&mut queue.resume);
                (batch, resume, !queue.wanted.is_empty())
            };
            if more {
                self.signal.wake();
            }
            let idle = batch.is_empty() && resume.is_empty();
            for cookie in resume {
                self.shared.host.notify(cookie);
            }
            self.delay(&batch);
            batch.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
            for (version, item) in &batch {
                self.evictor.relieve();
                let found = self.read(version, item);
                self.finish(version, found);
            }
            if idle {
                return;
            }
        }
    }

    /// `bg_fetch_delay`, a test aid. A shutdown does not wait for it.
    fn delay(&self, batch: &[(Version, Item)]) {
        let seconds = self.shared.settings.bg_fetch_delay.get();
        if seconds != 0 && !batch.is_empty() {
            self.signal.nap(Duration::from_secs(seconds));
        }
    }

    fn read(&self, version: &Version, wanted: &Item) -> bool {
        let metrics = &self.shared.metrics;
        let mut full = None;
        let read = self
            .store
            .get(version.vbucket, &version.key, &mut |record| {
                // Metadata in memory is what counts; a touch may not be on disk yet.
                if record.cas == version.cas && record.value.len() == wanted.nbytes() {
                    full = Item::with_value(&version.key, &[record.value], wanted.meta());
                }
            });
        metrics.fetched.add(1);
        match (read, full) {
            (Ok(_), Some(item)) => {
                if let Some(vbucket) = self.vbuckets.get(version.vbucket) {
                    vbucket.fill(&item);
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
            if !found {
                queue
                    .failed
                    .extend(waiting.iter().map(BlockedCookie::cookie));
            }
            waiting
        };
        for cookie in waiting {
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
