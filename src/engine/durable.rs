//! Answers of writes that wait until these are durable, for hosts that can hold an answer back
//! (`sync_writes`). All that wait at a time go out after one commit.

use super::noted::Waiter;
use super::{Core, Engine};
use crate::checkpoint::{Log, Phase};
use crate::host::{BlockedCookie, Cookie};
use crate::types::{Seqno, VbucketId};

/// Up to where a vbucket has to be durable.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    vbucket: VbucketId,
    upto: Seqno,
}

#[cfg(test)]
impl Place {
    /// Everything before that number.
    pub(super) const fn before(vbucket: VbucketId, next: Seqno) -> Self {
        let upto = Seqno::new(next.get() - 1);
        Self { vbucket, upto }
    }
}

/// Whether a change up to there may not be durable, and becomes so by what is under way. What an
/// open window holds back does not: COMPLETE makes it durable.
fn is_due(log: &Log, upto: Seqno) -> bool {
    match log.window().filter(|window| window.phase == Phase::Open) {
        Some(window) => log.unpersisted_before(upto.min(window.barrier)) > 0,
        // A change that was replaced counts no longer, but the one in its place lies behind.
        None => log.persisted() < upto && log.unpersisted() > 0,
    }
}

impl Core {
    /// Where a vbucket's log ends, unless nothing is due there.
    fn place_to_reach(&self, vbucket: u16) -> Option<Place> {
        let vbucket = self.vbuckets.get(VbucketId::new(vbucket)?)?;
        let upto = vbucket.with_log(|log| {
            let last = Seqno::new(log.next_seqno().get() - 1);
            is_due(log, last).then_some(last)
        })?;
        Some(Place {
            vbucket: vbucket.id(),
            upto,
        })
    }

    /// Whether what lies before a place is durable, or will not become so by what is under way.
    pub(super) fn is_reached(&self, place: Place) -> bool {
        let vbucket = self.vbuckets.get(place.vbucket);
        let due = vbucket.is_some_and(|vbucket| vbucket.with_log(|log| is_due(log, place.upto)));
        !due || self.persister.is_stopped() || self.updates.is_dead()
    }

    fn answer_when_written(&self, cookie: Cookie, vbucket: u16, hold: &dyn Fn()) -> bool {
        if !self.is_noted() {
            return false;
        }
        let Some(place) = self.place_to_reach(vbucket) else {
            return false;
        };
        // Before anybody can answer.
        hold();
        let waits = Waiter::Written(BlockedCookie::new(cookie), place);
        if !self.when_noted(waits) {
            self.host.answer_held(BlockedCookie::new(cookie), false);
        }
        true
    }
}

impl Engine {
    /// Has the answer of a change that was made just now go out when it is durable. Calls `hold`
    /// and returns true if it has to wait for that: not without a store, while persistence is
    /// stopped, or inside an online update, which is durable when COMPLETE is. While a COMPLETE
    /// runs it waits for that one's end.
    pub(crate) fn answer_when_written(
        &self,
        cookie: Cookie,
        vbucket: u16,
        hold: &dyn Fn(),
    ) -> bool {
        self.core.answer_when_written(cookie, vbucket, hold)
    }
}
