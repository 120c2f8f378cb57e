//! Persistence: takes what the logs hold and makes it durable.
//!
//! A batch ends at the end of a checkpoint or of a log as it stood at one moment, so the store
//! always holds a state that each vbucket really was in (online-update.md, invariant 3). Nothing of
//! an open window is read; COMPLETE commits it through [`Persister::complete`].
//!
//! Threads: one worker runs [`run`]; COMPLETE and REVERT call the other methods from theirs. All of
//! them wait for the disk; host threads never come here.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use crate::checkpoint::{Change, Log, Op, Phase};
use crate::config::Durability;
use crate::ffi::alloc::give_back;
use crate::host::{Host, LogLevel};
use crate::item::Item;
use crate::store::{Batch, Record, Store, StoreError, VbucketRecord, WindowRecord};
use crate::types::{CheckpointId, Seqno, VBUCKETS_MAX, VbucketId};
use crate::vbucket::{Reader, Shared, Vbucket, VbucketMap, completed};
use crate::worker::{Signal, Wake};

/// Entries read from a log under one lock.
const READ_ENTRIES: usize = 512;
/// Time that mutations gather before a small batch is committed.
const GATHER: Duration = Duration::from_millis(10);
/// First and longest pause after a failed commit.
const RETRY_MIN: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(10);
/// Time without mutations after which the store gives memory back.
const SETTLE_AFTER: Duration = Duration::from_millis(500);
/// How often `durability=periodic` syncs.
const SYNC_PERIOD: Duration = Duration::from_secs(1);

/// What the store knows of a vbucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Known {
    incarnation: u64,
    record: VbucketRecord,
}

#[derive(Debug)]
struct Progress {
    /// By vbucket id: what the store was told last.
    known: Vec<Option<Known>>,
    window: WindowRecord,
    wanted_window: WindowRecord,
    /// Where the next batch begins to collect, so that every vbucket has its turn.
    turn: usize,
    synced: Duration,
}

impl Progress {
    /// Of which vbucket of that id the store has rows.
    fn incarnation(&self, id: VbucketId) -> Option<u64> {
        self.known.get(id.index())?.map(|known| known.incarnation)
    }
}

/// What one round did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Round {
    /// Nothing is left to write at present.
    Idle,
    /// There is more.
    More,
}

/// What an operator sees of the flusher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FlusherState {
    /// Commits when there is something to commit.
    Running,
    /// Told to stop; the last commit is still under way.
    Pausing,
    /// Nothing reaches the store.
    Paused,
}

impl FlusherState {
    /// The word that statistics print.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Pausing => "pausing",
            Self::Paused => "paused",
        }
    }
}

/// The right to move persistence cursors and to commit.
pub(crate) struct Persister {
    store: Arc<dyn Store>,
    vbuckets: Arc<VbucketMap>,
    shared: Arc<Shared>,
    durability: Durability,
    // Guards the order of commits: held from reading the logs until the cursors have moved. Lock
    // order: before any stripe or log; never taken by a host thread.
    progress: Mutex<Progress>,
    /// STOP_PERSISTENCE: commits wait for START_PERSISTENCE, or for the shutdown.
    stopped: AtomicBool,
    // Guards one word. Lock order: last.
    wanted_window: Mutex<Option<WindowRecord>>,
}

/// Changes of one vbucket in a batch.
struct Part<'a> {
    reader: Reader<'a>,
    closed: Option<CheckpointId>,
    changes: Vec<Change>,
}

impl Persister {
    /// Over a store whose vbuckets were loaded into `vbuckets`; `window` is what the store says.
    pub(crate) fn new(
        store: Arc<dyn Store>,
        vbuckets: Arc<VbucketMap>,
        shared: Arc<Shared>,
        durability: Durability,
        window: WindowRecord,
    ) -> Self {
        let progress = Progress {
            known: vec![None; VBUCKETS_MAX],
            window,
            wanted_window: window,
            turn: 0,
            synced: Duration::ZERO,
        };
        Self {
            store,
            vbuckets,
            shared,
            durability,
            progress: Mutex::new(progress),
            stopped: AtomicBool::new(false),
            wanted_window: Mutex::new(None),
        }
    }

    /// Notes that a vbucket was loaded with that record.
    pub(crate) fn loaded(&self, vbucket: &Vbucket, record: VbucketRecord) {
        let incarnation = vbucket.incarnation();
        if let Some(slot) = self.progress.lock().known.get_mut(vbucket.id().index()) {
            *slot = Some(Known {
                incarnation,
                record,
            });
        }
    }

    /// Asks for a window record to be written with the next batch. Takes no time.
    pub(crate) fn want_window(&self, window: WindowRecord) {
        *self.wanted_window.lock() = Some(window);
    }

    /// STOP_PERSISTENCE and START_PERSISTENCE. A commit that is under way is finished.
    pub(crate) fn set_stopped(&self, stopped: bool) {
        self.stopped.store(stopped, Ordering::Release);
    }

    /// Whether persistence is stopped.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// What the flusher does. Whoever sees it paused sees no commit afterwards: one that has not
    /// begun by then finds persistence stopped.
    pub(crate) fn state(&self) -> FlusherState {
        if !self.is_stopped() {
            FlusherState::Running
        } else if self.progress.is_locked() {
            FlusherState::Pausing
        } else {
            FlusherState::Paused
        }
    }

    /// Commits one batch, unless persistence is stopped.
    ///
    /// # Errors
    /// Nothing was committed; the logs still hold everything.
    pub(crate) fn round(&self) -> Result<Round, StoreError> {
        let mut progress = self.progress.lock();
        if self.is_stopped() {
            return Ok(Round::Idle);
        }
        self.round_locked(&mut progress, self.shared.settings.max_txn_size.count())
    }

    fn round_locked(&self, progress: &mut Progress, items: usize) -> Result<Round, StoreError> {
        let wanted = self.wanted_window.lock().take();
        progress.wanted_window = wanted.unwrap_or(progress.wanted_window);
        let (parts, more) = self.collect(progress, items);
        let count: usize = parts.iter().map(|part| part.changes.len()).sum();
        self.shared.metrics.flusher_todo.set(count as u64);
        let result = self.commit(progress, &parts, count);
        self.shared.metrics.flusher_todo.set(0);
        result?;
        for part in &parts {
            part.reader.committed(part.closed, &part.changes);
        }
        self.sync_periodically(progress)?;
        Ok(if more { Round::More } else { Round::Idle })
    }

    /// Deletes some rows that are void; for idle times. Returns whether there may be more.
    ///
    /// # Errors
    /// When the store cannot be written; nothing is lost by that.
    fn purge(&self) -> Result<bool, StoreError> {
        let _progress = self.progress.lock();
        Ok(!self.is_stopped() && self.store.purge()?)
    }

    /// Reads from the logs until about `items` changes are together.
    fn collect(&self, progress: &mut Progress, items: usize) -> (Vec<Part<'_>>, bool) {
        let vbuckets: Vec<&Vbucket> = self.vbuckets.iter().collect();
        let mut parts = Vec::new();
        let mut room = items;
        let mut more = false;
        let turn = progress.turn % vbuckets.len().max(1);
        for vbucket in vbuckets.iter().skip(turn).chain(vbuckets.iter().take(turn)) {
            if room == 0 {
                more = true;
                break;
            }
            progress.turn += 1;
            if let Some((part, exhausted)) = read(vbucket, room) {
                room = room.saturating_sub(part.changes.len());
                more |= !exhausted;
                parts.push(part);
            }
        }
        if !more {
            progress.turn = 0;
        }
        (parts, more)
    }

    fn commit(
        &self,
        progress: &mut Progress,
        parts: &[Part<'_>],
        count: usize,
    ) -> Result<(), StoreError> {
        let mut batch = self.store.batch()?;
        let mut written = HashMap::new();
        for part in parts {
            let (id, incarnation) = (part.reader.vbucket().id(), part.reader.incarnation());
            if progress.incarnation(id) != Some(incarnation) {
                // Its first rows: none of an earlier vbucket of this id may stay.
                batch.clear(id);
            }
            fill(&mut *batch, id, &part.changes);
            written.insert(id, (incarnation, part.closed));
        }
        let mut news = Vec::new();
        for id in (0..).map_while(VbucketId::new) {
            let standing = self.vbuckets.get(id).and_then(Vbucket::standing);
            news.extend(put_standing(
                &mut *batch,
                progress,
                id,
                standing,
                written.get(&id),
            ));
        }
        if progress.window != progress.wanted_window {
            batch.set_window(progress.wanted_window);
        }
        if batch.len() == 0 {
            return Ok(());
        }
        self.timed(|| batch.commit(self.durability))?;
        for part in parts {
            self.note_written(&part.changes);
        }
        self.shared.metrics.commits.add(1);
        self.shared.metrics.persisted.add(count as u64);
        progress.window = progress.wanted_window;
        self.learn(progress, news);
        Ok(())
    }

    /// Takes note of what the store knows after a commit.
    fn learn(&self, progress: &mut Progress, news: Vec<(VbucketId, Option<Known>)>) {
        for (id, known) in news {
            if let (Some(vbucket), Some(known)) = (self.vbuckets.get(id), known) {
                vbucket.reserve(known.incarnation, known.record.reserved);
            }
            if let Some(slot) = progress.known.get_mut(id.index()) {
                *slot = known;
            }
        }
    }

    /// Measures a commit.
    fn timed<T>(&self, commit: impl FnOnce() -> T) -> T {
        let start = self.shared.host.monotonic();
        let result = commit();
        let took = self.shared.host.monotonic().saturating_sub(start);
        let metrics = &self.shared.metrics;
        metrics.timings.commit.record(took);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        metrics.commit_micros.set(micros);
        metrics.commit_micros_total.add(micros);
        result
    }

    fn note_written(&self, changes: &[Change]) {
        let items = changes.iter().filter_map(|change| change.item.as_ref());
        let bytes: usize = items
            .map(|item| item.key().len() + item.value().len())
            .sum();
        self.shared.metrics.writes.add(changes.len() as u64);
        self.shared.metrics.written_bytes.add(bytes as u64);
    }

    fn sync_periodically(&self, progress: &mut Progress) -> Result<(), StoreError> {
        let now = self.shared.host.monotonic();
        let due = now.saturating_sub(progress.synced) >= SYNC_PERIOD;
        if self.durability == Durability::Periodic && due {
            self.store.sync()?;
            progress.synced = now;
        }
        Ok(())
    }

    /// For idle times: syncs what a timer would sync, and lets the store give memory back. Returns
    /// whether it is to be called again.
    fn settle(&self) -> bool {
        if self.durability == Durability::Periodic && self.store.sync().is_err() {
            // The next commit meets the same error and says so.
            return false;
        }
        self.store.settle()
    }

    /// COMPLETE: makes the windows of all `vbuckets` durable in one atomic commit, after everything
    /// that lies before them. The windows end; `window` is what the store is to say then.
    ///
    /// # Errors
    /// Nothing of the windows was committed; they are still completing.
    pub(crate) fn complete(
        &self,
        vbuckets: &[&Vbucket],
        window: WindowRecord,
    ) -> Result<(), StoreError> {
        let mut progress = self.progress.lock();
        if self.is_stopped() {
            return Err(StoreError::new(
                "persistence is stopped; send START_PERSISTENCE (0x81)",
            ));
        }
        while self.round_locked(&mut progress, self.shared.settings.max_txn_size.count())?
            == Round::More
        {}
        let mut batch = self.store.batch()?;
        let mut records = Vec::new();
        let mut windows = Vec::new();
        for vbucket in vbuckets {
            let changes = window_changes(vbucket);
            fill(&mut *batch, vbucket.id(), &changes);
            let id = vbucket.with_log(Log::window_id);
            if let Some(id) = id {
                records.extend(put_record(&mut *batch, vbucket, id));
            }
            windows.push(changes);
        }
        batch.set_window(window);
        // Committed and durable, or neither: an error between the two could not be taken back.
        let durability = match self.durability {
            Durability::Periodic => Durability::Sync,
            durability => durability,
        };
        self.timed(|| batch.commit(durability))?;
        progress.window = window;
        progress.wanted_window = window;
        self.learn(&mut progress, records);
        completed(vbuckets);
        for (vbucket, changes) in vbuckets.iter().zip(&windows) {
            vbucket.forget_deletions(changes);
            self.note_written(changes);
            self.shared.metrics.persisted.add(changes.len() as u64);
        }
        self.shared.metrics.commits.add(1);
        Ok(())
    }
}

/// Brings the store's record of one id up to date, behind the rows that the batch has for it:
/// `written` says of which incarnation they are. Returns what the store knows then, if it is news.
fn put_standing(
    batch: &mut dyn Batch,
    progress: &Progress,
    id: VbucketId,
    standing: Option<(u64, VbucketRecord)>,
    written: Option<&(u64, Option<CheckpointId>)>,
) -> Option<(VbucketId, Option<Known>)> {
    let known = progress.known.get(id.index()).copied().flatten();
    let rows = written.map(|(incarnation, _)| *incarnation);
    let rows = rows.or(known.map(|known| known.incarnation));
    match standing {
        Some((incarnation, mut record)) if rows.is_none_or(|rows| rows == incarnation) => {
            let closed = written.and_then(|(_, closed)| *closed);
            record.checkpoint = record.checkpoint.max(closed.unwrap_or_default());
            let now = Known {
                incarnation,
                record,
            };
            if known == Some(now) {
                return None;
            }
            if rows.is_none() {
                batch.clear(id);
            }
            batch.set_vbucket(id, &record);
            Some((id, Some(now)))
        }
        // Deleted, perhaps after its rows were read, and perhaps made again: that one's turn is the
        // next round.
        _ if rows.is_some() => {
            batch.clear(id);
            batch.remove_vbucket(id);
            Some((id, None))
        }
        _ => None,
    }
}

/// Adds the record of a vbucket whose checkpoint `checkpoint` is durable with this batch.
fn put_record(
    batch: &mut dyn Batch,
    vbucket: &Vbucket,
    checkpoint: CheckpointId,
) -> Option<(VbucketId, Option<Known>)> {
    let (incarnation, mut record) = vbucket.standing()?;
    record.checkpoint = record.checkpoint.max(checkpoint);
    batch.set_vbucket(vbucket.id(), &record);
    let known = Known {
        incarnation,
        record,
    };
    Some((vbucket.id(), Some(known)))
}

/// Puts changes into a batch, in order.
fn fill(batch: &mut dyn Batch, vbucket: VbucketId, changes: &[Change]) {
    // What a later flush in the same batch makes void need not be written.
    let flush = changes.iter().rposition(|change| change.op == Op::Flush);
    if flush.is_some() {
        batch.clear(vbucket);
    }
    let first = flush.map_or(0, |index| index + 1);
    for change in changes.iter().skip(first) {
        let Some(item) = &change.item else { continue };
        match change.op {
            Op::Set => batch.put(vbucket, item.key(), &record(item)),
            Op::Delete => batch.delete(vbucket, item.key()),
            _ => {}
        }
    }
}

fn record(item: &Item) -> Record<'_> {
    Record {
        flags: item.flags(),
        expiry: item.expiry(),
        cas: item.cas(),
        value: item.value(),
    }
}

/// Reads one vbucket's log up to a consistent end; `None` when there is nothing to do for it.
fn read(vbucket: &Vbucket, room: usize) -> Option<(Part<'_>, bool)> {
    let mut part = Part {
        reader: vbucket.reader(),
        closed: None,
        changes: Vec::new(),
    };
    let start = part.reader.upto();
    loop {
        let end = part.reader.read(READ_ENTRIES, &mut part.changes)?;
        part.closed = end.closed.or(part.closed);
        if end.consistent && (end.exhausted || part.changes.len() >= room) {
            let moved = part.reader.upto() > start;
            return moved.then_some((part, end.exhausted));
        }
    }
}

fn window_changes(vbucket: &Vbucket) -> Vec<Change> {
    let mut changes = Vec::new();
    if !matches!(vbucket.window_phase(), Some(Phase::Completing { .. })) {
        return changes;
    }
    let mut after = Some(Seqno::ZERO);
    while let Some(from) = after {
        after = vbucket.read_window(from, &mut changes);
    }
    changes
}

/// The flusher's thread. Wakes `after` when something was committed.
pub(crate) fn run(persister: &Persister, host: &dyn Host, after: &Signal, signal: &Signal) {
    let mut pause = RETRY_MIN;
    let mut complaint = String::new();
    let mut settle_after = None;
    loop {
        match signal.wait(settle_after.take()) {
            Wake::Stop => return,
            Wake::Timeout => {
                settle_after = persister.settle().then_some(SETTLE_AFTER);
                if settle_after.is_none() {
                    give_back();
                }
                continue;
            }
            Wake::Work => settle_after = Some(SETTLE_AFTER),
        }
        if signal.nap(GATHER) {
            return;
        }
        loop {
            let round = persister.round();
            if round.is_ok() {
                pause = RETRY_MIN;
                if !complaint.is_empty() {
                    host.log(LogLevel::Info, "the store can be written again");
                    complaint.clear();
                }
            }
            match round {
                Ok(Round::More) if signal.is_stopped() => return,
                Ok(Round::More) => {}
                Ok(Round::Idle) => match persister.purge() {
                    Ok(true) if signal.is_stopped() => return,
                    Ok(true) => {}
                    // An error shows at the next commit.
                    Ok(false) | Err(_) => {
                        after.wake();
                        break;
                    }
                },
                Err(error) => {
                    let text = error.to_string();
                    if text != complaint {
                        host.log(LogLevel::Warning, &format!("cannot persist: {text}"));
                        complaint = text;
                    }
                    persister.shared.metrics.commit_failures.add(1);
                    if signal.nap(pause) {
                        return;
                    }
                    pause = (pause * 2).min(RETRY_MAX);
                }
            }
        }
    }
}
