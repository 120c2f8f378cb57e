//! A hash table of slots, read a cache line at a time.
//!
//! Purpose: a lookup that waits for memory twice: for one line of the table and for the item. A
//! line holds four slots, the occupied ones first. A slot whose line is full stands in the next one
//! that is not, so a search ends at the first line with a free place. Thirteen bits of the hash,
//! the *tag*, stand in each slot. They say its line, in a table of any number of lines, so that it
//! grows by a fifth or a quarter at a time without a look at an item; and an item is hardly ever
//! looked at in vain.
//!
//! Invariant: between the line in which a slot belongs and the one in which it stands, all are
//! full. Whoever takes a slot out of a full line moves a later one back into it.

use super::table::Slot;
use crate::ffi::cache;

/// Slots in a line.
const LINE_SLOTS: usize = 4;
/// Lines that are fetched from memory before they are reached, and the items of theirs.
const AHEAD: usize = 2;

#[derive(Debug, Default)]
#[repr(align(64))]
struct Line([Option<Slot>; LINE_SLOTS]);

const _: () = assert!(size_of::<Line>() == 64);

impl Line {
    /// Number of slots in it.
    fn len(&self) -> usize {
        self.0.iter().take_while(|place| place.is_some()).count()
    }

    fn is_full(&self) -> bool {
        self.0.last().is_some_and(Option::is_some)
    }

    /// Puts a slot behind the others. Returns it when there is no place.
    fn push(&mut self, slot: Slot) -> Option<Slot> {
        let Some(place) = self.0.iter_mut().find(|place| place.is_none()) else {
            return Some(slot);
        };
        *place = Some(slot);
        None
    }

    /// Takes a slot out and closes the gap.
    fn take(&mut self, place: usize) -> Option<Slot> {
        let last = self.len().checked_sub(1)?;
        self.0.swap(place, last);
        self.0.get_mut(last)?.take()
    }
}

/// The table. It grows by itself and never shrinks.
#[derive(Debug, Default)]
pub(super) struct Buckets {
    /// One of [`step_above`]'s numbers of them, or none.
    lines: Box<[Line]>,
    len: usize,
}

/// What of a hash stands in a slot: the lower [`TAG_BITS`] of the result. Depends on all bits of
/// the hash, also where many of them are the same in one table.
pub(super) fn tag(hash: u32) -> u16 {
    let spread = u64::from(hash).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (spread >> (u64::BITS - TAG_BITS)) as u16
}

/// Bits of a tag.
pub(super) const TAG_BITS: u32 = 13;

/// Slots in so many lines before there have to be more: most stand in their own line.
fn room(lines: usize) -> usize {
    lines * LINE_SLOTS * 13 / 16
}

/// The next larger number of lines that a table may have: 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16,
/// 20 and so on. So most of a table is in use, and mimalloc has blocks of just these sizes.
fn step_above(lines: usize) -> usize {
    lines + (lines.next_power_of_two() / if lines.is_power_of_two() { 4 } else { 8 }).max(1)
}

impl Buckets {
    /// Slots in it.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Slots that fit before it grows.
    pub(super) fn room(&self) -> usize {
        room(self.lines.len())
    }

    /// Bytes that it takes.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.lines)
    }

    /// Where the slots of a tag belong: tags in their order over all lines.
    fn line_of(&self, tag: u16) -> usize {
        (usize::from(tag) * self.lines.len()) >> TAG_BITS
    }

    fn behind(&self, line: usize) -> usize {
        if line + 1 == self.lines.len() {
            0
        } else {
            line + 1
        }
    }

    /// Line and place of the slot of a key.
    fn place_of(&self, hash: u32, key: &[u8]) -> Option<(usize, usize)> {
        let tag = tag(hash);
        let mut at = self.line_of(tag);
        // No more lines than there are: not all of them are full.
        for _ in 0..self.lines.len() {
            for (place, slot) in self.lines.get(at)?.0.iter().enumerate() {
                let slot = slot.as_ref()?;
                if slot.tag() == tag && slot.item().hash() == hash && slot.item().key() == key {
                    return Some((at, place));
                }
            }
            at = self.behind(at);
        }
        None
    }

    /// Hands the slots of a hash to `look`.
    pub(super) fn visit_hash(&self, hash: u32, look: &mut dyn FnMut(&Slot)) {
        let mut at = self.line_of(tag(hash));
        for _ in 0..self.lines.len() {
            let slots = self.lines.get(at).map(|line| &line.0);
            for slot in slots.into_iter().flatten() {
                // Behind a line that is not full there are no more.
                let Some(slot) = slot else { return };
                if slot.item().hash() == hash {
                    look(slot);
                }
            }
            at = self.behind(at);
        }
    }

    /// Has the line in which a hash belongs brought into the cache.
    pub(super) fn prefetch(&self, hash: u32) {
        if let Some(line) = self.lines.get(self.line_of(tag(hash))) {
            cache::prefetch(line);
        }
    }

    /// The slot of a key.
    #[inline]
    pub(super) fn find_mut(&mut self, hash: u32, key: &[u8]) -> Option<&mut Slot> {
        let (line, place) = self.place_of(hash, key)?;
        self.lines.get_mut(line)?.0.get_mut(place)?.as_mut()
    }

    /// Adds a slot whose key is not in it.
    pub(super) fn insert(&mut self, slot: Slot) {
        if self.len >= self.room() {
            self.grow(self.len + 1);
        }
        self.put(slot);
    }

    fn put(&mut self, slot: Slot) {
        let mut at = self.line_of(slot.tag());
        let mut slot = Some(slot);
        while let (Some(left), Some(line)) = (slot.take(), self.lines.get_mut(at)) {
            slot = line.push(left);
            at = self.behind(at);
        }
        self.len += 1;
    }

    /// A table in which so many slots fit.
    pub(super) fn with_room(slots: usize) -> Self {
        let mut table = Self::default();
        table.grow(slots);
        table
    }

    fn grow(&mut self, slots: usize) {
        let mut lines = self.lines.len().max(1);
        while room(lines) < slots {
            lines = step_above(lines);
        }
        if lines == self.lines.len() {
            return;
        }
        let bigger = std::iter::repeat_with(Line::default).take(lines).collect();
        let old = std::mem::replace(&mut self.lines, bigger);
        self.len = 0;
        for line in old {
            line.0.into_iter().flatten().for_each(|slot| self.put(slot));
        }
    }

    /// Hands all slots over.
    pub(super) fn drain(self, take: &mut dyn FnMut(Slot)) {
        let mut lines = self.lines.into_iter();
        while let Some(line) = lines.next() {
            // Whoever takes a slot looks at its item.
            if let Some(ahead) = lines.as_slice().get(AHEAD) {
                ahead
                    .0
                    .iter()
                    .flatten()
                    .for_each(|slot| slot.item().prefetch());
            }
            line.0.into_iter().flatten().for_each(&mut *take);
        }
    }

    /// Takes the slot of a key out.
    pub(super) fn remove(&mut self, hash: u32, key: &[u8]) -> Option<Slot> {
        let (mut gap, place) = self.place_of(hash, key)?;
        let mut was_full = self.lines.get(gap)?.is_full();
        let removed = self.lines.get_mut(gap)?.take(place)?;
        self.len -= 1;
        // A later slot may stand behind this line because it was full.
        let mut at = gap;
        while was_full {
            at = self.behind(at);
            was_full = self.lines.get(at)?.is_full();
            let Some(place) = self.displaced(gap, at) else {
                continue;
            };
            let Some(slot) = self.lines.get_mut(at)?.take(place) else {
                break;
            };
            self.lines.get_mut(gap)?.push(slot);
            gap = at;
        }
        Some(removed)
    }

    /// The place of a slot in line `at` that may stand in line `gap`, which lies before it.
    fn displaced(&self, gap: usize, at: usize) -> Option<usize> {
        let distance = |from: usize, to: usize| {
            let around = if to < from { self.lines.len() } else { 0 };
            to + around - from
        };
        let slots = self.lines.get(at)?.0.iter().flatten();
        let mut homes = slots.map(|slot| self.line_of(slot.tag()));
        homes.position(|home| distance(home, at) >= distance(gap, at))
    }

    /// All slots.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Slot> {
        self.lines.iter().flat_map(|line| line.0.iter().flatten())
    }

    /// All slots, to be changed.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Slot> {
        let lines = self.lines.iter_mut();
        lines.flat_map(|line| line.0.iter_mut().flatten())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::{Just, any, prop};
    use proptest::{prop_assert, prop_assert_eq, prop_oneof, proptest};

    use super::*;
    use crate::item::{Item, Meta};
    use crate::types::Seqno;

    fn slot(hash: u32, key: u8, seqno: u64) -> Slot {
        let meta = Meta {
            hash,
            flags: 0,
            expiry: 0,
            cas: 0,
        };
        let item = Item::with_value(&[key], &[], meta).unwrap();
        Slot::new(item, Seqno::new(seqno), false)
    }

    fn check(table: &mut Buckets, model: &BTreeMap<(u32, u8), u64>) {
        assert_eq!(
            (table.len(), table.iter().count()),
            (model.len(), model.len())
        );
        for (&(hash, key), &seqno) in model {
            let found = table.find_mut(hash, &[key]);
            assert_eq!(
                found.map(|slot| slot.seqno().get()),
                Some(seqno),
                "{hash} {key}"
            );
        }
        // What stands behind its line stands there because all before are full.
        for (at, line) in table.lines.iter().enumerate() {
            assert_eq!(line.len(), line.0.iter().flatten().count(), "no gaps");
            for slot in line.0.iter().flatten() {
                let mut before = table.line_of(slot.tag());
                while before != at {
                    assert!(table.lines[before].is_full());
                    before = table.behind(before);
                }
            }
        }
    }

    proptest! {
        /// Few hashes, of which some fall into the same line or are the same: so that lines
        /// overflow, also from the last into the first.
        #[test]
        fn it_does_what_a_map_does(
            steps in prop::collection::vec((0..3_u8, 0..12_u32, any::<u8>()), 1..400),
            spread in prop_oneof![Just(0_u32), Just(1), Just(0x1357_9bdf)],
        ) {
            let mut table = Buckets::default();
            let mut model = BTreeMap::new();
            for (number, (step, hash, key)) in (0..).zip(steps) {
                let (hash, key) = (hash.wrapping_mul(spread), key % 16);
                let known = model.contains_key(&(hash, key));
                if step == 0 {
                    let removed = table.remove(hash, &[key]);
                    let expected = model.remove(&(hash, key));
                    prop_assert_eq!(removed.map(|slot| slot.seqno().get()), expected);
                } else if !known {
                    table.insert(slot(hash, key, number));
                    model.insert((hash, key), number);
                }
                prop_assert!(table.find_mut(hash ^ 0x8000_0000, &[key]).is_none());
            }
            check(&mut table, &model);
            let mut left = 0;
            table.drain(&mut |slot| left += usize::from(model.contains_key(&(
                slot.item().hash(), slot.item().key()[0],
            ))));
            prop_assert_eq!(left, model.len());
        }
    }

    #[test]
    fn a_table_of_full_lines_is_emptied_in_any_order() {
        for step in [1, 7, 11, 13] {
            let mut table = Buckets::default();
            let mut model = BTreeMap::new();
            for key in 0..100_u8 {
                let hash = u32::from(key % 9).wrapping_mul(0x0101_0101);
                table.insert(slot(hash, key, 1));
                model.insert((hash, key), 1);
            }
            for number in 0..100_u32 {
                let key = u8::try_from(number * step % 100).unwrap();
                let hash = u32::from(key % 9).wrapping_mul(0x0101_0101);
                assert_eq!(
                    table.remove(hash, &[key]).is_some(),
                    model.remove(&(hash, key)).is_some()
                );
                check(&mut table, &model);
            }
        }
    }
}
