//! Every interleaving of a few short programs: operators, a master, a client, a delayed flush, the
//! flusher and the housekeeper on three keys.
//!
//! A step is what happens under one hold of the locks (of one stripe and one log, or of all logs),
//! so no schedule of real threads does anything that some schedule here does not do. The model is
//! told the same steps, and after each of them the invariants of docs/online-update.md are checked.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{NOW, Node, hash, item, put, remove, revert_all, value, with_others};
use crate::checkpoint::{Change, Was};
use crate::item::Item;
use crate::types::{CheckpointId, Seqno, VbucketId, VbucketState};
use crate::vbucket::update::begin_revert_in_steps;
use crate::vbucket::{
    Arrival, Reader, Vbucket, Walk, begin_complete, begin_revert, complete_failed, completed,
    open_windows,
};

/// Vbuckets of the node: two that its operators command, and one whose window a master opens and
/// ends.
const VBUCKETS: usize = 3;
const REPLICA: usize = 2;

/// The last of them is the replica's.
const KEYS: [&[u8]; 3] = [b"a", b"b", b"c"];

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
    /// The same for the replica's window.
    MasterStarts,
    MasterReverts,
    MasterReverted,
    Put(usize),
    Remove(usize),
    /// A key goes back to what it was at START, if an operator's window is open.
    Undo(usize),
    Read(usize),
    /// A `flush_all` of the first vbucket that is due at once, and who carries it out.
    Delay,
    Due,
    FlushAll(usize),
    /// The flusher takes the right to commit and reads.
    Collect,
    /// It commits and moves the cursors.
    Flush,
    /// An operator's commands on a vbucket; those that are refused end the program.
    Retire(usize),
    Delete(usize),
    Create(usize),
    Promote(usize),
    /// The housekeeper finds flushed keys in a vbucket, and takes them out.
    LookForFlushed(usize),
    Sweep(usize),
    /// A restore begins; a version of a key comes out of a backup, each one older than the last; it
    /// ends.
    BeginRestore,
    Restore(usize),
    EndRestore,
}

use Step::{
    Before, BeginRestore, Bury, Collect, Commit, Complete, Completed, Create, Delay, Delete, Due,
    EndRestore, Fail, Flush, FlushAll, Forget, LookForFlushed, MasterReverted, MasterReverts,
    MasterStarts, Promote, Put, Read, Remove, Reopen, Restore, Retire, Revert, Reverted, Start,
    Sweep, TakeBack, Undo,
};

type State = [Option<u64>; KEYS.len()];
type Place = [u16; KEYS.len()];

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
    phase: [Phase; VBUCKETS],
    /// Every state that the store may have, by vbucket.
    history: [Vec<State>; VBUCKETS],
    barrier: [Option<usize>; VBUCKETS],
    accepted: [usize; VBUCKETS],
    /// While a restore runs: keys that may still come out of it.
    may_come: Option<[bool; KEYS.len()]>,
}

/// A COMPLETE or REVERT that is not through; the gate refuses every command.
struct Job<'a> {
    vbuckets: Vec<&'a Vbucket>,
    completes: bool,
    /// Vbuckets that came meanwhile.
    joined: Vec<&'a Vbucket>,
}

struct World<'a> {
    node: &'a Arc<Node>,
    /// Which vbucket a key is in.
    place: Place,
    model: Model,
    next: u64,
    /// Which program has the right to commit.
    right: Option<usize>,
    job: Option<Job<'a>>,
    collected: Vec<(Reader<'a>, Vec<Change>, Option<CheckpointId>)>,
    windows: Vec<Vec<Change>>,
    /// Of which vbucket of that id the store has rows.
    stored: [u64; VBUCKETS],
    sweeps: bool,
}

impl<'a> World<'a> {
    fn new(node: &'a Arc<Node>, place: Place, on_disk: bool) -> Self {
        let empty = || vec![State::default()];
        let mut world = Self {
            node,
            place,
            model: Model {
                state: State::default(),
                waits: false,
                phase: [Phase::None; VBUCKETS],
                history: [empty(), empty(), empty()],
                barrier: [None; VBUCKETS],
                accepted: [0; VBUCKETS],
                may_come: None,
            },
            next: 0,
            right: None,
            job: None,
            collected: Vec::new(),
            windows: Vec::new(),
            stored: [0, 1, 2].map(|id| node.vbucket(id).incarnation()),
            sweeps: false,
        };
        world
            .vbucket(REPLICA)
            .set_state(VbucketState::Replica, Arrival::Alone, || {})
            .unwrap();
        world.run(2, Put(0));
        world.run(2, Put(2));
        if on_disk {
            node.flush();
        }
        world.run(2, MasterStarts);
        world.run(2, Put(2));
        world
    }

    fn vbucket(&self, vbucket: usize) -> &'a Vbucket {
        self.node.vbucket(u16::try_from(vbucket).unwrap())
    }

    fn exists(&self, vbucket: usize) -> bool {
        let id = u16::try_from(vbucket).ok().and_then(VbucketId::new);
        id.is_some_and(|id| self.node.map.get(id).is_some())
    }

    /// Those that an operator's commands act on, and that are in that phase.
    fn commanded(&self, phase: Phase) -> Vec<&'a Vbucket> {
        let wanted = |vbucket: &&Vbucket| {
            vbucket.takes_commands() && self.model.phase[vbucket.id().index()] == phase
        };
        self.node.map.iter().filter(wanted).collect()
    }

    fn job(&self) -> Vec<&'a Vbucket> {
        self.job
            .as_ref()
            .map_or_else(Vec::new, |job| job.vbuckets.clone())
    }

    /// Whether a program can take its next step now.
    fn is_enabled(&self, program: usize, step: Step) -> bool {
        match step {
            Before | Collect => self.right.is_none_or(|owner| owner == program),
            _ => true,
        }
    }

    /// What is due comes before anything else.
    fn due(&mut self, vbucket: usize) {
        if vbucket == 0 && std::mem::take(&mut self.model.waits) {
            self.flushed(0);
        }
    }

    fn comes_no_more(&mut self, key: usize) {
        if let Some(may_come) = &mut self.model.may_come {
            may_come[key] = false;
        }
    }

    fn changed(&mut self, key: usize, to: Option<u64>) {
        self.comes_no_more(key);
        self.model.state[key] = to;
        let vbucket = usize::from(self.place[key]);
        self.model.history[vbucket].push(self.model.state);
    }

    /// All keys of a vbucket go at once.
    fn flushed(&mut self, vbucket: usize) {
        for key in self.keys_of(vbucket) {
            self.comes_no_more(key);
            self.model.state[key] = None;
        }
        self.model.history[vbucket].push(self.model.state);
    }

    fn length(&self, vbucket: usize) -> usize {
        self.model.history[vbucket].len()
    }

    fn keys_of(&self, vbucket: usize) -> impl Iterator<Item = usize> + use<> {
        let place = self.place;
        (0..KEYS.len()).filter(move |&key| usize::from(place[key]) == vbucket)
    }

    fn is_active(&self, key: usize) -> bool {
        let id = VbucketId::new(self.place[key]).unwrap();
        let vbucket = self.node.map.get(id);
        vbucket.is_some_and(|vbucket| vbucket.state() == Some(VbucketState::Active))
    }

    /// Takes a step. False when it was refused.
    fn run(&mut self, program: usize, step: Step) -> bool {
        match step {
            Put(_) | Remove(_) | Undo(_) | FlushAll(_) | Delay | Due => self.write(step),
            Read(key) => assert_eq!(self.read(key), self.model.state[key]),
            Start | Complete | Revert => return self.command(step),
            MasterStarts | MasterReverts | MasterReverted => self.master(step),
            Collect => {
                self.right = Some(program);
                self.collect();
            }
            Flush => {
                self.clear_stored();
                for (reader, changes, closed) in std::mem::take(&mut self.collected) {
                    if reader.incarnation() == reader.vbucket().incarnation() {
                        self.node.write(reader.vbucket(), &changes);
                    }
                    reader.committed(closed, &changes);
                }
                self.right = None;
            }
            TakeBack(vbucket) => {
                let vbucket = Some(vbucket).filter(|&vbucket| self.exists(vbucket));
                if let Some(vbucket) = vbucket.map(|vbucket| self.vbucket(vbucket)) {
                    vbucket.revert_some(Seqno::ZERO, &mut Vec::new(), &mut Vec::new());
                }
            }
            Reverted => {
                for vbucket in self.job() {
                    drop(vbucket.reverted());
                    self.model.phase[vbucket.id().index()] = Phase::None;
                }
                self.job = None;
            }
            Retire(_) | Delete(_) | Create(_) | Promote(_) => return self.arrange(step),
            LookForFlushed(vbucket) => {
                self.sweeps = self.exists(vbucket) && self.vbucket(vbucket).begin_sweep();
            }
            BeginRestore => {
                self.node.shared.restoring.begin();
                self.model.may_come = Some(self.model.state.map(|value| value.is_none()));
            }
            Restore(key) => self.restore(key),
            EndRestore => {
                self.node.shared.restoring.end(&self.node.shared.trash);
                self.model.may_come = None;
            }
            Sweep(vbucket) => {
                let mut walk = Walk::default();
                let goes_on = self.sweeps && self.exists(vbucket);
                while goes_on && self.vbucket(vbucket).sweep_part(&mut walk).is_some() {}
            }
            _ => self.complete(program, step),
        }
        true
    }

    /// What a client does, or a master.
    fn write(&mut self, step: Step) {
        match step {
            Put(key) if usize::from(self.place[key]) == REPLICA => {
                self.next += 1;
                let item = item(KEYS[key], self.next.to_string().as_bytes(), 0);
                self.vbucket(REPLICA).replicate(&item).unwrap();
                self.changed(key, Some(self.next));
            }
            Put(key) if self.is_active(key) => {
                self.next += 1;
                let text = self.next.to_string();
                put(
                    self.node.vbucket(self.place[key]),
                    KEYS[key],
                    text.as_bytes(),
                );
                self.changed(key, Some(self.next));
            }
            Remove(key) if self.is_active(key) => {
                let removed = remove(self.node.vbucket(self.place[key]), KEYS[key]).is_ok();
                assert_eq!(removed, self.model.state[key].is_some());
                if removed {
                    self.changed(key, None);
                }
            }
            Undo(key) if self.is_active(key) && self.job.is_none() => self.undo(key),
            Delay => {
                self.due(0);
                self.vbucket(0).delay_flush(self.node.host.unix(), None);
                self.model.waits = true;
            }
            Due => {
                let carried_out = self.vbucket(0).flush_if_due();
                assert_eq!(carried_out, std::mem::take(&mut self.model.waits));
                if carried_out {
                    self.flushed(0);
                }
            }
            FlushAll(vbucket) if self.exists(vbucket) => {
                self.vbucket(vbucket).flush_all();
                self.flushed(vbucket);
            }
            // The client is sent elsewhere.
            _ => {}
        }
    }

    /// A version out of a backup never takes the place of a newer one, nor of what newer ones were.
    fn restore(&mut self, key: usize) {
        if !self.exists(usize::from(self.place[key])) {
            return;
        }
        let text = (self.next + 1).to_string();
        let item = item(KEYS[key], text.as_bytes(), 0);
        let restored = self.node.vbucket(self.place[key]).restore_key(&item);
        let may_come = self.model.may_come.is_some_and(|may_come| may_come[key]);
        assert_eq!(restored.is_ok(), may_come && self.is_active(key));
        if restored.is_ok() {
            self.next += 1;
            self.changed(key, Some(self.next));
        }
    }

    fn undo(&mut self, key: usize) {
        let (index, name) = (usize::from(self.place[key]), KEYS[key]);
        let Some(barrier) = self.model.barrier[index] else {
            return;
        };
        let at_start = self.model.history[index][barrier - 1][key];
        let vbucket = self.vbucket(index);
        let old = match vbucket.was(hash(name), name).unwrap() {
            None => {
                assert_eq!(self.model.state[key], at_start, "it is not touched");
                return;
            }
            Some(Was::Absent) => None,
            Some(Was::Present(item)) if item.is_resident() => Some(item),
            Some(Was::Present(item)) => {
                let disk = self.node.disk.lock();
                let row = &disk[&(self.place[key], name.to_vec())];
                Item::with_value(name, &[&row.value], item.meta())
            }
        };
        let text = old.as_ref().map(|old| String::from_utf8_lossy(old.value()));
        assert_eq!(text.map(|text| text.parse().unwrap()), at_start);
        vbucket.undo(hash(name), name, 0, old.as_ref()).unwrap();
        self.changed(key, at_start);
    }

    fn command(&mut self, step: Step) -> bool {
        if self.job.is_some() {
            return false;
        }
        let vbuckets = match step {
            Start if !self.commanded(Phase::Open).is_empty() => Vec::new(),
            Start => self.commanded(Phase::None),
            _ => self.commanded(Phase::Open),
        };
        let done = match step {
            _ if vbuckets.is_empty() => return false,
            Start => open_windows(&vbuckets, NOW, None),
            Complete => begin_complete(&vbuckets, NOW),
            _ => self.begin_revert(&vbuckets),
        };
        assert!(done, "{step:?} in {:?}", self.model.phase);
        for vbucket in &vbuckets {
            let index = vbucket.id().index();
            match step {
                Start => {
                    self.due(index);
                    self.opened(index);
                }
                Complete => {
                    self.model.phase[index] = Phase::Completing;
                    self.model.accepted[index] = self.length(index);
                }
                _ => self.taken_back(index),
            }
        }
        if step != Start {
            self.job = Some(Job {
                vbuckets,
                completes: step == Complete,
                joined: Vec::new(),
            });
        }
        true
    }

    /// While the vbuckets are being marked no reader sees any of it.
    fn begin_revert(&self, vbuckets: &[&Vbucket]) -> bool {
        let seen = || -> Vec<_> {
            let keys = (0..KEYS.len()).filter(|&key| {
                let ids = vbuckets.iter().map(|vbucket| vbucket.id().get());
                ids.into_iter().any(|id| id == self.place[key])
            });
            keys.map(|key| self.glance(key)).collect()
        };
        let before = seen();
        begin_revert_in_steps(vbuckets, NOW, &mut || assert_eq!(seen(), before))
    }

    /// What a reader makes of a key that it has found: which version, whether it is to be taken
    /// back, and whether it was flushed.
    fn glance(&self, key: usize) -> Option<(Seqno, bool, bool)> {
        let vbucket = self.node.vbucket(self.place[key]);
        let mut stripe = vbucket.table.lock(hash(KEYS[key]));
        let slot = stripe.find(hash(KEYS[key]), KEYS[key])?;
        let seqno = slot.seqno();
        Some((seqno, vbucket.is_reverting(seqno), seqno < vbucket.floor()))
    }

    fn master(&mut self, step: Step) {
        let vbucket = self.vbucket(REPLICA);
        match step {
            MasterStarts => {
                assert!(open_windows(&[vbucket], NOW, None));
                self.opened(REPLICA);
            }
            MasterReverts => {
                assert!(begin_revert(&[vbucket], NOW));
                self.taken_back(REPLICA);
            }
            _ => {
                drop(vbucket.reverted());
                self.model.phase[REPLICA] = Phase::None;
            }
        }
    }

    fn opened(&mut self, vbucket: usize) {
        self.model.phase[vbucket] = Phase::Open;
        self.model.barrier[vbucket] = Some(self.length(vbucket));
    }

    fn taken_back(&mut self, vbucket: usize) {
        // What waited came in the window, at the latest now.
        self.model.waits &= vbucket != 0;
        self.model.phase[vbucket] = Phase::Reverting;
        let barrier = self.model.barrier[vbucket].take().unwrap();
        self.model.history[vbucket].truncate(barrier);
        let at_start = *self.model.history[vbucket].last().unwrap();
        for key in self.keys_of(vbucket) {
            self.model.state[key] = at_start[key];
        }
    }

    /// SET_VBUCKET and DEL_VBUCKET.
    fn arrange(&mut self, step: Step) -> bool {
        let completes = self.job.as_ref().is_some_and(|job| job.completes);
        let open = self.job.is_none() && !self.commanded(Phase::Open).is_empty();
        let arrival = if completes || open {
            Arrival::Joins {
                opened: NOW,
                deadline: None,
            }
        } else {
            Arrival::Alone
        };
        let (Retire(index) | Delete(index) | Create(index) | Promote(index)) = step else {
            unreachable!("{step:?}");
        };
        self.keys_of(index).for_each(|key| self.comes_no_more(key));
        match step {
            Retire(_) => {
                let opened =
                    self.vbucket(index)
                        .set_state(VbucketState::Dead, Arrival::Alone, || {});
                assert_eq!(opened, Some(false));
                return true;
            }
            Delete(_) => {
                if self.vbucket(index).window_phase().is_some() {
                    return false;
                }
                drop(self.node.map.delete(self.vbucket(index)));
                self.keys_of(index)
                    .for_each(|key| self.model.state[key] = None);
                self.model.history[index] = vec![self.model.state];
                return true;
            }
            _ => {}
        }
        // A client writes as soon as it can.
        let node = Arc::clone(self.node);
        let key = self.keys_of(index).next();
        let written = Arc::new(AtomicBool::new(false));
        let (wrote, number) = (Arc::clone(&written), self.next + 1);
        let client = move || {
            let id = VbucketId::new(u16::try_from(index).unwrap()).unwrap();
            let Some((vbucket, key)) = node.map.get(id).zip(key) else {
                return;
            };
            let active = vbucket.state() == Some(VbucketState::Active);
            if active && !wrote.swap(true, Ordering::SeqCst) {
                put(vbucket, KEYS[key], number.to_string().as_bytes());
            }
        };
        let opened = with_others(client, || match step {
            Create(_) => {
                let vbucket = self.node.create_as(u16::try_from(index).unwrap(), arrival);
                vbucket.window_phase().is_some()
            }
            _ => self
                .vbucket(index)
                .set_state(VbucketState::Active, arrival, || {})
                .unwrap(),
        });
        if opened {
            self.opened(index);
            if let Some(job) = self.job.as_mut() {
                job.joined
                    .push(self.node.vbucket(u16::try_from(index).unwrap()));
            }
        }
        if let Some(key) = key.filter(|_| written.load(Ordering::SeqCst)) {
            self.next += 1;
            self.changed(key, Some(self.next));
        }
        true
    }

    /// The flusher begins a batch: rows of vbuckets that are gone go.
    fn clear_stored(&mut self) {
        for index in 0..VBUCKETS {
            let now = self
                .exists(index)
                .then(|| self.vbucket(index).incarnation());
            if now != Some(self.stored[index]) {
                let gone = |at: u16| usize::from(at) == index;
                self.node.disk.lock().retain(|(at, _), _| !gone(*at));
                self.stored[index] = now.unwrap_or(0);
            }
        }
    }

    fn collect(&mut self) {
        for vbucket in self.node.vbuckets() {
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
        let all = self.job();
        match step {
            Before => {
                self.right = Some(program);
                self.clear_stored();
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
                        let index = vbucket.id().index();
                        self.model.barrier[index] = None;
                        let accepted = self.model.accepted[index];
                        self.model.history[index].drain(..accepted - 1);
                    }
                    self.windows.push(changes);
                }
                if step == Fail {
                    self.right = None;
                }
            }
            Completed => {
                completed(&all);
                for vbucket in &all {
                    self.model.phase[vbucket.id().index()] = Phase::None;
                }
            }
            Forget(nth) => {
                if let (Some(vbucket), Some(changes)) = (all.get(nth), self.windows.get(nth)) {
                    vbucket.forget_deletions(changes);
                }
                if nth == 1 {
                    for vbucket in self.job.take().unwrap().joined {
                        vbucket.dissolve_window();
                        self.model.phase[vbucket.id().index()] = Phase::None;
                        self.model.barrier[vbucket.id().index()] = None;
                    }
                    self.right = None;
                }
            }
            Reopen => {
                complete_failed(&all);
                for vbucket in &all {
                    self.model.phase[vbucket.id().index()] = Phase::Open;
                }
            }
            Bury(nth) => {
                let mut after = all.get(nth).map(|_| Seqno::ZERO);
                while let Some(from) = after {
                    after = all[nth].bury_duplicates(from, &mut Vec::new());
                }
                if nth == 1 {
                    self.job = None;
                }
            }
            _ => unreachable!("{step:?}"),
        }
    }

    fn read(&self, key: usize) -> Option<u64> {
        let id = VbucketId::new(self.place[key]).unwrap();
        let value = value(self.node, self.node.map.get(id)?, KEYS[key])?;
        String::from_utf8(value).unwrap().parse().ok()
    }

    /// Invariant 3, and all or nothing of a window: each vbucket's rows are a state that it was in,
    /// up to the barrier while the window is not committed, from its end on when it is.
    fn check_store(&self) {
        let disk = self.node.disk.lock();
        for (vbucket, history) in self.model.history.iter().enumerate() {
            let known = self
                .exists(vbucket)
                .then(|| self.vbucket(vbucket).incarnation());
            if known != Some(self.stored[vbucket]) {
                // The flusher's turn is still to come.
                continue;
            }
            let barrier = self.model.barrier[vbucket].unwrap_or(history.len());
            let fits = |state: &State| {
                self.keys_of(vbucket).all(|key| {
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

    /// The number of keys is right, also while keys are being taken back.
    fn check_items(&self) {
        for vbucket in self.node.map.iter() {
            let index = vbucket.id().index();
            if self.model.phase[index] == Phase::Reverting {
                let keys = self.keys_of(index);
                let items = keys.filter(|&key| self.model.state[key].is_some()).count();
                assert_eq!(vbucket.items(), items, "vbucket {index}");
            }
        }
    }

    /// At the end nothing is lost, in memory and, once it is written, in the store.
    fn check_end(&mut self) {
        for index in 0..VBUCKETS {
            if self.model.phase[index] == Phase::Open {
                let vbucket = self.vbucket(index);
                assert!(begin_revert(&[vbucket], NOW));
                self.taken_back(index);
                revert_all(&[vbucket]);
            }
        }
        for key in 0..KEYS.len() {
            assert_eq!(self.read(key), self.model.state[key], "at the end");
        }
        self.clear_stored();
        self.node.flush();
        for history in &mut self.model.history {
            history.drain(..history.len() - 1);
        }
        self.check_store();
        let items: usize = self.node.map.iter().map(Vbucket::items).sum();
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
fn execute(programs: &[&[Step]], place: Place, on_disk: bool, choices: &mut Vec<Choice>) {
    let node = Arc::new(Node::new(3, false));
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
        world.check_items();
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
fn explore(programs: &[&[Step]], place: Place, on_disk: bool) -> usize {
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
const CLIENTS: [&[Step]; 7] = [
    &[Delay, Due, Read(0), Put(1)],
    &[Put(0), Put(1), Read(0)],
    &[Remove(0), Put(0), Read(0)],
    &[Put(1), Remove(1), Read(1)],
    &[Put(0), Put(0), Remove(0)],
    &[Put(0), Undo(0), Read(0)],
    &[Put(1), Undo(1), Read(1)],
];

#[test]
#[expect(clippy::print_stdout, reason = "how much was looked at")]
fn every_interleaving_of_two_operators_a_client_and_the_flusher() {
    let mut counts = BTreeMap::new();
    for place in [[0, 0, 2], [0, 1, 2]] {
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

const REPLICA_REVERTS: &[Step] = &[MasterReverts, TakeBack(2), MasterReverted];
const FLUSHES_ALL: &[Step] = &[Put(1), FlushAll(1), FlushAll(0)];
const FLUSHED_AND_UNDONE: &[Step] = &[FlushAll(0), Undo(0), Read(0), Put(0)];
const REPLACES: &[Step] = &[Retire(1), Delete(1), Create(1), Put(1)];
/// What a client writes as soon as the new one is there stays the last change of it.
const REMAKES: &[Step] = &[Retire(1), Delete(1), Create(1)];
const PROMOTES: &[Step] = &[Retire(1), Promote(1), Put(1)];
const RESTORES: &[Step] = &[BeginRestore, Restore(1), Restore(1), EndRestore, Restore(1)];
const RESTORES_ALL: &[Step] = &[BeginRestore, Restore(0), Restore(1), Restore(1)];
const SWEEPS: &[Step] = &[LookForFlushed(1), Sweep(1)];

#[test]
#[expect(clippy::print_stdout, reason = "how much was looked at")]
fn every_interleaving_with_a_master_and_with_vbuckets_that_come_and_go() {
    let mut counts = BTreeMap::new();
    for (name, programs) in [
        (
            "REVERT, client, a replica's REVERT",
            [REVERTS, CLIENTS[0], REPLICA_REVERTS],
        ),
        (
            "REVERT, flush_all, a replica's REVERT",
            [REVERTS, FLUSHES_ALL, REPLICA_REVERTS],
        ),
        ("REVERT, deletion, flusher", [REVERTS, REPLACES, FLUSHES]),
        (
            "COMPLETE, deletion, flusher",
            [COMPLETES, REPLACES, FLUSHES],
        ),
        (
            "failing COMPLETE, deletion, flusher",
            [FAILS, REPLACES, FLUSHES],
        ),
        ("REVERT, promotion, flusher", [REVERTS, PROMOTES, FLUSHES]),
        (
            "COMPLETE, promotion, flusher",
            [COMPLETES, PROMOTES, FLUSHES],
        ),
        (
            "failing COMPLETE, promotion, flusher",
            [FAILS, PROMOTES, FLUSHES],
        ),
        ("restore, deletion, flusher", [RESTORES, REPLACES, FLUSHES]),
        ("restore, promotion, flusher", [RESTORES, PROMOTES, FLUSHES]),
        ("restore, deletion, client", [RESTORES, REMAKES, CLIENTS[3]]),
        (
            "restore, flush_all, sweep",
            [RESTORES_ALL, FLUSHES_ALL, SWEEPS],
        ),
        (
            "restore, delayed flush, flusher",
            [RESTORES_ALL, CLIENTS[0], FLUSHES],
        ),
        ("flush_all, deletion, sweep", [FLUSHES_ALL, REMAKES, SWEEPS]),
        ("REVERT, flush_all, sweep", [REVERTS, FLUSHES_ALL, SWEEPS]),
        (
            "REVERT, flush_all and UNDO, flusher",
            [REVERTS, FLUSHED_AND_UNDONE, FLUSHES],
        ),
        (
            "failing COMPLETE, flush_all and UNDO, flusher",
            [FAILS, FLUSHED_AND_UNDONE, FLUSHES],
        ),
    ] {
        *counts.entry(name).or_insert(0) += explore(&programs, [0, 1, 2], true);
    }
    let sum: usize = counts.values().sum();
    println!("{sum} schedules: {counts:#?}");
    assert!(sum > 40_000, "too few: {counts:?}");
}
