//! Online update: what surrounds the commands.

use super::{CLIENT, Node, OPERATOR};
use crate::engine::UpdateState;
use crate::error::Error;
use crate::store::WindowRecord;

#[test]
fn a_flush_in_the_window_is_taken_back_and_one_that_completes_is_not() {
    let node = Node::with_vbuckets(2);
    for key in 0..100 {
        node.set(key % 2, &key.to_string(), "before");
    }
    node.write();
    node.start().unwrap();
    node.set(0, "0", "inside");
    node.flush_all();
    assert_eq!((node.get(0, "0"), node.items()), (None, 0));
    node.set(1, "1", "inside");
    node.write();
    assert_eq!(node.revert(), Ok(()));
    assert_eq!(node.items(), 100);
    for key in 0..100 {
        assert_eq!(
            node.get(key % 2, &key.to_string()).as_deref(),
            Some("before")
        );
    }
    node.start().unwrap();
    node.flush_all();
    node.set(1, "1", "inside");
    assert_eq!(node.complete(), Ok(()));
    let node = node.crash();
    assert_eq!(
        (node.items(), node.get(1, "1").as_deref()),
        (1, Some("inside"))
    );
}

#[test]
fn complete_that_cannot_be_synced_is_not_in_the_store_either() {
    let node = Node::with("durability=periodic");
    node.set(0, "k", "before");
    node.write();
    node.start().unwrap();
    node.set(0, "k", "inside");
    node.write();
    node.store.fail_syncs(true);
    let failed = node.complete();
    node.store.fail_syncs(false);
    if failed.is_ok() {
        // Made durable by the commit itself.
        assert_eq!(node.crash().get(0, "k").as_deref(), Some("inside"));
        return;
    }
    assert_eq!(node.state(), UpdateState::Open);
    assert_eq!(
        node.stored(0, "k").as_deref(),
        Some("before"),
        "the window reached the store"
    );
    assert_eq!(node.revert(), Ok(()));
    assert_eq!(node.get(0, "k").as_deref(), Some("before"));
}

#[test]
fn complete_under_periodic_durability_survives_a_crash_of_the_machine() {
    let node = Node::with("durability=periodic");
    node.start().unwrap();
    node.set(0, "k", "inside");
    assert_eq!(node.complete(), Ok(()));
    let node = node.crash();
    assert_eq!(
        (node.get(0, "k").as_deref(), node.last_outcome()),
        (Some("inside"), "completed")
    );
}

#[test]
fn complete_with_persistence_stopped_says_what_to_do_and_loses_nothing() {
    let node = Node::new();
    node.set(0, "k", "before");
    node.start().unwrap();
    node.set(0, "k", "inside");
    node.engine.set_persistence(false);
    let refused = node.complete();
    assert!(
        super::refusal(&refused).contains("START_PERSISTENCE"),
        "{refused:?}"
    );
    assert_eq!(node.state(), UpdateState::Open);
    node.engine.set_persistence(true);
    assert_eq!(node.complete(), Ok(()));
    assert_eq!(node.crash().get(0, "k").as_deref(), Some("inside"));
}

#[test]
fn revert_with_persistence_stopped_brings_back_what_is_not_on_disk() {
    let node = Node::new();
    node.engine.set_persistence(false);
    node.set(0, "k", "before");
    node.start().unwrap();
    node.set(0, "k", "inside");
    assert_eq!(node.revert(), Ok(()));
    assert_eq!(node.get(0, "k").as_deref(), Some("before"));
    node.engine.set_persistence(true);
    node.write();
    let node = node.crash();
    assert_eq!(
        (node.get(0, "k").as_deref(), node.last_outcome()),
        (Some("before"), "reverted")
    );
}

#[test]
fn a_reverted_value_comes_from_the_disk_or_with_undo_in_memory_from_there() {
    // Above the low-water mark nothing is read back in the background.
    for (config, reads) in [
        ("mem_low_wat=1", 1),
        ("mem_low_wat=1;online_update_undo=memory", 0),
    ] {
        let node = Node::with(config);
        node.set(0, "k", "before");
        node.write();
        node.start().unwrap();
        node.set(0, "k", "inside");
        assert_eq!(node.revert(), Ok(()));
        let before = node.store.reads();
        assert_eq!(node.is_resident(0, "k"), reads == 0);
        assert_eq!(node.get(0, "k").as_deref(), Some("before"));
        assert_eq!(node.get(0, "k").as_deref(), Some("before"));
        assert_eq!(node.store.reads() - before, reads);
    }
}

#[test]
fn the_report_follows_the_window() {
    let node = Node::with_vbuckets(2);
    let report = || node.engine.update_report();
    assert_eq!(
        (report().state, report().last_outcome),
        (UpdateState::None, "none")
    );
    node.set(0, "k", "before");
    node.host.advance(10);
    node.start().unwrap();
    node.host.advance(7);
    assert_eq!(
        (report().state, report().window.touched),
        (UpdateState::Open, 0)
    );
    assert_eq!(report().open_for.as_secs(), 7);
    node.set(0, "k", "inside");
    node.set(0, "k", "inside again");
    node.set(1, "k", "inside");
    assert_eq!(report().window.touched, 2);
    assert!(report().window.bytes > 0);
    assert_eq!(node.revert(), Ok(()));
    assert_eq!(
        (report().state, report().window.touched),
        (UpdateState::None, 0)
    );
    assert_eq!(report().last_outcome, "reverted");
    let metrics = &node.engine.shared().metrics;
    let counters = [
        &metrics.revert_add,
        &metrics.revert_delete,
        &metrics.revert_update,
    ];
    assert_eq!(counters.map(crate::metrics::Counter::get), [1, 0, 1]);
}

#[test]
fn what_is_written_after_revert_stays_and_is_flushed() {
    let node = Node::new();
    node.set(0, "k", "before");
    node.start().unwrap();
    node.set(0, "k", "inside");
    node.set(0, "l", "inside");
    node.write();
    node.store.hold_commits(true);
    let begun = node
        .host
        .call(OPERATOR, || node.engine.revert_update(OPERATOR));
    assert_eq!(begun, Err(Error::WouldBlock));
    node.set(0, "k", "after");
    let add = node.store(crate::types::StoreOp::Add, 0, "l", "after");
    assert!(add.is_ok(), "the window's value was still there");
    node.store.hold_commits(false);
    assert_eq!(node.revert(), Ok(()));
    node.write();
    let node = node.crash();
    assert_eq!(node.get(0, "k").as_deref(), Some("after"));
    assert_eq!(node.get(0, "l").as_deref(), Some("after"));
}

#[test]
fn a_revert_that_cannot_be_noted_in_the_store_still_reverts() {
    let node = Node::new();
    node.set(0, "k", "before");
    node.write();
    node.start().unwrap();
    node.set(0, "k", "inside");
    node.write();
    node.store.faults().fail_commits(true);
    assert_eq!(node.revert(), Ok(()));
    assert_eq!(node.get(0, "k").as_deref(), Some("before"));
    assert_eq!(node.store.faults().state().window, Some(WindowRecord::Open));
    node.store.faults().fail_commits(false);
    let noted = || node.store.faults().state().window == Some(WindowRecord::Reverted);
    node.host.until("the flusher notes it", noted);
}

#[test]
fn an_item_stored_again_in_the_window_leaves_the_older_version_as_it_was() {
    let node = Node::new();
    node.engine.set_persistence(false);
    let item = node.item("k", "v", 0);
    let store = || {
        let op = crate::types::StoreOp::Set;
        node.host
            .call(CLIENT, || node.engine.store(CLIENT, &item, op, 0))
            .unwrap()
    };
    let first = store();
    let held = node.item_of(0, "k").unwrap();
    node.start().unwrap();
    let second = store();
    assert!(second > first);
    assert_eq!(held.cas(), first, "the CAS of a shared version changed");
    assert_eq!(node.item_of(0, "k").unwrap().cas(), second);
    assert_eq!(node.revert(), Ok(()));
    assert_eq!(node.item_of(0, "k").unwrap().cas(), first);
    node.engine.set_persistence(true);
    let node = node.restart();
    assert_eq!(node.item_of(0, "k").unwrap().cas(), first);
}
