//! GET_LOCKED and UNLOCK_KEY (docs/compatibility.md, "Locks").

use super::{CLIENT, Node, text};
use crate::error::{Error, Result};
use crate::item::Item;
use crate::types::{Arithmetic, StoreOp, VbucketState};
use crate::vbucket::Ejection;

fn lock(node: &Node, key: &str, seconds: u32) -> Result<Item> {
    let key = key.as_bytes();
    let call = || node.engine.get_locked(CLIENT, key, seconds, 0);
    node.host.finish(CLIENT, call)
}

fn unlock(node: &Node, key: &str, cas: u64) -> Result<()> {
    node.engine.unlock(key.as_bytes(), cas, 0)
}

fn store_with_cas(node: &Node, key: &str, value: &str, cas: u64) -> Result<u64> {
    let item = node.item(key, value, 0);
    item.set_cas(cas);
    let call = || node.engine.store(CLIENT, &item, StoreOp::Cas, 0);
    node.host.call(CLIENT, call)
}

#[test]
fn a_locked_key_is_read_with_a_cas_that_nothing_matches_and_changed_by_its_owner_only() {
    let node = Node::new();
    let before = node.set(0, "k", "1");
    let locked = lock(&node, "k", 0).unwrap();
    assert_eq!(text(&locked), "1");
    assert!(locked.cas() > before, "the CAS of a lock is a new one");
    let seen = node.item_of(0, "k").unwrap();
    assert_eq!((text(&seen).as_str(), seen.cas()), ("1", u64::MAX));
    let store = |op| node.store(op, 0, "k", "2");
    assert_eq!(store(StoreOp::Set), Err(Error::Exists));
    assert_eq!(store(StoreOp::Replace), Err(Error::Exists));
    assert_eq!(store(StoreOp::Add), Err(Error::NotStored));
    assert_eq!(store_with_cas(&node, "k", "2", before), Err(Error::Exists));
    assert_eq!(store(StoreOp::Append), Err(Error::Temporary));
    assert_eq!(store(StoreOp::Prepend), Err(Error::Temporary));
    assert_eq!(node.remove(0, "k"), Err(Error::Temporary));
    let one = Arithmetic {
        increment: true,
        create: false,
        delta: 1,
        initial: 0,
        flags: 0,
        exptime: 0,
    };
    let counted = node
        .host
        .call(CLIENT, || node.engine.arithmetic(CLIENT, b"k", &one, 0));
    assert_eq!(counted, Err(Error::Temporary));
    assert_eq!(lock(&node, "k", 0).err(), Some(Error::Temporary));
    let cas = store_with_cas(&node, "k", "2", locked.cas()).unwrap();
    let item = node.item_of(0, "k").unwrap();
    assert_eq!((text(&item).as_str(), item.cas()), ("2", cas));
    assert_eq!(store(StoreOp::Append).map(|_| ()), Ok(()));
}

#[test]
fn touch_goes_on_and_the_key_stays_locked() {
    let node = Node::new();
    node.set(0, "k", "v");
    let locked = lock(&node, "k", 5).unwrap();
    let touched = node
        .host
        .call(CLIENT, || node.engine.touch(CLIENT, b"k", 100, 0));
    assert_eq!(touched.unwrap().cas(), u64::MAX);
    assert_eq!(node.store(StoreOp::Set, 0, "k", "x"), Err(Error::Exists));
    assert_eq!(unlock(&node, "k", locked.cas()), Ok(()));
    let item = node.item_of(0, "k").unwrap();
    assert_eq!(item.expiry(), node.host.unix() + 100);
    assert_eq!(item.cas(), locked.cas(), "a touch keeps the CAS");
}

#[test]
fn a_lock_ends_by_its_cas_in_either_byte_order_and_by_no_other() {
    let node = Node::new();
    assert_eq!(unlock(&node, "k", 1), Err(Error::NotFound));
    assert_eq!(lock(&node, "k", 0).err(), Some(Error::NotFound));
    node.set(0, "k", "v");
    assert_eq!(unlock(&node, "k", 1), Err(Error::Temporary));
    for swap in [false, true] {
        let cas = lock(&node, "k", 0).unwrap().cas();
        assert_eq!(unlock(&node, "k", cas + 1), Err(Error::Temporary));
        assert_eq!(unlock(&node, "k", 0), Err(Error::Temporary));
        let cas = if swap { cas.swap_bytes() } else { cas };
        assert_eq!(unlock(&node, "k", cas), Ok(()));
        assert_eq!(unlock(&node, "k", cas), Err(Error::Temporary));
        node.set(0, "k", "v");
    }
}

#[test]
fn a_lock_lasts_as_long_as_was_asked_for() {
    // Asked for, and held for: 0 and what is above the maximum become the default.
    for (asked, held) in [(1, 1), (7, 7), (0, 4), (8, 4), (u32::MAX, 4)] {
        let node = Node::with("getl_default_timeout=4;getl_max_timeout=7");
        node.set(0, "k", "v");
        let cas = lock(&node, "k", asked).unwrap().cas();
        node.host.advance(held - 1);
        assert_eq!(node.item_of(0, "k").unwrap().cas(), u64::MAX, "{asked}");
        assert_eq!(node.store(StoreOp::Set, 0, "k", "x"), Err(Error::Exists));
        node.host.advance(1);
        assert_eq!(node.item_of(0, "k").unwrap().cas(), cas, "{asked}");
        assert_eq!(unlock(&node, "k", cas), Err(Error::Temporary));
        assert!(node.store(StoreOp::Append, 0, "k", "x").is_ok());
    }
}

#[test]
fn locks_are_for_active_vbuckets_and_never_wait_for_one() {
    let node = Node::new();
    for state in [
        VbucketState::Replica,
        VbucketState::Pending,
        VbucketState::Dead,
    ] {
        node.engine.core.set_vbucket(0, state).unwrap();
        let locked = node
            .host
            .call(CLIENT, || node.engine.get_locked(CLIENT, b"k", 0, 0));
        assert_eq!(locked.err(), Some(Error::Temporary), "{state:?}");
        assert_eq!(unlock(&node, "k", 1), Err(Error::NotFound), "{state:?}");
    }
    assert_eq!(node.engine.unlock(b"k", 1, 9), Err(Error::NotFound));
}

#[test]
fn a_lock_waits_for_a_value_that_is_not_in_memory() {
    let node = Node::new();
    node.set(0, "k", "v");
    let node = node.restart_with("mem_low_wat=1");
    assert!(!node.is_resident(0, "k"));
    let locked = lock(&node, "k", 0).unwrap();
    assert_eq!(text(&locked), "v");
    assert_eq!(node.item_of(0, "k").unwrap().cas(), u64::MAX);
}

#[test]
fn a_locked_value_that_goes_again_before_its_client_comes_back_does_not_tell_the_cas() {
    let node = Node::with("max_size=1t");
    node.set(0, "k", "a value that is worth evicting");
    let locked = lock(&node, "k", 30).unwrap();
    node.write();
    let evict = || node.engine.evict(b"k", 0);
    assert_eq!(evict(), Ok(Ejection::Ejected));
    let get = || node.engine.get(CLIENT, b"k", 0);
    assert_eq!(node.host.call(CLIENT, get).err(), Some(Error::WouldBlock));
    node.host.wait(CLIENT);
    assert_eq!(evict(), Ok(Ejection::Ejected));
    let seen = node.host.call(CLIENT, get).unwrap();
    assert_eq!((seen.value(), seen.cas()), (locked.value(), u64::MAX));
}

/// B11: "new key locked with GETL inside the window survives REVERT; an overwritten locked key is
/// reverted but stays locked".
#[test]
fn b11_a_revert_ends_the_locks_of_the_window_and_keeps_those_from_before() {
    let node = Node::new();
    node.set(0, "old", "before");
    node.set(0, "kept", "before");
    let kept = lock(&node, "kept", 30).unwrap();
    node.start().unwrap();
    node.set(0, "new", "inside");
    lock(&node, "new", 30).unwrap();
    node.set(0, "old", "inside");
    lock(&node, "old", 30).unwrap();
    node.revert().unwrap();
    assert_eq!(node.get(0, "new"), None);
    assert_eq!(node.get(0, "old").as_deref(), Some("before"));
    node.set(0, "new", "after");
    node.set(0, "old", "after");
    assert_eq!(node.store(StoreOp::Set, 0, "kept", "x"), Err(Error::Exists));
    assert_eq!(unlock(&node, "kept", kept.cas()), Ok(()));
}

#[test]
fn whoever_has_the_cas_of_the_lock_changes_the_key_and_ends_the_lock() {
    use StoreOp::{Append, Cas, Prepend, Replace};

    let node = Node::new();
    let with_cas = |op, cas| {
        let item = node.item("k", "+", 0);
        item.set_cas(cas);
        let call = || node.engine.store(CLIENT, &item, op, 0);
        node.host.call(CLIENT, call)
    };
    let remove = |cas| {
        let call = || node.engine.remove(CLIENT, b"k", cas, 0);
        node.host.call(CLIENT, call)
    };
    for (op, expected) in [(Append, "v+"), (Prepend, "+v"), (Cas, "+"), (Replace, "+")] {
        node.set(0, "k", "v");
        let cas = lock(&node, "k", 5).unwrap().cas();
        assert_eq!(with_cas(op, cas + 1), Err(Error::Exists), "{op:?}");
        assert_eq!(remove(cas + 1), Err(Error::Exists));
        assert_eq!(node.item_of(0, "k").unwrap().cas(), u64::MAX);
        let changed = with_cas(op, cas).unwrap();
        let item = node.item_of(0, "k").unwrap();
        assert_eq!((text(&item).as_str(), item.cas()), (expected, changed));
        // It is a lock no more.
        node.set(0, "k", "free");
    }
    let cas = lock(&node, "k", 5).unwrap().cas();
    assert_eq!(remove(0), Err(Error::Temporary));
    assert_eq!(remove(cas), Ok(()));
    assert_eq!(node.get(0, "k"), None);
    node.set(0, "k", "free");
    assert_eq!(remove(0), Ok(()));
}

/// They would stay for as long as the vbucket, and a client has as many as it likes.
#[test]
fn locks_that_have_ended_are_forgotten() {
    let node = Node::new();
    let kept = || node.engine.vbucket(0).unwrap().locks_kept();
    let keys = 600;
    for key in 0..keys {
        let key = key.to_string();
        node.set(0, &key, "v");
        let cas = lock(&node, &key, 10).unwrap().cas();
        if key.len() == 1 {
            unlock(&node, &key, cas).unwrap();
        }
    }
    assert_eq!(kept(), keys - 10);
    lock(&node, "1", 20).unwrap();
    node.host.advance(10);
    node.host.until("the housekeeper has been there", || {
        node.engine.core.house.wake();
        kept() == 1
    });
    assert!(
        node.engine
            .vbucket(0)
            .unwrap()
            .is_locked(node.item("1", "", 0).hash(), b"1")
    );
}
