//! The hash table of one vbucket.
//!
//! Purpose: key -> item, sequence number and state bits, in 16 bytes beyond the item. 64 stripes (4
//! KiB of them when it is empty), each behind a mutex of its own; a stripe grows by *linear
//! hashing* over small tables ("parts", [`Buckets`]): one part is split at a time, so that growing
//! never holds an operation up for more than the rehash of one part (about 1,000 entries), however
//! many keys there are.
//!
//! Threads and locks: a stripe's mutex is the outer one of an operation; a vbucket's log mutex may
//! be taken under it, nothing else.

use super::buckets::{self, Buckets, TAG_BITS};
use crate::item::Item;
use crate::latch::{Latch, LatchGuard};
use crate::types::{STRIPES, Seqno, stripe};

const STRIPE_BITS: u32 = STRIPES.trailing_zeros();

/// Mean entries in a part when the next one is split. Parts that are due hold twice as many: in 320
/// lines, of which a tag still tells 25 hashes apart.
const PART_ENTRIES: usize = 512;

const DELETED: u64 = 1;
const RECENT: u64 = 2;
const LOCKED: u64 = 4;
/// The tag of the key's hash stands above the state bits.
const TAG_SHIFT: u32 = 3;
const TAG: u64 = ((1 << TAG_BITS) - 1) << TAG_SHIFT;
const SEQNO_SHIFT: u32 = TAG_SHIFT + TAG_BITS;

/// An entry of the table.
#[derive(Debug)]
pub(crate) struct Slot {
    item: Item,
    /// Sequence number in the upper 48 bits, then the tag, and three state bits.
    word: u64,
}

const _: () = assert!(size_of::<Option<Slot>>() == 16);

impl Slot {
    /// A slot for an item whose latest log entry is `seqno`.
    pub(crate) fn new(item: Item, seqno: Seqno, deleted: bool) -> Self {
        let word = u64::from(buckets::tag(item.hash())) << TAG_SHIFT;
        let mut slot = Self { item, word };
        slot.mark(seqno, deleted);
        slot
    }

    /// What stands here of the key's hash.
    pub(super) fn tag(&self) -> u16 {
        ((self.word & TAG) >> TAG_SHIFT) as u16
    }

    /// The item; key-only when deleted or evicted.
    pub(crate) fn item(&self) -> &Item {
        &self.item
    }

    /// Number of the latest log entry of this key; zero when it was loaded from the store.
    pub(crate) fn seqno(&self) -> Seqno {
        Seqno::new(self.word >> SEQNO_SHIFT)
    }

    /// Whether the latest entry is a deletion.
    pub(crate) fn is_deleted(&self) -> bool {
        self.word & DELETED != 0
    }

    /// Puts another version in its place and returns the old one.
    pub(crate) fn set(
        &mut self,
        item: Item,
        seqno: Seqno,
        deleted: bool,
        counts: &mut Counts,
    ) -> Item {
        counts.count(self, -1);
        self.mark(seqno, deleted);
        let old = std::mem::replace(&mut self.item, item);
        counts.count(self, 1);
        old
    }

    /// Whether a client has locked the key (or had, until the lock ran out).
    pub(crate) fn is_locked(&self) -> bool {
        self.word & LOCKED != 0
    }

    /// Notes that the key is locked.
    pub(crate) fn lock(&mut self) {
        self.word |= LOCKED;
    }

    /// Lets go of the key's lock.
    pub(crate) fn unlock(&mut self) {
        self.word &= !LOCKED;
    }

    /// A new version is not locked.
    fn mark(&mut self, seqno: Seqno, deleted: bool) {
        let stays = self.word & (RECENT | TAG);
        self.word = seqno.get() << SEQNO_SHIFT | stays | if deleted { DELETED } else { 0 };
    }

    /// Notes a use; writes only when that is news, so that reads of a hot key share the line.
    pub(crate) fn touch(&mut self) {
        if self.word & RECENT == 0 {
            self.word |= RECENT;
        }
    }

    /// Takes the note of recent use away and returns whether there was one.
    pub(crate) fn take_recent(&mut self) -> bool {
        let recent = self.word & RECENT != 0;
        self.word &= !RECENT;
        recent
    }
}

/// Which slots count: those of the latest flush and later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Floors {
    /// The latest flush.
    pub(crate) now: Seqno,
    /// The latest one before the window, which a revert comes back to; the same without a window.
    pub(crate) base: Seqno,
}

/// Slots that are neither deleted nor flushed.
#[derive(Clone, Copy, Debug, Default)]
struct Live {
    items: u32,
    /// Those of them whose value is not in memory.
    evicted: u32,
}

impl Live {
    fn count(&mut self, slot: &Slot, by: i32) {
        self.items = self.items.wrapping_add_signed(by);
        if !slot.item.is_resident() {
            self.evicted = self.evicted.wrapping_add_signed(by);
        }
    }
}

/// The flushes that a stripe knows of.
#[derive(Debug, Default)]
struct Flushes {
    floors: Floors,
    /// Live slots by `floors.base`, while that is lower than `floors.now`.
    base: Live,
}

/// What a stripe holds.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    slots: u32,
    /// Live slots by the latest flush.
    live: Live,
    /// None before the first flush. Not in here, so that a stripe is one cache line.
    flushes: Option<Box<Flushes>>,
    /// Bytes of all items that the slots refer to.
    bytes: usize,
}

/// Figures of a table, or of a part of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Figures {
    /// Keys that exist.
    pub(crate) items: usize,
    /// Those whose value is not in memory.
    pub(crate) evicted: usize,
    /// Bytes of items: headers, keys, values.
    pub(crate) bytes: usize,
}

impl Figures {
    /// Adds another part.
    pub(crate) fn add(&mut self, other: Self) {
        self.items += other.items;
        self.evicted += other.evicted;
        self.bytes += other.bytes;
    }
}

impl Counts {
    /// Takes note of a `flush_all`: nothing that was there before counts as live. (The slots go
    /// later.) Or of a revert that took one back.
    pub(crate) fn sync(&mut self, floors: Floors) {
        let Floors { now, base } = floors;
        let known = self.flushes.as_ref().map(|flushes| flushes.floors.now);
        if now == known.unwrap_or_default() {
            return;
        }
        let live = &mut self.live;
        let flushes = self.flushes.get_or_insert_default();
        let known = flushes.floors;
        if now < known.now {
            *live = flushes.base;
            flushes.floors = Floors { now, base: now };
            return;
        }
        if base >= known.now {
            if base > known.now {
                // The one before the window has not been met yet.
                *live = Live::default();
            }
            flushes.base = *live;
            flushes.floors.base = base;
        }
        *live = Live::default();
        flushes.floors.now = now;
    }

    fn count(&mut self, slot: &Slot, by: i32) {
        let mut is_live = !slot.is_deleted();
        if let Some(flushes) = self.flushes.as_mut().filter(|_| is_live) {
            let Floors { now, base } = flushes.floors;
            if base < now && slot.seqno() >= base {
                flushes.base.count(slot, by);
            }
            is_live = slot.seqno() >= now;
        }
        if is_live {
            self.live.count(slot, by);
        }
        let bytes = slot.item.memory_bytes();
        self.bytes = if by < 0 {
            self.bytes.wrapping_sub(bytes)
        } else {
            self.bytes.wrapping_add(bytes)
        };
    }
}

/// One stripe.
#[derive(Debug, Default)]
pub(crate) struct Stripe {
    parts: Vec<Buckets>,
    counts: Counts,
}

/// When the keys of a hash have their turn in a walk through their stripe: the bits that choose the
/// part, the first one highest.
pub(crate) fn turn(hash: u32) -> u32 {
    (hash >> STRIPE_BITS).reverse_bits()
}

impl Stripe {
    /// Whether two hashes belong to one stripe.
    pub(crate) fn same(left: u32, right: u32) -> bool {
        stripe(left) == stripe(right)
    }

    /// Index of the part for a hash: linear hashing over the bits above the stripe's.
    fn part(&self, hash: u32) -> usize {
        if self.parts.is_empty() {
            return 0;
        }
        let bits = (hash >> STRIPE_BITS) as usize;
        let whole = self.parts.len().next_power_of_two();
        let index = bits & (whole - 1);
        if index < self.parts.len() {
            index
        } else {
            index & (whole / 2 - 1)
        }
    }

    /// Has the place where a hash belongs brought into the cache, for who looks for it soon.
    pub(crate) fn prefetch(&self, hash: u32) {
        if let Some(part) = self.parts.get(self.part(hash)) {
            part.prefetch(hash);
        }
    }

    /// The slot of a key.
    pub(crate) fn find(&mut self, hash: u32, key: &[u8]) -> Option<&mut Slot> {
        let part = self.part(hash);
        self.parts.get_mut(part)?.find_mut(hash, key)
    }

    /// The slot of a key, and what [`Slot::set`] needs besides.
    pub(crate) fn find_with_counts(
        &mut self,
        hash: u32,
        key: &[u8],
    ) -> (Option<&mut Slot>, &mut Counts) {
        let part = self.part(hash);
        let Self { parts, counts } = self;
        let slot = match parts.get_mut(part) {
            Some(part) => part.find_mut(hash, key),
            None => None,
        };
        (slot, counts)
    }

    /// Adds a slot whose key is not in the table.
    pub(crate) fn insert(&mut self, slot: Slot) {
        if self.counts.slots as usize >= self.parts.len() * PART_ENTRIES {
            self.split();
        }
        let hash = slot.item.hash();
        let part = self.part(hash);
        self.counts.count(&slot, 1);
        self.counts.slots += 1;
        if let Some(part) = self.parts.get_mut(part) {
            part.insert(slot);
        }
    }

    /// Adds one part and moves half of another one's slots there.
    fn split(&mut self) {
        let new = self.parts.len();
        self.parts.push(Buckets::default());
        if new == 0 {
            return;
        }
        let bit = new.next_power_of_two() / if new.is_power_of_two() { 1 } else { 2 };
        let Some(old) = self.parts.get_mut(new - bit).map(std::mem::take) else {
            return;
        };
        let half = old.len() / 2;
        let (mut stay, mut go) = (Buckets::with_room(half), Buckets::with_room(half));
        old.drain(&mut |slot| {
            let to = (slot.item.hash() >> STRIPE_BITS) as usize & bit;
            let to = if to == 0 { &mut stay } else { &mut go };
            to.insert(slot);
        });
        for (index, part) in [(new - bit, stay), (new, go)] {
            if let Some(place) = self.parts.get_mut(index) {
                *place = part;
            }
        }
    }

    /// Hands the slots of a hash to `look`.
    pub(crate) fn visit_hash(&self, hash: u32, look: &mut dyn FnMut(&Slot)) {
        if let Some(part) = self.parts.get(self.part(hash)) {
            part.visit_hash(hash, look);
        }
    }

    /// Hands the slots of one part to `look` whose [`turn`] is `from` or later, and returns the
    /// turn behind them; `None` at the end. Growing changes no turn: so a walk by turns meets every
    /// key once, and looks at one part at a time.
    pub(crate) fn visit_turns(&self, from: u32, look: &mut dyn FnMut(&Slot)) -> Option<u32> {
        let index = self.part(from.reverse_bits() << STRIPE_BITS);
        let part = self.parts.get(index)?;
        // The bits that choose the part are the highest of a turn.
        let bits = self.parts.len().next_power_of_two().trailing_zeros();
        let length = 1_u32.checked_shl(u32::BITS - bits);
        let end = length.and_then(|length| (from & !(length - 1)).checked_add(length));
        let inside = |slot: &&Slot| {
            let turn = turn(slot.item.hash());
            turn >= from && end.is_none_or(|end| turn < end)
        };
        part.iter().filter(inside).for_each(look);
        end
    }

    /// [`Slot::set`] for a key, if it has a slot.
    pub(crate) fn replace(
        &mut self,
        hash: u32,
        key: &[u8],
        item: Item,
        seqno: Seqno,
        deleted: bool,
    ) -> Option<Item> {
        let (slot, counts) = self.find_with_counts(hash, key);
        Some(slot?.set(item, seqno, deleted, counts))
    }

    /// Swaps the item of a slot for another form of the same version.
    pub(crate) fn swap(&mut self, hash: u32, key: &[u8], item: Item) -> Option<Item> {
        let (slot, counts) = self.find_with_counts(hash, key);
        let slot = slot?;
        counts.count(slot, -1);
        let old = std::mem::replace(&mut slot.item, item);
        counts.count(slot, 1);
        Some(old)
    }

    /// Takes a key's slot out.
    pub(crate) fn remove(&mut self, hash: u32, key: &[u8]) -> Option<Slot> {
        let part = self.part(hash);
        let slot = self.parts.get_mut(part)?.remove(hash, key)?;
        self.counts.slots -= 1;
        self.counts.count(&slot, -1);
        Some(slot)
    }

    /// [`Counts::sync`].
    pub(crate) fn sync(&mut self, floors: Floors) {
        self.counts.sync(floors);
    }

    /// What it holds.
    pub(crate) fn figures(&self) -> Figures {
        let live = self.counts.live;
        Figures {
            items: live.items as usize,
            evicted: live.evicted as usize,
            bytes: self.counts.bytes,
        }
    }

    /// Hands every slot of the part `index` to `keep`; those for which it returns false are taken
    /// out and pushed to `garbage`. False when there is no such part.
    pub(crate) fn sweep(
        &mut self,
        index: usize,
        keep: &mut dyn FnMut(&mut Slot) -> bool,
        garbage: &mut Vec<Slot>,
    ) -> bool {
        let Some(part) = self.parts.get_mut(index) else {
            return false;
        };
        let goes = |slot: &mut Slot| (!keep(slot)).then(|| slot.item.clone());
        let gone: Vec<Item> = part.iter_mut().filter_map(goes).collect();
        for item in gone {
            garbage.extend(self.remove(item.hash(), item.key()));
        }
        true
    }

    /// Hands every slot of the part `index` to `look`. False when there is no such part.
    pub(crate) fn visit(&self, index: usize, look: &mut dyn FnMut(&Slot)) -> bool {
        let Some(part) = self.parts.get(index) else {
            return false;
        };
        part.iter().for_each(look);
        true
    }

    /// Hands every slot of the part `index` to `change`, which may return another form of the same
    /// version; what that replaced is pushed to `garbage`. False when there is no such part.
    pub(crate) fn reform(
        &mut self,
        index: usize,
        change: &mut dyn FnMut(&mut Slot) -> Option<Item>,
        garbage: &mut Vec<Item>,
    ) -> bool {
        let Self { parts, counts } = self;
        let Some(part) = parts.get_mut(index) else {
            return false;
        };
        for slot in part.iter_mut() {
            if let Some(item) = change(slot) {
                counts.count(slot, -1);
                garbage.push(std::mem::replace(&mut slot.item, item));
                counts.count(slot, 1);
            }
        }
        true
    }
}

/// How the slots of a table lie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Slots in use, also by deletions that are not durable yet.
    pub(crate) slots: usize,
    /// Slots that fit before a part grows.
    pub(crate) room: usize,
    /// Parts that were added since the table was empty.
    pub(crate) splits: usize,
    /// Memory of the table without its items.
    pub(crate) bytes: usize,
    /// Slots of the emptiest and of the fullest part.
    pub(crate) depths: Option<(usize, usize)>,
    /// Parts with no slot, with one, with 2 to 3, with 4 to 7 and so on.
    pub(crate) by_depth: [usize; DEPTHS],
}

/// Bins of parts: none holds 2^14 slots.
const DEPTHS: usize = 15;

impl Shape {
    fn of(stripe: &Stripe) -> Self {
        let parts = &stripe.parts;
        let tables: usize = parts.iter().map(Buckets::bytes).sum();
        let lengths = parts.iter().map(Buckets::len);
        let mut by_depth = [0; DEPTHS];
        for length in lengths.clone() {
            let bin = (usize::BITS - length.leading_zeros()) as usize;
            if let Some(bin) = by_depth.get_mut(bin.min(DEPTHS - 1)) {
                *bin += 1;
            }
        }
        Self {
            depths: lengths.clone().min().zip(lengths.max()),
            by_depth,
            slots: parts.iter().map(Buckets::len).sum(),
            room: parts.iter().map(Buckets::room).sum(),
            splits: parts.len().saturating_sub(1),
            bytes: size_of::<Padded>() + parts.capacity() * size_of::<Buckets>() + tables,
        }
    }

    /// Adds another one to it.
    pub(crate) fn add(&mut self, other: Self) {
        self.slots += other.slots;
        self.room += other.room;
        self.splits += other.splits;
        self.bytes += other.bytes;
        self.depths = match (self.depths, other.depths) {
            (Some((low, high)), Some((least, most))) => Some((low.min(least), high.max(most))),
            (one, other) => one.or(other),
        };
        for (sum, count) in self.by_depth.iter_mut().zip(other.by_depth) {
            *sum += count;
        }
    }
}

const _: () = assert!(size_of::<Padded>() == 64);

#[derive(Debug, Default)]
#[repr(align(64))]
struct Padded(
    // Guards one stripe. First in the lock order of an operation, before the vbucket's log; two
    // stripes are never held together.
    Latch<Stripe>,
);

/// The table.
#[derive(Debug)]
pub(crate) struct Table {
    stripes: Box<[Padded; STRIPES]>,
}

impl Table {
    pub(crate) fn new() -> Self {
        Self {
            stripes: Box::new(std::array::from_fn(|_| Padded::default())),
        }
    }

    /// Locks the stripe of a hash.
    pub(crate) fn lock(&self, hash: u32) -> LatchGuard<'_, Stripe> {
        #[expect(
            clippy::indexing_slicing,
            reason = "the remainder is an index of the array"
        )]
        self.stripes[stripe(hash)].0.lock()
    }

    /// One of the stripes; `None` behind the last.
    pub(crate) fn stripe(&self, index: usize) -> Option<&Latch<Stripe>> {
        self.stripes.get(index).map(|padded| &padded.0)
    }

    /// Locks one stripe after the other.
    pub(crate) fn shape(&self) -> Shape {
        let mut shape = Shape::default();
        for stripe in self.stripes() {
            shape.add(Shape::of(&stripe.lock()));
        }
        shape
    }

    /// Number of slots. Locks one stripe after the other.
    pub(crate) fn slots(&self) -> u64 {
        let slots = self.stripes().map(|stripe| stripe.lock().counts.slots);
        slots.map(u64::from).sum()
    }

    /// The stripes, to be locked one after the other.
    pub(crate) fn stripes(&self) -> impl Iterator<Item = &Latch<Stripe>> {
        self.stripes.iter().map(|padded| &padded.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::item::Meta;

    fn item(key: u32) -> Item {
        // A poor hash on purpose: the low bits say little.
        let hash = key.wrapping_mul(0x0100_0193).rotate_left(7);
        let meta = Meta {
            hash,
            flags: 0,
            expiry: 0,
            cas: 0,
        };
        Item::with_value(&key.to_be_bytes(), &[b"v"], meta).unwrap()
    }

    #[test]
    fn a_stripe_finds_everything_while_it_grows_and_shrinks() {
        let mut stripe = Stripe::default();
        for key in 0..20_000 {
            stripe.insert(Slot::new(item(key), Seqno::new(u64::from(key)), false));
        }
        assert!(stripe.parts.len() > 16, "{} parts", stripe.parts.len());
        let largest = stripe.parts.iter().map(Buckets::len).max().unwrap();
        assert!(largest < 4 * PART_ENTRIES, "parts stay small: {largest}");
        for key in 0..20_000 {
            let wanted = item(key);
            let slot = stripe.find(wanted.hash(), wanted.key()).unwrap();
            assert_eq!(slot.seqno().get(), u64::from(key));
        }
        for key in 0..20_000 {
            let wanted = item(key);
            assert!(stripe.remove(wanted.hash(), wanted.key()).is_some());
            assert!(stripe.find(wanted.hash(), wanted.key()).is_none());
        }
        assert_eq!(
            (stripe.figures(), stripe.counts.slots),
            (Figures::default(), 0)
        );
    }

    fn floors(now: u64, base: u64) -> Floors {
        let (now, base) = (Seqno::new(now), Seqno::new(base));
        Floors { now, base }
    }

    fn put(stripe: &mut Stripe, key: u32, seqno: u64) {
        let new = item(key);
        let seqno = Seqno::new(seqno);
        stripe.replace(new.hash(), new.key(), new.clone(), seqno, false);
    }

    #[test]
    fn a_flush_leaves_nothing_live_and_a_revert_brings_it_back() {
        let mut stripe = Stripe::default();
        for key in 0..10 {
            stripe.insert(Slot::new(item(key), Seqno::new(1), key == 3));
        }
        assert_eq!(stripe.figures().items, 9);
        stripe.sync(floors(5, 0));
        assert_eq!(stripe.figures().items, 0);
        put(&mut stripe, 4, 6);
        assert_eq!(stripe.figures().items, 1);
        // Another one in the same window.
        stripe.sync(floors(7, 0));
        put(&mut stripe, 3, 8);
        assert_eq!(stripe.figures().items, 1);
        stripe.sync(floors(0, 0));
        assert_eq!(stripe.figures().items, 10);
    }

    #[test]
    fn a_revert_comes_back_to_the_flush_before_its_window() {
        let mut stripe = Stripe::default();
        for key in 0..10 {
            stripe.insert(Slot::new(item(key), Seqno::new(1), false));
        }
        // One before the window and one inside, met at once.
        stripe.sync(floors(5, 3));
        put(&mut stripe, 4, 6);
        assert_eq!(stripe.figures().items, 1);
        stripe.sync(floors(3, 3));
        assert_eq!(
            stripe.figures().items,
            1,
            "what was flushed before stays so"
        );
        // That window was completed instead, and the next one is reverted.
        stripe.sync(floors(7, 7));
        put(&mut stripe, 5, 8);
        stripe.sync(floors(9, 7));
        assert_eq!(stripe.figures().items, 0);
        stripe.sync(floors(7, 7));
        assert_eq!(stripe.figures().items, 1);
    }

    #[test]
    fn a_sweep_takes_out_what_is_not_kept() {
        let mut stripe = Stripe::default();
        for key in 0..2_000 {
            stripe.insert(Slot::new(item(key), Seqno::ZERO, false));
        }
        let mut garbage = Vec::new();
        let mut part = 0;
        while stripe.sweep(
            part,
            &mut |slot| slot.item().key()[3] % 2 == 0,
            &mut garbage,
        ) {
            part += 1;
        }
        assert_eq!((garbage.len(), stripe.figures().items), (1_000, 1_000));
    }
}
