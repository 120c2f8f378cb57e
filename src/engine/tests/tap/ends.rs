//! What becomes of a stream when its connection ends, and who may go on with it.

use super::{
    ACK, BACKFILL, CHECKPOINTS, DUMP, LIST, Link, Node, REGISTERED, TAKEOVER, assert_same, cookie,
    forget, has_cursor, id, list, replica,
};
use crate::checkpoint::Log;
use crate::error::Error;
use crate::settings::Family;
use crate::tap::Event;

fn keep(node: &Node, seconds: u32) {
    let settings = &node.engine.shared().settings;
    let seconds = seconds.to_string();
    settings
        .set(Family::Tap, "tap_keepalive", &seconds)
        .unwrap();
}

fn connect(node: &Node, name: &str) -> Link {
    let data = [0; 8];
    Link::connect(node, name, BACKFILL | ACK | CHECKPOINTS, &data).unwrap()
}

#[test]
fn a_connection_is_kept_while_its_stream_lives_and_released_once() {
    let node = Node::new();
    let mut link = connect(&node, "n");
    assert!(node.host.is_reserved(link.stream));
    link.run(&node, None);
    // Hosts tell it more than once.
    link.disconnect(&node, None);
    link.disconnect(&node, None);
    let released = || !node.host.is_reserved(link.stream);
    node.host.until("it is released", released);
    assert_eq!(node.engine.streams().reports().len(), 0);
}

#[test]
fn a_connection_has_one_stream() {
    let node = Node::new();
    let link = connect(&node, "n");
    let again = || node.engine.tap_connect(link.stream, b"other", ACK, &[]);
    assert_eq!(node.host.call(link.stream, again), Err(Error::Unsupported));
    assert_eq!(node.engine.streams().reports().len(), 1);
    // One whose request makes no sense is not kept.
    let stranger = cookie();
    let connect = || node.engine.tap_connect(stranger, b"", BACKFILL, &[0; 7]);
    assert_eq!(node.host.call(stranger, connect), Err(Error::Invalid));
    assert!(!node.host.is_reserved(stranger));
}

/// A key in each of three vbuckets.
fn write_all(node: &Node, value: &str) {
    (0..3).for_each(|vbucket| {
        node.set(vbucket, &format!("{value}{vbucket}"), value);
    });
}

/// The vbuckets of the changes that a stream has sent since the last look.
fn vbuckets_of(link: &mut Link, node: &Node) -> Vec<u16> {
    let before = link.sent.len();
    link.run(node, None);
    let changes = link.sent[before..].iter();
    let changes = changes.filter(|sent| sent.text.starts_with("set"));
    let mut ids: Vec<u16> = changes.map(|sent| sent.vbucket).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

#[test]
fn a_second_request_of_one_name_changes_the_filter() {
    let node = Node::with_vbuckets(3);
    write_all(&node, "a");
    let flags = BACKFILL | ACK | CHECKPOINTS | LIST;
    let data = |ids: &[u16]| [&[0; 8][..], &list(ids)].concat();
    let mut link = Link::connect(&node, "n", flags, &data(&[0, 1])).unwrap();
    let again = |stream, flags, data: &[u8]| {
        let call = || node.engine.tap_connect(stream, b"n", flags, data);
        node.host.call(stream, call)
    };
    assert_eq!(vbuckets_of(&mut link, &node), [0, 1]);
    assert_eq!(again(link.stream, flags, &data(&[1, 2])), Ok(()));
    assert_eq!(vbuckets_of(&mut link, &node), [2], "what it has goes on");
    write_all(&node, "b");
    assert_eq!(vbuckets_of(&mut link, &node), [1, 2]);
    let filter = |node: &Node| node.engine.streams().reports()[0].filter.clone();
    assert_eq!(filter(&node), Some(vec![id(1), id(2)]));
    // There and back, with messages that nobody has acknowledged.
    link.answers = false;
    write_all(&node, "c");
    assert_eq!(vbuckets_of(&mut link, &node), [1, 2]);
    assert_eq!(again(link.stream, flags, &data(&[0])), Ok(()));
    link.answer_late(&node);
    assert_eq!(vbuckets_of(&mut link, &node), [0]);
    // All of them.
    assert_eq!(again(link.stream, BACKFILL, &[0; 8]), Ok(()));
    assert_eq!(vbuckets_of(&mut link, &node), [1, 2]);
    assert_eq!(filter(&node), None);
    assert_eq!(node.engine.streams().reports().len(), 1);
    for flags in [DUMP, TAKEOVER | LIST] {
        let data = if flags == DUMP {
            Vec::new()
        } else {
            list(&[0])
        };
        assert_eq!(again(link.stream, flags, &data), Err(Error::Unsupported));
    }
    for id in 0..3 {
        assert_eq!(node.engine.vbucket(id).unwrap().with_log(Log::cursors), 1);
    }
    link.disconnect(&node, None);
    for id in 0..3 {
        assert_eq!(node.engine.vbucket(id).unwrap().with_log(Log::cursors), 0);
    }
}

/// The host fails if a connection is still kept afterwards, or released twice.
#[test]
fn a_node_that_ends_lets_its_streams_go() {
    let node = Node::new();
    (0..500).for_each(|key| {
        node.set(0, &key.to_string(), "v");
    });
    let links = ["a", "b", ""].map(|name| connect(&node, name));
    links[0].next(&node);
    node.engine.shutdown();
    for link in &links {
        assert!(!node.host.is_reserved(link.stream));
    }
}

/// Two threads at once; returns when both are done.
fn at_once(one: impl FnOnce() + Send, other: impl FnOnce() + Send) {
    let barrier = std::sync::Barrier::new(2);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            barrier.wait();
            one();
        });
        barrier.wait();
        other();
    });
}

/// A connection ends while somebody deregisters its client, or the client comes again.
#[test]
fn what_becomes_of_a_name_while_its_connection_ends_is_decided_once() {
    let node = Node::with_vbuckets(20);
    for round in 0..3_000 {
        let link = Link::connect(&node, "name", REGISTERED | ACK, &[]).unwrap();
        let again = cookie();
        let streams = node.engine.streams();
        if round % 2 == 0 {
            at_once(
                || node.engine.disconnected(link.stream),
                || streams.deregister(b"name"),
            );
            assert!(!has_cursor(&node, "name"), "it was deregistered ({round})");
            assert_eq!(streams.reports().len(), 0, "({round})");
            continue;
        }
        streams.deregister(b"name");
        node.engine.disconnected(link.stream);
        let link = Link::connect(&node, "name", ACK, &[]).unwrap();
        at_once(
            || node.engine.disconnected(link.stream),
            || {
                let connected = node.engine.tap_connect(again, b"name", ACK, &[]);
                assert_eq!(connected, Ok(()));
            },
        );
        assert!(has_cursor(&node, "name"), "it has come again ({round})");
        node.engine.disconnected(again);
        assert!(!has_cursor(&node, "name"));
    }
}

#[test]
fn a_named_stream_is_kept_for_its_time() {
    for (kept, seconds) in [(false, 0), (true, 60)] {
        let (node, other) = (Node::new(), replica());
        keep(&node, seconds);
        node.set(0, "a", "1");
        let mut link = connect(&node, "replica");
        link.settle(&node, &other);
        link.disconnect(&node, Some(&other));
        assert_eq!(has_cursor(&node, "replica"), kept);
        node.set(0, "b", "1");
        // Durable and closed: only the cursor holds the log.
        node.start().unwrap();
        node.revert().unwrap();
        node.write();
        let mut link = connect(&node, "replica");
        link.settle(&node, &other);
        assert_eq!(link.count("opaque 1"), usize::from(!kept));
        assert_same(&node, &other);
        link.disconnect(&node, Some(&other));
        node.host.advance(u64::from(seconds));
        node.engine.streams().signal().wake();
        node.host
            .until("its time is over", || !has_cursor(&node, "replica"));
    }
}

#[test]
fn a_stream_without_a_name_is_not_kept() {
    let node = Node::new();
    keep(&node, 60);
    let mut link = connect(&node, "");
    link.run(&node, None);
    assert!(has_cursor(&node, "anon_1"));
    link.disconnect(&node, None);
    assert!(!has_cursor(&node, "anon_1"));
}

#[test]
fn what_was_not_acknowledged_is_sent_again_to_whoever_comes_back() {
    let node = Node::new();
    keep(&node, 60);
    let mut link = connect(&node, "replica");
    link.run(&node, None);
    node.set(0, "a", "1");
    node.set(0, "b", "1");
    link.answers = false;
    link.run(&node, None);
    assert_eq!(link.texts()[link.sent.len() - 2..], ["set a 1", "set b 1"]);
    link.disconnect(&node, None);
    node.write();
    let mut link = connect(&node, "replica");
    link.run(&node, None);
    assert_eq!(link.texts(), ["opaque 0", "opaque 2", "set a 1", "set b 1"]);
}

#[test]
fn a_backfill_that_was_cut_off_begins_anew() {
    let (node, other) = (Node::new(), replica());
    keep(&node, 60);
    (0..100).for_each(|key| {
        node.set(0, &key.to_string(), "v");
    });
    node.start().unwrap();
    node.revert().unwrap();
    node.write();
    let mut link = Link::backfill(&node);
    node.host.until("some of it was sent", || {
        link.step(&node, Some(&other));
        link.sent.len() > 50
    });
    link.disconnect(&node, Some(&other));
    assert!(!has_cursor(&node, "replica"));
    let mut link = Link::backfill(&node);
    link.settle(&node, &other);
    assert_eq!(link.count("opaque 1"), 1);
    assert_same(&node, &other);
}

#[test]
fn the_newer_one_of_two_connections_with_a_name_goes_on() {
    let (node, other) = (Node::new(), replica());
    node.set(0, "a", "1");
    let mut first = connect(&node, "replica");
    first.settle(&node, &other);
    let mut second = connect(&node, "replica");
    assert_eq!(first.next(&node).event, Event::Disconnect);
    second.settle(&node, &other);
    // The end of the older one takes nothing away from it.
    first.disconnect(&node, None);
    node.set(0, "b", "1");
    second.settle(&node, &other);
    assert!(!second.closed);
    assert_eq!(second.count("opaque 1"), 0);
    assert_same(&node, &other);
    assert!(has_cursor(&node, "replica"));
}

/// Without `tap_keepalive` a connection that the host has not missed yet counts as gone: what it
/// was sent may be lost.
#[test]
fn a_name_that_is_not_kept_begins_anew_though_its_connection_is_still_there() {
    for (seconds, expected) in [(0, 1), (60, 0)] {
        let node = Node::new();
        keep(&node, seconds);
        node.set(0, "a", "1");
        let mut first = Link::connect(&node, "n", 0, &[]).unwrap();
        first.run(&node, None);
        let mut second = Link::connect(&node, "n", 0, &[]).unwrap();
        second.run(&node, None);
        assert_eq!(
            (first.count("set a 1"), second.count("set a 1")),
            (1, expected)
        );
        first.disconnect(&node, None);
        assert!(has_cursor(&node, "n"));
    }
}

#[test]
fn a_paused_stream_is_woken_by_a_change_and_not_after_its_end() {
    let node = Node::new();
    let mut link = connect(&node, "n");
    link.run(&node, None);
    let before = node.host.woken(link.stream);
    node.set(0, "a", "1");
    let woken = || node.host.woken(link.stream) > before;
    node.host.until("it is woken", woken);
    link.run(&node, None);
    link.disconnect(&node, None);
    let released = || !node.host.is_reserved(link.stream);
    node.host.until("it is released", released);
    let after = node.host.woken(link.stream);
    node.set(0, "b", "1");
    node.engine.streams().signal().wake();
    node.write();
    assert_eq!(node.host.woken(link.stream), after);
}

/// Nobody would move them, and the next client of that name would go on from there.
#[test]
fn cursors_that_a_newer_connection_does_not_ask_for_are_dropped() {
    let (node, lists) = (Node::with_vbuckets(2), [list(&[0, 1]), list(&[0])]);
    keep(&node, 60);
    let cursors = |vbucket| node.engine.vbucket(vbucket).unwrap().with_log(Log::cursors);
    let connect = |data: &[u8]| Link::connect(&node, "n", LIST | ACK, data).unwrap();
    for is_away in [false, true] {
        let mut first = connect(&lists[0]);
        first.run(&node, None);
        assert_eq!([0, 1].map(cursors), [1, 1]);
        if is_away {
            first.disconnect(&node, None);
        }
        let mut second = connect(&lists[1]);
        second.run(&node, None);
        assert_eq!([0, 1].map(cursors), [1, 0]);
        first.disconnect(&node, None);
        assert_eq!([0, 1].map(cursors), [1, 0]);
        second.disconnect(&node, None);
    }
    let reports = node.engine.streams().reports();
    assert_eq!((reports.len(), reports[0].connected), (1, false));
    assert_eq!(reports[0].reconnects, 3);
}

/// A receiver that has not been told that the backfill ended may not have all of it.
#[test]
fn a_backfill_whose_end_is_not_acknowledged_begins_anew() {
    let node = Node::new();
    keep(&node, 60);
    node.set(0, "k", "1");
    forget(&node);
    for (last, again) in [("opaque 8", 1), ("start 3", 0)] {
        node.engine.streams().deregister(b"n");
        let flags = BACKFILL | ACK | CHECKPOINTS;
        let data = super::resume_data(1 << 40);
        let mut link = Link::connect(&node, "n", flags, &data).unwrap();
        node.host.until("the backfill ends", || {
            // What comes before is answered, the last one is not.
            link.answers = link.count("set k 1") == 0;
            if link.count("set k 1") == 1 && last == "start 3" {
                link.answer_late(&node);
            }
            link.step(&node, None);
            link.count(last) == 1
        });
        link.disconnect(&node, None);
        let mut link = connect(&node, "n");
        link.run(&node, None);
        assert_eq!(link.count("opaque 1"), again, "{last}: {:?}", link.sent);
    }
}
