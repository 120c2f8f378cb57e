//! Vbuckets that come, go, wait and come back.

use std::sync::Arc;

use super::{CLIENT, Node, text};
use crate::engine::VbucketError;
use crate::error::Error;
use crate::host::Cookie;
use crate::types::{StoreOp, VbucketState};

#[test]
fn clients_wait_for_a_pending_vbucket_and_go_on_when_it_is_active() {
    let node = Node::new();
    node.engine
        .core
        .set_vbucket(3, VbucketState::Pending)
        .unwrap();
    let cookies: Vec<Cookie> = (1..=20).map(Cookie::new).collect();
    for &cookie in &cookies {
        let waits = node.host.call(cookie, || node.engine.get(cookie, b"k", 3));
        assert!(matches!(waits, Err(Error::WouldBlock)));
        assert!(!node.host.is_notified(cookie));
    }
    // Another vbucket resumes nobody here.
    node.activate(4);
    assert_eq!(node.engine.pending_ops(), cookies.len());
    node.activate(3);
    for &cookie in &cookies {
        node.host.wait(cookie);
        let found = node.host.call(cookie, || node.engine.get(cookie, b"k", 3));
        assert!(matches!(found, Err(Error::NotFound)));
        assert_eq!(node.host.notifications(cookie), 1);
    }
    node.set(3, "k", "v");
}

/// A connection with a stream is woken for that while its command waits, and the host then repeats
/// the command.
#[test]
fn a_client_that_calls_again_waits_once() {
    let node = Node::new();
    node.engine
        .core
        .set_vbucket(3, VbucketState::Pending)
        .unwrap();
    let get = || node.engine.get(CLIENT, b"k", 3);
    for _ in 0..1_000 {
        let waits = node.host.call(CLIENT, get);
        assert!(matches!(waits, Err(Error::WouldBlock)));
    }
    assert_eq!(node.engine.pending_ops(), 1);
    let metrics = &node.engine.shared().metrics;
    assert_eq!(metrics.pending_ops_total.get(), 1);
    node.activate(3);
    node.host.wait(CLIENT);
    assert!(matches!(node.host.call(CLIENT, get), Err(Error::NotFound)));
    assert_eq!(node.host.notifications(CLIENT), 1);
}

#[test]
fn a_client_that_hangs_up_waits_for_a_pending_vbucket_no_longer() {
    let node = Node::new();
    node.engine
        .core
        .set_vbucket(3, VbucketState::Pending)
        .unwrap();
    let (gone, other) = (Cookie::new(1), Cookie::new(2));
    for cookie in [gone, other] {
        let waits = node.host.call(cookie, || node.engine.get(cookie, b"k", 3));
        assert!(matches!(waits, Err(Error::WouldBlock)));
    }
    // The host keeps the cookie of a request that waits until it is notified.
    let disconnect = || {
        node.engine.disconnected(gone);
        Ok(())
    };
    node.host.call(gone, disconnect).unwrap();
    node.host.wait(gone);
    assert_eq!(node.engine.pending_ops(), 1);
    assert!(!node.host.is_notified(other));
    node.activate(3);
    node.host.wait(other);
    assert_eq!(node.host.notifications(gone), 1);
}

#[test]
fn clients_of_a_pending_vbucket_that_dies_are_sent_elsewhere() {
    let node = Node::new();
    for state in [VbucketState::Dead, VbucketState::Replica] {
        node.engine
            .core
            .set_vbucket(3, VbucketState::Pending)
            .unwrap();
        let item = node.item("k", "v", 0);
        let store = || node.engine.store(CLIENT, &item, StoreOp::Set, 3);
        assert_eq!(node.host.call(CLIENT, store), Err(Error::WouldBlock));
        node.engine.core.set_vbucket(3, state).unwrap();
        node.host.wait(CLIENT);
        assert_eq!(node.host.call(CLIENT, store), Err(Error::NotMyVbucket));
    }
}

#[test]
fn only_a_dead_vbucket_outside_of_a_window_is_deleted() {
    let node = Node::with_vbuckets(3);
    assert_eq!(
        node.engine.core.delete_vbucket(2),
        Err(VbucketError::NotDead)
    );
    assert_eq!(
        node.engine.core.delete_vbucket(9),
        Err(VbucketError::Missing)
    );
    assert_eq!(
        node.engine.core.delete_vbucket(60_000),
        Err(VbucketError::Missing)
    );
    assert_eq!(
        node.engine.core.set_vbucket(1_024, VbucketState::Active),
        Err(VbucketError::OutOfRange)
    );
    node.set(2, "k", "before");
    node.start().unwrap();
    node.set(2, "k", "inside");
    node.engine.core.set_vbucket(2, VbucketState::Dead).unwrap();
    assert_eq!(
        node.engine.core.delete_vbucket(2),
        Err(VbucketError::InWindow)
    );
    node.activate(2);
    assert_eq!(node.get(2, "k").as_deref(), Some("inside"));
    assert_eq!(node.revert(), Ok(()));
    node.engine.core.set_vbucket(2, VbucketState::Dead).unwrap();
    assert_eq!(node.engine.core.delete_vbucket(2), Ok(()));
    assert_eq!(node.engine.vbucket_state(2), None);
    assert!(matches!(node.item_of(2, "k"), Err(Error::NotMyVbucket)));
}

fn delete(node: &Node, vbucket: u16) {
    node.engine
        .core
        .set_vbucket(vbucket, VbucketState::Dead)
        .unwrap();
    assert_eq!(node.engine.core.delete_vbucket(vbucket), Ok(()));
}

/// Deletes a vbucket and makes it again with one other key.
fn replace(engine: &crate::engine::Engine, vbucket: u16) {
    engine
        .core
        .set_vbucket(vbucket, VbucketState::Dead)
        .unwrap();
    assert_eq!(engine.core.delete_vbucket(vbucket), Ok(()));
    engine
        .core
        .set_vbucket(vbucket, VbucketState::Active)
        .unwrap();
    let item = engine.allocate(b"new", 1, 0, 0).unwrap();
    item.fill(b"n");
    engine.store(CLIENT, &item, StoreOp::Set, vbucket).unwrap();
}

fn check_replaced(node: &Node, vbucket: u16) {
    assert_eq!(
        (
            node.get(vbucket, "old"),
            node.get(vbucket, "new").as_deref()
        ),
        (None, Some("n"))
    );
    assert_eq!(node.engine.vbucket(vbucket).unwrap().items(), 1);
}

#[test]
fn a_vbucket_made_again_never_shows_old_keys() {
    for writes_between in [false, true] {
        let node = Node::with_vbuckets(2);
        let old = node.set(1, "old", "o");
        node.write();
        delete(&node, 1);
        if writes_between {
            node.write();
            assert_eq!(node.stored(1, "old"), None);
        }
        node.activate(1);
        let new = node.set(1, "new", "n");
        assert!(new > old, "a CAS went back");
        check_replaced(&node, 1);
        node.write();
        let node = node.crash();
        check_replaced(&node, 1);
    }
}

#[test]
fn a_vbucket_made_again_while_the_wall_clock_stands_never_shows_old_keys() {
    let node = Node::new();
    node.engine.set_persistence(false);
    node.host.stop_wall(1_600_000_000_000_000_000);
    node.activate(1);
    let old = node.set(1, "old", "o");
    node.engine.set_persistence(true);
    node.write();
    assert_eq!(node.stored(1, "old").as_deref(), Some("o"));
    delete(&node, 1);
    // A clock that was set back.
    node.host.stop_wall(1_600_000_000_000_000_000);
    node.activate(1);
    let new = node.set(1, "new", "n");
    node.write();
    assert_eq!(node.stored(1, "old"), None);
    assert!(new > old, "a CAS was given again");
    let node = node.crash();
    check_replaced(&node, 1);
}

#[test]
fn a_vbucket_replaced_between_the_reading_and_the_commit_of_a_batch_leaves_no_old_keys() {
    for is_known in [false, true] {
        let node = Node::with_vbuckets(1);
        node.write();
        if is_known {
            node.activate(1);
            node.set(1, "older", "o");
            node.write();
        }
        node.engine.set_persistence(false);
        node.activate(1);
        node.set(1, "old", "o");
        // The flusher has read the logs when it begins a batch.
        let engine = Arc::clone(&node.engine);
        node.store.at_next_batch(move || replace(&engine, 1));
        node.engine.set_persistence(true);
        node.host
            .until("the batch is begun", || node.store.is_done());
        node.write();
        let node = node.crash();
        assert_eq!(node.get(1, "older"), None);
        check_replaced(&node, 1);
    }
}

#[test]
fn a_vbucket_replaced_while_a_batch_is_filled_leaves_no_old_keys() {
    let node = Node::with_vbuckets(2);
    node.set(1, "old", "o");
    node.write();
    node.engine.set_persistence(false);
    node.set(0, "k", "v");
    let engine = Arc::clone(&node.engine);
    node.store.at_next_put(move || replace(&engine, 1));
    node.engine.set_persistence(true);
    node.host
        .until("the batch is filled", || node.store.is_done());
    node.write();
    let node = node.crash();
    check_replaced(&node, 1);
}

#[test]
fn a_vbucket_deleted_before_its_first_commit_leaves_nothing_behind() {
    let node = Node::with_vbuckets(1);
    node.write();
    node.engine.set_persistence(false);
    node.activate(1);
    node.set(1, "old", "o");
    let engine = Arc::clone(&node.engine);
    node.store.at_next_batch(move || {
        engine.core.set_vbucket(1, VbucketState::Dead).unwrap();
        assert_eq!(engine.core.delete_vbucket(1), Ok(()));
    });
    node.engine.set_persistence(true);
    node.host
        .until("the batch is begun", || node.store.is_done());
    node.write();
    let node = node.crash();
    assert_eq!(node.engine.vbucket_state(1), None);
    node.activate(1);
    node.set(1, "new", "n");
    node.write();
    let node = node.crash();
    check_replaced(&node, 1);
}

#[test]
fn states_survive_a_restart_and_a_deletion_does_too() {
    let node = Node::with_vbuckets(4);
    node.set(1, "k", "v");
    node.engine
        .core
        .set_vbucket(1, VbucketState::Replica)
        .unwrap();
    node.engine
        .core
        .set_vbucket(2, VbucketState::Pending)
        .unwrap();
    delete(&node, 3);
    let node = node.restart();
    let states: Vec<_> = (0..4).map(|id| node.engine.vbucket_state(id)).collect();
    let expected = [
        Some(VbucketState::Active),
        Some(VbucketState::Replica),
        Some(VbucketState::Pending),
        None,
    ];
    assert_eq!(states, expected);
    node.activate(1);
    let item = node.item_of(1, "k").unwrap();
    assert_eq!(text(&item), "v");
}

#[test]
fn a_deletion_is_answered_when_it_is_durable() {
    let node = Node::new();
    node.activate(1);
    node.set(1, "k", "v");
    node.write();
    node.engine.core.set_vbucket(1, VbucketState::Dead).unwrap();
    node.write();
    node.store.hold_commits(true);
    let delete = || node.engine.delete_vbucket(CLIENT, 1);
    assert_eq!(node.host.call(CLIENT, delete), Err(Error::WouldBlock));
    assert_eq!(node.engine.vbucket_state(1), None, "memory first");
    node.host
        .until("the store is told", || node.store.held() > 0);
    assert!(!node.host.is_notified(CLIENT));
    let crashed = node.after_a_crash();
    assert_eq!(crashed.engine.vbucket_state(1), Some(VbucketState::Dead));
    node.store.hold_commits(false);
    node.host.wait(CLIENT);
    assert_eq!(node.host.call(CLIENT, delete), Ok(Ok(())));
    assert_eq!(node.after_a_crash().engine.vbucket_state(1), None);
    assert_eq!(node.host.notifications(CLIENT), 1);
}

#[test]
fn a_deletion_that_the_store_cannot_note_says_so_and_one_without_persistence_does_not_wait() {
    let node = Node::with_vbuckets(3);
    node.write();
    for vbucket in [1, 2] {
        node.engine
            .core
            .set_vbucket(vbucket, VbucketState::Dead)
            .unwrap();
    }
    node.write();
    node.store.faults().fail_commits(true);
    let delete = |vbucket| {
        node.host
            .finish(CLIENT, || node.engine.delete_vbucket(CLIENT, vbucket))
    };
    assert_eq!(delete(1), Ok(Err(VbucketError::Unwritten)));
    node.store.faults().fail_commits(false);
    node.write();
    assert_eq!(node.after_a_crash().engine.vbucket_state(1), None);
    node.engine.set_persistence(false);
    assert_eq!(delete(2), Ok(Ok(())));
}

#[test]
fn a_replica_that_never_learned_an_id_begins_with_one_when_it_becomes_active() {
    let node = Node::new();
    let open_id = || {
        let vbucket = node.engine.vbucket(4).unwrap();
        vbucket.with_log(crate::checkpoint::Log::open_id).get()
    };
    node.engine
        .core
        .set_vbucket(4, VbucketState::Replica)
        .unwrap();
    assert_eq!(open_id(), 0);
    node.activate(4);
    assert_eq!(open_id(), 1);
    node.start().unwrap();
    assert_eq!(open_id(), 2);
    node.revert().unwrap();
    node.activate(4);
    assert_eq!(open_id(), 3);
}

/// Before a restart and after it.
#[test]
fn the_outcome_is_the_same_when_a_vbucket_takes_its_window_with_it() {
    let node = Node::new();
    let core = &node.engine.core;
    node.start().unwrap();
    core.set_vbucket(0, VbucketState::Dead).unwrap();
    assert!(node.engine.vbucket(0).unwrap().give());
    core.delete_vbucket(0).unwrap();
    assert_eq!(node.last_outcome(), "reverted");
    let node = node.restart();
    assert_eq!(node.last_outcome(), "reverted");

    let node = Node::new();
    let core = &node.engine.core;
    node.start().unwrap();
    node.complete().unwrap();
    node.start().unwrap();
    core.set_vbucket_as(0, VbucketState::Pending, true).unwrap();
    assert_eq!(node.last_outcome(), "completed");
    let node = node.restart();
    assert_eq!(node.last_outcome(), "completed");
}

/// A stream was told that there is no window; an operator's START and a client came before it went
/// on.
#[test]
fn a_vbucket_is_not_handed_over_to_this_node_under_its_operators_window() {
    let node = Node::new();
    node.set(0, "k", "before");
    node.start().unwrap();
    node.set(0, "k", "inside");
    let core = &node.engine.core;
    core.set_vbucket_as(0, VbucketState::Pending, true)
        .unwrap_err();
    assert_eq!(node.engine.vbucket_state(0), Some(VbucketState::Active));
    node.complete().unwrap();
    assert_eq!(node.get(0, "k").as_deref(), Some("inside"));
    core.set_vbucket_as(0, VbucketState::Pending, true).unwrap();
}

/// What another node took is none of this one's updates.
#[test]
fn the_outcome_stays_when_a_vbucket_is_deleted_that_was_taken_over() {
    let node = Node::with_vbuckets(2);
    let core = &node.engine.core;
    node.start().unwrap();
    core.set_vbucket(1, VbucketState::Dead).unwrap();
    assert!(node.engine.vbucket(1).unwrap().give());
    node.complete().unwrap();
    core.delete_vbucket(1).unwrap();
    assert_eq!(node.last_outcome(), "completed");
    assert_eq!(node.restart().last_outcome(), "completed");
}
