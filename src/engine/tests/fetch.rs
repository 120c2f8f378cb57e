//! Values that have to be fetched from the store.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{CLIENT, Node, text};
use crate::config::Durability;
use crate::engine::Validity;
use crate::error::{Error, Result};
use crate::host::{Cookie, LogLevel};
use crate::settings::Family;
use crate::store::Store as _;
use crate::types::{Arithmetic, StoreOp, VbucketState};
use crate::vbucket::Ejection;

const OTHER: Cookie = Cookie::new(0x5000);

/// A node that has one key, whose value is on disk only.
fn evicted(value: &str) -> Node {
    let node = Node::new();
    node.set(0, "k", value);
    // Warm-up loads no value above the low-water mark.
    let node = node.restart_with("mem_low_wat=1");
    assert!(!node.is_resident(0, "k"));
    node
}

#[test]
fn reads_of_one_value_are_joined_and_every_client_is_told_once() {
    let node = evicted("v");
    node.store.hold_reads(true);
    let cookies = [1, 2, 3].map(Cookie::new);
    for cookie in cookies {
        let waits = node.host.call(cookie, || node.engine.get(cookie, b"k", 0));
        assert!(matches!(waits, Err(Error::WouldBlock)));
    }
    node.host
        .until("the store is read", || node.store.held() > 0);
    assert!(cookies.iter().all(|cookie| !node.host.is_notified(*cookie)));
    node.store.hold_reads(false);
    for cookie in cookies {
        node.host.wait(cookie);
        let item = node
            .host
            .call(cookie, || node.engine.get(cookie, b"k", 0))
            .unwrap();
        assert_eq!(
            (text(&item), node.host.notifications(cookie)),
            ("v".to_owned(), 1)
        );
    }
    assert_eq!(node.store.reads(), 1);
}

#[test]
fn a_newer_write_supersedes_a_fetch_and_is_never_overwritten() {
    for removes in [false, true] {
        let node = evicted("old");
        node.store.hold_reads(true);
        let waits = node.host.call(OTHER, || node.engine.get(OTHER, b"k", 0));
        assert!(matches!(waits, Err(Error::WouldBlock)));
        node.host
            .until("the store is read", || node.store.held() > 0);
        if removes {
            node.remove(0, "k").unwrap();
        } else {
            node.set(0, "k", "new");
        }
        node.write();
        node.store.hold_reads(false);
        node.host.wait(OTHER);
        let found = node.host.call(OTHER, || node.engine.get(OTHER, b"k", 0));
        match found {
            Ok(item) => assert_eq!((text(&item).as_str(), removes), ("new", false)),
            Err(error) => assert_eq!((error, removes), (Error::NotFound, true)),
        }
    }
}

/// What a host repeats before the notification is done once, and answered once.
#[test]
fn a_call_that_comes_again_before_its_notification_waits_once() {
    let node = evicted("v");
    node.store.hold_reads(true);
    for _ in 0..10 {
        let get = node.host.call(CLIENT, || node.engine.get(CLIENT, b"k", 0));
        assert!(matches!(get, Err(Error::WouldBlock)));
        let verify = || node.engine.verify(OTHER, b"k", 0);
        assert_eq!(node.host.call(OTHER, verify), Err(Error::WouldBlock));
    }
    node.store.hold_reads(false);
    assert_eq!(node.get(0, "k").as_deref(), Some("v"));
    node.host.wait(OTHER);
    let verify = |key: &'static str| {
        node.host
            .finish(OTHER, || node.engine.verify(OTHER, key.as_bytes(), 0))
    };
    assert!(verify("k").is_ok());
    assert_eq!(node.host.notifications(OTHER), 1);
    // No answer is left over for the next question.
    assert_eq!(verify("nothing"), Err(Error::NotFound));
}

#[test]
fn a_store_that_cannot_be_read_closes_the_connection_and_leaves_nobody_waiting() {
    let node = evicted("12");
    node.store.faults().fail_reads(true);
    let get = |cookie: Cookie| {
        node.host
            .finish(cookie, || node.engine.get(cookie, b"k", 0))
    };
    assert!(matches!(get(CLIENT), Err(Error::Disconnect)));
    assert!(matches!(get(OTHER), Err(Error::Disconnect)));
    let add = Arithmetic {
        increment: true,
        create: false,
        delta: 1,
        initial: 0,
        flags: 0,
        exptime: 0,
    };
    let add = || node.engine.arithmetic(CLIENT, b"k", &add, 0);
    assert_eq!(node.host.finish(CLIENT, add), Err(Error::Disconnect));
    let appended = node.store(StoreOp::Append, 0, "k", "3");
    assert_eq!(appended, Err(Error::Disconnect));
    assert!(
        node.host
            .has_logged(LogLevel::Warning, "cannot read a value")
    );
    node.store.faults().fail_reads(false);
    assert_eq!(node.get(0, "k").as_deref(), Some("12"));
}

#[test]
fn a_read_that_fails_after_its_client_went_is_not_the_next_clients_of_that_cookie() {
    let node = evicted("v");
    node.host.calls_once();
    node.store.hold_reads(true);
    node.store.faults().fail_reads(true);
    let get = |cookie| {
        node.host
            .call(cookie, || node.engine.get(cookie, b"k", 0))
            .err()
    };
    assert_eq!(get(CLIENT), Some(Error::WouldBlock));
    assert_eq!(get(OTHER), Some(Error::WouldBlock));
    node.engine.disconnected(CLIENT);
    node.store.hold_reads(false);
    node.host.wait(OTHER);
    node.store.faults().fail_reads(false);
    assert_eq!(get(OTHER), Some(Error::Disconnect));
    assert_eq!(get(CLIENT), Some(Error::WouldBlock));
    assert_eq!(node.get(0, "k").as_deref(), Some("v"));
}

#[test]
fn a_failure_is_not_remembered_for_the_next_client_with_the_same_cookie() {
    let node = evicted("v");
    node.store.faults().fail_reads(true);
    let waits = node.host.call(CLIENT, || node.engine.get(CLIENT, b"k", 0));
    assert!(matches!(waits, Err(Error::WouldBlock)));
    node.host.wait(CLIENT);
    node.engine.disconnected(CLIENT);
    node.store.faults().fail_reads(false);
    assert_eq!(node.get(0, "k").as_deref(), Some("v"));
}

#[test]
fn a_value_that_the_store_does_not_have_is_an_error_and_not_a_wrong_answer() {
    let node = evicted("v");
    let mut batch = node.store.faults().batch().unwrap();
    batch.delete(super::id(0), b"k");
    batch.commit(Durability::Sync).unwrap();
    assert!(matches!(node.item_of(0, "k"), Err(Error::Disconnect)));
    assert!(
        node.host
            .has_logged(LogLevel::Warning, "does not hold the evicted value")
    );
    node.set(0, "k", "new");
    assert_eq!(node.get(0, "k").as_deref(), Some("new"));
}

#[test]
fn every_operation_on_an_evicted_value_waits_for_it_and_then_succeeds() {
    let number = Arithmetic {
        increment: true,
        create: false,
        delta: 1,
        initial: 0,
        flags: 0,
        exptime: 0,
    };
    let node = evicted("41");
    let add = || node.engine.arithmetic(CLIENT, b"k", &number, 0);
    assert_eq!(node.host.finish(CLIENT, add).unwrap().0, 42);
    let node = evicted("b");
    node.store(StoreOp::Append, 0, "k", "c").unwrap();
    assert_eq!(node.get(0, "k").as_deref(), Some("bc"));
    let node = evicted("b");
    node.store(StoreOp::Prepend, 0, "k", "a").unwrap();
    assert_eq!(node.get(0, "k").as_deref(), Some("ab"));
    let node = evicted("v");
    let before = node
        .host
        .finish(CLIENT, || node.engine.touch(CLIENT, b"k", 500, 0))
        .unwrap();
    assert_eq!(text(&before), "v");
    assert!(before.expiry() > 0);
    let node = evicted("v");
    let locked = node
        .host
        .finish(CLIENT, || node.engine.get_locked(CLIENT, b"k", 5, 0))
        .unwrap();
    assert_eq!(text(&locked), "v");
    let node = evicted("v");
    assert_eq!(node.store(StoreOp::Add, 0, "k", "x"), Err(Error::NotStored));
    assert_eq!(node.store.reads(), 0, "a condition needs no value");
    node.remove(0, "k").unwrap();
    assert_eq!(node.get(0, "k"), None);
}

#[test]
fn a_shutdown_serves_the_clients_that_wait_for_a_value() {
    let node = evicted("v");
    node.store.hold_reads(true);
    let waits = node.host.call(OTHER, || node.engine.get(OTHER, b"k", 0));
    assert!(matches!(waits, Err(Error::WouldBlock)));
    node.host
        .until("the store is read", || node.store.held() > 0);
    std::thread::scope(|scope| {
        scope.spawn(|| node.engine.shutdown());
        node.store.hold_reads(false);
    });
    assert_eq!(node.host.notifications(OTHER), 1);
}

/// A client whose read of "k" waits for the store.
fn blocked(node: &Node) {
    node.store.hold_reads(true);
    let waits = node.host.call(OTHER, || node.engine.get(OTHER, b"k", 0));
    assert!(matches!(waits, Err(Error::WouldBlock)));
    node.host
        .until("the store is read", || node.store.held() > 0);
}

/// What the read gave in the end.
fn resumed(node: &Node) -> Result<String> {
    node.store.hold_reads(false);
    node.host.wait(OTHER);
    assert_eq!(node.host.notifications(OTHER), 1);
    let found = node.host.call(OTHER, || node.engine.get(OTHER, b"k", 0));
    found.map(|item| text(&item))
}

#[test]
fn a_vbucket_that_goes_while_its_value_is_read_gets_none_of_it_when_it_is_made_again() {
    for again in [false, true] {
        let node = evicted("old");
        blocked(&node);
        node.engine.core.set_vbucket(0, VbucketState::Dead).unwrap();
        assert_eq!(node.engine.core.delete_vbucket(0), Ok(()));
        if again {
            node.activate(0);
            node.set(0, "other", "v");
        }
        let expected = if again {
            Error::NotFound
        } else {
            Error::NotMyVbucket
        };
        assert_eq!(resumed(&node), Err(expected));
    }
}

#[test]
fn a_key_that_expires_while_its_value_is_read_is_gone() {
    let node = Node::new();
    let item = node.item("k", "v", 5);
    node.host
        .call(CLIENT, || node.engine.store(CLIENT, &item, StoreOp::Set, 0))
        .unwrap();
    let node = node.restart_with("mem_low_wat=1");
    blocked(&node);
    node.host.advance(6);
    assert_eq!(resumed(&node), Err(Error::NotFound));
    assert_eq!(node.items(), 0);
}

#[test]
fn a_client_that_leaves_while_its_value_is_read_is_told_once_and_leaves_nothing_behind() {
    let node = evicted("v");
    blocked(&node);
    node.engine.disconnected(OTHER);
    node.store.hold_reads(false);
    node.host.wait(OTHER);
    assert_eq!(node.host.notifications(OTHER), 1);
    assert_eq!(node.get(0, "k").as_deref(), Some("v"));
}

#[test]
fn many_values_are_read_in_the_order_of_the_store_each_for_its_client() {
    let node = Node::new();
    for key in 0..200 {
        node.set(0, &format!("k{key}"), &format!("value {key}"));
    }
    let node = node.restart_with("mem_low_wat=1");
    node.store.hold_reads(true);
    let cookie = |key: usize| Cookie::new(0x10_000 + key);
    for key in 0..200 {
        let name = format!("k{key}");
        let get = || node.engine.get(cookie(key), name.as_bytes(), 0);
        let waits = node.host.call(cookie(key), get);
        assert!(matches!(waits, Err(Error::WouldBlock)));
    }
    node.store.hold_reads(false);
    for key in 0..200 {
        node.host.wait(cookie(key));
        let name = format!("k{key}");
        let get = || node.engine.get(cookie(key), name.as_bytes(), 0);
        let item = node.host.call(cookie(key), get).unwrap();
        assert_eq!(text(&item), format!("value {key}"));
    }
    assert_eq!(node.store.reads(), 200);
}

#[test]
fn the_delay_of_fetches_does_not_hold_a_shutdown_up() {
    let node = evicted("v");
    let set = |seconds| {
        let name = "bg_fetch_delay";
        node.engine.set_parameter(Family::Flush, name, seconds)
    };
    set("900").unwrap();
    let waits = node.host.call(OTHER, || node.engine.get(OTHER, b"k", 0));
    assert!(matches!(waits, Err(Error::WouldBlock)));
    node.engine.shutdown();
    assert_eq!(node.host.notifications(OTHER), 1);
}

#[test]
fn a_value_that_goes_again_before_its_client_comes_back_is_not_read_twice() {
    let node = Node::with("max_size=1t");
    let long = "a value that is worth evicting";
    node.set(0, "k", long);
    node.write();
    for _ in 0..3 {
        let reads = node.store.reads();
        assert_eq!(node.engine.evict(b"k", 0), Ok(Ejection::Ejected));
        let waits = node.host.call(OTHER, || node.engine.get(OTHER, b"k", 0));
        assert!(matches!(waits, Err(Error::WouldBlock)));
        node.host.wait(OTHER);
        assert_eq!(node.engine.evict(b"k", 0), Ok(Ejection::Ejected));
        let item = node.host.call(OTHER, || node.engine.get(OTHER, b"k", 0));
        assert_eq!(text(&item.unwrap()), long);
        assert_eq!(node.store.reads(), reads + 1);
    }
    // Another version is read anew, and the old one is nobody's answer.
    node.set(0, "k", "a newer value that is worth evicting");
    node.write();
    assert_eq!(node.engine.evict(b"k", 0), Ok(Ejection::Ejected));
    let newer = node.get(0, "k").unwrap();
    assert!(newer.starts_with("a newer"), "{newer}");
}

#[test]
fn a_value_that_goes_again_while_its_key_is_locked_comes_without_the_cas_of_the_lock() {
    let node = Node::with("max_size=1t");
    let long = "a value that is worth evicting";
    node.set(0, "k", long);
    let lock = || node.engine.get_locked(CLIENT, b"k", 15, 0);
    node.host.finish(CLIENT, lock).unwrap();
    node.write();
    assert_eq!(node.engine.evict(b"k", 0), Ok(Ejection::Ejected));
    let waits = node.host.call(OTHER, || node.engine.get(OTHER, b"k", 0));
    assert!(matches!(waits, Err(Error::WouldBlock)));
    node.host.wait(OTHER);
    assert_eq!(node.engine.evict(b"k", 0), Ok(Ejection::Ejected));
    let item = node.host.call(OTHER, || node.engine.get(OTHER, b"k", 0));
    let item = item.unwrap();
    assert_eq!((text(&item).as_str(), item.cas()), (long, u64::MAX));
}

#[test]
fn a_failure_that_a_newer_write_made_void_is_not_told_of_another_key() {
    let node = Node::new();
    node.set(0, "k", "v");
    node.set(0, "other", "v");
    let node = node.restart_with("mem_low_wat=1");
    node.store.faults().fail_reads(true);
    let waits = node.host.call(OTHER, || node.engine.get(OTHER, b"k", 0));
    assert!(matches!(waits, Err(Error::WouldBlock)));
    node.host.wait(OTHER);
    node.set(0, "k", "new");
    node.store.faults().fail_reads(false);
    let get = |key: &[u8]| {
        let found = node.host.finish(OTHER, || node.engine.get(OTHER, key, 0));
        text(&found.unwrap())
    };
    assert_eq!(
        (get(b"k"), get(b"other")),
        ("new".to_owned(), "v".to_owned())
    );
}

/// A client that is slow to come back may have been served by another one's read.
#[test]
fn a_failure_is_void_once_the_value_was_read() {
    let node = evicted("a value that is worth evicting");
    let get = || node.engine.get(OTHER, b"k", 0);
    node.store.faults().fail_reads(true);
    assert!(matches!(node.host.call(OTHER, get), Err(Error::WouldBlock)));
    node.host.wait(OTHER);
    node.store.faults().fail_reads(false);
    assert!(node.get(0, "k").is_some());
    assert!(node.host.finish(OTHER, get).is_ok());
    assert_eq!(node.engine.evict(b"k", 0), Ok(Ejection::Ejected));
    assert!(
        node.host.finish(OTHER, get).is_ok(),
        "it waited for none that failed"
    );
}

#[test]
fn a_value_that_was_brought_in_for_a_client_is_not_held_for_good() {
    let node = Node::with("max_size=1t");
    node.set(0, "k", "a value that is worth evicting");
    node.write();
    assert_eq!(node.engine.evict(b"k", 0), Ok(Ejection::Ejected));
    let item = node.item_of(0, "k").unwrap();
    assert_eq!(node.engine.evict(b"k", 0), Ok(Ejection::Ejected));
    for mark in ["mem_low_wat", "mem_high_wat"] {
        node.engine.set_parameter(Family::Flush, mark, "0").unwrap();
    }
    node.host.advance(2);
    node.host.until("nobody else holds it", || {
        node.engine.core.evictor.signal().wake();
        item.references() == 1
    });
}

/// Clients of which each asks for its next value before the one before it has been read.
#[test]
fn a_comparison_with_the_store_has_its_turn_among_fetches_without_end() {
    const KEYS: usize = 1_000;
    let node = Node::new();
    for key in 0..KEYS {
        node.set(0, &format!("k{key}"), "v");
    }
    node.set(0, "compared", "v");
    node.write();
    let next = AtomicUsize::new(0);
    let (engine, host) = (Arc::downgrade(&node.engine), Arc::clone(&node.host));
    let ask = Arc::new(move || {
        let Some(engine) = engine.upgrade() else {
            return;
        };
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            // A client of its own each time: one that waits already is not owed more.
            let (key, cookie) = (
                format!("k{}", number % KEYS),
                Cookie::new(0x10_000 + number),
            );
            let _ = engine.evict(key.as_bytes(), 0);
            let get = || engine.get(cookie, key.as_bytes(), 0);
            let waits = matches!(host.call(cookie, get), Err(Error::WouldBlock));
            // Now and then for two, because some ask for what is being read already.
            if waits && !number.is_multiple_of(8) {
                return;
            }
        }
    });
    node.store.hold_reads(true);
    node.store.at_each_read(Some(Arc::clone(&ask) as _));
    (0..8).for_each(|_| ask());
    let compare = || node.engine.verify(CLIENT, b"compared", 0);
    let waits = node.host.call(CLIENT, compare);
    assert_eq!(waits, Err(Error::WouldBlock));
    node.store.hold_reads(false);
    node.host.wait(CLIENT);
    assert_eq!(node.host.call(CLIENT, compare), Ok(Validity::Valid));
    node.store.at_each_read(None);
}
