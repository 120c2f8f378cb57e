//! How a stream begins: whether there is room for it, where it goes on, and what becomes of an
//! earlier one of its name.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use super::Request;
use super::part::{Part, WHOLE};
use super::producer::Producer;
use super::streams::{Live, StreamId, Streams, drop_unfinished};
use crate::host::Cookie;
use crate::types::{Seqno, VbucketId, VbucketState};
use crate::vbucket::Vbucket;

/// Why a stream was not begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The connection has one, of another name or of a kind that ends.
    HasOne,
    /// There are so many.
    TooMany(usize),
    /// The cursors of all would take so many bytes, and may take so many.
    Memory(u64, u64),
}

/// What a part of a stream takes in memory when it has nothing to send, with its cursor.
const PART_BYTES: u64 = 320;
/// Share of the quota that parts may take: one in so many. One stream is always let in, unless it
/// is a registered client's, whose cursors stay.
const PARTS_SHARE: u64 = 16;

impl Streams {
    /// Begins a stream on a connection.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn connect(
        &self,
        cookie: Cookie,
        name: &[u8],
        request: Request,
    ) -> Result<(), Refused> {
        if let Some(live) = self.find(cookie) {
            return self.change_filter(&live, name, &request);
        }
        let beginning = self.beginning.lock();
        let name: Arc<[u8]> = if name.is_empty() {
            format!("anon_{}", self.number()).into_bytes().into()
        } else {
            name.into()
        };
        self.look_for_room(&name, &request)?;
        self.shared.host.reserve(cookie);
        self.count.fetch_add(1, Ordering::SeqCst);
        // Also a name of the engine's own: a client may have called itself that.
        let (inherited, reconnects) = self.take_over_name(&name);
        let now = self.now();
        let mut producer = Producer::new(name, request, self.pace, now);
        producer.reconnects = reconnects;
        let mut fills = Vec::new();
        for vbucket in self.wanted(&producer.request) {
            let part = self.make_part(&producer.name, &producer.request, vbucket);
            if let Some((part, is_filled)) = part {
                fills.extend(is_filled.then_some(producer.parts.len()));
                producer.add(part);
            }
        }
        // Nobody would move the cursors of the others.
        let kept: HashSet<VbucketId> = producer.vbuckets().collect();
        let left = inherited.into_iter().filter(|id| !kept.contains(id));
        self.drop_cursors(&producer.name, left);
        let live = Arc::new(Live {
            id: StreamId(self.ids.fetch_add(1, Ordering::Relaxed)),
            cookie,
            producer: Mutex::new(producer),
            gone: AtomicBool::new(false),
            replaced: AtomicBool::new(false),
        });
        self.live.write().insert(cookie, Arc::clone(&live));
        drop(beginning);
        for index in fills {
            self.fillers.add(&live, index);
        }
        // Its signs of life are to come in time.
        self.signal.wake();
        Ok(())
    }

    /// Whether another stream may begin; one that takes the place of an earlier one always may.
    fn look_for_room(&self, name: &[u8], request: &Request) -> Result<(), Refused> {
        let lives = self.lives();
        // Its own cursors of before are its own again, or go.
        let mut parts = self.absent.cursors(name);
        let mut count = 0;
        for live in &lives {
            let producer = live.producer.lock();
            if *producer.name == *name {
                if !producer.closing {
                    return Ok(());
                }
                // What it has goes over, or goes.
                continue;
            }
            count += usize::from(!producer.closing);
            parts += producer.parts.len();
        }
        if count >= self.most {
            return Err(Refused::TooMany(self.most));
        }
        let own = self.wanted(request).len();
        parts += own;
        let most = self.shared.settings.max_size.get() / PARTS_SHARE;
        // What a registered client begins outlives it: the first of many is one of many.
        let is_bounded = |parts| count > 0 || request.registered && parts > own;
        while is_bounded(parts) && parts as u64 * PART_BYTES > most {
            // Those that wait for a client go first.
            let Some(away) = self.absent.take_soonest(name) else {
                return Err(Refused::Memory(parts as u64 * PART_BYTES, most));
            };
            parts -= away.places.len();
            self.drop_cursors_of(&away);
        }
        Ok(())
    }

    /// Which vbuckets a stream is of.
    pub(super) fn wanted(&self, request: &Request) -> Vec<&Vbucket> {
        let serves = |vbucket: &&Vbucket| match vbucket.state() {
            Some(VbucketState::Active) => true,
            Some(VbucketState::Replica | VbucketState::Pending) => !request.dump,
            Some(VbucketState::Dead) | None => false,
        };
        match &request.vbuckets {
            Some(list) => {
                let found = list.iter().filter_map(|&id| self.vbuckets.get(id));
                found.filter(|vb| !request.dump || serves(vb)).collect()
            }
            None => self.vbuckets.iter().filter(serves).collect(),
        }
    }

    /// A part of a stream, and whether it has to be filled.
    pub(super) fn make_part(
        &self,
        name: &Arc<[u8]>,
        request: &Request,
        vbucket: &Vbucket,
    ) -> Option<(Part, bool)> {
        if request.dump && !request.goes_on() {
            let mut part = Part::new(vbucket.id(), Seqno::ZERO);
            part.fill(WHOLE, false);
            return Some((part, true));
        }
        let now = u64::from(self.shared.unix_now());
        let needed = request.since.is_none_or(|since| since < now);
        // Who takes a vbucket has to have all of it.
        let has_all = request.hands_over() || request.goes_on();
        let backfills = has_all || needed && !request.registered;
        let (mut part, fills) = Part::begin(vbucket, name, request, backfills)?;
        if request.hands_over() {
            part.set_state(VbucketState::Pending);
        }
        Some((part, fills))
    }

    /// A connection of that name, if there is one, ends. Its cursors are the next one's if they
    /// would have outlived it: what it was sent of late may have been lost with it. Returns their
    /// vbuckets, and how often the name has come again by then.
    fn take_over_name(&self, name: &[u8]) -> (Vec<VbucketId>, u64) {
        let mut inherited = Vec::new();
        let mut reconnects = 0;
        let lives = self.lives();
        for live in lives {
            let mut producer = live.producer.lock();
            if *producer.name == *name {
                producer.closing = true;
                live.replaced.store(true, Ordering::Release);
                self.claims.release(live.id);
                reconnects = producer.reconnects + 1;
                if self.keeps(&producer) {
                    drop_unfinished(&producer, &self.vbuckets);
                    inherited.extend(producer.vbuckets());
                } else {
                    self.drop_cursors(name, producer.vbuckets());
                }
            }
        }
        if let Some(away) = self.absent.take(name) {
            inherited.extend(away.vbuckets());
            reconnects = away.report.reconnects + 1;
        }
        self.signal.wake();
        (inherited, reconnects)
    }
}
