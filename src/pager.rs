//! Eviction: takes values out of memory while more than the high-water mark is in use, until the
//! low-water mark is reached.
//!
//! One hand walks over all tables, a part of one stripe at a time, and is shared by whoever evicts:
//! the pager's own thread, and the fetchers, which make room before they bring a value in. What
//! was read since the hand came by last is spared once. Only values that the store has are taken;
//! keys and metadata stay.
//!
//! Pre-images of an online update that are kept in memory go first.
//!
//! When no value can go, the store is asked to give back what it holds of recent changes.
//!
//! Threads: host threads ask whether there is room, and wake the pager; they never evict.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use crate::ffi::alloc::used_bytes;
use crate::store::Store;
use crate::types::{Seqno, VBUCKETS_MAX, VbucketId};
use crate::vbucket::{Ejection, Shared, Swept, Vbucket, VbucketMap, Walk};
use crate::worker::{Signal, Wake};

/// Shortest pause after a lap that freed nothing.
const PAUSE_MIN: Duration = Duration::from_millis(20);
/// For how long nothing could be freed, by anybody, when the quota counts as exhausted: the flusher
/// and the store give back within that time what they hold.
const EXHAUSTED_AFTER: Duration = Duration::from_secs(2);
/// No quota below this leaves room for anything.
const QUOTA_BYTES_MIN: u64 = 1 << 20;
/// Parts that a fetcher looks at before it brings a value in.
const RELIEF_PARTS: usize = 16;

/// Where the walk stands.
#[derive(Debug, Default)]
struct Hand {
    vbucket: u16,
    walk: Walk,
    /// What was found since the first vbucket.
    lap: Swept,
}

/// What evicts.
pub(crate) struct Evictor {
    vbuckets: Arc<VbucketMap>,
    shared: Arc<Shared>,
    /// Share of the quota above which writes are refused.
    threshold: f64,
    store: Arc<dyn Store>,
    // Guards the place of the walk. Lock order: before one stripe.
    hand: Mutex<Hand>,
    /// Nothing can be freed, now or once it is durable.
    exhausted: AtomicBool,
    signal: Arc<Signal>,
}

impl Evictor {
    /// For the values in `vbuckets` that `store` has. `threshold` is the share of the quota above
    /// which there is no room for writes.
    pub(crate) fn new(
        vbuckets: Arc<VbucketMap>,
        shared: Arc<Shared>,
        store: Arc<dyn Store>,
        threshold: f64,
    ) -> Self {
        Self {
            vbuckets,
            shared,
            threshold,
            store,
            hand: Mutex::default(),
            exhausted: AtomicBool::new(false),
            signal: Signal::new(),
        }
    }

    /// Wakes the pager.
    pub(crate) fn signal(&self) -> &Arc<Signal> {
        &self.signal
    }

    /// Whether a write finds room while so many bytes are in use. Starts eviction when it is time.
    pub(crate) fn has_room(&self, used: u64) -> bool {
        let settings = &self.shared.settings;
        let quota = settings.max_size.get();
        if quota == u64::MAX {
            return true;
        }
        if used > settings.mem_high_wat.get() {
            self.signal.wake();
        }
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of the quota, to the nearest few bytes"
        )]
        let limit = (quota as f64 * self.threshold) as u64;
        let room = used <= limit;
        if room && self.is_exhausted() {
            self.exhausted.store(false, Ordering::Relaxed);
        } else if !room {
            self.signal.wake();
        }
        room
    }

    /// Whether nothing in memory can be freed: every value is out, and none waits for the store.
    pub(crate) fn is_exhausted(&self) -> bool {
        let quota = self.shared.settings.max_size.get();
        self.exhausted.load(Ordering::Relaxed) || quota < QUOTA_BYTES_MIN
    }

    /// Whether there is a store to read values back from.
    fn can_evict(&self) -> bool {
        self.store.keeps_values()
    }

    fn is_above_high(&self) -> bool {
        used_bytes() as u64 > self.shared.settings.mem_high_wat.get()
    }

    /// Whether no value is to be brought in that nobody waits for.
    pub(crate) fn is_above_low(&self) -> bool {
        used_bytes() as u64 > self.shared.settings.mem_low_wat.get()
    }

    /// Before a value is brought in: does a part of the pager's work if that is behind.
    pub(crate) fn relieve(&self) {
        if !self.can_evict() || !self.is_above_high() {
            return;
        }
        self.signal.wake();
        for _ in 0..RELIEF_PARTS {
            if self.step().is_some() || !self.is_above_high() {
                return;
            }
        }
    }

    /// Lets go of values that `online_update_undo=memory` keeps for a REVERT and that are on disk:
    /// no client can read them now.
    fn evict_pre_images(&self, signal: &Signal) {
        if !self.shared.keep_pre_images {
            return;
        }
        for vbucket in self.vbuckets.iter() {
            let mut after = Some(Seqno::ZERO);
            while let Some(from) = after.filter(|_| self.is_above_low() && !signal.is_stopped()) {
                let taken;
                (taken, after) = vbucket.evict_pre_images(from);
                self.shared.metrics.value_ejects.add(taken as u64);
            }
        }
    }

    /// Takes the value of one key out of memory.
    pub(crate) fn eject(&self, vbucket: &Vbucket, hash: u32, key: &[u8]) -> Ejection {
        if !self.can_evict() {
            return vbucket.could_eject(hash, key);
        }
        let ejection = vbucket.eject(hash, key);
        let metrics = &self.shared.metrics;
        match ejection {
            Ejection::Ejected => metrics.value_ejects.add(1),
            Ejection::Kept => metrics.eject_failures.add(1),
            Ejection::Absent | Ejection::Already => {}
        }
        ejection
    }

    /// Looks at one part. Returns what the whole lap found when it ends here.
    fn step(&self) -> Option<Swept> {
        let mut hand = self.hand.lock();
        let hand = &mut *hand;
        while usize::from(hand.vbucket) < VBUCKETS_MAX {
            let vbucket = VbucketId::new(hand.vbucket).and_then(|id| self.vbuckets.get(id));
            if let Some(swept) = vbucket.and_then(|vbucket| vbucket.evict_part(&mut hand.walk)) {
                self.shared.metrics.value_ejects.add(swept.taken as u64);
                hand.lap.add(swept);
                return None;
            }
            hand.vbucket += 1;
            hand.walk = Walk::default();
        }
        hand.vbucket = 0;
        Some(std::mem::take(&mut hand.lap))
    }
}

/// The pager's thread.
pub(crate) fn run(evictor: &Evictor, signal: &Signal) {
    let host = &evictor.shared.host;
    // Since when laps have found nothing to free and nothing that waits for the store, and the last
    // of them.
    let mut fruitless: Option<(Duration, Duration)> = None;
    while signal.wait(None) != Wake::Stop {
        if !evictor.is_above_high() {
            continue;
        }
        if !evictor.can_evict() {
            evictor.exhausted.store(true, Ordering::Relaxed);
            continue;
        }
        evictor.shared.metrics.pager_runs.add(1);
        // What stands in an open checkpoint would be held by it.
        for vbucket in evictor.vbuckets.iter() {
            vbucket.close_for_memory();
        }
        evictor.evict_pre_images(signal);
        let mut began = host.monotonic();
        while evictor.is_above_low() && !signal.is_stopped() {
            let Some(lap) = evictor.step() else { continue };
            let now = host.monotonic();
            if lap.taken == 0 && lap.spared == 0 {
                let stands = |&(_, last): &(Duration, Duration)| {
                    lap.dirty == 0 && now.saturating_sub(last) < EXHAUSTED_AFTER
                };
                let since = fruitless.filter(stands).map_or(now, |(since, _)| since);
                fruitless = Some((since, now));
                let exhausted = now.saturating_sub(since) >= EXHAUSTED_AFTER;
                evictor.exhausted.store(exhausted, Ordering::Relaxed);
                evictor.shared.flush.wake();
                evictor.store.settle();
                // Looking again costs as much as this time; nothing is gained by haste.
                if signal.nap(now.saturating_sub(began).max(PAUSE_MIN)) {
                    return;
                }
                break;
            }
            began = now;
            fruitless = None;
        }
        if !evictor.is_above_low() {
            fruitless = None;
        }
    }
}
