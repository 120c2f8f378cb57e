//! Clients that wait for a pending vbucket, or for one whose keys are not loaded yet. They wait
//! until its state changes or they are, however long. A client waits once, however often its host
//! repeats the call: a connection with a stream is woken for that, too.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;

use super::Core;
use crate::error::Error;
use crate::host::{BlockedCookie, Cookie};
use crate::types::VbucketId;
use crate::vbucket::{Access, Vbucket};

/// One of them.
#[derive(Debug)]
struct Client {
    vbucket: VbucketId,
    since: Duration,
    cookie: BlockedCookie,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    // Guards the clients. Lock order: last.
    clients: Mutex<HashMap<Cookie, Client>>,
}

impl Waiting {
    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.clients.lock().len()
    }

    /// Adds a client; returns how many there are then, or `None` if it waits already.
    fn add(&self, cookie: Cookie, vbucket: VbucketId, since: Duration) -> Option<usize> {
        let mut clients = self.clients.lock();
        if let Some(client) = clients.get_mut(&cookie) {
            client.vbucket = vbucket;
            return None;
        }
        let client = Client {
            vbucket,
            since,
            cookie: BlockedCookie::new(cookie),
        };
        clients.insert(cookie, client);
        Some(clients.len())
    }

    fn take(&self, is_wanted: impl Fn(&Client) -> bool) -> Vec<Client> {
        let mut clients = self.clients.lock();
        let taken = clients.extract_if(|_, client| is_wanted(client));
        taken.map(|(_, client)| client).collect()
    }
}

impl Core {
    /// Parks a client until the vbucket's state changes or its keys are loaded.
    pub(super) fn wait_for(&self, vbucket: &Vbucket, cookie: Cookie) -> Error {
        let now = self.host.monotonic();
        if let Some(count) = self.waiting.add(cookie, vbucket.id(), now) {
            let metrics = &self.shared.metrics;
            metrics.pending_ops_total.add(1);
            metrics.pending_ops_max.raise(count as u64);
        }
        if vbucket.is_poisoned() || vbucket.access() != Access::Waits {
            // It changed meanwhile, and the one who changed it may not have seen this client.
            self.resume_waiting(vbucket.id());
        }
        Error::WouldBlock
    }

    /// The same for a TAP peer, which writes in any state.
    pub(super) fn wait_until_loaded(&self, vbucket: &Vbucket, cookie: Cookie) -> Error {
        self.waiting
            .add(cookie, vbucket.id(), self.host.monotonic());
        if !vbucket.is_loading() || vbucket.is_poisoned() {
            self.resume_waiting(vbucket.id());
        }
        Error::WouldBlock
    }

    /// Has the clients notified that wait for a vbucket.
    pub(super) fn resume_waiting(&self, vbucket: VbucketId) {
        self.resume(self.waiting.take(|client| client.vbucket == vbucket));
    }

    /// Has a client notified that is gone: a host that closed its connection keeps the cookie until
    /// then.
    pub(super) fn stop_waiting(&self, cookie: Cookie) {
        self.resume(self.waiting.take(|client| client.cookie.cookie() == cookie));
    }

    /// Has all of them notified: the engine goes down.
    pub(super) fn resume_all(&self) {
        self.resume(self.waiting.take(|_| true));
    }

    fn resume(&self, clients: Vec<Client>) {
        if clients.is_empty() {
            return;
        }
        let now = self.host.monotonic();
        let timing = &self.shared.metrics.timings.pending_ops;
        for client in &clients {
            timing.record(now.saturating_sub(client.since));
        }
        let cookies = clients.into_iter().map(|client| client.cookie);
        self.fetcher.resume(cookies.collect());
    }
}
