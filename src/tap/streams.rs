//! All streams of the engine, and the thread `ce-tap` that wakes them.
//!
//! A stream that has nothing to send pauses. Whoever changes a log calls [`Streams::changed`],
//! which costs one load while there is no stream; the thread then has the hosts of those paused
//! streams ask again for which there is news. A pause is noted before the versions of the logs are
//! looked at for the last time, and a version changes before the pauses are looked at, so no change
//! is missed.
//!
//! A connection's object is reserved while its stream lives, and released once by the thread.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};

use super::answer::{Acked, Answer};
use super::away::{Absent, Away};
use super::backfill::Fillers;
use super::backlog::{Backlogs, Standing};
use super::claims::Claims;
use super::pace::Pace;
use super::part::{Part, Stage};
use super::producer::{Producer, Step};
use super::wakes::Tickets;
use super::{Event, Message, Report};
use crate::checkpoint::Begin;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::host::{Cookie, LogLevel};
use crate::pager::Evictor;
use crate::store::Store;
use crate::types::{Seqno, VbucketId};
use crate::vbucket::{Shared, Vbucket, VbucketMap};
use crate::worker::{Signal, Wake};

/// Time for a host to be done with a connection that it closes: it counts references without
/// atomics (docs/hosts.md, "Cookies"), and its own goes only after it has told that the connection
/// went.
const GRACE: Duration = Duration::from_secs(1);

/// Sums over all streams.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    /// Messages about changes.
    pub(crate) fetched: AtomicU64,
    /// Those about deletions.
    pub(crate) deletions: AtomicU64,
    /// Items of backfills that were read from the store.
    pub(crate) read: AtomicU64,
}

impl Totals {
    /// What `stats reset` sets to zero.
    pub(crate) fn reset(&self) {
        for total in [&self.fetched, &self.read] {
            total.store(0, Ordering::Relaxed);
        }
    }
}

/// Tells a stream from all others there ever were, also those of the same connection or name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct StreamId(pub(super) u64);

/// A stream and the connection that it belongs to.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) id: StreamId,
    pub(super) cookie: Cookie,
    // Guards the stream. Lock order: before those of vbuckets; streams one at a time.
    pub(super) producer: Mutex<Producer>,
    /// The connection has gone.
    pub(super) gone: AtomicBool,
    /// Another connection goes on with this stream's cursors.
    pub(super) replaced: AtomicBool,
}

/// All streams.
pub(crate) struct Streams {
    pub(super) vbuckets: Arc<VbucketMap>,
    pub(super) shared: Arc<Shared>,
    pub(super) pace: Pace,
    // Guards whose a name is. Lock order: first; held while a stream begins or ends, and when a
    // name is forgotten with its cursors.
    pub(super) beginning: Mutex<()>,
    // Guards the map. Lock order: before a stream; held for a lookup only.
    pub(super) live: RwLock<HashMap<Cookie, Arc<Live>>>,
    pub(super) absent: Absent,
    // Guards the connections that have gone, for the thread to release. Lock order: last.
    gone: Mutex<Vec<Cookie>>,
    /// Most streams there may be.
    pub(super) most: usize,
    pub(super) claims: Claims,
    /// Streams that there are, or are about to be.
    pub(super) count: AtomicUsize,
    /// Streams that are, or are about to be, paused.
    waiting: AtomicUsize,
    pub(super) tickets: Tickets,
    pub(super) ids: AtomicU64,
    anonymous: AtomicU64,
    pub(super) fillers: Fillers,
    pub(super) totals: Totals,
    pub(super) signal: Arc<Signal>,
}

/// What a host is to do next, or the engine before that.
#[derive(Debug)]
pub(crate) enum Turn {
    /// For the host.
    Message(Message),
    /// Make the vbucket dead for that stream, then ask again.
    HandOver(StreamId, VbucketId),
    /// The vbucket is the client's now; then ask again.
    HandedOver(VbucketId),
    /// Another stream gives the vbucket away, or did: this one does not. Say so, then ask again.
    Forestalled(VbucketId),
}

/// A stretch of a log that another node has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Given {
    /// It begins behind this place.
    pub(crate) after: Seqno,
    /// It ends with this one.
    pub(crate) upto: Seqno,
}

impl Streams {
    pub(crate) fn new(
        config: &Config,
        vbuckets: &Arc<VbucketMap>,
        shared: &Arc<Shared>,
        store: &Arc<dyn Store>,
        evictor: &Arc<Evictor>,
    ) -> Self {
        Self {
            vbuckets: Arc::clone(vbuckets),
            shared: Arc::clone(shared),
            pace: Pace::new(config),
            beginning: Mutex::default(),
            live: RwLock::default(),
            absent: Absent::default(),
            gone: Mutex::default(),
            most: config.tap_streams_max,
            claims: Claims::default(),
            count: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            tickets: Tickets::default(),
            ids: AtomicU64::new(0),
            anonymous: AtomicU64::new(0),
            fillers: Fillers::new(Arc::clone(store), Arc::clone(evictor)),
            totals: Totals::default(),
            signal: Signal::new(),
        }
    }

    /// Wakes the thread.
    pub(crate) fn signal(&self) -> &Arc<Signal> {
        &self.signal
    }

    /// Wakes the thread of backfills.
    pub(crate) fn fill_signal(&self) -> &Arc<Signal> {
        self.fillers.signal()
    }

    /// A log has changed. Cheap; any lock may be held.
    pub(crate) fn changed(&self) {
        // A stream is counted before it has a cursor, which it gets with the log locked.
        if self.count.load(Ordering::Relaxed) == 0 {
            return;
        }
        // Between what was written in the log's version and the look at who is paused.
        fence(Ordering::SeqCst);
        if self.waiting.load(Ordering::SeqCst) != 0 {
            self.signal.wake();
        }
    }

    pub(super) fn now(&self) -> Duration {
        self.shared.host.lasting()
    }

    pub(super) fn find(&self, cookie: Cookie) -> Option<Arc<Live>> {
        self.live.read().get(&cookie).cloned()
    }

    /// Whether the connection has a stream.
    pub(crate) fn has(&self, cookie: Cookie) -> bool {
        self.live.read().contains_key(&cookie)
    }

    pub(super) fn lives(&self) -> Vec<Arc<Live>> {
        self.live.read().values().cloned().collect()
    }

    /// The next step of a connection's stream. Host threads.
    pub(crate) fn next(&self, cookie: Cookie) -> Turn {
        let Some(live) = self.find(cookie) else {
            return Turn::Message(Message::bare(Event::Disconnect));
        };
        let now = self.now();
        loop {
            let mut producer = live.producer.lock();
            let was_paused = producer.paused;
            if self.tickets.asks(&mut producer.ticket) {
                self.signal.wake();
            }
            let mut step = producer.next(&self.vbuckets, now);
            if was_paused {
                self.waiting.fetch_sub(1, Ordering::SeqCst);
            }
            if producer.paused {
                // From now on a change wakes the thread; one of before is seen here.
                self.waiting.fetch_add(1, Ordering::SeqCst);
                step = producer.next(&self.vbuckets, now);
                if producer.paused {
                    self.tickets.pauses(&mut producer.ticket);
                } else {
                    self.waiting.fetch_sub(1, Ordering::SeqCst);
                }
            }
            let turn = match step {
                Step::Message(message) => Turn::Message(message),
                Step::HandOver(id) => {
                    let given = self.vbuckets.get(id).is_some_and(Vbucket::is_given);
                    if self.claims.take(id, live.id, given) {
                        Turn::HandOver(live.id, id)
                    } else {
                        producer.leave(id);
                        self.drop_cursors(&producer.name, std::iter::once(id));
                        Turn::Forestalled(id)
                    }
                }
                Step::HandedOver(id) => {
                    self.claims.done(id, live.id);
                    Turn::HandedOver(id)
                }
                Step::Backfill(index) => {
                    self.begin_anew(&mut producer, index);
                    drop(producer);
                    self.fillers.add(&live, index);
                    continue;
                }
            };
            if self.fillers.is_waiting() && producer.wants_more() {
                self.fillers.signal().wake();
            }
            drop(producer);
            // What it sent before may be the client's for good by now.
            self.shared.awaited.stir();
            self.count(&turn);
            return turn;
        }
    }

    fn count(&self, turn: &Turn) {
        let Turn::Message(message) = turn else { return };
        match message.event {
            Event::Mutation => self.totals.fetched.fetch_add(1, Ordering::Relaxed),
            Event::Deletion => self.totals.deletions.fetch_add(1, Ordering::Relaxed),
            _ => 0,
        };
    }

    /// A part whose cursor was lost, or that is to be reset, gets the whole state again.
    fn begin_anew(&self, producer: &mut Producer, index: usize) {
        let name = producer.name.clone();
        producer.forget_sent(index);
        let request = &producer.request;
        let backfills = !request.registered || request.hands_over() || request.goes_on();
        let Some(part) = producer.parts.get_mut(index) else {
            return;
        };
        let vbucket = self.vbuckets.get(part.id);
        if backfills && vbucket.is_some_and(Vbucket::is_receiving) {
            part.wait();
            return;
        }
        match vbucket.and_then(|vbucket| vbucket.register_cursor(Arc::clone(&name), Begin::Open)) {
            Some(begun) if backfills => part.fill(begun.at, true),
            // Registered clients get none, and know it.
            Some(begun) => {
                *part = Part::new(part.id, begun.at);
                part.lacks = begun.at;
            }
            None => part.stage = Stage::Ended,
        }
    }

    /// The client answered a message of its stream with that status.
    ///
    /// # Errors
    /// `Disconnect` when there is no such stream, or it ends.
    pub(crate) fn answered(&self, cookie: Cookie, seqno: u32, status: u16) -> Result<()> {
        let live = self.find(cookie).ok_or(Error::Disconnect)?;
        let answer = Answer::of(status);
        let (acked, name) = {
            let mut producer = live.producer.lock();
            let acked = producer.answered(seqno, answer, &self.vbuckets, self.now());
            (acked, producer.name.clone())
        };
        self.shared.awaited.stir();
        if answer == Answer::NotNow {
            // Somebody has to end the pause.
            self.signal.wake();
        }
        if acked == Acked::Ends {
            let text = format!(
                "the receiver of the stream {} refused a message with status {status:#04x}; the \
                 stream is closed, and the next one goes on behind the last checkpoint that its \
                 client names, or begins with the whole state",
                name.escape_ascii()
            );
            self.shared.host.log(LogLevel::Warning, &text);
            return Err(Error::Disconnect);
        }
        Ok(())
    }

    /// A connection has gone; harmless for one without a stream. May come again and again.
    pub(crate) fn disconnected(&self, cookie: Cookie) {
        if !self.has(cookie) {
            return;
        }
        // Between its place among the living and the one among those that are away its name would
        // be nobody's: it could neither be deregistered nor taken over.
        let beginning = self.beginning.lock();
        let Some(live) = self.live.write().remove(&cookie) else {
            return;
        };
        live.gone.store(true, Ordering::Release);
        self.end(&live);
        drop(beginning);
        self.claims.release(live.id);
        self.count.fetch_sub(1, Ordering::SeqCst);
        self.gone.lock().push(cookie);
        self.signal.wake();
    }

    /// Decides what becomes of the cursors of a stream that has ended.
    fn end(&self, live: &Live) {
        let mut producer = live.producer.lock();
        if std::mem::take(&mut producer.paused) {
            self.waiting.fetch_sub(1, Ordering::SeqCst);
        }
        producer.closing = true;
        if live.replaced.load(Ordering::Acquire) {
            return;
        }
        let request = &producer.request;
        let keeps = self.shared.settings.tap_keepalive.get();
        let now = self.now();
        let away = Away {
            name: Arc::clone(&producer.name),
            // A state that the client has in part only is nothing to go on from.
            places: producer
                .parts
                .iter()
                .filter(|part| part.is_whole() && (part.follows() || request.goes_on()))
                .map(Part::stands)
                .collect(),
            until: (!request.registered).then(|| now + Duration::from_secs(keeps)),
            report: Box::new(Report {
                backlog: 0,
                ..producer.figures(now)
            }),
        };
        let kept = if self.keeps(&producer) {
            self.absent.keep(away)
        } else {
            Err(away)
        };
        match kept {
            Ok(()) => drop_unfinished(&producer, &self.vbuckets),
            Err(_) => self.drop_cursors(&producer.name, producer.vbuckets()),
        }
    }

    /// Whether a stream's cursors outlive its connection.
    pub(super) fn keeps(&self, producer: &Producer) -> bool {
        let request = &producer.request;
        let keeps = self.shared.settings.tap_keepalive.get() > 0;
        let keeps = request.registered || keeps && !request.dump && !request.takeover;
        keeps && !producer.name.starts_with(b"anon_")
    }

    pub(super) fn drop_cursors(&self, name: &[u8], vbuckets: impl Iterator<Item = VbucketId>) {
        for vbucket in vbuckets.filter_map(|id| self.vbuckets.get(id)) {
            vbucket.drop_cursor(name);
        }
    }

    pub(super) fn drop_cursors_of(&self, away: &Away) {
        self.drop_cursors(&away.name, away.vbuckets());
    }

    /// Ends a client's stream and forgets its cursors (DEREGISTER_TAP_CLIENT).
    pub(crate) fn deregister(&self, name: &[u8]) {
        let _beginning = self.beginning.lock();
        let lives = self.lives();
        for live in lives {
            let mut producer = live.producer.lock();
            if *producer.name == *name {
                producer.request.registered = false;
                producer.closing = true;
                self.drop_cursors(name, producer.vbuckets());
                for part in &mut producer.parts {
                    part.end();
                }
            }
        }
        if let Some(away) = self.absent.take(name) {
            self.drop_cursors_of(&away);
        }
        self.signal.wake();
    }

    /// Has every replica begin with the whole state (RESET_REPLICATION_CHAIN).
    pub(crate) fn reset_chain(&self) {
        let lives = self.lives();
        for live in lives {
            let mut producer = live.producer.lock();
            let request = &producer.request;
            if producer.closing || request.dump || request.registered || request.takeover {
                continue;
            }
            // What is another node's by now is not said from here.
            let follows = |(_, part): &(usize, &Part)| part.stage != Stage::Ended;
            let parts = producer.parts.iter().enumerate().filter(follows);
            let parts: Vec<usize> = parts.map(|(index, _)| index).collect();
            for &index in &parts {
                self.begin_anew(&mut producer, index);
            }
            drop(producer);
            for index in parts {
                self.fillers.add(&live, index);
            }
        }
        self.signal.wake();
    }

    /// Another node decides about the window of a vbucket: no replica is to hear what becomes of it
    /// here.
    pub(crate) fn leave(&self, vbucket: VbucketId) {
        let lives = self.lives();
        for live in lives {
            let mut producer = live.producer.lock();
            producer.leave(vbucket);
            self.drop_cursors(&producer.name, std::iter::once(vbucket));
        }
    }

    /// The store knows that a vbucket which a stream hands over is dead here.
    pub(crate) fn noted_dead(&self, stream: StreamId, vbucket: VbucketId) {
        for live in self.lives().iter().filter(|live| live.id == stream) {
            live.producer.lock().noted_dead(vbucket);
            self.signal.wake();
        }
    }

    /// What of the log of a vbucket the clients of streams have for good: those that are connected,
    /// have the state before it and go on to follow, with values.
    pub(crate) fn given(&self, vbucket: &Vbucket) -> Vec<Given> {
        let mut given = Vec::new();
        for live in self.lives() {
            let producer = live.producer.lock();
            let request = &producer.request;
            let gone = producer.closing || live.replaced.load(Ordering::Acquire);
            if gone || request.dump || request.keys_only {
                continue;
            }
            let mut parts = producer.parts.iter();
            let follows = |part: &&Part| part.is_whole() && part.follows();
            let part = parts.find(|part| part.id == vbucket.id() && follows(part));
            // Without a cursor it began in the log of a vbucket of that id which is gone.
            let cursor = vbucket.with_log(|log| log.cursor(&producer.name));
            given.extend(part.zip(cursor).map(|(part, cursor)| Given {
                after: part.lacks,
                upto: cursor.min(part.stands().cursor),
            }));
        }
        given
    }

    /// Sums over all streams.
    pub(crate) fn totals(&self) -> &Totals {
        &self.totals
    }

    /// How streams keep time.
    pub(crate) fn pace(&self) -> Pace {
        self.pace
    }

    /// The number of a connection without a name.
    pub(crate) fn number(&self) -> u64 {
        self.anonymous.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Figures of every stream, by name; also of those whose clients are away.
    pub(crate) fn reports(&self) -> Vec<Report> {
        let lives = self.lives();
        let now = self.now();
        let mut backlogs = Backlogs::new();
        // The name of one that was replaced is another one's.
        let replaced = |live: &&Arc<Live>| live.replaced.load(Ordering::Acquire);
        for live in lives.iter().filter(|live| !replaced(live)) {
            let producer = live.producer.lock();
            let follow = producer.parts.iter().filter(|part| part.follows());
            backlogs.add(producer.figures(now), follow.map(Part::stands));
        }
        for away in self.absent.all() {
            // What had been read is lost.
            let places = away.places.iter().map(|place| Standing {
                read_to: place.cursor,
                ..*place
            });
            backlogs.add(*away.report, places);
        }
        backlogs.count(&self.vbuckets)
    }

    /// Takes the list itself: an emptied one keeps its room, which a crowd makes large.
    fn release(&self, cookies: Vec<Cookie>) {
        for cookie in cookies {
            self.shared.host.release(cookie);
        }
    }

    /// Those that have gone since the last call.
    fn take_gone(&self) -> Vec<Cookie> {
        std::mem::take(&mut *self.gone.lock())
    }
}

/// A state that the client has in part only is nothing to go on from.
pub(super) fn drop_unfinished(producer: &Producer, vbuckets: &VbucketMap) {
    let unfinished = producer.parts.iter().filter(|part| !part.is_whole());
    for vbucket in unfinished.filter_map(|part| vbuckets.get(part.id)) {
        vbucket.drop_cursor(&producer.name);
    }
}

/// The thread `ce-tap`.
pub(crate) fn run(streams: &Streams, signal: &Signal) {
    let mut tick = None;
    let mut leaving = Vec::new();
    let mut since = Duration::ZERO;
    loop {
        let wake = signal.wait(tick);
        let now = streams.now();
        if wake == Wake::Stop {
            // The host has joined its threads: nobody asks any more.
            let live = std::mem::take(&mut *streams.live.write());
            leaving.extend(live.keys());
            leaving.extend(streams.take_gone());
            streams.release(leaving);
            return;
        }
        if wake == Wake::Timeout || now.saturating_sub(since) >= GRACE {
            streams.release(std::mem::take(&mut leaving));
            since = now;
        }
        tick = streams.look();
        if leaving.is_empty() {
            leaving = streams.take_gone();
            since = now;
        }
        if !leaving.is_empty() {
            tick = Some(tick.unwrap_or(GRACE).min(GRACE));
        }
    }
}
