//! docs/online-update.md, "Invariants", 3: what the store holds is a state that the vbucket really
//! was in, and before COMPLETE one that it was in before START.

use std::collections::BTreeMap;

use super::Node;
use crate::store::WindowRecord;
use crate::store::fault::{Change, State};

type Keys = BTreeMap<String, String>;

/// One vbucket, one writer, and every state there was since the beginning.
struct Writer<'a> {
    node: &'a Node,
    states: Vec<Keys>,
    seed: u64,
}

impl Writer<'_> {
    fn throw(&mut self, sides: u64) -> u64 {
        self.seed = self
            .seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(99_991);
        (self.seed >> 33) % sides
    }

    fn write(&mut self) {
        let mut state = self.states.last().cloned().unwrap_or_default();
        let key = self.throw(30).to_string();
        match self.throw(40) {
            0 => {
                self.node.flush_all();
                state.clear();
            }
            1..=8 => {
                let removed = self.node.remove(0, &key).is_ok();
                assert_eq!(removed, state.remove(&key).is_some());
            }
            _ => {
                let value = self.states.len().to_string();
                self.node.set(0, &key, &value);
                state.insert(key, value);
            }
        }
        self.states.push(state);
    }

    fn write_some(&mut self, most: u64) {
        for _ in 0..self.throw(most) {
            self.write();
        }
    }
}

fn keys(state: &State) -> Keys {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    state
        .items
        .iter()
        .map(|((_, key), record)| (text(key), text(&record.value)))
        .collect()
}

/// Follows the commits: each leaves a state that is in `states`, at or behind the one before.
fn check_commits(node: &Node, states: &[Keys]) {
    let mut keys = Keys::new();
    let mut at = 0;
    for commit in node.store.faults().history() {
        for change in &commit.changes {
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            match change {
                Change::Put(_, key, record) => {
                    keys.insert(text(key), text(&record.value));
                }
                Change::Delete(_, key) => {
                    keys.remove(&text(key));
                }
                Change::Clear(_) => keys.clear(),
                _ => {}
            }
        }
        let found = states[at..].iter().position(|state| *state == keys);
        at += found.expect("a state that never was, or one from before");
    }
}

#[test]
fn every_commit_leaves_a_state_that_was_and_none_lies_behind_a_barrier() {
    for seed in 1..=6 {
        // Small checkpoints and batches, so that both end often.
        let node = Node::with("chk_max_items=100;max_txn_size=20");
        let mut writer = Writer {
            node: &node,
            states: vec![Keys::new()],
            seed,
        };
        for round in 0..6 {
            writer.write_some(300);
            assert_eq!(node.start(), Ok(()));
            let barrier = writer.states.clone();
            writer.write_some(200);
            // Everything that may be written, while the window is open.
            node.write();
            assert_eq!(Some(&keys(&node.store.faults().state())), barrier.last());
            check_commits(&node, &barrier);
            writer.write_some(100);
            if round % 2 == 0 {
                assert_eq!(node.complete(), Ok(()));
                // Later writes of another kind come in their turn.
                writer.write_some(50);
            } else {
                assert_eq!(node.revert(), Ok(()));
                writer.states = barrier;
                writer.write_some(50);
            }
            node.write();
            assert_eq!(
                Some(&keys(&node.store.faults().state())),
                writer.states.last()
            );
            check_commits(&node, &writer.states);
        }
        let ends = node.store.faults().history();
        let ends = ends.iter().flat_map(|commit| &commit.changes);
        let is_end = |change: &&Change| **change == Change::SetWindow(WindowRecord::Completed);
        assert_eq!(ends.filter(is_end).count(), 3);
    }
}

#[test]
fn a_batch_never_ends_inside_a_checkpoint_that_grows() {
    // More entries than are read under one lock, none of them in a closed checkpoint, and a batch
    // that would be content with fewer.
    let node = Node::with("chk_max_items=5000;max_txn_size=20");
    node.engine.set_persistence(false);
    for key in 0..1_500 {
        node.set(0, &key.to_string(), "first");
    }
    // Leaves the older entries of these keys as tombstones: the first 600 that are read are others.
    for key in 0..600 {
        node.set(0, &key.to_string(), "second");
    }
    let before = node.store.faults().history().len();
    node.engine.set_persistence(true);
    node.write();
    let commits = node.store.faults().history();
    let with_keys = commits[before..].iter().filter(|commit| {
        let is_put = |change: &Change| matches!(change, Change::Put(..));
        commit.changes.iter().any(is_put)
    });
    assert_eq!(
        with_keys.count(),
        1,
        "part of it was a state that never was"
    );
    assert_eq!(keys(&node.store.faults().state()).len(), 1_500);
}
