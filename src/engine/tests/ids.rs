//! Ids of checkpoints over restarts and crashes, and what the store says of windows.

use super::{Node, id};
use crate::checkpoint::Log;
use crate::engine::{UpdateError, VbucketError};
use crate::error::Error;
use crate::store::WindowRecord;
use crate::types::{CheckpointId, VbucketState};

fn open_id(node: &Node, vbucket: u16) -> CheckpointId {
    node.engine.vbucket(vbucket).unwrap().with_log(Log::open_id)
}

/// Enough writes to close `count` checkpoints.
fn close(node: &Node, count: usize) {
    for key in 0..count * 100 {
        node.set(0, &key.to_string(), "v");
    }
}

#[test]
fn an_id_is_never_given_twice_whenever_the_node_crashes() {
    let mut node = Node::with("chk_max_items=100");
    for crash in 0..40 {
        let first = open_id(&node, 0);
        match crash % 4 {
            0 => close(&node, 7),
            1 => node.start().unwrap(),
            2 => {
                node.start().unwrap();
                close(&node, 1);
                node.revert().unwrap();
                node.start().unwrap();
            }
            _ => {
                node.engine.set_persistence(false);
                close(&node, 3);
            }
        }
        let last = open_id(&node, 0);
        assert!(last >= first);
        // Whatever of this has been committed by now.
        node = node.crash();
        assert!(open_id(&node, 0) > last, "crash {crash}: {last}");
    }
}

#[test]
fn a_restart_in_good_order_skips_no_id() {
    let node = Node::with("chk_max_items=100");
    for _ in 0..2 {
        close(&node, 1);
        node.write();
    }
    node.set(0, "one more", "v");
    assert_eq!(open_id(&node, 0), CheckpointId::new(3));
    let node = node.restart();
    // The open checkpoint held a key: it was closed, as number 3, and is durable.
    let record = node.store.faults().state().vbuckets[&id(0)];
    assert_eq!(record.checkpoint, CheckpointId::new(3));
    assert_eq!(open_id(&node, 0), CheckpointId::new(4));
    // This one is empty, and goes on.
    let node = node.restart();
    assert_eq!(open_id(&node, 0), CheckpointId::new(4));
    node.flush_all();
    let node = node.restart();
    assert_eq!(open_id(&node, 0), CheckpointId::new(5));
}

#[test]
fn a_restart_in_good_order_skips_the_id_of_a_window() {
    let node = Node::new();
    node.start().unwrap();
    assert_eq!(open_id(&node, 0), CheckpointId::new(2));
    node.set(0, "k", "inside");
    let node = node.restart();
    assert_eq!(open_id(&node, 0), CheckpointId::new(3));
    assert_eq!(
        (node.get(0, "k"), node.last_outcome()),
        (None, "lost at restart")
    );
}

#[test]
fn a_window_that_came_back_after_a_failed_complete_takes_its_ids_along() {
    let node = Node::new();
    node.start().unwrap();
    node.set(0, "k", "inside");
    node.write();
    node.store.faults().fail_commits(true);
    assert!(matches!(node.complete(), Err(UpdateError::Failed(_))));
    node.store.faults().fail_commits(false);
    // 1 before the window, 2 the window, 3 behind the attempt.
    let node = node.restart();
    assert_eq!(open_id(&node, 0), CheckpointId::new(4));
}

#[test]
fn without_reserved_ids_no_window_begins() {
    let node = Node::new();
    node.write();
    let before = open_id(&node, 0);
    node.engine.set_persistence(false);
    while node.start().is_ok() {
        node.revert().unwrap();
    }
    let last = open_id(&node, 0);
    assert!(last.get() > before.get() + 100, "{last}");
    let record = node.store.faults().state().vbuckets[&id(0)];
    assert!(last <= record.reserved);
    assert!(last.get() + 3 > record.reserved.get(), "some are left over");
    let Err(UpdateError::Failed(text)) = node.start() else {
        panic!("ids were given that are not reserved");
    };
    assert!(
        text.contains("has not reserved enough checkpoint ids"),
        "{text}"
    );
    assert!(open_id(&node.after_a_crash(), 0) > last);
    node.engine.set_persistence(true);
    node.write();
    node.start().unwrap();
    close(&node, 1);
    node.revert().unwrap();
    assert!(open_id(&node, 0) > last);
}

#[test]
fn a_vbucket_that_cannot_join_a_window_is_not_let_in() {
    let node = Node::with_vbuckets(2);
    node.engine.core.set_vbucket(1, VbucketState::Dead).unwrap();
    node.write();
    node.engine.set_persistence(false);
    node.engine
        .core
        .set_vbucket(1, VbucketState::Active)
        .unwrap();
    // Every window takes two ids, and this one is alone in it.
    node.engine.core.set_vbucket(0, VbucketState::Dead).unwrap();
    while node.start().is_ok() {
        node.revert().unwrap();
    }
    node.engine.core.set_vbucket(1, VbucketState::Dead).unwrap();
    node.engine
        .core
        .set_vbucket(0, VbucketState::Active)
        .unwrap();
    node.start().unwrap();
    let refused = node.engine.core.set_vbucket(1, VbucketState::Active);
    assert_eq!(refused, Err(VbucketError::CannotJoin));
    assert_eq!(node.engine.vbucket_state(1), Some(VbucketState::Dead));
    node.engine.set_persistence(true);
    node.write();
    node.activate(1);
    node.set(1, "k", "inside");
    node.revert().unwrap();
    assert!(matches!(node.item_of(1, "k"), Err(Error::NotFound)));
}

#[test]
fn the_store_says_what_was_decided_and_whether_a_window_is_left() {
    for completes in [false, true] {
        let node = Node::with_vbuckets(2);
        node.start().unwrap();
        node.set(0, "k", "inside");
        node.set(1, "k", "inside");
        // A dead vbucket keeps its window.
        node.engine.core.set_vbucket(1, VbucketState::Dead).unwrap();
        let end = |node: &Node| {
            let outcome = node.decide(completes);
            outcome.unwrap();
            node.write();
        };
        end(&node);
        let (record, outcome) = if completes {
            (WindowRecord::PartlyCompleted, "completed")
        } else {
            (WindowRecord::Reverted, "reverted")
        };
        assert_eq!(node.store.faults().state().window, Some(record));
        let crashed = node.after_a_crash();
        let value = completes.then(|| "inside".to_owned());
        assert_eq!(
            (crashed.get(0, "k"), crashed.last_outcome()),
            (value.clone(), outcome)
        );
        drop(crashed);
        node.activate(1);
        end(&node);
        let expected = if completes {
            WindowRecord::Completed
        } else {
            WindowRecord::Reverted
        };
        assert_eq!(node.store.faults().state().window, Some(expected));
        let node = node.crash();
        assert_eq!((node.get(0, "k"), node.get(1, "k")), (value.clone(), value));
    }
}
