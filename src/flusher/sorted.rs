//! The rows of a completing window in the order of their keys, or of a batch of many changes.
//!
//! A window's log is in the order of time. So many rows are sorted at a time as [`rows_at_once`]
//! says: of a window with more, the lowest keys first, in several passes over its log. So what this
//! takes is bounded, whatever the window holds.

use super::batch::{Part, READ_ENTRIES, Tally, record};
use crate::aside::{aside, sort_aside, step_aside};
use crate::bykey::ByKey;
use crate::checkpoint::{Change, Op};
use crate::item::Item;
use crate::store::{Rows, StoreError};
use crate::types::Seqno;
use crate::vbucket::Vbucket;

/// Rows that are sorted at once, at least and at most: 16 MiB, 128 MiB.
const SORT_ROWS: std::ops::RangeInclusive<usize> = 1 << 19..=1 << 22;
/// Their share of the quota: a 32nd.
const SORT_SHARE: u64 = 32;
/// Rows between the one that is written and the one that is fetched from memory.
const AHEAD: usize = 8;
/// Rows after which a report is brought up to date.
const REPORT_ROWS: usize = 4_096;

/// One row.
struct Row {
    key: ByKey,
    /// The place in the log, shifted by one, and whether the store had no row before.
    word: u64,
}

const _: () = assert!(size_of::<Row>() == 32);

/// Rows that are sorted at once with that quota: passes over a window of millions are what takes
/// long.
fn rows_at_once(quota: u64) -> usize {
    let rows = quota / SORT_SHARE / size_of::<Row>() as u64;
    let (least, most) = SORT_ROWS.into_inner();
    usize::try_from(rows).unwrap_or(most).clamp(least, most)
}

impl Row {
    fn new(item: Item, seqno: Seqno, is_new: bool) -> Self {
        let key = ByKey::new(item);
        let word = seqno.get() << 1 | u64::from(is_new);
        Self { key, word }
    }

    fn is_new(&self) -> bool {
        self.word & 1 != 0
    }

    fn item(&self) -> &Item {
        &self.key.item
    }
}

/// Sorts, and leaves the latest row of each key.
fn sort(rows: &mut Vec<Row>) {
    sort_aside(rows, |left, right| {
        let by_key = left.key.cmp(&right.key);
        by_key.then_with(|| right.word.cmp(&left.word))
    });
    rows.dedup_by(|later, kept| later.key == kept.key);
}

/// Changes of one vbucket that stay as they are, to be read from the first to the last as
/// often as it takes.
trait Source {
    /// Whose they are.
    fn vbucket(&self) -> &Vbucket;
    /// What lies before is void.
    fn flushed(&self) -> Seqno;
    /// Reads some more behind `after`, or the first ones. Returns where to go on; `None` at the
    /// end.
    fn read(
        &self,
        after: Option<Seqno>,
        out: &mut Vec<Change>,
    ) -> Result<Option<Seqno>, StoreError>;
    /// So many more rows were written.
    fn note(&self, _rows: usize) {}
}

/// A completing window.
struct Window<'a>(&'a Vbucket);

impl Source for Window<'_> {
    fn vbucket(&self) -> &Vbucket {
        self.0
    }

    fn flushed(&self) -> Seqno {
        self.0.window_flush().unwrap_or_default()
    }

    fn read(
        &self,
        after: Option<Seqno>,
        out: &mut Vec<Change>,
    ) -> Result<Option<Seqno>, StoreError> {
        Ok(self.0.read_window(after.unwrap_or_default(), out))
    }

    fn note(&self, rows: usize) {
        self.0.note_completed(rows);
    }
}

impl Source for Part<'_> {
    fn vbucket(&self) -> &Vbucket {
        self.reader.vbucket()
    }

    fn flushed(&self) -> Seqno {
        Part::flushed(self)
    }

    fn read(
        &self,
        after: Option<Seqno>,
        out: &mut Vec<Change>,
    ) -> Result<Option<Seqno>, StoreError> {
        let Some(large) = &self.large else {
            let after = after.unwrap_or_default();
            let from = self.changes.partition_point(|change| change.seqno <= after);
            let some = self.changes.iter().skip(from).take(READ_ENTRIES);
            out.extend(some.cloned());
            return Ok(out.last().map(|change| change.seqno));
        };
        let mut reader = large.begin.clone();
        reader.go_to(after.unwrap_or(reader.upto()));
        if reader.read(READ_ENTRIES, out).is_none() {
            let id = self.reader.vbucket().id();
            return Err(StoreError::new(format!(
                "vbucket {} was deleted or filled anew while it was written",
                id.get()
            )));
        }
        Ok(Some(reader.upto()).filter(|upto| *upto < self.reader.upto()))
    }
}

/// Hands the rows of a vbucket's completing window to `out`, and counts them.
pub(super) fn write_window(
    vbucket: &Vbucket,
    quota: u64,
    out: &mut dyn Rows,
    written: &mut Tally,
) -> Result<(), StoreError> {
    write_rows(&Window(vbucket), quota, out, written)
}

/// The same for a part of a batch.
pub(super) fn write_part(
    part: &Part<'_>,
    quota: u64,
    out: &mut dyn Rows,
    written: &mut Tally,
) -> Result<(), StoreError> {
    write_rows(part, quota, out, written)
}

fn write_rows(
    source: &dyn Source,
    quota: u64,
    out: &mut dyn Rows,
    written: &mut Tally,
) -> Result<(), StoreError> {
    let id = source.vbucket().id();
    let most = rows_at_once(quota);
    let mut rows = Vec::new();
    let mut after = None;
    loop {
        let more = gather(source, after.as_ref(), most, &mut rows)?;
        let mut ahead = rows.iter().skip(AHEAD);
        for rows in rows.chunks(REPORT_ROWS) {
            for row in aside(rows) {
                if let Some(row) = ahead.next() {
                    row.item().prefetch_whole();
                }
                written.count(row.item(), row.is_new());
                if row.item().is_resident() {
                    out.put(id, row.item().key(), &record(row.item()))?;
                } else {
                    out.delete(id, row.item().key())?;
                }
            }
            source.note(rows.len());
        }
        after = rows.pop().filter(|_| more);
        aside(rows.drain(..)).for_each(drop);
        if after.is_none() {
            return Ok(());
        }
    }
}

/// Collects the lowest keys above that of `after`, sorted, `most` at most. Returns whether there
/// are more.
fn gather(
    source: &dyn Source,
    after: Option<&Row>,
    most: usize,
    rows: &mut Vec<Row>,
) -> Result<bool, StoreError> {
    // What a flush among them made void need not be written.
    let flushed = source.flushed();
    let mut highest: Option<Row> = None;
    let mut changes: Vec<Change> = Vec::new();
    let mut position = None;
    loop {
        step_aside();
        position = source.read(position, &mut changes)?;
        for change in changes.drain(..) {
            let Some(item) = change.item.filter(|_| change.seqno > flushed) else {
                continue;
            };
            debug_assert_eq!(item.is_resident(), change.op == Op::Set);
            let row = Row::new(item, change.seqno, change.is_new);
            let above = |other: &Row| row.key > other.key;
            if after.is_some_and(|after| !above(after)) || highest.as_ref().is_some_and(above) {
                continue;
            }
            rows.push(row);
            if rows.len() == most {
                sort(rows);
                rows.truncate(most / 2);
                let copy = |row: &Row| Row {
                    key: ByKey::new(row.item().clone()),
                    word: row.word,
                };
                highest = rows.last().map(copy);
            }
        }
        if position.is_none() {
            break;
        }
    }
    sort(rows);
    Ok(highest.is_some())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::config::Config;
    use crate::host::fake::FakeHost;
    use crate::item::Meta;
    use crate::metrics::Metrics;
    use crate::settings::Settings;
    use crate::types::{CheckpointId, VbucketId, VbucketState};
    use crate::vbucket::{
        Awaited, ReadersSwitch, Restoring, Shared, Trash, VbucketMap, Verdict, begin_complete,
        open_windows,
    };
    use crate::worker::Signal;

    #[test]
    fn what_is_sorted_at_once_is_a_small_share_of_the_quota() {
        let (least, most) = SORT_ROWS.into_inner();
        for (quota, rows) in [
            (0, least),
            (64 << 20, least),
            (1 << 30, 1 << 20),
            (4 << 30, most),
            (u64::MAX, most),
        ] {
            assert_eq!(rows_at_once(quota), rows, "{quota}");
        }
    }

    #[test]
    fn every_row_of_a_window_comes_once_in_order_however_few_are_sorted_at_once() {
        let map = VbucketMap::new(Arc::new(Shared {
            host: Arc::new(FakeHost::new()),
            metrics: Metrics::default(),
            switch: ReadersSwitch::default(),
            restoring: Restoring::default(),
            settings: Settings::new(&Config::default()),
            flush: Signal::new(),
            lease: u64::MAX,
            keep_pre_images: false,
            trash: Trash::new(Signal::new()),
            awaited: Awaited::default(),
        }));
        let id = VbucketId::new(0).unwrap();
        map.create(id, VbucketState::Active, CheckpointId::new(1), 0);
        let vbucket = map.get(id).unwrap();
        assert!(open_windows(&[vbucket], Duration::ZERO, None));
        let mut expected = Vec::new();
        for number in 0..1_000_u32 {
            // Keys that differ behind what is compared first, and shorter ones.
            let hash = number.wrapping_mul(0x9e37_79b9);
            let mut key = b"a long beginning".to_vec();
            key.extend(hash.to_be_bytes());
            key.truncate(if number % 3 == 0 { 20 } else { 4 });
            if number % 3 != 0 {
                key = hash.to_be_bytes().to_vec();
            }
            let meta = Meta {
                hash,
                flags: 0,
                expiry: 0,
                cas: 0,
            };
            let item = Item::with_value(&key, &[b"v"], meta).unwrap();
            for _ in 0..=number % 2 {
                let put = &mut |_: Option<&Item>| Ok(Verdict::Put(item.clone()));
                vbucket.mutate(hash, item.key(), put).unwrap();
            }
            expected.push(key);
        }
        assert!(begin_complete(&[vbucket], Duration::ZERO));
        expected.sort();
        for most in [2, 7, 100, 999, 1_000, 1_001, 5_000] {
            let mut found = Vec::new();
            let mut after: Option<Row> = None;
            loop {
                let mut rows = Vec::new();
                let source = Window(vbucket);
                let more = gather(&source, after.as_ref(), most, &mut rows).unwrap();
                assert!(rows.len() <= most);
                found.extend(rows.iter().map(|row| row.item().key().to_vec()));
                after = rows.pop();
                if !more {
                    break;
                }
            }
            assert!(found == expected, "{most}: {}", found.len());
        }
    }
}
