//! After a REVERT the values come back into memory by themselves (docs/online-update.md, REVERT).

use super::{Node, id};
use crate::settings::Family;
use crate::types::VbucketState;

const KEYS: usize = 600;

/// A node whose window overwrote the first keys of a vbucket.
fn in_window(config: &str, touched: usize) -> Node {
    let node = Node::with(config);
    for key in 0..KEYS {
        node.set(0, &key.to_string(), "before");
    }
    node.write();
    node.start().unwrap();
    for key in 0..touched {
        node.set(0, &key.to_string(), "inside");
    }
    node
}

fn rewarmed(node: &Node) -> u64 {
    node.engine.shared().metrics.rewarmed.get()
}

fn until_warm(node: &Node) {
    let ended = || !node.engine.update_report().rewarming;
    node.host.until("the values are back", ended);
}

fn residents(node: &Node) -> usize {
    let keys = (0..KEYS).filter(|key| node.is_resident(0, &key.to_string()));
    keys.count()
}

/// REVERT, with the scan that follows stopped at its first row.
fn revert_and_hold(node: &Node) {
    node.store.hold_scan(Some(id(0)));
    assert_eq!(node.revert(), Ok(()));
    node.host.until("the scan waits", || node.store.held() == 1);
}

#[test]
fn reverted_values_come_back_by_a_scan_or_one_by_one_if_they_are_few() {
    for (touched, reads) in [(KEYS, 0), (5, 5)] {
        let node = in_window("", touched);
        assert_eq!(node.revert(), Ok(()));
        until_warm(&node);
        assert_eq!((residents(&node), rewarmed(&node)), (KEYS, touched as u64));
        assert_eq!(node.store.reads(), reads);
        assert_eq!(node.get(0, "0").as_deref(), Some("before"));
    }
}

#[test]
fn a_client_does_not_wait_for_it_and_what_is_newer_stays() {
    let node = in_window("", KEYS);
    revert_and_hold(&node);
    assert_eq!(node.get(0, "1").as_deref(), Some("before"));
    assert_eq!(node.store.reads(), 1);
    node.set(0, "2", "newer");
    node.remove(0, "3").unwrap();
    node.store.hold_scan(None);
    until_warm(&node);
    assert_eq!(node.get(0, "2").as_deref(), Some("newer"));
    assert_eq!(node.get(0, "3"), None);
    assert_eq!(rewarmed(&node), KEYS as u64 - 3);
}

#[test]
fn it_ends_at_the_low_water_mark() {
    let node = in_window("max_size=1t", KEYS);
    revert_and_hold(&node);
    node.engine
        .set_parameter(Family::Flush, "mem_low_wat", "0")
        .unwrap();
    node.store.hold_scan(None);
    until_warm(&node);
    // It had looked at the marks before the first row, at most.
    assert!(rewarmed(&node) < KEYS as u64, "{}", rewarmed(&node));
    assert_eq!(node.get(0, "599").as_deref(), Some("before"));
}

#[test]
fn it_ends_when_the_vbucket_goes() {
    let node = in_window("", KEYS);
    revert_and_hold(&node);
    node.engine.core.set_vbucket(0, VbucketState::Dead).unwrap();
    node.engine.core.delete_vbucket(0).unwrap();
    node.activate(0);
    node.store.hold_scan(None);
    until_warm(&node);
    assert_eq!((rewarmed(&node), node.items()), (0, 0));
}

#[test]
fn it_ends_at_shutdown() {
    let node = in_window("", KEYS);
    revert_and_hold(&node);
    std::thread::scope(|scope| {
        scope.spawn(|| node.engine.shutdown());
        let signal = node.engine.core.rewarm.signal();
        node.host.until("it is told", || signal.is_stopped());
        node.store.hold_scan(None);
    });
    assert_eq!(rewarmed(&node), 0);
}

#[test]
fn pre_images_kept_in_memory_go_when_memory_is_short_and_those_not_on_disk_stay() {
    let node = Node::with("max_size=1t;online_update_undo=memory");
    let mark = |name, text: &str| {
        node.engine
            .set_parameter(Family::Flush, name, text)
            .unwrap();
    };
    let value = "a value that is worth evicting";
    for key in 0..KEYS {
        node.set(0, &key.to_string(), value);
    }
    node.write();
    node.engine.set_persistence(false);
    node.set(0, "dirty", value);
    node.start().unwrap();
    for key in 0..KEYS {
        node.set(0, &key.to_string(), "inside");
    }
    node.set(0, "dirty", "inside");
    mark("mem_low_wat", "0");
    mark("mem_high_wat", "0");
    node.set(0, "0", "inside");
    let ejects = || node.engine.shared().metrics.value_ejects.get();
    node.host
        .until("old values went", || ejects() >= KEYS as u64);
    mark("mem_high_wat", &u64::MAX.to_string());
    assert_eq!(ejects(), KEYS as u64, "a value of the window went");
    assert_eq!(node.revert(), Ok(()));
    assert!(node.is_resident(0, "dirty"));
    assert_eq!(residents(&node), 0);
    assert_eq!(node.get(0, "7").as_deref(), Some(value));
}
