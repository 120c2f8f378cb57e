//! Bytes that a REVERT has taken out of every table and that are still to be dropped, behind its
//! answer.
//!
//! They are on their way out, so they count in nothing that decides about what is stored: else the
//! keys that the REVERT has just brought back would be evicted for them.
//!
//! Threads: any. Counted for the whole process, as is all memory in use (`ffi::alloc`).

use std::sync::atomic::{AtomicUsize, Ordering};

static BYTES: AtomicUsize = AtomicUsize::new(0);

/// So many bytes are leaving, until this is dropped.
#[derive(Debug)]
pub(crate) struct Leaving(usize);

impl Leaving {
    /// From now on.
    pub(crate) fn new(bytes: usize) -> Self {
        BYTES.fetch_add(bytes, Ordering::Relaxed);
        Self(bytes)
    }

    /// So many of them have been dropped.
    pub(crate) fn less(&mut self, bytes: usize) {
        let bytes = bytes.min(self.0);
        self.0 -= bytes;
        BYTES.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Drop for Leaving {
    fn drop(&mut self) {
        BYTES.fetch_sub(self.0, Ordering::Relaxed);
    }
}

/// Of all of them.
pub(crate) fn bytes() -> usize {
    BYTES.load(Ordering::Relaxed)
}
