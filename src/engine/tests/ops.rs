//! The operations of a client.

use super::{CLIENT, Node, text};
use crate::error::{Error, Result};
use crate::store::WindowRecord;
use crate::store::fault::Change;
use crate::types::{Arithmetic, StoreOp};

fn arithmetic(node: &Node, key: &str, arithmetic: Arithmetic) -> Result<u64> {
    let key = key.as_bytes();
    let call = || node.engine.arithmetic(CLIENT, key, &arithmetic, 0);
    node.host.finish(CLIENT, call).map(|(value, _)| value)
}

fn change(node: &Node, key: &str, by: i128) -> Result<u64> {
    let delta = u64::try_from(by.unsigned_abs()).unwrap();
    let increment = by >= 0;
    arithmetic(
        node,
        key,
        Arithmetic {
            increment,
            create: false,
            delta,
            initial: 0,
            flags: 0,
            exptime: 0,
        },
    )
}

#[test]
fn numbers_wrap_upwards_and_stop_at_zero_downwards() {
    let node = Node::new();
    let max = u64::MAX.to_string();
    for (value, by, result) in [
        ("41", 1, 42),
        ("0", 0, 0),
        ("10", -1, 9),
        ("10", -10, 0),
        ("10", -11, 0),
        ("0", -i128::from(u64::MAX), 0),
        (&max, 0, u64::MAX),
        (&max, 1, 0),
        (&max, i128::from(u64::MAX), u64::MAX - 1),
        ("18446744073709551614", 1, u64::MAX),
        ("007", 1, 8),
        ("12  ", 1, 13),
        (" 5", 1, 6),
        ("\t\n\u{b}\u{c}\r 5", 1, 6),
        ("+5", 1, 6),
        (" +0005\t\t", 1, 6),
        ("5\u{b}", 1, 6),
        ("5 apples", 1, 6),
        ("5\0", 1, 6),
        (&format!("{}7{}", "0".repeat(100), " ".repeat(1_000)), 1, 8),
    ] {
        node.set(0, "n", value);
        assert_eq!(change(&node, "n", by), Ok(result), "{value:?} {by}");
        assert_eq!(node.get(0, "n"), Some(result.to_string()));
    }
}

#[test]
fn what_is_no_number_is_refused_and_left_alone() {
    let node = Node::new();
    let long = "1".repeat(40);
    for value in [
        "",
        " ",
        "x",
        "-1",
        "+",
        "++1",
        "+ 1",
        " -1",
        "-0",
        "+-1",
        "1-",
        "0x10",
        "\0",
        "\u{a0}1",
        "1.5",
        "1x",
        "18446744073709551616",
        &long,
    ] {
        node.set(0, "n", value);
        assert_eq!(change(&node, "n", 1), Err(Error::NotNumeric), "{value:?}");
        assert_eq!(node.get(0, "n").as_deref(), Some(value));
    }
}

#[test]
fn a_number_is_created_only_on_request_and_keeps_flags_and_expiry() {
    let node = Node::new();
    assert_eq!(change(&node, "n", 1), Err(Error::NotFound));
    let mut create = Arithmetic {
        increment: true,
        create: true,
        delta: 5,
        initial: 7,
        flags: 0,
        exptime: 10,
    };
    assert_eq!(arithmetic(&node, "n", create), Ok(7));
    assert_eq!(arithmetic(&node, "n", create), Ok(12));
    let item = node.item_of(0, "n").unwrap();
    assert_eq!((item.flags(), item.expiry()), (0, node.host.unix() + 10));
    node.host.advance(3);
    create.exptime = 500;
    assert_eq!(arithmetic(&node, "n", create), Ok(17));
    assert_eq!(node.item_of(0, "n").unwrap().expiry(), item.expiry());
    node.host.advance(8);
    assert_eq!(
        arithmetic(&node, "n", create),
        Ok(7),
        "an expired number counts as absent"
    );
    let with_flags = node.item("f", "1", 0);
    let store = || node.engine.store(CLIENT, &with_flags, StoreOp::Set, 0);
    node.host.call(CLIENT, store).unwrap();
    let before = node.item_of(0, "f").unwrap();
    assert_eq!(change(&node, "f", 1), Ok(2));
    let after = node.item_of(0, "f").unwrap();
    assert_eq!(after.flags(), before.flags());
    assert!(after.cas() > before.cas());
    assert_eq!(text(&before), "1", "a version that was read stays as it is");
}

#[test]
fn append_and_prepend_need_a_value_and_keep_its_flags_and_expiry() {
    let node = Node::new();
    for op in [StoreOp::Append, StoreOp::Prepend] {
        assert_eq!(node.store(op, 0, "k", "x"), Err(Error::NotStored));
    }
    let item = node.item("k", "b", 100);
    node.host
        .call(CLIENT, || node.engine.store(CLIENT, &item, StoreOp::Set, 0))
        .unwrap();
    let first = node.item_of(0, "k").unwrap();
    let cas = node.store(StoreOp::Append, 0, "k", "c").unwrap();
    node.store(StoreOp::Append, 0, "k", "").unwrap();
    let last = node.store(StoreOp::Prepend, 0, "k", "a").unwrap();
    let now = node.item_of(0, "k").unwrap();
    assert_eq!((text(&now).as_str(), text(&first).as_str()), ("abc", "b"));
    assert!(first.cas() < cas && cas < last && last == now.cas());
    assert_eq!((now.flags(), now.expiry()), (first.flags(), first.expiry()));
}

#[test]
fn append_with_a_cas_changes_that_version_only() {
    let node = Node::new();
    let cas = node.set(0, "k", "a");
    let append = |cas| {
        let item = node.item("k", "b", 0);
        item.set_cas(cas);
        node.host.call(CLIENT, || {
            node.engine.store(CLIENT, &item, StoreOp::Append, 0)
        })
    };
    assert_eq!(append(cas + 1), Err(Error::Exists));
    assert!(append(cas).is_ok());
    assert_eq!(append(cas), Err(Error::Exists));
    assert_eq!(node.get(0, "k").as_deref(), Some("ab"));
}

#[test]
fn a_value_longer_than_the_limit_is_refused_also_as_the_result_of_an_append() {
    let node = Node::with("max_item_size=10");
    let long = node.engine.allocate(b"k", 11, 0, 0);
    assert!(matches!(long, Err(Error::TooBig)));
    node.set(0, "k", "12345");
    assert!(node.store(StoreOp::Append, 0, "k", "67890").is_ok());
    assert_eq!(
        node.store(StoreOp::Prepend, 0, "k", "x"),
        Err(Error::TooBig)
    );
    assert_eq!(node.get(0, "k").as_deref(), Some("1234567890"));
    for key in [&b""[..], &[b'k'; 251]] {
        assert!(matches!(
            node.engine.allocate(key, 1, 0, 0),
            Err(Error::Invalid)
        ));
    }
    assert!(node.engine.allocate(&[b'k'; 250], 1, 0, 0).is_ok());
}

#[test]
fn conditions_are_checked_against_what_is_there() {
    let node = Node::new();
    assert_eq!(
        node.store(StoreOp::Replace, 0, "k", "x"),
        Err(Error::NotStored)
    );
    assert_eq!(node.store(StoreOp::Cas, 0, "k", "x"), Err(Error::NotFound));
    let cas = node.store(StoreOp::Add, 0, "k", "1").unwrap();
    assert_eq!(node.store(StoreOp::Add, 0, "k", "2"), Err(Error::NotStored));
    assert!(node.store(StoreOp::Replace, 0, "k", "3").is_ok());
    let item = node.item("k", "4", 0);
    item.set_cas(cas);
    let store = || node.engine.store(CLIENT, &item, StoreOp::Cas, 0);
    assert_eq!(node.host.call(CLIENT, store), Err(Error::Exists));
    let now = node.item_of(0, "k").unwrap().cas();
    let item = node.item("k", "5", 0);
    item.set_cas(now);
    let store = || node.engine.store(CLIENT, &item, StoreOp::Cas, 0);
    let new = node.host.call(CLIENT, store).unwrap();
    assert!(new > now && item.cas() == new);
    let remove = |cas| {
        node.host
            .call(CLIENT, || node.engine.remove(CLIENT, b"k", cas, 0))
    };
    assert_eq!(remove(now), Err(Error::Exists));
    assert_eq!(remove(new), Ok(()));
    assert_eq!(remove(0), Err(Error::NotFound));
    assert!(node.store(StoreOp::Add, 0, "k", "6").is_ok());
}

#[test]
fn the_second_store_of_an_item_is_a_copy() {
    let node = Node::new();
    let item = node.item("k", "v", 0);
    let store = || node.engine.store(CLIENT, &item, StoreOp::Set, 0);
    let first = node.host.call(CLIENT, store).unwrap();
    let one = node.item_of(0, "k").unwrap();
    assert!(one.is(&item), "the first store takes the item itself");
    let second = node.host.call(CLIENT, store).unwrap();
    let other = node.item_of(0, "k").unwrap();
    assert!(!other.is(&item) && second > first);
    assert_eq!(
        (one.cas(), other.cas(), text(&other).as_str()),
        (first, second, "v")
    );
    node.remove(0, "k").unwrap();
    let third = node.host.call(CLIENT, store).unwrap();
    assert_eq!(node.item_of(0, "k").unwrap().cas(), third);
    assert_eq!(one.cas(), first);
}

#[test]
fn a_key_is_there_before_its_second_and_not_in_it() {
    let node = Node::new();
    let set = |expiry: u32| {
        let item = node.item("k", "v", expiry);
        node.host
            .call(CLIENT, || node.engine.store(CLIENT, &item, StoreOp::Set, 0))
            .unwrap();
    };
    set(10);
    node.host.advance(9);
    assert_eq!(node.get(0, "k").as_deref(), Some("v"));
    node.host.advance(1);
    assert_eq!((node.get(0, "k"), node.items()), (None, 0));
    // Absolute, and negative as an ASCII client sends it.
    set(node.host.unix() + 5);
    assert_eq!(node.get(0, "k").as_deref(), Some("v"));
    set(u32::MAX);
    assert_eq!(node.get(0, "k"), None);
    set(60 * 60 * 24 * 30);
    node.host.advance(60 * 60 * 24 * 30 - 1);
    assert_eq!(node.get(0, "k").as_deref(), Some("v"));
    assert!(node.store(StoreOp::Add, 0, "k", "w").is_err());
    node.host.advance(1);
    assert!(node.store(StoreOp::Add, 0, "k", "w").is_ok());
    assert_eq!(node.engine.shared().metrics.expired.get(), 3);
}

#[test]
fn touch_moves_the_expiry_and_nothing_else() {
    let node = Node::new();
    let touch = |expiry| {
        node.host
            .call(CLIENT, || node.engine.touch(CLIENT, b"k", expiry, 0))
    };
    assert!(matches!(touch(10), Err(Error::NotFound)));
    let cas = node.set(0, "k", "v");
    let touched = touch(10).unwrap();
    assert_eq!(
        (touched.cas(), touched.expiry()),
        (cas, node.host.unix() + 10)
    );
    node.write();
    assert_eq!(
        node.store
            .faults()
            .state()
            .items
            .values()
            .next()
            .unwrap()
            .expiry,
        touched.expiry()
    );
    assert_eq!(touch(0).unwrap().expiry(), 0);
    node.host.advance(1_000);
    assert_eq!(node.item_of(0, "k").unwrap().cas(), cas);
}

#[test]
fn a_flush_empties_the_active_vbuckets_and_the_store() {
    let node = Node::with_vbuckets(2);
    node.set(0, "k", "v");
    node.set(1, "k", "v");
    node.engine
        .core
        .set_vbucket(1, crate::types::VbucketState::Replica)
        .unwrap();
    node.write();
    node.flush_all();
    assert_eq!(node.get(0, "k"), None);
    node.set(0, "after", "v");
    node.write();
    node.activate(1);
    assert_eq!(node.get(1, "k").as_deref(), Some("v"));
    node.write();
    let node = node.crash();
    assert_eq!(
        (node.get(0, "k"), node.get(0, "after").as_deref()),
        (None, Some("v"))
    );
    assert_eq!((node.get(1, "k").as_deref(), node.items()), (Some("v"), 2));
}

#[test]
fn a_delayed_flush_comes_when_it_is_due_and_takes_what_is_there_then() {
    let node = Node::new();
    node.set(0, "k", "v");
    let flush = |when| {
        node.host
            .call(CLIENT, || node.engine.flush(CLIENT, when))
            .unwrap();
    };
    flush(10);
    node.host.advance(9);
    node.set(0, "l", "v");
    assert_eq!(node.get(0, "k").as_deref(), Some("v"));
    node.host.advance(1);
    assert_eq!((node.get(0, "k"), node.get(0, "l")), (None, None));
    node.set(0, "k", "v");
    node.host.advance(100);
    assert_eq!(node.get(0, "k").as_deref(), Some("v"), "it comes once");
    flush(i64::from(node.host.unix()) + 5);
    node.host.advance(5);
    assert_eq!(node.get(0, "k"), None);
    node.set(0, "k", "v");
    flush(-1);
    assert_eq!(node.get(0, "k"), None);
    assert_eq!(node.engine.shared().metrics.flush_alls.get(), 3);
}

#[test]
fn operations_on_a_vbucket_that_is_not_served_are_refused() {
    let node = Node::new();
    node.engine
        .core
        .set_vbucket(1, crate::types::VbucketState::Replica)
        .unwrap();
    for vbucket in [1, 2, 1_023, 1_024, u16::MAX] {
        assert!(matches!(
            node.item_of(vbucket, "k"),
            Err(Error::NotMyVbucket)
        ));
        assert_eq!(
            node.store(StoreOp::Set, vbucket, "k", "v"),
            Err(Error::NotMyVbucket)
        );
        assert_eq!(node.remove(vbucket, "k"), Err(Error::NotMyVbucket));
    }
    assert_eq!(node.engine.shared().metrics.not_my_vbucket.get(), 15);
}

#[test]
fn a_delayed_flush_outlives_the_process_that_was_told() {
    let flush = |node: &Node| {
        let flush = || node.engine.flush(CLIENT, 10);
        node.host.call(CLIENT, flush).unwrap();
        node.write();
    };
    for crash in [false, true] {
        let node = Node::new();
        node.set(0, "k", "v");
        flush(&node);
        let node = if crash { node.crash() } else { node.restart() };
        assert_eq!(node.get(0, "k").as_deref(), Some("v"));
        node.host.advance(10);
        assert_eq!(node.get(0, "k"), None);
        node.set(0, "k", "after");
        node.write();
        let node = node.crash();
        assert_eq!(node.get(0, "k").as_deref(), Some("after"), "it came once");
    }
    // It comes while nobody is there.
    let node = Node::new();
    node.set(0, "k", "v");
    flush(&node);
    node.host.advance(20);
    assert_eq!(node.crash().get(0, "k"), None);
}

#[test]
fn a_delayed_flush_of_a_window_is_taken_back_with_it_and_one_from_before_is_not_forgotten() {
    let flush = |node: &Node| {
        let flush = || node.engine.flush(CLIENT, 10);
        node.host.call(CLIENT, flush).unwrap();
    };
    let node = Node::new();
    node.set(0, "k", "v");
    node.start().unwrap();
    flush(&node);
    node.write();
    // Told in a window that was lost.
    let lost = node.after_a_crash();
    lost.host.advance(20);
    assert_eq!(lost.get(0, "k").as_deref(), Some("v"));
    node.host.advance(10);
    assert_eq!(node.get(0, "k"), None);
    node.revert().unwrap();
    assert_eq!(node.get(0, "k").as_deref(), Some("v"));
    assert_eq!(node.crash().get(0, "k").as_deref(), Some("v"));
    // Told in a window that is taken back, due after it.
    let node = Node::new();
    node.set(0, "k", "v");
    node.start().unwrap();
    flush(&node);
    node.revert().unwrap();
    node.host.advance(20);
    assert_eq!(node.get(0, "k").as_deref(), Some("v"));
    // Told before the window, due after it.
    flush(&node);
    node.start().unwrap();
    node.revert().unwrap();
    node.host.advance(10);
    assert_eq!(node.get(0, "k"), None);
    // Told before the window, due in it: a crash takes the flush back, and it comes again.
    let node = Node::new();
    node.set(0, "k", "v");
    flush(&node);
    node.write();
    node.start().unwrap();
    node.write();
    node.host.advance(10);
    assert_eq!(node.get(0, "k"), None);
    node.write();
    assert_eq!(node.crash().get(0, "k"), None);
}

#[test]
fn complete_makes_durable_what_became_of_a_delayed_flush_with_the_window() {
    let recorded = |node: &Node| {
        let history = node.store.faults().history();
        let completed = Change::SetWindow(WindowRecord::Completed);
        let commit = history.iter().find(|it| it.changes.contains(&completed));
        commit.unwrap().changes.iter().find_map(|it| match it {
            Change::SetVbucket(_, record) => Some(record.due),
            _ => None,
        })
    };
    let flush = |node: &Node| {
        let flush = || node.engine.flush(CLIENT, 10);
        node.host.call(CLIENT, flush).unwrap();
    };
    // Told before the window, done in it.
    let node = Node::new();
    node.set(0, "k", "v");
    flush(&node);
    node.write();
    node.start().unwrap();
    node.host.advance(10);
    assert_eq!(node.get(0, "k"), None);
    node.set(0, "k", "after");
    node.complete().unwrap();
    assert_eq!(recorded(&node), Some(0));
    // Told in the window, to be done after it.
    let node = Node::new();
    node.start().unwrap();
    flush(&node);
    node.complete().unwrap();
    assert_eq!(recorded(&node), Some(node.host.unix() + 10));
}

/// Keys that meet in the table of one process, as a client might choose who knows its hashes, are
/// spread in that of another one.
#[test]
fn no_client_can_choose_keys_that_collide() {
    let [one, other] = [Node::new(), Node::new()];
    let mut meet = Vec::new();
    let mut number = 0;
    while meet.len() < 256 {
        let key = number.to_string();
        if one.engine.hash(key.as_bytes()).trailing_zeros() >= 8 {
            meet.push(key);
        }
        number += 1;
    }
    let low = |key: &String| other.engine.hash(key.as_bytes()) & 0xff;
    let places: std::collections::HashSet<u32> = meet.iter().map(low).collect();
    // 162 of 256 on average.
    assert!(places.len() > 100, "{}", places.len());
}
