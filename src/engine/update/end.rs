//! The end of windows: of the operator's, and the REVERT of those that a master opened here.

use super::{Core, Left, ReplicaRevert};
use crate::checkpoint::Log;
use crate::engine::answers::Owed;
use crate::engine::replica;
use crate::error::{Error, Result};
use crate::host::Cookie;
use crate::store::WindowRecord;
use crate::types::{Seqno, VbucketId, VbucketState};
use crate::vbucket::{RevertStep, Vbucket, begin_complete, begin_revert};

impl Core {
    /// Begins the end of the operator's windows. What the master of a pending vbucket thinks of its
    /// window, or has sent in one of this node's own that is reverted, may be something else then:
    /// its stream is closed, and has to begin with the whole state.
    pub(super) fn begin_end(&self, vbuckets: &[&Vbucket], reverts: bool) -> bool {
        let masters = pending(vbuckets).filter(|vbucket| !vbucket.has_own_window());
        let masters: Vec<_> = masters.collect();
        let end = if reverts {
            begin_revert
        } else {
            begin_complete
        };
        if !end(vbuckets, self.host.lasting()) {
            return false;
        }
        for vbucket in masters {
            vbucket.part_from_master(reverts);
        }
        for vbucket in pending(vbuckets).filter(|vbucket| vbucket.is_parted()) {
            self.bar_streams(vbucket);
        }
        true
    }

    /// No stream that there is now writes the vbucket any more.
    pub(in crate::engine) fn bar_streams(&self, vbucket: &Vbucket) {
        let next = self.streams.number();
        self.replication.fence.bar(vbucket.id(), next);
    }

    pub(super) fn revert_all(&self, vbuckets: &[&Vbucket]) -> Vec<Left> {
        let mut changes = Vec::new();
        let mut all_cold = Vec::new();
        for vbucket in vbuckets {
            // Where nothing came with the window the stream goes on, and brings nothing again.
            if let Some(barrier) = vbucket.with_log(Log::taken_back_to) {
                self.replication.lacking.reverted(vbucket.id(), barrier);
            }
            let mut cold = Vec::new();
            let mut after = Seqno::ZERO;
            while let RevertStep::More(next) = vbucket.revert_some(after, &mut changes, &mut cold) {
                after = next;
            }
            all_cold.push(cold);
        }
        let left = vbuckets.iter().map(|vbucket| vbucket.reverted());
        left.zip(all_cold).collect()
    }

    /// Begins the revert of a window that a master opened here; whoever sent the message gets it
    /// again when that is done.
    ///
    /// # Errors
    /// `Temporary` when the window is being ended by somebody else.
    pub(in crate::engine) fn revert_replica(
        &self,
        cookie: Cookie,
        vbucket: &Vbucket,
        then: replica::Reverted,
    ) -> Result<Error> {
        let waits = Some((self.replication.reverted.expect(cookie), then));
        if self.begin_replica_revert(vbucket, waits) {
            Ok(Error::WouldBlock)
        } else {
            self.replication.reverted.forget(cookie);
            Err(Error::Temporary)
        }
    }

    fn begin_replica_revert(
        &self,
        vbucket: &Vbucket,
        waits: Option<(Owed, replica::Reverted)>,
    ) -> bool {
        let mut gate = self.updates.gate.lock();
        // While a COMPLETE that failed is being undone a key may stand in the window twice.
        let busy = gate.dead || gate.ending.contains(&vbucket.id());
        // The window of an active one is its operator's.
        let active = vbucket.state() == Some(VbucketState::Active);
        let left = vbucket.left_window();
        if busy || active || !begin_revert(&[vbucket], self.host.lasting()) {
            return false;
        }
        gate.replicas.push_back(ReplicaRevert {
            vbucket: vbucket.id(),
            waits,
            left,
        });
        drop(gate);
        self.updates.signal.wake();
        self.streams.changed();
        true
    }

    /// A vbucket that another node took over: its window is decided there.
    pub(in crate::engine) fn discard_window(&self, id: VbucketId) {
        let dead = |vbucket: &&Vbucket| vbucket.state() == Some(VbucketState::Dead);
        if let Some(vbucket) = self.vbuckets.get(id).filter(dead) {
            self.begin_replica_revert(vbucket, None);
        }
    }

    pub(super) fn run_replica_revert(&self, id: VbucketId) {
        if let Some(vbucket) = self.vbuckets.get(id) {
            let left = self.revert_all(&[vbucket]);
            for (left, cold) in left {
                self.rewarm.add(vbucket, left, cold);
            }
        }
        let done = {
            let mut gate = self.updates.gate.lock();
            let done = gate.replicas.pop_front();
            let left = done.as_ref().and_then(|revert| revert.left);
            self.end_followed(&mut gate, WindowRecord::Reverted, left);
            self.persister.want_window(self.record_now(gate.decided()));
            done
        };
        self.changed();
        self.house.wake();
        if let Some((owed, then)) = done.and_then(|revert| revert.waits) {
            self.host.notify(self.replication.reverted.put(owed, then));
        }
    }
}

/// Those that may follow a stream.
fn pending<'a>(vbuckets: &'a [&'a Vbucket]) -> impl Iterator<Item = &'a Vbucket> {
    let active = Some(VbucketState::Active);
    { vbuckets.iter().copied() }.filter(move |vbucket| vbucket.state() != active)
}
