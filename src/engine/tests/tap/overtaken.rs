//! Backfills that something overtakes: when the client is told that it has a state, it has one.

use super::{LONG, Link, Node, assert_same, contents, evict, phase, replica};

const KEYS: usize = 300;

/// A node with keys whose backfill pauses again and again, and a window that touches some.
fn in_window(evicts: bool) -> Node {
    let node = Node::with("tap_backlog_limit=1");
    let names = || (0..KEYS).map(|key| key.to_string());
    for key in names() {
        node.set(0, &key, LONG);
    }
    node.write();
    if evicts {
        names().for_each(|key| evict(&node, &key));
    }
    node.start().unwrap();
    (0..50).for_each(|key| node.remove(0, &key.to_string()).unwrap());
    for key in 100..200 {
        node.set(0, &key.to_string(), "inside");
    }
    node
}

/// The store has the window's values already, and what the node knows is the state of before.
fn complete_in_force(node: &Node) {
    node.store.hold_after(true);
    node.begin_complete();
    node.host.until("it is in force", || node.store.held() > 0);
}

/// Keys that were there all the time and are not in a vbucket.
fn lacking(node: &Node) -> Vec<usize> {
    let has = contents(node);
    let lacks = |key: &usize| !has.contains_key(&key.to_string());
    (50..KEYS).filter(lacks).collect()
}

/// The master may die whenever the replica says that it has a state.
#[test]
fn whoever_decides_meanwhile_the_state_is_whole_at_its_end() {
    for case in 0..8 {
        let [completes, evicts, flushes] = [1, 2, 4].map(|bit| case & bit != 0);
        let (master, replica) = (in_window(evicts), replica());
        if flushes {
            master.flush_all();
            for key in 50..KEYS {
                master.set(0, &key.to_string(), "flushed");
            }
        }
        let mut link = Link::backfill(&master);
        master.host.until("it is under way", || {
            link.step(&master, Some(&replica));
            link.texts().iter().any(|text| text.starts_with("set"))
        });
        master.decide(completes).unwrap();
        master.set(0, "after", "after");
        assert_eq!(link.count("opaque 8"), 0);
        master.host.until("it is over", || {
            link.step(&master, Some(&replica));
            link.count("opaque 8") > 0
        });
        assert_eq!(lacking(&replica), [], "{case}");
        link.settle(&master, &replica);
        // A window that is reverted may be known: the state before it is all there.
        assert!(!completes || link.count("opaque 4") == 0, "{case}");
        assert_eq!(phase(&replica), None);
        assert_same(&master, &replica);
        master.set(0, "later", "later");
        link.settle(&master, &replica);
        assert_same(
            &master.crash_after_a_write(),
            &replica.crash_after_a_write(),
        );
    }
}

#[test]
fn a_complete_that_is_in_force_and_not_known_is_waited_for() {
    let (master, replica) = (in_window(true), replica());
    complete_in_force(&master);
    let mut link = Link::backfill(&master);
    master.host.until("all but those are given", || {
        link.step(&master, Some(&replica));
        contents(&replica).len() == KEYS - 50 - 100
    });
    link.pump(&master, Some(&replica));
    assert_eq!(link.count("opaque 8"), 0, "{:?}", link.texts());
    master.store.hold_after(false);
    assert_eq!(master.complete(), Ok(()));
    master.host.until("it is over", || {
        link.step(&master, Some(&replica));
        link.count("opaque 8") > 0
    });
    assert_eq!(lacking(&replica), []);
    link.settle(&master, &replica);
    assert_eq!(link.count("opaque 4"), 0, "{:?}", link.texts());
    assert_same(&master, &replica);
}

/// A COMPLETE that takes nothing of the state of before from the store is not waited for: the
/// replica gets the window, and may be the one that decides.
#[test]
fn a_complete_in_force_that_took_nothing_is_not_waited_for() {
    let (master, replica) = (Node::new(), replica());
    master.set(0, "before", "before");
    master.write();
    evict(&master, "before");
    master.start().unwrap();
    master.set(0, "new", "inside");
    complete_in_force(&master);
    let mut link = Link::backfill(&master);
    master.host.until("it is over", || {
        link.step(&master, Some(&replica));
        link.count("opaque 8") > 0
    });
    assert_eq!(contents(&replica).len(), 1);
    master.store.hold_after(false);
    assert_eq!(master.complete(), Ok(()));
    link.settle(&master, &replica);
    assert_eq!(link.count("opaque 4"), 1);
    assert_same(&master, &replica);
}

/// Memory is short: the stream loses its place in the log, and with it what was left to that.
#[test]
fn without_its_cursor_a_backfill_does_not_end() {
    let (master, replica) = (in_window(false), replica());
    let mut link = Link::backfill(&master);
    master.host.until("it is under way", || {
        link.step(&master, Some(&replica));
        link.texts().iter().any(|text| text.starts_with("set"))
    });
    master.complete().unwrap();
    let vbucket = master.engine.vbucket(0).unwrap();
    assert!(vbucket.drop_slowest_cursor().is_some());
    master.host.until("it is over", || {
        link.step(&master, Some(&replica));
        link.count("opaque 8") > 0
    });
    assert_same(&master, &replica);
}
