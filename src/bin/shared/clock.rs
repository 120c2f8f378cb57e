//! The time, from a clock that does not jump.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Now.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place of this program that reads the clock"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// The time of the day since 1970, which other processes have too.
#[expect(
    clippy::disallowed_methods,
    reason = "a file outlives the clock that does not jump"
)]
pub(crate) fn today() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

/// A moment until which something may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Until(Instant);

impl Until {
    /// That long from now.
    pub(crate) fn after(time: Duration) -> Self {
        Self(now() + time)
    }

    /// What is left, `None` when it has passed.
    pub(crate) fn left(self) -> Option<Duration> {
        let left = self.0.saturating_duration_since(now());
        (!left.is_zero()).then_some(left)
    }
}
