//! Bytes of values that clients have announced and not sent yet.
//!
//! An announcement costs its client a line, and takes the value's memory until the value is there
//! or the connection is gone. So these bytes are bounded by shares of the quota, first come first
//! served, and count in nothing that decides about what is stored: they evict nothing. A short
//! value takes no more than the connection itself, so it is not counted; those of medium length
//! have a share of their own, so that who announces large ones leaves room to ordinary writes.
//!
//! A value above half of the quota never fits.
//!
//! Threads: any. Counted for the whole process, as is all memory in use (`ffi::alloc`).

use std::sync::atomic::{AtomicUsize, Ordering};

/// Values up to this length are not counted.
const SHORT_BYTES: usize = 16 << 10;
/// Values up to this length are of medium length.
const MEDIUM_BYTES: usize = 1 << 20;
/// Shares of the quota, one part in so many: of values of medium length, of large ones, of which
/// one more may come while there are no more than that, and the largest value.
const MEDIUM_SHARE: u64 = 8;
const LARGE_SHARE: u64 = 4;
const VALUE_SHARE: u64 = 2;

static MEDIUM: AtomicUsize = AtomicUsize::new(0);
static LARGE: AtomicUsize = AtomicUsize::new(0);

/// Why a value may not be announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It will never fit.
    Never,
    /// Others have announced too much.
    Now,
}

/// The memory of an announced value; given back when this is dropped.
#[derive(Debug)]
pub(crate) struct Announced(usize);

impl Announced {
    /// The right that [`Self::keep`] put by.
    pub(crate) fn take_back(bytes: usize) -> Self {
        Self(bytes)
    }

    /// How many.
    pub(crate) fn bytes(&self) -> usize {
        self.0
    }

    /// Puts the right by, for whoever takes it back with the same number of bytes.
    pub(crate) fn keep(self) -> usize {
        std::mem::ManuallyDrop::new(self).0
    }
}

impl Drop for Announced {
    fn drop(&mut self) {
        counter(self.0).fetch_sub(self.0, Ordering::Relaxed);
    }
}

fn counter(bytes: usize) -> &'static AtomicUsize {
    if bytes <= MEDIUM_BYTES {
        &MEDIUM
    } else {
        &LARGE
    }
}

/// Whether a value of so many bytes can ever be kept within the quota.
pub(crate) fn fits(bytes: usize, quota: u64) -> bool {
    bytes <= SHORT_BYTES || bytes as u64 <= quota / VALUE_SHARE
}

/// Announces a value; without a result when it need not be counted.
///
/// # Errors
/// Nothing was counted.
pub(crate) fn announce(bytes: usize, quota: u64) -> Result<Option<Announced>, Refusal> {
    if bytes <= SHORT_BYTES || quota == u64::MAX {
        return Ok(None);
    }
    if !fits(bytes, quota) {
        return Err(Refusal::Never);
    }
    let granted = |before: usize| {
        let sum = before.checked_add(bytes)?;
        let fits = if bytes <= MEDIUM_BYTES {
            sum as u64 <= quota / MEDIUM_SHARE
        } else {
            before as u64 <= quota / LARGE_SHARE
        };
        // The first one goes in any case.
        (fits || before == 0).then_some(sum)
    };
    let order = Ordering::Relaxed;
    match counter(bytes).fetch_update(order, order, granted) {
        Ok(_) => Ok(Some(Announced(bytes))),
        Err(_) => Err(Refusal::Now),
    }
}

/// Bytes of all values that are counted at present.
pub(crate) fn bytes() -> usize {
    MEDIUM.load(Ordering::Relaxed) + LARGE.load(Ordering::Relaxed)
}
