//! Rows A6 to A9, B9, B10, B15 and D: a window on its way to replicas.

use super::{Node, VbucketState};
use crate::engine::TapEvent;
use crate::engine::tests::tap::{
    ACK, BACKFILL, LIST, Link, NOT_NOW, TAKEOVER, announce, assert_same, bare, checkpoint, cookie,
    list, mutation, opaque, open_id, pair, pair_with, phase, receive, replica, value, write_window,
};
use crate::host::LogLevel;
use crate::settings::Family;

/// What came before is on both sides as it was, and what comes later is persisted.
fn check_reverted(master: Node, replica: Node, link: Link) {
    check_end(master, replica, link, false);
}

fn check_completed(master: Node, replica: Node, link: Link) {
    check_end(master, replica, link, true);
}

/// The window has ended on both sides as it should, and what comes later is persisted.
fn check_end(master: Node, replica: Node, mut link: Link, completed: bool) {
    let expected = if completed { "inside" } else { "before" };
    assert_eq!(value(&replica, "k").as_deref(), Some(expected));
    assert_eq!(value(&replica, "gone").is_none(), completed);
    assert_eq!(value(&replica, "new").is_some(), completed);
    check_goes_on(master, replica, &mut link);
}

fn check_goes_on(master: Node, replica: Node, link: &mut Link) {
    assert_eq!((phase(&master), phase(&replica)), (None, None));
    master.set(0, "later", "later");
    link.settle(&master, &replica);
    assert!(!link.closed, "{:?}", link.sent);
    assert_same(&master, &replica);
    let (master, replica) = (master.crash_after_a_write(), replica.crash_after_a_write());
    assert_eq!(value(&replica, "later").as_deref(), Some("later"));
    assert_same(&master, &replica);
}

#[test]
fn a6_a_reset_by_a_stream_takes_the_window_back_and_begins_anew() {
    let (master, replica, mut link) = pair();
    master.start().unwrap();
    write_window(&master);
    link.settle(&master, &replica);
    assert!(phase(&replica).is_some());
    link.disconnect(&master, Some(&replica));
    let master = master.crash();
    let mut link = Link::backfill(&master);
    link.settle(&master, &replica);
    assert!(link.texts().contains(&"opaque 1"));
    check_reverted(master, replica, link);
}

#[test]
fn a7_start_and_revert_may_come_together() {
    for write in [false, true] {
        let (master, replica, mut link) = pair();
        master.start().unwrap();
        if write {
            write_window(&master);
        }
        master.revert().unwrap();
        link.settle(&master, &replica);
        assert!(link.texts().contains(&"opaque 4") && link.texts().contains(&"opaque 6"));
        check_reverted(master, replica, link);
    }
}

#[test]
fn a8_a_revert_may_come_while_the_flusher_of_the_replica_is_stopped_or_busy() {
    for busy in [false, true] {
        let (master, replica, mut link) = pair();
        if busy {
            replica.store.hold_commits(true);
            master.set(0, "last", "before");
            link.settle(&master, &replica);
            let held = || replica.store.held() > 0;
            replica.host.until("the flusher commits", held);
        } else {
            replica.engine.set_persistence(false);
            master.set(0, "last", "before");
        }
        master.start().unwrap();
        write_window(&master);
        master.set(0, "last", "inside");
        link.settle(&master, &replica);
        master.revert().unwrap();
        link.settle(&master, &replica);
        assert_eq!((link.count("opaque 6"), phase(&replica)), (1, None));
        assert_eq!(value(&replica, "last").as_deref(), Some("before"));
        replica.store.hold_commits(false);
        replica.engine.set_persistence(true);
        check_reverted(master, replica, link);
    }
}

#[test]
fn a9_a_window_is_one_checkpoint_on_the_replica_however_large() {
    for completes in [false, true] {
        let (master, replica, mut link) = pair_with("chk_max_items=100");
        master.start().unwrap();
        let window = open_id(&master);
        for key in 0..500 {
            master.set(0, &key.to_string(), "inside");
        }
        master.host.advance(3600);
        replica.host.advance(3600);
        write_window(&master);
        link.settle(&master, &replica);
        assert_eq!((open_id(&master), open_id(&replica)), (window, window));
        master.decide(completes).unwrap();
        link.settle(&master, &replica);
        check_end(master, replica, link, completes);
    }
}

/// The master of 2011 closes checkpoints inside its window.
#[test]
fn a9_checkpoints_that_an_older_master_closes_in_its_window_are_part_of_it() {
    for (code, expected) in [(5, Some("inside")), (6, None)] {
        let replica = replica();
        let peer = cookie();
        checkpoint(&replica, peer, TapEvent::CheckpointStart, 2).unwrap();
        opaque(&replica, peer, 4).unwrap();
        for id in 3..8 {
            mutation(&replica, peer, &id.to_string(), "inside").unwrap();
            checkpoint(&replica, peer, TapEvent::CheckpointEnd, id - 1).unwrap();
            checkpoint(&replica, peer, TapEvent::CheckpointStart, id).unwrap();
        }
        replica.write();
        assert_eq!(replica.stored(0, "3"), None);
        opaque(&replica, peer, code).unwrap();
        checkpoint(&replica, peer, TapEvent::CheckpointStart, 8).unwrap();
        mutation(&replica, peer, "later", "later").unwrap();
        let replica = replica.crash_after_a_write();
        for id in 3..8 {
            assert_eq!(value(&replica, &id.to_string()).as_deref(), expected);
        }
        assert_eq!(value(&replica, "later").as_deref(), Some("later"));
    }
}

#[test]
fn b9_a_completed_window_reaches_the_disk_of_the_replica() {
    let (master, replica, mut link) = pair();
    master.start().unwrap();
    write_window(&master);
    link.settle(&master, &replica);
    replica.write();
    assert_eq!(replica.stored(0, "k").as_deref(), Some("before"));
    master.complete().unwrap();
    link.settle(&master, &replica);
    replica.write();
    assert_eq!(replica.stored(0, "k").as_deref(), Some("inside"));
    let replica = replica.crash();
    replica.host.until("it is loaded", || {
        !replica.engine.vbucket(0).unwrap().is_loading()
    });
    assert_same(&master, &replica);
    let mut link = Link::replicate(&master, &replica);
    link.settle(&master, &replica);
    check_completed(master, replica, link);
}

#[test]
fn b10_a_replica_that_joins_inside_the_window_can_revert_and_complete() {
    for completes in [false, true] {
        let (master, replica) = (Node::new(), replica());
        master.set(0, "k", "before");
        master.set(0, "gone", "before");
        master.write();
        master.start().unwrap();
        write_window(&master);
        let mut link = Link::backfill(&master);
        link.settle(&master, &replica);
        assert_same(&master, &replica);
        replica.write();
        assert_eq!(replica.stored(0, "k").as_deref(), Some("before"));
        assert_eq!(replica.stored(0, "gone").as_deref(), Some("before"));
        master.decide(completes).unwrap();
        link.settle(&master, &replica);
        check_end(master, replica, link, completes);
    }
}

#[test]
fn b15_a_refused_mutation_is_sent_again_before_the_mark() {
    let (master, replica, mut link) = pair();
    master.start().unwrap();
    link.settle(&master, &replica);
    write_window(&master);
    link.refuse("set k inside", NOT_NOW);
    link.settle(&master, &replica);
    master.complete().unwrap();
    link.settle(&master, &replica);
    assert_eq!(link.count("opaque 5"), 0, "suspended");
    master.host.advance(6);
    link.settle(&master, &replica);
    let texts = link.texts();
    let place = |text: &str| texts.iter().position(|other| *other == text).unwrap();
    assert!(place("set k inside") < place("window 5 2"), "{texts:?}");
    check_completed(master, replica, link);
}

#[test]
fn d1_a_mark_wakes_an_idle_stream() {
    let (master, replica, mut link) = pair();
    let mut expect = |act: &dyn Fn(), mark: &str| {
        link.settle(&master, &replica);
        let before = master.host.woken(link.stream);
        act();
        let woken = || master.host.woken(link.stream) > before;
        master.host.until("the stream is woken", woken);
        link.settle(&master, &replica);
        assert!(link.texts().contains(&mark));
    };
    expect(&|| master.start().unwrap(), "opaque 4");
    expect(&|| master.complete().unwrap(), "opaque 5");
    expect(&|| master.start().unwrap(), "opaque 4");
    expect(&|| master.revert().unwrap(), "opaque 6");
}

#[test]
fn d2_a_stream_that_comes_back_inside_the_window_goes_on() {
    for backfills in [false, true] {
        let (master, replica, mut link) = pair();
        master.start().unwrap();
        master.set(0, "new", "inside");
        link.settle(&master, &replica);
        for round in 0..3 {
            link.disconnect(&master, Some(&replica));
            link = if backfills {
                Link::backfill(&master)
            } else {
                Link::replicate(&master, &replica)
            };
            master.set(0, "k", &round.to_string());
            link.settle(&master, &replica);
            assert!(!link.closed && phase(&replica).is_some(), "{:?}", link.sent);
        }
        write_window(&master);
        master.complete().unwrap();
        link.settle(&master, &replica);
        check_completed(master, replica, link);
    }
}

#[test]
fn d3_start_leaves_replica_vbuckets_of_the_node_alone() {
    let (master, node, mut link) = pair();
    node.activate(1);
    node.set(1, "own", "before");
    let id = open_id(&node);
    node.start().unwrap();
    node.set(1, "own", "inside");
    assert_eq!((phase(&node), open_id(&node)), (None, id));
    master.set(0, "k", "on and on");
    link.settle(&master, &node);
    assert_same(&master, &node);
    // Two windows on one node, each with its own end.
    master.start().unwrap();
    master.set(0, "k", "inside");
    link.settle(&master, &node);
    node.revert().unwrap();
    assert!(phase(&node).is_some());
    assert_eq!(node.get(1, "own").as_deref(), Some("before"));
    assert_eq!(value(&node, "k").as_deref(), Some("inside"));
    master.complete().unwrap();
    link.settle(&master, &node);
    check_goes_on(master, node, &mut link);
}

#[test]
fn d4_a_takeover_moves_the_window() {
    for completes in [false, true] {
        let old = Node::with_vbuckets(1);
        old.set(0, "k", "before");
        old.start().unwrap();
        old.set(0, "k", "inside");
        let new = Node::with("vb0=false");
        let data = [0_u64.to_be_bytes().to_vec(), list(&[0])].concat();
        let flags = BACKFILL | ACK | LIST | TAKEOVER;
        let mut link = Link::connect(&old, "taker", flags, &data).unwrap();
        link.hand_over(&old, &new);
        assert_eq!(old.engine.vbucket_state(0), Some(VbucketState::Dead));
        assert_eq!(new.engine.vbucket_state(0), Some(VbucketState::Active));
        assert_eq!(new.get(0, "k").as_deref(), Some("inside"));
        new.write();
        assert_eq!(new.stored(0, "k").as_deref(), Some("before"));
        // The old owner's commands no longer count it.
        assert!(old.complete().is_err() && old.revert().is_err());
        let expected = if completes {
            new.complete().unwrap();
            "inside"
        } else {
            new.revert().unwrap();
            "before"
        };
        let new = new.crash_after_a_write();
        assert_eq!(new.get(0, "k").as_deref(), Some(expected));
    }
}

#[test]
fn d5_a_replica_takes_back_a_window_that_its_master_lost() {
    for backfills in [false, true] {
        let (master, replica, mut link) = pair();
        master.start().unwrap();
        write_window(&master);
        link.settle(&master, &replica);
        link.disconnect(&master, Some(&replica));
        let master = master.crash_after_a_write();
        assert!(master.complete().is_err());
        let mut link = if backfills {
            Link::backfill(&master)
        } else {
            Link::replicate(&master, &replica)
        };
        link.settle(&master, &replica);
        let text = "the online update that is open here is reverted";
        assert!(replica.host.has_logged(LogLevel::Warning, text));
        check_reverted(master, replica, link);
    }
}

#[test]
fn d6_a_stream_without_checkpoints_carries_windows_too() {
    for completes in [false, true] {
        let (master, replica) = (Node::new(), replica());
        master.set(0, "k", "before");
        master.set(0, "gone", "before");
        let since = 0_u64.to_be_bytes();
        let mut link = Link::connect(&master, "plain", BACKFILL | ACK, &since).unwrap();
        link.settle(&master, &replica);
        master.start().unwrap();
        write_window(&master);
        link.settle(&master, &replica);
        master.decide(completes).unwrap();
        link.settle(&master, &replica);
        check_end(master, replica, link, completes);
    }
}

/// No number of keys is too large for a window. When memory is too small, what was refused and
/// reverted since is sent once more, as the order demands, and then gives way to the mark, as does
/// what was not sent yet.
#[test]
fn d7_a_replica_without_memory_for_the_window_still_gets_its_end() {
    let (master, replica, mut link) = pair();
    master.start().unwrap();
    master.set(0, "new", "inside");
    link.settle(&master, &replica);
    let settings = &replica.engine.shared().settings;
    let quota = (1_u64 << 40).to_string();
    settings.set(Family::Flush, "max_size", "1").unwrap();
    master.set(0, "k", "inside");
    master.remove(0, "gone").unwrap();
    link.settle(&master, &replica);
    assert_eq!(link.sent.last().unwrap().answer, NOT_NOW, "{:?}", link.sent);
    for key in 0..1_000 {
        master.set(0, &key.to_string(), "inside");
    }
    master.revert().unwrap();
    for refusals in 2..4 {
        master.host.advance(6);
        link.settle(&master, &replica);
        assert_eq!(link.count("set k inside"), 2, "{refusals}");
    }
    assert!(link.texts().contains(&"opaque 6"), "{:?}", link.sent);
    assert_eq!(value(&replica, "k").as_deref(), Some("before"));
    settings.set(Family::Flush, "max_size", &quota).unwrap();
    check_reverted(master, replica, link);
}

#[test]
fn d7_a_mark_is_not_refused_for_want_of_memory() {
    let replica = replica();
    let settings = &replica.engine.shared().settings;
    settings.set(Family::Flush, "max_size", "1").unwrap();
    let peer = cookie();
    announce(&replica, peer, 4, 7).unwrap();
    opaque(&replica, peer, 4).unwrap();
    let state = bare(TapEvent::VbucketSet, &[0, 0, 0, 1]);
    receive(&replica, peer, &state).unwrap();
    replica.revert().unwrap();
}
