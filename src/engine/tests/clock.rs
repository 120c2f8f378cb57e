//! Times: when an item is gone, and a wall clock that is set back while the node runs.

use super::tap::{ACK, Link, cookie, has_cursor, mutation_until, replica};
use super::{CLIENT, Node};
use crate::checkpoint::Log;
use crate::error::Error;
use crate::types::{Arithmetic, StoreOp};

fn set_for(node: &Node, key: &str, seconds: u32) {
    let item = node.item(key, "1", seconds);
    let set = || node.engine.store(CLIENT, &item, StoreOp::Set, 0);
    node.host.finish(CLIENT, set).unwrap();
}

/// A node on which everything was stored for ten seconds, which have passed by now.
fn expired(config: &str) -> Node {
    let node = Node::with(config);
    set_for(&node, "k", 10);
    node.host.advance(9);
    assert_eq!(node.get(0, "k").as_deref(), Some("1"));
    node.host.advance(1);
    node
}

#[test]
fn nobody_gets_an_item_in_the_second_of_its_expiry() {
    let read = |node: &Node| node.get(0, "k").is_none();
    let cas = |node: &Node| node.store(StoreOp::Cas, 0, "k", "x") == Err(Error::NotFound);
    let append = |node: &Node| node.store(StoreOp::Append, 0, "k", "x") == Err(Error::NotStored);
    let replace = |node: &Node| node.store(StoreOp::Replace, 0, "k", "x") == Err(Error::NotStored);
    let add = |node: &Node| node.store(StoreOp::Add, 0, "k", "x").is_ok();
    let remove = |node: &Node| node.remove(0, "k") == Err(Error::NotFound);
    let touch = |node: &Node| {
        let touch = || node.engine.touch(CLIENT, b"k", 100, 0);
        node.host.finish(CLIENT, touch).err() == Some(Error::NotFound)
    };
    let lock = |node: &Node| {
        let lock = || node.engine.get_locked(CLIENT, b"k", 5, 0);
        node.host.finish(CLIENT, lock).err() == Some(Error::NotFound)
    };
    let count = |node: &Node| {
        let one = Arithmetic {
            increment: true,
            create: false,
            delta: 1,
            initial: 0,
            flags: 0,
            exptime: 0,
        };
        let count = || node.engine.arithmetic(CLIENT, b"k", &one, 0);
        node.host.finish(CLIENT, count) == Err(Error::NotFound)
    };
    let checks: [&dyn Fn(&Node) -> bool; 9] = [
        &read, &cas, &append, &replace, &add, &remove, &touch, &lock, &count,
    ];
    for (index, is_gone) in checks.iter().enumerate() {
        assert!(is_gone(&expired("")), "{index}");
        let node = expired("");
        node.write();
        assert!(is_gone(&node.crash()), "{index} after a restart");
    }
}

#[test]
fn a_replica_that_is_promoted_serves_no_item_in_the_second_of_its_expiry() {
    let node = replica();
    mutation_until(&node, cookie(), "k", node.host.unix() + 10).unwrap();
    node.host.advance(9);
    node.activate(0);
    assert!(node.get(0, "k").is_some());
    node.host.advance(1);
    assert_eq!(node.get(0, "k"), None);
}

/// Before the host's start, as far as that goes.
const BACK: u64 = 7_200;

#[test]
fn what_is_told_after_the_clock_was_set_back_is_by_the_new_time() {
    let node = Node::new();
    node.host.set_back(BACK);
    set_for(&node, "k", 3);
    assert_eq!(node.item_of(0, "k").unwrap().expiry(), node.host.unix() + 3);
    node.host.advance(2);
    assert!(node.get(0, "k").is_some());
    node.host.advance(1);
    assert_eq!(node.get(0, "k"), None);
}

#[test]
fn durations_that_a_client_was_promised_go_on_when_the_clock_is_set_back() {
    let node = Node::new();
    node.set(0, "k", "v");
    let lock = || node.engine.get_locked(CLIENT, b"k", 5, 0);
    node.host.finish(CLIENT, lock).unwrap();
    node.host
        .call(CLIENT, || node.engine.flush(CLIENT, 10))
        .unwrap();
    node.host.advance(2);
    node.host.set_back(BACK);
    node.host.advance(2);
    assert_eq!(node.store(StoreOp::Set, 0, "k", "x"), Err(Error::Exists));
    node.host.advance(1);
    node.set(0, "k", "free");
    node.host.advance(4);
    assert!(node.get(0, "k").is_some());
    node.host.advance(1);
    assert_eq!(node.get(0, "k"), None, "the flush came");
    // One that names a time of day waits for it.
    node.set(0, "k", "v");
    let at = i64::from(node.host.unix()) + 10;
    node.host
        .call(CLIENT, || node.engine.flush(CLIENT, at))
        .unwrap();
    node.host.set_back(BACK);
    node.host.advance(20);
    assert!(node.get(0, "k").is_some());
    node.host.advance(BACK);
    assert_eq!(node.get(0, "k"), None);
}

/// A flush that counts from when it was told comes after that time, also behind a REVERT.
#[test]
fn a_flush_that_a_revert_leaves_due_comes_after_its_time_although_the_clock_is_set_back() {
    for told_in_window in [false, true] {
        let node = Node::new();
        node.set(0, "k", "v");
        let flush = |when| {
            let flush = || node.engine.flush(CLIENT, when);
            node.host.call(CLIENT, flush).unwrap();
        };
        flush(10);
        node.start().unwrap();
        if told_in_window {
            flush(100);
        }
        node.revert().unwrap();
        node.host.set_back(BACK);
        node.host.advance(9);
        assert!(node.get(0, "k").is_some());
        node.host.advance(1);
        assert_eq!(node.get(0, "k"), None);
    }
}

#[test]
fn a_flush_that_came_in_a_window_does_not_come_again_although_the_clock_was_set_back() {
    let node = Node::new();
    node.set(0, "k", "v");
    let flush = || node.engine.flush(CLIENT, 10);
    node.host.call(CLIENT, flush).unwrap();
    node.start().unwrap();
    node.host.set_back(BACK);
    node.host.advance(10);
    assert_eq!(node.get(0, "k"), None, "it came");
    node.revert().unwrap();
    assert!(node.get(0, "k").is_some());
    node.host.advance(BACK);
    assert!(node.get(0, "k").is_some(), "it came again");
}

/// The test applications of hosts turn nothing but the host's clock, and forward only.
#[test]
fn ages_follow_a_clock_that_a_test_turns() {
    let node = Node::with("chk_period=60;tap_keepalive=60");
    node.set(0, "k", "1");
    let vbucket = node.engine.vbucket(0).unwrap();
    let open = || vbucket.with_log(Log::open_id).get();
    node.host.turn(59);
    vbucket.close_if_old();
    assert_eq!(open(), 1);
    node.host.turn(1);
    vbucket.close_if_old();
    assert_eq!(open(), 2);
    let name = "n";
    Link::connect(&node, name, ACK, &[])
        .unwrap()
        .disconnect(&node, None);
    assert!(has_cursor(&node, name));
    node.host.turn(60);
    node.host.until("the client has been away too long", || {
        node.engine.streams().signal().wake();
        !has_cursor(&node, name)
    });
}
