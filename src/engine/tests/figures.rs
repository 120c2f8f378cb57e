//! What statistics ask of the engine: the state of the flusher, and how long things take.

use super::{CLIENT, Node};
use crate::error::Error;
use crate::flusher::FlusherState;
use crate::metrics::Counter;
use crate::types::{StoreOp, VbucketState};

#[test]
fn the_flusher_is_paused_when_its_last_commit_is_done() {
    let node = Node::new();
    node.write();
    assert_eq!(node.engine.flusher_state(), FlusherState::Running);
    node.store.hold_commits(true);
    node.set(0, "k", "v");
    node.host
        .until("the store commits", || node.store.held() > 0);
    node.engine.set_persistence(false);
    assert_eq!(node.engine.flusher_state(), FlusherState::Pausing);
    node.store.hold_commits(false);
    node.host.until("the flusher pauses", || {
        node.engine.flusher_state() == FlusherState::Paused
    });
    assert_eq!(node.stored(0, "k").as_deref(), Some("v"));
    node.engine.set_persistence(true);
    assert_eq!(node.engine.flusher_state(), FlusherState::Running);
}

#[test]
fn commits_are_timed_and_measured() {
    let node = Node::new();
    node.write();
    let metrics = &node.engine.shared().metrics;
    metrics.timings.commit.reset();
    metrics.writes.set(0);
    metrics.written_bytes.set(0);
    node.store.hold_commits(true);
    node.set(0, "key", "value");
    node.host
        .until("the store commits", || node.store.held() > 0);
    node.host.advance(3);
    node.store.hold_commits(false);
    node.write();
    let summary = metrics.timings.commit.summary().unwrap();
    assert_eq!((summary.count, summary.max), (1, 3_000_000));
    assert_eq!(metrics.commit_micros.total.get(), 3_000_000);
    assert_eq!((metrics.writes.get(), metrics.written_bytes.get()), (1, 8));
    node.start().unwrap();
    node.set(0, "key", "other");
    node.remove(0, "key").unwrap();
    node.complete().unwrap();
    // The window's one commit holds the deletion, which has no value.
    assert_eq!((metrics.writes.get(), metrics.written_bytes.get()), (2, 11));
    assert!(metrics.timings.commit.summary().unwrap().count >= 2);
}

#[test]
fn fetches_are_timed_and_measured() {
    let node = Node::new();
    node.set(0, "key", "value");
    // Warm-up loads no value above the low-water mark.
    let node = node.restart_with("mem_low_wat=1");
    node.store.hold_reads(true);
    let get = || node.engine.get(CLIENT, b"key", 0);
    assert!(matches!(
        node.host.call(CLIENT, get),
        Err(Error::WouldBlock)
    ));
    node.host
        .until("the store is read", || node.store.held() > 0);
    node.host.advance(2);
    node.store.hold_reads(false);
    node.host.wait(CLIENT);
    let metrics = &node.engine.shared().metrics;
    let load = metrics.timings.fetch_load.summary().unwrap();
    assert_eq!((load.count, load.max), (1, 2_000_000));
    let wait = metrics.timings.fetch_wait.summary().unwrap();
    assert_eq!((wait.count, wait.max), (1, 0));
    assert_eq!((metrics.reads.get(), metrics.read_bytes.get()), (1, 8));
}

#[test]
fn reverts_are_timed_and_deletions_counted() {
    let node = Node::with_vbuckets(2);
    node.start().unwrap();
    node.set(0, "k", "v");
    node.revert().unwrap();
    let metrics = &node.engine.shared().metrics;
    assert_eq!(metrics.timings.revert.summary().unwrap().count, 1);
    assert!(node.engine.core.delete_vbucket(1).is_err());
    node.engine.core.set_vbucket(1, VbucketState::Dead).unwrap();
    node.engine.core.delete_vbucket(1).unwrap();
    let counters = [
        &metrics.vbuckets_deleted,
        &metrics.vbucket_deletions_refused,
    ];
    assert_eq!(counters.map(Counter::get), [1, 1]);
}

/// A key counts when it is found expired, by whoever comes first: readers, writers, the pager, a
/// flusher or a restart add nothing. What a REVERT brings back and is found again counts again.
#[test]
fn an_expired_key_counts_once_and_again_when_a_revert_brought_it_back() {
    let node = Node::with("exp_pager_stime=10");
    let counted = |node: &Node| node.engine.shared().metrics.expired.get();
    for key in ["read", "written", "removed", "paged"] {
        let item = node.item(key, "value", 5);
        let store = || node.engine.store(CLIENT, &item, StoreOp::Set, 0);
        node.host.call(CLIENT, store).unwrap();
    }
    node.write();
    node.start().unwrap();
    node.host.advance(6);
    let expire = || {
        assert_eq!(node.get(0, "read"), None);
        node.set(0, "written", "again");
        assert_eq!(node.remove(0, "removed"), Err(Error::NotFound));
        node.host.until("the pager ran", || {
            node.host.advance(1);
            node.engine.core.house.wake();
            node.items() == 1
        });
        assert_eq!((node.get(0, "read"), node.get(0, "paged")), (None, None));
    };
    expire();
    assert_eq!(counted(&node), 4);
    node.revert().unwrap();
    expire();
    assert_eq!(counted(&node), 8);
    node.write();
    let node = node.restart();
    assert_eq!(node.get(0, "paged"), None);
    assert_eq!((node.items(), counted(&node)), (1, 0));
}
