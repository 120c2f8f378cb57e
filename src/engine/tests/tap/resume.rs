//! Where a stream goes on: a replica that says what it has, has it, whatever was cut off before.

use super::{ACK, Link, NOT_NOW, Node, REGISTERED, assert_same, opaque, pair, value};
use crate::settings::Family;
use crate::tap::Event;
use crate::types::Seqno;

/// Closes the open checkpoint, and then the one behind it.
fn rotate(master: &Node) {
    master.start().unwrap();
    master.revert().unwrap();
}

/// Has all checkpoints from now on kept.
fn hold(master: &Node) -> Link {
    Link::connect(master, "slow", REGISTERED, &[]).unwrap()
}

fn has_cursor(node: &Node, name: &str) -> bool {
    let vbucket = node.engine.vbucket(0).unwrap();
    vbucket
        .cursor_remaining(name.as_bytes(), Seqno::ZERO)
        .is_some()
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
