//! Answers of writes that are held back until these are durable.

use super::{Node, StoreOp};
use crate::host::{Cookie, Host as _};

const ONE: Cookie = Cookie::new(0x3000);
const OTHER: Cookie = Cookie::new(0x3100);

impl Node {
    /// Whether the answer of what was changed just now is held back.
    fn holds(&self, client: Cookie) -> bool {
        let held = std::cell::Cell::new(false);
        let waits = self
            .engine
            .answer_when_written(client, 0, &|| held.set(true));
        assert_eq!(waits, held.get());
        waits
    }

    fn until_answered(&self, client: Cookie) -> bool {
        self.host
            .until("it is answered", || self.host.answered(client).is_some());
        self.host.answered(client).unwrap()
    }
}

#[test]
fn all_that_wait_are_answered_after_one_commit() {
    let node = Node::with("min_data_age=1000");
    node.write();
    node.store.hold_commits(true);
    node.set(0, "a", "1");
    assert!(node.holds(ONE));
    node.host
        .until("it is being written", || node.store.held() > 0);
    node.set(0, "b", "2");
    node.set(0, "c", "3");
    assert!(node.holds(OTHER));
    let before = node.store.faults().commits();
    assert_eq!(
        (node.host.answered(ONE), node.host.answered(OTHER)),
        (None, None)
    );
    node.store.hold_commits(false);
    assert!(node.until_answered(ONE) && node.until_answered(OTHER));
    assert_eq!(node.stored(0, "c").as_deref(), Some("3"));
    assert_eq!(node.store.faults().commits(), before + 2);
    // Nothing is left to wait for.
    assert!(!node.holds(ONE));
}

#[test]
fn a_change_may_take_more_than_one_commit() {
    let node = Node::with("max_txn_size=1;chk_max_items=100;min_data_age=1000");
    node.write();
    for number in 0..450 {
        node.set(0, &format!("key {number}"), "value");
    }
    assert!(node.holds(ONE));
    assert!(node.until_answered(ONE));
    assert_eq!(node.stored(0, "key 449").as_deref(), Some("value"));
}

#[test]
fn a_commit_that_fails_is_no_good_answer() {
    let node = Node::with("min_data_age=1000");
    node.write();
    node.store.faults().fail_commits(true);
    node.set(0, "a", "1");
    assert!(node.holds(ONE));
    assert!(!node.until_answered(ONE));
    node.store.faults().fail_commits(false);
    assert!(
        node.store(StoreOp::Add, 0, "a", "2").is_err(),
        "it is in memory"
    );
    node.set(0, "b", "1");
    assert!(node.holds(OTHER));
    assert!(node.until_answered(OTHER));
    assert_eq!(node.stored(0, "a").as_deref(), Some("1"));
}

#[test]
fn nothing_waits_in_a_window_or_while_persistence_is_stopped() {
    let node = Node::new();
    node.start().unwrap();
    node.set(0, "a", "1");
    assert!(!node.holds(ONE));
    node.complete().unwrap();
    node.engine.set_persistence(false);
    node.set(0, "a", "2");
    assert!(!node.holds(ONE));
    node.engine.set_persistence(true);
}

#[test]
fn who_waits_when_the_engine_ends_is_answered() {
    let node = Node::with("min_data_age=1000");
    node.write();
    node.store.hold_commits(true);
    node.set(0, "a", "1");
    assert!(node.holds(ONE));
    std::thread::scope(|scope| {
        scope.spawn(|| node.engine.shutdown());
        node.store.hold_commits(false);
    });
    assert_eq!(node.host.answered(ONE), Some(true));
}

/// What is written behind the end of a window is no part of it.
#[test]
fn answers_wait_while_an_update_ends() {
    let node = Node::new();
    node.write();
    node.start().unwrap();
    node.set(0, "a", "inside");
    assert!(!node.holds(ONE));
    node.store.hold_commits(true);
    node.begin_complete();
    node.set(0, "b", "behind");
    assert!(node.holds(ONE));
    node.host
        .until("COMPLETE is being written", || node.store.held() > 0);
    assert_eq!(node.host.answered(ONE), None);
    node.store.hold_commits(false);
    assert!(node.until_answered(ONE));
    assert_eq!(node.stored(0, "b").as_deref(), Some("behind"));
    node.complete().unwrap();
    // The same behind a REVERT whose background part has not begun.
    node.start().unwrap();
    node.set(0, "a", "again");
    let vbucket = node.engine.vbucket(0).unwrap();
    node.store.hold_commits(true);
    assert!(crate::vbucket::begin_revert(
        &[vbucket],
        node.host.monotonic()
    ));
    node.set(0, "c", "behind");
    assert!(node.holds(OTHER));
    node.store.hold_commits(false);
    assert!(node.until_answered(OTHER));
    assert_eq!(node.stored(0, "c").as_deref(), Some("behind"));
}

/// START may come between a change and its answer.
#[test]
fn what_was_written_before_a_window_is_waited_for_inside() {
    let node = Node::with("min_data_age=1000");
    node.write();
    node.store.hold_commits(true);
    node.set(0, "a", "before");
    node.begin_start();
    node.set(0, "a", "inside");
    assert!(node.holds(ONE));
    node.store.hold_commits(false);
    assert!(node.until_answered(ONE));
    assert_eq!(node.stored(0, "a").as_deref(), Some("before"));
    assert!(!node.holds(OTHER), "what is left is the window's");
}

/// A COMPLETE that fails leaves what came behind its end inside the window.
#[test]
fn who_waits_for_a_complete_that_fails_is_answered() {
    let node = Node::new();
    node.write();
    node.start().unwrap();
    node.set(0, "a", "inside");
    node.store.hold_commits(true);
    node.begin_complete();
    node.set(0, "b", "behind");
    assert!(node.holds(ONE));
    node.host
        .until("COMPLETE is being written", || node.store.held() > 0);
    node.store.faults().fail_commits(true);
    node.store.hold_commits(false);
    assert!(node.complete().is_err());
    node.store.faults().fail_commits(false);
    node.until_answered(ONE);
    node.complete().unwrap();
}

/// A change that another one has replaced is as durable as that one.
#[test]
fn a_change_that_is_replaced_while_it_waits_is_waited_for() {
    let node = Node::new();
    node.write();
    node.start().unwrap();
    node.store.hold_commits(true);
    // Of a window without a change: nothing else is due.
    node.begin_complete();
    node.set(0, "k", "1");
    assert!(node.holds(ONE));
    let vbucket = node.engine.vbucket(0).unwrap();
    let upto = vbucket.with_log(crate::checkpoint::Log::next_seqno);
    node.set(0, "k", "2");
    let place = crate::engine::durable::Place::before(super::id(0), upto);
    assert!(
        !node.engine.core.is_reached(place),
        "nothing of the key is written"
    );
    node.store.hold_commits(false);
    assert!(node.until_answered(ONE));
    assert_eq!(node.stored(0, "k").as_deref(), Some("2"));
    node.complete().unwrap();
}
