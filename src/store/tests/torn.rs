//! What clients store is not read as structure when the journal ends in a batch that a crash tore.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use xxhash_rust::xxh3::xxh3_64;

use super::{Options, files, fill, items, noise, record, restore, small, try_open, vb};
use crate::config::Durability;
use crate::store::Store;

const MAGIC: &[u8] = b"FJL\x03";

/// A whole batch, as fjall would write it, that claims to be a later one of the store. `value` is
/// what it says of itself.
fn forged(value: &[u8], entries_before: usize) -> Vec<u8> {
    let mut entries = Vec::new();
    let mut entry = |keyspace: u64, key: &[u8], value: &[u8]| {
        let bytes = u32::try_from(value.len()).unwrap().to_le_bytes();
        entries.extend([2, 0, 0]);
        entries.extend(keyspace.to_le_bytes());
        entries.extend(u16::try_from(key.len()).unwrap().to_le_bytes());
        entries.extend(bytes);
        entries.extend(bytes);
        entries.extend(key);
        entries.extend(value);
    };
    for _ in 0..entries_before {
        entry(1, b"\0\0\0\0k", b"value of an item");
    }
    entry(2, b"b", value);
    let count = u32::try_from(entries_before + 1).unwrap();
    let mut batch = vec![1];
    batch.extend(count.to_le_bytes());
    batch.extend(9_u64.to_le_bytes());
    batch.extend(&entries);
    batch.push(3);
    batch.extend(xxh3_64(&entries).to_le_bytes());
    batch.extend(MAGIC);
    batch
}

/// Marks of version 1 and 2 that say that everything before them was synced.
fn marks() -> [Vec<u8>; 3] {
    let body = [100_u64.to_be_bytes(), 99_u64.to_be_bytes()].concat();
    [
        [&[1], &body[..]].concat(),
        [&[2], &body[..], &[0; 16]].concat(),
        [&[2], &body[..], &noise(7, 16)].concat(),
    ]
}

/// Bytes of the journal before the zeros that it was created with.
fn used(journal: &[u8]) -> usize {
    journal
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |at| at + 1)
}

/// A store whose last batch holds `rows` and, last, a large value; as it is found when the process
/// was killed when `tear` says so of the journal and where the batch begins in it.
struct Killed {
    _folder: TempDir,
    path: PathBuf,
    journal: PathBuf,
    before: usize,
    whole: Vec<u8>,
}

impl Killed {
    fn new(rows: &[(Vec<u8>, Vec<u8>)]) -> Self {
        let folder = TempDir::new().unwrap();
        let live = folder.path().join("live");
        // Nothing is to change while the files are copied.
        let store = try_open(&live, Options::default()).unwrap();
        fill(&store, 1, 10, Durability::Sync);
        fill(&store, 2, 10, Durability::Sync);
        let before = used(&fs::read(live.join("db/0.jnl")).unwrap());
        let mut batch = store.batch().unwrap();
        for (key, value) in rows {
            batch.put(vb(0), key, &record(value, 1));
        }
        batch.put(vb(900), b"last", &record(&noise(3, 20_000), 1));
        batch.commit(Durability::Sync).unwrap();
        let path = folder.path().join("dead");
        restore(&path, &files(&live));
        let journal = path.join("db/0.jnl");
        let mut whole = fs::read(&journal).unwrap();
        whole.truncate(used(&whole) + 1_000);
        fs::write(&journal, &whole).unwrap();
        Self {
            _folder: folder,
            path,
            journal,
            before,
            whole,
        }
    }

    /// Opens it when everything from `at` on never reached the disk, or was cut off.
    fn survives(&self, at: usize, what: &str) {
        for truncated in [false, true] {
            let copy = self.path.with_file_name("copy");
            restore(&copy, &files(&self.path));
            let journal = copy.join(self.journal.strip_prefix(&self.path).unwrap());
            let mut bytes = self.whole.clone();
            if truncated {
                bytes.truncate(at);
            } else {
                bytes[at..].fill(0);
            }
            fs::write(&journal, bytes).unwrap();
            let store = try_open(&copy, small()).unwrap_or_else(|error| panic!("{what}: {error}"));
            assert_eq!(items(&store).unwrap().len(), 20, "{what}");
        }
    }

    fn torn_in_the_last_value(&self, what: &str) {
        self.survives(used(&self.whole) - 9_000, what);
    }

    fn find(&self, needle: &[u8]) -> usize {
        let hay = &self.whole[self.before..];
        let at = hay.windows(needle.len()).position(|bytes| bytes == needle);
        self.before + at.unwrap()
    }
}

#[test]
fn a_value_that_holds_a_batch_is_not_taken_for_one() {
    for mark in marks() {
        for shift in [0, 1, 2, 3, 7] {
            for entries_before in [0, 2] {
                let mut value = noise(1, 100 + shift);
                value.extend(MAGIC);
                value.extend(forged(&mark, entries_before));
                value.extend(noise(2, 50));
                let killed = Killed::new(&[(b"key".to_vec(), value)]);
                killed.torn_in_the_last_value(&format!("{mark:?} at {shift}"));
            }
        }
    }
}

#[test]
fn a_key_that_holds_a_batch_is_not_taken_for_one() {
    for mark in marks() {
        let key = [MAGIC, &forged(&mark, 0)].concat();
        assert!(key.len() <= 250);
        let killed = Killed::new(&[(key, b"value".to_vec())]);
        killed.torn_in_the_last_value("key");
    }
}

/// The store's own batches, as an operator may copy them into a value.
#[test]
fn a_value_that_holds_the_journal_is_not_taken_for_it() {
    let plain = Killed::new(&[]);
    let copied = plain.whole[..used(&plain.whole)].to_vec();
    Killed::new(&[(b"key".to_vec(), copied)]).torn_in_the_last_value("a copy");
}

#[test]
fn many_ends_of_batches_in_a_value_are_searched_in_no_time() {
    for end in [
        MAGIC.to_vec(),
        [&[1, 1, 0, 0, 0], MAGIC].concat(),
        forged(&marks()[0], 0),
    ] {
        let value = end.repeat(1_000_000 / end.len());
        Killed::new(&[(b"key".to_vec(), value)]).torn_in_the_last_value("ends");
    }
}

/// kill -9 tears a journal between two writes: behind any value that is large enough.
#[test]
fn a_tear_behind_a_value_that_looks_like_the_end_of_a_batch_is_one() {
    let mut value = noise(1, 9_000);
    let needle = [b"\x03", &noise(9, 8)[..], MAGIC].concat();
    value.extend(&needle);
    let killed = Killed::new(&[(b"key".to_vec(), value)]);
    killed.survives(killed.find(&needle) + needle.len(), "an end");
    for mark in marks() {
        let mut value = noise(1, 9_000);
        let needle = forged(&mark, 0);
        value.extend(&needle);
        let killed = Killed::new(&[(b"key".to_vec(), value)]);
        killed.survives(killed.find(&needle) + needle.len(), "a batch");
    }
}

/// Wherever the last batch is torn.
#[test]
fn a_batch_that_is_torn_anywhere_is_dropped() {
    let rows = [
        (b"a".to_vec(), noise(1, 600)),
        (forged(&marks()[1], 0), forged(&marks()[0], 3)),
        (b"c".to_vec(), Vec::new()),
    ];
    let killed = Killed::new(&rows);
    let end = used(&killed.whole);
    let near = |at: usize| at.saturating_sub(3)..(at + 200).min(end);
    let places = near(killed.before + 1).chain(killed.before + 200..killed.before + 1_300);
    for at in places.step_by(41).chain((end - 90..end).step_by(7)) {
        if at > killed.before {
            killed.survives(at, &format!("torn at {at} of {end}"));
        }
    }
    restore_whole(&killed.path, &killed.whole);
    assert_eq!(
        items(&try_open(&killed.path, small()).unwrap())
            .unwrap()
            .len(),
        20 + 4
    );
}

fn restore_whole(path: &Path, journal: &[u8]) {
    fs::write(path.join("db/0.jnl"), journal).unwrap();
}
