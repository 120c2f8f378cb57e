//! One node in a fake host, and the connections that its host has.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::calls::{Call, Tap};
use super::shapes::{Heard, Key, Vbucket};
use crate::config::Config;
use crate::constants as wire;
use crate::engine::{Engine, TapEvent};
use crate::error::{Error, Result};
use crate::host::fake::FakeHost;
use crate::host::{Cookie, Host, LogLevel};
use crate::item::Item;
use crate::store::Store;
use crate::store::fault::FaultStore;
use crate::tap::{Event, FLAG_ACK, FLAG_NO_VALUE, Message};
use crate::types::VbucketState;

/// Connections at a time.
pub(super) const CLIENTS: usize = 4;
/// Looks, a millisecond apart, for the notification of a call that blocks. What waits for a clock
/// or a client comes later.
const LOOKS: usize = 50;
/// Calls that may take so long in one run; what blocks afterwards is not waited for.
const PATIENCE: usize = 3;
/// Messages that are taken of a stream at once.
const MESSAGES: u8 = 40;

/// A connection.
#[derive(Debug)]
struct Client {
    cookie: Cookie,
    /// The call that blocks.
    busy: Option<Call>,
    streams: bool,
}

/// What a client can see: value and flags by vbucket and key.
type Sight = BTreeMap<(u16, Vec<u8>), Option<(Vec<u8>, u32)>>;

/// The node.
pub(super) struct Node {
    host: Arc<FakeHost>,
    store: Option<FaultStore>,
    engine: Arc<Engine>,
    config: String,
    clients: Vec<Client>,
    next_cookie: usize,
    patience: usize,
    heard: Heard,
    /// What REVERT is to bring back, while nothing else could have changed it.
    before: Option<Sight>,
}

impl Node {
    /// With a store that keeps what it gets, or without one.
    pub(super) fn new(keeps: bool, config: &str) -> Self {
        let host = Arc::new(FakeHost::new());
        let store = keeps.then(FaultStore::default);
        let engine = start(&host, store.as_ref(), config);
        let mut node = Self {
            host,
            store,
            engine,
            config: config.to_owned(),
            clients: Vec::new(),
            next_cookie: 0x1000,
            patience: PATIENCE,
            heard: Heard::default(),
            before: None,
        };
        node.clients = (0..CLIENTS).map(|_| node.connection()).collect();
        node
    }

    fn connection(&mut self) -> Client {
        self.next_cookie += 16;
        Client {
            cookie: Cookie::new(self.next_cookie),
            busy: None,
            streams: false,
        }
    }

    pub(super) fn heard(&self) -> &Heard {
        &self.heard
    }

    /// Carries a call out for a client. One that waits for something else hangs up first.
    pub(super) fn call(&mut self, client: usize, call: Call) {
        let client = client % CLIENTS;
        self.go_on(client);
        if self.clients[client].busy.is_some() {
            self.disconnect(client);
        }
        self.note_before(&call);
        let cookie = self.clients[client].cookie;
        let mut result = self.once(cookie, &call);
        let mut tries = 0;
        while result == Err(Error::WouldBlock) && tries < 3 && self.is_soon_notified(cookie) {
            result = self.once(cookie, &call);
            tries += 1;
        }
        self.came_of(client, call, result);
    }

    fn once(&mut self, cookie: Cookie, call: &Call) -> Result<Option<u16>> {
        let (engine, heard) = (&self.engine, &mut self.heard);
        self.host.call(cookie, || call.make(engine, cookie, heard))
    }

    fn came_of(&mut self, client: usize, call: Call, result: Result<Option<u16>>) {
        let state = &mut self.clients[client];
        state.busy = None;
        match result {
            Err(Error::WouldBlock) => state.busy = Some(call),
            Err(Error::Disconnect) => self.disconnect(client),
            Ok(status) => {
                if matches!(call, Call::Connect { .. }) {
                    state.streams = true;
                }
                if status == Some(0) {
                    self.note_after(&call);
                }
            }
            // A host closes the connection of a stream that it was refused.
            Err(_) if matches!(call, Call::Connect { .. }) => self.disconnect(client),
            Err(_) => {}
        }
    }

    /// Makes a blocked call again if that was notified.
    fn go_on(&mut self, client: usize) {
        let cookie = self.clients[client].cookie;
        if !self.host.is_notified(cookie) {
            return;
        }
        if let Some(call) = self.clients[client].busy.take() {
            let result = self.once(cookie, &call);
            self.came_of(client, call, result);
        }
    }

    fn is_soon_notified(&mut self, cookie: Cookie) -> bool {
        if self.host.is_notified(cookie) {
            return true;
        }
        if self.patience == 0 {
            return false;
        }
        let is_there = self.host.within(LOOKS, || self.host.is_notified(cookie));
        self.patience -= usize::from(!is_there);
        is_there
    }

    /// The client hangs up. Its place is taken by another one, at the same address if the host is
    /// free to give it away.
    pub(super) fn disconnect(&mut self, client: usize) {
        let client = client % CLIENTS;
        let cookie = self.clients[client].cookie;
        let gone = || {
            self.engine.disconnected(cookie);
            Ok(())
        };
        self.host.call(cookie, gone).unwrap();
        let is_free = self.host.is_notified(cookie) && !self.host.is_reserved(cookie);
        self.clients[client] = if is_free {
            Client {
                cookie,
                busy: None,
                streams: false,
            }
        } else {
            self.connection()
        };
    }

    /// Takes messages of a client's stream, hands each to a peer of the same node under another
    /// vbucket if there is one, and answers with what came of it.
    pub(super) fn pump(&mut self, client: usize, peer: Option<(usize, u16)>, answers: bool) {
        let client = client % CLIENTS;
        for _ in 0..MESSAGES {
            let cookie = self.clients[client].cookie;
            if !self.clients[client].streams || self.clients[client].busy.is_some() {
                return;
            }
            let next = || Ok(self.engine.tap_next(cookie));
            let message = self.host.call(cookie, next).unwrap();
            match message.event {
                Event::Pause => return,
                Event::Disconnect => return self.disconnect(client),
                Event::VbucketSet => self.before = None,
                _ => {}
            }
            let (seqno, ack) = (message.seqno, message.flags & FLAG_ACK != 0);
            let other = peer.filter(|(peer, _)| peer % CLIENTS != client);
            let tap = other.and_then(|(peer, shift)| Some((peer, arriving(&message, shift)?)));
            if let Some((peer, tap)) = tap {
                self.call(peer, Call::Tap(tap));
            }
            if ack && answers && self.clients[client].cookie == cookie {
                self.answer(client, seqno, 0);
            }
        }
    }

    /// The client of a stream answers a message.
    pub(super) fn answer(&mut self, client: usize, seqno: u32, status: u16) {
        let client = client % CLIENTS;
        let cookie = self.clients[client].cookie;
        if self.clients[client].busy.is_some() {
            return;
        }
        let call = || self.engine.tap_answered(cookie, seqno, status);
        if self.host.call(cookie, call).is_err() {
            self.disconnect(client);
        }
    }

    /// The clocks go on, or the wall clock is set back.
    pub(super) fn let_pass(&mut self, seconds: u32, back: bool) {
        self.before = None;
        let seconds = u64::from(seconds % 100_000);
        if back {
            self.host.set_back(seconds);
        } else {
            self.host.advance(seconds);
        }
    }

    /// Writes and syncs fail from now on, or succeed again.
    pub(super) fn fail(&self, fails: bool) {
        if let Some(store) = &self.store {
            store.fail_commits(fails);
        }
    }

    /// Ends, in good order or by a crash, and starts again.
    pub(super) fn restart(&mut self, crashes: bool) {
        let left = self
            .store
            .as_ref()
            .filter(|_| crashes)
            .map(FaultStore::crash);
        self.end();
        self.store = left.or_else(|| self.store.take());
        self.host = Arc::new(self.host.fork());
        self.engine = start(&self.host, self.store.as_ref(), &self.config);
        self.clients = (0..CLIENTS).map(|_| self.connection()).collect();
        self.before = None;
    }

    /// Ends in good order, with everybody gone and everything in place.
    pub(super) fn end(&mut self) {
        self.fail(false);
        for client in 0..CLIENTS {
            self.disconnect(client);
        }
        self.engine.shutdown();
        self.host.check();
        assert_eq!(self.engine.shared().metrics.defects.get(), 0);
        assert!(!self.host.has_logged(LogLevel::Warning, "panicked"));
    }

    /// What changes so much that a REVERT need not bring back what is there now.
    fn note_before(&mut self, call: &Call) {
        let harmless = match call {
            Call::Tap(tap) => tap.event != TapEvent::VbucketSet,
            Call::Connect { .. } | Call::Line(_) => false,
            Call::Packet(bytes) => !matches!(
                bytes[1],
                wire::CHECKPOINT_ENGINE_CMD_SET_VBUCKET
                    | wire::CHECKPOINT_ENGINE_CMD_DEL_VBUCKET
                    | wire::CHECKPOINT_ENGINE_CMD_SET_FLUSH_PARAM
                    | wire::CHECKPOINT_ENGINE_CMD_EVICT_KEY
                    | wire::CHECKPOINT_ENGINE_CMD_ONLINE_UPDATE_COMPLETE
            ),
            _ => true,
        };
        if !harmless {
            self.before = None;
        }
    }

    /// A window that was opened, or reverted: every key is as it was.
    fn note_after(&mut self, call: &Call) {
        let Call::Packet(bytes) = call else {
            return;
        };
        match bytes[1] {
            wire::CHECKPOINT_ENGINE_CMD_ONLINE_UPDATE_START => self.before = Some(self.look()),
            wire::CHECKPOINT_ENGINE_CMD_ONLINE_UPDATE_REVERT => {
                let Some(before) = self.before.take() else {
                    return;
                };
                let after = self.look();
                for (place, after) in after {
                    if let Some(before) = before.get(&place) {
                        assert_eq!(*before, after, "{place:?} after REVERT");
                    }
                }
            }
            _ => {}
        }
    }

    /// Reads the keys of all active vbuckets; what cannot be read now is left out.
    fn look(&mut self) -> Sight {
        let mut sight = Sight::new();
        for vbucket in 0..Vbucket::FEW {
            if self.engine.vbucket_state(vbucket) != Some(VbucketState::Active) {
                continue;
            }
            for number in 0..Key::FEW {
                let Key(key) = Key::of(number);
                let client = self.connection();
                let read = || self.engine.get(client.cookie, &key, vbucket);
                let seen = match self.host.call(client.cookie, read) {
                    Ok(item) => Some((item.value().to_vec(), item.flags())),
                    Err(Error::NotFound) => None,
                    Err(_) => continue,
                };
                sight.insert((vbucket, key), seen);
            }
        }
        sight
    }
}

fn start(host: &Arc<FakeHost>, store: Option<&FaultStore>, config: &str) -> Arc<Engine> {
    let config = Config::parse(config).unwrap();
    let host = Arc::clone(host) as Arc<dyn Host>;
    let engine = match store {
        Some(store) => {
            let store: Arc<dyn Store> = Arc::new(store.clone());
            Engine::start_with(host, config, &store)
        }
        None => Engine::start(host, config),
    };
    Arc::new(engine.unwrap())
}

/// A message of a stream as it reaches a peer, under another vbucket.
fn arriving(message: &Message, shift: u16) -> Option<Tap> {
    let event = match message.event {
        Event::Mutation => TapEvent::Mutation,
        Event::Deletion => TapEvent::Deletion,
        Event::Flush => TapEvent::Flush,
        Event::Opaque => TapEvent::Opaque,
        Event::VbucketSet => TapEvent::VbucketSet,
        Event::CheckpointStart => TapEvent::CheckpointStart,
        Event::CheckpointEnd => TapEvent::CheckpointEnd,
        Event::Noop | Event::Pause | Event::Disconnect => return None,
    };
    let item = message.item.as_ref();
    let bare = message.flags & FLAG_NO_VALUE != 0 || message.event == Event::Deletion;
    Some(Tap {
        event,
        specific: message.specific.bytes().to_vec(),
        key: item.map_or_else(Vec::new, |item| item.key().to_vec()),
        data: item
            .filter(|_| !bare)
            .map_or_else(Vec::new, |item| item.value().to_vec()),
        how: message.flags,
        flags: item.map_or(0, Item::flags),
        expiry: item.map_or(0, Item::expiry),
        cas: item.map_or(0, Item::cas),
        vbucket: message.vbucket.wrapping_add(shift),
    })
}
