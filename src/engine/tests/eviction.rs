//! Values leave memory and come back. The bytes in use are counted for the whole process, other
//! tests included, so these tests set the marks to 0 or to no limit and look at what goes.

use std::cell::Cell;

use super::{CLIENT, Node};
use crate::error::Error;
use crate::host::LogLevel;
use crate::settings::Family;
use crate::types::StoreOp;
use crate::vbucket::Ejection;

const LONG: &str = "a value that is worth evicting";

fn set_marks(node: &Node, low: &str, high: &str) {
    for (name, text) in [("mem_low_wat", low), ("mem_high_wat", high)] {
        node.engine
            .set_parameter(Family::Flush, name, text)
            .unwrap();
    }
}

fn evicted(node: &Node) -> usize {
    node.engine.vbuckets().map(|vb| vb.figures().evicted).sum()
}

#[test]
fn above_the_high_mark_clean_values_go_and_are_read_back() {
    // A quota that no test reaches: only the marks count.
    let node = Node::with("max_size=1t");
    for key in 0..5_000 {
        node.set(0, &key.to_string(), &format!("{LONG} {key}"));
    }
    node.write();
    assert_eq!(evicted(&node), 0);
    set_marks(&node, "0", "0");
    // A write looks at the memory in use.
    node.set(0, "last", LONG);
    node.host
        .until("all clean values went", || evicted(&node) >= 5_000);
    assert_eq!(node.items(), 5_001);
    let unlimited = u64::MAX.to_string();
    set_marks(&node, &unlimited, &unlimited);
    for key in [0, 17, 4_999] {
        assert!(!node.is_resident(0, &key.to_string()));
        let value = node.get(0, &key.to_string());
        assert_eq!(value, Some(format!("{LONG} {key}")));
        assert!(node.is_resident(0, &key.to_string()));
    }
    // The pager counts a part when it is done with it.
    let counted = || node.engine.shared().metrics.value_ejects.get();
    node.host.until("all are counted", || counted() >= 5_000);
}

#[test]
fn what_the_store_does_not_have_stays_in_memory_whatever_the_marks_say() {
    let node = Node::with("max_size=1t");
    node.engine.set_persistence(false);
    for key in 0..100 {
        node.set(0, &key.to_string(), LONG);
    }
    set_marks(&node, "0", "0");
    node.set(0, "last", LONG);
    let runs = || node.engine.shared().metrics.pager_runs.get();
    node.host.until("the pager looked", || runs() > 0);
    assert_eq!(evicted(&node), 0);
    node.engine.set_persistence(true);
    node.write();
    let again = || {
        node.set(0, "last", LONG);
        evicted(&node) >= 100
    };
    node.host.until("they went once they were durable", again);
}

#[test]
fn evict_key_tells_what_it_did() {
    let node = Node::new();
    let evict = |key: &str| node.engine.evict(key.as_bytes(), 0);
    assert_eq!(evict("k"), Ok(Ejection::Absent));
    node.engine.set_persistence(false);
    node.set(0, "k", LONG);
    assert_eq!(evict("k"), Ok(Ejection::Kept), "it is not durable");
    node.engine.set_persistence(true);
    node.set(0, "small", "v");
    node.write();
    node.set(0, "empty", "");
    node.write();
    for (key, value) in [("small", "v"), ("empty", "")] {
        assert_eq!(evict(key), Ok(Ejection::Ejected));
        assert_eq!(evict(key), Ok(Ejection::Already));
        assert_eq!(node.get(0, key).as_deref(), Some(value));
        assert_eq!(evict(key), Ok(Ejection::Ejected));
    }
    assert_eq!(evict("k"), Ok(Ejection::Ejected));
    assert_eq!(evict("k"), Ok(Ejection::Already));
    assert_eq!(node.engine.evict(b"k", 5), Err(Error::NotMyVbucket));
    node.remove(0, "k").unwrap();
    assert_eq!(evict("k"), Ok(Ejection::Absent));
}

#[test]
fn a_quota_that_nothing_can_be_freed_for_is_out_of_memory_and_reads_go_on() {
    let node = Node::new();
    node.set(0, "k", LONG);
    node.write();
    let set = |name: &str, text: &str| {
        node.engine
            .set_parameter(Family::Flush, name, text)
            .unwrap();
    };
    let ballast = vec![1_u8; 4_000_000];
    set("max_size", "2000000");
    let refused = || node.store(StoreOp::Set, 0, "x", LONG).unwrap_err();
    assert_eq!(refused(), Error::Temporary, "a value may go first");
    let runs = || node.engine.shared().metrics.pager_runs.get();
    let seen = Cell::new(runs());
    node.host.until("nothing was freed for a while", || {
        // A second for each time that the pager looked.
        if runs() > seen.get() {
            seen.set(runs());
            node.host.advance(1);
        }
        refused() == Error::NoMemory
    });
    assert_eq!(node.get(0, "k").as_deref(), Some(LONG));
    assert_eq!(node.remove(0, "k"), Ok(()));
    set("max_size", "1");
    assert_eq!(refused(), Error::NoMemory);
    set("max_size", &u64::MAX.to_string());
    node.set(0, "x", LONG);
    drop(ballast);
}

/// SCRUB, also where the pager never looks by itself.
#[test]
fn a_scrub_looks_at_once_for_what_has_expired() {
    let node = Node::with("exp_pager_stime=0");
    for key in 0..80 {
        let item = node.item(&key.to_string(), LONG, u32::from(key < 40));
        node.host
            .call(CLIENT, || node.engine.store(CLIENT, &item, StoreOp::Set, 0))
            .unwrap();
    }
    node.host.advance(2);
    for cleaned in [40, 0] {
        assert!(node.engine.scrub());
        node.host.until("the housekeeper looked", || {
            !node.engine.scrub_report().is_running
        });
        let report = node.engine.scrub_report();
        assert_eq!((report.visited, report.cleaned), (cleaned + 40, cleaned));
    }
    assert_eq!(node.items(), 40);
}

#[test]
fn the_pager_deletes_what_has_expired_from_memory_and_store() {
    let node = Node::with("exp_pager_stime=10");
    for key in 0..3_000 {
        let item = node.item(&key.to_string(), LONG, if key % 3 == 0 { 5 } else { 0 });
        node.host
            .call(CLIENT, || node.engine.store(CLIENT, &item, StoreOp::Set, 0))
            .unwrap();
    }
    node.write();
    node.host.advance(6);
    node.engine.core.house.wake();
    node.host.until("the housekeeper looked", || {
        node.engine.core.house.wake();
        node.host.advance(1);
        node.items() == 2_000
    });
    node.write();
    let runs = node.engine.shared().metrics.expiry_pager_runs.get();
    assert!(runs >= 1);
    assert_eq!(node.engine.shared().metrics.expired.get(), 1_000);
    assert_eq!((node.stored(0, "0"), node.stored(0, "3")), (None, None));
    assert_eq!(node.stored(0, "1").as_deref(), Some(LONG));
    let node = node.restart();
    assert_eq!(node.items(), 2_000);
}

#[test]
fn the_expiry_pager_can_be_switched_off() {
    let node = Node::with("exp_pager_stime=0");
    node.host.advance(1_000_000);
    node.engine.core.house.wake();
    node.set(0, "k", "v");
    node.write();
    assert_eq!(node.engine.shared().metrics.expiry_pager_runs.get(), 0);
}

#[test]
fn watermarks_that_contradict_each_other_are_told() {
    let node = Node::with("max_size=200000000");
    let set = |name: &str, text: &str| {
        let set = node.engine.set_parameter(Family::Flush, name, text);
        set.unwrap();
        node.host
            .has_logged(LogLevel::Warning, "contradict each other")
    };
    assert!(!set("mem_low_wat", "140000000"));
    assert!(set("mem_high_wat", "1000"));
}
