//! What goes into a batch: the changes of the logs, and the store's records of vbuckets.

use super::{Known, Progress};
use crate::checkpoint::{Change, Log, Op};
use crate::item::Item;
use crate::store::{Batch, Record, VbucketRecord};
use crate::types::{CheckpointId, Seqno, UnixTime, VbucketId};
use crate::vbucket::{Reader, Vbucket};

/// Entries read from a log under one lock.
pub(super) const READ_ENTRIES: usize = 512;
/// A batch with fewer changes never goes past the journal: a table of its own costs more than that.
/// Few in tests, so that models and schedules come this way.
pub(super) const SORTED_MIN: usize = if cfg!(test) { 16 } else { 1 << 14 };

/// Changes of one vbucket in a batch.
pub(super) struct Part<'a> {
    pub(super) reader: Reader<'a>,
    pub(super) closed: Option<CheckpointId>,
    /// When a delayed flush is due behind them.
    pub(super) due: Option<UnixTime>,
    pub(super) changes: Vec<Change>,
    /// They are too many to be kept: there are none of them in `changes`.
    pub(super) large: Option<Large<'a>>,
}

/// Changes of one vbucket that are read again and again, up to the end of a closed checkpoint.
pub(super) struct Large<'a> {
    /// Where they begin.
    pub(super) begin: Reader<'a>,
    /// Where the latest `flush_all` among them stands: what comes before is void.
    flushed: Seqno,
    /// How many there are.
    count: usize,
}

impl Large<'_> {
    fn take(&mut self, changes: &mut Vec<Change>) {
        self.count += changes.len();
        self.flushed = latest_flush(changes).unwrap_or(self.flushed);
        if changes.capacity() > READ_ENTRIES * 2 {
            *changes = Vec::new();
        }
        changes.clear();
    }
}

impl Part<'_> {
    /// Changes in it.
    pub(super) fn count(&self) -> usize {
        self.changes.len() + self.large.as_ref().map_or(0, |large| large.count)
    }

    /// Where the latest `flush_all` in it stands: what comes before is void.
    pub(super) fn flushed(&self) -> Seqno {
        match &self.large {
            Some(large) => large.flushed,
            None => latest_flush(&self.changes).unwrap_or_default(),
        }
    }
}

fn latest_flush(changes: &[Change]) -> Option<Seqno> {
    let flush = changes.iter().rfind(|change| change.op == Op::Flush);
    flush.map(|flush| flush.seqno)
}

/// What a batch has of a vbucket.
#[derive(Clone, Copy, Debug)]
pub(super) struct Written {
    incarnation: u64,
    closed: Option<CheckpointId>,
    due: Option<UnixTime>,
    /// Its vbucket was deleted before its record was read: the rows are not of the one that has the
    /// id now.
    pub(super) is_void: bool,
}

impl Written {
    pub(super) fn of(part: &Part<'_>) -> Self {
        Self {
            incarnation: part.reader.incarnation(),
            closed: part.closed,
            due: part.due,
            is_void: false,
        }
    }

    /// Notes which vbucket has the id when its record is read.
    pub(super) fn meet(&mut self, incarnation: Option<u64>) {
        self.is_void = incarnation != Some(self.incarnation);
    }
}

/// What a batch may still take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    items: usize,
    bytes: usize,
    /// More than so many, or more bytes than that, are too many to be kept.
    kept: usize,
    kept_bytes: usize,
}

impl Room {
    /// With a checkpoint more than was wanted a batch has as much in it as ordinary ones give:
    /// twice of each is kept.
    pub(super) fn new(items: usize, bytes: usize) -> Self {
        Self {
            items,
            bytes,
            kept: items.saturating_mul(2).max(SORTED_MIN),
            kept_bytes: bytes.saturating_mul(2),
        }
    }

    fn take<'a>(&mut self, changes: impl Iterator<Item = &'a Change>) {
        for change in changes {
            let bytes = change.item.as_ref().map_or(0, Item::memory_bytes);
            self.items = self.items.saturating_sub(1);
            self.bytes = self.bytes.saturating_sub(bytes);
            self.kept = self.kept.saturating_sub(1);
            self.kept_bytes = self.kept_bytes.saturating_sub(bytes);
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.items == 0 || self.bytes == 0
    }

    /// Whether what was taken is too much to be kept, and copied.
    fn is_exceeded(&self) -> bool {
        self.kept == 0 || self.kept_bytes == 0
    }
}

/// What a commit does to the store.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) put: u64,
    /// How many of them are of keys that had none.
    pub(super) created: u64,
    pub(super) deleted: u64,
    /// Of keys and values.
    pub(super) bytes: u64,
}

impl Tally {
    /// Counts a row: a key-only item is a deletion.
    pub(super) fn count(&mut self, item: &Item, is_new: bool) {
        self.bytes += (item.key().len() + item.value().len()) as u64;
        if item.is_resident() {
            self.put += 1;
            self.created += u64::from(is_new);
        } else {
            self.deleted += 1;
        }
    }

    /// Adds another one.
    pub(super) fn add(&mut self, other: &Self) {
        self.put += other.put;
        self.created += other.created;
        self.deleted += other.deleted;
        self.bytes += other.bytes;
    }

    /// Tells reports that this was written for a vbucket.
    pub(super) fn note(&self, vbucket: &Vbucket) {
        let writes = vbucket.writes();
        writes.created.add(self.created);
        writes.updated.add(self.put - self.created);
        writes.deleted.add(self.deleted);
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
    let unsure = progress.unsure.contains(&id);
    let Some((incarnation, mut record)) = standing else {
        // Deleted, perhaps after its rows were read.
        return (rows.is_some() || unsure).then(|| {
            batch.clear(id);
            batch.remove_vbucket(id);
            (id, None)
        });
    };
    if rows == Some(incarnation) {
        let closed = written.and_then(|written| written.closed);
        record.checkpoint = record.checkpoint.max(closed.unwrap_or_default());
        let due = written.and_then(|written| written.due);
        record.due = due.unwrap_or(record.due);
    }
    let now = Known {
        incarnation,
        record,
    };
    if known == Some(now) && !unsure {
        return None;
    }
    if rows != Some(incarnation) {
        // Rows of an earlier one of this id; its own come with a later batch.
        batch.clear(id);
    }
    batch.set_vbucket(id, &record);
    Some((id, Some(now)))
}

/// Adds the record of a vbucket whose checkpoint `checkpoint` is durable with this batch.
pub(super) fn put_record(
    batch: &mut dyn Batch,
    vbucket: &Vbucket,
    checkpoint: CheckpointId,
) -> Option<(VbucketId, Option<Known>)> {
    let (incarnation, mut record) = vbucket.standing(|_| 0)?;
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
        written.count(item, change.is_new);
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

/// Reads one vbucket's log up to a consistent end that is not before `least`; `None` when there is
/// nothing to do for it. Also returns whether that was all.
pub(super) fn read<'a>(
    vbucket: &'a Vbucket,
    room: &mut Room,
    least: Seqno,
) -> Option<(Part<'a>, bool)> {
    let mut part = Part {
        reader: vbucket.reader(),
        closed: None,
        due: None,
        changes: Vec::new(),
        large: None,
    };
    let begin = part.reader.clone();
    let start = begin.upto();
    loop {
        let known = part.changes.len();
        let is_closed = part.reader.is_in_closed();
        let end = part.reader.read(READ_ENTRIES, &mut part.changes)?;
        room.take(part.changes.iter().skip(known));
        if part.large.is_none() && room.is_exceeded() && is_closed {
            part.large = Some(Large {
                begin: begin.clone(),
                flushed: Seqno::ZERO,
                count: 0,
            });
        }
        if let Some(large) = &mut part.large {
            large.take(&mut part.changes);
        }
        part.closed = end.closed.or(part.closed);
        part.due = end.due.or(part.due);
        let is_enough = room.is_full() || part.large.is_some();
        let is_enough = end.exhausted || is_enough && end.upto >= least;
        if end.consistent && is_enough {
            let moved = part.reader.upto() > start;
            return moved.then_some((part, end.exhausted));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::config::Config;
    use crate::flusher::sorted::write_part;
    use crate::host::fake::FakeHost;
    use crate::item::Meta;
    use crate::metrics::Metrics;
    use crate::settings::Settings;
    use crate::store::fault::{self, FaultStore};
    use crate::store::{Rows, Store};
    use crate::types::VbucketState;
    use crate::vbucket::{
        Arrival, Awaited, ReadersSwitch, Restoring, Shared, Trash, VbucketMap, Verdict,
    };
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
            restoring: Restoring::default(),
            settings: Settings::new(&config),
            flush: Signal::new(),
            trash: Trash::new(Signal::new()),
            awaited: Awaited::default(),
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
        let meta = Meta {
            hash: 0,
            flags: 0,
            expiry: 0,
            cas: 0,
        };
        let one = Item::with_value(&[0; 4], &[b"v"], meta).unwrap();
        let most_of_a_checkpoint = 6 * one.memory_bytes();
        for (items, bytes, expected) in [
            (1, usize::MAX, 10),
            (10, usize::MAX, 10),
            (11, usize::MAX, 20),
            (usize::MAX, most_of_a_checkpoint, 10),
            (usize::MAX, usize::MAX, 50),
        ] {
            let mut room = Room::new(items, bytes);
            let (part, exhausted) = read(vbucket, &mut room, Seqno::ZERO).unwrap();
            assert_eq!(part.changes.len(), expected, "{items} items, {bytes} bytes");
            assert_eq!(exhausted, expected == 50);
            assert_eq!(part.closed, Some(CheckpointId::new(expected as u64 / 10)));
        }
    }

    /// As a master's stream leaves it: too large, with keys twice, deletions and a flush in it.
    #[test]
    fn a_large_checkpoint_is_written_row_by_row_and_leaves_nothing_behind() {
        let map = map();
        let vbucket = map.get(VbucketId::new(0).unwrap()).unwrap();
        let mut room = Room::new(usize::MAX, usize::MAX);
        let (part, _) = read(vbucket, &mut room, Seqno::ZERO).unwrap();
        part.reader.committed(part.closed, &part.changes);
        vbucket.set_state(VbucketState::Replica, Arrival::Alone, || {});
        for flushes in [false, true] {
            vbucket.follow_start(None, Duration::ZERO, None);
            let mut expected = BTreeMap::new();
            for number in 0..3_000_u32 {
                let hash = 10_000 + (number.wrapping_mul(0x9e37_79b9) >> 21);
                let key = hash.to_be_bytes();
                let meta = Meta {
                    hash,
                    flags: 0,
                    expiry: 0,
                    cas: u64::from(number) + 1,
                };
                if number % 5 == 0 {
                    vbucket.replicate_deletion(hash, &key).unwrap();
                    expected.get_mut(&key[..]).map(Option::take);
                } else {
                    let item = Item::with_value(&key, &[&[b'v'; 100]], meta).unwrap();
                    vbucket.replicate(&item).unwrap();
                    expected.insert(key.to_vec(), Some(meta.cas));
                }
                if flushes && number == 1_000 {
                    vbucket.receive_flush();
                    expected.clear();
                }
            }
            vbucket.follow_complete();
            let (part, _) = read(vbucket, &mut Room::new(100, 1_000), Seqno::ZERO).unwrap();
            let large = part.large.as_ref().unwrap();
            assert!(part.changes.is_empty());
            assert_eq!(part.flushed() > Seqno::ZERO, flushes);
            let store = FaultStore::default();
            let mut tally = Tally::default();
            let batch = store.batch().unwrap();
            let rows = &mut |out: &mut dyn Rows| write_part(&part, 0, out, &mut tally);
            batch.commit_with(rows).unwrap();
            let mut found = BTreeMap::new();
            for change in &store.history()[0].changes {
                match change {
                    fault::Change::Put(_, key, record) => {
                        found.insert(key.clone(), Some(record.cas));
                    }
                    fault::Change::Delete(_, key) => {
                        found.insert(key.clone(), None);
                    }
                    other => panic!("{other:?}"),
                }
            }
            assert!(expected == found);
            part.reader.committed_from(part.closed, large.begin.clone());
            let next = read(vbucket, &mut Room::new(100, 1_000), Seqno::ZERO);
            assert!(next.is_none_or(|(part, _)| part.count() == 0));
            // Its deletions are durable: nothing stands for them any more.
            let live = expected.values().flatten().count();
            let others = if flushes { 0 } else { 50 };
            assert_eq!(vbucket.items(), live + others);
            assert!(flushes || vbucket.shape().slots == live + others);
        }
    }
}
