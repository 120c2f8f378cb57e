//! What the processor is told of memory that is needed soon.

/// Bytes that the processor fetches at a time.
pub(crate) const LINE_BYTES: usize = 64;

/// Has what lies at an address brought into the cache, and does not wait for it. Whoever works
/// through many values that lie all over memory waits for several of them at a time so. Nothing has
/// to lie there.
#[inline]
pub(crate) fn prefetch<T>(at: *const T) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: every x86_64 has the instruction, which changes nothing that a program sees and
        // does not mind what address it gets.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) };
    }
    #[cfg(any(not(target_arch = "x86_64"), miri))]
    let _ = at;
}
