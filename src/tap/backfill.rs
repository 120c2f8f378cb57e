//! The thread `ce-backfill`: gives streams the state of a vbucket, from memory and, for values that
//! are not there, from the store.
//!
//! What it gives is the state at the place of the stream's cursor: a key that has a later entry in
//! the log is left out, because the stream will meet that entry. Nothing is missed, and no older
//! version follows a newer one.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;

use super::part::{Stage, WHOLE};
use super::streams::{Live, StreamId, Streams};
use crate::aside::step_aside;
use crate::host::LogLevel;
use crate::item::Item;
use crate::pager::Evictor;
use crate::store::{Store, StoreError};
use crate::types::{Seqno, VbucketId};
use crate::vbucket::{Vbucket, Walk};
use crate::worker::{Signal, Wake};

/// Pause while memory or a stream's queue is full.
const PAUSE: Duration = Duration::from_millis(50);

/// Values that are read in one go, in bytes.
const READ_BYTES: usize = 4 << 20;

/// One vbucket for one stream.
struct Filler {
    live: Weak<Live>,
    part: usize,
    round: u64,
    vbucket: VbucketId,
    at: Seqno,
    keys_only: bool,
    walk: Walk,
    /// The walk is at its end.
    ended: bool,
    /// Of the last step of the walk: items whose values are still to be read.
    bare: Vec<Item>,
    /// When it came upon them.
    since: Duration,
    /// One of them was in the store no more.
    misses: bool,
}

/// What is to be filled.
pub(super) struct Fillers {
    store: Arc<dyn Store>,
    evictor: Arc<Evictor>,
    // Guards what was added, by stream and part: one that begins again before the thread has come
    // to it takes its own place. Lock order: last.
    new: Mutex<BTreeMap<(StreamId, usize), Filler>>,
    waiting: AtomicBool,
    signal: Arc<Signal>,
}

/// How a step went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Filled {
    /// Some.
    Some,
    /// The stream has enough for now, or what comes next is not to be had yet.
    Full,
    /// All, or nobody wants it any more.
    Done,
}

impl Fillers {
    pub(super) fn new(store: Arc<dyn Store>, evictor: Arc<Evictor>) -> Self {
        Self {
            store,
            evictor,
            new: Mutex::default(),
            waiting: AtomicBool::new(false),
            signal: Signal::new(),
        }
    }

    pub(super) fn signal(&self) -> &Arc<Signal> {
        &self.signal
    }

    /// Whether the thread waits until a stream has room again.
    pub(super) fn is_waiting(&self) -> bool {
        self.waiting.load(Ordering::Relaxed)
    }
}

impl Fillers {
    /// Has a part of a stream filled.
    pub(super) fn add(&self, live: &Arc<Live>, index: usize) {
        let producer = live.producer.lock();
        let Some(part) = producer.parts.get(index) else {
            return;
        };
        let filler = Filler {
            live: Arc::downgrade(live),
            part: index,
            round: part.round,
            vbucket: part.id,
            at: part.begun,
            keys_only: producer.request.keys_only,
            walk: Walk::default(),
            ended: false,
            bare: Vec::new(),
            since: Duration::ZERO,
            misses: false,
        };
        drop(producer);
        let _replaced = self.new.lock().insert((live.id, index), filler);
        self.signal.wake();
    }
}

impl Streams {
    /// Gives a stream some more.
    fn fill(&self, filler: &mut Filler) -> Result<Filled, StoreError> {
        step_aside();
        let Some(live) = filler.live.upgrade() else {
            return Ok(Filled::Done);
        };
        {
            let producer = live.producer.lock();
            let part = producer.parts.get(filler.part);
            let wanted = part.is_some_and(|part| {
                part.round == filler.round && part.stage == Stage::Fill && !producer.closing
            });
            if !wanted {
                return Ok(Filled::Done);
            }
            if producer.is_stuffed() {
                return Ok(Filled::Full);
            }
        }
        let vbucket = self.vbuckets.get(filler.vbucket);
        let loading = vbucket.is_some_and(Vbucket::is_loading);
        if loading && vbucket.is_some_and(Vbucket::is_poisoned) {
            return Err(StoreError::new(
                "its keys could not be read when this node started (see the log above); remove the \
                 cause and restart it",
            ));
        }
        if loading || !self.fillers.evictor.has_room(0) {
            return Ok(Filled::Full);
        }
        let mut items = Vec::new();
        if filler.bare.is_empty() && !filler.ended {
            let more = vbucket
                .and_then(|vbucket| vbucket.state_part(&mut filler.walk, filler.at, &mut items));
            filler.ended = more.is_none();
            if !filler.keys_only {
                let is_bare = |item: &mut Item| !item.is_resident();
                filler.bare = items.extract_if(.., is_bare).collect();
                filler.since = self.now();
                // In the store's order; the first is taken from the end.
                filler
                    .bare
                    .sort_unstable_by(|one, other| other.key().cmp(one.key()));
            }
        }
        let unread = filler.bare.len();
        let read = self.read_values(filler, &mut items)?;
        let stuck = unread > 0 && filler.bare.len() == unread;
        let done = filler.ended && filler.bare.is_empty();
        let mut producer = live.producer.lock();
        producer.read += read;
        let part = producer.parts.get_mut(filler.part);
        if let Some(part) = part.filter(|part| part.round == filler.round) {
            for item in items {
                part.queue.push_back(item);
            }
            part.filled = done;
            part.misses = filler.misses;
            producer.stir(filler.part);
        }
        drop(producer);
        self.changed();
        Ok(match (done, stuck) {
            (true, _) => Filled::Done,
            (false, true) => Filled::Full,
            (false, false) => Filled::Some,
        })
    }

    /// Reads some of the values that are not in memory; returns how many. A key whose stored
    /// version is another one has a later entry in the log; who does not read that gets what the
    /// key is now, or in a COMPLETE that has written and does not know it yet, a little later.
    fn read_values(&self, filler: &mut Filler, items: &mut Vec<Item>) -> Result<u64, StoreError> {
        let (mut read, mut bytes) = (0, 0);
        while bytes < READ_BYTES
            && read < self.pace.reads
            && let Some(item) = filler.bare.pop()
        {
            let mut full = None;
            let store = &self.fillers.store;
            let begun = self.now();
            store.get(filler.vbucket, item.key(), &mut |record| {
                if record.cas == item.cas() && record.value.len() == item.nbytes() {
                    full = Item::with_value(item.key(), &[record.value], item.meta());
                }
            })?;
            // What is given as it is now is not missed.
            filler.misses |= full.is_none() && filler.at != WHOLE;
            if full.is_none() && filler.at == WHOLE {
                let vbucket = self.vbuckets.get(filler.vbucket);
                // Looked at first: once it has ended, the key is known as it is stored.
                let completing = vbucket.is_some_and(Vbucket::is_completing);
                let now = vbucket.and_then(|vb| vb.state_of(item.hash(), item.key(), filler.at));
                match now {
                    Some(now) if now.is_resident() => full = Some(now),
                    Some(now) if now.cas() != item.cas() => filler.bare.push(now),
                    Some(now) if completing => {
                        filler.bare.push(now);
                        break;
                    }
                    Some(_) | None => {}
                }
            }
            let timings = &self.shared.metrics.timings;
            timings.tap_wait.record(begun.saturating_sub(filler.since));
            timings.tap_load.record(self.now().saturating_sub(begun));
            bytes += item.nbytes();
            read += 1;
            items.extend(full);
        }
        self.totals.read.fetch_add(read, Ordering::Relaxed);
        Ok(read)
    }

    fn fill_failed(&self, filler: &Filler, error: &StoreError) {
        let Some(live) = filler.live.upgrade() else {
            return;
        };
        let name = live.producer.lock().name.clone();
        let text = format!(
            "cannot give the stream {} the state of vbucket {}: {error}; it is closed",
            name.escape_ascii(),
            filler.vbucket
        );
        self.shared.host.log(LogLevel::Warning, &text);
        live.producer.lock().closing = true;
        self.signal().wake();
    }
}

/// The thread `ce-backfill`. Streams have their turns; one that has enough is left alone.
pub(crate) fn run(streams: &Streams, signal: &Signal) {
    let fillers = &streams.fillers;
    let mut todo: Vec<Filler> = Vec::new();
    loop {
        todo.extend(std::mem::take(&mut *fillers.new.lock()).into_values());
        let mut moved = false;
        todo.retain_mut(|filler| match streams.fill(filler) {
            Ok(Filled::Done) => false,
            Ok(filled) => {
                moved |= filled == Filled::Some;
                true
            }
            Err(error) => {
                streams.fill_failed(filler, &error);
                false
            }
        });
        if signal.is_stopped() {
            return;
        }
        if moved {
            continue;
        }
        fillers.waiting.store(true, Ordering::Relaxed);
        let pause = (!todo.is_empty()).then_some(PAUSE);
        let wake = signal.wait(pause);
        fillers.waiting.store(false, Ordering::Relaxed);
        if wake == Wake::Stop {
            return;
        }
    }
}
