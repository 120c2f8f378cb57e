//! What one key may be. Its owner is the only one who changes it, so every answer is known
//! beforehand, but for one thing: a command of online update may fall before or after an operation
//! that runs at the same time. Both are kept as *worlds* until an answer tells them apart.

use std::fmt;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use parking_lot::Mutex;

use crate::checkpoint::{Looked, Touch};
use crate::engine::SyncEvent;
use crate::error::Error;
use crate::item::Item;
use crate::types::Arithmetic;
use crate::vbucket::Ejection;

/// More worlds than this are more than the few commands can have made.
const WORLDS_MAX: usize = 200;

/// Seconds that clocks of nodes differ at most.
const CLOCKS_APART: u32 = 2;

/// A version of a key.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) value: Vec<u8>,
    pub(super) flags: u32,
    pub(super) expiry: u32,
    pub(super) cas: u64,
    /// Until when a client has locked it; 0 not.
    pub(super) lock: u32,
}

impl fmt::Debug for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.value.escape_ascii();
        let (flags, expiry, cas, lock) = (self.flags, self.expiry, self.cas, self.lock);
        write!(
            f,
            "{value} (flags {flags}, expiry {expiry}, CAS {cas}, lock {lock})"
        )
    }
}

impl Row {
    fn has_expired(&self, now: u32) -> bool {
        self.expiry != 0 && self.expiry <= now
    }

    /// As the store has it, which knows nothing of locks.
    pub(super) fn stored(&self) -> Self {
        Self {
            lock: 0,
            ..self.clone()
        }
    }
}

/// An operation on one key. Times are absolute.
#[derive(Clone, Debug)]
pub(super) enum Op {
    Get,
    Set(Row),
    Add(Row),
    Replace(Row),
    /// With the CAS of the row.
    Cas(Row),
    Append(Vec<u8>),
    Prepend(Vec<u8>),
    Count(Arithmetic),
    Remove(u64),
    Touch(u32),
    Lock(u32),
    Unlock(u64),
    Evict,
    /// BEFORE.
    Before,
    /// UNDO, with the CAS of the present version or 0.
    Undo(u64),
    /// SYNC, for persistence.
    Sync,
    /// As with `sync_writes`.
    SetDurably(Row),
}

/// Why an operator gets nothing of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// No window is open, or it is being ended.
    Refused,
    /// The vbucket is not active.
    NotHere,
    /// The window did nothing to the key.
    Untouched,
    /// Another CAS, or locked.
    Exists,
    /// None of those.
    Other,
}

/// What the engine answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    Refused(Error),
    Item(Row),
    Cas(u64),
    Number(u64, u64),
    Done,
    Ejection(Ejection),
    Was(Result<Option<Row>, Reason>),
    Undone(Result<u64, Reason>),
    /// What SYNC says; nothing if it took too long.
    Synced(Option<SyncEvent>),
    /// The CAS, and whether the version is in the store for certain.
    Kept(u64, bool),
}

/// What happened to the vbuckets of a set, all keys included.
#[derive(Clone, Copy, Debug)]
pub(super) enum What {
    /// START was accepted.
    Start,
    /// The store did not note START: the window was none.
    Dissolved,
    /// COMPLETE was accepted.
    Accepted,
    /// COMPLETE is durable.
    Completed,
    /// COMPLETE failed.
    Reopened,
    /// REVERT was accepted.
    Revert,
    /// `flush_all`.
    Flush,
    /// One that is due then, instead of the one that waits.
    Delay(u32),
    /// The vbucket is dead: it keeps what is due.
    Left,
    /// The vbucket follows a master, who alone says when it is flushed.
    Followed,
    /// The vbucket is active again.
    Active,
}

/// An event, and the set of vbuckets, a bit each.
#[derive(Clone, Copy, Debug)]
pub(super) struct Event {
    what: What,
    vbuckets: u8,
    /// When, in Unix seconds.
    now: u32,
}

/// The events so far, in order.
#[derive(Debug, Default)]
pub(super) struct Events {
    list: Mutex<Vec<Event>>,
    begun: AtomicUsize,
    done: AtomicUsize,
    /// Unix seconds, which go on only while nothing happens.
    now: AtomicU32,
}

impl Events {
    /// What happens from now on happens at that time.
    pub(super) fn set_now(&self, now: u32) {
        self.now.store(now, Ordering::SeqCst);
    }

    /// An event happens while `act` runs, which says whether it did.
    pub(super) fn during<T>(&self, what: What, vbuckets: u8, act: impl FnOnce() -> (bool, T)) -> T {
        let now = self.now.load(Ordering::SeqCst);
        let event = Event {
            what,
            vbuckets,
            now,
        };
        self.list.lock().push(event);
        self.begun.fetch_add(1, Ordering::SeqCst);
        let (happened, result) = act();
        if !happened && let Some(event) = self.list.lock().last_mut() {
            event.vbuckets = 0;
        }
        self.done.fetch_add(1, Ordering::SeqCst);
        result
    }

    pub(super) fn done(&self) -> usize {
        self.done.load(Ordering::SeqCst)
    }

    pub(super) fn begun(&self) -> usize {
        self.begun.load(Ordering::SeqCst)
    }

    fn get(&self, index: usize) -> Event {
        self.list.lock()[index]
    }
}

/// The window as one key sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Window {
    at_start: Option<Row>,
    /// When that was.
    started: u32,
    /// Whether there was a `flush_all` in it.
    flushed: bool,
    /// When a delayed flush was due at START; 0 none.
    due: u32,
    touched: bool,
    /// By more than that it expired, which nobody may have noticed, or somebody before START.
    changed: bool,
    /// Number of states that the store may have.
    barrier: usize,
    /// The same once COMPLETE is accepted.
    accepted: Option<usize>,
}

/// What the store may have of a key and of its vbucket at one instant.
#[derive(Clone, Debug, PartialEq, Eq)]
struct State {
    row: Option<Row>,
    /// When a delayed flush is due; 0 none.
    due: u32,
    /// That was made void before the store had the state, or after it.
    is_void: bool,
}

impl State {
    fn new(row: Option<Row>, due: u32) -> Self {
        Self {
            row,
            due,
            is_void: false,
        }
    }

    /// Whether a node that starts with it has `found`, a row and what is due.
    fn is(&self, found: &(Option<Row>, u32), now: u32) -> bool {
        self.seen(self.due, now) == *found || self.is_void && self.seen(0, now) == *found
    }

    /// What a node makes of that which starts with it.
    fn seen(&self, due: u32, now: u32) -> (Option<Row>, u32) {
        if has_come(due, now) {
            return (None, 0);
        }
        let row = self.row.as_ref().filter(|row| !row.has_expired(now));
        (row.map(Row::stored), due)
    }
}

fn has_come(due: u32, now: u32) -> bool {
    due != 0 && due <= now
}

impl Window {
    /// What the key was at START.
    fn was(&self) -> Option<&Row> {
        let at_start = self.at_start.as_ref();
        at_start.filter(|row| !row.has_expired(self.started))
    }

    /// Whether the key was there at START and had expired: somebody may have noticed that in the
    /// window, also before a `flush_all`, and touched the key so.
    fn had_expired(&self) -> bool {
        self.at_start.is_some() && self.was().is_none()
    }

    /// Whether it did something to the key.
    fn is_changed(&self) -> bool {
        self.changed || self.flushed && self.was().is_some()
    }
}

/// One thing that a key may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct World {
    row: Option<Row>,
    /// When a delayed flush is due; 0 none.
    due: u32,
    /// Whether the vbucket is: no other one is flushed when that is due.
    active: bool,
    window: Option<Window>,
    /// What the key was since it is known what the store has, that included; the latest last.
    states: Vec<State>,
    /// Number of events that have happened.
    events: usize,
}

impl World {
    fn note(&mut self) {
        self.states.push(State::new(self.row.clone(), self.due));
    }

    fn put(&mut self, row: Option<Row>) {
        self.row = row;
        self.note();
        if let Some(window) = &mut self.window {
            (window.touched, window.changed) = (true, true);
        }
    }

    /// No version takes the place of what goes: it may come back locked.
    fn flush(&mut self) {
        (self.row, self.due) = (None, 0);
        self.note();
        if let Some(window) = &mut self.window {
            window.flushed = true;
        }
    }

    /// What is due is carried out before anything else.
    fn flush_if_due(&mut self, now: u32) {
        if self.active && has_come(self.due, now) {
            self.flush();
        }
    }

    /// An operation meets the key: if it has expired, that is when it goes.
    fn meet(&mut self, now: u32) {
        self.flush_if_due(now);
        if self.has_expired(now) {
            let changed = self.window.as_ref().is_some_and(|window| window.changed);
            self.put(None);
            if let Some(window) = &mut self.window {
                window.changed = changed;
            }
        }
    }

    fn has_expired(&self, now: u32) -> bool {
        self.row.as_ref().is_some_and(|row| row.has_expired(now))
    }

    /// A lock ends when the vbucket is not active any more.
    fn leave(&mut self) {
        self.active = false;
        let at_start = self.window.as_mut().map(|window| &mut window.at_start);
        for row in at_start.into_iter().chain([&mut self.row]).flatten() {
            row.lock = 0;
        }
    }

    /// Nothing is due any more, nor when the window is taken back, nor with what is not written.
    fn follow(&mut self) {
        self.due = 0;
        for state in &mut self.states {
            state.is_void = true;
        }
        if let Some(window) = &mut self.window {
            window.due = 0;
            let row = self.states[window.barrier - 1].row.clone();
            self.states.insert(window.barrier, State::new(row, 0));
            window.barrier += 1;
        }
        self.note();
    }

    fn revert(&mut self, now: u32) {
        let Some(window) = self.window.take() else {
            return;
        };
        self.states.truncate(window.barrier);
        self.row = window.at_start;
        if let Some(row) = self.row.as_mut().filter(|_| window.touched) {
            // A lock is of a version, and that one was replaced.
            row.lock = 0;
        }
        // What came due in the window was taken back with it.
        let has_come = has_come(window.due, now);
        self.due = if has_come { 0 } else { window.due };
        self.note();
    }

    fn happen(&mut self, event: Event, vbucket: u16) {
        self.events += 1;
        if event.vbuckets >> vbucket & 1 == 0 {
            return;
        }
        self.flush_if_due(event.now);
        match event.what {
            What::Start => {
                self.window = Some(Window {
                    at_start: self.row.clone(),
                    started: event.now,
                    flushed: false,
                    due: self.due,
                    touched: false,
                    changed: false,
                    barrier: self.states.len(),
                    accepted: None,
                });
            }
            What::Dissolved => self.window = None,
            What::Accepted => {
                let count = self.states.len();
                if let Some(window) = &mut self.window {
                    window.accepted = Some(count);
                }
            }
            What::Completed => {
                if let Some(count) = self.window.take().and_then(|window| window.accepted) {
                    self.states.drain(..count - 1);
                }
            }
            What::Reopened => {
                if let Some(window) = &mut self.window {
                    window.accepted = None;
                }
            }
            What::Revert => self.revert(event.now),
            What::Flush => self.flush(),
            What::Delay(due) => {
                self.due = due;
                self.note();
            }
            What::Left => self.leave(),
            What::Followed => {
                self.leave();
                self.follow();
            }
            What::Active => self.active = true,
        }
    }

    /// The version with that CAS is in the store. False if it cannot be; while a COMPLETE runs that
    /// may be through, though nobody has been told yet.
    fn keep(&mut self, cas: u64) -> bool {
        let storable = self.storable();
        let same = |state: &&State| state.row.as_ref().is_some_and(|row| row.cas == cas);
        let run = storable.iter().rev().take_while(same).count();
        if run == 0 {
            let window = self.window.as_ref();
            return window.is_some_and(|window| window.accepted.is_some());
        }
        let before = storable.len() - run;
        self.states.drain(..before);
        if let Some(window) = &mut self.window {
            window.barrier -= before;
            window.accepted = window.accepted.map(|count| count - before);
        }
        true
    }

    /// Whether the latest version is one that an open window holds back.
    fn is_held_back(&self) -> bool {
        let held =
            |window: &Window| window.accepted.is_none() && self.states.len() > window.barrier;
        self.window.as_ref().is_some_and(held)
    }

    /// Whether SYNC may say that of the key, which it looks at twice.
    fn may_sync(&mut self, event: Option<SyncEvent>, calm: bool) -> bool {
        let cas = self.row.as_ref().map(|row| row.cas);
        match (event, cas) {
            (Some(SyncEvent::Persisted), cas) => cas.is_some_and(|cas| self.keep(cas)),
            _ if !calm => true,
            (Some(event), cas) => event == SyncEvent::Absent && cas.is_none(),
            (None, cas) => cas.is_some(),
        }
    }

    fn lock_of(&self, now: u32) -> Option<u64> {
        let row = self.row.as_ref().filter(|row| row.lock > now);
        row.map(|row| row.cas)
    }

    fn seen(&self, now: u32) -> Result<Row, Error> {
        let row = self.row.as_ref().ok_or(Error::NotFound)?;
        let cas = if self.lock_of(now).is_some() {
            u64::MAX
        } else {
            row.cas
        };
        Ok(Row {
            cas,
            ..row.stored()
        })
    }

    /// Whether the engine may answer that; if so, what follows from it. `calm` says that no command
    /// ran at the same time.
    fn apply(&mut self, op: &Op, reply: &Reply, now: u32, calm: bool) -> bool {
        if let Op::Before | Op::Undo(_) = op {
            self.flush_if_due(now);
            return self.look_back(op, reply, now);
        }
        self.meet(now);
        let expected = match op {
            Op::Get => self.seen(now).map(Reply::Item),
            Op::Evict => {
                let absent = *reply == Reply::Ejection(Ejection::Absent);
                return matches!(reply, Reply::Ejection(_)) && absent == self.row.is_none();
            }
            Op::Unlock(cas) => self.unlock(*cas, now),
            Op::Remove(cas) => self.remove(*cas, now),
            Op::Touch(expiry) => return self.touch(*expiry, reply, now, calm),
            Op::Sync => return matches!(reply, Reply::Synced(event) if self.may_sync(*event, calm)),
            _ => self.make(op, now).map(|mut row| {
                // The CAS of a new version is what the engine says it is.
                row.cas = match reply {
                    Reply::Cas(cas) | Reply::Number(_, cas) | Reply::Kept(cas, _) => *cas,
                    Reply::Item(found) => found.cas,
                    _ => 0,
                };
                let expected = match op {
                    Op::Lock(_) => Reply::Item(row.stored()),
                    Op::Count(_) => Reply::Number(number(&row.value).unwrap(), row.cas),
                    Op::SetDurably(_) => {
                        Reply::Kept(row.cas, matches!(reply, Reply::Kept(_, true)))
                    }
                    _ => Reply::Cas(row.cas),
                };
                self.put(Some(row));
                expected
            }),
        };
        let kept = match *reply {
            Reply::Kept(cas, true) if calm => self.is_held_back() || self.keep(cas),
            _ => true,
        };
        kept && expected.unwrap_or_else(Reply::Refused) == *reply
    }

    /// BEFORE and UNDO. That they are refused is always right, because nobody tells the clients
    /// when a window has ended or is open again after all; it changes nothing.
    fn look_back(&mut self, op: &Op, reply: &Reply, now: u32) -> bool {
        if let Reply::Was(Err(Reason::Refused)) | Reply::Undone(Err(Reason::Refused)) = reply {
            return true;
        }
        let Some(window) = &self.window else {
            return false;
        };
        let untouched = [
            Reply::Was(Err(Reason::Untouched)),
            Reply::Undone(Err(Reason::Untouched)),
        ];
        let untouched = untouched.contains(reply);
        let may_be_touched = window.touched || window.had_expired() || self.has_expired(now);
        if !window.is_changed() && (untouched || !may_be_touched) {
            return untouched;
        }
        let was = window.was().map(Row::stored);
        let Op::Undo(cas) = *op else {
            return *reply == Reply::Was(Ok(was));
        };
        self.meet(now);
        let other = |row: &Row| row.cas != cas && (cas != 0 || row.lock > now);
        if self.row.as_ref().map_or(cas != 0, other) {
            return *reply == Reply::Undone(Err(Reason::Exists));
        }
        let Reply::Undone(Ok(cas)) = *reply else {
            return false;
        };
        let new = was.filter(|was| !was.has_expired(now));
        let new = new.map(|was| Row { cas, ..was });
        let fits = new.is_some() == (cas != 0);
        if new.is_some() || self.row.is_some() {
            self.put(new);
        }
        fits
    }

    /// Whether LOOK may say that of the key: what happened, and the versions of then and now.
    fn may_look(&self, found: Option<&Looked>, now: u32) -> bool {
        let window = self.window.as_ref();
        let window =
            window.filter(|window| window.touched || window.had_expired() || window.is_changed());
        let (Some(window), Some(found)) = (window, found) else {
            return found.is_none() && window.is_none_or(|window| !window.is_changed());
        };
        let new = self.row.as_ref().filter(|row| !row.has_expired(now));
        let same = |row: Option<&Row>, item: Option<&Item>| match (row, item) {
            (None, None) => true,
            (Some(row), Some(item)) => {
                let about = (row.value.len(), row.flags, row.expiry, row.cas);
                about == (item.nbytes(), item.flags(), item.expiry(), item.cas())
            }
            _ => false,
        };
        let touch = match (window.was().is_some(), new.is_some()) {
            (false, true) => Touch::Added,
            (true, true) => Touch::Updated,
            (true, false) => Touch::Deleted,
            (false, false) => Touch::Vanished,
        };
        found.touch == touch
            && same(window.was(), found.old.as_ref())
            && same(new, found.new.as_ref())
    }

    fn unlock(&mut self, cas: u64, now: u32) -> Result<Reply, Error> {
        let locked = self.lock_of(now);
        let row = self.row.as_mut().ok_or(Error::NotFound)?;
        if locked != Some(cas) {
            return Err(Error::Temporary);
        }
        row.lock = 0;
        if let Some(window) = self.window.as_mut().filter(|window| !window.touched)
            && let Some(row) = &mut window.at_start
        {
            row.lock = 0;
        }
        Ok(Reply::Done)
    }

    fn remove(&mut self, cas: u64, now: u32) -> Result<Reply, Error> {
        if cas == 0 && self.lock_of(now).is_some() {
            return Err(Error::Temporary);
        }
        let row = self.row.as_ref().ok_or(Error::NotFound)?;
        if cas != 0 && cas != row.cas {
            return Err(Error::Exists);
        }
        self.put(None);
        Ok(Reply::Done)
    }

    fn touch(&mut self, expiry: u32, reply: &Reply, now: u32, calm: bool) -> bool {
        let Some(row) = self.row.clone() else {
            return *reply == Reply::Refused(Error::NotFound);
        };
        self.put(Some(Row { expiry, ..row }));
        let Reply::Item(found) = reply else {
            return false;
        };
        self.row.as_ref().map(Row::stored).as_ref() == Some(found)
            && (!calm || self.lock_of(now).is_none())
            || self.seen(now).as_ref() == Ok(found)
    }

    /// The version that an operation makes, without its CAS.
    fn make(&self, op: &Op, now: u32) -> Result<Row, Error> {
        let lock = self.lock_of(now);
        let present = self.row.clone();
        let old = || present.clone().ok_or(Error::NotFound);
        let none = |locked: Error| match lock {
            Some(_) => Err(locked),
            None => Ok(()),
        };
        match op {
            Op::Set(row) | Op::SetDurably(row) => none(Error::Exists).map(|()| row.clone()),
            Op::Add(_) if present.is_some() => Err(Error::NotStored),
            Op::Add(row) => Ok(row.clone()),
            Op::Replace(row) => {
                none(Error::Exists)?;
                present.map(|_| row.clone()).ok_or(Error::NotStored)
            }
            Op::Cas(row) if old()?.cas == row.cas => Ok(row.clone()),
            Op::Cas(_) => Err(Error::Exists),
            Op::Append(value) | Op::Prepend(value) => {
                let old = present.ok_or(Error::NotStored)?;
                none(Error::Temporary)?;
                let parts = match op {
                    Op::Append(_) => [old.value, value.clone()],
                    _ => [value.clone(), old.value],
                };
                Ok(Row {
                    value: parts.concat(),
                    lock: 0,
                    ..old
                })
            }
            Op::Count(by) => {
                none(Error::Temporary)?;
                count(present, by)
            }
            Op::Lock(until) => {
                let old = old()?;
                none(Error::Temporary)?;
                Ok(Row {
                    lock: *until,
                    ..old
                })
            }
            _ => Err(Error::Invalid),
        }
    }

    /// What the store may have: before COMPLETE nothing of the window.
    fn storable(&self) -> &[State] {
        let all = self.states.len();
        let barrier = self.window.as_ref().map_or(all, |window| window.barrier);
        &self.states[..barrier]
    }
}

fn count(old: Option<Row>, by: &Arithmetic) -> Result<Row, Error> {
    let Some(old) = old else {
        let value = by.initial.to_string().into_bytes();
        let created = Row {
            value,
            flags: 0,
            expiry: by.exptime,
            cas: 0,
            lock: 0,
        };
        return if by.create {
            Ok(created)
        } else {
            Err(Error::NotFound)
        };
    };
    let number = number(&old.value).ok_or(Error::NotNumeric)?;
    let number = if by.increment {
        number.wrapping_add(by.delta)
    } else {
        number.saturating_sub(by.delta)
    };
    let value = number.to_string().into_bytes();
    Ok(Row {
        value,
        lock: 0,
        ..old
    })
}

pub(super) fn number(value: &[u8]) -> Option<u64> {
    let digits = value.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(value).ok().filter(|_| digits)?;
    text.parse().ok()
}

/// How a store was found after a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Survivor {
    /// Nothing of the window.
    None,
    /// All of the window that COMPLETE was accepted for.
    All,
}

/// A key and all that it may be.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) name: String,
    pub(super) vbucket: u16,
    worlds: Vec<World>,
    cas_max: u64,
}

impl Key {
    pub(super) fn new(name: String, vbucket: u16) -> Self {
        let world = World {
            row: None,
            due: 0,
            active: true,
            window: None,
            states: vec![State::new(None, 0)],
            events: 0,
        };
        Self {
            name,
            vbucket,
            worlds: vec![world],
            cas_max: 0,
        }
    }

    /// What it may be now.
    pub(super) fn row(&self) -> Option<&Row> {
        self.worlds[0].row.as_ref()
    }

    /// Every event up to that one has happened.
    pub(super) fn catch_up(&mut self, events: &Events, upto: usize) {
        let vbucket = self.vbucket;
        for world in &mut self.worlds {
            while world.events < upto {
                world.happen(events.get(world.events), vbucket);
            }
        }
        if self.worlds.len() > 1 {
            let mut known: Vec<World> = Vec::new();
            for world in std::mem::take(&mut self.worlds) {
                if !known.contains(&world) {
                    known.push(world);
                }
            }
            self.worlds = known;
        }
        assert!(self.worlds.len() <= WORLDS_MAX, "{}", self.name);
    }

    /// An operation was answered; `events` of them were done when it began and when it ended.
    pub(super) fn learn(
        &mut self,
        events: &Events,
        (done, begun): (usize, usize),
        (op, reply): (&Op, &Reply),
        now: u32,
    ) {
        self.catch_up(events, done);
        let vbucket = self.vbucket;
        let mut worlds = Vec::new();
        for world in &mut self.worlds {
            while world.events < begun {
                let mut other = world.clone();
                if other.apply(op, reply, now, false) {
                    worlds.push(other);
                }
                world.happen(events.get(world.events), vbucket);
            }
        }
        let calm = done == begun;
        let fits: Vec<bool> = (self.worlds.iter_mut())
            .map(|world| world.apply(op, reply, now, calm))
            .collect();
        assert!(
            !worlds.is_empty() || fits.contains(&true),
            "{} of vbucket {vbucket} at {now}: {op:?} was answered with {reply:?}; with the answer \
             that is right it would be one of {:#?}",
            self.name,
            self.worlds
        );
        let mut fits = fits.into_iter();
        self.worlds.retain(|_| fits.next() == Some(true));
        self.worlds.append(&mut worlds);
        let cas = match (op, reply) {
            (Op::Lock(_), Reply::Item(row)) => row.cas,
            (_, Reply::Undone(Ok(0))) => return,
            (
                _,
                Reply::Cas(cas)
                | Reply::Number(_, cas)
                | Reply::Undone(Ok(cas))
                | Reply::Kept(cas, _),
            ) => *cas,
            _ => return,
        };
        assert!(
            cas > self.cas_max,
            "{op:?} gave {} the CAS {cas}, which is not above {}: {:#?}",
            self.name,
            self.cas_max,
            self.worlds
        );
        self.cas_max = cas;
    }

    /// What the store has of it, and of what is due, is a state that it was in, and nothing of an
    /// open window; `exact`: the latest of those. A replica is told of no flush that is due later.
    pub(super) fn check_store(&self, stored: Found<'_>, now: u32, exact: bool, replica: bool) {
        let (row, due) = (stored.0.cloned(), stored.1);
        let due = if replica { 0 } else { due };
        let stored = State::new(row, due).seen(due, now);
        let good = self.worlds.iter().any(|world| {
            let states = world.storable();
            let first = if exact { states.len() - 1 } else { 0 };
            let same =
                |state: &State| state.is(&stored, now) || replica && state.seen(0, now) == stored;
            states[first..].iter().any(same)
        });
        assert!(
            good,
            "the store has {stored:?} of {} of vbucket {}; {:#?}",
            self.name, self.vbucket, self.worlds
        );
    }

    /// What LOOK says of it while nobody changes anything.
    pub(super) fn check_look(&self, found: Option<&Looked>, now: u32) {
        let fits = self.worlds.iter().any(|world| world.may_look(found, now));
        assert!(fits, "LOOK says {found:?} of {self:#?} at {now}");
    }

    /// Everything that may be written has been.
    pub(super) fn written(&mut self) {
        for world in &mut self.worlds {
            let last = world.storable().len() - 1;
            world.states.drain(..last);
            if let Some(window) = &mut world.window {
                window.barrier = 1;
                window.accepted = window.accepted.map(|count| count - last);
            }
        }
    }

    /// The vbucket is active on another node now. That one may know nothing of what a window has
    /// made and deleted again before it was told, nor of what was there at START and has expired.
    /// And by its clock, when it was told of START, which may have been late, that had or had not
    /// expired yet.
    pub(super) fn move_away(&mut self, now: u32) {
        let by_another_clock = |world: &World| {
            let mut other = world.clone();
            let window = other.window.as_mut()?;
            let expiry = window.at_start.as_ref()?.expiry;
            let had_expired = window.had_expired();
            let may_differ = if had_expired {
                expiry + CLOCKS_APART >= window.started
            } else {
                expiry != 0 && expiry <= now
            };
            window.started = expiry - u32::from(had_expired);
            may_differ.then_some(other)
        };
        let others: Vec<World> = self.worlds.iter().filter_map(by_another_clock).collect();
        self.worlds.extend(others);
        let without_old = |world: &World| {
            let mut other = world.clone();
            let old = &mut other.window.as_mut()?.at_start;
            old.take_if(|row| row.has_expired(now)).map(|_| other)
        };
        let others: Vec<World> = self.worlds.iter().filter_map(without_old).collect();
        self.worlds.extend(others);
        let untouched = |world: &World| {
            let mut other = world.clone();
            let gone = other.row.is_none() || other.has_expired(now);
            let window = other.window.as_mut()?;
            let untouched = gone && window.was().is_none() && window.touched;
            (window.touched, window.changed) = (false, false);
            if other.row.take().is_some() {
                other.note();
            }
            untouched.then_some(other)
        };
        let others: Vec<World> = self.worlds.iter().filter_map(untouched).collect();
        self.worlds.extend(others);
    }

    /// Whether the key may be that, and a flush be due then, on a node that is back after a crash.
    pub(super) fn may_survive(&self, found: Found<'_>, now: u32, survivor: Survivor) -> bool {
        let (row, due) = found;
        let found = (row.cloned(), due);
        let fits = |state: &State| state.is(&found, now);
        self.worlds.iter().any(|world| {
            let accepted = world.window.as_ref().and_then(|window| window.accepted);
            match (survivor, accepted) {
                (Survivor::All, Some(count)) => world.states[count - 1..].iter().any(fits),
                _ => world.storable().iter().any(fits),
            }
        })
    }

    /// It is that from now on, without a window; the store has it.
    pub(super) fn adopt(&mut self, (row, due): Found<'_>, events: &Events) {
        let row = row.cloned();
        self.worlds = vec![World {
            row: row.clone(),
            due,
            active: true,
            window: None,
            states: vec![State::new(row, due)],
            events: events.done(),
        }];
    }
}

/// A key, and when its vbucket is to be flushed.
type Found<'a> = (Option<&'a Row>, u32);
