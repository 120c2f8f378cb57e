//! Windows that revert by themselves.

use std::time::Duration;

use super::{Node, OPERATOR, refusal};
use crate::engine::UpdateState;
use crate::error::Error;
use crate::host::{Host, LogLevel};
use crate::types::VbucketState;

/// A node with one key, which was changed in a window of so many seconds.
fn node_for(seconds: u32) -> Node {
    let node = Node::new();
    node.set(0, "k", "before");
    node.start_for(seconds).unwrap();
    node.set(0, "k", "inside");
    node
}

fn until_ended(node: &Node) {
    let ended = || node.state() == UpdateState::None;
    node.host.until("the window has ended", ended);
}

fn has_reverted(node: &Node) {
    until_ended(node);
    assert_eq!(node.get(0, "k").as_deref(), Some("before"));
    assert_eq!(node.last_outcome(), "reverted at deadline");
    let text = "the deadline of the online update has passed";
    assert!(node.host.has_logged(LogLevel::Warning, text));
}

#[test]
fn a_window_that_nobody_decides_about_reverts_at_its_deadline() {
    let node = node_for(10);
    assert_eq!(node.engine.update_report().left.unwrap().as_secs(), 10);
    node.let_pass(9);
    // The thread has looked and found nothing when it has answered this.
    node.engine.move_deadline(1).unwrap();
    assert_eq!(node.get(0, "k").as_deref(), Some("inside"));
    node.let_pass(1);
    has_reverted(&node);
    assert_eq!(node.engine.update_report().left, None);
    // Another one has nothing to do with it.
    node.start().unwrap();
    node.set(0, "k", "again");
    node.let_pass(100);
    node.complete().unwrap();
    assert_eq!(node.last_outcome(), "completed");
    let node = node.crash();
    assert_eq!(node.get(0, "k").as_deref(), Some("again"));
}

#[test]
fn how_long_ago_the_last_window_ended_is_told() {
    let node = node_for(10);
    let ended_for = |node: &Node| node.engine.update_report().ended_for;
    assert_eq!(ended_for(&node), None);
    node.let_pass(5);
    node.complete().unwrap();
    assert_eq!(ended_for(&node), Some(Duration::ZERO));
    node.let_pass(7);
    assert_eq!(ended_for(&node), Some(Duration::from_secs(7)));
    node.start().unwrap();
    node.let_pass(1);
    node.revert().unwrap();
    assert_eq!(ended_for(&node), Some(Duration::ZERO));
    // Another process has not seen it.
    let node = node.crash();
    assert_eq!(node.last_outcome(), "reverted");
    assert_eq!(ended_for(&node), None);
}

#[test]
fn nothing_is_accepted_after_the_deadline_however_late_the_thread_comes() {
    for command in 0..4 {
        let node = node_for(10);
        node.store.hold_commits(true);
        node.set(0, "l", "inside");
        node.host.advance(10);
        let outcome = match command {
            0 => node.engine.complete_update(OPERATOR).unwrap(),
            1 => node.engine.revert_update(OPERATOR).unwrap(),
            2 => node.engine.start_update(OPERATOR, Some(9)).unwrap(),
            _ => node.engine.move_deadline(100),
        };
        let words = refusal(&outcome);
        assert!(words.contains("deadline"), "{words}");
        // From here on nobody sees what is taken back.
        assert_eq!(node.get(0, "k").as_deref(), Some("before"));
        assert_eq!(node.get(0, "l"), None);
        node.store.hold_commits(false);
        has_reverted(&node);
    }
}

#[test]
fn a_complete_that_was_accepted_before_the_deadline_goes_on() {
    let node = node_for(10);
    node.write();
    node.store.hold_commits(true);
    node.begin_complete();
    node.host
        .until("COMPLETE commits", || node.store.held() > 0);
    node.let_pass(100);
    node.store.hold_commits(false);
    assert_eq!(node.complete(), Ok(()));
    assert_eq!(node.last_outcome(), "completed");
    assert_eq!(node.get(0, "k").as_deref(), Some("inside"));
}

#[test]
fn a_complete_that_fails_after_the_deadline_reverts() {
    let node = node_for(10);
    node.write();
    node.store.hold_commits(true);
    node.begin_complete();
    node.host
        .until("COMPLETE commits", || node.store.held() > 0);
    node.set(0, "since", "inside");
    node.host.advance(100);
    node.store.faults().fail_commits(true);
    node.store.hold_commits(false);
    let outcome = node.complete();
    let words = refusal(&outcome);
    assert!(words.contains("deadline"), "{words}");
    has_reverted(&node);
    assert_eq!(node.get(0, "since"), None);
    node.store.faults().fail_commits(false);
}

#[test]
fn a_complete_that_fails_before_the_deadline_leaves_the_window_with_it() {
    let node = node_for(10);
    node.write();
    node.store.faults().fail_commits(true);
    assert!(refusal(&node.complete()).contains("send COMPLETE again"));
    node.store.faults().fail_commits(false);
    assert_eq!(node.engine.update_report().left.unwrap().as_secs(), 10);
    node.let_pass(10);
    has_reverted(&node);
}

#[test]
fn a_deadline_moves_and_is_taken_away() {
    let node = node_for(10);
    node.engine.move_deadline(20).unwrap();
    node.let_pass(19);
    assert_eq!(node.engine.update_report().left.unwrap().as_secs(), 1);
    node.engine.move_deadline(0).unwrap();
    assert_eq!(node.engine.update_report().left, None);
    node.let_pass(1_000);
    node.engine.move_deadline(u32::MAX).unwrap();
    node.let_pass(1_000);
    assert_eq!(node.state(), UpdateState::Open);
    node.engine.move_deadline(5).unwrap();
    node.let_pass(5);
    has_reverted(&node);
    let outcome = node.engine.move_deadline(5);
    assert!(refusal(&outcome).contains("no online update is open"));
}

/// Nothing of the first one's deadline is left.
#[test]
fn a_window_without_a_deadline_follows_on_one_that_had_one() {
    for completes in [true, false] {
        let node = node_for(10);
        node.decide(completes).unwrap();
        node.start_for(0).unwrap();
        node.let_pass(1_000);
        assert_eq!(node.engine.update_report().left, None);
        // Asking for something has the overdue reverted first.
        assert!(refusal(&node.start()).contains("is open already"));
        node.complete().unwrap();
    }
}

#[test]
fn what_joins_a_window_reverts_with_it() {
    let node = node_for(10);
    node.host.advance(4);
    node.activate(7);
    node.set(7, "joined", "inside");
    let joined = node.engine.vbucket(7).unwrap();
    let deadline = node.host.monotonic().as_secs() + 6;
    assert_eq!(joined.deadline().unwrap().as_secs(), deadline);
    node.let_pass(6);
    has_reverted(&node);
    assert_eq!(node.get(7, "joined"), None);
}

#[test]
fn only_what_is_overdue_reverts() {
    let node = Node::with_vbuckets(2);
    node.set(0, "k", "before");
    node.start().unwrap();
    node.set(0, "k", "inside");
    node.set(1, "other", "inside");
    // As if it had come with a window of another node.
    let deadline = node.host.monotonic() + Duration::from_secs(5);
    node.engine.vbucket(0).unwrap().set_deadline(Some(deadline));
    node.let_pass(5);
    node.host.until("one window has ended", || {
        node.last_outcome() == "reverted at deadline"
    });
    assert_eq!(node.state(), UpdateState::Open);
    assert_eq!(node.get(0, "k").as_deref(), Some("before"));
    assert_eq!(node.get(1, "other").as_deref(), Some("inside"));
    node.complete().unwrap();
}

/// Its master decides, until it is active.
#[test]
fn a_replica_has_no_deadline_until_it_is_promoted() {
    let node = node_for(10);
    node.engine
        .core
        .set_vbucket(0, VbucketState::Replica)
        .unwrap();
    node.let_pass(100);
    // Looks for what is overdue first.
    node.activate(1);
    let window = node.engine.vbucket(0).unwrap().window_phase();
    assert!(window.is_some());
    node.activate(0);
    has_reverted(&node);
}

#[test]
fn a_deadline_ends_with_the_process_and_with_a_start_that_fails() {
    let node = node_for(10).crash();
    assert_eq!(node.last_outcome(), "lost at restart");
    node.let_pass(100);
    node.store.faults().fail_commits(true);
    assert!(node.start_for(5).is_err());
    node.store.faults().fail_commits(false);
    node.set(0, "k", "kept");
    node.let_pass(100);
    assert!(refusal(&node.complete()).contains("no online update is open"));
    assert_eq!(node.get(0, "k").as_deref(), Some("kept"));
}

/// A START that the store has not noted yet when its deadline comes.
#[test]
fn a_window_may_be_over_before_its_start_is_noted() {
    let node = Node::new();
    node.set(0, "k", "before");
    node.write();
    node.store.hold_commits(true);
    let call = || node.engine.start_update(OPERATOR, Some(1));
    assert_eq!(node.host.call(OPERATOR, call), Err(Error::WouldBlock));
    node.set(0, "k", "inside");
    node.let_pass(1);
    node.host
        .until("it is reverting", || node.state() == UpdateState::Reverting);
    node.store.hold_commits(false);
    let _ = node.host.finish(OPERATOR, call).unwrap();
    has_reverted(&node);
}

/// What `stats onlineupdate` says of a COMPLETE that has not been sent.
#[test]
fn whether_a_complete_could_commit_is_told_before() {
    let node = Node::new();
    let cause = || node.engine.complete_hindrance().map(str::to_owned);
    assert!(cause().unwrap().contains("no online update is open"));
    node.set(0, "k", "before");
    node.start().unwrap();
    node.set(0, "k", "inside");
    assert_eq!(cause(), None);
    node.engine.set_persistence(false);
    assert!(cause().unwrap().contains("START_PERSISTENCE"));
    node.engine.set_persistence(true);
    assert_eq!(cause(), None);
    node.write();
    node.store.hold_commits(true);
    node.begin_complete();
    node.host
        .until("COMPLETE commits", || node.store.held() > 0);
    assert!(cause().unwrap().contains("still running"));
    node.store.hold_commits(false);
    node.complete().unwrap();
}
