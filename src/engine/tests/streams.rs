//! What slow streams may hold in memory.

use super::Node;
use crate::checkpoint::{Begin, Log};
use crate::host::LogLevel;
use crate::settings::Family;
use crate::types::{Seqno, VbucketState};

fn held(node: &Node) -> usize {
    node.engine
        .vbuckets()
        .map(crate::vbucket::Vbucket::held_back)
        .sum()
}

#[test]
fn streams_hold_an_eighth_of_the_quota_and_less_while_memory_is_short() {
    let node = Node::new();
    let core = &node.engine.core;
    assert_eq!(core.held_bytes_max(usize::MAX), u64::MAX / 8);
    let settings = &node.engine.shared().settings;
    settings.set(Family::Flush, "max_size", "64000").unwrap();
    assert_eq!(core.held_bytes_max(48_000), 8_000);
    assert_eq!(core.held_bytes_max(48_001), 1_000);
}

#[test]
fn the_slowest_stream_is_dropped_where_most_is_held_until_the_rest_fits() {
    let node = Node::with_vbuckets(2);
    for id in 0..2 {
        let vbucket = node.engine.vbucket(id).unwrap();
        vbucket.register_cursor(&b"one"[..], Begin::Open).unwrap();
        node.set(id, "k", &"v".repeat(1_000 * (2 - usize::from(id))));
    }
    node.start().unwrap();
    node.revert().unwrap();
    node.write();
    let all = held(&node);
    node.engine.core.drop_slow_cursors();
    assert_eq!(held(&node), all, "without a quota nothing is dropped");
    // Just too little, whichever share counts; the smaller one is left with nothing to drop then.
    let quota = (all as u64 - 1) * 8;
    let settings = &node.engine.shared().settings;
    settings
        .set(Family::Flush, "max_size", &quota.to_string())
        .unwrap();
    node.engine.core.drop_slow_cursors();
    let lost = |id| {
        let vbucket = node.engine.vbucket(id).unwrap();
        vbucket
            .cursor_remaining_to(b"one", Seqno::ZERO, usize::MAX)
            .is_none()
    };
    assert!(lost(0) && held(&node) < all);
    let text = "the stream one of vbucket 0 was too slow";
    node.host.until("it is told", || {
        node.host.has_logged(LogLevel::Warning, text)
    });
}

/// A line for each of a thousand cursors would hide the others.
#[test]
fn a_few_of_many_dropped_streams_are_named() {
    let node = Node::with_vbuckets(100);
    for id in 0..100 {
        let vbucket = node.engine.vbucket(id).unwrap();
        vbucket.register_cursor(&b"one"[..], Begin::Open).unwrap();
        node.set(id, "k", &"v".repeat(1_000));
    }
    node.start().unwrap();
    node.revert().unwrap();
    node.write();
    let settings = &node.engine.shared().settings;
    settings.set(Family::Flush, "max_size", "8").unwrap();
    // By the housekeeper alone: it looks after a commit as well.
    let text = "so were 80 more streams";
    node.host.until("they are dropped", || {
        node.engine.core.house.call();
        node.host.has_logged(LogLevel::Warning, text)
    });
    assert_eq!(held(&node), 0);
    let named = (0..100).filter(|id| {
        let text = format!("the stream one of vbucket {id} was too slow");
        node.host.has_logged(LogLevel::Warning, &text)
    });
    assert_eq!(named.count(), 20);
}

#[test]
fn ten_thousand_updates_of_an_idle_node_leave_nothing_in_memory() {
    let node = Node::new();
    node.set(0, "k", "v");
    for _ in 0..10_000 {
        node.start().unwrap();
        node.revert().unwrap();
    }
    node.write();
    let vbucket = node.engine.vbucket(0).unwrap();
    let (checkpoints, entries) = vbucket.with_log(|log| (log.checkpoints(), log.entries()));
    assert_eq!(
        (checkpoints, entries, vbucket.with_log(Log::unpersisted)),
        (1, 1, 0)
    );
    assert_eq!(node.engine.update_report().window.touched, 0);
}

/// Whatever the log's numbers add up to.
#[test]
fn a_stream_looks_again_when_its_vbucket_is_deleted_and_made_again() {
    let node = Node::with_vbuckets(2);
    let vbucket = node.engine.vbucket(1).unwrap();
    vbucket.register_cursor(&b"one"[..], Begin::Open).unwrap();
    vbucket.drop_cursor(b"one");
    let core = &node.engine.core;
    core.set_vbucket(1, VbucketState::Dead).unwrap();
    let mut seen = vec![vbucket.version()];
    core.delete_vbucket(1).unwrap();
    seen.push(vbucket.version());
    core.set_vbucket(1, VbucketState::Dead).unwrap();
    seen.push(vbucket.version());
    assert!(seen.is_sorted_by(|a, b| a < b), "{seen:?}");
}
