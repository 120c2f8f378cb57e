//! The whole engine against a model: clients that do everything at random, and wait until it is
//! durable, while windows open and end, the store fails, persistence stops, values are evicted,
//! limits change, the clock jumps, vbuckets change their state, the node is restarted and crashes.
//!
//! Each client owns its keys, so its model is exact (`model`). When the clients pause, the
//! invariants of docs/online-update.md are checked: 1 and 2 by reading every key, 3 by looking into
//! the store; 4 holds because every answer comes, 5 because the process is still there.
//!
//! `SOAK_OPERATIONS` says how many operations, `SOAK_SEED` repeats what all threads draw.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use client::{Client, Scene, row};
use model::{Events, Key, Row, Survivor, What};

use super::{Node, OPERATOR, id, refusal};
use crate::checkpoint::Log;
use crate::engine::{Outcome, UpdateState, VbucketError, Wanted};
use crate::error::{Error, Result};
use crate::host::Cookie;
use crate::settings::Family;
use crate::types::VbucketState;

mod chain;
mod client;
mod model;

const VBUCKETS: u16 = 4;
const ALL: u8 = (1 << VBUCKETS) - 1;
const CLIENTS: u16 = 3;
/// Operations of one client between two pauses, at most.
const PHASE_OPERATIONS: usize = 250;
const OPERATIONS: usize = 1_000_000;
/// Another operator, who comes too late.
const LATECOMER: Cookie = Cookie::new(0x2008);

/// Numbers without a pattern, the same for the same seed.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64, stream: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ stream.wrapping_mul(0xd1b5_4a32_d192_ed03))
    }

    pub(super) fn throw(&mut self, sides: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % sides
    }
}

/// What was done how often: a run in which something never happened shows nothing about it.
#[derive(Debug, Default)]
struct Tally {
    operations: usize,
    completed: usize,
    failed: usize,
    reverted: usize,
    expired: usize,
    looked: usize,
    kept: usize,
    restarts: usize,
    crashes: usize,
    crashes_in_complete: [usize; 2],
}

struct Soak {
    node: Node,
    dice: Dice,
    events: Events,
    clients: Vec<Client>,
    /// Vbuckets that are active, and those that have a window.
    active: u8,
    windows: u8,
    /// Nothing can be committed.
    failing: bool,
    stopped: bool,
    tally: Tally,
}

impl Soak {
    fn new(seed: u64) -> Self {
        Self::with(seed, "")
    }

    fn with(seed: u64, more: &str) -> Self {
        let mut dice = Dice::new(seed, 0);
        let undo = ["disk", "memory"][dice.throw(2)];
        let config = format!(
            "max_size=1t;chk_max_items=100;sync_cmd_timeout=0;online_update_undo={undo};{more}"
        );
        let node = Node::with(&config);
        if std::env::var_os("FF").is_some() {
            node.store.faults().find_failed();
        }
        (0..VBUCKETS).for_each(|id| node.activate(id));
        Self {
            node,
            dice,
            events: Events::default(),
            clients: (0..CLIENTS)
                .map(|number| Client::new(number, seed))
                .collect(),
            active: ALL,
            windows: 0,
            failing: false,
            stopped: false,
            tally: Tally::default(),
        }
    }

    fn open(&self) -> u8 {
        self.windows & self.active
    }

    /// The clients run, and commands come in between.
    fn phase(mut self) -> Self {
        self.run(|_| {});
        self.check();
        self.pause()
    }

    /// The clients run, and commands come in between; `beside` runs at the same time, on a thread
    /// of its own.
    fn run(&mut self, beside: impl FnOnce(&Scene<'_>) + Send) {
        let operations = 1 + self.dice.throw(PHASE_OPERATIONS);
        let mut clients = std::mem::take(&mut self.clients);
        let events = std::mem::take(&mut self.events);
        let total = operations * clients.len();
        let scene = Scene::new((&self.node, &events), self.active, total, self.stopped);
        let mut commander = Commander {
            scene: &scene,
            dice: &mut self.dice,
            tally: &mut self.tally,
            windows: self.windows,
            failing: self.failing,
            stopped: self.stopped,
        };
        thread::scope(|scope| {
            for client in &mut clients {
                let scene = &scene;
                scope.spawn(move || client.run(scene, operations));
            }
            scope.spawn(|| beside(&scene));
            for _ in 0..commander.dice.throw(5) {
                commander.act();
            }
        });
        let Commander {
            windows,
            failing,
            stopped,
            ..
        } = commander;
        for client in &mut clients {
            client.catch_up(&scene);
        }
        self.tally.operations += total;
        self.tally.kept += scene.kept.load(Ordering::Relaxed);
        (self.windows, self.failing, self.stopped) = (windows, failing, stopped);
        (self.clients, self.events) = (clients, events);
    }

    /// The clients read every key.
    fn read_all(&mut self) {
        let scene = Scene::new((&self.node, &self.events), self.active, 0, self.stopped);
        for client in &mut self.clients {
            client.catch_up(&scene);
        }
    }

    /// Nobody does anything: what is in memory and in the store?
    fn check(&mut self) {
        let running = !self.failing && !self.stopped;
        let exact = running && self.dice.throw(3) == 0;
        if exact {
            self.node.write();
        }
        let now = self.node.host.unix();
        let active = self.active;
        self.check_store(&self.node, |vbucket| exact && active >> vbucket & 1 == 1);
        let keys = self.clients.iter_mut().flat_map(|client| &mut client.keys);
        let known = keys.filter(|key| exact && active >> key.vbucket & 1 == 1);
        known.for_each(Key::written);
        self.look(now);
        let state = [UpdateState::Open, UpdateState::None][usize::from(self.open() == 0)];
        assert_eq!(self.node.state(), state);
        if self.active == ALL {
            let present = self.keys().filter(|key| key.row().is_some()).count();
            assert_eq!(self.node.items(), present);
        }
    }

    /// The store of a node has of every key what it may; of some vbuckets the latest of that.
    fn check_store(&self, node: &Node, exact: impl Fn(u16) -> bool) {
        let now = node.host.unix();
        let store = node.store.faults().state();
        for key in self.keys() {
            let at = (id(key.vbucket), key.name.clone().into_bytes());
            let due = store.vbuckets.get(&at.0).map_or(0, |record| record.due);
            let stored = store.items.get(&at).map(|record| Row {
                value: record.value.clone(),
                flags: record.flags,
                expiry: record.expiry,
                cas: record.cas,
                lock: 0,
            });
            let replica = !std::ptr::eq(node, &raw const self.node);
            let exact = exact(key.vbucket);
            key.check_store((stored.as_ref(), due), now, exact, replica);
        }
    }

    fn keys(&self) -> impl Iterator<Item = &Key> {
        self.clients.iter().flat_map(|client| &client.keys)
    }

    /// LOOK tells of every key that a window has touched, once, and of no other.
    fn look(&mut self, now: u32) {
        if self.open() == 0 {
            return;
        }
        let mut found = HashMap::new();
        let mut from = None;
        loop {
            let wanted = Wanted {
                vbucket: None,
                prefix: b"",
                entries: 1 + self.dice.throw(40),
                entry_bytes: 48,
                from,
            };
            let page = self.node.engine.look(OPERATOR, &wanted).unwrap().unwrap();
            for seen in page.seen {
                self.tally.looked += 1;
                let key = seen.looked.latest.key().to_vec();
                let twice = found.insert((seen.vbucket.get(), key), seen.looked);
                assert!(twice.is_none(), "{twice:?} comes twice");
            }
            from = page.next;
            if from.is_none() {
                break;
            }
        }
        let open = self.open();
        for key in self.keys() {
            let place = (key.vbucket, key.name.clone().into_bytes());
            let looked = found.remove(&place);
            if open >> key.vbucket & 1 == 1 {
                key.check_look(looked.as_ref(), now);
            } else {
                assert!(looked.is_none(), "{looked:?} of a vbucket without a window");
            }
        }
        assert!(found.is_empty(), "{found:?}");
    }

    /// What happens while no client runs.
    fn pause(mut self) -> Self {
        match self.dice.throw(24) {
            0..6 => self.node.host.advance(1 + self.dice.throw(20) as u64),
            6 => self.node.host.advance(4000),
            7..12 => self.change_state(),
            12..14 => return self.restart(),
            14 => return self.crash(),
            15..17 if self.open() != 0 => return self.crash_in_complete(),
            _ => {}
        }
        self
    }

    fn change_state(&mut self) {
        let vbucket = u16::try_from(self.dice.throw(VBUCKETS.into())).unwrap();
        let bit = 1 << vbucket;
        let engine = &self.node.engine;
        if self.active & bit != 0 && self.active.count_ones() > 1 {
            let state = [VbucketState::Replica, VbucketState::Dead][self.dice.throw(2)];
            let leave = || (true, engine.core.set_vbucket(vbucket, state).is_ok());
            let what = match state {
                VbucketState::Dead => What::Left,
                _ => What::Followed,
            };
            assert!(self.events.during(what, bit, leave));
            self.active &= !bit;
            if state == VbucketState::Dead && self.windows & bit != 0 {
                assert_eq!(
                    engine.core.delete_vbucket(vbucket),
                    Err(VbucketError::InWindow)
                );
            }
            return;
        }
        if self.active & bit != 0 {
            return;
        }
        let joins = self.open() != 0 && self.windows & bit == 0;
        let mask = if joins { bit } else { 0 };
        let activate = || match engine.core.set_vbucket(vbucket, VbucketState::Active) {
            Ok(()) => (true, true),
            Err(error) => {
                assert!(joins && error == VbucketError::CannotJoin, "{error:?}");
                (false, false)
            }
        };
        if self.events.during(What::Active, bit, activate) {
            self.events.during(What::Start, mask, || (true, ()));
            self.active |= bit;
            self.windows |= mask;
        }
    }

    fn well(&mut self) {
        self.node.store.faults().fail_commits(false);
        self.node.engine.set_persistence(true);
        (self.failing, self.stopped) = (false, false);
    }

    /// Ends in good order. A window is lost with its writes.
    fn restart(mut self) -> Self {
        self.well();
        self.tally.restarts += 1;
        self.next_second();
        self.node = self.node.restart();
        self.back(&[Survivor::None]);
        self
    }

    fn crash(mut self) -> Self {
        self.well();
        self.tally.crashes += 1;
        self.next_second();
        self.node = self.node.crash();
        self.back(&[Survivor::None]);
        self
    }

    /// The machine dies at some instant of a COMPLETE.
    fn crash_in_complete(mut self) -> Self {
        self.well();
        self.node.write();
        let (node, mask) = (&self.node, self.open());
        // Half of them before anything is committed, the others at any instant.
        node.store.hold_commits(self.dice.throw(2) == 0);
        if self.events.during(What::Accepted, mask, || {
            let begun = node
                .host
                .call(OPERATOR, || node.engine.complete_update(OPERATOR));
            (begun == Err(Error::WouldBlock), begun.is_ok())
        }) {
            return self;
        }
        for client in &mut self.clients {
            for key in &mut client.keys {
                key.catch_up(&self.events, self.events.done());
            }
        }
        for _ in 0..self.dice.throw(20) {
            thread::yield_now();
        }
        let lost = self.windows;
        self.next_second();
        self.node = self.node.crash();
        let survivors = match self.node.last_outcome() {
            "completed" => &[Survivor::All][..],
            // Another vbucket, which is not active, had a window besides.
            _ if lost != mask => &[Survivor::All, Survivor::None],
            _ => &[Survivor::None],
        };
        let survivor = self.back(survivors);
        self.tally.crashes_in_complete[survivor as usize] += 1;
        self
    }

    /// No node comes back in the nanosecond in which it went: CAS values are times.
    fn next_second(&self) {
        self.node.host.advance(1);
    }

    /// The node is back: every key is as one of the survivors says, all by the same one, and is
    /// that from now on.
    fn back(&mut self, survivors: &[Survivor]) -> Survivor {
        for vbucket in 0..VBUCKETS {
            self.node.activate(vbucket);
        }
        (self.active, self.windows) = (ALL, 0);
        let now = self.node.host.unix();
        let mut good = survivors.to_vec();
        let due = |vbucket: u16| {
            let vbucket = self.node.engine.vbucket(vbucket).unwrap();
            vbucket.with_log(Log::due)
        };
        for key in self.clients.iter_mut().flat_map(|client| &mut client.keys) {
            let found = match self.node.item_of(key.vbucket, &key.name) {
                Ok(item) => Some(row(&item)),
                Err(error) => {
                    assert_eq!(error, Error::NotFound);
                    None
                }
            };
            let found = (found.as_ref(), due(key.vbucket));
            good.retain(|survivor| key.may_survive(found, now, *survivor));
            assert!(
                !good.is_empty(),
                "{found:?} came back ({survivors:?}) of {key:#?}"
            );
            key.adopt(found, &self.events);
        }
        good[0]
    }
}

/// Sends commands while the clients run.
struct Commander<'a> {
    scene: &'a Scene<'a>,
    dice: &'a mut Dice,
    tally: &'a mut Tally,
    windows: u8,
    failing: bool,
    stopped: bool,
}

impl Commander<'_> {
    fn node(&self) -> &Node {
        self.scene.node
    }

    /// Waits until the clients have done some more, or all.
    fn linger(&mut self) {
        let done = self.scene.progress.load(Ordering::Relaxed);
        let total = self.scene.total;
        let until = total.min(done + self.dice.throw(total / 3 + 1));
        // A client that has failed does no more.
        while self.scene.progress.load(Ordering::Relaxed) < until && !self.scene.has_failed() {
            thread::yield_now();
        }
    }

    fn act(&mut self) {
        self.linger();
        let open = self.windows & self.scene.active;
        match self.dice.throw(20) {
            18..20 if open != 0 => self.expire(open),
            0..6 if open == 0 => self.start(),
            0..3 => self.complete(open),
            3..6 => self.revert(open),
            6 => {
                let flush = || (true, self.node().flush_all());
                self.scene
                    .events
                    .during(What::Flush, self.scene.active, flush);
            }
            7..9 => {
                self.failing = !self.failing && self.dice.throw(2) == 0;
                self.node().store.faults().fail_commits(self.failing);
            }
            9..11 => {
                let was = self.stopped;
                self.stopped = !self.stopped && self.dice.throw(2) == 0;
                let switches = usize::from(was != self.stopped);
                let count = || self.scene.switches.fetch_add(switches, Ordering::SeqCst);
                if self.stopped {
                    count();
                    self.node().engine.set_persistence(false);
                } else {
                    self.node().engine.set_persistence(true);
                    count();
                }
            }
            11 if !self.failing && !self.stopped => self.node().write(),
            12 => {
                let items = 100 + self.dice.throw(200);
                self.set("chk_max_items", items);
                let checkpoints = 2 + self.dice.throw(4);
                self.set("max_checkpoints", checkpoints);
                // Small ones have checkpoints written past the journal.
                let changes = [1, 10_000][self.dice.throw(2)];
                self.set("max_txn_size", changes);
            }
            16..18 => {
                // Before or after it something else may happen, as the clock jumps.
                let when = 1 + self.dice.throw(25);
                let due = self.scene.now + u32::try_from(when).unwrap();
                let (node, when) = (self.scene.node, i64::try_from(when).unwrap());
                let flush = || (true, node.engine.flush(OPERATOR, when).unwrap());
                let active = self.scene.active;
                self.scene.events.during(What::Delay(due), active, flush);
            }
            _ => {
                // Everything that is on disk may go, or nothing has to.
                let mark = [0, 1 << 40][self.dice.throw(2)];
                self.set("mem_low_wat", mark);
                self.set("mem_high_wat", mark);
            }
        }
    }

    fn set(&self, name: &str, number: usize) {
        let engine = &self.node().engine;
        let text = number.to_string();
        engine.set_parameter(Family::Flush, name, &text).unwrap();
    }

    fn start(&mut self) {
        let (node, active) = (self.scene.node, self.scene.active);
        let send = || {
            let outcome = node.start();
            // Where the store did not note it there was a window for a while.
            let was = outcome.is_ok() || refusal(&outcome).contains("could not be recorded");
            (was, (was, outcome))
        };
        let (was, outcome) = self.scene.events.during(What::Start, active, send);
        if outcome.is_ok() {
            self.windows |= active;
        } else if was {
            let ends = || (true, ());
            self.scene.events.during(What::Dissolved, active, ends);
        } else {
            // For so long that ids are not reserved.
            let words = refusal(&outcome);
            assert!(words.contains("checkpoint ids"), "{words}");
        }
    }

    /// Sends a command that is accepted, or refused for want of ids; then false.
    fn begin(&mut self, what: What, open: u8, send: impl Fn() -> Result<Outcome>) -> bool {
        let host = &self.scene.node.host;
        let begun = self.scene.events.during(what, open, || {
            let begun = host.call(OPERATOR, &send);
            (begun == Err(Error::WouldBlock), begun)
        });
        match begun {
            Err(error) => assert_eq!(error, Error::WouldBlock),
            Ok(outcome) => {
                assert!(refusal(&outcome).contains("checkpoint ids"), "{outcome:?}");
                return false;
            }
        }
        // Too late, whether the first one still runs or not; unless it fails.
        if self.failing || self.stopped {
            return true;
        }
        let engine = &self.scene.node.engine;
        for late in [
            engine.complete_update(LATECOMER),
            engine.revert_update(LATECOMER),
        ] {
            assert!(matches!(late, Ok(Err(_))), "{late:?}");
        }
        self.linger();
        true
    }

    fn complete(&mut self, open: u8) {
        let node = self.scene.node;
        if !self.begin(What::Accepted, open, || {
            node.engine.complete_update(OPERATOR)
        }) {
            return;
        }
        let outcome = node.complete();
        let what = if outcome.is_ok() {
            self.windows &= !open;
            self.tally.completed += 1;
            What::Completed
        } else {
            self.tally.failed += 1;
            What::Reopened
        };
        assert_eq!(
            outcome.is_err(),
            self.failing || self.stopped,
            "{outcome:?}"
        );
        self.scene.events.during(what, open, || (true, ()));
    }

    /// The deadline of the windows passes.
    fn expire(&mut self, open: u8) {
        let node = self.scene.node;
        let ended = || {
            let state = node.state();
            state == UpdateState::None && node.last_outcome() == "reverted at deadline"
        };
        self.scene.events.during(What::Revert, open, || {
            let core = &node.engine.core;
            {
                let _gate = core.updates.gate();
                for vbucket in node.engine.vbuckets().filter(|vb| vb.takes_commands()) {
                    vbucket.set_deadline(Some(Duration::ZERO));
                }
            }
            core.updates.signal().wake();
            node.host.until("the windows have ended", ended);
            (true, ())
        });
        self.windows &= !open;
        self.tally.expired += 1;
    }

    fn revert(&mut self, open: u8) {
        let node = self.scene.node;
        if self.begin(What::Revert, open, || node.engine.revert_update(OPERATOR)) {
            self.windows &= !open;
            self.tally.reverted += 1;
            assert_eq!(node.revert(), Ok(()));
        }
    }
}

fn setting(name: &str, otherwise: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap(),
        Err(_) => otherwise,
    }
}

#[test]
#[expect(clippy::print_stdout, reason = "the seed repeats a run")]
fn random_operations_and_windows_are_as_the_model_says() {
    let operations = usize::try_from(setting("SOAK_OPERATIONS", OPERATIONS as u64)).unwrap();
    let random = RandomState::new().hash_one(0) >> 32;
    let seed = setting("SOAK_SEED", random);
    println!("SOAK_SEED={seed} SOAK_OPERATIONS={operations}");
    let mut soak = Soak::new(seed);
    while soak.tally.operations < operations {
        soak = soak.phase();
    }
    // Or the shutdown would go on trying to write.
    soak.well();
    println!("{:?}", soak.tally);
}
