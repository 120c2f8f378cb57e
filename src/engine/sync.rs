//! SYNC: clients that wait until keys are durable, on other nodes, or changed.
//!
//! What is waited for is the version that a key had when the request came, or a later one that
//! replaced it: who is durable behind it in the log is durable with it. A version that a REVERT
//! took back never is. A request that names a CAS waits for that version only.
//!
//! The thread `ce-sync` looks at the keys when something has happened ([`Awaited`]), and ends what
//! has waited too long. While nobody waits it sleeps, and writes cost a load more.
//!
//! Limits: a request has so many keys at most as [`REQUEST_KEYS_MAX`] says, and all of them
//! together [`KEYS_MAX`]; a connection has one request.
//!
//! [`Awaited`]: crate::vbucket::Awaited

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;

use super::answers::{Answers, Owed};
use super::{Core, Engine};
use crate::error::{Error, Result};
use crate::host::Cookie;
use crate::tap::Given;
use crate::types::{Seqno, VbucketId};
use crate::vbucket::Present;
use crate::worker::{Signal, Wake};

/// Keys of one request.
pub(crate) const REQUEST_KEYS_MAX: usize = 1 << 14;
/// Keys of all requests that wait.
const KEYS_MAX: usize = 1 << 16;
/// Time that news gathers before the keys are looked at again.
const GATHER: Duration = Duration::from_millis(1);
/// Longest time between two looks.
const REST_MAX: Duration = Duration::from_millis(100);

/// What a request waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Conditions {
    /// So many other nodes have it; 0 does not count.
    pub(crate) replicas: usize,
    /// It is durable.
    pub(crate) persisted: bool,
    /// Both of these and not either.
    pub(crate) both: bool,
    /// It was changed; stands alone.
    pub(crate) changed: bool,
}

/// A key of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Asked<'a> {
    /// Of which version; 0 of the present one.
    pub(crate) cas: u64,
    /// Not checked.
    pub(crate) vbucket: u16,
    /// Not empty.
    pub(crate) key: &'a [u8],
}

/// What became of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// It is durable.
    Persisted,
    /// It was changed.
    Modified,
    /// It was deleted.
    Deleted,
    /// Other nodes have it.
    Replicated,
    /// There is none, or its vbucket is not active here.
    Absent,
    /// It has another CAS.
    OtherCas,
}

/// The answer for a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    /// That of the version which the event is about; that of the request if there is none.
    pub(crate) cas: u64,
    /// As asked.
    pub(crate) vbucket: u16,
    /// As asked.
    pub(crate) key: Box<[u8]>,
    /// What became of it.
    pub(crate) event: Event,
}

/// Why there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SyncError {
    /// Nothing is durable on a node without a store.
    NoStore,
    /// So many keys are being waited for already.
    TooMany,
    /// The time was over.
    TimedOut,
    /// A key is not here, and a restore may bring it.
    MayCome,
}

/// How a request went.
pub(crate) type Synced = std::result::Result<Vec<Told>, SyncError>;

/// A key that is waited for.
#[derive(Debug)]
struct Key {
    told: Told,
    hash: u32,
    asked: u64,
    /// The version that is waited for; none when the event says all.
    wanted: Option<Present>,
}

impl Key {
    fn ends(&mut self, event: Event, cas: u64) {
        (self.told.event, self.told.cas) = (event, cas);
        self.wanted = None;
    }

    /// Judges by the key's present version, and by what the replicas of its vbucket have.
    fn judge(&mut self, conditions: Conditions, now: Option<Present>, replicas: &[Given]) {
        let Some(wanted) = self.wanted else { return };
        let Some(now) = now else {
            return self.ends(Event::Deleted, wanted.cas);
        };
        if now.incarnation != wanted.incarnation {
            return self.ends(Event::Absent, self.asked);
        }
        if conditions.changed {
            if now.seqno != wanted.seqno {
                self.ends(Event::Modified, now.cas);
            }
            return;
        }
        // Only a REVERT brings an earlier version back. One of before a later version may have
        // taken back what was waited for.
        let taken_back = now.seqno < wanted.seqno;
        let unsure = now.seqno > wanted.seqno && now.reverts != wanted.reverts;
        let holds = conditions.hold(wanted.seqno, now.persisted, replicas);
        if let Some(event) = holds.filter(|_| !taken_back && !unsure) {
            self.ends(event, wanted.cas);
        } else if self.asked != 0 && now.cas != self.asked {
            self.ends(Event::OtherCas, self.asked);
        } else if taken_back {
            self.ends(Event::Modified, now.cas);
        } else if unsure {
            self.wanted = Some(now);
        }
    }
}

impl Conditions {
    /// What may be said of a version at that place in the log. Where both hold and one would do it
    /// is durable.
    fn hold(self, at: Seqno, persisted: Seqno, replicas: &[Given]) -> Option<Event> {
        let durable = self.persisted && persisted >= at;
        let has = |given: &&Given| given.after < at && at <= given.upto;
        let replicated = self.replicas > 0 && replicas.iter().filter(has).count() >= self.replicas;
        match (durable, replicated) {
            (true, true) => Some(Event::Persisted),
            (true, false) if !self.waits_for_both() => Some(Event::Persisted),
            (false, true) if !self.waits_for_both() => Some(Event::Replicated),
            _ => None,
        }
    }

    fn waits_for_both(self) -> bool {
        self.both && self.persisted && self.replicas > 0
    }
}

/// A request that waits.
#[derive(Debug)]
struct Wait {
    cookie: Cookie,
    conditions: Conditions,
    keys: Vec<Key>,
    until: Duration,
}

impl Wait {
    fn is_over(&self) -> bool {
        self.keys.iter().all(|key| key.wanted.is_none())
    }

    fn tell(self) -> Vec<Told> {
        self.keys.into_iter().map(|key| key.told).collect()
    }
}

/// A client that waits.
#[derive(Debug)]
struct Client {
    owed: Owed,
    keys: usize,
    /// Its connection has gone.
    gone: bool,
}

#[derive(Debug, Default)]
struct State {
    clients: HashMap<Cookie, Client>,
    /// What the thread has not seen yet.
    arrivals: Vec<Wait>,
    /// Keys of all clients.
    keys: usize,
    /// The thread has ended: nobody is to wait for it any more.
    ended: bool,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Syncs {
    // Guards who waits. Lock order: last.
    state: Mutex<State>,
    answers: Answers<Synced>,
}

impl Syncs {
    /// Nothing is kept for that client any more.
    fn forget(&self, cookie: Cookie) {
        self.answers.forget(cookie);
        if let Some(client) = self.state.lock().clients.get_mut(&cookie) {
            client.gone = true;
        }
    }

    /// Takes a client in; false when there is no room. Also while an earlier client with that
    /// cookie has gone and is to be notified still: what is known of the one is not the other's.
    fn add(&self, wait: Wait, owed: Owed) -> bool {
        let keys = wait.keys.len();
        let mut state = self.state.lock();
        let lingers = state.clients.contains_key(&wait.cookie);
        if state.ended || lingers || state.keys + keys > KEYS_MAX {
            return false;
        }
        state.keys += keys;
        let client = Client {
            owed,
            keys,
            gone: false,
        };
        state.clients.insert(wait.cookie, client);
        state.arrivals.push(wait);
        true
    }

    fn is_gone(&self, cookie: Cookie) -> bool {
        let state = self.state.lock();
        state.clients.get(&cookie).is_none_or(|client| client.gone)
    }

    fn take(&self, cookie: Cookie) -> Option<Owed> {
        let mut state = self.state.lock();
        let client = state.clients.remove(&cookie)?;
        state.keys -= client.keys;
        Some(client.owed)
    }
}

/// Where the replicas of vbuckets stand, as far as somebody has asked.
type Replicas = HashMap<VbucketId, Vec<Given>>;

impl Core {
    /// A key as it is now; what cannot be waited for has its event.
    fn awaited_key(&self, asked: &Asked<'_>) -> Key {
        let hash = self.hash(asked.key);
        let vbucket = self.active(asked.vbucket);
        let mut key = Key {
            told: Told {
                cas: asked.cas,
                vbucket: asked.vbucket,
                key: asked.key.into(),
                event: Event::Absent,
            },
            hash,
            asked: asked.cas,
            wanted: vbucket.and_then(|vbucket| vbucket.present(hash, asked.key)),
        };
        if key
            .wanted
            .is_some_and(|now| ![0, now.cas].contains(&asked.cas))
        {
            key.ends(Event::OtherCas, asked.cas);
        }
        key
    }

    /// Whether a key that was not there may come out of a backup.
    fn may_come(&self, key: &Key) -> bool {
        let absent = key.wanted.is_none() && key.told.event == Event::Absent;
        let vbucket = self.active(key.told.vbucket);
        absent && vbucket.is_some_and(|vbucket| vbucket.may_come(&key.told.key))
    }

    /// Looks at what a request waits for.
    fn look_at_keys(&self, wait: &mut Wait, replicas: &mut Replicas) {
        for key in wait.keys.iter_mut().filter(|key| key.wanted.is_some()) {
            let Some(vbucket) = self.active(key.told.vbucket) else {
                key.ends(Event::Absent, key.asked);
                continue;
            };
            let places = match wait.conditions.replicas {
                0 => &[][..],
                _ => replicas
                    .entry(vbucket.id())
                    .or_insert_with(|| self.streams.given(vbucket))
                    .as_slice(),
            };
            let now = vbucket.present(key.hash, &key.told.key);
            key.judge(wait.conditions, now, places);
        }
    }

    /// A connection has gone: its client is notified soon.
    pub(super) fn forget_sync(&self, cookie: Cookie) {
        self.syncs.forget(cookie);
        self.shared.awaited.stir();
    }

    /// Has a client wait.
    fn wait_for_keys(&self, wait: Wait) -> Result<Synced> {
        let (cookie, persisted) = (wait.cookie, wait.conditions.persisted);
        let awaited = &self.shared.awaited;
        // Before the thread looks for the first time: from then on it is told.
        awaited.add();
        if !self.syncs.add(wait, self.syncs.answers.expect(cookie)) {
            awaited.remove();
            self.syncs.answers.forget(cookie);
            return Ok(Err(SyncError::TooMany));
        }
        if persisted {
            self.changed_at_once();
        }
        awaited.signal().wake();
        Err(Error::WouldBlock)
    }

    /// Ends a client's wait.
    fn end_wait(&self, cookie: Cookie, synced: Synced) {
        if let Some(owed) = self.syncs.take(cookie) {
            let client = self.syncs.answers.put(owed, synced);
            self.shared.awaited.remove();
            self.host.notify(client);
        }
    }

    /// Looks at all requests, and ends those that have what they wait for or have waited too long;
    /// all of them at the end.
    fn look_at_syncs(&self, waits: Vec<Wait>, at_end: bool) -> Vec<Wait> {
        let now = self.host.monotonic();
        let mut replicas = Replicas::new();
        let mut left = Vec::new();
        for mut wait in waits {
            let cookie = wait.cookie;
            if self.syncs.is_gone(cookie) {
                self.end_wait(cookie, Err(SyncError::TimedOut));
                continue;
            }
            self.look_at_keys(&mut wait, &mut replicas);
            if wait.is_over() {
                self.end_wait(cookie, Ok(wait.tell()));
            } else if at_end || wait.until <= now {
                self.end_wait(cookie, Err(SyncError::TimedOut));
            } else {
                left.push(wait);
            }
        }
        left
    }

    /// The thread has ended: nobody waits for it from now on.
    pub(super) fn syncs_ended(&self) {
        let cookies: Vec<Cookie> = {
            let mut state = self.syncs.state.lock();
            state.ended = true;
            state.arrivals.clear();
            state.clients.keys().copied().collect()
        };
        for cookie in cookies {
            self.end_wait(cookie, Err(SyncError::TimedOut));
        }
    }
}

/// The thread `ce-sync`.
pub(super) fn run(core: &Core, signal: &Signal) {
    let mut waits: Vec<Wait> = Vec::new();
    loop {
        let first = waits.iter().map(|wait| wait.until).min();
        let now = core.host.monotonic();
        let wake = signal.wait(first.map(|until| until.saturating_sub(now)));
        let begun = core.host.monotonic();
        waits.append(&mut core.syncs.state.lock().arrivals);
        waits = core.look_at_syncs(waits, wake == Wake::Stop);
        if wake == Wake::Stop {
            core.syncs_ended();
            return;
        }
        // At most half of its time goes into looking. A process that stood still meanwhile does not
        // do so again.
        let took = core.host.monotonic().saturating_sub(begun);
        signal.nap(took.clamp(GATHER, REST_MAX));
    }
}

impl Engine {
    /// What became of the keys of a client that has waited; `None` for one that has not.
    ///
    /// # Errors
    /// `WouldBlock` while it waits still.
    pub(crate) fn synced(&self, cookie: Cookie) -> Result<Option<Synced>> {
        self.core.syncs.answers.take(cookie)
    }

    /// Waits until the conditions hold for every key. Call [`Self::synced`] after the notification.
    ///
    /// # Errors
    /// `WouldBlock`; in the outcome `NoStore`, `TooMany`, `MayCome`.
    pub(crate) fn sync(
        &self,
        cookie: Cookie,
        conditions: Conditions,
        asked: &[Asked<'_>],
    ) -> Result<Synced> {
        let core = &*self.core;
        if conditions.persisted && !core.persister.keeps_values() {
            return Ok(Err(SyncError::NoStore));
        }
        let loading = |asked: &Asked<'_>| core.active(asked.vbucket).filter(|vb| vb.is_loading());
        if let Some(vbucket) = asked.iter().find_map(loading) {
            return Err(core.wait_for(vbucket, cookie));
        }
        let patience = Duration::from_millis(core.shared.settings.sync_cmd_timeout.get());
        let mut wait = Wait {
            cookie,
            conditions,
            keys: asked.iter().map(|asked| core.awaited_key(asked)).collect(),
            until: core.host.monotonic() + patience,
        };
        // When they were looked for: one that has come since is asked for again.
        if wait.keys.iter().any(|key| core.may_come(key)) {
            return Ok(Err(SyncError::MayCome));
        }
        core.look_at_keys(&mut wait, &mut Replicas::new());
        if wait.is_over() {
            return Ok(Ok(wait.tell()));
        }
        core.wait_for_keys(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A version at that place, with so many reverts behind it and the store at a place.
    fn at(seqno: u64, reverts: u64, persisted: u64) -> Present {
        Present {
            incarnation: 1,
            seqno: Seqno::new(seqno),
            cas: seqno * 10,
            reverts,
            persisted: Seqno::new(persisted),
        }
    }

    fn key(asked: u64, wanted: Present) -> Key {
        Key {
            told: Told {
                cas: asked,
                vbucket: 0,
                key: Box::default(),
                event: Event::Absent,
            },
            hash: 0,
            asked,
            wanted: Some(wanted),
        }
    }

    fn judged(asked: u64, wanted: Present, now: Present) -> (Option<Event>, Option<Present>) {
        let mut key = key(asked, wanted);
        let durable = Conditions {
            persisted: true,
            ..Conditions::default()
        };
        key.judge(durable, Some(now), &[]);
        let event = key.wanted.is_none().then_some(key.told.event);
        (event, key.wanted)
    }

    #[test]
    fn a_client_has_one_place_whoever_had_its_cookie() {
        let syncs = Syncs::default();
        let cookie = Cookie::new(1);
        let add = || {
            let wait = Wait {
                cookie,
                conditions: Conditions::default(),
                keys: vec![key(0, at(5, 0, 3))],
                until: Duration::ZERO,
            };
            syncs.add(wait, syncs.answers.expect(cookie))
        };
        assert!(add());
        syncs.forget(cookie);
        assert!(syncs.is_gone(cookie));
        assert!(!add(), "the one before is not notified yet");
        assert!(syncs.is_gone(cookie));
        assert!(syncs.take(cookie).is_some());
        assert_eq!(syncs.state.lock().keys, 0);
        assert!(add() && !syncs.is_gone(cookie));
        assert!(syncs.take(cookie).is_some());
        assert_eq!(syncs.state.lock().keys, 0);
    }

    #[test]
    fn a_later_version_does_unless_a_revert_lies_between() {
        let wanted = at(5, 0, 3);
        for (asked, now, event) in [
            (0, at(5, 0, 4), None),
            (0, at(5, 0, 5), Some(Event::Persisted)),
            (0, at(7, 0, 5), Some(Event::Persisted)),
            (50, at(7, 0, 5), Some(Event::Persisted)),
            (0, at(7, 0, 4), None),
            (50, at(7, 0, 4), Some(Event::OtherCas)),
            // Taken back.
            (0, at(2, 1, 9), Some(Event::Modified)),
            (50, at(2, 1, 9), Some(Event::OtherCas)),
            // Taken back and written again, or written before: nobody knows.
            (0, at(9, 1, 8), None),
            (50, at(9, 1, 9), Some(Event::OtherCas)),
        ] {
            assert_eq!(judged(asked, wanted, now).0, event, "{asked} {now:?}");
        }
        // From then on that version is waited for.
        let now = at(9, 1, 8);
        assert_eq!(judged(0, wanted, now).1, Some(now));
        assert_eq!(judged(0, now, at(9, 1, 9)).0, Some(Event::Persisted));
        let other = Present {
            incarnation: 2,
            ..at(5, 0, 9)
        };
        assert_eq!(judged(0, wanted, other).0, Some(Event::Absent));
    }
}
