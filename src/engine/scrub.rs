//! SCRUB: has the housekeeper look for expired keys at once, as memcached's own engine does when it
//! is told to. It brings forward what goes on by itself (`exp_pager_stime`).

use std::time::Duration;

use parking_lot::Mutex;

use super::{Core, Engine};

/// What the present one has done, or the last one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ScrubReport {
    /// It goes on.
    pub(crate) is_running: bool,
    /// How long it took.
    pub(crate) took: Duration,
    /// Keys that it looked at, those of active vbuckets.
    pub(crate) visited: usize,
    /// Those of them that had expired.
    pub(crate) cleaned: usize,
}

/// Whether there is one.
#[derive(Debug, Default)]
pub(super) struct Scrub {
    // Guards what is known of it. Lock order: last.
    report: Mutex<ScrubReport>,
}

impl Scrub {
    /// Returns whether it begins now; no if one goes on.
    fn begin(&self) -> bool {
        let mut report = self.report.lock();
        if report.is_running {
            return false;
        }
        *report = ScrubReport {
            is_running: true,
            ..ScrubReport::default()
        };
        true
    }

    /// Whether the housekeeper is to look now.
    pub(super) fn is_running(&self) -> bool {
        self.report.lock().is_running
    }

    /// It has ended.
    pub(super) fn end(&self, report: ScrubReport) {
        *self.report.lock() = report;
    }
}

impl Engine {
    /// Has expired keys looked for. Returns whether that begins now; no if it goes on already.
    pub(crate) fn scrub(&self) -> bool {
        let Core { scrub, house, .. } = &*self.core;
        let begins = scrub.begin();
        if begins {
            house.wake();
        }
        begins
    }

    /// What became of it.
    pub(crate) fn scrub_report(&self) -> ScrubReport {
        *self.core.scrub.report.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_at_a_time() {
        let scrub = Scrub::default();
        for _ in 0..2 {
            assert!(scrub.begin() && !scrub.begin() && scrub.is_running());
            scrub.end(ScrubReport::default());
            assert!(!scrub.is_running());
        }
    }
}
