//! The chunked, append-only sequence of one checkpoint's entries.
//!
//! Entries stand in ascending order of sequence number. A tombstone keeps its place until half of
//! its segment is dead; then the segment is compacted, so that memory follows the live entries.
//! Changes are counted by blocks of numbers, so that what lies behind a place is counted without a
//! look at each of them.

use std::collections::BTreeMap;
use std::iter::once;

use super::entry::Entry;
use crate::aside::aside;
use crate::item::Item;
use crate::types::Seqno;

/// Entries in a segment: 6 KiB.
const SEGMENT_ENTRIES: usize = 256;

/// Entries between the one that is looked at and the one whose item is fetched from memory.
const AHEAD: usize = 8;

/// Numbers in a block: what is looked at one by one when a count begins inside of it.
const BLOCK_BITS: u32 = 12;

/// Live changes by block.
#[derive(Debug, Default)]
struct Blocks {
    counts: BTreeMap<u64, usize>,
    /// The block of the latest change, and those of its changes that are not in `counts`.
    newest: (u64, usize),
}

impl Blocks {
    fn of(seqno: Seqno) -> u64 {
        seqno.get() >> BLOCK_BITS
    }

    fn add(&mut self, seqno: Seqno) {
        let block = Self::of(seqno);
        if self.newest.0 != block {
            self.seal();
            self.newest.0 = block;
        }
        self.newest.1 += 1;
    }

    fn seal(&mut self) {
        let (block, count) = std::mem::take(&mut self.newest);
        if count > 0 {
            *self.counts.entry(block).or_default() += count;
        }
    }

    fn remove(&mut self, seqno: Seqno) {
        let block = Self::of(seqno);
        if self.newest.0 == block && self.newest.1 > 0 {
            self.newest.1 -= 1;
        } else if let Some(count) = self.counts.get_mut(&block) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&block);
            }
        }
    }

    fn append(&mut self, mut other: Self) {
        self.seal();
        other.seal();
        for (block, count) in other.counts {
            *self.counts.entry(block).or_default() += count;
        }
    }

    /// Changes in the blocks behind that of a number.
    fn behind(&self, seqno: Seqno) -> usize {
        let block = Self::of(seqno);
        let newest = if self.newest.0 > block {
            self.newest.1
        } else {
            0
        };
        self.counts
            .range(block + 1..)
            .map(|(_, count)| count)
            .sum::<usize>()
            + newest
    }
}

#[derive(Debug, Default)]
struct Segment {
    entries: Vec<Entry>,
    dead: usize,
}

impl Segment {
    fn get(&self, seqno: Seqno) -> Option<&Entry> {
        let index = self
            .entries
            .binary_search_by_key(&seqno, Entry::seqno)
            .ok()?;
        self.entries.get(index).filter(|entry| entry.is_live())
    }

    fn get_mut(&mut self, seqno: Seqno) -> Option<&mut Entry> {
        let index = self
            .entries
            .binary_search_by_key(&seqno, Entry::seqno)
            .ok()?;
        self.entries.get_mut(index).filter(|entry| entry.is_live())
    }

    fn bury(&mut self, seqno: Seqno) -> Option<Entry> {
        let buried = self.get_mut(seqno)?.bury();
        self.dead += 1;
        if self.dead * 2 >= self.entries.len() {
            self.compact();
        }
        Some(buried)
    }

    fn compact(&mut self) {
        self.entries.retain(Entry::is_live);
        self.dead = 0;
    }

    /// Index of the first entry behind `after`.
    fn behind(&self, after: Seqno) -> usize {
        self.entries.partition_point(|entry| entry.seqno() <= after)
    }
}

/// The entries of one checkpoint.
#[derive(Debug, Default)]
pub(crate) struct Segments {
    /// Full segments by the sequence number of their first entry (also when that one is gone).
    full: BTreeMap<Seqno, Segment>,
    /// The segment that grows.
    tail: Segment,
    /// Entries that are not tombstones.
    live: usize,
    /// Those of them that are changes.
    changes: Blocks,
}

impl Segments {
    /// Adds an entry behind all others.
    pub(crate) fn push(&mut self, entry: Entry) {
        if self.tail.entries.len() >= SEGMENT_ENTRIES {
            self.seal();
            self.tail.entries.reserve_exact(SEGMENT_ENTRIES);
        }
        self.live += 1;
        if entry.op().is_change() {
            self.changes.add(entry.seqno());
        }
        self.tail.entries.push(entry);
    }

    /// Moves the tail to the full segments.
    fn seal(&mut self) {
        let mut tail = std::mem::take(&mut self.tail);
        let first = tail.entries.first().map(Entry::seqno);
        tail.compact();
        tail.entries.shrink_to_fit();
        if let Some(first) = first.filter(|_| !tail.entries.is_empty()) {
            self.full.insert(first, tail);
        }
    }

    /// Drops all of it, which takes time. No lock held. `freed` is told of the items' bytes, a
    /// segment at a time.
    pub(super) fn dissolve(self, freed: &mut dyn FnMut(usize)) {
        for segment in self.full.into_values().chain(once(self.tail)) {
            segment.entries.iter().for_each(Entry::prefetch);
            let mut bytes = 0;
            for entry in aside(segment.entries) {
                bytes += entry.item.as_ref().map_or(0, Item::memory_bytes);
            }
            freed(bytes);
        }
    }

    /// Number of entries that are not tombstones.
    pub(crate) fn live(&self) -> usize {
        self.live
    }

    fn in_tail(&self, seqno: Seqno) -> bool {
        self.tail
            .entries
            .first()
            .is_some_and(|first| first.seqno() <= seqno)
    }

    /// The same to look at.
    pub(crate) fn get(&self, seqno: Seqno) -> Option<&Entry> {
        let segment = if self.in_tail(seqno) {
            &self.tail
        } else {
            self.full.range(..=seqno).next_back()?.1
        };
        segment.get(seqno)
    }

    /// The live entry with that number.
    pub(crate) fn get_mut(&mut self, seqno: Seqno) -> Option<&mut Entry> {
        if self.in_tail(seqno) {
            return self.tail.get_mut(seqno);
        }
        self.full.range_mut(..=seqno).next_back()?.1.get_mut(seqno)
    }

    /// Turns the live entry with that number into a tombstone and returns it.
    pub(crate) fn remove(&mut self, seqno: Seqno) -> Option<Entry> {
        let buried = if self.in_tail(seqno) {
            self.tail.bury(seqno)?
        } else {
            let (&first, segment) = self.full.range_mut(..=seqno).next_back()?;
            let buried = segment.bury(seqno)?;
            if segment.entries.is_empty() {
                self.full.remove(&first);
            } else {
                segment.entries.shrink_to(segment.entries.len() * 2);
            }
            buried
        };
        self.live -= 1;
        if buried.op().is_change() {
            self.changes.remove(seqno);
        }
        Some(buried)
    }

    /// Hands the live entries behind `after` to `visit` until it returns false; returns whether it
    /// never did.
    pub(crate) fn visit_after(&self, after: Seqno, visit: &mut dyn FnMut(&Entry) -> bool) -> bool {
        self.from(after).all(|segment| {
            let behind = segment.entries.iter().skip(segment.behind(after));
            behind.filter(|entry| entry.is_live()).all(&mut *visit)
        })
    }

    /// The same for a `visit` that looks at what the entries lead to, which is somewhere in memory.
    pub(crate) fn visit_whole_after(
        &self,
        after: Seqno,
        visit: &mut dyn FnMut(&Entry) -> bool,
    ) -> bool {
        self.from(after).all(|segment| {
            let mut behind = segment.entries.iter().skip(segment.behind(after));
            let mut ahead = behind.clone();
            ahead.by_ref().take(AHEAD).for_each(Entry::prefetch);
            behind.all(|entry| {
                if let Some(entry) = ahead.next() {
                    entry.prefetch();
                }
                !entry.is_live() || visit(entry)
            })
        })
    }

    /// The segments from the one on in which a number stands.
    fn from(&self, after: Seqno) -> impl Iterator<Item = &Segment> {
        let start = self
            .full
            .range(..=after)
            .next_back()
            .map_or(after, |(&first, _)| first);
        let full = self.full.range(start..).map(|(_, segment)| segment);
        full.chain(once(&self.tail))
    }

    /// Live changes behind a place.
    pub(crate) fn changes_after(&self, after: Seqno) -> usize {
        let mut count = self.changes.behind(after);
        self.visit_after(after, &mut |entry| {
            let inside = Blocks::of(entry.seqno()) == Blocks::of(after);
            count += usize::from(inside && entry.op().is_change());
            inside
        });
        count
    }

    /// Appends all of `other`, whose entries must all be later than those here.
    pub(crate) fn append(&mut self, other: Self) {
        self.seal();
        self.live += other.live;
        self.changes.append(other.changes);
        self.full.extend(other.full);
        self.tail = other.tail;
    }

    /// Entries held including tombstones, for tests of the memory bound. A full segment that holds
    /// none counts like one.
    #[cfg(test)]
    pub(crate) fn held(&self) -> usize {
        let full = self.full.values().map(|s| s.entries.len().max(1));
        full.sum::<usize>() + self.tail.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::Op;

    fn push(segments: &mut Segments, seqno: u64) {
        let op = if seqno.is_multiple_of(97) {
            Op::Part
        } else {
            Op::Flush
        };
        segments.push(Entry::new(Seqno::new(seqno), op, None));
    }

    fn counted(segments: &Segments, after: Seqno) -> usize {
        let mut count = 0;
        segments.visit_after(after, &mut |entry| {
            count += usize::from(entry.op().is_change());
            true
        });
        count
    }

    #[test]
    fn changes_are_counted_by_blocks_as_one_by_one() {
        let block = 1 << BLOCK_BITS;
        let mut parts = [Segments::default(), Segments::default()];
        for (part, segments) in (0_u64..).zip(&mut parts) {
            // Not from the beginning of a block, and over several.
            let first = 1_000 + part * 3 * block;
            let last = first + 3 * block - part * 500;
            (first..last).for_each(|seqno| push(segments, seqno));
            // One block goes as a whole, of others every third entry.
            for seqno in first..last {
                if seqno.is_multiple_of(3) || (block..2 * block).contains(&(seqno - first)) {
                    segments.remove(Seqno::new(seqno));
                }
            }
        }
        let [mut first, second] = parts;
        first.append(second);
        (7 * block..8 * block).for_each(|seqno| push(&mut first, seqno));
        for seqno in (0..9 * block).step_by(111).chain([block - 1, block]) {
            let after = Seqno::new(seqno);
            assert_eq!(
                first.changes_after(after),
                counted(&first, after),
                "{seqno}"
            );
        }
        // Between the two parts that were joined, and in the block that grows.
        for seqno in [3 * block + 1_001, 7 * block + 5] {
            first.remove(Seqno::new(seqno));
        }
        assert_eq!(
            first.changes_after(Seqno::ZERO),
            counted(&first, Seqno::ZERO)
        );
    }
}
