//! A master, its replica and the replica's replica under the same clients and commands as the
//! soak, while streams are cut, refused and begun anew, stores of replicas fail, values are
//! evicted, nodes are restarted and crash, vbuckets of replicas are deleted and made again, clocks
//! jump and the vbuckets move to another node of the three.
//!
//! The clients' models are those of the soak, and the node at the head is checked as there. When
//! the streams have drained every key is the same on all three nodes, a window is open on all or on
//! none, and the store of each holds what the key is, or was at START while a window is open.
//!
//! A run is made of episodes with seeds of their own. `CHAIN_OPERATIONS` says how many operations
//! there are in all; `CHAIN_SEED` repeats what all threads of one episode draw. What fails is
//! played again a few times, and the steps of the shortest failure are printed.

use std::hash::{BuildHasher, RandomState};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::thread;

use parking_lot::Mutex;

use super::client::Scene;
use super::model::{Key, What};
use super::{ALL, Dice, Soak, Tally, VBUCKETS, setting};
use crate::checkpoint::Log;
use crate::engine::VbucketError;
use crate::engine::tests::Node;
use crate::engine::tests::tap::{
    ACK, BACKFILL, CHECKPOINTS, LIST, Link, NOT_NOW, TAKEOVER, contents_of, list,
};
use crate::settings::Family;
use crate::types::VbucketState;
use crate::vbucket::Vbucket;

const OPERATIONS: usize = 100_000;
/// Phases of an episode.
const PHASES: usize = 40;
/// How often a failure is played again, to find a shorter one.
const REPEATS: u64 = 5;
/// Messages that a link remembers.
const SENT_MAX: usize = 100;

/// What a replica that connects says of the checkpoints that it has.
#[derive(Clone, Copy, Debug)]
enum Says {
    /// Which ones.
    What,
    /// That it has what the master has no more.
    Nothing,
    /// Nothing: it goes on where its name left off.
    Name,
}

impl Says {
    fn any(dice: &mut Dice) -> Self {
        [Self::What, Self::Nothing, Self::Name][dice.throw(3)]
    }

    /// After a restart its name says too much: what was acknowledged may be gone.
    fn restarted(dice: &mut Dice) -> Self {
        [Self::Nothing, Self::What][dice.throw(2)]
    }
}

/// What happened, for who reads of a failure.
type Steps = Mutex<Vec<String>>;

/// A stream between two nodes that are next to each other, and what goes wrong there.
struct Hop<'a> {
    name: &'static str,
    link: Link,
    dice: Dice,
    steps: &'a Steps,
    /// Whether the store of the replica cannot be written, and its persistence is stopped.
    failing: bool,
    stopped: bool,
}

impl Hop<'_> {
    fn note(&self, text: &str) {
        let text = format!("    {}: {text}", self.name);
        self.steps.lock().push(text);
    }

    fn connect(&mut self, src: &Node, dst: &Node, says: Says) {
        let mut claims = Vec::new();
        let mut data = 0_u64.to_be_bytes().to_vec();
        if !matches!(says, Says::Name) {
            data.extend(VBUCKETS.to_be_bytes());
            for number in 0..VBUCKETS {
                let vbucket = dst.engine.vbucket(number);
                let open = vbucket.map_or(0, |vbucket| vbucket.with_log(Log::open_id).get());
                let closed = match says {
                    Says::What => open.saturating_sub(1),
                    _ => 1 << 40,
                };
                data.extend(number.to_be_bytes());
                data.extend(closed.to_be_bytes());
                let there = src.engine.vbucket(number);
                claims.push((open, there.map_or(0, |it| it.with_log(Log::open_id).get())));
            }
        }
        self.note(&format!(
            "connects, says {says:?}; open ids here and there: {claims:?}"
        ));
        let flags = BACKFILL | ACK | CHECKPOINTS;
        self.link = Link::connect(src, self.name, flags, &data).unwrap();
    }

    fn cut(&mut self, src: &Node, dst: &Node) {
        if !self.link.closed {
            self.link.disconnect(src, Some(dst));
        }
    }

    /// Carries messages while the clients run.
    fn run(&mut self, scene: &Scene<'_>, src: &Node, dst: &Node) {
        while !scene.is_over() {
            for _ in 0..self.dice.throw(80) {
                if !self.link.step(src, Some(dst)) {
                    thread::yield_now();
                    break;
                }
            }
            self.assert_open();
            if self.dice.throw(8) == 0 {
                self.disturb(src, dst);
            }
        }
        self.link.answer_late(src);
        let old = self.link.sent.len().saturating_sub(SENT_MAX);
        self.link.sent.drain(..old);
    }

    fn assert_open(&self) {
        assert!(
            !self.link.closed,
            "{} was closed: {:#?}",
            self.name, self.link.sent
        );
    }

    /// One thing goes wrong on the way, or is done to the replica.
    fn disturb(&mut self, src: &Node, dst: &Node) {
        match self.dice.throw(12) {
            0 => {
                self.cut(src, dst);
                let says = Says::any(&mut self.dice);
                self.connect(src, dst, says);
            }
            1 => {
                let number = u16::try_from(self.dice.throw(VBUCKETS.into())).unwrap();
                self.note(&format!("loses its place in vbucket {number}"));
                let vbucket = src.engine.vbucket(number).unwrap();
                vbucket.drop_cursor(self.name.as_bytes());
            }
            2 => {
                self.note("is to begin with the whole state");
                src.engine.streams().reset_chain();
            }
            3 => {
                let codes = [
                    "opaque 4", "opaque 5", "opaque 6", "flush", "opaque 1", "opaque 8",
                ];
                let text = codes[self.dice.throw(codes.len())];
                self.link.refuse(text, NOT_NOW);
            }
            4 if self.link.answers => self.link.answers = false,
            4 => self.link.answer_late(src),
            _ => self.disturb_replica(dst),
        }
    }

    fn disturb_replica(&mut self, dst: &Node) {
        let set = |name: &str, number: usize| {
            let text = number.to_string();
            dst.engine
                .set_parameter(Family::Flush, name, &text)
                .unwrap();
        };
        match self.dice.throw(6) {
            0 => {
                self.failing = !self.failing;
                dst.store.faults().fail_commits(self.failing);
            }
            1 => {
                self.stopped = !self.stopped;
                dst.engine.set_persistence(!self.stopped);
            }
            2 if !self.failing && !self.stopped => dst.write(),
            3 => {
                set("chk_max_items", 100 + self.dice.throw(200));
                set("max_checkpoints", 2 + self.dice.throw(4));
                set("max_txn_size", [1, 10_000][self.dice.throw(2)]);
            }
            _ => {
                // Everything that is on disk may go, or nothing has to.
                let mark = [0, 1 << 40][self.dice.throw(2)];
                set("mem_low_wat", mark);
                set("mem_high_wat", mark);
            }
        }
    }

    /// Nothing is wrong with the replica any more.
    fn well(&mut self, dst: &Node) {
        dst.store.faults().fail_commits(false);
        dst.engine.set_persistence(true);
        (self.failing, self.stopped) = (false, false);
    }
}

/// A node that follows another one.
fn follower(config: &str) -> Node {
    let node = Node::with(&format!("vb0=false;{config}"));
    follow(&node);
    node
}

/// Has a node follow, whatever it was.
fn follow(node: &Node) {
    for number in 0..VBUCKETS {
        set_state(node, number, VbucketState::Replica);
    }
}

fn set_state(node: &Node, number: u16, state: VbucketState) {
    // In a window ids are reserved first, by the next commit.
    node.host.until("a vbucket is set", || {
        match node.engine.core.set_vbucket(number, state) {
            Ok(()) => true,
            Err(error) => {
                assert_eq!(error, VbucketError::CannotJoin);
                false
            }
        }
    });
}

/// Three nodes in a row. The first one is that of the soak.
struct Chain<'a> {
    soak: Soak,
    followers: Vec<Node>,
    hops: [Hop<'a>; 2],
    dice: Dice,
    steps: &'a Steps,
    tally: Moves,
}

/// What was done how often, besides what a soak does.
#[derive(Debug, Default)]
struct Moves {
    drained: usize,
    drained_in_window: usize,
    restarts: usize,
    crashes: usize,
    recreated: usize,
    takeovers: usize,
    promotions: usize,
}

impl<'a> Chain<'a> {
    fn new(seed: u64, steps: &'a Steps) -> Self {
        // Nothing is put off for a time: no clock turns while clients run.
        let soak = Soak::with(seed, "tap_backoff_period=0");
        let config = &soak.node.config;
        let followers = vec![follower(config), follower(config)];
        let hop = |name: &'static str, stream, src: &Node| Hop {
            name,
            link: Link::connect(src, name, ACK, &[]).unwrap(),
            dice: Dice::new(seed, stream),
            steps,
            failing: false,
            stopped: false,
        };
        let hops = [
            hop("upper", 1001, &soak.node),
            hop("lower", 1002, &followers[0]),
        ];
        let dice = Dice::new(seed, 1000);
        let tally = Moves::default();
        let mut chain = Self {
            soak,
            followers,
            hops,
            dice,
            steps,
            tally,
        };
        // SET_VBUCKET is answered when the store has noted it.
        chain.nodes().into_iter().for_each(Node::write);
        chain.cut();
        chain.connect(|_| Says::What);
        chain
    }

    fn note(&self, text: &str) {
        self.steps.lock().push(format!("  {text}"));
    }

    /// Open checkpoints and windows of all vbuckets.
    fn note_ids(&self) {
        for (at, node) in self.nodes().into_iter().enumerate() {
            let ids = (0..VBUCKETS).map(|number| {
                let vbucket = node.engine.vbucket(number);
                let seen = vbucket.map(|it| it.with_log(|log| (log.open_id(), log.persisted_id())));
                let [open, durable] = seen.map_or([0; 2], |(a, b)| [a.get(), b.get()]);
                let phase = vbucket.and_then(Vbucket::window_phase);
                format!("{open} durable {durable} {phase:?}")
            });
            let ids: Vec<_> = ids.collect();
            self.note(&format!("node {at}: {ids:?}"));
        }
    }

    fn nodes(&self) -> [&Node; 3] {
        [&self.soak.node, &self.followers[0], &self.followers[1]]
    }

    fn cut(&mut self) {
        self.hops[0].cut(&self.soak.node, &self.followers[0]);
        self.hops[1].cut(&self.followers[0], &self.followers[1]);
    }

    /// Connects what is not connected.
    fn connect(&mut self, says: impl Fn(&mut Dice) -> Says) {
        let ends = [
            (&self.soak.node, &self.followers[0]),
            (&self.followers[0], &self.followers[1]),
        ];
        for (hop, (src, dst)) in self.hops.iter_mut().zip(ends) {
            if hop.link.closed {
                hop.connect(src, dst, says(&mut self.dice));
            }
        }
    }

    /// Time goes on everywhere.
    fn advance(&self, seconds: u64) {
        self.nodes()
            .iter()
            .for_each(|node| node.host.advance(seconds));
    }

    fn well(&mut self) {
        self.soak.well();
        for (hop, node) in self.hops.iter_mut().zip(&self.followers) {
            hop.well(node);
        }
    }

    fn phase(mut self) -> Self {
        let (followers, [upper, lower]) = (&self.followers, &mut self.hops);
        self.soak.run(|scene| {
            thread::scope(|scope| {
                scope.spawn(|| lower.run(scene, &followers[0], &followers[1]));
                upper.run(scene, scene.node, &followers[0]);
            });
        });
        self.note_ids();
        self.soak.check();
        if self.dice.throw(2) == 0 {
            self.drain();
        }
        self.pause()
    }

    /// Every change reaches every node, and every store: all three are equal.
    fn drain(&mut self) {
        self.note("everything comes over");
        // A replica that cannot write passes no end of a window on.
        for (hop, node) in self.hops.iter_mut().zip(&self.followers) {
            hop.well(node);
        }
        self.soak.read_all();
        let [first, second, third] = [&self.soak.node, &self.followers[0], &self.followers[1]];
        let [upper, lower] = &mut self.hops;
        let ready = |node: &Node| {
            let reports = node.engine.streams().reports();
            let mut reports = reports.iter().filter(|stream| stream.connected);
            reports.all(|stream| stream.backlog == 0 && !stream.filling)
        };
        first.host.until("everything has come over", || {
            let before = upper.link.sent.len() + lower.link.sent.len();
            upper.link.pump(first, Some(second));
            lower.link.pump(second, Some(third));
            upper.assert_open();
            lower.assert_open();
            let sent = upper.link.sent.len() + lower.link.sent.len() - before;
            sent == 0 && ready(first) && ready(second)
        });
        self.tally.drained += 1;
        self.tally.drained_in_window += usize::from(self.soak.windows != 0);
        self.check_same();
        for node in &self.followers {
            node.write();
            self.soak.check_store(node, |_| true);
        }
    }

    fn check_same(&self) {
        let [first, second, third] = self.nodes();
        // Their clocks may be a second apart.
        let now = self.nodes().map(|node| node.host.unix()).into_iter().max();
        let contents = |node: &Node, number| {
            let mut contents = contents_of(node, number);
            contents.retain(|_, (_, _, expiry, _)| *expiry == 0 || Some(*expiry) > now);
            contents
        };
        for number in 0..VBUCKETS {
            let expected = contents(first, number);
            let phase = |node: &Node| node.engine.vbucket(number).unwrap().window_phase();
            for (name, node) in [("second", second), ("third", third)] {
                let found = contents(node, number);
                let keys = expected.keys().chain(found.keys());
                let wrong = keys.filter(|key| expected.get(*key) != found.get(*key));
                let wrong: Vec<String> = wrong
                    .map(|key| {
                        let (expected, found) = (expected.get(key), found.get(key));
                        format!("{key} is {found:?}, should be {expected:?}")
                    })
                    .collect();
                assert!(
                    wrong.is_empty(),
                    "vbucket {number} of the {name} node: {wrong:#?}"
                );
                assert_eq!(
                    phase(node),
                    phase(first),
                    "vbucket {number} of the {name} node"
                );
            }
        }
    }

    /// What happens while no client runs.
    fn pause(mut self) -> Self {
        match self.dice.throw(24) {
            0..4 => {
                let seconds = 1 + self.dice.throw(20) as u64;
                self.advance(seconds);
            }
            4 => self.advance(4000),
            5..8 => return self.end_master(),
            8..12 => return self.end_follower(),
            12..15 => self.recreate(),
            15..17 => self.take_over(),
            17..19 => self.promote(),
            _ => {}
        }
        self
    }

    /// The node at the head is restarted or crashes.
    fn end_master(mut self) -> Self {
        self.hops[0].cut(&self.soak.node, &self.followers[0]);
        let way = self.dice.throw(3);
        self.note(
            [
                "the master restarts",
                "the master crashes",
                "it crashes in COMPLETE",
            ][way],
        );
        self.followers.iter().for_each(|node| node.host.advance(1));
        let before = self.soak.node.host.unix();
        self.soak = match way {
            0 => self.soak.restart(),
            1 => self.soak.crash(),
            _ if self.soak.open() != 0 => self.soak.crash_in_complete(),
            _ => self.soak,
        };
        if self.soak.node.host.unix() == before {
            self.soak.node.host.advance(1);
        }
        // A flush may have come due.
        self.soak.read_all();
        self.soak.check();
        self.connect(Says::restarted);
        self
    }

    /// One of the others is restarted or crashes.
    fn end_follower(mut self) -> Self {
        let at = self.dice.throw(2);
        self.hops[at].well(&self.followers[at]);
        if at == 0 {
            self.hops[0].cut(&self.soak.node, &self.followers[0]);
        }
        self.hops[1].cut(&self.followers[0], &self.followers[1]);
        self.advance(1);
        let crashes = self.dice.throw(2) == 0;
        self.note(&format!("follower {at} goes, by a crash: {crashes}"));
        let node = self.followers.remove(at);
        let node = if crashes {
            node.crash()
        } else {
            node.restart()
        };
        let loading = &node.engine.shared().metrics.warming_up;
        node.host.until("all is loaded", || loading.get() == 0);
        // What was set last may not have been noted yet.
        follow(&node);
        self.followers.insert(at, node);
        self.note_ids();
        self.tally.restarts += usize::from(!crashes);
        self.tally.crashes += usize::from(crashes);
        self.connect(Says::restarted);
        self
    }

    /// A vbucket of a replica is deleted and made again.
    fn recreate(&mut self) {
        let at = self.dice.throw(2);
        let number = u16::try_from(self.dice.throw(VBUCKETS.into())).unwrap();
        self.note(&format!(
            "vbucket {number} of follower {at} is deleted and made"
        ));
        let node = &self.followers[at];
        set_state(node, number, VbucketState::Dead);
        let in_window = node
            .engine
            .vbucket(number)
            .unwrap()
            .window_phase()
            .is_some();
        match node.engine.core.delete_vbucket(number) {
            Ok(()) => assert!(!in_window),
            Err(error) => assert!(in_window && error == VbucketError::InWindow, "{error:?}"),
        }
        set_state(node, number, VbucketState::Replica);
        self.tally.recreated += usize::from(!in_window);
        let src = [&self.soak.node, &self.followers[0]][at];
        self.hops[at].cut(src, node);
        self.connect(Says::restarted);
    }

    /// One of the others takes all vbuckets over, whatever has come over so far.
    fn take_over(&mut self) {
        let at = self.dice.throw(2);
        self.note(&format!("follower {at} takes the vbuckets over"));
        self.well();
        self.note_ids();
        self.cut();
        // CAS values are times. What is due by now happens before.
        self.advance(1);
        self.soak.read_all();
        let (old, new) = (&self.soak.node, &self.followers[at]);
        let all: Vec<u16> = (0..VBUCKETS).collect();
        let data = [0_u64.to_be_bytes().to_vec(), list(&all)].concat();
        let flags = BACKFILL | ACK | CHECKPOINTS | LIST | TAKEOVER;
        let had: Vec<_> = all.iter().map(|at| contents_of(old, *at)).collect();
        let mut link = Link::connect(old, "taker", flags, &data).unwrap();
        link.hand_over(old, new);
        let now = new.host.unix();
        for (number, mut had) in all.into_iter().zip(had) {
            had.retain(|_, (_, _, expiry, _)| *expiry == 0 || *expiry > now);
            let has = contents_of(new, number);
            had.retain(|key, seen| has.get(key) != Some(seen));
            assert!(
                had.is_empty(),
                "not taken over: {had:?} of vbucket {number}"
            );
            let states = [old, new].map(|node| node.engine.vbucket_state(number));
            assert_eq!(
                states,
                [Some(VbucketState::Dead), Some(VbucketState::Active)]
            );
            set_state(old, number, VbucketState::Replica);
        }
        self.tally.takeovers += 1;
        self.moved(at);
    }

    /// One of the others, which has everything, is made the master.
    fn promote(&mut self) {
        let at = self.dice.throw(2);
        self.note(&format!("follower {at} is promoted"));
        self.well();
        self.advance(1);
        self.drain();
        self.cut();
        for number in 0..VBUCKETS {
            set_state(&self.soak.node, number, VbucketState::Replica);
            set_state(&self.followers[at], number, VbucketState::Active);
        }
        self.tally.promotions += 1;
        self.moved(at);
    }

    /// The vbuckets are active on that node now. The others follow it in any order.
    fn moved(&mut self, at: usize) {
        self.note_ids();
        let events = &self.soak.events;
        events.during(What::Followed, ALL, || (true, ()));
        events.during(What::Active, ALL, || (true, ()));
        let new = self.followers.remove(at);
        let old = std::mem::replace(&mut self.soak.node, new);
        let place = self.dice.throw(2);
        let now = self.soak.node.host.unix();
        self.followers.insert(place, old);
        for client in &mut self.soak.clients {
            for key in &mut client.keys {
                key.catch_up(&self.soak.events, self.soak.events.done());
                key.move_away(now);
            }
        }
        self.soak.node.write();
        self.soak.check_store(&self.soak.node, |_| true);
        for client in &mut self.soak.clients {
            client.keys.iter_mut().for_each(Key::written);
        }
        self.soak.read_all();
        self.soak.check();
        self.connect(Says::restarted);
    }
}

/// One episode.
fn play(seed: u64, steps: &Steps) -> (Tally, Moves) {
    let mut chain = Chain::new(seed, steps);
    for phase in 0..PHASES {
        steps.lock().push(format!("phase {phase}"));
        chain = chain.phase();
    }
    chain.well();
    chain.drain();
    (chain.soak.tally, chain.tally)
}

#[test]
#[expect(clippy::print_stdout, reason = "the seed repeats an episode")]
fn three_nodes_in_a_row_are_as_the_model_says() {
    let operations = setting("CHAIN_OPERATIONS", OPERATIONS as u64);
    let first = setting("CHAIN_SEED", RandomState::new().hash_one(0) >> 32);
    println!("CHAIN_SEED={first} CHAIN_OPERATIONS={operations}");
    let mut done = 0;
    for seed in first.. {
        if seed.is_multiple_of(100) {
            println!("{done} operations");
        }
        let steps = Steps::default();
        let played = catch_unwind(AssertUnwindSafe(|| play(seed, &steps)));
        let (tally, moves) = match played {
            Ok(tallies) => tallies,
            Err(panic) => {
                tell_shortest(seed, steps.into_inner());
                resume_unwind(panic);
            }
        };
        done += tally.operations as u64;
        if done >= operations {
            println!("the last episode: {tally:?} {moves:?}");
            break;
        }
    }
}

/// Plays a failed episode again, for a failure with fewer phases, and prints the steps of that.
#[expect(clippy::print_stdout, reason = "who reads of a failure needs it")]
fn tell_shortest(seed: u64, mut shortest: Vec<String>) {
    let phases = |steps: &[String]| {
        steps
            .iter()
            .filter(|step| step.starts_with("phase"))
            .count()
    };
    let repeats = setting("CHAIN_REPEATS", REPEATS);
    for _ in 0..repeats {
        let steps = Steps::default();
        let played = catch_unwind(AssertUnwindSafe(|| play(seed, &steps)));
        let steps = steps.into_inner();
        if played.is_err() && phases(&steps) < phases(&shortest) {
            shortest = steps;
        }
    }
    let phases = phases(&shortest);
    println!("CHAIN_SEED={seed} failed in phase {phases} at the earliest:");
    for step in shortest {
        println!("{step}");
    }
}
