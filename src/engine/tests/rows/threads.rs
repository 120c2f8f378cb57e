//! Rows C: clients during a REVERT.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::{Error, Node, StoreOp, begin_revert, check_persists};
use crate::host::Cookie;

const KEYS: u16 = 3_000;

/// A window that overwrote the even keys and added the odd ones, over four vbuckets.
fn touched(config: &str) -> Node {
    let node = Node::with(config);
    (0..4).for_each(|vbucket| node.activate(vbucket));
    for key in (0..KEYS).step_by(2) {
        node.set(key % 4, &key.to_string(), "before");
    }
    node.write();
    node.start().unwrap();
    for key in 0..KEYS {
        node.set(key % 4, &key.to_string(), "inside");
    }
    node
}

fn before(key: u16) -> Option<&'static str> {
    key.is_multiple_of(2).then_some("before")
}

#[test]
fn c1_clients_that_write_during_a_revert_lose_nothing() {
    let node = touched("");
    let write = |client: u16| {
        for key in (0..KEYS).filter(|key| key % 3 == client) {
            let cookie = Cookie::new(0x3000 + usize::from(client));
            let item = node.item(&key.to_string(), "after", 0);
            let store = || node.engine.store(cookie, &item, StoreOp::Set, key % 4);
            node.host.call(cookie, store).unwrap();
        }
    };
    begin_revert(&node);
    thread::scope(|scope| {
        scope.spawn(|| write(0));
        scope.spawn(|| write(1));
    });
    assert_eq!(node.revert(), Ok(()));
    let check = |node: &Node| {
        for key in 0..KEYS {
            let expected = if key % 3 == 2 {
                before(key)
            } else {
                Some("after")
            };
            assert_eq!(node.get(key % 4, &key.to_string()).as_deref(), expected);
        }
    };
    check(&node);
    check(&check_persists(node));
}

/// The thread that sends REVERT serves other clients while it runs, all of them on the keys that
/// are being taken back.
#[test]
fn c2_nobody_waits_for_a_revert() {
    let node = touched("online_update_undo=memory");
    node.store.hold_commits(true);
    begin_revert(&node);
    for key in 0..KEYS {
        assert_eq!(node.get(key % 4, &key.to_string()).as_deref(), before(key));
        node.set(key % 4, &key.to_string(), "after");
    }
    assert!(!node.host.is_notified(super::OPERATOR));
    node.store.hold_commits(false);
    assert_eq!(node.revert(), Ok(()));
}

#[test]
fn c3_reads_see_all_of_a_revert_at_once() {
    let node = touched("online_update_undo=memory");
    let accepted = AtomicBool::new(false);
    let read = |client: usize| {
        let cookie = Cookie::new(0x3000 + client);
        let mut reverted = false;
        while !reverted {
            // Whoever saw one key reverted sees every other one so.
            let known = accepted.load(Ordering::SeqCst);
            for key in 0..KEYS {
                let name = key.to_string();
                let get = || node.engine.get(cookie, name.as_bytes(), key % 4);
                let inside = match node.host.call(cookie, get) {
                    Ok(item) => item.value() == b"inside",
                    Err(error) => {
                        assert_eq!(error, Error::NotFound);
                        false
                    }
                };
                assert!(
                    !(inside && (known || reverted)),
                    "{key} is of the window still"
                );
                reverted |= !inside;
            }
        }
    };
    thread::scope(|scope| {
        scope.spawn(|| read(0));
        scope.spawn(|| read(1));
        begin_revert(&node);
        accepted.store(true, Ordering::SeqCst);
    });
    assert_eq!(node.revert(), Ok(()));
}

#[test]
fn c4_a_write_after_the_acceptance_is_not_reverted() {
    for _ in 0..50 {
        let node = Node::new();
        node.start().unwrap();
        node.set(0, "k", "inside");
        begin_revert(&node);
        node.set(0, "k", "after");
        node.set(0, "l", "after");
        assert_eq!(node.revert(), Ok(()));
        for key in ["k", "l"] {
            assert_eq!(node.get(0, key).as_deref(), Some("after"));
        }
    }
}

#[test]
fn c5_with_undo_in_memory_no_read_follows_a_revert() {
    let node = touched("online_update_undo=memory");
    assert_eq!(node.revert(), Ok(()));
    let reads = node.store.reads();
    for key in 0..KEYS {
        assert_eq!(node.get(key % 4, &key.to_string()).as_deref(), before(key));
    }
    assert_eq!(node.store.reads(), reads);
}
