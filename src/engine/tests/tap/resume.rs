//! Where a stream goes on: a replica that says what it has, has it, whatever was cut off before.

use super::{
    ACK, BACKFILL, CHECKPOINTS, Link, NOT_NOW, Node, REGISTERED, assert_same, cookie, has_cursor,
    make_anew, mutation, opaque, open_id, pair, phase, replica, resume_data, value, write_window,
};
use crate::checkpoint::{Log, Phase};
use crate::settings::Family;
use crate::tap::Event;

/// Closes the open checkpoint, and then the one behind it.
fn rotate(master: &Node) {
    master.start().unwrap();
    master.revert().unwrap();
}

/// A pair whose replica is known, and believed from the open checkpoint on.
fn known() -> (Node, Node, Link) {
    let (master, other, mut link) = pair();
    rotate(&master);
    link.settle(&master, &other);
    (master, other, link)
}

/// A client that wants to begin behind a checkpoint.
fn behind(master: &Node, closed: u64) -> Link {
    let flags = BACKFILL | ACK | CHECKPOINTS;
    Link::connect(master, "replica", flags, &resume_data(closed)).unwrap()
}

/// Has all checkpoints from now on kept.
fn hold(master: &Node) -> Link {
    Link::connect(master, "slow", REGISTERED, &[]).unwrap()
}

/// What was on the disk of a replica before a backfill is no checkpoint to go on behind.
#[test]
fn a_backfill_that_was_cut_off_is_begun_again_though_its_master_has_moved_on() {
    let (master, other, mut link) = pair();
    link.disconnect(&master, Some(&other));
    let peer = cookie();
    opaque(&other, peer, 1).unwrap();
    mutation(&other, peer, "k", "before").unwrap();
    let other = other.crash_after_a_write();
    let _hold = hold(&master);
    rotate(&master);
    master.set(0, "later", "1");
    let mut link = Link::replicate(&master, &other);
    link.settle(&master, &other);
    assert_same(&master, &other);
}

/// The same without a crash of the replica.
#[test]
fn a_backfill_that_was_cut_off_leaves_no_id_behind() {
    let (master, other, mut link) = pair();
    link.disconnect(&master, Some(&other));
    let peer = cookie();
    opaque(&other, peer, 1).unwrap();
    other.write();
    let persisted = |log: &Log| log.persisted_id().get();
    assert_eq!(other.engine.vbucket(0).unwrap().with_log(persisted), 0);
}

/// Older checkpoints that come again take the replica back: it has them only until it has been
/// given the later ones again.
#[test]
fn a_replay_that_was_cut_off_is_gone_on_with() {
    for crashes in [false, true] {
        let (master, other, mut link) = known();
        let _hold = hold(&master);
        let from = open_id(&master).get() - 1;
        master.set(0, "k", "first");
        rotate(&master);
        master.set(0, "k", "second");
        rotate(&master);
        link.settle(&master, &other);
        assert_eq!(value(&other, "k").as_deref(), Some("second"));
        other.write();
        link.disconnect(&master, Some(&other));
        let mut link = behind(&master, from);
        while link.count("set k first") == 0 {
            assert!(link.step(&master, Some(&other)));
        }
        link.disconnect(&master, Some(&other));
        let other = if crashes {
            other.crash_after_a_write()
        } else {
            other
        };
        assert_eq!(value(&other, "k").as_deref(), Some("first"));
        let mut link = Link::replicate(&master, &other);
        link.settle(&master, &other);
        assert_same(&master, &other);
    }
}

/// In the default configuration, where a stream leaves no place behind.
#[test]
fn a_replica_that_comes_again_gets_what_it_lacks_and_no_more() {
    for crashes in [false, true] {
        let (master, other, mut link) = known();
        let _hold = hold(&master);
        master.set(0, "k", "1");
        link.settle(&master, &other);
        link.disconnect(&master, Some(&other));
        let other = if crashes {
            other.crash_after_a_write()
        } else {
            other
        };
        master.set(0, "meanwhile", "1");
        let mut link = Link::replicate(&master, &other);
        link.settle(&master, &other);
        assert_same(&master, &other);
        assert_eq!(link.count("opaque 1"), 0, "{:?}", link.texts());
    }
}

/// It was given everything the first time, and says what it has from then on.
#[test]
fn who_had_nothing_at_first_is_believed_when_it_comes_again() {
    let (master, other) = (Node::new(), replica());
    let _hold = hold(&master);
    let flags = BACKFILL | ACK | CHECKPOINTS;
    let mut link = Link::connect(&master, "replica", flags, &[0; 8]).unwrap();
    master.set(0, "k", "1");
    rotate(&master);
    link.settle(&master, &other);
    link.disconnect(&master, Some(&other));
    master.set(0, "meanwhile", "1");
    let mut link = Link::replicate(&master, &other);
    link.settle(&master, &other);
    assert_same(&master, &other);
    assert_eq!(link.count("opaque 1"), 0, "{:?}", link.texts());
}

/// The ids of a vbucket that was deleted are those of the next one, too.
#[test]
fn a_replica_of_a_vbucket_that_was_made_anew_keeps_nothing_of_before() {
    for closes in [0, 2] {
        let (master, other) = (Node::new(), replica());
        let _hold = hold(&master);
        master.set(0, "old", "1");
        let mut link = Link::replicate(&master, &other);
        link.settle(&master, &other);
        for _ in 0..closes {
            rotate(&master);
        }
        link.settle(&master, &other);
        link.disconnect(&master, Some(&other));
        make_anew(&master);
        let _hold = hold(&master);
        for _ in 0..closes {
            rotate(&master);
        }
        master.set(0, "new", "1");
        // The second time it says the same as the first time: it died before it wrote.
        let says = open_id(&other).get() - 1;
        let mut link = behind(&master, says);
        link.run(&master, None);
        link.disconnect(&master, None);
        let mut link = Link::replicate(&master, &other);
        link.settle(&master, &other);
        assert_same(&master, &other);
    }
}

/// What one replica had of its master beyond the other, and of the same checkpoint, goes when that
/// one is promoted.
#[test]
fn a_replica_that_is_ahead_of_its_new_master_is_taken_back() {
    let [first, second, third] = [Node::new(), replica(), replica()];
    first.set(0, "k", "1");
    let connect = |name, node: &Node| {
        let flags = BACKFILL | ACK | CHECKPOINTS;
        let mut link = Link::connect(&first, name, flags, &resume_data(0)).unwrap();
        link.settle(&first, node);
        link
    };
    let mut links = [connect("second", &second), connect("third", &third)];
    rotate(&first);
    links[0].settle(&first, &second);
    first.set(0, "lost", "1");
    links[1].settle(&first, &third);
    links[0].disconnect(&first, Some(&second));
    links[1].disconnect(&first, Some(&third));
    assert!(value(&third, "lost").is_some() && value(&second, "lost").is_none());
    second.activate(0);
    second.set(0, "own", "1");
    let mut link = Link::replicate(&second, &third);
    link.settle(&second, &third);
    assert_same(&second, &third);
}

/// A window that is played again takes no ids that its master has not given.
#[test]
fn a_window_that_is_played_again_leaves_the_ids_alone() {
    for completes in [false, true] {
        let (master, other, mut link) = known();
        let _hold = hold(&master);
        let from = open_id(&master).get() - 1;
        master.start().unwrap();
        write_window(&master);
        master.decide(completes).unwrap();
        link.settle(&master, &other);
        link.disconnect(&master, Some(&other));
        let mut link = behind(&master, from);
        link.settle(&master, &other);
        assert_eq!(open_id(&master), open_id(&other));
        link.disconnect(&master, Some(&other));
        master.set(0, "lost", "1");
        rotate(&master);
        let mut link = Link::replicate(&master, &other);
        link.settle(&master, &other);
        assert_eq!(phase(&other), None);
        assert_same(&master, &other);
    }
}

/// The same for one that is still open when an earlier checkpoint comes again.
#[test]
fn a_replay_from_before_an_open_window_leaves_the_ids_alone() {
    for completes in [false, true] {
        let (master, other, mut link) = known();
        let _hold = hold(&master);
        let from = open_id(&master).get() - 1;
        rotate(&master);
        master.start().unwrap();
        write_window(&master);
        link.settle(&master, &other);
        link.disconnect(&master, Some(&other));
        let mut link = behind(&master, from);
        link.settle(&master, &other);
        assert_eq!(open_id(&master), open_id(&other));
        assert_same(&master, &other);
        master.decide(completes).unwrap();
        link.settle(&master, &other);
        assert_eq!(open_id(&master), open_id(&other));
        link.disconnect(&master, Some(&other));
        master.set(0, "lost", "1");
        rotate(&master);
        let mut link = Link::replicate(&master, &other);
        link.settle(&master, &other);
        assert_same(&master, &other);
    }
}

/// What an older connection's client acknowledges late is nothing that the newer one has.
#[test]
fn an_answer_to_a_replaced_connection_moves_nothing() {
    for status in [0, 0x04] {
        let (master, other, mut link) = pair();
        rotate(&master);
        link.settle(&master, &other);
        link.answers = false;
        master.set(0, "k", "1");
        master.set(0, "late", "1");
        // What was sent is lost on its way.
        link.pump(&master, None);
        let last = link.sent.last().unwrap().seqno;
        let mut newer = Link::backfill(&master);
        let _ = link.answer(&master, last, status);
        newer.settle(&master, &other);
        assert_same(&master, &other);
        assert_eq!(newer.count("opaque 1"), 1);
    }
}

/// A client that names the checkpoint that it lacks has lost what it acknowledged of it.
#[test]
fn a_replica_that_lost_what_it_acknowledged_gets_it_again() {
    for kept in [false, true] {
        let (master, other, mut link) = pair();
        if kept {
            let settings = &master.engine.shared().settings;
            settings.set(Family::Tap, "tap_keepalive", "60").unwrap();
        }
        rotate(&master);
        master.set(0, "between", "1");
        link.settle(&master, &other);
        other.write();
        other.engine.set_persistence(false);
        let _hold = hold(&master);
        master.set(0, "k", "acknowledged");
        link.settle(&master, &other);
        // The machine of the replica dies; its master notices or does not.
        if kept {
            link.disconnect(&master, Some(&other));
        }
        let other = other.crash();
        assert_eq!(value(&other, "k").as_deref(), Some("before"));
        let mut link = Link::replicate(&master, &other);
        link.settle(&master, &other);
        assert_same(&master, &other);
    }
}

/// Whoever forgets a client forgets its cursors, however long those of other ones are kept.
#[test]
fn a_live_client_that_is_deregistered_leaves_nothing() {
    let node = Node::new();
    let settings = &node.engine.shared().settings;
    settings.set(Family::Tap, "tap_keepalive", "60").unwrap();
    let mut link = Link::connect(&node, "backup", REGISTERED | ACK, &[]).unwrap();
    link.run(&node, None);
    node.engine.streams().deregister(b"backup");
    assert!(!has_cursor(&node, "backup"));
    node.engine.streams().reset_chain();
    link.disconnect(&node, None);
    assert!(!has_cursor(&node, "backup"));
}

/// A client may call itself what the engine would call one without a name.
#[test]
fn a_stream_without_a_name_is_nobody_elses() {
    let node = Node::new();
    let mut named = Link::connect(&node, "anon_1", ACK, &[]).unwrap();
    named.run(&node, None);
    let mut unnamed = Link::connect(&node, "", ACK, &[]).unwrap();
    node.set(0, "k", "1");
    named.run(&node, None);
    unnamed.run(&node, None);
    let complete = |link: &Link| link.closed || link.count("set k 1") == 1;
    assert!(complete(&named) && complete(&unnamed));
}

/// Two connections that come with one name at the same time are not both its stream.
#[test]
fn one_name_is_one_stream_at_any_time() {
    let node = Node::with_vbuckets(64);
    for round in 0..200 {
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| Link::connect(&node, "n", ACK, &[]).unwrap());
            }
        });
        let reports = node.engine.streams().reports();
        let open = reports.iter().filter(|stream| stream.connected).count();
        assert_eq!(open, 1, "round {round}");
    }
}

/// An answer to what was never sent is none to what will be.
#[test]
fn a_number_that_was_not_sent_acknowledges_nothing() {
    let node = Node::new();
    node.set(0, "a", "1");
    let mut link = Link::connect(&node, "n", ACK, &[]).unwrap();
    link.answers = false;
    link.run(&node, None);
    let sent = link.sent.last().unwrap().seqno;
    assert!(link.answer(&node, sent + 100, 0));
    assert!(link.answer(&node, sent + 100, NOT_NOW));
    let report = node.engine.streams().reports().remove(0);
    assert_eq!((report.unacked, report.suspended), (2, false));
    assert_ne!(link.next(&node).event, Event::Disconnect);
}

/// A message that comes on another connection meanwhile does not tear a window in two.
#[test]
fn a_backfill_does_not_begin_inside_a_window() {
    let (master, other, mut link) = pair();
    master.start().unwrap();
    link.settle(&master, &other);
    assert!(!other.engine.vbucket(0).unwrap().begin_backfill());
    assert_eq!(phase(&other), Some(Phase::Open));
    assert_same(&master, &other);
}
