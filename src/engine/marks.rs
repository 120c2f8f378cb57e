//! Windows where a stream writes: its marks of online update, and what it has to leave to the
//! operator of this node.

use super::Core;
use super::TapMessage;
use super::replica::{Consumer, Reverted};
use crate::checkpoint::{Fit, Op, Phase};
use crate::error::{Error, Result};
use crate::host::{Cookie, LogLevel};
use crate::types::{CheckpointId, VbucketState};
use crate::vbucket::Vbucket;

/// Whether a takeover may end there.
fn follows(vbucket: &Vbucket) -> bool {
    let state = vbucket.state();
    state == Some(VbucketState::Pending) || state == Some(VbucketState::Replica)
}

impl Core {
    /// A window of this node's operator is not a master's to end: who sends waits.
    pub(super) fn spare_own_window(&self, cookie: Cookie, vbucket: &Vbucket) -> Result<()> {
        if !vbucket.takes_commands() || !vbucket.has_own_window() {
            return Ok(());
        }
        // It asks every few seconds, for as long as the window is open.
        let told = |consumer: &mut Consumer| std::mem::replace(&mut consumer.waits, true);
        if self.with_consumer(cookie, told) {
            return Err(Error::Temporary);
        }
        let text = format!(
            "TAP: vbucket {}: a stream waits: an online update of this node's own is open on it; \
             send COMPLETE or REVERT here, or end the stream",
            vbucket.id()
        );
        self.host.log(LogLevel::Warning, &text);
        Err(Error::Temporary)
    }

    /// What a stream has to wait for, or takes back, before it changes the state of a vbucket.
    pub(super) fn mind_windows(
        &self,
        cookie: Cookie,
        message: &TapMessage<'_>,
        vbucket: &Vbucket,
        state: VbucketState,
    ) -> Result<()> {
        let untouched = vbucket.is_window_untouched();
        match state {
            VbucketState::Pending if vbucket.is_completing() => {
                // It may fail, and is its operator's again then.
                Err(Error::Temporary)
            }
            VbucketState::Pending if vbucket.has_own_window() && !vbucket.takes_commands() => {
                // Nobody here can decide about it any more.
                Err(self.revert_lost(cookie, vbucket)?)
            }
            VbucketState::Pending if !untouched => self.spare_own_window(cookie, vbucket),
            VbucketState::Active if follows(vbucket) => {
                if vbucket.is_completing() {
                    Err(Error::Temporary)
                } else if vbucket.is_parted() {
                    Err(self.out_of_step(cookie, message))
                } else if untouched || !vbucket.has_own_window() || !vbucket.has_master() {
                    Ok(())
                } else if vbucket.takes_commands() {
                    // The operator has opened it since the takeover began. What came in it, all of
                    // which the former owner has given up, goes with a REVERT.
                    self.spare_own_window(cookie, vbucket)
                } else {
                    Err(self.revert_lost(cookie, vbucket)?)
                }
            }
            _ => Ok(()),
        }
    }

    /// A mark of online update.
    pub(super) fn receive_mark(
        &self,
        cookie: Cookie,
        vbucket: &Vbucket,
        mark: Op,
        id: Option<CheckpointId>,
    ) -> Result<()> {
        if self.replication.reverted.take(cookie)? == Some(Reverted::Done) {
            return Ok(());
        }
        if vbucket.state() == Some(VbucketState::Active) {
            return Err(self.refuse_mark(vbucket, mark));
        }
        if !matches!(vbucket.window_phase(), None | Some(Phase::Open)) {
            // An operator's command ends it just now.
            return Err(Error::Temporary);
        }
        self.spare_own_window(cookie, vbucket)?;
        let deadline = self.told_deadline(cookie, vbucket.id(), id);
        match (vbucket.fit_mark(mark, id), mark) {
            (Fit::Known, Op::UpdateStart) => {
                // What was told before may have been taken away while the stream was not there.
                if let Some(id) = id {
                    self.follow_deadline(vbucket, id, deadline);
                }
                Ok(())
            }
            (Fit::Known, _) => Ok(()),
            (Fit::LostWindow, _) => Err(self.revert_lost(cookie, vbucket)?),
            (Fit::Fits, Op::UpdateRevert) => {
                Err(self.revert_replica(cookie, vbucket, Reverted::Done)?)
            }
            (Fit::Fits, _) if self.follow_mark(vbucket, mark, id, deadline) => Ok(()),
            (Fit::Fits, _) => Err(self.refuse_mark(vbucket, mark)),
            (Fit::Misfit | Fit::Behind, _) => {
                self.warn_of_peer(|| {
                    let id = id.map_or_else(|| "none".to_owned(), |id| id.to_string());
                    format!(
                        "TAP: vbucket {}: the mark {mark:?} (window {id}) belongs to no window \
                         that is open here; the sender has to begin with the whole state",
                        vbucket.id()
                    )
                });
                Err(Error::Invalid)
            }
        }
    }

    /// A mark on an active vbucket: nobody but its operator begins or ends a window there. The
    /// sender is told, and its stream goes on.
    fn refuse_mark(&self, vbucket: &Vbucket, mark: Op) -> Error {
        self.warn_of_peer(|| {
            format!(
                "TAP: vbucket {}: refused the mark {mark:?} of a peer: the vbucket is active here, \
                 and its windows are its operator's; if it is to follow that peer, make it a \
                 replica",
                vbucket.id()
            )
        });
        Error::Unsupported
    }

    /// The stream goes on outside of a window that is open here: that goes first, and then the
    /// message. The master has lost it, or begins anew.
    pub(super) fn revert_lost(&self, cookie: Cookie, vbucket: &Vbucket) -> Result<Error> {
        // An operator may have opened it just now.
        self.spare_own_window(cookie, vbucket)?;
        let text = format!(
            "TAP: vbucket {}: the online update that is open here is reverted: the stream of \
             its master does not go on in it",
            vbucket.id()
        );
        self.host.log(LogLevel::Warning, &text);
        self.revert_replica(cookie, vbucket, Reverted::GoOn)
    }
}
