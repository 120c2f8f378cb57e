//! Every interleaving of a few short programs: two operators, a client, a delayed flush and the
//! flusher on two keys.
//!
//! A step is what happens under one hold of the locks (of one stripe and one log, or of all logs),
//! so no schedule of real threads does anything that some schedule here does not do. The model is
//! told the same steps, and after each of them the invariants of online-update.md are checked.

use std::collections::BTreeMap;

use super::{NOW, Node, put, remove, value};
use crate::checkpoint::Change;
use crate::types::{CheckpointId, Seqno};
use crate::vbucket::{
    Reader, Vbucket, begin_complete, begin_revert, complete_failed, completed, open_windows,
};

const KEYS: [&[u8]; 2] = [b"a", b"b"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Start,
    /// COMPLETE is accepted, or refused, which ends the program.
    Complete,
    /// COMPLETE takes the right to commit and writes what lies before the window.
    Before,
    /// Everything of the windows is committed, or nothing.
    Commit,
    Fail,
    /// The windows end after a commit.
    Completed,
    Forget(usize),
    /// They are open again.
    Reopen,
    Bury(usize),
    /// REVERT is accepted, or refused, which ends the program.
    Revert,
    TakeBack(usize),
    Reverted,
    Put(usize),
    Remove(usize),
    Read(usize),
    /// A `flush_all` of the first vbucket that is due at once, and who carries it out.
    Delay,
    Due,
    /// The flusher takes the right to commit and reads.
    Collect,
    /// It commits and moves the cursors.
    Flush,
}

use Step::{
    Before, Bury, Collect, Commit, Complete, Completed, Delay, Due, Fail, Flush, Forget, Put, Read,
    Remove, Reopen, Revert, Reverted, Start, TakeBack,
};

type State = [Option<u64>; 2];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    None,
    Open,
    Completing,
    Reverting,
}

/// What must be.
struct Model {
    state: State,
    /// Whether a flush of the first vbucket waits.
    waits: bool,
    phase: Phase,
    /// Every state that the store may have, by vbucket.
    history: [Vec<State>; 2],
    barrier: Option<[usize; 2]>,
    accepted: [usize; 2],
}

struct World<'a> {
    node: &'a Node,
    /// Which vbucket a key is in.
    place: [u16; 2],
    model: Model,
    next: u64,
    /// Which program has the right to commit.
    right: Option<usize>,
    /// A COMPLETE or REVERT is not through, and the gate refuses every command.
    running: bool,
    collected: Vec<(Reader<'a>, Vec<Change>, Option<CheckpointId>)>,
    windows: Vec<Vec<Change>>,
}

impl<'a> World<'a> {
    fn new(node: &'a Node, place: [u16; 2], on_disk: bool) -> Self {
        let mut world = Self {
            node,
            place,
            model: Model {
                state: [None; 2],
                waits: false,
                phase: Phase::None,
                history: [vec![[None; 2]], vec![[None; 2]]],
                barrier: None,
                accepted: [0; 2],
            },
            next: 0,
            right: None,
            running: false,
            collected: Vec::new(),
            windows: Vec::new(),
        };
        world.run(2, Put(0));
        if on_disk {
            node.flush();
        }
        world
    }

    fn all(&self) -> Vec<&'a Vbucket> {
        self.node.vbuckets()
    }

    /// Whether a program can take its next step now.
    fn is_enabled(&self, program: usize, step: Step) -> bool {
        match step {
            Before | Collect => self.right.is_none_or(|owner| owner == program),
            _ => true,
        }
    }

    fn changed(&mut self, key: usize, to: Option<u64>) {
        self.model.state[key] = to;
        let vbucket = usize::from(self.place[key]);
        self.model.history[vbucket].push(self.model.state);
    }

    /// All keys of the first vbucket go at once.
    fn flushed(&mut self) {
        for key in (0..KEYS.len()).filter(|&key| self.place[key] == 0) {
            self.model.state[key] = None;
        }
        self.model.history[0].push(self.model.state);
    }

    fn lengths(&self) -> [usize; 2] {
        [0, 1].map(|vbucket| self.model.history[vbucket].len())
    }

    /// Takes a step. False when it was refused.
    fn run(&mut self, program: usize, step: Step) -> bool {
        match step {
            Put(key) => {
                self.next += 1;
                let text = self.next.to_string();
                put(
                    self.node.vbucket(self.place[key]),
                    KEYS[key],
                    text.as_bytes(),
                );
                self.changed(key, Some(self.next));
            }
            Remove(key) => {
                let removed = remove(self.node.vbucket(self.place[key]), KEYS[key]).is_ok();
                assert_eq!(removed, self.model.state[key].is_some());
                if removed {
                    self.changed(key, None);
                }
            }
            Read(key) => assert_eq!(self.read(key), self.model.state[key]),
            Delay => {
                self.node
                    .vbucket(0)
                    .delay_flush(self.node.host.unix(), None);
                self.model.waits = true;
            }
            Due => {
                let carried_out = self.node.vbucket(0).flush_if_due();
                assert_eq!(carried_out, std::mem::take(&mut self.model.waits));
                if carried_out {
                    self.flushed();
                }
            }
            Start | Complete | Revert => return self.command(step),
            Collect => {
                self.right = Some(program);
                self.collect();
            }
            Flush => {
                for (reader, changes, closed) in std::mem::take(&mut self.collected) {
                    self.node.write(reader.vbucket(), &changes);
                    reader.committed(closed, &changes);
                }
                self.right = None;
            }
            TakeBack(vbucket) => {
                let vbucket = self.node.vbucket(u16::try_from(vbucket).unwrap());
                vbucket.revert_some(Seqno::ZERO, &mut Vec::new(), &mut Vec::new());
            }
            Reverted => {
                self.all()
                    .iter()
                    .for_each(|vbucket| drop(vbucket.reverted()));
                self.node.shared.switch.turn_off();
                self.model.phase = Phase::None;
                self.running = false;
            }
            _ => self.complete(program, step),
        }
        true
    }

    fn command(&mut self, step: Step) -> bool {
        if self.running {
            return false;
        }
        let all = self.all();
        let (wanted, done) = match step {
            Start => (Phase::None, open_windows(&all, NOW)),
            Complete => (Phase::Open, begin_complete(&all, NOW)),
            _ => (Phase::Open, begin_revert(&all, NOW)),
        };
        assert_eq!(
            done,
            self.model.phase == wanted,
            "{step:?} in {:?}",
            self.model.phase
        );
        if !done {
            return false;
        }
        self.running = step != Start;
        let lengths = self.lengths();
        match step {
            Start => {
                self.model.phase = Phase::Open;
                self.model.barrier = Some(lengths);
            }
            Complete => {
                self.model.phase = Phase::Completing;
                self.model.accepted = lengths;
            }
            _ => {
                self.model.phase = Phase::Reverting;
                // It came in the window, at the latest now.
                self.model.waits = false;
                let barrier = self.model.barrier.take().unwrap();
                for (vbucket, barrier) in barrier.into_iter().enumerate() {
                    let history = &mut self.model.history[vbucket];
                    history.truncate(barrier);
                    let at_start = *history.last().unwrap();
                    for (key, before) in at_start.into_iter().enumerate() {
                        if usize::from(self.place[key]) == vbucket {
                            self.model.state[key] = before;
                        }
                    }
                }
            }
        }
        true
    }

    fn collect(&mut self) {
        for vbucket in self.all() {
            let mut reader = vbucket.reader();
            let (mut changes, mut closed) = (Vec::new(), None);
            while let Some(end) = reader.read(7, &mut changes) {
                closed = end.closed.or(closed);
                if end.consistent && end.exhausted {
                    break;
                }
            }
            self.collected.push((reader, changes, closed));
        }
    }

    fn complete(&mut self, program: usize, step: Step) {
        let all = self.all();
        match step {
            Before => {
                self.right = Some(program);
                self.node.flush();
            }
            Commit | Fail => {
                self.windows.clear();
                for vbucket in &all {
                    let mut changes = Vec::new();
                    let mut after = Some(Seqno::ZERO);
                    while let Some(from) = after {
                        after = vbucket.read_window(from, &mut changes);
                    }
                    if step == Commit {
                        self.node.write(vbucket, &changes);
                    }
                    self.windows.push(changes);
                }
                if step == Fail {
                    self.right = None;
                } else {
                    self.model.barrier = None;
                    for vbucket in 0..2 {
                        let accepted = self.model.accepted[vbucket];
                        self.model.history[vbucket].drain(..accepted - 1);
                    }
                }
            }
            Completed => {
                completed(&all);
                self.model.phase = Phase::None;
            }
            Forget(vbucket) => {
                all[vbucket].forget_deletions(&self.windows[vbucket]);
                if vbucket + 1 == all.len() {
                    (self.right, self.running) = (None, false);
                }
            }
            Reopen => {
                complete_failed(&all);
                self.model.phase = Phase::Open;
            }
            Bury(vbucket) => {
                let mut after = Some(Seqno::ZERO);
                while let Some(from) = after {
                    after = all[vbucket].bury_duplicates(from, &mut Vec::new());
                }
                self.running = vbucket + 1 < all.len();
            }
            _ => unreachable!("{step:?}"),
        }
    }

    fn read(&self, key: usize) -> Option<u64> {
        let value = value(self.node, self.node.vbucket(self.place[key]), KEYS[key])?;
        String::from_utf8(value).unwrap().parse().ok()
    }

    /// Invariant 3, and all or nothing of a window: each vbucket's rows are a state that it was in,
    /// up to the barrier while the window is not committed, from its end on when it is.
    fn check_store(&self) {
        let disk = self.node.disk.lock();
        for (vbucket, history) in self.model.history.iter().enumerate() {
            let barrier = self.model.barrier.map_or(history.len(), |all| all[vbucket]);
            let fits = |state: &State| {
                (0..KEYS.len())
                    .filter(|&key| usize::from(self.place[key]) == vbucket)
                    .all(|key| {
                        let at = (self.place[key], KEYS[key].to_vec());
                        let text = disk.get(&at).map(|row| String::from_utf8_lossy(&row.value));
                        text.map(|text| text.parse().unwrap()) == state[key]
                    })
            };
            assert!(
                history[..barrier].iter().any(fits),
                "vbucket {vbucket}: {disk:?} is none of {history:?} up to {barrier}"
            );
        }
    }

    /// At the end nothing is lost, in memory and, once it is written, in the store.
    fn check_end(&mut self) {
        if self.model.phase == Phase::Open {
            assert!(self.run(0, Revert) && self.run(0, TakeBack(0)) && self.run(0, TakeBack(1)));
            self.run(0, Reverted);
        }
        for key in 0..KEYS.len() {
            assert_eq!(self.read(key), self.model.state[key], "at the end");
        }
        self.node.flush();
        for history in &mut self.model.history {
            history.drain(..history.len() - 1);
        }
        self.check_store();
        let items: usize = self.all().iter().map(|vbucket| vbucket.items()).sum();
        assert_eq!(items, self.model.state.iter().flatten().count());
        assert_eq!(self.node.shared.metrics.defects.get(), 0);
    }
}

/// Where a schedule could have gone on otherwise.
struct Choice {
    taken: usize,
    of: usize,
}

/// Runs the programs once: by `choices`, behind them by the first program that can go on.
fn execute(programs: &[&[Step]], place: [u16; 2], on_disk: bool, choices: &mut Vec<Choice>) {
    let node = Node::new(2, false);
    let mut world = World::new(&node, place, on_disk);
    let mut left: Vec<&[Step]> = programs.to_vec();
    let mut trace = Trace(Vec::new());
    for depth in 0.. {
        let enabled: Vec<usize> = (0..left.len())
            .filter(|&it| {
                left[it]
                    .first()
                    .is_some_and(|step| world.is_enabled(it, *step))
            })
            .collect();
        if enabled.is_empty() {
            assert!(left.iter().all(|program| program.is_empty()), "a deadlock");
            break;
        }
        if depth == choices.len() {
            choices.push(Choice {
                taken: 0,
                of: enabled.len(),
            });
        }
        let program = enabled[choices[depth].taken];
        let step = left[program][0];
        trace.0.push((program, step));
        left[program] = &left[program][1..];
        if !world.run(program, step) {
            left[program] = &[];
        }
        world.check_store();
    }
    world.check_end();
}

/// The steps so far, told when an assertion fails.
struct Trace(Vec<(usize, Step)>);

impl Drop for Trace {
    #[expect(clippy::print_stdout, reason = "a schedule is what one wants to know")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("program and step: {:?}", self.0);
        }
    }
}

/// Runs every schedule. Returns how many there were.
fn explore(programs: &[&[Step]], place: [u16; 2], on_disk: bool) -> usize {
    let mut choices: Vec<Choice> = Vec::new();
    for count in 1.. {
        execute(programs, place, on_disk, &mut choices);
        while choices
            .last()
            .is_some_and(|choice| choice.taken + 1 == choice.of)
        {
            choices.pop();
        }
        match choices.last_mut() {
            Some(choice) => choice.taken += 1,
            None => return count,
        }
    }
    0
}

const COMPLETES: &[Step] = &[
    Start,
    Complete,
    Before,
    Commit,
    Completed,
    Forget(0),
    Forget(1),
];
const REVERTS: &[Step] = &[Start, Revert, TakeBack(0), TakeBack(1), Reverted];
const FAILS: &[Step] = &[Start, Complete, Before, Fail, Reopen, Bury(0), Bury(1)];
const LATE_REVERT: &[Step] = &[Revert, TakeBack(0), TakeBack(1), Reverted];
const FLUSHES: &[Step] = &[Collect, Flush];
const CLIENTS: [&[Step]; 5] = [
    &[Delay, Due, Read(0), Put(1)],
    &[Put(0), Put(1), Read(0)],
    &[Remove(0), Put(0), Read(0)],
    &[Put(1), Remove(1), Read(1)],
    &[Put(0), Put(0), Remove(0)],
];

#[test]
#[expect(clippy::print_stdout, reason = "how much was looked at")]
fn every_interleaving_of_two_operators_a_client_and_the_flusher() {
    let mut counts = BTreeMap::new();
    for place in [[0, 0], [0, 1]] {
        for on_disk in [false, true] {
            for client in CLIENTS {
                for (name, programs) in [
                    ("COMPLETE, client, flusher", [COMPLETES, client, FLUSHES]),
                    ("REVERT, client, flusher", [REVERTS, client, FLUSHES]),
                    (
                        "failing COMPLETE, client, flusher",
                        [FAILS, client, FLUSHES],
                    ),
                    ("COMPLETE, REVERT, client", [COMPLETES, LATE_REVERT, client]),
                    (
                        "failing COMPLETE, REVERT, client",
                        [FAILS, LATE_REVERT, client],
                    ),
                ] {
                    *counts.entry(name).or_insert(0) += explore(&programs, place, on_disk);
                }
            }
        }
    }
    let sum: usize = counts.values().sum();
    println!("{sum} schedules: {counts:#?}");
    assert!(sum > 100_000, "too few: {counts:?}");
}
