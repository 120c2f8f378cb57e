//! The chunked, append-only sequence of one checkpoint's entries.
//!
//! Entries stand in ascending order of sequence number. A tombstone keeps its place until half of
//! its segment is dead; then the segment is compacted, so that memory follows the live entries.

use std::collections::BTreeMap;

use super::entry::Entry;
use crate::types::Seqno;

/// Entries in a segment: 6 KiB.
const SEGMENT_ENTRIES: usize = 256;

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
}

impl Segments {
    /// Adds an entry behind all others.
    pub(crate) fn push(&mut self, entry: Entry) {
        if self.tail.entries.len() >= SEGMENT_ENTRIES {
            self.seal();
            self.tail.entries.reserve_exact(SEGMENT_ENTRIES);
        }
        self.live += 1;
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
        Some(buried)
    }

    /// Hands the live entries behind `after` to `visit` until it returns false; returns whether it
    /// never did.
    pub(crate) fn visit_after(&self, after: Seqno, visit: &mut dyn FnMut(&Entry) -> bool) -> bool {
        let start = self
            .full
            .range(..=after)
            .next_back()
            .map_or(after, |(&first, _)| first);
        let full = self.full.range(start..).map(|(_, segment)| segment);
        full.chain(std::iter::once(&self.tail)).all(|segment| {
            let behind = segment.entries.iter().skip(segment.behind(after));
            behind.filter(|entry| entry.is_live()).all(&mut *visit)
        })
    }

    /// Appends all of `other`, whose entries must all be later than those here.
    pub(crate) fn append(&mut self, mut other: Self) {
        self.seal();
        self.live += other.live;
        self.full.append(&mut other.full);
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
