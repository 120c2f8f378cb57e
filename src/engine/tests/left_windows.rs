//! What is told after a restart of windows that came with a vbucket, or were left behind.

use super::Node;
use super::tap::{bare, cookie};
use crate::engine::{TapEvent, TapMessage};
use crate::host::LogLevel;
use crate::types::VbucketState;

/// Active 0, and replica 5 in its master's window.
fn following() -> Node {
    let node = Node::with_vbuckets(1);
    let state = VbucketState::Replica;
    node.engine.core.set_vbucket(5, state).unwrap();
    let peer = cookie();
    let start = TapMessage {
        vbucket: 5,
        ..bare(TapEvent::Opaque, &[0, 0, 0, 4])
    };
    let call = || node.engine.tap_receive(peer, &start);
    node.host.finish(peer, call).unwrap();
    node
}

/// A failover: the window is this node's from then on, and so is its loss.
#[test]
fn a_window_that_came_with_its_vbucket_is_not_lost_in_silence() {
    for crashes in [false, true] {
        for completes in [None, Some(true), Some(false)] {
            let node = following();
            if let Some(completes) = completes {
                node.start().unwrap();
                node.set(0, "a", "inside");
                node.decide(completes).unwrap();
            }
            node.activate(5);
            node.set(5, "k", "inside");
            let node = if crashes {
                node.crash_after_a_write()
            } else {
                node.restart()
            };
            assert_eq!(node.get(5, "k"), None);
            assert_eq!(node.last_outcome(), "lost at restart", "{completes:?}");
        }
    }
}

/// What was decided is told, whatever else was lost.
#[test]
fn what_was_decided_is_not_said_to_be_lost() {
    for (state, none_is_left) in [
        (VbucketState::Dead, false),
        (VbucketState::Dead, true),
        (VbucketState::Replica, false),
        (VbucketState::Replica, true),
    ] {
        for (completes, outcome) in [(true, "completed"), (false, "reverted")] {
            let node = Node::with_vbuckets(2);
            node.start().unwrap();
            node.set(0, "k", "inside");
            node.engine.core.set_vbucket(1, state).unwrap();
            node.host.advance(1);
            node.decide(completes).unwrap();
            assert_eq!(node.last_outcome(), outcome);
            if none_is_left {
                node.engine.core.set_vbucket(0, state).unwrap();
            }
            let value = node.stored(0, "k");
            let node = node.crash_after_a_write();
            assert_eq!(value.is_some(), completes);
            assert_eq!(node.last_outcome(), outcome, "{state:?}");
            let text = "completed, but for vbuckets";
            assert_eq!(node.host.has_logged(LogLevel::Warning, text), completes);
        }
    }
}

/// But one that was opened since is.
#[test]
fn a_window_that_was_opened_since_and_left_behind_is_told() {
    let node = Node::with_vbuckets(2);
    node.start().unwrap();
    node.complete().unwrap();
    node.host.advance(1);
    node.start().unwrap();
    let core = &node.engine.core;
    core.set_vbucket(1, VbucketState::Dead).unwrap();
    core.set_vbucket(0, VbucketState::Dead).unwrap();
    node.activate(2);
    let node = node.crash_after_a_write();
    assert_eq!(node.last_outcome(), "lost at restart");
}
