//! A client asks LAST_CLOSED_CHECKPOINT, and something happens before its stream begins.

use super::own_windows::{again, closed, come_over, fill, pair, rotate};
use super::parted::{all_comes, by_name, following};
use super::{Link, Node, REGISTERED, TapEvent, assert_same, checkpoint, cookie, opaque};
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

/// It is deleted and made anew.
#[test]
fn a_vbucket_that_was_made_anew_has_nothing_of_the_one_before() {
    let (master, other, mut link) = pair();
    fill(&master, 20);
    rotate(&master);
    come_over(&mut link, &master, &other);
    link.disconnect(&master, Some(&other));
    let link = again(&master, &other);
    set(&other, VbucketState::Dead);
    other.engine.core.delete_vbucket(0).unwrap();
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

/// No stream has brought anything in the window: whoever sends begins where it likes.
#[test]
fn a_window_of_an_owner_parts_nothing() {
    for gives in [false, true] {
        let node = Node::with("");
        node.set(0, "k", "before");
        node.start().unwrap();
        node.set(0, "k", "inside");
        let vbucket = node.engine.vbucket(0).unwrap();
        if gives {
            set(&node, VbucketState::Dead);
            assert!(vbucket.give());
            node.engine.core.discard_window(vbucket.id());
            let gone = || vbucket.window_phase().is_none();
            node.host.until("it is discarded", gone);
            set(&node, VbucketState::Replica);
        } else {
            set(&node, VbucketState::Pending);
            node.revert().unwrap();
        }
        let peer = cookie();
        opaque(&node, peer, 0).unwrap();
        opaque(&node, peer, 2).unwrap();
        checkpoint(&node, peer, TapEvent::CheckpointStart, 1).unwrap();
    }
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
