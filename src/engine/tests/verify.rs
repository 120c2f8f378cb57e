//! Comparing keys in memory with their rows.

use super::{CLIENT, Node, OPERATOR};
use crate::config::Durability;
use crate::engine::Validity;
use crate::error::{Error, Result};
use crate::host::LogLevel;
use crate::store::{Record, Store as _};
use crate::types::VbucketId;

fn verify(node: &Node) -> Result<Validity> {
    node.host
        .finish(CLIENT, || node.engine.verify(CLIENT, b"k", 0))
}

/// Puts another row there than the engine wrote.
fn forge(node: &Node, flags: u32, value: &[u8]) {
    let record = Record {
        flags,
        expiry: 0,
        cas: 1,
        value,
    };
    let mut batch = node.store.batch().unwrap();
    batch.put(VbucketId::new(0).unwrap(), b"k", &record);
    batch.commit(Durability::None).unwrap();
}

#[test]
fn every_difference_has_its_name() {
    let node = Node::new();
    node.set(0, "k", "value");
    node.write();
    let flags = node.item_of(0, "k").unwrap().flags();
    assert_eq!(verify(&node), Ok(Validity::Valid));
    forge(&node, flags + 1, b"value");
    assert_eq!(verify(&node), Ok(Validity::Flags));
    forge(&node, flags, b"values");
    assert_eq!(verify(&node), Ok(Validity::Length));
    forge(&node, flags, b"VALUE");
    assert_eq!(verify(&node), Ok(Validity::Data));
    let mut batch = node.store.batch().unwrap();
    batch.delete(VbucketId::new(0).unwrap(), b"k");
    batch.commit(Durability::None).unwrap();
    assert_eq!(verify(&node), Ok(Validity::NotOnDisk));
    node.start().unwrap();
    node.set(0, "k", "window");
    assert_eq!(verify(&node), Ok(Validity::Dirty));
}

#[test]
fn what_changes_during_the_comparison_is_not_called_different() {
    for removes in [false, true] {
        let node = Node::new();
        node.set(0, "k", "old");
        node.write();
        node.store.hold_reads(true);
        let waits = node
            .host
            .call(CLIENT, || node.engine.verify(CLIENT, b"k", 0));
        assert_eq!(waits, Err(Error::WouldBlock));
        node.host
            .until("the store is read", || node.store.held() > 0);
        let expected = if removes {
            node.engine.remove(OPERATOR, b"k", 0, 0).unwrap();
            Validity::Deleted
        } else {
            let item = node.item("k", "newer", 0);
            node.engine
                .store(OPERATOR, &item, crate::types::StoreOp::Set, 0)
                .unwrap();
            // Durable before the comparison ends: no longer dirty then, but another version.
            node.write();
            Validity::Dirty
        };
        node.store.hold_reads(false);
        node.host.wait(CLIENT);
        assert_eq!(verify(&node), Ok(expected));
        assert_eq!(node.host.notifications(CLIENT), 1);
    }
}

#[test]
fn a_store_that_cannot_be_read_is_told_and_a_client_that_goes_is_forgotten() {
    let node = Node::new();
    node.set(0, "k", "v");
    node.write();
    node.store.faults().fail_reads(true);
    assert_eq!(verify(&node), Err(Error::Temporary));
    assert!(node.host.has_logged(LogLevel::Warning, "cannot compare"));
    let begun = node
        .host
        .call(CLIENT, || node.engine.verify(CLIENT, b"k", 0));
    assert_eq!(begun, Err(Error::WouldBlock));
    node.host.wait(CLIENT);
    node.engine.disconnected(CLIENT);
    node.store.faults().fail_reads(false);
    assert_eq!(verify(&node), Ok(Validity::Valid));
}

#[test]
fn a_locked_key_is_compared_like_any_other() {
    let node = Node::new();
    node.set(0, "k", "value");
    let lock = || node.engine.get_locked(CLIENT, b"k", 15, 0);
    node.host.finish(CLIENT, lock).unwrap();
    node.write();
    assert_eq!(verify(&node), Ok(Validity::Valid));
}
