//! A takeover comes to its end, after which nobody else has the keys, while the operator of the
//! destination has a window on the vbucket, or has just reverted one.

use super::decided::{take, take_over};
use super::own_windows::{come_over, fill};
use super::parted::following;
use super::{
    ACK, BACKFILL, CHECKPOINTS, LIST, Link, Node, TAKEOVER, assert_same, bare, list, value, words,
};
use crate::engine::TapEvent;
use crate::error::Error;
use crate::types::{StoreOp, VbucketState};

fn set(node: &Node, state: VbucketState) {
    node.engine.core.set_vbucket(0, state).unwrap();
}

fn state(node: &Node) -> VbucketState {
    node.engine.vbucket_state(0).unwrap()
}

/// A takeover is under way, the former owner has given up, and the operator of the new one opens a
/// window that has the vbucket, and what has come since.
fn in_a_window() -> (Node, Node, Link) {
    let own = Node::with("chk_max_items=100");
    own.set(0, "k", "before");
    let new = Node::with("vb0=false");
    new.activate(1);
    set(&new, VbucketState::Replica);
    new.write();
    let mut link = take(&own, &new);
    own.host.until("it is dead there", || {
        link.step(&own, Some(&new));
        let active = state(&own) == VbucketState::Active;
        if active {
            own.store(StoreOp::Set, 0, "late", "acknowledged").unwrap();
        }
        !active
    });
    new.start().unwrap();
    set(&new, VbucketState::Pending);
    come_over(&mut link, &own, &new);
    assert_eq!(state(&new), VbucketState::Pending);
    assert_eq!(value(&new, "late").as_deref(), Some("acknowledged"));
    (own, new, link)
}

fn has_all(node: &Node) {
    assert_eq!(value(node, "k").as_deref(), Some("before"));
    assert_eq!(value(node, "late").as_deref(), Some("acknowledged"));
}

#[test]
fn it_waits_for_the_window() {
    for completes in [true, false] {
        let (own, new, mut link) = in_a_window();
        new.decide(completes).unwrap();
        if completes {
            own.host.until("it is taken over", || {
                own.host.advance(6);
                link.pump(&own, Some(&new));
                state(&new) == VbucketState::Active
            });
        } else {
            come_over(&mut link, &own, &new);
            assert!(link.closed);
            take_over(&own, &new);
        }
        has_all(&new);
    }
}

/// The commit of COMPLETE fails: the window is open again.
#[test]
fn it_waits_for_a_complete_that_may_fail() {
    let (own, new, mut link) = in_a_window();
    new.write();
    new.store.hold_commits(true);
    new.begin_complete();
    new.host.until("held", || new.store.held() > 0);
    own.host.advance(6);
    own.host.until("the last word comes again", || {
        words(&link.next(&own)) == "state 1"
    });
    let specific = 1_u32.to_be_bytes();
    let word = bare(TapEvent::VbucketSet, &specific);
    let answer = new.engine.tap_receive(link.peer, &word);
    assert_eq!(answer, Err(Error::Temporary));
    new.store.faults().fail_commits(true);
    new.store.hold_commits(false);
    new.complete().unwrap_err();
    new.store.faults().fail_commits(false);
    assert_eq!(state(&new), VbucketState::Pending);
    new.revert().unwrap();
    link.disconnect(&own, Some(&new));
    take_over(&own, &new);
    has_all(&new);
}

/// Its operator leaves the window behind: nobody can decide about it any more.
#[test]
fn it_does_not_end_in_a_window_that_was_left_behind() {
    let (own, new, mut link) = in_a_window();
    set(&new, VbucketState::Replica);
    own.host.until("it is closed", || {
        own.host.advance(6);
        link.pump(&own, Some(&new));
        link.closed
    });
    assert_eq!(state(&new), VbucketState::Replica);
    take_over(&own, &new);
    has_all(&new);
}

/// By its name, in the middle of a checkpoint, onto what was taken back.
#[test]
fn it_does_not_end_where_something_is_missing() {
    for checkpoints in [true, false] {
        let (master, other, mut link) = following(true, checkpoints);
        master.set(0, "first of its checkpoint", "1");
        link.settle(&master, &other);
        other.start().unwrap();
        fill(&master, 20);
        link.settle(&master, &other);
        link.disconnect(&master, Some(&other));
        other.revert().unwrap();
        let flags = BACKFILL | ACK | LIST | TAKEOVER | if checkpoints { CHECKPOINTS } else { 0 };
        let data = [0_u64.to_be_bytes().to_vec(), list(&[0])].concat();
        let by_name = || Link::connect(&master, "replica", flags, &data).unwrap();
        let mut link = by_name();
        let mut closed = 0;
        other.host.until("it is taken over", || {
            master.host.advance(6);
            link.pump(&master, Some(&other));
            if link.closed && state(&other) != VbucketState::Active {
                closed += 1;
                link = by_name();
            }
            state(&other) == VbucketState::Active
        });
        assert_eq!(closed, 1);
        assert_eq!(super::contents(&other).len(), 22);
    }
}

/// One attempt of `engine-replicate`, with and without `-t`, over a window that was left behind: it
/// has asked before, and what it brings has all that is taken back.
#[test]
fn one_attempt_takes_a_window_back_that_was_left_behind() {
    for takes in [true, false] {
        let (master, other, mut link) = super::own_windows::pair();
        other.start().unwrap();
        fill(&master, 20);
        link.settle(&master, &other);
        link.disconnect(&master, Some(&other));
        set(&other, VbucketState::Replica);
        let mut link = if takes {
            take(&master, &other)
        } else {
            super::own_windows::again(&master, &other)
        };
        come_over(&mut link, &master, &other);
        if takes {
            other.host.until("it is taken over", || {
                master.host.advance(6);
                link.pump(&master, Some(&other));
                state(&other) == VbucketState::Active
            });
            assert_eq!(super::contents(&other).len(), 21);
        } else {
            assert!(!link.closed);
            assert_same(&master, &other);
        }
    }
}
