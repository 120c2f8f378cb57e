//! Streams' cursors on a vbucket, and what they do to its memory.

use std::time::Duration;

use super::{Node, evict_keys, hash, put, put_until, remove};
use crate::checkpoint::{Begin, Log, Op};
use crate::settings::Family;
use crate::types::{CheckpointId, Seqno, VbucketState};
use crate::vbucket::{Arrival, Found, Vbucket};
use crate::worker::Wake;

fn fill(vbucket: &Vbucket, keys: std::ops::Range<u32>) {
    for key in keys {
        put(vbucket, &key.to_be_bytes(), b"value");
    }
}

/// Everything that a stream is given behind a position: where it ends, and how many changes.
fn read(vbucket: &Vbucket, name: &[u8], mut after: Seqno) -> Option<(Seqno, usize)> {
    let mut changes = Vec::new();
    loop {
        let end = vbucket.read_cursor(name, after, 10, &mut changes)?;
        after = end.upto;
        if end.exhausted {
            changes.retain(|change| change.op.is_change());
            return Some((after, changes.len()));
        }
    }
}

#[test]
fn what_a_stream_has_not_acknowledged_stays_and_then_goes() {
    let node = Node::new(1, false);
    let vbucket = node.vbucket(0);
    let begun = vbucket.register_cursor(&b"s"[..], Begin::Oldest).unwrap();
    fill(vbucket, 0..20);
    node.flush();
    assert!(vbucket.held_back() > 0);
    let (upto, count) = read(vbucket, b"s", begun.at).unwrap();
    assert_eq!(
        (
            count,
            vbucket.cursor_remaining_to(b"s", begun.at, usize::MAX)
        ),
        (20, Some(20))
    );
    // It is given all of it again as long as it has acknowledged nothing.
    assert_eq!(read(vbucket, b"s", Seqno::ZERO), Some((upto, 20)));
    let removed = &node.shared.metrics.checkpoint_items_removed;
    assert_eq!(removed.get(), 0);
    vbucket.move_cursor(b"s", upto);
    assert_eq!(
        (vbucket.held_back(), vbucket.with_log(Log::checkpoints)),
        (0, 1)
    );
    assert_eq!(
        (
            removed.get(),
            vbucket.cursor_remaining_to(b"s", upto, usize::MAX)
        ),
        (8, Some(0))
    );
    fill(vbucket, 0..20);
    node.flush();
    assert!(vbucket.held_back() > 0);
    vbucket.drop_cursor(b"s");
    assert_eq!(
        (vbucket.held_back(), vbucket.with_log(Log::cursors)),
        (0, 0)
    );
}

#[test]
fn a_key_that_is_written_again_is_given_again() {
    let node = Node::new(1, false);
    let vbucket = node.vbucket(0);
    let begun = vbucket.register_cursor(&b"s"[..], Begin::Open).unwrap();
    fill(vbucket, 0..3);
    let (upto, count) = read(vbucket, b"s", begun.at).unwrap();
    fill(vbucket, 1..2);
    assert_eq!(
        (count, vbucket.cursor_remaining_to(b"s", upto, usize::MAX)),
        (3, Some(1))
    );
    assert_eq!(read(vbucket, b"s", upto).unwrap().1, 1);
    assert_eq!(read(vbucket, b"s", begun.at).unwrap().1, 3);
}

#[test]
fn a_cursor_goes_with_its_vbucket_and_the_slowest_when_it_is_dropped() {
    let node = Node::new(1, false);
    let vbucket = node.vbucket(0);
    let begun = vbucket
        .register_cursor(&b"slow"[..], Begin::Oldest)
        .unwrap();
    vbucket.register_cursor(&b"fast"[..], Begin::Open).unwrap();
    fill(vbucket, 0..20);
    let (upto, _) = read(vbucket, b"fast", begun.at).unwrap();
    vbucket.move_cursor(b"fast", upto);
    assert_eq!(vbucket.drop_slowest_cursor().as_deref(), Some(&b"slow"[..]));
    assert_eq!(read(vbucket, b"slow", begun.at), None);
    assert_eq!(
        vbucket.cursor_remaining_to(b"slow", begun.at, usize::MAX),
        None
    );
    assert_eq!(node.shared.metrics.cursors_dropped.get(), 1);
    vbucket.set_state(VbucketState::Dead, Arrival::Alone, || {});
    drop(node.map.delete(vbucket));
    assert_eq!(read(vbucket, b"fast", upto), None);
    assert_eq!(vbucket.register_cursor(&b"fast"[..], Begin::Open), None);
    assert_eq!(node.shared.metrics.enqueued_by_deleted.get(), 20);
    assert!(vbucket.drop_slowest_cursor().is_none());
}

#[test]
fn a_checkpoint_closed_for_memory_lets_go_of_its_items() {
    let node = Node::new(1, false);
    let vbucket = node.vbucket(0);
    fill(vbucket, 0..5);
    assert!(!vbucket.close_for_memory(), "nothing is persisted yet");
    node.flush();
    let key = 3_u32.to_be_bytes();
    let Found::Hit(item) = vbucket.get(hash(&key), &key) else {
        panic!("lost");
    };
    // This test, the table and the log hold it.
    assert_eq!(item.references(), 3);
    assert!(vbucket.close_for_memory());
    node.flush();
    assert_eq!(item.references(), 2);
    assert!(!vbucket.close_for_memory(), "it is empty");
}

#[test]
fn whoever_logs_or_closes_something_unasked_wakes_the_flusher() {
    let node = Node::new(1, false);
    let vbucket = node.vbucket(0);
    let woken = || node.shared.flush.wait(Some(Duration::ZERO)) == Wake::Work;
    put_until(vbucket, b"read", b"v", node.host.unix() + 1);
    put_until(vbucket, b"fail", b"v", node.host.unix() + 1);
    node.flush();
    node.host.advance(3);
    assert!(!woken(), "the caller of a mutation does that");
    assert!(matches!(vbucket.get(hash(b"read"), b"read"), Found::Miss));
    assert!(woken());
    assert!(remove(vbucket, b"fail").is_err());
    assert!(woken());
    assert_eq!(vbucket.with_log(Log::unpersisted), 2);
    node.host.advance(600);
    assert!(!vbucket.close_if_old() && woken());
    put(vbucket, b"k", b"v");
    node.flush();
    assert!(vbucket.close_if_old() && !woken());
    assert!(vbucket.close_for_memory() && woken());
}

/// Dropping a checkpoint takes as long as it has keys: the call of a host thread leaves it to the
/// housekeeper, however it lets go.
#[test]
fn what_a_stream_held_is_dropped_by_the_housekeeper() {
    for how in 0..4 {
        let node = Node::new(1, false);
        let settings = &node.shared.settings;
        settings.set(Family::Flush, "chk_max_items", "500").unwrap();
        let vbucket = node.vbucket(0);
        vbucket.register_cursor(&b"s"[..], Begin::Oldest).unwrap();
        fill(vbucket, 0..1_000);
        let Found::Hit(item) = vbucket.get(hash(&7_u32.to_be_bytes()), &7_u32.to_be_bytes()) else {
            panic!("no item")
        };
        node.flush();
        let held = item.references();
        let upto = read(vbucket, b"s", Seqno::ZERO).unwrap().0;
        match how {
            0 => vbucket.move_cursor(b"s", upto),
            1 => vbucket.drop_cursor(b"s"),
            2 => assert!(vbucket.drop_slowest_cursor().is_some()),
            _ => {
                let _ = vbucket.set_state(VbucketState::Replica, Arrival::Alone, || {});
                assert!(vbucket.begin_backfill());
            }
        }
        assert_eq!(item.references(), held, "it was dropped by the caller");
        let house = node.shared.trash.house();
        assert_eq!(house.wait(None), Wake::Work);
        assert!(node.shared.trash.empty());
        assert_eq!(item.references(), held - 1);
    }
}

/// A replica that has an older version would keep that for good.
#[test]
fn a_key_that_goes_before_its_stream_was_given_it_is_given_as_deleted() {
    let node = Node::new(1, true);
    let vbucket = node.vbucket(0);
    let begun = vbucket.register_cursor(&b"s"[..], Begin::Open).unwrap();
    put(vbucket, b"k", b"old");
    let (upto, _) = read(vbucket, b"s", begun.at).unwrap();
    vbucket.move_cursor(b"s", upto);
    put(vbucket, b"k", b"new");
    node.flush();
    while vbucket.items() > 0 {
        evict_keys(vbucket);
    }
    let mut changes = Vec::new();
    vbucket.read_cursor(b"s", upto, 10, &mut changes).unwrap();
    changes.retain(|change| change.op.is_mutation());
    let given: Vec<_> = changes.iter().map(|change| change.op).collect();
    assert_eq!(given, [Op::Delete]);
    let item = changes[0].item.as_ref().unwrap();
    assert_eq!((item.key(), item.is_resident()), (&b"k"[..], false));
    // It goes with its checkpoint.
    assert_eq!(vbucket.cursor_remaining_to(b"s", upto, 9), Some(1));
    let (upto, _) = read(vbucket, b"s", upto).unwrap();
    vbucket.move_cursor(b"s", upto);
    assert!(vbucket.close_for_memory());
    node.flush();
    let (upto, _) = read(vbucket, b"s", upto).unwrap();
    vbucket.move_cursor(b"s", upto);
    let left = vbucket.with_log(|log| (log.checkpoints(), log.entries()));
    assert_eq!(left, (1, 1));
}

/// What is missing in it, a replica that comes from before it would never learn of.
#[test]
fn a_stream_does_not_begin_with_a_checkpoint_of_which_a_key_went() {
    let node = Node::new(1, true);
    let vbucket = node.vbucket(0);
    let first = Begin::Checkpoint(CheckpointId::new(1));
    put(vbucket, b"k", b"v");
    assert!(vbucket.register_cursor(&b"s"[..], first).unwrap().found);
    vbucket.drop_cursor(b"s");
    while vbucket.items() > 0 {
        evict_keys(vbucket);
    }
    assert!(!vbucket.register_cursor(&b"s"[..], first).unwrap().found);
}
