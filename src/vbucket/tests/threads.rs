//! Several threads at once. What each of them sees is checked against what it did itself, so the
//! tests hold for every order in which the threads run.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use parking_lot::Mutex;

use super::{NOW, Node, hash, put, remove, revert_all};
use crate::error::Error;
use crate::item::Item;
use crate::vbucket::{Found, Vbucket, begin_complete, begin_revert, complete_failed, open_windows};

const VBUCKETS: u16 = 8;
const KEY: &[u8] = b"key";

/// Numbers without a pattern, the same in every run.
struct Dice(u64);

impl Dice {
    fn throw(&mut self, sides: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963);
        usize::try_from(self.0 >> 33).unwrap() % sides
    }
}

fn wait_until(mut is_so: impl FnMut() -> bool) {
    // Each look gives the processor away, so this is some seconds at least.
    for _ in 0..100_000_000_u64 {
        if is_so() {
            return;
        }
        thread::yield_now();
    }
    panic!("waited too long");
}

/// The window overwrites the key or flushes it.
fn is_window_value(found: &Found) -> bool {
    match found {
        Found::Hit(item) => item.value().starts_with(b"inside"),
        Found::Miss => true,
        _ => false,
    }
}

#[test]
fn readers_see_a_revert_of_many_vbuckets_at_one_instant() {
    for round in 0..150 {
        readers_see_one_instant(round, VBUCKETS);
    }
}

/// As the window of a replica, which its master ends, beside those of the node's operator.
#[test]
fn a_revert_that_runs_already_leaves_the_next_one_its_instant() {
    for round in 0..150 {
        readers_see_one_instant(round, VBUCKETS + 1);
    }
}

/// Reverts the first vbuckets at once, while the windows of the others are being reverted already.
fn readers_see_one_instant(round: u16, count: u16) {
    let node = Node::new(count, round.is_multiple_of(2));
    let every = node.vbuckets();
    let (all, others) = every.split_at(usize::from(VBUCKETS));
    assert!(open_windows(others, NOW, None));
    assert_eq!(begin_revert(others, NOW), count > VBUCKETS);
    for vbucket in all {
        put(vbucket, KEY, b"before");
    }
    node.flush();
    assert!(open_windows(all, NOW, None));
    for vbucket in all {
        if round % 4 < 2 {
            put(vbucket, KEY, b"inside");
        } else {
            vbucket.flush_all();
        }
    }
    let (ready, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let read = |backwards: bool, mutating: bool| {
        let mut seen = Vec::new();
        let mut last = false;
        while !last {
            last = stop.load(Ordering::SeqCst);
            for index in 0..all.len() {
                let index = if backwards {
                    all.len() - 1 - index
                } else {
                    index
                };
                seen.push(if mutating {
                    decide(all[index])
                } else {
                    look(all[index])
                });
            }
            if seen.len() == all.len() {
                ready.fetch_add(1, Ordering::SeqCst);
            }
        }
        let first = seen.iter().position(|inside| !inside).unwrap();
        let again = seen[first..].iter().any(|inside| *inside);
        assert!(!again, "a window value after the revert was seen");
        assert!(first >= all.len(), "reverted before the command");
    };
    thread::scope(|scope| {
        scope.spawn(|| read(false, false));
        scope.spawn(|| read(true, false));
        scope.spawn(|| read(true, true));
        wait_until(|| ready.load(Ordering::SeqCst) == 3);
        assert!(begin_revert(all, NOW));
        revert_all(all);
        stop.store(true, Ordering::SeqCst);
    });
}

fn look(vbucket: &Vbucket) -> bool {
    is_window_value(&vbucket.get(hash(KEY), KEY))
}

/// What a mutation sees, without making one.
fn decide(vbucket: &Vbucket) -> bool {
    let mut inside = false;
    let result = vbucket.mutate(hash(KEY), KEY, &mut |present| {
        inside = present.is_none_or(|item: &Item| item.value().starts_with(b"inside"));
        Err(Error::Exists)
    });
    assert_eq!(result, Err(Error::Exists));
    inside
}

#[test]
fn what_a_revert_leaves_is_a_prefix_of_the_writes_over_all_vbuckets() {
    for round in 0..40 {
        let node = Node::new(VBUCKETS, false);
        let all = node.vbuckets();
        let (done, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
        let count = || done.load(Ordering::SeqCst);
        let mut start = 0..=0;
        thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::SeqCst) {
                    let number = count();
                    let vbucket = all[number % all.len()];
                    put(vbucket, KEY, number.to_string().as_bytes());
                    done.store(number + 1, Ordering::SeqCst);
                }
            });
            wait_until(|| count() > 100 + 7 * round);
            let before = count();
            assert!(open_windows(&all, NOW, None));
            // A write may have been done and not counted yet, before and after.
            start = before..=count() + 1;
            wait_until(|| count() > before + 500);
            // The writer is stopped first: nothing is written behind the revert.
            stop.store(true, Ordering::SeqCst);
        });
        assert!(begin_revert(&all, NOW));
        let found: Vec<usize> = all.iter().map(|vbucket| number(&node, vbucket)).collect();
        let prefix = |length: usize| {
            (0..all.len())
                .map(|vbucket| last_below(length, vbucket, all.len()))
                .collect::<Vec<_>>()
        };
        assert!(
            start.clone().any(|length| found == prefix(length)),
            "{start:?}: {found:?}"
        );
        revert_all(&all);
        let found: Vec<usize> = all.iter().map(|vbucket| number(&node, vbucket)).collect();
        assert!(
            start.clone().any(|length| found == prefix(length)),
            "{start:?}: {found:?}"
        );
    }
}

fn number(node: &Node, vbucket: &Vbucket) -> usize {
    let row = node.read(vbucket, KEY).unwrap();
    String::from_utf8(row.value).unwrap().parse().unwrap()
}

/// The largest number below `length` that is `rest` modulo `count`.
fn last_below(length: usize, rest: usize, count: usize) -> usize {
    (0..length)
        .rev()
        .find(|number| number % count == rest)
        .unwrap()
}

/// Keys of each worker.
const OWN: usize = 24;
const WORKERS: usize = 3;

/// A write of a worker: a key's number, and whether it is a deletion.
type Write = (usize, bool);

/// What a worker's keys must be: number of the latest write of each key.
fn outcome(writes: &[Write], start: usize, end: usize) -> BTreeMap<usize, usize> {
    let mut state = BTreeMap::new();
    let numbered = writes.iter().enumerate();
    for (number, &(key, deletes)) in numbered.filter(|(n, _)| *n < start || *n >= end) {
        if deletes {
            state.remove(&key);
        } else {
            state.insert(key, number);
        }
    }
    state
}

fn name(worker: usize, key: usize) -> Vec<u8> {
    format!("{worker}:{key}").into_bytes()
}

fn place(node: &Node, key: usize) -> &Vbucket {
    node.vbucket(u16::try_from(key % usize::from(VBUCKETS)).unwrap())
}

struct Worker {
    id: usize,
    done: AtomicUsize,
    writes: Mutex<Vec<Write>>,
}

impl Worker {
    fn run(&self, node: &Node, dice: &mut Dice, stop: &AtomicBool) {
        while !stop.load(Ordering::SeqCst) {
            let key = dice.throw(OWN);
            let (vbucket, name) = (place(node, key), name(self.id, key));
            match dice.throw(8) {
                0 => {
                    let _ = node.read(vbucket, &name);
                    // A key of everybody, in the same stripes.
                    put(vbucket, b"shared", b"value");
                    assert_eq!(
                        node.read(vbucket, b"shared")
                            .map_or(5, |row| row.value.len()),
                        5
                    );
                }
                1 => {
                    let number = self.begin((key, true));
                    let _ = remove(vbucket, &name);
                    self.done.store(number + 1, Ordering::SeqCst);
                }
                _ => {
                    let number = self.begin((key, false));
                    put(vbucket, &name, number.to_string().as_bytes());
                    self.done.store(number + 1, Ordering::SeqCst);
                }
            }
        }
    }

    fn begin(&self, write: Write) -> usize {
        let mut writes = self.writes.lock();
        writes.push(write);
        writes.len() - 1
    }

    fn count(&self) -> usize {
        self.done.load(Ordering::SeqCst)
    }

    fn check(&self, node: &Node, cuts: Option<&Cuts>) {
        let mut found = BTreeMap::new();
        for key in 0..OWN {
            if let Some(row) = node.read(place(node, key), &name(self.id, key)) {
                found.insert(key, String::from_utf8(row.value).unwrap().parse().unwrap());
            }
        }
        let writes = self.writes.lock();
        let fits = match cuts {
            None => found == outcome(&writes, 0, 0),
            Some(Cuts { starts, ends }) => starts[self.id].clone().any(|start| {
                ends[self.id]
                    .clone()
                    .any(|end| found == outcome(&writes, start, end))
            }),
        };
        assert!(fits, "worker {}: {found:?}", self.id);
        drop(writes);
        // The next round goes on from here.
        let left = found.keys().map(|key| (*key, false)).collect::<Vec<_>>();
        for (number, (key, _)) in left.iter().enumerate() {
            put(
                place(node, *key),
                &name(self.id, *key),
                number.to_string().as_bytes(),
            );
        }
        self.done.store(left.len(), Ordering::SeqCst);
        *self.writes.lock() = left;
    }
}

/// Where each worker may have been when START and REVERT came between its writes.
struct Cuts {
    starts: Vec<RangeInclusive<usize>>,
    ends: Vec<RangeInclusive<usize>>,
}

fn around(workers: &[Worker], act: impl FnOnce()) -> Vec<RangeInclusive<usize>> {
    let before: Vec<usize> = workers.iter().map(Worker::count).collect();
    act();
    let after = workers.iter().map(|worker| worker.count() + 1);
    before
        .into_iter()
        .zip(after)
        .map(|(before, after)| before..=after)
        .collect()
}

fn progress(workers: &[Worker], writes: usize) {
    let before: Vec<usize> = workers.iter().map(Worker::count).collect();
    let has_gone_on = |(worker, before): (&Worker, &usize)| worker.count() >= before + writes;
    wait_until(|| workers.iter().zip(&before).all(has_gone_on));
}

#[test]
fn every_thread_finds_its_own_writes_as_the_windows_left_them() {
    let node = Node::new(VBUCKETS, false);
    let all = node.vbuckets();
    let new = |id| Worker {
        id,
        done: AtomicUsize::new(0),
        writes: Mutex::default(),
    };
    let workers: Vec<Worker> = (0..WORKERS).map(new).collect();
    // Guards the order of commits, as in the flusher.
    let commit = Mutex::new(());
    for round in 0..45 {
        let stop = AtomicBool::new(false);
        let mut cuts = None;
        thread::scope(|scope| {
            for worker in &workers {
                let (node, stop) = (&node, &stop);
                let mut dice = Dice((round * WORKERS + worker.id) as u64);
                scope.spawn(move || worker.run(node, &mut dice, stop));
            }
            scope.spawn(|| {
                while !stop.load(Ordering::SeqCst) {
                    for vbucket in &all {
                        let _order = commit.lock();
                        node.flush_some(vbucket);
                        vbucket.sweep_flushed(&|| {});
                    }
                }
            });
            progress(&workers, 20);
            let starts = around(&workers, || assert!(open_windows(&all, NOW, None)));
            progress(&workers, 40);
            if round % 3 != 0 {
                assert!(begin_complete(&all, NOW));
                progress(&workers, 10);
                if round % 3 == 1 {
                    let _order = commit.lock();
                    node.commit_windows(&all);
                } else {
                    fail(&all);
                }
            }
            if round % 3 != 1 {
                let ends = around(&workers, || assert!(begin_revert(&all, NOW)));
                cuts = Some(Cuts { starts, ends });
                revert_all(&all);
            }
            progress(&workers, 5);
            stop.store(true, Ordering::SeqCst);
        });
        for worker in &workers {
            worker.check(&node, cuts.as_ref());
        }
        check_store(&node);
    }
    assert_eq!(node.shared.metrics.defects.get(), 0);
}

fn fail(all: &[&Vbucket]) {
    complete_failed(all);
    let mut changes = Vec::new();
    for vbucket in all {
        let mut after = Some(crate::types::Seqno::ZERO);
        while let Some(from) = after {
            after = vbucket.bury_duplicates(from, &mut changes);
        }
    }
}

/// With nothing running and everything written, memory and store agree.
fn check_store(node: &Node) {
    node.flush();
    let mut items = 0;
    let disk = node.disk.lock().clone();
    for ((id, key), row) in disk {
        assert_eq!(node.read(node.vbucket(id), &key), Some(row));
        items += 1;
    }
    assert_eq!(node.map.iter().map(Vbucket::items).sum::<usize>(), items);
}

#[test]
fn counting_keys_while_flushes_come_and_go_leaves_the_count_exact() {
    let node = Node::new(1, false);
    let vbucket = node.vbucket(0);
    let stop = AtomicBool::new(false);
    // A count that met all keys before the flush, and the revert that is to bring them back
    // after it, has each of them twice.
    let twice = 2 * 64;
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(Ordering::SeqCst) {
                    assert!(vbucket.items() <= twice);
                }
            });
        }
        for round in 0..1_000 {
            for key in 0..64_u8 {
                put(vbucket, &[key], b"v");
            }
            let reverted = round % 2 == 0 && open_windows(&[vbucket], NOW, None);
            vbucket.flush_all();
            put(vbucket, b"0", b"v");
            remove(vbucket, b"0").unwrap();
            if reverted {
                assert!(begin_revert(&[vbucket], NOW));
                revert_all(&[vbucket]);
                assert_eq!(vbucket.items(), 64);
            }
        }
        stop.store(true, Ordering::SeqCst);
    });
    for key in 0..64_u8 {
        put(vbucket, &[key], b"v");
    }
    assert_eq!(vbucket.items(), 64);
}

#[test]
fn a_count_that_a_flush_overtakes_leaves_the_count_exact() {
    let node = Node::new(1, false);
    let vbucket = node.vbucket(0);
    assert_ne!(hash(KEY) % 64, 0, "the key must not be in the first stripe");
    let counting = AtomicBool::new(false);
    thread::scope(|scope| {
        let first = vbucket.table.lock(0);
        scope.spawn(|| {
            counting.store(true, Ordering::SeqCst);
            vbucket.items()
        });
        wait_until(|| counting.load(Ordering::SeqCst));
        // The other thread now comes to the lock of the first stripe and no further.
        for _ in 0..20_000 {
            thread::yield_now();
        }
        vbucket.flush_all();
        put(vbucket, KEY, b"v");
        drop(first);
    });
    assert_eq!(vbucket.items(), 1);
}
