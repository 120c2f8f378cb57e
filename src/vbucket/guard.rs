//! The right to work on a vbucket's log.
//!
//! Streams look at many logs that mostly have nothing for them. They look at a number instead,
//! without the lock, which whoever changes the log leaves behind: nobody can forget to.

use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicU64, Ordering};

use super::Ordered;
use crate::latch::LatchGuard;

/// The log, locked. When it is let go, those who look without the lock see that it has changed.
pub(super) struct LogGuard<'a> {
    ordered: LatchGuard<'a, Ordered>,
    version: &'a AtomicU64,
}

impl<'a> LogGuard<'a> {
    pub(super) fn new(ordered: LatchGuard<'a, Ordered>, version: &'a AtomicU64) -> Self {
        Self { ordered, version }
    }
}

impl Deref for LogGuard<'_> {
    type Target = Ordered;

    fn deref(&self) -> &Ordered {
        &self.ordered
    }
}

impl DerefMut for LogGuard<'_> {
    fn deref_mut(&mut self) -> &mut Ordered {
        &mut self.ordered
    }
}

impl Drop for LogGuard<'_> {
    fn drop(&mut self) {
        let Ordered {
            log,
            incarnation,
            told,
            ..
        } = &mut *self.ordered;
        let now = Some((*incarnation, log.version()));
        if *told != now {
            // Counted, and so never the number of an earlier state, whatever that consists of.
            *told = now;
            self.version.fetch_add(1, Ordering::Release);
        }
    }
}
