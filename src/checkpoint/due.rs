//! A delayed `flush_all` of one vbucket.
//!
//! When it is due is part of what the vbucket holds, like its keys: every checkpoint knows what was
//! due at its end, so a batch that ends there records it with the changes themselves, and a window
//! has it in its state before. So a flush and the end of its waiting become durable together, or
//! are taken back together.

use super::{Kind, Log};
use crate::types::{Seqno, UnixTime};

impl Log {
    /// When a delayed flush is due; 0 none.
    pub(crate) fn due(&self) -> UnixTime {
        self.open.due
    }

    /// Delays a flush, instead of one that waits already.
    pub(crate) fn delay_flush(&mut self, due: UnixTime) {
        self.open.due = due;
    }

    /// A master decides from now on: what this node was told is void, also when its window ends.
    pub(crate) fn forget_due(&mut self) {
        self.open.due = 0;
        if let Some(window) = &mut self.window {
            window.due = 0;
        }
    }

    /// Carries a delayed flush out if its time has come. Returns its position.
    pub(crate) fn flush_if_due(&mut self, now: UnixTime) -> Option<Seqno> {
        let reached = self.open.due != 0 && self.open.due <= now;
        reached.then(|| self.flush())
    }

    /// A window was taken back: what was due before it is due again, unless its time has come in
    /// the window, and with it what the flush did.
    pub(super) fn restore_due(&mut self, before: UnixTime, now: UnixTime) {
        let due = if before > now { before } else { 0 };
        self.open.due = due;
        if let Some(reverted) = self.closed.back_mut() {
            reverted.due = due;
        }
    }

    /// What is due where the persistence cursor stands, if it stands at the end of the log.
    pub(crate) fn due_at_end(&self) -> Option<UnixTime> {
        let is_at_end = self.open.kind == Kind::Normal && self.persisted == self.last;
        is_at_end.then_some(self.open.due)
    }

    /// What was due when the window's end was accepted.
    pub(crate) fn window_due(&self) -> UnixTime {
        let mut closed = self.closed.iter();
        let window = closed.find(|checkpoint| checkpoint.kind == Kind::Completing);
        window.unwrap_or(&self.open).due
    }
}
