//! Where a stream goes on: a replica that says what it has, has it, whatever was cut off before.

use super::{ACK, Link, NOT_NOW, Node, assert_same, opaque, pair};
use crate::tap::Event;

/// Closes the open checkpoint, and then the one behind it.
fn rotate(master: &Node) {
    master.start().unwrap();
    master.revert().unwrap();
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
