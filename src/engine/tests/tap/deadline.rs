//! Deadlines of windows on their way to replicas.

use super::{
    ACK, BACKFILL, CHECKPOINTS, LIST, Link, Node, TAKEOVER, announce, cookie, list, mutation,
    opaque, pair, phase, replica, tell_deadline, value,
};
use crate::checkpoint::Phase;
use crate::engine::UpdateState;
use crate::error::Error;
use crate::host::Host;
use crate::types::VbucketState;

/// Seconds that the window of vbucket 0 has left, open for commands or not.
fn left(node: &Node) -> Option<u64> {
    let deadline = node.engine.vbucket(0).unwrap().deadline()?;
    Some(deadline.as_secs() - node.host.monotonic().as_secs())
}

fn deadlines(link: &Link) -> Vec<&str> {
    let mut texts = link.texts();
    texts.retain(|text| text.starts_with("deadline"));
    texts
}

/// A promoted replica reverts when its master would have.
fn reverts_after(replica: &Node, seconds: u64) {
    replica.activate(0);
    assert_eq!(replica.state(), UpdateState::Open);
    replica.let_pass(seconds - 1);
    assert_eq!(replica.engine.update_report().left.unwrap().as_secs(), 1);
    replica.let_pass(1);
    let ended = || replica.state() == UpdateState::None;
    replica.host.until("the window has ended", ended);
    assert_eq!(replica.last_outcome(), "reverted at deadline");
    assert_eq!(value(replica, "k").as_deref(), Some("before"));
}

fn pair_in_window(seconds: u32) -> (Node, Node, Link) {
    let (master, replica, mut link) = pair();
    master.set(0, "k", "before");
    link.settle(&master, &replica);
    link.sent.clear();
    master.start_for(seconds).unwrap();
    master.set(0, "k", "inside");
    (master, replica, link)
}

#[test]
fn it_precedes_the_mark_and_a_promoted_replica_has_what_was_left() {
    let (master, replica, mut link) = pair_in_window(100);
    master.host.advance(30);
    link.settle(&master, &replica);
    let texts = link.texts();
    let at = texts.iter().position(|text| *text == "opaque 4").unwrap();
    assert_eq!(
        texts[at - 2..=at],
        ["deadline 2 70", "window 4 2", "opaque 4"]
    );
    assert_eq!(deadlines(&link).len(), 1);
    assert_eq!(left(&replica), Some(70));
    // Its master's marks decide about a replica.
    replica.let_pass(100);
    assert_eq!(phase(&replica), Some(Phase::Open));
    master.engine.move_deadline(50).unwrap();
    link.settle(&master, &replica);
    reverts_after(&replica, 50);
}

#[test]
fn without_one_nothing_is_said() {
    let (master, replica, mut link) = pair_in_window(0);
    link.settle(&master, &replica);
    assert!(deadlines(&link).is_empty());
    assert_eq!((phase(&replica), left(&replica)), (Some(Phase::Open), None));
    master.complete().unwrap();
    link.settle(&master, &replica);
    assert!(deadlines(&link).is_empty());
}

#[test]
fn a_deadline_that_is_moved_or_taken_away_is_so_on_the_replica() {
    let (master, replica, mut link) = pair_in_window(100);
    link.settle(&master, &replica);
    let woken = master.host.woken(link.stream);
    master.engine.move_deadline(500).unwrap();
    // An idle stream is woken for that.
    let again = || master.host.woken(link.stream) > woken;
    master.host.until("the stream is woken", again);
    link.settle(&master, &replica);
    assert_eq!(left(&replica), Some(500));
    master.engine.move_deadline(0).unwrap();
    link.settle(&master, &replica);
    assert_eq!((left(&replica), left(&master)), (None, None));
    assert_eq!(
        deadlines(&link)[1..],
        ["deadline 2 500", "deadline 2 4294967295"]
    );
    master.engine.move_deadline(9).unwrap();
    link.settle(&master, &replica);
    reverts_after(&replica, 9);
}

/// A message about the deadline waits until what was sent is acknowledged: somebody has to ask.
#[test]
fn changes_that_were_on_their_way_when_it_was_moved_arrive_with_it() {
    for changes in 1..=4 {
        let (master, replica, mut link) = pair_in_window(100);
        link.settle(&master, &replica);
        for number in 0..changes {
            master.set(0, &format!("later-{number}"), "inside");
        }
        master.engine.move_deadline(500).unwrap();
        link.settle(&master, &replica);
        for number in 0..changes {
            let key = format!("later-{number}");
            assert_eq!(
                value(&replica, &key).as_deref(),
                Some("inside"),
                "{changes}"
            );
        }
        assert_eq!(left(&replica), Some(500), "{changes}");
    }
}

#[test]
fn a_deadline_that_was_taken_away_before_a_stream_began_anew_stays_away() {
    let (master, replica, mut link) = pair_in_window(100);
    link.settle(&master, &replica);
    assert_eq!(left(&replica), Some(100));
    master.engine.streams().reset_chain();
    master.engine.move_deadline(0).unwrap();
    link.settle(&master, &replica);
    assert_eq!((phase(&replica), left(&replica)), (Some(Phase::Open), None));
}

/// A COMPLETE that was accepted goes on whatever the clock says: also on a replica that is promoted
/// before it hears of the end.
#[test]
fn no_deadline_ends_a_window_that_is_being_completed() {
    for fails in [false, true] {
        let (master, replica, mut link) = pair_in_window(100);
        link.settle(&master, &replica);
        master.store.hold_commits(true);
        master.begin_complete();
        let held = || master.store.held() > 0;
        master.host.until("COMPLETE commits", held);
        link.settle(&master, &replica);
        assert_eq!((phase(&replica), left(&replica)), (Some(Phase::Open), None));
        master.store.faults().fail_commits(fails);
        master.store.hold_commits(false);
        assert_eq!(master.complete().is_err(), fails);
        master.store.faults().fail_commits(false);
        link.settle(&master, &replica);
        assert_eq!(left(&replica), fails.then_some(100));
    }
}

#[test]
fn a_master_that_reverts_at_its_deadline_takes_its_replica_along() {
    let (master, replica, mut link) = pair_in_window(10);
    link.settle(&master, &replica);
    master.let_pass(10);
    let ended = || master.state() == UpdateState::None;
    master.host.until("the window has ended", ended);
    link.settle(&master, &replica);
    assert_eq!(phase(&replica), None);
    assert_eq!(value(&replica, "k").as_deref(), Some("before"));
    assert!(
        deadlines(&link).len() == 1,
        "nothing is said of a window that has ended"
    );
}

#[test]
fn a_stream_that_comes_back_tells_how_it_stands_now() {
    for (moved, expected) in [(Some(40), Some(40)), (Some(0), None), (None, Some(95))] {
        let (master, replica, mut link) = pair_in_window(100);
        link.settle(&master, &replica);
        link.disconnect(&master, Some(&replica));
        if let Some(moved) = moved {
            master.engine.move_deadline(moved).unwrap();
        } else {
            master.host.advance(5);
            replica.host.advance(5);
        }
        let mut link = Link::replicate(&master, &replica);
        link.settle(&master, &replica);
        assert_eq!(phase(&replica), Some(Phase::Open));
        assert_eq!(left(&replica), expected);
        assert_eq!(value(&replica, "k").as_deref(), Some("inside"));
    }
}

#[test]
fn a_stream_that_begins_inside_the_window_tells_it() {
    let (master, _, _) = pair_in_window(100);
    let late = replica();
    let mut link = Link::backfill(&master);
    link.settle(&master, &late);
    assert_eq!((phase(&late), left(&late)), (Some(Phase::Open), Some(100)));
    reverts_after(&late, 100);
}

#[test]
fn a_takeover_takes_the_deadline_along() {
    let (old, _, _) = pair_in_window(100);
    let new = Node::with("vb0=false");
    let flags = BACKFILL | ACK | CHECKPOINTS | LIST | TAKEOVER;
    let data = [0_u64.to_be_bytes().to_vec(), list(&[0])].concat();
    let mut link = Link::connect(&old, "taker", flags, &data).unwrap();
    old.host.advance(20);
    link.hand_over(&old, &new);
    assert_eq!(new.engine.vbucket_state(0), Some(VbucketState::Active));
    assert_eq!(left(&new), Some(80));
    reverts_after(&new, 80);
    // The old owner has nothing to do with it any more.
    old.let_pass(100);
    assert!(old.last_outcome() != "reverted at deadline");
}

/// What a client refuses for now is sent again as it stands then.
#[test]
fn what_is_sent_again_says_what_is_left_then() {
    let (master, replica, mut link) = pair_in_window(100);
    link.refuse("deadline 2 100", super::NOT_NOW);
    link.refuse("opaque 4", super::NOT_NOW);
    link.pump(&master, Some(&replica));
    assert_eq!(link.count("deadline 2 100"), 1);
    for _ in 0..3 {
        master.host.advance(10);
        replica.host.advance(10);
        link.settle(&master, &replica);
    }
    assert_eq!(deadlines(&link), ["deadline 2 90"]);
    assert_eq!(left(&replica), left(&master));
    assert_eq!(phase(&replica), Some(Phase::Open));
}

/// What a peer may send at any time, and what of it counts.
#[test]
fn only_the_window_that_is_meant_gets_it() {
    let node = replica();
    let peer = cookie();
    tell_deadline(&node, peer, 7, 50).unwrap();
    // Of another window than the one that comes.
    announce(&node, peer, 4, 8).unwrap();
    opaque(&node, peer, 4).unwrap();
    assert_eq!((phase(&node), left(&node)), (Some(Phase::Open), None));
    tell_deadline(&node, peer, 7, 50).unwrap();
    assert_eq!(left(&node), None);
    tell_deadline(&node, peer, 8, 50).unwrap();
    assert_eq!(left(&node), Some(50));
    // The same mark again, of a peer that says nothing of a deadline any more.
    let other = cookie();
    announce(&node, other, 4, 8).unwrap();
    opaque(&node, other, 4).unwrap();
    assert_eq!(left(&node), None);
    mutation(&node, peer, "k", "inside").unwrap();
    // An active vbucket's window is its operator's.
    node.activate(0);
    tell_deadline(&node, peer, 8, 5).unwrap();
    assert_eq!(left(&node), None);
    tell_deadline(&node, peer, u64::MAX, u32::MAX - 1).unwrap();
    let unknown = super::TapMessage {
        vbucket: u16::MAX,
        ..super::bare(super::TapEvent::Opaque, &[0; 16])
    };
    super::receive(&node, peer, &unknown).unwrap();
    let mut specific = 0xeb_u32.to_be_bytes().to_vec();
    specific.extend([0; 12]);
    let nowhere = super::TapMessage {
        vbucket: u16::MAX,
        ..super::bare(super::TapEvent::Opaque, &specific)
    };
    assert_eq!(super::receive(&node, peer, &nowhere), Err(Error::Invalid));
}
