//! One vbucket against a map: random operations, windows that open, complete, fail and revert
//! between them, a flusher that is in the middle of a read, a clock that goes on, values that are
//! evicted, keys that are locked, a flush that waits for its time, keys that come out of a backup.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::strategy::{Just, Strategy};
use proptest::{bool, collection, prop_oneof, proptest};

use super::{NOW, Node, Row, hash, item};
use crate::checkpoint::{Change, Log, Phase};
use crate::error::Error;
use crate::host::Host as _;
use crate::item::{Item, Meta};
use crate::types::{CheckpointId, Seqno};
use crate::vbucket::{
    Found, LockRule, Reader, RevertStep, Vbucket, Verdict, Walk, begin_complete, begin_revert,
    complete_failed, completed, open_windows,
};

const KEYS: u8 = 6;
/// What a key may be called; two of them share a stripe.
const NAMES: [&[u8]; KEYS as usize] = [b"a", b"b", b"key", b"key2", b"x", b""];

#[derive(Clone, Debug)]
enum Step {
    Put(u8, u32),
    Touch(u8, u32),
    Remove(u8),
    Get(u8),
    Flush,
    /// `flush_all` in so many seconds.
    Delay(u32),
    /// Somebody looks whether it is due.
    Due,
    Start,
    Complete,
    Committed,
    Failed,
    Revert,
    RevertSome,
    Reverted,
    Read(usize),
    Commit,
    Tick,
    Sweep,
    Count,
    Recreate,
    Evict,
    Expire,
    /// `flush_all` of a prefix that all keys have.
    DeleteAll,
    /// A stream begins with all keys as they are, or were before an undecided window.
    State,
    Lock(u8, u32),
    Unlock(u8, bool),
    /// A restore begins, or begins anew.
    BeginRestore,
    /// A version, or the news of its deletion, out of a backup.
    Restore(u8, u32),
    Bar(u8),
    EndRestore,
}

type State = BTreeMap<u8, Row>;

/// What the model knows of a window.
#[derive(Debug)]
struct Held {
    at_start: State,
    /// Keys of which a restore knew by then that they have gone.
    gone: BTreeSet<u8>,
    /// When a flush was due at START.
    due: u32,
    /// Keys with an entry in the window, and whether the latest one is a deletion.
    touched: BTreeMap<u8, bool>,
    accepted: State,
    next: Seqno,
}

struct Reading<'a> {
    reader: Reader<'a>,
    changes: Vec<Change>,
    closed: Option<CheckpointId>,
    consistent: bool,
}

/// What the model knows of a restore.
#[derive(Debug, Default)]
struct Restoring {
    /// Keys that have gone since it began.
    gone: BTreeSet<u8>,
    /// The vbucket was another one since it began.
    moved: bool,
}

struct World<'a> {
    node: &'a Node,
    vbucket: &'a Vbucket,
    keep: bool,
    version: u32,
    state: State,
    held: Option<Held>,
    reading: Option<Reading<'a>>,
    /// REVERT's counters as they must be once it is through.
    counters: (u64, u64, u64),
    cas_max: u64,
    expired: u64,
    /// Whether a value may be out of memory.
    may_lack: bool,
    /// Until when a version is locked, if it still is the latest.
    locks: BTreeMap<u8, u32>,
    /// When a delayed flush is due; 0 none.
    due: u32,
    restoring: Option<Restoring>,
}

impl<'a> World<'a> {
    fn new(node: &'a Node, keep: bool) -> Self {
        Self {
            node,
            vbucket: node.vbucket(0),
            keep,
            version: 0,
            state: State::new(),
            held: None,
            reading: None,
            counters: (0, 0, 0),
            cas_max: 0,
            expired: 0,
            may_lack: false,
            locks: BTreeMap::new(),
            due: 0,
            restoring: None,
        }
    }

    fn phase(&self) -> Option<Phase> {
        self.vbucket.window_phase()
    }

    fn is_reverting(&self) -> bool {
        matches!(self.phase(), Some(Phase::Reverting { .. }))
    }

    fn touched(&mut self, key: u8, deleted: bool) {
        let reverting = self.is_reverting();
        if let Some(held) = self.held.as_mut().filter(|_| !reverting) {
            held.touched.insert(key, deleted);
        }
    }

    fn gone(&mut self, keys: impl IntoIterator<Item = u8>) {
        if let Some(restoring) = &mut self.restoring {
            restoring.gone.extend(keys);
        }
    }

    /// Whether a backup's version, or its deletion, of a key is taken.
    fn may_take(&mut self, key: u8) -> Result<(), Error> {
        self.meet(key);
        let absent = !self.state.contains_key(&key);
        match &self.restoring {
            Some(restoring) if restoring.moved => Err(Error::NotMyVbucket),
            Some(restoring) if absent && !restoring.gone.contains(&key) => Ok(()),
            _ => Err(Error::Exists),
        }
    }

    fn begin_restore(&mut self) {
        if self.phase().is_none() {
            self.node.shared.restoring.begin();
            self.restoring.get_or_insert_default().moved = false;
        }
    }

    fn check_what_may_come(&self) {
        for key in 0..KEYS {
            let restoring = self.restoring.as_ref();
            let may = restoring.is_some_and(|restoring| !restoring.gone.contains(&key));
            assert_eq!(self.vbucket.may_come(NAMES[usize::from(key)]), may);
        }
    }

    /// A key out of a backup, or `None` for the news that it was deleted. The node does not restore
    /// into a window.
    fn restore(&mut self, key: u8, after: Option<u32>) {
        if self.phase().is_some() {
            return;
        }
        let expected = self.may_take(key);
        let name = NAMES[usize::from(key)];
        let Some(after) = after else {
            assert_eq!(self.vbucket.bar_key(hash(name), name), expected);
            self.gone(expected.is_ok().then_some(key));
            return;
        };
        self.version += 1;
        let value = self.version.to_string();
        let item = item(name, value.as_bytes(), self.expiry(after));
        item.set_cas(7);
        let restored = self.vbucket.restore_key(&item);
        assert_eq!(restored, expected.map(|()| true));
        if expected.is_ok() {
            self.state.insert(key, Row::of(&item));
            self.locks.remove(&key);
        }
    }

    /// An operation meets a key: if it has expired, that is when it goes.
    fn meet(&mut self, key: u8) {
        let now = self.node.host.unix();
        let row = self.state.get(&key);
        if row.is_some_and(|row| row.expiry != 0 && row.expiry <= now) {
            self.state.remove(&key);
            self.locks.remove(&key);
            self.expired += 1;
            self.gone([key]);
            self.touched(key, true);
        }
    }

    fn is_locked(&self, key: u8) -> bool {
        let held = self.locks.get(&key).copied().unwrap_or_default() > self.node.host.unix();
        held && self.state.contains_key(&key)
    }

    fn expiry(&self, after: u32) -> u32 {
        if after == 0 {
            0
        } else {
            self.node.host.unix() + after
        }
    }

    fn put(&mut self, key: u8, after: u32) {
        self.meet(key);
        let rule = match self.version % 3 {
            0 => LockRule::Match(self.state.get(&key).map_or(0, |row| row.cas)),
            1 => LockRule::Match(0),
            _ => LockRule::Refuse,
        };
        let refusal = match rule {
            _ if !self.is_locked(key) => None,
            LockRule::Match(0) => Some(Error::Exists),
            LockRule::Match(_) => None,
            _ => Some(Error::Temporary),
        };
        if self.put_by(key, after, rule, refusal) {
            self.locks.remove(&key);
        }
    }

    /// GET_LOCKED.
    fn lock(&mut self, key: u8, seconds: u32) {
        self.get(key);
        if !self.state.contains_key(&key) {
            return;
        }
        let refusal = self.is_locked(key).then_some(Error::Temporary);
        let until = self.node.host.unix() + seconds;
        let end = self.node.host.lasting() + Duration::from_secs(seconds.into());
        if self.put_by(key, 0, LockRule::Take(end), refusal) {
            self.locks.insert(key, until);
        }
    }

    fn unlock(&mut self, key: u8, right: bool) {
        self.meet(key);
        let name = NAMES[usize::from(key)];
        let cas = self.state.get(&key).map_or(0, |row| row.cas);
        let result = self
            .vbucket
            .unlock(hash(name), name, &|lock| right && lock == cas);
        let expected = match self.state.get(&key) {
            None => Err(Error::NotFound),
            Some(_) if right && self.is_locked(key) => Ok(()),
            Some(_) => Err(Error::Temporary),
        };
        assert_eq!(result, expected);
        if result.is_ok() {
            self.locks.remove(&key);
        }
    }

    /// A new version; false when `refusal` was expected and came.
    fn put_by(&mut self, key: u8, after: u32, rule: LockRule, refusal: Option<Error>) -> bool {
        self.version += 1;
        let name = NAMES[usize::from(key)];
        let value = "value".repeat(1 + self.version as usize % 5) + &self.version.to_string();
        let new = item(name, value.as_bytes(), self.expiry(after));
        let present = self.state.get(&key).map(|row| row.cas);
        let cas = self.vbucket.change(hash(name), name, rule, &mut |now| {
            assert_eq!(now.map(Item::cas), present);
            Ok(Verdict::Put(new.clone()))
        });
        if let Some(refusal) = refusal {
            assert_eq!(cas, Err(refusal));
            return false;
        }
        let cas = cas.unwrap();
        assert!(
            cas > self.cas_max && new.cas() == cas,
            "a CAS is given again"
        );
        self.cas_max = cas;
        self.state.insert(key, Row::of(&new));
        self.touched(key, false);
        true
    }

    /// Changes the expiry and nothing else, as `touch` does.
    fn touch(&mut self, key: u8, after: u32) {
        self.get(key);
        let name = NAMES[usize::from(key)];
        let expiry = self.expiry(after);
        let present = self.state.get(&key).cloned();
        let result = self
            .vbucket
            .change(hash(name), name, LockRule::Keep, &mut |now| {
                let Some(now) = now else {
                    return Err(Error::NotFound);
                };
                let meta = Meta {
                    expiry,
                    ..now.meta()
                };
                Ok(Verdict::Touch(
                    Item::with_value(name, &[now.value()], meta).unwrap(),
                ))
            });
        match present {
            None => assert_eq!(result, Err(Error::NotFound)),
            Some(row) => {
                assert_eq!(result, Ok(row.cas));
                self.state.insert(key, Row { expiry, ..row });
                self.touched(key, false);
            }
        }
    }

    fn remove(&mut self, key: u8) {
        self.meet(key);
        let result = super::remove(self.vbucket, NAMES[usize::from(key)]);
        if self.is_locked(key) {
            assert_eq!(result, Err(Error::Temporary));
            return;
        }
        assert_eq!(result.is_ok(), self.state.remove(&key).is_some());
        if result.is_ok() {
            self.locks.remove(&key);
            self.gone([key]);
            self.touched(key, true);
        }
    }

    fn get(&mut self, key: u8) {
        self.meet(key);
        let name = NAMES[usize::from(key)];
        let expected = self.state.get(&key);
        match self.vbucket.get(hash(name), name) {
            Found::Miss => assert_eq!(expected, None),
            Found::Hit(item) => {
                assert_eq!(
                    (Some(&Row::of(&item)), self.is_locked(key)),
                    (expected, false)
                );
            }
            Found::Locked(item) => {
                assert_eq!(
                    (Some(&Row::of(&item)), self.is_locked(key)),
                    (expected, true)
                );
            }
            Found::NotResident(wanted) => {
                assert!(self.may_lack, "nobody evicted it");
                let row = Row {
                    value: expected.unwrap().value.clone(),
                    ..Row::of(&wanted)
                };
                assert_eq!((Some(&row), wanted.nbytes()), (expected, row.value.len()));
                assert!(!self.vbucket.is_dirty(&wanted), "the only copy is gone");
                assert!(
                    self.node.fetch(self.vbucket, &wanted).is_some(),
                    "the value is lost"
                );
                assert_eq!(self.node.read(self.vbucket, name).as_ref(), expected);
            }
        }
    }

    /// Whether a flush has come due by now, which is then carried out.
    fn come_due(&mut self) -> bool {
        let come = self.due != 0 && self.due <= self.node.host.unix();
        if come {
            self.state.clear();
            self.due = 0;
            self.gone(0..KEYS);
        }
        come
    }

    fn start(&mut self) {
        let possible = self.phase().is_none();
        assert_eq!(open_windows(&[self.vbucket], NOW, None), possible);
        if possible {
            self.come_due();
            self.held = Some(Held {
                at_start: self.state.clone(),
                gone: (self.restoring.as_ref()).map_or_else(BTreeSet::new, |it| it.gone.clone()),
                due: self.due,
                touched: BTreeMap::new(),
                accepted: State::new(),
                next: Seqno::ZERO,
            });
        }
    }

    fn complete(&mut self) {
        let possible = self.phase() == Some(Phase::Open);
        assert_eq!(begin_complete(&[self.vbucket], NOW), possible);
        if let Some(held) = self.held.as_mut().filter(|_| possible) {
            held.accepted = self.state.clone();
        }
    }

    fn committed(&mut self) {
        if !matches!(self.phase(), Some(Phase::Completing { .. })) {
            completed(&[self.vbucket]);
            return;
        }
        self.reading = None;
        let held = self.held.take().unwrap();
        self.node.flush();
        self.check_disk(&held.at_start);
        self.node.commit_windows(&[self.vbucket]);
        self.check_disk(&held.accepted);
    }

    fn failed(&mut self) {
        if !matches!(self.phase(), Some(Phase::Completing { .. })) {
            return;
        }
        complete_failed(&[self.vbucket]);
        let mut changes = Vec::new();
        let mut after = Some(Seqno::ZERO);
        while let Some(from) = after {
            after = self.vbucket.bury_duplicates(from, &mut changes);
        }
    }

    fn revert(&mut self) {
        let possible = self.phase() == Some(Phase::Open);
        assert_eq!(begin_revert(&[self.vbucket], NOW), possible);
        if !possible {
            return;
        }
        let held = self.held.as_mut().unwrap();
        for (key, deleted) in std::mem::take(&mut held.touched) {
            match (held.at_start.contains_key(&key), deleted) {
                (false, _) => self.counters.0 += 1,
                (true, true) => self.counters.1 += 1,
                (true, false) => self.counters.2 += 1,
            }
            self.locks.remove(&key);
        }
        self.state = held.at_start.clone();
        if let Some(restoring) = &mut self.restoring {
            restoring.gone.clone_from(&held.gone);
        }
        let now = self.node.host.unix();
        self.due = if held.due > now { held.due } else { 0 };
        self.may_lack |= !self.keep;
    }

    /// One round of eviction, after which what is clean has no value unless it was read.
    fn evict(&mut self) {
        let mut walk = Walk::default();
        while self.vbucket.evict_part(&mut walk).is_some() {}
        self.may_lack = true;
        let figures = self.vbucket.figures();
        assert!(self.is_reverting() || figures.evicted <= self.state.len());
    }

    /// One round of the expiry pager.
    fn expire(&mut self) {
        if self.is_reverting() {
            return;
        }
        let mut walk = Walk::default();
        while self.vbucket.expire_part(&mut walk).is_some() {}
        (0..KEYS).for_each(|key| self.meet(key));
    }

    /// All keys go that are there for clients, locked or not.
    fn delete_all(&mut self) {
        let (mut walk, mut found) = (Walk::default(), Vec::new());
        while (self.vbucket.keys_part(&mut walk, &|_| true, &mut found)).is_some() {}
        (0..KEYS).for_each(|key| self.meet(key));
        let mut deleted = 0;
        for item in found {
            let gone =
                &mut |now: Option<&Item>| now.map(|_| Verdict::Remove).ok_or(Error::NotFound);
            let change = (self.vbucket).change(item.hash(), item.key(), LockRule::Keep, gone);
            deleted += usize::from(change.is_ok());
        }
        assert_eq!(deleted, self.state.len());
        for key in std::mem::take(&mut self.state).into_keys() {
            self.locks.remove(&key);
            self.gone([key]);
            self.touched(key, true);
        }
    }

    /// Metadata of the keys with which a stream begins.
    fn check_state(&self) {
        let (mut walk, mut items) = (Walk::default(), Vec::new());
        let all = Seqno::new(u64::MAX);
        while self
            .vbucket
            .state_part(&mut walk, all, &mut items)
            .is_some()
        {}
        let mut found: Vec<_> = items.iter().map(|item| (item.key(), item.cas())).collect();
        let now = self.node.host.unix();
        let undecided = self.held.as_ref().filter(|_| !self.is_reverting());
        let state = undecided.map_or(&self.state, |held| &held.at_start);
        let live = state
            .iter()
            .filter(|(_, row)| row.expiry == 0 || row.expiry > now);
        let mut expected: Vec<_> = live
            .map(|(key, row)| (NAMES[usize::from(*key)], row.cas))
            .collect();
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected);
    }

    /// Whether the table's count of values that are out of memory is true.
    fn check_evicted(&self) {
        let is_out =
            |name: &&&[u8]| matches!(self.vbucket.get(hash(name), name), Found::NotResident(_));
        let counted = NAMES.iter().filter(is_out).count();
        assert_eq!(self.vbucket.figures().evicted, counted);
    }

    /// A step of the background revert. True when it is through.
    fn revert_some(&mut self) -> bool {
        if !self.is_reverting() {
            return false;
        }
        let held = self.held.as_mut().unwrap();
        match self
            .vbucket
            .revert_some(held.next, &mut Vec::new(), &mut Vec::new())
        {
            RevertStep::More(next) => {
                held.next = next;
                false
            }
            RevertStep::Done => true,
        }
    }

    fn reverted(&mut self) {
        if !self.is_reverting() {
            return;
        }
        while !self.revert_some() {}
        self.vbucket.reverted();
        self.held = None;
        assert_eq!(self.node.reverted(), self.counters);
        assert_eq!(self.vbucket.items(), self.state.len());
    }

    fn read(&mut self, limit: usize) {
        let reading = self.reading.get_or_insert_with(|| Reading {
            reader: self.vbucket.reader(),
            changes: Vec::new(),
            closed: None,
            consistent: false,
        });
        match reading.reader.read(limit, &mut reading.changes) {
            None => self.reading = None,
            Some(end) => {
                reading.closed = end.closed.or(reading.closed);
                reading.consistent = end.consistent;
            }
        }
    }

    fn commit(&mut self) {
        let Some(reading) = self.reading.take_if(|reading| reading.consistent) else {
            return;
        };
        self.node.write(self.vbucket, &reading.changes);
        reading.reader.committed(reading.closed, &reading.changes);
    }

    fn recreate(&mut self) {
        if self.phase().is_some() {
            return;
        }
        drop(self.node.map.delete(self.vbucket));
        self.node.disk.lock().clear();
        if self
            .reading
            .as_mut()
            .is_some_and(|r| r.reader.read(1, &mut r.changes).is_some())
        {
            panic!("read from a vbucket that is gone");
        }
        self.node.create(0);
        self.state.clear();
        self.locks.clear();
        self.due = 0;
        self.may_lack = false;
        if self.restoring.is_some() {
            self.restoring = Some(Restoring {
                moved: true,
                ..Restoring::default()
            });
        }
        if let Some(reading) = self.reading.take() {
            reading.reader.committed(reading.closed, &reading.changes);
        }
    }

    fn check_disk(&self, expected: &State) {
        let disk = self.node.disk.lock();
        let found: Vec<_> = disk
            .iter()
            .map(|((_, key), row)| (key.as_slice(), row))
            .collect();
        let mut expected: Vec<_> = expected
            .iter()
            .map(|(key, row)| (NAMES[usize::from(*key)], row))
            .collect();
        expected.sort_unstable_by_key(|(key, _)| *key);
        assert_eq!(found, expected);
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Put(key, expiry) => self.put(key, expiry),
            Step::Touch(key, expiry) => self.touch(key, expiry),
            Step::Remove(key) => self.remove(key),
            Step::Get(key) => self.get(key),
            Step::Flush => {
                self.vbucket.flush_all();
                self.state.clear();
                self.due = 0;
                self.gone(0..KEYS);
            }
            Step::Delay(seconds) => {
                self.come_due();
                self.due = self.node.host.unix() + seconds;
                self.vbucket.delay_flush(self.due, None);
            }
            Step::Due => {
                let flushed = self.vbucket.flush_if_due();
                assert_eq!(flushed, self.come_due());
            }
            Step::Start => self.start(),
            Step::Complete => self.complete(),
            Step::Committed => self.committed(),
            Step::Failed => self.failed(),
            Step::Revert => self.revert(),
            Step::RevertSome => {
                self.revert_some();
            }
            Step::Reverted => self.reverted(),
            Step::Read(limit) => self.read(limit),
            Step::Commit => self.commit(),
            Step::Tick => self.node.host.advance(1),
            Step::Sweep => {
                self.vbucket.sweep_flushed(&|| {});
            }
            Step::Count => {
                let items = self.vbucket.items();
                assert_eq!(items, self.state.len());
            }
            Step::Recreate => self.recreate(),
            Step::Evict => self.evict(),
            Step::Expire => self.expire(),
            Step::DeleteAll => self.delete_all(),
            Step::State => self.check_state(),
            Step::Lock(key, seconds) => self.lock(key, seconds),
            Step::Unlock(key, right) => self.unlock(key, right),
            Step::BeginRestore => self.begin_restore(),
            Step::Restore(key, after) => self.restore(key, Some(after)),
            Step::Bar(key) => self.restore(key, None),
            Step::EndRestore => {
                self.node.shared.restoring.end(&self.node.shared.trash);
                self.restoring = None;
            }
        }
        self.check_what_may_come();
        let report = self.vbucket.window_report().map(|report| report.touched);
        if self.phase() == Some(Phase::Open) {
            assert_eq!(report, self.held.as_ref().map(|held| held.touched.len()));
        }
        assert_eq!(self.vbucket.with_log(Log::due), self.due);
        assert_eq!(self.vbucket.awaits_flush(), self.due != 0);
        let metrics = &self.node.shared.metrics;
        assert_eq!(
            (metrics.defects.get(), metrics.expired.get()),
            (0, self.expired)
        );
    }

    /// Ends what runs, writes everything, and looks at every key.
    fn finish(&mut self) {
        self.reverted();
        self.evict();
        (0..KEYS).for_each(|key| self.meet(key));
        self.check_evicted();
        for key in 0..KEYS {
            self.get(key);
        }
        assert_eq!(self.vbucket.items(), self.state.len());
        self.reading = None;
        let held = self.held.as_ref().map(|held| held.at_start.clone());
        self.node.flush();
        self.check_disk(held.as_ref().unwrap_or(&self.state));
        if self.phase().is_none() {
            assert_eq!(self.vbucket.with_log(Log::unpersisted), 0);
        }
    }
}

fn step() -> impl Strategy<Value = Step> {
    let key = 0..KEYS;
    let expiry = prop_oneof![3 => Just(0_u32), 2 => 1..4_u32];
    prop_oneof![
        12 => (key.clone(), expiry.clone()).prop_map(|(key, expiry)| Step::Put(key, expiry)),
        3 => (key.clone(), expiry.clone()).prop_map(|(key, expiry)| Step::Touch(key, expiry)),
        4 => (key.clone(), expiry).prop_map(|(key, expiry)| Step::Restore(key, expiry)),
        2 => key.clone().prop_map(Step::Bar),
        2 => Just(Step::BeginRestore),
        1 => Just(Step::EndRestore),
        5 => key.clone().prop_map(Step::Remove),
        8 => key.clone().prop_map(Step::Get),
        3 => (key.clone(), 0..3_u32).prop_map(|(key, seconds)| Step::Lock(key, seconds)),
        2 => (key, bool::ANY).prop_map(|(key, right)| Step::Unlock(key, right)),
        2 => Just(Step::Evict),
        1 => Just(Step::Expire),
        1 => Just(Step::DeleteAll),
        3 => Just(Step::State),
        1 => Just(Step::Flush),
        1 => (0..4_u32).prop_map(Step::Delay),
        2 => Just(Step::Due),
        4 => Just(Step::Start),
        3 => Just(Step::Complete),
        2 => Just(Step::Committed),
        2 => Just(Step::Failed),
        3 => Just(Step::Revert),
        1 => Just(Step::RevertSome),
        2 => Just(Step::Reverted),
        5 => (1..5_usize).prop_map(Step::Read),
        5 => Just(Step::Commit),
        3 => Just(Step::Tick),
        1 => Just(Step::Sweep),
        2 => Just(Step::Count),
        1 => Just(Step::Recreate),
    ]
}

proptest! {
    #![proptest_config(crate::checkpoint::tests::thorough(0x0b0c))]

    #[test]
    fn a_vbucket_does_what_the_model_does(
        keep in bool::ANY,
        steps in collection::vec(step(), 1..300),
    ) {
        let node = Node::new(1, keep);
        let mut world = World::new(&node, keep);
        for step in &steps {
            world.step(step);
        }
        world.finish();
    }
}
