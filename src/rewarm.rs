//! Re-warm: drops what a revert left in memory, and brings back into memory what it left on disk
//! only, so that reads return to the speed of memory by themselves.
//!
//! Values are read in the order of the store, by a scan when they are many, while memory is below
//! the low-water mark. A client that asks for one of them does not wait for this: its own fetch is
//! another thread's, and whoever comes second finds the value in place. A newer version is never
//! overwritten. What was not brought back when memory ran out is left to the clients' fetches.
//!
//! Threads: [`run`] has one of its own. Waits for the disk; holds no lock meanwhile.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::aside::{aside, sort_aside, step_aside};
use crate::bykey::ByKey;
use crate::host::LogLevel;
use crate::item::Item;
use crate::latch::Latch;
use crate::pager::Evictor;
use crate::store::{Record, Store, StoreError};
use crate::types::VbucketId;
use crate::vbucket::{Reverted, Shared, Vbucket, VbucketMap};
use crate::worker::{Signal, Wake};

/// A scan reads a row in a tenth of the time of a read by key: it pays from this share of the
/// vbucket's keys on.
const SCAN_SHARE: usize = 10;
/// Items between the one whose value is put in place and the one that is fetched from memory.
const AHEAD: usize = 8;
/// Rows between two looks at memory and at what else may end the work.
const LOOK_ROWS: usize = 256;
/// Rows between two times that others are let pass.
const STEP_ROWS: usize = 32;

/// Keys of one vbucket whose values are on disk only.
#[derive(Debug)]
struct Cold {
    vbucket: VbucketId,
    incarnation: u64,
    /// The key-only items.
    items: Vec<Item>,
}

/// What reverts have left.
#[derive(Debug, Default)]
struct Work {
    /// What nobody needs any more.
    trash: Vec<Reverted>,
    /// Oldest first.
    cold: VecDeque<Cold>,
}

/// What is to be brought back.
pub(crate) struct Rewarm {
    store: Arc<dyn Store>,
    vbuckets: Arc<VbucketMap>,
    shared: Arc<Shared>,
    evictor: Arc<Evictor>,
    // Guards what is to be done. Lock order: last.
    queue: Latch<Work>,
    /// Vbuckets that are being warmed or are to be.
    left: AtomicUsize,
    signal: Arc<Signal>,
}

impl Rewarm {
    /// Reads from `store` into `vbuckets` as long as `evictor` has nothing to do.
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
            left: AtomicUsize::new(0),
            signal: Signal::new(),
        }
    }

    /// Wakes the thread.
    pub(crate) fn signal(&self) -> &Arc<Signal> {
        &self.signal
    }

    /// Whether values are still being brought back.
    pub(crate) fn is_running(&self) -> bool {
        self.left.load(Ordering::Acquire) != 0
    }

    /// Has what a revert of a vbucket has left dropped, and values brought back; the items are
    /// key-only. (Neither on the thread of the revert, which others wait for.)
    pub(crate) fn add(&self, vbucket: &Vbucket, left: Reverted, items: Vec<Item>) {
        let mut work = self.queue.lock();
        work.trash.push(left);
        if !items.is_empty() {
            self.left.fetch_add(1, Ordering::AcqRel);
            work.cold.push_back(Cold {
                vbucket: vbucket.id(),
                incarnation: vbucket.incarnation(),
                items,
            });
        }
        drop(work);
        self.signal.wake();
    }

    fn warm(&self, cold: Cold, signal: &Signal) -> Result<(), StoreError> {
        let mut items: Vec<_> = aside(cold.items).map(ByKey::new).collect();
        sort_aside(&mut items, Ord::cmp);
        let Some(vbucket) = self.vbuckets.get(cold.vbucket) else {
            return Ok(());
        };
        let goes_on = || {
            let is_same = vbucket.incarnation() == cold.incarnation;
            is_same && !self.evictor.is_above_low() && !signal.is_stopped()
        };
        let warmed = if items.len().saturating_mul(SCAN_SHARE) < vbucket.items() {
            self.warm_each(vbucket, &items, goes_on)
        } else {
            self.warm_by_scan(vbucket, &items, goes_on)
        };
        aside(items).for_each(drop);
        warmed
    }

    fn warm_each(
        &self,
        vbucket: &Vbucket,
        items: &[ByKey],
        goes_on: impl Fn() -> bool,
    ) -> Result<(), StoreError> {
        for some in items.chunks(LOOK_ROWS) {
            if !goes_on() {
                return Ok(());
            }
            for ByKey { item, .. } in aside(some) {
                let found = &mut |record: Record<'_>| self.fill(vbucket, item, &record);
                self.store.get(vbucket.id(), item.key(), found)?;
            }
        }
        Ok(())
    }

    fn warm_by_scan(
        &self,
        vbucket: &Vbucket,
        items: &[ByKey],
        goes_on: impl Fn() -> bool,
    ) -> Result<(), StoreError> {
        let mut left = items.iter().map(|by_key| &by_key.item).peekable();
        let mut ahead = items.iter().skip(AHEAD);
        let mut rows = 0;
        self.store.scan(vbucket.id(), &mut |key, record| {
            if rows % LOOK_ROWS == 0 && !goes_on() {
                return false;
            }
            rows += 1;
            if rows % STEP_ROWS == 0 {
                step_aside();
            }
            while left.next_if(|item| item.key() < key).is_some() {}
            if let Some(item) = left.next_if(|item| item.key() == key) {
                if let Some(later) = ahead.next() {
                    later.item.prefetch_whole();
                }
                self.fill(vbucket, item, &record);
            }
            left.peek().is_some()
        })
    }

    /// Puts the value of a row in place, if it is still the one that is wanted.
    fn fill(&self, vbucket: &Vbucket, item: &Item, record: &Record<'_>) {
        if record.cas != item.cas() || record.value.len() != item.nbytes() {
            return;
        }
        let full = Item::with_value(item.key(), &[record.value], item.meta());
        if full.is_some_and(|full| vbucket.fill(&full)) {
            self.shared.metrics.rewarmed.add(1);
        }
    }
}

/// The thread. What is left when the engine stops stays on disk.
pub(crate) fn run(rewarm: &Rewarm, signal: &Signal) {
    while signal.wait(None) != Wake::Stop {
        loop {
            let (trash, next) = {
                let mut work = rewarm.queue.lock();
                (std::mem::take(&mut work.trash), work.cold.pop_front())
            };
            // First: then there is room for the values.
            trash.into_iter().for_each(Reverted::dissolve);
            let Some(cold) = next else { break };
            if let Err(error) = rewarm.warm(cold, signal) {
                let text = format!("cannot read reverted values back into memory: {error}");
                rewarm.shared.host.log(LogLevel::Warning, &text);
            }
            rewarm.left.fetch_sub(1, Ordering::AcqRel);
        }
    }
}
