//! Many streams, and streams of many vbuckets: none is held up by what concerns another one, and
//! what all of them take is bounded.

use super::{
    ACK, BACKFILL, CHECKPOINTS, LIST, Link, Node, REGISTERED, TAKEOVER, cookie, list, opaque,
};
use crate::checkpoint::Log;
use crate::engine::Family;
use crate::error::Error;
use crate::host::LogLevel;
use crate::types::VbucketState;

const ALL: [u8; 8] = [0; 8];

/// Takes vbucket 0 over.
fn take(old: &Node, name: &str, vbuckets: &[u16]) -> Link {
    let data = [&ALL[..], &list(vbuckets)].concat();
    let flags = BACKFILL | ACK | CHECKPOINTS | LIST | TAKEOVER;
    Link::connect(old, name, flags, &data).unwrap()
}

/// A vbucket whose operator has a window makes the stream wait there, and nowhere else.
#[test]
fn only_the_vbucket_with_a_window_of_its_operator_waits() {
    for takes in [false, true] {
        let (old, new) = (Node::with_vbuckets(3), Node::with_vbuckets(1));
        for vbucket in 0..3 {
            old.set(vbucket, "k", "v");
        }
        new.start().unwrap();
        new.set(0, "own", "inside");
        for vbucket in [1, 2] {
            let replica = VbucketState::Replica;
            new.engine.core.set_vbucket(vbucket, replica).unwrap();
        }
        let mut link = if takes {
            take(&old, "taker", &[0, 1, 2])
        } else {
            // A client that has nothing that is still in the log gets a backfill.
            let mut data = [&ALL[..], &[0, 3]].concat();
            for vbucket in 0..3_u16 {
                data.extend(vbucket.to_be_bytes());
                data.extend((1_u64 << 40).to_be_bytes());
            }
            Link::connect(&old, "all", BACKFILL | ACK | CHECKPOINTS, &data).unwrap()
        };
        // No clock is turned: nothing but the first vbucket waits for one.
        let has = |vbucket| !super::contents_of(&new, vbucket).is_empty();
        new.host.until("the others are there", || {
            link.pump(&old, Some(&new));
            has(1) && has(2)
        });
        if takes {
            new.host.until("they are the new node's", || {
                link.pump(&old, Some(&new));
                let state = |vbucket| new.engine.vbucket_state(vbucket);
                [1, 2].map(state) == [Some(VbucketState::Active); 2]
            });
        }
        assert_eq!(new.get(0, "own").as_deref(), Some("inside"));
        assert!(!link.closed);
        assert!(old.engine.streams().reports()[0].suspended);
        new.revert().unwrap();
        old.host.advance(5);
        new.host.until("the first goes on", || {
            link.pump(&old, Some(&new));
            super::value(&new, "k").as_deref() == Some("v")
        });
    }
}

/// Two nodes that both own a vbucket would both take writes for it.
#[test]
fn of_two_takeovers_of_a_vbucket_one_succeeds() {
    for first in [0, 1] {
        let old = Node::with_vbuckets(2);
        old.set(0, "k", "v");
        old.set(1, "k", "v");
        let nodes = [Node::with("vb0=false"), Node::with("vb0=false")];
        let mut links = [take(&old, "one", &[0]), take(&old, "other", &[0, 1])];
        // Both have nearly all of it.
        for (link, node) in links.iter_mut().zip(&nodes) {
            while link.count("state 3") == 0 && link.step(&old, Some(node)) {}
        }
        let order = [first, 1 - first];
        old.host.until("both have ended", || {
            for at in order {
                links[at].pump(&old, Some(&nodes[at]));
            }
            links.iter().all(|link| link.closed)
        });
        let owns =
            |node: &Node, vbucket| node.engine.vbucket_state(vbucket) == Some(VbucketState::Active);
        let owners = nodes.iter().filter(|node| owns(node, 0)).count();
        assert_eq!(owners, 1, "vbucket 0 has {owners} owners");
        assert!(
            owns(&nodes[1], 1),
            "the other vbucket is taken all the same"
        );
        assert_eq!(old.engine.vbucket_state(0), Some(VbucketState::Dead));
        let text = "a takeover of vbucket 0 was ended";
        assert!(old.host.has_logged(LogLevel::Warning, text));
        // Nor does a third one get what is not here any more, until that is said to be wrong.
        let third = Node::with("vb0=false");
        let mut link = take(&old, "third", &[0]);
        link.hand_over(&old, &third);
        assert!(!owns(&third, 0));
        old.activate(0);
        let mut link = take(&old, "fourth", &[0]);
        link.hand_over(&old, &third);
        assert!(owns(&third, 0));
    }
}

/// A takeover whose client has gone leaves the vbucket to the next one.
#[test]
fn a_takeover_that_was_cut_off_is_no_obstacle_to_the_next() {
    for answered in [false, true] {
        let old = Node::new();
        let new = Node::with("vb0=false");
        let mut link = take(&old, "one", &[0]);
        old.host.until("it is the client's", || {
            link.answers = answered || link.count("state 1") == 0;
            link.step(&old, Some(&new));
            link.count("state 1") == 1
        });
        link.disconnect(&old, Some(&new));
        if !answered {
            let other = Node::with("vb0=false");
            take(&old, "other", &[0]).hand_over(&old, &other);
            let state = other.engine.vbucket_state(0);
            assert_eq!(state, Some(VbucketState::Active));
        }
    }
}

#[test]
fn streams_are_bounded_and_a_refusal_says_by_what() {
    let node = Node::with("tap_streams_max=2");
    let connect = |name: &str| Link::connect(&node, name, REGISTERED | ACK, &[]);
    let _one = connect("one").unwrap();
    let mut two = connect("two").unwrap();
    assert_eq!(connect("three").err(), Some(Error::Temporary));
    let text = "refused the stream \"three\": tap_streams_max allows 2";
    assert!(node.host.has_logged(LogLevel::Warning, text));
    // One that comes again takes its own place.
    let mut again = connect("two").unwrap();
    two.disconnect(&node, None);
    assert_eq!(connect("three").err(), Some(Error::Temporary));
    again.disconnect(&node, None);
    assert!(connect("three").is_ok());
}

#[test]
fn cursors_take_a_share_of_the_quota() {
    // A sixteenth is 64 KiB: 204 parts.
    let node = Node::with("max_size=1m;tap_keepalive=10");
    for vbucket in 1..100 {
        node.activate(vbucket);
    }
    let mut links: Vec<Link> = Vec::new();
    for name in ["one", "two"] {
        links.push(Link::connect(&node, name, ACK, &[]).unwrap());
    }
    assert_eq!(
        Link::connect(&node, "three", ACK, &[]).err(),
        Some(Error::Temporary)
    );
    assert!(
        node.host
            .has_logged(LogLevel::Warning, "that max_size leaves them")
    );
    let few = Link::connect(&node, "few", ACK | LIST, &list(&[0]));
    assert!(few.is_ok());
    // The cursors of those that are away go before a client is refused.
    let cursors = || node.engine.vbucket(99).unwrap().with_log(Log::cursors);
    links.remove(0).disconnect(&node, None);
    assert_eq!(cursors(), 2);
    assert!(Link::connect(&node, "three", ACK, &[]).is_ok());
    assert_eq!(cursors(), 2);
}

/// A client that comes again takes the room of its own cursors: it needs no other.
#[test]
fn a_client_that_comes_again_keeps_its_place_within_the_quota() {
    for flags in [ACK | REGISTERED, ACK] {
        let node = Node::with("tap_keepalive=10");
        for vbucket in 1..100 {
            node.activate(vbucket);
        }
        // There is no room for writes in a quota in which there is none for many parts.
        let quota = |bytes: u64| {
            let engine = &node.engine;
            let bytes = bytes.to_string();
            engine
                .set_parameter(Family::Flush, "max_size", &bytes)
                .unwrap();
        };
        let mut one = Link::connect(&node, "one", flags, &[]).unwrap();
        let _two = Link::connect(&node, "two", ACK, &[]).unwrap();
        node.set(0, "known", "v");
        one.run(&node, None);
        let told = |link: &Link| link.texts().iter().any(|text| text.contains("known"));
        assert!(told(&one));
        one.disconnect(&node, None);
        quota(1 << 20);
        let again = Link::connect(&node, "one", flags, &[]);
        let mut again = again.expect("its cursors are counted already");
        quota(u64::MAX);
        node.set(0, "other", "v");
        again.run(&node, None);
        assert!(again.texts().iter().any(|text| text.contains("other")));
        assert!(!told(&again), "{flags}: it has lost its place");
    }
}

/// The connection of a stream that has ended is there until its host closes it: who comes again
/// under its name in between needs no room beside it.
#[test]
fn a_client_that_comes_again_at_once_needs_no_room_beside_its_ended_stream() {
    // A sixteenth is 64 KiB: 204 parts.
    let node = Node::with("max_size=1m");
    for vbucket in 1..100 {
        node.activate(vbucket);
    }
    let mut one = Link::connect(&node, "one", ACK, &[]).unwrap();
    let _two = Link::connect(&node, "two", ACK, &[]).unwrap();
    let hello = one.next(&node);
    assert!(!one.answer(&node, hello.seqno, 0x04), "that ends it");
    let again = Link::connect(&node, "one", ACK, &[]);
    assert!(again.is_ok(), "{:?}", again.err());
    one.disconnect(&node, None);
}

/// A change wakes the streams of its vbucket, and nobody else.
#[test]
fn a_stream_is_woken_for_its_own_vbuckets() {
    let node = Node::with_vbuckets(3);
    let listed = |name: &str, vbucket| {
        let mut link = Link::connect(&node, name, ACK | LIST, &list(&[vbucket])).unwrap();
        link.run(&node, None);
        link
    };
    let (mut mine, other) = (listed("mine", 1), listed("other", 2));
    let woken = |link: &Link| node.host.woken(link.stream);
    let before = woken(&other);
    let mut news = |what: &str, act: &dyn Fn()| {
        let known = woken(&mine);
        act();
        node.host.until(what, || woken(&mine) > known);
        mine.run(&node, None);
    };
    let commands = || {
        // The other one is none of the operator's.
        let replica = VbucketState::Replica;
        node.engine.core.set_vbucket(2, replica).unwrap();
    };
    commands();
    news("a change", &|| {
        node.set(1, "k", "v");
    });
    news("a deletion", &|| node.remove(1, "k").unwrap());
    news("START", &|| node.start().unwrap());
    news("COMPLETE", &|| node.complete().unwrap());
    node.start().unwrap();
    news("REVERT", &|| node.revert().unwrap());
    news("a cursor that was dropped", &|| {
        let vbucket = node.engine.vbucket(1).unwrap();
        assert!(vbucket.drop_slowest_cursor().is_some());
        node.engine.streams().changed();
    });
    assert_eq!(woken(&other), before);
    assert_eq!(mine.count("opaque 5") + mine.count("opaque 6"), 2);
}

/// Streams that stand at rest, and how often each was woken by then.
fn at_rest(node: &Node, count: usize) -> Vec<(Link, usize)> {
    let links = (0..count).map(|number| {
        let mut link = Link::connect(node, &format!("stream{number}"), ACK, &[]).unwrap();
        link.run(node, None);
        let woken = node.host.woken(link.stream);
        (link, woken)
    });
    links.collect()
}

/// Which of them were woken and have not got the key.
fn woken(node: &Node, links: &[(Link, usize)]) -> Vec<usize> {
    let is_woken = |(link, known): &(Link, usize)| {
        node.host.woken(link.stream) > *known && link.count("set k v") == 0
    };
    (0..links.len())
        .filter(|&at| is_woken(&links[at]))
        .collect()
}

/// A host's thread for streams takes 255 at a time from those that it is told to ask, and leaves
/// the others there for good.
#[test]
fn a_host_is_told_of_no_more_streams_than_it_takes() {
    let node = Node::new();
    let mut links = at_rest(&node, 300);
    node.set(0, "k", "v");
    let mut most = 0;
    node.host.until("each has been woken and has the key", || {
        let woken = woken(&node, &links);
        most = most.max(woken.len());
        if most >= 100
            && let Some(&at) = woken.first()
        {
            links[at].0.run(&node, None);
        }
        links.iter().all(|(link, _)| link.count("set k v") == 1)
    });
    assert!(most <= 127, "{most} at a time");
}

/// Those whose clients do not read are woken in vain, and do not keep others from it.
#[test]
fn streams_that_do_not_ask_do_not_hold_others_up() {
    let node = Node::new();
    let links = at_rest(&node, 300);
    node.set(0, "k", "v");
    for many in [100, 200, 300] {
        node.host
            .until("others are woken", || woken(&node, &links).len() >= many);
        node.host.advance(2);
    }
}

/// A client that has lost its place has no backlog there: it begins anew.
#[test]
fn a_client_that_is_away_has_the_backlog_of_its_cursors() {
    let node = Node::with("tap_keepalive=10");
    node.activate(1);
    let mut link = Link::connect(&node, "away", ACK, &[]).unwrap();
    let _other = Link::connect(&node, "other", ACK, &[]).unwrap();
    node.set(0, "told", "v");
    link.run(&node, None);
    link.disconnect(&node, None);
    let backlog = || node.engine.streams().reports()[0].backlog;
    assert_eq!(backlog(), 0);
    for vbucket in [0, 1] {
        node.set(vbucket, "k", "v");
    }
    assert_eq!(backlog(), 2);
    // The other one has read nothing, and is slower.
    let vbucket = node.engine.vbucket(0).unwrap();
    assert!(vbucket.drop_slowest_cursor().is_some());
    assert_eq!(backlog(), 2);
    assert!(vbucket.drop_slowest_cursor().is_some());
    assert_eq!(backlog(), 1);
    node.engine.streams().deregister(b"away");
    assert_eq!(node.engine.streams().reports().len(), 1);
}

/// Statistics know a stream by its name, whatever bytes that has.
#[test]
fn the_backlog_of_a_name_that_is_no_text_is_counted() {
    let node = Node::with("tap_keepalive=10");
    let name = b"\xff\xfe";
    let (stream, peer) = (cookie(), cookie());
    let connect = || node.engine.tap_connect(stream, name, ACK, &[]);
    node.host.call(stream, connect).unwrap();
    let backlog = || node.engine.streams().reports()[0].backlog;
    for key in ["a", "b", "c"] {
        node.set(0, key, "v");
    }
    assert_eq!(backlog(), 3);
    let disconnect = || {
        node.engine.disconnected(stream);
        Ok(())
    };
    node.host.call(stream, disconnect).unwrap();
    let reports = node.engine.streams().reports();
    assert_eq!((reports.len(), reports[0].connected), (1, false));
    assert_eq!(backlog(), 3);
    opaque(&node, peer, 7).unwrap();
}
