//! Rows F: restarts, and what a window costs.

use super::{Error, Node, StoreOp, check_persists, set_until};
use crate::checkpoint::Log;
use crate::settings::Family;

#[test]
fn f1_a_window_lost_at_a_restart_is_told() {
    for crashes in [false, true] {
        let node = Node::new();
        node.set(0, "k", "before");
        node.start().unwrap();
        node.set(0, "k", "inside");
        node.write();
        let node = if crashes {
            node.crash()
        } else {
            node.restart()
        };
        assert_eq!(node.last_outcome(), "lost at restart");
        assert_eq!(node.get(0, "k").as_deref(), Some("before"));
        assert!(node.complete().is_err());
        check_persists(node);
    }
}

#[test]
fn f2_a_complete_that_answered_is_durable() {
    let node = Node::new();
    for key in 0..2_000 {
        node.set(0, &key.to_string(), "before");
    }
    node.start().unwrap();
    for key in 0..2_000 {
        node.set(0, &key.to_string(), "inside");
    }
    assert_eq!(node.complete(), Ok(()));
    let node = node.crash();
    for key in 0..2_000 {
        assert_eq!(node.get(0, &key.to_string()).as_deref(), Some("inside"));
    }
}

#[test]
fn f3_a_complete_is_atomic_whatever_the_size_of_a_transaction() {
    let node = Node::with("max_txn_size=10");
    for key in 0..200 {
        node.set(0, &key.to_string(), "before");
    }
    node.write();
    node.start().unwrap();
    for key in 0..200 {
        node.set(0, &key.to_string(), "inside");
    }
    node.write();
    let commits = node.store.faults().commits();
    let check = |node: &Node, expected: &str| {
        for key in 0..200 {
            assert_eq!(node.get(0, &key.to_string()).as_deref(), Some(expected));
        }
    };
    node.store.hold_commits(true);
    node.begin_complete();
    node.host
        .until("COMPLETE commits", || node.store.held() > 0);
    check(&node.after_a_crash(), "before");
    node.store.hold_commits(false);
    assert_eq!(node.complete(), Ok(()));
    let history = node.store.faults().history();
    let large = history[commits..]
        .iter()
        .filter(|commit| commit.changes.len() >= 200);
    assert_eq!(large.count(), 1);
    check(&node.crash(), "inside");
}

#[test]
fn f4_the_answer_of_complete_tells_that_it_is_on_disk() {
    let node = Node::new();
    node.start().unwrap();
    node.set(0, "k", "inside");
    node.write();
    node.store.hold_commits(true);
    node.begin_complete();
    node.host
        .until("COMPLETE commits", || node.store.held() > 0);
    assert!(!node.host.is_notified(super::OPERATOR));
    assert_eq!(node.stored(0, "k"), None);
    node.store.hold_commits(false);
    node.host.wait(super::OPERATOR);
    assert_eq!(node.stored(0, "k").as_deref(), Some("inside"));
    assert_eq!(node.complete(), Ok(()));
}

#[test]
fn f5_memory_full_of_a_window_is_a_temporary_failure() {
    for completes in [false, true] {
        let node = Node::new();
        let value = |word: &str| format!("{word} {}", "x".repeat(5_000));
        for key in 0..1_000 {
            node.set(0, &key.to_string(), &value("before"));
        }
        node.write();
        node.start().unwrap();
        for key in 0..1_000 {
            node.set(0, &key.to_string(), &value("inside"));
        }
        let quota = |text: &str| {
            let set = node.engine.set_parameter(Family::Flush, "max_size", text);
            set.unwrap();
        };
        // Less than this window takes, and nothing of it can go.
        quota("4000000");
        for seconds in 0..30 {
            node.host.advance(seconds);
            let refused = node.store(StoreOp::Set, 0, "k", &value("inside"));
            assert_eq!(refused, Err(Error::Temporary));
        }
        assert_eq!(node.get(0, "7"), Some(value("inside")));
        let outcome = node.decide(completes);
        assert_eq!(outcome, Ok(()));
        let expected = if completes { "inside" } else { "before" };
        for key in 0..1_000 {
            assert_eq!(node.get(0, &key.to_string()), Some(value(expected)));
        }
    }
}

#[test]
fn f6_deletions_of_a_window_leave_no_slot_once_it_has_ended() {
    for completes in [false, true] {
        let node = Node::new();
        for key in 0..100 {
            node.set(0, &key.to_string(), "before");
        }
        node.write();
        node.start().unwrap();
        for key in 0..100 {
            node.remove(0, &key.to_string()).unwrap();
            node.set(0, &format!("new {key}"), "inside");
            node.remove(0, &format!("new {key}")).unwrap();
        }
        assert_eq!(node.items(), 0);
        let outcome = node.decide(completes);
        assert_eq!(outcome, Ok(()));
        node.write();
        let slots = node.engine.vbucket(0).unwrap().shape().slots;
        assert_eq!(slots, if completes { 0 } else { 100 });
    }
}

#[test]
fn f7_a_long_window_leaves_exact_figures() {
    for completes in [false, true] {
        let node = Node::with("queue_age_cap=10");
        node.set(0, "k", "before");
        node.write();
        node.start().unwrap();
        for key in 0..100 {
            node.set(0, &key.to_string(), "inside");
        }
        node.host.advance(100_000);
        let waiting = || node.engine.vbucket(0).unwrap().with_log(Log::unpersisted);
        let outcome = node.decide(completes);
        assert_eq!(outcome, Ok(()));
        node.write();
        assert_eq!(waiting(), 0);
        assert_eq!(node.engine.shared().metrics.too_old.get(), 0);
        node.engine.set_persistence(false);
        node.set(0, "k", "after");
        assert_eq!(waiting(), 1);
    }
}

/// Both kinds of expiry that a window can meet: of its own value, and of one from before START.
#[test]
fn f8_an_expiry_met_in_the_window_is_harmless() {
    let node = Node::new();
    set_until(&node, "old", "before", 5);
    node.set(0, "kept", "before");
    node.write();
    node.start().unwrap();
    set_until(&node, "kept", "inside", 5);
    node.host.advance(10);
    assert_eq!((node.get(0, "old"), node.get(0, "kept")), (None, None));
    assert_eq!(node.revert(), Ok(()));
    assert_eq!(node.get(0, "old"), None);
    assert_eq!(node.get(0, "kept").as_deref(), Some("before"));
    assert_eq!(node.items(), 1);
    let node = check_persists(node);
    assert_eq!(node.get(0, "old"), None);
    assert_eq!(node.get(0, "kept").as_deref(), Some("before"));
}
