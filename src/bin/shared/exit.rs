//! What the exit status says.

/// The exit statuses, for scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done as asked; `run`: completed.
    Done = 0,
    /// Not done; what was begun has been taken back.
    Refused = 1,
    /// The command line is wrong.
    Usage = 2,
    /// Done on some nodes only, or a window is still open: the report names them.
    Partly = 3,
    /// No node has a window open.
    NoWindow = 4,
    /// `run`: the deployment failed, and everything is reverted.
    DeployFailed = 10,
    /// `run`: the check failed, and everything is reverted.
    CheckFailed = 11,
    /// `run`: nobody decided in time, and everything is reverted.
    TimedOut = 12,
    /// `run`: it was interrupted, and everything is reverted.
    Interrupted = 13,
    /// `run`: a node lost its window, and everything is reverted.
    WindowLost = 14,
}

impl Exit {
    /// The word that reports print.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Usage => "usage",
            Self::Partly => "partly",
            Self::NoWindow => "no window",
            Self::DeployFailed => "deploy failed",
            Self::CheckFailed => "check failed",
            Self::TimedOut => "timed out",
            Self::Interrupted => "interrupted",
            Self::WindowLost => "window lost",
        }
    }
}
