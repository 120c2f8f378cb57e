//! Eviction: takes values out of memory while more than the high-water mark is in use, until the
//! low-water mark is reached.
//!
//! One hand walks over all tables, a part of one stripe at a time, and is shared by whoever evicts:
//! the pager's own thread, and the fetchers, which make room before they bring a value in. What
//! was read since the hand came by last is spared once. Only values that the store has are taken;
//! keys and metadata stay.
//!
//! Where no store has any value, the same walk takes whole keys: of those that were written longest
//! ago the ones that were not read since it came by last. That is close to "the least recently
//! used" and needs no list of them. (Of a few hundred keys exactly the oldest goes.) There the
//! marks lie just below the quota, so that a cache is as large as it may be; below a small quota
//! there are none, and each write takes out what it needs room for. While a window is open no key
//! goes: what fills the room beyond the quota then is refused, as where values wait for the store.
//!
//! What clients have only announced counts nowhere here, nor what a REVERT is still to drop: see
//! [`crate::announced`] and [`crate::leaving`].
//!
//! Pre-images of an online update that are kept in memory go first, and what was fetched for
//! clients that do not come for it.
//!
//! When no value can go, the store is asked to give back what it holds of recent changes.
//!
//! Threads: host threads ask whether there is room, and wake the pager. Only where keys go, and the
//! pager is behind, does a write take a few steps of the walk itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::announced;
use crate::config::Config;
use crate::ffi::alloc::used_bytes;
use crate::latch::Latch;
use crate::leaving;
use crate::served::Served;
use crate::store::Store;
use crate::types::{Seqno, VBUCKETS_MAX, VbucketId, VbucketState};
use crate::vbucket::{Ejection, Shared, Swept, Vbucket, VbucketMap, Walk};
use crate::worker::{Signal, Wake};

/// Shortest pause after a lap that freed nothing.
const PAUSE_MIN: Duration = Duration::from_millis(20);
/// Longest one: a process that stood still in a lap does not do so again behind it.
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// For how long nothing could be freed, by anybody, when the quota counts as exhausted: the flusher
/// and the store give back within that time what they hold.
const EXHAUSTED_AFTER: Duration = Duration::from_secs(2);
/// No quota below this leaves room for anything. Without a store it is raised to it, as the hosts'
/// own engine does: it is the size of a slab page.
const QUOTA_BYTES_MIN: u64 = 1 << 20;
/// Parts that a fetcher looks at before it brings a value in.
const RELIEF_PARTS: usize = 16;
/// Parts, most of them perhaps empty, and keys that a write looks at when the pager is behind; it
/// ends with the part in which it reaches either.
const WRITE_PARTS: usize = 64;
const WRITE_KEYS: usize = 512;
/// Without a store eviction begins and stops at these shares of the quota below it, one part in so
/// many, and writes are refused when it is exceeded by the third: nothing else can be done then.
const KEYS_HIGH: u64 = 64;
const KEYS_LOW: u64 = 32;
const KEYS_SLACK: u64 = 8;
/// Below this the first two shares would be a few keys.
const KEYS_QUOTA_SMALL: u64 = 16 << 20;

/// Where eviction begins and stops, and where writes are refused.
#[derive(Clone, Copy, Debug)]
struct Marks {
    low: u64,
    high: u64,
    limit: u64,
}

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
    /// Whether anything leaves memory to make room.
    evicts: bool,
    store: Arc<dyn Store>,
    // Guards the place of the walk. Lock order: before one stripe.
    hand: Latch<Hand>,
    /// Nothing can be freed, now or once it is durable.
    exhausted: AtomicBool,
    served: Served,
    signal: Arc<Signal>,
}

impl Evictor {
    /// For the values in `vbuckets` that `store` has.
    pub(crate) fn new(
        vbuckets: Arc<VbucketMap>,
        shared: Arc<Shared>,
        store: Arc<dyn Store>,
        config: &Config,
    ) -> Self {
        Self {
            vbuckets,
            shared,
            threshold: config.mutation_mem_threshold,
            evicts: config.eviction,
            store,
            hand: Latch::default(),
            exhausted: AtomicBool::new(false),
            served: Served::default(),
            signal: Signal::new(),
        }
    }

    /// Wakes the pager.
    pub(crate) fn signal(&self) -> &Arc<Signal> {
        &self.signal
    }

    /// Values that fetchers keep for their clients.
    pub(crate) fn served(&self) -> &Served {
        &self.served
    }

    fn marks(&self) -> Marks {
        let settings = &self.shared.settings;
        let quota = settings.max_size.get();
        if !self.can_evict_values() {
            let quota = quota.max(QUOTA_BYTES_MIN);
            if !self.evicts {
                return Marks {
                    low: quota,
                    high: u64::MAX,
                    limit: quota,
                };
            }
            let limit = quota.saturating_add(quota / KEYS_SLACK);
            let (low, high) = if quota < KEYS_QUOTA_SMALL {
                (quota, limit)
            } else {
                (quota - quota / KEYS_LOW, quota - quota / KEYS_HIGH)
            };
            return Marks { low, high, limit };
        }
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of the quota, to the nearest few bytes"
        )]
        let limit = (quota as f64 * self.threshold) as u64;
        let high = settings.mem_high_wat.get();
        Marks {
            low: settings.mem_low_wat.get(),
            high: if self.evicts { high } else { u64::MAX },
            limit,
        }
    }

    /// Bytes until writes are refused, if so many can be taken away; `None` without a quota.
    pub(crate) fn room_with(&self, evictable: usize) -> Option<u64> {
        if self.shared.settings.max_size.get() == u64::MAX {
            return None;
        }
        let stays = used().saturating_sub(evictable as u64);
        Some(self.marks().limit.saturating_sub(stays))
    }

    /// Whether a write that brings so many bytes finds room. Starts eviction when it is time.
    pub(crate) fn has_room(&self, need: usize) -> bool {
        let quota = self.shared.settings.max_size.get();
        if quota == u64::MAX {
            return true;
        }
        let need = need as u64;
        let Marks { high, limit, .. } = self.marks();
        let mut used = used();
        if used.saturating_add(need) > high {
            self.signal.wake();
        }
        if !self.evicts {
            // What is new was let in when it was announced.
            return used <= limit;
        }
        if used.saturating_add(need) > quota && !self.can_evict_values() {
            self.make_room(quota.max(QUOTA_BYTES_MIN).saturating_sub(need));
            used = self::used();
        }
        let room = used <= limit;
        if room && self.is_exhausted() {
            self.exhausted.store(false, Ordering::Relaxed);
        } else if !room {
            self.signal.wake();
        }
        room
    }

    /// A bounded part of the pager's work, until no more than so many bytes are in use. For a host
    /// thread, which waits for one step of another at most. (A hand of its own would take what the
    /// pager's has only just spared.)
    fn make_room(&self, goal: u64) {
        let mut hand = self.hand.lock();
        let mut looked = Swept::default();
        for _ in 0..WRITE_PARTS {
            if used() <= goal || looked.sum() >= WRITE_KEYS {
                return;
            }
            let step = self.advance(&mut hand, goal);
            looked.add(step.part);
            let all_stays = |lap: Swept| lap.taken + lap.spared == 0;
            if step.lap.is_some_and(all_stays) {
                return;
            }
        }
    }

    /// Whether a value of so many bytes may be announced: where nothing makes room for it, what is
    /// in use decides.
    pub(crate) fn lets_in(&self, bytes: usize) -> bool {
        let is_bounded = !self.evicts && self.shared.settings.max_size.get() != u64::MAX;
        !is_bounded || used().saturating_add(bytes as u64) <= self.marks().limit
    }

    /// Whether nothing in memory can be freed: every value is out, and none waits for the store.
    pub(crate) fn is_exhausted(&self) -> bool {
        let quota = self.shared.settings.max_size.get();
        let none = quota < QUOTA_BYTES_MIN && self.can_evict_values();
        !self.evicts || self.exhausted.load(Ordering::Relaxed) || none
    }

    /// Whether there is a store to read values back from.
    fn can_evict_values(&self) -> bool {
        self.store.keeps_values()
    }

    fn is_above_high(&self) -> bool {
        used() > self.marks().high
    }

    /// Whether no value is to be brought in that nobody waits for.
    pub(crate) fn is_above_low(&self) -> bool {
        used() > self.marks().low
    }

    /// Before a value is brought in: does a part of the pager's work if that is behind.
    pub(crate) fn relieve(&self) {
        if !self.can_evict_values() || !self.is_above_high() {
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
        if !self.shared.keep_pre_images || !self.can_evict_values() {
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
        if !self.can_evict_values() {
            return vbucket.could_eject(hash, key);
        }
        let ejection = vbucket.eject(hash, key);
        let metrics = &self.shared.metrics;
        match ejection {
            Ejection::Ejected => self.note_ejected(vbucket, 1),
            Ejection::Kept => metrics.eject_failures.add(1),
            Ejection::Absent | Ejection::Already => {}
        }
        ejection
    }

    fn note_ejected(&self, vbucket: &Vbucket, values: u64) {
        let metrics = &self.shared.metrics;
        metrics.value_ejects.add(values);
        vbucket.writes().ejected.add(values);
        if vbucket.state() == Some(VbucketState::Replica) {
            metrics.replica_ejects.add(values);
        }
    }

    /// Looks at one part. Returns what the whole lap found when it ends here.
    fn step(&self) -> Option<Swept> {
        self.advance(&mut self.hand.lock(), self.marks().low).lap
    }

    /// The same with the hand. Keys go only while more than `goal` bytes are in use.
    fn advance(&self, hand: &mut Hand, goal: u64) -> Step {
        let metrics = &self.shared.metrics;
        while usize::from(hand.vbucket) < VBUCKETS_MAX {
            let vbucket = VbucketId::new(hand.vbucket).and_then(|id| self.vbuckets.get(id));
            let part = vbucket.and_then(|vbucket| {
                if self.can_evict_values() {
                    let part = vbucket.evict_part(&mut hand.walk)?;
                    self.note_ejected(vbucket, part.taken as u64);
                    return Some(part);
                }
                if vbucket.keeps_all_keys() {
                    hand.lap.dirty += 1;
                    return None;
                }
                let needed = || used() > goal;
                let part = evict_keys(vbucket, &mut hand.walk, &needed)?;
                metrics.evictions.add(part.taken as u64);
                Some(part)
            });
            if let Some(part) = part {
                hand.lap.add(part);
                return Step { part, lap: None };
            }
            hand.vbucket += 1;
            hand.walk = Walk::default();
        }
        hand.vbucket = 0;
        Step {
            part: Swept::default(),
            lap: Some(std::mem::take(&mut hand.lap)),
        }
    }
}

/// Takes keys out: `walk` is where the last step ended. `None` when it is through the vbucket.
fn evict_keys(vbucket: &Vbucket, walk: &mut Walk, needed: &dyn Fn() -> bool) -> Option<Swept> {
    if vbucket.is_small() && !walk.is_in_parts() {
        vbucket.evict_oldest_key(walk, needed)
    } else {
        vbucket.evict_keys_part(walk, needed)
    }
}

/// One step of the walk.
struct Step {
    /// What it found.
    part: Swept,
    /// What the lap found that ends with it.
    lap: Option<Swept>,
}

/// Bytes that count in the quota: what is in use, but for what clients have only announced and what
/// is being dropped.
fn used() -> u64 {
    // In this order: what is stored between the two counts once at least.
    let besides = announced::bytes() + leaving::bytes();
    used_bytes().saturating_sub(besides) as u64
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
        evictor.shared.metrics.pager_runs.add(1);
        let jobs = &evictor.shared.metrics.jobs.others;
        let job = jobs.begin("evict values", host.monotonic());
        // What stands in an open checkpoint would be held by it.
        for vbucket in evictor.vbuckets.iter() {
            vbucket.close_for_memory();
        }
        evictor.served.relieve(host.monotonic());
        evictor.evict_pre_images(signal);
        let mut began = host.monotonic();
        // A lap that only spared has cleared the way for the next one, once.
        let mut spared = false;
        while evictor.is_above_low() && !signal.is_stopped() {
            let Some(lap) = evictor.step() else { continue };
            let now = host.monotonic();
            if lap.taken > 0 || lap.spared > 0 && !std::mem::replace(&mut spared, true) {
                spared &= lap.taken == 0;
                began = now;
                fruitless = None;
                continue;
            }
            let stands = |&(_, last): &(Duration, Duration)| {
                lap.dirty == 0 && now.saturating_sub(last) < EXHAUSTED_AFTER
            };
            let since = fruitless.filter(stands).map_or(now, |(since, _)| since);
            fruitless = (lap.spared == 0).then_some((since, now));
            let exhausted = fruitless.is_some() && now.saturating_sub(since) >= EXHAUSTED_AFTER;
            evictor.exhausted.store(exhausted, Ordering::Relaxed);
            evictor.shared.flush.wake();
            evictor.store.settle();
            // Looking again costs as much as this time; nothing is gained by haste.
            if signal.nap(now.saturating_sub(began).clamp(PAUSE_MIN, PAUSE_MAX)) {
                return;
            }
            break;
        }
        jobs.end(job, host.monotonic());
        if !evictor.is_above_low() {
            fruitless = None;
        }
    }
}
