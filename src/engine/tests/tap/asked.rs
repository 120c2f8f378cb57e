//! A client asks LAST_CLOSED_CHECKPOINT, and something happens before its stream begins.

use super::own_windows::{again, closed, come_over, fill, pair, rotate};
use super::parted::{all_comes, by_name, following};
use super::{
    ACK, BACKFILL, CHECKPOINTS, Link, Node, REGISTERED, assert_same, node_in, resume_data, value,
};
use crate::types::VbucketState;

fn set(node: &Node, state: VbucketState) {
    node.engine.core.set_vbucket(0, state).unwrap();
}

/// What it asked for comes, and then a client that asks anew as often as it is closed.
fn asks_anew(mut link: Link, master: &Node, other: &Node) {
    for turn in 0..4 {
        master.set(0, "last", &turn.to_string());
        come_over(&mut link, master, other);
        rotate(master);
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

/// A client that never gets a backfill is refused where something was taken back; what helps is to
/// have the vbucket made anew, whatever was told of the one before.
#[test]
fn a_vbucket_that_was_made_anew_follows_again() {
    let registered = |master: &Node| {
        let flags = REGISTERED | ACK | CHECKPOINTS;
        Link::connect(master, "registered", flags, &[0, 0, 0]).unwrap()
    };
    let master = Node::with("chk_max_items=100");
    let other = node_in(VbucketState::Pending, "");
    master.set(0, "k", "before");
    let mut link = registered(&master);
    for _ in 0..3 {
        master.set(0, "k", "more");
        rotate(&master);
        come_over(&mut link, &master, &other);
    }
    assert!(closed(&other) > 0);
    other.start().unwrap();
    fill(&master, 3);
    come_over(&mut link, &master, &other);
    other.revert().unwrap();
    master.set(0, "k", "later");
    come_over(&mut link, &master, &other);
    assert!(link.closed);
    set(&other, VbucketState::Dead);
    other.engine.core.delete_vbucket(0).unwrap();
    set(&other, VbucketState::Replica);
    let mut link = registered(&master);
    master.set(0, "last", "1");
    come_over(&mut link, &master, &other);
    assert!(!link.closed);
    assert_eq!(value(&other, "last").as_deref(), Some("1"));
}

/// Another client brings a whole state in between, and then it is active for a while.
#[test]
fn who_asked_before_the_backfill_of_another_one_is_not_believed() {
    let (master, other, mut link) = pair();
    fill(&master, 20);
    rotate(&master);
    come_over(&mut link, &master, &other);
    link.disconnect(&master, Some(&other));
    let link = again(&master, &other);
    let flags = BACKFILL | ACK | CHECKPOINTS;
    let data = resume_data(closed(&other));
    let mut second = Link::connect(&master, "second", flags, &data).unwrap();
    come_over(&mut second, &master, &other);
    assert_eq!(second.count("opaque 1"), 1);
    second.disconnect(&master, Some(&other));
    other.activate(0);
    other.set(0, "extra", "here");
    set(&other, VbucketState::Replica);
    asks_anew(link, &master, &other);
}

/// It is active for a while, and somebody else asks.
#[test]
fn who_asked_before_somebody_else_is_not_believed_either() {
    let (master, other, mut link) = pair();
    fill(&master, 20);
    rotate(&master);
    come_over(&mut link, &master, &other);
    link.disconnect(&master, Some(&other));
    let link = again(&master, &other);
    other.activate(0);
    other.set(0, "extra", "here");
    rotate(&other);
    assert!(closed(&other) > 0);
    set(&other, VbucketState::Replica);
    asks_anew(link, &master, &other);
}

/// It was refused when it named nothing, and got the whole state; then it asks for the first
/// checkpoint.
#[test]
fn a_name_that_was_refused_is_not_believed_for_that() {
    let (master, other, mut link) = following(false, true);
    other.start().unwrap();
    fill(&master, 20);
    link.settle(&master, &other);
    other.revert().unwrap();
    master.set(0, "last", "1");
    come_over(&mut link, &master, &other);
    assert!(link.closed);
    link = by_name(&master, true);
    come_over(&mut link, &master, &other);
    assert_eq!(link.count("opaque 1"), 1);
    link.disconnect(&master, Some(&other));
    other.activate(0);
    other.set(0, "extra", "here");
    set(&other, VbucketState::Replica);
    asks_anew(again(&master, &other), &master, &other);
}

/// A message that is refused for another reason costs no whole state.
#[test]
fn who_was_dead_for_a_moment_goes_on_behind_what_it_has() {
    let (master, other, mut link) = pair();
    for _ in 0..3 {
        link.disconnect(&master, Some(&other));
        link = again(&master, &other);
        fill(&master, 20);
        rotate(&master);
        come_over(&mut link, &master, &other);
    }
    set(&other, VbucketState::Dead);
    master.set(0, "x", "1");
    come_over(&mut link, &master, &other);
    assert!(link.closed);
    set(&other, VbucketState::Replica);
    let mut link = again(&master, &other);
    come_over(&mut link, &master, &other);
    assert_same(&master, &other);
    assert_eq!(link.count("opaque 1"), 0);
}

/// Its stream sends no messages about checkpoints; it is cut before the REVERT, or has to take a
/// window back itself.
#[test]
fn a_stream_without_checkpoints_does_not_go_on_behind_what_was_taken_back() {
    for leaves in [false, true] {
        let (master, other, mut link) = following(true, false);
        let _stays = Link::connect(&master, "slow", REGISTERED, &[]).unwrap();
        other.start().unwrap();
        fill(&master, 20);
        link.settle(&master, &other);
        if leaves {
            set(&other, VbucketState::Replica);
            master.start().unwrap();
            master.set(0, "in", "1");
            come_over(&mut link, &master, &other);
            master.complete().unwrap();
            assert!(link.closed);
        } else {
            link.disconnect(&master, Some(&other));
            other.revert().unwrap();
        }
        all_comes(by_name(&master, false), &master, &other, false);
    }
}
