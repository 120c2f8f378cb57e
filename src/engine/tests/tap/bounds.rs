//! What streams and those who send to us may keep in memory, in bytes. Tests with large values have
//! a process of their own: elsewhere they would take the room of tests with a quota.

use super::{
    ACK, BACKFILL, LONG, Link, Node, REGISTERED, assert_same, bare, cookie, evict, forget, node_in,
    receive, replica,
};
use crate::checkpoint::Log;
use crate::engine::{TapEvent, TapMessage};
use crate::error::Error;
use crate::ffi::alloc::{alone, used_bytes};
use crate::types::VbucketState;

/// A stream may keep less than four of those.
const VALUE_BYTES: usize = 9_000_000;
const KEYS: usize = 8;

fn write(node: &Node) {
    for key in 0..KEYS {
        let value = char::from(b'a' + u8::try_from(key).unwrap());
        let value = String::from(value).repeat(VALUE_BYTES);
        node.set(0, &key.to_string(), &value);
    }
}

/// How many values were sent.
fn values(link: &Link) -> usize {
    let is_value = |sent: &&super::Sent| sent.text.len() > VALUE_BYTES;
    link.sent.iter().filter(is_value).count()
}

#[test]
#[cfg_attr(miri, ignore = "starts a process")]
fn a_client_that_does_not_answer_is_sent_few_large_values() {
    const PATH: &str =
        "engine::tests::tap::bounds::a_client_that_does_not_answer_is_sent_few_large_values";
    alone(PATH, || {
        let node = Node::new();
        // Before: the flusher may be done with the first of them before the last one is there.
        let mut link = Link::connect(&node, "n", ACK, &[]).unwrap();
        write(&node);
        link.answers = false;
        link.run(&node, None);
        assert_eq!(values(&link), 4);
        assert!(link.sent.last().unwrap().ack, "nobody would ever answer");
        assert!(node.engine.streams().reports()[0].window_full);
        link.answer_late(&node);
        link.run(&node, None);
        assert_eq!(values(&link), KEYS);
    });
}

#[test]
#[cfg_attr(miri, ignore = "starts a process")]
fn a_backfill_reads_no_more_from_disk_than_is_sent() {
    const PATH: &str =
        "engine::tests::tap::bounds::a_backfill_reads_no_more_from_disk_than_is_sent";
    alone(PATH, || {
        let node = Node::new();
        write(&node);
        forget(&node);
        (0..KEYS).for_each(|key| evict(&node, &key.to_string()));
        let other = replica();
        let mut link = Link::backfill(&node);
        let queued = || node.engine.streams().reports()[0].bytes;
        node.host
            .until("it has read some", || queued() > 30_000_000);
        // Time to read all of them, were there no bound.
        for _ in 0..20 {
            node.engine.streams().fill_signal().wake();
            assert!(queued() < 45_000_000, "{}", queued());
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        link.settle(&node, &other);
        assert_same(&node, &other);
        assert_eq!(node.engine.streams().reports()[0].read, KEYS as u64);
    });
}

/// The thread of backfills may be behind by the time of a disk.
#[test]
#[cfg_attr(miri, ignore = "starts a process")]
fn a_reset_that_comes_again_and_again_is_one_backfill() {
    const PATH: &str =
        "engine::tests::tap::bounds::a_reset_that_comes_again_and_again_is_one_backfill";
    alone(PATH, || {
        let node = Node::with_vbuckets(64);
        node.set(0, "k", LONG);
        forget(&node);
        evict(&node, "k");
        node.store.hold_reads(true);
        let mut link = Link::connect(&node, "replica", BACKFILL | ACK, &[0; 8]).unwrap();
        let reset = || node.engine.streams().reset_chain();
        reset();
        node.host
            .until("a value is being read", || node.store.held() > 0);
        (0..10).for_each(|_| reset());
        let before = used_bytes();
        (0..1_000).for_each(|_| reset());
        let more = used_bytes().saturating_sub(before);
        assert!(more < 64 << 10, "{more}");
        node.store.hold_reads(false);
        link.run(&node, None);
        link.disconnect(&node, None);
    });
}

/// Cursors of registered clients stay when nobody is connected, and hold no more than their share.
#[test]
fn registered_clients_that_come_one_by_one_take_a_share_of_the_quota() {
    // A sixteenth is 64 KiB: 204 parts, which are two names.
    let node = Node::with("max_size=1m");
    for vbucket in 1..100 {
        node.activate(vbucket);
    }
    let cursors = || node.engine.vbucket(99).unwrap().with_log(Log::cursors);
    let come = |name: usize, flags| {
        let link = Link::connect(&node, &name.to_string(), flags, &[]);
        link.map(|mut link| link.disconnect(&node, None))
    };
    let refused = (0..50).filter(|&name| come(name, REGISTERED | ACK).is_err());
    assert_eq!((refused.count(), cursors()), (48, 2));
    assert_eq!(come(7, REGISTERED | ACK), Err(Error::Temporary));
    // Who was there comes again, and a replica is let in.
    assert_eq!(come(0, REGISTERED | ACK), Ok(()));
    assert_eq!(come(100, ACK), Ok(()));
    node.engine.streams().deregister(b"0");
    assert_eq!(come(7, REGISTERED | ACK), Ok(()));
}

/// Whoever says that it begins windows of every vbucket there might be.
#[test]
#[cfg_attr(miri, ignore = "starts a process")]
fn what_a_peer_announces_is_bounded_and_goes_with_it() {
    const PATH: &str =
        "engine::tests::tap::bounds::what_a_peer_announces_is_bounded_and_goes_with_it";
    alone(PATH, || {
        let node = node_in(VbucketState::Replica, "");
        let windows = [
            [0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 9].as_slice(),
            &[0, 0, 0, 0xeb, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 9],
        ];
        let all = |peer| {
            for (window, bytes) in windows.iter().zip([12, 16]) {
                for vbucket in (0..2_048).chain(0..2_048).chain([u16::MAX]) {
                    let message = TapMessage {
                        vbucket,
                        ..bare(TapEvent::Opaque, &window[..bytes])
                    };
                    let _ = receive(&node, peer, &message);
                }
            }
        };
        let stays = || {
            let before = used_bytes();
            let peers: Vec<_> = (0..4).map(|_| cookie()).collect();
            for peer in &peers {
                all(*peer);
            }
            let more = used_bytes().saturating_sub(before);
            assert!((4 * 16_000..4 * (64 << 10)).contains(&more), "{more}");
            assert_eq!(node.engine.consumers().len(), 4);
            for peer in &peers {
                node.engine.disconnected(*peer);
            }
            used_bytes().saturating_sub(before)
        };
        // Threads of the node begin meanwhile, each once; what peers leave they leave every time.
        assert!((0..20).any(|_| stays() < 4096));
    });
}
