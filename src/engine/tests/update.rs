//! START, COMPLETE and REVERT over the node.

use std::thread;

use super::{CLIENT, Node, OPERATOR, decide, id, refusal};
use crate::engine::{UpdateError, UpdateState};
use crate::error::Error;
use crate::host::fake::STARTED;
use crate::host::{Cookie, LogLevel};
use crate::store::WindowRecord;
use crate::store::fault::Change;
use crate::types::{StoreOp, VbucketState};

#[test]
fn complete_is_one_commit_over_all_vbuckets_and_durable_before_the_answer() {
    let node = Node::with_vbuckets(3);
    for vbucket in 0..3 {
        node.set(vbucket, "k", "before");
        node.set(vbucket, "gone", "before");
    }
    node.start().unwrap();
    for vbucket in 0..3 {
        node.set(vbucket, "k", "inside");
        node.set(vbucket, "new", "inside");
        node.remove(vbucket, "gone").unwrap();
    }
    node.write();
    node.store.hold_commits(true);
    node.begin_complete();
    node.host
        .until("COMPLETE commits", || node.store.held() > 0);
    assert!(
        !node.host.is_notified(OPERATOR),
        "answered before it was durable"
    );
    assert_eq!(node.state(), UpdateState::Completing);
    let before = node.after_a_crash();
    for vbucket in 0..3 {
        assert_eq!(before.get(vbucket, "k").as_deref(), Some("before"));
        assert_eq!(before.get(vbucket, "gone").as_deref(), Some("before"));
        assert_eq!(before.get(vbucket, "new"), None);
    }
    drop(before);
    node.store.hold_commits(false);
    node.host.wait(OPERATOR);
    let all = node.after_a_crash();
    for vbucket in 0..3 {
        assert_eq!(all.get(vbucket, "k").as_deref(), Some("inside"));
        assert_eq!(all.get(vbucket, "new").as_deref(), Some("inside"));
        assert_eq!(all.get(vbucket, "gone"), None);
    }
    assert_eq!(all.last_outcome(), "completed");
    assert_eq!(node.complete(), Ok(()));
    check_one_commit(&node);
}

/// Every key that the window touched is in the commit that says "completed", and in no other.
fn check_one_commit(node: &Node) {
    let is_end = |change: &Change| *change == Change::SetWindow(WindowRecord::Completed);
    let is_inside = |change: &&Change| match change {
        Change::Put(_, _, record) => record.value == b"inside",
        Change::Delete(_, key) => key == b"gone",
        _ => false,
    };
    for commit in node.store.faults().history() {
        let count = commit.changes.iter().filter(is_inside).count();
        assert_eq!(
            count,
            if commit.changes.iter().any(is_end) {
                9
            } else {
                0
            }
        );
    }
}

#[test]
fn complete_that_cannot_commit_leaves_the_window_open_with_all_that_was_written() {
    let node = Node::with_vbuckets(2);
    node.set(0, "k", "before");
    node.write();
    node.start().unwrap();
    node.set(0, "k", "inside");
    node.set(0, "l", "inside");
    node.write();
    node.store.hold_commits(true);
    node.begin_complete();
    node.host
        .until("COMPLETE commits", || node.store.held() > 0);
    node.set(0, "k", "since");
    node.set(1, "m", "since");
    node.remove(0, "l").unwrap();
    node.store.faults().fail_commits(true);
    node.store.hold_commits(false);
    let outcome = node.complete();
    let Err(UpdateError::Failed(text)) = &outcome else {
        panic!("{outcome:?}")
    };
    assert!(
        text.contains("told to fail") && text.contains("send COMPLETE again"),
        "{text}"
    );
    assert!(node.host.has_logged(LogLevel::Warning, text));
    assert_eq!(node.state(), UpdateState::Open);
    assert_eq!(node.engine.update_report().window.touched, 3);
    node.store.faults().fail_commits(false);
    node.write();
    let lost = node.after_a_crash();
    assert_eq!(lost.get(0, "k").as_deref(), Some("before"));
    assert_eq!(
        (lost.get(1, "m"), lost.last_outcome()),
        (None, "lost at restart")
    );
    drop(lost);
    assert_eq!(node.complete(), Ok(()));
    let node = node.crash();
    assert_eq!(node.get(0, "k").as_deref(), Some("since"));
    assert_eq!(node.get(1, "m").as_deref(), Some("since"));
    assert_eq!((node.get(0, "l"), node.last_outcome()), (None, "completed"));
}

/// Nobody knows whether a COMPLETE that failed did: a crash may bring it back, and so REVERT must
/// not say that it will not.
#[test]
fn revert_does_not_succeed_while_a_failed_complete_is_undecided() {
    let node = Node::new();
    node.set(0, "k", "before");
    node.start().unwrap();
    node.set(0, "k", "inside");
    node.write();
    node.store.faults().fail_commits(true);
    node.store.faults().set_undecided(true);
    assert!(node.complete().is_err());
    let outcome = node.revert();
    let Err(UpdateError::Failed(text)) = &outcome else {
        panic!("{outcome:?}")
    };
    assert!(text.contains("may bring the update back"), "{text}");
    assert_eq!(node.get(0, "k").as_deref(), Some("before"));
    assert_eq!(node.state(), UpdateState::None);
    node.store.faults().fail_commits(false);
    node.store.faults().set_undecided(false);
    assert_eq!(node.start(), Ok(()));
    assert_eq!(node.revert(), Ok(()));
    assert_eq!(node.crash().get(0, "k").as_deref(), Some("before"));
}

#[test]
fn revert_after_a_failed_complete_takes_everything_back() {
    let node = Node::new();
    node.set(0, "k", "before");
    node.start().unwrap();
    node.set(0, "k", "inside");
    node.write();
    node.store.faults().fail_commits(true);
    assert!(node.complete().is_err());
    node.set(0, "k", "since");
    node.set(0, "new", "since");
    node.store.faults().fail_commits(false);
    assert_eq!(node.revert(), Ok(()));
    assert_eq!(
        (node.get(0, "k").as_deref(), node.get(0, "new")),
        (Some("before"), None)
    );
    assert_eq!((node.items(), node.last_outcome()), (1, "reverted"));
}

#[test]
fn complete_commits_the_state_at_its_acceptance_and_later_writes_follow() {
    let node = Node::new();
    node.start().unwrap();
    node.set(0, "k", "accepted");
    node.set(0, "l", "accepted");
    node.write();
    node.store.hold_commits(true);
    node.begin_complete();
    node.host
        .until("COMPLETE commits", || node.store.held() > 0);
    node.set(0, "k", "later");
    node.remove(0, "l").unwrap();
    node.store.hold_commits(false);
    node.host.wait(OPERATOR);
    let ends = node.store.faults().history().into_iter().find(|commit| {
        commit
            .changes
            .contains(&Change::SetWindow(WindowRecord::Completed))
    });
    let value = |wanted: &[u8]| {
        ends.as_ref()
            .unwrap()
            .changes
            .iter()
            .find_map(|change| match change {
                Change::Put(_, key, record) if key == wanted => Some(record.value.clone()),
                _ => None,
            })
    };
    assert_eq!(value(b"k").as_deref(), Some(&b"accepted"[..]));
    assert_eq!(value(b"l").as_deref(), Some(&b"accepted"[..]));
    assert_eq!(node.complete(), Ok(()));
    node.write();
    let node = node.crash();
    assert_eq!(
        (node.get(0, "k").as_deref(), node.get(0, "l")),
        (Some("later"), None)
    );
}

#[test]
fn revert_right_after_start_loses_none_of_fifty_thousand_unwritten_values() {
    let node = Node::new();
    node.engine.set_persistence(false);
    let value = |key: usize| format!("value {key}");
    for key in 0..50_000 {
        node.set(0, &key.to_string(), &value(key));
    }
    node.start().unwrap();
    node.set(0, "1", "inside");
    node.remove(0, "2").unwrap();
    node.set(0, "new", "inside");
    assert_eq!(node.revert(), Ok(()));
    assert_eq!(node.items(), 50_000);
    let check = |node: &Node| {
        for key in 0..50_000 {
            assert_eq!(node.get(0, &key.to_string()), Some(value(key)));
        }
        assert_eq!(node.get(0, "new"), None);
    };
    check(&node);
    node.engine.set_persistence(true);
    node.write();
    let node = node.crash();
    check(&node);
    assert_eq!((node.items(), node.last_outcome()), (50_000, "reverted"));
}

#[test]
fn commands_in_the_wrong_state_are_refused_in_words_and_change_nothing() {
    let node = Node::new();
    for outcome in [node.complete(), node.revert()] {
        assert!(matches!(outcome, Err(UpdateError::Unsupported(_))));
        assert!(refusal(&outcome).contains("send START"));
    }
    node.start().unwrap();
    assert!(refusal(&node.start()).contains("COMPLETE (0x9c) or REVERT (0x9d)"));
    assert_eq!(node.state(), UpdateState::Open);
    node.write();
    for runs in [false, true] {
        node.store.hold_commits(true);
        if runs {
            node.begin_complete();
        } else {
            let begun = node
                .host
                .call(OPERATOR, || node.engine.revert_update(OPERATOR));
            assert_eq!(begun, Err(Error::WouldBlock));
        }
        node.host.until("it commits", || node.store.held() > 0);
        let other = |outcome| node.host.call(CLIENT, || outcome).unwrap();
        let refused = [
            node.start(),
            other(node.engine.complete_update(CLIENT)),
            other(node.engine.revert_update(CLIENT)),
        ];
        for outcome in &refused {
            assert!(matches!(outcome, Err(UpdateError::Unsupported(_))));
            assert!(refusal(outcome).contains("still running"));
        }
        node.store.hold_commits(false);
        assert_eq!(
            node.complete(),
            Ok(()),
            "the second call of whatever was begun"
        );
        if !runs {
            node.start().unwrap();
            node.write();
        }
    }
    assert_eq!(
        (node.state(), node.last_outcome()),
        (UpdateState::None, "completed")
    );
}

#[test]
fn start_without_an_active_vbucket_is_refused() {
    let node = Node::with("vb0=false");
    assert!(refusal(&node.start()).contains("SET_VBUCKET"));
    node.engine
        .core
        .set_vbucket(0, VbucketState::Replica)
        .unwrap();
    assert!(node.start().is_err());
    node.engine
        .core
        .set_vbucket(0, VbucketState::Pending)
        .unwrap();
    assert_eq!(node.start(), Ok(()));
}

#[test]
fn two_operators_who_race_get_exactly_one_winner() {
    let node = Node::with_vbuckets(3);
    for round in 0..60 {
        node.set(0, "k", "before");
        node.start().unwrap();
        node.set(0, "k", "inside");
        let send = |cookie: Cookie, completes: bool| {
            node.host
                .finish(cookie, || decide(&node.engine, cookie, completes))
        };
        let (one, other) = (Cookie::new(0x3000), Cookie::new(0x4000));
        let (completed, second) = thread::scope(|scope| {
            let first = scope.spawn(|| send(one, true).unwrap());
            let second = scope.spawn(|| send(other, round % 2 == 0).unwrap());
            (first.join().unwrap(), second.join().unwrap())
        });
        let winners = [&completed, &second]
            .iter()
            .filter(|outcome| outcome.is_ok())
            .count();
        assert_eq!(winners, 1, "{completed:?} {second:?}");
        let stays = completed.is_ok() || round % 2 == 0;
        let expected = if stays { "inside" } else { "before" };
        assert_eq!(node.get(0, "k").as_deref(), Some(expected));
        assert_eq!(node.state(), UpdateState::None);
    }
}

#[test]
fn the_outcome_is_given_once_and_never_to_somebody_else() {
    let node = Node::new();
    node.start().unwrap();
    node.begin_complete();
    node.host.wait(OPERATOR);
    // The client has gone; the next one gets the same cookie.
    node.engine.disconnected(OPERATOR);
    node.engine.disconnected(OPERATOR);
    assert!(refusal(&node.complete()).contains("send START"));
    node.start().unwrap();
    assert_eq!(node.revert(), Ok(()));
    assert!(refusal(&node.revert()).contains("send START"));
    assert_eq!(node.last_outcome(), "reverted");
}

#[test]
fn a_vbucket_made_in_the_window_joins_it() {
    let node = Node::new();
    node.start().unwrap();
    node.activate(7);
    node.set(7, "k", "inside");
    assert!(node.engine.vbucket(7).unwrap().window_phase().is_some());
    node.write();
    assert_eq!(node.stored(7, "k"), None);
    assert_eq!(node.revert(), Ok(()));
    assert_eq!((node.get(7, "k"), node.items()), (None, 0));
    node.start().unwrap();
    node.activate(8);
    node.set(8, "k", "inside");
    assert_eq!(node.complete(), Ok(()));
    let node = node.crash();
    assert_eq!(node.get(8, "k").as_deref(), Some("inside"));
}

#[test]
fn a_vbucket_made_while_a_complete_fails_is_part_of_the_window_that_is_open_again() {
    let node = Node::new();
    node.start().unwrap();
    node.write();
    node.store.hold_commits(true);
    node.begin_complete();
    node.host
        .until("COMPLETE commits", || node.store.held() > 0);
    node.activate(7);
    node.set(7, "k", "since");
    node.store.faults().fail_commits(true);
    node.store.hold_commits(false);
    assert!(node.complete().is_err());
    node.store.faults().fail_commits(false);
    node.write();
    assert_eq!(node.stored(7, "k"), None);
    assert_eq!(node.revert(), Ok(()));
    assert_eq!(node.get(7, "k"), None);
}

#[test]
fn a_replica_is_left_alone_and_decided_once_it_is_active() {
    let node = Node::with_vbuckets(2);
    node.set(0, "k", "before");
    node.set(1, "k", "before");
    node.start().unwrap();
    node.set(0, "k", "inside");
    node.set(1, "k", "inside");
    node.engine
        .core
        .set_vbucket(1, VbucketState::Replica)
        .unwrap();
    assert_eq!(node.complete(), Ok(()));
    node.write();
    assert_eq!(node.stored(0, "k").as_deref(), Some("inside"));
    assert_eq!(node.stored(1, "k").as_deref(), Some("before"));
    node.activate(1);
    assert_eq!(node.state(), UpdateState::Open);
    assert_eq!(node.get(1, "k").as_deref(), Some("inside"));
    assert_eq!(node.revert(), Ok(()));
    assert_eq!(node.get(0, "k").as_deref(), Some("inside"));
    assert_eq!(node.get(1, "k").as_deref(), Some("before"));
}

#[test]
fn touch_keeps_the_cas_and_is_taken_back() {
    let node = Node::new();
    let item = node.item("k", "v", 1_000);
    let cas = node
        .host
        .call(CLIENT, || node.engine.store(CLIENT, &item, StoreOp::Set, 0))
        .unwrap();
    let expiry = node.item_of(0, "k").unwrap().expiry();
    node.write();
    node.start().unwrap();
    let touch = || node.engine.touch(CLIENT, b"k", 2_000, 0);
    let touched = node.host.finish(CLIENT, touch).unwrap();
    assert_eq!((touched.cas(), touched.value()), (cas, &b"v"[..]));
    assert_eq!(touched.expiry(), expiry + 1_000);
    assert_eq!(node.engine.update_report().window.touched, 1);
    assert_eq!(node.revert(), Ok(()));
    let back = node.item_of(0, "k").unwrap();
    assert_eq!(
        (back.cas(), back.expiry(), back.value()),
        (cas, expiry, &b"v"[..])
    );
    assert_eq!(STARTED + 1_100, i64::from(expiry));
    assert_eq!(node.stored(0, "k").as_deref(), Some("v"));
    assert_eq!(
        node.store.faults().state().items[&(id(0), b"k".to_vec())].cas,
        cas
    );
}
