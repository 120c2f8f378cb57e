//! What goes into a batch: the changes of the logs, and the store's records of vbuckets.

use super::{Known, Progress};
use crate::checkpoint::{Change, Log, Op};
use crate::item::Item;
use crate::store::{Batch, Record, VbucketRecord};
use crate::types::{CheckpointId, UnixTime, VbucketId};
use crate::vbucket::{Reader, Vbucket};

/// Entries read from a log under one lock.
const READ_ENTRIES: usize = 512;

/// Changes of one vbucket in a batch.
pub(super) struct Part<'a> {
    pub(super) reader: Reader<'a>,
    pub(super) closed: Option<CheckpointId>,
    /// When a delayed flush is due behind them.
    pub(super) due: Option<UnixTime>,
    pub(super) changes: Vec<Change>,
}

/// What a batch has of a vbucket.
#[derive(Clone, Copy, Debug)]
pub(super) struct Written {
    incarnation: u64,
    closed: Option<CheckpointId>,
    due: Option<UnixTime>,
}

impl Written {
    pub(super) fn of(part: &Part<'_>) -> Self {
        Self {
            incarnation: part.reader.incarnation(),
            closed: part.closed,
            due: part.due,
        }
    }
}

/// What a batch may still take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    items: usize,
    bytes: usize,
}

impl Room {
    pub(super) fn new(items: usize, bytes: usize) -> Self {
        Self { items, bytes }
    }

    fn take<'a>(&mut self, changes: impl Iterator<Item = &'a Change>) {
        for change in changes {
            let bytes = change.item.as_ref().map_or(0, Item::memory_bytes);
            self.items = self.items.saturating_sub(1);
            self.bytes = self.bytes.saturating_sub(bytes);
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.items == 0 || self.bytes == 0
    }
}

/// What a commit does to the store.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) put: u64,
    pub(super) deleted: u64,
    /// Of keys and values.
    pub(super) bytes: u64,
}

impl Tally {
    /// Counts a row: a key-only item is a deletion.
    pub(super) fn count(&mut self, item: &Item) {
        self.bytes += (item.key().len() + item.value().len()) as u64;
        if item.is_resident() {
            self.put += 1;
        } else {
            self.deleted += 1;
        }
    }
}

/// Brings the store's record of one id up to date, behind the rows that the batch has for it:
/// `written` says of which incarnation they are. Returns what the store knows then, if it is news.
pub(super) fn put_standing(
    batch: &mut dyn Batch,
    progress: &Progress,
    id: VbucketId,
    standing: Option<(u64, VbucketRecord)>,
    written: Option<&Written>,
) -> Option<(VbucketId, Option<Known>)> {
    let known = progress.known.get(id.index()).copied().flatten();
    let rows = written.map(|written| written.incarnation);
    let rows = rows.or(known.map(|known| known.incarnation));
    match standing {
        Some((incarnation, mut record)) if rows.is_none_or(|rows| rows == incarnation) => {
            let closed = written.and_then(|written| written.closed);
            record.checkpoint = record.checkpoint.max(closed.unwrap_or_default());
            record.due = written
                .and_then(|written| written.due)
                .unwrap_or(record.due);
            let now = Known {
                incarnation,
                record,
            };
            if known == Some(now) {
                return None;
            }
            if rows.is_none() {
                batch.clear(id);
            }
            batch.set_vbucket(id, &record);
            Some((id, Some(now)))
        }
        // Deleted, perhaps after its rows were read, and perhaps made again: that one's turn is the
        // next round.
        _ if rows.is_some() => {
            batch.clear(id);
            batch.remove_vbucket(id);
            Some((id, None))
        }
        _ => None,
    }
}

/// Adds the record of a vbucket whose checkpoint `checkpoint` is durable with this batch.
pub(super) fn put_record(
    batch: &mut dyn Batch,
    vbucket: &Vbucket,
    checkpoint: CheckpointId,
) -> Option<(VbucketId, Option<Known>)> {
    let (incarnation, mut record) = vbucket.standing(0)?;
    record.checkpoint = record.checkpoint.max(checkpoint);
    record.due = vbucket.with_log(Log::window_due);
    batch.set_vbucket(vbucket.id(), &record);
    let known = Known {
        incarnation,
        record,
    };
    Some((vbucket.id(), Some(known)))
}

/// Puts changes into a batch, in order, and counts the rows.
pub(super) fn fill(
    batch: &mut dyn Batch,
    vbucket: VbucketId,
    changes: &[Change],
    written: &mut Tally,
) {
    // What a later flush in the same batch makes void need not be written.
    let flush = changes.iter().rposition(|change| change.op == Op::Flush);
    if flush.is_some() {
        batch.clear(vbucket);
    }
    let first = flush.map_or(0, |index| index + 1);
    for change in changes.iter().skip(first) {
        let Some(item) = &change.item else { continue };
        written.count(item);
        match change.op {
            Op::Set => batch.put(vbucket, item.key(), &record(item)),
            Op::Delete => batch.delete(vbucket, item.key()),
            _ => {}
        }
    }
}

/// What the store keeps of an item.
pub(super) fn record(item: &Item) -> Record<'_> {
    Record {
        flags: item.flags(),
        expiry: item.expiry(),
        cas: item.cas(),
        value: item.value(),
    }
}

/// Reads one vbucket's log up to a consistent end; `None` when there is nothing to do for it. Also
/// returns whether that was all.
pub(super) fn read<'a>(vbucket: &'a Vbucket, room: &mut Room) -> Option<(Part<'a>, bool)> {
    let mut part = Part {
        reader: vbucket.reader(),
        closed: None,
        due: None,
        changes: Vec::new(),
    };
    let start = part.reader.upto();
    loop {
        let known = part.changes.len();
        let end = part.reader.read(READ_ENTRIES, &mut part.changes)?;
        room.take(part.changes.iter().skip(known));
        part.closed = end.closed.or(part.closed);
        part.due = end.due.or(part.due);
        if end.consistent && (end.exhausted || room.is_full()) {
            let moved = part.reader.upto() > start;
            return moved.then_some((part, end.exhausted));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::Config;
    use crate::host::fake::FakeHost;
    use crate::item::Meta;
    use crate::metrics::Metrics;
    use crate::settings::Settings;
    use crate::types::VbucketState;
    use crate::vbucket::{ReadersSwitch, Shared, Trash, VbucketMap, Verdict};
    use crate::worker::Signal;

    /// A vbucket with five closed checkpoints of ten keys.
    fn map() -> VbucketMap {
        let config = Config {
            chk_max_items: 10,
            max_checkpoints: 100,
            ..Config::default()
        };
        let map = VbucketMap::new(Arc::new(Shared {
            host: Arc::new(FakeHost::new()),
            metrics: Metrics::default(),
            switch: ReadersSwitch::default(),
            settings: Settings::new(&config),
            flush: Signal::new(),
            trash: Trash::new(Signal::new()),
            lease: u64::MAX,
            keep_pre_images: false,
        }));
        let id = VbucketId::new(0).unwrap();
        let vbucket = map.create(id, VbucketState::Active, CheckpointId::new(1), 0);
        for hash in 0..50_u32 {
            let meta = Meta {
                hash,
                flags: 0,
                expiry: 0,
                cas: 0,
            };
            let item = Item::with_value(&hash.to_be_bytes(), &[b"v"], meta).unwrap();
            let put = &mut |_: Option<&Item>| Ok(Verdict::Put(item.clone()));
            vbucket.unwrap().mutate(hash, item.key(), put).unwrap();
        }
        map
    }

    #[test]
    fn a_read_ends_with_the_checkpoint_in_which_items_or_bytes_are_enough() {
        let map = map();
        let vbucket = map.get(VbucketId::new(0).unwrap()).unwrap();
        for (items, bytes, expected) in [
            (1, usize::MAX, 10),
            (10, usize::MAX, 10),
            (11, usize::MAX, 20),
            (usize::MAX, 1, 10),
            (usize::MAX, usize::MAX, 50),
        ] {
            let mut room = Room::new(items, bytes);
            let (part, exhausted) = read(vbucket, &mut room).unwrap();
            assert_eq!(part.changes.len(), expected, "{items} items, {bytes} bytes");
            assert_eq!(exhausted, expected == 50);
            assert_eq!(part.closed, Some(CheckpointId::new(expected as u64 / 10)));
        }
    }
}
