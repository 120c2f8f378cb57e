//! Sentences of docs/online-update.md that no other test is about; each test names its section.

use super::{CLIENT, Node, OPERATOR, decide};
use crate::engine::UpdateState;
use crate::error::Error;
use crate::settings::Family;
use crate::types::StoreOp;

/// Section "Commands": a client that disconnects after it sent COMPLETE or REVERT does not stop it.
/// Its cookie is notified exactly once, and nobody else is told the result.
#[test]
fn a_client_that_leaves_at_any_instant_of_a_command_stops_nothing() {
    for completes in [false, true] {
        for instant in ["accepted", "committing", "answered"] {
            let node = Node::new();
            node.set(0, "k", "before");
            node.write();
            node.start().unwrap();
            node.set(0, "k", "inside");
            node.write();
            node.store.hold_commits(true);
            let begun = node
                .host
                .call(OPERATOR, || decide(&node.engine, OPERATOR, completes));
            assert_eq!(begun, Err(Error::WouldBlock));
            let leave = |at| {
                if at == instant {
                    node.engine.disconnected(OPERATOR);
                }
            };
            leave("accepted");
            node.host.until("it commits", || node.store.held() > 0);
            leave("committing");
            node.store.hold_commits(false);
            node.host.wait(OPERATOR);
            leave("answered");
            // One for START.
            assert_eq!(node.host.notifications(OPERATOR), 2);
            node.host
                .until("it is over", || node.state() == UpdateState::None);
            let expected = if completes { "inside" } else { "before" };
            assert_eq!(node.get(0, "k").as_deref(), Some(expected));
            assert_eq!(node.crash().get(0, "k").as_deref(), Some(expected));
        }
    }
}

/// Section "START", 2: no mutation behind the barrier reaches the store: not by the flusher,
/// eviction, the expiry pager, a clean shutdown, or a crash.
#[test]
fn nothing_of_a_window_reaches_the_store_by_any_path() {
    let node = Node::with("max_size=1t;exp_pager_stime=60");
    let long = "a value that is worth evicting";
    for key in ["kept", "changed", "deleted"] {
        node.set(0, key, long);
    }
    let item = node.item("expires", long, 30);
    let store = || node.engine.store(CLIENT, &item, StoreOp::Set, 0);
    node.host.call(CLIENT, store).unwrap();
    node.write();
    let before = node.store.faults().state().items;
    node.start().unwrap();
    node.set(0, "changed", "a window's value that is worth evicting");
    node.set(0, "added", "a window's value that is worth evicting");
    node.remove(0, "deleted").unwrap();
    for mark in ["mem_low_wat", "mem_high_wat"] {
        let set = node.engine.set_parameter(Family::Flush, mark, "0");
        set.unwrap();
    }
    node.set(0, "last", "inside");
    node.host
        .until("what is on disk goes", || !node.is_resident(0, "kept"));
    assert!(node.is_resident(0, "changed") && node.is_resident(0, "added"));
    let runs = || node.engine.shared().metrics.expired.get();
    // The housekeeper counts from when its thread began, which may be after this.
    node.host.until("the pager ran", || {
        node.host.advance(60);
        node.engine.core.house.wake();
        runs() == 1
    });
    node.write();
    assert_eq!(node.store.faults().state().items, before);
    assert_eq!(node.after_a_crash().store.faults().state().items, before);
    let node = node.restart();
    node.write();
    assert_eq!(node.store.faults().state().items, before);
    assert_eq!(node.get(0, "changed").as_deref(), Some(long));
}

/// Section "START", 3: the window is one checkpoint however long it lasts; neither size nor age
/// closes it, and its memory grows with the number of distinct touched keys.
#[test]
fn a_window_is_one_checkpoint_of_its_distinct_keys() {
    let node = Node::with("chk_max_items=100;chk_period=60");
    node.start().unwrap();
    let vbucket = node.engine.vbucket(0).unwrap();
    let id = vbucket.with_log(crate::checkpoint::Log::open_id);
    for key in 0..500 {
        node.set(0, &key.to_string(), "inside");
    }
    let bytes = node.engine.update_report().window.bytes;
    node.host.advance(10_000);
    for round in 0..20_000 {
        node.set(0, &(round % 500).to_string(), "inside");
    }
    vbucket.close_if_old();
    assert_eq!(vbucket.with_log(crate::checkpoint::Log::open_id), id);
    let report = node.engine.update_report();
    assert_eq!((report.window.touched, report.window.bytes), (500, bytes));
}
