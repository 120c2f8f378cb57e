//! What is told after a restart of windows that came with a vbucket, or were left behind.

use std::time::Duration;

use super::Node;
use super::tap::{Random, bare, cookie};
use crate::engine::{TapEvent, TapMessage};
use crate::error::Result;
use crate::host::{Host as _, LogLevel};
use crate::types::VbucketState;
use crate::vbucket::Vbucket;

/// A mark of a master: 4, 5, 6 are START, COMPLETE, REVERT.
pub(super) fn mark(node: &Node, vbucket: u16, code: u8) -> Result<()> {
    let peer = cookie();
    let mark = [0, 0, 0, code];
    let message = TapMessage {
        vbucket,
        ..bare(TapEvent::Opaque, &mark)
    };
    let call = || node.engine.tap_receive(peer, &message);
    node.host.finish(peer, call)
}

/// Active 0, and replica 5 in its master's window.
fn following() -> Node {
    let node = Node::with_vbuckets(1);
    let state = VbucketState::Replica;
    node.engine.core.set_vbucket(5, state).unwrap();
    mark(&node, 5, 4).unwrap();
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

/// Also when the vbucket is active no more.
#[test]
fn nor_is_it_when_the_vbucket_is_given_up_again() {
    for state in [
        VbucketState::Dead,
        VbucketState::Replica,
        VbucketState::Pending,
    ] {
        let node = following();
        node.activate(5);
        node.set(5, "k", "inside");
        node.engine.core.set_vbucket(5, state).unwrap();
        let node = node.crash_after_a_write();
        assert_eq!(node.last_outcome(), "lost at restart", "{state:?}");
    }
}

/// Nor does it change what was decided since when it is discarded.
#[test]
fn a_window_that_came_with_its_vbucket_and_is_discarded_later_is_not_told() {
    for deletes in [true, false] {
        let node = following();
        let set = |id, state| node.engine.core.set_vbucket(id, state).unwrap();
        node.activate(5);
        set(5, VbucketState::Dead);
        node.host.advance(1);
        node.start().unwrap();
        node.set(0, "k", "inside");
        node.host.advance(1);
        node.complete().unwrap();
        set(0, VbucketState::Dead);
        if deletes {
            assert!(node.engine.vbucket(5).unwrap().give());
            node.engine.core.delete_vbucket(5).unwrap();
        } else {
            set(5, VbucketState::Replica);
            mark(&node, 5, 1).unwrap();
        }
        assert_eq!(node.last_outcome(), "completed", "{deletes}");
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

/// What was left behind is discarded later, as for a stream that begins with the whole state.
#[test]
fn what_is_discarded_later_does_not_change_what_was_decided() {
    for deletes in [false, true] {
        let node = Node::with_vbuckets(2);
        node.start().unwrap();
        node.set(0, "k", "inside");
        let set = |id, state| node.engine.core.set_vbucket(id, state).unwrap();
        set(1, VbucketState::Dead);
        node.host.advance(1);
        node.complete().unwrap();
        set(0, VbucketState::Dead);
        if deletes {
            assert!(node.engine.vbucket(1).unwrap().give());
            node.engine.core.delete_vbucket(1).unwrap();
        } else {
            set(1, VbucketState::Replica);
            let message = TapMessage {
                vbucket: 1,
                ..bare(TapEvent::Opaque, &[0, 0, 0, 1])
            };
            let peer = cookie();
            let call = || node.engine.tap_receive(peer, &message);
            node.host.finish(peer, call).unwrap();
        }
        assert_eq!(node.last_outcome(), "completed", "{deletes}");
        let node = node.crash_after_a_write();
        assert_eq!(node.stored(0, "k").as_deref(), Some("inside"));
        assert_eq!(node.last_outcome(), "completed", "{deletes}");
    }
}

/// What was decided last, and when.
type Decided = Option<(&'static str, Duration)>;

/// What the next process is to say of the windows that there are; none where either would do: no
/// vbucket takes commands, so a master's windows count.
fn expected(node: &Node, decided: Decided, before: &'static str) -> Option<&'static str> {
    let vbuckets = || (0..4).filter_map(|id| node.engine.vbucket(id));
    let is_lost = vbuckets().any(|vbucket| {
        let window = vbucket.with_log(|log| log.window().map(|window| window.opened));
        let since = |opened| decided.is_none_or(|(_, at)| opened > at);
        window.is_some_and(|opened| {
            vbucket.takes_commands() || vbucket.has_own_window() && since(opened)
        })
    });
    if is_lost {
        return Some("lost at restart");
    }
    let commanded = vbuckets().any(Vbucket::takes_commands);
    commanded.then(|| decided.map_or(before, |(outcome, _)| outcome))
}

/// States, commands and marks as they come, and a crash now and then.
#[test]
fn what_a_restart_says_follows_from_what_was_decided_and_what_is_left() {
    for seed in 1..=30 {
        let mut random = Random((seed * 0x9E37_79B9) | 1);
        let mut node = Node::with_vbuckets(3);
        let mut decided: Decided = None;
        let mut before = "none";
        for _ in 0..80 {
            node.host.advance(1);
            let id = u16::try_from(random.below(4)).unwrap();
            let core = &node.engine.core;
            match random.below(14) {
                0..=4 => {
                    let state = [
                        VbucketState::Active,
                        VbucketState::Active,
                        VbucketState::Pending,
                        VbucketState::Replica,
                        VbucketState::Dead,
                    ][usize::try_from(random.below(5)).unwrap()];
                    let _refused = core.set_vbucket(id, state);
                }
                5 => drop(core.delete_vbucket(id)),
                6 | 7 => drop(node.start()),
                8 if node.complete().is_ok() => {
                    decided = Some(("completed", node.host.monotonic()));
                }
                9 if node.revert().is_ok() => {
                    decided = Some(("reverted", node.host.monotonic()));
                }
                10 if node.engine.vbucket_state(id) == Some(VbucketState::Replica) => {
                    let which = u8::try_from(4 + random.below(3)).unwrap();
                    let _refused = mark(&node, id, which);
                }
                11 => node.write(),
                12 => {
                    let says = expected(&node, decided, before);
                    node = node.crash_after_a_write();
                    before = node.last_outcome();
                    assert!(
                        says.is_none_or(|says| says == before),
                        "{seed}: {says:?} {before}"
                    );
                    decided = None;
                }
                _ => {}
            }
        }
    }
}
