//! Housekeeping: delayed flushes, the age of checkpoints, cursors that hold too much memory, keys
//! that have expired, slots that a flush left behind, what host threads have left to be dropped, a
//! restore whose connection is silent.
//! Woken by the flusher after a commit and by whoever leaves work.

use std::time::Duration;

use super::Core;
use super::scrub::ScrubReport;
use crate::aside::step_aside;
use crate::types::VbucketState;
use crate::vbucket::{Vbucket, Walk};
use crate::worker::{Signal, Wake};

/// While a delayed flush is due.
const FLUSH_TICK: Duration = Duration::from_secs(1);

/// The housekeeper's thread. On an idle node it sleeps until keys are to be looked for that have
/// expired.
pub(super) fn run(core: &Core, signal: &Signal) {
    let period = Duration::from_secs(u64::from(core.config.chk_remover_stime));
    let mut ageing = true;
    let mut looked = core.host.monotonic();
    loop {
        let ages = ageing.then_some(period);
        let flush = core.vbuckets.iter().any(Vbucket::flushes_soon);
        let flush = flush.then_some(FLUSH_TICK);
        let expiry = core.until_expiry_pager(looked);
        let silence = core.end_silent_restore();
        let tick = [ages, flush, expiry, silence].into_iter().flatten().min();
        let wake = signal.wait(tick);
        core.shared.trash.empty();
        if wake == Wake::Stop {
            return;
        }
        ageing = false;
        let jobs = &core.shared.metrics.jobs.others;
        let job = jobs.begin("look after checkpoints", core.host.monotonic());
        for vbucket in core.vbuckets.iter() {
            core.flush_if_due(vbucket);
            if vbucket.state() == Some(VbucketState::Active) {
                ageing |= vbucket.close_if_old();
            }
            vbucket.sweep_flushed(&|| core.step_aside());
            ageing |= vbucket.sweep_locks();
            ageing |= vbucket.held_back() > 0;
        }
        core.drop_slow_cursors();
        core.shared.metrics.remover_runs.add(1);
        jobs.end(job, core.host.monotonic());
        // One that begins while keys are looked at is for the next round.
        let scrubs = core.scrub.is_running();
        if scrubs || core.until_expiry_pager(looked) == Some(Duration::ZERO) {
            let begun = core.host.monotonic();
            let job = jobs.begin("delete expired items", begun);
            let mut report = core.expire(signal);
            looked = core.host.monotonic();
            report.took = looked.saturating_sub(begun);
            if scrubs {
                core.scrub.end(report);
            }
            jobs.end(job, looked);
        }
    }
}

impl Core {
    /// Time until expired keys are to be looked for again; `None` for never.
    fn until_expiry_pager(&self, looked: Duration) -> Option<Duration> {
        let period = match self.shared.settings.exp_pager_stime.get() {
            0 => return None,
            seconds => Duration::from_secs(seconds),
        };
        Some((looked.saturating_add(period)).saturating_sub(self.host.monotonic()))
    }

    /// Lets others pass while there is room: where memory is short, clients wait for what is freed.
    fn step_aside(&self) {
        if !self.evictor.is_above_low() {
            step_aside();
        }
    }

    /// Deletes every key of an active vbucket that has expired. (A replica gets the deletions from
    /// its master.) Returns how many there were.
    fn expire(&self, signal: &Signal) -> ScrubReport {
        let mut report = ScrubReport::default();
        self.shared.metrics.expiry_pager_runs.add(1);
        let is_active = |vbucket: &&Vbucket| vbucket.state() == Some(VbucketState::Active);
        for vbucket in self.vbuckets.iter().filter(is_active) {
            let mut walk = Walk::default();
            while let Some(swept) = vbucket.expire_part(&mut walk) {
                if signal.is_stopped() {
                    return report;
                }
                report.visited += swept.taken + swept.spared;
                report.cleaned += swept.taken;
                if swept.taken > 0 {
                    self.changed();
                }
                self.shared.trash.empty();
                self.step_aside();
            }
        }
        report
    }
}
