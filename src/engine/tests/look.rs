//! LOOK: pages of what a window did.

use std::collections::{BTreeMap, BTreeSet};

use super::soak::Dice;
use super::{CLIENT, Node, OPERATOR, id, refusal};
use crate::checkpoint::Touch;
use crate::engine::{Cursor, Page, UndoError, Wanted};
use crate::item::Item;
use crate::types::VbucketState;

fn wanted(prefix: &str, entries: usize, from: Option<Cursor>) -> Wanted<'_> {
    Wanted {
        vbucket: None,
        prefix: prefix.as_bytes(),
        entries,
        entry_bytes: 48,
        from,
    }
}

fn look(node: &Node, wanted: &Wanted<'_>) -> Result<Page, UndoError> {
    let call = || node.engine.look(OPERATOR, wanted);
    node.host.finish(OPERATOR, call).unwrap()
}

fn page(node: &Node, prefix: &str, entries: usize, from: Option<Cursor>) -> Page {
    look(node, &wanted(prefix, entries, from)).unwrap()
}

/// What is said of one key: what happened, old and new length.
type Said = (Touch, Option<usize>, Option<usize>);

/// Every key of the node by its vbucket; a key that comes twice fails.
struct Listing {
    seen: BTreeMap<(u16, String), Said>,
    from: Option<Cursor>,
    ended: bool,
}

impl Listing {
    fn new() -> Self {
        Self {
            seen: BTreeMap::new(),
            from: None,
            ended: false,
        }
    }

    /// Reads one page.
    fn turn(&mut self, node: &Node, prefix: &str, entries: usize) {
        let page = page(node, prefix, entries, self.from);
        assert!(page.seen.len() <= entries.min(1_000));
        for seen in &page.seen {
            let looked = &seen.looked;
            let key = String::from_utf8(looked.latest.key().to_vec()).unwrap();
            assert!(key.starts_with(prefix));
            let [old, new] = [&looked.old, &looked.new].map(|it| it.as_ref().map(Item::nbytes));
            let place = (seen.vbucket.get(), key);
            let before = self.seen.insert(place.clone(), (looked.touch, old, new));
            assert!(before.is_none(), "{place:?} comes twice");
        }
        self.from = page.next;
        self.ended = page.next.is_none();
    }

    fn all(node: &Node, prefix: &str, entries: usize) -> BTreeMap<(u16, String), Said> {
        let mut listing = Self::new();
        while !listing.ended {
            listing.turn(node, prefix, entries);
        }
        listing.seen
    }
}

fn at(vbucket: u16, key: &str) -> (u16, String) {
    (vbucket, key.to_owned())
}

#[test]
fn what_happened_to_each_key_is_told_in_pages_of_any_size() {
    let node = Node::with_vbuckets(3);
    for vbucket in 0..3 {
        node.set(vbucket, "updated", "four");
        node.set(vbucket, "deleted", "three");
        node.set(vbucket, "untouched", "one");
    }
    node.start().unwrap();
    assert!(Listing::all(&node, "", 10).is_empty());
    for vbucket in 0..3 {
        node.set(vbucket, "updated", "longer");
        node.set(vbucket, "updated", "longest");
        node.remove(vbucket, "deleted").unwrap();
        node.set(vbucket, "added", "a");
        node.set(vbucket, "vanished", "v");
        node.remove(vbucket, "vanished").unwrap();
    }
    let mut expected = BTreeMap::new();
    for vbucket in 0..3 {
        expected.insert(at(vbucket, "updated"), (Touch::Updated, Some(4), Some(7)));
        expected.insert(at(vbucket, "deleted"), (Touch::Deleted, Some(5), None));
        expected.insert(at(vbucket, "added"), (Touch::Added, None, Some(1)));
        expected.insert(at(vbucket, "vanished"), (Touch::Vanished, None, None));
    }
    for entries in [1, 2, 5, 12, 13, 1_000, usize::MAX] {
        assert_eq!(Listing::all(&node, "", entries), expected, "{entries}");
    }
    let deleted = Listing::all(&node, "del", 2);
    assert_eq!(deleted.len(), 3);
    assert!(Listing::all(&node, "x", 2).is_empty());
    // One vbucket only.
    let one = Wanted {
        vbucket: Some(1),
        ..wanted("", 9, None)
    };
    let page = look(&node, &one).unwrap();
    assert_eq!((page.seen.len(), page.next), (4, None));
    assert!(page.seen.iter().all(|seen| seen.vbucket == id(1)));
    node.revert().unwrap();
}

#[test]
fn it_is_refused_where_there_is_nothing_to_look_at() {
    let node = Node::with_vbuckets(2);
    let look = |vbucket, from| {
        let wanted = Wanted {
            vbucket,
            ..wanted("", 1, from)
        };
        look(&node, &wanted).map(|page| page.next)
    };
    for vbucket in [None, Some(0)] {
        let Err(UndoError::Refused(error)) = look(vbucket, None) else {
            panic!("it was not refused");
        };
        assert!(refusal(&Err(error)).contains("no online update is open"));
    }
    assert_eq!(look(Some(7), None), Err(UndoError::NotMyVbucket));
    assert_eq!(look(Some(u16::MAX), None), Err(UndoError::NotMyVbucket));
    node.start().unwrap();
    node.set(0, "k", "v");
    node.set(0, "l", "v");
    let cursor = look(None, None).unwrap();
    assert!(cursor.is_some());
    node.engine
        .core
        .set_vbucket(1, VbucketState::Replica)
        .unwrap();
    assert_eq!(look(Some(1), None), Err(UndoError::NotMyVbucket));
    node.revert().unwrap();
    node.start().unwrap();
    node.set(0, "k", "v");
    assert_eq!(look(None, cursor), Err(UndoError::OtherWindow));
    node.host.advance(1);
    node.engine.move_deadline(1).unwrap();
    node.host.advance(1);
    let Err(UndoError::Refused(error)) = look(None, None) else {
        panic!("it was not refused");
    };
    assert!(refusal(&Err(error)).contains("deadline"));
}

#[test]
fn what_had_expired_at_start_did_not_exist() {
    let node = Node::new();
    for key in ["gone", "lasts"] {
        let expiry = if key == "gone" { 10 } else { 100 };
        let item = node.item(key, "value", expiry);
        let set = || {
            let op = crate::types::StoreOp::Set;
            node.engine.store(CLIENT, &item, op, 0)
        };
        node.host.call(CLIENT, set).unwrap();
    }
    node.host.advance(10);
    node.start().unwrap();
    node.set(0, "gone", "new");
    node.set(0, "lasts", "new");
    let seen = Listing::all(&node, "", 9);
    assert_eq!(seen[&at(0, "gone")], (Touch::Added, None, Some(3)));
    assert_eq!(seen[&at(0, "lasts")], (Touch::Updated, Some(5), Some(3)));
}

/// A `flush_all` is a deletion of every key.
#[test]
fn what_a_flush_all_took_is_told_as_well() {
    let node = Node::new();
    for number in 0..3_000 {
        node.set(0, &format!("k{number}"), "old");
    }
    node.start().unwrap();
    node.set(0, "k7", "touched");
    node.set(0, "new", "touched");
    node.flush_all();
    node.set(0, "k8", "again!");
    for entries in [7, 100, 1_000] {
        let seen = Listing::all(&node, "", entries);
        assert_eq!(seen.len(), 3_001);
        assert_eq!(seen[&at(0, "k8")], (Touch::Updated, Some(3), Some(6)));
        assert_eq!(seen[&at(0, "k7")], (Touch::Deleted, Some(3), None));
        assert_eq!(seen[&at(0, "new")], (Touch::Vanished, None, None));
        assert_eq!(seen[&at(0, "k9")], (Touch::Deleted, Some(3), None));
    }
    assert_eq!(Listing::all(&node, "k29", 1_000).len(), 111);
    node.revert().unwrap();
}

/// Keys that are touched before the first page come exactly once, whatever happens meanwhile.
#[test]
fn pages_are_complete_and_stable_whatever_happens_meanwhile() {
    for seed in 0..60 {
        let mut dice = Dice::new(seed, 1);
        let node = Node::with_vbuckets(2);
        let keys = 1 + dice.throw(4_000);
        let key = |number: usize| format!("k{number}");
        for number in 0..keys / 2 {
            node.set(0, &key(number), "old");
        }
        node.write();
        node.start().unwrap();
        let flushes = dice.throw(2) == 0;
        let mut touched = BTreeSet::new();
        for _ in 0..dice.throw(keys) {
            let number = dice.throw(keys);
            node.set(0, &key(number), "inside");
            touched.insert(key(number));
        }
        if flushes && dice.throw(2) == 0 {
            node.flush_all();
            touched.extend((0..keys / 2).map(key));
        }
        let mut listing = Listing::new();
        while !listing.ended {
            listing.turn(&node, "", 1 + dice.throw(300));
            for _ in 0..dice.throw(40) {
                let number = dice.throw(keys * 2);
                if dice.throw(3) == 0 {
                    let _ = node.remove(0, &key(number));
                } else {
                    node.set(0, &key(number), "again");
                }
            }
            match dice.throw(30) {
                0 if flushes => node.flush_all(),
                1 => {
                    node.write();
                    node.store.hold_commits(true);
                    node.begin_complete();
                    node.host
                        .until("COMPLETE commits", || node.store.held() > 0);
                    for _ in 0..dice.throw(40) {
                        node.set(0, &key(dice.throw(keys * 2)), "since");
                    }
                    node.store.faults().fail_commits(true);
                    node.store.hold_commits(false);
                    assert!(node.complete().is_err());
                    node.store.faults().fail_commits(false);
                }
                _ => {}
            }
        }
        for key in touched {
            assert!(listing.seen.contains_key(&at(0, &key)), "{seed}: {key}");
        }
        node.host.wait(OPERATOR);
    }
}
