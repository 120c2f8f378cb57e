//! Streams into a pending vbucket whose operator decides the end of a window there, and into one
//! that was active: whatever their clients say of themselves, or leave out.

use super::own_windows::{come_over, fill, rotate};
use super::{
    ACK, BACKFILL, CHECKPOINTS, Link, Node, REGISTERED, assert_same, bare, checkpoint, contents,
    cookie, mutation, node_in, opaque, phase,
};
use crate::engine::tests::left_windows::mark;
use crate::engine::{TapEvent, TapMessage};
use crate::error::Error;
use crate::types::VbucketState;

/// A client that says its name, and no checkpoint.
pub(super) fn by_name(master: &Node, checkpoints: bool) -> Link {
    let flags = BACKFILL | ACK | if checkpoints { CHECKPOINTS } else { 0 };
    Link::connect(master, "replica", flags, &0_u64.to_be_bytes()).unwrap()
}

/// Such a client between a master and a pending vbucket. Its place outlives the connection; or it
/// has none, and gets all that is in memory.
pub(super) fn following(keeps: bool, checkpoints: bool) -> (Node, Node, Link) {
    let keepalive = if keeps { 300 } else { 0 };
    let master = Node::with(&format!("chk_max_items=100;tap_keepalive={keepalive}"));
    let other = node_in(VbucketState::Pending, "");
    master.set(0, "k", "before");
    let mut link = by_name(&master, checkpoints);
    link.settle(&master, &other);
    if keeps {
        rotate(&master);
        link.settle(&master, &other);
        master.write();
    } else {
        let _stays = Link::connect(&master, "slow", REGISTERED, &[]).unwrap();
    }
    other.write();
    (master, other, link)
}

/// It comes again as often as it is closed, and the master goes on.
pub(super) fn all_comes(mut link: Link, master: &Node, other: &Node, checkpoints: bool) {
    for turn in 0..4 {
        master.set(0, "last", &turn.to_string());
        come_over(&mut link, master, other);
        rotate(master);
        if link.closed {
            link = by_name(master, checkpoints);
        }
    }
    come_over(&mut link, master, other);
    assert!(!link.closed);
    assert_same(master, other);
    assert_eq!(phase(master), phase(other));
}

/// The operator ends his master's window, and that ends otherwise, or not.
#[test]
fn what_a_master_thinks_of_its_window_holds_whatever_its_client_says() {
    for case in 0..32 {
        let [keeps, cuts, here, there, restarts] = [1, 2, 4, 8, 16].map(|bit| case & bit != 0);
        let (master, mut other, mut link) = following(keeps, true);
        master.start().unwrap();
        fill(&master, 20);
        link.settle(&master, &other);
        other.decide(here).unwrap();
        if cuts || restarts {
            link.disconnect(&master, Some(&other));
        }
        if restarts {
            other = if cuts {
                other.crash_after_a_write()
            } else {
                other.restart()
            };
        }
        master.set(0, "later", "inside");
        come_over(&mut link, &master, &other);
        assert!(link.closed);
        link = by_name(&master, true);
        come_over(&mut link, &master, &other);
        master.decide(there).unwrap();
        all_comes(link, &master, &other, true);
    }
}

/// A window of the operator's own, and nobody hears of its REVERT before the node restarts.
#[test]
fn what_was_taken_back_comes_again_after_a_restart_too() {
    for keeps in [false, true] {
        let (master, other, mut link) = following(keeps, true);
        other.start().unwrap();
        fill(&master, 20);
        link.settle(&master, &other);
        other.revert().unwrap();
        link.disconnect(&master, Some(&other));
        let other = other.restart();
        all_comes(by_name(&master, true), &master, &other, true);
    }
}

/// A window of the operator's own is reverted, with what a stream without checkpoints has brought.
#[test]
fn what_came_without_checkpoint_messages_comes_again() {
    for keeps in [false, true] {
        let (master, other, mut link) = following(keeps, false);
        other.start().unwrap();
        fill(&master, 20);
        link.settle(&master, &other);
        other.revert().unwrap();
        master.set(0, "last", "1");
        come_over(&mut link, &master, &other);
        assert!(link.closed);
        all_comes(by_name(&master, false), &master, &other, false);
    }
}

/// The same in the middle of its backfill.
#[test]
fn a_backfill_without_checkpoint_messages_comes_again() {
    let master = Node::with("chk_max_items=100;tap_backlog_limit=1");
    fill(&master, 300);
    rotate(&master);
    master.write();
    let other = node_in(VbucketState::Pending, "");
    let mut link = by_name(&master, false);
    let mut has = |keys| {
        master.host.until("so many keys are there", || {
            link.step(&master, Some(&other));
            contents(&other).len() == keys
        });
    };
    has(10);
    other.start().unwrap();
    has(300);
    other.revert().unwrap();
    master.set(0, "last", "1");
    come_over(&mut link, &master, &other);
    assert!(link.closed);
    all_comes(by_name(&master, false), &master, &other, false);
}

/// No message is acknowledged, no place is kept, and all from the first checkpoint on is in memory:
/// what was taken back comes again with that.
#[test]
fn who_begins_with_the_first_checkpoint_brings_all_again() {
    let (master, other, mut link) = following(false, true);
    link.disconnect(&master, Some(&other));
    let flags = BACKFILL | CHECKPOINTS;
    let connect = || Link::connect(&master, "replica", flags, &[0; 8]).unwrap();
    let mut link = connect();
    other.start().unwrap();
    fill(&master, 20);
    link.settle(&master, &other);
    other.revert().unwrap();
    master.set(0, "last", "1");
    come_over(&mut link, &master, &other);
    assert!(link.closed);
    let mut link = connect();
    come_over(&mut link, &master, &other);
    assert!(!link.closed);
    assert_same(&master, &other);
}

/// Who hears of it that its stream is closed forgets where its client was.
#[test]
fn who_was_active_for_a_while_gets_the_whole_state() {
    let (master, other, mut link) = following(true, true);
    other.activate(0);
    other.set(0, "extra", "here");
    other.set(0, "k", "here");
    let core = &other.engine.core;
    core.set_vbucket(0, VbucketState::Replica).unwrap();
    master.set(0, "m", "1");
    come_over(&mut link, &master, &other);
    assert!(link.closed);
    all_comes(by_name(&master, true), &master, &other, true);
}

/// Who does not look at answers has to be closed.
#[test]
fn a_stream_that_hears_nothing_is_closed() {
    for heard in [false, true] {
        let node = node_in(VbucketState::Pending, "");
        let peer = cookie();
        opaque(&node, peer, 4).unwrap();
        mutation(&node, peer, "k", "inside").unwrap();
        node.revert().unwrap();
        let id = 5_u64.to_be_bytes();
        let mut message = TapMessage {
            data: &id,
            ..bare(TapEvent::CheckpointStart, &[])
        };
        if !heard {
            message.tap_flags = 0;
        }
        let expected = if heard {
            Error::Invalid
        } else {
            Error::Disconnect
        };
        let answer = node.engine.tap_receive(peer, &message);
        assert_eq!(answer, Err(expected));
    }
}

/// A vbucket stays active when ids for its window are not reserved, and its stream goes on.
#[test]
fn a_state_that_is_refused_closes_no_stream() {
    let node = node_in(VbucketState::Replica, "");
    let core = &node.engine.core;
    core.set_vbucket(1, VbucketState::Replica).unwrap();
    node.write();
    node.engine.set_persistence(false);
    let peer = cookie();
    opaque(&node, peer, 0).unwrap();
    opaque(&node, peer, 2).unwrap();
    checkpoint(&node, peer, TapEvent::CheckpointStart, 5_000).unwrap();
    node.activate(0);
    mark(&node, 1, 4).unwrap();
    node.activate(1);
    core.set_vbucket(0, VbucketState::Pending).unwrap_err();
    assert_eq!(node.engine.vbucket_state(0), Some(VbucketState::Active));
    assert_eq!(mutation(&node, peer, "k", "2"), Ok(()));
}

/// A key that can never be kept is no change; what is said of it must not go with the window.
#[test]
fn what_is_lacking_is_told_after_a_revert_of_nothing() {
    let other = node_in(VbucketState::Pending, "max_item_size=2000");
    let master = Node::with("chk_max_items=100");
    let mut link = Link::replicate(&master, &other);
    link.settle(&master, &other);
    other.start().unwrap();
    master.set(0, "large", &"v".repeat(4_000));
    link.settle(&master, &other);
    other.revert().unwrap();
    master.set(0, "last", "1");
    come_over(&mut link, &master, &other);
    assert!(!link.closed);
    assert_eq!(other.engine.lacking().len(), 1);
}
