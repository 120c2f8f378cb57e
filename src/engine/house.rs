//! Housekeeping: delayed flushes, the age of checkpoints, cursors that hold too much memory, slots
//! that a flush left behind, what a deleted vbucket left. Woken by the flusher after a commit and
//! by whoever leaves work.

use std::time::Duration;

use super::Core;
use crate::types::VbucketState;
use crate::worker::{Signal, Wake};

/// While a delayed flush is due.
const FLUSH_TICK: Duration = Duration::from_secs(1);

/// The housekeeper's thread. Sleeps without a timer on an idle node.
pub(super) fn run(core: &Core, signal: &Signal) {
    let period = Duration::from_secs(u64::from(core.config.chk_remover_stime));
    let mut ageing = true;
    loop {
        let tick = match core.flush_due() {
            0 if ageing => Some(period),
            0 => None,
            _ => Some(FLUSH_TICK),
        };
        if signal.wait(tick) == Wake::Stop {
            return;
        }
        core.flush_if_due();
        let trash = std::mem::take(&mut *core.trash.lock());
        drop(trash);
        ageing = false;
        for vbucket in core.vbuckets.iter() {
            if vbucket.state() == Some(VbucketState::Active) {
                ageing |= vbucket.close_if_old();
            }
            vbucket.sweep_flushed();
            ageing |= vbucket.held_back() > 0;
        }
        core.drop_slow_cursors();
        core.shared.metrics.remover_runs.add(1);
    }
}
