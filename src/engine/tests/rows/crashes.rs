//! Rows A: what made the original's process abort.

use super::{Node, VbucketState, begin_revert, check_persists};
use crate::engine::VbucketError;

#[test]
fn a1_a_revert_right_after_start_is_a_revert() {
    let node = Node::new();
    for round in 0..100 {
        let before = round.to_string();
        node.set(0, "k", &before);
        node.start().unwrap();
        node.set(0, "k", "inside");
        assert_eq!(node.revert(), Ok(()));
        assert_eq!(node.get(0, "k"), Some(before));
    }
    let node = check_persists(node);
    assert_eq!(node.get(0, "k").as_deref(), Some("99"));
}

#[test]
fn a2_a_revert_while_persistence_is_stopped_loses_nothing() {
    let node = Node::new();
    node.engine.set_persistence(false);
    node.set(0, "k", "before");
    node.start().unwrap();
    node.set(0, "k", "inside");
    node.host.advance(3600);
    assert_eq!(node.revert(), Ok(()));
    assert_eq!(node.get(0, "k").as_deref(), Some("before"));
    assert_eq!(node.stored(0, "k"), None);
    node.engine.set_persistence(true);
    let node = check_persists(node);
    assert_eq!(node.get(0, "k").as_deref(), Some("before"));
}

#[test]
fn a3_a_revert_while_the_flusher_is_busy_or_patient_loses_nothing() {
    for config in ["", "min_data_age=30"] {
        let node = Node::with(config);
        node.store.hold_commits(true);
        for key in 0..2_000 {
            node.set(0, &key.to_string(), "before");
        }
        if config.is_empty() {
            node.host
                .until("the flusher commits", || node.store.held() > 0);
        }
        node.begin_start();
        for key in 0..2_000 {
            node.set(0, &key.to_string(), "inside");
        }
        begin_revert(&node);
        for key in 0..2_000 {
            let value = node.get(0, &key.to_string());
            assert_eq!(value.as_deref(), Some("before"), "while it commits");
        }
        node.store.hold_commits(false);
        assert_eq!(node.revert(), Ok(()));
        let node = check_persists(node);
        for key in 0..2_000 {
            assert_eq!(node.get(0, &key.to_string()).as_deref(), Some("before"));
        }
    }
}

#[test]
fn a4_a_flush_all_and_a_complete_leave_a_node_that_persists() {
    let node = Node::new();
    node.set(0, "k", "before");
    node.start().unwrap();
    node.set(0, "l", "inside");
    node.flush_all();
    node.set(0, "m", "inside");
    assert_eq!(node.complete(), Ok(()));
    let node = check_persists(node);
    assert_eq!((node.get(0, "k"), node.get(0, "l")), (None, None));
    assert_eq!(node.get(0, "m").as_deref(), Some("inside"));
}

#[test]
fn a5_a_flush_all_and_a_revert_leave_a_node_that_persists() {
    let node = Node::new();
    node.set(0, "k", "before");
    node.start().unwrap();
    node.set(0, "l", "inside");
    node.flush_all();
    node.set(0, "m", "inside");
    assert_eq!(node.revert(), Ok(()));
    assert_eq!(node.items(), 1);
    let node = check_persists(node);
    assert_eq!(node.get(0, "k").as_deref(), Some("before"));
    assert_eq!((node.get(0, "l"), node.get(0, "m")), (None, None));
}

/// Nothing resets a vbucket but its deletion, which the window refuses; what is made in its place
/// afterwards knows nothing of the window.
#[test]
fn a6_a_vbucket_is_not_reset_inside_its_window() {
    let node = Node::with_vbuckets(2);
    node.set(1, "k", "before");
    node.start().unwrap();
    node.set(1, "k", "inside");
    node.engine.core.set_vbucket(1, VbucketState::Dead).unwrap();
    assert_eq!(
        node.engine.core.delete_vbucket(1),
        Err(VbucketError::InWindow)
    );
    node.activate(1);
    assert_eq!(node.get(1, "k").as_deref(), Some("inside"));
    assert_eq!(node.revert(), Ok(()));
    node.engine.core.set_vbucket(1, VbucketState::Dead).unwrap();
    assert_eq!(node.engine.core.delete_vbucket(1), Ok(()));
    node.activate(1);
    assert!(node.engine.vbucket(1).unwrap().window_phase().is_none());
    node.set(1, "k", "after");
    let node = check_persists(node);
    assert_eq!(node.get(1, "k").as_deref(), Some("after"));
}
