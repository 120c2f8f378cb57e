//! When the flusher writes, how much at a time, and what it says about it.

use std::sync::Arc;

use super::store::TestStore;
use super::{CLIENT, Node, id};
use crate::checkpoint::Log;
use crate::engine::Engine;
use crate::flusher::{FlusherState, Round};
use crate::host::LogLevel;
use crate::item::{Item, Meta};
use crate::metrics::Metrics;
use crate::settings::Family;
use crate::store::WindowRecord;
use crate::store::fault::{Change, Commit};
use crate::types::VbucketState;

fn metrics(node: &Node) -> &Metrics {
    &node.engine.shared().metrics
}

/// Puts of each commit from the given one on that has any.
fn puts(node: &Node, from: usize) -> Vec<usize> {
    let commits = node.store.faults().history();
    let count = |changes: &[Change]| {
        let is_put = |change: &&Change| matches!(change, Change::Put(..));
        changes.iter().filter(is_put).count()
    };
    let counts = commits[from..].iter().map(|commit| count(&commit.changes));
    counts.filter(|count| *count > 0).collect()
}

/// Writes a key and waits until the flusher waits for its age.
fn write_young(node: &Node, value: &str) {
    node.set(0, "k", value);
    let before = metrics(node).too_young.get();
    node.host.until("the flusher waits", || {
        // Perhaps it did already, for an earlier change.
        node.engine.shared().flush.hurry();
        metrics(node).too_young.get() > before
    });
    assert_ne!(node.stored(0, "k").as_deref(), Some(value));
}

fn until_stored(node: &Node, value: &str) {
    node.host
        .until(value, || node.stored(0, "k").as_deref() == Some(value));
}

/// A node whose flusher has written all there was, and that waits for the age of what comes.
fn patient() -> Node {
    let node = Node::with("min_data_age=100");
    node.host.until("the start is written", || {
        metrics(&node).remover_runs.get() > 0
    });
    node
}

#[test]
fn the_age_of_changes_follows_a_clock_that_a_test_turns() {
    let node = patient();
    write_young(&node, "first");
    node.host.turn(100);
    node.engine.shared().flush.hurry();
    until_stored(&node, "first");
    node.host.until("it is told", || {
        metrics(&node).age_seconds.last.get() >= 100
    });
}

/// The flusher finds persistence stopped and goes to sleep; the change has come when it came.
#[test]
fn what_waits_for_a_start_of_persistence_ages_meanwhile() {
    let node = patient();
    node.engine.set_persistence(false);
    write_young(&node, "first");
    let jobs = &metrics(&node).jobs.writes;
    let known = jobs.ended()[0].len();
    node.host.turn(150);
    node.engine.shared().flush.hurry();
    let slept = || jobs.ended()[0].len() > known;
    node.host.until("the flusher has been there", slept);
    node.engine.set_persistence(true);
    until_stored(&node, "first");
    node.host.until("it is told", || {
        metrics(&node).age_seconds.last.get() >= 150
    });
}

#[test]
fn changes_wait_for_their_age() {
    let node = patient();
    write_young(&node, "first");
    node.host.advance(99);
    let before = metrics(&node).too_young.get();
    node.engine.shared().flush.hurry();
    node.host
        .until("it looks", || metrics(&node).too_young.get() > before);
    assert_eq!(node.stored(0, "k"), None);
    node.host.advance(1);
    node.engine.shared().flush.hurry();
    until_stored(&node, "first");
    assert_eq!(metrics(&node).too_old.get(), 0);
}

#[test]
fn the_cap_a_lower_setting_and_a_start_cut_the_wait_short() {
    let node = patient();
    let set = |name: &str, value: &str| {
        node.engine
            .set_parameter(Family::Flush, name, value)
            .unwrap();
    };
    write_young(&node, "start");
    node.start().unwrap();
    until_stored(&node, "start");
    node.revert().unwrap();
    node.host.until("the revert is written", || {
        let vbucket = node.engine.vbucket(0).unwrap();
        vbucket.with_log(Log::checkpoints) == 1
    });
    write_young(&node, "cap");
    set("queue_age_cap", "0");
    until_stored(&node, "cap");
    node.host
        .until("it was too old", || metrics(&node).too_old.get() > 0);
    set("queue_age_cap", "900");
    write_young(&node, "lower");
    set("min_data_age", "0");
    until_stored(&node, "lower");
}

#[test]
fn a_complete_and_a_shutdown_do_not_wait() {
    let node = patient();
    node.start().unwrap();
    node.host.until("START is written", || {
        node.store.faults().state().window == Some(WindowRecord::Open)
    });
    node.set(0, "k", "inside");
    node.complete().unwrap();
    assert_eq!(node.stored(0, "k").as_deref(), Some("inside"));
    write_young(&node, "last");
    let node = node.restart();
    assert_eq!(node.stored(0, "k").as_deref(), Some("last"));
}

#[test]
fn a_vbucket_state_does_not_wait_for_the_age_of_changes() {
    let node = patient();
    node.activate(7);
    node.host.until("it is written", || {
        node.store.faults().state().vbuckets.contains_key(&id(7))
    });
}

#[test]
fn a_batch_ends_with_the_checkpoint_in_which_it_is_full() {
    let node = Node::with("chk_max_items=100;max_checkpoints=5;max_txn_size=150");
    node.write();
    node.store.hold_commits(true);
    let before = node.store.faults().history().len();
    node.set(0, "k", "v");
    node.host
        .until("the flusher commits", || node.store.held() > 0);
    for key in 0..450 {
        node.set(0, &key.to_string(), "v");
    }
    node.store.hold_commits(false);
    node.write();
    assert_eq!(puts(&node, before), [1, 199, 200, 51]);
}

/// What a batch of many changes left, which failed, and was found when the store could be read.
#[test]
fn what_a_failed_batch_said_of_vbuckets_does_not_stay() {
    let node = Node::with("max_txn_size=1;chk_max_items=100");
    node.write();
    let faults = node.store.faults();
    faults.find_failed();
    faults.fail_commits(true);
    let states = || {
        let states = faults.state().vbuckets.into_iter();
        let states = states.map(|(id, record)| (id, record.state));
        states.collect::<Vec<_>>()
    };
    let active = [(id(0), VbucketState::Active)];
    assert_eq!(states(), active);
    node.activate(1);
    let set = |vbucket, state| node.engine.core.set_vbucket(vbucket, state).unwrap();
    for vbucket in [0, 1] {
        for key in 0..100 {
            node.set(vbucket, &key.to_string(), "v");
        }
    }
    set(0, VbucketState::Replica);
    node.host
        .until("it is found", || states().len() == 2 && states() != active);
    set(0, VbucketState::Active);
    set(1, VbucketState::Dead);
    node.engine.core.delete_vbucket(1).unwrap();
    faults.fail_commits(false);
    node.write();
    node.set(0, "k", "v");
    node.write();
    assert_eq!(states(), active);
    assert!(node.stored(1, "0").is_none() && node.stored(0, "99").is_some());
}

/// Of a load that failed the store may have the rows: with those of another vbucket before them it
/// had rows that lie behind its record, and a flush that they do not wait for.
#[test]
fn a_load_that_failed_is_written_again_before_others() {
    let node = Node::with("max_txn_size=300;chk_max_items=100");
    (1..4).for_each(|vbucket| node.activate(vbucket));
    node.write();
    let faults = node.store.faults();
    faults.find_failed();
    let known = faults.history().len();
    // All of it is there before the flusher looks.
    node.engine.set_persistence(false);
    node.host.until("the flusher pauses", || {
        node.engine.core.persister.state() == FlusherState::Paused
    });
    let set = |vbucket| {
        for key in 0..200 {
            node.set(vbucket, &key.to_string(), "v");
        }
    };
    [0, 1].into_iter().for_each(set);
    faults.fail_commits(true);
    node.engine.set_persistence(true);
    let of = |commit: &Commit| {
        let mut found: Vec<_> = { commit.changes.iter() }
            .filter_map(|change| match change {
                Change::Put(vbucket, ..) => Some(*vbucket),
                _ => None,
            })
            .collect();
        found.dedup();
        found
    };
    let tried = || faults.history().len() - known;
    node.host.until("it has failed", || tried() > 0);
    // More comes, of these and of others.
    [2, 0, 3].into_iter().for_each(set);
    node.host.until("it was tried again", || tried() > 2);
    faults.fail_commits(false);
    node.write();
    let history = faults.history();
    let (failed, written): (Vec<_>, Vec<_>) = history[known..].iter().partition(|c| c.failed);
    assert!(failed.iter().all(|commit| of(commit) == [id(0), id(1)]));
    assert_eq!(of(written[0]), [id(0), id(1)]);
    let others: Vec<_> = written[1..].iter().flat_map(|commit| of(commit)).collect();
    assert!(others.contains(&id(2)) && others.contains(&id(3)));
}

/// A node with so many changes in vbucket 1 that the flusher comes upon all at once.
fn with_many(config: &str) -> Node {
    let node = Node::with(config);
    node.activate(1);
    node.write();
    node.engine.set_persistence(false);
    node.host.until("the flusher pauses", || {
        node.engine.core.persister.state() == FlusherState::Paused
    });
    for key in 0..200 {
        node.set(1, &key.to_string(), "v");
    }
    node
}

/// Their rows would be those of the one that has the id then.
#[test]
fn changes_of_a_vbucket_that_is_deleted_before_they_are_written_are_void() {
    for again in [false, true] {
        let node = with_many("");
        let core = Arc::clone(&node.engine.core);
        node.store.at_next_batch(move || {
            core.set_vbucket(1, VbucketState::Dead).unwrap();
            core.delete_vbucket(1).unwrap();
            if again {
                core.set_vbucket(1, VbucketState::Active).unwrap();
            }
        });
        node.engine.set_persistence(true);
        node.set(0, "k", "v");
        node.write();
        let items = node.store.faults().state().items;
        let left = items
            .keys()
            .filter(|(vbucket, _)| *vbucket == id(1))
            .count();
        assert_eq!((left, items.len()), (0, 1));
    }
}

/// With it the store takes what is found of a load that failed for a COMPLETE.
#[test]
fn a_window_is_recorded_by_itself_where_many_changes_are_written() {
    let node = with_many("");
    let known = node.store.faults().history().len();
    node.engine.core.persister.want_window(WindowRecord::Lost);
    node.engine.set_persistence(true);
    node.write();
    let history = node.store.faults().history();
    let (mut windows, mut loads) = (0, 0);
    for commit in &history[known..] {
        let is_window = |change: &Change| matches!(change, Change::SetWindow(WindowRecord::Lost));
        let has_window = commit.changes.iter().any(is_window);
        let is_load = commit.changes.len() > 100;
        assert!(!has_window || !is_load);
        windows += usize::from(has_window);
        loads += usize::from(is_load);
    }
    assert_eq!((windows, loads), (1, 1));
}

#[test]
fn a_commit_is_measured_and_counted() {
    let node = Node::new();
    node.set(0, "k", "v");
    node.write();
    node.set(0, "l", "v");
    node.remove(0, "k").unwrap();
    node.write();
    let figures = metrics(&node);
    node.host
        .until("all cycles have ended", || figures.remover_runs.get() > 0);
    let deleted = figures.rows_deleted.get();
    let put = figures.writes.get() - deleted;
    // The first version of a key may have been superseded before it was written.
    assert!(put == 2 && deleted == 1, "{put} {deleted}");
    node.store.hold_commits(true);
    node.set(0, "m", "v");
    node.host
        .until("the flusher commits", || node.store.held() > 0);
    node.host.advance(7);
    node.store.hold_commits(false);
    node.host
        .until("it is measured", || figures.flush_micros.max.get() > 0);
    for gauge in [&figures.commit_micros, &figures.flush_micros] {
        let all = (gauge.last.get(), gauge.total.get(), gauge.max.get());
        assert_eq!(all, (7_000_000, 7_000_000, 7_000_000));
    }
    assert_eq!(figures.age_seconds.max.get(), 7);
    figures.reset();
    assert_eq!(
        (
            figures.commit_micros.max.get(),
            figures.age_seconds.last.get()
        ),
        (0, 0)
    );
    assert_eq!(figures.commit_micros.total.get(), 7_000_000);
}

#[test]
fn a_store_that_fails_is_told_until_it_is_well() {
    let node = Node::new();
    node.write();
    node.store.faults().fail_commits(true);
    node.set(0, "k", "v");
    let figures = metrics(&node);
    node.host
        .until("it tries again", || figures.retry_millis.get() >= 200);
    let told = figures.store_error.get();
    let failures = (figures.commit_failures.get(), figures.flush_failures.get());
    node.store.faults().fail_commits(false);
    // Only now: a node whose store fails cannot be shut down.
    assert!(!told.is_empty() && failures.0 >= 2 && failures.1 >= 2);
    node.host
        .until("it is well", || figures.retry_millis.get() == 0);
    assert_eq!(figures.store_error.get(), "");
    assert_eq!(
        (node.stored(0, "k").as_deref(), figures.begin_failures.get()),
        (Some("v"), 0)
    );
}

#[test]
fn a_stop_is_not_taken_for_a_recovery() {
    let node = Node::new();
    node.write();
    node.store.faults().fail_commits(true);
    node.set(0, "k", "v");
    let figures = metrics(&node);
    node.host
        .until("it failed", || figures.retry_millis.get() > 0);
    let runs = figures.remover_runs.get();
    node.engine.set_persistence(false);
    node.host
        .until("it gave up", || figures.remover_runs.get() > runs);
    let is_well = || {
        let again = "the store can be written again";
        node.host.has_logged(LogLevel::Info, again)
    };
    let too_early = is_well();
    node.store.faults().fail_commits(false);
    // Only now: a node whose store fails cannot be shut down.
    assert!(!too_early);
    node.engine.set_persistence(true);
    node.host.until("it is well", || {
        is_well() && figures.retry_millis.get() == 0
    });
}

#[test]
fn what_was_accepted_is_written_whatever_the_quota_becomes() {
    let node = Node::new();
    node.write();
    node.engine.set_persistence(false);
    node.set(0, "k", "v");
    let set = |text| node.engine.set_parameter(Family::Flush, "max_size", text);
    set("1").unwrap();
    node.engine.set_persistence(true);
    node.host.until("it is written", || {
        node.stored(0, "k").as_deref() == Some("v")
    });
    set("1000000").unwrap();
}

#[test]
fn what_was_committed_is_synced_while_younger_changes_wait() {
    let node = Node::with("min_data_age=100;durability=periodic");
    node.host.until("the start is written", || {
        metrics(&node).remover_runs.get() > 0
    });
    node.set(0, "k", "first");
    node.activate(7);
    until_stored(&node, "first");
    write_young(&node, "second");
    let synced = node.store.faults().crash().state();
    let row = synced.items.get(&(id(0), b"k".to_vec()));
    assert_eq!(row.unwrap().value, b"first");
}

/// A batch that is full reads no more logs. Who made a vbucket again waits for its record, and that
/// is not the one of the earlier vbucket, nor is what was due there.
#[test]
fn the_record_of_a_vbucket_that_was_made_again_comes_with_the_removal_of_the_old_one() {
    let node = Node::with("max_txn_size=1");
    node.activate(1);
    node.activate(2);
    let flush = || node.engine.flush(CLIENT, 1_000);
    node.host.call(CLIENT, flush).unwrap();
    node.write();
    assert_ne!(node.store.faults().state().vbuckets[&id(2)].due, 0);
    // No round but this test's.
    node.store.at_next_put(|| panic!("a defect for the test"));
    node.set(0, "k", "v");
    node.host.until("the flusher has died", || {
        node.engine.flusher_state() == FlusherState::Dead
    });
    // The round that died was full with vbucket 0; the next one begins with 1.
    for key in ["a", "b", "c"] {
        node.set(1, key, "v");
    }
    let core = &node.engine.core;
    core.set_vbucket(2, VbucketState::Dead).unwrap();
    core.delete_vbucket(2).unwrap();
    core.set_vbucket(2, VbucketState::Active).unwrap();
    node.set(2, "new", "v");
    assert_eq!(core.persister.round().unwrap(), Round::More);
    let record = node.store.faults().state().vbuckets[&id(2)];
    assert_eq!((record.state, record.due), (VbucketState::Active, 0));
    node.write();
    assert_eq!(node.stored(2, "new").as_deref(), Some("v"));
}

/// Has masters write more than a batch takes, now and whenever a batch is begun, so often at most.
fn feed(store: &TestStore, engine: &Arc<Engine>, left: usize) {
    assert!(left > 0, "COMPLETE waits for what others write");
    let key = left.to_string().into_bytes();
    let meta = Meta {
        hash: engine.hash(&key),
        flags: 0,
        expiry: 0,
        cas: 1,
    };
    let item = Item::with_value(&key, &[b"v"], meta).unwrap();
    for vbucket in [1, 2] {
        engine.vbucket(vbucket).unwrap().replicate(&item).unwrap();
    }
    let (again, engine) = (store.clone(), Arc::clone(engine));
    store.at_next_batch(move || feed(&again, &engine, left - 1));
}

#[test]
fn complete_does_not_wait_for_what_masters_go_on_to_write() {
    let node = Node::with("max_txn_size=1");
    for vbucket in [1, 2] {
        let core = &node.engine.core;
        core.set_vbucket(vbucket, VbucketState::Replica).unwrap();
    }
    node.start().unwrap();
    node.set(0, "k", "inside");
    // No round but those of COMPLETE.
    node.store.at_next_put(|| panic!("a defect for the test"));
    feed(&node.store, &node.engine, 1_000);
    node.host.until("the flusher has died", || {
        node.engine.flusher_state() == FlusherState::Dead
    });
    feed(&node.store, &node.engine, 50);
    assert_eq!(node.complete(), Ok(()));
    node.store.at_next_batch(|| {});
    assert_eq!(node.stored(0, "k").as_deref(), Some("inside"));
}

#[test]
fn complete_writes_first_what_lies_before_the_windows_however_much() {
    let node = Node::with("max_txn_size=1;chk_max_items=100");
    node.activate(1);
    node.engine.set_persistence(false);
    // It has nothing.
    node.activate(2);
    let key = |number: usize| format!("k{number}");
    for number in 0..300 {
        node.set(0, &key(number), "before");
        node.set(1, &key(number), "before");
    }
    node.start().unwrap();
    node.set(0, "inside", "1");
    // No round but those of COMPLETE.
    node.store.at_next_put(|| panic!("a defect for the test"));
    node.engine.set_persistence(true);
    node.host.until("the flusher has died", || {
        node.engine.flusher_state() == FlusherState::Dead
    });
    assert_eq!(node.complete(), Ok(()));
    for number in 0..300 {
        for vbucket in [0, 1] {
            assert!(node.stored(vbucket, &key(number)).is_some(), "{number}");
        }
    }
    assert_eq!(node.stored(0, "inside").as_deref(), Some("1"));
}
