//! The sending side: what a client may ask for, order and numbers, acknowledgements, pauses.

use super::{
    ACK, BACKFILL, CHECKPOINTS, DUMP, KEYS_ONLY, LIST, LONG, Link, NOT_NOW, Node, REGISTERED, Sent,
    TAKEOVER, assert_same, contents_of, cookie, evict, forget, has_cursor, list, open_id, pair,
    replica, resume_data, value,
};
use crate::error::Error;
use crate::host::LogLevel;
use crate::tap::Event;
use crate::types::{StoreOp, VbucketState};

/// User data for a backfill of all there is.
const ALL: [u8; 8] = [0; 8];

/// The date of which nothing is older.
const NEVER: [u8; 8] = [0x7f, 0, 0, 0, 0, 0, 0, 0];

/// A node whose log does not reach back to its first key any more.
fn old_node(config: &str) -> Node {
    let node = Node::with(config);
    node.set(0, "a", "1");
    node.set(0, "b", "1");
    forget(&node);
    node
}

fn numbers(link: &Link) -> Vec<u32> {
    link.sent.iter().map(|sent| sent.seqno).collect()
}

#[test]
fn a_dump_is_the_state_and_then_the_end() {
    let node = Node::with_vbuckets(3);
    (0..3).for_each(|vbucket| {
        node.set(vbucket, "k", "v");
    });
    node.engine
        .core
        .set_vbucket(1, VbucketState::Replica)
        .unwrap();
    let mut link = Link::connect(&node, "dump", DUMP, &[]).unwrap();
    assert!(!has_cursor(&node, "dump"));
    link.run(&node, None);
    node.host.until("it ends", || {
        link.pump(&node, None);
        link.closed
    });
    let sent: Vec<(&str, u16)> = link.sent.iter().map(|s| (&*s.text, s.vbucket)).collect();
    assert_eq!(sent, [("set k v", 0), ("set k v", 2)]);
}

#[test]
fn only_the_listed_vbuckets_are_sent() {
    let node = Node::with_vbuckets(4);
    (0..4).for_each(|vbucket| {
        node.set(vbucket, "k", "v");
    });
    let data = [&ALL[..], &list(&[1, 3, 900])].concat();
    let mut link = Link::connect(&node, "some", BACKFILL | LIST, &data).unwrap();
    link.run(&node, None);
    node.set(0, "l", "w");
    node.set(3, "l", "w");
    link.run(&node, None);
    let of = |sent: &&Sent| sent.text.starts_with("set");
    let vbuckets: Vec<u16> = link
        .sent
        .iter()
        .filter(of)
        .map(|sent| sent.vbucket)
        .collect();
    assert_eq!(vbuckets, [1, 3, 3]);
}

#[test]
fn keys_only_needs_no_value_and_no_disk() {
    let node = Node::new();
    node.set(0, "a", LONG);
    node.set(0, "b", "1");
    forget(&node);
    evict(&node, "a");
    node.store.faults().fail_reads(true);
    let mut link = Link::connect(&node, "keys", BACKFILL | KEYS_ONLY, &ALL).unwrap();
    link.run(&node, None);
    node.set(0, "c", "1");
    link.run(&node, None);
    let mut texts = link.texts();
    texts.retain(|text| !text.starts_with("opaque"));
    texts.sort_unstable();
    assert_eq!(texts, ["key a", "key b", "key c"]);
    node.store.faults().fail_reads(false);
}

#[test]
fn a_date_that_is_not_past_suppresses_a_needed_backfill_only() {
    let node = old_node("");
    let mut link = Link::connect(&node, "new", BACKFILL, &NEVER).unwrap();
    link.run(&node, None);
    assert_eq!(link.texts(), [""; 0]);
    node.set(0, "c", "1");
    link.run(&node, None);
    assert_eq!(link.texts(), ["set c 1"]);
    // What is in memory is sent from its first checkpoint on.
    let node = Node::new();
    node.set(0, "a", "1");
    let mut link = Link::connect(&node, "new", BACKFILL, &NEVER).unwrap();
    link.run(&node, None);
    assert_eq!(link.texts(), ["set a 1"]);
}

#[test]
fn a_registered_client_keeps_its_cursor_until_it_is_deregistered() {
    let node = old_node("");
    let connect = || Link::connect(&node, "backup", REGISTERED | ACK, &[]).unwrap();
    let mut link = connect();
    link.run(&node, None);
    node.set(0, "c", "1");
    link.run(&node, None);
    assert_eq!(link.texts(), ["opaque 0", "set c 1"], "never a backfill");
    link.disconnect(&node, None);
    node.set(0, "d", "1");
    node.host.advance(4000);
    node.engine.streams().signal().wake();
    node.write();
    assert!(has_cursor(&node, "backup"));
    let mut link = connect();
    link.run(&node, None);
    assert_eq!(link.texts(), ["opaque 0", "set d 1"]);
    // With a connection and without one.
    node.engine.streams().deregister(b"backup");
    assert_eq!(link.next(&node).event, Event::Disconnect);
    link.disconnect(&node, None);
    assert!(!has_cursor(&node, "backup"));
    connect().disconnect(&node, None);
    assert!(has_cursor(&node, "backup"));
    node.engine.streams().deregister(b"backup");
    assert!(!has_cursor(&node, "backup"));
}

#[test]
fn a_client_of_closed_checkpoints_is_told_when_it_has_all() {
    let node = Node::with("chk_max_items=100");
    let flags = REGISTERED | CHECKPOINTS | ACK;
    let mut link = Link::connect(&node, "backup", flags, &[1]).unwrap();
    (0..150).for_each(|key| {
        node.set(0, &key.to_string(), "v");
    });
    link.run(&node, None);
    let texts = link.texts();
    assert_eq!(texts[texts.len() - 2..], ["end 1", "opaque 3"]);
    assert_eq!(
        texts.iter().filter(|text| text.starts_with("set")).count(),
        100
    );
    assert_eq!(link.sent.last().unwrap().vbucket, 0xffff);
    link.run(&node, None);
    assert_eq!(link.count("opaque 3"), 1, "once");
    // Two checkpoints at most: the first one has to go before the second is closed.
    node.write();
    (150..250).for_each(|key| {
        node.set(0, &key.to_string(), "v");
    });
    link.run(&node, None);
    let texts = link.texts();
    assert_eq!(texts[texts.len() - 2..], ["end 2", "opaque 3"]);
}

#[test]
fn order_and_numbers_are_those_of_membase() {
    let node = old_node("");
    let mut link = Link::backfill(&node);
    // An item with nothing behind it yet would ask for an answer.
    let queued = || node.engine.streams().reports()[0].queued;
    node.host.until("both are queued", || queued() == 2);
    link.run(&node, None);
    node.set(0, "c", "1");
    node.remove(0, "a").unwrap();
    link.run(&node, None);
    let mut texts = link.texts();
    texts[3..5].sort_unstable();
    let open = open_id(&node);
    let start = format!("start {open}");
    let expected = [
        "opaque 0", "opaque 2", "opaque 1", "set a 1", "set b 1", "opaque 8", &start, "set c 1",
        "delete a",
    ];
    assert_eq!(texts, expected);
    assert_eq!(numbers(&link), [2, 4, 6, 7, 8, 10, 11, 12, 13]);
    // Asked for: what is no item, the end of a backfill, and whenever there is nothing more.
    let acks: Vec<bool> = link.sent.iter().map(|sent| sent.ack).collect();
    assert_eq!(
        acks,
        [true, true, true, false, true, true, true, false, true]
    );
}

#[test]
fn numbers_begin_where_they_are_configured_to_and_skip_zero() {
    let config = "tap_ack_initial_sequence_number=4294967295";
    let node = Node::with(config);
    node.set(0, "a", "1");
    let mut link = Link::connect(&node, "n", ACK, &[]).unwrap();
    link.run(&node, None);
    assert_eq!(
        (numbers(&link), link.texts()),
        (vec![1, 2], vec!["opaque 0", "set a 1"])
    );
    node.set(0, "a", "2");
    link.refuse("set a 2", NOT_NOW);
    link.run(&node, None);
    node.host.advance(6);
    link.run(&node, None);
    assert_eq!(link.texts(), ["opaque 0", "set a 1", "set a 2"]);
}

#[test]
fn without_acknowledgements_there_are_no_flags_and_no_numbers() {
    let node = Node::new();
    node.store.hold_commits(true);
    node.set(0, "a", "1");
    node.begin_start();
    let mut link = Link::connect(&node, "n", BACKFILL | CHECKPOINTS, &ALL).unwrap();
    link.run(&node, None);
    let texts = link.texts();
    assert_eq!(texts[..4], ["opaque 2", "start 1", "set a 1", "end 1"]);
    assert!(texts.contains(&"opaque 4"));
    assert!(
        link.sent
            .iter()
            .all(|sent| !sent.ack && sent.seqno == link.sent[0].seqno)
    );
}

#[test]
fn a_full_window_pauses_and_its_grace_ends() {
    let config = "tap_ack_window_size=2;tap_ack_interval=3;tap_ack_grace_period=60";
    let node = Node::with(config);
    (0..20).for_each(|key| {
        node.set(0, &key.to_string(), "v");
    });
    let mut link = Link::connect(&node, "n", ACK, &[]).unwrap();
    link.answers = false;
    link.run(&node, None);
    assert_eq!(link.sent.len(), 6);
    assert!(node.engine.streams().reports()[0].window_full);
    assert!(link.sent[5].ack, "whoever waits for an answer asks for one");
    // One for all before it.
    assert!(link.answer(&node, link.sent[3].seqno, 0));
    link.run(&node, None);
    assert_eq!(link.sent.len(), 10);
    node.host.advance(59);
    node.engine.streams().signal().wake();
    link.run(&node, None);
    assert!(!link.closed);
    // Whoever asks sees it at once.
    node.host.advance(1);
    link.run(&node, None);
    assert!(link.closed);
}

#[test]
fn a_temporary_failure_suspends_the_stream_until_its_time_is_over() {
    let node = Node::with("tap_backoff_period=10");
    node.set(0, "a", "1");
    let mut link = Link::connect(&node, "n", ACK, &[]).unwrap();
    link.refuse("set a 1", NOT_NOW);
    link.run(&node, None);
    node.set(0, "b", "1");
    node.host.advance(9);
    link.run(&node, None);
    assert_eq!(link.texts(), ["opaque 0"]);
    let report = node.engine.streams().reports().remove(0);
    assert!(report.suspended && (report.backoffs, report.nacks, report.resent) == (1, 1, 1));
    node.host.advance(1);
    let before = node.host.woken(link.stream);
    node.engine.streams().signal().wake();
    node.host
        .until("it is woken", || node.host.woken(link.stream) > before);
    link.run(&node, None);
    assert_eq!(link.texts(), ["opaque 0", "set a 1", "set b 1"]);
}

#[test]
fn what_was_on_the_way_behind_a_refused_message_comes_again_in_order() {
    let node = Node::new();
    for key in ["a", "b", "c", "d"] {
        node.set(0, key, "1");
    }
    let mut link = Link::connect(&node, "n", ACK, &[]).unwrap();
    link.answers = false;
    link.run(&node, None);
    assert_eq!(
        link.texts(),
        ["opaque 0", "set a 1", "set b 1", "set c 1", "set d 1"]
    );
    let refused = link.sent[2].seqno;
    link.sent.clear();
    assert!(link.answer(&node, refused, NOT_NOW));
    // The log is kept for it.
    node.write();
    node.host.advance(6);
    link.run(&node, None);
    assert_eq!(link.texts(), ["set b 1", "set c 1", "set d 1"]);
    // The same in a backfill.
    let node = old_node("");
    let mut link = Link::backfill(&node);
    link.answers = false;
    node.host.until("both were sent", || {
        link.pump(&node, None);
        let at = |link: &Link, text| link.sent.iter().find(|s| s.text == text).map(|s| s.seqno);
        if let Some(opaque) = at(&link, "opaque 1") {
            link.answer(&node, opaque, 0);
        }
        link.sent.iter().any(|sent| sent.text == "set b 1")
            && link.sent.iter().any(|sent| sent.text == "set a 1")
    });
    let items: Vec<Sent> = link.sent.iter().rev().take(2).rev().cloned().collect();
    link.sent.clear();
    assert!(link.answer(&node, items[0].seqno, NOT_NOW));
    node.host.advance(6);
    link.answers = true;
    link.run(&node, None);
    let texts = link.texts();
    assert_eq!(texts[..3], [&*items[0].text, &*items[1].text, "opaque 8"]);
}

#[test]
fn a_refusal_for_good_ends_the_stream_and_the_next_begins_with_the_state() {
    let (node, other) = (old_node(""), replica());
    let mut link = Link::backfill(&node);
    link.settle(&node, &other);
    node.set(0, "c", "1");
    link.refuse("set c 1", 0x04);
    link.settle(&node, &other);
    assert!(link.closed && !has_cursor(&node, "replica"));
    let text = "refused a message with status 0x04";
    assert!(node.host.has_logged(LogLevel::Warning, text));
    let mut link = Link::backfill(&node);
    link.settle(&node, &other);
    assert_eq!(link.count("opaque 1"), 1);
    assert_same(&node, &other);
}

#[test]
fn a_sign_of_life_comes_when_it_is_due() {
    for (config, period) in [
        ("", 200),
        ("tap_noop_interval=50", 50),
        ("tap_idle_timeout=90", 30),
    ] {
        let node = Node::with(config);
        let mut link = Link::connect(&node, "n", ACK, &[]).unwrap();
        link.run(&node, None);
        for round in 1..3 {
            node.host.advance(period - 1);
            node.engine.streams().signal().wake();
            link.run(&node, None);
            assert_eq!(link.count("noop"), round - 1, "{config}");
            node.host.advance(1);
            node.engine.streams().signal().wake();
            node.host.until("it is sent", || {
                link.run(&node, None);
                link.count("noop") >= round
            });
            assert_eq!(link.count("noop"), round, "{config}");
        }
    }
}

#[test]
fn a_lost_cursor_means_the_whole_state_again() {
    let (node, other) = (old_node(""), replica());
    let mut link = Link::backfill(&node);
    link.settle(&node, &other);
    node.remove(0, "a").unwrap();
    node.engine.vbucket(0).unwrap().drop_cursor(b"replica");
    node.write();
    node.set(0, "c", "1");
    link.settle(&node, &other);
    assert_eq!((link.count("opaque 1"), link.count("opaque 8")), (2, 2));
    assert_same(&node, &other);
}

#[test]
fn a_reset_of_the_chain_gives_every_replica_the_whole_state() {
    let (node, other) = (Node::with_vbuckets(2), replica());
    other
        .engine
        .core
        .set_vbucket(1, VbucketState::Replica)
        .unwrap();
    node.set(0, "a", "1");
    node.set(1, "b", "1");
    let mut link = Link::connect(&node, "replica", BACKFILL | ACK | CHECKPOINTS, &ALL).unwrap();
    let mut kept = Link::connect(&node, "backup", REGISTERED, &[]).unwrap();
    kept.run(&node, None);
    link.settle(&node, &other);
    // Only here: the reset is to take it away.
    let peer = cookie();
    super::mutation(&other, peer, "stray", "1").unwrap();
    node.start().unwrap();
    node.set(0, "a", "inside");
    node.engine.streams().reset_chain();
    link.settle(&node, &other);
    kept.run(&node, None);
    assert_eq!((link.count("opaque 1"), kept.count("opaque 1")), (2, 0));
    for vbucket in 0..2 {
        assert_eq!(contents_of(&node, vbucket), contents_of(&other, vbucket));
    }
    node.revert().unwrap();
    link.settle(&node, &other);
    assert_same(&node, &other);
}

#[test]
fn a_backfill_that_cannot_read_the_store_ends_the_stream() {
    let node = Node::new();
    node.set(0, "a", LONG);
    node.set(0, "b", "1");
    forget(&node);
    evict(&node, "a");
    node.store.faults().fail_reads(true);
    let mut link = Link::backfill(&node);
    node.host.until("it ends", || {
        link.pump(&node, None);
        link.closed
    });
    let text = "cannot give the stream replica the state of vbucket 0";
    assert!(node.host.has_logged(LogLevel::Warning, text));
    node.store.faults().fail_reads(false);
    let (mut link, other) = (Link::backfill(&node), replica());
    link.settle(&node, &other);
    assert_same(&node, &other);
}

#[test]
fn a_backfill_queues_no_more_than_its_bound_and_goes_on() {
    let node = Node::with("tap_backlog_limit=10");
    (0..500).for_each(|key| {
        node.set(0, &key.to_string(), "v");
    });
    forget(&node);
    let other = replica();
    let mut link = Link::backfill(&node);
    link.settle(&node, &other);
    let ends = link.texts().iter().position(|text| *text == "opaque 8");
    assert_eq!(ends, Some(503));
    assert_eq!(contents_of(&other, 0).len(), 500);
    assert_same(&node, &other);
}

#[test]
fn a_vbucket_that_is_deleted_while_it_is_streamed_ends_there_only() {
    let (node, other) = (Node::with_vbuckets(2), replica());
    other
        .engine
        .core
        .set_vbucket(1, VbucketState::Replica)
        .unwrap();
    let mut link = Link::connect(&node, "n", BACKFILL | ACK, &ALL).unwrap();
    link.settle(&node, &other);
    node.set(1, "k", "v");
    node.engine.core.set_vbucket(1, VbucketState::Dead).unwrap();
    node.engine.core.delete_vbucket(1).unwrap();
    node.set(0, "a", "1");
    link.settle(&node, &other);
    assert!(!link.closed);
    assert_same(&node, &other);
    // A new one with that id, which the stream follows or not, confuses nothing.
    node.activate(1);
    node.set(1, "k", "new");
    node.set(0, "a", "2");
    link.settle(&node, &other);
    assert!(!link.closed);
    assert_same(&node, &other);
}

#[test]
fn a_takeover_without_a_list_takes_nothing() {
    let (node, other) = (Node::new(), Node::with("vb0=false"));
    let mut link = Link::connect(&node, "taker", BACKFILL | ACK | TAKEOVER, &ALL).unwrap();
    link.answers = true;
    link.pump(&node, None);
    assert_eq!(node.engine.vbucket_state(0), Some(VbucketState::Active));
    drop(other);
}

#[test]
fn a_takeover_hands_over_what_is_written_until_its_end() {
    let (old, new) = (Node::with_vbuckets(2), Node::with("vb0=false"));
    old.set(0, "a", "1");
    old.set(1, "a", "1");
    let data = [&ALL[..], &list(&[0])].concat();
    let flags = BACKFILL | ACK | LIST | TAKEOVER;
    let mut link = Link::connect(&old, "taker", flags, &data).unwrap();
    assert!(link.step(&old, Some(&new)) && link.step(&old, Some(&new)));
    assert_eq!(new.engine.vbucket_state(0), Some(VbucketState::Pending));
    old.set(0, "b", "1");
    link.hand_over(&old, &new);
    assert_eq!(link.texts().first(), Some(&"opaque 0"));
    assert_eq!(link.texts().last(), Some(&"state 1"));
    assert_eq!(old.engine.vbucket_state(0), Some(VbucketState::Dead));
    assert_eq!(old.engine.vbucket_state(1), Some(VbucketState::Active));
    assert_same(&old, &new);
    assert_eq!(
        old.store(StoreOp::Set, 0, "c", "1"),
        Err(Error::NotMyVbucket)
    );
    new.set(0, "c", "1");
    assert_eq!(new.get(0, "b").as_deref(), Some("1"));
}

#[test]
fn answers_that_make_no_sense_do_no_harm() {
    let node = Node::new();
    node.set(0, "a", "1");
    let mut link = Link::connect(&node, "n", ACK, &[]).unwrap();
    link.answers = false;
    link.run(&node, None);
    for (seqno, status) in [(0, 0), (u32::MAX, 0), (77, NOT_NOW), (0, NOT_NOW)] {
        assert!(link.answer(&node, seqno, status), "{seqno}");
    }
    node.host.advance(10);
    link.run(&node, None);
    let stranger = Link {
        stream: cookie(),
        ..link
    };
    assert!(!stranger.answer(&node, 1, 0));
    assert_eq!(stranger.next(&node).event, Event::Disconnect);
    assert_eq!(
        Link::connect(&node, "n", BACKFILL, &[0; 7]).err(),
        Some(Error::Invalid)
    );
    let _ = resume_data(0);
}

#[test]
fn a_backfill_leaves_out_what_has_expired() {
    let node = Node::new();
    node.set(0, "stays", "v");
    let item = node.item("ends", "v", 3);
    let client = cookie();
    let store = || node.engine.store(client, &item, StoreOp::Set, 0);
    node.host.finish(client, store).unwrap();
    forget(&node);
    // Nobody asks for the key, so nothing has noticed its end.
    node.host.advance(3);
    let mut link = Link::backfill(&node);
    link.run(&node, None);
    assert_eq!(link.count("set stays v"), 1);
    assert_eq!(link.count("set ends v"), 0);
}

/// Stores a key that expires in three seconds.
fn set_ending(node: &Node, key: &str, value: &str) {
    let item = node.item(key, value, 3);
    let client = cookie();
    let store = || node.engine.store(client, &item, StoreOp::Set, 0);
    node.host.finish(client, store).unwrap();
}

/// What has expired as its turn comes, and nobody has noticed, goes out as a deletion.
#[test]
fn what_has_expired_is_sent_as_a_deletion() {
    // In a stream of values, in one of keys, and in one without acknowledgements.
    for flags in [ACK, ACK | KEYS_ONLY, CHECKPOINTS] {
        let node = Node::new();
        let mut link = Link::connect(&node, "log", flags, &[]).unwrap();
        link.run(&node, None);
        node.set(0, "stays", "v");
        set_ending(&node, "ends", "v");
        node.host.advance(3);
        link.run(&node, None);
        assert_eq!(link.count("delete ends"), 1, "{:?}", link.texts());
        assert_eq!(link.count("set ends v") + link.count("key ends"), 0);
    }
}

#[test]
fn what_has_expired_in_a_window_comes_back_with_its_revert() {
    let (master, replica, mut link) = pair();
    master.start().unwrap();
    link.settle(&master, &replica);
    set_ending(&master, "k", "inside");
    set_ending(&master, "new", "inside");
    master.host.advance(3);
    link.settle(&master, &replica);
    assert_eq!(link.count("delete k") + link.count("delete new"), 2);
    assert_eq!(value(&replica, "k"), None);
    assert_same(&master, &replica);
    master.revert().unwrap();
    link.settle(&master, &replica);
    assert_eq!(value(&replica, "k").as_deref(), Some("before"));
    assert_same(&master, &replica);
}

#[test]
fn what_was_refused_expires_before_it_comes_again() {
    let (master, replica, mut link) = pair();
    set_ending(&master, "k", "after");
    link.refuse("set k after", NOT_NOW);
    link.pump(&master, Some(&replica));
    assert_eq!(value(&replica, "k").as_deref(), Some("before"));
    master.host.advance(60);
    link.settle(&master, &replica);
    assert_eq!((link.count("set k after"), link.count("delete k")), (1, 1));
    assert_same(&master, &replica);
}

/// The last items of a backfill expire as they wait for their turn: the stream still comes to its
/// end, and what follows is sent.
#[test]
fn what_expires_in_the_queue_of_a_backfill_is_sent_as_a_deletion() {
    for flags in [BACKFILL | ACK | CHECKPOINTS, DUMP | ACK] {
        let node = Node::new();
        for key in ["a", "b", "c", "d"] {
            set_ending(&node, key, "v");
        }
        forget(&node);
        let dumps = flags & DUMP != 0;
        let data = if dumps {
            Vec::new()
        } else {
            resume_data(1 << 40)
        };
        let mut link = Link::connect(&node, "replica", flags, &data).unwrap();
        let queued = || node.engine.streams().reports()[0].queued;
        node.host.until("all is queued", || queued() == 4);
        let begin = |link: &Link, text: &str| {
            let of = link.sent.iter().filter(|sent| sent.text.starts_with(text));
            of.count()
        };
        while begin(&link, "set") == 0 {
            assert!(link.step(&node, None));
        }
        node.host.advance(3);
        link.run(&node, None);
        let sent = (begin(&link, "set"), begin(&link, "delete"));
        assert_eq!(sent, (1, 3), "{:?}", link.texts());
        assert_eq!(link.closed, dumps);
        if !dumps {
            node.set(0, "after", "v");
            link.run(&node, None);
            assert_eq!(link.count("set after v"), 1);
        }
    }
}
