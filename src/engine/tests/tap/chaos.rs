//! A master and a replica in the middle of a backfill while everything happens: changes, windows,
//! commits that fail or are in force and not known, messages that are refused, streams that are cut
//! or lose their place. In the end the master dies in a window, or all has to come over.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use super::{
    ACK, BACKFILL, CHECKPOINTS, LONG, Link, NOT_NOW, Node, Random, Seen, contents, evict, open_id,
    phase, replica, resume_data,
};
use crate::checkpoint::{Log, Phase};
use crate::types::CheckpointId;

struct Play {
    seed: u64,
    random: Random,
    master: Node,
    replica: Node,
    link: Link,
    acks: bool,
    /// COMPLETE is in force, and the master does not know it.
    held: bool,
    values: u64,
    /// What there was at each START, by the id of the window.
    starts: BTreeMap<u64, BTreeMap<String, Seen>>,
}

/// Behind LAST_CLOSED_CHECKPOINT.
fn connect(master: &Node, acks: bool, closed: u64) -> Link {
    let flags = BACKFILL | CHECKPOINTS | if acks { ACK } else { 0 };
    Link::connect(master, "replica", flags, &resume_data(closed)).unwrap()
}

fn chance(random: &mut Random, of: u64) -> bool {
    random.below(of) == 0
}

impl Play {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let limit = 1 + random.below(20);
        let keepalive = random.below(2) * 300;
        let master = Node::with(&format!(
            "tap_backlog_limit={limit};chk_max_items=100;tap_keepalive={keepalive}"
        ));
        let keys = || (0..60).map(|key| key.to_string());
        for key in keys() {
            master.set(0, &key, LONG);
        }
        master.write();
        keys()
            .filter(|_| !chance(&mut random, 3))
            .for_each(|key| evict(&master, &key));
        let acks = !chance(&mut random, 4);
        let mut play = Self {
            seed,
            // It has nothing, and says otherwise.
            link: connect(&master, acks, 1 << 40),
            random,
            master,
            replica: replica(),
            acks,
            held: false,
            values: 0,
            starts: BTreeMap::new(),
        };
        if !chance(&mut play.random, 3) {
            play.start();
        }
        play
    }

    fn start(&mut self) {
        if self.master.start().is_ok() {
            let id = open_id(&self.master).get();
            self.starts.insert(id, contents(&self.master));
        }
    }

    fn change(&mut self) {
        let key = self.random.below(70).to_string();
        match self.random.below(8) {
            0 => drop(self.master.remove(0, &key)),
            1 if phase(&self.master).is_none() => {
                let _refused = self.master.engine.evict(key.as_bytes(), 0);
            }
            _ => {
                self.values += 1;
                let value = format!("{} {LONG}", self.values);
                self.master.set(0, &key, &value);
                if self.acks && chance(&mut self.random, 3) {
                    self.link.refuse(&format!("set {key} {value}"), NOT_NOW);
                }
            }
        }
    }

    fn complete_fails(&self) {
        self.master.write();
        self.master.store.faults().fail_commits(true);
        self.master.complete().unwrap_err();
        self.master.store.faults().fail_commits(false);
    }

    fn complete_in_force(&mut self) {
        self.master.store.hold_after(true);
        self.master.begin_complete();
        let store = &self.master.store;
        self.master.host.until("in force", || store.held() > 0);
        self.held = true;
    }

    fn hear_of_it(&mut self) {
        if std::mem::take(&mut self.held) {
            self.master.store.hold_after(false);
            self.master.complete().unwrap();
        }
    }

    fn connect_anew(&mut self) {
        self.link.disconnect(&self.master, Some(&self.replica));
        if chance(&mut self.random, 2) {
            self.replica.write();
        }
        let vbucket = self.replica.engine.vbucket(0).unwrap();
        let closed = vbucket.with_log(Log::last_closed);
        self.link = connect(&self.master, self.acks, closed);
    }

    fn turn(&mut self) {
        let open = !self.held && phase(&self.master) == Some(Phase::Open);
        match self.random.below(40) {
            0..=5 => (0..self.random.below(6)).for_each(|_| self.change()),
            6 if chance(&mut self.random, 4) => self.master.flush_all(),
            7 | 8 if !self.held && !open => self.start(),
            9 | 10 if open => self.master.complete().unwrap(),
            11 if open => {
                self.master.revert().unwrap();
                // What is changed from now on is no part of a state that is being sent, and comes
                // behind it: who has that window still may lack such keys.
                self.starts.clear();
            }
            12 if open => self.complete_fails(),
            13 if open => self.complete_in_force(),
            14 | 15 => self.hear_of_it(),
            16 if !self.held => {
                self.master.write();
                self.replica.write();
            }
            17 if self.acks => {
                let code = [1, 4, 5, 6, 8][usize::try_from(self.random.below(5)).unwrap()];
                self.link.refuse(&format!("opaque {code}"), NOT_NOW);
            }
            18 => self.master.host.advance(6),
            19 if chance(&mut self.random, 3) => {
                let vbucket = self.master.engine.vbucket(0).unwrap();
                vbucket.drop_cursor(b"replica");
            }
            20 if chance(&mut self.random, 3) => self.connect_anew(),
            _ => {
                for _ in 0..self.random.below(12) {
                    self.link.step(&self.master, Some(&self.replica));
                }
                // The thread that fills has its turn.
                sleep(Duration::from_micros(300));
            }
        }
    }

    /// The id of the window that the replica has, if it is to be whole then.
    fn window(&self) -> Option<u64> {
        let vbucket = self.replica.engine.vbucket(0).unwrap();
        let whole = phase(&self.replica) == Some(Phase::Open) && !vbucket.is_receiving();
        let id = vbucket.with_log(Log::window_id).filter(|_| whole);
        id.map(CheckpointId::get)
            .filter(|id| self.starts.contains_key(id))
    }

    /// The replica takes over and goes back to START.
    fn promote(mut self, id: u64) {
        self.hear_of_it();
        self.link.disconnect(&self.master, Some(&self.replica));
        self.replica.activate(0);
        self.replica.revert().unwrap();
        assert_eq!(contents(&self.replica), self.starts[&id], "{}", self.seed);
    }

    fn come_over(mut self) {
        self.hear_of_it();
        if phase(&self.master).is_some() {
            let completes = chance(&mut self.random, 2);
            self.master.decide(completes).unwrap();
        }
        let host = Arc::clone(&self.master.host);
        host.until("all has come over", || {
            host.advance(6);
            if self.link.closed {
                self.connect_anew();
            }
            self.link.pump(&self.master, Some(&self.replica));
            phase(&self.replica).is_none() && contents(&self.master) == contents(&self.replica)
        });
    }
}

/// Whether the master died.
fn played(seed: u64) -> bool {
    let mut play = Play::new(seed);
    for _ in 0..400 {
        play.turn();
        let dies = chance(&mut play.random, 20);
        if let Some(id) = play.window().filter(|_| dies) {
            play.promote(id);
            return true;
        }
    }
    play.come_over();
    false
}

#[test]
fn what_comes_between_loses_nothing_of_a_backfill() {
    let died = (1..=40).filter(|&seed| played(seed)).count();
    assert!(died > 5, "{died}");
}
