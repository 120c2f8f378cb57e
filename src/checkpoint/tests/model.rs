//! The log against a model: all operations in order, what every key was after each of them, and
//! what a window has to bring back. The world around the log (hash table, flusher, store) is played
//! by a few maps, with the same calls in the same order as `vbucket` and `flusher` make them.

use std::collections::BTreeMap;

use proptest::strategy::{Just, Strategy};
use proptest::{collection, prop_oneof, proptest};

use super::{item_of, read_all};
use crate::checkpoint::{
    Begin, Change, Clocks, Kind, Limits, Log, Op, Phase, PreImage, Prior, View,
};
use crate::item::Item;
use crate::types::{CheckpointId, Seqno};

mod check;
mod streams;

use streams::Stream;

/// Keys in play: few, so that they meet.
const KEYS: u8 = 6;
const LIMITS: Limits = Limits {
    items_max: 5,
    period: 10,
    checkpoints_max: 3,
    bytes_max: 400,
};

/// Version of each key that exists.
type State = BTreeMap<u8, u32>;

#[derive(Clone, Debug)]
enum Step {
    Set(u8),
    Delete(u8),
    Flush,
    Start,
    Complete,
    Committed,
    Failed,
    Bury,
    Revert,
    Restore(u8),
    Reverted,
    Read(usize),
    Commit,
    Age,
    Sweep,
    Dissolve,
    Squeeze,
    Register(u8, Begin),
    Stream(u8, usize),
    Acknowledge(u8),
    Drop(u8),
    DropSlowest,
}

#[derive(Debug)]
struct Slot {
    item: Item,
    seqno: Seqno,
    deleted: bool,
}

/// What the flusher has read and not committed.
#[derive(Debug)]
struct Reading {
    upto: Seqno,
    closed: Option<CheckpointId>,
    changes: Vec<Change>,
    consistent: bool,
}

/// What a window has to bring back, or to keep.
#[derive(Debug)]
struct Held {
    at_start: State,
    seqnos: BTreeMap<u8, Seqno>,
    accepted: State,
}

struct World {
    log: Log,
    table: BTreeMap<u8, Slot>,
    version: u32,
    /// What clients see.
    state: State,
    /// The same after each position; positions of a reverted window are taken out.
    history: BTreeMap<Seqno, State>,
    durable: State,
    reading: Option<Reading>,
    streams: BTreeMap<u8, Stream>,
    held: Option<Held>,
    /// Where the search for duplicates after a failed COMPLETE stands.
    burying: Option<Seqno>,
    /// Reverted windows: nothing between may ever be read.
    void: Vec<(Seqno, Seqno)>,
    id_max: CheckpointId,
    now: u32,
}

fn apply(changes: &[Change], to: &mut State) {
    for change in changes {
        match (change.op, &change.item) {
            (Op::Set, Some(item)) => {
                let version = u32::try_from(item.cas()).unwrap();
                assert_eq!(item.value(), item_of(item.key()[0], version).value());
                to.insert(item.key()[0], version);
            }
            (Op::Delete, Some(item)) => {
                to.remove(&item.key()[0]);
            }
            (Op::Flush, None) => to.clear(),
            other => panic!("{other:?}"),
        }
    }
}

impl World {
    fn new() -> Self {
        Self {
            log: Log::new(CheckpointId::new(1), u64::MAX, 0),
            table: BTreeMap::new(),
            version: 0,
            state: State::new(),
            history: BTreeMap::from([(Seqno::ZERO, State::new())]),
            durable: State::new(),
            reading: None,
            streams: BTreeMap::new(),
            held: None,
            burying: None,
            void: Vec::new(),
            id_max: CheckpointId::new(1),
            now: 0,
        }
    }

    fn phase(&self) -> Option<Phase> {
        self.log.window().map(|window| window.phase)
    }

    fn barrier(&self) -> Seqno {
        self.log.window().unwrap().barrier
    }

    fn state_at(&self, seqno: Seqno) -> &State {
        self.history.range(..=seqno).next_back().unwrap().1
    }

    fn note(&mut self) {
        self.history.insert(self.log.last, self.state.clone());
    }

    /// Whether a key is still as the reverting window left it.
    fn is_unsettled(&self, key: u8) -> bool {
        let Some(Phase::Reverting { end }) = self.phase() else {
            return false;
        };
        let slot = self.table.get(&key);
        slot.is_some_and(|slot| slot.seqno > self.barrier() && slot.seqno <= end)
    }

    fn mutate(&mut self, key: u8, op: Op) {
        self.restore(key);
        if op == Op::Delete && !self.state.contains_key(&key) {
            return;
        }
        self.version += 1;
        let new = item_of(key, self.version);
        let item = if op == Op::Delete {
            new.key_only()
        } else {
            new
        };
        let prior = self.table.get(&key).map(|slot| Prior {
            item: &slot.item,
            seqno: slot.seqno,
            deleted: slot.deleted,
            keep_value: slot.seqno > self.log.persisted(),
        });
        let expected = self.log.next_seqno();
        let before = prior.as_ref().map(|prior| prior.seqno);
        let (seqno, superseded) = self.log.append(op, item.clone(), prior.as_ref());
        assert_eq!(seqno, expected);
        if let Some(superseded) = superseded {
            assert_eq!(Some(superseded.seqno()), before);
        }
        let deleted = op == Op::Delete;
        self.table.insert(
            key,
            Slot {
                item,
                seqno,
                deleted,
            },
        );
        if deleted {
            self.state.remove(&key);
        } else {
            self.state.insert(key, self.version);
        }
        self.note();
        let in_window = self.log.open.kind != Kind::Normal;
        let id = self.log.open_id();
        self.log.close_if_due(&LIMITS, || self.now);
        assert!(
            !in_window || id == self.log.open_id(),
            "a window is one checkpoint"
        );
    }

    fn restore(&mut self, key: u8) {
        if !self.is_unsettled(key) {
            return;
        }
        let held = self.held.as_ref().unwrap();
        let slot = &self.table[&key];
        match self.log.take_pre_image(slot.seqno) {
            Some(PreImage::Absent) => {
                assert_eq!(held.at_start.get(&key), None);
                self.table.remove(&key);
            }
            Some(PreImage::Present { item, seqno }) => {
                assert_eq!(
                    held.at_start.get(&key).copied().map(u64::from),
                    Some(item.cas())
                );
                if !item.is_resident() && seqno >= self.log.floor() {
                    assert_eq!(
                        self.durable.get(&key),
                        held.at_start.get(&key),
                        "value lost"
                    );
                }
                let deleted = false;
                self.table.insert(
                    key,
                    Slot {
                        item,
                        seqno,
                        deleted,
                    },
                );
            }
            None => panic!("key {key} has no pre-image"),
        }
    }

    fn start(&mut self) {
        let possible = self.log.window().is_none();
        let id = self.log.open_id();
        assert_eq!(
            self.log.open_window(self.now, std::time::Duration::ZERO),
            possible
        );
        if !possible {
            assert_eq!(self.log.open_id(), id);
            return;
        }
        let present = self.state.keys();
        let seqnos = present.map(|key| (*key, self.table[key].seqno)).collect();
        let at_start = self.state.clone();
        self.held = Some(Held {
            at_start,
            seqnos,
            accepted: State::new(),
        });
    }

    fn complete(&mut self) {
        if self.burying.is_some() {
            return;
        }
        let possible = self.phase() == Some(Phase::Open);
        assert_eq!(self.log.begin_complete(self.now), possible);
        if possible {
            self.held.as_mut().unwrap().accepted = self.state.clone();
        }
    }

    fn committed(&mut self) {
        let Some(Phase::Completing { end }) = self.phase() else {
            assert!(self.log.completed().is_empty());
            return;
        };
        loop {
            let exhausted = self.read(3);
            self.commit();
            if exhausted && self.reading.is_none() {
                break;
            }
        }
        let held = self.held.take().unwrap();
        assert_eq!(self.durable, held.at_start);
        let mut changes = Vec::new();
        let mut after = Some(Seqno::ZERO);
        while let Some(from) = after {
            after = self.log.read_window(from, 3, &mut changes);
        }
        apply(&changes, &mut self.durable);
        assert_eq!(self.durable, held.accepted);
        let id = self.log.window_id().unwrap();
        drop(self.log.completed());
        assert_eq!((self.log.persisted(), self.log.persisted_id()), (end, id));
        assert!(self.log.window().is_none());
        self.forget_deletions(&changes);
    }

    fn failed(&mut self) {
        let completing = matches!(self.phase(), Some(Phase::Completing { .. }));
        let id = self.log.window_id();
        self.log.complete_failed();
        if completing {
            assert_eq!(
                (self.phase(), Some(self.log.open_id())),
                (Some(Phase::Open), id)
            );
            self.burying = Some(Seqno::ZERO);
        }
    }

    fn bury(&mut self) {
        let Some(from) = self.burying else { return };
        let mut changes = Vec::new();
        self.burying = self.log.read_open(from, 4, &mut changes);
        for change in &changes {
            let Some(item) = &change.item else { continue };
            let latest = self.table[&item.key()[0]].seqno;
            let buried = self.log.bury_duplicate(change.seqno, latest);
            assert_eq!(buried, latest != change.seqno);
        }
    }

    fn revert(&mut self) {
        if self.burying.is_some() {
            return;
        }
        let possible = self.phase() == Some(Phase::Open);
        assert_eq!(self.log.begin_revert(self.now, Clocks::default()), possible);
        if let Some(Phase::Reverting { end }) = self.phase().filter(|_| possible) {
            self.state = self.held.as_ref().unwrap().at_start.clone();
            let barrier = self.barrier();
            self.void.push((barrier, end));
            self.history.retain(|seqno, _| *seqno <= barrier);
            self.history.insert(end, self.state.clone());
        }
    }

    fn reverted(&mut self) {
        if !matches!(self.phase(), Some(Phase::Reverting { .. })) {
            let window = self.log.window().is_some();
            drop(self.log.reverted());
            assert_eq!(self.log.window().is_some(), window);
            return;
        }
        let mut after = Some(Seqno::ZERO);
        while let Some(from) = after {
            let mut changes = Vec::new();
            after = self.log.read_window(from, 3, &mut changes);
            for item in changes.iter().filter_map(|change| change.item.as_ref()) {
                self.restore(item.key()[0]);
            }
        }
        assert!((0..KEYS).all(|key| !self.is_unsettled(key)));
        drop(self.log.reverted());
        assert!(self.log.window().is_none());
        self.held = None;
    }

    /// Reads on for the flusher. Returns whether that was all.
    fn read(&mut self, limit: usize) -> bool {
        let mut reading = self.reading.take().unwrap_or(Reading {
            upto: self.log.persisted(),
            closed: None,
            changes: Vec::new(),
            consistent: false,
        });
        let known = reading.changes.len();
        let end = self
            .log
            .read(View::Store, reading.upto, limit, &mut reading.changes);
        let mut before = reading.upto;
        for change in &reading.changes[known..] {
            assert!(change.seqno > before && change.seqno <= end.upto);
            let void = |&(low, high): &_| change.seqno > low && change.seqno <= high;
            assert!(!self.void.iter().any(void), "a reverted change is read");
            before = change.seqno;
        }
        if matches!(self.phase(), Some(Phase::Open | Phase::Completing { .. })) {
            assert!(end.upto <= self.barrier(), "read behind the barrier");
        }
        let mut ends = self
            .log
            .all()
            .filter_map(|c| c.last.map(|last| (last, c.id)));
        let closed = ends.rfind(|(last, _)| *last > reading.upto && *last <= end.upto);
        assert_eq!(end.closed, closed.map(|(_, id)| id));
        if end.exhausted {
            assert!(read_all(&self.log, end.upto).0.is_empty());
        }
        reading.upto = end.upto;
        reading.closed = end.closed.or(reading.closed);
        reading.consistent = end.consistent;
        if end.consistent {
            let mut state = self.durable.clone();
            apply(&reading.changes, &mut state);
            assert_eq!(&state, self.state_at(end.upto), "not a state that ever was");
        }
        self.reading = Some(reading);
        end.exhausted
    }

    fn commit(&mut self) {
        let Some(reading) = self.reading.take_if(|reading| reading.consistent) else {
            return;
        };
        apply(&reading.changes, &mut self.durable);
        let free = self.log.advance(reading.upto, reading.closed);
        self.check_freed(&free);
        assert_eq!(self.log.persisted(), reading.upto);
        self.forget_deletions(&reading.changes);
        for change in &reading.changes {
            let Some(item) = &change.item else { continue };
            let latest = self.table.get(&item.key()[0]).map(|slot| slot.seqno);
            if let Some(latest) = latest.filter(|&latest| latest > change.seqno) {
                self.log.pre_image_saved(latest, change.seqno, false);
            }
        }
    }

    fn forget_deletions(&mut self, changes: &[Change]) {
        for change in changes.iter().filter(|change| change.op == Op::Delete) {
            let key = change.item.as_ref().unwrap().key()[0];
            let slot = self.table.get(&key);
            if slot.is_some_and(|slot| slot.deleted && slot.seqno == change.seqno) {
                self.table.remove(&key);
            }
        }
    }

    /// Takes out of the table what a flush made void.
    fn sweep(&mut self) {
        let floor = self.log.floor();
        if self
            .log
            .window()
            .is_none_or(|window| floor <= window.barrier)
        {
            self.table.retain(|_, slot| slot.seqno >= floor);
        }
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Set(key) => self.mutate(key, Op::Set),
            Step::Delete(key) => self.mutate(key, Op::Delete),
            Step::Flush => {
                self.log.flush();
                self.state.clear();
                self.note();
            }
            Step::Start => self.start(),
            Step::Complete => self.complete(),
            Step::Committed => self.committed(),
            Step::Failed => self.failed(),
            Step::Bury => self.bury(),
            Step::Revert => self.revert(),
            Step::Restore(key) => self.restore(key),
            Step::Reverted => self.reverted(),
            Step::Read(limit) => {
                self.read(limit);
            }
            Step::Commit => self.commit(),
            Step::Age => {
                self.now += 7;
                self.log.close_if_old(&LIMITS, self.now);
            }
            Step::Sweep => self.sweep(),
            Step::Dissolve => self.dissolve(),
            Step::Squeeze => self.squeeze(),
            Step::Register(name, begin) => self.register(name, begin),
            Step::Stream(name, limit) => self.stream(name, limit),
            Step::Acknowledge(name) => self.acknowledge(name),
            Step::Drop(name) => self.drop_stream(name),
            Step::DropSlowest => self.drop_slowest(),
        }
    }
}

fn step() -> impl Strategy<Value = Step> {
    let key = 0..KEYS;
    let name = 0..3_u8;
    let begin = prop_oneof![
        Just(Begin::Resume),
        Just(Begin::Oldest),
        Just(Begin::Open),
        Just(Begin::First),
        (1..12_u64).prop_map(|id| Begin::Checkpoint(CheckpointId::new(id))),
        (1..12_u64).prop_map(|id| Begin::IfBelieved(CheckpointId::new(id))),
    ];
    prop_oneof![
        12 => key.clone().prop_map(Step::Set),
        6 => key.clone().prop_map(Step::Delete),
        1 => Just(Step::Flush),
        3 => Just(Step::Start),
        3 => Just(Step::Complete),
        2 => Just(Step::Committed),
        2 => Just(Step::Failed),
        4 => Just(Step::Bury),
        3 => Just(Step::Revert),
        2 => key.prop_map(Step::Restore),
        2 => Just(Step::Reverted),
        6 => (1..5_usize).prop_map(Step::Read),
        4 => Just(Step::Commit),
        1 => Just(Step::Age),
        1 => Just(Step::Sweep),
        1 => Just(Step::Dissolve),
        1 => Just(Step::Squeeze),
        3 => (name.clone(), begin).prop_map(|(name, begin)| Step::Register(name, begin)),
        12 => (name.clone(), 1..7_usize).prop_map(|(name, limit)| Step::Stream(name, limit)),
        4 => name.clone().prop_map(Step::Acknowledge),
        1 => name.prop_map(Step::Drop),
        1 => Just(Step::DropSlowest),
    ]
}

proptest! {
    #![proptest_config(super::thorough(0x0107))]

    #[test]
    fn the_log_does_what_the_model_does(steps in collection::vec(step(), 1..400)) {
        let mut world = World::new();
        for step in &steps {
            world.step(step);
            world.check_invariants();
        }
    }
}
