//! A vbucket: its hash table and its log, kept in agreement.
//!
//! Purpose: every data operation on one key, each under the locks that make table order and log
//! order agree; the steps of online update on one vbucket; what the background threads need.
//!
//! Invariants: a slot's number is that of the key's latest log entry (or older than anything in
//! the log). A key is *dirty* exactly when its number is above the persistence cursor, and *gone*
//! when it is deleted or older than the latest flush; nothing keeps a second account of either.
//!
//! Locks, in order: a stripe of the table, then the log. An operation takes the log's mutex before
//! it decides, so a START, COMPLETE or REVERT that holds all logs falls between operations. START,
//! COMPLETE and REVERT are the only ones that hold several logs, in ascending order of id.
//!
//! Threads: any. Nothing here waits for the disk or calls the host.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};

use crate::checkpoint::{Entry, Log, Op, Prior};
use crate::error::{Error, Result};
use crate::host::Host;
use crate::item::Item;
use crate::latch::{Latch, LatchGuard};
use crate::metrics::Metrics;
use crate::settings::Settings;
use crate::store::{PARTED, VbucketRecord};
use crate::types::{CheckpointId, Seqno, UnixTime, VbucketId, VbucketState};
use crate::worker::Signal;

mod awaited;
mod buckets;
mod checkpoints;
mod cursor;
mod flush;
mod guard;
mod load;
mod locks;
mod look;
mod map;
mod reader;
mod replica;
mod residency;
mod restoring;
mod revert;
mod state;
mod table;
#[cfg(test)]
mod tests;
mod trash;
mod update;
mod writes;

pub(crate) use awaited::{Awaited, Present};
use guard::LogGuard;
pub(crate) use load::Access;
pub(crate) use locks::LockRule;
use locks::Locks;
pub(crate) use look::{NotOpen, Place};
pub(crate) use map::VbucketMap;
pub(crate) use reader::Reader;
pub(crate) use residency::{Ejection, Swept, Walk};
pub(crate) use restoring::{NOTE_BYTES, Restoring};
pub(crate) use revert::{RevertStep, Reverted};
pub(crate) use state::Arrival;
pub(crate) use table::{Figures, Shape};
use table::{Floors, Slot, Stripe, Table};
pub(crate) use trash::Trash;
pub(crate) use update::{
    ReadersSwitch, begin_complete, begin_revert, complete_failed, completed, open_windows,
};
pub(crate) use writes::Writes;

/// What all vbuckets of an engine share.
pub(crate) struct Shared {
    /// For the time only.
    pub(crate) host: Arc<dyn Host>,
    /// Counters.
    pub(crate) metrics: Metrics,
    /// Makes a REVERT of many vbuckets visible to readers at one instant.
    pub(crate) switch: ReadersSwitch,
    /// What may change at run time.
    pub(crate) settings: Settings,
    /// Whether keys come out of a backup, and what is gone since.
    pub(crate) restoring: Restoring,
    /// Wakes the flusher.
    pub(crate) flush: Arc<Signal>,
    /// What the housekeeper is to drop.
    pub(crate) trash: Trash,
    /// Clients that wait for something to become durable, replicated or changed.
    pub(crate) awaited: Awaited,
    /// Ids of checkpoints that are reserved ahead in the store; `u64::MAX` without one.
    pub(crate) lease: u64,
    /// Whether pre-images keep their value although it is on disk, or because no disk has it.
    pub(crate) keep_pre_images: bool,
}

impl Shared {
    /// Unix seconds by the host's clock, which tests can turn.
    pub(crate) fn unix_now(&self) -> UnixTime {
        UnixTime::try_from(self.host.unix().max(0)).unwrap_or(UnixTime::MAX)
    }

    /// Seconds by a clock that never goes back, for ages.
    pub(crate) fn seconds(&self) -> u32 {
        u32::try_from(self.host.lasting().as_secs()).unwrap_or(u32::MAX)
    }

    /// Whether an item has expired: nobody gets it once its second has come.
    fn is_expired(&self, item: &Item) -> bool {
        item.expiry() != 0 && item.expiry() <= self.unix_now()
    }
}

/// Result of a read.
#[derive(Debug)]
pub(crate) enum Found {
    /// The item, with one more reference.
    Hit(Item),
    /// No such key.
    Miss,
    /// The item of a key that a client has locked (GET_LOCKED).
    Locked(Item),
    /// The key exists; its value has to be fetched first. Carries the key-only item.
    NotResident(Item),
}

impl Found {
    /// The key's item, in whatever form it is in memory.
    pub(crate) fn item(self) -> Option<Item> {
        match self {
            Self::Hit(item) | Self::Locked(item) | Self::NotResident(item) => Some(item),
            Self::Miss => None,
        }
    }
}

/// What a mutation does to its key.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// A new version with a CAS of its own.
    Put(Item),
    /// A new version that keeps the CAS of its item (touch).
    Touch(Item),
    /// Another node's version, with the CAS that it has there: later ones get higher ones here.
    Copy(Item),
    /// No such key any more.
    Remove,
}

#[derive(Debug)]
#[repr(align(64))]
struct Ordered {
    log: Log,
    /// Tells this vbucket from an earlier and a later one of the same id.
    incarnation: u64,
    /// The same with the log's version, as those were told last who look without the lock.
    told: Option<(u64, u64)>,
    /// A version's CAS is this plus its number. Above every CAS given before this vbucket began.
    cas_base: u64,
    /// The flush whose slots have been swept.
    swept: Seqno,
}

/// A vbucket. The object stays for good once made; deletion empties it.
pub(crate) struct Vbucket {
    id: VbucketId,
    /// A [`VbucketState`], or 0 for "does not exist"; with [`load::LOADING`] while its keys are not
    /// in memory yet. Written with the log locked.
    state: AtomicU8,
    /// A stream hands it over to this node: until it is active, it is none of its operator's.
    coming: AtomicBool,
    /// The client that takes it over from this node was told that it has it.
    given: AtomicBool,
    /// A stream has changed it since it was active (in this process: no window outlives it).
    fed: AtomicBool,
    /// A mutation panicked half way: table and log may disagree.
    poisoned: AtomicBool,
    table: Table,
    locks: Locks,
    // Guards the log and, with it, the decision of every mutation. Second in the lock order, after
    // one stripe; several logs at a time only in ascending order of id, with no stripe held.
    ordered: Latch<Ordered>,
    /// Of the log, for those who look without its lock; see [`Vbucket::version`].
    version: AtomicU64,
    /// The latest flush, for readers without the log's lock; written with it held.
    floor: AtomicU64,
    /// The same while a window is reverting.
    revert_floor: AtomicU64,
    /// A reverting window: numbers above `revert_low` up to `revert_high`.
    revert_low: AtomicU64,
    revert_high: AtomicU64,
    /// The number of that revert, 0 for none: see [`ReadersSwitch`].
    revert_mark: AtomicU64,
    /// When a delayed flush is due, for who does not lock the log; written with it held.
    flush_due: AtomicU32,
    writes: Writes,
    shared: Arc<Shared>,
}

impl std::fmt::Debug for Vbucket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vbucket")
            .field("id", &self.id)
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}

/// What an operation took out of table and log. Freed when it goes out of scope, which is to be
/// after the locks.
#[derive(Debug, Default)]
struct Garbage {
    item: Option<Item>,
    entry: Option<Entry>,
    slot: Option<Slot>,
}

impl Vbucket {
    fn missing(id: VbucketId, shared: Arc<Shared>) -> Self {
        let log = Log::new(CheckpointId::new(0), shared.lease, 0);
        Self {
            id,
            state: AtomicU8::new(0),
            coming: AtomicBool::new(false),
            given: AtomicBool::new(false),
            fed: AtomicBool::new(false),
            poisoned: AtomicBool::new(false),
            table: Table::new(),
            locks: Locks::default(),
            ordered: Latch::new(Ordered {
                log,
                incarnation: 0,
                told: None,
                cas_base: 0,
                swept: Seqno::ZERO,
            }),
            version: AtomicU64::new(0),
            floor: AtomicU64::new(0),
            revert_floor: AtomicU64::new(0),
            revert_low: AtomicU64::new(0),
            revert_high: AtomicU64::new(0),
            revert_mark: AtomicU64::new(0),
            flush_due: AtomicU32::new(0),
            writes: Writes::default(),
            shared,
        }
    }

    /// Its id.
    pub(crate) fn id(&self) -> VbucketId {
        self.id
    }

    /// Whether a defect left it in a state that cannot be trusted. Only a restart helps: the store
    /// still has what was durable.
    pub(crate) fn is_poisoned(&self) -> bool {
        self.poisoned.load(Ordering::Acquire)
    }

    fn log(&self) -> LogGuard<'_> {
        #[cfg(test)]
        tests::before_a_log();
        LogGuard::new(self.ordered.lock(), &self.version)
    }

    fn floor(&self) -> Seqno {
        let floor = if self.is_marked() {
            &self.revert_floor
        } else {
            &self.floor
        };
        Seqno::new(floor.load(Ordering::Acquire))
    }

    /// Reads a key.
    pub(crate) fn get(&self, hash: u32, key: &[u8]) -> Found {
        let mut stripe = self.table.lock(hash);
        let Some(slot) = stripe.find(hash, key) else {
            return Found::Miss;
        };
        let gone = slot.is_deleted() || slot.seqno() < self.floor();
        let expired = !gone && self.shared.is_expired(slot.item());
        if expired || self.is_reverting(slot.seqno()) {
            return self.get_settled(stripe, hash, key);
        }
        if gone {
            return Found::Miss;
        }
        slot.touch();
        let found = found(slot.item());
        if slot.is_locked() {
            return self.found_locked(found);
        }
        found
    }

    /// [`Self::get`] of a key that may have to be taken back or to go first: with the log locked it
    /// is certain.
    #[cold]
    fn get_settled(&self, stripe: LatchGuard<'_, Stripe>, hash: u32, key: &[u8]) -> Found {
        // Before the stripe: what stands here is dropped after it.
        let mut garbage = Garbage::default();
        let mut stripe = stripe;
        self.settle(&mut stripe, &mut self.log(), hash, key, &mut garbage);
        let floor = self.floor();
        let slot = stripe.find(hash, key);
        let present = slot.filter(|slot| !slot.is_deleted() && slot.seqno() >= floor);
        present.map_or(Found::Miss, |slot| found(slot.item()))
    }

    /// [`Self::change`] as most operations do it: a locked key is refused with `Temporary`.
    ///
    /// # Errors
    /// Those of [`Self::change`].
    pub(crate) fn mutate(
        &self,
        hash: u32,
        key: &[u8],
        decide: &mut dyn FnMut(Option<&Item>) -> Result<Verdict>,
    ) -> Result<u64> {
        self.change(hash, key, LockRule::Refuse, decide)
    }

    /// Changes a key: `decide` sees the present item (never an expired, flushed or reverted one;
    /// perhaps a key-only one) and says what becomes of it. Returns the CAS of the new version.
    ///
    /// # Errors
    /// What `decide` returned, what the lock rule says of a locked key, or [`Error::NotMyVbucket`]
    /// when the vbucket is not active any more.
    pub(crate) fn change(
        &self,
        hash: u32,
        key: &[u8],
        rule: LockRule,
        decide: &mut dyn FnMut(Option<&Item>) -> Result<Verdict>,
    ) -> Result<u64> {
        let is_active = |state| state == VbucketState::Active;
        self.change_if(is_active, hash, key, rule, decide)
    }

    /// [`Self::change`] in the states for which `may` is true. They are looked at with the log
    /// locked, as they are changed: whoever made the vbucket dead has every change in the log.
    fn change_if(
        &self,
        may: fn(VbucketState) -> bool,
        hash: u32,
        key: &[u8],
        rule: LockRule,
        decide: &mut dyn FnMut(Option<&Item>) -> Result<Verdict>,
    ) -> Result<u64> {
        let mut garbage = Garbage::default();
        let mut settled = Garbage::default();
        let _poison = PoisonOnPanic(self);
        let mut stripe = self.table.lock(hash);
        // The probe's cache misses happen before the log is locked.
        let (mut slot, mut counts) = stripe.find_with_counts(hash, key);
        let expired = slot
            .as_ref()
            .is_some_and(|slot| self.shared.is_expired(slot.item()));
        let mut ordered = self.log();
        if !self.state().is_some_and(may) {
            return Err(Error::NotMyVbucket);
        }
        let floor = ordered.log.floor();
        counts.sync(floors(&ordered.log));
        let reverting = slot
            .as_ref()
            .is_some_and(|slot| self.in_reverted_window(slot.seqno()));
        if reverting || expired {
            self.settle(&mut stripe, &mut ordered, hash, key, &mut settled);
            (slot, counts) = stripe.find_with_counts(hash, key);
        }
        let mut lock = rule.lock();
        if slot.as_ref().is_some_and(|slot| slot.is_locked()) {
            lock = self.obey_lock(&mut stripe, hash, key, floor, rule)?;
            (slot, counts) = stripe.find_with_counts(hash, key);
        }
        let present = slot
            .as_ref()
            .filter(|slot| !slot.is_deleted() && slot.seqno() >= floor);
        let (op, item) = match decide(present.map(|slot| slot.item()))? {
            Verdict::Put(item) => {
                item.set_cas(ordered.cas_base + ordered.log.next_seqno().get());
                (Op::Set, item)
            }
            Verdict::Touch(item) => (Op::Set, item),
            Verdict::Copy(item) => {
                ordered.cas_base = ordered.cas_base.max(item.cas());
                (Op::Set, item)
            }
            Verdict::Remove => match present {
                Some(slot) => {
                    self.note_gone(&ordered.log, key);
                    (Op::Delete, slot.item().key_only())
                }
                None => return Err(Error::NotFound),
            },
        };
        let cas = item.cas();
        let prior = slot.as_ref().map(|slot| self.prior(slot, &ordered.log));
        let (seqno, superseded) = ordered.log.append(op, item.clone(), prior.as_ref());
        garbage.entry = superseded;
        match slot {
            Some(slot) => garbage.item = Some(slot.set(item, seqno, op == Op::Delete, counts)),
            None => stripe.insert(Slot::new(item, seqno, false)),
        }
        if let Some(until) = lock {
            self.take_lock(&mut stripe, hash, key, until);
        }
        ordered
            .log
            .close_if_due(&self.shared.limits(), || self.shared.seconds());
        Ok(cas)
    }

    /// The rare start of an operation: takes the key back from a reverting window, and logs it as
    /// gone if it has expired (then, or as it was before the window).
    fn settle(
        &self,
        stripe: &mut Stripe,
        ordered: &mut Ordered,
        hash: u32,
        key: &[u8],
        garbage: &mut Garbage,
    ) {
        let Some(slot) = stripe.find(hash, key) else {
            return;
        };
        if self.in_reverted_window(slot.seqno()) {
            self.restore(stripe, ordered, (hash, key), garbage);
        }
        let floor = ordered.log.floor();
        let expired = stripe.find(hash, key).is_some_and(|slot| {
            let gone = slot.is_deleted() || slot.seqno() < floor;
            !gone && self.shared.is_expired(slot.item())
        });
        if expired {
            self.expire(stripe, ordered, hash, key, garbage);
        }
    }

    fn prior<'a>(&self, slot: &'a Slot, log: &Log) -> Prior<'a> {
        Prior {
            item: slot.item(),
            seqno: slot.seqno(),
            deleted: slot.is_deleted(),
            keep_value: self.shared.keep_pre_images || slot.seqno() > log.persisted(),
        }
    }

    /// Logs the deletion of a key that is in the table.
    fn delete(
        &self,
        stripe: &mut Stripe,
        ordered: &mut Ordered,
        hash: u32,
        key: &[u8],
        garbage: &mut Garbage,
    ) {
        let Some(slot) = stripe.find(hash, key) else {
            return;
        };
        self.note_gone(&ordered.log, key);
        let prior = self.prior(slot, &ordered.log);
        let item = prior.item.key_only();
        let (seqno, superseded) = ordered.log.append(Op::Delete, item.clone(), Some(&prior));
        garbage.entry = superseded;
        garbage.item = stripe.replace(hash, key, item, seqno, true);
    }

    fn expire(
        &self,
        stripe: &mut Stripe,
        ordered: &mut Ordered,
        hash: u32,
        key: &[u8],
        garbage: &mut Garbage,
    ) {
        self.shared.metrics.expired.add(1);
        self.delete(stripe, ordered, hash, key, garbage);
        // A read is not followed by a wake-up, nor is a mutation that then fails.
        self.shared.flush.wake();
    }

    /// Number of keys, as exact as [`Vbucket::figures`]. Locks one stripe after the other.
    pub(crate) fn items(&self) -> usize {
        self.figures().items
    }

    /// How its table lies. Locks one stripe after the other, for a moment each.
    pub(crate) fn shape(&self) -> Shape {
        self.table.shape()
    }

    /// What the table holds. Locks one stripe after the other, and each is as it was at its turn:
    /// so it is exact when nothing writes, also while a revert runs.
    pub(crate) fn figures(&self) -> Figures {
        let mut figures = Figures::default();
        for (index, stripe) in self.table.stripes().enumerate() {
            let mut stripe = stripe.lock();
            let (floors, unreverted) = self.with_log(|log| (floors(log), log.unreverted(index)));
            stripe.sync(floors);
            let mut part = stripe.figures();
            part.items = part.items.saturating_add_signed(unreverted);
            figures.add(part);
        }
        figures
    }

    /// Works on the log alone. `work` must be short.
    pub(crate) fn with_log<R>(&self, work: impl FnOnce(&Log) -> R) -> R {
        work(&self.log().log)
    }

    /// Incarnation and what the store is to say of it, at one moment; `None` if it does not exist.
    /// `due` says, of an incarnation, when the store has a delayed flush: that stands while there
    /// is more to write.
    pub(crate) fn standing(
        &self,
        due: impl FnOnce(u64) -> UnixTime,
    ) -> Option<(u64, VbucketRecord)> {
        let ordered = self.log();
        let record = VbucketRecord {
            state: self.state()?,
            checkpoint: if ordered.log.is_parted() {
                PARTED
            } else {
                ordered.log.persisted_id()
            },
            reserved: ordered.log.to_reserve(),
            due: (ordered.log.due_at_end()).unwrap_or_else(|| due(ordered.incarnation)),
        };
        Some((ordered.incarnation, record))
    }

    /// Notes that the store's record of this incarnation reserves checkpoint ids up to `upto`.
    pub(crate) fn reserve(&self, incarnation: u64, upto: CheckpointId) {
        let mut ordered = self.log();
        if ordered.incarnation == incarnation {
            ordered.log.reserve(upto);
        }
    }

    /// Closes the open checkpoint for a shutdown.
    pub(crate) fn finish(&self) {
        let now = self.shared.seconds();
        self.log().log.finish(now);
    }

    /// Whether the key's latest version is not durable yet.
    pub(crate) fn is_dirty(&self, item: &Item) -> bool {
        self.changed(item).dirty
    }
}

/// Marks a vbucket when the scope ends by a panic. The guard at the C boundary contains the panic;
/// this keeps what it left half done from being used.
struct PoisonOnPanic<'a>(&'a Vbucket);

impl Drop for PoisonOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.poisoned.store(true, Ordering::Release);
        }
    }
}

/// Which slots count at present.
fn floors(log: &Log) -> Floors {
    let (now, base) = log.floors();
    Floors { now, base }
}

fn found(item: &Item) -> Found {
    if item.is_resident() {
        Found::Hit(item.clone())
    } else {
        Found::NotResident(item.clone())
    }
}
