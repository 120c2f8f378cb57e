//! Online update on one vbucket, and on many at one instant.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::{LogGuard, Ordered, Vbucket};
use crate::checkpoint::{Change, Log, Phase, Touched, Window, WindowReport};
use crate::types::{CheckpointId, Seqno};

/// Makes the revert of many vbuckets visible to readers at one instant. Reverts are numbered, and a
/// vbucket is marked with the number of its revert; readers heed marks up to the number that is
/// published here. So vbuckets can be marked one after the other, while earlier reverts run.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(crate) struct ReadersSwitch {
    published: AtomicU64,
    // Guards the order of reverts: a number is published before the next one is given. Lock order:
    // before the logs of the vbuckets.
    order: Mutex<()>,
}

impl ReadersSwitch {
    /// Whether readers heed that mark; 0 is none.
    pub(super) fn heeds(&self, mark: u64) -> bool {
        mark != 0 && mark <= self.published.load(Ordering::Acquire)
    }
}

/// Keys that a background step takes in one go.
pub(super) const STEP_KEYS: usize = 256;

/// Applies `act` to the logs of all `vbuckets` while all of them are locked, in the given order,
/// which must be ascending by id: so it falls between the operations of the whole node. When `test`
/// fails for any log, none is changed and false is returned.
fn at_one_instant(
    vbuckets: &[&Vbucket],
    test: impl Fn(&Log) -> bool,
    mut act: impl FnMut(&Vbucket, &mut Ordered),
    at_end: impl FnOnce(),
) -> bool {
    debug_assert!(vbuckets.is_sorted_by_key(|vbucket| vbucket.id));
    let mut locked: Vec<LogGuard<'_>> = vbuckets.iter().map(|vbucket| vbucket.log()).collect();
    if !locked.iter().all(|ordered| test(&ordered.log)) {
        return false;
    }
    for (vbucket, ordered) in vbuckets.iter().zip(&mut locked) {
        act(vbucket, ordered);
    }
    at_end();
    true
}

fn is_open(log: &Log) -> bool {
    log.window()
        .is_some_and(|window| window.phase == Phase::Open)
}

fn seconds(now: Duration) -> u32 {
    u32::try_from(now.as_secs()).unwrap_or(u32::MAX)
}

/// START on all of them or none. `now` and the deadline are the monotonic clock's.
pub(crate) fn open_windows(
    vbuckets: &[&Vbucket],
    now: Duration,
    deadline: Option<Duration>,
) -> bool {
    let shared = vbuckets.first().map(|vbucket| &vbucket.shared);
    let clocks = shared.map(|shared| shared.clocks()).unwrap_or_default();
    let seconds = shared.map_or(0, |shared| shared.seconds());
    at_one_instant(
        vbuckets,
        |log| log.window().is_none() && log.may_open_window(),
        |vbucket, ordered| {
            // A delayed flush whose time has come is of the state before, which a REVERT keeps.
            vbucket.flush_due(ordered, clocks);
            ordered.log.open_window(seconds, now);
            ordered.log.set_deadline(deadline);
            ordered.log.note_start(clocks.unix);
        },
        || {},
    )
}

/// COMPLETE accepted on all of them or none. `now` is the clock's that ages follow
/// ([`Host::lasting`](crate::host::Host::lasting)).
pub(crate) fn begin_complete(vbuckets: &[&Vbucket], now: Duration) -> bool {
    at_one_instant(
        vbuckets,
        |log| is_open(log) && log.may_complete(),
        |_, ordered| {
            ordered.log.begin_complete(seconds(now));
        },
        || {},
    )
}

/// The same for REVERT. From the return on no reader sees a window value.
pub(crate) fn begin_revert(vbuckets: &[&Vbucket], now: Duration) -> bool {
    begin_revert_in_steps(vbuckets, now, &mut || {})
}

/// The same; `marked` is called after each vbucket, when readers are to see nothing of it yet.
pub(super) fn begin_revert_in_steps(
    vbuckets: &[&Vbucket],
    now: Duration,
    marked: &mut dyn FnMut(),
) -> bool {
    let Some(first) = vbuckets.first() else {
        return false;
    };
    // A delayed flush that was due by now came in the window.
    let clocks = first.shared.clocks();
    let switch = &first.shared.switch;
    let _order = switch.order.lock();
    let mark = switch.published.load(Ordering::Acquire) + 1;
    at_one_instant(
        vbuckets,
        is_open,
        |vbucket, ordered| {
            vbucket.part_with_window(&mut ordered.log);
            ordered.log.begin_revert(seconds(now), clocks);
            vbucket.note_due(ordered);
            let log = &ordered.log;
            if let Some(window) = log.window()
                && let Phase::Reverting { end } = window.phase
            {
                vbucket.mark_reverting(window.barrier, end, log.floor(), mark);
                vbucket.note_reverted(window.barrier);
            }
            marked();
        },
        || {
            switch.published.store(mark, Ordering::Release);
            for vbucket in vbuckets {
                let floor = vbucket.revert_floor.load(Ordering::Acquire);
                vbucket.floor.store(floor, Ordering::Release);
            }
        },
    )
}

/// COMPLETE has committed: the windows end on all vbuckets.
pub(crate) fn completed(vbuckets: &[&Vbucket]) {
    for vbucket in vbuckets {
        let free = vbucket.log().log.completed();
        vbucket.release(free);
    }
}

/// COMPLETE could not commit: the windows are open again on all vbuckets.
pub(crate) fn complete_failed(vbuckets: &[&Vbucket]) {
    at_one_instant(vbuckets, |_| true, |_, it| it.log.complete_failed(), || {});
}

impl Vbucket {
    /// Whether readers know of a revert of it.
    pub(super) fn is_marked(&self) -> bool {
        let mark = self.revert_mark.load(Ordering::Acquire);
        self.shared.switch.heeds(mark)
    }

    /// Whether a reader has to take this version back first.
    pub(super) fn is_reverting(&self, seqno: Seqno) -> bool {
        self.is_marked() && self.in_reverted_window(seqno)
    }

    pub(super) fn in_reverted_window(&self, seqno: Seqno) -> bool {
        seqno.get() > self.revert_low.load(Ordering::Acquire)
            && seqno.get() <= self.revert_high.load(Ordering::Acquire)
    }

    /// The phase of the window, if there is one.
    pub(crate) fn window_phase(&self) -> Option<Phase> {
        self.log().log.window().map(|window| window.phase)
    }

    /// When its window was opened, if there is one.
    pub(crate) fn window_opened(&self) -> Option<Duration> {
        self.log().log.window().map(|window| window.opened)
    }

    /// When its window was opened, if it is open and no master's.
    pub(crate) fn left_window(&self) -> Option<Duration> {
        let ordered = self.log();
        let window = ordered
            .log
            .window()
            .filter(|_| ordered.log.has_own_window());
        window.map(|window| window.opened)
    }

    /// When its window reverts by itself, if there is one that does.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        self.log().log.window()?.deadline
    }

    /// The window `id` while that is undecided: open, or being completed, which no deadline ends.
    pub(crate) fn undecided_window(&self, id: CheckpointId) -> Option<Window> {
        self.with_log(|log| {
            let window = log.window().filter(|_| log.window_id() == Some(id))?;
            let mut window = *window;
            match window.phase {
                Phase::Open => {}
                Phase::Completing { .. } => window.deadline = None,
                Phase::Reverting { .. } => return None,
            }
            Some(window)
        })
    }

    /// Seconds that such a window has left, a part of one counted as whole; `u32::MAX` without a
    /// deadline.
    pub(crate) fn seconds_left(&self, id: CheckpointId) -> Option<u32> {
        let deadline = self.undecided_window(id)?.deadline;
        let now = self.shared.host.monotonic();
        let left = deadline.map(|deadline| deadline.saturating_sub(now).as_millis());
        let seconds = left.map(|left| left.div_ceil(1_000));
        Some(seconds.map_or(u32::MAX, |left| u32::try_from(left).unwrap_or(u32::MAX - 1)))
    }

    /// Sets that.
    pub(crate) fn set_deadline(&self, deadline: Option<Duration>) {
        self.log().log.set_deadline(deadline);
    }

    /// Whether COMPLETE runs on it.
    pub(crate) fn is_completing(&self) -> bool {
        matches!(self.window_phase(), Some(Phase::Completing { .. }))
    }

    /// Ends a window that was opened in case a COMPLETE on other vbuckets fails, and it did not.
    pub(crate) fn dissolve_window(&self) {
        let now = self.shared.seconds();
        self.log().log.dissolve_window(now);
    }

    /// Figures of the window.
    pub(crate) fn window_report(&self) -> Option<WindowReport> {
        self.log().log.window_report()
    }

    /// Reads some of the changes of the window that is completing; see [`Log::read_window`].
    pub(crate) fn read_window(&self, after: Seqno, out: &mut Vec<Change>) -> Option<Seqno> {
        self.log().log.read_window(after, STEP_KEYS, out)
    }

    /// So many more keys of the completing window were written.
    pub(crate) fn note_completed(&self, keys: usize) {
        self.log().log.note_completed(keys);
    }

    /// Where the latest `flush_all` of the ending window stands, if there was one.
    pub(crate) fn window_flush(&self) -> Option<Seqno> {
        self.log().log.window_flush()
    }

    /// Reads some of the keys that the window touched; see [`Log::read_touched`].
    pub(crate) fn read_touched(&self, after: Seqno, out: &mut Vec<Touched>) -> Option<Seqno> {
        self.log().log.read_touched(after, STEP_KEYS, out)
    }

    /// Lets go of some values of pre-images that are on disk, behind `after`. Returns how many went
    /// and where to go on.
    pub(crate) fn evict_pre_images(&self, after: Seqno) -> (usize, Option<Seqno>) {
        let mut garbage = Vec::new();
        let next = self
            .log()
            .log
            .evict_pre_images(after, STEP_KEYS, &mut garbage);
        (garbage.len(), next)
    }

    /// Tells readers what a revert takes back, once its number is published; with the log locked.
    fn mark_reverting(&self, barrier: Seqno, end: Seqno, floor: Seqno, mark: u64) {
        self.revert_low.store(barrier.get(), Ordering::Release);
        self.revert_high.store(end.get(), Ordering::Release);
        self.revert_floor.store(floor.get(), Ordering::Release);
        self.revert_mark.store(mark, Ordering::Release);
    }

    /// After a failed COMPLETE: drops the window entries that a later entry of the same key made
    /// void, a few at a time. Returns where to go on.
    pub(crate) fn bury_duplicates(&self, after: Seqno, changes: &mut Vec<Change>) -> Option<Seqno> {
        changes.clear();
        let next = self.log().log.read_open(after, STEP_KEYS, changes);
        for change in changes.iter() {
            let Some(item) = &change.item else { continue };
            let mut stripe = self.table.lock(item.hash());
            let latest = stripe
                .find(item.hash(), item.key())
                .map(|slot| slot.seqno());
            if let Some(latest) = latest {
                self.log().log.bury_duplicate(change.seqno, latest);
            }
            drop(stripe);
        }
        next
    }
}
