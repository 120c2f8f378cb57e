//! Commits of rows that have no room in memory.

use std::fs;
use std::path::Path;
use std::sync::atomic::Ordering;

use ::fjall::{PersistMode, Slice};
use tempfile::TempDir;

use super::{
    FaultStore, FjallStore, Helper, Items, KILLED_KEYS, fill, items, noise, open, record, vb,
};
use crate::config::Durability;
use crate::ffi::alloc::used_bytes;
use crate::store::codec::{self, BatchMark};
use crate::store::database::{Changes, Db, Options};
use crate::store::{Record, Rows, Store, StoreError, VbucketRecord, WindowRecord};
use crate::types::{CheckpointId, VbucketState};

/// Loads so many rows of vbucket 5 with the number of the load, and deletes those of the last one
/// that have another last digit.
fn load(store: &dyn Store, number: u64, count: u64) -> Result<(), StoreError> {
    let value = noise(number, 100);
    let mut batch = store.batch().unwrap();
    let checkpoint = CheckpointId::new(number);
    let state = VbucketState::Active;
    batch.set_vbucket(
        vb(5),
        &VbucketRecord {
            state,
            checkpoint,
            reserved: checkpoint,
            due: 0,
        },
    );
    batch.set_window(WindowRecord::Completed);
    batch.commit_with(&mut |rows| {
        for key in 0..count {
            let key = format!("{key:06}");
            if key.as_bytes()[5] == b'0' + u8::try_from(number % 10).unwrap() {
                rows.delete(vb(5), key.as_bytes())?;
            } else {
                rows.put(vb(5), key.as_bytes(), &record(&value, number))?;
            }
        }
        Ok(())
    })
}

/// Whether a load is there, whole, in a store that has held nothing else in vbucket 5.
fn is_whole(store: &dyn Store, items: &Items, number: u64, count: u64) -> bool {
    let rows: Vec<_> = items.iter().filter(|((id, _), _)| *id == vb(5)).collect();
    let checkpoint = store
        .vbuckets()
        .unwrap()
        .first()
        .map(|(_, it)| it.checkpoint);
    let is_recorded = checkpoint == Some(CheckpointId::new(number));
    is_recorded
        && rows.len() as u64 == count - count / 10
        && rows.iter().all(|(_, row)| row.cas == number)
}

#[test]
fn rows_of_a_load_and_its_batch_are_there_together() {
    let folder = TempDir::new().unwrap();
    let faults = FaultStore::default();
    let disk = open(folder.path());
    for store in [&faults as &dyn Store, &disk] {
        for number in 1..4 {
            fill(store, 0, 3, Durability::None);
            load(store, number, 5_000).unwrap();
            assert!(is_whole(store, &items(store).unwrap(), number, 5_000));
            assert_eq!(store.window().unwrap(), WindowRecord::Completed);
        }
        // What the batch clears is gone, the rows are of the next generation.
        let mut batch = store.batch().unwrap();
        batch.clear(vb(5));
        let put = &mut |rows: &mut dyn Rows| rows.put(vb(5), b"only", &record(b"v", 1));
        batch.commit_with(put).unwrap();
        assert_eq!(
            items(store)
                .unwrap()
                .iter()
                .filter(|((id, _), _)| *id == vb(5))
                .count(),
            1
        );
        store.batch().unwrap().commit_with(&mut |_| Ok(())).unwrap();
    }
    let expected = items(&disk).unwrap();
    drop(disk);
    let disk = open(folder.path());
    assert_eq!(items(&disk).unwrap(), expected);
    while disk.purge().unwrap() {}
    assert_eq!(disk.count_rows().unwrap(), expected.len());
}

/// A load empties the memtable of the items, which alone had another journal begun.
#[test]
fn the_journal_does_not_grow_where_loads_come_between_batches() {
    const MEBIBYTE: usize = 1 << 20;
    let folder = TempDir::new().unwrap();
    let store = FjallStore::open(folder.path(), Options::default()).unwrap();
    let value = noise(1, MEBIBYTE);
    let journals = || -> u64 {
        let entries = fs::read_dir(folder.path().join("db")).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        let journals = paths.filter(|path| path.extension().is_some_and(|it| it == "jnl"));
        journals.map(|path| fs::metadata(path).unwrap().len()).sum()
    };
    for _ in 0..60 {
        let mut batch = store.batch().unwrap();
        for key in 0..5 {
            batch.put(vb(0), &[key], &record(&value, 1));
        }
        batch.commit(Durability::None).unwrap();
        let put = &mut |rows: &mut dyn Rows| rows.put(vb(1), b"key", &record(b"v", 1));
        store.batch().unwrap().commit_with(put).unwrap();
    }
    // Those that are full go when fjall's thread comes to it.
    for _ in 0..6_000 {
        if journals() < 200 * MEBIBYTE as u64 {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("{} bytes for 300 MiB that are in tables", journals());
}

/// It takes what they wrote of the items to the disk.
#[test]
fn batches_before_a_load_are_synced_first() {
    let folder = TempDir::new().unwrap();
    let store = open(folder.path());
    fill(&store, 1, 10, Durability::None);
    load(&store, 1, 100).unwrap();
    let slot = store.db.read();
    let mark = slot.as_ref().unwrap().meta.get(codec::META_BATCH).unwrap();
    let mark = codec::parse_batch_value(&mark.unwrap()).ok().unwrap();
    assert_eq!(mark.synced, mark.number - 1);
}

#[test]
fn a_load_that_is_given_up_leaves_nothing_and_the_store_goes_on() {
    let folder = TempDir::new().unwrap();
    let store = open(folder.path());
    load(&store, 1, 1_000).unwrap();
    let tables = || {
        fs::read_dir(folder.path().join("db/keyspaces/1/tables"))
            .unwrap()
            .count()
    };
    let (expected, before) = (items(&store).unwrap(), tables());
    for _ in 0..3 {
        let mut batch = store.batch().unwrap();
        batch.clear(vb(5));
        let mut written = 0;
        let given_up = batch.commit_with(&mut |rows| {
            for key in 0..5_000 {
                rows.put(vb(0), format!("{key:06}").as_bytes(), &record(b"v", 1))?;
                written += 1;
            }
            Err(StoreError::new("given up"))
        });
        assert_eq!(
            (given_up.unwrap_err().to_string().as_str(), written),
            ("given up", 5_000)
        );
        assert_eq!(items(&store).unwrap(), expected);
        assert!(!store.is_undecided());
    }
    load(&store, 2, 1_000).unwrap();
    assert!(is_whole(&store, &items(&store).unwrap(), 2, 1_000));
    assert!(tables() <= before + 3, "{} tables", tables());
}

/// What a process leaves that dies between the two steps of a load.
fn half(store: &FjallStore, key: &[u8], record: &[u8]) {
    let slot = store.db.read();
    let db = slot.as_ref().unwrap();
    let number = db.loaded().ok().unwrap() + 1;
    half_load(
        db,
        &codec::load_value(number, [(key, Some(record))].into_iter()),
    );
}

/// The same with that record of the load.
pub(super) fn half_load(db: &Db, load: &[u8]) {
    let mut value = Vec::new();
    codec::item_value(
        &mut value,
        &Record {
            flags: 0,
            expiry: 0,
            cas: 1,
            value: b"v",
        },
    );
    let mut key = Vec::new();
    codec::item_key(&mut key, vb(5), 0, b"key");
    db.ingest::<::fjall::Error>(&mut |take| {
        take(Slice::from(codec::ITEMS_LOAD), Some(Slice::from(load)))?;
        take(
            Slice::from(key.as_slice()),
            Some(Slice::from(value.as_slice())),
        )
    })
    .unwrap();
}

/// The same of a COMPLETE.
fn half_complete(store: &FjallStore) {
    let value = codec::window_value(WindowRecord::Completed);
    half(store, codec::META_WINDOW, &value);
}

#[test]
fn a_load_whose_process_died_half_way_is_finished_at_the_next_start() {
    let folder = TempDir::new().unwrap();
    let store = open(folder.path());
    fill(&store, 1, 10, Durability::Sync);
    half_complete(&store);
    drop(store);
    for _ in 0..2 {
        let store = open(folder.path());
        assert_eq!(items(&store).unwrap().len(), 11);
        assert_eq!(store.window().unwrap(), WindowRecord::Completed);
        assert!(
            store
                .db
                .read()
                .as_ref()
                .unwrap()
                .pending()
                .ok()
                .unwrap()
                .is_none()
        );
    }
}

#[test]
fn a_load_that_nobody_can_decide_is_decided_when_the_store_can_be_read() {
    let folder = TempDir::new().unwrap();
    let store = open(folder.path());
    load(&store, 1, 100).unwrap();
    let rows = folder.path().join("db/keyspaces/1");
    let hidden = folder.path().join("hidden");
    let move_away = |from: &Path, to: &Path| fs::rename(from, to).unwrap();
    let error = store.batch().unwrap().commit_with(&mut |out| {
        out.put(vb(5), b"new", &record(b"v", 9))?;
        move_away(&rows, &hidden);
        Ok(())
    });
    let error = error.unwrap_err().to_string();
    assert!(error.contains("it may hold what could not"), "{error}");
    assert!(store.is_undecided());
    assert!(store.batch().is_err() && store.is_undecided());
    move_away(&hidden, &rows);
    drop(store.batch().unwrap());
    assert!(!store.is_undecided());
    assert!(is_whole(&store, &items(&store).unwrap(), 1, 100));
    load(&store, 2, 100).unwrap();
}

/// The other answer than the one that was given: nothing may be built on the store any more.
#[test]
fn a_load_that_is_there_although_it_was_called_failed_stops_the_store() {
    let folder = TempDir::new().unwrap();
    let store = open(folder.path());
    fill(&store, 1, 10, Durability::Sync);
    half_complete(&store);
    store.failed.store(true, Ordering::Release);
    store.undecided.store(true, Ordering::Release);
    for _ in 0..2 {
        let error = store.batch().err().unwrap().to_string();
        assert!(error.contains("restart this node"), "{error}");
        assert!(store.is_undecided());
    }
    drop(store);
    let store = open(folder.path());
    assert_eq!(items(&store).unwrap().len(), 11);
    assert_eq!(store.window().unwrap(), WindowRecord::Completed);
}

/// The flusher writes the same again.
#[test]
fn rows_of_the_flusher_that_are_there_although_they_were_called_failed_may_stay() {
    let folder = TempDir::new().unwrap();
    let store = open(folder.path());
    fill(&store, 1, 10, Durability::Sync);
    let checkpoint = CheckpointId::new(7);
    let written = VbucketRecord {
        state: VbucketState::Active,
        checkpoint,
        reserved: checkpoint,
        due: 0,
    };
    let key = codec::meta_key(codec::META_VBUCKET, vb(5));
    half(&store, &key, &codec::vbucket_value(&written));
    store.failed.store(true, Ordering::Release);
    store.undecided.store(true, Ordering::Release);
    assert!(store.is_undecided());
    drop(store.batch().unwrap());
    assert!(!store.is_undecided());
    assert_eq!(items(&store).unwrap().len(), 11);
    let is_written = |(id, record)| (id, record) == (vb(5), written);
    assert!(store.vbuckets().unwrap().into_iter().any(is_written));
    load(&store, 2, 100).unwrap();
    assert_eq!(store.vbuckets().unwrap().len(), 1);
}

/// Its caller was told that it failed, the database could not be opened again, and then the process
/// ended in order.
#[test]
fn a_failed_batch_does_not_come_back_when_the_store_ends_without_a_database() {
    let folder = TempDir::new().unwrap();
    let store = open(folder.path());
    fill(&store, 1, 10, Durability::Sync);
    let mut changes = Changes::default();
    let (mut key, mut value) = (Vec::new(), Vec::new());
    codec::item_key(&mut key, vb(5), 0, b"failed");
    codec::item_value(&mut value, &record(b"v", 9));
    let row = (
        Slice::from(key.as_slice()),
        Some(Slice::from(value.as_slice())),
    );
    changes.items.push(row);
    let last = store.writer.lock().last;
    let mark = BatchMark {
        number: last.number + 1,
        ..last
    };
    let db = store.db.write().take().unwrap();
    db.commit(changes, mark, PersistMode::SyncAll).unwrap();
    db.close();
    store.failed.store(true, Ordering::Release);
    drop(store);
    assert_eq!(items(&open(folder.path())).unwrap().len(), 10);
}

/// Loads and ordinary batches by turns, for ever.
pub(super) fn child(folder: &Path, say: &dyn Fn(&str)) {
    let store = open(folder);
    let found = store.vbuckets().unwrap();
    let mut number = found
        .first()
        .map_or(0, |(_, record)| record.checkpoint.get());
    loop {
        number += 1;
        fill(&store, 7, 50, Durability::None);
        load(&store, number, KILLED_KEYS).unwrap();
        say(&number.to_string());
    }
}

#[test]
fn a_killed_process_leaves_whole_loads_and_every_acknowledged_one() {
    let folder = TempDir::new().unwrap();
    let mut acknowledged = 0_u64;
    for round in 0..12 {
        let mut helper = Helper::start("load", folder.path());
        for _ in 0..=round % 4 {
            acknowledged = helper.hear().unwrap().parse().unwrap();
        }
        std::thread::sleep(std::time::Duration::from_micros(2_300 * round));
        helper.process.kill().unwrap();
        while let Some(line) = helper.hear() {
            acknowledged = line.parse().unwrap();
        }
        drop(helper);
        let store = open(folder.path());
        let found = items(&store).unwrap();
        let is_there = |number| is_whole(&store, &found, number, KILLED_KEYS);
        assert!(
            is_there(acknowledged) || is_there(acknowledged + 1),
            "{acknowledged}"
        );
    }
}

/// Loads much, and says how much memory that took at most.
pub(super) fn child_memory(folder: &Path, say: &dyn Fn(&str)) {
    let store = open(folder);
    let value = noise(1, 100);
    let before = used_bytes();
    let mut most = before;
    let batch = store.batch().unwrap();
    batch
        .commit_with(&mut |rows| {
            for key in 0..500_000 {
                rows.put(
                    vb(5),
                    format!("key {key:09}").as_bytes(),
                    &record(&value, 1),
                )?;
                most = most.max(if key % 500 == 0 { used_bytes() } else { 0 });
            }
            Ok(())
        })
        .unwrap();
    most = most.max(used_bytes());
    say(&(most - before).to_string());
}

#[test]
fn a_load_takes_no_memory_that_grows_with_it() {
    let folder = TempDir::new().unwrap();
    let mut helper = Helper::start("memory", folder.path());
    let bytes: u64 = helper.hear().unwrap().parse().unwrap();
    // Its rows are 60 MB, and an ordinary batch holds them twice.
    assert!(bytes < 8 << 20, "{bytes}");
}
