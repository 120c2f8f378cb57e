//! What follows on a decision, or a change of states, of a vbucket that a stream writes: takeovers,
//! claims, outcomes.

use super::own_windows::{again, closed, come_over, fill, pair, pair_of, rotate};
use super::{
    ACK, BACKFILL, CHECKPOINTS, LIST, Link, Node, TAKEOVER, assert_same, contents, cookie, list,
    node_in, value,
};
use crate::engine::TapEvent;
use crate::engine::tests::left_windows::mark;
use crate::host::LogLevel;
use crate::types::VbucketState;

fn persisted(node: &Node) -> u64 {
    let vbucket = node.engine.vbucket(0).unwrap();
    vbucket.with_log(|log| log.persisted_id().get())
}

fn set_state(node: &Node, state: VbucketState) {
    node.engine.core.set_vbucket(0, state).unwrap();
}

/// `engine-replicate -t`.
pub(super) fn take(master: &Node, other: &Node) -> Link {
    let mut data = [0_u64.to_be_bytes().to_vec(), list(&[0])].concat();
    data.extend([0, 1, 0, 0]);
    data.extend(closed(other).to_be_bytes());
    let flags = BACKFILL | ACK | CHECKPOINTS | LIST | TAKEOVER;
    Link::connect(master, "taker", flags, &data).unwrap()
}

/// The takeover comes to its end, as often begun anew as it takes.
pub(super) fn take_over(master: &Node, other: &Node) {
    let mut link = take(master, other);
    other.host.until("it is taken over", || {
        master.host.advance(6);
        other.host.advance(6);
        link.pump(master, Some(other));
        let taken = other.engine.vbucket_state(0) == Some(VbucketState::Active);
        if link.closed && !taken {
            link = take(master, other);
        }
        taken
    });
}

/// It follows; an online update on its node is reverted, without a change; then the takeover.
#[test]
fn a_takeover_after_a_revert_on_the_destination() {
    let (master, other, mut link) = pair();
    link.disconnect(&master, Some(&other));
    other.start().unwrap();
    other.revert().unwrap();
    take_over(&master, &other);
    assert_eq!(value(&other, "k").as_deref(), Some("before"));
}

/// No stream has ever touched it: made for a takeover, the node restarts, REVERT.
#[test]
fn a_takeover_into_what_nothing_has_ever_come_to() {
    let (master, other, mut link) = pair();
    link.disconnect(&master, Some(&other));
    drop(other);
    let other = node_in(VbucketState::Pending, "").restart();
    other.start().unwrap();
    other.revert().unwrap();
    take_over(&master, &other);
    assert_eq!(value(&other, "k").as_deref(), Some("before"));
}

/// The window is left behind by SET_VBUCKET replica; the takeover takes it back itself.
#[test]
fn a_takeover_over_a_window_that_was_left_behind() {
    let (master, other, mut link) = pair();
    other.start().unwrap();
    fill(&master, 20);
    link.settle(&master, &other);
    link.disconnect(&master, Some(&other));
    set_state(&other, VbucketState::Replica);
    take_over(&master, &other);
    assert_eq!(contents(&other).len(), 21);
}

/// A takeover that was cut short, the destination restarts and reverts an update of its own;
/// "continued by the same command".
#[test]
fn a_takeover_that_was_cut_short_and_is_begun_again() {
    let (master, other, mut link) = pair();
    link.disconnect(&master, Some(&other));
    drop(other);
    let other = node_in(VbucketState::Replica, "");
    let mut link = take(&master, &other);
    while link.count("opaque 8") == 0 {
        link.step(&master, Some(&other));
    }
    link.disconnect(&master, Some(&other));
    let other = other.restart();
    assert_eq!(other.engine.vbucket_state(0), Some(VbucketState::Pending));
    other.start().unwrap();
    other.revert().unwrap();
    take_over(&master, &other);
    assert_eq!(value(&other, "k").as_deref(), Some("before"));
}

/// SET_VBUCKET replica while the flusher commits a checkpoint that the vbucket closed as owner.
#[test]
fn what_was_active_claims_nothing_also_when_a_commit_runs() {
    let (master, other, mut link) = pair_of("chk_max_items=100");
    link.disconnect(&master, Some(&other));
    other.activate(0);
    other.write();
    other.engine.set_persistence(false);
    other.set(0, "extra", "here");
    fill(&other, 150);
    other.store.hold_commits(true);
    other.engine.set_persistence(true);
    other.host.until("held", || other.store.held() > 0);
    set_state(&other, VbucketState::Replica);
    other.store.hold_commits(false);
    other.write();
    for _ in 0..4 {
        rotate(&master);
    }
    master.set(0, "last", "1");
    let says = (closed(&other), persisted(&other));
    let other = other.crash_after_a_write();
    let claims = closed(&other);
    let mut link = again(&master, &other);
    come_over(&mut link, &master, &other);
    assert_eq!((says, claims), ((0, 0), 0));
    assert_same(&master, &other);
}

/// The same, and what comes of it.
#[test]
fn what_was_active_is_as_its_master_in_the_end() {
    let (master, other, mut link) = pair_of("chk_max_items=100");
    link.disconnect(&master, Some(&other));
    other.activate(0);
    other.write();
    other.engine.set_persistence(false);
    other.set(0, "extra", "here");
    fill(&other, 150);
    other.store.hold_commits(true);
    other.engine.set_persistence(true);
    other.host.until("held", || other.store.held() > 0);
    set_state(&other, VbucketState::Replica);
    other.store.hold_commits(false);
    other.write();
    for _ in 0..4 {
        rotate(&master);
    }
    master.set(0, "last", "1");
    let other = other.crash_after_a_write();
    for _ in 0..3 {
        let mut link = again(&master, &other);
        come_over(&mut link, &master, &other);
        link.disconnect(&master, Some(&other));
        rotate(&master);
    }
    let mut link = again(&master, &other);
    come_over(&mut link, &master, &other);
    assert_same(&master, &other);
}

/// COMPLETE on the pending vbucket while the flusher commits what lies before the window, and
/// a crash behind it.
#[test]
fn complete_while_the_flusher_commits() {
    let (master, other, mut link) = pair();
    other.engine.set_persistence(false);
    master.set(0, "x", "before");
    master.start().unwrap();
    master.set(0, "k", "inside");
    master.set(0, "new", "inside");
    link.settle(&master, &other);
    other.store.hold_commits(true);
    other.engine.set_persistence(true);
    other.host.until("held", || other.store.held() > 0);
    other.begin_complete();
    other.store.hold_commits(false);
    other.complete().unwrap();
    let says = (closed(&other), persisted(&other));
    link.disconnect(&master, Some(&other));
    let other = other.crash_after_a_write();
    let claims = closed(&other);
    let mut link = again(&master, &other);
    come_over(&mut link, &master, &other);
    master.revert().unwrap();
    for _ in 0..3 {
        come_over(&mut link, &master, &other);
        link.disconnect(&master, Some(&other));
        link = again(&master, &other);
    }
    come_over(&mut link, &master, &other);
    let same = contents(&master) == contents(&other);
    assert_eq!((says, claims, same), ((0, 0), 0, true));
}

/// A node of replicas only, of two masters: the one completes, and later the other reverts.
#[test]
fn the_last_outcome_of_two_masters() {
    for (first, last, says) in [(5, 6, "reverted"), (6, 5, "completed")] {
        let node = Node::with("vb0=false");
        for id in [0, 1] {
            let state = VbucketState::Replica;
            node.engine.core.set_vbucket(id, state).unwrap();
            mark(&node, id, 4).unwrap();
            node.host.advance(1);
        }
        mark(&node, 0, first).unwrap();
        node.host.advance(1);
        mark(&node, 1, last).unwrap();
        assert_eq!(node.last_outcome(), says);
        let node = node.crash_after_a_write();
        assert_eq!(node.last_outcome(), says);
    }
}

/// The master goes on, and the stream begins anew where it is closed.
fn all_comes(mut link: Link, master: &Node, other: &Node) {
    for turn in 0..4 {
        rotate(master);
        master.set(0, "last", &turn.to_string());
        come_over(&mut link, master, other);
        if link.closed {
            link = again(master, other);
        }
    }
    come_over(&mut link, master, other);
    link.disconnect(master, Some(other));
    let mut link = again(master, other);
    come_over(&mut link, master, other);
    assert_same(master, other);
}

/// A replica is active for a while, and its stream stays connected.
#[test]
fn active_for_a_while_with_the_stream_still_there() {
    let (master, other, mut link) = pair();
    other.activate(0);
    other.set(0, "extra", "here");
    link.settle(&master, &other);
    set_state(&other, VbucketState::Replica);
    all_comes(link, &master, &other);
}

/// The same; a COMPLETE of the master falls into that while.
#[test]
fn a_complete_falls_into_the_while() {
    let (master, other, mut link) = pair();
    master.start().unwrap();
    master.set(0, "k", "inside");
    link.settle(&master, &other);
    other.activate(0);
    master.complete().unwrap();
    link.settle(&master, &other);
    set_state(&other, VbucketState::Replica);
    all_comes(link, &master, &other);
}

/// It parts nothing from its master, and the stream goes on.
#[test]
fn a_complete_that_is_refused_changes_nothing() {
    let node = node_in(VbucketState::Pending, "");
    node.write();
    node.engine.set_persistence(false);
    let peer = cookie();
    let code = |code| super::opaque(&node, peer, code);
    code(0).unwrap();
    code(2).unwrap();
    // A master that has closed more than a thousand checkpoints.
    super::checkpoint(&node, peer, TapEvent::CheckpointStart, 5_000).unwrap();
    super::announce(&node, peer, 4, 5_000).unwrap();
    code(4).unwrap();
    super::mutation(&node, peer, "k", "inside").unwrap();
    let before = closed(&node);
    let refused = node.complete();
    refused.unwrap_err();
    let after = (
        closed(&node),
        super::mutation(&node, peer, "k", "inside, later"),
    );
    assert_eq!(after, (before, Ok(())));
}

/// It may carry other vbuckets.
#[test]
fn a_revert_of_nothing_closes_no_stream() {
    let (master, other, mut link) = pair();
    other.start().unwrap();
    other.revert().unwrap();
    master.set(0, "last", "1");
    link.pump(&master, Some(&other));
    assert!(!link.closed);
    assert_same(&master, &other);
}

/// A failover while something of the master is known to be missing is told, and no other one.
#[test]
fn who_is_promoted_without_all_of_its_master_is_told() {
    let text = |why| format!("vbucket 0 is active without all that its master had: {why}");
    let taken_back = "what was taken back here with a window had not been sent again";
    for (reverts, comes_again) in [(false, false), (true, false), (true, true)] {
        let (master, other, mut link) = pair();
        other.start().unwrap();
        fill(&master, 20);
        link.settle(&master, &other);
        if reverts {
            other.revert().unwrap();
        } else {
            other.complete().unwrap();
        }
        if comes_again {
            link.disconnect(&master, Some(&other));
            come_over(&mut again(&master, &other), &master, &other);
        }
        other.activate(0);
        let told = other.host.has_logged(LogLevel::Warning, &text(taken_back));
        assert_eq!(told, reverts && !comes_again, "{reverts} {comes_again}");
        assert_eq!(other.host.has_logged(LogLevel::Warning, &text("")), told);
    }
    let master = Node::with("tap_backlog_limit=1");
    fill(&master, 300);
    master.write();
    rotate(&master);
    let other = node_in(VbucketState::Replica, "");
    let mut link = again(&master, &other);
    master.host.until("it is in the middle of that", || {
        link.step(&master, Some(&other));
        contents(&other).len() == 10
    });
    other.activate(0);
    let why = "it was being sent the whole state";
    assert!(other.host.has_logged(LogLevel::Warning, &text(why)));
}

/// What a client was told of its checkpoints before COMPLETE, the stream goes by behind it.
#[test]
fn a_complete_between_the_question_and_the_stream() {
    for case in 0..8 {
        let [completes, writes, fails] = [1, 2, 4].map(|bit| case & bit != 0);
        let (master, other, mut link) = pair();
        master.start().unwrap();
        master.set(0, "k", "inside");
        master.set(0, "new", "inside");
        link.settle(&master, &other);
        link.disconnect(&master, Some(&other));
        link = again(&master, &other);
        other.store.faults().fail_commits(fails);
        assert_eq!(other.complete().is_err(), fails);
        other.store.faults().fail_commits(false);
        if writes {
            master.set(0, "k", "inside, later");
        }
        come_over(&mut link, &master, &other);
        if link.closed {
            link = again(&master, &other);
            come_over(&mut link, &master, &other);
        }
        master.decide(completes).unwrap();
        all_comes(link, &master, &other);
    }
}

/// The same of a vbucket that is active for a while.
#[test]
fn a_change_of_states_between_the_question_and_the_stream() {
    for rotates in [0, 1, 4] {
        let (master, other, mut link) = pair();
        link.disconnect(&master, Some(&other));
        let link = again(&master, &other);
        other.activate(0);
        other.set(0, "extra", "here");
        for _ in 0..rotates {
            rotate(&other);
            rotate(&master);
        }
        set_state(&other, VbucketState::Replica);
        all_comes(link, &master, &other);
    }
}
