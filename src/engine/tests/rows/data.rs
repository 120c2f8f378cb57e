//! Rows B: wrong data after REVERT.

use super::{
    CLIENT, Error, Node, StoreOp, begin_revert, cas, check_persists, count, id, set_until, touch,
};
use crate::host::LogLevel;
use crate::settings::Family;

const KEYS: usize = 2_000;

/// Keys that wait for the disk, and a window that overwrites all of them.
fn overwritten() -> Node {
    let node = Node::new();
    node.engine.set_persistence(false);
    for key in 0..KEYS {
        node.set(0, &key.to_string(), "before");
    }
    node.start().unwrap();
    for key in 0..KEYS {
        node.set(0, &key.to_string(), "inside");
    }
    node
}

fn check_before(node: &Node) {
    for key in 0..KEYS {
        assert_eq!(node.get(0, &key.to_string()).as_deref(), Some("before"));
    }
    assert_eq!(node.items(), KEYS);
}

#[test]
fn b1_what_was_not_on_disk_at_start_comes_back() {
    let node = overwritten();
    node.engine.set_persistence(true);
    node.write();
    assert_eq!(node.stored(0, "7").as_deref(), Some("before"));
    assert_eq!(node.revert(), Ok(()));
    check_before(&node);
    check_before(&check_persists(node));
}

#[test]
fn b2_what_is_not_on_disk_at_revert_either_comes_back_for_good() {
    let node = overwritten();
    assert_eq!(node.revert(), Ok(()));
    check_before(&node);
    assert_eq!(node.stored(0, "7"), None);
    node.engine.set_persistence(true);
    check_before(&check_persists(node));
}

#[test]
fn b3_a_key_deleted_and_made_again_comes_back() {
    let node = Node::new();
    node.set(0, "added", "before");
    node.set(0, "counted", "5");
    node.write();
    node.start().unwrap();
    for key in ["added", "counted"] {
        node.remove(0, key).unwrap();
    }
    node.store(StoreOp::Add, 0, "added", "inside").unwrap();
    assert_eq!(count(&node, "counted"), 100);
    assert_eq!(node.revert(), Ok(()));
    let check = |node: &Node| {
        assert_eq!(node.get(0, "added").as_deref(), Some("before"));
        assert_eq!(node.get(0, "counted").as_deref(), Some("5"));
    };
    check(&node);
    check(&check_persists(node));
}

/// No trace of a key: not read, not counted, in nobody's way.
fn check_absent(node: &Node, key: &str) {
    assert_eq!(node.get(0, key), None);
    assert_eq!(node.items(), 0);
    let figures = node.engine.vbucket(0).unwrap().figures();
    assert_eq!((figures.evicted, figures.bytes), (0, 0));
    assert!(node.store(StoreOp::Add, 0, key, "after").is_ok());
    node.remove(0, key).unwrap();
}

#[test]
fn b4_a_key_made_and_deleted_leaves_nothing() {
    let node = Node::new();
    node.start().unwrap();
    node.set(0, "k", "inside");
    node.remove(0, "k").unwrap();
    assert_eq!(node.revert(), Ok(()));
    check_absent(&node, "k");
    check_absent(&check_persists(node), "k");
}

#[test]
fn b5_a_deletion_from_before_start_stays_one() {
    for stopped in [false, true] {
        let node = Node::new();
        node.set(0, "k", "before");
        node.write();
        node.engine.set_persistence(!stopped);
        node.remove(0, "k").unwrap();
        node.start().unwrap();
        node.set(0, "k", "inside");
        assert_eq!(node.revert(), Ok(()));
        check_absent(&node, "k");
        node.engine.set_persistence(true);
        check_absent(&check_persists(node), "k");
    }
}

#[test]
fn b6_a_time_to_live_of_the_window_ends_with_it() {
    for read in [false, true] {
        let node = Node::new();
        node.set(0, "k", "before");
        node.write();
        node.start().unwrap();
        set_until(&node, "k", "inside", 5);
        node.host.advance(10);
        if read {
            assert_eq!(node.get(0, "k"), None);
        }
        assert_eq!(node.revert(), Ok(()));
        assert_eq!(node.get(0, "k").as_deref(), Some("before"));
        let node = check_persists(node);
        assert_eq!(node.get(0, "k").as_deref(), Some("before"));
        assert_eq!(node.item_of(0, "k").unwrap().expiry(), 0);
    }
}

#[test]
fn b7_an_expiry_in_the_window_deletes_nothing_from_before() {
    let node = Node::with("expiry_window=3");
    node.engine.set_persistence(false);
    node.set(0, "k", "before");
    node.start().unwrap();
    set_until(&node, "k", "inside", 1);
    node.engine.set_persistence(true);
    node.write();
    node.host.advance(5);
    node.write();
    assert_eq!(node.stored(0, "k").as_deref(), Some("before"));
    node.set(0, "k", "inside again");
    assert_eq!(node.revert(), Ok(()));
    assert_eq!(node.get(0, "k").as_deref(), Some("before"));
    let node = check_persists(node);
    assert_eq!(node.get(0, "k").as_deref(), Some("before"));
}

#[test]
fn b8_flags_cas_and_expiry_are_those_from_before() {
    let node = Node::new();
    set_until(&node, "k", "before", 1_000);
    let before = node.item_of(0, "k").unwrap().meta();
    node.write();
    node.start().unwrap();
    let item = node.engine.allocate(b"k", 6, 77, 50).unwrap();
    item.fill(b"inside");
    let store = || node.engine.store(CLIENT, &item, StoreOp::Set, 0);
    let inside = node.host.call(CLIENT, store).unwrap();
    assert_eq!(node.revert(), Ok(()));
    let back = node.item_of(0, "k").unwrap().meta();
    assert_eq!(
        (back.flags, back.expiry, back.cas),
        (before.flags, before.expiry, before.cas)
    );
    node.host.advance(60);
    assert_eq!(node.get(0, "k").as_deref(), Some("before"));
    assert_eq!(cas(&node, "k", inside), Err(Error::Exists));
    assert!(cas(&node, "k", before.cas).is_ok());
}

#[test]
fn b12_touch_is_part_of_the_window() {
    let node = Node::new();
    node.set(0, "k", "before");
    node.write();
    node.start().unwrap();
    touch(&node, "k", 5);
    assert_eq!(node.revert(), Ok(()));
    node.host.advance(10);
    assert_eq!(node.item_of(0, "k").unwrap().expiry(), 0);
    let node = check_persists(node);
    assert_eq!(node.get(0, "k").as_deref(), Some("before"));
}

/// There is one kind of item; the configuration key changes nothing.
#[test]
fn b13_small_values_revert_like_all_others() {
    let node = Node::with("stored_val_type=small");
    node.set(0, "k", "before");
    node.set(0, "gone", "before");
    node.write();
    node.start().unwrap();
    node.set(0, "k", "inside");
    node.remove(0, "gone").unwrap();
    assert_eq!(node.revert(), Ok(()));
    for key in ["k", "gone"] {
        assert_eq!(node.get(0, key).as_deref(), Some("before"));
    }
}

#[test]
fn b14_a_revert_needs_no_memory() {
    let node = Node::new();
    for key in 0..200 {
        node.set(0, &key.to_string(), "before");
    }
    node.write();
    node.start().unwrap();
    for key in 0..200 {
        node.remove(0, &key.to_string()).unwrap();
    }
    let quota = |text: &str| node.engine.set_parameter(Family::Flush, "max_size", text);
    quota("1").unwrap();
    assert_eq!(node.revert(), Ok(()));
    assert_eq!(node.engine.shared().metrics.revert_delete.get(), 200);
    assert_eq!(node.items(), 200);
    for key in 0..200 {
        assert_eq!(node.get(0, &key.to_string()).as_deref(), Some("before"));
    }
}

#[test]
fn b16_what_is_written_while_a_revert_runs_stays() {
    let node = Node::new();
    for key in 0..100 {
        node.set(0, &key.to_string(), "before");
    }
    node.start().unwrap();
    for key in 0..200 {
        node.set(0, &key.to_string(), "inside");
    }
    node.write();
    node.store.hold_commits(true);
    begin_revert(&node);
    for key in (0..200).step_by(2) {
        node.set(0, &key.to_string(), "after");
    }
    node.store.hold_commits(false);
    assert_eq!(node.revert(), Ok(()));
    let check = |node: &Node| {
        for key in 0..200 {
            let expected = match key {
                key if key % 2 == 0 => Some("after"),
                0..100 => Some("before"),
                _ => None,
            };
            assert_eq!(node.get(0, &key.to_string()).as_deref(), expected);
        }
    };
    check(&node);
    check(&check_persists(node));
}

#[test]
fn b17_a_flush_all_of_the_window_does_not_reach_the_store() {
    let node = Node::new();
    node.set(0, "k", "before");
    node.write();
    node.start().unwrap();
    node.flush_all();
    node.write();
    assert_eq!(node.stored(0, "k").as_deref(), Some("before"));
    assert_eq!(node.after_a_crash().get(0, "k").as_deref(), Some("before"));
    assert_eq!(node.revert(), Ok(()));
    assert_eq!(node.get(0, "k").as_deref(), Some("before"));
}

#[test]
fn b18_a_value_of_another_length_comes_back_without_a_complaint() {
    let node = Node::new();
    let long = "before".repeat(1_000);
    node.set(0, "k", &long);
    node.write();
    node.start().unwrap();
    node.set(0, "k", "i");
    assert_eq!(node.revert(), Ok(()));
    assert_eq!(node.get(0, "k"), Some(long));
    assert_eq!(node.item_of(0, "k").unwrap().nbytes(), 6_000);
    let state = node.store.faults().state();
    assert_eq!(state.items[&(id(0), b"k".to_vec())].value.len(), 6_000);
    let told = |text: &str| node.host.has_logged(LogLevel::Warning, text);
    assert!(!told("size") && !told("length"));
}
