//! Space on the disk that nothing needs any more.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use tempfile::TempDir;

use super::{FjallStore, Helper, Items, KILLED_KEYS, files, fill, items, noise, open, record, vb};
use crate::config::Durability;
use crate::store::{Live, Rows, Store, StoreError, Tidied};

const ROWS: u64 = 1_000;
const VALUE_BYTES: usize = 12_000;

/// Bytes that the files below a folder take.
fn taken(folder: &Path) -> u64 {
    let sizes = fs::read_dir(folder).unwrap().map(|entry| {
        let path = entry.unwrap().path();
        let metadata = path.metadata().unwrap();
        if metadata.is_dir() {
            taken(&path)
        } else {
            metadata.blocks() * 512
        }
    });
    sizes.sum()
}

/// Writes all rows, in batches of a hundred.
fn write_all(store: &dyn Store, number: u64) {
    let value = noise(number, VALUE_BYTES);
    for part in 0..ROWS / 100 {
        let mut batch = store.batch().unwrap();
        for key in part * 100..(part + 1) * 100 {
            let key = format!("{key:06}");
            batch.put(vb(3), key.as_bytes(), &record(&value, number));
        }
        batch.commit(Durability::None).unwrap();
    }
}

fn delete_all(store: &dyn Store) {
    let mut batch = store.batch().unwrap();
    for key in 0..ROWS {
        batch.delete(vb(3), format!("{key:06}").as_bytes());
    }
    batch.commit(Durability::None).unwrap();
}

fn clear(store: &dyn Store) {
    let mut batch = store.batch().unwrap();
    batch.clear(vb(3));
    batch.commit(Durability::None).unwrap();
    while store.purge().unwrap() {}
}

fn live(store: &dyn Store) -> Live {
    let items = items(store).unwrap();
    let bytes = items
        .iter()
        .map(|((_, key), row)| key.len() + row.value.len());
    Live {
        rows: items.len() as u64,
        bytes: bytes.sum::<usize>() as u64,
    }
}

fn tidy(store: &FjallStore) -> Result<Tidied, StoreError> {
    let live = live(store);
    store.tidy(&|| live)
}

#[test]
fn a_store_gives_back_what_no_longer_lives() {
    type Step = fn(&dyn Store);
    let overwrite: Step = |store| (2..5).for_each(|number| write_all(store, number));
    let load: Step = |store| {
        let fill = &mut |rows: &mut dyn Rows| {
            (0..ROWS).try_for_each(|key| rows.delete(vb(3), format!("{key:06}").as_bytes()))
        };
        store.batch().unwrap().commit_with(fill).unwrap();
    };
    for step in [delete_all as Step, clear, overwrite, load] {
        let folder = TempDir::new().unwrap();
        let store = open(folder.path());
        write_all(&store, 1);
        fill(&store, 1, 500, Durability::Sync);
        step(&store);
        let expected = items(&store).unwrap();
        let lives = live(&store).bytes;
        let before = taken(folder.path());
        assert!(before > 2 * lives + (8 << 20), "{before}");
        assert_eq!(tidy(&store).unwrap(), Tidied::Done);
        let after = taken(folder.path());
        assert!(after < lives + lives / 4 + (1 << 20), "{after} for {lives}");
        assert_eq!(tidy(&store).unwrap(), Tidied::Nothing);
        assert_eq!(items(&store).unwrap(), expected);
        // It goes on, and so does the next process.
        fill(&store, 2, 500, Durability::Sync);
        let expected = items(&store).unwrap();
        drop(store);
        let store = open(folder.path());
        assert_eq!(items(&store).unwrap(), expected);
        assert!(taken(folder.path()) < lives + lives / 4 + (2 << 20));
    }
}

#[test]
fn what_is_read_row_by_row_is_read_to_its_end() {
    let folder = TempDir::new().unwrap();
    drop(open(folder.path()));
    let store = open(folder.path());
    write_all(&store, 1);
    let mut seen = 0;
    store
        .scan(vb(3), &mut |_, row| {
            assert_eq!(row.value.len(), VALUE_BYTES);
            if seen == 10 {
                clear(&store);
                assert_eq!(tidy(&store).unwrap(), Tidied::Later);
                assert_eq!(tidy(&store).unwrap(), Tidied::Later);
            }
            seen += 1;
            true
        })
        .unwrap();
    assert_eq!(seen, ROWS);
    assert_eq!(tidy(&store).unwrap(), Tidied::Done);
    assert!(taken(folder.path()) < 1 << 20);
}

/// What a process leaves that dies now.
fn killed(folder: &Path) -> TempDir {
    let copy = TempDir::new().unwrap();
    for (path, bytes) in files(folder) {
        let path = copy.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    copy
}

/// Its rows are not in the journal, where the rows are that it deleted.
#[test]
fn a_load_that_only_deleted_is_not_undone_by_the_journal() {
    let folder = TempDir::new().unwrap();
    let store = open(folder.path());
    fill(&store, 1, 10, Durability::Sync);
    let rows = items(&store).unwrap();
    let delete =
        &mut |out: &mut dyn Rows| rows.keys().try_for_each(|(id, key)| out.delete(*id, key));
    store.batch().unwrap().commit_with(delete).unwrap();
    store.merge_all().unwrap();
    assert_eq!(items(&store).unwrap(), Items::new());
    let copy = killed(folder.path());
    assert_eq!(items(&open(copy.path())).unwrap(), Items::new());
}

/// Writes, loads and tidies up by turns, for ever.
pub(super) fn child(folder: &Path, say: &dyn Fn(&str)) {
    let store = open(folder);
    let mut number = items(&store)
        .unwrap()
        .values()
        .map(|row| row.cas)
        .max()
        .unwrap_or_default();
    loop {
        number += 1;
        let value = noise(number, 100);
        let mut batch = store.batch().unwrap();
        for key in 0..KILLED_KEYS {
            batch.put(vb(0), key.to_string().as_bytes(), &record(&value, number));
        }
        if number % 3 == 0 {
            batch.clear(vb(1));
        }
        batch.commit(Durability::None).unwrap();
        say(&number.to_string());
        let put = &mut |rows: &mut dyn Rows| rows.put(vb(1), b"load", &record(&value, number));
        if number % 2 == 0 {
            store.batch().unwrap().commit_with(put).unwrap();
        }
        while store.purge().unwrap() {}
        store.merge_all().unwrap();
        assert!(store.renew().unwrap());
    }
}

#[test]
fn a_process_that_is_killed_while_it_tidies_up_loses_nothing() {
    let folder = TempDir::new().unwrap();
    let mut acknowledged = 0_u64;
    for round in 0..10 {
        let mut helper = Helper::start("tidy", folder.path());
        for _ in 0..=round % 3 {
            acknowledged = helper.hear().unwrap().parse().unwrap();
        }
        std::thread::sleep(std::time::Duration::from_micros(3_100 * round));
        helper.process.kill().unwrap();
        while let Some(line) = helper.hear() {
            acknowledged = line.parse().unwrap();
        }
        drop(helper);
        let store = open(folder.path());
        let found = items(&store).unwrap();
        let own: BTreeMap<_, _> = found.iter().filter(|((id, _), _)| *id == vb(0)).collect();
        let number = own.values().map(|row| row.cas).max().unwrap();
        assert!(number == acknowledged || number == acknowledged + 1);
        assert_eq!(own.len() as u64, KILLED_KEYS);
        assert!(own.values().all(|row| row.cas == number));
    }
}
