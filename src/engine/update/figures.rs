//! What the node says of its online updates.

use std::time::Duration;

use super::{Core, Engine, Kind};
use crate::checkpoint::WindowReport;
use crate::store::WindowRecord;
use crate::vbucket::Vbucket;

/// What the node is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UpdateState {
    /// No window.
    None,
    /// A window is open.
    Open,
    /// COMPLETE runs.
    Completing,
    /// REVERT runs.
    Reverting,
}

impl UpdateState {
    /// The word that statistics print.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Open => "open",
            Self::Completing => "completing",
            Self::Reverting => "reverting",
        }
    }
}

/// Figures of the windows of the node's active vbuckets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UpdateReport {
    /// State.
    pub(crate) state: UpdateState,
    /// For how long the window has been open.
    pub(crate) open_for: Duration,
    /// How long it is until it reverts by itself; none if it never does.
    pub(crate) left: Option<Duration>,
    /// Of all of them.
    pub(crate) window: WindowReport,
    /// Whether values that a revert left on disk are being read back.
    pub(crate) rewarming: bool,
    /// What became of the last window.
    pub(crate) last_outcome: &'static str,
    /// How long ago that was; none if no window has ended since this process began.
    pub(crate) ended_for: Option<Duration>,
}

impl Core {
    /// Figures for `stats onlineupdate`.
    pub(super) fn update_report(&self) -> UpdateReport {
        let (running, last, ended_at) = {
            let gate = self.updates.gate.lock();
            (gate.running, gate.last, gate.ended_at)
        };
        let commanded = self.commanded();
        let windows = commanded
            .iter()
            .filter_map(|vbucket| vbucket.window_report());
        let window = windows.reduce(|mut sum, window| {
            sum.add(&window);
            sum
        });
        UpdateReport {
            state: match running {
                Some(Kind::Complete) => UpdateState::Completing,
                Some(Kind::Revert | Kind::Expire) => UpdateState::Reverting,
                None if window.is_none() => UpdateState::None,
                None => UpdateState::Open,
            },
            open_for: window.map_or(Duration::ZERO, |window| {
                self.host.monotonic().saturating_sub(window.opened)
            }),
            left: window.and_then(|window| self.left_of(&window)),
            window: window.unwrap_or_default(),
            rewarming: self.rewarm.is_running(),
            last_outcome: match last {
                WindowRecord::Completed | WindowRecord::PartlyCompleted => "completed",
                WindowRecord::Reverted => "reverted",
                WindowRecord::Expired => "reverted at deadline",
                WindowRecord::Lost => "lost at restart",
                WindowRecord::None | WindowRecord::Open => "none",
            },
            ended_for: ended_at.map(|at| self.host.monotonic().saturating_sub(at)),
        }
    }

    /// How long it is until the first of those windows reverts by itself.
    fn left_of(&self, window: &WindowReport) -> Option<Duration> {
        Some(window.deadline?.saturating_sub(self.host.monotonic()))
    }

    /// Why a COMPLETE could not commit now; none if it could.
    fn complete_hindrance(&self) -> Option<&str> {
        let running = self.updates.gate.lock().running;
        let windows = self.commanded().into_iter();
        let windows = windows.filter_map(Vbucket::window_report);
        let window = windows.reduce(|mut sum, window| {
            sum.add(&window);
            sum
        });
        self.hindrance(running, &window.unwrap_or_default())
    }
}

impl Engine {
    /// Why a COMPLETE could not commit now; none if it could.
    pub(crate) fn complete_hindrance(&self) -> Option<&str> {
        self.core.complete_hindrance()
    }

    /// About how many bytes more a window may take until writes fail; none without a quota.
    pub(crate) fn window_room(&self) -> Option<u64> {
        let report = self.update_report();
        self.core.bytes_left(&report.window)
    }
}
