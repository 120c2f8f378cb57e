//! A client: one operation after the other on keys of its own, each answer held against the model.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use super::model::{Events, Key, Op, Reason, Reply, Row};
use super::{Dice, VBUCKETS};
use crate::engine::tests::Node;
use crate::engine::{Asked, Conditions, SyncEvent, UndoError};
use crate::error::{Error, Result};
use crate::host::Cookie;
use crate::item::Item;
use crate::types::{Arithmetic, StoreOp};

/// Keys of each client.
const KEYS: usize = 32;
/// Values do not grow beyond this.
const VALUE_BYTES_MAX: usize = 300;
/// A value that is worth evicting.
const LONG: &str = "a value that is longer than eight bytes";

/// What holds while clients run.
pub(super) struct Scene<'a> {
    pub(super) node: &'a Node,
    pub(super) events: &'a Events,
    /// The vbuckets that are active, a bit each.
    pub(super) active: u8,
    /// Unix seconds.
    pub(super) now: u32,
    /// Operations of all clients, until the next pause and so far.
    pub(super) total: usize,
    pub(super) progress: AtomicUsize,
    /// How often persistence was stopped or started; it runs at even numbers.
    pub(super) switches: AtomicUsize,
    /// Versions that are durable, as a client was told.
    pub(super) kept: AtomicUsize,
    /// A client has met an answer that is wrong, and has ended.
    pub(super) failed: AtomicBool,
}

impl<'a> Scene<'a> {
    /// What begins now.
    pub(super) fn new(
        (node, events): (&'a Node, &'a Events),
        active: u8,
        total: usize,
        stopped: bool,
    ) -> Self {
        let now = node.host.unix();
        events.set_now(now);
        Self {
            node,
            events,
            active,
            now,
            total,
            progress: AtomicUsize::new(0),
            switches: AtomicUsize::new(stopped.into()),
            kept: AtomicUsize::new(0),
            failed: AtomicBool::new(false),
        }
    }

    pub(super) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// Whether the clients are through.
    pub(super) fn is_over(&self) -> bool {
        self.has_failed() || self.progress.load(Ordering::Relaxed) >= self.total
    }
}

/// Says so when a client ends by a panic.
struct Watch<'a>(&'a AtomicBool);

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}

/// One client.
pub(super) struct Client {
    cookie: Cookie,
    dice: Dice,
    pub(super) keys: Vec<Key>,
    written: usize,
}

impl Client {
    pub(super) fn new(number: u16, seed: u64) -> Self {
        let keys = (0..KEYS).map(|key| {
            let vbucket = u16::try_from(key).unwrap() % VBUCKETS;
            Key::new(format!("{number}:{key}"), vbucket)
        });
        Self {
            cookie: Cookie::new(0x3000 + usize::from(number)),
            dice: Dice::new(seed, u64::from(number) + 1),
            keys: keys.collect(),
            written: 0,
        }
    }

    pub(super) fn run(&mut self, scene: &Scene<'_>, operations: usize) {
        let _watch = Watch(&scene.failed);
        for _ in 0..operations {
            let index = self.dice.throw(KEYS);
            let op = self.choose(index, scene.now);
            self.perform(scene, index, &op);
            scene.progress.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Reads every key, after all events.
    pub(super) fn catch_up(&mut self, scene: &Scene<'_>) {
        for index in 0..self.keys.len() {
            self.perform(scene, index, &Op::Get);
        }
        for key in &mut self.keys {
            key.catch_up(scene.events, scene.events.done());
        }
    }

    fn perform(&mut self, scene: &Scene<'_>, index: usize, op: &Op) {
        let done = scene.events.done();
        let key = &self.keys[index];
        let reply = self.call(scene, key, op).unwrap_or_else(Reply::Refused);
        let begun = scene.events.begun();
        if scene.active >> key.vbucket & 1 == 0 {
            let error = match op {
                Op::Before | Op::Undo(_) => {
                    let elsewhere = [
                        Reply::Was(Err(Reason::NotHere)),
                        Reply::Undone(Err(Reason::NotHere)),
                    ];
                    assert!(elsewhere.contains(&reply), "{reply:?}");
                    return;
                }
                Op::Sync => {
                    assert_eq!(reply, Reply::Synced(Some(SyncEvent::Absent)));
                    return;
                }
                Op::Lock(_) => Error::Temporary,
                Op::Unlock(_) => Error::NotFound,
                _ => Error::NotMyVbucket,
            };
            assert_eq!(reply, Reply::Refused(error), "{op:?}");
            return;
        }
        let kept = [Reply::Synced(Some(SyncEvent::Persisted))].contains(&reply)
            || matches!(reply, Reply::Kept(_, true));
        scene.kept.fetch_add(kept.into(), Ordering::Relaxed);
        let key = &mut self.keys[index];
        key.learn(scene.events, (done, begun), (op, &reply), scene.now);
    }

    fn value(&mut self, index: usize) -> Vec<u8> {
        self.written += 1;
        let number = self.written;
        let text = match index % 3 {
            0 => number.to_string(),
            1 => format!("{LONG} {number}"),
            _ => format!("{number:x}"),
        };
        text.into_bytes()
    }

    /// A time to live: mostly none, else one that jumps of the clock can end.
    fn expiry(&mut self, now: u32) -> u32 {
        match self.dice.throw(5) {
            0 => now + 1 + u32::try_from(self.dice.throw(60)).unwrap(),
            _ => 0,
        }
    }

    /// A CAS: the right one, or one that was or never will be.
    fn cas(&mut self, index: usize) -> u64 {
        let cas = self.keys[index].row().map_or(7, |row| row.cas);
        match self.dice.throw(4) {
            0 => cas - 1,
            _ => cas,
        }
    }

    fn choose(&mut self, index: usize, now: u32) -> Op {
        let row = Row {
            value: self.value(index),
            flags: u32::try_from(self.dice.throw(1000)).unwrap(),
            expiry: self.expiry(now),
            cas: 0,
            lock: 0,
        };
        let length = self.keys[index].row().map_or(0, |row| row.value.len());
        match self.dice.throw(72) {
            0..16 => Op::Get,
            16..30 => Op::Set(row),
            30..33 => Op::Add(row),
            33..36 => Op::Replace(row),
            36..40 => Op::Cas(Row {
                cas: self.cas(index),
                ..row
            }),
            40..44 if length > VALUE_BYTES_MAX => Op::Set(row),
            40..42 => Op::Append(row.value),
            42..44 => Op::Prepend(row.value),
            44..48 => Op::Count(Arithmetic {
                increment: self.dice.throw(2) == 0,
                create: self.dice.throw(2) == 0,
                delta: self.dice.throw(100) as u64,
                initial: self.written as u64,
                flags: 0,
                exptime: row.expiry,
            }),
            48..51 => Op::Remove(0),
            51..53 => Op::Remove(self.cas(index)),
            53..56 => Op::Touch(row.expiry),
            56..58 => Op::Lock(now + 1 + u32::try_from(self.dice.throw(15)).unwrap()),
            58..61 => Op::Unlock(self.cas(index)),
            64..66 => Op::Before,
            66..69 => Op::Undo(0),
            69 => Op::Undo(self.cas(index)),
            70 => Op::Sync,
            71 => Op::SetDurably(row),
            _ => Op::Evict,
        }
    }

    fn store(&self, scene: &Scene<'_>, key: &Key, op: StoreOp, row: &Row) -> Result<u64> {
        let (engine, name) = (&scene.node.engine, key.name.as_bytes());
        let expiry = row.expiry.saturating_sub(scene.now);
        let item = engine.allocate(name, row.value.len(), row.flags, expiry)?;
        item.fill(&row.value);
        item.set_cas(row.cas);
        let call = || engine.store(self.cookie, &item, op, key.vbucket);
        scene.node.host.finish(self.cookie, call)
    }

    /// Sets a key and waits for the answer as a host does with `sync_writes`.
    fn set_durably(&self, scene: &Scene<'_>, key: &Key, row: &Row) -> Result<Reply> {
        let (engine, host) = (&scene.node.engine, &scene.node.host);
        let before = scene.switches.load(Ordering::SeqCst);
        let cas = self.store(scene, key, StoreOp::Set, row)?;
        // An answer that is not held back says the same.
        let mut kept = Some(true);
        if engine.answer_when_written(self.cookie, key.vbucket, &|| {}) {
            kept = None;
            host.until("a write is answered", || {
                kept = host.take_answered(self.cookie);
                kept.is_some()
            });
        }
        // Who stops persistence has those answered who wait.
        let same = scene.switches.load(Ordering::SeqCst) == before;
        let runs = before.is_multiple_of(2) && same;
        Ok(Reply::Kept(cas, kept == Some(true) && runs))
    }

    fn sync(&self, scene: &Scene<'_>, key: &Key) -> Result<Reply> {
        let (engine, cookie) = (&scene.node.engine, self.cookie);
        let conditions = Conditions {
            persisted: true,
            ..Conditions::default()
        };
        let asked = Asked {
            cas: 0,
            vbucket: key.vbucket,
            key: key.name.as_bytes(),
        };
        let call = || match engine.synced(cookie)? {
            Some(synced) => Ok(synced),
            None => engine.sync(cookie, conditions, &[asked]),
        };
        let synced = scene.node.host.finish(cookie, call)?;
        Ok(Reply::Synced(synced.ok().map(|told| told[0].event)))
    }

    fn call(&self, scene: &Scene<'_>, key: &Key, op: &Op) -> Result<Reply> {
        let (engine, host) = (&scene.node.engine, &scene.node.host);
        let (cookie, vbucket, name) = (self.cookie, key.vbucket, key.name.as_bytes());
        let relative = |time: u32| time.saturating_sub(scene.now);
        let store = |op, row: &Row| self.store(scene, key, op, row).map(Reply::Cas);
        let part = |value: &[u8]| Row {
            value: value.to_vec(),
            flags: 0,
            expiry: 0,
            cas: 0,
            lock: 0,
        };
        match op {
            Op::Get => {
                let found = host.finish(cookie, || engine.get(cookie, name, vbucket));
                found.map(|item| Reply::Item(row(&item)))
            }
            Op::Set(row) => store(StoreOp::Set, row),
            Op::SetDurably(row) => self.set_durably(scene, key, row),
            Op::Sync => self.sync(scene, key),
            Op::Add(row) => store(StoreOp::Add, row),
            Op::Replace(row) => store(StoreOp::Replace, row),
            Op::Cas(row) => store(StoreOp::Cas, row),
            Op::Append(value) => store(StoreOp::Append, &part(value)),
            Op::Prepend(value) => store(StoreOp::Prepend, &part(value)),
            Op::Count(by) => {
                let by = Arithmetic {
                    exptime: relative(by.exptime),
                    ..*by
                };
                let call = || engine.arithmetic(cookie, name, &by, vbucket);
                let (number, cas) = host.finish(cookie, call)?;
                Ok(Reply::Number(number, cas))
            }
            Op::Remove(cas) => {
                let call = || engine.remove(cookie, name, *cas, vbucket);
                host.finish(cookie, call).map(|()| Reply::Done)
            }
            Op::Touch(expiry) => {
                let call = || engine.touch(cookie, name, relative(*expiry), vbucket);
                host.finish(cookie, call)
                    .map(|item| Reply::Item(row(&item)))
            }
            Op::Lock(until) => {
                let call = || engine.get_locked(cookie, name, relative(*until), vbucket);
                host.finish(cookie, call)
                    .map(|item| Reply::Item(row(&item)))
            }
            Op::Unlock(cas) => {
                let call = || engine.unlock(name, *cas, vbucket);
                host.call(cookie, call).map(|()| Reply::Done)
            }
            Op::Before => {
                let call = || engine.before(cookie, name, vbucket);
                let was = host.finish(cookie, call)?;
                let was = was.map(|was| was.as_ref().map(row));
                Ok(Reply::Was(was.map_err(|error| reason(&error))))
            }
            Op::Undo(cas) => {
                let call = || engine.undo(cookie, name, *cas, vbucket);
                let undone = host.finish(cookie, call)?;
                Ok(Reply::Undone(undone.map_err(|error| reason(&error))))
            }
            Op::Evict => host
                .call(cookie, || engine.evict(name, vbucket))
                .map(Reply::Ejection),
        }
    }
}

fn reason(error: &UndoError) -> Reason {
    match error {
        UndoError::Refused(_) => Reason::Refused,
        UndoError::NotMyVbucket => Reason::NotHere,
        UndoError::Untouched => Reason::Untouched,
        UndoError::Exists => Reason::Exists,
        UndoError::NoRoom | UndoError::Unreadable | UndoError::OtherWindow => Reason::Other,
    }
}

/// An item as a client sees it.
pub(super) fn row(item: &Item) -> Row {
    Row {
        value: item.value().to_vec(),
        flags: item.flags(),
        expiry: item.expiry(),
        cas: item.cas(),
        lock: 0,
    }
}
