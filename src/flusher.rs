//! Persistence: takes what the logs hold and makes it durable.
//!
//! A batch ends at the end of a checkpoint or of a log as it stood at one moment, so the store
//! always holds a state that each vbucket really was in (docs/online-update.md, "Invariants").
//! Nothing of an open window is read; COMPLETE commits it through [`Persister::complete`].
//!
//! Limits: a batch takes changes until it has `max_txn_size` of them or
//! [`Shared::checkpoint_bytes_max`], and then goes on to the end of the checkpoint that it is in.
//! Where very many wait it takes them whatever `max_txn_size` says, and they go into tables of the
//! store, sorted, past its journal and memtables: that takes half of the processor time for each
//! change, and the more of it the larger the tables are, so while very many come it waits for more.
//! A checkpoint that is much larger, a window that came from a master, is not copied for that but
//! read again and again.
//!
//! Threads: one worker runs [`run`], another one [`run_tidy`]; COMPLETE and REVERT call the other
//! methods from theirs. All of them wait for the disk; host threads never come here.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use crate::config::Durability;
use crate::store::{Batch, Rows, Store, StoreError, VbucketRecord, WindowRecord};
use crate::types::{Seqno, VBUCKETS_MAX, VbucketId};
use crate::vbucket::{Shared, Vbucket, VbucketMap};
use crate::worker::Signal;

mod batch;
mod collect;
mod complete;
mod progress;
mod sorted;
mod thread;
mod tidy;

use batch::{Part, SORTED_MIN, Tally, Written, fill, put_standing};
use progress::{Known, Progress, Torn};
use sorted::write_part;
pub(crate) use thread::run;
pub(crate) use tidy::run_tidy;

/// How often `durability=periodic` syncs.
const SYNC_PERIOD: Duration = Duration::from_secs(1);

/// See [`Persister::woken`].
const NOTHING_WAITS: u64 = u64::MAX;

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
    /// Its thread has died of a defect.
    Dead,
}

impl FlusherState {
    /// The word that statistics print.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Pausing => "pausing",
            Self::Paused => "paused",
            Self::Dead => "dead",
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
    /// The flusher's thread has died.
    dead: AtomicBool,
    /// The last batch could not be written.
    failing: AtomicBool,
    /// Since when something waits to be written: when the flusher was first woken for it, in
    /// milliseconds of the clock of ages; [`NOTHING_WAITS`] once all was written.
    woken: AtomicU64,
    /// What is to be written is not to wait for its age.
    pressed: AtomicBool,
    // Guards one word. Lock order: last.
    wanted_window: Mutex<Option<WindowRecord>>,
    /// Wakes who tidies the store up.
    tidy_signal: Arc<Signal>,
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
            unsure: Vec::new(),
            torn: Vec::new(),
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
            dead: AtomicBool::new(false),
            failing: AtomicBool::new(false),
            woken: AtomicU64::new(NOTHING_WAITS),
            pressed: AtomicBool::new(false),
            wanted_window: Mutex::new(None),
            tidy_signal: Signal::new(),
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

    /// Wakes the thread that runs [`run_tidy`]; every commit does.
    pub(crate) fn tidy_signal(&self) -> &Arc<Signal> {
        &self.tidy_signal
    }

    /// Has the next batch written without regard to its age; the caller wakes and hurries the
    /// flusher.
    pub(crate) fn press(&self) {
        self.pressed.store(true, Ordering::Release);
    }

    /// STOP_PERSISTENCE and START_PERSISTENCE. A commit that is under way is finished.
    pub(crate) fn set_stopped(&self, stopped: bool) {
        self.stopped.store(stopped, Ordering::Release);
    }

    /// Whether there is a store that keeps anything.
    pub(crate) fn keeps_values(&self) -> bool {
        self.store.keeps_values()
    }

    /// Whether persistence is stopped.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// The flusher's thread has died of a defect.
    pub(crate) fn died(&self) {
        self.dead.store(true, Ordering::Release);
    }

    /// Whether the flusher's thread has died.
    pub(crate) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Acquire)
    }

    /// Whether the last batch could not be written: the flusher tries again.
    pub(crate) fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Acquire)
    }

    /// Whether a commit failed and may be found all the same when the process ends now.
    pub(crate) fn is_undecided(&self) -> bool {
        self.store.is_undecided()
    }

    /// What the flusher does. Whoever sees it paused sees no commit afterwards: one that has not
    /// begun by then finds persistence stopped.
    pub(crate) fn state(&self) -> FlusherState {
        if self.is_dead() {
            FlusherState::Dead
        } else if !self.is_stopped() {
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
        let round = self.round_locked(&mut progress, None);
        self.failing.store(round.is_err(), Ordering::Release);
        round
    }

    /// The same, synced also with `durability=periodic`: what another node builds on.
    ///
    /// # Errors
    /// As [`Persister::round`]; or it was committed and could not be synced.
    pub(crate) fn round_synced(&self) -> Result<Round, StoreError> {
        let round = self.round()?;
        if self.durability == Durability::Periodic && !self.is_stopped() {
            self.store.sync()?;
        }
        Ok(round)
    }

    /// A batch of all vbuckets or of those.
    fn round_locked<'a>(
        &'a self,
        progress: &mut Progress,
        of: Option<&[&'a Vbucket]>,
    ) -> Result<Round, StoreError> {
        let wanted = self.wanted_window.lock().take();
        progress.wanted_window = wanted.unwrap_or(progress.wanted_window);
        let (parts, more) = self.collect(progress, of);
        let count: usize = parts.iter().map(Part::count).sum();
        self.shared.metrics.flusher_todo.set(count as u64);
        let result = self.commit(progress, &parts, count);
        self.shared.metrics.flusher_todo.set(0);
        let result = result.and_then(|()| {
            for part in &parts {
                match &part.large {
                    Some(large) => part.reader.committed_from(part.closed, large.begin.clone()),
                    None => part.reader.committed(part.closed, &part.changes),
                }
            }
            self.shared.awaited.stir();
            self.note_age(&parts);
            if !more && of.is_none() {
                self.woken.store(NOTHING_WAITS, Ordering::Relaxed);
            }
            self.sync_periodically(progress)
        });
        self.noted(result)?;
        Ok(if more { Round::More } else { Round::Idle })
    }

    /// Tells reports what the store said last.
    fn noted(&self, result: Result<(), StoreError>) -> Result<(), StoreError> {
        let error = result.as_ref().err().map(ToString::to_string);
        self.shared
            .metrics
            .store_error
            .set(error.unwrap_or_default());
        result
    }

    /// How long the oldest change of a batch has waited. It came when the flusher was woken, or
    /// later if its checkpoint is younger.
    fn note_age(&self, parts: &[Part<'_>]) {
        let written = parts.iter().filter(|part| part.count() > 0);
        if let Some(begun) = written.map(|part| part.reader.begun()).min() {
            let now = u64::from(self.shared.seconds());
            let woken = self.woken.load(Ordering::Relaxed);
            let woken = if woken == NOTHING_WAITS {
                now
            } else {
                woken / 1_000
            };
            let begun = u64::from(begun).max(woken);
            let (metrics, age) = (&self.shared.metrics, now.saturating_sub(begun));
            metrics.age_seconds.note(age);
            metrics.timings.age.record(Duration::from_secs(age));
        }
    }

    /// Deletes some rows that are void; for idle times. Returns whether there may be more.
    ///
    /// # Errors
    /// When the store cannot be written; nothing is lost by that.
    fn purge(&self) -> Result<bool, StoreError> {
        let _progress = self.progress.lock();
        let more = !self.is_stopped() && self.store.purge()?;
        self.shared.metrics.purging.set(u64::from(more));
        Ok(more)
    }

    fn begin(&self) -> Result<Box<dyn Batch + '_>, StoreError> {
        let batch = self.store.batch();
        if batch.is_err() {
            self.shared.metrics.begin_failures.add(1);
        }
        batch
    }

    /// Commits so many changes with `commit`, which says what they do to the store.
    fn finish(
        &self,
        count: impl FnOnce(Tally) -> u64,
        commit: impl FnOnce(&mut Tally) -> Result<(), StoreError>,
    ) -> Result<Tally, StoreError> {
        let metrics = &self.shared.metrics;
        let begun = self.shared.host.monotonic();
        let mut written = Tally::default();
        let result = commit(&mut written);
        let count = count(written);
        match result {
            Ok(()) => {
                let took = self.shared.host.monotonic().saturating_sub(begun);
                metrics.commit_micros.note(took.as_micros());
                metrics.timings.commit.record(took);
                metrics.commits.add(1);
                metrics.persisted.add(count);
                metrics.rows_deleted.add(written.deleted);
                metrics.rows_created.add(written.created);
                metrics.writes.add(written.put + written.deleted);
                metrics.written_bytes.add(written.bytes);
                self.tidy_signal.wake();
                Ok(written)
            }
            Err(error) => {
                metrics.commit_failures.add(1);
                metrics.flush_failures.add(count);
                Err(error)
            }
        }
    }

    fn commit(
        &self,
        progress: &mut Progress,
        parts: &[Part<'_>],
        count: usize,
    ) -> Result<(), StoreError> {
        let is_many = count >= SORTED_MIN || parts.iter().any(|part| part.large.is_some());
        let is_sorted = is_many && self.keeps_values();
        if is_sorted {
            self.record_window(progress)?;
        }
        let mut batch = self.begin()?;
        let mut by_part = vec![Tally::default(); parts.len()];
        let mut by_id = HashMap::new();
        for (part, own) in parts.iter().zip(&mut by_part) {
            let (id, incarnation) = (part.reader.vbucket().id(), part.reader.incarnation());
            if progress.incarnation(id) != Some(incarnation) {
                // Its first rows: none of an earlier vbucket of this id may stay.
                batch.clear(id);
            }
            if !is_sorted {
                fill(&mut *batch, id, &part.changes, own);
            } else if part.flushed() > Seqno::ZERO {
                batch.clear(id);
            }
            by_id.insert(id, Written::of(part));
        }
        let news = self.put_standings(&mut *batch, progress, &mut by_id);
        if progress.window != progress.wanted_window {
            batch.set_window(progress.wanted_window);
        }
        if batch.len() == 0 && !is_sorted {
            return Ok(());
        }
        let result = self.finish(
            |_| count as u64,
            |written| {
                if is_sorted {
                    batch.commit_with(&mut |rows| {
                        self.write_parts(parts, &by_id, rows, &mut by_part)
                    })?;
                } else {
                    batch.commit(self.durability)?;
                }
                for own in &by_part {
                    written.add(own);
                }
                Ok(())
            },
        );
        result.inspect_err(|_| {
            for part in parts {
                let writes = part.reader.vbucket().writes();
                writes.rejected.add(part.count() as u64);
            }
            progress.unsure.extend(news.iter().map(|(id, _)| *id));
            if is_sorted {
                progress.torn = parts.iter().map(Torn::of).collect();
            }
        })?;
        progress.unsure.clear();
        progress.torn.clear();
        for (part, own) in parts.iter().zip(&by_part) {
            own.note(part.reader.vbucket());
        }
        progress.window = progress.wanted_window;
        self.learn(progress, news);
        Ok(())
    }

    /// Writes a window's record by itself, before a load: what is found of one that failed counts
    /// as that of a COMPLETE if it has this.
    fn record_window(&self, progress: &mut Progress) -> Result<(), StoreError> {
        if progress.window == progress.wanted_window {
            return Ok(());
        }
        let mut batch = self.begin()?;
        batch.set_window(progress.wanted_window);
        self.finish(|_| 0, |_| batch.commit(self.durability))?;
        progress.window = progress.wanted_window;
        Ok(())
    }

    /// Brings the store's records of all ids up to date, behind the rows that a batch has. Returns
    /// what the store knows then, where that is news.
    fn put_standings(
        &self,
        batch: &mut dyn Batch,
        progress: &Progress,
        by_id: &mut HashMap<VbucketId, Written>,
    ) -> Vec<(VbucketId, Option<Known>)> {
        let mut news = Vec::new();
        for id in (0..).map_while(VbucketId::new) {
            let due = |incarnation| progress.due(id, incarnation);
            let vbucket = self.vbuckets.get(id);
            let standing = vbucket.and_then(|vbucket| vbucket.standing(due));
            if let Some(written) = by_id.get_mut(&id) {
                written.meet(standing.map(|(incarnation, _)| incarnation));
            }
            let written = by_id.get(&id);
            news.extend(put_standing(batch, progress, id, standing, written));
        }
        news
    }

    /// Hands out the rows of a batch in the order of their keys, which begin with their vbuckets'
    /// ids; counts them by part. None of a vbucket that was deleted meanwhile: the one that has its
    /// id now would have them.
    fn write_parts(
        &self,
        parts: &[Part<'_>],
        written: &HashMap<VbucketId, Written>,
        out: &mut dyn Rows,
        by_part: &mut [Tally],
    ) -> Result<(), StoreError> {
        let stands = |part: &Part<'_>| {
            let written = written.get(&part.reader.vbucket().id());
            written.is_some_and(|written| !written.is_void)
        };
        let parts = parts.iter().zip(by_part);
        let mut parts: Vec<_> = parts.filter(|(part, _)| stands(part)).collect();
        parts.sort_by_key(|(part, _)| part.reader.vbucket().id());
        let mut parts = parts.into_iter();
        parts.try_for_each(|(part, own)| write_part(part, self.quota(), out, own))
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

    fn sync_periodically(&self, progress: &mut Progress) -> Result<(), StoreError> {
        let now = self.shared.host.monotonic();
        let due = now.saturating_sub(progress.synced) >= SYNC_PERIOD;
        if self.durability == Durability::Periodic && due {
            self.store.sync()?;
            progress.synced = now;
        }
        Ok(())
    }

    /// Syncs what a timer would sync, before a wait. Returns false when the store cannot: the next
    /// commit meets the same error and says so.
    fn sync_before_wait(&self) -> bool {
        self.durability != Durability::Periodic || self.store.sync().is_ok()
    }

    /// For idle times: syncs, and lets the store give memory back. Returns whether it is to be
    /// called again.
    fn settle(&self) -> bool {
        self.sync_before_wait() && self.store.settle()
    }

    /// Of memory, in bytes.
    fn quota(&self) -> u64 {
        self.shared.settings.max_size.get()
    }
}
