//! Stores that engines of earlier format versions wrote (`tests/data/README.md`).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use ::fjall::PersistMode;

use super::load::half_load;
use super::{OwnedRecord, files, items, open, record, refusal, restore, vb};
use crate::config::Durability;
use crate::store::codec::{self, BatchMark, Seal};
use crate::store::database::Changes;
use crate::store::{Rows, Store, VbucketRecord, WindowRecord, fjall::FjallStore};
use crate::types::{CheckpointId, VbucketState};

/// Unpacks a store of an earlier version.
fn unpack(name: &str) -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let archive = format!("{}/tests/data/{name}.tar.gz", env!("CARGO_MANIFEST_DIR"));
    let mut tar = Command::new("tar");
    tar.arg("-C").arg(folder.path()).arg("-xzf").arg(archive);
    assert!(tar.status().unwrap().success());
    let store = folder.path().join("db");
    (folder, store)
}

fn marker(store: &Path) -> String {
    fs::read_to_string(store.join("STORE")).unwrap()
}

const OLD: &str = "checkpoint-engine store\nformat 1\n";
const NEW: &str = "checkpoint-engine store\nformat 4\nseal ";

fn vbucket(state: VbucketState, checkpoint: u64) -> VbucketRecord {
    VbucketRecord {
        state,
        checkpoint: CheckpointId::new(checkpoint),
        reserved: CheckpointId::new(checkpoint + 1024),
        due: 0,
    }
}

/// Checks everything that both stores hold; `one` is the value of `key 1`.
fn check(store: &FjallStore, one: &str, checkpoints: (u64, u64)) {
    let found = items(store).unwrap();
    assert_eq!(found.len(), 249 + 1 + 7);
    let item = |vbucket: u16, key: &str| -> &OwnedRecord {
        &found[&(vb(vbucket), key.as_bytes().to_vec())]
    };
    for n in 0..249_u32 {
        let record = item(0, &format!("key {n}"));
        let value = format!("value {n}").into_bytes();
        let value = if n == 1 {
            one.as_bytes().to_vec()
        } else {
            value
        };
        // Flags are kept in the order of the wire.
        assert_eq!(
            (record.value.clone(), record.flags),
            (value, n.to_be()),
            "key {n}"
        );
        assert_eq!(record.expiry, 0);
    }
    assert_eq!(item(0, "big").value, vec![b'x'; 1_200_000]);
    for n in 0..7_u32 {
        let record = item(5, &format!("key {n}"));
        assert_eq!(record.value, format!("five {n}").into_bytes());
        assert_eq!((record.flags, record.expiry), (n.to_be(), 3_000_000_000));
    }
    let expected = vec![
        (vb(0), vbucket(VbucketState::Active, checkpoints.0)),
        (vb(5), vbucket(VbucketState::Replica, checkpoints.1)),
    ];
    assert_eq!(store.vbuckets().unwrap(), expected);
}

#[test]
fn a_store_of_version_1_is_upgraded_with_everything_in_it() {
    let (_folder, path) = unpack("format-1-closed");
    assert_eq!(marker(&path), OLD);
    for _ in 0..2 {
        let store = open(&path);
        assert!(marker(&path).starts_with(NEW));
        check(&store, "completed", (4, 2));
        let key_2 = &items(&store).unwrap()[&(vb(0), b"key 2".to_vec())];
        assert_eq!(key_2.cas, 1_795_469_573_341_382_392);
        assert_eq!(store.window().unwrap(), WindowRecord::Completed);
        while store.purge().unwrap() {}
        drop(store);
    }
}

#[test]
fn a_store_of_version_1_that_was_killed_in_a_window_is_upgraded() {
    let (_folder, path) = unpack("format-1-killed");
    for _ in 0..2 {
        let store = open(&path);
        check(&store, "value 1", (3, 0));
        assert_eq!(store.window().unwrap(), WindowRecord::Open);
    }
}

#[test]
fn an_upgrade_that_was_killed_half_way_is_done_again() {
    let (_folder, path) = unpack("format-1-closed");
    // Killed between the two steps: the database is of version 1 still.
    let text = format!("{NEW}{}\n", Seal::random().text());
    fs::write(path.join("STORE"), text).unwrap();
    let half_way = files(&path);
    check(&open(&path), "completed", (4, 2));
    check(&open(&path), "completed", (4, 2));
    // Killed while the batch of the second step was written: it lies in the journal, cut short.
    let whole = files(&path);
    restore(&path, &half_way);
    fs::write(path.join("LOCK"), "process 1\n").unwrap();
    let journal = PathBuf::from("db/0.jnl");
    let (old, new) = (&half_way[&journal], &whole[&journal]);
    let begin = (0..old.len()).find(|&at| old[at] != new[at]).unwrap();
    let end = new.iter().rposition(|byte| *byte != 0).unwrap();
    assert!(end > begin + 60, "{begin} {end}");
    let mut torn = new.clone();
    torn[begin + 30..].fill(0);
    fs::write(path.join(&journal), torn).unwrap();
    check(&open(&path), "completed", (4, 2));
    check(&open(&path), "completed", (4, 2));
}

#[test]
fn a_database_ahead_of_its_marker_is_refused() {
    let folder = TempDir::new().unwrap();
    let store = open(folder.path());
    super::fill(&store, 1, 10, Durability::Sync);
    drop(store);
    fs::write(folder.path().join("STORE"), OLD).unwrap();
    let text = refusal(folder.path());
    assert!(text.contains("not that of its STORE file"), "{text}");
}

/// Version 2 wrote no seals, and the number of a batch first.
#[test]
fn a_store_of_version_2_that_was_killed_is_upgraded() {
    let (_folder, path) = unpack("format-2-killed");
    let whole = files(&path);
    let journal = PathBuf::from("db/0.jnl");
    let end = whole[&journal].iter().rposition(|byte| *byte != 0).unwrap() + 1;
    for (left, count) in [(end, 9), (end - 20, 6)] {
        restore(&path, &whole);
        let mut bytes = whole[&journal].clone();
        bytes[left..].fill(0);
        fs::write(path.join(&journal), bytes).unwrap();
        for _ in 0..2 {
            assert_eq!(items(&open(&path)).unwrap().len(), count);
            assert!(marker(&path).starts_with(NEW));
        }
    }
    // Something before synced batches is damaged.
    restore(&path, &whole);
    let mut bytes = whole[&journal].clone();
    let second = bytes
        .windows(4)
        .position(|bytes| bytes == b"FJL\x03")
        .unwrap()
        + 4;
    bytes[second + 20] ^= 1;
    fs::write(path.join(&journal), bytes).unwrap();
    let text = refusal(&path);
    assert!(text.contains("follows"), "{text}");
}

#[test]
fn a_store_without_its_seal_is_refused() {
    let folder = TempDir::new().unwrap();
    drop(open(folder.path()));
    let unsealed = ["3", "4"].map(|it| format!("checkpoint-engine store\nformat {it}\n"));
    for text in [NEW, &unsealed[0], &unsealed[1]] {
        fs::write(folder.path().join("STORE"), text).unwrap();
        let text = refusal(folder.path());
        assert!(text.contains("names no seal"), "{text}");
    }
}

#[test]
fn a_store_of_version_2_is_upgraded_and_its_delayed_flush_is_that_of_the_active_vbuckets() {
    for (name, window) in [
        ("format-2-flush-closed", WindowRecord::None),
        ("format-2-flush-killed", WindowRecord::Open),
    ] {
        let (_folder, path) = unpack(name);
        for _ in 0..2 {
            let store = open(&path);
            assert!(marker(&path).starts_with(NEW));
            let found = items(&store).unwrap();
            assert_eq!(found.len(), 21);
            for (vbucket, n) in [0, 5, 6]
                .into_iter()
                .flat_map(|vb| (0..7).map(move |n| (vb, n)))
            {
                let record = &found[&(vb(vbucket), format!("key {n}").into_bytes())];
                assert_eq!(record.value, format!("{vbucket} value {n}").into_bytes());
            }
            let due = |(id, record): (_, VbucketRecord)| (id, record.state, record.due);
            let records: Vec<_> = store.vbuckets().unwrap().into_iter().map(due).collect();
            let expected = [
                (vb(0), VbucketState::Active, 3_000_000_000),
                (vb(5), VbucketState::Active, 3_000_000_000),
                (vb(6), VbucketState::Replica, 0),
            ];
            assert_eq!(records, expected);
            assert_eq!(store.window().unwrap(), window);
        }
    }
}

fn seal(store: &Path) -> String {
    let text = marker(store);
    text.lines()
        .find(|line| line.starts_with("seal "))
        .unwrap()
        .to_owned()
}

/// What the number of a load says now, the row said by being there.
#[test]
fn a_store_of_version_3_is_upgraded_with_the_windows_that_it_completed() {
    let (_folder, path) = unpack("format-3-killed");
    let old = seal(&path);
    for number in 0..3 {
        let store = open(&path);
        assert!(marker(&path).starts_with(NEW) && seal(&path) == old);
        assert_eq!(store.window().unwrap(), WindowRecord::Completed);
        let found = items(&store).unwrap();
        let expected = ["0", "1", "3", "4", "5", "6", "7"].map(|n| (vb(0), format!("key {n}")));
        for (vbucket, key) in &expected {
            let value = match key.as_str() {
                "key 1" => "completed".to_owned(),
                key => key.replace("key", "value"),
            };
            let row = &found[&(*vbucket, key.as_bytes().to_vec())];
            assert_eq!(row.value, value.into_bytes(), "{key}");
        }
        assert_eq!(found.len(), expected.len() + usize::from(number > 0));
        // A load of the new version beside what is left of the old one.
        let put = &mut |out: &mut dyn Rows| out.put(vb(6), b"new", &record(b"v", 1));
        store.batch().unwrap().commit_with(put).unwrap();
    }
}

#[test]
fn what_a_load_of_version_3_left_half_done_is_done_before_the_upgrade() {
    let folder = TempDir::new().unwrap();
    let store = open(folder.path());
    {
        let slot = store.db.read();
        let db = slot.as_ref().unwrap();
        let mut changes = Changes::default();
        changes.put_meta(codec::META_FORMAT, &codec::format_value(3));
        let mark = BatchMark {
            number: 2,
            synced: 1,
        };
        db.commit(changes, mark, PersistMode::SyncAll).unwrap();
        // As version 3 wrote it: record version 1, no number.
        let window = codec::window_value(WindowRecord::Completed);
        let numbered = codec::load_value(1, [(codec::META_WINDOW, Some(&window[..]))].into_iter());
        let mut load = numbered;
        load[0] = 1;
        load.drain(1..9);
        half_load(db, &load);
    }
    store.writer.lock().last = BatchMark {
        number: 2,
        synced: 2,
    };
    drop(store);
    let text = format!(
        "checkpoint-engine store\nformat 3\n{}\n",
        seal(folder.path())
    );
    fs::write(folder.path().join("STORE"), text).unwrap();
    for _ in 0..2 {
        let store = open(folder.path());
        assert_eq!(store.window().unwrap(), WindowRecord::Completed);
        assert_eq!(items(&store).unwrap().len(), 1);
        assert!(marker(folder.path()).starts_with(NEW));
        let mut batch = store.batch().unwrap();
        batch.set_window(WindowRecord::Completed);
        batch.commit(Durability::Sync).unwrap();
    }
    // Not once more.
    let store = open(folder.path());
    let mut batch = store.batch().unwrap();
    batch.set_window(WindowRecord::Reverted);
    batch.commit(Durability::Sync).unwrap();
    drop(store);
    assert_eq!(
        open(folder.path()).window().unwrap(),
        WindowRecord::Reverted
    );
}
