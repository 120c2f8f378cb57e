//! Tests of the stores. Some run a child process: this test binary again, with [`CHILD`] telling
//! the test `child` what to do.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use proptest::prelude::{
    ProptestConfig, Strategy, any, prop, prop_assert, prop_assert_eq, proptest,
};
use tempfile::TempDir;

mod load;
mod plain;
mod tidy;
mod torn;
mod upgrade;

use super::codec::{self, BatchMark, Generation, Seal};
use super::dir;
use super::fault::{Change, FaultStore, OwnedRecord, State};
use super::fjall::{FjallStore, Options};
use super::journal;
use super::memory::MemoryStore;
use super::{Record, Store, StoreError, VbucketRecord, WindowRecord};
use crate::config::Durability;
use crate::types::{CheckpointId, VbucketId, VbucketState};

/// `<what to do> <directory>` for the test `child`.
const CHILD: &str = "CHECKPOINT_ENGINE_STORE_CHILD";
/// Keys of one batch of the child that is killed.
const KILLED_KEYS: u64 = 2_000;
const EVERY_DURABILITY: [Durability; 3] =
    [Durability::Sync, Durability::Periodic, Durability::None];

type Items = BTreeMap<(VbucketId, Vec<u8>), OwnedRecord>;

fn vb(id: u16) -> VbucketId {
    VbucketId::new(id).unwrap()
}

fn record(value: &[u8], cas: u64) -> Record<'_> {
    Record {
        flags: 0x0102_0304,
        expiry: 77,
        cas,
        value,
    }
}

/// Small memtables, so that little data reaches tables.
fn small() -> Options {
    Options {
        memtable_bytes: 128 << 10,
        ..Options::default()
    }
}

/// Opens a store. A process that another test is just spawning has the locks of all stores that
/// this one had open until it runs its program: nobody knows that process by then.
fn try_open(path: &Path, options: Options) -> Result<FjallStore, StoreError> {
    let is_held = |error: &StoreError| error.to_string().contains("another process");
    for _ in 0..1_000 {
        match FjallStore::open(path, options) {
            Err(error) if is_held(&error) => std::thread::sleep(Duration::from_millis(10)),
            opened => return opened,
        }
    }
    FjallStore::open(path, options)
}

fn open(path: &Path) -> FjallStore {
    try_open(path, small()).unwrap()
}

fn refusal(path: &Path) -> String {
    try_open(path, small())
        .expect_err("must be refused")
        .to_string()
}

fn items(store: &dyn Store) -> Result<Items, StoreError> {
    let mut items = Items::new();
    for vbucket in (0..).map_while(VbucketId::new) {
        store.scan(vbucket, &mut |key, record| {
            items.insert((vbucket, key.to_vec()), OwnedRecord::new(&record));
            true
        })?;
    }
    Ok(items)
}

/// Commits `count` records, the keys named after `batch`.
fn fill(store: &dyn Store, batch: u64, count: u64, durability: Durability) {
    let value = noise(batch, 100);
    let mut changes = store.batch().unwrap();
    for key in 0..count {
        let name = format!("{batch:04}-{key:06}");
        changes.put(
            vb(u16::try_from(key % 4).unwrap()),
            name.as_bytes(),
            &record(&value, batch),
        );
    }
    changes.commit(durability).unwrap();
}

/// Bytes without a zero, none like those around them.
fn noise(seed: u64, count: usize) -> Vec<u8> {
    let mut state = seed | 1;
    (0..count)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695);
            u8::try_from(state >> 56).unwrap() | 1
        })
        .collect()
}

/// Every file below `folder` with its contents.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.insert(
                    path.strip_prefix(folder).unwrap().to_owned(),
                    fs::read(&path).unwrap(),
                );
            }
        }
    }
    found
}

/// Makes `folder` hold exactly these files.
fn restore(folder: &Path, files: &BTreeMap<PathBuf, Vec<u8>>) {
    let _ = fs::remove_dir_all(folder);
    for (name, bytes) in files {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

// Codec

/// Ids of which two are often equal and whose bytes differ in either place.
fn few_ids() -> impl Strategy<Value = u16> {
    prop::sample::select(vec![0_u16, 1, 255, 256, 1023])
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_item_comes_back_as_it_was(
        id in 0_u16..1024, generation in 0..=codec::GENERATION_MAX,
        flags: u32, expiry: u32, cas: u64,
        key in prop::collection::vec(any::<u8>(), 0..251),
        value in prop::collection::vec(any::<u8>(), 0..2000),
    ) {
        let mut bytes = vec![9; 3];
        codec::item_key(&mut bytes, vb(id), generation, &key);
        prop_assert!(bytes.starts_with(&codec::item_prefix(vb(id), generation)));
        prop_assert_eq!(codec::parse_item_key(&bytes), Ok((vb(id), generation, key.as_slice())));
        let record = Record { flags, expiry, cas, value: &value };
        codec::item_value(&mut bytes, &record);
        prop_assert_eq!(bytes.len(), codec::ITEM_HEADER_BYTES + value.len());
        prop_assert_eq!(codec::parse_item_value(&bytes), Ok(record));
        let short = bytes.get(..codec::ITEM_HEADER_BYTES - 1).unwrap();
        prop_assert!(codec::parse_item_value(short).is_err());
    }

    #[test]
    fn keys_sort_by_vbucket_generation_and_key(
        left in (few_ids(), 0..=codec::GENERATION_MAX, prop::collection::vec(any::<u8>(), 0..9)),
        right in (few_ids(), 0..=codec::GENERATION_MAX, prop::collection::vec(any::<u8>(), 0..9)),
    ) {
        let (mut a, mut b) = (Vec::new(), Vec::new());
        codec::item_key(&mut a, vb(left.0), left.1, &left.2);
        codec::item_key(&mut b, vb(right.0), right.1, &right.2);
        prop_assert_eq!(a.cmp(&b), left.cmp(&right));
    }

    #[test]
    fn meta_records_come_back_as_they_were(
        id in 0_u16..1024, state in 1_u32..5, checkpoint: u64, number: u64, synced: u64,
        current: u32, has_old: bool, due: u32,
    ) {
        let record = VbucketRecord {
            state: VbucketState::from_wire(state).unwrap(),
            checkpoint: CheckpointId::new(checkpoint),
            reserved: CheckpointId::new(number),
            due,
        };
        let bytes = codec::vbucket_value(&record);
        prop_assert_eq!(codec::parse_vbucket_value(&bytes), Ok(record));
        let key = codec::meta_key(codec::META_VBUCKET, vb(id));
        prop_assert_eq!(codec::parse_meta_key(&key), Ok(vb(id)));
        let generation = Generation { current, has_old };
        let bytes = codec::generation_value(generation);
        prop_assert_eq!(codec::parse_generation_value(&bytes), Ok(generation));
        let mark = BatchMark { number, synced };
        let value = codec::batch_value(mark, &Seal::random());
        prop_assert_eq!(codec::parse_batch_value(&value), Ok(mark));
    }

    #[test]
    fn no_bytes_make_the_codec_panic(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        let _ = codec::parse_item_key(&bytes);
        let _ = codec::parse_item_value(&bytes);
        let _ = codec::parse_meta_key(&bytes);
        let _ = codec::parse_vbucket_value(&bytes);
        let _ = codec::parse_vbucket_value_1(&bytes);
        let _ = codec::parse_vbucket_value_2(&bytes);
        let _ = codec::parse_flush_due_value(&bytes);
        let _ = codec::parse_window_value(&bytes);
        let _ = codec::parse_batch_value(&bytes);
        let _ = codec::parse_generation_value(&bytes);
        let _ = codec::parse_format_value(&bytes);
    }
}

/// XXH3-128 of the secret, 7 and 6.
const SEALED: [u8; 16] = [
    40, 232, 174, 140, 142, 154, 159, 143, 120, 137, 79, 21, 49, 64, 159, 62,
];

/// The layout is a promise to stores that exist: these bytes may only change with the version.
#[test]
fn the_bytes_are_those_of_the_format() {
    let mut bytes = Vec::new();
    codec::item_key(&mut bytes, vb(0x0102), 0x03_0405, b"k");
    assert_eq!(bytes, [0x40, 0x83, 4, 5, b'k']);
    let flags = u32::from_ne_bytes([1, 2, 3, 4]);
    codec::item_value(
        &mut bytes,
        &Record {
            flags,
            expiry: 5,
            cas: 6,
            value: b"v",
        },
    );
    assert_eq!(
        bytes,
        [1, 1, 2, 3, 4, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 6, b'v']
    );
    let record = VbucketRecord {
        state: VbucketState::Pending,
        checkpoint: CheckpointId::new(258),
        reserved: CheckpointId::new(772),
        due: 0x0506_0708,
    };
    assert_eq!(
        codec::vbucket_value(&record),
        [
            3, 3, 0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0, 3, 4, 5, 6, 7, 8
        ]
    );
    let of_2 = [2, 3, 0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0, 3, 4];
    let old = codec::parse_vbucket_value_2(&of_2).unwrap();
    assert_eq!(old, VbucketRecord { due: 0, ..record });
    let old = codec::parse_vbucket_value_1(&[1, 3, 0, 0, 0, 0, 0, 0, 1, 2]).unwrap();
    assert_eq!(
        (old.state, old.checkpoint),
        (record.state, record.checkpoint)
    );
    assert_eq!(old.reserved, CheckpointId::new(258 + 1024));
    assert_eq!(codec::meta_key(codec::META_GENERATION, vb(3)), [b'g', 0, 3]);
}

#[test]
fn the_bytes_beside_the_vbuckets_are_those_of_the_format() {
    let generation = Generation {
        current: 258,
        has_old: true,
    };
    assert_eq!(codec::generation_value(generation), [1, 1, 0, 0, 1, 2]);
    for (byte, window) in [
        (0, WindowRecord::None),
        (1, WindowRecord::Open),
        (2, WindowRecord::Completed),
        (3, WindowRecord::Reverted),
        (5, WindowRecord::Expired),
        (6, WindowRecord::PartlyCompleted),
        (4, WindowRecord::Lost),
    ] {
        assert_eq!(codec::window_value(window), [1, byte]);
        assert_eq!(codec::parse_window_value(&[1, byte]), Ok(window));
    }
    let mark = BatchMark {
        number: 7,
        synced: 6,
    };
    let old = [1, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 6];
    assert_eq!(codec::parse_batch_value(&old), Ok(mark));
    let seal = Seal::parse("000102030405060708090a0b0c0d0e0f").unwrap();
    assert_eq!(seal.text(), "000102030405060708090a0b0c0d0e0f");
    let sealed = codec::batch_value(mark, &seal);
    assert_eq!((sealed[0], &sealed[1..17]), (2, &old[1..]));
    assert_eq!(sealed[17..], SEALED);
    assert!(seal.is_on(&sealed) && !seal.is_on(&old));
    for (at, _) in sealed.iter().enumerate() {
        let mut other = sealed;
        other[at] ^= 1;
        assert!(!seal.is_on(&other), "{at}");
    }
    assert!(!Seal::random().is_on(&sealed));
    assert_eq!(codec::parse_flush_due_value(&[1, 0, 0, 1, 2]), Ok(258));
    assert_eq!(codec::format_value(3), [0, 0, 0, 3]);
}

// What every store does

/// Drives a store that keeps what it is given.
fn behaves(store: &dyn Store) {
    assert!(store.keeps_values());
    assert_eq!(store.window().unwrap(), WindowRecord::None);
    let state = VbucketRecord {
        state: VbucketState::Active,
        checkpoint: CheckpointId::new(3),
        reserved: CheckpointId::new(772),
        due: 5,
    };
    let mut batch = store.batch().unwrap();
    batch.put(vb(1), b"gone", &record(b"x", 1));
    batch.put(vb(1), b"twice", &record(b"first", 1));
    batch.put(vb(1), b"twice", &record(b"second", 2));
    batch.put(vb(1), b"", &record(b"", 3));
    batch.put(vb(300), b"far", &record(b"y", 4));
    batch.delete(vb(1), b"gone");
    batch.delete(vb(2), b"never there");
    batch.set_vbucket(vb(1), &state);
    batch.set_vbucket(vb(2), &state);
    batch.remove_vbucket(vb(2));
    batch.set_window(WindowRecord::Open);
    assert_eq!(batch.len(), 11);
    batch.commit(Durability::Sync).unwrap();
    let mut seen = Vec::new();
    for vbucket in [vb(0), vb(1), vb(2), vb(300)] {
        store
            .scan(vbucket, &mut |key, record| {
                seen.push((vbucket, key.to_vec(), record.value.to_vec()));
                true
            })
            .unwrap();
    }
    assert_eq!(
        seen,
        [
            (vb(1), b"".to_vec(), b"".to_vec()),
            (vb(1), b"twice".to_vec(), b"second".to_vec()),
            (vb(300), b"far".to_vec(), b"y".to_vec()),
        ]
    );
    let mut visits = 0;
    store
        .scan(vb(1), &mut |_, _| {
            visits += 1;
            false
        })
        .unwrap();
    assert_eq!(visits, 1);
    let mut found = None;
    let mut read = |key: &[u8]| {
        store
            .get(vb(1), key, &mut |record| {
                found = Some(OwnedRecord::new(&record));
            })
            .unwrap()
    };
    assert!(!read(b"gone"));
    assert!(read(b"twice"));
    assert_eq!(found, Some(OwnedRecord::new(&record(b"second", 2))));
    assert_eq!(store.vbuckets().unwrap(), [(vb(1), state)]);
    assert_eq!(store.window().unwrap(), WindowRecord::Open);
    clear_in_a_batch(store);
    store.sync().unwrap();
    store.batch().unwrap().commit(Durability::Sync).unwrap();
}

/// What stands before a `clear` is gone, what stands behind it is there, other vbuckets are as
/// they were.
fn clear_in_a_batch(store: &dyn Store) {
    for round in 0..2 {
        let mut batch = store.batch().unwrap();
        batch.put(vb(1), b"before", &record(b"b", 1));
        batch.clear(vb(1));
        batch.put(vb(1), b"behind", &record(b"b", round));
        batch.commit(Durability::Sync).unwrap();
        let found: Vec<_> = items(store).unwrap().into_iter().collect();
        assert_eq!(found.len(), 2, "{found:?}");
        assert_eq!(
            found[0],
            (
                (vb(1), b"behind".to_vec()),
                OwnedRecord::new(&record(b"b", round))
            )
        );
        for key in [b"before".as_slice(), b"twice"] {
            assert!(!store.get(vb(1), key, &mut |_| ()).unwrap());
        }
    }
    while store.purge().unwrap() {}
    assert_eq!(items(store).unwrap().len(), 2);
}

#[test]
fn the_stores_that_keep_values_behave_alike() {
    behaves(&FaultStore::default());
    let folder = TempDir::new().unwrap();
    behaves(&open(folder.path()));
}

#[test]
fn the_memory_store_finds_nothing() {
    let store = MemoryStore;
    let mut batch = store.batch().unwrap();
    batch.put(vb(1), b"k", &record(b"v", 1));
    batch.delete(vb(1), b"k");
    batch.set_window(WindowRecord::Open);
    assert_eq!(batch.len(), 3);
    batch.commit(Durability::Sync).unwrap();
    assert!(
        !store
            .get(vb(1), b"k", &mut |_| panic!("found something"))
            .unwrap()
    );
    store
        .scan(vb(1), &mut |_, _| panic!("found something"))
        .unwrap();
    assert!(store.vbuckets().unwrap().is_empty());
    assert_eq!(store.window().unwrap(), WindowRecord::None);
    assert!(!store.purge().unwrap() && !store.settle());
    store.sync().unwrap();
    assert!(!store.keeps_values());
}

#[test]
fn the_fault_store_fails_when_told_to_and_remembers() {
    let store = FaultStore::default();
    let commit = |key: &[u8], durability| {
        let mut batch = store.batch().unwrap();
        batch.put(vb(0), key, &record(b"v", 1));
        batch.commit(durability)
    };
    store.fail_commit(2);
    commit(b"a", Durability::Sync).unwrap();
    commit(b"b", Durability::Sync).unwrap_err();
    commit(b"c", Durability::Periodic).unwrap();
    assert_eq!(store.commits(), 2);
    let history = store.history();
    assert_eq!(
        history
            .iter()
            .map(|commit| commit.failed)
            .collect::<Vec<_>>(),
        [false, true, false]
    );
    assert!(matches!(&history[1].changes[..], [Change::Put(_, key, _)] if key == b"b"));
    assert_eq!(history[2].durability, Durability::Periodic);
    assert_eq!(items(&store).unwrap().len(), 2);
    assert_eq!(items(&store.crash()).unwrap().len(), 1);
    store.sync().unwrap();
    assert_eq!(store.crash().state(), store.state());
    store.fail_reads(true);
    store.get(vb(0), b"a", &mut |_| ()).unwrap_err();
    items(&store).unwrap_err();
    store.fail_reads(false);
    store.fail_commits(true);
    store.sync().unwrap_err();
    commit(b"d", Durability::Sync).unwrap_err();
    store.fail_commits(false);
    let mut batch = store.batch().unwrap();
    batch.clear(vb(0));
    batch.commit(Durability::Sync).unwrap();
    assert_eq!(store.crash().state(), State::default());
}

// The store on disk

#[test]
fn a_reopened_store_holds_what_was_committed() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("store");
    let state = VbucketRecord {
        state: VbucketState::Replica,
        checkpoint: CheckpointId::new(9),
        reserved: CheckpointId::new(772),
        due: 5,
    };
    let mut expected = Items::new();
    for round in 1..6 {
        let store = open(&path);
        assert_eq!(items(&store).unwrap(), expected);
        for batch in 0..20 {
            fill(&store, round * 100 + batch, 500, Durability::Sync);
        }
        let mut batch = store.batch().unwrap();
        batch.set_vbucket(vb(7), &state);
        batch.set_window(WindowRecord::Lost);
        batch.commit(Durability::None).unwrap();
        expected = items(&store).unwrap();
        assert_eq!(expected.len() as u64, round * 20 * 500);
    }
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    let store = open(&path);
    assert_eq!(store.vbuckets().unwrap(), [(vb(7), state)]);
    assert_eq!(store.window().unwrap(), WindowRecord::Lost);
}

#[test]
fn a_batch_of_half_a_million_items_is_one() {
    let folder = TempDir::new().unwrap();
    let store = try_open(folder.path(), Options::default()).unwrap();
    fill(&store, 1, 500_000, Durability::Sync);
    drop(store);
    let store = try_open(folder.path(), Options::default()).unwrap();
    assert_eq!(items(&store).unwrap().len(), 500_000);
}

/// Rows that lie in the items keyspace, whether they count or not.
fn rows(store: &FjallStore) -> usize {
    store.count_rows().unwrap()
}

#[test]
fn an_interrupted_purge_goes_on_after_the_next_open() {
    let folder = TempDir::new().unwrap();
    let store = open(folder.path());
    for batch in 0..12 {
        fill(&store, batch, 4_000, Durability::None);
    }
    let mut batch = store.batch().unwrap();
    batch.clear(vb(1));
    batch.put(vb(1), b"new", &record(b"v", 1));
    batch.commit(Durability::Sync).unwrap();
    let cleared = |store: &FjallStore| {
        assert_eq!(items(store).unwrap().len(), 12 * 3_000 + 1);
        assert!(!store.get(vb(1), b"0011-003997", &mut |_| ()).unwrap());
        assert!(store.get(vb(1), b"new", &mut |_| ()).unwrap());
    };
    cleared(&store);
    assert_eq!(rows(&store), 12 * 4_000 + 1);
    assert!(store.purge().unwrap());
    let left = rows(&store);
    assert!((12 * 3_000 + 1..12 * 4_000).contains(&left), "{left}");
    drop(store);
    let store = open(folder.path());
    cleared(&store);
    assert_eq!(rows(&store), left);
    while store.purge().unwrap() {}
    assert_eq!(rows(&store), 12 * 3_000 + 1);
    cleared(&store);
    drop(store);
    let store = open(folder.path());
    assert!(!store.purge().unwrap());
    cleared(&store);
}

#[test]
fn a_vbucket_that_is_cleared_while_a_later_one_is_purged_is_purged_too() {
    let folder = TempDir::new().unwrap();
    let store = open(folder.path());
    let mut batch = store.batch().unwrap();
    for key in 0..25_000_u32 {
        batch.put(vb(5), &key.to_be_bytes(), &record(b"v", 1));
    }
    batch.put(vb(2), b"key", &record(b"v", 1));
    batch.commit(Durability::None).unwrap();
    for cleared in [5, 2] {
        let mut batch = store.batch().unwrap();
        batch.clear(vb(cleared));
        batch.commit(Durability::None).unwrap();
        assert!(store.purge().unwrap());
    }
    while store.purge().unwrap() {}
    assert_eq!(rows(&store), 0);
}

#[test]
fn a_directory_with_other_files_is_refused_and_left_alone() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("letter.txt"), "dear").unwrap();
    let before = files(folder.path());
    let message = refusal(folder.path());
    assert!(
        message.contains("is not a checkpoint-engine store"),
        "{message}"
    );
    assert!(message.contains("letter.txt"), "{message}");
    assert!(
        message.contains(&folder.path().display().to_string()),
        "{message}"
    );
    assert_eq!(files(folder.path()), before);
}

#[test]
fn a_path_that_cannot_be_a_directory_is_refused() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "text").unwrap();
    let message = refusal(&file);
    assert!(message.contains("is not a directory"), "{message}");
    assert_eq!(fs::read(&file).unwrap(), b"text");
    assert!(refusal(Path::new("")).contains("cannot find the store directory"));
    let message = refusal(&file.join("below"));
    assert!(
        message.contains("cannot open the store directory"),
        "{message}"
    );
    let missing = folder.path().join("no").join("such").join("store");
    let message = refusal(&missing);
    assert!(message.contains("such does not exist; create"), "{message}");
    assert!(!folder.path().join("no").exists());
    let message = refusal(Path::new("/proc/checkpoint-engine"));
    assert!(
        message.contains("cannot create the store directory"),
        "{message}"
    );
}

#[test]
fn every_error_of_the_system_has_its_own_cure() {
    let cures = [
        (libc::EMFILE, "ulimit -n"),
        (libc::ENFILE, "fs.file-max"),
        (libc::EACCES, "the right to read and write"),
        (libc::EPERM, "the right to read and write"),
        (libc::ENOSPC, "make space"),
        (libc::EDQUOT, "disk quota"),
        (libc::EFBIG, "ulimit -f"),
        (libc::EROFS, "read-only"),
        (libc::ENOTDIR, "a part of the path is a file"),
        (libc::ENOENT, "create what is missing"),
        (libc::ENOMEM, "short of memory"),
        (libc::EIO, "its disk fails"),
    ];
    for (code, cure) in cures {
        let error = std::io::Error::from_raw_os_error(code);
        // As a library makes of it that fjall uses.
        let wrapped = std::io::Error::new(error.kind(), format!("{error} at path \"/some\""));
        for text in [
            dir::explain(&error),
            dir::explain(&wrapped),
            super::cause::guarded(|| Err::<(), _>(std::io::Error::from_raw_os_error(code).into()))
                .err()
                .unwrap()
                .explained(Path::new("/")),
        ] {
            assert!(
                text.contains(cure) && text.contains(&error.to_string()),
                "{text}"
            );
            assert!(code == libc::EIO || !text.contains("backup"), "{text}");
        }
    }
}

/// What runs out here is not what the store is to blame for.
fn child_descriptors(folder: &Path, say: &dyn Fn(&str)) {
    drop(open(folder));
    let mut held = Vec::new();
    while let Ok(file) = fs::File::open("/dev/null") {
        held.push(file);
    }
    // So many are left as are not enough.
    for left in 0..12 {
        match FjallStore::open(folder, small()) {
            Ok(_) => assert!(left > 3, "{left}"),
            Err(error) => {
                let text = error.to_string();
                assert!(text.contains("ulimit -n"), "{left}: {text}");
                assert!(
                    !text.contains("damaged") && !text.contains("backup"),
                    "{text}"
                );
            }
        }
        held.pop();
    }
    drop(held);
    drop(open(folder));
    say("done");
}

#[test]
fn a_start_without_descriptors_is_refused_for_that_and_the_next_one_succeeds() {
    let folder = TempDir::new().unwrap();
    let mut helper = Helper::start("descriptors", folder.path());
    assert_eq!(helper.hear().unwrap(), "done");
}

#[test]
fn a_newer_store_is_refused_and_left_alone() {
    let folder = TempDir::new().unwrap();
    drop(open(folder.path()));
    fs::write(
        folder.path().join("STORE"),
        "checkpoint-engine store\nformat 12\nmore\n",
    )
    .unwrap();
    let before = files(folder.path());
    let message = refusal(folder.path());
    assert!(
        message.contains("version 12") && message.contains("up to 4"),
        "{message}"
    );
    assert_eq!(files(folder.path()), before);
}

#[test]
fn an_unfinished_creation_is_begun_again() {
    let folder = TempDir::new().unwrap();
    drop(open(folder.path()));
    fs::write(
        folder.path().join("STORE"),
        "checkpoint-engine store\ncreating\n",
    )
    .unwrap();
    fs::remove_file(folder.path().join("db/version")).unwrap();
    let store = open(folder.path());
    fill(&store, 1, 10, Durability::Sync);
    drop(store);
    assert_eq!(items(&open(folder.path())).unwrap().len(), 10);
}

// Damage

/// A store with tables in every keyspace, a sealed journal's worth of batches and a clean end.
fn damage_subject(folder: &Path) -> Items {
    let store = open(folder);
    for batch in 0..40 {
        fill(&store, batch, 250, Durability::Sync);
    }
    drop(store);
    let store = open(folder);
    for batch in 40..44 {
        fill(&store, batch, 250, Durability::Sync);
    }
    items(&store).unwrap()
}

/// The ways in which a file can be damaged; `None` is a missing file.
fn damages(bytes: &[u8]) -> Vec<Option<Vec<u8>>> {
    let used = bytes
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |last| last + 1);
    let mut ways = vec![None];
    if used == 0 {
        return ways;
    }
    for quarter in 0..4 {
        let at = used * quarter / 4;
        ways.push(Some(bytes[..at].to_vec()));
        let mut flipped = bytes.to_vec();
        flipped[at] ^= 0x40;
        ways.push(Some(flipped));
    }
    let mut last = bytes.to_vec();
    last[used - 1] ^= 0x40;
    ways.push(Some(last));
    let mut garbage = bytes.to_vec();
    let middle = used / 2;
    let end = used.min(middle + 5_000);
    garbage[middle..end].copy_from_slice(&noise(5, end - middle));
    ways.push(Some(garbage));
    ways
}

/// Whether a file is a manifest that a newer one replaced: fjall removes it some day.
fn is_old_manifest(store: &Path, name: &Path) -> bool {
    let number = name
        .file_name()
        .unwrap()
        .to_str()
        .unwrap()
        .strip_prefix('v');
    let Some(Ok(number)) = number.map(str::parse::<u64>) else {
        return false;
    };
    let current = fs::read(store.join(name).with_file_name("current")).unwrap();
    current[..8] != number.to_le_bytes()
}

/// After a clean end, whatever is damaged is noticed, with nothing changed.
#[test]
fn damage_to_any_file_is_noticed_and_nothing_is_changed() {
    let folder = TempDir::new().unwrap();
    let expected = damage_subject(folder.path());
    let pristine = files(folder.path());
    let copy = folder.path().join("copy");
    let mut refused = 0;
    for (name, bytes) in &pristine {
        let is_harmless = name == Path::new("LOCK") || is_old_manifest(folder.path(), name);
        for (way, damage) in damages(bytes).into_iter().enumerate() {
            restore(&copy, &pristine);
            match damage {
                Some(bytes) => fs::write(copy.join(name), bytes).unwrap(),
                None => fs::remove_file(copy.join(name)).unwrap(),
            }
            let before = files(&copy);
            let what = format!("{} way {way}", name.display());
            match try_open(&copy, small()) {
                Ok(store) => {
                    assert!(is_harmless, "{what}");
                    assert_eq!(items(&store).unwrap(), expected, "{what}");
                }
                Err(error) => {
                    let message = error.to_string();
                    assert!(message.contains(&copy.display().to_string()), "{message}");
                    assert!(message.contains("; nothing was "), "{what}: {message}");
                    assert!(files(&copy) == before, "{what}: {message}");
                    refused += 1;
                }
            }
        }
    }
    assert!(refused > 100, "{refused}");
}

/// Tables that are too large to be verified at every start.
#[test]
fn damage_to_an_unverified_table_is_never_read_as_data() {
    let folder = TempDir::new().unwrap();
    let expected = damage_subject(folder.path());
    let pristine = files(folder.path());
    let copy = folder.path().join("copy");
    let mut noticed = [0, 0];
    for (name, bytes) in &pristine {
        if !name.starts_with("db/keyspaces/1/tables") {
            continue;
        }
        for damage in damages(bytes).into_iter().flatten() {
            restore(&copy, &pristine);
            fs::write(copy.join(name), damage).unwrap();
            let options = Options {
                verify_bytes: 0,
                ..small()
            };
            let Ok(store) = try_open(&copy, options) else {
                noticed[0] += 1;
                continue;
            };
            match items(&store) {
                Ok(found) => assert_eq!(found, expected),
                Err(error) => {
                    assert!(
                        error.to_string().contains("cannot read the store"),
                        "{error}"
                    );
                    noticed[1] += 1;
                }
            }
        }
    }
    assert!(noticed[0] > 2 && noticed[1] > 2, "{noticed:?}");
}

/// A store that was killed, as files, with what it held after each of its last batches.
fn killed_store(durability: [Durability; 4], value: usize) -> (TempDir, PathBuf, Vec<usize>) {
    let folder = TempDir::new().unwrap();
    let live = folder.path().join("live");
    let store = open(&live);
    let mut counts = vec![0];
    for (batch, durability) in durability.into_iter().enumerate() {
        let bytes = noise(batch as u64 + 1, value);
        let mut changes = store.batch().unwrap();
        for key in 0..=batch {
            changes.put(
                vb(0),
                format!("{batch}-{key}").as_bytes(),
                &record(&bytes, 1),
            );
        }
        changes.commit(durability).unwrap();
        counts.push(counts[batch] + batch + 1);
    }
    let dead = folder.path().join("dead");
    restore(&dead, &files(&live));
    (folder, dead, counts)
}

fn journal_of(store: &Path) -> (PathBuf, Vec<u8>) {
    let path = store.join("db/0.jnl");
    let bytes = fs::read(&path).unwrap();
    (path, bytes)
}

/// Where the batches of a journal begin, found by looking for their ends.
fn batch_begins(journal: &[u8]) -> Vec<usize> {
    let ends = journal
        .windows(4)
        .enumerate()
        .filter(|(_, bytes)| bytes == b"FJL\x03");
    std::iter::once(0)
        .chain(ends.map(|(at, _)| at + 4))
        .collect()
}

#[test]
fn a_batch_that_a_crash_cut_off_is_dropped_and_no_other() {
    use Durability::Sync;
    for way in 0..4 {
        let (_folder, dead, counts) = killed_store([Sync; 4], 9_000);
        let (path, mut bytes) = journal_of(&dead);
        // The first batch is that of the format version.
        let [.., begin, end] = batch_begins(&bytes)[..] else {
            panic!()
        };
        let page = (begin / 4096 + 2) * 4096;
        match way {
            // kill -9: the rest was never handed to the kernel.
            0 => bytes[begin + 5_000..].fill(0),
            1 => bytes.truncate(end - 1),
            // Power cut: a page in the middle of a value never reached the disk.
            2 => bytes[page..page + 4096].fill(0),
            _ => bytes[begin..begin + 30].fill(0),
        }
        fs::write(&path, bytes).unwrap();
        let store = try_open(&dead, small());
        if way == 3 {
            // Too little for a lost sector: this batch had been written to its end.
            assert!(
                store
                    .unwrap_err()
                    .to_string()
                    .contains("written to its end")
            );
            continue;
        }
        let store = store.unwrap();
        assert_eq!(items(&store).unwrap().len(), counts[3], "way {way}");
        fill(&store, 9, 10, Sync);
        drop(store);
        assert_eq!(
            items(&open(&dead)).unwrap().len(),
            counts[3] + 10,
            "way {way}"
        );
    }
}

#[test]
fn a_hole_before_batches_is_damage_only_if_the_lost_one_had_been_synced() {
    use Durability::{None, Sync};
    for (durability, survives) in [
        ([Sync, None, None, None], true),
        ([Sync, None, Sync, None], false),
    ] {
        let (_folder, dead, counts) = killed_store(durability, 9_000);
        let (path, mut bytes) = journal_of(&dead);
        // Batches: format, 0, 1 (lost), 2, 3.
        let begin = batch_begins(&bytes)[2];
        let page = (begin / 4096 + 1) * 4096;
        bytes[page..page + 4096].fill(0);
        fs::write(&path, bytes).unwrap();
        match try_open(&dead, small()) {
            Ok(store) => {
                assert!(survives);
                assert_eq!(items(&store).unwrap().len(), counts[1]);
            }
            Err(error) => {
                assert!(!survives, "{error}");
                assert!(error.to_string().contains("follows"), "{error}");
            }
        }
    }
}

/// A journal of several files, as after more than 64 MiB.
#[test]
fn a_missing_or_damaged_older_journal_is_noticed() {
    for way in 0..4 {
        let (_folder, dead, counts) = killed_store([Durability::Sync; 4], 100);
        let (first, bytes) = journal_of(&dead);
        let second = first.with_file_name("1.jnl");
        let middle = batch_begins(&bytes)[3];
        fs::write(&first, &bytes[..middle]).unwrap();
        fs::write(&second, &bytes[middle..]).unwrap();
        let (damage, words) = match way {
            0 => (None, ""),
            1 => (
                Some(Vec::new()),
                "batches 1 to 3 are missing before its journal",
            ),
            2 => (
                Some(bytes[..middle - 1].to_vec()),
                "goes on behind an unreadable batch",
            ),
            _ => (
                Some(bytes[..batch_begins(&bytes)[2]].to_vec()),
                "batches are missing before",
            ),
        };
        if let Some(bytes) = damage {
            fs::write(&first, bytes).unwrap();
            for words in [
                words,
                if way == 1 {
                    "an earlier start found"
                } else {
                    words
                },
            ] {
                let message = refusal(&dead);
                assert!(message.contains(words), "way {way}: {message}");
            }
        } else {
            assert_eq!(items(&open(&dead)).unwrap().len(), counts[4]);
        }
    }
}

#[test]
fn a_batch_whose_commit_failed_is_cut_from_the_journal() {
    let (_folder, dead, counts) = killed_store([Durability::Sync; 4], 100);
    // The batch of the format version is number 1.
    let contents = journal::examine(&dead.join("db"), Some(4), None).unwrap();
    assert_eq!((contents.first, contents.last), (Some(1), Some(4)));
    contents.cut_tail().unwrap();
    assert_eq!(items(&open(&dead)).unwrap().len(), counts[3]);
}

// Other processes

/// A process of this binary that runs [`child`]; killed when dropped.
struct Helper {
    process: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Helper {
    fn start(task: &str, folder: &Path) -> Self {
        // Writes beyond a limit are to fail, not to kill.
        let mut process = Command::new("sh")
            .args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "store::tests::child", "--nocapture"])
            .env(CHILD, format!("{task} {}", folder.display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        Self { process, lines }
    }

    /// What the child says next.
    fn hear(&mut self) -> Option<String> {
        loop {
            let line = self.lines.next()?.ok()?;
            if let Some((_, said)) = line.split_once("child: ") {
                return Some(said.to_owned());
            }
        }
    }

    fn tell(&mut self, line: &str) {
        writeln!(self.process.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    fn limit_files(&self, bytes: &str) {
        let status = Command::new("prlimit")
            .arg(format!("--pid={}", self.process.id()))
            .arg(format!("--fsize={bytes}"))
            .status()
            .expect("prlimit is missing: install util-linux");
        assert!(status.success());
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Not a test of its own: what the processes do that other tests start.
#[test]
fn child() {
    let Ok(task) = std::env::var(CHILD) else {
        return;
    };
    let (task, folder) = task.split_once(' ').unwrap();
    let folder = Path::new(folder);
    let say = |text: &str| {
        let mut out = std::io::stdout().lock();
        writeln!(out, "child: {text}").unwrap();
        out.flush().unwrap();
    };
    match task {
        "hold" => {
            let _store = open(folder);
            say("open");
            std::thread::sleep(Duration::from_mins(10));
        }
        once if once.starts_with("once-") => {
            let store = open(folder);
            let count = once["once-".len()..].parse().unwrap();
            for (batch, durability) in EVERY_DURABILITY.into_iter().take(count).enumerate() {
                fill(&store, batch as u64, 3, durability);
            }
            say("committed");
            std::thread::sleep(Duration::from_mins(10));
        }
        "commit" => child_commit(folder, &say),
        "descriptors" => child_descriptors(folder, &say),
        "memory" => load::child_memory(folder, &say),
        "load" => load::child(folder, &say),
        "tidy" => tidy::child(folder, &say),
        "limit" => child_limit(folder, &say),
        "threads" => child_threads(folder, &say),
        other => panic!("{other}"),
    }
}

/// Overwrites the same keys with the number of the batch, for ever.
fn child_commit(folder: &Path, say: &dyn Fn(&str)) {
    let store = open(folder);
    let mut number = 0;
    store
        .get(vb(0), b"0", &mut |record| number = record.cas)
        .unwrap();
    loop {
        number += 1;
        let value = noise(number, 100);
        let mut batch = store.batch().unwrap();
        for key in 0..KILLED_KEYS {
            batch.put(vb(0), key.to_string().as_bytes(), &record(&value, number));
        }
        let checkpoint = CheckpointId::new(number);
        batch.set_vbucket(
            vb(0),
            &VbucketRecord {
                state: VbucketState::Active,
                checkpoint,
                reserved: checkpoint,
                due: 0,
            },
        );
        batch.commit(Durability::Sync).unwrap();
        say(&number.to_string());
    }
}

#[test]
fn a_killed_process_leaves_whole_batches_and_every_acknowledged_one() {
    let folder = TempDir::new().unwrap();
    let mut acknowledged = 0_u64;
    for round in 0..12 {
        let mut helper = Helper::start("commit", folder.path());
        for _ in 0..=round {
            acknowledged = helper.hear().unwrap().parse().unwrap();
        }
        std::thread::sleep(Duration::from_micros(1_300 * round));
        helper.process.kill().unwrap();
        while let Some(line) = helper.hear() {
            acknowledged = line.parse().unwrap();
        }
        drop(helper);
        let store = open(folder.path());
        let items = items(&store).unwrap();
        let number = items.values().next().unwrap().cas;
        assert_eq!(items.len() as u64, KILLED_KEYS);
        assert!(items.values().all(|record| record.cas == number));
        assert!(
            (acknowledged..=acknowledged + 1).contains(&number),
            "{number} {acknowledged}"
        );
        let checkpoint = store.vbuckets().unwrap()[0].1.checkpoint;
        assert_eq!(checkpoint, CheckpointId::new(number));
    }
}

#[test]
fn a_killed_process_loses_no_commit_of_any_durability() {
    for count in 1..=EVERY_DURABILITY.len() {
        let folder = TempDir::new().unwrap();
        let mut helper = Helper::start(&format!("once-{count}"), folder.path());
        assert_eq!(helper.hear().unwrap(), "committed");
        drop(helper);
        assert_eq!(items(&open(folder.path())).unwrap().len(), count * 3);
    }
}

#[test]
fn a_second_process_is_told_which_one_uses_the_store() {
    let folder = TempDir::new().unwrap();
    drop(open(folder.path()));
    let mut helper = Helper::start("hold", folder.path());
    assert_eq!(helper.hear().unwrap(), "open");
    let before = files(folder.path());
    let message = refusal(folder.path());
    let expected = format!("is in use by process {};", helper.process.id());
    assert!(message.contains(&expected), "{message}");
    assert!(
        message.contains(&folder.path().display().to_string()),
        "{message}"
    );
    assert_eq!(files(folder.path()), before);
    drop(helper);
    drop(open(folder.path()));
}

#[test]
fn the_same_process_cannot_open_a_store_twice() {
    let folder = TempDir::new().unwrap();
    let _store = open(folder.path());
    assert!(refusal(folder.path()).contains("is in use by process"));
}

fn resident_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS"))
        .unwrap();
    line.split_whitespace()
        .nth(1)
        .unwrap()
        .parse::<u64>()
        .unwrap()
        << 10
}

/// Commits until that fails, goes on trying, and succeeds once the limit is gone.
fn child_limit(folder: &Path, say: &dyn Fn(&str)) {
    let store = open(folder);
    let mut next = 0;
    let commit = |number: u64| -> Result<(), StoreError> {
        let mut batch = store.batch()?;
        let value = noise(number, 100);
        for key in 0..500 {
            batch.put(
                vb(0),
                format!("{number:04}-{key:04}").as_bytes(),
                &record(&value, number),
            );
        }
        batch.commit(Durability::Sync)
    };
    while next < 5 {
        commit(next).unwrap();
        next += 1;
    }
    say("ready");
    let wait = || {
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).unwrap();
    };
    wait();
    let error = loop {
        match commit(next) {
            Ok(()) => next += 1,
            Err(error) => break error.to_string(),
        }
        assert!(next < 1_000, "the limit is not felt");
    };
    assert!(error.contains(&folder.display().to_string()), "{error}");
    let before = resident_bytes();
    for _ in 0..20 {
        commit(next).expect_err("the limit is felt no longer");
        // What was acknowledged can be read meanwhile, what failed cannot.
        if let Ok(found) = items(&store) {
            assert_eq!(found.len() as u64, next * 500);
        }
    }
    assert!(resident_bytes() < before + (64 << 20));
    say("failing");
    wait();
    commit(next).unwrap();
    next += 1;
    fill(&store, 5_000, 10, Durability::Sync);
    drop(store);
    assert_eq!(items(&open(folder)).unwrap().len() as u64, next * 500 + 10);
    say("done");
}

#[test]
fn writes_go_on_after_an_error_once_its_cause_is_gone() {
    let folder = TempDir::new().unwrap();
    let mut helper = Helper::start("limit", folder.path());
    assert_eq!(helper.hear().unwrap(), "ready");
    helper.limit_files("1000000:unlimited");
    helper.tell("go");
    assert_eq!(helper.hear().unwrap(), "failing");
    helper.limit_files("unlimited:unlimited");
    helper.tell("go");
    assert_eq!(helper.hear().unwrap(), "done");
}

fn threads() -> Vec<String> {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    tasks
        .map(|task| task.unwrap().file_name().into_string().unwrap())
        .collect()
}

/// Opens and drops a store again and again, and looks at once which threads are left.
fn child_threads(folder: &Path, say: &dyn Fn(&str)) {
    drop(open(folder));
    let before = threads();
    for round in 0..25 {
        let store = open(folder);
        assert_eq!(threads().len(), before.len() + 1);
        fill(&store, round, 1_000, Durability::None);
        drop(store);
        assert_eq!(threads(), before, "round {round}");
    }
    say("done");
}

#[test]
fn a_dropped_store_leaves_no_thread() {
    let folder = TempDir::new().unwrap();
    let mut helper = Helper::start("threads", folder.path());
    assert_eq!(helper.hear().unwrap(), "done");
}
