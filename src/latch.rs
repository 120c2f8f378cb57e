//! The lock of what is worked on for less time than it takes to put a thread to sleep.
//!
//! `parking_lot`'s mutex gives the processor away (`sched_yield`) when it meets a holder. Since the
//! kernel counts a yield as a whole slice that was used (EEVDF), a client's thread that did so
//! beside a busy background thread stood still for milliseconds. This one spins for about as long
//! as a background thread works on one group of keys, then sleeps until the holder wakes it.

#![expect(
    clippy::disallowed_types,
    reason = "the only place that knows how it is locked"
)]

use std::hint::spin_loop;
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

/// Looks at a lock that is held, and pauses between two of them: some ten microseconds in all.
const LOOKS: usize = 64;
const PAUSES: usize = 16;

/// A value and its lock.
#[derive(Debug, Default)]
pub(crate) struct Latch<T>(Mutex<T>);

/// The value, locked.
pub(crate) type LatchGuard<'a, T> = MutexGuard<'a, T>;

impl<T> Latch<T> {
    /// Nobody has it locked.
    pub(crate) const fn new(value: T) -> Self {
        Self(Mutex::new(value))
    }

    /// Locks it. A holder that panicked does not matter here: vbuckets keep account of that
    /// themselves.
    pub(crate) fn lock(&self) -> LatchGuard<'_, T> {
        for _ in 0..LOOKS {
            match self.0.try_lock() {
                Ok(guard) => return guard,
                Err(TryLockError::Poisoned(error)) => return error.into_inner(),
                Err(TryLockError::WouldBlock) => (0..PAUSES).for_each(|_| spin_loop()),
            }
        }
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
