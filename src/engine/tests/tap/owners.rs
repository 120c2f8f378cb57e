//! A vbucket that was active, with a window in which no stream has written: whoever sends to it
//! begins where it likes. vbuckets are active by default, so most replicas were owners.

use super::own_windows::{again, come_over, fill};
use super::parted::{by_name, following};
use super::{Node, assert_same, bare, checkpoint, cookie, mutation, opaque, phase, receive, value};
use crate::engine::TapEvent;
use crate::error::Error;
use crate::host::Cookie;
use crate::types::VbucketState;

fn set(node: &Node, state: VbucketState) {
    node.engine.core.set_vbucket(0, state).unwrap();
}

/// An owner in its window, made something else.
fn made(state: VbucketState) -> Node {
    let node = Node::with("");
    node.set(0, "k", "before");
    node.start().unwrap();
    node.set(0, "k", "inside");
    set(&node, state);
    node
}

fn peer(node: &Node, says_hello: bool) -> Cookie {
    let peer = cookie();
    if says_hello {
        opaque(node, peer, 0).unwrap();
        opaque(node, peer, 2).unwrap();
    }
    peer
}

#[test]
fn a_window_that_was_left_behind_goes_and_the_stream_goes_on() {
    for case in 0..8 {
        let [hellos, first, marks] = [1, 2, 4].map(|bit| case & bit != 0);
        let node = made(VbucketState::Replica);
        let peer = peer(&node, hellos);
        let begin = |id| checkpoint(&node, peer, TapEvent::CheckpointStart, id);
        if marks {
            assert_eq!(opaque(&node, peer, 4), Ok(()), "{case}");
            assert_eq!(value(&node, "k").as_deref(), Some("before"));
            mutation(&node, peer, "k", "of the master").unwrap();
            assert_eq!(opaque(&node, peer, 5), Ok(()), "{case}");
        }
        assert_eq!(begin(if first { 1 } else { 7 }), Ok(()), "{case}");
        mutation(&node, peer, "k", "later").unwrap();
        assert_eq!(value(&node, "k").as_deref(), Some("later"));
    }
}

/// On a pending one the stream waits for its operator.
#[test]
fn a_stream_that_waited_for_the_window_goes_on() {
    for hellos in [false, true] {
        let node = made(VbucketState::Pending);
        let peer = peer(&node, hellos);
        let begin = || checkpoint(&node, peer, TapEvent::CheckpointStart, 7);
        assert_eq!(begin(), Err(Error::Temporary));
        node.revert().unwrap();
        assert_eq!(begin(), Ok(()), "{hellos}");
    }
}

#[test]
fn a_backfill_that_waited_for_the_window_goes_on() {
    let master = Node::with("chk_max_items=100");
    fill(&master, 20);
    let node = made(VbucketState::Pending);
    let mut link = again(&master, &node);
    link.pump(&master, Some(&node));
    node.revert().unwrap();
    come_over(&mut link, &master, &node);
    assert!(!link.closed);
    assert_same(&master, &node);
}

/// A client that names nothing is sent all from the first checkpoint on.
#[test]
fn a_window_that_was_left_behind_costs_no_whole_state() {
    let (master, ..) = following(false, true);
    fill(&master, 20);
    let node = made(VbucketState::Replica);
    let mut link = by_name(&master, true);
    come_over(&mut link, &master, &node);
    assert!(!link.closed);
    assert_eq!(link.count("opaque 1"), 0);
    assert_same(&master, &node);
}

/// A vbucket that changes its state keeps its window.
#[test]
fn a_stream_may_make_it_active_again() {
    let node = made(VbucketState::Replica);
    let peer = cookie();
    mutation(&node, peer, "other", "1").unwrap();
    let active = 1_u32.to_be_bytes();
    receive(&node, peer, &bare(TapEvent::VbucketSet, &active)).unwrap();
    assert_eq!(node.engine.vbucket_state(0), Some(VbucketState::Active));
    assert!(phase(&node).is_some());
    assert_eq!(value(&node, "k").as_deref(), Some("inside"));
}

/// What a stream of the older kind flushed in the window comes back with its REVERT, and the stream
/// does not know that.
#[test]
fn a_flush_of_the_whole_node_is_a_change_of_a_stream() {
    let node = Node::with("");
    node.set(0, "k", "before");
    set(&node, VbucketState::Pending);
    node.start().unwrap();
    let peer = peer(&node, true);
    receive(&node, peer, &bare(TapEvent::Flush, &[])).unwrap();
    assert_eq!(value(&node, "k"), None);
    node.revert().unwrap();
    assert_eq!(value(&node, "k").as_deref(), Some("before"));
    assert_eq!(mutation(&node, peer, "k", "later"), Err(Error::Invalid));
}

/// Its window went with it to another node.
#[test]
fn a_former_owner_follows_whoever_sends() {
    let node = made(VbucketState::Dead);
    let vbucket = node.engine.vbucket(0).unwrap();
    assert!(vbucket.give());
    node.engine.core.discard_window(vbucket.id());
    let gone = || vbucket.window_phase().is_none();
    node.host.until("it is discarded", gone);
    set(&node, VbucketState::Replica);
    let peer = peer(&node, true);
    checkpoint(&node, peer, TapEvent::CheckpointStart, 1).unwrap();
}
