//! A delayed `flush_all`: to which vbuckets it belongs, what a window does with it, and that what
//! was carried out never comes again.

use std::sync::Arc;

use super::tap::{bare, cookie, receive};
use super::{CLIENT, Node, id};
use crate::checkpoint::Log;
use crate::engine::{TapEvent, TapMessage};
use crate::error::Error;
use crate::store::fault::Change;
use crate::types::VbucketState;
use crate::vbucket::Ejection;

/// The mark of START as it travels.
const START: [u8; 4] = 4_u32.to_be_bytes();

fn flush(node: &Node, when: i64) {
    let flush = || node.engine.flush(CLIENT, when);
    node.host.call(CLIENT, flush).unwrap();
}

/// Vbucket 1 follows a master, which opens a window.
fn open_masters_window(node: &Node) {
    node.engine
        .core
        .set_vbucket(1, VbucketState::Replica)
        .unwrap();
    let message = TapMessage {
        vbucket: 1,
        ..bare(TapEvent::Opaque, &START)
    };
    receive(node, cookie(), &message).unwrap();
}

#[test]
fn what_was_carried_out_beside_a_window_does_not_come_again_after_a_restart() {
    for crash in [false, true] {
        let node = Node::new();
        node.set(0, "k", "v");
        flush(&node, 10);
        node.write();
        open_masters_window(&node);
        node.host.advance(10);
        assert_eq!(node.get(0, "k"), None);
        node.set(0, "k", "after");
        node.write();
        assert_eq!(node.stored(0, "k").as_deref(), Some("after"));
        let node = if crash { node.crash() } else { node.restart() };
        assert_eq!(node.get(0, "k").as_deref(), Some("after"));
    }
}

#[test]
fn a_flush_that_comes_due_as_a_revert_is_accepted_does_not_land_behind_it() {
    let node = Node::new();
    node.set(0, "k", "v");
    node.start().unwrap();
    flush(&node, 10);
    node.host.advance(10);
    let engine = Arc::clone(&node.engine);
    node.host.at_next_look_at_the_clock(move || {
        let _ = engine.get(CLIENT, b"k", 0);
    });
    node.revert().unwrap();
    assert_eq!(node.get(0, "k").as_deref(), Some("v"));
    let node = node.crash_after_a_write();
    assert_eq!(node.get(0, "k").as_deref(), Some("v"));
}

#[test]
fn the_revert_of_a_promoted_replica_brings_no_flush_of_an_earlier_window_back() {
    let node = Node::new();
    flush(&node, 1_000);
    node.start().unwrap();
    node.complete().unwrap();
    flush(&node, 5);
    node.host.advance(5);
    node.set(0, "k", "after");
    open_masters_window(&node);
    node.activate(1);
    node.revert().unwrap();
    node.host.advance(1_000);
    assert_eq!(node.get(0, "k").as_deref(), Some("after"));
}

#[test]
fn the_revert_of_a_promoted_replica_leaves_what_is_due_in_other_vbuckets() {
    let node = Node::new();
    node.set(0, "k", "v");
    flush(&node, 10);
    open_masters_window(&node);
    node.activate(1);
    node.revert().unwrap();
    node.host.advance(9);
    assert_eq!(node.get(0, "k").as_deref(), Some("v"));
    node.host.advance(1);
    assert_eq!(node.get(0, "k"), None);
}

#[test]
fn the_last_flush_counts() {
    let node = Node::new();
    flush(&node, 3);
    flush(&node, 0);
    node.set(0, "k", "v");
    node.host.advance(3);
    assert_eq!(node.get(0, "k").as_deref(), Some("v"));
    flush(&node, 3);
    flush(&node, -1);
    node.set(0, "k", "v");
    node.write();
    node.host.advance(3);
    assert_eq!(node.get(0, "k").as_deref(), Some("v"));
    // Also behind a restart.
    flush(&node, 3);
    node.write();
    flush(&node, 0);
    node.set(0, "k", "v");
    let node = node.crash_after_a_write();
    node.host.advance(3);
    assert_eq!(node.get(0, "k").as_deref(), Some("v"));
}

#[test]
fn it_is_recorded_as_done_with_the_flush_itself() {
    for in_window in [false, true] {
        let node = Node::new();
        node.set(0, "k", "v");
        flush(&node, 10);
        node.write();
        if in_window {
            node.start().unwrap();
        }
        node.host.advance(10);
        assert_eq!(node.get(0, "k"), None);
        if in_window {
            node.complete().unwrap();
        }
        node.write();
        let due = |change: &Change| match change {
            Change::SetVbucket(_, record) => Some(record.due),
            _ => None,
        };
        let mut waits = false;
        for commit in node.store.faults().history() {
            let due = commit.changes.iter().find_map(due);
            let ends = waits && due == Some(0);
            let clears = waits && commit.changes.contains(&Change::Clear(id(0)));
            assert_eq!(ends, clears, "{commit:?}");
            waits = due.map_or(waits, |due| due != 0);
        }
        assert!(!waits);
    }
}

#[test]
fn it_belongs_to_the_vbuckets_that_were_active_when_it_was_asked_for() {
    use VbucketState::{Active, Dead, Pending, Replica};
    for between in [Active, Dead, Replica, Pending] {
        let node = Node::with_vbuckets(2);
        node.engine.core.set_vbucket(2, Replica).unwrap();
        for vbucket in [0, 1] {
            node.set(vbucket, "k", "v");
        }
        flush(&node, 10);
        for vbucket in [2, 3] {
            node.activate(vbucket);
            node.set(vbucket, "k", "v");
        }
        node.engine.core.set_vbucket(1, between).unwrap();
        node.write();
        let node = node.crash();
        node.host.advance(10);
        node.activate(1);
        assert_eq!(node.get(0, "k"), None);
        // A dead vbucket keeps what it has; one that a master writes is as its master says.
        let keeps = matches!(between, Replica | Pending);
        assert_eq!(node.get(1, "k").is_some(), keeps, "{between:?}");
        assert!(node.get(2, "k").is_some() && node.get(3, "k").is_some());
    }
}

#[test]
fn a_vbucket_that_was_a_replica_in_between_gets_no_flush_back_from_a_revert() {
    let node = Node::with_vbuckets(2);
    node.set(1, "k", "v");
    flush(&node, 10);
    node.start().unwrap();
    node.engine
        .core
        .set_vbucket(1, VbucketState::Replica)
        .unwrap();
    node.activate(1);
    node.revert().unwrap();
    node.host.advance(10);
    assert_eq!(node.get(1, "k").as_deref(), Some("v"));
}

#[test]
fn a_failed_complete_changes_nothing_of_it() {
    let node = Node::new();
    node.set(0, "k", "v");
    flush(&node, 100);
    node.write();
    node.start().unwrap();
    flush(&node, 10);
    node.write();
    node.store.faults().fail_commits(true);
    node.complete().unwrap_err();
    node.store.faults().fail_commits(false);
    assert_eq!(
        node.engine.vbucket(0).unwrap().with_log(Log::due),
        node.host.unix() + 10
    );
    node.revert().unwrap();
    node.host.advance(99);
    assert_eq!(node.get(0, "k").as_deref(), Some("v"));
    node.host.advance(1);
    assert_eq!(node.get(0, "k"), None);
}

#[test]
fn a_flush_now_in_a_window_cancels_one_that_waits_until_the_window_is_reverted() {
    for completes in [false, true] {
        let node = Node::new();
        node.set(0, "k", "v");
        flush(&node, 10);
        node.start().unwrap();
        flush(&node, 0);
        node.set(0, "k", "after");
        node.decide(completes).unwrap();
        let node = node.crash_after_a_write();
        assert!(node.get(0, "k").is_some());
        node.host.advance(10);
        assert_eq!(node.get(0, "k").is_some(), completes);
    }
}

/// Operations that do not look for a vbucket that serves clients.
#[test]
fn nobody_gets_at_a_key_behind_its_time() {
    let node = Node::new();
    node.set(0, "k", "v");
    flush(&node, 10);
    node.host.advance(10);
    let locked = || node.engine.get_locked(CLIENT, b"k", 5, 0);
    assert_eq!(
        node.host.finish(CLIENT, locked).err(),
        Some(Error::NotFound)
    );
    assert_eq!(node.engine.evict(b"k", 0), Ok(Ejection::Absent));
}

/// Nobody asks for a key: the housekeeper carries it out.
#[test]
fn it_comes_on_an_idle_node() {
    let node = Node::new();
    node.set(0, "k", "v");
    flush(&node, 10);
    node.host.advance(10);
    node.host.until("it is carried out", || node.items() == 0);
}

/// The time has come and nobody has looked yet: what it flushes is gone before the window begins.
#[test]
fn what_is_due_as_a_window_begins_belongs_to_the_state_before() {
    let node = Node::with_vbuckets(2);
    for vbucket in 0..2 {
        node.set(vbucket, "k", "v");
    }
    flush(&node, 10);
    // One that comes to the window later.
    node.engine.core.set_vbucket(1, VbucketState::Dead).unwrap();
    node.host.advance(10);
    node.start().unwrap();
    node.engine
        .core
        .set_vbucket(1, VbucketState::Active)
        .unwrap();
    for vbucket in 0..2 {
        assert_eq!(node.get(vbucket, "k"), None);
    }
    node.revert().unwrap();
    for vbucket in 0..2 {
        assert_eq!(node.get(vbucket, "k"), None);
    }
}

/// A node that is killed in a window comes back with what a REVERT would leave.
#[test]
fn what_a_vbucket_forgot_in_a_window_does_not_come_after_a_restart() {
    let node = Node::new();
    node.set(0, "k", "v");
    flush(&node, 10);
    node.write();
    node.start().unwrap();
    for state in [VbucketState::Replica, VbucketState::Active] {
        node.engine.core.set_vbucket(0, state).unwrap();
    }
    let node = node.crash_after_a_write();
    node.host.advance(10);
    assert_eq!(node.get(0, "k").as_deref(), Some("v"));
}

/// Nobody has looked since its time.
#[test]
fn what_is_due_comes_before_a_later_one_and_before_another_state() {
    for follows in [false, true] {
        let node = Node::new();
        node.set(0, "k", "v");
        flush(&node, 10);
        node.host.advance(10);
        if follows {
            for state in [VbucketState::Replica, VbucketState::Active] {
                node.engine.core.set_vbucket(0, state).unwrap();
            }
        } else {
            flush(&node, 10);
        }
        assert_eq!(node.get(0, "k"), None);
    }
}

/// A dead vbucket keeps what is due and does nothing about it. When it is active again somebody
/// does, also if no client comes.
#[test]
fn what_waited_in_a_dead_vbucket_comes_when_it_is_active_again() {
    let node = Node::new();
    node.set(0, "k", "v");
    flush(&node, 10);
    let vbucket = node.engine.vbucket(0).unwrap();
    assert!(vbucket.flushes_soon());
    let set = |state| node.engine.core.set_vbucket(0, state).unwrap();
    set(VbucketState::Dead);
    assert!(vbucket.awaits_flush() && !vbucket.flushes_soon());
    let runs = &node.engine.shared().metrics.remover_runs;
    let before = runs.get();
    node.host
        .until("the housekeeper has looked", || runs.get() > before);
    set(VbucketState::Active);
    node.host.advance(10);
    node.host
        .until("it was carried out", || !vbucket.awaits_flush());
    assert_eq!(node.get(0, "k"), None);
}
