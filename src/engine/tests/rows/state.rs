//! Rows E: vbuckets that change while a window is open, and commands on many of them.

use super::{Node, UpdateState, VbucketState, refusal};
use crate::engine::UpdateError;

#[test]
fn e1_a_vbucket_created_in_the_window_is_part_of_it() {
    for completes in [false, true] {
        let node = Node::new();
        node.start().unwrap();
        node.activate(7);
        node.set(7, "k", "inside");
        assert!(node.start().is_err());
        let outcome = node.decide(completes);
        assert_eq!(outcome, Ok(()));
        assert_eq!(node.state(), UpdateState::None);
        let node = node.crash_after_a_write();
        let expected = completes.then_some("inside");
        assert_eq!(node.get(7, "k").as_deref(), expected);
    }
}

#[test]
fn e2_a_vbucket_that_was_dead_meanwhile_can_be_decided() {
    for completes in [false, true] {
        let node = Node::with_vbuckets(2);
        node.set(1, "k", "before");
        node.write();
        node.start().unwrap();
        node.set(1, "k", "inside");
        node.engine.core.set_vbucket(1, VbucketState::Dead).unwrap();
        assert_eq!(node.complete(), Ok(()));
        node.activate(1);
        assert_eq!(node.state(), UpdateState::Open);
        let outcome = node.decide(completes);
        assert_eq!(outcome, Ok(()));
        let expected = if completes { "inside" } else { "before" };
        assert_eq!(node.get(1, "k").as_deref(), Some(expected));
        node.set(1, "later", "later");
        let node = node.crash_after_a_write();
        assert_eq!(node.get(1, "k").as_deref(), Some(expected));
        assert_eq!(node.get(1, "later").as_deref(), Some("later"));
    }
}

#[test]
fn e3_a_vbucket_that_was_dead_at_start_joins() {
    for completes in [false, true] {
        let node = Node::with_vbuckets(2);
        node.set(1, "k", "before");
        node.engine.core.set_vbucket(1, VbucketState::Dead).unwrap();
        node.start().unwrap();
        node.activate(1);
        node.set(1, "k", "inside");
        let outcome = node.decide(completes);
        assert_eq!(outcome, Ok(()));
        let expected = if completes { "inside" } else { "before" };
        assert_eq!(node.get(1, "k").as_deref(), Some(expected));
    }
}

#[test]
fn e4_a_refusal_is_of_the_whole_and_says_why() {
    let node = Node::with_vbuckets(3);
    let without = refusal(&node.complete()).to_owned();
    node.start().unwrap();
    let open = refusal(&node.start()).to_owned();
    node.engine.set_persistence(false);
    let stopped = node.complete();
    assert!(matches!(stopped, Err(UpdateError::Failed(_))));
    let stopped = refusal(&stopped);
    assert!(without != open && open != stopped && without != stopped);
    // None of them was a part of a success.
    for vbucket in 0..3 {
        assert!(
            node.engine
                .vbucket(vbucket)
                .unwrap()
                .window_phase()
                .is_some()
        );
    }
    assert_eq!(node.state(), UpdateState::Open);
}

#[test]
fn e5_a_command_takes_all_vbuckets_or_none() {
    let node = Node::with_vbuckets(3);
    node.start().unwrap();
    node.engine
        .core
        .set_vbucket(2, VbucketState::Replica)
        .unwrap();
    assert_eq!(node.complete(), Ok(()));
    // One that still has its window: START opens none on the others.
    node.activate(2);
    assert!(node.start().is_err());
    let has_window = |vbucket| {
        node.engine
            .vbucket(vbucket)
            .unwrap()
            .window_phase()
            .is_some()
    };
    assert_eq!([0, 1, 2].map(has_window), [false, false, true]);
    assert_eq!(node.revert(), Ok(()));
    assert_eq!([0, 1, 2].map(has_window), [false; 3]);
}
