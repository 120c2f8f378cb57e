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

/// The same as a page tells it.
pub(crate) const TABLE: &str = "\
Exit status:
   0  done as asked; run: completed on every node
   1  not done; what was begun has been taken back, and windows are as they were
   2  the command line is wrong
   3  done on some nodes only, or windows are still open: the report names them.
      The same command again goes on where this one ended. Also at a second signal: at the
      first one start, complete, revert, undo and extend go on to their report
   4  no node has a window open
  10  run: the deployment failed; reverted on every node
  11  run: the check failed; reverted on every node
  12  run: nothing was decided in time; reverted on every node
  13  run: interrupted (SIGINT, SIGTERM, SIGHUP); reverted on every node
  14  run: a node lost its window; reverted on every node";
