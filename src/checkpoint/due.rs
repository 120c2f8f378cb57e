//! A delayed `flush_all` of one vbucket.
//!
//! When it is due is part of what the vbucket holds, like its keys: every checkpoint knows what was
//! due at its end, so a batch that ends there records it with the changes themselves, and a window
//! has it in its state before. So a flush and the end of its waiting become durable together, or
//! are taken back together.

use std::time::Duration;

use super::window::{Phase, Window};
use super::{Kind, Log};
use crate::types::{Seqno, UnixTime};

/// When a delayed flush is due.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Due {
    /// In Unix seconds; 0 none.
    pub(crate) at: UnixTime,
    /// When it has waited for its time, by the clock of durations; none for one that was told by
    /// the wall clock, or by an earlier process.
    pub(crate) end: Option<Duration>,
}

/// What the two clocks show.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Clocks {
    /// Unix seconds, which may be set back.
    pub(crate) unix: UnixTime,
    /// The clock of durations.
    pub(crate) lasting: Duration,
}

impl Due {
    /// Whether one waits and its time has come.
    fn has_come(self, now: Clocks) -> bool {
        let has_waited = self.end.is_some_and(|end| end <= now.lasting);
        self.at != 0 && (self.at <= now.unix || has_waited)
    }
}

impl Log {
    /// When a delayed flush is due; 0 none.
    pub(crate) fn due(&self) -> UnixTime {
        self.open.due.at
    }

    /// Delays a flush, instead of one that waits already.
    pub(crate) fn delay_flush(&mut self, due: Due) {
        self.open.due = due;
    }

    /// A master decides from now on: what this node was told is void, also when its window ends.
    pub(crate) fn forget_due(&mut self) {
        self.open.due = Due::default();
        for checkpoint in &mut self.closed {
            checkpoint.due = Due::default();
        }
        if let Some(window) = &mut self.window {
            window.due = Due::default();
        }
    }

    /// Carries a delayed flush out if its time has come. Returns its position.
    pub(crate) fn flush_if_due(&mut self, now: Clocks) -> Option<Seqno> {
        self.open.due.has_come(now).then(|| self.flush())
    }

    /// A window was taken back: what was due before it is due again, unless its time has come in
    /// the window, and with it what the flush did.
    pub(super) fn restore_due(&mut self, before: Due, now: Clocks) {
        let due = if before.has_come(now) {
            Due::default()
        } else {
            before
        };
        self.open.due = due;
        if let Some(reverted) = self.closed.back_mut() {
            reverted.due = due;
        }
    }

    /// What is due where the persistence cursor stands, if it stands at the end of the log, or of
    /// what an open window lets it have.
    pub(crate) fn due_at_end(&self) -> Option<UnixTime> {
        let held = |window: &&Window| window.phase == Phase::Open;
        let held = self.window().filter(held);
        if let Some(window) = held.filter(|window| window.barrier == self.persisted) {
            return Some(window.due.at);
        }
        let is_at_end = self.open.kind == Kind::Normal && self.persisted == self.last;
        is_at_end.then_some(self.open.due.at)
    }

    /// What was due when the window's end was accepted.
    pub(crate) fn window_due(&self) -> UnixTime {
        let mut closed = self.closed.iter();
        let window = closed.find(|checkpoint| checkpoint.kind == Kind::Completing);
        window.unwrap_or(&self.open).due.at
    }
}
