//! What others see while a REVERT was accepted and the background has not reached their keys.

use super::*;
use crate::checkpoint::Checkpoint;
use crate::vbucket::{LockRule, RevertStep};

/// A vbucket with keys that a window changed, deleted and left alone; its REVERT was accepted.
fn reverting() -> Node {
    let node = Node::new(1, false);
    let vbucket = node.vbucket(0);
    for key in [b"kept   ", b"changed", b"deleted"] {
        put(vbucket, key, b"before");
    }
    node.flush();
    assert!(open_windows(&[vbucket], NOW, None));
    put(vbucket, b"changed", b"inside");
    remove(vbucket, b"deleted").unwrap();
    put(vbucket, b"added  ", b"inside");
    assert!(begin_revert(&[vbucket], NOW));
    node
}

fn names(items: &[Item]) -> Vec<String> {
    let name = |item: &Item| String::from_utf8(item.key().trim_ascii().to_vec()).unwrap();
    let mut names: Vec<_> = items.iter().map(name).collect();
    names.sort_unstable();
    names
}

/// The keys of a state that a stream would begin with.
fn state(vbucket: &Vbucket) -> Vec<String> {
    let (mut walk, mut items) = (Walk::default(), Vec::new());
    while vbucket
        .state_part(&mut walk, Seqno::new(u64::MAX), &mut items)
        .is_some()
    {}
    names(&items)
}

#[test]
fn all_keys_can_be_deleted_that_exist_for_clients() {
    let node = reverting();
    let vbucket = node.vbucket(0);
    let (mut walk, mut found) = (Walk::default(), Vec::new());
    while vbucket
        .keys_part(&mut walk, &|_| true, &mut found)
        .is_some()
    {}
    for item in &found {
        let (hash, key) = (item.hash(), item.key());
        let gone = vbucket.change(hash, key, LockRule::Keep, &mut |present| {
            present.map(|_| Verdict::Remove).ok_or(Error::NotFound)
        });
        assert_eq!(gone.is_ok(), key != b"added  ");
    }
    revert_all(&[vbucket]);
    assert_eq!(vbucket.items(), 0);
}

/// What leaves is not counted twice: what is free is out of the account when it is free.
#[test]
fn what_a_revert_leaves_is_given_back_a_part_at_a_time() {
    let node = Node::new(1, true);
    let vbucket = node.vbucket(0);
    assert!(open_windows(&[vbucket], NOW, None));
    for key in 0..2_000_u16 {
        put(vbucket, &key.to_be_bytes(), &[b'v'; 100]);
    }
    assert!(begin_revert(&[vbucket], NOW));
    let mut after = Seqno::ZERO;
    while let RevertStep::More(next) = vbucket.revert_some(after, &mut Vec::new(), &mut Vec::new())
    {
        after = next;
    }
    let left = vbucket.log().log.reverted();
    let bytes: usize = left.iter().map(Checkpoint::reverted_bytes).sum();
    let mut parts = Vec::new();
    for checkpoint in left {
        checkpoint.dissolve(&mut |bytes| parts.push(bytes));
    }
    assert!(parts.len() > 7, "{parts:?}");
    assert_eq!(parts.iter().sum::<usize>(), bytes);
}

#[test]
fn a_flush_counts_in_the_state_of_a_stream() {
    for taken_back in [false, true] {
        let node = reverting();
        let vbucket = node.vbucket(0);
        assert_eq!(state(vbucket), ["changed", "deleted", "kept"]);
        if taken_back {
            assert_eq!(value(&node, vbucket, b"changed"), Some(b"before".to_vec()));
        }
        vbucket.flush_all();
        assert_eq!(state(vbucket), [""; 0]);
        put(vbucket, b"after", b"after");
        assert_eq!(state(vbucket), ["after"]);
        revert_all(&[vbucket]);
        assert_eq!(state(vbucket), ["after"]);
    }
}

/// Who asked has seen it active, and comes when its keys are another node's.
#[test]
fn a_flush_of_a_client_does_nothing_to_a_vbucket_that_is_not_active_any_more() {
    for state in [
        VbucketState::Replica,
        VbucketState::Pending,
        VbucketState::Dead,
    ] {
        let node = Node::new(1, false);
        let vbucket = node.vbucket(0);
        put(vbucket, b"kept", b"value");
        vbucket.set_state(state, Arrival::Alone, || {}).unwrap();
        assert!(!vbucket.flush_all());
        assert_eq!(vbucket.receive_flush(), state != VbucketState::Dead);
        let kept: &[&str] = match state {
            VbucketState::Dead => &["kept"],
            _ => &[],
        };
        vbucket.delay_flush(node.host.unix() + 10, None);
        vbucket
            .set_state(VbucketState::Active, Arrival::Alone, || {})
            .unwrap();
        assert_eq!(self::state(vbucket), kept);
        put(vbucket, b"new", b"value");
        node.host.advance(10);
        assert!(!vbucket.flush_if_due());
        assert_eq!(self::state(vbucket), [kept, &["new"]].concat());
    }
}
