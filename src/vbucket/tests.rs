//! Directed tests of a vbucket; `model` has the one with random operations, `threads` the ones
//! with several threads.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::{
    Arrival, Awaited, Ejection, Found, NotOpen, Shared, Swept, Trash, Vbucket, VbucketMap, Verdict,
    Walk, begin_complete, begin_revert, complete_failed, completed, open_windows,
};
use crate::checkpoint::{Change, Log, Op, Phase, Was};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::host::Host;
use crate::host::fake::FakeHost;
use crate::item::{Item, Meta};
use crate::metrics::Metrics;
use crate::settings::Settings;
use crate::types::{CheckpointId, Seqno, VbucketId, VbucketState};
use crate::worker::Signal;

mod cursors;
mod ending;
mod explorer;
mod model;
mod threads;

const NOW: Duration = Duration::ZERO;

type Act = Box<dyn FnMut()>;

thread_local! {
    /// What others do on this thread, each time before it locks a log.
    static BEFORE_A_LOG: RefCell<Option<Act>> = const { RefCell::new(None) };
}

/// A vbucket is about to lock its log.
pub(super) fn before_a_log() {
    let act = BEFORE_A_LOG.take();
    if let Some(mut act) = act {
        act();
        BEFORE_A_LOG.set(Some(act));
    }
}

/// Has others act each time before `work`, which holds no stripe then, locks a log.
fn with_others<T>(act: impl FnMut() + 'static, work: impl FnOnce() -> T) -> T {
    BEFORE_A_LOG.set(Some(Box::new(act)));
    let result = work();
    BEFORE_A_LOG.set(None);
    result
}

/// A key as the store has it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Row {
    value: Vec<u8>,
    flags: u32,
    expiry: u32,
    cas: u64,
}

impl Row {
    fn of(item: &Item) -> Self {
        let (flags, expiry, cas) = (item.flags(), item.expiry(), item.cas());
        Self {
            value: item.value().to_vec(),
            flags,
            expiry,
            cas,
        }
    }
}

type Disk = BTreeMap<(u16, Vec<u8>), Row>;

/// Vbuckets over a store that is a map.
struct Node {
    host: Arc<FakeHost>,
    map: Arc<VbucketMap>,
    shared: Arc<Shared>,
    disk: Mutex<Disk>,
    bases: AtomicUsize,
}

impl Node {
    fn new(count: u16, keep_pre_images: bool) -> Self {
        let host = Arc::new(FakeHost::new());
        let shared = Arc::new(Shared {
            host: Arc::clone(&host) as Arc<dyn Host>,
            metrics: Metrics::default(),
            switch: super::ReadersSwitch::default(),
            restoring: super::Restoring::default(),
            settings: Settings::new(&Config {
                chk_max_items: 8,
                ..Config::default()
            }),
            lease: u64::MAX,
            flush: Signal::new(),
            trash: Trash::new(Signal::new()),
            awaited: Awaited::default(),
            keep_pre_images,
        });
        let map = Arc::new(VbucketMap::new(Arc::clone(&shared)));
        let node = Self {
            host,
            map,
            shared,
            disk: Mutex::default(),
            bases: AtomicUsize::new(1),
        };
        for id in 0..count {
            node.create(id);
        }
        node
    }

    fn create(&self, id: u16) -> &Vbucket {
        self.create_as(id, Arrival::Alone)
    }

    fn create_as(&self, id: u16, arrival: Arrival) -> &Vbucket {
        let base = self.bases.fetch_add(1, Ordering::SeqCst) as u64 * 1_000_000;
        let id = VbucketId::new(id).unwrap();
        self.map
            .create_as(
                id,
                (VbucketState::Active, arrival),
                CheckpointId::new(1),
                base,
            )
            .unwrap()
    }

    fn vbucket(&self, id: u16) -> &Vbucket {
        self.map.get(VbucketId::new(id).unwrap()).unwrap()
    }

    fn vbuckets(&self) -> Vec<&Vbucket> {
        self.map.iter().collect()
    }

    fn write(&self, vbucket: &Vbucket, changes: &[Change]) {
        let mut disk = self.disk.lock();
        let id = vbucket.id().get();
        for change in changes {
            match (change.op, &change.item) {
                (Op::Set, Some(item)) => {
                    disk.insert((id, item.key().to_vec()), Row::of(item));
                }
                (Op::Delete, Some(item)) => {
                    disk.remove(&(id, item.key().to_vec()));
                }
                _ => disk.retain(|(at, _), _| *at != id),
            }
        }
    }

    /// Writes everything that may be written.
    fn flush(&self) {
        for vbucket in self.map.iter() {
            while !self.flush_some(vbucket) {}
        }
    }

    /// Writes one batch. True when there was nothing more.
    fn flush_some(&self, vbucket: &Vbucket) -> bool {
        let mut reader = vbucket.reader();
        let mut changes = Vec::new();
        let mut closed = None;
        while let Some(end) = reader.read(7, &mut changes) {
            closed = end.closed.or(closed);
            if end.consistent && (end.exhausted || changes.len() > 50) {
                self.write(vbucket, &changes);
                reader.committed(closed, &changes);
                return end.exhausted;
            }
        }
        true
    }

    /// What the store has, for a value that is not in memory; puts it there.
    fn fetch(&self, vbucket: &Vbucket, wanted: &Item) -> Option<Item> {
        let at = (vbucket.id().get(), wanted.key().to_vec());
        let row = self.disk.lock().get(&at).cloned()?;
        if row.cas != wanted.cas() || row.value.len() != wanted.nbytes() {
            return None;
        }
        let item = Item::with_value(wanted.key(), &[&row.value], wanted.meta())?;
        vbucket.fill(&item);
        Some(item)
    }

    /// Reads a key, from the store if need be.
    fn read(&self, vbucket: &Vbucket, key: &[u8]) -> Option<Row> {
        loop {
            match vbucket.get(hash(key), key) {
                Found::Hit(item) | Found::Locked(item) => return Some(Row::of(&item)),
                Found::Miss => return None,
                Found::NotResident(item) => {
                    let fetched = self.fetch(vbucket, &item).is_some();
                    let superseded = !vbucket.lacks_value(&item);
                    assert!(fetched || superseded, "{key:?} is lost");
                }
            }
        }
    }

    /// COMPLETE from its acceptance to its commit.
    fn commit_windows(&self, vbuckets: &[&Vbucket]) {
        self.flush();
        let mut windows = Vec::new();
        for vbucket in vbuckets {
            let mut changes = Vec::new();
            let mut after = Some(Seqno::ZERO);
            while let Some(from) = after {
                after = vbucket.read_window(from, &mut changes);
            }
            self.write(vbucket, &changes);
            windows.push(changes);
        }
        completed(vbuckets);
        for (vbucket, changes) in vbuckets.iter().zip(&windows) {
            vbucket.forget_deletions(changes);
        }
    }

    /// Counters of REVERT: added, deleted, updated.
    fn reverted(&self) -> (u64, u64, u64) {
        let metrics = &self.shared.metrics;
        (
            metrics.revert_add.get(),
            metrics.revert_delete.get(),
            metrics.revert_update.get(),
        )
    }
}

/// The background part of REVERT.
fn revert_all(vbuckets: &[&Vbucket]) {
    let mut changes = Vec::new();
    for vbucket in vbuckets {
        let mut after = Seqno::ZERO;
        let cold = &mut Vec::new();
        while let super::RevertStep::More(next) = vbucket.revert_some(after, &mut changes, cold) {
            after = next;
        }
    }
    for vbucket in vbuckets {
        vbucket.reverted();
    }
}

fn hash(key: &[u8]) -> u32 {
    let mix = |hash: u32, byte: &u8| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
    key.iter().fold(0x811c_9dc5, mix)
}

fn item(key: &[u8], value: &[u8], expiry: u32) -> Item {
    let meta = Meta {
        hash: hash(key),
        flags: 7,
        expiry,
        cas: 0,
    };
    Item::with_value(key, &[value], meta).unwrap()
}

fn put(vbucket: &Vbucket, key: &[u8], value: &[u8]) -> u64 {
    put_until(vbucket, key, value, 0)
}

fn put_until(vbucket: &Vbucket, key: &[u8], value: &[u8], expiry: u32) -> u64 {
    let item = item(key, value, expiry);
    vbucket
        .mutate(hash(key), key, &mut |_| Ok(Verdict::Put(item.clone())))
        .unwrap()
}

fn remove(vbucket: &Vbucket, key: &[u8]) -> Result<u64> {
    vbucket.mutate(hash(key), key, &mut |present| match present {
        Some(_) => Ok(Verdict::Remove),
        None => Err(Error::NotFound),
    })
}

fn value(node: &Node, vbucket: &Vbucket, key: &[u8]) -> Option<Vec<u8>> {
    node.read(vbucket, key).map(|row| row.value)
}

/// What a restore had to know may be millions of keys.
#[test]
fn notes_of_a_restore_are_dropped_by_nobody_who_holds_a_lock() {
    let node = Node::new(1, false);
    let (shared, vbucket) = (&node.shared, node.vbucket(0));
    let notes = || {
        put(vbucket, b"gone", b"1");
        remove(vbucket, b"gone").unwrap();
        while shared.trash.empty() {}
    };
    shared.restoring.begin();
    notes();
    vbucket.flush_all();
    assert!(shared.trash.empty(), "flush_all");
    shared.restoring.end(&shared.trash);
    assert!(shared.trash.empty(), "the note of the flush");
    shared.restoring.begin();
    notes();
    shared.restoring.end(&shared.trash);
    assert!(shared.trash.empty(), "the end");
    shared.restoring.end(&shared.trash);
    assert!(!shared.trash.empty());
}

#[test]
fn a_revert_gives_back_cas_flags_and_expiry_from_memory_and_from_the_store() {
    for on_disk in [false, true] {
        for keep in [false, true] {
            let node = Node::new(1, keep);
            let vbucket = node.vbucket(0);
            let expiry = node.host.unix() + 50;
            put_until(vbucket, b"k", b"before", expiry);
            put(vbucket, b"gone", b"before");
            if on_disk {
                node.flush();
            }
            let before = node.read(vbucket, b"k").unwrap();
            assert!(open_windows(&[vbucket], NOW, None));
            put(vbucket, b"k", b"inside");
            put(vbucket, b"new", b"inside");
            remove(vbucket, b"gone").unwrap();
            assert!(begin_revert(&[vbucket], NOW));
            let resident = matches!(vbucket.get(hash(b"k"), b"k"), Found::Hit(_));
            assert_eq!(resident, keep || !on_disk);
            revert_all(&[vbucket]);
            assert_eq!(node.read(vbucket, b"k"), Some(before));
            assert_eq!(value(&node, vbucket, b"new"), None);
            assert_eq!(value(&node, vbucket, b"gone"), Some(b"before".to_vec()));
            assert_eq!((node.reverted(), vbucket.items()), ((1, 1, 1), 2));
        }
    }
}

#[test]
fn a_flush_that_is_reverted_leaves_the_number_of_keys_exact() {
    let node = Node::new(1, false);
    let vbucket = node.vbucket(0);
    let keys: Vec<[u8; 2]> = (0..200).map(|key| [key, b'k']).collect();
    for key in &keys {
        put(vbucket, key, b"before");
    }
    assert!(open_windows(&[vbucket], NOW, None));
    put(vbucket, &keys[0], b"inside");
    vbucket.flush_all();
    assert_eq!(vbucket.items(), 0);
    assert!(begin_revert(&[vbucket], NOW));
    // Keys that count again, although their stripes have not been counted anew.
    remove(vbucket, &keys[1]).unwrap();
    put(vbucket, &keys[2], b"after");
    revert_all(&[vbucket]);
    assert_eq!(vbucket.items(), 199);
    assert_eq!(value(&node, vbucket, &keys[0]), Some(b"before".to_vec()));
}

#[test]
fn a_flush_that_is_reverted_is_counted_right_at_once() {
    let node = Node::new(1, false);
    let vbucket = node.vbucket(0);
    for key in 0..200_u8 {
        put(vbucket, &[key], b"before");
    }
    assert!(open_windows(&[vbucket], NOW, None));
    vbucket.flush_all();
    put(vbucket, &[1], b"inside");
    put(vbucket, &[250], b"inside");
    assert_eq!(vbucket.items(), 2);
    assert!(begin_revert(&[vbucket], NOW));
    assert_eq!(value(&node, vbucket, &[250]), None);
    assert_eq!(value(&node, vbucket, &[1]), Some(b"before".to_vec()));
    revert_all(&[vbucket]);
    assert_eq!(vbucket.items(), 200);
}

#[test]
fn a_window_value_that_expires_while_revert_begins_is_taken_back() {
    let node = Node::new(1, false);
    let vbucket = node.vbucket(0);
    put(vbucket, b"k", b"before");
    assert!(open_windows(&[vbucket], NOW, None));
    put_until(vbucket, b"k", b"inside", node.host.unix() + 1);
    node.host.advance(10);
    // The reader has seen that no revert is running, and now looks at the clock.
    let map = Arc::clone(&node.map);
    node.host.at_next_look_at_the_clock(move || {
        let vbuckets: Vec<&Vbucket> = map.iter().collect();
        assert!(begin_revert(&vbuckets, NOW));
    });
    let _ = vbucket.get(hash(b"k"), b"k");
    revert_all(&[vbucket]);
    assert_eq!(value(&node, vbucket, b"k"), Some(b"before".to_vec()));
    assert_eq!((node.reverted(), vbucket.items()), ((0, 0, 1), 1));
}

#[test]
fn a_window_value_that_expires_before_a_mutation_is_taken_back_first() {
    let node = Node::new(1, false);
    let vbucket = node.vbucket(0);
    put(vbucket, b"k", b"before");
    assert!(open_windows(&[vbucket], NOW, None));
    put_until(vbucket, b"k", b"inside", node.host.unix() + 1);
    node.host.advance(10);
    let map = Arc::clone(&node.map);
    node.host.at_next_look_at_the_clock(move || {
        let vbuckets: Vec<&Vbucket> = map.iter().collect();
        assert!(begin_revert(&vbuckets, NOW));
    });
    let seen = vbucket.mutate(hash(b"k"), b"k", &mut |present| {
        assert_eq!(present.map(Item::value), Some(&b"before"[..]));
        Err(Error::Exists)
    });
    assert_eq!(seen, Err(Error::Exists));
    revert_all(&[vbucket]);
    assert_eq!(value(&node, vbucket, b"k"), Some(b"before".to_vec()));
}

#[test]
fn a_pre_image_that_expires_in_the_window_is_gone_after_the_revert() {
    let node = Node::new(1, false);
    let vbucket = node.vbucket(0);
    put_until(vbucket, b"k", b"before", node.host.unix() + 1);
    assert!(open_windows(&[vbucket], NOW, None));
    put(vbucket, b"k", b"inside");
    node.host.advance(10);
    assert!(begin_revert(&[vbucket], NOW));
    assert_eq!(value(&node, vbucket, b"k"), None);
    revert_all(&[vbucket]);
    assert_eq!((value(&node, vbucket, b"k"), vbucket.items()), (None, 0));
    node.flush();
    assert!(node.disk.lock().is_empty());
}

#[test]
fn windows_open_and_end_on_all_vbuckets_or_on_none() {
    let node = Node::new(3, false);
    let all = node.vbuckets();
    assert!(!begin_complete(&all, NOW) && !begin_revert(&all, NOW));
    assert!(open_windows(&all[1..2], NOW, None));
    assert!(!open_windows(&all, NOW, None));
    assert!(!begin_complete(&all, NOW) && !begin_revert(&all, NOW));
    let phases: Vec<_> = all.iter().map(|vbucket| vbucket.window_phase()).collect();
    assert_eq!(phases, [None, Some(Phase::Open), None]);
    assert!(!begin_revert(&[], NOW));
    assert!(!node.shared.switch.heeds(1));
}

#[test]
fn the_reader_of_a_deleted_vbucket_reads_and_commits_nothing_of_the_next_one() {
    let node = Node::new(1, false);
    let vbucket = node.vbucket(0);
    put(vbucket, b"k", b"old");
    let mut reader = vbucket.reader();
    let mut changes = Vec::new();
    let end = reader.read(100, &mut changes).unwrap();
    assert_eq!(changes.len(), 1);
    drop(node.map.delete(vbucket));
    assert!(node.map.get(vbucket.id()).is_none());
    let gone = vbucket.mutate(hash(b"k"), b"k", &mut |_| panic!("decided for nobody"));
    assert_eq!(gone, Err(Error::NotMyVbucket));
    let vbucket = node.create(0);
    assert!(matches!(vbucket.get(hash(b"k"), b"k"), Found::Miss));
    put(vbucket, b"k", b"new");
    reader.committed(end.closed, &changes);
    assert!(reader.read(100, &mut changes).is_none());
    assert_eq!(vbucket.with_log(Log::persisted), Seqno::ZERO);
    assert!(vbucket.is_dirty(&item(b"k", b"new", 0)));
}

#[test]
fn a_fetched_value_goes_only_where_it_is_missing() {
    let node = Node::new(1, false);
    let vbucket = node.vbucket(0);
    put(vbucket, b"k", b"before");
    node.flush();
    assert!(open_windows(&[vbucket], NOW, None));
    put(vbucket, b"k", b"inside");
    assert!(begin_revert(&[vbucket], NOW));
    let Found::NotResident(wanted) = vbucket.get(hash(b"k"), b"k") else {
        panic!("the value was not evicted");
    };
    assert!(vbucket.lacks_value(&wanted));
    let older = Item::with_value(
        b"k",
        &[b"before"],
        Meta {
            cas: 1,
            ..wanted.meta()
        },
    )
    .unwrap();
    vbucket.fill(&older);
    assert!(
        vbucket.lacks_value(&wanted),
        "another version was put in place"
    );
    put(vbucket, b"k", b"after");
    assert!(!vbucket.lacks_value(&wanted));
    let late = Item::with_value(b"k", &[b"before"], wanted.meta()).unwrap();
    vbucket.fill(&late);
    assert_eq!(value(&node, vbucket, b"k"), Some(b"after".to_vec()));
    revert_all(&[vbucket]);
    assert_eq!(value(&node, vbucket, b"k"), Some(b"after".to_vec()));
}

/// A touch keeps the CAS. A value that was wanted before it must not bring the old expiry back.
#[test]
fn a_fetched_value_of_before_a_touch_is_not_put_in_place() {
    let node = Node::new(1, false);
    let vbucket = node.vbucket(0);
    let (key, place) = (b"k", hash(b"k"));
    let evict = || {
        node.flush();
        assert_eq!(vbucket.eject(place, key), Ejection::Ejected);
        match vbucket.get(place, key) {
            Found::NotResident(item) => item,
            other => panic!("{other:?}"),
        }
    };
    put_until(vbucket, key, b"a long value", node.host.unix() + 10);
    let wanted = evict();
    let late = Item::with_value(key, &[b"a long value"], wanted.meta()).unwrap();
    assert!(vbucket.fill(&late), "it is the version that was wanted");
    let meta = Meta {
        expiry: node.host.unix() + 1_000,
        ..wanted.meta()
    };
    let touched = Item::with_value(key, &[b"a long value"], meta).unwrap();
    let touch = &mut |_: Option<&Item>| Ok(Verdict::Touch(touched.clone()));
    vbucket.mutate(place, key, touch).unwrap();
    assert_eq!(evict().meta(), meta);
    assert!(!vbucket.fill(&late));
    node.host.advance(20);
    assert!(value(&node, vbucket, key).is_some(), "the touch is lost");
}

/// A lap of eviction that takes whole keys. Returns how many went, were spared and have to stay.
fn evict_keys(vbucket: &Vbucket) -> (usize, usize, usize) {
    let (mut walk, mut lap) = (Walk::default(), Swept::default());
    while let Some(part) = vbucket.evict_keys_part(&mut walk, &|| true) {
        lap.add(part);
    }
    (lap.taken, lap.spared, lap.dirty)
}

#[test]
fn eviction_spares_what_was_used_and_what_a_window_holds() {
    let node = Node::new(1, true);
    let vbucket = node.vbucket(0);
    put(vbucket, b"old", b"v");
    put(vbucket, b"new", b"v");
    assert!(matches!(vbucket.get(hash(b"old"), b"old"), Found::Hit(_)));
    assert_eq!(evict_keys(vbucket), (0, 2, 0), "read, and written last");
    assert_eq!(evict_keys(vbucket), (1, 1, 0));
    assert!(matches!(vbucket.get(hash(b"old"), b"old"), Found::Miss));
    assert_eq!(evict_keys(vbucket), (1, 0, 0));
    assert_eq!((evict_keys(vbucket), vbucket.items()), ((0, 0, 0), 0));
    assert_eq!(vbucket.with_log(Log::unpersisted), 0);
    put(vbucket, b"before", b"v");
    assert!(open_windows(&[vbucket], NOW, None));
    put(vbucket, b"k", b"v");
    assert_eq!(evict_keys(vbucket), (0, 0, 2), "a revert is to find both");
    assert!(vbucket.keeps_all_keys());
    // Its operator may come back to it.
    for state in [VbucketState::Dead, VbucketState::Replica] {
        vbucket.set_state(state, Arrival::Alone, || {});
        assert!(vbucket.keeps_all_keys(), "{state:?}");
    }
    // A master's has to make room for its own end.
    let node = Node::new(1, true);
    let vbucket = node.vbucket(0);
    put(vbucket, b"before", b"v");
    vbucket.set_state(VbucketState::Replica, Arrival::Alone, || {});
    vbucket.follow_start(None, NOW, None);
    assert!(!vbucket.keeps_all_keys());
    assert_eq!(evict_keys(vbucket), (1, 0, 0), "what it did not touch");
}

/// A `flush_all` deletes every key, and a revert brings all of them back.
#[test]
fn eviction_spares_what_a_flush_of_the_window_deleted() {
    for small in [false, true] {
        let node = Node::new(1, true);
        let vbucket = node.vbucket(0);
        put(vbucket, b"of an earlier flush", b"v");
        vbucket.flush_all();
        put(vbucket, b"k", b"v");
        put(vbucket, b"l", b"v");
        assert!(open_windows(&[vbucket], NOW, None));
        vbucket.flush_all();
        for key in 0..8_u8 {
            put(vbucket, &[key], b"w");
        }
        let mut walk = Walk::default();
        if small {
            while vbucket.evict_oldest_key(&mut walk, &|| true).is_some() {}
        } else {
            assert_eq!(evict_keys(vbucket), (0, 0, 11));
        }
        assert!(begin_revert(&[vbucket], NOW));
        revert_all(&[vbucket]);
        for key in [b"k", b"l"] {
            assert_eq!(value(&node, vbucket, key), Some(b"v".to_vec()));
        }
    }
}

/// A revert brings a key back with the number that it had before: it may go like any other.
#[test]
fn a_key_that_a_revert_brought_back_can_be_evicted() {
    let node = Node::new(1, true);
    let vbucket = node.vbucket(0);
    put(vbucket, b"changed", b"v");
    put(vbucket, b"deleted", b"v");
    node.flush();
    assert!(open_windows(&[vbucket], NOW, None));
    put(vbucket, b"changed", b"w");
    remove(vbucket, b"deleted").unwrap();
    assert!(begin_revert(&[vbucket], NOW));
    revert_all(&[vbucket]);
    assert_eq!(vbucket.items(), 2);
    let taken: usize = (0..2).map(|_| evict_keys(vbucket).0).sum();
    assert_eq!((taken, vbucket.items()), (2, 0));
}

/// The state is looked at where it is changed: whoever has made a vbucket dead has all of it.
#[test]
fn a_client_writes_active_vbuckets_and_a_master_those_that_are_not_dead() {
    let node = Node::new(1, false);
    let vbucket = node.vbucket(0);
    for (state, client, master) in [
        (VbucketState::Active, true, true),
        (VbucketState::Replica, false, true),
        (VbucketState::Pending, false, true),
        (VbucketState::Dead, false, false),
    ] {
        vbucket.set_state(state, Arrival::Alone, || {});
        let new = item(b"k", b"v", 0);
        let put = &mut |_: Option<&Item>| Ok(Verdict::Put(new.clone()));
        let written = vbucket.mutate(new.hash(), b"k", put);
        assert_eq!(written.err(), (!client).then_some(Error::NotMyVbucket));
        let followed = vbucket.replicate(&item(b"k", b"w", 0));
        assert_eq!(followed.err(), (!master).then_some(Error::NotMyVbucket));
        let deleted = vbucket.replicate_deletion(new.hash(), b"k");
        assert_eq!(deleted.err(), (!master).then_some(Error::NotMyVbucket));
    }
}

#[test]
fn a_deletion_is_remembered_until_it_is_durable_and_no_longer() {
    let node = Node::new(1, false);
    let vbucket = node.vbucket(0);
    put(vbucket, b"k", b"v");
    node.flush();
    remove(vbucket, b"k").unwrap();
    assert_eq!(remove(vbucket, b"k"), Err(Error::NotFound));
    let dirty = item(b"k", b"v", 0);
    assert!(vbucket.is_dirty(&dirty));
    node.flush();
    assert!(!vbucket.is_dirty(&dirty) && node.disk.lock().is_empty());
    assert!(
        vbucket
            .table
            .lock(hash(b"k"))
            .find(hash(b"k"), b"k")
            .is_none()
    );
}

#[test]
fn a_sweep_takes_out_what_was_flushed_but_not_in_a_window() {
    let node = Node::new(1, false);
    let vbucket = node.vbucket(0);
    for key in 0..100_u8 {
        put(vbucket, &[key], b"v");
    }
    assert!(open_windows(&[vbucket], NOW, None));
    vbucket.flush_all();
    assert_eq!(vbucket.sweep_flushed(&|| {}), 0);
    assert!(begin_revert(&[vbucket], NOW));
    assert_eq!(vbucket.sweep_flushed(&|| {}), 0);
    revert_all(&[vbucket]);
    assert_eq!((vbucket.sweep_flushed(&|| {}), vbucket.items()), (0, 100));
    vbucket.flush_all();
    put(vbucket, &[200], b"v");
    assert_eq!((vbucket.sweep_flushed(&|| {}), vbucket.items()), (100, 1));
}

#[test]
fn a_table_is_swept_once_for_a_flush_and_again_when_older_keys_were_loaded() {
    let node = Node::new(1, false);
    let vbucket = node.vbucket(0);
    put(vbucket, b"k", b"v");
    vbucket.flush_all();
    assert_eq!(vbucket.sweep_flushed(&|| {}), 1);
    vbucket.begin_loading();
    vbucket.load(&mut vec![(hash(b"l"), item(b"l", b"v", 0))]);
    assert_eq!(vbucket.sweep_flushed(&|| {}), 0);
    vbucket.loaded(0);
    assert_eq!(vbucket.sweep_flushed(&|| {}), 1);
    vbucket.flush_all();
    put(vbucket, b"k", b"v");
    vbucket.flush_all();
    assert_eq!(vbucket.sweep_flushed(&|| {}), 1);
}

#[test]
fn a_failed_complete_keeps_what_was_written_since_in_the_window() {
    let node = Node::new(2, false);
    let all = node.vbuckets();
    put(all[0], b"k", b"before");
    node.flush();
    assert!(open_windows(&all, NOW, None));
    put(all[0], b"k", b"inside");
    assert!(begin_complete(&all, NOW));
    put(all[0], b"k", b"since");
    put(all[1], b"l", b"since");
    node.flush();
    assert_eq!(node.disk.lock().len(), 1);
    complete_failed(&all);
    let mut changes = Vec::new();
    for vbucket in &all {
        assert_eq!(vbucket.bury_duplicates(Seqno::ZERO, &mut changes), None);
    }
    assert_eq!(all[0].window_report().unwrap().touched, 1);
    assert_eq!(value(&node, all[0], b"k"), Some(b"since".to_vec()));
    assert!(begin_revert(&all, NOW));
    assert_eq!(value(&node, all[0], b"k"), Some(b"before".to_vec()));
    assert_eq!(value(&node, all[1], b"l"), None);
    revert_all(&all);
    assert_eq!(node.reverted(), (1, 0, 1));
}

/// Who asks for a pre-image has seen the window open, and may see it open again afterwards.
#[test]
fn nothing_is_said_of_a_key_while_its_window_is_completing() {
    let node = Node::new(1, false);
    let (all, vbucket) = (node.vbuckets(), node.vbucket(0));
    let was = |key: &[u8]| {
        let was = vbucket.was(hash(key), key);
        was.map(|was| was.map(|was| matches!(was, Was::Present(_))))
    };
    put(vbucket, b"k", b"before");
    assert_eq!(was(b"k"), Err(NotOpen));
    assert!(open_windows(&all, NOW, None));
    put(vbucket, b"k", b"inside");
    assert_eq!([was(b"k"), was(b"l")], [Ok(Some(true)), Ok(None)]);
    assert!(begin_complete(&all, NOW));
    assert_eq!([was(b"k"), was(b"l")], [Err(NotOpen); 2]);
    complete_failed(&all);
    assert_eq!([was(b"k"), was(b"l")], [Ok(Some(true)), Ok(None)]);
}

#[test]
fn a_flush_makes_the_fetch_of_a_value_void_before_the_slot_goes() {
    let node = Node::new(1, false);
    let vbucket = node.vbucket(0);
    put(vbucket, b"k", b"a value that is worth evicting");
    node.flush();
    assert_eq!(vbucket.eject(hash(b"k"), b"k"), Ejection::Ejected);
    let Found::NotResident(wanted) = vbucket.get(hash(b"k"), b"k") else {
        panic!("it was ejected");
    };
    assert!(vbucket.lacks_value(&wanted));
    vbucket.flush_all();
    assert!(!vbucket.lacks_value(&wanted));
}
